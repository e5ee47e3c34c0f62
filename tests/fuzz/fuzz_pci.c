/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A scan over functions whose configuration space answers anything: the first bytes say which there are and how
 * much of them can be written, the rest is what they read as. It ends, counts stay
 * within bounds, and what is not marked as malformed holds together.
 */
#include <stdlib.h>
#include <string.h>

#include "boot/dma_map.h"

#define FUNCTIONS 12
#define CONFIG_BYTES 4096
#define READS_MAX 2000000U /* a loop without end */
#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition))                                                                  \
			abort();                                                                   \
	} while (0)

struct config {
	uint32_t id;
	uint8_t writable; /* bits of each byte */
	uint8_t bytes[CONFIG_BYTES];
};

static struct config configs[FUNCTIONS];
static uint32_t reads;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct config *find(uint32_t id)
{
	for (size_t i = 0; i < FUNCTIONS; i++) {
		if (configs[i].id == id)
			return &configs[i];
	}
	return NULL;
}

static uint32_t read_config(void *context, uint32_t id, uint32_t offset)
{
	const struct config *c = find(id);
	uint32_t value = UINT32_MAX;

	(void)context;
	CHECK(reads++ < READS_MAX);
	CHECK(offset % 4 == 0 && offset < CONFIG_BYTES);
	if (c != NULL)
		memcpy(&value, c->bytes + offset, sizeof(value));
	return value;
}

static void write_config(void *context, uint32_t id, uint32_t offset, uint32_t value)
{
	struct config *c = find(id);

	(void)context;
	CHECK(offset % 4 == 0 && offset < CONFIG_BYTES);
	for (size_t i = 0; c != NULL && i < sizeof(value); i++) {
		uint8_t byte = (uint8_t)(value >> 8 * i);

		c->bytes[offset + i] =
			(uint8_t)((c->bytes[offset + i] & ~c->writable) | (byte & c->writable));
	}
}

static void wait(void *context, uint32_t milliseconds)
{
	(void)context;
	CHECK(milliseconds <= 1000);
}

static void check_function(const struct machine *m, const struct machine_function *f)
{
	uint32_t index = (uint32_t)(f - m->function);
	uint32_t end = 0x40;

	CHECK(f->group <= index && m->function[f->group].group == f->group);
	CHECK(f->pf == MACHINE_NONE || (f->pf < index && (m->function[f->pf].flags & FUNCTION_PF)));
	CHECK(f->ncaps <= MACHINE_MAX_CAPS);
	CHECK(pci_find(m, f->id) == index);
	if (f->flags & FUNCTION_MALFORMED)
		return;
	for (uint32_t i = 0; i < f->ncaps; i++) {
		CHECK(f->cap[i].offset >= end && f->cap[i].length >= 3);
		end = f->cap[i].offset + f->cap[i].length;
		CHECK(end <= 0x100);
	}
	for (uint32_t i = 0; i < MACHINE_MAX_BARS; i++) {
		CHECK((f->bar[i].size & (f->bar[i].size - 1)) == 0);
		CHECK(f->bar[i].size == 0 || f->bar[i].size >= 16);
	}
	if (f->msix == 0 || (f->flags & (FUNCTION_BRIDGE | FUNCTION_HOST)))
		return;
	CHECK(f->msix_bar < MACHINE_MAX_BARS && f->pba_bar < MACHINE_MAX_BARS);
	CHECK(range_inside(f->msix_offset, f->msix_vectors * 16ULL, 0, f->bar[f->msix_bar].size));
}

/* Each function: where it stands, what can be written, which bytes are at which offset; what has none reads as 0. */
static void fill(const uint8_t *data, size_t size)
{
	size_t each = size / FUNCTIONS;

	memset(configs, 0, sizeof(configs));
	for (size_t i = 0; i < FUNCTIONS; i++, data += each) {
		struct config *c = &configs[i];

		c->id = each > 2 ? (data[0] & 3U) << 8 | data[1] : 0x10000;
		c->writable = each > 2 ? data[2] : 0;
		for (size_t k = 3; k + 2 < each; k += 3) {
			size_t at = data[k] + ((data[k + 1] & 1) ? 0x100 : 0);

			c->bytes[at] = data[k + 2];
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct pci_access access = {read_config, write_config, wait, NULL};
	static struct machine machine;
	static struct dma_map map;
	struct bh_report report;
	uint32_t known;

	fill(data, size);
	reads = 0;
	machine.necam = 1;
	machine.ecam[0] = (struct machine_ecam){.base = pa(0x40000000), .bus_last = 3};
	CHECK(pci_scan(&access, &machine) == 0);
	known = machine.nfunctions;
	CHECK(known <= FUNCTIONS);
	for (uint32_t i = 0; i < known; i++)
		check_function(&machine, &machine.function[i]);
	for (uint32_t i = 0; i < known; i++) {
		if (machine.function[i].flags == FUNCTION_FLR)
			pci_enable_vfs(&access, &machine, i, 1 + i * 5, "fuzz", &report);
	}
	CHECK(machine.nfunctions <= MACHINE_MAX_FUNCTIONS);
	dma_map_apply(&map, &access, &machine);
	for (uint32_t i = 0; i < machine.nfunctions; i++)
		check_function(&machine, &machine.function[i]);
	return 0;
}
