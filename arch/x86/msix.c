/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MSI-X (PCIe 6.0 7.7.2): a guest writes its messages beside the table, and the device gets one that this VM's cores
 * can be reached with. An entry that names anything else stays masked. Other registers in the same pages are passed on.
 */
#include "x86.h"

#include <bulkhead/lock.h>

#define ENTRY_BYTES 16ULL
#define ENTRY_WORDS 4U
#define ENTRY_MASKED 1U

static_assert(ENTRY_BYTES * PLAN_MAX_VECTORS * PLAN_MAX_FUNCTIONS == VM_MSIX_PAGES * PAGE_SIZE,
	      "as the planner counted");

/* SDM vol. 3 11.11 */
#define MSI_ADDRESS_BASE 0xfee00000U
#define MSI_LOGICAL (1U << 2)
#define MSI_MODE 0x700U
#define MSI_LOWEST 0x100U

bool msi_target(const struct vm *vm, uint32_t address, uint32_t data, uint64_t *hwid)
{
	const struct plan_vm *plan = vm_plan(vm);

	if ((data & 0xff) < VECTOR_FIRST || (data & MSI_MODE & ~MSI_LOWEST) != 0 ||
	    (address & (0xfff00000U | MSI_LOGICAL)) != MSI_ADDRESS_BASE)
		return false;
	for (uint32_t i = 0; i < plan->ncores; i++) {
		*hwid = machine_facts()->cpu[plan->core[i]].hwid;
		if (*hwid == (address >> 12 & 0xff))
			return true;
	}
	return false;
}

bool msix_find(const struct vm *vm, uint64_t at, struct msix_place *place)
{
	for (place->slot = 0; place->slot < vm_plan(vm)->nfunctions; place->slot++) {
		const struct plan_function *given = &vm_plan(vm)->function[place->slot];

		if (!pci_present(vm, place->slot))
			continue;
		place->function = &machine_facts()->function[given->function];
		for (place->bar = 0; place->bar < MACHINE_MAX_BARS; place->bar++) {
			place->offset = at - given->bar[place->bar].v;
			if (given->bar[place->bar].v != 0 &&
			    place->offset < place->function->bar[place->bar].size)
				return true;
		}
	}
	return false;
}

/* The table as the guest wrote it; an entry's words: address, its high half, data, control. */
static uint32_t *table_of(const struct vm *vm, uint32_t slot)
{
	return (uint32_t *)pa_to_ptr(vm->msix) + (size_t)slot * PLAN_MAX_VECTORS * ENTRY_WORDS;
}

void msix_reset(const struct vm *vm, uint32_t slot)
{
	for (uint32_t i = 0; i < PLAN_MAX_VECTORS * ENTRY_WORDS; i++)
		table_of(vm, slot)[i] = i % ENTRY_WORDS == 3 ? ENTRY_MASKED : 0;
}

/* The device's entry: masked while it changes, and for good when the guest's is no good. */
static void program(const struct vm *vm, const struct msix_place *place, uint32_t index)
{
	const uint32_t *word = table_of(vm, place->slot) + (size_t)index * ENTRY_WORDS;
	uint64_t at = place->function->bar[place->bar].base.v + place->function->msix_offset +
		      index * ENTRY_BYTES;
	uint64_t hwid;

	arch_device_store(pa(at + 12), 4, ENTRY_MASKED);
	if ((word[3] & ENTRY_MASKED) != 0 || word[1] != 0 ||
	    !msi_target(vm, word[0], word[2], &hwid))
		return;
	struct msi_message message = interrupt_route(vm_plan(vm)->function[place->slot].function,
						     index, hwid, word[2] & 0xff);

	arch_device_store(pa(at), 4, message.address);
	arch_device_store(pa(at + 4), 4, 0);
	arch_device_store(pa(at + 8), 4, message.data);
	arch_device_store(pa(at + 12), 4, 0);
}

/* What is not of 4 bytes is not defined (7.7.2): it finds ones and writes nothing. */
static void access_table(struct vm *vm, const struct msix_place *place, uint64_t offset,
			 struct mmio *access)
{
	uint32_t index = (uint32_t)(offset / ENTRY_BYTES);
	uint32_t *word = table_of(vm, place->slot) + offset / 4;

	if (index >= PLAN_MAX_VECTORS || access->size != 4) {
		access->value = ~0ULL;
		return;
	}
	if (access->write) {
		*word = (uint32_t)access->value;
		program(vm, place, index);
	}
	access->value = *word;
}

void msix_access(struct vm *vm, const struct msix_place *place, struct mmio *access)
{
	const struct machine_function *f = place->function;
	uint64_t in_table = access->offset - f->msix_offset;
	uint64_t in_pba = access->offset - f->pba_offset;
	pa_t at = pa(f->bar[place->bar].base.v + access->offset);

	spin_lock(&vm->shared.pci_lock);
	if (!pci_present(vm, place->slot))
		access->value = ~0ULL;
	else if (place->bar == f->msix_bar && in_table < (uint64_t)f->msix_vectors * ENTRY_BYTES)
		access_table(vm, place, in_table, access);
	else if (!access->write)
		access->value = arch_device_load(at, access->size);
	else if (place->bar != f->pba_bar || in_pba >= (f->msix_vectors + 63ULL) / 64 * 8)
		arch_device_store(at, access->size, (uint32_t)access->value);
	spin_unlock(&vm->shared.pci_lock);
}
