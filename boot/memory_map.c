/* SPDX-License-Identifier: Apache-2.0 */
#include "memory_map.h"

#include <bulkhead/checked.h>

#include <assert.h>
#include <string.h>

/* EFI_MEMORY_TYPE and attributes, UEFI 2.10 7.2.1 and 7.2.3. */
#define LOADER_CODE 1
#define BOOT_SERVICES_DATA 4 /* 1 to 4: loader code and data, boot services' code and data */
#define CONVENTIONAL 7
#define ATTRIBUTE_WB 0x8ULL
#define ATTRIBUTE_NV 0x8000ULL
#define ATTRIBUTE_SP 0x40000ULL /* set aside for a purpose of its own */
#define PA_LIMIT (1ULL << 52)

static_assert(sizeof(struct memory_descriptor) == 40, "EFI_MEMORY_DESCRIPTOR");

static struct memory_descriptor get(const struct memory_map *map, uint64_t index)
{
	struct memory_descriptor d;

	memcpy(&d, map->descriptors + index * map->stride, sizeof(d));
	return d;
}

static void put(struct memory_map *map, uint64_t index, const struct memory_descriptor *d)
{
	memcpy(map->descriptors + index * map->stride, d, sizeof(*d));
}

/* The specification promises no order. Nearly sorted in practice, hence insertion. */
static void sort(struct memory_map *map)
{
	uint64_t count = map->size / map->stride;

	for (uint64_t i = 1; i < count; i++) {
		struct memory_descriptor moving = get(map, i);
		uint64_t k = i;

		for (; k > 0; k--) {
			struct memory_descriptor before = get(map, k - 1);

			if (before.base <= moving.base)
				break;
			put(map, k, &before);
		}
		put(map, k, &moving);
	}
}

static bool usable(const struct memory_descriptor *d)
{
	bool type_ok = (d->type >= LOADER_CODE && d->type <= BOOT_SERVICES_DATA) ||
		       d->type == CONVENTIONAL;

	return type_ok && (d->attributes & ATTRIBUTE_WB) &&
	       !(d->attributes & (ATTRIBUTE_NV | ATTRIBUTE_SP));
}

/*
 * The node at @at, and in @end where that ends (at most @limit). Memory that no range names is
 * node 0.
 */
static uint32_t node_at(const struct node_map *nodes, uint64_t at, uint64_t limit, uint64_t *end)
{
	*end = limit;
	for (uint32_t i = 0; i < nodes->count; i++) {
		struct extent e = nodes->range[i].extent;

		if (range_inside(at, 1, e.base.v, e.size)) {
			*end = extent_end(e) < limit ? extent_end(e) : limit;
			return nodes->range[i].node;
		}
		if (e.base.v > at && e.base.v < *end)
			*end = e.base.v;
	}
	return 0;
}

/* Adds [@from, @to), joined to the last extent where it continues it. */
static bool add(struct machine *m, uint64_t from, uint64_t to, uint32_t node)
{
	struct machine_memory *last = m->nmemory == 0 ? NULL : &m->memory[m->nmemory - 1];

	if (last != NULL && extent_end(last->extent) == from && last->node == node) {
		last->extent.size += to - from;
		return true;
	}
	if (m->nmemory == MACHINE_MAX_MEMORY)
		return false;
	m->memory[m->nmemory++] = (struct machine_memory){
		.extent = {pa(from), to - from},
		.node = node,
	};
	return true;
}

/* Where the descriptor's memory ends; false when that is nonsense. */
static bool end_of(const struct memory_descriptor *d, uint64_t *end)
{
	uint64_t size;

	return mul_ok(d->pages, PAGE_SIZE, &size) && add_ok(d->base, size, end) &&
	       *end <= PA_LIMIT && is_aligned(d->base, PAGE_SIZE);
}

enum bh_error memory_from_map(struct memory_map *map, const struct node_map *nodes,
			      struct machine *machine, struct bh_report *report)
{
	uint64_t covered = 0;

	if (map->stride < sizeof(struct memory_descriptor) || map->size % map->stride != 0)
		return bh_fail(report, BH_BAD_MACHINE,
			       "the firmware's memory map has a wrong size");
	sort(map);
	machine->nmemory = 0;
	for (uint64_t i = 0; i < map->size / map->stride; i++) {
		struct memory_descriptor d = get(map, i);
		uint64_t end, stop;

		if (d.pages == 0)
			continue;
		if (!end_of(&d, &end) || d.base < covered)
			return bh_fail(report, BH_BAD_MACHINE,
				       "the firmware's memory map is contradictory at 0x%llx",
				       (unsigned long long)d.base);
		covered = end;
		for (uint64_t at = d.base; usable(&d) && at < end; at = stop) {
			uint32_t node = node_at(nodes, at, end, &stop);

			if (!add(machine, at, stop, node))
				return bh_fail(report, BH_TOO_MANY,
					       "the machine's memory is in more than %u pieces",
					       MACHINE_MAX_MEMORY);
		}
	}
	if (machine->nmemory == 0)
		return bh_fail(report, BH_BAD_MACHINE, "the firmware leaves no usable memory");
	return BH_OK;
}
