/* SPDX-License-Identifier: Apache-2.0 */
/* A guest's accesses to registers that are not mapped: the instruction is fetched, decoded and done here. */
#include "x86.h"

#include <bulkhead/lock.h>
#include <bulkhead/pci.h>

#include <string.h>

#include "decode.h"

/* Entries of page tables, in the format that all processors share (SDM vol. 3 5.5.4). */
#define ENTRY_PRESENT 1ULL
#define ENTRY_LARGE (1ULL << 7)
#define ENTRY_ADDRESS 0x000ffffffffff000ULL

/*
 * @size bytes, within a page, of the guest's memory at @at, where the guest says.
 * Its memory is not mapped while it runs: a block of it is for as long as this takes.
 */
static bool read_guest(struct vm *vm, uint64_t at, void *to, uint64_t size)
{
	uint64_t left = 0;
	pa_t from = plan_translate(vm_plan(vm), gpa(at), &left);
	struct extent block = {pa(align_down(from.v, BLOCK_SIZE)), BLOCK_SIZE};

	if (left < size)
		return false;
	spin_lock(&vm->shared.pci_lock);
	own_map(block, PT_RODATA);
	memcpy(to, pa_to_ptr(from), size);
	own_unmap(block);
	spin_unlock(&vm->shared.pci_lock);
	return true;
}

/*
 * The same at the linear address @at. What is behind it may have changed since the processor looked: that is the guest's
 * affair.
 */
static bool read_linear(const struct guest_exit *exit, uint64_t at, void *to, uint32_t size)
{
	unsigned shift = (exit->cpu->arch.cr4 & CR4_LA57) != 0 ? 57 : 48;
	uint64_t entry = exit->hw.cr3;
	uint64_t table;

	do {
		shift -= 9;
		table = (entry & ENTRY_ADDRESS) + (at >> shift & 0x1ff) * sizeof(entry);
		if (!read_guest(exit->cpu->vm, table, &entry, sizeof(entry)) ||
		    (entry & ENTRY_PRESENT) == 0)
			return false;
	} while (shift != 12 && (shift > 30 || (entry & ENTRY_LARGE) == 0));
	at &= (1ULL << shift) - 1;
	return read_guest(exit->cpu->vm, (entry & ENTRY_ADDRESS) >> shift << shift | at, to, size);
}

/*
 * The instruction, which may go on in the next page. An event that was on its way is none of its: its stack, or its
 * tables, stand where they should not.
 */
static bool decode(const struct guest_exit *exit, struct mmio_op *op)
{
	uint8_t bytes[INSTRUCTION_MAX];
	uint64_t pc = exit->cpu->arch.pc;
	uint64_t in_page = PAGE_SIZE - pc % PAGE_SIZE;
	uint32_t n = in_page < INSTRUCTION_MAX ? (uint32_t)in_page : INSTRUCTION_MAX;

	if (!exit->hw.code_64 || exit->cpu->arch.event != 0 || !read_linear(exit, pc, bytes, n))
		return false;
	if (n < INSTRUCTION_MAX && read_linear(exit, pc + n, bytes + n, INSTRUCTION_MAX - n))
		n = INSTRUCTION_MAX;
	return mmio_decode(bytes, n, op) && op->write == exit->hw.write &&
	       is_aligned(exit->hw.address, op->size);
}

/* At @place, without a function: of configuration space. Eight bytes are twice four, and in one BAR: it is aligned. */
static void access(struct guest_exit *exit, const struct mmio_op *op,
		   const struct msix_place *place)
{
	struct vm *vm = exit->cpu->vm;
	uint64_t *reg = &exit->cpu->arch.regs[op->reg];
	uint64_t stored = mmio_stored(op, *reg);
	uint64_t loaded = 0;

	for (uint32_t done = 0; done < op->size; done += 4) {
		struct mmio part = {.offset = place->offset + done,
				    .value = stored >> 8 * done,
				    .size = op->size < 4 ? op->size : 4,
				    .write = op->write};

		if (place->function == NULL)
			pci_config_access(vm, &part);
		else
			msix_access(vm, place, &part);
		loaded |= (part.value & UINT32_MAX) << 8 * done;
	}
	if (!op->write)
		*reg = mmio_loaded(op, *reg, loaded);
}

bool mmio_access(struct guest_exit *exit)
{
	struct vm *vm = exit->cpu->vm;
	uint64_t at = exit->hw.address;
	struct msix_place place = {.offset = at - GUEST_X86_ECAM_BASE};
	uint64_t window = plan_port_window(machine_facts(), 0).base.v;
	bool found = place.offset < (1ULL + vm_plan(vm)->nports) * MIB || msix_find(vm, at, &place);
	struct mmio_op op;

	/* A function that has gone from its port under its driver's feet is like one that is not there (PCIe 6.0 2.3.2). */
	if (!found && vm_plan(vm)->nports != 0 && at - window < PLAN_MAX_PORTS * GUEST_PORT_WINDOW)
		place = (struct msix_place){.offset = at % PAGE_SIZE};
	else if (!found)
		return false;
	if (exit->hw.walk || exit->hw.fetch)
		return false;
	exit->reason = EXIT_PCI;
	if (decode(exit, &op)) {
		access(exit, &op, &place);
		exit->hw.length = op.length;
		skip(exit);
	} else {
		exit->illegal = "access to a device by an instruction that is not decoded";
	}
	return true;
}
