/* SPDX-License-Identifier: Apache-2.0 */
/* Loading the resident core: a static position-independent ELF file. Pure. */
#ifndef BOOT_ELF_H
#define BOOT_ELF_H

#include <bulkhead/error.h>

/* For which processor: its number, and the one relocation that is known. */
struct elf_machine {
	const char *name;
	const char *relative_name;
	uint16_t number; /* e_machine */
	uint32_t relative; /* "add the base" */
};

extern const struct elf_machine elf_aarch64, elf_x86_64;

/* Offsets from the place the image is loaded to. */
struct elf_range {
	uint64_t offset;
	uint64_t size; /* whole pages */
};

struct elf_layout {
	const struct elf_machine *machine;
	struct elf_range text; /* RX */
	struct elf_range rodata; /* R */
	struct elf_range data; /* RW */
	uint64_t size; /* of the whole image in memory, whole pages */
	uint64_t entry;
	uint64_t build_id; /* its first 8 bytes; 0 when there is none */
};

/*
 * Checks the @size bytes at @file and fills @layout: for @machine, exactly one
 * segment each of text, rodata and data, in whole pages, apart from each other.
 */
enum bh_error elf_check(const void *file, uint64_t size, const struct elf_machine *machine,
			struct elf_layout *layout, struct bh_report *report);

/*
 * Copies the segments of a file that elf_check() accepted to @to (layout->size
 * bytes) and relocates them to run at address @base. Only the machine's
 * RELATIVE relocation is known.
 */
enum bh_error elf_load(const void *file, uint64_t size, const struct elf_layout *layout, void *to,
		       uint64_t base, struct bh_report *report);

#endif
