/* SPDX-License-Identifier: Apache-2.0 */
/* What a guest sees of configuration space, and the little it may change. A register that no table has is zero and stays. */
#include <bulkhead/lock.h>
#include <bulkhead/pci.h>

#include "function.h"

/* What a guest finds in a doubleword. */
struct word {
	uint32_t fixed; /* these bits, */
	uint32_t real; /* and those that the function itself has, */
	uint32_t
		writable; /* of which the guest may change these: they stand in one register of 16 bits */
};

/* Bus mastering of DMA that the IOMMU confines, and memory space: its BARs are where firmware put them, whatever it does. */
#define COMMAND_GUEST (COMMAND_MEMORY | COMMAND_MASTER | COMMAND_NO_INTX)
#define PCIE_ENDPOINT (0xfU << 20) /* Device/Port Type, 7.5.3.2 */
#define PCIE_INTEGRATED (9U << 20)
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
	/* Its version. It stands on the root bus: an integrated endpoint, without link, slot and root (7.5.3.2). */
	{CAP_PCIE, 0, {PCIE_INTEGRATED, 0x000f0000, 0}},
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

static const struct machine_function *facts(const struct vm *vm, uint32_t slot)
{
	return &machine_facts()->function[vm_plan(vm)->function[slot].function];
}

static uint32_t bytes(uint32_t count)
{
	return count >= 4 ? ~0U : (1U << count * 8) - 1;
}

/* BAR register @n: the guest's address, or its size if that was asked for (7.5.1.2.1). */
static uint32_t bar_value(const struct vm *vm, uint32_t slot, uint32_t n)
{
	const struct machine_bar *bar = facts(vm, slot)->bar;
	bool high = n > 0 && bar[n - 1].size != 0 && BAR_64(bar[n - 1].flags);
	uint32_t first = high ? n - 1 : n;
	uint64_t value = vm_plan(vm)->function[slot].bar[first].v;
	uint32_t sizing = __atomic_load_n(&vm->shared.bar_sizing[slot], __ATOMIC_RELAXED);

	if (value == 0)
		return 0;
	if ((sizing >> n & 1) != 0)
		value = ~(bar[first].size - 1);
	return high ? (uint32_t)(value >> 32) : (uint32_t)value | bar[first].flags;
}

static uint32_t vectors(const struct machine_function *function)
{
	return function->msix_vectors < PLAN_MAX_VECTORS ? function->msix_vectors
							 : PLAN_MAX_VECTORS;
}

/* @at is in capability @index; what stands behind its end in the same doubleword is nobody's. */
static struct word capability_word(const struct machine_function *function, uint32_t index,
				   uint32_t at)
{
	const struct machine_cap *cap = &function->cap[index];
	uint32_t offset = at - cap->offset;
	uint32_t next = index + 1 < function->ncaps ? function->cap[index + 1].offset : 0;
	struct word word = word_of(cap->id, offset);

	if (cap->id == CAP_VENDOR)
		word.real = ~0U;
	word.real &= bytes(cap->length - offset);
	if (offset != 0)
		return word;
	word.real &= 0xffff0000;
	word.fixed |= next << 8 | cap->id;
	if (cap->id == CAP_MSIX)
		word.fixed |= (vectors(function) - 1U) << 16;
	return word;
}

/* A VF has no memory space bit of its own: its PF's is on (9.3.4.1.3). */
static struct word command_word(const struct machine_function *function)
{
	struct word word = word_of(0, PCI_COMMAND);

	if ((function->flags & FUNCTION_VF) != 0) {
		word.fixed |= COMMAND_MEMORY;
		word.real = word.writable = COMMAND_MASTER;
	}
	if (function->ncaps != 0)
		word.fixed |= STATUS_CAPABILITIES;
	return word;
}

static struct word header_word(const struct vm *vm, uint32_t slot, uint32_t at)
{
	const struct machine_function *function = facts(vm, slot);

	switch (at) {
	case 0:
		return (struct word){function->device, 0, 0};
	case PCI_COMMAND:
		return command_word(function);
	case PCI_CLASS:
		return (struct word){function->class_code, 0, 0};
	case PCI_CAPABILITIES:
		return (struct word){function->ncaps != 0 ? function->cap[0].offset : 0, 0, 0};
	default:
		if (at >= PCI_BAR && at < PCI_BAR + 4 * MACHINE_MAX_BARS)
			return (struct word){bar_value(vm, slot, (at - PCI_BAR) / 4), 0, 0};
		return word_of(0, at);
	}
}

/* The doubleword at @at. */
static struct word word_at(const struct vm *vm, uint32_t slot, uint32_t at)
{
	const struct machine_function *function = facts(vm, slot);

	if (at < 0x40)
		return header_word(vm, slot, at);
	for (uint32_t i = 0; i < function->ncaps; i++) {
		const struct machine_cap *cap = &function->cap[i];

		if (at >= cap->offset && at < (uint32_t)cap->offset + cap->length)
			return capability_word(function, i, at);
	}
	return (struct word){0, 0, 0};
}

/* By one access of the guest's own size: a vendor's register may care. */
static uint32_t read_config(const struct vm *vm, uint32_t slot, uint32_t at, uint32_t size)
{
	struct word word = word_at(vm, slot, at & ~3U);
	uint32_t shift = at % 4 * 8;
	uint32_t real = word.real >> shift & bytes(size);

	if (real != 0)
		real &= (uint32_t)arch_device_load(pa(function_config(facts(vm, slot)).v + at),
						   size);
	return (word.fixed >> shift & bytes(size)) | real;
}

/* Asking for a size is the only thing a write to a BAR does. */
static void write_bar(struct vm *vm, uint32_t slot, uint32_t n, uint32_t value)
{
	uint32_t *sizing = &vm->shared.bar_sizing[slot];

	if (value == ~0U)
		__atomic_fetch_or(sizing, 1U << n, __ATOMIC_RELAXED);
	else
		__atomic_fetch_and(sizing, ~(1U << n), __ATOMIC_RELAXED);
}

static bool may_master(const struct vm *vm, uint32_t slot)
{
	return __atomic_load_n(&vm->state, __ATOMIC_RELAXED) == VM_RUNNING &&
	       (vm->shared.pci_cut >> slot & 1) == 0;
}

/*
 * What a guest writes into @size bytes at @at reaches those bits of the register
 * that it may change. Under the lock, so that bus mastering that was taken away
 * on another core stays off; read back, so that it is done when the lock opens.
 */
static void write_config(struct vm *vm, uint32_t slot, uint32_t at, uint32_t size, uint32_t value)
{
	uint32_t shift = at % 4 * 8;
	uint32_t bits = word_at(vm, slot, at & ~3U).writable & bytes(size) << shift;
	uint32_t half = (bits & 0xffff) != 0 ? 0 : 2;
	pa_t reg = pa(function_config(facts(vm, slot)).v + (at & ~3U) + half);

	if (bits == 0)
		return;
	bits = bits >> half * 8 & 0xffff;
	value = (uint32_t)((uint64_t)value << shift >> half * 8);
	spin_lock(&vm->shared.pci_lock);
	value = ((uint32_t)arch_device_load(reg, 2) & ~bits) | (value & bits);
	if ((at & ~3U) == PCI_COMMAND && !may_master(vm, slot))
		value &= ~COMMAND_MASTER;
	arch_device_store(reg, 2, value);
	arch_device_load(reg, 2);
	spin_unlock(&vm->shared.pci_lock);
}

/* The slot of the function at @devfn of the guest's bus 0; PLAN_MAX_FUNCTIONS: none. */
static uint32_t slot_at(const struct plan_vm *plan, uint64_t devfn)
{
	for (uint32_t i = 0; i < plan->nfunctions; i++)
		if (devfn == plan->function[i].device << 3)
			return i;
	return PLAN_MAX_FUNCTIONS;
}

bool pci_has(const struct plan_vm *plan, uint64_t devfn)
{
	return slot_at(plan, devfn) != PLAN_MAX_FUNCTIONS;
}

void pci_config_access(struct vm *vm, struct mmio *access)
{
	uint32_t slot = slot_at(vm_plan(vm), access->offset / PAGE_SIZE);
	uint32_t at = access->offset % PAGE_SIZE;
	bool bar = at >= PCI_BAR && at < PCI_BAR + 4 * MACHINE_MAX_BARS;

	if (slot == PLAN_MAX_FUNCTIONS || access->size > 4)
		access->value = ~0ULL;
	else if (!access->write)
		access->value = read_config(vm, slot, at, access->size);
	else if (!bar)
		write_config(vm, slot, at, access->size, (uint32_t)access->value);
	else if (access->size == 4)
		write_bar(vm, slot, (at - PCI_BAR) / 4, (uint32_t)access->value);
}
