/* SPDX-License-Identifier: Apache-2.0 */
/* Only what is checked when compiling; a run-time check says more than assert() could. */
#ifndef BULKHEAD_LIBC_ASSERT_H
#define BULKHEAD_LIBC_ASSERT_H

#define static_assert _Static_assert

#endif
