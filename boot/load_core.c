/* SPDX-License-Identifier: Apache-2.0 */
#include "arch.h"

#include <string.h>

extern const uint8_t core_image_start[], core_image_end[];

static struct extent part(const struct loader *l, const struct elf_range *range)
{
	return (struct extent){pa(l->core.base.v + range->offset), range->size};
}

/* The hand-over structure stands right behind the image. */
static void start_info(struct loader *l)
{
	struct boot_info *info = pa_to_ptr(pa(l->core.base.v + l->layout.size));

	memset(info, 0, sizeof(*info));
	info->magic = BOOT_INFO_MAGIC;
	info->version = BOOT_INFO_VERSION;
	info->size = sizeof(*info);
	info->text = part(l, &l->layout.text);
	info->rodata = part(l, &l->layout.rodata);
	info->data = part(l, &l->layout.data);
	info->build_id = l->layout.build_id;
	info->machine = *l->machine;
	l->info = info;
}

enum bh_error load_core(struct loader *l)
{
	uint64_t size = (uint64_t)(core_image_end - core_image_start);
	enum bh_error error =
		elf_check(core_image_start, size, loader_arch.elf, &l->layout, &l->report);
	uint64_t need;

	if (error != BH_OK)
		return error;
	need = plan_core_bytes(l->manifest, l->machine, l->layout.size);
	error = pages_take_below(l, EfiLoaderCode, need, BLOCK_SIZE, loader_arch.core_end,
				 &l->core);
	if (error == BH_OK)
		error = elf_load(core_image_start, size, &l->layout, pa_to_ptr(l->core.base),
				 l->core.base.v, &l->report);
	if (error == BH_OK)
		start_info(l);
	return error;
}
