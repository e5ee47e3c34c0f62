/* SPDX-License-Identifier: Apache-2.0 */
/* VMs that are added to a plan in use and leave it again: planner, check and ledger together. */
#include "plan_fixture.h"

#include <stdio.h>

#include <bulkhead/mm.h>

static struct plan before;
static struct image_info streamed[2];
static uint32_t nstreamed;
static struct manifest_vm want;
static uint32_t slot;

/* web on core 1 and db on core 4 are running; a kernel and an initrd are the card's. */
static int set_up_running(void **state)
{
	set_up(state);
	name_cores(add_vm("web", 64 * MIB), 1, 1, 0);
	name_cores(add_vm("db", 64 * MIB), 1, 4, 0);
	nstreamed = 2;
	memset(streamed, 0, sizeof(streamed));
	memcpy(streamed[0].name, "Image", 6);
	streamed[0].size = streamed[0].run_size = 30 * MIB;
	streamed[0].kind = KERNEL_ARM64_IMAGE;
	memcpy(streamed[1].name, "initrd", 7);
	streamed[1].size = 5 * MIB;
	return 0;
}

/* What add_vm() makes, but not in the manifest of the boot. */
static struct manifest_vm *new_vm(const char *name, uint64_t memory)
{
	want = *add_vm(name, memory);
	manifest.nvms--;
	return &want;
}

static enum bh_error add(void)
{
	return plan_add(&plan, &machine, &want, streamed, nstreamed, &slot, &report);
}

/* The other slots are as they were, and plan_check agrees. */
static struct plan_vm *add_good(void)
{
	before = plan;
	if (add() != BH_OK)
		fail_msg("plan_add: %s", report.text);
	if (plan_check(&plan, &machine, &report) != BH_OK)
		fail_msg("plan_check: %s", report.text);
	for (uint32_t i = 0; i < CONFIG_MAX_VMS; i++) {
		if (i != slot)
			assert_memory_equal(&plan.vm[i], &before.vm[i], sizeof(plan.vm[i]));
	}
	assert_memory_equal(plan.images, before.images, sizeof(plan.images));
	assert_int_equal(plan.nimages, before.nimages);
	return &plan.vm[slot];
}

static void add_refused(enum bh_error error, const char *sentence)
{
	before = plan;
	assert_string_equal(bh_error_name(add()), bh_error_name(error));
	assert_string_equal(report.text, sentence);
	assert_memory_equal(&plan, &before, sizeof(plan));
}

static void delete_slot(uint32_t index)
{
	memset(&plan.vm[index], 0, sizeof(plan.vm[index]));
	assert_int_equal(plan_check(&plan, &machine, &report), BH_OK);
}

/* --- slots and names --- */

static void next_slot_when_none_is_vacant(void **state)
{
	(void)state;
	make_good();
	new_vm("new", 64 * MIB);
	add_good();
	assert_int_equal(slot, 2);
	assert_int_equal(plan.nvms, 3);
	assert_int_equal(plan.vm[2].vmid, 3);
	assert_string_equal(plan.vm[2].name, "new");
}

static void vacant_slot_and_lowest_id(void **state)
{
	(void)state;
	add_vm("third", 64 * MIB);
	make_good();
	plan.vm[2].vmid = 7;
	delete_slot(0);
	new_vm("new", 64 * MIB);
	add_good();
	assert_int_equal(slot, 0);
	assert_int_equal(plan.nvms, 3);
	assert_int_equal(plan.vm[0].vmid, 1);
	new_vm("newer", 64 * MIB);
	add_good();
	assert_int_equal(plan.vm[3].vmid, 3);
}

static void stale_bytes_behind_the_slots_do_not_matter(void **state)
{
	static struct plan_vm clean;

	(void)state;
	make_good();
	new_vm("new", 64 * MIB);
	clean = *add_good();
	plan.nvms = 2;
	memset(&plan.vm[2], 0xa5, sizeof(plan.vm[2]));
	add_good();
	assert_memory_equal(&plan.vm[2], &clean, sizeof(clean));
}

static void empty_plan(void **state)
{
	(void)state;
	manifest.nvms = 0;
	make_good();
	new_vm("new", 64 * MIB);
	add_good();
	assert_int_equal(slot, 0);
	delete_slot(0);
	add_good();
	assert_int_equal(plan.nvms, 1);
}

static void name_that_is_taken(void **state)
{
	(void)state;
	make_good();
	new_vm("db", 64 * MIB);
	add_refused(BH_DUPLICATE, "/vms/db: two VMs have this name; each name may stand once");
	delete_slot(1);
	add_good();
}

static void no_slot_left(void **state)
{
	char name[8];

	(void)state;
	machine.ncpus = CONFIG_MAX_VMS + 2;
	for (uint32_t i = 0; i < machine.ncpus; i++)
		machine.cpu[i] = (struct machine_cpu){.hwid = i, .core_id = i};
	make_good();
	for (uint32_t i = 2; i < CONFIG_MAX_VMS; i++) {
		snprintf(name, sizeof(name), "vm-%u", i);
		new_vm(name, 36 * MIB);
		add_good();
	}
	new_vm("more", 36 * MIB);
	add_refused(BH_TOO_MANY, "/vms/more: this is VM number 17; this build allows 16 VMs");
	delete_slot(9);
	add_good();
	assert_int_equal(slot, 9);
}

static void devices_are_refused(void **state)
{
	(void)state;
	make_good();
	new_vm("new", 64 * MIB)->ndevices = 1;
	memcpy(want.device[0], "0000:01:00.0", 13);
	add_refused(BH_NO_DEVICE,
		    "/vms/new: devices: '0000:01:00.0' is not there; this machine has 0 "
		    "PCI functions that can be seen");
}

static void options_are_copied(void **state)
{
	const struct plan_vm *vm;

	(void)state;
	make_good();
	new_vm("new", 64 * MIB)->autostart = 0;
	want.restart_limit = 9;
	want.restart_window = 10;
	vm = add_good();
	assert_int_equal(vm->autostart, 0);
	assert_int_equal(vm->restart_limit, 9);
	assert_int_equal(vm->restart_window, 10);
}

/* --- the plan in use is not trusted --- */

static void broken_plan_is_refused(void **state)
{
	(void)state;
	make_good();
	new_vm("new", 64 * MIB);
	plan.vm[1].ncores = CONFIG_MAX_CPUS + 1;
	add_refused(BH_BAD_PLAN, "plan: VM db: 65 cores; 1 to 64 are allowed");
	plan.nvms = CONFIG_MAX_VMS + 1;
	add_refused(BH_BAD_PLAN, "plan: 17 VMs; at most 16 are allowed");
}

static void bad_machine_is_refused(void **state)
{
	(void)state;
	make_good();
	new_vm("new", 64 * MIB);
	machine.cpu[5].hwid = 2;
	add_refused(BH_BAD_MACHINE, "machine: cores 2 and 5 have the same hardware id 0x2");
}

/* --- cores --- */

static void named_cores_of_others_are_refused(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 8; i++)
		machine.cpu[i].core_id = i == 6 ? 4 : i;
	make_good();
	name_cores(new_vm("new", 64 * MIB), 2, 2, 1);
	add_refused(BH_CORE_TAKEN, "/vms/new: cores: core 1 is already a core of /vms/web; a core "
				   "may belong to one VM");
	name_cores(&want, 1, 6, 0);
	add_refused(BH_CORE_TAKEN,
		    "/vms/new: cores: core 6 is an SMT sibling of a core of /vms/db; "
		    "a core may belong to one VM");
	name_cores(&want, 1, 0, 0);
	add_refused(BH_CORE_TAKEN, "/vms/new: cores: core 0 is already the management core; a VM "
				   "may have any other");
	name_cores(&want, 2, 2, 2);
	add_refused(BH_CORE_TAKEN, "/vms/new: cores: core 2 is already a core of /vms/new; a core "
				   "may belong to one VM");
	name_cores(&want, 1, 8, 0);
	add_refused(BH_NO_SUCH_CORE,
		    "/vms/new: cores: core 8 does not exist; this machine has cores 0 to 7");
	name_cores(&want, 2, 7, 2);
	assert_int_equal(add_good()->core[0], 7);
	assert_int_equal(plan.vm[slot].core[1], 2);
}

static void counted_cores_are_what_is_left(void **state)
{
	(void)state;
	make_good();
	new_vm("new", 64 * MIB)->ncores = 3; /* node 0 has two left */
	assert_int_equal(add_good()->core[0], 5);
	new_vm("more", 64 * MIB)->ncores = 3;
	add_refused(BH_NO_CORE, "/vms/more: core-count: 3 cores; this machine has 2 left for it");
	delete_slot(slot);
	new_vm("more", 64 * MIB)->ncores = 3;
	add_good();
}

/* --- memory --- */

static bool on_node(uint32_t node, uint64_t at)
{
	return extent_inside((struct extent){pa(at), 1}, machine.memory[node].extent);
}

static void memory_and_extent_on_the_cores_node(void **state)
{
	const struct plan_vm *vm;

	(void)state;
	make_good();
	name_cores(new_vm("new", 64 * MIB), 1, 5, 0);
	vm = add_good();
	assert_true(on_node(1, vm->region[0].extent.base.v) && on_node(1, vm->hypervisor.base.v));
	assert_true(plan_vm_apart(&plan, vm));
	assert_int_equal(vm->hypervisor.size, BLOCK_SIZE);
	name_cores(new_vm("more", 64 * MIB), 1, 2, 0);
	vm = add_good();
	assert_true(on_node(0, vm->region[0].extent.base.v) && on_node(0, vm->hypervisor.base.v));
}

static void extent_elsewhere_when_the_node_is_full(void **state)
{
	const struct plan_vm *vm;

	(void)state;
	make_good();
	name_cores(new_vm("new", 4 * GIB - 64 * MIB), 1, 5, 0);
	vm = add_good();
	assert_true(on_node(1, vm->region[0].extent.base.v) && on_node(0, vm->hypervisor.base.v));
}

static void no_block_left_for_the_hypervisor(void **state)
{
	(void)state;
	machine.nmemory = 1;
	make_good();
	/* 3 GiB less 4 MiB of core, 30 of image, 128 of VMs. */
	new_vm("new", 3 * GIB - 162 * MIB);
	add_refused(BH_NO_MEMORY,
		    "/vms/new: memory: 2910 MiB; beside it the hypervisor needs 2 MiB "
		    "in one extent, and 0 MiB are left in the largest");
	new_vm("new", 3 * GIB - 164 * MIB);
	add_good();
	new_vm("more", 36 * MIB);
	add_refused(BH_NO_MEMORY, "/vms/more: memory: 36 MiB; 0 MiB are left, 0 MiB in the largest "
				  "extent, and a VM may have 4 extents");
}

static void huge_vm_needs_more_than_one_block(void **state)
{
	(void)state;
	machine.memory[1].extent.size = 2048 * GIB;
	make_good();
	name_cores(new_vm("new", 1024 * GIB - 1 * GIB), 1, 5, 0);
	assert_int_equal(add_good()->hypervisor.size, 3 * BLOCK_SIZE);
	assert_true(plan_vm_bytes(&machine, &want) > 2 * BLOCK_SIZE);
}

/* Too much for what is left, said as at boot. */
static void exhaustion_is_said_as_at_boot(void **state)
{
	char sentence[256];

	(void)state;
	add_vm("new", 8 * GIB);
	assert_int_equal(make(), BH_NO_MEMORY);
	memcpy(sentence, report.text, sizeof(sentence));
	manifest.nvms--;
	make_good();
	new_vm("new", 8 * GIB);
	add_refused(BH_NO_MEMORY, sentence);
}

/* Free pieces between VMs: taken largest first, refused when there are more than a VM may have. */
static void fragments(void **state)
{
	char name[8];

	(void)state;
	machine.nmemory = 1;
	machine.ncpus = 16;
	for (uint32_t i = 0; i < machine.ncpus; i++)
		machine.cpu[i] = (struct machine_cpu){.hwid = i, .core_id = i};
	manifest.nvms = 0;
	for (uint32_t i = 0; i < 10; i++) {
		snprintf(name, sizeof(name), "vm-%u", i);
		add_vm(name, 64 * MIB);
	}
	add_vm("rest", 3 * GIB - 34 * MIB - 640 * MIB - 2 * MIB);
	make_good();
	for (uint32_t i = 0; i < 10; i += 2)
		delete_slot(i);
	new_vm("new", 256 * MIB);
	assert_int_equal(add_good()->nregions, 4);
	delete_slot(slot);
	new_vm("new", 258 * MIB);
	add_refused(BH_NO_MEMORY, "/vms/new: memory: 258 MiB; 322 MiB are left, 64 MiB in the "
				  "largest extent, and a VM may have 4 extents");
}

/* --- images --- */

static void images_are_streamed(void **state)
{
	const struct plan_vm *vm;

	(void)state;
	make_good();
	memcpy(new_vm("new", 64 * MIB)->initrd, "initrd", 7);
	vm = add_good();
	plan_set_boot(&plan, slot, (struct extent){pa(0), PAGE_SIZE}, 3000, 100, 200);
	assert_int_equal(plan_check(&plan, &machine, &report), BH_OK);
	assert_int_equal(plan.nimages, 1);
	assert_int_equal(vm->image[IMAGE_BOOT].size, 3000);
	assert_int_equal(vm->rng_seed_offset, 100);
	assert_int_equal(vm->kaslr_seed_offset, 200);
	for (uint32_t i = 0; i < PLAN_MAX_IMAGES; i++)
		assert_int_equal(vm->image[i].from.v, 0);
	assert_false(plan_vm_kept(vm));
	assert_true(plan_vm_kept(&plan.vm[0]));
}

static void images_are_refused_as_at_boot(void **state)
{
	(void)state;
	make_good();
	memcpy(new_vm("new", 64 * MIB)->kernel, "vmlinux", 8);
	add_refused(BH_NO_IMAGE, "/vms/new: kernel: 'vmlinux' is missing or unreadable; it must "
				 "stand beside the manifest");
	new_vm("new", 30 * MIB);
	add_refused(BH_TOO_BIG, "/vms/new: memory: 30 MiB; the kernel ('Image', 30720 KiB), a "
				"device tree and the initrd (0 KiB) do not fit");
	streamed[0].kind = KERNEL_NONE;
	add_refused(
		BH_BAD_IMAGE,
		"/vms/new: kernel: 'Image' is not an arm64 Image (no ARM\\x64 magic at byte 56)");
	nstreamed = CONFIG_MAX_VMS * PLAN_MAX_IMAGES + 1;
	add_refused(BH_TOO_MANY, "images: 49 files; at most 48 are allowed");
}

/* Added or of the manifest, a VM gets the same but for where its images and the hypervisor's extent are. */
static void same_as_at_boot(void **state)
{
	static struct plan_vm added;
	struct plan_vm *vm = &plan.vm[2];

	(void)state;
	add_image("initrd", 1 * GIB + 128 * MIB, 5 * MIB);
	make_good();
	memcpy(new_vm("new", 1536 * MIB)->initrd, "initrd", 7);
	want.ncores = 2;
	added = *add_good();
	manifest.vm[manifest.nvms++] = want;
	make_good();
	vm->hypervisor = added.hypervisor;
	for (uint32_t i = 0; i < PLAN_MAX_IMAGES; i++)
		vm->image[i].from = pa(0);
	assert_memory_equal(vm, &added, sizeof(added));
}

static void x86(void **state)
{
	const struct plan_vm *vm;

	(void)state;
	machine.arch = MACHINE_X86;
	images[0].kind = streamed[0].kind = KERNEL_BZIMAGE;
	images[0].load_offset = streamed[0].load_offset = 16 * MIB;
	images[0].pvh_offset = streamed[0].pvh_offset = UINT64_MAX;
	make_good();
	name_cores(new_vm("new", 3 * GIB + 512 * MIB), 1, 5, 0);
	vm = add_good();
	plan_set_boot(&plan, slot, (struct extent){pa(0), 16 * PAGE_SIZE}, 37644, 0x8810, 0);
	assert_int_equal(plan_check(&plan, &machine, &report), BH_OK);
	assert_int_equal(vm->nregions, 2);
	assert_int_equal(vm->entry_mode, ENTRY_X86_LINUX64);
	assert_int_equal(vm->console_irq, 0);
}

/* --- consoles --- */

static void console_interrupt_of_nobody(void **state)
{
	(void)state;
	make_good();
	assert_int_equal(plan.vm[0].console_irq, 32);
	assert_int_equal(plan.vm[1].console_irq, 34); /* 33 is the UART's */
	new_vm("new", 64 * MIB);
	assert_int_equal(add_good()->console_irq, 35);
	delete_slot(0);
	new_vm("newer", 64 * MIB);
	assert_int_equal(add_good()->console_irq, 32);
	new_vm("quiet", 64 * MIB)->console = 0;
	assert_int_equal(add_good()->console_irq, 0);
}

static void console_interrupt_as_the_host_says(void **state)
{
	(void)state;
	manifest.host.console_interrupt = 100;
	machine.arm64.spi_count = 71;
	make_good();
	new_vm("new", 64 * MIB);
	assert_int_equal(add_good()->console_irq, 102);
	new_vm("more", 64 * MIB);
	add_refused(BH_NO_INTERRUPT,
		    "/vms/more: console: no interrupt from 100 to 102 is free for it");
	plan.vm[slot].console_irq = 99;
	assert_int_equal(plan_check(&plan, &machine, &report), BH_BAD_PLAN);
}

/* --- printing --- */

static char printed[8192];
static size_t printed_length;

static void add_line(void *context, const char *line)
{
	(void)context;
	printed_length += (size_t)snprintf(printed + printed_length,
					   sizeof(printed) - printed_length, "%s\n", line);
	assert_true(printed_length < sizeof(printed));
}

static void vacant_slots_are_not_printed(void **state)
{
	(void)state;
	make_good();
	new_vm("new", 64 * MIB);
	add_good();
	delete_slot(0);
	assert_int_equal(plan_vm_memory(&plan.vm[0]), 0);
	printed_length = 0;
	plan_print(&plan, &machine, add_line, NULL);
	assert_null(strstr(printed, "web"));
	assert_non_null(strstr(printed, "\nVM 2 db: 1 core (4), 64 MiB\n"));
	assert_non_null(strstr(printed, "\nVM 3 new: 1 core (2), 64 MiB\n"));
	assert_non_null(strstr(printed, "\n  hypervisor: 0x00"));
	assert_null(strstr(printed, "VM 0"));
}

/* --- a thousand rounds, with the ledger --- */

#define ROUNDS 1000

static struct ledger ledger, ledger_before;
static uint32_t seed;

static uint32_t random_below(uint32_t limit)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % limit;
}

static struct extent ram(const struct plan_vm *vm, uint32_t region)
{
	return vm->region[region].extent;
}

static void take_vm(uint32_t index)
{
	const struct plan_vm *vm = &plan.vm[index];

	for (uint32_t r = 0; r < vm->nregions; r++)
		assert_int_equal(ledger_take(&ledger, ram(vm, r), OWNER_VM, index), BH_OK);
	if (plan_vm_apart(&plan, vm))
		assert_int_equal(ledger_take(&ledger, vm->hypervisor, OWNER_HYPERVISOR, index),
				 BH_OK);
}

static void give_vm(uint32_t index)
{
	const struct plan_vm *vm = &plan.vm[index];

	for (uint32_t r = 0; r < vm->nregions; r++)
		assert_int_equal(ledger_give(&ledger, ram(vm, r)), BH_OK);
	assert_int_equal(ledger_give(&ledger, vm->hypervisor), BH_OK);
	memset(&plan.vm[index], 0, sizeof(plan.vm[index]));
}

static void make_ledger(void)
{
	ledger_init(&ledger, &machine);
	assert_int_equal(ledger_take(&ledger, plan.core, OWNER_HYPERVISOR, 0), BH_OK);
	for (uint32_t i = 0; i < plan.nimages; i++)
		assert_int_equal(ledger_take(&ledger, plan.images[i], OWNER_IMAGES, 0), BH_OK);
	for (uint32_t i = 0; i < plan.nvms; i++)
		take_vm(i);
	assert_int_equal(ledger_check(&ledger, &plan), BH_OK);
}

static void want_anything(uint32_t round)
{
	static const uint64_t mib[] = {36, 36, 38, 50, 64, 256, 500, 1024, 1026, 2048, 3000};
	char name[16];

	snprintf(name, sizeof(name), "vm-%u", round);
	new_vm(name, mib[random_below(ARRAY_SIZE(mib))] * MIB);
	want.ncores = 1 + random_below(3) / 2;
	want.console = random_below(2);
	if (random_below(4) == 0)
		name_cores(&want, want.ncores, 2 + random_below(3), 5 + random_below(3));
}

/* Adds or deletes one; true when it added. */
static bool one_round(uint32_t round)
{
	uint32_t victim = 2 + random_below(6);

	if (victim < plan.nvms && !plan_vm_vacant(&plan.vm[victim])) {
		give_vm(victim);
		return false;
	}
	want_anything(round);
	before = plan;
	if (add() != BH_OK) {
		assert_true(report.error == BH_NO_MEMORY || report.error == BH_NO_CORE ||
			    report.error == BH_CORE_TAKEN);
		assert_memory_equal(&plan, &before, sizeof(plan));
		return false;
	}
	take_vm(slot);
	return true;
}

/* Leaves only the VMs of the manifest. */
static uint32_t run_rounds(void)
{
	uint32_t added = 0;

	for (uint32_t i = 0; i < ROUNDS || added < ROUNDS; i++) {
		added += one_round(i);
		assert_int_equal(plan_check(&plan, &machine, &report), BH_OK);
		assert_int_equal(ledger_check(&ledger, &plan), BH_OK);
	}
	for (uint32_t i = 2; i < plan.nvms; i++) {
		if (!plan_vm_vacant(&plan.vm[i]))
			give_vm(i);
	}
	assert_int_equal(ledger_check(&ledger, &plan), BH_OK);
	plan.nvms = 2;
	return added;
}

static void rounds_leave_no_trace(void **state)
{
	static struct plan first;

	(void)state;
	/* Pieces that are no multiple of a block, and one hole. */
	machine.nmemory = 0;
	add_memory(1 * GIB, 1 * GIB - 5 * PAGE_SIZE, 0);
	add_memory(2 * GIB + 3 * PAGE_SIZE, 2 * GIB - 3 * PAGE_SIZE, 0);
	add_memory(16 * GIB, 1 * GIB, 1);
	add_memory(17 * GIB, 1 * GIB, 1);
	make_good();
	make_ledger();
	first = plan;
	ledger_before = ledger;
	seed = 1;
	assert_true(run_rounds() >= ROUNDS);
	assert_memory_equal(&plan, &first, sizeof(plan));
	assert_int_equal(ledger.count, ledger_before.count);
	assert_memory_equal(ledger.entry, ledger_before.entry,
			    ledger.count * sizeof(ledger.entry[0]));
}

#define RUNNING(test) cmocka_unit_test_setup(test, set_up_running)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RUNNING(next_slot_when_none_is_vacant),
		RUNNING(vacant_slot_and_lowest_id),
		RUNNING(stale_bytes_behind_the_slots_do_not_matter),
		RUNNING(empty_plan),
		RUNNING(name_that_is_taken),
		RUNNING(no_slot_left),
		RUNNING(devices_are_refused),
		RUNNING(options_are_copied),
		RUNNING(broken_plan_is_refused),
		RUNNING(bad_machine_is_refused),
		RUNNING(named_cores_of_others_are_refused),
		RUNNING(counted_cores_are_what_is_left),
		RUNNING(memory_and_extent_on_the_cores_node),
		RUNNING(extent_elsewhere_when_the_node_is_full),
		RUNNING(no_block_left_for_the_hypervisor),
		RUNNING(huge_vm_needs_more_than_one_block),
		RUNNING(exhaustion_is_said_as_at_boot),
		RUNNING(fragments),
		RUNNING(images_are_streamed),
		RUNNING(images_are_refused_as_at_boot),
		RUNNING(same_as_at_boot),
		RUNNING(x86),
		RUNNING(console_interrupt_of_nobody),
		RUNNING(console_interrupt_as_the_host_says),
		RUNNING(vacant_slots_are_not_printed),
		RUNNING(rounds_leave_no_trace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
