/* SPDX-License-Identifier: Apache-2.0 */
/* A whole machine and what its loader hands over, made by the planner itself. */
#include <bulkhead/planner.h>

#include "private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FUNCTION_PAGES 512 /* in the pool, for what host_add_function() adds */
#define IMAGE_PAGES 16 /* the pretended resident image: half text, then rodata and data */
#define KERNEL_BYTES 20000
#define INITRD_BYTES 2100000 /* more than a block */
#define FDT_BYTES 4096
#define RNG_SEED_OFFSET 512
#define KASLR_SEED_OFFSET 1024

static uint64_t spare_ram = 4 * MIB; /* some of it always stays free */

static uint8_t kernel[KERNEL_BYTES];
static uint8_t initrd[INITRD_BYTES];
static uint8_t fdt[FDT_BYTES];

const uint8_t *host_image(enum plan_image_slot slot, uint64_t *size)
{
	static uint8_t *const bytes[] = {kernel, fdt, initrd};
	static const uint64_t sizes[] = {KERNEL_BYTES, FDT_BYTES, INITRD_BYTES};

	*size = sizes[slot];
	return bytes[slot];
}

static void make_images(void)
{
	for (uint32_t slot = 0; slot < PLAN_MAX_IMAGES; slot++) {
		uint64_t size;
		uint8_t *bytes =
			(uint8_t *)(uintptr_t)host_image((enum plan_image_slot)slot, &size);

		for (uint64_t i = 0; i < size; i++)
			bytes[i] = (uint8_t)((i ^ i >> 8 ^ slot << 6) | 1); /* never zero */
	}
}

static void make_machine(struct machine *machine, uint32_t ncpus, uint64_t ram)
{
	snprintf(machine->name, sizeof(machine->name), "fake");
	machine->ncpus = ncpus;
	for (uint32_t i = 0; i < ncpus; i++)
		machine->cpu[i] = (struct machine_cpu){
			.hwid = 0x100 + i,
			.gicr = pa(HOST_DEVICES_BASE + MIB + i * (128 * KIB)),
			.core_id = i,
		};
	machine->nmemory = 1;
	machine->memory[0].extent = (struct extent){pa(HOST_RAM_BASE), ram};
	machine->uart = pa(HOST_DEVICES_BASE);
	machine->uart_irq = 33;
	machine->arm64.gicd = pa(HOST_DEVICES_BASE + 64 * KIB);
	machine->arm64.gic_version = 3;
	machine->arm64.psci_smc = 1;
	machine->arm64.spi_count = 64;
}

static void make_manifest(struct manifest *manifest, const struct host_vm *vms, uint32_t nvms)
{
	manifest->host.management_core = MANIFEST_ANY_CORE;
	manifest->nvms = nvms;
	for (uint32_t i = 0; i < nvms; i++) {
		struct manifest_vm *vm = &manifest->vm[i];

		snprintf(vm->name, sizeof(vm->name), "%s", vms[i].name);
		snprintf(vm->kernel, sizeof(vm->kernel), "Image");
		snprintf(vm->initrd, sizeof(vm->initrd), "initrd");
		vm->any_core = 1;
		vm->ncores = vms[i].ncores;
		vm->memory = vms[i].mib * MIB;
		vm->console = 1;
		vm->autostart = vms[i].autostart;
		vm->restart_limit = vms[i].restart_limit;
		vm->restart_window = vms[i].restart_window;
		host_guest_set(i, vms[i].guest);
	}
}

/* Puts the images into RAM behind the core, one after the other; @info says where. */
static uint64_t store_images(struct image_info *info, uint64_t at)
{
	static const enum plan_image_slot slots[] = {IMAGE_KERNEL, IMAGE_INITRD, IMAGE_BOOT};
	static const char *const names[] = {"Image", "initrd", ""};

	for (uint32_t i = 0; i < ARRAY_SIZE(slots); i++) {
		uint64_t size;
		const uint8_t *bytes = host_image(slots[i], &size);

		info[i].extent = (struct extent){pa(at), align_up(size, PAGE_SIZE)};
		info[i].size = size;
		info[i].run_size = size;
		info[i].kind = i == 0 ? KERNEL_ARM64_IMAGE : KERNEL_NONE;
		snprintf(info[i].name, sizeof(info[i].name), "%s", names[i]);
		memcpy(pa_to_ptr(pa(at)), bytes, size);
		at += info[i].extent.size;
	}
	return at;
}

/* The core's extent from its base: text, rodata, data, struct boot_info, pool. */
static struct boot_info *lay_out(struct extent core)
{
	uint64_t at = core.base.v;
	struct boot_info *info = pa_to_ptr(pa(at + IMAGE_PAGES * PAGE_SIZE));

	memset(info, 0, sizeof(*info));
	info->magic = BOOT_INFO_MAGIC;
	info->version = BOOT_INFO_VERSION;
	info->size = sizeof(*info);
	info->text = (struct extent){pa(at), IMAGE_PAGES / 2 * PAGE_SIZE};
	info->rodata = (struct extent){pa(extent_end(info->text)), IMAGE_PAGES / 4 * PAGE_SIZE};
	info->data = (struct extent){pa(extent_end(info->rodata)), IMAGE_PAGES / 4 * PAGE_SIZE};
	memset(info->seed, 0x17, sizeof(info->seed));
	info->pool.base = pa(extent_end(info->data) + align_up(sizeof(*info), PAGE_SIZE));
	info->pool.size = extent_end(core) - info->pool.base.v;
	return info;
}

static void make_plan(struct boot_info *info, const struct manifest *manifest,
		      const struct image_info *images, struct extent core)
{
	struct bh_report report;
	const struct image_info *tree = &images[2];

	if (plan_make(manifest, &info->machine, images, 3, core, &info->plan, &report) != BH_OK) {
		fprintf(stderr, "arch/host: %s\n", report.text);
		abort();
	}
	for (uint32_t i = 0; i < info->plan.nvms; i++)
		plan_set_boot(&info->plan, i, tree->extent, tree->size, RNG_SEED_OFFSET,
			      KASLR_SEED_OFFSET);
	if (info->plan.nvms != 0)
		info->pool.size = info->plan.vm[0].hypervisor.base.v - info->pool.base.v;
}

void host_spare_ram(uint64_t bytes)
{
	spare_ram += bytes;
}

struct boot_info *host_make(uint32_t ncpus, const struct host_vm *vms, uint32_t nvms)
{
	static struct manifest manifest;
	static struct machine machine;
	static struct image_info images[3];
	uint64_t ram = spare_ram;

	make_images();
	make_manifest(&manifest, vms, nvms);
	make_machine(&machine, ncpus, 0);
	uint64_t core_size = plan_core_bytes(&manifest, &machine, IMAGE_PAGES * PAGE_SIZE) +
			     FUNCTION_PAGES * PAGE_SIZE;
	for (uint32_t i = 0; i < nvms; i++)
		ram += vms[i].mib * MIB;
	ram += core_size + align_up(KERNEL_BYTES + INITRD_BYTES + FDT_BYTES, BLOCK_SIZE);

	host_create(ncpus, ram);
	machine.memory[0].extent.size = host_ram_size();
	struct extent core = {pa(HOST_RAM_BASE), core_size};
	struct boot_info *info = lay_out(core);
	info->machine = machine;
	store_images(images, extent_end(core));
	make_plan(info, &manifest, images, core);
	return info;
}
