/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "boot/cpio.h"

#define FILE_MODE 0100644
#define FOLDER_MODE 040755

static struct {
	uint8_t bytes[4096];
	size_t size;
} archive;

static struct bh_report report;

static void pad(void)
{
	while (archive.size % 4 != 0)
		archive.bytes[archive.size++] = 0;
}

static void add(const char *name, unsigned int mode, const void *data, size_t size)
{
	char header[128];

	snprintf(header, sizeof(header),
		 "070701%08X%08X%08X%08X%08X%08X%08zX%08X%08X%08X%08X%08zX%08X", 1U, mode, 0U, 0U,
		 1U, 0U, size, 0U, 0U, 0U, 0U, strlen(name) + 1, 0U);
	memcpy(archive.bytes + archive.size, header, 110);
	archive.size += 110;
	memcpy(archive.bytes + archive.size, name, strlen(name) + 1);
	archive.size += strlen(name) + 1;
	pad();
	if (size != 0)
		memcpy(archive.bytes + archive.size, data, size);
	archive.size += size;
	pad();
}

/* Overwrites field @index (6 is the file's size, 11 the name's) of the first header. */
static void put_field(size_t index, const char *digits)
{
	memcpy(archive.bytes + 6 + index * 8, digits, 8);
}

static int setup(void **state)
{
	(void)state;
	memset(&archive, 0, sizeof(archive));
	memset(&report, 0, sizeof(report));
	add("one", FILE_MODE, "first", 5);
	add("folder", FOLDER_MODE, "", 0);
	add("./folder/two", FILE_MODE, "second file", 11);
	add("empty", FILE_MODE, "", 0);
	return 0;
}

static enum bh_error find(const char *name, const void **data, uint64_t *length)
{
	return cpio_find(archive.bytes, archive.size, name, data, length, &report);
}

static enum bh_error find_any(const char *name)
{
	const void *data;
	uint64_t length;

	return find(name, &data, &length);
}

static void finds_a_file(void **state)
{
	const void *data;
	uint64_t length;

	(void)state;
	assert_int_equal(find("one", &data, &length), BH_OK);
	assert_int_equal(length, 5);
	assert_memory_equal(data, "first", 5);
}

static void finds_a_file_behind_others_without_its_dot(void **state)
{
	const void *data;
	uint64_t length;

	(void)state;
	assert_int_equal(find("folder/two", &data, &length), BH_OK);
	assert_int_equal(length, 11);
	assert_memory_equal(data, "second file", 11);
}

static void finds_an_empty_file(void **state)
{
	const void *data;
	uint64_t length;

	(void)state;
	assert_int_equal(find("empty", &data, &length), BH_OK);
	assert_int_equal(length, 0);
}

static void a_folder_is_no_file(void **state)
{
	(void)state;
	assert_int_equal(find_any("folder"), BH_NO_IMAGE);
}

static void a_missing_file_is_named(void **state)
{
	(void)state;
	assert_int_equal(find_any("three"), BH_NO_IMAGE);
	assert_string_equal(report.text, "file three is not in the initrd blob");
}

static void nothing_is_found_behind_the_trailer(void **state)
{
	(void)state;
	add("TRAILER!!!", 0, "", 0);
	add("late", FILE_MODE, "x", 1);
	assert_int_equal(find_any("late"), BH_NO_IMAGE);
}

static void an_empty_archive_has_no_file(void **state)
{
	(void)state;
	archive.size = 0;
	assert_int_equal(find_any("one"), BH_NO_IMAGE);
}

static void other_bytes_are_refused(void **state)
{
	(void)state;
	archive.bytes[5] = '7';
	assert_int_equal(find_any("one"), BH_BAD_IMAGE);
	assert_non_null(strstr(report.text, "at offset 0"));
}

static void a_digit_that_is_none_is_refused(void **state)
{
	(void)state;
	put_field(6, "g0000000");
	assert_int_equal(find_any("one"), BH_BAD_IMAGE);
}

static void small_hexadecimal_digits_are_read(void **state)
{
	const void *data;
	uint64_t length;

	(void)state;
	put_field(6, "0000000a");
	assert_int_equal(find("one", &data, &length), BH_OK);
	assert_int_equal(length, 10);
}

static void a_file_size_beyond_the_end_is_refused(void **state)
{
	(void)state;
	put_field(6, "FFFFFFFF");
	assert_int_equal(find_any("one"), BH_BAD_IMAGE);
}

static void a_name_size_beyond_the_end_is_refused(void **state)
{
	(void)state;
	put_field(11, "FFFFFFFF");
	assert_int_equal(find_any("one"), BH_BAD_IMAGE);
}

static void a_name_without_end_is_refused(void **state)
{
	(void)state;
	put_field(11, "00000003");
	assert_int_equal(find_any("one"), BH_BAD_IMAGE);
}

static void a_name_of_no_bytes_is_refused(void **state)
{
	(void)state;
	put_field(11, "00000000");
	assert_int_equal(find_any("one"), BH_BAD_IMAGE);
}

/* Under ASan each byte too far would be seen: the copy has exactly @size bytes. */
static void cut_anywhere_it_reads_nothing_outside(void **state)
{
	size_t whole = archive.size;

	(void)state;
	for (size_t size = 0; size < whole; size++) {
		uint8_t *copy = test_malloc(size + 1);
		const void *data;
		uint64_t length;

		memcpy(copy + 1, archive.bytes, size);
		assert_int_not_equal(cpio_find(copy + 1, size, "nowhere", &data, &length, NULL),
				     BH_OK);
		test_free(copy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(finds_a_file, setup),
		cmocka_unit_test_setup(finds_a_file_behind_others_without_its_dot, setup),
		cmocka_unit_test_setup(finds_an_empty_file, setup),
		cmocka_unit_test_setup(a_folder_is_no_file, setup),
		cmocka_unit_test_setup(a_missing_file_is_named, setup),
		cmocka_unit_test_setup(nothing_is_found_behind_the_trailer, setup),
		cmocka_unit_test_setup(an_empty_archive_has_no_file, setup),
		cmocka_unit_test_setup(other_bytes_are_refused, setup),
		cmocka_unit_test_setup(a_digit_that_is_none_is_refused, setup),
		cmocka_unit_test_setup(small_hexadecimal_digits_are_read, setup),
		cmocka_unit_test_setup(a_file_size_beyond_the_end_is_refused, setup),
		cmocka_unit_test_setup(a_name_size_beyond_the_end_is_refused, setup),
		cmocka_unit_test_setup(a_name_without_end_is_refused, setup),
		cmocka_unit_test_setup(a_name_of_no_bytes_is_refused, setup),
		cmocka_unit_test_setup(cut_anywhere_it_reads_nothing_outside, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
