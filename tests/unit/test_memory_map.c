/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "boot/memory_map.h"

/* EFI_MEMORY_TYPE */
enum { RESERVED, LOADER_CODE, LOADER_DATA, BS_CODE, BS_DATA, RT_CODE, RT_DATA, FREE, BAD, ACPI };

#define WB 8ULL
#define STRIDE 48 /* as AAVMF: longer than the structure */

static uint8_t buffer[300 * STRIDE];
static struct memory_map map;
static struct node_map nodes;
static struct machine machine;
static struct bh_report report;

static int setup(void **state)
{
	(void)state;
	memset(&nodes, 0, sizeof(nodes));
	memset(&machine, 0, sizeof(machine));
	map = (struct memory_map){buffer, 0, sizeof(buffer), STRIDE};
	return 0;
}

static void add_with(uint32_t type, uint64_t base, uint64_t pages, uint64_t attributes)
{
	struct memory_descriptor d = {
		.type = type, .base = base, .pages = pages, .attributes = attributes};

	memcpy(buffer + map.size, &d, sizeof(d));
	map.size += STRIDE;
}

static void add(uint32_t type, uint64_t base, uint64_t pages)
{
	add_with(type, base, pages, WB);
}

static enum bh_error run(void)
{
	return memory_from_map(&map, &nodes, &machine, &report);
}

static void expect(uint32_t i, uint64_t base, uint64_t size, uint32_t node)
{
	assert_true(i < machine.nmemory);
	assert_int_equal(machine.memory[i].extent.base.v, base);
	assert_int_equal(machine.memory[i].extent.size, size);
	assert_int_equal(machine.memory[i].node, node);
}

static void loader_and_boot_services_are_usable(void **state)
{
	(void)state;
	add(LOADER_CODE, 0x10000, 1);
	add(LOADER_DATA, 0x11000, 1);
	add(BS_CODE, 0x12000, 1);
	add(BS_DATA, 0x13000, 1);
	add(FREE, 0x14000, 1);
	assert_int_equal(run(), BH_OK);
	assert_int_equal(machine.nmemory, 1);
	expect(0, 0x10000, 0x5000, 0);
}

static void runtime_and_tables_are_not(void **state)
{
	(void)state;
	add(FREE, 0x10000, 1);
	add(RT_CODE, 0x11000, 1);
	add(RT_DATA, 0x12000, 1);
	add(ACPI, 0x13000, 1);
	add(RESERVED, 0x14000, 1);
	add(BAD, 0x15000, 1);
	add(FREE, 0x16000, 2);
	assert_int_equal(run(), BH_OK);
	assert_int_equal(machine.nmemory, 2);
	expect(0, 0x10000, 0x1000, 0);
	expect(1, 0x16000, 0x2000, 0);
}

static void an_unsorted_map_is_sorted(void **state)
{
	(void)state;
	add(FREE, 0x40000, 1);
	add(FREE, 0x10000, 1);
	add(FREE, 0x30000, 1);
	add(FREE, 0x11000, 1);
	assert_int_equal(run(), BH_OK);
	assert_int_equal(machine.nmemory, 3);
	expect(0, 0x10000, 0x2000, 0);
	expect(1, 0x30000, 0x1000, 0);
	expect(2, 0x40000, 0x1000, 0);
}

static void only_write_back_memory_is_used(void **state)
{
	(void)state;
	add_with(FREE, 0x10000, 1, 1);
	add_with(FREE, 0x20000, 1, WB | 0x8000); /* non-volatile */
	add_with(FREE, 0x30000, 1, WB | 0x40000); /* specific purpose */
	add(FREE, 0x40000, 1);
	assert_int_equal(run(), BH_OK);
	assert_int_equal(machine.nmemory, 1);
	expect(0, 0x40000, 0x1000, 0);
}

static void memory_is_cut_at_nodes(void **state)
{
	(void)state;
	nodes.count = 2;
	nodes.range[0] = (struct machine_memory){{{0x20000}, 0x10000}, 1, 0};
	nodes.range[1] = (struct machine_memory){{{0x30000}, 0x10000}, 2, 0};
	add(FREE, 0x10000, 0x40);
	assert_int_equal(run(), BH_OK);
	assert_int_equal(machine.nmemory, 4);
	expect(0, 0x10000, 0x10000, 0);
	expect(1, 0x20000, 0x10000, 1);
	expect(2, 0x30000, 0x10000, 2);
	expect(3, 0x40000, 0x10000, 0);
}

static void neighbours_of_one_node_are_joined(void **state)
{
	(void)state;
	nodes.count = 2;
	nodes.range[0] = (struct machine_memory){{{0x10000}, 0x1000}, 3, 0};
	nodes.range[1] = (struct machine_memory){{{0x11000}, 0x1000}, 3, 0};
	add(FREE, 0x10000, 2);
	assert_int_equal(run(), BH_OK);
	assert_int_equal(machine.nmemory, 1);
	expect(0, 0x10000, 0x2000, 3);
}

static void overlaps_are_refused(void **state)
{
	(void)state;
	add(RT_DATA, 0x10000, 2);
	add(FREE, 0x11000, 1);
	assert_int_equal(run(), BH_BAD_MACHINE);
}

static void sizes_that_wrap_are_refused(void **state)
{
	(void)state;
	add(FREE, 0x10000, UINT64_MAX / 2);
	assert_int_equal(run(), BH_BAD_MACHINE);
	setup(NULL);
	add(FREE, UINT64_MAX - 0xfff, 1);
	assert_int_equal(run(), BH_BAD_MACHINE);
}

static void descriptors_too_short_are_refused(void **state)
{
	(void)state;
	add(FREE, 0x10000, 1);
	map.stride = 32;
	assert_int_equal(run(), BH_BAD_MACHINE);
	map.stride = STRIDE;
	map.size--;
	assert_int_equal(run(), BH_BAD_MACHINE);
}

static void no_memory_is_refused(void **state)
{
	(void)state;
	add(RT_DATA, 0x10000, 2);
	add(FREE, 0x20000, 0);
	assert_int_equal(run(), BH_BAD_MACHINE);
	assert_string_equal(report.text, "the firmware leaves no usable memory");
}

static void too_many_pieces_are_refused(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < MACHINE_MAX_MEMORY; i++)
		add(FREE, 0x10000 + i * 0x2000, 1);
	assert_int_equal(run(), BH_OK);
	assert_int_equal(machine.nmemory, MACHINE_MAX_MEMORY);
	add(FREE, 0x10000 + MACHINE_MAX_MEMORY * 0x2000, 1);
	assert_int_equal(run(), BH_TOO_MANY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(loader_and_boot_services_are_usable, setup),
		cmocka_unit_test_setup(runtime_and_tables_are_not, setup),
		cmocka_unit_test_setup(an_unsorted_map_is_sorted, setup),
		cmocka_unit_test_setup(only_write_back_memory_is_used, setup),
		cmocka_unit_test_setup(memory_is_cut_at_nodes, setup),
		cmocka_unit_test_setup(neighbours_of_one_node_are_joined, setup),
		cmocka_unit_test_setup(overlaps_are_refused, setup),
		cmocka_unit_test_setup(sizes_that_wrap_are_refused, setup),
		cmocka_unit_test_setup(descriptors_too_short_are_refused, setup),
		cmocka_unit_test_setup(no_memory_is_refused, setup),
		cmocka_unit_test_setup(too_many_pieces_are_refused, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
