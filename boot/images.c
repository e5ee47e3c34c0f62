/* SPDX-License-Identifier: Apache-2.0 */
#include "loader.h"

#include <string.h>

#include "kernel_image.h"

#define MANIFEST_FILE "manifest.dtb"

enum bh_error read_manifest(struct loader *l)
{
	struct extent store, blob;
	uint64_t size;
	enum bh_error error = pages_take(l, EfiLoaderData, sizeof(*l->manifest), PAGE_SIZE, &store);

	if (error == BH_OK)
		error = files_read(l, MANIFEST_FILE, &blob, &size);
	if (error != BH_OK)
		return error;
	l->manifest = pa_to_ptr(store.base);
	return manifest_parse(pa_to_ptr(blob.base), size, l->manifest, &l->report);
}

struct image_info *find_image(struct loader *l, const char *name)
{
	for (uint32_t i = 0; i < l->nimages; i++) {
		if (strcmp(l->images[i].name, name) == 0)
			return &l->images[i];
	}
	return NULL;
}

static struct image_info *add_image(struct loader *l, const char *name)
{
	struct image_info *image = &l->images[l->nimages++];

	*image = (struct image_info){0};
	memcpy(image->name, name, strnlen(name, MANIFEST_FILE_MAX));
	return image;
}

static enum bh_error read_image(struct loader *l, const char *name)
{
	struct image_info *image;
	struct extent extent;
	uint64_t size;
	enum bh_error error;

	if (name[0] == '\0' || find_image(l, name) != NULL)
		return BH_OK;
	error = files_read(l, name, &extent, &size);
	if (error == BH_NO_IMAGE)
		return BH_OK; /* the planner knows who wanted it, and refuses with that */
	if (error != BH_OK)
		return error;
	image = add_image(l, name);
	image->extent = extent;
	kernel_image_probe(pa_to_ptr(extent.base), size, image);
	return BH_OK;
}

/* An ELF kernel is copied as it stands in memory, so it is laid out like that once, in pages of its own. */
static enum bh_error flatten(struct loader *l, struct image_info *image)
{
	const void *file = pa_to_ptr(image->extent.base);
	uint64_t file_size = image->size;
	enum bh_error error =
		pages_take(l, EfiLoaderData, image->part.size, PAGE_SIZE, &image->extent);

	if (error != BH_OK)
		return error;
	error = kernel_image_flatten(file, file_size, pa_to_ptr(image->extent.base),
				     image->extent.size, &image->size);
	if (error != BH_OK)
		return bh_fail(&l->report, error, "kernel %s: its segments cannot be laid out",
			       image->name);
	image->part = (struct extent){image->extent.base, image->size};
	return BH_OK;
}

static enum bh_error flatten_kernels(struct loader *l)
{
	enum bh_error error = BH_OK;

	for (uint32_t i = 0; i < l->manifest->nvms && error == BH_OK; i++) {
		struct image_info *image = find_image(l, l->manifest->vm[i].kernel);

		if (image != NULL && image->kind == KERNEL_ELF && image->part.base.v == 0)
			error = flatten(l, image);
	}
	return error;
}

/* What guests are told is made when the plan is known, but the plan must spare its place. */
static enum bh_error reserve_boots(struct loader *l)
{
	uint64_t size = 0;
	struct image_info *image;
	enum bh_error error;

	for (uint32_t i = 0; i < l->manifest->nvms; i++)
		size += plan_boot_bytes(l->machine, l->manifest->vm[i].ncores);
	if (size == 0)
		return BH_OK;
	error = pages_take(l, EfiLoaderData, size, PAGE_SIZE, &l->boots);
	if (error != BH_OK)
		return error;
	image = add_image(l, "/boot"); /* no file can have a name with a slash */
	image->extent = l->boots;
	image->size = l->boots.size;
	return BH_OK;
}

enum bh_error read_images(struct loader *l)
{
	enum bh_error error = BH_OK;

	for (uint32_t i = 0; i < l->manifest->nvms && error == BH_OK; i++) {
		error = read_image(l, l->manifest->vm[i].kernel);
		if (error == BH_OK)
			error = read_image(l, l->manifest->vm[i].initrd);
	}
	if (error == BH_OK)
		error = flatten_kernels(l);
	return error != BH_OK ? error : reserve_boots(l);
}
