/* SPDX-License-Identifier: Apache-2.0 */
/* The arch contract's part for PCI functions, over the IOMMU that there is. */
#include "iommu.h"

#include <bulkhead/lock.h>

#define QUEUE_BYTES PAGE_SIZE
#define OWN_DOMAIN 256 /* no VM's: their ids have 8 bits */

volatile uint64_t iommu_done;

static uint32_t lock; /* around queues and tables: any core may change a route */
static struct pt_format format; /* as these IOMMUs can have it */

static const struct iommu_kind *kind(void)
{
	return machine_facts()->x86.iommu_is_amd != 0 ? &amdvi : &vtd;
}

static const struct plan_iommu *unit_of(const struct machine_function *f)
{
	return &machine_plan()->iommu[f->iommu];
}

void iommu_map(void)
{
	const struct plan *plan = machine_plan();

	format = *kind()->format;
	for (uint32_t i = 0; i < machine_facts()->x86.niommus; i++) {
		const struct plan_iommu *unit = &plan->iommu[i];

		if (unit->registers.v == 0)
			continue;
		if (i == 0)
			own_map(plan->iommu_tables, PT_DATA);
		own_map((struct extent){unit->registers, kind()->register_bytes}, PT_DEVICE);
		kind()->adapt(unit, &format);
	}
}

void iommu_store(uint64_t entry[2], uint64_t low, uint64_t high)
{
	uint64_t old_low = entry[0];
	uint64_t old_high = entry[1]; /* nobody else changes it */

	__asm__ volatile("lock cmpxchg16b (%0)\n\tclflush (%0)"
			 : "+r"(entry), "+a"(old_low), "+d"(old_high)
			 : "b"(low), "c"(high)
			 : "memory", "cc");
}

void iommu_run(const struct plan_iommu *unit, uint64_t tail, const uint64_t (*commands)[2],
	       uint32_t count)
{
	uint64_t end = *iommu_register(unit, tail);
	uint64_t deadline = arch_ticks() + arch_tick_rate();

	iommu_done = 0;
	for (uint32_t i = 0; i < count; i++) {
		uint64_t *slot = pa_to_ptr(pa(unit->commands.v + end));

		slot[0] = commands[i][0];
		slot[1] = commands[i][1];
		end = (end + sizeof(commands[i])) % QUEUE_BYTES;
	}
	arch_dma_fence();
	*iommu_register(unit, tail) = end;
	while (iommu_done == 0) {
		if (arch_ticks() > deadline)
			bh_panic("the IOMMU at 0x%lx does not answer", unit->registers.v);
		arch_pause();
	}
}

const struct pt_format *arch_dma_format(void)
{
	return &format;
}

/* An MSI is no DMA here. */
void arch_vm_map_dma(const struct page_table *table)
{
	(void)table;
}

static void translate(const struct machine_function *f, pa_t root, uint32_t domain)
{
	spin_lock(&lock);
	kind()->translate(unit_of(f), f->stream, root, domain);
	spin_unlock(&lock);
}

/* Of interrupt @entry of @function in the tables. */
static uint32_t index_of(uint32_t function, uint32_t entry)
{
	BH_CHECK(entry < PLAN_MAX_VECTORS);
	return function * PLAN_MAX_VECTORS + entry;
}

static uint64_t *entry_at(uint32_t function, uint32_t entry)
{
	pa_t table = unit_of(&machine_facts()->function[function])->interrupts;

	return (uint64_t *)pa_to_ptr(table) + 2 * (size_t)index_of(function, entry);
}

static void forget(uint32_t function, uint32_t entry, uint32_t count)
{
	const struct machine_function *f = &machine_facts()->function[function];

	kind()->forget(unit_of(f), f->stream, index_of(function, entry), count);
}

/* Its interrupts are let through one by one, by interrupt_route(). */
void arch_function_open(const struct vm *vm, uint32_t slot)
{
	const struct plan_vm *plan = vm_plan(vm);
	const struct machine_function *f =
		&machine_facts()->function[plan->function[slot].function];

	if (f->iommu != MACHINE_NONE)
		translate(f, vm->dma, plan->vmid);
}

void arch_function_close(const struct vm *vm, uint32_t slot)
{
	uint32_t function = vm_plan(vm)->function[slot].function;
	const struct machine_function *f = &machine_facts()->function[function];

	if (f->iommu == MACHINE_NONE)
		return;
	translate(f, pa(0), vm_plan(vm)->vmid);
	spin_lock(&lock);
	for (uint32_t i = 0; i < PLAN_MAX_VECTORS; i++)
		iommu_store(entry_at(function, i), 0, 0);
	forget(function, 0, PLAN_MAX_VECTORS);
	spin_unlock(&lock);
}

void arch_own_function_open(uint32_t function, pa_t root)
{
	const struct machine_function *f = &machine_facts()->function[function];

	if (f->iommu != MACHINE_NONE)
		translate(f, root, OWN_DOMAIN);
}

bool arch_msix_trapped(void)
{
	return true;
}

struct msi_message interrupt_route(uint32_t function, uint32_t entry, uint64_t hwid,
				   uint32_t vector)
{
	const struct machine_function *f = &machine_facts()->function[function];
	struct msi_message message = {IOMMU_DOORBELL | (uint32_t)(hwid & 0xff) << 12, vector};
	uint64_t value[2];

	if (f->iommu == MACHINE_NONE)
		return message;
	message = kind()->route(f->stream, index_of(function, entry), hwid, vector, value);
	spin_lock(&lock);
	iommu_store(entry_at(function, entry), value[0], value[1]);
	forget(function, entry, 1);
	spin_unlock(&lock);
	return message;
}

bool arch_dma_fault(struct dma_fault *fault)
{
	bool found = false;

	for (uint32_t i = 0; i < machine_facts()->x86.niommus && !found; i++) {
		const struct plan_iommu *unit = &machine_plan()->iommu[i];

		fault->iommu = i;
		found = unit->registers.v != 0 && kind()->fault(unit, fault);
	}
	return found;
}
