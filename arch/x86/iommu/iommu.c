/* SPDX-License-Identifier: Apache-2.0 */
/* The arch contract's part for PCI functions, over the IOMMU that there is. */
#include "iommu.h"

#include <bulkhead/lock.h>

#define OWN_DOMAIN 256 /* no VM's: their ids have 8 bits */

static uint32_t lock; /* around queues and tables: any core may change a route */
static struct pt_format format; /* as these IOMMUs can have it */

static const struct iommu_kind *kind(void)
{
	return machine_facts()->x86.iommu_is_amd != 0 ? &amdvi : &vtd;
}

/* Unit @index of the plan; NULL when it is not in use. They are all, or none is. */
static const struct plan_iommu *unit_at(uint32_t index)
{
	const struct plan_iommu *units = machine_plan()->iommu;

	return index < machine_facts()->x86.niommus && units[0].registers.v != 0 ? &units[index]
										 : NULL;
}

void iommu_map(void)
{
	const struct plan_iommu *unit;

	format = kind()->format;
	format.attr[PT_GUEST_RAM] |= kind()->snoop;
	if (unit_at(0) != NULL)
		own_map(machine_plan()->iommu_tables, PT_DATA);
	for (uint32_t i = 0; (unit = unit_at(i)) != NULL; i++) {
		own_map((struct extent){unit->registers, kind()->register_bytes}, PT_DEVICE);
		if ((unit->flags & IOMMU_SNOOPS) == 0)
			format.attr[PT_GUEST_RAM] &= ~kind()->snoop;
	}
}

/* Both halves at once, also for an IOMMU that does not see the processors' caches. Nobody else changes @entry. */
static void store(struct iommu_pair *entry, struct iommu_pair value)
{
	struct iommu_pair old = *entry;

	__asm__ volatile("lock cmpxchg16b (%0)\n\tclflush (%0)"
			 : "+r"(entry), "+a"(old.low), "+d"(old.high)
			 : "b"(value.low), "c"(value.high)
			 : "memory", "cc");
}

/* Returns when nothing that was stored before in the tables is still cached, or in use. */
static void forget(const struct plan_iommu *unit, uint32_t stream, uint32_t domain, uint32_t index)
{
	static volatile uint64_t done;
	struct iommu_pair *queue = pa_to_ptr(unit->commands);
	struct iommu_pair commands[IOMMU_COMMANDS] = {{0, 0}};
	uint64_t tail = *iommu_register(unit, kind()->tail);
	uint64_t deadline = arch_ticks() + arch_tick_rate();

	done = 0;
	kind()->forget(stream, domain, index, ptr_to_pa((const void *)&done).v, commands);
	for (uint32_t i = 0; i < IOMMU_COMMANDS; i++) {
		queue[tail / sizeof(*queue)] = commands[i];
		tail = (tail + sizeof(*queue)) % PAGE_SIZE;
	}
	arch_dma_fence();
	*iommu_register(unit, kind()->tail) = tail;
	while (done == 0) {
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

/* Its DMA to the tables at @root, or nowhere; interrupts are let through one by one, by interrupt_route(). */
static void translate(uint32_t function, pa_t root, uint32_t domain)
{
	const struct machine_function *f = &machine_facts()->function[function];
	const struct plan_iommu *unit = unit_at(f->iommu);
	uint32_t index = function * PLAN_MAX_VECTORS;

	if (unit == NULL)
		return;
	if ((unit->flags & IOMMU_COHERENT) == 0)
		__asm__ volatile("wbinvd" ::: "memory"); /* the tables */
	spin_lock(&lock);
	store(kind()->entry(unit, f->stream),
	      (struct iommu_pair){root.v != 0 ? root.v | kind()->open : kind()->blocked,
				  kind()->open_high | (uint64_t)domain << kind()->domain_shift});
	for (uint32_t i = 0; i < PLAN_MAX_VECTORS; i++)
		store((struct iommu_pair *)pa_to_ptr(unit->interrupts) + index + i,
		      (struct iommu_pair){0, 0});
	forget(unit, f->stream, domain, index);
	spin_unlock(&lock);
}

void arch_function_set(const struct vm *vm, uint32_t slot, bool open)
{
	if (open)
		msix_reset(vm, slot);
	translate(vm_plan(vm)->function[slot].function, open ? vm->dma : pa(0), vm_plan(vm)->vmid);
}

void arch_own_function_open(uint32_t function, pa_t root)
{
	translate(function, root, OWN_DOMAIN);
}

struct msi_message interrupt_route(uint32_t function, uint32_t entry, uint64_t hwid,
				   uint32_t vector)
{
	const struct machine_function *f = &machine_facts()->function[function];
	const struct plan_iommu *unit = unit_at(f->iommu);
	struct msi_message message = {IOMMU_DOORBELL | (uint32_t)(hwid & 0xff) << 12, vector};
	uint32_t index = function * PLAN_MAX_VECTORS + entry;
	struct iommu_pair value;

	BH_CHECK(entry < PLAN_MAX_VECTORS);
	if (unit == NULL)
		return message;
	message = kind()->route(f->stream, index, hwid, vector, &value);
	spin_lock(&lock);
	store((struct iommu_pair *)pa_to_ptr(unit->interrupts) + index, value);
	forget(unit, f->stream, 0, index);
	spin_unlock(&lock);
	return message;
}

bool arch_dma_fault(struct dma_fault *fault)
{
	const struct plan_iommu *unit;

	for (uint32_t i = 0; (unit = unit_at(i)) != NULL; i++) {
		fault->iommu = i;
		if (kind()->fault(unit, fault))
			return true;
	}
	return false;
}
