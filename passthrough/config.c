/* SPDX-License-Identifier: Apache-2.0 */
/* What a guest sees of configuration space, and the little it may change. A register that no table has is zero and stays. */
#include <bulkhead/lock.h>
#include <bulkhead/pci.h>

#include "function.h"

/* What a guest finds in a doubleword. */
struct word {
	uint32_t fixed; /* these bits, */
	uint32_t real; /* and those that the function itself has, */
	uint32_t writable; /* of which the guest may change these: in one register of 16 bits */
};

/* Bus mastering of DMA that the IOMMU confines, and memory space: its BARs are where firmware put them, whatever it does. */
#define COMMAND_GUEST (COMMAND_MEMORY | COMMAND_MASTER | COMMAND_NO_INTX)
#define PCIE_INTEGRATED (9U << 20) /* Device/Port Type, 7.5.3.2 */
#define DEVICE_FLR (1U << 28) /* 7.5.3.3 */
#define MSIX_CONTROL (3U << 30) /* enable and function mask, 7.7.2.2 */

static const struct {
	uint8_t capability; /* 0: the header */
	uint8_t offset;
	struct word word;
} words[] = {
	/* No error bits: they are cleared by writing, and errors are the machine's to handle. */
	{0, PCI_COMMAND, {0, COMMAND_GUEST, COMMAND_GUEST}},
	{0, PCI_SUBSYSTEM, {0, ~0U, 0}},
	/* Its version; its type depends on where it stands. */
	{CAP_PCIE, 0, {0, 0x000f0000, 0}},
	/* A guest's own reset would take the BARs away, so it has none. */
	{CAP_PCIE, 4, {0, ~DEVICE_FLR, 0}},
	/* Payload sizes must suit the bridges above, so they stay; bit 15 would reset, status is cleared by writing. */
	{CAP_PCIE, PCIE_CONTROL, {0, 0x7fff, 0}},
	/* What the table says counts elsewhere: in the remapping of interrupts. */
	{CAP_MSIX, 0, {0, MSIX_CONTROL, MSIX_CONTROL}},
	{CAP_MSIX, 4, {0, ~0U, 0}},
	{CAP_MSIX, 8, {0, ~0U, 0}},
};

static struct word word_of(uint8_t capability, uint32_t offset)
{
	for (uint32_t i = 0; i < ARRAY_SIZE(words); i++)
		if (words[i].capability == capability && words[i].offset == offset)
			return words[i].word;
	return (struct word){0, 0, 0};
}

/* BAR register @n: the guest's address, or its size if that was asked for (7.5.1.2.1). */
static uint32_t bar_value(const struct vm *vm, uint32_t slot, uint32_t n)
{
	const struct machine_bar *bar = &function_of(vm, slot)->bar[n];
	bool high = n > 0 && bar[-1].size != 0 && BAR_64(bar[-1].flags);
	uint64_t value = vm_plan(vm)->function[slot].bar[n - high].v;

	if (value == 0)
		return 0;
	if ((vm->shared.bar_sizing[slot] >> n & 1) != 0)
		value = ~(bar[-high].size - 1);
	return high ? (uint32_t)(value >> 32) : (uint32_t)value | bar->flags;
}

/* @at is in capability @index; what stands behind its end in the same doubleword is nobody's. */
static struct word capability_word(const struct machine_function *function, uint32_t id,
				   uint32_t index, uint32_t at)
{
	const struct machine_cap *cap = &function->cap[index];
	uint32_t vectors = function->msix_vectors;
	struct word word = word_of(cap->id, at - cap->offset);

	if (cap->id == CAP_VENDOR)
		word.real = register_bytes(cap->offset + cap->length - at);
	if (at != cap->offset)
		return word;
	word.real &= 0xffff0000;
	/* On the root bus: an integrated endpoint, without link, slot and root (7.5.3.2). */
	if (cap->id == CAP_PCIE && id < 0x100)
		word.fixed = PCIE_INTEGRATED;
	word.fixed |= (index + 1 < function->ncaps ? cap[1].offset : 0U) << 8 | cap->id;
	if (cap->id == CAP_MSIX)
		word.fixed |= ((vectors < PLAN_MAX_VECTORS ? vectors : PLAN_MAX_VECTORS) - 1) << 16;
	return word;
}

/* The doubleword at @at. */
static struct word word_at(const struct vm *vm, uint32_t slot, uint32_t at)
{
	const struct machine_function *function = function_of(vm, slot);
	const uint32_t header[] = {function->device, function->ncaps != 0 ? STATUS_CAPABILITIES : 0,
				   function->class_code,
				   [PCI_CAPABILITIES / 4] = function->cap[0].offset};
	struct word word = word_of(0, at);

	for (uint32_t i = 0; i < function->ncaps; i++)
		if (range_inside(at, 1, function->cap[i].offset, function->cap[i].length))
			return capability_word(function, vm_plan(vm)->function[slot].id, i, at);
	if (at >= PCI_BAR && at < PCI_BAR_END)
		word.fixed = bar_value(vm, slot, (at - PCI_BAR) / 4);
	else if (at / 4 < ARRAY_SIZE(header))
		word.fixed = header[at / 4];
	/* A VF's is its PF's, which is on (9.3.4.1.3). The bit of its own is for emulators that look at it. */
	if (at == PCI_COMMAND && (function->flags & FUNCTION_VF) != 0)
		word.fixed |= COMMAND_MEMORY;
	return word;
}

/* By one access of the guest's own size: a vendor's register may care. */
static uint32_t read_config(const struct vm *vm, uint32_t slot, uint32_t at, uint32_t size)
{
	struct word word = word_at(vm, slot, at & ~3U);
	uint32_t shift = at % 4 * 8;
	uint32_t real = word.real >> shift & register_bytes(size);

	if (real != 0)
		real &= arch_device_load(pa(function_config(function_of(vm, slot)).v + at), size);
	return (word.fixed >> shift & register_bytes(size)) | real;
}

/* Asking for a size is the only thing a write to a BAR does. */
static void write_bar(struct vm *vm, uint32_t slot, uint32_t at, uint32_t value)
{
	uint32_t bit = 1U << (at - PCI_BAR) / 4;

	vm->shared.bar_sizing[slot] &= ~bit;
	if (value == ~0U)
		vm->shared.bar_sizing[slot] |= bit;
}

/*
 * What a guest writes into @size bytes at @at reaches those bits of the register
 * that it may change. Read back, so that it is done when the lock opens.
 */
static void write_config(struct vm *vm, uint32_t slot, uint32_t at, uint32_t size, uint32_t value)
{
	uint32_t shift = at % 4 * 8;
	uint32_t word = at & ~3U;
	uint32_t bits = word_at(vm, slot, word).writable & register_bytes(size) << shift;
	uint32_t half = (bits & 0xffff) != 0 ? 0 : 16;
	pa_t reg = pa(function_config(function_of(vm, slot)).v + word + half / 8);

	if (bits == 0)
		return;
	if (word == PCI_COMMAND &&
	    (vm->state != VM_RUNNING || (vm->shared.pci_cut >> slot & 1) != 0))
		value &= ~(COMMAND_MASTER >> shift);
	value = (arch_device_load(reg, 2) & ~(bits >> half)) | (value << shift & bits) >> half;
	arch_device_store(reg, 2, value);
	arch_device_load(reg, 2);
}

/* The slot of the function at @id; @plan->nfunctions: none. */
static uint32_t slot_at(const struct plan_vm *plan, uint64_t id)
{
	uint32_t slot = 0;

	while (slot < plan->nfunctions && id != plan->function[slot].id)
		slot++;
	return slot;
}

bool pci_has(const struct plan_vm *plan, uint64_t devfn)
{
	return slot_at(plan, devfn) != plan->nfunctions ||
	       pci_port_find(plan, devfn) != plan->nports;
}

/* The lock is held throughout: another core may take the function, or its bus mastering, away. */
void pci_config_access(struct vm *vm, struct mmio *access)
{
	const struct plan_vm *plan = vm_plan(vm);
	uint64_t id = access->offset / PAGE_SIZE;
	uint32_t slot = slot_at(plan, id), port = pci_port_find(plan, id);
	uint32_t at = access->offset % PAGE_SIZE;

	spin_lock(&vm->shared.pci_lock);
	if (access->size > 4 || (port == plan->nports && !pci_present(vm, slot)))
		access->value = ~0ULL;
	else if (port != plan->nports)
		pci_port_access(vm, port, access);
	else if (!access->write)
		access->value = read_config(vm, slot, at, access->size);
	else if (at < PCI_BAR || at >= PCI_BAR_END)
		write_config(vm, slot, at, access->size, (uint32_t)access->value);
	else if (access->size == 4)
		write_bar(vm, slot, at, (uint32_t)access->value);
	spin_unlock(&vm->shared.pci_lock);
}
