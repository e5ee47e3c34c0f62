/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BHMANIFEST_H
#define BHMANIFEST_H

#include <stdio.h>

#include <bulkhead/machine.h>
#include <bulkhead/manifest.h>
#include <bulkhead/planner.h>

/* Bytes of a file, 8-byte aligned, from malloc. */
struct bytes {
	void *data;
	size_t size;
};

/* All below say what is wrong on stderr and then return false. */

/* The device tree blob in @path, which is a blob already or source for dtc. The caller frees it. */
bool read_tree(const char *path, struct bytes *tree);

bool write_file(const char *path, const struct bytes *bytes);

/*
 * Describes each file that @manifest names, once, into @images; returns their
 * number. From folder @folder; when it is NULL every image is "not known". A
 * file that is not there is left out, so that the planner refuses it.
 */
uint32_t read_images(const struct manifest *manifest, const char *folder,
		     struct image_info *images);

/*
 * Reads /functions of the machine description @fdt, which machine_from_fdt() has read, into
 * @machine. BH_OK, or the error described in @report.
 */
enum bh_error read_functions(const void *fdt, struct machine *machine, struct bh_report *report);

/* Prints @manifest as source, with every default filled in. */
void show_manifest(FILE *out, const struct manifest *manifest);

/* Writes the picture of @plan. */
bool write_svg(const char *path, const struct plan *plan, const struct machine *machine);

#define MAX_IMAGES (CONFIG_MAX_VMS * 2)

#endif
