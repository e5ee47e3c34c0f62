/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random sequences of map, unmap and switch, against a list of what should be
 * mapped: after each, every leaf of the tree is in one range of the list,
 * leads where it should, and nothing is missing.
 */
#include "input.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/lib/tree.h"

#define POOL_PAGES 9
#define MAX_RANGES 24

struct range {
	uint64_t at;
	uint64_t to;
	uint64_t size;
	enum pt_attr attr;
};

static uint8_t memory[POOL_PAGES * PAGE_SIZE] __attribute__((aligned(2 * 4096)));
static struct page_pool pool;
static struct page_table table;
static struct range ranges[MAX_RANGES];
static uint32_t nranges;
static bool unmapped_before; /* empty tables may stand in a block's place */
static uint64_t covered;

/* Something near the borders of pages, blocks and GiB. */
static uint64_t address(void)
{
	uint8_t a = input_byte();
	uint64_t at = (a & 3) * GIB;

	at += (a >> 2 & 3) * 2 * MIB + (a >> 4 & 3) * PAGE_SIZE;
	return (a & 0x40) != 0 && at >= PAGE_SIZE ? at - PAGE_SIZE : at;
}

static struct range *range_at(uint64_t at, uint64_t size)
{
	for (uint32_t i = 0; i < nranges; i++)
		if (range_overlap(at, size, ranges[i].at, ranges[i].size))
			return &ranges[i];
	return NULL;
}

static void check_leaf(void *context, const struct leaf *leaf)
{
	const struct range *r = range_at(leaf->at, leaf->span);
	const struct pt_format *f = context;

	CHECK(r != NULL && range_inside(leaf->at, leaf->span, r->at, r->size));
	CHECK(leaf->to == r->to + (leaf->at - r->at));
	CHECK((leaf->entry & f->attr[r->attr]) == f->attr[r->attr]);
	covered += leaf->span;
}

static void check_lookup(const struct range *r, uint64_t at)
{
	pa_t to = pa(0);

	CHECK(pt_lookup(&table, at, &to) != 0);
	CHECK(to.v == r->to + (at - r->at));
}

static void check_tree(void)
{
	uint64_t wanted = 0;

	covered = 0;
	tree_walk(table.format, table.root.v, ptr_to_pa(memory).v,
		  ptr_to_pa(memory).v + sizeof(memory), check_leaf,
		  (void *)(uintptr_t)table.format);
	for (uint32_t i = 0; i < nranges; i++) {
		const struct range *r = &ranges[i];

		wanted += r->size;
		check_lookup(r, r->at);
		check_lookup(r, r->at + r->size - 1);
		CHECK(range_at(r->at + r->size, 1) != NULL ||
		      pt_lookup(&table, r->at + r->size, NULL) == 0);
	}
	CHECK(covered == wanted);
}

/* How far a map that was refused got: up to the first page that is not its own. */
static uint64_t progress(const struct range *r)
{
	uint64_t done = 0;

	for (pa_t to; done < r->size; done += PAGE_SIZE)
		if (range_at(r->at + done, PAGE_SIZE) != NULL ||
		    pt_lookup(&table, r->at + done, &to) == 0 || to.v != r->to + done)
			break;
	return done;
}

static void map(void)
{
	uint64_t at = address();
	uint64_t end = address();
	struct range r = {.at = at, .attr = (input_byte() & 1) != 0 ? PT_DATA : PT_TEXT};
	uint64_t had = pool.pages;

	if (nranges == MAX_RANGES)
		return;
	r.size = end > at ? end - at : 0;
	r.to = (8 * GIB) + ((input_byte() & 1) != 0 ? r.at : address());
	enum bh_error error = pt_map(&table, r.at, pa(r.to), r.size, r.attr);
	bool overlap = range_at(r.at, r.size) != NULL;

	CHECK(error == BH_OK || error == BH_OVERLAP || error == BH_NO_MEMORY);
	CHECK(error != BH_OK || !overlap);
	CHECK(error != BH_OVERLAP || overlap || unmapped_before);
	CHECK(error != BH_NO_MEMORY || pool.pages == 0);
	CHECK(pool.pages <= had);
	if (error != BH_OK)
		r.size = progress(&r);
	if (r.size != 0)
		ranges[nranges++] = r;
}

/* Takes a range out; at once back in, when asked: that needs no table. */
static void unmap(bool again)
{
	uint32_t i = input_byte();

	if (nranges == 0)
		return;
	struct range r = ranges[i % nranges];
	uint64_t had = pool.pages;

	pt_unmap(&table, r.at, r.size);
	unmapped_before = true;
	CHECK(pt_lookup(&table, r.at, NULL) == 0);
	if (again) {
		CHECK(pt_map(&table, r.at, pa(r.to), r.size, r.attr) == BH_OK);
		CHECK(pool.pages == had);
	} else {
		ranges[i % nranges] = ranges[nranges - 1];
		nranges--;
	}
}

static void never(void *context, const struct leaf *leaf)
{
	(void)context;
	(void)leaf;
	abort();
}

static void switch_off_and_on(void)
{
	pt_switch(&table, false);
	tree_walk(table.format, table.root.v, 0, UINT64_MAX, never, NULL);
	for (uint32_t i = 0; i < nranges; i++)
		CHECK(pt_lookup(&table, ranges[i].at, NULL) == 0);
	pt_switch(&table, true);
}

/* Whatever these numbers are, the answer is an error or OK, and the tree stays one. */
static void wild(void)
{
	uint64_t number[3] = {0};

	for (uint32_t i = 0; i < 3; i++)
		for (uint32_t k = 0; k < 8; k++)
			number[i] = number[i] << 8 | input_byte();
	pt_lookup(&table, number[0], NULL);
	if (is_aligned(number[0] | number[1] | number[2], PAGE_SIZE))
		return;
	CHECK(pt_map(&table, number[0], pa(number[1]), number[2], PT_DATA) == BH_BAD_VALUE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	input = data;
	input_left = size;
	memset(memory, 0xff, sizeof(memory));
	pool = (struct page_pool){ptr_to_pa(memory), POOL_PAGES};
	table.format = &geometries[input_byte() % GEOMETRIES];
	table.pool = &pool;
	table.root = pool_take(&pool, TREE_ROOT_PAGES(table.format));
	nranges = 0;
	unmapped_before = false;
	for (uint32_t step = 0; input_left != 0 && step < 60; step++) {
		switch (input_byte() % 6) {
		case 0:
		case 1:
			map();
			break;
		case 2:
			unmap(false);
			break;
		case 3:
			unmap(true);
			break;
		case 4:
			switch_off_and_on();
			break;
		default:
			wild();
			break;
		}
		check_tree();
	}
	return 0;
}
