/* SPDX-License-Identifier: Apache-2.0 */
/* The physical ITS and the redistributors' LPIs (IHI 0069H 5): commands of the hypervisor's own, checked in vits.c before. */
#include "its.h"

#include "arm64.h"
#include "gic_regs.h"
#include "vits.h"

#include <string.h>

#define SECONDS_TO_ANSWER 1

/* Served in the order in which they came, so that no guest's flood keeps others from it for longer than its turn. */
static uint32_t next_ticket, now_serving;
static uint64_t window; /* the block of a guest's memory that is mapped; 0: none */

static void lock(void)
{
	uint32_t ticket = __atomic_fetch_add(&next_ticket, 1, __ATOMIC_RELAXED);

	while (__atomic_load_n(&now_serving, __ATOMIC_ACQUIRE) != ticket)
		arch_pause();
}

static const struct plan_its *its(void)
{
	return &machine_plan()->its;
}

static volatile uint64_t *reg64(uint64_t base, uint64_t offset)
{
	return pa_to_ptr(pa(base + offset));
}

static void check_deadline(uint64_t deadline)
{
	if (arch_ticks() > deadline)
		bh_panic("the ITS does not take commands: read 0x%lx, written 0x%lx",
			 *reg64(its()->registers.v, GITS_CREADR),
			 *reg64(its()->registers.v, GITS_CWRITER));
	arch_pause();
}

/* All that was queued has been done (5.3.1): every command is a valid one, so that none can stall the queue. */
static void drain(void)
{
	uint64_t deadline = arch_ticks() + SECONDS_TO_ANSWER * arch_tick_rate();

	while (*reg64(its()->registers.v, GITS_CREADR) != *reg64(its()->registers.v, GITS_CWRITER))
		check_deadline(deadline);
}

static void unlock(void)
{
	drain();
	if (window != 0)
		own_unmap((struct extent){pa(window), BLOCK_SIZE});
	window = 0;
	__atomic_store_n(&now_serving, now_serving + 1, __ATOMIC_RELEASE);
}

static void queue(uint64_t first, uint64_t second, uint64_t third)
{
	uint64_t at = *reg64(its()->registers.v, GITS_CWRITER);
	uint64_t next = (at + ITS_COMMAND_BYTES) % ITS_QUEUE_BYTES;
	uint64_t deadline = arch_ticks() + SECONDS_TO_ANSWER * arch_tick_rate();
	volatile uint64_t *command = reg64(its()->commands.v, at);

	while (*reg64(its()->registers.v, GITS_CREADR) == next)
		check_deadline(deadline);
	command[0] = first;
	command[1] = second;
	command[2] = third;
	command[3] = 0;
	dsb(sy);
	*reg64(its()->registers.v, GITS_CWRITER) = next;
}

/* What commands call core @cpu: the address of its redistributor, or its number there (5.3.1). */
static uint64_t target_of(uint32_t cpu)
{
	uint64_t gicr = machine_facts()->cpu[cpu].gicr.v;

	return (*reg64(its()->registers.v, GITS_TYPER) & GITS_TYPER_PTA) != 0
		       ? gicr
		       : (*reg64(gicr, GICR_TYPER) >> 8 & 0xffff) << 16;
}

void its_command(enum its_command what, uint32_t device, uint32_t event, uint32_t lpi,
		 uint64_t third)
{
	queue(what | (uint64_t)device << 32, event | (uint64_t)lpi << 32, third);
}

void its_sync(uint32_t cpu)
{
	queue(ITS_SYNC, 0, target_of(cpu));
}

const void *its_guest_memory(const struct plan_vm *plan, gpa_t at, uint64_t size)
{
	uint64_t left = 0;
	pa_t found = plan_translate(plan, at, &left);
	uint64_t block = align_down(found.v, BLOCK_SIZE);

	if (left < size)
		return NULL;
	if (window != block && window != 0)
		own_unmap((struct extent){pa(window), BLOCK_SIZE});
	if (window != block)
		own_map((struct extent){pa(block), BLOCK_SIZE}, PT_RODATA);
	window = block;
	return pa_to_ptr(found);
}

void its_map(void)
{
	if (its()->registers.v != 0)
		own_map((struct extent){its()->registers, ITS_BYTES}, PT_DEVICE);
}

/* EnableLPIs may be for ever, and the tables with it (12.11.2). */
void its_cpu_init(uint32_t cpu)
{
	uint64_t gicr = machine_facts()->cpu[cpu].gicr.v;
	uint64_t pending = its()->pending.v + cpu * IOMMU_TABLE_BYTES;
	volatile uint32_t *control = pa_to_ptr(pa(gicr + GICR_CTLR));

	if (its()->registers.v == 0 || (*control & GICR_CTLR_ENABLE_LPIS) != 0)
		return;
	*reg64(gicr, GICR_PROPBASER) = its()->properties.v | GICR_COHERENT | (LPI_ID_BITS - 1);
	*reg64(gicr, GICR_PENDBASER) = pending | GICR_COHERENT | GICR_PENDBASER_ZERO;
	dsb(sy);
	*control |= GICR_CTLR_ENABLE_LPIS;
	dsb(sy);
}

/* The function's translation table: the loader counted those that have MSI-X. */
static void *table_of(uint32_t function)
{
	uint64_t at = its()->translations.v;

	for (uint32_t i = 0; i < function; i++)
		if (machine_facts()->function[i].msix != 0)
			at += ITS_ITT_BYTES;
	return pa_to_ptr(pa(at));
}

static bool has_events(uint32_t function)
{
	return its()->registers.v != 0 && machine_facts()->function[function].msix != 0 &&
	       machine_facts()->function[function].msi_device < its()->ndevices;
}

static void map_device(uint32_t function, uint64_t third)
{
	its_command(ITS_MAPD, machine_facts()->function[function].msi_device, ITS_EVENT_BITS - 1, 0,
		    third);
	its_sync(machine_plan()->management_core);
}

void its_open(uint32_t function)
{
	if (!has_events(function))
		return;
	memset(table_of(function), 0, ITS_ITT_BYTES);
	dsb(sy);
	lock();
	map_device(function, GITS_VALID | ptr_to_pa(table_of(function)).v);
	unlock();
}

/* Under the lock: who waits for it may find a function gone. */
static struct guest_its guest_of(struct vm *vm)
{
	return (struct guest_its){.state = &vm->shared.arch.vits,
				  .plan = vm_plan(vm),
				  .machine = machine_facts(),
				  .present = vm->shared.pci_present,
				  .parking_core = machine_plan()->management_core};
}

void its_close(const struct vm *vm, uint32_t slot)
{
	uint32_t function = vm_plan(vm)->function[slot].function;
	struct guest_its guest = guest_of(vm_record(vm->index));

	if (!has_events(function))
		return;
	lock();
	vits_forget(&guest, slot);
	map_device(function, 0);
	unlock();
}

const char *its_guest_access(struct vm *vm, struct mmio *access)
{
	struct guest_its guest;

	lock();
	guest = guest_of(vm);
	vits_access(&guest, access);
	unlock();
	return NULL;
}

void its_pend(struct vm *vm, uint32_t lpi)
{
	struct guest_its guest;

	lock();
	guest = guest_of(vm);
	vits_pend(&guest, lpi);
	unlock();
}
