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

static bool have_image(const struct loader *l, const char *name)
{
	for (uint32_t i = 0; i < l->nimages; i++) {
		if (strcmp(l->images[i].name, name) == 0)
			return true;
	}
	return false;
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

	if (name[0] == '\0' || have_image(l, name))
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

/* The device trees are made when the plan is known, but the plan must spare their place. */
static enum bh_error reserve_trees(struct loader *l)
{
	uint64_t size = 0;
	struct image_info *image;
	enum bh_error error;

	for (uint32_t i = 0; i < l->manifest->nvms; i++)
		size += plan_fdt_bytes(l->manifest->vm[i].ncores);
	if (size == 0)
		return BH_OK;
	error = pages_take(l, EfiLoaderData, size, PAGE_SIZE, &l->trees);
	if (error != BH_OK)
		return error;
	image = add_image(l, "/trees"); /* no file can have a name with a slash */
	image->extent = l->trees;
	image->size = l->trees.size;
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
	return error != BH_OK ? error : reserve_trees(l);
}
