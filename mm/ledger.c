/* SPDX-License-Identifier: Apache-2.0 */
#include <bulkhead/mm.h>

#include <string.h>

/* Makes one of entry @i and the next when both are free and adjoin. */
static void merge(struct ledger *ledger, uint32_t i)
{
	struct ledger_entry *e = &ledger->entry[i];

	if (i + 1 >= ledger->count || e[0].kind != OWNER_FREE || e[1].kind != OWNER_FREE ||
	    extent_end(e[0].extent) != e[1].extent.base.v)
		return;
	e[0].extent.size += e[1].extent.size;
	ledger->count--;
	memmove(e + 1, e + 2, (ledger->count - i - 1) * sizeof(*e));
}

/* Firmware may describe one piece of RAM as several that adjoin; an owner's extent may span them. */
void ledger_init(struct ledger *ledger, const struct machine *machine)
{
	ledger->count = 0;
	ledger->total = 0;
	for (uint32_t i = 0; i < machine->nmemory; i++) {
		struct extent extent = machine->memory[i].extent;

		ledger->total += extent.size;
		ledger->entry[ledger->count++] = (struct ledger_entry){extent, OWNER_FREE, 0};
		if (ledger->count > 1)
			merge(ledger, ledger->count - 2);
	}
}

uint32_t ledger_find(const struct ledger *ledger, pa_t at)
{
	uint32_t i = 0;

	while (i < ledger->count && !extent_inside((struct extent){at, 1}, ledger->entry[i].extent))
		i++;
	return i;
}

/* Splits the entry that holds @at, if one does, so that one begins there. */
static void split(struct ledger *ledger, uint64_t at)
{
	uint32_t i = ledger_find(ledger, pa(at));
	struct ledger_entry *e = &ledger->entry[i];

	if (i == ledger->count || at == e->extent.base.v)
		return;
	memmove(e + 1, e, (ledger->count - i) * sizeof(*e));
	ledger->count++;
	e[1].extent = (struct extent){pa(at), extent_end(e->extent) - at};
	e[0].extent.size = at - e->extent.base.v;
}

enum bh_error ledger_take(struct ledger *ledger, struct extent extent, enum owner_kind kind,
			  uint32_t vm)
{
	uint32_t i = ledger_find(ledger, extent.base);

	/* Free memory that adjoins is one entry, so that all of @extent is in one or not free. */
	if (i == ledger->count || ledger->entry[i].kind != OWNER_FREE || extent.size == 0 ||
	    !extent_inside(extent, ledger->entry[i].extent))
		return BH_OVERLAP;
	if (ledger->count + 2 > LEDGER_MAX)
		return BH_TOO_MANY;
	split(ledger, extent_end(extent));
	split(ledger, extent.base.v);
	ledger->entry[ledger_find(ledger, extent.base)] = (struct ledger_entry){extent, kind, vm};
	return BH_OK;
}

static bool is_same(struct extent a, struct extent b)
{
	return a.base.v == b.base.v && a.size == b.size;
}

enum bh_error ledger_give(struct ledger *ledger, struct extent extent)
{
	uint32_t i = ledger_find(ledger, extent.base);
	struct ledger_entry *e = &ledger->entry[i];

	if (i == ledger->count || e->kind == OWNER_FREE || !is_same(e->extent, extent))
		return BH_BAD_VALUE;
	*e = (struct ledger_entry){extent, OWNER_FREE, 0};
	merge(ledger, i);
	if (i > 0)
		merge(ledger, i - 1);
	return BH_OK;
}

/* @extent must be exactly what one entry of @kind (and @vm) says. */
static bool owned(const struct ledger *ledger, struct extent extent, enum owner_kind kind,
		  uint32_t vm)
{
	uint32_t i = ledger_find(ledger, extent.base);
	const struct ledger_entry *e = &ledger->entry[i];

	return i < ledger->count && e->kind == kind && e->vm == vm && is_same(e->extent, extent);
}

/* Everything that somebody owns by @plan, counted; false when the ledger does not say so of one. */
static bool owners_match(const struct ledger *ledger, const struct plan *plan, uint32_t *count)
{
	bool match = owned(ledger, plan->core, OWNER_HYPERVISOR, 0);

	*count = 1 + plan->nimages;
	for (uint32_t i = 0; i < plan->nimages; i++)
		match = match && owned(ledger, plan->images[i], OWNER_IMAGES, 0);
	for (uint32_t v = 0; v < plan->nvms; v++) {
		const struct plan_vm *vm = &plan->vm[v];
		bool apart = plan_vm_apart(plan, vm);

		*count += vm->nregions + apart;
		for (uint32_t r = 0; r < vm->nregions; r++)
			match = match && owned(ledger, vm->region[r].extent, OWNER_VM, v);
		if (apart)
			match = match && owned(ledger, vm->hypervisor, OWNER_HYPERVISOR, v);
	}
	return match;
}

enum bh_error ledger_check(const struct ledger *ledger, const struct plan *plan)
{
	uint32_t taken = 0;
	uint32_t planned;
	uint64_t total = 0;
	bool good = owners_match(ledger, plan, &planned);

	for (uint32_t i = 0; i < ledger->count; i++) {
		const struct ledger_entry *e = &ledger->entry[i];

		good = good && (i == 0 || extent_end(e[-1].extent) <= e->extent.base.v);
		taken += e->kind != OWNER_FREE;
		total += e->extent.size;
	}
	return good && total == ledger->total && taken == planned ? BH_OK : BH_BAD_PLAN;
}
