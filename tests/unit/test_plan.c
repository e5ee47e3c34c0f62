/* SPDX-License-Identifier: Apache-2.0 */
#include "plan_fixture.h"

#include <stdio.h>

#include <bulkhead/boot_info.h>

/* --- cores --- */

static void named_cores(void **state)
{
	(void)state;
	name_cores(add_vm("web", 64 * MIB), 2, 5, 2);
	make_good();
	assert_int_equal(plan.vm[0].ncores, 2);
	assert_int_equal(plan.vm[0].core[0], 5);
	assert_int_equal(plan.vm[0].core[1], 2);
	assert_int_equal(plan.management_core, 0);
	assert_int_equal(plan.vm[0].vmid, 1);
}

static void counted_cores_get_the_lowest(void **state)
{
	(void)state;
	add_vm("web", 64 * MIB)->ncores = 2;
	add_vm("db", 64 * MIB);
	make_good();
	assert_int_equal(plan.vm[0].core[0], 1);
	assert_int_equal(plan.vm[0].core[1], 2);
	assert_int_equal(plan.vm[1].core[0], 3);
}

static void named_cores_come_first(void **state)
{
	(void)state;
	add_vm("web", 64 * MIB);
	name_cores(add_vm("db", 64 * MIB), 1, 1, 0);
	make_good();
	assert_int_equal(plan.vm[0].core[0], 2);
	assert_int_equal(plan.vm[1].core[0], 1);
}

static void counted_cores_stay_in_one_node(void **state)
{
	(void)state;
	add_vm("web", 64 * MIB)->ncores = 4; /* node 0 has three left */
	make_good();
	assert_int_equal(plan.vm[0].core[0], 4);
	assert_int_equal(plan.vm[0].core[3], 7);
}

static void counted_cores_span_nodes_when_they_must(void **state)
{
	(void)state;
	add_vm("web", 64 * MIB)->ncores = 7;
	make_good();
	assert_int_equal(plan.vm[0].core[0], 1);
	assert_int_equal(plan.vm[0].core[6], 7);
}

static void management_core_is_the_boot_core(void **state)
{
	(void)state;
	machine.boot_cpu = 3;
	add_vm("web", 64 * MIB)->ncores = 3;
	make_good();
	assert_int_equal(plan.management_core, 3);
	assert_int_equal(plan.vm[0].core[0], 0);
}

static void management_core_as_named(void **state)
{
	(void)state;
	manifest.host.management_core = 7;
	add_vm("web", 64 * MIB);
	make_good();
	assert_int_equal(plan.management_core, 7);
	assert_int_equal(plan.vm[0].core[0], 0);
}

static void core_does_not_exist(void **state)
{
	(void)state;
	machine.ncpus = 4;
	name_cores(add_vm("web", 64 * MIB), 2, 1, 9);
	refused(BH_NO_SUCH_CORE,
		"/vms/web: cores: core 9 does not exist; this machine has cores 0 to 3");
}

static void management_core_does_not_exist(void **state)
{
	(void)state;
	manifest.host.management_core = 8;
	add_vm("web", 64 * MIB);
	refused(BH_NO_SUCH_CORE,
		"/host: management-core: core 8 does not exist; this machine has cores 0 to 7");
}

static void boot_core_is_not_given_away(void **state)
{
	(void)state;
	name_cores(add_vm("web", 64 * MIB), 1, 0, 0);
	refused(BH_CORE_TAKEN, "/vms/web: cores: core 0 is already the management core; a VM may "
			       "have any other");
}

static void core_is_given_once(void **state)
{
	(void)state;
	name_cores(add_vm("web", 64 * MIB), 1, 2, 0);
	name_cores(add_vm("db", 64 * MIB), 2, 3, 2);
	refused(BH_CORE_TAKEN,
		"/vms/db: cores: core 2 is already a core of /vms/web; a core may belong to one VM");
}

static void too_few_cores(void **state)
{
	(void)state;
	add_vm("web", 64 * MIB)->ncores = 5;
	add_vm("db", 64 * MIB)->ncores = 3;
	refused(BH_NO_CORE, "/vms/db: core-count: 3 cores; this machine has 2 left for it");
}

/* Cores 0+1, 2+3, 4+5, 6+7 are threads of one hardware core. */
static void pair_threads(void)
{
	for (uint32_t i = 0; i < 8; i++)
		machine.cpu[i].core_id = i / 2;
}

static void sibling_of_another_vm(void **state)
{
	(void)state;
	pair_threads();
	name_cores(add_vm("web", 64 * MIB), 1, 2, 0);
	name_cores(add_vm("db", 64 * MIB), 1, 3, 0);
	refused(BH_CORE_TAKEN, "/vms/db: cores: core 3 is an SMT sibling of a core of /vms/web; a "
			       "core may belong to one VM");
}

static void sibling_of_the_management_core(void **state)
{
	(void)state;
	pair_threads();
	name_cores(add_vm("web", 64 * MIB), 1, 1, 0);
	refused(BH_CORE_TAKEN,
		"/vms/web: cores: core 1 is an SMT sibling of the management core; a "
		"VM may have any other");
}

static void siblings_in_one_vm(void **state)
{
	(void)state;
	pair_threads();
	name_cores(add_vm("web", 64 * MIB), 2, 2, 3);
	make_good();
}

static void counted_cores_leave_siblings_alone(void **state)
{
	(void)state;
	pair_threads();
	add_vm("web", 64 * MIB);
	add_vm("db", 64 * MIB);
	make_good();
	assert_int_equal(plan.vm[0].core[0], 2);
	assert_int_equal(plan.vm[1].core[0], 4);
}

static void counted_cores_take_siblings_together(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 8; i++)
		machine.cpu[i].core_id = i % 4; /* 0+4, 1+5, 2+6, 3+7, as x86 counts */
	for (uint32_t i = 0; i < 8; i++)
		machine.cpu[i].node = 0;
	add_vm("web", 64 * MIB)->ncores = 2;
	add_vm("db", 64 * MIB)->ncores = 4;
	make_good();
	assert_int_equal(plan.vm[0].core[0], 1);
	assert_int_equal(plan.vm[0].core[1], 5);
	assert_int_equal(plan.vm[1].core[3], 7);
}

static void siblings_count_as_taken(void **state)
{
	(void)state;
	pair_threads();
	name_cores(add_vm("web", 64 * MIB), 1, 2, 0);
	add_vm("db", 64 * MIB)->ncores = 5;
	refused(BH_NO_CORE, "/vms/db: core-count: 5 cores; this machine has 4 left for it");
}

/* --- memory --- */

static void memory_in_the_cores_node(void **state)
{
	(void)state;
	name_cores(add_vm("web", 64 * MIB), 1, 1, 0);
	name_cores(add_vm("db", 64 * MIB), 1, 4, 0);
	make_good();
	assert_int_equal(plan.vm[0].region[0].extent.base.v, 1 * GIB);
	assert_int_equal(plan.vm[1].region[0].extent.base.v, 16 * GIB);
	assert_int_equal(plan.vm[0].region[0].gpa.v, GUEST_RAM_BASE);
}

static void large_memory_is_aligned_to_gib(void **state)
{
	(void)state;
	name_cores(add_vm("web", 1 * GIB), 1, 1, 0);
	make_good();
	/* The image at 1 GiB + 64 MiB leaves no GiB before 2 GiB. */
	assert_int_equal(plan.vm[0].region[0].extent.base.v, 2 * GIB);
}

static void memory_not_aligned_when_it_cannot_be(void **state)
{
	(void)state;
	machine.nmemory = 0;
	add_memory(1 * GIB + 512 * MIB, 1 * GIB + 256 * MIB, 0);
	nimages = 0;
	add_image("Image", 1 * GIB + 512 * MIB, 2 * MIB);
	core = (struct extent){pa(1 * GIB + 516 * MIB), 4 * MIB};
	name_cores(add_vm("web", 1 * GIB), 1, 1, 0);
	make_good();
	assert_int_equal(plan.vm[0].nregions, 1);
	assert_int_equal(plan.vm[0].region[0].extent.base.v, 1 * GIB + 520 * MIB);
}

static void best_fit_takes_the_smallest_gap(void **state)
{
	(void)state;
	machine.nmemory = 0;
	add_memory(1 * GIB, 512 * MIB, 0);
	add_memory(2 * GIB, 128 * MIB, 0);
	add_memory(3 * GIB, 1 * GIB, 0);
	name_cores(add_vm("web", 128 * MIB), 1, 1, 0);
	make_good();
	assert_int_equal(plan.vm[0].region[0].extent.base.v, 2 * GIB);
}

static void adjoining_extents_are_one(void **state)
{
	(void)state;
	machine.nmemory = 0;
	add_memory(1 * GIB, 1 * GIB, 0);
	add_memory(2 * GIB, 1 * GIB, 0);
	add_memory(3 * GIB, 1 * GIB, 0);
	name_cores(add_vm("web", 2 * GIB), 1, 1, 0);
	core = (struct extent){pa(1 * GIB), 4 * MIB};
	make_good();
	assert_int_equal(plan.vm[0].nregions, 1);
	assert_int_equal(plan.vm[0].region[0].extent.base.v, 2 * GIB);
}

static void unaligned_firmware_memory(void **state)
{
	(void)state;
	machine.nmemory = 0;
	add_memory(1 * GIB + PAGE_SIZE, 3 * GIB - 2 * PAGE_SIZE, 0);
	core = (struct extent){pa(1 * GIB + 2 * MIB), 4 * MIB};
	name_cores(add_vm("web", 56 * MIB), 1, 1, 0);
	make_good();
	assert_int_equal(plan.vm[0].region[0].extent.base.v, 1 * GIB + 6 * MIB);
}

static void pieces_when_no_gap_is_large_enough(void **state)
{
	const struct plan_vm *vm = &plan.vm[0];

	(void)state;
	machine.nmemory = 0;
	add_memory(1 * GIB, 256 * MIB, 0);
	add_memory(2 * GIB, 512 * MIB, 0);
	add_memory(4 * GIB - 64 * MIB, 64 * MIB, 0);
	name_cores(add_vm("web", 600 * MIB), 1, 1, 0);
	make_good();
	assert_int_equal(vm->nregions, 2);
	assert_int_equal(vm->region[0].extent.base.v, 2 * GIB);
	assert_int_equal(vm->region[0].extent.size, 512 * MIB);
	assert_int_equal(vm->region[1].extent.size, 88 * MIB);
	assert_int_equal(vm->region[1].gpa.v, GUEST_RAM_BASE + 512 * MIB);
	assert_int_equal(plan_vm_memory(vm), 600 * MIB);
}

static void other_node_when_the_own_is_full(void **state)
{
	(void)state;
	name_cores(add_vm("web", 2944 * MIB), 1, 1, 0); /* more than 3 GiB less core and image */
	name_cores(add_vm("db", 512 * MIB), 1, 2, 0);
	make_good();
	assert_int_equal(plan.vm[1].region[0].extent.base.v, 16 * GIB);
}

static void too_much_memory(void **state)
{
	(void)state;
	add_vm("web", 8 * GIB);
	refused(BH_NO_MEMORY, "/vms/web: memory: 8192 MiB; 7134 MiB are left, 4096 MiB in the "
			      "largest extent, and a VM may have 4 extents");
}

static void second_vm_too_much_memory(void **state)
{
	(void)state;
	add_vm("web", 2 * GIB);
	add_vm("db", 5 * GIB + 512 * MIB);
	refused(BH_NO_MEMORY, "/vms/db: memory: 5632 MiB; 5086 MiB are left, 4096 MiB in the "
			      "largest extent, and a VM may have 4 extents");
}

static void too_many_pieces(void **state)
{
	(void)state;
	machine.nmemory = 0;
	for (uint64_t i = 0; i < 6; i++)
		add_memory((2 + i) * GIB, 64 * MIB, 0);
	nimages = 0;
	add_image("Image", 2 * GIB, 64 * MIB);
	core = (struct extent){pa(3 * GIB), 64 * MIB};
	add_vm("web", 258 * MIB);
	refused(BH_NO_MEMORY, "/vms/web: memory: 258 MiB; 256 MiB are left, 64 MiB in the largest "
			      "extent, and a VM may have 4 extents");
}

static void five_pieces_are_refused(void **state)
{
	(void)state;
	machine.nmemory = 0;
	for (uint64_t i = 0; i < 7; i++)
		add_memory((2 + i) * GIB, 64 * MIB, 0);
	nimages = 0;
	add_image("Image", 2 * GIB, 64 * MIB);
	core = (struct extent){pa(3 * GIB), 64 * MIB};
	add_vm("web", 258 * MIB);
	refused(BH_NO_MEMORY, "/vms/web: memory: 258 MiB; 320 MiB are left, 64 MiB in the largest "
			      "extent, and a VM may have 4 extents");
}

static void images_and_core_are_kept_free(void **state)
{
	(void)state;
	name_cores(add_vm("web", 3 * GIB - 34 * MIB), 1, 1, 0);
	make_good();
	assert_int_equal(plan.vm[0].nregions, 2);
	assert_int_equal(plan.nimages, 1);
	assert_int_equal(plan.images[0].base.v, 1 * GIB + 64 * MIB);
}

static void same_input_same_plan(void **state)
{
	static struct plan first;

	(void)state;
	add_vm("web", 1 * GIB)->ncores = 2;
	add_vm("db", 512 * MIB);
	make_good();
	first = plan;
	make_good();
	assert_memory_equal(&first, &plan, sizeof(plan));
}

/* --- images --- */

static void kernel_fdt_and_initrd_are_placed(void **state)
{
	const struct plan_vm *vm = &plan.vm[0];

	(void)state;
	add_image("initrd.gz", 1 * GIB + 128 * MIB, 5 * MIB);
	memcpy(add_vm("web", 64 * MIB)->initrd, "initrd.gz", 10);
	make_good();
	assert_int_equal(vm->entry.v, GUEST_RAM_BASE);
	assert_int_equal(vm->image[IMAGE_KERNEL].to.v, GUEST_RAM_BASE);
	assert_int_equal(vm->image[IMAGE_KERNEL].from.v, 1 * GIB + 64 * MIB);
	assert_int_equal(vm->image[IMAGE_KERNEL].size, 30 * MIB);
	assert_int_equal(vm->image[IMAGE_BOOT].to.v, GUEST_RAM_BASE + 30 * MIB);
	assert_int_equal(vm->image[IMAGE_BOOT].size, 0);
	assert_int_equal(vm->image[IMAGE_INITRD].to.v, GUEST_RAM_BASE + 32 * MIB);
	assert_int_equal(vm->image[IMAGE_INITRD].size, 5 * MIB);
}

static void load_offset_and_run_size_count(void **state)
{
	(void)state;
	images[0].load_offset = 0x80000;
	images[0].run_size = 33 * MIB;
	add_vm("web", 64 * MIB);
	make_good();
	assert_int_equal(plan.vm[0].entry.v, GUEST_RAM_BASE + 0x80000);
	assert_int_equal(plan.vm[0].image[IMAGE_BOOT].to.v, GUEST_RAM_BASE + 34 * MIB);
}

static void missing_kernel(void **state)
{
	(void)state;
	memcpy(add_vm("web", 64 * MIB)->kernel, "vmlinux", 8);
	refused(BH_NO_IMAGE, "/vms/web: kernel: 'vmlinux' is missing or unreadable; it must stand "
			     "beside the manifest");
}

static void missing_initrd(void **state)
{
	(void)state;
	memcpy(add_vm("web", 64 * MIB)->initrd, "initrd.gz", 10);
	refused(BH_NO_IMAGE, "/vms/web: initrd: 'initrd.gz' is missing or unreadable; it must "
			     "stand beside the manifest");
}

static void kernel_is_no_image(void **state)
{
	(void)state;
	add_vm("web", 64 * MIB);
	images[0].kind = KERNEL_NONE;
	refused(BH_BAD_IMAGE,
		"/vms/web: kernel: 'Image' is not an arm64 Image (no ARM\\x64 magic at byte 56)");
}

static void kernel_at_an_odd_offset(void **state)
{
	(void)state;
	add_vm("web", 64 * MIB);
	images[0].load_offset = 0x1234;
	refused(BH_BAD_IMAGE, "/vms/web: kernel: 'Image' wants to stand at offset 0x1234; a "
			      "multiple of 4 KiB is allowed");
}

static void empty_initrd(void **state)
{
	(void)state;
	memcpy(add_vm("web", 64 * MIB)->initrd, "initrd.gz", 10);
	add_image("initrd.gz", 1 * GIB + 128 * MIB, 0);
	refused(BH_BAD_IMAGE, "/vms/web: initrd: 'initrd.gz' is empty");
}

static void image_half_read(void **state)
{
	(void)state;
	add_vm("web", 64 * MIB);
	images[0].extent.size = 1 * MIB;
	refused(BH_BAD_IMAGE,
		"/vms/web: kernel: 'Image' has 31457280 bytes, but only 1048576 were read");
}

static void oversized_kernel(void **state)
{
	(void)state;
	add_vm("web", 30 * MIB);
	refused(BH_TOO_BIG, "/vms/web: memory: 30 MiB; the kernel ('Image', 30720 KiB), a device "
			    "tree and the initrd (0 KiB) do not fit");
}

static void oversized_initrd(void **state)
{
	(void)state;
	memcpy(add_vm("web", 64 * MIB)->initrd, "initrd.gz", 10);
	add_image("initrd.gz", 1 * GIB + 128 * MIB, 33 * MIB);
	refused(BH_TOO_BIG, "/vms/web: memory: 64 MiB; the kernel ('Image', 30720 KiB), a device "
			    "tree and the initrd (33792 KiB) do not fit");
}

static void run_size_that_wraps(void **state)
{
	(void)state;
	add_vm("web", 64 * MIB);
	images[0].run_size = UINT64_MAX - 4096;
	assert_int_equal(make(), BH_TOO_BIG);
}

static void load_offset_that_wraps(void **state)
{
	(void)state;
	add_vm("web", 64 * MIB);
	images[0].load_offset = UINT64_MAX - PAGE_SIZE + 1;
	assert_int_equal(make(), BH_TOO_BIG);
}

static void unknown_images_are_not_checked(void **state)
{
	(void)state;
	nimages = 0;
	images[nimages++] = (struct image_info){.name = "Image"};
	add_vm("web", 64 * MIB);
	make_good();
	assert_int_equal(plan.nimages, 0);
	assert_int_equal(plan.vm[0].image[IMAGE_KERNEL].size, 0);
}

static void too_many_images(void **state)
{
	static struct image_info many[CONFIG_MAX_VMS * PLAN_MAX_IMAGES + 1];

	(void)state;
	add_vm("web", 64 * MIB);
	assert_int_equal(
		plan_make(&manifest, &machine, many, ARRAY_SIZE(many), core, &plan, &report),
		BH_TOO_MANY);
	assert_string_equal(report.text, "images: 49 files; at most 48 are allowed");
}

static void fdt_is_recorded(void **state)
{
	(void)state;
	add_vm("web", 64 * MIB);
	make_good();
	plan_set_boot(&plan, 0, (struct extent){pa(3 * GIB), PAGE_SIZE}, 3000, 100, 200);
	assert_int_equal(plan_check(&plan, &machine, &report), BH_OK);
	assert_int_equal(plan.vm[0].image[IMAGE_BOOT].size, 3000);
	assert_int_equal(plan.vm[0].image[IMAGE_BOOT].to.v, GUEST_RAM_BASE + 30 * MIB);
	assert_int_equal(plan.vm[0].rng_seed_offset, 100);
	assert_int_equal(plan.vm[0].kaslr_seed_offset, 200);
	assert_int_equal(plan.nimages, 2);
}

static void fdt_inside_an_image_is_not_stored_twice(void **state)
{
	(void)state;
	add_image("fdts", 1 * GIB + 128 * MIB, GUEST_BOOT_MAX);
	add_vm("web", 64 * MIB);
	make_good();
	plan_set_boot(&plan, 0, (struct extent){pa(1 * GIB + 128 * MIB), PAGE_SIZE}, 3000, 0, 0);
	assert_int_equal(plan.nimages, 2);
	assert_int_equal(plan_check(&plan, &machine, &report), BH_OK);
}

/* --- interrupts, devices, options --- */

static void consoles_get_the_lowest_free_spis(void **state)
{
	(void)state;
	machine.arm64.spi_used[0] = 1U << 0 | 1U << 3; /* INTID 32 and 35; 33 is the UART's */
	add_vm("web", 64 * MIB);
	add_vm("quiet", 64 * MIB)->console = 0;
	add_vm("db", 64 * MIB);
	make_good();
	assert_int_equal(plan.vm[0].console_irq, 34);
	assert_int_equal(plan.vm[1].console_irq, 0);
	assert_int_equal(plan.vm[2].console_irq, 36);
}

static void consoles_from_the_named_interrupt_on(void **state)
{
	(void)state;
	manifest.host.console_interrupt = 100;
	machine.arm64.spi_used[(101 - 32) / 8] = 1U << (101 - 32) % 8;
	add_vm("web", 64 * MIB);
	add_vm("db", 64 * MIB);
	make_good();
	assert_int_equal(plan.vm[0].console_irq, 100);
	assert_int_equal(plan.vm[1].console_irq, 102);
}

static void no_interrupt_left(void **state)
{
	(void)state;
	machine.arm64.spi_count = 32;
	memset(machine.arm64.spi_used, 0xff, 4);
	add_vm("web", 64 * MIB);
	refused(BH_NO_INTERRUPT, "/vms/web: console: no interrupt from 32 to 63 is free for it");
}

static void named_interrupt_not_implemented(void **state)
{
	(void)state;
	machine.arm64.spi_count = 32;
	manifest.host.console_interrupt = 63;
	add_vm("web", 64 * MIB);
	add_vm("db", 64 * MIB);
	refused(BH_NO_INTERRUPT, "/vms/db: console: no interrupt from 63 to 63 is free for it");
}

static void devices_are_refused(void **state)
{
	struct manifest_vm *vm = add_vm("web", 64 * MIB);

	(void)state;
	vm->ndevices = 1;
	memcpy(vm->device[0], "0000:01:00.0", 13);
	refused(BH_NO_DEVICE, "/vms/web: devices: '0000:01:00.0' is not there; this machine has 0 "
			      "PCI functions that can be seen");
}

static void options_are_copied(void **state)
{
	struct manifest_vm *vm = add_vm("web", 64 * MIB);

	(void)state;
	manifest.host.stop_method = STOP_SGI;
	manifest.host.when_idle = IDLE_POWEROFF;
	vm->autostart = 0;
	vm->restart_limit = 7;
	vm->restart_window = 99;
	make_good();
	assert_int_equal(plan.stop_method, STOP_SGI);
	assert_int_equal(plan.when_idle, IDLE_POWEROFF);
	assert_int_equal(plan.vm[0].autostart, 0);
	assert_int_equal(plan.vm[0].restart_limit, 7);
	assert_int_equal(plan.vm[0].restart_window, 99);
	assert_string_equal(plan.vm[0].name, "web");
}

/* --- machines that cannot be --- */

static void gicv2_machine(void **state)
{
	(void)state;
	machine.arm64.gic_version = 2;
	add_vm("web", 64 * MIB);
	refused(BH_BAD_MACHINE,
		"machine: its interrupt controller is a GICv2; GICv3 or later is required");
}

static void machine_without_cores(void **state)
{
	(void)state;
	machine.ncpus = 0;
	add_vm("web", 64 * MIB);
	refused(BH_BAD_MACHINE, "machine: 0 cores, started on core 0; 1 to 64 cores are allowed");
}

static void machine_without_memory(void **state)
{
	(void)state;
	machine.nmemory = 0;
	add_vm("web", 64 * MIB);
	refused(BH_BAD_MACHINE, "machine: 0 extents of usable memory; 1 to 128 are allowed");
}

static void machine_with_too_much(void **state)
{
	(void)state;
	add_vm("web", 64 * MIB);
	machine.nfunctions = MACHINE_MAX_FUNCTIONS + 1;
	refused(BH_BAD_MACHINE, "machine: 65 PCI functions; at most 64 are allowed");
	machine.nmemory = MACHINE_MAX_MEMORY + 1;
	refused(BH_BAD_MACHINE, "machine: 129 extents of usable memory; 1 to 128 are allowed");
	machine.ncpus = CONFIG_MAX_CPUS + 1;
	refused(BH_BAD_MACHINE, "machine: 65 cores, started on core 0; 1 to 64 cores are allowed");
}

static void machine_memory_overlaps(void **state)
{
	(void)state;
	machine.memory[1].extent.base = pa(3 * GIB);
	add_vm("web", 64 * MIB);
	refused(BH_BAD_MACHINE, "machine: memory extent 1 at 0xc0000000 overlaps another, is out "
				"of order or beyond 52 bits");
}

static void two_cores_of_one_id(void **state)
{
	(void)state;
	machine.cpu[5].hwid = 2;
	add_vm("web", 64 * MIB);
	refused(BH_BAD_MACHINE, "machine: cores 2 and 5 have the same hardware id 0x2");
}

static void core_extent_too_small(void **state)
{
	uint64_t need = plan_vm_bytes(&machine, add_vm("web", 64 * MIB));
	char sentence[128];

	(void)state;
	core.size = need - PAGE_SIZE;
	snprintf(
		sentence, sizeof(sentence),
		"hypervisor: its extent has %llu KiB; %llu KiB are needed for the VMs and IOMMUs alone",
		(unsigned long long)(core.size / KIB), (unsigned long long)(need / KIB));
	refused(BH_NO_MEMORY, sentence);
}

/* --- sizes --- */

static void vm_bytes_within_the_promise(void **state)
{
	struct manifest_vm vm = {.ncores = 1};

	(void)state;
	for (uint64_t gib = 0; gib < 64; gib++) {
		for (uint32_t cores = 1; cores <= 16; cores += 5) {
			vm.ncores = cores;
			vm.memory = gib * GIB + 2 * MIB;
			assert_true(plan_vm_bytes(&machine, &vm) <= 64 * KIB + 8 * KIB * (gib + 1));
			assert_true(is_aligned(plan_vm_bytes(&machine, &vm), PAGE_SIZE));
		}
	}
}

static void core_bytes_hold_everything(void **state)
{
	uint64_t bytes;

	(void)state;
	add_vm("web", 1 * GIB);
	bytes = plan_core_bytes(&manifest, &machine, 100000);
	assert_true(is_aligned(bytes, BLOCK_SIZE));
	assert_true(bytes >= 100000 + sizeof(struct boot_info) +
				     plan_vm_bytes(&machine, &manifest.vm[0]) +
				     (8 * CORE_PAGES_PER_CPU + CORE_FIXED_PAGES) * PAGE_SIZE);
}

static void hypervisor_extents_end_the_core(void **state)
{
	(void)state;
	add_vm("web", 1 * GIB);
	add_vm("db", 64 * MIB);
	make_good();
	assert_int_equal(extent_end(plan.vm[0].hypervisor), plan.vm[1].hypervisor.base.v);
	assert_int_equal(extent_end(plan.vm[1].hypervisor), extent_end(core));
	assert_int_equal(plan.vm[0].hypervisor.size, plan_vm_bytes(&machine, &manifest.vm[0]));
}

/* --- questions to a plan --- */

static void translate(void **state)
{
	const struct plan_vm *vm = &plan.vm[0];
	uint64_t left;

	(void)state;
	pieces_when_no_gap_is_large_enough(NULL);
	assert_int_equal(plan_translate(vm, gpa(GUEST_RAM_BASE), &left).v, 2 * GIB);
	assert_int_equal(left, 512 * MIB);
	assert_int_equal(plan_translate(vm, gpa(GUEST_RAM_BASE + 512 * MIB - 1), &left).v,
			 2 * GIB + 512 * MIB - 1);
	assert_int_equal(left, 1);
	assert_int_equal(plan_translate(vm, gpa(GUEST_RAM_BASE + 512 * MIB + 5), &left).v,
			 vm->region[1].extent.base.v + 5);
	assert_int_equal(left, 88 * MIB - 5);
}

static void translate_outside(void **state)
{
	uint64_t left = 1;

	(void)state;
	add_vm("web", 64 * MIB);
	make_good();
	assert_int_equal(plan_translate(&plan.vm[0], gpa(GUEST_RAM_BASE - 1), &left).v, 0);
	assert_int_equal(left, 0);
	assert_int_equal(plan_translate(&plan.vm[0], gpa(GUEST_RAM_BASE + 64 * MIB), &left).v, 0);
	assert_int_equal(plan_translate(&plan.vm[0], gpa(UINT64_MAX), &left).v, 0);
}

struct text {
	size_t length;
	char all[4096];
};

static void add_line(void *context, const char *line)
{
	struct text *text = context;

	text->length += (size_t)snprintf(text->all + text->length, sizeof(text->all) - text->length,
					 "%s\n", line);
}

static void printed_plan(void **state)
{
	static struct text text;

	(void)state;
	name_cores(add_vm("web", 512 * MIB), 2, 1, 2);
	name_cores(add_vm("db", 1 * GIB), 1, 4, 0);
	manifest.vm[1].console = 0;
	manifest.vm[1].autostart = 0;
	manifest.vm[1].restart_limit = 0;
	make_good();
	plan_print(&plan, &machine, add_line, &text);
	assert_string_equal(
		text.all,
		"machine: test, 8 cores, 7 GiB usable, GICv3\n"
		"hypervisor: core 0, memory 0x00ffc00000-0x0100000000 (4 MiB), when idle wait\n"
		"VM 1 web: 2 cores (1,2), 512 MiB\n"
		"  memory: 0x0045e00000-0x0065e00000 (512 MiB), in the guest at 0x0040000000\n"
		"  kernel: 0x0040000000-0x0041e00000 in the guest, 31457280 bytes\n"
		"  console: UART, interrupt 32; autostart: yes; restarts: 3 in 60 s\n"
		"VM 2 db: 1 core (4), 1 GiB\n"
		"  memory: 0x0400000000-0x0440000000 (1 GiB), in the guest at 0x0040000000\n"
		"  kernel: 0x0040000000-0x0041e00000 in the guest, 31457280 bytes\n"
		"  console: none; autostart: no; restarts: never\n");
}

static void printed_cores_are_cut_short(void **state)
{
	static struct text text;
	struct manifest_vm *vm = add_vm("web", 512 * MIB);

	(void)state;
	vm->any_core = 0;
	vm->ncores = 6;
	memcpy(vm->core, (const uint32_t[]){1, 2, 3, 7, 5, 6}, 6 * sizeof(uint32_t));
	make_good();
	plan_print(&plan, &machine, add_line, &text);
	assert_non_null(strstr(text.all, "6 cores (1-3,7,5,6)"));
}

#define T(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		T(named_cores),
		T(counted_cores_get_the_lowest),
		T(named_cores_come_first),
		T(counted_cores_stay_in_one_node),
		T(counted_cores_span_nodes_when_they_must),
		T(management_core_is_the_boot_core),
		T(management_core_as_named),
		T(core_does_not_exist),
		T(management_core_does_not_exist),
		T(boot_core_is_not_given_away),
		T(core_is_given_once),
		T(too_few_cores),
		T(sibling_of_another_vm),
		T(sibling_of_the_management_core),
		T(siblings_in_one_vm),
		T(counted_cores_leave_siblings_alone),
		T(counted_cores_take_siblings_together),
		T(siblings_count_as_taken),
		T(memory_in_the_cores_node),
		T(large_memory_is_aligned_to_gib),
		T(memory_not_aligned_when_it_cannot_be),
		T(best_fit_takes_the_smallest_gap),
		T(adjoining_extents_are_one),
		T(unaligned_firmware_memory),
		T(pieces_when_no_gap_is_large_enough),
		T(other_node_when_the_own_is_full),
		T(too_much_memory),
		T(second_vm_too_much_memory),
		T(too_many_pieces),
		T(five_pieces_are_refused),
		T(images_and_core_are_kept_free),
		T(same_input_same_plan),
		T(kernel_fdt_and_initrd_are_placed),
		T(load_offset_and_run_size_count),
		T(missing_kernel),
		T(missing_initrd),
		T(kernel_is_no_image),
		T(kernel_at_an_odd_offset),
		T(empty_initrd),
		T(image_half_read),
		T(oversized_kernel),
		T(oversized_initrd),
		T(run_size_that_wraps),
		T(load_offset_that_wraps),
		T(unknown_images_are_not_checked),
		T(too_many_images),
		T(fdt_is_recorded),
		T(fdt_inside_an_image_is_not_stored_twice),
		T(consoles_get_the_lowest_free_spis),
		T(consoles_from_the_named_interrupt_on),
		T(no_interrupt_left),
		T(named_interrupt_not_implemented),
		T(devices_are_refused),
		T(options_are_copied),
		T(gicv2_machine),
		T(machine_without_cores),
		T(machine_without_memory),
		T(machine_with_too_much),
		T(machine_memory_overlaps),
		T(two_cores_of_one_id),
		T(core_extent_too_small),
		T(vm_bytes_within_the_promise),
		T(core_bytes_hold_everything),
		T(hypervisor_extents_end_the_core),
		T(translate),
		T(translate_outside),
		T(printed_plan),
		T(printed_cores_are_cut_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
