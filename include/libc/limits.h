/* SPDX-License-Identifier: Apache-2.0 */
/* C11 5.2.4.2.1, from the compiler's own macros: gcc's header would look for a C library's. */
#ifndef BULKHEAD_LIBC_LIMITS_H
#define BULKHEAD_LIBC_LIMITS_H

#define CHAR_BIT __CHAR_BIT__
#define SCHAR_MAX __SCHAR_MAX__
#define UCHAR_MAX (2 * SCHAR_MAX + 1)
#define SHRT_MAX __SHRT_MAX__
#define USHRT_MAX (2 * SHRT_MAX + 1)
#define INT_MAX __INT_MAX__
#define INT_MIN (-INT_MAX - 1)
#define UINT_MAX (2U * INT_MAX + 1U)
#define LONG_MAX __LONG_MAX__
#define LONG_MIN (-LONG_MAX - 1L)
#define ULONG_MAX (2UL * LONG_MAX + 1UL)
#define LLONG_MAX __LONG_LONG_MAX__
#define LLONG_MIN (-LLONG_MAX - 1LL)
#define ULLONG_MAX (2ULL * LLONG_MAX + 1ULL)

#endif
