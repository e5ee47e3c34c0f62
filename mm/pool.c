/* SPDX-License-Identifier: Apache-2.0 */
#include <bulkhead/mm.h>

#include <string.h>

pa_t pool_take(struct page_pool *pool, uint64_t pages)
{
	uint64_t align = PAGE_SIZE;

	if ((pages & (pages - 1)) == 0)
		align = pages * PAGE_SIZE;
	uint64_t skip = (align_up(pool->next.v, align) - pool->next.v) / PAGE_SIZE;
	if (pages == 0 || pool->pages < skip || pool->pages - skip < pages)
		return pa(0);

	pa_t taken = pa(pool->next.v + skip * PAGE_SIZE);
	pool->next = pa(taken.v + pages * PAGE_SIZE);
	pool->pages -= skip + pages;
	memset(pa_to_ptr(taken), 0, pages * PAGE_SIZE);
	return taken;
}
