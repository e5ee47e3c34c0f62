/* SPDX-License-Identifier: Apache-2.0 */
/* Just enough of a reader for the tree that Bulkhead made (Devicetree Specification 0.4, chapter 5). */
#include "guest.h"

#define FDT_BEGIN_NODE 1
#define FDT_END_NODE 2
#define FDT_PROP 3
#define FDT_END 9

#define HEADER_STRUCT 2 /* cells of the header */
#define HEADER_STRINGS 3

static const void *own;

uint32_t fdt_cell(const void *property, unsigned cell)
{
	const uint8_t *p = (const uint8_t *)property + cell * 4;

	return property == NULL
		       ? 0
		       : (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static size_t length(const char *text)
{
	size_t n = 0;

	while (text[n] != '\0')
		n++;
	return n;
}

static bool begins(const char *text, const char *with)
{
	while (*with != '\0' && *text == *with) {
		text++;
		with++;
	}
	return *with == '\0';
}

const void *fdt_property(const void *fdt, const char *node, const char *name)
{
	const uint8_t *at = (const uint8_t *)fdt + fdt_cell(fdt, HEADER_STRUCT);
	const char *strings = (const char *)fdt + fdt_cell(fdt, HEADER_STRINGS);
	bool inside = false;

	for (;;) {
		uint32_t token = fdt_cell(at, 0);

		at += 4;
		if (token == FDT_BEGIN_NODE) {
			inside = begins((const char *)at, node);
			at += (length((const char *)at) + 4) & ~3UL;
		} else if (token == FDT_PROP) {
			if (inside && is_word(strings + fdt_cell(at, 1), name))
				return at + 8;
			at += 8 + ((fdt_cell(at, 0) + 3) & ~3U);
		} else if (token == FDT_END) {
			return NULL;
		}
	}
}

const char *guest_boot(const void *boot)
{
	const char *bootargs;

	own = boot;
	bootargs = fdt_property(own, "chosen", "bootargs");
	return bootargs == NULL ? "" : bootargs;
}

struct range guest_ram(void)
{
	const void *reg = fdt_property(own, "memory@", "reg");

	return (struct range){(uint64_t)fdt_cell(reg, 0) << 32 | fdt_cell(reg, 1),
			      (uint64_t)fdt_cell(reg, 2) << 32 | fdt_cell(reg, 3)};
}

/* Between the image and the device tree, and behind that. */
unsigned guest_free_memory(struct range *free, unsigned max)
{
	struct range ram = guest_ram();
	uint64_t fdt = (uint64_t)(uintptr_t)own;
	uint64_t end = (uint64_t)(uintptr_t)image_end;

	if (max < 2)
		return 0;
	free[0] = (struct range){end, fdt - end};
	free[1] = (struct range){fdt + GUEST_BOOT_MAX, ram.from + ram.size - fdt - GUEST_BOOT_MAX};
	return 2;
}

uint32_t console_interrupt(void)
{
	return 32 + fdt_cell(fdt_property(own, "serial@", "interrupts"), 1);
}
