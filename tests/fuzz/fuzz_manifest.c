/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a manifest; and whatever the planner makes of a good one must pass the check. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bulkhead/planner.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct machine machine;
static struct manifest manifest;
static struct image_info images[CONFIG_MAX_VMS * 2];
static uint32_t nimages;
static struct plan plan;
static uint64_t blob[(MANIFEST_MAX_BYTES + 64) / 8];

static void require(bool holds, const char *what, const struct bh_report *report)
{
	if (holds)
		return;
	fprintf(stderr, "%s: %s\n", what, report->text);
	abort();
}

/* Twelve cores in pairs of threads on three nodes; memory in uneven pieces. */
static void make_machine(void)
{
	static const struct machine_memory memory[] = {
		{{{1 * GIB}, 700 * MIB}, 0, 0},
		{{{1 * GIB + 700 * MIB}, 100 * MIB}, 0, 0},
		{{{2 * GIB + PAGE_SIZE}, 129 * MIB}, 0, 0},
		{{{3 * GIB}, 3 * GIB}, 0, 0},
		{{{8 * GIB}, 4 * GIB}, 1, 0},
		{{{12 * GIB}, 64 * MIB}, 2, 0},
		{{{16 * GIB}, 64 * MIB}, 2, 0},
		{{{20 * GIB}, 600 * GIB}, 2, 0},
	};

	machine.ncpus = 12;
	for (uint32_t i = 0; i < 12; i++)
		machine.cpu[i] =
			(struct machine_cpu){.hwid = i, .node = i / 4, .core_id = 100 + i / 2};
	machine.nmemory = ARRAY_SIZE(memory);
	memcpy(machine.memory, memory, sizeof(memory));
	machine.uart_irq = 33;
	machine.arm64.gic_version = 3;
	machine.arm64.spi_count = 32;
	machine.arm64.spi_used[1] = 0xf5;
}

/* Where and of what kind follows from the name as well. */
static void make_x86_kernel(struct image_info *image)
{
	image->kind = image->name[0] % 3 == 0 ? KERNEL_BZIMAGE : KERNEL_ELF;
	image->load_offset = (uint64_t)image->name[1] * 64 * KIB;
	image->part = (struct extent){image->extent.base, image->size};
	if (image->kind == KERNEL_BZIMAGE)
		image->part = (struct extent){pa(image->part.base.v + 4 * KIB), 60 * KIB};
	else if (image->name[0] % 2 == 0)
		image->pvh_offset = 16;
}

/* Images of sizes that follow from their names; in every fourth manifest none is known, as without --images. */
static void add_image(const char *name)
{
	struct image_info *image = &images[nimages];

	for (uint32_t i = 0; i < nimages; i++) {
		if (strcmp(images[i].name, name) == 0)
			return;
	}
	if (name[0] == '\0')
		return;
	memset(image, 0, sizeof(*image));
	memcpy(image->name, name, sizeof(image->name));
	if (manifest.vm[0].kernel[0] % 4 != 0) {
		image->extent =
			(struct extent){pa(1 * GIB + 64 * MIB + 4 * MIB * nimages), 4 * MIB};
		image->size = strlen(name) * 64 * KIB;
		image->run_size = (uint64_t)name[0] * 64 * KIB;
		image->kind = KERNEL_ARM64_IMAGE;
		image->pvh_offset = UINT64_MAX;
		if (machine.arch == MACHINE_X86)
			make_x86_kernel(image);
	}
	nimages++;
}

/* Each VM of the good plan leaves it and comes back, its images now the card's. */
static void try_add(void)
{
	struct bh_report report = {.text = ""};
	uint32_t slot = 0;

	for (uint32_t i = 0; i < nimages; i++)
		images[i].extent = images[i].part = (struct extent){pa(0), 0};
	for (uint32_t i = 0; i < plan.nvms; i++) {
		memset(&plan.vm[i], 0, sizeof(plan.vm[i]));
		if (plan_add(&plan, &machine, &manifest.vm[i], images, nimages, &slot, &report) !=
		    BH_OK) {
			require(report.text[0] == '/', "a refusal names a node", &report);
			require(plan_vm_vacant(&plan.vm[i]), "and changes nothing", &report);
		} else {
			require(slot == i, "the slot", &report);
		}
		require(plan_check(&plan, &machine, &report) == BH_OK, "then it refuses", &report);
	}
}

static void try_plan(void)
{
	struct extent core = {pa(1 * GIB), plan_core_bytes(&manifest, &machine, 100 * KIB)};
	struct bh_report report = {.text = ""};
	static struct plan again;

	nimages = 0;
	for (uint32_t i = 0; i < manifest.nvms; i++) {
		add_image(manifest.vm[i].kernel);
		add_image(manifest.vm[i].initrd);
	}
	if (plan_make(&manifest, &machine, images, nimages, core, &plan, &report) != BH_OK) {
		require(report.text[0] == '/', "a refusal names a node", &report);
		return;
	}
	require(plan_check(&plan, &machine, &report) == BH_OK, "plan_check refuses", &report);
	plan_make(&manifest, &machine, images, nimages, core, &again, &report);
	/* plan_make clears the padding as well. NOLINTNEXTLINE(bugprone-suspicious-memory-comparison) */
	require(memcmp(&plan, &again, sizeof(plan)) == 0, "two plans differ", &report);
	for (uint32_t i = 0; i < plan.nvms; i++)
		require(plan_vm_memory(&plan.vm[i]) == manifest.vm[i].memory, "memory", &report);
	try_add();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bh_report report = {.text = ""};

	if (size > sizeof(blob))
		return 0;
	if (machine.ncpus == 0)
		make_machine();
	memcpy(blob, data, size);
	if (manifest_parse(blob, size, &manifest, &report) != BH_OK) {
		require(report.text[0] != '\0', "a refusal says why", &report);
		return 0;
	}
	machine.arch = MACHINE_ARM64;
	try_plan();
	machine.arch = MACHINE_X86;
	try_plan();
	return 0;
}
