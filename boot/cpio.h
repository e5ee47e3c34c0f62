/* SPDX-License-Identifier: Apache-2.0 */
/* Finding a file in a cpio archive of the "newc" format. Pure; the archive is untrusted. */
#ifndef BOOT_CPIO_H
#define BOOT_CPIO_H

#include <bulkhead/error.h>

/*
 * Finds the regular file @name (a leading "./" in the archive is ignored) in
 * the @size bytes at @archive. BH_OK with @data and @length; BH_NO_IMAGE when
 * it is not there; BH_BAD_IMAGE when the archive is damaged before it.
 */
enum bh_error cpio_find(const void *archive, uint64_t size, const char *name, const void **data,
			uint64_t *length, struct bh_report *report);

#endif
