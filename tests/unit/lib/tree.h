/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of page tables: formats of four families, and a walker that shares nothing with mm/. */
#ifndef TESTS_UNIT_LIB_TREE_H
#define TESTS_UNIT_LIB_TREE_H

#include <stdlib.h>

#include <bulkhead/mm.h>

enum { ARM64_STAGE1, ARM64_STAGE2, EPT, AMDVI, GEOMETRIES };

static const struct pt_format geometries[GEOMETRIES] = {
	/* Stage 1 of EL2: 48 bits in 4 levels. */
	[ARM64_STAGE1] = {.levels = 4,
			  .leaf_levels = 0xe,
			  .shift = {39, 30, 21, 12},
			  .entries = {512, 512, 512, 512},
			  .address_mask = 0x0000fffffffff000ULL,
			  .valid = 1,
			  .table_bits = 3,
			  .type_mask = 3,
			  .leaf_bits = {0, 1, 1, 3},
			  .attr = {[PT_DATA] = 1ULL << 54 | 1U << 10, [PT_TEXT] = 1U << 7}},
	/* Stage 2: 40 bits in 3 levels, the root being two tables in a row. */
	[ARM64_STAGE2] = {.levels = 3,
			  .leaf_levels = 0x7,
			  .shift = {30, 21, 12},
			  .entries = {1024, 512, 512},
			  .address_mask = 0x0000fffffffff000ULL,
			  .valid = 1,
			  .table_bits = 3,
			  .type_mask = 3,
			  .leaf_bits = {1, 1, 3},
			  .attr = {[PT_DATA] = 0x7fc, [PT_TEXT] = 0x4c4}},
	/* EPT: a leaf above the last level is told by bit 7, and one at the last level by nothing. */
	[EPT] = {.levels = 4,
		 .leaf_levels = 0xe,
		 .shift = {39, 30, 21, 12},
		 .entries = {512, 512, 512, 512},
		 .address_mask = 0x000ffffffffff000ULL,
		 .valid = 1,
		 .table_bits = 7,
		 .type_mask = 0x87,
		 .leaf_bits = {0, 0x80, 0x80, 0},
		 .attr = {[PT_DATA] = 7 | 6U << 3, [PT_TEXT] = 5 | 6U << 3}},
	/* AMD-Vi: each entry says how many levels follow; none: a leaf. */
	[AMDVI] = {.levels = 4,
		   .leaf_levels = 0xe,
		   .shift = {39, 30, 21, 12},
		   .entries = {512, 512, 512, 512},
		   .address_mask = 0x000ffffffffff000ULL,
		   .valid = 1,
		   .table_bits = 3ULL << 61 | 1,
		   .level_unit = 1U << 9,
		   .type_mask = 3ULL << 61 | 7U << 9 | 1,
		   .attr = {[PT_DATA] = 7ULL << 60 | 1, [PT_TEXT] = 1ULL << 61 | 1}},
};

#define TREE_ROOT_PAGES(f) ((f)->entries[0] / 512U)

/* A leaf of a tree. */
struct leaf {
	uint64_t at;
	uint64_t span;
	uint64_t to;
	uint64_t entry;
};

typedef void leaf_fn(void *context, const struct leaf *leaf);

static inline bool tree_is_leaf(const struct pt_format *f, uint32_t level, uint64_t entry)
{
	uint32_t below = f->levels - 1 - level;

	return below == 0 || (entry & f->type_mask) != (f->table_bits | below * f->level_unit);
}

/*
 * Calls @found for every leaf of the tree, in order. Aborts where the tree is
 * not one: a leaf on a level that has none, a table outside [@first, @end).
 */
static inline void tree_walk(const struct pt_format *f, uint64_t root, uint64_t first, uint64_t end,
			     leaf_fn *found, void *context)
{
	const uint64_t *node[PT_MAX_LEVELS] = {pa_to_ptr(pa(root))};
	uint64_t base[PT_MAX_LEVELS] = {0};
	uint32_t index[PT_MAX_LEVELS] = {0};
	uint32_t level = 0;

	for (;;) {
		if (index[level] == f->entries[level]) {
			if (level-- == 0)
				return;
			continue;
		}
		uint64_t at = base[level] + ((uint64_t)index[level] << f->shift[level]);
		uint64_t entry = node[level][index[level]++];
		uint64_t to = entry & f->address_mask;

		if ((entry & f->valid) == 0)
			continue;
		if (tree_is_leaf(f, level, entry)) {
			struct leaf leaf = {at, 1ULL << f->shift[level], to, entry};

			if ((f->leaf_levels >> level & 1) == 0 || !is_aligned(to, leaf.span))
				abort();
			found(context, &leaf);
			continue;
		}
		if (!range_inside(to, PAGE_SIZE, first, end - first))
			abort();
		level++;
		node[level] = pa_to_ptr(pa(to));
		base[level] = at;
		index[level] = 0;
	}
}

#endif
