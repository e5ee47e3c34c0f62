/* SPDX-License-Identifier: Apache-2.0 */
#include "arch.h"

#define ATTEMPTS 8

/*
 * UEFI 2.10 7.4.6: the call fails when the map changed since it was read; then
 * read it again and repeat, using no other service. The plan is checked against
 * each map, so what we leave with is what the plan stands on.
 */
static enum bh_error leave_boot_services(struct loader *l)
{
	EFI_STATUS status = EFI_INVALID_PARAMETER;

	for (int i = 0; i < ATTEMPTS && status == EFI_INVALID_PARAMETER; i++) {
		UINTN key;
		enum bh_error error = memory_read(l, &l->info->machine, &key);

		if (error == BH_OK)
			error = plan_check(&l->info->plan, &l->info->machine, &l->report);
		if (error != BH_OK)
			return error;
		status = l->services->ExitBootServices(l->self, key);
	}
	return EFI_ERROR(status) ? firmware_failed(l, "leaving boot services", status) : BH_OK;
}

enum bh_error hand_off(struct loader *l)
{
	core_entry_fn *entry = (core_entry_fn *)(l->core.base.v + l->layout.entry);
	enum bh_error error = leave_boot_services(l);

	if (error != BH_OK)
		return error;
	arch_start_iommus(l->info);
	arch_prepare_entry(l->info, pa_to_ptr(l->core.base), l->core.size);
	entry(l->info);
	__builtin_unreachable();
}
