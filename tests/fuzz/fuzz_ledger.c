/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random takes and gives, against one byte for each page that says whose it is
 * and one for its state; then a plan is made of it and checked.
 */
#include "input.h"

#include <stdlib.h>
#include <string.h>

#include <bulkhead/mm.h>

#define PAGES 256
#define NOTHING 0xff /* no RAM there */

static struct ledger ledger;
static struct machine machine;
static struct plan plan;
static uint8_t owner[PAGES + 1]; /* 0: free; 1: the hypervisor; 2: images; 3 + v: VM v */
static bool taken;

static void make_machine(void)
{
	uint32_t at = 0;

	memset(owner, NOTHING, sizeof(owner));
	memset(&machine, 0, sizeof(machine));
	machine.nmemory = 1 + input_byte() % 6;
	for (uint32_t i = 0; i < machine.nmemory; i++) {
		uint32_t gap = input_byte() % 4;
		uint32_t pages = 1 + input_byte() % 36;

		at += gap;
		machine.memory[i].extent = (struct extent){pa(at * PAGE_SIZE), pages * PAGE_SIZE};
		memset(owner + at, 0, pages);
		at += pages;
	}
	ledger_init(&ledger, &machine);
}

static void check_ledger(void)
{
	uint64_t end = 0;

	for (uint32_t i = 0; i < ledger.count; i++) {
		const struct ledger_entry *e = &ledger.entry[i];

		CHECK(e->extent.size != 0 && e->extent.base.v >= end);
		/* Free neighbours are one. */
		CHECK(i == 0 || e->extent.base.v != end || e->kind != OWNER_FREE ||
		      e[-1].kind != OWNER_FREE);
		end = extent_end(e->extent);
	}
	for (uint32_t p = 0; p < PAGES; p++) {
		uint32_t i = ledger_find(&ledger, pa(p * PAGE_SIZE + 77));
		const struct ledger_entry *e = &ledger.entry[i];

		CHECK((i == ledger.count) == (owner[p] == NOTHING));
		if (i == ledger.count)
			continue;
		uint32_t who = e->kind < OWNER_VM ? e->kind : 3U + e->vm;
		CHECK(who == owner[p]);
	}
}

static bool all_free(uint32_t first, uint32_t pages)
{
	if (pages == 0)
		return false;
	for (uint32_t p = first; p < first + pages; p++)
		if (p >= PAGES || owner[p] != 0)
			return false;
	return true;
}

/* The plan that says the same as the ledger should. */
static void add_to_plan(struct extent extent, uint32_t who)
{
	struct plan_vm *vm = &plan.vm[who >= 3 ? who - 3 : 0];

	if (who == 1)
		plan.core = extent;
	else if (who == 2)
		plan.images[plan.nimages++] = extent;
	else
		vm->region[vm->nregions++] = (struct plan_region){.extent = extent};
}

static bool plan_has_room(uint32_t who)
{
	if (who == 1)
		return plan.core.size == 0;
	if (who == 2)
		return plan.nimages < ARRAY_SIZE(plan.images);
	return plan.vm[who - 3].nregions < CONFIG_MAX_REGIONS_PER_VM;
}

static void take(void)
{
	uint32_t first = input_byte();
	uint32_t pages = input_byte() % 12;
	uint32_t who = 1 + input_byte() % 8;
	struct extent extent = {pa(first * PAGE_SIZE), pages * PAGE_SIZE};
	bool room = ledger.count + 2 <= LEDGER_MAX;

	if (!plan_has_room(who))
		return;
	enum bh_error error = ledger_take(
		&ledger, extent, who < 3 ? (enum owner_kind)who : OWNER_VM, who < 3 ? 0 : who - 3);
	CHECK((error == BH_OK) == (all_free(first, pages) && room));
	if (error != BH_OK)
		return;
	memset(owner + first, (int)who, pages);
	add_to_plan(extent, who);
	taken = taken || who == 1;
}

/* Gives a region of a VM back; what is not exactly one is refused. */
static void give(void)
{
	struct plan_vm *vm = &plan.vm[input_byte() % 6];
	uint32_t r = input_byte() % CONFIG_MAX_REGIONS_PER_VM;
	struct extent extent = vm->region[r].extent;

	if (r >= vm->nregions)
		return;
	extent.size += PAGE_SIZE;
	CHECK(ledger_give(&ledger, extent) == BH_BAD_VALUE);
	extent.size -= PAGE_SIZE;
	CHECK(ledger_give(&ledger, extent) == BH_OK);
	CHECK(ledger_give(&ledger, extent) == BH_BAD_VALUE);
	memset(owner + extent.base.v / PAGE_SIZE, 0, extent.size / PAGE_SIZE);
	vm->region[r] = vm->region[--vm->nregions];
}

/* One wrong page in the plan and the check says no. */
static void check_plan(void)
{
	plan.nvms = 6;
	if (!taken) {
		CHECK(ledger_check(&ledger, &plan) == BH_BAD_PLAN);
		return;
	}
	CHECK(ledger_check(&ledger, &plan) == BH_OK);
	plan.core.size += PAGE_SIZE;
	CHECK(ledger_check(&ledger, &plan) == BH_BAD_PLAN);
	plan.core.size -= PAGE_SIZE;
	for (uint32_t v = 0; v < plan.nvms; v++) {
		if (plan.vm[v].nregions == 0)
			continue;
		plan.vm[v].nregions--;
		CHECK(ledger_check(&ledger, &plan) == BH_BAD_PLAN);
		plan.vm[v].nregions++;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	input = data;
	input_left = size;
	taken = false;
	memset(&plan, 0, sizeof(plan));
	make_machine();
	for (uint32_t step = 0; input_left != 0 && step < 80; step++) {
		if (input_byte() % 8 < 3)
			give();
		else
			take();
		check_ledger();
	}
	check_plan();
	return 0;
}
