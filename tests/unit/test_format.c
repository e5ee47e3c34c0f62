/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <bulkhead/error.h>
#include <bulkhead/format.h>

/* One test that formats and compares; the returned length must be that of the text. */
#define FORMATS(name, expected, ...)                                                               \
	static void name(void **state)                                                             \
	{                                                                                          \
		char out[80];                                                                      \
		size_t length = bh_format(out, sizeof(out), __VA_ARGS__);                          \
                                                                                                   \
		(void)state;                                                                       \
		assert_string_equal(out, expected);                                                \
		assert_int_equal(length, strlen(expected));                                        \
	}

FORMATS(plain_text, "no conversion", "no conversion")
FORMATS(string, "[web]", "[%s]", "web")
FORMATS(string_width, "[  web]", "[%5s]", "web")
FORMATS(string_left, "[web  ]", "[%-5s]", "web")
FORMATS(string_wider_than_width, "[bulkhead]", "[%5s]", "bulkhead")
FORMATS(string_precision, "[bul]", "[%.3s]", "bulkhead")
FORMATS(string_width_and_precision, "[   bu]", "[%5.2s]", "bulkhead")
FORMATS(percent, "100 %", "%u %%", 100U)
FORMATS(decimal_zero, "0", "%u", 0U)
FORMATS(decimal_padded_with_zeros, "00042", "%05u", 42U)
FORMATS(decimal_padded_with_blanks, "   42", "%5u", 42U)
FORMATS(decimal_left, "42   |", "%-5u|", 42U)
FORMATS(unsigned_maximum, "18446744073709551615", "%llu", 0ULL + UINT64_MAX)
FORMATS(unsigned_long, "4294967296", "%lu", 4294967296UL)
FORMATS(hex, "0xdeadbeef", "0x%x", 0xdeadbeefU)
FORMATS(hex_long, "0x0040000000", "0x%010llx", 0x40000000ULL)
FORMATS(two_arguments_in_order, "a1b2", "%s%u%s%u", "a", 1U, "b", 2U)

static void null_string(void **state)
{
	char out[16];
	const char *volatile nothing = NULL;

	(void)state;
	bh_format(out, sizeof(out), "%s", nothing);
	assert_string_equal(out, "(null)");
}

static void precision_reads_no_further(void **state)
{
	const char text[3] = {'a', 'b', 'c'}; /* no NUL: a byte too many is seen by the sanitizer */
	char out[16];

	(void)state;
	bh_format(out, sizeof(out), "%.3s", text);
	assert_string_equal(out, "abc");
}

static void cut_at_the_end(void **state)
{
	char out[8] = "xxxxxxx";

	(void)state;
	assert_int_equal(bh_format(out, 5, "%s", "bulkhead"), 8);
	assert_string_equal(out, "bulk");
	assert_int_equal(out[5], 'x');
}

static void room_for_the_end_only(void **state)
{
	char out[2] = "xx";

	(void)state;
	assert_int_equal(bh_format(out, 1, "%u", 12U), 2);
	assert_int_equal(out[0], '\0');
	assert_int_equal(out[1], 'x');
}

static void no_room_at_all(void **state)
{
	(void)state;
	assert_int_equal(bh_format(NULL, 0, "%s %u", "core", 7U), 6);
}

static void foreign_conversion_is_shown(void **state)
{
	const char *volatile format = "a %q %d %c b %";
	char out[16];

	(void)state;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-security"
	bh_format(out, sizeof(out), format);
#pragma GCC diagnostic pop
	assert_string_equal(out, "a %q %d %c b %");
}

static void every_error_has_a_name_and_a_sentence(void **state)
{
	(void)state;
	for (int i = 0; i < BH_ERROR_COUNT; i++) {
		assert_int_equal(strncmp(bh_error_name((enum bh_error)i), "BH_", 3), 0);
		assert_true(strlen(bh_strerror((enum bh_error)i)) > 3);
		for (int k = 0; k < i; k++)
			assert_string_not_equal(bh_strerror((enum bh_error)i),
						bh_strerror((enum bh_error)k));
	}
	assert_string_equal(bh_error_name(BH_NO_MEMORY), "BH_NO_MEMORY");
}

static void unknown_error_is_named_too(void **state)
{
	(void)state;
	assert_string_equal(bh_strerror(BH_ERROR_COUNT), "unknown error");
	assert_string_equal(bh_error_name((enum bh_error)99), "BH_UNKNOWN_ERROR");
}

static void fail_fills_the_report(void **state)
{
	struct bh_report report;

	(void)state;
	assert_int_equal(bh_fail(&report, BH_NO_CORE, "core %u", 9U), BH_NO_CORE);
	assert_int_equal(report.error, BH_NO_CORE);
	assert_string_equal(report.text, "core 9");
}

static void fail_without_a_report(void **state)
{
	(void)state;
	assert_int_equal(bh_fail(NULL, BH_OVERLAP, "nobody reads this"), BH_OVERLAP);
}

static void fail_cuts_a_long_sentence(void **state)
{
	struct bh_report report;

	(void)state;
	bh_fail(&report, BH_TOO_BIG, "%300s", "end");
	assert_int_equal(strlen(report.text), sizeof(report.text) - 1);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_text),
		cmocka_unit_test(string),
		cmocka_unit_test(string_width),
		cmocka_unit_test(string_left),
		cmocka_unit_test(string_wider_than_width),
		cmocka_unit_test(string_precision),
		cmocka_unit_test(string_width_and_precision),
		cmocka_unit_test(percent),
		cmocka_unit_test(decimal_zero),
		cmocka_unit_test(decimal_padded_with_zeros),
		cmocka_unit_test(decimal_padded_with_blanks),
		cmocka_unit_test(decimal_left),
		cmocka_unit_test(unsigned_maximum),
		cmocka_unit_test(unsigned_long),
		cmocka_unit_test(hex),
		cmocka_unit_test(hex_long),
		cmocka_unit_test(two_arguments_in_order),
		cmocka_unit_test(null_string),
		cmocka_unit_test(precision_reads_no_further),
		cmocka_unit_test(cut_at_the_end),
		cmocka_unit_test(room_for_the_end_only),
		cmocka_unit_test(no_room_at_all),
		cmocka_unit_test(foreign_conversion_is_shown),
		cmocka_unit_test(every_error_has_a_name_and_a_sentence),
		cmocka_unit_test(unknown_error_is_named_too),
		cmocka_unit_test(fail_fills_the_report),
		cmocka_unit_test(fail_without_a_report),
		cmocka_unit_test(fail_cuts_a_long_sentence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
