/* SPDX-License-Identifier: Apache-2.0 */
#include "loader.h"

#define SLACK 64 /* descriptors that what we still do may add */

enum bh_error memory_prepare(struct loader *l)
{
	UINTN size = 0, key, stride = 0;
	UINT32 version;
	struct extent extent;
	EFI_STATUS status = l->services->GetMemoryMap(&size, NULL, &key, &stride, &version);
	enum bh_error error;

	if (status != EFI_BUFFER_TOO_SMALL)
		return firmware_failed(l, "reading the memory map", status);
	error = pages_take(l, EfiLoaderData, size + SLACK * stride, PAGE_SIZE, &extent);
	if (error != BH_OK)
		return error;
	l->map.descriptors = pa_to_ptr(extent.base);
	l->map.room = extent.size;
	return BH_OK;
}

enum bh_error memory_read(struct loader *l, struct machine *machine, UINTN *key)
{
	UINTN size = l->map.room, stride = 0;
	UINT32 version;
	EFI_STATUS status = l->services->GetMemoryMap(
		&size, (EFI_MEMORY_DESCRIPTOR *)(void *)l->map.descriptors, key, &stride, &version);

	if (EFI_ERROR(status))
		return firmware_failed(l, "reading the memory map", status);
	l->map.size = size;
	l->map.stride = stride;
	return memory_from_map(&l->map, &l->nodes, machine, &l->report);
}
