/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <bulkhead/mm.h>

#define PAGES 64

static uint8_t memory[PAGES * PAGE_SIZE] __attribute__((aligned(PAGES * 4096)));
static struct page_pool pool;

static uint64_t base(void)
{
	return ptr_to_pa(memory).v;
}

/* A pool of all pages but the first @skip, full of garbage. */
static void make(uint64_t skip)
{
	memset(memory, 0x5a, sizeof(memory));
	pool = (struct page_pool){pa(base() + skip * PAGE_SIZE), PAGES - skip};
}

static void expect_page(pa_t got, uint64_t index)
{
	assert_int_equal(got.v, base() + index * PAGE_SIZE);
}

static void pages_come_in_order(void **state)
{
	(void)state;
	make(0);
	expect_page(pool_take(&pool, 1), 0);
	expect_page(pool_take(&pool, 1), 1);
	assert_int_equal(pool.pages, PAGES - 2);
}

static void pages_are_zero(void **state)
{
	static const uint8_t zero[3 * PAGE_SIZE];

	(void)state;
	make(0);
	assert_memory_equal(pa_to_ptr(pool_take(&pool, 3)), zero, sizeof(zero));
	assert_int_equal(memory[3 * PAGE_SIZE], 0x5a);
}

static void powers_of_two_are_aligned_to_their_size(void **state)
{
	(void)state;
	make(1);
	expect_page(pool_take(&pool, 2), 2);
	expect_page(pool_take(&pool, 8), 8);
	expect_page(pool_take(&pool, 1), 16);
	expect_page(pool_take(&pool, 16), 32);
	assert_int_equal(pool.pages, 16);
}

static void other_counts_are_aligned_to_a_page(void **state)
{
	(void)state;
	make(1);
	expect_page(pool_take(&pool, 5), 1);
	expect_page(pool_take(&pool, 3), 6);
}

static void whole_pool(void **state)
{
	(void)state;
	make(0);
	expect_page(pool_take(&pool, PAGES), 0);
	assert_int_equal(pool.pages, 0);
	assert_int_equal(pool_take(&pool, 1).v, 0);
}

static void empty_pool_gives_nothing(void **state)
{
	(void)state;
	pool = (struct page_pool){pa(0), 0};
	assert_int_equal(pool_take(&pool, 1).v, 0);
}

static void too_many_pages_take_nothing(void **state)
{
	(void)state;
	make(0);
	assert_int_equal(pool_take(&pool, PAGES + 1).v, 0);
	assert_int_equal(pool.pages, PAGES);
	expect_page(pool_take(&pool, 1), 0);
}

static void what_alignment_skips_must_be_there(void **state)
{
	(void)state;
	make(PAGES - 3); /* the last three; two of them aligned are there, four are not */
	assert_int_equal(pool_take(&pool, 4).v, 0);
	expect_page(pool_take(&pool, 2), PAGES - 2);
	assert_int_equal(pool.pages, 0);
}

static void none_at_all(void **state)
{
	(void)state;
	make(0);
	assert_int_equal(pool_take(&pool, 0).v, 0);
	assert_int_equal(pool.pages, PAGES);
}

static void huge_counts_do_not_wrap(void **state)
{
	(void)state;
	make(1);
	assert_int_equal(pool_take(&pool, UINT64_MAX).v, 0);
	assert_int_equal(pool_take(&pool, 1ULL << 52).v, 0);
	assert_int_equal(pool_take(&pool, 1ULL << 51).v, 0);
	assert_int_equal(pool_take(&pool, 1ULL << 63).v, 0);
	assert_int_equal(pool.pages, PAGES - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_come_in_order),
		cmocka_unit_test(pages_are_zero),
		cmocka_unit_test(powers_of_two_are_aligned_to_their_size),
		cmocka_unit_test(other_counts_are_aligned_to_a_page),
		cmocka_unit_test(whole_pool),
		cmocka_unit_test(empty_pool_gives_nothing),
		cmocka_unit_test(too_many_pages_take_nothing),
		cmocka_unit_test(what_alignment_skips_must_be_there),
		cmocka_unit_test(none_at_all),
		cmocka_unit_test(huge_counts_do_not_wrap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
