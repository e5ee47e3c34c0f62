/* SPDX-License-Identifier: Apache-2.0 */
/* Empty: libfdt includes it, but no part of libfdt that is built here uses it. */
#ifndef BULKHEAD_LIBC_STDLIB_H
#define BULKHEAD_LIBC_STDLIB_H

#include <stddef.h>

#endif
