/* SPDX-License-Identifier: Apache-2.0 */
#include "loader.h"

#include <bulkhead/checked.h>

static void free_range(struct loader *l, uint64_t base, uint64_t size)
{
	if (size != 0)
		l->services->FreePages(base, size / PAGE_SIZE);
}

static enum bh_error none_left(struct loader *l, uint64_t size, uint64_t end)
{
	unsigned long long kib = size / KIB;

	if (end == UINT64_MAX)
		return bh_fail(&l->report, BH_NO_MEMORY,
			       "the firmware has no %llu KiB of memory left", kib);
	return bh_fail(&l->report, BH_NO_MEMORY,
		       "the firmware has no %llu KiB of memory left below 0x%llx", kib,
		       (unsigned long long)end);
}

/*
 * UEFI 2.10 7.2.1: firmware knows pages only, so take more than needed and give back what is
 * over.
 */
enum bh_error pages_take_below(struct loader *l, EFI_MEMORY_TYPE type, uint64_t size,
			       uint64_t align, uint64_t end, struct extent *out)
{
	EFI_ALLOCATE_TYPE how = end == UINT64_MAX ? AllocateAnyPages : AllocateMaxAddress;
	EFI_PHYSICAL_ADDRESS got =
		end - 1; /* where limited, the highest address that may be in it */
	uint64_t need, all, base;
	EFI_STATUS status;

	if (l->npages == LOADER_MAX_PAGES)
		return bh_fail(&l->report, BH_TOO_MANY,
			       "the loader needs too many pieces of memory");
	if (size == 0 || !add_ok(size, align, &all) || !add_ok(all, PAGE_SIZE, &all))
		return bh_fail(&l->report, BH_TOO_BIG, "%llu bytes of memory are wanted at once",
			       (unsigned long long)size);
	need = align_up(size, PAGE_SIZE);
	all = need + align - PAGE_SIZE;
	status = l->services->AllocatePages(how, type, all / PAGE_SIZE, &got);
	if (EFI_ERROR(status))
		return none_left(l, all, end);
	base = align_up(got, align);
	free_range(l, got, base - got);
	free_range(l, base + need, got + all - (base + need));
	*out = (struct extent){pa(base), need};
	l->pages[l->npages++] = *out;
	return BH_OK;
}

enum bh_error pages_take(struct loader *l, EFI_MEMORY_TYPE type, uint64_t size, uint64_t align,
			 struct extent *out)
{
	return pages_take_below(l, type, size, align, UINT64_MAX, out);
}

void pages_give_back(struct loader *l)
{
	while (l->npages > 0) {
		struct extent *e = &l->pages[--l->npages];

		free_range(l, e->base.v, e->size);
	}
}
