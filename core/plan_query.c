/* SPDX-License-Identifier: Apache-2.0 */
/* Questions to a plan, for those who only read it. Pure. */
#include <bulkhead/plan.h>

pa_t plan_translate(const struct plan_vm *vm, gpa_t at, uint64_t *left)
{
	for (uint32_t i = 0; i < vm->nregions; i++) {
		const struct plan_region *region = &vm->region[i];
		uint64_t offset = at.v - region->gpa.v;

		/* One that is below the region wraps: far beyond its size. */
		if (offset < region->extent.size) {
			*left = region->extent.size - offset;
			return pa(region->extent.base.v + offset);
		}
	}
	*left = 0;
	return pa(0);
}

bool plan_vm_kept(const struct plan_vm *vm)
{
	return (vm->image[IMAGE_KERNEL].from.v | vm->image[IMAGE_BOOT].from.v |
		vm->image[IMAGE_INITRD].from.v) != 0;
}

uint64_t plan_vm_memory(const struct plan_vm *vm)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < vm->nregions; i++)
		bytes += vm->region[i].extent.size;
	return bytes;
}

uint32_t plan_vacant_slot(const struct plan *plan)
{
	uint32_t slot = 0;

	while (slot < plan->nvms && !plan_vm_vacant(&plan->vm[slot]))
		slot++;
	return slot;
}
