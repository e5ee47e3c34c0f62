/* SPDX-License-Identifier: Apache-2.0 */
#include "facts.h"

#include <string.h>

#include "payload.h"

static enum bh_error missing(struct bh_report *report, const char *name)
{
	return bh_fail(report, BH_BAD_MESSAGE, "hello: %s is missing or malformed", name);
}

static enum bh_error read_numbers(const void *tree, struct facts *f, struct bh_report *report)
{
	uint32_t version;

	if (!tree_u32(tree, 0, "version", &version))
		return missing(report, "version");
	if (version != PROTOCOL_VERSION)
		return bh_fail(report, BH_BAD_MESSAGE,
			       "hello: protocol version %u; this bhcard speaks %u", version,
			       PROTOCOL_VERSION);
	if (!tree_u64(tree, 0, "build-id", &f->build_id))
		return missing(report, "build-id");
	if (!tree_u64(tree, 0, "boot-id", &f->boot_id))
		return missing(report, "boot-id");
	if (!tree_u64(tree, 0, "time-us", &f->time_us))
		return missing(report, "time-us");
	if (!tree_u32(tree, 0, "management-core", &f->management_core))
		return missing(report, "management-core");
	if (!tree_u32(tree, 0, "console-interrupt", &f->console_interrupt))
		return missing(report, "console-interrupt");
	return BH_OK;
}

/* The planner follows these numbers. */
static bool functions_are_sane(const struct machine *m)
{
	bool sane = m->nfunctions <= MACHINE_MAX_FUNCTIONS;

	for (uint32_t i = 0; sane && i < m->nfunctions; i++)
		sane = m->function[i].pf == MACHINE_NONE || m->function[i].pf < m->nfunctions;
	return sane;
}

/* The structures that the two sides exchange as they are must be the same ones. */
static enum bh_error read_machine(const void *tree, struct facts *f, struct bh_report *report)
{
	uint32_t plan_size = 0;
	uint32_t size = 0;
	const void *machine = tree_bytes(tree, 0, "machine", &size);

	if (!machine || !tree_u32(tree, 0, "plan-size", &plan_size))
		return missing(report, "machine or plan-size");
	if (size != sizeof(f->machine) || plan_size != sizeof(struct plan))
		return bh_fail(report, BH_BAD_MACHINE,
			       "hello: build %016llx has a machine of %u and a plan of %u bytes; "
			       "this bhcard has %u and %u: build both from one tree, with one "
			       "configuration",
			       (unsigned long long)f->build_id, size, plan_size,
			       (unsigned int)sizeof(f->machine), (unsigned int)sizeof(struct plan));
	memcpy(&f->machine, machine, sizeof(f->machine));
	if (f->machine.ncpus == 0 || f->machine.ncpus > CONFIG_MAX_CPUS ||
	    f->machine.nmemory > MACHINE_MAX_MEMORY || !functions_are_sane(&f->machine) ||
	    f->machine.arch > MACHINE_X86 || f->management_core >= f->machine.ncpus ||
	    !memchr(f->machine.name, '\0', sizeof(f->machine.name)))
		return bh_fail(report, BH_BAD_MACHINE, "hello: its machine contradicts itself");
	return BH_OK;
}

static enum bh_error read_extents(const void *tree, struct facts *f, struct bh_report *report)
{
	uint32_t size = 0;
	const void *data = tree_bytes(tree, 0, "core", &size);

	if (!data || size != sizeof(f->core))
		return missing(report, "core");
	memcpy(&f->core, data, sizeof(f->core));
	size = 0;
	data = tree_bytes(tree, 0, "images", &size);
	if (size % sizeof(f->images[0]) != 0 || size > sizeof(f->images))
		return missing(report, "images");
	f->nimages = size / (uint32_t)sizeof(f->images[0]);
	if (size != 0)
		memcpy(f->images, data, size);
	return BH_OK;
}

enum bh_error facts_read(const void *tree, struct facts *facts, struct bh_report *report)
{
	enum bh_error error;

	memset(facts, 0, sizeof(*facts));
	error = read_numbers(tree, facts, report);
	if (error == BH_OK)
		error = read_machine(tree, facts, report);
	if (error == BH_OK)
		error = read_extents(tree, facts, report);
	return error;
}
