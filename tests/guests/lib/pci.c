/* SPDX-License-Identifier: Apache-2.0 */
/* Attacks on configuration space (PCIe 6.0 7.5). */
#include "guest.h"

#define OWN (ECAM_BASE + (2 << 15))
#define COMMAND 4
#define COMMAND_ALL 0x406U /* what a guest may set */
#define BARS 0x10
#define CAPABILITIES 0x34
#define CAP_PCIE 0x10
#define CAP_MSIX 0x11
#define QUEUES 0x12 /* of a virtio function, in BAR 4 (virtio 1.2 4.1.4.3) */
#define MSIX_ALL 0xc0000000U

static uint32_t capability(uint32_t id)
{
	uint32_t at = read8(OWN + CAPABILITIES);

	for (uint32_t i = 0; i < 48 && at != 0; i++, at = read8(OWN + at + 1))
		if (read8(OWN + at) == id)
			return at;
	return 0;
}

void pci_show(void)
{
	uint64_t words = 0;

	for (uint32_t at = 0; at < 4096; at += 4) {
		if (read32(OWN + at) == 0)
			continue;
		say("config %x %x\n", at, read32(OWN + at));
		words++;
	}
	say("survived: %u words\n", words);
}

static void write_all(uint32_t value)
{
	for (uint32_t at = 0; at < 4096; at += 4)
		write32(OWN + at, value);
	for (uint32_t at = 0; at < 4096; at += 2)
		write16(OWN + at, (uint16_t)value);
	for (uint32_t at = 0; at < 4096; at++)
		write8(OWN + at, (uint8_t)value);
}

/* Bits that differ from @before where a guest may not change any; BARs say their size once they were asked. */
static uint64_t strays(const uint32_t before[1024], uint32_t msix)
{
	uint64_t count = 0;

	for (uint32_t at = 0; at < 4096; at += 4) {
		uint32_t may = at == COMMAND ? COMMAND_ALL : at == msix ? MSIX_ALL : 0;

		count += ((read32(OWN + at) ^ before[at / 4]) & ~may) != 0;
	}
	return count;
}

void pci_sweep(void)
{
	static uint32_t before[1024];
	uint32_t msix = capability(CAP_MSIX);
	uint64_t wrong;

	for (uint32_t at = 0; at < 4096; at += 4)
		before[at / 4] = read32(OWN + at);
	write_all(~0U);
	uint32_t command = read32(OWN + COMMAND), control = read32(OWN + msix);

	for (uint32_t bar = 0; bar < 6; bar++)
		write32(OWN + BARS + 4 * bar, 0);
	wrong = strays(before, msix);
	write_all(0);
	wrong += strays(before, msix);
	say("survived: command %x, MSI-X %x, %u strays\n", (uint64_t)(command & 0xffff),
	    (uint64_t)(control >> 30), wrong);
}

void pci_move(void)
{
	uint32_t to = (uint32_t)argument_number("at", 0);
	uint64_t moved = 0;

	for (uint32_t bar = BARS; bar < BARS + 24; bar += 4) {
		uint32_t before = read32(OWN + bar);

		write32(OWN + bar, ~0U);
		write32(OWN + bar, to);
		write16(OWN + bar + 2, (uint16_t)(to >> 16));
		write8(OWN + bar + 3, (uint8_t)(to >> 24));
		moved += read32(OWN + bar) != before;
	}
	uint64_t registers =
		(uint64_t)read32(OWN + BARS + 20) << 32 | (read32(OWN + BARS + 16) & ~0xfU);

	write16(OWN + COMMAND, 2);
	say("survived: %u BARs moved, %u queue\n", moved, (uint64_t)read16(registers + QUEUES));
	write16(OWN + COMMAND, 0);
}

void pci_others(void)
{
	uint64_t found = 0;

	for (uint64_t at = ECAM_BASE; at < ECAM_BASE + (1 << 20); at += 4096) {
		uint32_t before = read32(at);

		if (at == OWN || before == 0x99009710) /* x86's console */
			continue;
		found += before != ~0U;
		write32(at + BARS, 0xfee00000);
		write16(at + COMMAND, 7);
		write32(at + 0x100, 0);
	}
	say("survived: %u others found\n", found);
}

void pci_reset(void)
{
	uint32_t pcie = capability(CAP_PCIE);

	write16(OWN + COMMAND, 6);
	uint32_t before = read32(OWN + BARS + 16);

	write16(OWN + pcie + 8, 0x8000 | read16(OWN + pcie + 8));
	say("survived: command %x, %u\n", (uint64_t)read16(OWN + COMMAND),
	    (uint64_t)(read32(OWN + BARS + 16) == before));
	write16(OWN + COMMAND, 0);
}
