/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The header of an arm64 Image: Linux Documentation/arch/arm64/booting.rst, "Call the kernel
 * image".
 */
#include "kernel_image.h"

#include <string.h>

#define HEADER_BYTES 64
#define OFFSET_TEXT_OFFSET 8
#define OFFSET_IMAGE_SIZE 16
#define OFFSET_FLAGS 24
#define OFFSET_MAGIC 56
#define MAGIC 0x644d5241U /* "ARM\x64" */
#define FLAG_BIG_ENDIAN 1U

static uint64_t field(const void *bytes, size_t offset)
{
	uint64_t value;

	memcpy(&value, (const uint8_t *)bytes + offset, sizeof(value));
	return value;
}

void kernel_image_probe(const void *bytes, uint64_t size, struct image_info *info)
{
	info->size = size;
	info->load_offset = 0;
	info->run_size = size;
	info->is_kernel = 0;
	if (size < HEADER_BYTES || (uint32_t)field(bytes, OFFSET_MAGIC) != MAGIC)
		return;
	/*
	 * Kernels before 3.17 leave image_size at 0: how much memory they need is then not
	 * known.
	 */
	if (field(bytes, OFFSET_IMAGE_SIZE) < size || field(bytes, OFFSET_FLAGS) & FLAG_BIG_ENDIAN)
		return;
	info->load_offset = field(bytes, OFFSET_TEXT_OFFSET);
	info->run_size = field(bytes, OFFSET_IMAGE_SIZE);
	info->is_kernel = 1;
}
