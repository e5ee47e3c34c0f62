/* SPDX-License-Identifier: Apache-2.0 */
#include <bulkhead/mm.h>

#include <string.h>

/* Firmware may describe one piece of RAM as several that adjoin; an owner's extent may span them. */
void ledger_init(struct ledger *ledger, const struct machine *machine)
{
	ledger->count = 0;
	ledger->total = 0;
	for (uint32_t i = 0; i < machine->nmemory; i++) {
		struct extent extent = machine->memory[i].extent;
		struct ledger_entry *last = &ledger->entry[ledger->count];

		ledger->total += extent.size;
		if (ledger->count != 0 && extent_end(last[-1].extent) == extent.base.v) {
			last[-1].extent.size += extent.size;
			continue;
		}
		*last = (struct ledger_entry){
			.extent = extent, .kind = OWNER_FREE, .state = MEMORY_DIRTY};
		ledger->count++;
	}
}

static uint32_t find(const struct ledger *ledger, pa_t at)
{
	for (uint32_t i = 0; i < ledger->count; i++)
		if (range_inside(at.v, 1, ledger->entry[i].extent.base.v,
				 ledger->entry[i].extent.size))
			return i;
	return ledger->count;
}

const struct ledger_entry *ledger_find(const struct ledger *ledger, pa_t at)
{
	uint32_t i = find(ledger, at);

	return i < ledger->count ? &ledger->entry[i] : NULL;
}

/* Splits the entry that holds @at, if one does, so that one begins there. */
static void split(struct ledger *ledger, uint64_t at)
{
	uint32_t i = find(ledger, pa(at));
	struct ledger_entry *e = &ledger->entry[i];

	if (i == ledger->count || at == e->extent.base.v)
		return;
	memmove(e + 1, e, (ledger->count - i) * sizeof(*e));
	ledger->count++;
	e[1].extent = (struct extent){pa(at), extent_end(e->extent) - at};
	e[0].extent.size = at - e->extent.base.v;
}

/* Makes one of entry @i and the next when both are free and adjoin; false when not. Of two states (@mixed) it is the dirty one. */
static bool merge(struct ledger *ledger, uint32_t i, bool mixed)
{
	struct ledger_entry *e = &ledger->entry[i];

	if (i + 1 >= ledger->count || e[0].kind != OWNER_FREE || e[1].kind != OWNER_FREE ||
	    extent_end(e[0].extent) != e[1].extent.base.v || (e[0].state != e[1].state && !mixed))
		return false;
	if (e[0].state != e[1].state)
		e[0].state = MEMORY_DIRTY;
	e[0].extent.size += e[1].extent.size;
	ledger->count--;
	memmove(e + 1, e + 2, (ledger->count - i - 1) * sizeof(*e));
	return true;
}

enum bh_error ledger_take(struct ledger *ledger, struct extent extent, enum owner_kind kind,
			  uint32_t vm)
{
	const struct ledger_entry *first = ledger_find(ledger, extent.base);
	const struct ledger_entry *last = first;
	uint32_t i = 0;

	/* Up to the entry it ends in, as long as there is nothing but free memory. */
	while (last != NULL && last->kind == OWNER_FREE &&
	       extent_end(last->extent) < extent_end(extent) &&
	       last + 1 < ledger->entry + ledger->count &&
	       extent_end(last->extent) == last[1].extent.base.v)
		last++;
	if (last == NULL || last->kind != OWNER_FREE || extent.size == 0 ||
	    !range_inside(extent.base.v, extent.size, first->extent.base.v,
			  extent_end(last->extent) - first->extent.base.v))
		return BH_OVERLAP;
	while (ledger->count + 2 > LEDGER_MAX && i < ledger->count)
		i += !merge(ledger, i, true);
	if (ledger->count + 2 > LEDGER_MAX)
		return BH_TOO_MANY;

	split(ledger, extent_end(extent));
	split(ledger, extent.base.v);
	i = find(ledger, extent.base);
	while (ledger->entry[i].extent.size < extent.size && merge(ledger, i, true))
		;
	ledger->entry[i].kind = (uint16_t)kind;
	ledger->entry[i].vm = (uint16_t)vm;
	return BH_OK;
}

enum bh_error ledger_give(struct ledger *ledger, struct extent extent, enum memory_state state)
{
	uint32_t i = find(ledger, extent.base);
	struct ledger_entry *e = &ledger->entry[i];

	if (i == ledger->count || e->kind == OWNER_FREE || e->extent.base.v != extent.base.v ||
	    e->extent.size != extent.size)
		return BH_BAD_VALUE;
	*e = (struct ledger_entry){.extent = extent, .kind = OWNER_FREE, .state = (uint32_t)state};
	merge(ledger, i, false);
	if (i > 0)
		merge(ledger, i - 1, false);
	return BH_OK;
}

void ledger_mark(struct ledger *ledger, uint32_t vm, enum memory_state state)
{
	for (uint32_t i = 0; i < ledger->count; i++)
		if (ledger->entry[i].kind == OWNER_VM && ledger->entry[i].vm == vm)
			ledger->entry[i].state = state;
}

/* @extent must be exactly what one entry of @kind (and @vm) says. */
static bool owned(const struct ledger *ledger, struct extent extent, enum owner_kind kind,
		  uint32_t vm)
{
	const struct ledger_entry *e = ledger_find(ledger, extent.base);

	return e != NULL && e->kind == kind && e->vm == vm && e->extent.base.v == extent.base.v &&
	       e->extent.size == extent.size;
}

static bool owners_match(const struct ledger *ledger, const struct plan *plan)
{
	if (!owned(ledger, plan->core, OWNER_HYPERVISOR, 0))
		return false;
	for (uint32_t i = 0; i < plan->nimages; i++)
		if (!owned(ledger, plan->images[i], OWNER_IMAGES, 0))
			return false;
	for (uint32_t v = 0; v < plan->nvms; v++) {
		const struct plan_vm *vm = &plan->vm[v];

		for (uint32_t r = 0; r < vm->nregions; r++)
			if (!owned(ledger, vm->region[r].extent, OWNER_VM, v))
				return false;
		if (plan_vm_apart(plan, vm) && !owned(ledger, vm->hypervisor, OWNER_HYPERVISOR, v))
			return false;
	}
	return true;
}

enum bh_error ledger_check(const struct ledger *ledger, const struct plan *plan)
{
	uint32_t taken = 0;
	uint32_t planned = 1 + plan->nimages;
	uint64_t total = 0;

	for (uint32_t i = 0; i < ledger->count; i++) {
		const struct ledger_entry *e = &ledger->entry[i];

		if (i > 0 && extent_end(e[-1].extent) > e->extent.base.v)
			return BH_BAD_PLAN;
		taken += e->kind != OWNER_FREE;
		total += e->extent.size;
	}
	for (uint32_t v = 0; v < plan->nvms; v++)
		planned += plan->vm[v].nregions + plan_vm_apart(plan, &plan->vm[v]);
	return total == ledger->total && taken == planned && owners_match(ledger, plan)
		       ? BH_OK
		       : BH_BAD_PLAN;
}
