/* SPDX-License-Identifier: Apache-2.0 */
#include "iommu.h"

#include <string.h>

#include "arch.h"

#define HWID_OF_IOAPIC UINT8_MAX /* an IOAPIC without remapping names 8 bits of an APIC's id */

static const struct iommu_kind *kind(const struct machine *machine)
{
	return machine->x86.iommu_is_amd ? &amdvi : &vtd;
}

/* All or none: nobody says which of them the IOAPICs' interrupts pass. */
static void go_without(struct machine *machine)
{
	machine->x86.niommus = 0;
	for (uint32_t i = 0; i < machine->nfunctions; i++)
		machine->function[i].iommu = MACHINE_NONE;
}

void arch_check_iommus(struct loader *l)
{
	struct machine *machine = l->machine;

	for (uint32_t i = 0; i < machine->x86.niommus; i++) {
		pa_t registers = machine->x86.iommu[i];
		const char *what = kind(machine)->lacks(machine, registers);

		if (what == NULL)
			continue;
		say(l, "the IOMMU at 0x%llx %s: no IOMMU is used", (unsigned long long)registers.v,
		    what);
		go_without(machine);
	}
}

pa_t iommu_pages(struct extent *left, uint64_t bytes)
{
	pa_t taken = left->base;
	uint64_t size = align_up(bytes, PAGE_SIZE);

	if (left->size < size)
		return pa(0);
	*left = (struct extent){pa(taken.v + size), left->size - size};
	return taken;
}

bool iommu_wait(const struct machine *machine, pa_t at, uint32_t mask, uint32_t value)
{
	uint64_t start = arch_counter();

	while ((*iommu_register32(at, 0) & mask) != value) {
		if (arch_counter() - start > machine->x86.tsc_hz)
			return false;
	}
	return true;
}

/* The interrupt tables are all units': what stands there is for one requester id only. */
static bool block_all(struct boot_info *info, struct extent *left)
{
	pa_t interrupts = iommu_pages(left, X86_INTERRUPT_BYTES);
	bool done = interrupts.v != 0;

	for (uint32_t i = 0; i < info->machine.x86.niommus && done; i++) {
		struct plan_iommu *unit = &info->plan.iommu[i];

		unit->registers = info->machine.x86.iommu[i];
		unit->interrupts = interrupts;
		unit->commands = iommu_pages(left, IOMMU_QUEUE_BYTES);
		done = unit->commands.v != 0 && kind(&info->machine)->block(info, i, left);
	}
	return done;
}

void arch_start_iommus(struct boot_info *info)
{
	struct machine *machine = &info->machine;
	struct extent left = info->plan.iommu_tables;
	bool done;

	if (left.size == 0)
		return;
	memset(pa_to_ptr(left.base), 0, left.size);
	done = block_all(info, &left);
	for (uint32_t i = 0; i < machine->x86.niommus && done; i++)
		done = kind(machine)->switch_on(machine, &info->plan.iommu[i]);
	if (!done) {
		memset(info->plan.iommu, 0, sizeof(info->plan.iommu));
		go_without(machine);
	}
}

uint64_t iommus_line(const struct boot_info *info, const struct machine_ioapic *ioapic,
		     uint64_t hwid, uint32_t vector)
{
	const struct machine *machine = &info->machine;
	const struct plan_iommu *unit = info->plan.iommu;
	uint64_t entry;

	if (unit->registers.v == 0)
		return hwid <= HWID_OF_IOAPIC ? hwid << 56 | vector : 0;
	if (ioapic->requester == 0)
		return 0;
	entry = kind(machine)->line(unit, ioapic, hwid, vector);
	for (uint32_t i = 0; i < machine->x86.niommus; i++) {
		if (!kind(machine)->forget(machine, &unit[i]))
			return 0;
	}
	return entry;
}
