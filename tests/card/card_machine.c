/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the fake hypervisor of the card's tests needs of the C side.
 * card_machine make TREE.dtb OUT: a struct machine; prints what hello needs beside it.
 * card_machine check MACHINE PLAN...: the hypervisor's own check over struct plan_vm files.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bulkhead/planner.h>

#include "boot/machine_fdt.h"

#define CORE_BYTES (32 * MIB) /* as large as any; what else the hypervisor has is its own affair */

static size_t read_file(const char *path, void *out, size_t room)
{
	FILE *file = fopen(path, "rb");
	size_t size = file ? fread(out, 1, room, file) : 0;

	if (file)
		fclose(file);
	return size;
}

/* At the end of the largest extent, as firmware gives it. */
static struct extent core_of(const struct machine *machine)
{
	struct extent largest = {pa(0), 0};

	for (uint32_t i = 0; i < machine->nmemory; i++) {
		if (machine->memory[i].extent.size > largest.size)
			largest = machine->memory[i].extent;
	}
	return (struct extent){pa(align_down(extent_end(largest) - CORE_BYTES, BLOCK_SIZE)),
			       CORE_BYTES};
}

static int make(const char *tree, const char *out)
{
	static uint64_t blob[131072];
	static struct machine machine;
	struct bh_report report;
	size_t size = read_file(tree, blob, sizeof(blob));
	FILE *file;
	struct extent core;

	if (machine_from_fdt(blob, size, &machine, &report) != BH_OK) {
		fprintf(stderr, "%s\n", report.text);
		return 1;
	}
	core = core_of(&machine);
	file = fopen(out, "wb");
	if (!file || fwrite(&machine, sizeof(machine), 1, file) != 1 || fclose(file) != 0)
		return 1;
	printf("{\"plan_size\": %zu, \"plan_vm_size\": %zu, \"core\": [%llu, %llu], "
	       "\"images_offset\": %zu, \"max_vms\": %u}\n",
	       sizeof(struct plan), sizeof(struct plan_vm), (unsigned long long)core.base.v,
	       (unsigned long long)core.size, offsetof(struct plan_vm, image), CONFIG_MAX_VMS);
	return 0;
}

static int check(const char *path, int nplans, char **plans)
{
	static struct machine machine;
	static struct plan plan;
	struct bh_report report = {BH_OK, ""};

	if (read_file(path, &machine, sizeof(machine)) != sizeof(machine) ||
	    nplans > CONFIG_MAX_VMS)
		return 2;
	plan.management_core = machine.boot_cpu;
	plan.core = core_of(&machine);
	plan.nvms = (uint32_t)nplans;
	for (int i = 0; i < nplans; i++) {
		if (read_file(plans[i], &plan.vm[i], sizeof(plan.vm[i])) != sizeof(plan.vm[i]))
			return 2;
	}
	if (plan_check(&plan, &machine, &report) == BH_OK)
		return 0;
	printf("%s\n", report.text);
	return 1;
}

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "make") == 0)
		return make(argv[2], argv[3]);
	if (argc >= 3 && strcmp(argv[1], "check") == 0)
		return check(argv[2], argc - 3, argv + 3);
	return 2;
}
