/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an x86 guest's ACPI namespace holds: how to switch off, and one PCIe host bridge. The addresses
 * are those of include/bulkhead/plan.h; tests/unit/test_guest_x86.c compares them.
 */
DefinitionBlock ("", "DSDT", 2, "BLKHD ", "GUEST   ", 1)
{
	Name (\_S5, Package () { 5, 0, 0, 0 }) // GUEST_X86_SLEEP_S5

	Scope (\_SB)
	{
		Device (PCI0)
		{
			Name (_HID, EisaId ("PNP0A08"))
			Name (_CID, EisaId ("PNP0A03"))
			Name (_SEG, 0)
			Name (_BBN, 0)
			Name (_UID, 0)
			Name (_CRS, ResourceTemplate ()
			{
				WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode, 0, 0, 4, 0, 5) // PLAN_MAX_PORTS
				WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,
					0, 0x0000, 0x0cf7, 0, 0x0cf8)
				WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,
					0, 0x0d00, 0xffff, 0, 0xf300)
				DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite,
					0, 0xc0000000, 0xdfffffff, 0, 0x20000000) // GUEST_X86_WINDOW
				QWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite,
					0, 0xc000000000, 0xffffffffff, 0, 0x4000000000) // GUEST_HIGH_WINDOW
			})

			// Hot plug and the capability it stands in are the guest's own (PCI Firmware Specification 3.3 4.5.1).
			Method (_OSC, 4, NotSerialized)
			{
				CreateDWordField (Arg3, 0, STAT)
				If (LEqual (Arg0, ToUUID ("33db4d5b-1ff7-401c-9657-7441c03dd766")))
				{
					CreateDWordField (Arg3, 8, CTRL)
					And (CTRL, 0x11, CTRL)
				}
				Else
				{
					Or (STAT, 4, STAT)
				}
				Return (Arg3)
			}
		}

		// The configuration space of all buses, so that nothing else is put there.
		Device (ECAM)
		{
			Name (_HID, EisaId ("PNP0C02"))
			Name (_UID, 0)
			Name (_CRS, ResourceTemplate ()
			{
				Memory32Fixed (ReadWrite, 0xe0000000, 0x00500000) // GUEST_ECAM_SIZE
			})
		}
	}
}
