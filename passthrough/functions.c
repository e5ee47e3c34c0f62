/* SPDX-License-Identifier: Apache-2.0 */
/* A VM's functions as a whole: their registers in its space, from reset to reset, and DMA that was refused. */
#include <bulkhead/lock.h>
#include <bulkhead/log.h>
#include <bulkhead/pci.h>

#include "function.h"

#define PENDING_MS                                                                                 \
	50 /* the longest default completion timeout: nothing is outstanding for longer (7.5.3.16) */
#define RESET_MS 100 /* in which a function may be silent (6.6.2) */
#define RETURN_MS 1000 /* after which one that asks for patience is broken (6.6.2, 2.3.1) */

/* Bit n: function n of the machine is as after its reset, and was nobody's since. */
static uint64_t fresh;

static_assert(MACHINE_MAX_FUNCTIONS <= 64, "a bit for each");

const struct machine_function *function_of(const struct vm *vm, uint32_t slot)
{
	return &machine_facts()->function[vm_plan(vm)->function[slot].function];
}

pa_t function_config(const struct machine_function *function)
{
	const struct machine_ecam *ecam = machine_facts()->ecam;
	uint32_t bus = function->id >> 8 & 0xff;

	while (ecam->segment != function->id >> 16 || bus < ecam->bus_first || bus > ecam->bus_last)
		ecam++; /* it was found there */
	return pa(ecam->base.v +
		  ((bus - ecam->bus_first) << 8 | (function->id & 0xff)) * PAGE_SIZE);
}

static uint32_t load(const struct machine_function *function, uint32_t at, uint32_t size)
{
	return arch_device_load(pa(function_config(function).v + at), size);
}

static void store(const struct machine_function *function, uint32_t at, uint32_t size,
		  uint32_t value)
{
	arch_device_store(pa(function_config(function).v + at), size, value);
}

/* ---- Their registers ---- */

/* What of @bar no guest may have: for the own space. */
static struct extent kept(const struct machine_bar *bar)
{
	return (struct extent){pa(bar->base.v + bar->kept_page * PAGE_SIZE),
			       bar->kept_pages * PAGE_SIZE};
}

/* What is before and behind that, into a guest's @table from @to on. */
static void map_bar(const struct machine_bar *bar, const struct page_table *table, uint64_t to)
{
	uint64_t first = kept(bar).base.v - bar->base.v, second = first + kept(bar).size;

	guest_map(table, gpa(to), (struct extent){bar->base, first}, PT_GUEST_DEVICE);
	guest_map(table, gpa(to + second),
		  (struct extent){pa(bar->base.v + second), bar->size - second}, PT_GUEST_DEVICE);
}

void pci_map(const struct machine *machine)
{
	for (uint32_t i = 0; i < machine->nfunctions; i++) {
		const struct machine_function *function = &machine->function[i];

		if ((function->flags & (FUNCTION_BRIDGE | FUNCTION_HOST)) != 0)
			continue;
		own_map((struct extent){function_config(function), PAGE_SIZE}, PT_DEVICE);
		for (uint32_t bar = 0; bar < MACHINE_MAX_BARS; bar++)
			own_map(kept(&function->bar[bar]), PT_DEVICE);
	}
}

static void map_bars(const struct vm *vm, uint32_t slot, const struct page_table *table)
{
	const struct plan_function *given = &vm_plan(vm)->function[slot];

	for (uint32_t bar = 0; bar < MACHINE_MAX_BARS; bar++)
		if (given->bar[bar].v != 0)
			map_bar(&function_of(vm, slot)->bar[bar], table, given->bar[bar].v);
}

/* Bit n: @vm has a function n. */
static uint32_t slots_of(const struct vm *vm)
{
	uint32_t slots = 0;

	for (uint32_t slot = 0; slot < vm_plan(vm)->nfunctions; slot++)
		slots |= (uint32_t)(vm_plan(vm)->function[slot].function != MACHINE_NONE) << slot;
	return slots;
}

/* The lowest of @slots, which it leaves; false when there is none. */
static bool take_slot(uint32_t *slots, uint32_t *slot)
{
	if (*slots == 0)
		return false;
	*slot = (uint32_t)__builtin_ctz(*slots);
	*slots &= *slots - 1;
	return true;
}

void pci_map_bars(const struct vm *vm, const struct page_table *table)
{
	uint32_t slot;

	for (uint32_t left = slots_of(vm); take_slot(&left, &slot);)
		map_bars(vm, slot, table);
	if (vm_plan(vm)->nports != 0)
		BH_CHECK(pt_reserve(table, plan_port_window(machine_facts(), 0).base.v,
				    vm_plan(vm)->nports * GUEST_PORT_WINDOW, PAGE_SIZE) == BH_OK);
}

/* ---- Reset ---- */

static uint64_t after_ms(uint32_t count)
{
	return arch_ticks() + arch_tick_rate() * count / 1000;
}

/* No bus mastering; read back, which also brings in what the function wrote before (2.4.1). */
static void silence(struct vm *vm, uint32_t slot)
{
	const struct machine_function *function = function_of(vm, slot);

	spin_lock(&vm->shared.pci_lock);
	store(function, PCI_COMMAND, 2, load(function, PCI_COMMAND, 2) & ~COMMAND_MASTER);
	load(function, PCI_COMMAND, 2);
	spin_unlock(&vm->shared.pci_lock);
}

/* No command register is all ones: that is what nobody's answer looks like (2.3.2). */
static bool answers(const struct machine_function *function)
{
	return load(function, PCI_COMMAND, 4) != ~0U;
}

/* Its BARs to where firmware put them; a VF has none of its own. */
static void restore(const struct machine_function *function)
{
	for (uint32_t i = 0; i < MACHINE_MAX_BARS && (function->flags & FUNCTION_VF) == 0; i++) {
		const struct machine_bar *bar = &function->bar[i];

		if (bar->size == 0)
			continue;
		store(function, PCI_BAR + 4 * i, 4, (uint32_t)bar->base.v | bar->flags);
		if (BAR_64(bar->flags))
			store(function, PCI_BAR + 4 * i + 4, 4, (uint32_t)(bar->base.v >> 32));
	}
}

/* Function-level reset of @slots of @vm. False, and the log says which, when one does not come back. */
static bool reset(const struct vm *vm, uint32_t slots)
{
	const struct plan_vm *plan = vm_plan(vm);
	uint64_t end = after_ms(PENDING_MS);
	bool good = true;
	uint32_t slot;

	for (uint32_t left = slots; take_slot(&left, &slot);) {
		const struct machine_function *f = function_of(vm, slot);
		uint32_t at = f->pcie + PCIE_CONTROL;

		while ((load(f, at + 2, 2) & STATUS_PENDING) != 0 && arch_ticks() < end)
			arch_wait(after_ms(1));
		store(f, at, 2, load(f, at, 2) | CONTROL_FLR);
	}
	for (end = after_ms(RESET_MS); arch_ticks() < end;)
		arch_wait(end);
	end = after_ms(RETURN_MS);
	while (take_slot(&slots, &slot)) {
		const struct machine_function *f = function_of(vm, slot);

		while (!answers(f) && arch_ticks() < end)
			arch_wait(after_ms(1));
		if (answers(f)) {
			restore(f);
			fresh |= 1ULL << plan->function[slot].function;
			continue;
		}
		log_line("%s: PCI function " FUNCTION_NAME
			 " did not come back from its reset: it stays cut off",
			 plan->name, FUNCTION_NAME_OF(f));
		good = false;
	}
	return good;
}

static enum bh_error open_slots(struct vm *vm, uint32_t slots)
{
	uint64_t wanted = 0;
	uint32_t slot;

	for (uint32_t left = slots; take_slot(&left, &slot);)
		wanted |= 1ULL << vm_plan(vm)->function[slot].function;
	if ((wanted & ~fresh) != 0) {
		for (uint32_t left = slots; take_slot(&left, &slot);)
			silence(vm, slot);
		if (!reset(vm, slots))
			return BH_RESET_FAILED;
	}
	fresh &= ~wanted;
	vm->shared.pci_cut &= ~slots;
	while (take_slot(&slots, &slot)) {
		vm->shared.bar_sizing[slot] = 0;
		arch_function_set(vm, slot, true);
	}
	return BH_OK;
}

static void close_slots(struct vm *vm, uint32_t slots)
{
	uint32_t slot;

	for (uint32_t left = slots; take_slot(&left, &slot);)
		silence(vm, slot);
	for (uint32_t left = slots; take_slot(&left, &slot);)
		arch_function_set(vm, slot, false);
	if (slots != 0)
		reset(vm, slots);
}

enum bh_error pci_open(struct vm *vm)
{
	vm->dma_faults = 0;
	vm->shared.pci_present = slots_of(vm);
	vm->shared.pci_given_back = 0;
	vm->shared.ports_raised = 0;
	pci_port_reset(vm);
	return open_slots(vm, slots_of(vm));
}

void pci_close(struct vm *vm)
{
	close_slots(vm, slots_of(vm));
}

/* ---- Hot plug ---- */

/* The port's window of a VM that may be switched off, with @slot's BARs or without. */
static void fill_window(const struct vm *vm, uint32_t slot, bool map)
{
	struct page_table table = guest_space(vm);
	struct extent window =
		plan_port_window(machine_facts(), slot - pci_port_slot(vm_plan(vm), 0));

	pt_switch(&table, true);
	if (map)
		map_bars(vm, slot, &table);
	else
		pt_unmap(&table, window.base.v, window.size);
	pt_switch(&table, vm->state == VM_RUNNING);
}

enum bh_error pci_plug(struct vm *vm, uint32_t slot)
{
	enum bh_error error = BH_OK;

	if (vm->state == VM_RUNNING)
		error = pci_port_busy(vm, slot) ? BH_PORT_BUSY : open_slots(vm, 1U << slot);
	if (error != BH_OK)
		return error;
	fill_window(vm, slot, true);
	pci_port_change(vm, slot, true);
	return BH_OK;
}

bool pci_unplug(struct vm *vm, uint32_t slot)
{
	pci_port_change(vm, slot, false);
	fill_window(vm, slot, false);
	bool unmapped =
		arch_vm_unmapped(vm); /* before the reset, behind which nobody may reach it */

	if (vm->state == VM_RUNNING)
		close_slots(vm, 1U << slot);
	return unmapped;
}

/* ---- Faults ---- */

/* The VM whose function has @fault's stream; NULL: none. */
static struct vm *owner(const struct dma_fault *fault, uint32_t *slot)
{
	for (uint32_t i = 0; i < machine_plan()->nvms; i++) {
		struct vm *vm = vm_record(i);

		for (uint32_t left = vm != NULL ? slots_of(vm) : 0; take_slot(&left, slot);)
			if (function_of(vm, *slot)->iommu == fault->iommu &&
			    function_of(vm, *slot)->stream == fault->stream)
				return vm;
	}
	return NULL;
}

bool pci_fault(struct dma_fault *fault, struct vm **vm, bool *cut)
{
	uint32_t slot = 0;

	if (!arch_dma_fault(fault))
		return false;
	*vm = owner(fault, &slot);
	*cut = *vm != NULL && ++(*vm)->dma_faults > PCI_FAULT_LIMIT &&
	       ((*vm)->shared.pci_cut >> slot & 1) == 0;
	if (*cut) {
		__atomic_fetch_or(&(*vm)->shared.pci_cut, 1U << slot, __ATOMIC_RELAXED);
		silence(*vm, slot);
	}
	return true;
}
