/* SPDX-License-Identifier: Apache-2.0 */
#include <bulkhead/guest_boot.h>

enum bh_error guest_boot_make(const struct plan *plan, uint32_t vm, const struct machine *machine,
			      const struct image_info *kernel, const char *bootargs, void *buffer,
			      uint64_t size, uint64_t *used, uint32_t *rng_seed_offset,
			      uint32_t *kaslr_seed_offset, struct bh_report *report)
{
	if (machine->arch == MACHINE_ARM64)
		return guest_fdt_make(plan, vm, machine, bootargs, buffer, size, used,
				      rng_seed_offset, kaslr_seed_offset, report);
	*kaslr_seed_offset = 0;
	return guest_x86_make(plan, vm, machine, kernel, bootargs, buffer, size, used,
			      rng_seed_offset, report);
}
