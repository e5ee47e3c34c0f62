/* SPDX-License-Identifier: Apache-2.0 */
/* Sums and products of numbers that nobody has checked, for those who read files and tables. */
#ifndef BULKHEAD_CHECKED_H
#define BULKHEAD_CHECKED_H

#include <bulkhead/types.h>

/* Stores @a + @b in @sum; false when it does not fit in 64 bits. */
static inline bool add_ok(uint64_t a, uint64_t b, uint64_t *sum)
{
	return !__builtin_add_overflow(a, b, sum);
}

/* Stores @a * @b in @product; false when it does not fit in 64 bits. */
static inline bool mul_ok(uint64_t a, uint64_t b, uint64_t *product)
{
	return !__builtin_mul_overflow(a, b, product);
}

#endif
