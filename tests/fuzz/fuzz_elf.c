/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as the resident core: what elf_check() accepts, elf_load() writes within its layout. */
#include <stdlib.h>
#include <string.h>

#include "boot/elf.h"

#define HEADER_BYTES 64
#define MAX_LOADED (64 * KIB) /* larger ones are only checked, to stay fast */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What every ELF file of this kind begins with, so that the rest is reached. */
static void put_right(uint8_t *file, const struct elf_machine *machine)
{
	static const uint8_t start[] = {0x7f, 'E', 'L', 'F', 2, 1, 1};
	const uint8_t kind[] = {3, 0, (uint8_t)machine->number, 0};
	static const uint8_t table[] = {HEADER_BYTES};

	memcpy(file, start, sizeof(start));
	memcpy(file + 16, kind, sizeof(kind));
	memset(file + 32, 0, 8);
	memcpy(file + 32, table, sizeof(table));
	file[54] = 56; /* bytes of a program header, and how many */
	file[55] = 0;
	file[56] &= 7;
	file[57] = 0;
}

static void run(const uint8_t *file, size_t size, const struct elf_machine *machine)
{
	struct elf_layout layout;
	struct bh_report report;
	void *image;

	if (elf_check(file, size, machine, &layout, &report) != BH_OK || layout.size > MAX_LOADED)
		return;
	image = malloc(layout.size);
	if (image == NULL)
		abort();
	elf_load(file, size, &layout, image, 0x80000000, &report);
	free(image);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct elf_machine *machine = size % 2 == 0 ? &elf_aarch64 : &elf_x86_64;
	uint8_t *file = malloc(size + 1);

	if (file == NULL)
		abort();
	if (size != 0)
		memcpy(file, data, size);
	run(file, size, machine);
	if (size >= HEADER_BYTES)
		put_right(file, machine);
	run(file, size, machine);
	free(file);
	return 0;
}
