/* SPDX-License-Identifier: Apache-2.0 */
/* What a card may send as a VM: a good candidate, broken in one way at a time. */
#include "plan_fixture.h"

static struct machine_memory hole; /* no memory from here: between the pieces of node 0 */

/* web and db of the boot manifest, old added before, new the candidate, a vacant slot between them. */
static void make_candidate(void)
{
	static struct image_info streamed[2];
	struct manifest_vm want;
	uint32_t slot = 0;

	set_up(NULL);
	machine.nmemory = 0;
	add_memory(1 * GIB, 1 * GIB, 0);
	add_memory(3 * GIB, 1 * GIB, 0);
	add_memory(16 * GIB, 4 * GIB, 1);
	hole.extent = (struct extent){pa(2 * GIB), 1 * GIB};
	machine.cpu[3].core_id = 2; /* siblings */
	machine.cpu[7].core_id = 0;
	machine.arm64.spi_count = 256;
	name_cores(add_vm("web", 64 * MIB), 1, 1, 0);
	name_cores(add_vm("db", 64 * MIB), 1, 4, 0);
	name_cores(add_vm("gone", 64 * MIB), 1, 5, 0);
	make_good();
	streamed[0] = images[0];
	streamed[0].extent = (struct extent){pa(0), 0};
	streamed[1] = (struct image_info){.name = "initrd", .size = 5 * MIB};
	for (uint32_t i = 0; i < 2; i++) {
		want = manifest.vm[0];
		memcpy(want.name, i ? "new" : "old", 4);
		memcpy(want.initrd, "initrd", 7);
		name_cores(&want, i ? 2 : 1, i ? 2 : 6, 3);
		if (plan_add(&plan, &machine, &want, streamed, 2, &slot, &report) != BH_OK)
			fail_msg("plan_add: %s", report.text);
		plan_set_boot(&plan, slot, (struct extent){pa(0), PAGE_SIZE}, 4000, 100, 200);
	}
	assert_int_equal(slot, 4);
	memset(&plan.vm[2], 0, sizeof(plan.vm[2]));
	assert_int_equal(plan_check(&plan, &machine, &report), BH_OK);
}

#define WEB (plan.vm[0])
#define VACANT (plan.vm[2])
#define OLD (plan.vm[3])
#define NEW (plan.vm[4])
#define REGION (NEW.region[0])
#define STORE (plan.images[0].base)

/* Its name, what breaks the candidate, and what plan_check says. */
#define BREAKS(X)                                                                                  \
	X(ram_in_the_core, REGION.extent.base.v = plan.core.base.v - 60 * MIB, BH_OVERLAP)         \
	X(ram_on_the_image_store, REGION.extent.base = STORE, BH_OVERLAP)                          \
	X(ram_of_a_boot_vm, REGION.extent.base = WEB.region[0].extent.base, BH_OVERLAP)            \
	X(ram_of_an_added_vm, REGION.extent.base = OLD.region[0].extent.base, BH_OVERLAP)          \
	X(ram_on_anothers_hypervisor_extent, REGION.extent.base = OLD.hypervisor.base, BH_OVERLAP) \
	X(ram_on_its_hypervisor_extent, REGION.extent.base = NEW.hypervisor.base, BH_OVERLAP)      \
	X(ram_in_a_hole, REGION.extent.base = hole.extent.base, BH_BAD_PLAN)                       \
	X(ram_into_a_hole, REGION.extent.base.v = hole.extent.base.v - BLOCK_SIZE, BH_BAD_PLAN)    \
	X(ram_not_aligned, REGION.extent.base.v += PAGE_SIZE, BH_BAD_PLAN)                         \
	X(ram_size_not_aligned, REGION.extent.size += PAGE_SIZE, BH_BAD_PLAN)                      \
	X(ram_wraps, REGION.extent.base.v = 0 - (uint64_t)BLOCK_SIZE, BH_BAD_PLAN)                 \
	X(extent_in_the_core, NEW.hypervisor.base = plan.core.base, BH_BAD_PLAN)                   \
	X(extent_at_a_deleted_vms_place,                                                           \
	  NEW.hypervisor = ((struct extent){pa(extent_end(plan.core) - 128 * KIB), 128 * KIB}),    \
	  BH_BAD_PLAN)                                                                             \
	X(extent_half_in_the_core, NEW.hypervisor.base.v = extent_end(plan.core) - BLOCK_SIZE,     \
	  BH_BAD_PLAN)                                                                             \
	X(extent_around_the_core,                                                                  \
	  NEW.hypervisor = ((struct extent){pa(plan.core.base.v - BLOCK_SIZE),                     \
					    plan.core.size + BLOCK_SIZE}),                         \
	  BH_OVERLAP)                                                                              \
	X(extent_of_a_boot_vm, NEW.hypervisor = WEB.hypervisor, BH_BAD_PLAN)                       \
	X(extent_of_an_added_vm, NEW.hypervisor = OLD.hypervisor, BH_OVERLAP)                      \
	X(extent_overlaps_an_added_vms,                                                            \
	  (NEW.hypervisor.base.v = OLD.hypervisor.base.v - BLOCK_SIZE,                             \
	   NEW.hypervisor.size = 2 * BLOCK_SIZE),                                                  \
	  BH_OVERLAP)                                                                              \
	X(extent_on_ram, NEW.hypervisor.base = WEB.region[0].extent.base, BH_OVERLAP)              \
	X(extent_on_the_image_store, NEW.hypervisor.base = STORE, BH_OVERLAP)                      \
	X(extent_in_a_hole, NEW.hypervisor.base = hole.extent.base, BH_BAD_PLAN)                   \
	X(extent_beyond_memory, NEW.hypervisor.base = pa(1ULL << 51), BH_BAD_PLAN)                 \
	X(extent_wraps, NEW.hypervisor.size = 0 - (uint64_t)BLOCK_SIZE, BH_BAD_PLAN)               \
	X(extent_base_not_aligned, NEW.hypervisor.base.v += PAGE_SIZE, BH_BAD_PLAN)                \
	X(extent_size_not_aligned, NEW.hypervisor.size += PAGE_SIZE, BH_BAD_PLAN)                  \
	X(extent_empty, NEW.hypervisor.size = 0, BH_BAD_PLAN)                                      \
	X(core_of_a_boot_vm, NEW.core[0] = 1, BH_BAD_PLAN)                                         \
	X(core_of_an_added_vm, NEW.core[0] = 6, BH_BAD_PLAN)                                       \
	X(core_of_the_hypervisor, NEW.core[0] = 0, BH_BAD_PLAN)                                    \
	X(sibling_of_the_hypervisor, NEW.core[0] = 7, BH_BAD_PLAN)                                 \
	X(sibling_of_an_added_vm, (OLD.ncores = 1, OLD.core[0] = 3, NEW.ncores = 1), BH_BAD_PLAN)  \
	X(core_missing, NEW.core[1] = machine.ncpus, BH_BAD_PLAN)                                  \
	X(core_far_away, NEW.core[1] = UINT32_MAX, BH_BAD_PLAN)                                    \
	X(core_twice, NEW.core[1] = NEW.core[0], BH_BAD_PLAN)                                      \
	X(too_many_cores, NEW.ncores = CONFIG_MAX_CPUS + 1, BH_BAD_PLAN)                           \
	X(all_the_cores_there_are, NEW.ncores = UINT32_MAX, BH_BAD_PLAN)                           \
	X(no_cores, NEW.ncores = 0, BH_BAD_PLAN)                                                   \
	X(too_many_regions, NEW.nregions = CONFIG_MAX_REGIONS_PER_VM + 1, BH_BAD_PLAN)             \
	X(regions_without_end, NEW.nregions = UINT32_MAX, BH_BAD_PLAN)                             \
	X(no_regions, NEW.nregions = 0, BH_BAD_PLAN)                                               \
	X(interrupt_of_a_boot_vm, NEW.console_irq = WEB.console_irq, BH_BAD_PLAN)                  \
	X(interrupt_of_an_added_vm, NEW.console_irq = OLD.console_irq, BH_BAD_PLAN)                \
	X(interrupt_of_the_uart, NEW.console_irq = 33, BH_BAD_PLAN)                                \
	X(interrupt_far_away, NEW.console_irq = UINT32_MAX, BH_BAD_PLAN)                           \
	X(interrupt_is_an_sgi, NEW.console_irq = 1, BH_BAD_PLAN)                                   \
	X(interrupt_below_the_hosts, plan.console_interrupt = NEW.console_irq + 1, BH_BAD_PLAN)    \
	X(name_without_end, memset(NEW.name, 'x', sizeof(NEW.name)), BH_BAD_PLAN)                  \
	X(name_of_another, memcpy(NEW.name, "web", 4), BH_BAD_PLAN)                                \
	X(name_with_an_escape, NEW.name[1] = '\x1b', BH_BAD_PLAN)                                  \
	X(name_with_a_newline, NEW.name[0] = '\n', BH_BAD_PLAN)                                    \
	X(name_with_a_space, NEW.name[2] = ' ', BH_BAD_PLAN)                                       \
	X(name_in_capitals, NEW.name[0] = 'N', BH_BAD_PLAN)                                        \
	X(name_not_ascii, NEW.name[0] = (char)0xc3, BH_BAD_PLAN)                                   \
	X(no_name, NEW.name[0] = '\0', BH_BAD_PLAN)                                                \
	X(vacant_slot_with_a_late_name, VACANT.name[5] = 'x', BH_BAD_PLAN)                         \
	X(vacant_slot_with_cores, VACANT.ncores = 1, BH_BAD_PLAN)                                  \
	X(vacant_slot_with_an_id, VACANT.vmid = 3, BH_BAD_PLAN)                                    \
	X(vacant_slot_with_ram, VACANT.region[3].extent.size = BLOCK_SIZE, BH_BAD_PLAN)            \
	X(vacant_slot_with_an_extent, ((uint8_t *)(&VACANT + 1))[-1] = 1, BH_BAD_PLAN)             \
	X(vmid_of_another, NEW.vmid = OLD.vmid, BH_BAD_PLAN)                                       \
	X(vmid_zero, NEW.vmid = 0, BH_BAD_PLAN)                                                    \
	X(vmid_too_large, NEW.vmid = 256, BH_BAD_PLAN)                                             \
	X(kernel_from_the_store, NEW.image[IMAGE_KERNEL].from = STORE, BH_BAD_PLAN)                \
	X(boot_image_from_the_store, NEW.image[IMAGE_BOOT].from = STORE, BH_BAD_PLAN)              \
	X(initrd_from_the_store, NEW.image[IMAGE_INITRD].from = STORE, BH_BAD_PLAN)                \
	X(kernel_from_ram, NEW.image[IMAGE_KERNEL].from = WEB.region[0].extent.base, BH_BAD_PLAN)  \
	X(kernel_of_a_boot_vm_streamed, WEB.image[IMAGE_KERNEL].from = pa(0), BH_BAD_PLAN)         \
	X(image_beyond_ram, NEW.image[IMAGE_INITRD].size = 64 * MIB, BH_BAD_PLAN)                  \
	X(image_wraps, NEW.image[IMAGE_INITRD].to = gpa(UINT64_MAX), BH_BAD_PLAN)                  \
	X(images_overlap, NEW.image[IMAGE_INITRD].to = NEW.image[IMAGE_KERNEL].to, BH_OVERLAP)     \
	X(entry_elsewhere, NEW.entry.v += 8, BH_BAD_PLAN)                                          \
	X(entry_mode_unknown, NEW.entry_mode = 77, BH_BAD_PLAN)                                    \
	X(seed_outside, NEW.rng_seed_offset = UINT32_MAX, BH_BAD_PLAN)                             \
	X(too_many_slots, plan.nvms = UINT32_MAX, BH_BAD_PLAN)

BREAKS(BREAK_FUNCTION)

static const struct broken broken[] = {BREAKS(BREAK_CASE)};

static void test_broken(void **state)
{
	const struct broken *b = *state;

	make_candidate();
	b->apply();
	assert_string_equal(bh_error_name(plan_check(&plan, &machine, &report)),
			    bh_error_name(b->error));
	assert_int_equal(report.error, b->error);
	assert_true(strlen(report.text) > 10);
	/* No byte of a name that is none goes on. */
	for (const char *c = report.text; *c; c++)
		assert_true(*c >= ' ' && *c <= '~');
}

static void every_byte_of_a_vacant_slot_counts(void **state)
{
	uint8_t *bytes = (uint8_t *)&VACANT;

	(void)state;
	make_candidate();
	for (size_t i = 1; i < sizeof(VACANT); i++) {
		bytes[i] = 0x80;
		assert_int_equal(plan_check(&plan, &machine, &report), BH_BAD_PLAN);
		assert_string_equal(
			report.text,
			"plan: slot 2: it is not all zero, nor is its name 1 to 31 of a-z 0-9 -");
		bytes[i] = 0;
	}
	assert_int_equal(plan_check(&plan, &machine, &report), BH_OK);
}

/* On the host no image has a place, and VMs of the manifest have room in plan.core all the same. */
static void without_a_store_nobody_is_kept(void **state)
{
	(void)state;
	make_candidate();
	plan.nimages = 0;
	assert_int_equal(plan_check(&plan, &machine, &report), BH_BAD_PLAN);
	WEB.image[IMAGE_KERNEL].from = pa(0);
	plan.vm[1].image[IMAGE_KERNEL].from = pa(0);
	assert_int_equal(plan_check(&plan, &machine, &report), BH_OK);
}

static void who_is_kept_and_who_is_apart(void **state)
{
	(void)state;
	make_candidate();
	assert_true(plan_vm_kept(&WEB) && !plan_vm_apart(&plan, &WEB));
	assert_true(!plan_vm_kept(&NEW) && plan_vm_apart(&plan, &NEW));
	assert_true(!plan_vm_kept(&VACANT) && !plan_vm_apart(&plan, &VACANT));
	assert_true(plan_vm_vacant(&VACANT) && !plan_vm_vacant(&NEW));
}

/* Every bit of it: what still passes takes nothing of anybody's. */
static void flipped_bits_take_nothing(void **state)
{
	static struct plan good;
	uint8_t *bytes = (uint8_t *)&NEW;
	const struct extent *h = &NEW.hypervisor;

	(void)state;
	make_candidate();
	good = plan;
	for (size_t bit = 0; bit < sizeof(NEW) * 8; bit++) {
		plan = good;
		bytes[bit / 8] ^= (uint8_t)(1U << (bit % 8));
		if (plan_check(&plan, &machine, &report) != BH_OK)
			continue;
		for (uint32_t i = 0; i < 4; i++)
			assert_false(range_overlap(REGION.extent.base.v, REGION.extent.size,
						   plan.vm[i].region[0].extent.base.v,
						   plan.vm[i].region[0].extent.size));
		assert_true(is_aligned(h->base.v | h->size, BLOCK_SIZE));
		assert_false(extent_overlap(*h, plan.core) || extent_overlap(*h, OLD.hypervisor));
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_byte_of_a_vacant_slot_counts),
		cmocka_unit_test(without_a_store_nobody_is_kept),
		cmocka_unit_test(who_is_kept_and_who_is_apart),
		cmocka_unit_test(flipped_bits_take_nothing),
	};

	return run_with_broken(tests, ARRAY_SIZE(tests), broken, ARRAY_SIZE(broken), test_broken);
}
