/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the loader share. Section numbers: UEFI 2.10. */
#ifndef BOOT_LOADER_H
#define BOOT_LOADER_H

#include <efi.h>

#include <bulkhead/boot_info.h>
#include <bulkhead/planner.h>

#include "dma_map.h"
#include "elf.h"
#include "machine_acpi.h"
#include "memory_map.h"

#define LOADER_MAX_IMAGES                                                                          \
	(CONFIG_MAX_VMS * 2 + 1) /* kernel and initrd of each VM, what they are told */
#define LOADER_MAX_PAGES                                                                           \
	(LOADER_MAX_IMAGES + CONFIG_MAX_VMS + 10) /* laid-out kernels; what else is taken once */

struct loader {
	EFI_HANDLE self;
	EFI_SYSTEM_TABLE *system;
	EFI_BOOT_SERVICES *services;
	struct bh_report report;

	/* Every page range taken from the firmware, so that a failure gives all of it back. */
	uint32_t npages;
	struct extent pages[LOADER_MAX_PAGES];

	EFI_FILE_HANDLE volume;
	const void *blob; /* the packed files, once they were needed */
	uint64_t blob_size;

	const char *source; /* where l->machine comes from, for people */
	const void *fdt; /* the firmware's; NULL when there is none or ACPI is used */
	struct gic_regions regions;
	struct dma_map dma;
	struct node_map nodes;
	struct memory_map map;

	struct machine *machine;
	struct manifest *manifest;
	uint32_t nimages;
	struct image_info images[LOADER_MAX_IMAGES];
	struct extent boots; /* what each VM is told: plan_boot_bytes() each, in VM order */
	struct extent core;
	struct elf_layout layout;
	struct boot_info *info; /* in @core */
};

/* --- console.c --- */

/* Prints one line on the firmware's console. */
void say(struct loader *l, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* BH_FIRMWARE: "@what failed", with the status. */
enum bh_error firmware_failed(struct loader *l, const char *what, EFI_STATUS status);

/* --- pages.c --- */

/*
 * Takes @size bytes in whole pages, at a multiple of @align (a power of two, at least a page).
 * Not cleared.
 */
enum bh_error pages_take(struct loader *l, EFI_MEMORY_TYPE type, uint64_t size, uint64_t align,
			 struct extent *out);

/* The same, not beyond @end. */
enum bh_error pages_take_below(struct loader *l, EFI_MEMORY_TYPE type, uint64_t size,
			       uint64_t align, uint64_t end, struct extent *out);

/* Gives everything back. */
void pages_give_back(struct loader *l);

/* --- files.c --- */

enum bh_error files_open(struct loader *l);
void files_close(struct loader *l);

/* Reads file @name into pages of its own; BH_NO_IMAGE when there is no such file. */
enum bh_error files_read(struct loader *l, const char *name, struct extent *extent, uint64_t *size);

/* --- card.c --- */

/* Fills l->info->plan.card as the manifest has it; BH_NO_DEVICE when it is not what it has to be. */
enum bh_error find_card(struct loader *l);

/* --- functions.c --- */

/*
 * Fills l->machine's functions, with the VFs that the manifest names switched on. BH_NO_DEVICE
 * when those cannot be.
 */
enum bh_error find_functions(struct loader *l);

/* --- discover.c --- */

/* Fills l->machine from ACPI or what there is instead; memory comes from memory_read(). */
enum bh_error discover_machine(struct loader *l);

/* What firmware published under @guid (UEFI 2.10 4.6); NULL when there is nothing. */
const void *configuration_table(const struct loader *l, const EFI_GUID *guid);

/* --- memory.c --- */

/* Takes a buffer for the firmware's memory map, large enough for all that follows. */
enum bh_error memory_prepare(struct loader *l);

/* Reads the map as it is now into @machine's memory; @key is what ExitBootServices asks for. */
enum bh_error memory_read(struct loader *l, struct machine *machine, UINTN *key);

/* --- images.c --- */

enum bh_error read_manifest(struct loader *l);

/*
 * Reads each file the manifest names, once. One that is missing is left for the planner to
 * refuse.
 */
enum bh_error read_images(struct loader *l);

/* The file @name, NULL when it was not read. */
struct image_info *find_image(struct loader *l, const char *name);

/* --- entropy.c --- */

/* Fills l->info->seed from the best source there is, and says which. */
void gather_entropy(struct loader *l);

/* --- load_core.c --- */

/*
 * Takes the core's extent, loads and relocates the embedded core there, and starts l->info
 * behind it.
 */
enum bh_error load_core(struct loader *l);

/* --- handoff.c --- */

/* Leaves boot services and enters the core. Returns only when that failed. */
enum bh_error hand_off(struct loader *l);

#endif
