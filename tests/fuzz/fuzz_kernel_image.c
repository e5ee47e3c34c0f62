/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a kernel: what the probe says must hold, and flattening stays within its room. */
#include <stdlib.h>
#include <string.h>

#include "boot/kernel_image.h"

#define MAX_FLAT (1 * MIB) /* larger ones are only refused for lack of room, to stay fast */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void check_elf(const uint8_t *file, size_t size, const struct image_info *info)
{
	uint64_t room = info->part.size <= MAX_FLAT ? info->part.size : 16;
	uint8_t *to = malloc(room);
	uint64_t flat = 0;

	require(to != NULL);
	require(info->part.size != 0 && info->part.size <= info->run_size);
	require(info->load_offset + info->run_size <= GUEST_X86_HOLE_BASE);
	require(info->pvh_offset == UINT64_MAX || info->pvh_offset < info->part.size);
	require(kernel_image_flatten(file, size, to, room, &flat) ==
		(room < info->part.size ? BH_TOO_BIG : BH_OK));
	require(flat == info->part.size);
	free(to);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct image_info info = {.extent = {pa(GIB), align_up(size, PAGE_SIZE)}};
	uint8_t *file = malloc(size + 1);
	uint64_t flat = 0;

	require(file != NULL);
	memcpy(file, data, size);
	kernel_image_probe(file, size, &info);
	require(info.size == size && info.setup_size <= sizeof(info.setup));
	require(info.part.size == 0 || info.entry_offset < info.part.size);
	if (info.kind == KERNEL_ELF)
		check_elf(file, size, &info);
	else if (info.kind != KERNEL_NONE)
		require(kernel_image_flatten(file, size, NULL, 0, &flat) == BH_BAD_IMAGE);
	if (info.kind != KERNEL_ELF)
		require(extent_inside(info.part, info.extent));
	free(file);
	return 0;
}
