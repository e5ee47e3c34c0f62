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

	while (level + 1 < f->levels &&
	       ((f->leaf_levels >> level & 1) == 0 || size < span(f, level) ||
		!is_aligned(at | to, span(f, level))))
		level++;
	return level;
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

/* Adds the tables that the walk for @at needs to come to @level. */
static enum bh_error descend(const struct page_table *table, uint64_t at, uint32_t level)
{
	uint32_t l;

	for (uint64_t *end = walk(table, at, &l); l < level; end = walk(table, at, &l)) {
		if ((*end & table->format->valid) != 0)
			return BH_OVERLAP;

		pa_t fresh = pool_take(table->pool, 1);

		if (fresh.v == 0)
			return BH_NO_MEMORY;
		arch_pt_store(end, fresh.v | table_bits(table->format, l));
	}
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
		enum bh_error error = descend(table, at, level);

		if (error != BH_OK)
			return error;

		/* Smaller leaves, where there were some before. */
		uint64_t *slot = walk(table, at, &level);

		if ((*slot & f->valid) != 0)
			return BH_OVERLAP;
		arch_pt_store(slot, to.v | f->leaf_bits[level] | f->attr[attr]);
		at += span(f, level);
		to.v += span(f, level);
		size -= span(f, level);
	}
	return BH_OK;
}

enum bh_error pt_reserve(const struct page_table *table, uint64_t at, uint64_t size, uint64_t leaf)
{
	const struct pt_format *f = table->format;
	uint32_t level = f->levels - (leaf == PAGE_SIZE ? 1 : 2);
	uint64_t step = span(f, level - 1);
	enum bh_error error = BH_OK;

	for (uint64_t a = align_down(at, step); a < at + size && error == BH_OK; a += step)
		error = descend(table, a, level);
	return error;
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

	for (uint32_t i = 0; i < f->entries[0]; i++)
		if (root[i] != 0)
			arch_pt_store(&root[i], on ? root[i] | f->valid : root[i] & ~f->valid);
}
