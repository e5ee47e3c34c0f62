/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BOOT_ARM64_CARVE_H
#define BOOT_ARM64_CARVE_H

#include <bulkhead/types.h>

/* Takes @size bytes at a multiple of @align, a power of two, from the front of @from; pa 0 when they are not there. */
static inline pa_t carve(struct extent *from, uint64_t size, uint64_t align)
{
	uint64_t at = align_up(from->base.v, align);
	uint64_t skip = at - from->base.v;

	if (from->size < skip || from->size - skip < size)
		return pa(0);
	*from = (struct extent){pa(at + size), from->size - skip - size};
	return pa(at);
}

#endif
