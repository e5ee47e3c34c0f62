/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/fake.h"

static const struct host_vm one[] = {{.name = "one", .ncores = 1, .mib = 8}};

#define RW (HOST_MAY_READ | HOST_MAY_WRITE)
#define FAR ((uint64_t)0x123456 << 24) /* nobody's RAM: own_map() does not touch what it maps */

static struct page_pool pool;

/* A machine on which @entry runs instead of core_main(). */
static void run(void (*entry)(const struct boot_info *info), enum host_end end)
{
	host_boot(host_make(2, one, 1), entry);
	fake_expect(end);
}

static void build(const struct boot_info *info)
{
	log_start(&info->machine);
	pool = (struct page_pool){info->pool.base, info->pool.size / PAGE_SIZE};
	own_space_build(info, &pool);
}

/* In a coroutine a failed assertion cannot jump out; BH_CHECK() ends the machine instead. */
static void expect(uint64_t at, uint32_t access)
{
	BH_CHECK(host_access(pa(at)) == access);
}

static void each_segment(const struct boot_info *info)
{
	build(info);
	expect(info->text.base.v, HOST_MAY_READ | HOST_MAY_EXECUTE);
	expect(extent_end(info->text) - 1, HOST_MAY_READ | HOST_MAY_EXECUTE);
	expect(info->rodata.base.v, HOST_MAY_READ);
	expect(info->data.base.v, RW);
	expect(ptr_to_pa(info).v, HOST_MAY_READ);
	expect(ptr_to_pa(info).v + sizeof(*info) - 1, HOST_MAY_READ);
	expect(info->machine.uart.v, RW);
	expect(info->pool.base.v, 0);
	expect(info->plan.vm[0].region[0].extent.base.v, 0);
	expect(0, 0);
	arch_power_off();
}

FAKE_TEST(segments_have_their_rights)
{
	run(each_segment, HOST_OFF);
}

static void maps_and_unmaps(const struct boot_info *info)
{
	const struct plan_region *region = &info->plan.vm[0].region[0];
	struct extent extent = region->extent;

	build(info);
	own_map(extent, PT_DATA);
	expect(extent.base.v, RW);
	expect(extent_end(extent) - 1, RW);
	own_unmap(extent);
	expect(extent.base.v, 0);
	expect(extent_end(extent) - 1, 0);
	expect(info->data.base.v, RW);
	arch_power_off();
}

FAKE_TEST(map_and_unmap)
{
	run(maps_and_unmaps, HOST_OFF);
	uint32_t count, i = fake_find(HOST_OWN_UNMAPPED, PLAN_NONE, 0);
	const struct host_event *event = host_events(&count);

	assert_true(i < count);
	assert_int_equal(event[i].size, 8 * MIB);
}

static void reserves(const struct boot_info *info)
{
	struct extent extent = {pa(FAR), 4 * MIB};

	build(info);
	uint64_t before = pool.pages;
	own_reserve(extent);
	BH_CHECK(pool.pages < before && before - pool.pages <= 2);
	expect(FAR, 0);

	own_space_seal();
	before = pool.pages;
	own_map(extent, PT_DATA);
	expect(FAR, RW);
	expect(FAR + 4 * MIB - 1, RW);
	own_unmap(extent);
	own_map(extent, PT_DATA);
	BH_CHECK(pool.pages == before);
	arch_power_off();
}

FAKE_TEST(reserve_takes_the_tables_and_maps_nothing)
{
	run(reserves, HOST_OFF);
}

static void maps_after_seal(const struct boot_info *info)
{
	build(info);
	own_space_seal();
	own_map((struct extent){pa(FAR), PAGE_SIZE}, PT_DATA);
	arch_power_off();
}

FAKE_TEST(sealed_space_takes_no_tables)
{
	run(maps_after_seal, HOST_HALTED);
	assert_true(fake_said("PANIC: cannot map 0x"));
	assert_true(fake_said(bh_strerror(BH_NO_MEMORY)));
}

static void maps_twice(const struct boot_info *info)
{
	build(info);
	own_map((struct extent){info->data.base, PAGE_SIZE}, PT_DATA);
	arch_power_off();
}

FAKE_TEST(mapping_twice_stops_the_machine)
{
	run(maps_twice, HOST_HALTED);
	assert_true(fake_said(bh_strerror(BH_OVERLAP)));
}

static void reserves_in_shared_gib(const struct boot_info *info)
{
	build(info);
	own_reserve((struct extent){pa(FAR), 2 * MIB});
	uint64_t before = pool.pages;
	own_reserve((struct extent){pa(FAR + 2 * MIB), 2 * MIB});
	BH_CHECK(pool.pages == before);
	own_space_seal();
	own_map((struct extent){pa(FAR), 2 * MIB}, PT_DATA);
	own_map((struct extent){pa(FAR + 2 * MIB), 2 * MIB}, PT_DATA);
	own_unmap((struct extent){pa(FAR), 2 * MIB});
	expect(FAR, 0);
	expect(FAR + 2 * MIB, RW);
	arch_power_off();
}

FAKE_TEST(two_extents_share_a_table)
{
	run(reserves_in_shared_gib, HOST_OFF);
}

static void reserves_gibs(const struct boot_info *info)
{
	struct extent extent = {pa(FAR & ~(GIB - 1)), 2 * GIB};

	build(info);
	uint64_t before = pool.pages;
	own_reserve(extent);
	BH_CHECK(before - pool.pages <= 3); /* a table of blocks for each GiB, and the one above */
	own_space_seal();
	own_map(extent, PT_DATA);
	expect(extent.base.v + GIB, RW);
	arch_power_off();
}

FAKE_TEST(whole_gibs_map_after_the_seal)
{
	run(reserves_gibs, HOST_OFF);
}

FAKE_TEST(boot_maps_every_stack_behind_a_guard)
{
	static const struct host_vm none[] = {{.name = "one", .ncores = 63, .mib = 8}};

	fake_boot(64, none, 1); /* arch_cpu_on() of the fake machine looks at each stack */
	assert_true(fake_said("64 cores up"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(segments_have_their_rights),
		cmocka_unit_test(map_and_unmap),
		cmocka_unit_test(reserve_takes_the_tables_and_maps_nothing),
		cmocka_unit_test(sealed_space_takes_no_tables),
		cmocka_unit_test(mapping_twice_stops_the_machine),
		cmocka_unit_test(two_extents_share_a_table),
		cmocka_unit_test(whole_gibs_map_after_the_seal),
		cmocka_unit_test(boot_maps_every_stack_behind_a_guard),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
