/* SPDX-License-Identifier: Apache-2.0 */
/* The core's own memcpy(), beside the C library's: any two alignments, any length, and not a byte beside. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* As functions of other names, and without a word for each of them in a header. */
#pragma GCC diagnostic ignored "-Wmissing-prototypes"
#define memcpy core_memcpy
#define memmove core_memmove
#define memset core_memset
#define memcmp core_memcmp
#define strlen core_strlen
#define strnlen core_strnlen
#define strcmp core_strcmp
#define strncmp core_strncmp
#define strchr core_strchr
#define strrchr core_strrchr
#define memchr core_memchr
/* NOLINTNEXTLINE(bugprone-suspicious-include): the resident functions under names of their own */
#include "lib/string.c"
#undef memcpy
#undef memset
#undef memcmp

#define EDGE 16
#define LONGEST 70

static void test_memcpy(void **state)
{
	static uint64_t from_words[(LONGEST + 2 * EDGE) / 8], to_words[(LONGEST + 2 * EDGE) / 8];
	uint8_t *from = (uint8_t *)from_words, *to = (uint8_t *)to_words, wanted[sizeof(to_words)];

	(void)state;
	for (size_t i = 0; i < sizeof(from_words); i++)
		from[i] = (uint8_t)(i * 7 + 1);
	for (size_t a = 0; a < 8; a++) {
		for (size_t b = 0; b < 8; b++) {
			for (size_t n = 0; n <= LONGEST; n++) {
				memset(to, 0xee, sizeof(to_words));
				memset(wanted, 0xee, sizeof(wanted));
				memcpy(wanted + EDGE + a, from + EDGE + b, n);
				assert_ptr_equal(core_memcpy(to + EDGE + a, from + EDGE + b, n),
						 to + EDGE + a);
				assert_memory_equal(to, wanted, sizeof(wanted));
			}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_memcpy)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
