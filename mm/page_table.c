/* SPDX-License-Identifier: Apache-2.0 */
/* The one walker. What differs between formats stands in struct pt_format. */
#include <bulkhead/arch.h>
#include <bulkhead/mm.h>

static uint64_t *entry_at(const struct pt_format *f, pa_t node, uint32_t level, uint64_t at)
{
	uint64_t *entries = pa_to_ptr(node);

	return &entries[(at >> f->shift[level]) % f->entries[level]];
}

/* What an entry at @level has that points to a table, besides its address. */
static uint64_t table_bits(const struct pt_format *f, uint32_t level)
{
	return f->table_bits + f->level_unit * (f->levels - 1 - level);
}

static bool is_table(const struct pt_format *f, uint32_t level, uint64_t entry)
{
	return level + 1 < f->levels && (entry & f->valid) != 0 &&
	       (entry & f->type_mask) == table_bits(f, level);
}

static uint64_t span(const struct pt_format *f, uint32_t level)
{
	return (uint64_t)1 << f->shift[level];
}

/* The level at which [at, at + size) -> to can have its next leaf: the highest that fits. */
static uint32_t leaf_level(const struct pt_format *f, uint64_t at, uint64_t to, uint64_t size)
{
	uint32_t level = 0;

	while (level + 1 < f->levels) {
		bool fits = is_aligned(at | to, span(f, level)) && size >= span(f, level);

		if (fits && (f->leaf_levels >> level & 1) != 0)
			break;
		level++;
	}
	return level;
}

/* Goes down from the root to @level, adding tables on the way. */
static enum bh_error descend(const struct page_table *table, uint64_t at, uint32_t level,
			     uint64_t **slot)
{
	const struct pt_format *f = table->format;
	pa_t node = table->root;

	for (uint32_t l = 0; l < level; l++) {
		uint64_t *entry = entry_at(f, node, l, at);

		if ((*entry & f->valid) == 0) {
			pa_t fresh = pool_take(table->pool, 1);

			if (fresh.v == 0)
				return BH_NO_MEMORY;
			arch_pt_store(entry, fresh.v | table_bits(f, l));
		} else if (!is_table(f, l, *entry)) {
			return BH_OVERLAP;
		}
		node = pa(*entry & f->address_mask);
	}
	*slot = entry_at(f, node, level, at);
	return BH_OK;
}

enum bh_error pt_map(const struct page_table *table, uint64_t at, pa_t to, uint64_t size,
		     enum pt_attr attr)
{
	const struct pt_format *f = table->format;
	uint64_t limit = span(f, 0) * f->entries[0];

	if (!is_aligned(at | to.v | size, PAGE_SIZE) || !range_inside(at, size, 0, limit) ||
	    f->attr[attr] == 0 || !range_inside(to.v, size, 0, f->address_mask))
		return BH_BAD_VALUE;

	while (size != 0) {
		uint32_t level = leaf_level(f, at, to.v, size);
		uint64_t *slot = NULL;
		enum bh_error error = descend(table, at, level, &slot);

		if (error != BH_OK)
			return error;
		for (; is_table(f, level, *slot);
		     level++) /* smaller leaves, where there were some before */
			slot = entry_at(f, pa(*slot & f->address_mask), level + 1, at);
		if ((*slot & f->valid) != 0)
			return BH_OVERLAP;
		arch_pt_store(slot, to.v | f->leaf_bits[level] | f->attr[attr]);
		at += span(f, level);
		to.v += span(f, level);
		size -= span(f, level);
	}
	return BH_OK;
}

enum bh_error pt_reserve(const struct page_table *table, uint64_t at, uint64_t size)
{
	const struct pt_format *f = table->format;
	uint32_t level = f->levels - 2;
	uint64_t step = span(f, level - 1);
	enum bh_error error = BH_OK;
	uint64_t *slot;

	for (uint64_t a = align_down(at, step); a < at + size && error == BH_OK; a += step)
		error = descend(table, a, level, &slot);
	return error;
}

/* The entry at which the walk for @at ends: a leaf, or one that is not valid. */
static uint64_t *walk(const struct page_table *table, uint64_t at, uint32_t *level)
{
	const struct pt_format *f = table->format;
	uint64_t *entry = entry_at(f, table->root, 0, at);

	*level = 0;
	while (is_table(f, *level, *entry)) {
		(*level)++;
		entry = entry_at(f, pa(*entry & f->address_mask), *level, at);
	}
	return entry;
}

void pt_unmap(const struct page_table *table, uint64_t at, uint64_t size)
{
	uint64_t end = at + size;

	while (at < end) {
		uint32_t level;
		uint64_t *entry = walk(table, at, &level);

		if ((*entry & table->format->valid) != 0)
			arch_pt_store(entry, 0);
		at = align_down(at, span(table->format, level)) + span(table->format, level);
	}
}

uint64_t pt_lookup(const struct page_table *table, uint64_t at, pa_t *to)
{
	const struct pt_format *f = table->format;
	uint32_t level;

	if (at >> f->shift[0] >= f->entries[0])
		return 0;
	uint64_t entry = *walk(table, at, &level);
	if ((entry & f->valid) == 0)
		return 0;
	if (to != NULL) {
		uint64_t offset = span(f, level) - 1;

		*to = pa((entry & f->address_mask & ~offset) | (at & offset));
	}
	return entry;
}

void pt_switch(const struct page_table *table, bool on)
{
	const struct pt_format *f = table->format;
	uint64_t *root = pa_to_ptr(table->root);

	for (uint32_t i = 0; i < f->entries[0]; i++) {
		uint64_t entry = root[i];

		if (entry == 0)
			continue;
		entry = on ? entry | f->valid : entry & ~f->valid;
		if (entry != root[i])
			arch_pt_store(&root[i], entry);
	}
}
