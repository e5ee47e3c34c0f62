/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <bulkhead/mm.h>

static struct ledger ledger;
static struct machine machine;
static struct plan plan;

static struct extent mib(uint64_t base, uint64_t size)
{
	return (struct extent){pa(base * MIB), size * MIB};
}

/* RAM from 0 to 1000 MiB and from 2000 to 3000 MiB. */
static int set_up(void **state)
{
	(void)state;
	memset(&machine, 0, sizeof(machine));
	memset(&plan, 0, sizeof(plan));
	machine.nmemory = 2;
	machine.memory[0].extent = mib(0, 1000);
	machine.memory[1].extent = mib(2000, 1000);
	ledger_init(&ledger, &machine);
	return 0;
}

static void take_ok(uint64_t base, uint64_t size, enum owner_kind kind, uint32_t vm)
{
	assert_int_equal(ledger_take(&ledger, mib(base, size), kind, vm), BH_OK);
}

static void expect(uint32_t index, uint64_t base, uint64_t size, enum owner_kind kind)
{
	const struct ledger_entry *e = &ledger.entry[index];

	assert_int_equal(e->extent.base.v, base * MIB);
	assert_int_equal(e->extent.size, size * MIB);
	assert_int_equal(e->kind, kind);
}

static void all_is_free_at_first(void **state)
{
	(void)state;
	assert_int_equal(ledger.count, 2);
	expect(0, 0, 1000, OWNER_FREE);
	expect(1, 2000, 1000, OWNER_FREE);
}

static void adjoining_ram_is_one_piece(void **state)
{
	(void)state;
	machine.memory[1].extent = mib(1000, 1000);
	ledger_init(&ledger, &machine);
	assert_int_equal(ledger.count, 1);
	take_ok(900, 200, OWNER_VM, 0);
	expect(1, 900, 200, OWNER_VM);
}

static void take_in_the_middle(void **state)
{
	(void)state;
	take_ok(100, 50, OWNER_VM, 3);
	assert_int_equal(ledger.count, 4);
	expect(0, 0, 100, OWNER_FREE);
	expect(1, 100, 50, OWNER_VM);
	expect(2, 150, 850, OWNER_FREE);
	expect(3, 2000, 1000, OWNER_FREE);
	assert_int_equal(ledger.entry[1].vm, 3);
}

static void take_at_the_begin(void **state)
{
	(void)state;
	take_ok(2000, 1, OWNER_IMAGES, 0);
	assert_int_equal(ledger.count, 3);
	expect(1, 2000, 1, OWNER_IMAGES);
	expect(2, 2001, 999, OWNER_FREE);
}

static void take_at_the_end(void **state)
{
	(void)state;
	take_ok(990, 10, OWNER_HYPERVISOR, 0);
	assert_int_equal(ledger.count, 3);
	expect(0, 0, 990, OWNER_FREE);
	expect(1, 990, 10, OWNER_HYPERVISOR);
}

static void take_a_whole_piece(void **state)
{
	(void)state;
	take_ok(0, 1000, OWNER_VM, 1);
	assert_int_equal(ledger.count, 2);
	expect(0, 0, 1000, OWNER_VM);
}

static void neighbours(void **state)
{
	(void)state;
	take_ok(100, 100, OWNER_VM, 0);
	take_ok(200, 100, OWNER_VM, 1);
	take_ok(0, 100, OWNER_VM, 2);
	assert_int_equal(ledger.count, 5);
	expect(2, 200, 100, OWNER_VM);
	expect(3, 300, 700, OWNER_FREE);
}

static void refuse(uint64_t base, uint64_t size)
{
	static struct ledger before;

	memcpy(&before, &ledger, sizeof(before));
	assert_int_equal(ledger_take(&ledger, mib(base, size), OWNER_VM, 9), BH_OVERLAP);
	assert_memory_equal(&before, &ledger, sizeof(before));
}

static void overlap_is_refused(void **state)
{
	(void)state;
	take_ok(100, 100, OWNER_VM, 0);
	refuse(100, 100);
	refuse(150, 10);
	refuse(199, 1);
	refuse(50, 51);
	refuse(199, 50);
	refuse(0, 1000);
}

static void memory_that_is_none_is_refused(void **state)
{
	(void)state;
	refuse(1500, 1);
	refuse(3000, 1);
	refuse(999, 2);
	refuse(1999, 2);
	refuse(10, 0);
}

static void sizes_that_wrap_are_refused(void **state)
{
	(void)state;
	assert_int_equal(ledger_take(&ledger, (struct extent){pa(MIB), UINT64_MAX}, OWNER_VM, 0),
			 BH_OVERLAP);
	assert_int_equal(ledger_take(&ledger, (struct extent){pa(UINT64_MAX - 1), 4}, OWNER_VM, 0),
			 BH_OVERLAP);
}

static void full_ledger_is_told(void **state)
{
	enum bh_error error = BH_OK;
	uint64_t at = 0;

	(void)state;
	for (; error == BH_OK; at += 2)
		error = ledger_take(&ledger, (struct extent){pa((at + 1) * PAGE_SIZE), PAGE_SIZE},
				    OWNER_VM, 0);
	assert_int_equal(error, BH_TOO_MANY);
	assert_true(ledger.count <= LEDGER_MAX && ledger.count + 2 > LEDGER_MAX);
	for (uint32_t i = 1; i < ledger.count; i++)
		assert_true(extent_end(ledger.entry[i - 1].extent) <=
			    ledger.entry[i].extent.base.v);
}

static void largest_plan_fits(void **state)
{
	uint32_t owners = 1 + CONFIG_MAX_VMS * (PLAN_MAX_IMAGES + CONFIG_MAX_REGIONS_PER_VM + 1);

	(void)state;
	machine.nmemory = MACHINE_MAX_MEMORY;
	for (uint32_t i = 0; i < machine.nmemory; i++)
		machine.memory[i].extent = mib(i * 100ULL, 99);
	ledger_init(&ledger, &machine);
	for (uint32_t i = 0; i < owners; i++)
		take_ok((i % machine.nmemory) * 100ULL + 1 + i / machine.nmemory * 2ULL, 1,
			OWNER_VM, 0);
	assert_true(ledger.count <= LEDGER_MAX);
}

/* ---- Giving back ---- */

static struct ledger saved;

static void save(void)
{
	saved = ledger;
}

/* What the ledger says is what it said; behind its count may stand anything. */
static void expect_saved(void)
{
	assert_int_equal(ledger.count, saved.count);
	assert_memory_equal(ledger.entry, saved.entry, saved.count * sizeof(saved.entry[0]));
}

static void give_ok(uint64_t base, uint64_t size)
{
	assert_int_equal(ledger_give(&ledger, mib(base, size)), BH_OK);
}

static void given_back_is_as_before(void **state)
{
	(void)state;
	save();
	take_ok(100, 50, OWNER_VM, 3);
	give_ok(100, 50);
	expect_saved();
	take_ok(0, 1000, OWNER_VM, 3); /* a whole piece */
	take_ok(2000, 10, OWNER_HYPERVISOR, 3); /* its begin */
	take_ok(2990, 10, OWNER_VM, 4); /* its end */
	give_ok(2990, 10);
	give_ok(0, 1000);
	give_ok(2000, 10);
	expect_saved();
}

static void owned_neighbours_stay(void **state)
{
	(void)state;
	take_ok(100, 100, OWNER_VM, 0);
	take_ok(300, 100, OWNER_VM, 1);
	take_ok(200, 100, OWNER_VM, 2);
	give_ok(200, 100);
	assert_int_equal(ledger.count, 6);
	expect(1, 100, 100, OWNER_VM);
	expect(2, 200, 100, OWNER_FREE);
	expect(3, 300, 100, OWNER_VM);
	give_ok(100, 100);
	expect(0, 0, 300, OWNER_FREE);
}

static void pieces_of_ram_stay_apart(void **state)
{
	(void)state;
	take_ok(0, 1000, OWNER_VM, 0);
	take_ok(2000, 1000, OWNER_VM, 0);
	give_ok(0, 1000);
	give_ok(2000, 1000);
	assert_int_equal(ledger.count, 2);
	expect(0, 0, 1000, OWNER_FREE);
	expect(1, 2000, 1000, OWNER_FREE);
}

static void take_across_an_owner_changes_nothing(void **state)
{
	(void)state;
	take_ok(390, 1, OWNER_VM, 1);
	refuse(100, 400);
	refuse(150, 241);
	refuse(390, 10);
	refuse(900, 101);
}

static void give_refused(uint64_t base, uint64_t size)
{
	save();
	assert_int_equal(ledger_give(&ledger, mib(base, size)), BH_BAD_VALUE);
	assert_memory_equal(&saved, &ledger, sizeof(saved));
}

static void only_what_was_taken_is_given_back(void **state)
{
	(void)state;
	take_ok(100, 100, OWNER_VM, 0);
	take_ok(200, 100, OWNER_VM, 0);
	give_refused(100, 50);
	give_refused(150, 50);
	give_refused(100, 200);
	give_refused(50, 150);
	give_refused(0, 100); /* free */
	give_refused(100, 0);
	give_refused(1500, 10); /* no memory */
	assert_int_equal(ledger_give(&ledger, (struct extent){pa(100 * MIB), UINT64_MAX}),
			 BH_BAD_VALUE);
}

static void full_ledger_takes_back(void **state)
{
	uint64_t last = 0;

	(void)state;
	for (uint64_t at = 1; at < 1000 * MIB / PAGE_SIZE; at += 2) {
		if (ledger_take(&ledger, (struct extent){pa(at * PAGE_SIZE), PAGE_SIZE}, OWNER_VM,
				0) != BH_OK)
			break;
		last = at;
	}
	save();
	assert_int_equal(ledger_take(&ledger, mib(2500, 1), OWNER_VM, 0), BH_TOO_MANY);
	expect_saved();
	for (uint64_t at = 1; at <= last; at += 2)
		assert_int_equal(
			ledger_give(&ledger, (struct extent){pa(at * PAGE_SIZE), PAGE_SIZE}),
			BH_OK);
	all_is_free_at_first(NULL);
}

/* As the core does: what was taken before one was refused goes back. */
static void roll_back(void **state)
{
	(void)state;
	take_ok(700, 10, OWNER_VM, 0);
	save();
	take_ok(0, 100, OWNER_VM, 1);
	take_ok(2000, 100, OWNER_VM, 1);
	assert_int_equal(ledger_take(&ledger, mib(705, 10), OWNER_HYPERVISOR, 1), BH_OVERLAP);
	give_ok(2000, 100);
	give_ok(0, 100);
	expect_saved();
}

static void find_knows_both_ends(void **state)
{
	(void)state;
	take_ok(100, 100, OWNER_VM, 7);
	assert_int_equal(ledger_find(&ledger, pa(100 * MIB)), 1);
	assert_int_equal(ledger_find(&ledger, pa(200 * MIB - 1)), 1);
	assert_int_equal(ledger_find(&ledger, pa(200 * MIB)), 2);
	assert_int_equal(ledger_find(&ledger, pa(0)), 0);
	assert_int_equal(ledger_find(&ledger, pa(1000 * MIB)), ledger.count);
	assert_int_equal(ledger_find(&ledger, pa(3000 * MIB)), ledger.count);
	assert_int_equal(ledger_find(&ledger, pa(UINT64_MAX)), ledger.count);
}

/* ---- The check ---- */

static void add_region(uint32_t vm, uint64_t base, uint64_t size)
{
	struct plan_vm *p = &plan.vm[vm];

	p->region[p->nregions++] = (struct plan_region){.extent = mib(base, size)};
	take_ok(base, size, OWNER_VM, vm);
}

/* Entries: core 0, free 1, images 2 and 3, free 4, VM 1's 5 and 6, free 7. */
static int set_up_plan(void **state)
{
	set_up(state);
	plan.core = mib(0, 4);
	plan.nimages = 2;
	plan.images[0] = mib(6, 2);
	plan.images[1] = mib(8, 2);
	plan.nvms = 2;
	take_ok(0, 4, OWNER_HYPERVISOR, 0);
	take_ok(6, 2, OWNER_IMAGES, 0);
	take_ok(8, 2, OWNER_IMAGES, 0);
	add_region(0, 100, 50);
	add_region(1, 150, 50);
	add_region(1, 2000, 500);
	return 0;
}

static void good_ledger_passes(void **state)
{
	(void)state;
	assert_int_equal(ledger_check(&ledger, &plan), BH_OK);
}

static void expect_bad(void)
{
	assert_int_equal(ledger_check(&ledger, &plan), BH_BAD_PLAN);
}

/* Every owned entry: what belongs to somebody is changed in each of its fields. */
static void every_changed_owner_is_found(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < ledger.count; i++) {
		struct ledger_entry *e = &ledger.entry[i];
		struct ledger_entry before = *e;

		e->kind = before.kind == OWNER_FREE ? OWNER_VM : OWNER_FREE;
		expect_bad();
		*e = before;
		if (before.kind == OWNER_FREE)
			continue;
		e->kind = before.kind == OWNER_VM ? OWNER_HYPERVISOR : OWNER_VM;
		expect_bad();
		*e = before;
		e->vm ^= 1;
		expect_bad();
		*e = before;
		assert_int_equal(ledger_check(&ledger, &plan), BH_OK);
	}
}

static void every_changed_size_is_found(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < ledger.count; i++) {
		struct ledger_entry *e = &ledger.entry[i];
		struct ledger_entry before = *e;

		if (before.kind == OWNER_FREE)
			continue;
		e->extent.size -= PAGE_SIZE;
		expect_bad();
		*e = before;
		e->extent.size += PAGE_SIZE;
		expect_bad();
		*e = before;
		e->extent.base.v += PAGE_SIZE;
		expect_bad();
		*e = before;
	}
}

static void overlapping_entries_are_found(void **state)
{
	(void)state;
	for (uint32_t i = 0; i + 1 < ledger.count; i++) {
		uint64_t size = ledger.entry[i].extent.size;

		ledger.entry[i].extent.size =
			ledger.entry[i + 1].extent.base.v - ledger.entry[i].extent.base.v + 1;
		expect_bad();
		ledger.entry[i].extent.size = size;
	}
}

static void entries_out_of_order_are_found(void **state)
{
	struct ledger_entry first = ledger.entry[0];

	(void)state;
	ledger.entry[0] = ledger.entry[1];
	ledger.entry[1] = first;
	expect_bad();
}

static void owner_without_a_plan_is_found(void **state)
{
	(void)state;
	take_ok(500, 2, OWNER_VM, 0);
	expect_bad();
}

/* An extent the hypervisor has for VM 1 outside of plan.core. */
static void extent_apart_is_checked(void **state)
{
	struct plan_vm *vm = &plan.vm[1];

	(void)state;
	vm->hypervisor = mib(600, 2);
	expect_bad();
	take_ok(600, 2, OWNER_HYPERVISOR, 1);
	assert_int_equal(ledger_check(&ledger, &plan), BH_OK);
	every_changed_owner_is_found(NULL);
	vm->hypervisor.size = 0;
	expect_bad();
	vm->hypervisor = mib(602, 2);
	expect_bad();
	vm->hypervisor = mib(600, 2);
	plan.vm[0].hypervisor = mib(2, 1); /* in plan.core: no entry of its own */
	assert_int_equal(ledger_check(&ledger, &plan), BH_OK);
}

static void vacant_slots_own_nothing(void **state)
{
	(void)state;
	plan.nvms = 4;
	assert_int_equal(ledger_check(&ledger, &plan), BH_OK);
	memset(&plan.vm[0], 0, sizeof(plan.vm[0]));
	expect_bad();
	assert_int_equal(ledger_give(&ledger, mib(100, 50)), BH_OK);
	assert_int_equal(ledger_check(&ledger, &plan), BH_OK);
}

static void plan_without_an_owner_is_found(void **state)
{
	(void)state;
	plan.vm[0].region[1] = (struct plan_region){.extent = mib(600, 2)};
	plan.vm[0].nregions = 2;
	expect_bad();
	plan.vm[0].nregions = 1;
	plan.nimages = 3;
	plan.images[2] = mib(700, 2);
	expect_bad();
	plan.nimages = 2;
	plan.core.size += PAGE_SIZE;
	expect_bad();
}

static void missing_entry_is_found(void **state)
{
	(void)state;
	ledger.count--; /* free memory at the end */
	expect_bad();
}

static void lost_free_memory_is_found(void **state)
{
	(void)state;
	ledger.entry[ledger.count - 1].extent.size -= PAGE_SIZE;
	expect_bad();
}

#define FRESH(test) cmocka_unit_test_setup(test, set_up)
#define PLANNED(test) cmocka_unit_test_setup(test, set_up_plan)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FRESH(all_is_free_at_first),
		FRESH(adjoining_ram_is_one_piece),
		FRESH(take_in_the_middle),
		FRESH(take_at_the_begin),
		FRESH(take_at_the_end),
		FRESH(take_a_whole_piece),
		FRESH(neighbours),
		FRESH(overlap_is_refused),
		FRESH(memory_that_is_none_is_refused),
		FRESH(sizes_that_wrap_are_refused),
		FRESH(full_ledger_is_told),
		FRESH(largest_plan_fits),
		FRESH(given_back_is_as_before),
		FRESH(owned_neighbours_stay),
		FRESH(pieces_of_ram_stay_apart),
		FRESH(take_across_an_owner_changes_nothing),
		FRESH(only_what_was_taken_is_given_back),
		FRESH(full_ledger_takes_back),
		FRESH(roll_back),
		FRESH(find_knows_both_ends),
		PLANNED(good_ledger_passes),
		PLANNED(every_changed_owner_is_found),
		PLANNED(every_changed_size_is_found),
		PLANNED(overlapping_entries_are_found),
		PLANNED(entries_out_of_order_are_found),
		PLANNED(owner_without_a_plan_is_found),
		PLANNED(extent_apart_is_checked),
		PLANNED(vacant_slots_own_nothing),
		PLANNED(plan_without_an_owner_is_found),
		PLANNED(missing_entry_is_found),
		PLANNED(lost_free_memory_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
