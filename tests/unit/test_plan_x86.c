/* SPDX-License-Identifier: Apache-2.0 */
/* What differs for x86 machines: the guest's layout, kernels, consoles. Planner and check. */
#include "plan_fixture.h"

#include <stdio.h>

/* The fixture's machine as an x86 one, with a bzImage that wants to stand at 16 MiB. */
static int set_up_x86(void **state)
{
	struct image_info *kernel;

	set_up(state);
	machine.arch = MACHINE_X86;
	memset(&machine.arm64, 0, sizeof(machine.arm64));
	machine.x86.tsc_hz = 2000000000;
	kernel = &images[0];
	kernel->kind = KERNEL_BZIMAGE;
	kernel->load_offset = 16 * MIB;
	kernel->run_size = 40 * MIB;
	kernel->entry_offset = 0x200;
	kernel->pvh_offset = UINT64_MAX;
	kernel->part = (struct extent){pa(kernel->extent.base.v + 0x4000), 30 * MIB - 0x4000};
	return 0;
}

static void make_elf(void)
{
	images[0].kind = KERNEL_ELF;
	images[0].entry_offset = 0x70;
	images[0].pvh_offset = 0x850;
}

static struct manifest_vm *add_initrd(struct manifest_vm *vm, uint64_t size)
{
	add_image("initrd.gz", 1 * GIB + 128 * MIB, size);
	memcpy(vm->initrd, "initrd.gz", 10);
	return vm;
}

/* --- layout --- */

static void images_are_placed(void **state)
{
	const struct plan_vm *vm = &plan.vm[0];

	(void)state;
	add_initrd(add_vm("web", 512 * MIB), 5 * MIB);
	make_good();
	assert_int_equal(vm->region[0].gpa.v, 0);
	assert_int_equal(vm->image[IMAGE_KERNEL].from.v, 1 * GIB + 64 * MIB + 0x4000);
	assert_int_equal(vm->image[IMAGE_KERNEL].size, 30 * MIB - 0x4000);
	assert_int_equal(vm->image[IMAGE_KERNEL].to.v, 16 * MIB);
	assert_int_equal(vm->image[IMAGE_BOOT].to.v, GUEST_X86_BOOT_BASE);
	assert_int_equal(vm->image[IMAGE_INITRD].to.v, 56 * MIB);
	assert_int_equal(vm->entry.v, 16 * MIB + 0x200);
	assert_int_equal(vm->entry_mode, ENTRY_X86_LINUX64);
	assert_int_equal(vm->console, 1);
	assert_int_equal(vm->console_irq, 0);
}

static void the_initrd_begins_a_block(void **state)
{
	(void)state;
	images[0].run_size = 41 * MIB + 1;
	add_initrd(add_vm("web", 512 * MIB), 5 * MIB);
	make_good();
	assert_int_equal(plan.vm[0].image[IMAGE_INITRD].to.v, 58 * MIB);
}

static void the_boot_image_is_recorded(void **state)
{
	(void)state;
	add_vm("web", 64 * MIB);
	make_good();
	plan_set_boot(&plan, 0, (struct extent){pa(3 * GIB), 16 * PAGE_SIZE}, 37644, 0x8810, 0);
	assert_int_equal(plan_check(&plan, &machine, &report), BH_OK);
}

static void up_to_3_gib_is_one_region(void **state)
{
	(void)state;
	name_cores(add_vm("web", 3 * GIB), 1, 4, 0);
	make_good();
	assert_int_equal(plan.vm[0].nregions, 1);
	assert_int_equal(plan.vm[0].region[0].extent.size, 3 * GIB);
}

static void memory_goes_on_behind_the_hole(void **state)
{
	const struct plan_vm *vm = &plan.vm[0];

	(void)state;
	name_cores(add_vm("web", 3 * GIB + 512 * MIB), 1, 4, 0);
	make_good();
	assert_int_equal(vm->nregions, 2);
	assert_int_equal(vm->region[0].gpa.v, 0);
	assert_int_equal(vm->region[0].extent.size, 3 * GIB);
	assert_int_equal(vm->region[1].gpa.v, 4 * GIB);
	assert_int_equal(vm->region[1].extent.base.v, vm->region[0].extent.base.v + 3 * GIB);
	assert_int_equal(vm->region[1].extent.size, 512 * MIB);
	assert_int_equal(plan_vm_memory(vm), 3 * GIB + 512 * MIB);
}

static void a_piece_is_divided_at_the_hole(void **state)
{
	const struct plan_vm *vm = &plan.vm[0];

	(void)state;
	machine.nmemory = 0;
	add_memory(1 * GIB, 256 * MIB, 0);
	add_memory(8 * GIB, 2 * GIB + 512 * MIB, 0);
	add_memory(16 * GIB, 2 * GIB, 0);
	core = (struct extent){pa(1 * GIB), 4 * MIB};
	name_cores(add_vm("web", 4 * GIB), 1, 1, 0);
	make_good();
	assert_int_equal(vm->nregions, 3);
	assert_int_equal(vm->region[1].gpa.v, 2 * GIB + 512 * MIB);
	assert_int_equal(vm->region[1].extent.size, 512 * MIB);
	assert_int_equal(vm->region[2].gpa.v, 4 * GIB);
	assert_int_equal(vm->region[2].extent.base.v, 16 * GIB + 512 * MIB);
	assert_int_equal(vm->region[2].extent.size, 1 * GIB);
}

static void the_hole_counts_as_one_more_piece(void **state)
{
	(void)state;
	machine.nmemory = 0;
	add_memory(1 * GIB, 256 * MIB, 0);
	for (uint64_t i = 0; i < CONFIG_MAX_REGIONS_PER_VM; i++)
		add_memory((4 + 2 * i) * GIB, 1 * GIB, 0);
	core = (struct extent){pa(1 * GIB), 4 * MIB};
	/* Three of the gaps end at the hole, the fourth lies behind it. */
	add_vm("web", 4 * GIB);
	make_good();
	assert_int_equal(plan.vm[0].nregions, 4);
	machine.memory[1].extent.size -= 2 * MIB;
	machine.memory[0].extent.size += 2 * MIB;
	assert_int_equal(make(), BH_NO_MEMORY);
}

/* --- kernels --- */

static void an_elf_with_pvh_uses_it(void **state)
{
	(void)state;
	make_elf();
	add_vm("web", 64 * MIB);
	make_good();
	assert_int_equal(plan.vm[0].entry.v, 16 * MIB + 0x850);
	assert_int_equal(plan.vm[0].entry_mode, ENTRY_X86_PVH);
}

static void unless_linux_is_asked_for(void **state)
{
	(void)state;
	make_elf();
	add_vm("web", 64 * MIB)->boot_protocol = BOOT_PROTOCOL_LINUX;
	make_good();
	assert_int_equal(plan.vm[0].entry.v, 16 * MIB + 0x70);
	assert_int_equal(plan.vm[0].entry_mode, ENTRY_X86_LINUX64);
}

static void an_elf_without_pvh_is_linux(void **state)
{
	(void)state;
	make_elf();
	images[0].pvh_offset = UINT64_MAX;
	add_vm("web", 64 * MIB);
	make_good();
	assert_int_equal(plan.vm[0].entry.v, 16 * MIB + 0x70);
	assert_int_equal(plan.vm[0].entry_mode, ENTRY_X86_LINUX64);
}

static void pvh_needs_a_note(void **state)
{
	(void)state;
	add_vm("web", 64 * MIB)->boot_protocol = BOOT_PROTOCOL_PVH;
	refused(BH_BAD_IMAGE, "/vms/web: boot-protocol: 'pvh', but 'Image' has no PVH note; "
			      "'linux' is allowed");
}

static void no_kernel(void **state)
{
	(void)state;
	images[0].kind = KERNEL_NONE;
	add_vm("web", 64 * MIB);
	refused(BH_BAD_IMAGE, "/vms/web: kernel: 'Image' is not an x86 kernel (no bzImage or "
			      "64-bit ELF header)");
}

static void a_kernel_for_arm64(void **state)
{
	(void)state;
	images[0].kind = KERNEL_ARM64_IMAGE;
	add_vm("web", 64 * MIB);
	refused(BH_BAD_IMAGE,
		"/vms/web: kernel: 'Image' is an arm64 Image; this machine runs x86 kernels");
}

static void an_x86_kernel_for_arm64(void **state)
{
	(void)state;
	machine.arch = MACHINE_ARM64;
	add_vm("web", 64 * MIB);
	refused(BH_BAD_IMAGE,
		"/vms/web: kernel: 'Image' is an x86 kernel; this machine runs arm64 Images");
}

static void a_boot_protocol_for_arm64(void **state)
{
	(void)state;
	machine.arch = MACHINE_ARM64;
	add_vm("web", 64 * MIB)->boot_protocol = BOOT_PROTOCOL_LINUX;
	refused(BH_BAD_VALUE, "/vms/web: boot-protocol: this is for x86 machines; it may not "
			      "stand here");
}

static void a_kernel_below_1_mib(void **state)
{
	(void)state;
	images[0].load_offset = MIB - PAGE_SIZE;
	add_vm("web", 64 * MIB);
	refused(BH_BAD_IMAGE, "/vms/web: kernel: 'Image' wants to stand at 0xff000; 0x100000 and "
			      "above is allowed, below stands what the guest is told");
}

static void a_kernel_at_an_odd_place(void **state)
{
	(void)state;
	images[0].load_offset += 0x123;
	add_vm("web", 64 * MIB);
	refused(BH_BAD_IMAGE, "/vms/web: kernel: 'Image' wants to stand at offset 0x1000123; a "
			      "multiple of 4 KiB is allowed");
}

static void a_kernel_too_large(void **state)
{
	(void)state;
	add_initrd(add_vm("web", 56 * MIB), 5 * MIB);
	refused(BH_TOO_BIG,
		"/vms/web: memory: 56 MiB; the kernel ('Image', 40960 KiB from 0x1000000) and "
		"behind it the initrd (5120 KiB) do not fit below 3 GiB");
}

static void a_kernel_just_fits(void **state)
{
	(void)state;
	add_vm("web", 56 * MIB);
	make_good();
	add_vm("db", 54 * MIB);
	assert_int_equal(make(), BH_TOO_BIG);
}

static void images_stay_below_the_hole(void **state)
{
	(void)state;
	images[0].load_offset = 3 * GIB - 40 * MIB;
	add_vm("web", 4 * GIB - 4 * MIB);
	make_good();
	images[0].load_offset += 2 * MIB;
	assert_int_equal(make(), BH_TOO_BIG);
}

static void sizes_that_wrap(void **state)
{
	(void)state;
	add_vm("web", 64 * MIB);
	images[0].run_size = UINT64_MAX - 4096;
	assert_int_equal(make(), BH_TOO_BIG);
	images[0].run_size = 1;
	images[0].load_offset = UINT64_MAX - PAGE_SIZE + 1;
	assert_int_equal(make(), BH_TOO_BIG);
}

static void a_kernel_not_known_yet(void **state)
{
	(void)state;
	nimages = 0;
	images[nimages++] = (struct image_info){.name = "Image"};
	add_vm("web", 64 * MIB);
	make_good();
	assert_int_equal(plan.vm[0].entry.v, MIB);
	manifest.vm[0].boot_protocol = BOOT_PROTOCOL_PVH;
	make_good();
	assert_int_equal(plan.vm[0].entry_mode, ENTRY_X86_PVH);
}

/* --- the rest --- */

static void what_is_for_arm64_is_refused(void **state)
{
	(void)state;
	add_vm("web", 64 * MIB);
	manifest.host.console_interrupt = 40;
	refused(BH_BAD_VALUE,
		"/host: console-interrupt: this is for arm64 machines; it may not stand here");
	manifest.host.console_interrupt = 0;
	manifest.host.stop_method = STOP_SGI;
	refused(BH_BAD_VALUE,
		"/host: stop-method: this is for arm64 machines; it may not stand here");
}

static void an_unknown_architecture(void **state)
{
	(void)state;
	add_vm("web", 64 * MIB);
	machine.arch = 2;
	refused(BH_BAD_MACHINE, "machine: architecture 2 is not known");
}

static void room_for_the_hypervisor(void **state)
{
	struct manifest_vm vm = {.ncores = 64, .memory = 700 * GIB};
	uint64_t ring = align_up(CONFIG_CONSOLE_RING_KIB * KIB, PAGE_SIZE);

	(void)state;
	/* 700 GiB and the hole: two tables of 512 GiB */
	assert_int_equal(plan_vm_bytes(&machine, &vm),
			 (VM_RECORD_PAGES + 5 + 700 + 2) * PAGE_SIZE + ring);
	vm.memory = 512 * GIB;
	assert_int_equal(plan_vm_bytes(&machine, &vm),
			 (VM_RECORD_PAGES + 5 + 512 + 2) * PAGE_SIZE + ring);
	vm.memory = 511 * GIB;
	assert_int_equal(plan_vm_bytes(&machine, &vm),
			 (VM_RECORD_PAGES + 5 + 511 + 1) * PAGE_SIZE + ring);
}

static char text[2048];

static void add_line(void *context, const char *line)
{
	size_t *length = context;

	*length += (size_t)snprintf(text + *length, sizeof(text) - *length, "%s\n", line);
}

static void printed_plan(void **state)
{
	size_t length = 0;

	(void)state;
	name_cores(add_vm("web", 512 * MIB), 2, 1, 2);
	make_good();
	plan_set_boot(&plan, 0, (struct extent){pa(3 * GIB), 16 * PAGE_SIZE}, 37644, 0x8810, 0);
	plan_print(&plan, &machine, add_line, &length);
	assert_string_equal(
		text,
		"machine: test, 8 cores, 7 GiB usable\n"
		"hypervisor: core 0, memory 0x00ffc00000-0x0100000000 (4 MiB), when idle wait\n"
		"VM 1 web: 2 cores (1,2), 512 MiB\n"
		"  memory: 0x0045e00000-0x0065e00000 (512 MiB), in the guest at 0x0000000000\n"
		"  entry: 0x0001000200, Linux (64-bit)\n"
		"  kernel: 0x0001000000-0x0002dfc000 in the guest, 31440896 bytes\n"
		"  boot image: 0x0000010000-0x000001930c in the guest, 37644 bytes\n"
		"  console: UART; autostart: yes; restarts: 3 in 60 s\n");
}

/* --- the check: a good plan, broken one field at a time --- */

#define WEB (plan.vm[0])

#define BREAKS(X)                                                                                  \
	X(region_not_at_0, WEB.region[0].gpa.v = GUEST_RAM_BASE, BH_BAD_PLAN)                      \
	X(region_in_the_hole, WEB.region[1].gpa.v = GUEST_X86_HOLE_BASE, BH_BAD_PLAN)              \
	X(region_into_the_hole, WEB.region[0].extent.size += BLOCK_SIZE, BH_BAD_PLAN)              \
	X(region_beyond_the_hole_moved, WEB.region[1].gpa.v += BLOCK_SIZE, BH_BAD_PLAN)            \
	X(boot_image_elsewhere, WEB.image[IMAGE_BOOT].to.v += PAGE_SIZE, BH_BAD_PLAN)              \
	X(boot_image_too_large, WEB.image[IMAGE_BOOT].size = GUEST_BOOT_MAX + 1, BH_BAD_PLAN)      \
	X(kernel_on_the_boot_image,                                                                \
	  (WEB.image[IMAGE_KERNEL].to.v = MIB - PAGE_SIZE, WEB.entry.v = MIB), BH_BAD_PLAN)        \
	X(initrd_below_1_mib, WEB.image[IMAGE_INITRD].to.v = 512 * KIB, BH_BAD_PLAN)               \
	X(initrd_in_the_hole, WEB.image[IMAGE_INITRD].to.v = 3 * GIB - PAGE_SIZE, BH_BAD_PLAN)     \
	X(initrd_behind_the_hole, WEB.image[IMAGE_INITRD].to.v = 4 * GIB, BH_BAD_PLAN)             \
	X(initrd_on_the_kernel, WEB.image[IMAGE_INITRD].to.v = 16 * MIB, BH_OVERLAP)               \
	X(entry_before_the_kernel, WEB.entry.v = 16 * MIB - 1, BH_BAD_PLAN)                        \
	X(entry_behind_the_kernel, WEB.entry.v = 46 * MIB - 0x4000, BH_BAD_PLAN)                   \
	X(entry_mode_of_arm64, WEB.entry_mode = ENTRY_ARM64, BH_BAD_PLAN)                          \
	X(entry_mode_unknown, WEB.entry_mode = 3, BH_BAD_PLAN)                                     \
	X(console_with_an_interrupt, WEB.console_irq = 40, BH_BAD_PLAN)                            \
	X(seed_outside, WEB.rng_seed_offset = 37644 - 63, BH_BAD_PLAN)                             \
	X(hypervisor_extent_too_small, WEB.hypervisor.size -= PAGE_SIZE, BH_BAD_PLAN)

#define BREAK_TEST(name, statement, expected)                                                      \
	static void name(void **state)                                                             \
	{                                                                                          \
		(void)state;                                                                       \
		add_initrd(add_vm("web", 3 * GIB + 512 * MIB), 5 * MIB)->any_core = 0;             \
		manifest.vm[0].core[0] = 4;                                                        \
		make_good();                                                                       \
		plan_set_boot(&plan, 0, (struct extent){pa(3 * GIB), 32 * PAGE_SIZE}, 37644,       \
			      0x8810, 0);                                                          \
		assert_int_equal(plan_check(&plan, &machine, &report), BH_OK);                     \
		(void)(statement);                                                                 \
		assert_int_equal(plan_check(&plan, &machine, &report), expected);                  \
		assert_int_equal(report.error, expected);                                          \
	}
BREAKS(BREAK_TEST)

#define T(name, ...) cmocka_unit_test_setup(name, set_up_x86)
#define BREAK_LISTED(name, ...) T(name),

int main(void)
{
	static const struct CMUnitTest tests[] = {T(images_are_placed),
						  T(the_initrd_begins_a_block),
						  T(the_boot_image_is_recorded),
						  T(up_to_3_gib_is_one_region),
						  T(memory_goes_on_behind_the_hole),
						  T(a_piece_is_divided_at_the_hole),
						  T(the_hole_counts_as_one_more_piece),
						  T(an_elf_with_pvh_uses_it),
						  T(unless_linux_is_asked_for),
						  T(an_elf_without_pvh_is_linux),
						  T(pvh_needs_a_note),
						  T(no_kernel),
						  T(a_kernel_for_arm64),
						  T(an_x86_kernel_for_arm64),
						  T(a_boot_protocol_for_arm64),
						  T(a_kernel_below_1_mib),
						  T(a_kernel_at_an_odd_place),
						  T(a_kernel_too_large),
						  T(a_kernel_just_fits),
						  T(images_stay_below_the_hole),
						  T(sizes_that_wrap),
						  T(a_kernel_not_known_yet),
						  T(what_is_for_arm64_is_refused),
						  T(an_unknown_architecture),
						  T(room_for_the_hypervisor),
						  T(printed_plan),
						  BREAKS(BREAK_LISTED)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
