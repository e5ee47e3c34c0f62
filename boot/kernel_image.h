/* SPDX-License-Identifier: Apache-2.0 */
/* Recognising an arm64 Linux Image by its header. Pure. */
#ifndef BOOT_KERNEL_IMAGE_H
#define BOOT_KERNEL_IMAGE_H

#include <bulkhead/plan.h>

/*
 * Fills @info's size, load_offset, run_size and is_kernel from the @size bytes at @bytes. Not
 * being a kernel is no error.
 */
void kernel_image_probe(const void *bytes, uint64_t size, struct image_info *info);

#endif
