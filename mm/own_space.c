/* SPDX-License-Identifier: Apache-2.0 */
/* The hypervisor's own address space: everything at its physical address, nothing both writable and executable. */
#include <bulkhead/arch.h>
#include <bulkhead/log.h>
#include <bulkhead/mm.h>

static pa_t root;
static struct page_pool *tables;

static struct page_table own_table(void)
{
	return (struct page_table){arch_own_format(), tables, root};
}

void own_map(struct extent extent, enum pt_attr attr)
{
	struct page_table table = own_table();
	enum bh_error error = pt_map(&table, extent.base.v, extent.base, extent.size, attr);

	if (error != BH_OK)
		bh_panic("cannot map 0x%lx+0x%lx: %s", extent.base.v, extent.size,
			 bh_strerror(error));
	arch_own_mapped();
}

void own_reserve(struct extent extent)
{
	struct page_table table = own_table();

	if (pt_reserve(&table, extent.base.v, extent.size, BLOCK_SIZE) != BH_OK)
		bh_panic("no tables for 0x%lx+0x%lx", extent.base.v, extent.size);
}

void own_unmap(struct extent extent)
{
	struct page_table table = own_table();

	pt_unmap(&table, extent.base.v, extent.size);
	arch_own_unmapped(extent);
}

void own_space_build(const struct boot_info *info, struct page_pool *pool)
{
	struct extent info_pages = {ptr_to_pa(info), align_up(info->size, PAGE_SIZE)};

	tables = pool;
	root = pool_take(pool, 1);
	BH_CHECK(root.v != 0);

	own_map(info->text, PT_TEXT);
	own_map(info->rodata, PT_RODATA);
	own_map(info->data, PT_DATA);
	own_map(info_pages, PT_RODATA);
	arch_map_registers(&info->machine);
}

void own_space_seal(void)
{
	tables->pages = 0;
}

pa_t own_space_root(void)
{
	return root;
}
