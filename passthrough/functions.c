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

static const struct machine_function *facts(const struct vm *vm, uint32_t slot)
{
	return &machine_facts()->function[vm_plan(vm)->function[slot].function];
}

pa_t function_config(const struct machine_function *function)
{
	const struct machine *machine = machine_facts();
	uint32_t bus = function->id >> 8 & 0xff;

	for (uint32_t i = 0; i < machine->necam; i++) {
		const struct machine_ecam *ecam = &machine->ecam[i];

		if (ecam->segment == function->id >> 16 && bus >= ecam->bus_first &&
		    bus <= ecam->bus_last)
			return pa(ecam->base.v + ((uint64_t)(bus - ecam->bus_first) << 20) +
				  (function->id & 0xff) * PAGE_SIZE);
	}
	bh_panic("no configuration space for PCI function 0x%x", function->id);
}

static uint32_t load(const struct machine_function *function, uint32_t at, uint32_t size)
{
	return (uint32_t)arch_device_load(pa(function_config(function).v + at), size);
}

static void store(const struct machine_function *function, uint32_t at, uint32_t size,
		  uint32_t value)
{
	arch_device_store(pa(function_config(function).v + at), size, value);
}

/* ---- Their registers ---- */

/* The pages of BAR @bar that hold MSI-X structures, as offsets: @which 0: the table, 1: the pending bits (7.7.2). */
static struct extent msix_pages(const struct machine_function *function, uint32_t bar,
				uint32_t which)
{
	uint64_t from = which == 0 ? function->msix_offset : function->pba_offset;
	uint64_t size = which == 0 ? function->msix_vectors * 16ULL
				   : (function->msix_vectors + 63ULL) / 64 * 8;
	uint64_t first = align_down(from, PAGE_SIZE);

	if (!arch_msix_trapped() || function->msix == 0 ||
	    bar != (which == 0 ? function->msix_bar : function->pba_bar))
		return (struct extent){pa(0), 0};
	return (struct extent){pa(first), align_up(from + size, PAGE_SIZE) - first};
}

/* From @at on, which moves to its end, the next part of a BAR without (@msix: with) pages of MSI-X structures; false at the end. */
static struct extent next_part(const struct machine_function *function, uint32_t bar, uint64_t at,
			       bool *msix)
{
	uint64_t end = function->bar[bar].size;

	*msix = false;
	for (uint32_t which = 0; which < 2; which++) {
		struct extent held = msix_pages(function, bar, which);

		if (held.size == 0 || extent_end(held) <= at)
			continue;
		if (held.base.v <= at) {
			*msix = true;
			end = extent_end(held);
			break;
		}
		end = held.base.v < end ? held.base.v : end;
	}
	return (struct extent){pa(function->bar[bar].base.v + at), end - at};
}

void pci_map(const struct machine *machine)
{
	for (uint32_t i = 0; i < machine->nfunctions; i++) {
		const struct machine_function *function = &machine->function[i];
		struct extent part;
		bool msix;

		if ((function->flags & (FUNCTION_BRIDGE | FUNCTION_HOST)) != 0)
			continue;
		own_map((struct extent){function_config(function), PAGE_SIZE}, PT_DEVICE);
		for (uint32_t bar = 0; bar < MACHINE_MAX_BARS; bar++)
			for (uint64_t at = 0; at < function->bar[bar].size; at += part.size) {
				part = next_part(function, bar, at, &msix);
				if (msix)
					own_map(part, PT_DEVICE);
			}
	}
}

static void map_bar(const struct vm *vm, uint32_t slot, uint32_t bar,
		    const struct page_table *table)
{
	const struct machine_function *function = facts(vm, slot);
	uint64_t to = vm_plan(vm)->function[slot].bar[bar].v;
	struct extent part;
	bool msix;

	if (to == 0)
		return;
	for (uint64_t at = 0; at < function->bar[bar].size; at += part.size) {
		part = next_part(function, bar, at, &msix);
		if (!msix)
			guest_map(table, gpa(to + at), part, PT_GUEST_DEVICE);
	}
}

void pci_map_bars(const struct vm *vm, const struct page_table *table)
{
	for (uint32_t slot = 0; slot < vm_plan(vm)->nfunctions; slot++)
		for (uint32_t bar = 0; bar < MACHINE_MAX_BARS; bar++)
			map_bar(vm, slot, bar, table);
}

/* ---- Reset ---- */

static uint64_t after_ms(uint32_t count)
{
	return arch_ticks() + arch_tick_rate() * count / 1000;
}

/* No bus mastering; read back, which also brings in what the function wrote before (2.4.1). */
static void silence(struct vm *vm, uint32_t slot)
{
	const struct machine_function *function = facts(vm, slot);

	spin_lock(&vm->shared.pci_lock);
	store(function, PCI_COMMAND, 2, load(function, PCI_COMMAND, 2) & ~COMMAND_MASTER);
	load(function, PCI_COMMAND, 2);
	spin_unlock(&vm->shared.pci_lock);
}

static bool is_fresh(const struct vm *vm, uint32_t slot)
{
	return (fresh >> vm_plan(vm)->function[slot].function & 1) != 0;
}

/* No command register is all ones: that is what nobody's answer looks like (2.3.2). */
static bool answers(const struct machine_function *function)
{
	return load(function, PCI_COMMAND, 4) != ~0U;
}

static bool is_busy(const struct machine_function *function)
{
	return (load(function, function->pcie + PCIE_STATUS, 2) & STATUS_PENDING) != 0;
}

static bool is_silent(const struct machine_function *function)
{
	return !answers(function);
}

/* Until no function that was not reset yet is as @state says, or @end. */
static void wait_while(const struct vm *vm, bool (*state)(const struct machine_function *),
		       uint64_t end)
{
	for (uint32_t slot = 0; slot < vm_plan(vm)->nfunctions; slot++)
		while (!is_fresh(vm, slot) && state(facts(vm, slot)) && arch_ticks() < end)
			arch_wait(after_ms(1));
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
	store(function, PCI_COMMAND, 2, COMMAND_NO_INTX);
}

/* Function-level reset of all of @vm's functions that need one, at once. */
static void reset(const struct vm *vm)
{
	uint32_t count = vm_plan(vm)->nfunctions;

	wait_while(vm, is_busy, after_ms(PENDING_MS));
	for (uint32_t slot = 0; slot < count; slot++) {
		const struct machine_function *function = facts(vm, slot);
		uint32_t at = function->pcie + PCIE_CONTROL;

		if (!is_fresh(vm, slot))
			store(function, at, 2, load(function, at, 2) | CONTROL_FLR);
	}
	for (uint64_t end = after_ms(RESET_MS); arch_ticks() < end;)
		arch_wait(end);
	wait_while(vm, is_silent, after_ms(RETURN_MS));
	for (uint32_t slot = 0; slot < count; slot++) {
		const struct machine_function *function = facts(vm, slot);

		if (is_fresh(vm, slot))
			continue;
		if (!answers(function)) {
			log_line("%s: PCI function " FUNCTION_NAME
				 " did not come back from its reset: it stays cut off",
				 vm_plan(vm)->name, FUNCTION_NAME_OF(function));
			continue;
		}
		restore(function);
		fresh |= 1ULL << vm_plan(vm)->function[slot].function;
	}
}

static bool all_fresh(const struct vm *vm)
{
	for (uint32_t slot = 0; slot < vm_plan(vm)->nfunctions; slot++)
		if (!is_fresh(vm, slot))
			return false;
	return true;
}

enum bh_error pci_open(struct vm *vm)
{
	uint32_t count = vm_plan(vm)->nfunctions;

	for (uint32_t slot = 0; slot < count; slot++)
		if (!is_fresh(vm, slot))
			silence(vm, slot);
	if (!all_fresh(vm))
		reset(vm);
	if (!all_fresh(vm))
		return BH_RESET_FAILED;
	vm->dma_faults = 0;
	vm->shared.pci_cut = 0;
	for (uint32_t slot = 0; slot < count; slot++) {
		vm->shared.bar_sizing[slot] = 0;
		fresh &= ~(1ULL << vm_plan(vm)->function[slot].function);
		arch_function_open(vm, slot);
	}
	return BH_OK;
}

void pci_close(struct vm *vm)
{
	uint32_t count = vm_plan(vm)->nfunctions;

	for (uint32_t slot = 0; slot < count; slot++)
		silence(vm, slot);
	for (uint32_t slot = 0; slot < count; slot++)
		arch_function_close(vm, slot);
	if (!all_fresh(vm))
		reset(vm);
}

/* ---- Faults ---- */

/* Whose function @index of the machine is, and in @slot which of its; NULL: nobody's. */
static struct vm *owner(uint32_t index, uint32_t *slot)
{
	const struct plan *plan = machine_plan();

	for (uint32_t i = 0; i < plan->nvms; i++)
		for (*slot = 0; *slot < plan->vm[i].nfunctions; ++*slot)
			if (plan->vm[i].function[*slot].function == index)
				return vm_record(i);
	return NULL;
}

/* Counts it; true when the function is cut off for it now. */
static bool count_fault(struct vm *vm, uint32_t slot)
{
	uint32_t bit = 1U << slot;

	if (vm->dma_faults < UINT32_MAX)
		vm->dma_faults++;
	if (vm->dma_faults <= PCI_FAULT_LIMIT || (vm->shared.pci_cut & bit) != 0)
		return false;
	__atomic_fetch_or(&vm->shared.pci_cut, bit, __ATOMIC_RELAXED);
	silence(vm, slot);
	return true;
}

bool pci_fault(struct pci_fault *fault)
{
	const struct machine *machine = machine_facts();
	struct dma_fault raw;
	uint32_t slot;

	if (!arch_dma_fault(&raw))
		return false;
	*fault = (struct pci_fault){
		.function = MACHINE_NONE, .address = raw.address, .write = raw.write};
	for (uint32_t i = 0; i < machine->nfunctions; i++)
		if (machine->function[i].iommu == raw.iommu &&
		    machine->function[i].stream == raw.stream)
			fault->function = i;
	if (fault->function != MACHINE_NONE)
		fault->vm = owner(fault->function, &slot);
	if (fault->vm != NULL)
		fault->cut = count_fault(fault->vm, slot);
	return true;
}
