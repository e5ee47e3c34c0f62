/* SPDX-License-Identifier: Apache-2.0 */
#include "arch.h"

#include <string.h>

#include <bulkhead/format.h>

#include "cpu.h"
#include "mp_services.h"

#define IOAPIC_BASE 0xfec00000ULL /* where a PC has its first (and often only) one */
#define COM1_PORT 0x3f8
#define COM1_IRQ 4
#define UART_LINE_STATUS 5 /* 16550 registers */
#define UART_SCRATCH 7
#define CONVENTIONAL_END 0xa0000ULL /* what follows is video memory and firmware's ROM */

#define LEAF_FEATURES 1U
#define FEATURES_ECX_VMX (1U << 5)
#define LEAF_EXTENDED_FEATURES 0x80000001U
#define EXTENDED_EDX_1G (1U << 26)
#define LEAF_TOPOLOGY 0xbU
#define LEAF_TOPOLOGY_2 0x1fU
#define TOPOLOGY_SMT 1U
#define LEAF_TSC 0x15U
#define LEAF_AMD_TOPOLOGY 0x8000001eU
#define MSR_VMX_EPT_VPID 0x48c
#define EPT_VPID_1G (1ULL << 17)
#define STALL_RUNS 3
#define STALL_US 100000
#define STALL_SHORT_US 2000

/* Real mode and the 32 bits of CR3 that a core has when it leaves that. */
const struct loader_arch loader_arch = {MACHINE_X86, &elf_x86_64, 4 * GIB};

static EFI_GUID mp_services_guid = MP_SERVICES_GUID;

static void add_processor(struct machine *m, const struct mp_processor *info)
{
	uint32_t needed = MP_PROCESSOR_ENABLED | MP_PROCESSOR_HEALTHY;

	if ((info->status & needed) != needed || m->ncpus == CONFIG_MAX_CPUS)
		return;
	m->cpu[m->ncpus++] = (struct machine_cpu){.hwid = info->id};
}

enum bh_error arch_read_machine(struct loader *l)
{
	struct machine *m = l->machine;
	struct mp_services *mp = NULL;
	UINTN all = 0, enabled;
	EFI_STATUS status = l->services->LocateProtocol(&mp_services_guid, NULL, (void **)&mp);

	if (EFI_ERROR(status))
		return bh_fail(&l->report, BH_BAD_MACHINE,
			       "the firmware offers neither ACPI nor MP services, so its cores are "
			       "not known");
	say(l, "The firmware has no ACPI: cores are as its MP services name them.");
	l->source = "MP services";
	bh_format(m->name, sizeof(m->name), "PC (%s)", l->source);
	status = mp->count(mp, &all, &enabled);
	for (UINTN i = 0; i < all && !EFI_ERROR(status); i++) {
		struct mp_processor info = {0};

		status = mp->info(mp, i, &info);
		if (!EFI_ERROR(status))
			add_processor(m, &info);
	}
	if (EFI_ERROR(status))
		return firmware_failed(l, "asking the MP services for the cores", status);
	m->x86.ioapic[m->x86.nioapics++] = (struct machine_ioapic){.base = pa(IOAPIC_BASE)};
	m->uart_irq = COM1_IRQ;
	return BH_OK;
}

/* No table names a UART: what every PC has, if it is there. */
static void probe_com1(struct machine *m)
{
	static const uint8_t patterns[] = {0xa5, 0x5a};
	bool found = in8(COM1_PORT + UART_LINE_STATUS) != 0xff;

	for (size_t i = 0; i < ARRAY_SIZE(patterns) && found; i++) {
		out8(COM1_PORT + UART_SCRATCH, patterns[i]);
		found = in8(COM1_PORT + UART_SCRATCH) == patterns[i];
	}
	m->uart = pa(found ? COM1_PORT : 0);
	m->uart_irq = found ? m->uart_irq : 0;
}

/* Ticks of the TSC while firmware waits. What disturbs a run makes it longer: the shortest is right. */
static uint64_t stall(struct loader *l, uint64_t microseconds)
{
	uint64_t best = UINT64_MAX;

	for (int i = 0; i < STALL_RUNS; i++) {
		uint64_t start = arch_counter(), ticks;

		l->services->Stall(microseconds);
		ticks = arch_counter() - start;
		if (ticks < best)
			best = ticks;
	}
	return best;
}

/*
 * By the crystal that the processor names (SDM vol. 3 19.7.3), else against the firmware's clock:
 * a long wait less a short one, so that what calling firmware takes is not counted.
 */
static uint64_t tsc_hz(struct loader *l)
{
	struct cpuid tsc = cpuid(LEAF_TSC, 0);
	uint64_t longer, shorter;

	if (tsc.eax != 0 && tsc.ebx != 0 && tsc.ecx != 0)
		return (uint64_t)tsc.ecx * tsc.ebx / tsc.eax;
	longer = stall(l, STALL_US + STALL_SHORT_US);
	shorter = stall(l, STALL_SHORT_US);
	return longer > shorter ? (longer - shorter) * (1000000 / STALL_US) : 0;
}

/* trampoline.S: the code, and the addresses in it that are relative to its page. */
extern const uint8_t trampoline[], trampoline_end[];
extern const uint8_t trampoline_to32[], trampoline_to64[], trampoline_gdt[];

static void relocate(pa_t page, const uint8_t *word)
{
	uint8_t *at = pa_to_ptr(pa(page.v + (uint64_t)(word - trampoline)));
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	value += (uint32_t)page.v;
	memcpy(at, &value, sizeof(value));
}

/* Page 0 will not do: a trampoline there would look like none. */
static enum bh_error place_trampoline(struct loader *l)
{
	struct extent page = {pa(0), 0};
	enum bh_error error = BH_OK;

	for (int i = 0; i < 2 && page.base.v == 0 && error == BH_OK; i++)
		error = pages_take_below(l, EfiReservedMemoryType, PAGE_SIZE, PAGE_SIZE,
					 CONVENTIONAL_END, &page);
	if (error != BH_OK)
		return error;
	memcpy(pa_to_ptr(page.base), trampoline, (size_t)(trampoline_end - trampoline));
	relocate(page.base, trampoline_to32);
	relocate(page.base, trampoline_to64);
	relocate(page.base, trampoline_gdt);
	l->machine->x86.trampoline = page.base;
	return BH_OK;
}

/* EPT says for itself; nested tables of SVM are as the processor's own (APM 15.25.3). */
static void find_leaves(struct machine_x86 *x86)
{
	bool vmx = (cpuid(LEAF_FEATURES, 0).ecx & FEATURES_ECX_VMX) != 0;
	bool own = (cpuid(LEAF_EXTENDED_FEATURES, 0).edx & EXTENDED_EDX_1G) != 0;

	x86->own_1g = own;
	x86->guest_1g = vmx ? (rdmsr(MSR_VMX_EPT_VPID) & EPT_VPID_1G) != 0 : own;
}

enum bh_error arch_probe_machine(struct loader *l)
{
	struct machine *m = l->machine;

	if (m->uart.v == 0)
		probe_com1(m);
	m->x86.tsc_hz = tsc_hz(l);
	if (m->x86.tsc_hz == 0)
		return bh_fail(&l->report, BH_BAD_MACHINE, "the time-stamp counter stands still");
	find_leaves(&m->x86);
	return place_trampoline(l);
}

/* Leaf 0xb has all 32 bits of the APIC id, leaf 1 the lower 8 (SDM vol. 3 9.8.1). */
uint64_t arch_hwid(void)
{
	struct cpuid topology = cpuid(LEAF_TOPOLOGY, 0);

	return topology.ebx != 0 ? topology.edx : cpuid(LEAF_FEATURES, 0).ebx >> 24;
}

/* Leaves 0x1f and 0xb: SDM vol. 3 9.9. AMD's leaf counts threads: APM vol. 3 E.4.17. */
uint32_t arch_thread_bits(void)
{
	static const uint32_t leaves[] = {LEAF_TOPOLOGY_2, LEAF_TOPOLOGY};
	uint32_t threads = (cpuid(LEAF_AMD_TOPOLOGY, 0).ebx >> 8 & 0xff) + 1, bits = 0;

	for (size_t i = 0; i < ARRAY_SIZE(leaves); i++) {
		struct cpuid level = cpuid(leaves[i], 0);

		if (level.ebx != 0 && (level.ecx >> 8 & 0xff) == TOPOLOGY_SMT)
			return level.ebx == 1 ? 0 : level.eax & 0x1f; /* Bochs: 1 even then */
	}
	while (1U << bits < threads)
		bits++;
	return bits;
}
