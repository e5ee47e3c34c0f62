/* SPDX-License-Identifier: Apache-2.0 */
/* A guest's physical address space: the plan's regions, and the registers the architecture adds. */
#include <bulkhead/arch.h>
#include <bulkhead/log.h>
#include <bulkhead/mm.h>

void guest_map(const struct page_table *table, gpa_t at, struct extent to, enum pt_attr attr)
{
	enum bh_error error = pt_map(table, at.v, to.base, to.size, attr);

	if (error != BH_OK)
		bh_panic("guest-physical 0x%lx: %s", at.v, bh_strerror(error));
}

struct page_table guest_space(const struct vm *vm)
{
	return (struct page_table){.format = arch_guest_format(), .root = vm->stage2};
}

void guest_space_build(struct vm *vm, struct page_pool *pool)
{
	const struct plan_vm *plan = vm_plan(vm);
	const struct pt_format *format = arch_guest_format();
	pa_t root = pool_take(pool, format->entries[0] * sizeof(uint64_t) / PAGE_SIZE);
	struct page_table table = {format, pool, root};

	BH_CHECK(root.v != 0);
	vm->stage2 = root;
	for (uint32_t i = 0; i < plan->nregions; i++) {
		struct extent ram = {plan->region[i].pa, plan->region[i].size};

		guest_map(&table, plan->region[i].gpa, ram, PT_GUEST_RAM);
	}
	arch_vm_map_registers(vm, &table);
	pt_switch(&table, false);
}
