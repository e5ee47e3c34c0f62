/* SPDX-License-Identifier: Apache-2.0 */
/* A guest's physical address space: the plan's regions, and the registers the architecture adds. */
#include <bulkhead/arch.h>
#include <bulkhead/log.h>
#include <bulkhead/mm.h>
#include <bulkhead/pci.h>

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

static struct page_table make_table(const struct pt_format *format, struct page_pool *pool)
{
	pa_t root = pool_take(pool, format->entries[0] * sizeof(uint64_t) / PAGE_SIZE);

	BH_CHECK(root.v != 0);
	return (struct page_table){format, pool, root};
}

static void map_ram(const struct plan_vm *plan, const struct page_table *table)
{
	for (uint32_t i = 0; i < plan->nregions; i++)
		guest_map(table, plan->region[i].gpa, plan->region[i].extent, PT_GUEST_RAM);
}

pa_t own_dma_space(struct page_pool *pool, struct extent extent)
{
	struct page_table table = make_table(arch_dma_format(), pool);

	guest_map(&table, gpa(extent.base.v), extent, PT_GUEST_RAM);
	return table.root;
}

void guest_space_build(struct vm *vm, struct page_pool *pool)
{
	struct page_table table = make_table(arch_guest_format(), pool);

	vm->stage2 = table.root;
	map_ram(vm_plan(vm), &table);
	arch_vm_map_registers(vm, &table);
	pci_map_bars(vm, &table);
	pt_switch(&table, false);
	if (vm_plan(vm)->nfunctions == 0)
		return;

	/* What its functions reach: its RAM, and what the architecture adds. */
	struct page_table dma = make_table(arch_dma_format(), pool);

	vm->dma = dma.root;
	map_ram(vm_plan(vm), &dma);
	arch_vm_map_dma(&dma);
	vm->msix = pool_take(pool, VM_MSIX_PAGES);
	BH_CHECK(vm->msix.v != 0);
}
