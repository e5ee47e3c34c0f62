/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "boot/smbios.h"

#define BIOS                                                                                       \
	"\x00\x05\x00\x00\x01"                                                                     \
	"firm\0\0"
#define SYSTEM(maker, product) "\x01\x06\x01\x00\x01\x02" maker "\0" product "\0\0"
#define END "\x7f\x04\x02\x00\0\0"

/* The bytes in memory of their own, so that the sanitizer sees a step outside. */
static bool name_of(const char *bytes, size_t size, char *name, size_t name_size)
{
	uint8_t *copy = malloc(size);

	memcpy(copy, bytes, size);
	memcpy(name, "before", sizeof("before"));
	bool found = smbios_system_name(copy, size, name, name_size);
	free(copy);
	return found;
}

static void maker_and_product(void **state)
{
	static const char table[] = BIOS SYSTEM("Ampere", "Altra Q80") END;
	char name[64];

	(void)state;
	assert_true(name_of(table, sizeof(table) - 1, name, sizeof(name)));
	assert_string_equal(name, "Ampere Altra Q80");
}

static void maker_is_not_said_twice(void **state)
{
	static const char table[] = SYSTEM("QEMU", "QEMU Virtual Machine") END;
	char name[64];

	(void)state;
	assert_true(name_of(table, sizeof(table) - 1, name, sizeof(name)));
	assert_string_equal(name, "QEMU Virtual Machine");
}

static void long_names_are_cut(void **state)
{
	static const char table[] = SYSTEM("Ampere", "Altra Q80") END;
	char name[8];

	(void)state;
	assert_true(name_of(table, sizeof(table) - 1, name, sizeof(name)));
	assert_string_equal(name, "Ampere ");
}

static void no_system_structure(void **state)
{
	static const char table[] = BIOS END;
	char name[64];

	(void)state;
	assert_false(name_of(table, sizeof(table) - 1, name, sizeof(name)));
	assert_string_equal(name, "before");
}

static void cut_off_anywhere(void **state)
{
	static const char table[] = BIOS SYSTEM("Ampere", "Altra") END;
	char name[64];

	(void)state;
	for (size_t size = 1; size < sizeof(BIOS) + sizeof("\x01\x06\x01\x00\x01\x02"
							   "Ampere");
	     size++)
		assert_false(name_of(table, size, name, sizeof(name)));
}

static void length_shorter_than_its_header(void **state)
{
	static const char table[] = "\x00\x02\x00\x00\x01"
				    "\0\0" SYSTEM("a", "b") END;
	char name[64];

	(void)state;
	assert_false(name_of(table, sizeof(table) - 1, name, sizeof(name)));
}

static void entry_points_of_both_kinds(void **state)
{
	static const uint8_t new[24] = {
		'_', 'S', 'M', '3', '_', [0xc] = 0x34, [0xd] = 0x12, [0x10] = 0x78, [0x14] = 1};
	static const uint8_t old[31] = {
		'_', 'S', 'M', '_', [0x16] = 0x34, [0x17] = 0x12, [0x18] = 0x78, [0x1b] = 0x80};
	static const uint8_t other[31] = {'_', 'D', 'M', 'I', '_'};
	struct extent table;

	(void)state;
	assert_true(smbios_structures(new, &table));
	assert_int_equal(table.base.v, 0x100000078);
	assert_int_equal(table.size, 0x1234);
	assert_true(smbios_structures(old, &table));
	assert_int_equal(table.base.v, 0x80000078);
	assert_int_equal(table.size, 0x1234);
	assert_false(smbios_structures(other, &table));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(maker_and_product),
		cmocka_unit_test(maker_is_not_said_twice),
		cmocka_unit_test(long_names_are_cut),
		cmocka_unit_test(no_system_structure),
		cmocka_unit_test(cut_off_anywhere),
		cmocka_unit_test(length_shorter_than_its_header),
		cmocka_unit_test(entry_points_of_both_kinds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
