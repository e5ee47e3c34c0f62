/* SPDX-License-Identifier: Apache-2.0 */
/* A good plan, broken one field at a time: each time plan_check must see it. */
#include "plan_fixture.h"

/* Two VMs, web on cores 1 and 2 in two regions, db on core 4; both with all images. */
static void make_plan(void)
{
	set_up(NULL);
	machine.nmemory = 0;
	add_memory(1 * GIB, 1 * GIB, 0);
	add_memory(3 * GIB, 256 * MIB, 0);
	add_memory(16 * GIB, 4 * GIB, 1);
	for (uint32_t i = 0; i < machine.ncpus; i++)
		machine.cpu[i].core_id = i == 3 ? 2 : i == 7 ? 0 : i; /* 2+3 and 0+7 are siblings */
	machine.arm64.spi_count = 256;
	machine.arm64.spi_used[2] = 1; /* INTID 48 */
	core = (struct extent){pa(1 * GIB), 4 * MIB};
	add_image("initrd", 1 * GIB + 128 * MIB, 5 * MIB);
	add_image("device trees", 1 * GIB + 136 * MIB, GUEST_BOOT_MAX);
	name_cores(add_vm("web", 1 * GIB), 2, 1, 2);
	name_cores(add_vm("db", 512 * MIB), 1, 4, 0);
	memcpy(manifest.vm[0].initrd, "initrd", 7);
	memcpy(manifest.vm[1].initrd, "initrd", 7);
	make_good();
	assert_int_equal(plan.vm[0].nregions, 2);
	for (uint32_t i = 0; i < 2; i++)
		plan_set_boot(&plan, i,
			      (struct extent){pa(1 * GIB + 136 * MIB + i * PAGE_SIZE), PAGE_SIZE},
			      4000, 100, 200);
}

#define WEB (plan.vm[0])
#define DB (plan.vm[1])

/* A case is its name, what breaks the plan, and what plan_check says. */
#define BREAKS(X)                                                                                  \
	X(too_many_vms, plan.nvms = CONFIG_MAX_VMS + 1, BH_BAD_PLAN)                               \
	X(too_many_images, plan.nimages = 49, BH_BAD_PLAN)                                         \
	X(management_core_missing, plan.management_core = 8, BH_BAD_PLAN)                          \
	X(management_core_of_a_vm, plan.management_core = 1, BH_BAD_PLAN)                          \
	X(management_core_sibling, plan.management_core = 3, BH_BAD_PLAN)                          \
	X(stop_method_unknown, plan.stop_method = 2, BH_BAD_PLAN)                                  \
	X(when_idle_unknown, plan.when_idle = 2, BH_BAD_PLAN)                                      \
	X(name_empty, WEB.name[0] = '\0', BH_BAD_PLAN)                                             \
	X(name_without_end, memset(WEB.name, 'x', sizeof(WEB.name)), BH_BAD_PLAN)                  \
	X(name_twice, memcpy(DB.name, "web", 4), BH_BAD_PLAN)                                      \
	X(vmid_zero, WEB.vmid = 0, BH_BAD_PLAN)                                                    \
	X(vmid_too_large, WEB.vmid = 256, BH_BAD_PLAN)                                             \
	X(vmid_twice, DB.vmid = WEB.vmid, BH_BAD_PLAN)                                             \
	X(no_cores, WEB.ncores = 0, BH_BAD_PLAN)                                                   \
	X(too_many_cores, WEB.ncores = CONFIG_MAX_CPUS + 1, BH_BAD_PLAN)                           \
	X(core_missing, WEB.core[1] = 8, BH_BAD_PLAN)                                              \
	X(core_twice, WEB.core[1] = WEB.core[0], BH_BAD_PLAN)                                      \
	X(core_of_another_vm, DB.core[0] = 2, BH_BAD_PLAN)                                         \
	X(core_of_the_hypervisor, DB.core[0] = 0, BH_BAD_PLAN)                                     \
	X(sibling_of_another_vm, DB.core[0] = 3, BH_BAD_PLAN)                                      \
	X(sibling_of_the_hypervisor, DB.core[0] = 7, BH_BAD_PLAN)                                  \
	X(no_regions, WEB.nregions = 0, BH_BAD_PLAN)                                               \
	X(too_many_regions, WEB.nregions = CONFIG_MAX_REGIONS_PER_VM + 1, BH_BAD_PLAN)             \
	X(region_empty, WEB.region[0].extent.size = 0, BH_BAD_PLAN)                                \
	X(region_size_not_aligned, WEB.region[0].extent.size -= PAGE_SIZE, BH_BAD_PLAN)            \
	X(region_pa_not_aligned, WEB.region[0].extent.base.v += PAGE_SIZE, BH_BAD_PLAN)            \
	X(region_gpa_elsewhere, WEB.region[0].gpa.v += BLOCK_SIZE, BH_BAD_PLAN)                    \
	X(region_gpa_overlaps, WEB.region[1].gpa.v -= BLOCK_SIZE, BH_BAD_PLAN)                     \
	X(region_gpa_leaves_a_hole, WEB.region[1].gpa.v += BLOCK_SIZE, BH_BAD_PLAN)                \
	X(region_beyond_the_guest, WEB.region[1].extent.size = (uint64_t)1 << 40, BH_BAD_PLAN)     \
	X(region_size_wraps, WEB.region[1].extent.size = align_down(UINT64_MAX, BLOCK_SIZE),       \
	  BH_BAD_PLAN)                                                                             \
	X(region_pa_wraps, DB.region[0].extent.base.v = align_down(UINT64_MAX, BLOCK_SIZE),        \
	  BH_BAD_PLAN)                                                                             \
	X(region_of_another_vm, WEB.region[0].extent.base = DB.region[0].extent.base, BH_OVERLAP)  \
	X(region_overlaps_by_one_block,                                                            \
	  WEB.region[1].extent.base =                                                              \
		  pa(DB.region[0].extent.base.v + DB.region[0].extent.size - BLOCK_SIZE),          \
	  BH_OVERLAP)                                                                              \
	X(regions_of_one_vm_overlap, WEB.region[1].extent.base = WEB.region[0].extent.base,        \
	  BH_OVERLAP)                                                                              \
	X(region_in_the_hypervisor, WEB.region[1].extent.base = plan.core.base, BH_OVERLAP)        \
	X(region_on_an_image, DB.region[0].extent.base = pa(1 * GIB + 64 * MIB), BH_OVERLAP)       \
	X(region_on_devices, DB.region[0].extent.base = pa(0x08000000), BH_BAD_PLAN)               \
	X(region_beyond_memory, DB.region[0].extent.base = pa(20 * GIB - 2 * MIB), BH_BAD_PLAN)    \
	X(region_across_a_hole, DB.region[0].extent.base = pa(2 * GIB - 2 * MIB), BH_BAD_PLAN)     \
	X(core_empty, plan.core.size = 0, BH_BAD_PLAN)                                             \
	X(core_not_aligned, plan.core.base.v += PAGE_SIZE, BH_BAD_PLAN)                            \
	X(core_beyond_memory, plan.core.base = pa(8 * GIB), BH_BAD_PLAN)                           \
	X(core_on_an_image, plan.core.size = 64 * MIB + PAGE_SIZE, BH_OVERLAP)                     \
	X(image_extent_empty, plan.images[0].size = 0, BH_BAD_PLAN)                                \
	X(image_extent_beyond_memory, plan.images[2].base = pa(64 * GIB), BH_BAD_PLAN)             \
	X(image_extents_overlap, plan.images[0].size += 64 * MIB, BH_OVERLAP)                      \
	X(image_extent_wraps, plan.images[0].size = UINT64_MAX, BH_BAD_PLAN)                       \
	X(image_from_elsewhere, WEB.image[IMAGE_KERNEL].from = pa(3 * GIB), BH_BAD_PLAN)           \
	X(image_from_beyond_its_extent, WEB.image[IMAGE_INITRD].size += PAGE_SIZE, BH_BAD_PLAN)    \
	X(image_below_ram, WEB.image[IMAGE_INITRD].to = gpa(GUEST_GICD_BASE), BH_BAD_PLAN)         \
	X(image_beyond_ram, DB.image[IMAGE_INITRD].to = gpa(GUEST_RAM_BASE + 510 * MIB),           \
	  BH_BAD_PLAN)                                                                             \
	X(image_to_wraps, WEB.image[IMAGE_INITRD].to = gpa(UINT64_MAX - 4096), BH_BAD_PLAN)        \
	X(image_size_wraps, WEB.image[IMAGE_INITRD].size = UINT64_MAX, BH_BAD_PLAN)                \
	X(initrd_on_the_kernel, WEB.image[IMAGE_INITRD].to = WEB.image[IMAGE_KERNEL].to,           \
	  BH_OVERLAP)                                                                              \
	X(fdt_on_the_kernel, WEB.image[IMAGE_BOOT].to = WEB.image[IMAGE_KERNEL].to, BH_OVERLAP)    \
	X(fdt_not_aligned, WEB.image[IMAGE_BOOT].to.v += PAGE_SIZE, BH_BAD_PLAN)                   \
	X(fdt_too_large,                                                                           \
	  (plan.images[2].size = 32 * PAGE_SIZE, WEB.image[IMAGE_BOOT].size = 17 * PAGE_SIZE),     \
	  BH_BAD_PLAN)                                                                             \
	X(fdt_without_a_place,                                                                     \
	  (WEB.image[IMAGE_BOOT].size = 0, WEB.image[IMAGE_BOOT].to = gpa(GUEST_RAM_BASE + GIB)),  \
	  BH_BAD_PLAN)                                                                             \
	X(rng_seed_outside, WEB.rng_seed_offset = 4000 - 63, BH_BAD_PLAN)                          \
	X(kaslr_seed_outside, WEB.kaslr_seed_offset = 4000 - 7, BH_BAD_PLAN)                       \
	X(entry_not_at_the_kernel, WEB.entry.v += 4, BH_BAD_PLAN)                                  \
	X(entry_beyond_ram,                                                                        \
	  (WEB.image[IMAGE_KERNEL].size = 0, WEB.entry = gpa(GUEST_RAM_BASE + GIB)), BH_BAD_PLAN)  \
	X(console_two, WEB.console = 2, BH_BAD_PLAN)                                               \
	X(console_without_interrupt, WEB.console_irq = 0, BH_BAD_PLAN)                             \
	X(interrupt_without_console, WEB.console = 0, BH_BAD_PLAN)                                 \
	X(console_interrupt_is_a_ppi, WEB.console_irq = 27, BH_BAD_PLAN)                           \
	X(console_interrupt_not_implemented, WEB.console_irq = 32 + 256, BH_BAD_PLAN)              \
	X(console_interrupt_of_a_device, WEB.console_irq = 48, BH_BAD_PLAN)                        \
	X(console_interrupt_of_the_uart, WEB.console_irq = 33, BH_BAD_PLAN)                        \
	X(console_interrupt_twice, DB.console_irq = WEB.console_irq, BH_BAD_PLAN)                  \
	X(autostart_two, WEB.autostart = 2, BH_BAD_PLAN)                                           \
	X(restarts_in_no_time, WEB.restart_window = 0, BH_BAD_PLAN)                                \
	X(hypervisor_extent_not_aligned, WEB.hypervisor.base.v += 8, BH_BAD_PLAN)                  \
	X(hypervisor_extent_too_small, WEB.hypervisor.size -= PAGE_SIZE, BH_BAD_PLAN)              \
	X(hypervisor_extent_outside, DB.hypervisor.base.v += PAGE_SIZE, BH_BAD_PLAN)               \
	X(hypervisor_extents_overlap, WEB.hypervisor.base.v += PAGE_SIZE, BH_OVERLAP)

BREAKS(BREAK_FUNCTION)

static const struct broken broken[] = {BREAKS(BREAK_CASE)};

static void test_broken(void **state)
{
	const struct broken *b = *state;
	enum bh_error error;

	make_plan();
	assert_int_equal(plan_check(&plan, &machine, &report), BH_OK);
	b->apply();
	error = plan_check(&plan, &machine, &report);
	assert_string_equal(bh_error_name(error), bh_error_name(b->error));
	assert_int_equal(report.error, error);
	assert_true(strlen(report.text) > 10);
	assert_int_equal(plan_check(&plan, &machine, NULL), error);
}

static void good_plan(void **state)
{
	(void)state;
	make_plan();
	assert_int_equal(plan_check(&plan, &machine, &report), BH_OK);
}

static void overlap_names_both_owners(void **state)
{
	(void)state;
	make_plan();
	DB.region[0].extent.base = WEB.region[0].extent.base;
	assert_int_equal(plan_check(&plan, &machine, &report), BH_OVERLAP);
	assert_non_null(strstr(report.text, "VM db"));
	assert_non_null(strstr(report.text, "VM web"));
}

/* Every bit of every region, core, interrupt and id: a plan that passes has no two owners. */
static void flipped_bits_never_pass(void **state)
{
	static struct plan good;
	struct plan_region *region = &plan.vm[1].region[0];

	(void)state;
	make_plan();
	good = plan;
	for (unsigned int bit = 0; bit < 64; bit++) {
		plan = good;
		region->gpa.v ^= 1ULL << bit;
		assert_int_not_equal(plan_check(&plan, &machine, NULL), BH_OK);
		plan = good;
		region->extent.base.v ^= 1ULL << bit;
		if (plan_check(&plan, &machine, NULL) == BH_OK)
			assert_true(range_inside(region->extent.base.v, region->extent.size,
						 16 * GIB, 4 * GIB));
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_plan),
		cmocka_unit_test(overlap_names_both_owners),
		cmocka_unit_test(flipped_bits_never_pass),
	};

	return run_with_broken(tests, ARRAY_SIZE(tests), broken, ARRAY_SIZE(broken), test_broken);
}
