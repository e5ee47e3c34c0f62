/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "arch/host/host.h"
#include "lib/tree.h"

#define POOL_PAGES 64
#define TO 0x7000000000ULL /* where the mapped memory stands: aligned to all leaves */

static uint8_t memory[POOL_PAGES * PAGE_SIZE] __attribute__((aligned(2 * 4096)));
static struct page_pool pool;
static struct page_table table;
static const struct pt_format *f;

/* An empty table of the test's geometry; the pool's memory is not zero. */
static int set_up(void **state)
{
	f = *state;
	memset(memory, 0xff, sizeof(memory));
	pool = (struct page_pool){ptr_to_pa(memory), POOL_PAGES};
	table = (struct page_table){f, &pool, pool_take(&pool, TREE_ROOT_PAGES(f))};
	host_pt_stored = NULL;
	return 0;
}

static uint64_t tables(void)
{
	return POOL_PAGES - pool.pages - TREE_ROOT_PAGES(f);
}

static uint64_t limit(void)
{
	return (uint64_t)f->entries[0] << f->shift[0];
}

/* Tables between the root and a leaf of @span. */
static uint64_t depth(uint64_t span)
{
	uint64_t level = 0;

	while (1ULL << f->shift[level] != span)
		level++;
	return level;
}

static void map_ok(uint64_t at, uint64_t to, uint64_t size)
{
	assert_int_equal(pt_map(&table, at, pa(to), size, PT_DATA), BH_OK);
}

static void expect(uint64_t at, uint64_t to)
{
	pa_t found = pa(0);

	assert_int_not_equal(pt_lookup(&table, at, &found), 0);
	assert_int_equal(found.v, to);
}

static void expect_none(uint64_t at)
{
	assert_int_equal(pt_lookup(&table, at, NULL), 0);
}

/* ---- The leaves, as another walker finds them ---- */

static struct leaf leaves[4096];
static uint32_t nleaves;

static void keep(void *context, const struct leaf *leaf)
{
	(void)context;
	leaves[nleaves++] = *leaf;
}

static void walk(void)
{
	nleaves = 0;
	tree_walk(f, table.root.v, ptr_to_pa(memory).v, ptr_to_pa(memory).v + sizeof(memory), keep,
		  NULL);
}

static uint32_t count_leaves(uint64_t span)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < nleaves; i++)
		count += leaves[i].span == span;
	return count;
}

/* ---- Mapping ---- */

static void empty_table_maps_nothing(void **state)
{
	(void)state;
	walk();
	assert_int_equal(nleaves, 0);
	expect_none(0);
	expect_none(GIB);
	expect_none(limit() - 1);
}

static void page(void **state)
{
	(void)state;
	map_ok(5 * PAGE_SIZE, TO, PAGE_SIZE);
	expect(5 * PAGE_SIZE, TO);
	expect_none(4 * PAGE_SIZE);
	expect_none(5 * PAGE_SIZE - 1);
	expect_none(6 * PAGE_SIZE);
	assert_int_equal(tables(), depth(PAGE_SIZE));
}

static void lookup_keeps_the_offset(void **state)
{
	(void)state;
	map_ok(PAGE_SIZE, TO, PAGE_SIZE);
	map_ok(4 * MIB, TO + 4 * MIB, 2 * MIB);
	map_ok(8 * GIB, TO + 8 * GIB, GIB);
	expect(PAGE_SIZE + 0x123, TO + 0x123);
	expect(4 * MIB + 0x12345, TO + 4 * MIB + 0x12345);
	expect(9 * GIB - 1, TO + 9 * GIB - 1);
}

static void block_of_2_mib(void **state)
{
	(void)state;
	map_ok(6 * MIB, TO, 2 * MIB);
	walk();
	assert_int_equal(nleaves, 1);
	assert_int_equal(leaves[0].span, 2 * MIB);
	assert_int_equal(tables(), depth(2 * MIB));
}

static void block_of_1_gib(void **state)
{
	(void)state;
	map_ok(3 * GIB, TO, 2 * GIB);
	walk();
	assert_int_equal(nleaves, 2);
	assert_int_equal(count_leaves(GIB), 2);
	assert_int_equal(tables(), depth(GIB));
}

static void around_2_mib(void **state)
{
	(void)state;
	map_ok(2 * MIB - PAGE_SIZE, TO + 2 * MIB - PAGE_SIZE, 2 * MIB + 2 * PAGE_SIZE);
	walk();
	assert_int_equal(count_leaves(PAGE_SIZE), 2);
	assert_int_equal(count_leaves(2 * MIB), 1);
	expect(4 * MIB, TO + 4 * MIB);
	expect_none(4 * MIB + PAGE_SIZE);
}

static void around_1_gib(void **state)
{
	(void)state;
	map_ok(GIB - 2 * MIB, TO + GIB - 2 * MIB, GIB + 4 * MIB);
	walk();
	assert_int_equal(count_leaves(2 * MIB), 2);
	assert_int_equal(count_leaves(GIB), 1);
	assert_int_equal(nleaves, 3);
}

static void all_sizes_at_once(void **state)
{
	uint64_t skip = GIB - 2 * MIB - PAGE_SIZE;

	(void)state;
	map_ok(skip, TO + skip, GIB + 4 * MIB + 2 * PAGE_SIZE);
	walk();
	assert_int_equal(count_leaves(PAGE_SIZE), 2);
	assert_int_equal(count_leaves(2 * MIB), 2);
	assert_int_equal(count_leaves(GIB), 1);
}

static void target_decides_the_leaf_too(void **state)
{
	(void)state;
	map_ok(2 * MIB, TO + PAGE_SIZE, 2 * MIB);
	walk();
	assert_int_equal(count_leaves(PAGE_SIZE), 512);
	map_ok(GIB, TO + 2 * MIB, GIB);
	walk();
	assert_int_equal(count_leaves(2 * MIB), 512);
	assert_int_equal(count_leaves(GIB), 0);
}

static void last_page_of_the_space(void **state)
{
	(void)state;
	map_ok(limit() - PAGE_SIZE, TO, PAGE_SIZE);
	expect(limit() - 1, TO + PAGE_SIZE - 1);
	expect_none(0);
}

static void attributes_reach_the_leaf(void **state)
{
	(void)state;
	assert_int_equal(pt_map(&table, 0, pa(TO), PAGE_SIZE, PT_TEXT), BH_OK);
	map_ok(PAGE_SIZE, TO, PAGE_SIZE);
	assert_int_equal(pt_lookup(&table, 0, NULL) & ~f->address_mask,
			 f->attr[PT_TEXT] | f->leaf_bits[f->levels - 1]);
	assert_int_equal(pt_lookup(&table, PAGE_SIZE, NULL) & ~f->address_mask,
			 f->attr[PT_DATA] | f->leaf_bits[f->levels - 1]);
}

/* ---- Refusing ---- */

static void page_twice_is_refused(void **state)
{
	(void)state;
	map_ok(0, TO, PAGE_SIZE);
	assert_int_equal(pt_map(&table, 0, pa(TO + GIB), PAGE_SIZE, PT_DATA), BH_OVERLAP);
	expect(0, TO);
}

static void page_in_a_block_is_refused(void **state)
{
	(void)state;
	map_ok(0, TO, 2 * MIB);
	map_ok(GIB, TO, GIB);
	assert_int_equal(pt_map(&table, MIB, pa(TO), PAGE_SIZE, PT_DATA), BH_OVERLAP);
	assert_int_equal(pt_map(&table, GIB + MIB, pa(TO), PAGE_SIZE, PT_DATA), BH_OVERLAP);
	assert_int_equal(pt_map(&table, GIB + 2 * MIB, pa(TO), 2 * MIB, PT_DATA), BH_OVERLAP);
	walk();
	assert_int_equal(nleaves, 2);
}

static void block_over_a_page_is_refused(void **state)
{
	(void)state;
	map_ok(MIB, TO, PAGE_SIZE);
	assert_int_equal(pt_map(&table, 0, pa(TO), 2 * MIB, PT_DATA), BH_OVERLAP);
	assert_int_equal(pt_map(&table, 0, pa(TO), GIB, PT_DATA), BH_OVERLAP);
	expect(MIB, TO);
}

/* The tables of the pages are there still, and serve. */
static void block_where_pages_once_were(void **state)
{
	(void)state;
	map_ok(MIB, TO, PAGE_SIZE);
	pt_unmap(&table, MIB, PAGE_SIZE);
	uint64_t before = tables();

	map_ok(0, TO, 2 * MIB);
	assert_int_equal(tables(), before);
	expect(2 * MIB - PAGE_SIZE, TO + 2 * MIB - PAGE_SIZE);
}

static void reserved_blocks_take_no_table(void **state)
{
	(void)state;
	assert_int_equal(pt_reserve(&table, GIB - 4 * MIB, 8 * MIB, BLOCK_SIZE), BH_OK);
	walk();
	assert_int_equal(nleaves, 0);
	uint64_t before = tables();

	map_ok(GIB - 4 * MIB, TO, 8 * MIB);
	assert_int_equal(tables(), before);
}

static void refuse_value(uint64_t at, uint64_t to, uint64_t size, enum pt_attr attr)
{
	assert_int_equal(pt_map(&table, at, pa(to), size, attr), BH_BAD_VALUE);
}

static void out_of_range_is_refused(void **state)
{
	(void)state;
	refuse_value(limit(), TO, PAGE_SIZE, PT_DATA);
	refuse_value(limit() - PAGE_SIZE, TO, 2 * PAGE_SIZE, PT_DATA);
	refuse_value(UINT64_MAX - PAGE_SIZE + 1, TO, PAGE_SIZE, PT_DATA);
	refuse_value(PAGE_SIZE, TO, UINT64_MAX - PAGE_SIZE + 1, PT_DATA);
	refuse_value(0, f->address_mask + PAGE_SIZE, PAGE_SIZE, PT_DATA);
	walk();
	assert_int_equal(nleaves + tables(), 0);
}

static void misaligned_is_refused(void **state)
{
	(void)state;
	refuse_value(1, TO, PAGE_SIZE, PT_DATA);
	refuse_value(0, TO + 8, PAGE_SIZE, PT_DATA);
	refuse_value(0, TO, PAGE_SIZE - 1, PT_DATA);
}

static void unknown_kind_of_page_is_refused(void **state)
{
	(void)state;
	refuse_value(0, TO, PAGE_SIZE, PT_DEVICE);
	refuse_value(0, TO, PAGE_SIZE, PT_GUEST_RAM);
}

static void empty_pool_is_told_and_leaves_a_tree(void **state)
{
	(void)state;
	pool.pages = f->levels - 1;
	map_ok(0, TO, PAGE_SIZE);
	assert_int_equal(pt_map(&table, 2 * MIB - PAGE_SIZE, pa(TO), 2 * PAGE_SIZE, PT_DATA),
			 BH_NO_MEMORY);
	expect(2 * MIB - PAGE_SIZE, TO);
	expect_none(2 * MIB);
	expect(0, TO);
	walk();
	assert_int_equal(nleaves, 2);
}

static void lookup_outside_the_space_finds_nothing(void **state)
{
	(void)state;
	map_ok(0, TO, PAGE_SIZE);
	expect_none(limit());
	expect_none(limit() * 2);
}

/* ---- Unmapping ---- */

static void unmap_takes_it_out(void **state)
{
	(void)state;
	map_ok(GIB - 4 * MIB, TO, GIB + 9 * MIB);
	pt_unmap(&table, GIB - 4 * MIB, GIB + 9 * MIB);
	walk();
	assert_int_equal(nleaves, 0);
}

static void unmap_keeps_the_rest(void **state)
{
	(void)state;
	map_ok(0, TO, 2 * MIB);
	map_ok(2 * MIB, TO + 2 * MIB, 2 * MIB + PAGE_SIZE);
	map_ok(4 * MIB + PAGE_SIZE, TO, PAGE_SIZE);
	map_ok(GIB, TO, GIB);
	pt_unmap(&table, 2 * MIB, 2 * MIB + PAGE_SIZE);
	expect(2 * MIB - 1, TO + 2 * MIB - 1);
	expect_none(2 * MIB);
	expect_none(4 * MIB);
	expect(4 * MIB + PAGE_SIZE, TO);
	expect(GIB, TO);
}

static void unmap_of_nothing_is_nothing(void **state)
{
	(void)state;
	map_ok(GIB, TO, GIB);
	pt_unmap(&table, 0, GIB);
	pt_unmap(&table, 2 * GIB, limit() - 2 * GIB);
	expect(GIB, TO);
	assert_int_equal(tables(), depth(GIB));
}

static void map_again_takes_no_tables(void **state)
{
	(void)state;
	map_ok(GIB - 2 * MIB - PAGE_SIZE, TO - 2 * MIB - PAGE_SIZE, GIB + 5 * MIB);
	uint64_t before = tables();

	for (int i = 0; i < 5; i++) {
		pt_unmap(&table, GIB - 2 * MIB - PAGE_SIZE, GIB + 5 * MIB);
		map_ok(GIB - 2 * MIB - PAGE_SIZE, TO - 2 * MIB - PAGE_SIZE, GIB + 5 * MIB);
	}
	assert_int_equal(tables(), before);
}

static void map_again_with_no_pool(void **state)
{
	static struct page_pool empty;

	(void)state;
	map_ok(6 * MIB, TO, 4 * MIB + PAGE_SIZE);
	pt_unmap(&table, 6 * MIB, 4 * MIB + PAGE_SIZE);
	table.pool = &empty;
	map_ok(6 * MIB, TO, 4 * MIB + PAGE_SIZE);
	expect(10 * MIB, TO + 4 * MIB);
}

/* ---- Switching ---- */

static void map_some(void)
{
	map_ok(PAGE_SIZE, TO, PAGE_SIZE);
	map_ok(6 * MIB, TO, 4 * MIB);
	map_ok(5 * GIB, TO, 3 * GIB);
	map_ok(limit() - GIB, TO, 2 * MIB);
}

static void switched_off_maps_nothing(void **state)
{
	(void)state;
	map_some();
	pt_switch(&table, false);
	walk();
	assert_int_equal(nleaves, 0);
	expect_none(PAGE_SIZE);
	expect_none(5 * GIB);
	expect_none(limit() - GIB);
}

static void switching_keeps_everything(void **state)
{
	static uint8_t before[sizeof(memory)];

	(void)state;
	map_some();
	memcpy(before, memory, sizeof(memory));
	pt_switch(&table, false);
	assert_memory_not_equal(before, memory, sizeof(memory));
	pt_switch(&table, true);
	assert_memory_equal(before, memory, sizeof(memory));
}

static uint32_t stores;

static void count_store(uint64_t *entry)
{
	(void)entry;
	stores++;
}

static void switching_is_constant_time(void **state)
{
	(void)state;
	map_some();
	stores = 0;
	host_pt_stored = count_store;
	pt_switch(&table, false);
	assert_true(stores <= 5);
	stores = 0;
	pt_switch(&table, true);
	assert_true(stores <= 5);
	host_pt_stored = NULL;
}

/* ---- Intermediate states ---- */

static uint64_t allowed_at, allowed_to, allowed_size;

/* Whatever the tree says at this moment is right. */
static void check_leaf(void *context, const struct leaf *leaf)
{
	(void)context;
	assert_true(range_inside(leaf->at, leaf->span, allowed_at, allowed_size));
	assert_int_equal(leaf->to, allowed_to + (leaf->at - allowed_at));
	stores |= 1U << 31;
}

static void check_tree(uint64_t *entry)
{
	(void)entry;
	stores++;
	tree_walk(f, table.root.v, ptr_to_pa(memory).v, ptr_to_pa(memory).v + sizeof(memory),
		  check_leaf, NULL);
}

static void check_every_store(uint64_t at, uint64_t to, uint64_t size)
{
	allowed_at = at;
	allowed_to = to;
	allowed_size = size;
	stores = 0;
	host_pt_stored = check_tree;
	map_ok(at, to, size);
	pt_switch(&table, false);
	pt_switch(&table, true);
	pt_unmap(&table, at, size);
	map_ok(at, to, size);
	host_pt_stored = NULL;
	assert_true((stores & ~(1U << 31)) > 4);
	assert_true(stores >> 31);
}

static void every_store_leaves_a_tree_of_pages(void **state)
{
	(void)state;
	check_every_store(2 * MIB - 3 * PAGE_SIZE, TO, 9 * PAGE_SIZE);
}

static void every_store_leaves_a_tree_of_blocks(void **state)
{
	(void)state;
	check_every_store(GIB - 4 * MIB, TO - 4 * MIB, 10 * MIB);
}

static void every_store_leaves_a_tree_of_all_sizes(void **state)
{
	(void)state;
	check_every_store(GIB - 2 * MIB - PAGE_SIZE, TO - 2 * MIB - PAGE_SIZE, GIB + 5 * MIB);
}

static void a_table_is_linked_once_it_is_empty(void **state)
{
	(void)state;
	map_ok(0, TO, PAGE_SIZE);
	walk();
	assert_int_equal(nleaves, 1);
	assert_int_equal(tables(), depth(PAGE_SIZE));
}

#define EACH(test, geometry)                                                                       \
	{                                                                                          \
#test " " #geometry, test, set_up, NULL, (void *)(uintptr_t)&geometries[geometry]  \
	}
#define ALL(test)                                                                                  \
	EACH(test, ARM64_STAGE1), EACH(test, ARM64_STAGE2), EACH(test, EPT), EACH(test, AMDVI)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ALL(empty_table_maps_nothing),
		ALL(page),
		ALL(lookup_keeps_the_offset),
		ALL(block_of_2_mib),
		ALL(block_of_1_gib),
		ALL(around_2_mib),
		ALL(around_1_gib),
		ALL(all_sizes_at_once),
		ALL(target_decides_the_leaf_too),
		ALL(last_page_of_the_space),
		ALL(attributes_reach_the_leaf),
		ALL(page_twice_is_refused),
		ALL(page_in_a_block_is_refused),
		ALL(block_over_a_page_is_refused),
		ALL(block_where_pages_once_were),
		ALL(reserved_blocks_take_no_table),
		ALL(out_of_range_is_refused),
		ALL(misaligned_is_refused),
		ALL(unknown_kind_of_page_is_refused),
		ALL(empty_pool_is_told_and_leaves_a_tree),
		ALL(lookup_outside_the_space_finds_nothing),
		ALL(unmap_takes_it_out),
		ALL(unmap_keeps_the_rest),
		ALL(unmap_of_nothing_is_nothing),
		ALL(map_again_takes_no_tables),
		ALL(map_again_with_no_pool),
		ALL(switched_off_maps_nothing),
		ALL(switching_keeps_everything),
		ALL(switching_is_constant_time),
		ALL(every_store_leaves_a_tree_of_pages),
		ALL(every_store_leaves_a_tree_of_blocks),
		ALL(every_store_leaves_a_tree_of_all_sizes),
		ALL(a_table_is_linked_once_it_is_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
