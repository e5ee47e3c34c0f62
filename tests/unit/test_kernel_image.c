/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "boot/kernel_image.h"

static uint8_t image[256];
static struct image_info info;

static void put64(size_t offset, uint64_t value)
{
	memcpy(image + offset, &value, sizeof(value));
}

static int setup(void **state)
{
	(void)state;
	memset(image, 0, sizeof(image));
	memset(&info, 0xff, sizeof(info));
	put64(8, 0x80000);
	put64(16, 0x200000);
	put64(24, 0xa);
	put64(56, 0x644d5241); /* "ARM\x64" */
	return 0;
}

static void reads_the_header(void **state)
{
	(void)state;
	kernel_image_probe(image, sizeof(image), &info);
	assert_int_equal(info.is_kernel, 1);
	assert_int_equal(info.size, sizeof(image));
	assert_int_equal(info.load_offset, 0x80000);
	assert_int_equal(info.run_size, 0x200000);
}

static void is_no_kernel(void)
{
	assert_int_equal(info.is_kernel, 0);
	assert_int_equal(info.load_offset, 0);
	assert_int_equal(info.run_size, info.size);
}

static void other_files_are_no_kernels(void **state)
{
	(void)state;
	image[59] = 'X';
	kernel_image_probe(image, sizeof(image), &info);
	assert_int_equal(info.size, sizeof(image));
	is_no_kernel();
}

static void short_files_are_no_kernels(void **state)
{
	(void)state;
	for (size_t size = 0; size < 64; size++) {
		kernel_image_probe(image, size, &info);
		assert_int_equal(info.size, size);
		is_no_kernel();
	}
}

static void an_image_size_of_zero_is_refused(void **state)
{
	(void)state;
	put64(16, 0);
	kernel_image_probe(image, sizeof(image), &info);
	is_no_kernel();
}

static void an_image_size_below_the_file_is_refused(void **state)
{
	(void)state;
	put64(16, sizeof(image) - 1);
	kernel_image_probe(image, sizeof(image), &info);
	is_no_kernel();
}

static void a_big_endian_kernel_is_refused(void **state)
{
	(void)state;
	put64(24, 1);
	kernel_image_probe(image, sizeof(image), &info);
	is_no_kernel();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(reads_the_header, setup),
		cmocka_unit_test_setup(other_files_are_no_kernels, setup),
		cmocka_unit_test_setup(short_files_are_no_kernels, setup),
		cmocka_unit_test_setup(an_image_size_of_zero_is_refused, setup),
		cmocka_unit_test_setup(an_image_size_below_the_file_is_refused, setup),
		cmocka_unit_test_setup(a_big_endian_kernel_is_refused, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
