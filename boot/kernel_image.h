/* SPDX-License-Identifier: Apache-2.0 */
/* Recognising a kernel by its header: arm64 Image, x86 bzImage or 64-bit x86 ELF. Pure. */
#ifndef BOOT_KERNEL_IMAGE_H
#define BOOT_KERNEL_IMAGE_H

#include <bulkhead/planner.h>

/*
 * Fills all of @info but its name and extent from the @size bytes at @bytes
 * (not trusted). Not being a kernel is no error. @info->part is measured from
 * @info->extent, which is empty on the host: then part.base is 0. The part of
 * an ELF is what kernel_image_flatten() makes of it, and has no base yet.
 */
void kernel_image_probe(const void *bytes, uint64_t size, struct image_info *info);

/*
 * Lays the segments of the ELF of @size bytes at @elf (not trusted) out at @to
 * as they stand in memory, from the lowest physical address to the last byte of
 * the file; what lies between them becomes zero. Stores the bytes needed
 * (@info->part.size of the probe) in @flat. Returns BH_OK, BH_TOO_BIG when
 * @room is less than that, or BH_BAD_IMAGE; then nothing is written.
 */
enum bh_error kernel_image_flatten(const void *elf, uint64_t size, void *to, uint64_t room,
				   uint64_t *flat);

#endif
