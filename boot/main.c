/* SPDX-License-Identifier: Apache-2.0 */
/* Bulkhead's loader, a UEFI application: from firmware to the resident core. */
#include "arch.h"

#include <bulkhead/guest_boot.h>
#include <bulkhead/version.h>

EFI_STATUS efi_main(EFI_HANDLE self, EFI_SYSTEM_TABLE *system);

static struct loader loader;

static enum bh_error know_machine(struct loader *l)
{
	enum bh_error error = discover_machine(l);
	UINTN key;

	if (error != BH_OK)
		return error;
	say(l, "Bulkhead %s on %s", BULKHEAD_VERSION, l->machine->name);
	error = arch_check_processor(l);
	if (error == BH_OK)
		error = arch_probe_machine(l);
	if (error == BH_OK)
		error = memory_prepare(l);
	return error != BH_OK ? error : memory_read(l, l->machine, &key);
}

/* The memory map has changed since know_machine(): our own files are in it, and usable. */
static enum bh_error make_plan(struct loader *l)
{
	struct boot_info *info = l->info;
	UINTN key;
	enum bh_error error = memory_read(l, &info->machine, &key);

	if (error != BH_OK)
		return error;
	return plan_make(l->manifest, &info->machine, l->images, l->nimages, l->core, &info->plan,
			 &l->report);
}

static enum bh_error make_boot_images(struct loader *l)
{
	struct boot_info *info = l->info;
	enum bh_error error = BH_OK;
	pa_t next = l->boots.base;

	for (uint32_t i = 0; i < info->plan.nvms && error == BH_OK; i++) {
		struct extent boot = {next,
				      plan_boot_bytes(&info->machine, info->plan.vm[i].ncores)};
		uint32_t rng_seed = 0, kaslr_seed = 0;
		uint64_t size = 0;

		next = pa(extent_end(boot));
		error = guest_boot_make(
			&info->plan, i, &info->machine,
			plan_find_image(l->images, l->nimages, l->manifest->vm[i].kernel),
			l->manifest->vm[i].bootargs, pa_to_ptr(boot.base), boot.size, &size,
			&rng_seed, &kaslr_seed, &l->report);
		if (error == BH_OK)
			plan_set_boot(&info->plan, i, boot, size, rng_seed, kaslr_seed);
	}
	return error;
}

static void print_line(void *context, const char *line)
{
	say(context, "%s", line);
}

static enum bh_error check_and_print_plan(struct loader *l)
{
	struct boot_info *info = l->info;
	enum bh_error error = plan_check(&info->plan, &info->machine, &l->report);

	if (error == BH_OK)
		plan_print(&info->plan, &info->machine, print_line, l);
	return error;
}

/* The pool is all between the hand-over structure and the IOMMUs' tables and VMs' extents. */
static enum bh_error set_pool(struct loader *l)
{
	struct boot_info *info = l->info;
	uint64_t from = align_up((uint64_t)(info + 1), PAGE_SIZE);
	uint64_t to = info->plan.iommu_tables.size != 0 ? info->plan.iommu_tables.base.v
							: extent_end(l->core);

	for (uint32_t i = 0; i < info->plan.nvms; i++) {
		if (info->plan.vm[i].hypervisor.base.v < to)
			to = info->plan.vm[i].hypervisor.base.v;
	}
	if (to < from)
		return bh_fail(&l->report, BH_NO_MEMORY,
			       "the hypervisor's own extent is too small");
	info->pool = (struct extent){pa(from), to - from};
	return BH_OK;
}

static enum bh_error seed(struct loader *l)
{
	gather_entropy(l);
	return BH_OK;
}

/* The boot order. Each step either does its whole work or leaves its reason in l->report. */
static enum bh_error (*const steps[])(struct loader *l) = {
	know_machine, /* cores, interrupt controller, memory: from ACPI or what there is instead */
	files_open, /* the volume we came from */
	read_manifest, /* what the owner wants */
	read_images, /* each file once, into pages of its own */
	find_functions, /* what stands on PCI, before the core's extent is sized by it */
	load_core, /* the resident image, relocated, with room for all it will need */
	make_plan, /* who gets what */
	find_card, /* the function by which the machine is managed */
	make_boot_images, /* what each guest is told */
	check_and_print_plan, /* the isolation rules, from scratch */
	set_pool, /* what the core may take pages from */
	seed, /* entropy for the guests' seeds */
	hand_off, /* check against the last memory map, exit boot services, enter the core */
};

static EFI_STATUS status_of(enum bh_error error)
{
	switch (error) {
	case BH_OK:
		return EFI_SUCCESS;
	case BH_BAD_MACHINE:
		return EFI_UNSUPPORTED;
	case BH_NO_IMAGE:
		return EFI_NOT_FOUND;
	case BH_NO_MEMORY:
		return EFI_OUT_OF_RESOURCES;
	case BH_FIRMWARE:
		return EFI_DEVICE_ERROR;
	default:
		return EFI_LOAD_ERROR;
	}
}

EFI_STATUS efi_main(EFI_HANDLE self, EFI_SYSTEM_TABLE *system)
{
	enum bh_error error = BH_OK;

	loader.self = self;
	loader.system = system;
	loader.services = system->BootServices;
	for (size_t i = 0; i < ARRAY_SIZE(steps) && error == BH_OK; i++)
		error = steps[i](&loader);
	/* Only a failure comes here. */
	say(&loader, "bulkhead: %s", loader.report.text);
	files_close(&loader);
	pages_give_back(&loader);
	return status_of(error);
}
