/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the card's tests, which are one end of a connection, need of the C side.
 * card_machine make TREE.dtb OUT: a struct machine; prints what hello needs beside it.
 * card_machine check MACHINE PLAN...: the hypervisor's own check over struct plan_vm files.
 * card_machine plan MACHINE NAME KERNEL BOOT BASE SIZE...: a struct plan_vm on standard output, for a VM of one core and
 * 8 MiB with images of KERNEL and BOOT bytes, on a machine with no other VM; SIZE bytes at BASE are the hypervisor's own,
 * what follows is its image store.
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

static struct extent read_extent(char **argument)
{
	return (struct extent){pa(strtoull(argument[0], NULL, 10)),
			       strtoull(argument[1], NULL, 10)};
}

static int make_plan(int count, char **argument)
{
	static struct machine machine;
	static struct plan plan;
	static struct image_info kernel = {.name = "kernel"};
	static struct manifest_vm want = {
		.ncores = 1, .any_core = 1, .memory = 8 * MIB, .kernel = "kernel", .console = 1};
	struct bh_report report = {BH_OK, ""};
	uint32_t slot = 0;

	if (read_file(argument[0], &machine, sizeof(machine)) != sizeof(machine))
		return 2;
	plan.management_core = machine.boot_cpu;
	plan.core = read_extent(argument + 4);
	for (int i = 6; i + 1 < count; i += 2)
		plan.images[plan.nimages++] = read_extent(argument + i);
	snprintf(want.name, sizeof(want.name), "%s", argument[1]);
	kernel.size = kernel.run_size = strtoull(argument[2], NULL, 10);
	kernel.kind = KERNEL_ARM64_IMAGE;
	if (plan_add(&plan, &machine, &want, &kernel, 1, &slot, &report) != BH_OK) {
		fprintf(stderr, "%s\n", report.text);
		return 1;
	}
	plan_set_boot(&plan, slot, (struct extent){pa(0), PAGE_SIZE},
		      strtoull(argument[3], NULL, 10), 0, 0);
	return fwrite(&plan.vm[slot], sizeof(plan.vm[slot]), 1, stdout) == 1 ? 0 : 1;
}

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "make") == 0)
		return make(argv[2], argv[3]);
	if (argc >= 3 && strcmp(argv[1], "check") == 0)
		return check(argv[2], argc - 3, argv + 3);
	if (argc >= 8 && strcmp(argv[1], "plan") == 0)
		return make_plan(argc - 2, argv + 2);
	return 2;
}
