/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the card's tests, which are one end of a connection, need of the C side.
 * card_machine make TREE.dtb OUT: a struct machine, with PCI functions; prints what hello needs beside it.
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

/* Two that can be given, one whose DMA nobody checks, one with two virtual functions. */
static void add_functions(struct machine *machine)
{
	static const struct {
		uint32_t id;
		uint32_t flags;
		uint32_t pf;
		uint32_t iommu;
	} functions[] = {
		{0x0100, FUNCTION_FLR, MACHINE_NONE, 0},
		{0x0200, FUNCTION_FLR, MACHINE_NONE, 0},
		{0x0300, FUNCTION_FLR, MACHINE_NONE, MACHINE_NONE},
		{0x0400, FUNCTION_FLR | FUNCTION_PF, MACHINE_NONE, 0},
		{0x0480, FUNCTION_FLR | FUNCTION_VF, 3, 0},
		{0x0481, FUNCTION_FLR | FUNCTION_VF, 3, 0},
	};

	machine->arm64.nsmmu = 1;
	machine->arm64.smmu[0] = pa(0x09050000);
	machine->arm64.its = pa(0x08080000);
	for (uint32_t i = 0; i < ARRAY_SIZE(functions); i++) {
		struct machine_function *f = &machine->function[machine->nfunctions++];

		*f = (struct machine_function){.id = functions[i].id,
					       .flags = functions[i].flags,
					       .group = i,
					       .pf = functions[i].pf,
					       .iommu = functions[i].iommu,
					       .stream = functions[i].id,
					       .msi_device = functions[i].id};
		f->bar[0] = (struct machine_bar){.base = pa(0x10000000 + i * MIB), .size = MIB};
	}
	plan_mark_functions(machine);
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
	add_functions(&machine);
	core = core_of(&machine);
	file = fopen(out, "wb");
	if (!file || fwrite(&machine, sizeof(machine), 1, file) != 1 || fclose(file) != 0)
		return 1;
	printf("{\"plan_size\": %zu, \"plan_vm_size\": %zu, \"core\": [%llu, %llu], "
	       "\"images_offset\": %zu, \"nfunctions_offset\": %zu, \"nports_offset\": %zu, "
	       "\"functions_offset\": %zu, \"function_size\": %zu, \"max_vms\": %u}\n",
	       sizeof(struct plan), sizeof(struct plan_vm), (unsigned long long)core.base.v,
	       (unsigned long long)core.size, offsetof(struct plan_vm, image),
	       offsetof(struct plan_vm, nfunctions), offsetof(struct plan_vm, nports),
	       offsetof(struct plan_vm, function), sizeof(struct plan_function), CONFIG_MAX_VMS);
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
	plan.card.function = MACHINE_NONE;
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
	plan.card.function = MACHINE_NONE;
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
