/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PCI functions of a machine's description: /functions has a node for each, with what
 * the loader would have found. A machine's own device tree has no such node.
 */
#include <string.h>

#include <libfdt.h>

#include "bhmanifest.h"

#define BAR_CELLS 5 /* base (2), size (2), flags */

struct reader {
	const void *fdt;
	struct machine *m;
	struct machine_function *f;
	int node;
	struct bh_report *report;
};

static enum bh_error bad(const struct reader *r, const char *property, const char *what)
{
	const char *name = fdt_get_name(r->fdt, r->node, NULL);

	return bh_fail(r->report, BH_BAD_MACHINE, "/functions/%s: %s: %s", name ? name : "?",
		       property, what);
}

/* @count cells; false when the property is not there or has another number of them. */
static bool get_cells(const struct reader *r, const char *property, uint32_t *cells, int count)
{
	int size = 0;
	const uint8_t *data = fdt_getprop(r->fdt, r->node, property, &size);

	if (!data || size != count * 4)
		return false;
	for (int i = 0; i < count; i++)
		cells[i] = fdt32_ld((const fdt32_t *)(const void *)(data + 4 * (size_t)i));
	return true;
}

static bool has(const struct reader *r, const char *property)
{
	return fdt_getprop(r->fdt, r->node, property, NULL) != NULL;
}

/* The function that a string property names; it stands before this one, or is this one. */
static bool get_function(const struct reader *r, const char *property, uint32_t *index)
{
	int size = 0;
	const char *text = fdt_getprop(r->fdt, r->node, property, &size);
	uint32_t id, vf;

	if (!text || size < 1 || text[size - 1] != '\0' || !manifest_function(text, &id, &vf) ||
	    vf != MACHINE_NONE)
		return false;
	for (*index = 0; &r->m->function[*index] <= r->f; (*index)++) {
		if (r->m->function[*index].id == id)
			return true;
	}
	return false;
}

static enum bh_error read_flags(const struct reader *r)
{
	static const struct {
		const char *name;
		uint32_t flag;
	} flags[] = {
		{"bridge", FUNCTION_BRIDGE},
		{"flr", FUNCTION_FLR},
		{"pf", FUNCTION_PF},
		{"reserved-memory", FUNCTION_RESERVED_MEMORY},
		{"malformed", FUNCTION_MALFORMED},
		{"host", FUNCTION_HOST},
	};
	int count = fdt_stringlist_count(r->fdt, r->node, "flags");

	for (int i = 0; i < count; i++) {
		const char *word = fdt_stringlist_get(r->fdt, r->node, "flags", i, NULL);
		size_t k = 0;

		while (k < ARRAY_SIZE(flags) && word && strcmp(word, flags[k].name) != 0)
			k++;
		if (k == ARRAY_SIZE(flags) || !word)
			return bad(r, "flags",
				   "bridge, flr, pf, reserved-memory, malformed and host are "
				   "allowed");
		r->f->flags |= flags[k].flag;
	}
	return BH_OK;
}

static enum bh_error read_bars(const struct reader *r)
{
	char name[] = "bar0";

	for (uint32_t i = 0; i < MACHINE_MAX_BARS; i++, name[3]++) {
		struct machine_bar *bar = &r->f->bar[i];
		uint32_t cells[BAR_CELLS];

		if (!has(r, name))
			continue;
		if (!get_cells(r, name, cells, BAR_CELLS))
			return bad(r, name, "base (2 cells), size (2 cells) and flags are allowed");
		bar->base = pa((uint64_t)cells[0] << 32 | cells[1]);
		bar->size = (uint64_t)cells[2] << 32 | cells[3];
		bar->flags = cells[4];
		if ((bar->size & (bar->size - 1)) != 0)
			return bad(r, name, "its size is no power of two");
	}
	return BH_OK;
}

static enum bh_error read_iommu(const struct reader *r)
{
	uint32_t cells[2],
		known = r->m->arch == MACHINE_X86 ? MACHINE_MAX_IOMMU : r->m->arm64.nsmmu;

	if (!has(r, "iommu"))
		return BH_OK;
	if (!get_cells(r, "iommu", cells, 2) || cells[0] >= known)
		return bad(r, "iommu", "the number of an IOMMU and that of a stream are allowed");
	r->f->iommu = cells[0];
	r->f->stream = cells[1];
	if (r->m->arch == MACHINE_X86 && cells[0] >= r->m->x86.niommus)
		r->m->x86.niommus = cells[0] + 1;
	return BH_OK;
}

static enum bh_error read_function(struct reader *r)
{
	struct machine_function *f = r->f;
	uint32_t own = r->m->nfunctions;
	int size = 0;
	const char *address = fdt_getprop(r->fdt, r->node, "address", &size);
	uint32_t vf;
	enum bh_error error;

	memset(f, 0, sizeof(*f));
	f->group = own;
	f->pf = f->iommu = f->msi_device = MACHINE_NONE;
	if (!address || size < 1 || address[size - 1] != '\0' ||
	    !manifest_function(address, &f->id, &vf) || vf != MACHINE_NONE)
		return bad(r, "address", "the form \"0000:01:00.0\" is required");
	if ((has(r, "device") && !get_cells(r, "device", &f->device, 1)) ||
	    (has(r, "class") && !get_cells(r, "class", &f->class_code, 1)))
		return bad(r, "device or class", "one cell is allowed");
	if (has(r, "group") && !get_function(r, "group", &f->group))
		return bad(r, "group", "a function before this one is allowed");
	f->group = r->m->function[f->group].group;
	if (has(r, "pf")) {
		if (!get_function(r, "pf", &f->pf) || f->pf == own)
			return bad(r, "pf", "a function before this one is allowed");
		f->flags |= FUNCTION_VF;
	}
	error = read_flags(r);
	if (error == BH_OK)
		error = read_iommu(r);
	return error != BH_OK ? error : read_bars(r);
}

enum bh_error read_functions(const void *fdt, struct machine *machine, struct bh_report *report)
{
	struct reader r = {.fdt = fdt, .m = machine, .report = report};
	int parent = fdt_path_offset(fdt, "/functions");
	enum bh_error error = BH_OK;

	if (parent < 0)
		return BH_OK;
	fdt_for_each_subnode(r.node, fdt, parent)
	{
		if (machine->nfunctions == MACHINE_MAX_FUNCTIONS)
			return bh_fail(report, BH_TOO_MANY,
				       "/functions: more than %u; at most %u are allowed",
				       MACHINE_MAX_FUNCTIONS, MACHINE_MAX_FUNCTIONS);
		r.f = &machine->function[machine->nfunctions];
		error = read_function(&r);
		if (error != BH_OK)
			return error;
		machine->nfunctions++;
	}
	return BH_OK;
}
