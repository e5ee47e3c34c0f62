/* SPDX-License-Identifier: Apache-2.0 */
/* Boot, start and stop: the resident core unchanged, on the fake machine. */
#include "lib/fake.h"

static void sleeper(struct host_guest *guest)
{
	guest_sleep(guest);
}

static void busy(struct host_guest *guest)
{
	for (;;)
		guest_pause(guest);
}

static void masked(struct host_guest *guest)
{
	guest_hang(guest, 1);
}

static const struct host_vm two[] = {
	{.name = "alpha", .ncores = 2, .mib = 10, .autostart = 1, .guest = sleeper},
	{.name = "beta", .ncores = 1, .mib = 8, .autostart = 1, .guest = sleeper},
};

/* ---- Boot ---- */

FAKE_TEST(boot_starts_what_is_wanted)
{
	struct host_vm vms[] = {two[0], two[1]};

	vms[1].autostart = 0;
	fake_boot(4, vms, 2);
	assert_int_equal(fake_state(0), VM_RUNNING);
	assert_int_equal(fake_state(1), VM_STOPPED);
	assert_true(host_in_guest(1));
	assert_false(host_in_guest(2)); /* a vCPU that nobody has switched on */
	assert_false(host_in_guest(3));
}

FAKE_TEST(boot_order_in_the_log)
{
	static const char *const lines[] = {"4 cores up, core 0 manages", "alpha: start 1/7",
					    "alpha: start 5/7", "beta: start 1/7", NULL};

	fake_boot(4, two, 2);
	fake_said_in_order(lines);
}

FAKE_TEST(boot_scrubs_every_vm_before_any_start)
{
	uint32_t count, last_zero = 0;

	fake_boot(4, two, 2);
	const struct host_event *event = host_events(&count);
	uint64_t zeroed = 0;
	for (uint32_t i = 0; i < count; i++) {
		if (event[i].kind != HOST_ZERO)
			continue;
		last_zero = i;
		zeroed += event[i].size;
	}
	assert_int_equal(zeroed, 18 * MIB);
	assert_true(last_zero < fake_find(HOST_VM_INSTALL, PLAN_NONE, 0));
	assert_true(last_zero < fake_find(HOST_VCPU_RUN, PLAN_NONE, 0));
}

FAKE_TEST(boot_with_no_vm_started_leaves_memory_zero)
{
	struct host_vm vms[] = {two[0], two[1]};

	vms[0].autostart = vms[1].autostart = 0;
	fake_boot(4, vms, 2);
	assert_true(fake_vm_is_zero(0));
	assert_true(fake_vm_is_zero(1));
}

FAKE_TEST(own_space_holds_no_vm_memory_while_it_runs)
{
	fake_boot(4, two, 2);
	for (uint32_t v = 0; v < 2; v++) {
		const struct plan_region *region = &machine_plan()->vm[v].region[0];

		for (uint64_t at = 0; at < region->extent.size; at += PAGE_SIZE)
			assert_int_equal(host_access(pa(region->extent.base.v + at)), 0);
	}
}

FAKE_TEST(own_space_is_split_by_purpose)
{
	struct boot_info *info = fake_boot(4, two, 2);

	assert_int_equal(host_access(info->text.base), HOST_MAY_READ | HOST_MAY_EXECUTE);
	assert_int_equal(host_access(info->rodata.base), HOST_MAY_READ);
	assert_int_equal(host_access(info->data.base), HOST_MAY_READ | HOST_MAY_WRITE);
	assert_int_equal(host_access(ptr_to_pa(info)), HOST_MAY_READ);
	assert_int_equal(host_access(info->plan.images[0].base), HOST_MAY_READ);
	assert_int_equal(host_access(pa(HOST_RAM_BASE + host_ram_size() - 1)), 0);
}

FAKE_TEST(ledger_says_what_the_plan_says)
{
	fake_boot(4, two, 2);
	assert_int_equal(ledger_check(machine_ledger(), machine_plan()), BH_OK);
}

FAKE_TEST(another_core_may_manage)
{
	struct host_vm vms[] = {two[1]};
	struct boot_info *info = host_make(3, vms, 1);

	info->machine.boot_cpu = 2; /* the plan's management core stays 0 */
	host_boot(info, core_main);
	fake_expect(HOST_QUIET);
	assert_true(fake_said("3 cores up, core 0 manages"));
	assert_int_equal(fake_state(0), VM_RUNNING);
	fake_operator("stop beta");
	assert_int_equal(fake_state(0), VM_STOPPED);
}

FAKE_TEST(core_that_does_not_arrive_stops_the_machine)
{
	struct boot_info *info = host_make(4, two, 2);

	host_core_dead(2);
	host_boot(info, core_main);
	fake_expect(HOST_HALTED);
	assert_true(fake_said("PANIC: a core did not arrive within 10 s"));
	assert_true(host_now() >= 10 * HOST_SECOND);
}

FAKE_TEST(core_that_firmware_refuses_stops_the_machine)
{
	struct boot_info *info = host_make(4, two, 2);

	host_core_refused(3);
	host_boot(info, core_main);
	fake_expect(HOST_HALTED);
	assert_true(fake_said("PANIC: core 3 does not start"));
}

FAKE_TEST(broken_hand_off_is_refused)
{
	struct boot_info *info = host_make(4, two, 2);

	info->version++;
	host_boot(info, core_main);
	fake_expect(HOST_HALTED);
	assert_true(fake_said("PANIC: core/main.c"));
}

FAKE_TEST(plan_that_breaks_isolation_is_refused)
{
	struct boot_info *info = host_make(4, two, 2);

	info->plan.vm[1].region[0].extent.base = info->plan.vm[0].region[0].extent.base;
	host_boot(info, core_main);
	fake_expect(HOST_HALTED);
	assert_true(fake_said("overlaps"));
	assert_int_equal(fake_events(HOST_ZERO, PLAN_NONE), 0);
}

FAKE_TEST(machine_that_lacks_something_is_refused)
{
	struct boot_info *info = host_make(4, two, 2);

	info->machine.ncpus = 5;
	host_boot(info, core_main);
	fake_expect(HOST_HALTED);
	assert_true(fake_said("PANIC: machine: it has 4 cores"));
}

/* ---- Start ---- */

FAKE_TEST(start_is_seven_steps_in_order)
{
	static const char *const lines[] = {
		"alpha: start 1/7: asked",
		"alpha: start 2/7: memory mapped, 10 MiB",
		"alpha: start 3/7: images received",
		"alpha: start 4/7: memory unmapped",
		"alpha: start 5/7: start sent to 2 cores",
		"alpha: start 6/7: memory and I/O mappings installed",
		"alpha: start 7/7: entering the guest",
		NULL,
	};
	struct host_vm vms[] = {two[0], two[1]};

	vms[0].autostart = 0;
	fake_boot(4, vms, 2);
	host_forget_output();
	fake_operator("start alpha");
	fake_said_in_order(lines);
	assert_int_equal(fake_count("alpha: start"), 7);
}

/* The guest sees exactly its images, its seeds, and zeroes. */
static void expect_images(uint32_t vm)
{
	const struct plan_vm *plan = &machine_plan()->vm[vm];
	static uint8_t wanted[16 * MIB];
	uint64_t left;

	memset(wanted, 0, sizeof(wanted));
	for (uint32_t i = 0; i < PLAN_MAX_IMAGES; i++) {
		uint64_t size;
		const uint8_t *bytes = host_image((enum plan_image_slot)i, &size);

		assert_int_equal(size, plan->image[i].size);
		memcpy(wanted + (plan->image[i].to.v - GUEST_RAM_BASE), bytes, size);
	}
	uint8_t *fdt = wanted + (plan->image[IMAGE_BOOT].to.v - GUEST_RAM_BASE);
	const uint8_t *real =
		host_physical(plan_translate(plan, plan->image[IMAGE_BOOT].to, &left));
	assert_memory_not_equal(fdt + plan->rng_seed_offset, real + plan->rng_seed_offset, 64);
	assert_memory_not_equal(fdt + plan->kaslr_seed_offset, real + plan->kaslr_seed_offset, 8);
	memcpy(fdt + plan->rng_seed_offset, real + plan->rng_seed_offset, 64);
	memcpy(fdt + plan->kaslr_seed_offset, real + plan->kaslr_seed_offset, 8);

	for (uint32_t r = 0; r < plan->nregions; r++)
		assert_memory_equal(wanted + (plan->region[r].gpa.v - GUEST_RAM_BASE),
				    host_physical(plan->region[r].extent.base),
				    plan->region[r].extent.size);
}

FAKE_TEST(start_gives_images_seeds_and_zeroes)
{
	fake_boot(4, two, 2);
	expect_images(0);
	expect_images(1);
}

FAKE_TEST(start_gives_images_across_regions)
{
	struct host_vm vms[] = {two[1]};
	struct boot_info *info = host_make(2, vms, 1);
	struct plan_vm *vm = &info->plan.vm[0];
	uint64_t base = vm->region[0].extent.base.v;

	/* Its 8 MiB in four pieces in reverse; the initrd of more than 2 MiB does not fit in one. */
	vm->nregions = 4;
	for (uint32_t i = 0; i < 4; i++)
		vm->region[i] = (struct plan_region){gpa(GUEST_RAM_BASE + i * BLOCK_SIZE),
						     {pa(base + (3 - i) * BLOCK_SIZE), BLOCK_SIZE}};
	host_boot(info, core_main);
	fake_expect(HOST_QUIET);
	expect_images(0);
	fake_operator("stop beta");
	assert_true(fake_vm_is_zero(0));
}

FAKE_TEST(each_start_has_other_seeds)
{
	struct boot_info *info = fake_boot(4, two, 2);
	const struct plan_vm *vm = &info->plan.vm[1];
	uint8_t first[GUEST_RNG_SEED_BYTES];
	uint64_t left;
	pa_t at = plan_translate(vm, gpa(vm->image[IMAGE_BOOT].to.v + vm->rng_seed_offset), &left);

	memcpy(first, host_physical(at), sizeof(first));
	fake_operator("stop beta");
	fake_operator("start beta");
	assert_memory_not_equal(first, host_physical(at), sizeof(first));
}

static uint64_t seen_entry, seen_context;
static uint8_t seen_byte;

static void looks(struct host_guest *guest)
{
	seen_entry = guest_entry(guest);
	seen_context = guest_context(guest);
	seen_byte = guest_load(guest, seen_entry);
	guest_store(guest, GUEST_RAM_BASE + 10 * MIB - 1, 77);
	guest_sleep(guest);
}

FAKE_TEST(guest_begins_at_its_kernel_with_its_device_tree)
{
	struct host_vm vms[] = {two[0]};

	vms[0].guest = looks;
	struct boot_info *info = fake_boot(3, vms, 1);
	uint64_t size;
	assert_int_equal(seen_entry, info->plan.vm[0].entry.v);
	assert_int_equal(seen_context, info->plan.vm[0].image[IMAGE_BOOT].to.v);
	assert_int_equal(seen_byte, host_image(IMAGE_KERNEL, &size)[0]);
	assert_int_equal(
		*host_physical(pa(info->plan.vm[0].region[0].extent.base.v + 10 * MIB - 1)), 77);
}

FAKE_TEST(start_of_a_running_vm_is_refused)
{
	fake_boot(4, two, 2);
	host_forget_output();
	fake_operator("start alpha");
	assert_true(fake_said(bh_strerror(BH_WRONG_STATE)));
	assert_false(fake_said("start 1/7"));
	assert_int_equal(fake_state(0), VM_RUNNING);
}

FAKE_TEST(unknown_vm_is_refused)
{
	fake_boot(4, two, 2);
	fake_operator("start gamma");
	assert_true(fake_said(bh_strerror(BH_NO_SUCH_VM)));
}

FAKE_TEST(loaded_vm_waits_for_its_start)
{
	struct host_vm vms[] = {two[1]};

	vms[0].autostart = 0;
	fake_boot(2, vms, 1);
	fake_operator("load beta");
	assert_int_equal(fake_state(0), VM_LOADED);
	assert_false(host_in_guest(1));
	expect_images(0);
	fake_operator("load beta");
	assert_true(fake_said(bh_strerror(BH_WRONG_STATE)));
	fake_operator("start beta");
	assert_int_equal(fake_state(0), VM_RUNNING);
	assert_int_equal(fake_count("start 1/7"), 1);
}

FAKE_TEST(loaded_vm_is_unloaded)
{
	struct host_vm vms[] = {two[1]};

	vms[0].autostart = 0;
	fake_boot(2, vms, 1);
	fake_operator("load beta");
	fake_operator("stop beta");
	assert_int_equal(fake_state(0), VM_STOPPED);
	assert_true(fake_vm_is_zero(0));
	assert_int_equal(fake_events(HOST_VM_INSTALL, 0), 0);
}

/* ---- Stop ---- */

FAKE_TEST(stop_is_five_steps_in_order)
{
	static const char *const lines[] = {
		"alpha: stop 1/5: asked by the operator",
		"alpha: stop 2/5: stop sent, by script",
		"alpha: stop 3/5: cores parked, interrupts cut off; scrubbing",
		"alpha: stop 4/5: memory zero, mappings removed",
		"alpha: stop 5/5: cores idle",
		NULL,
	};

	fake_boot(4, two, 2);
	fake_operator("stop alpha");
	fake_said_in_order(lines);
	assert_int_equal(fake_count("alpha: stop"), 5);
	assert_int_equal(fake_state(0), VM_STOPPED);
}

FAKE_TEST(stop_cuts_off_before_it_scrubs)
{
	fake_boot(4, two, 2);
	host_forget_events();
	fake_operator("stop alpha");
	uint32_t remove = fake_find(HOST_VM_REMOVE, 0, 0);
	uint32_t kick = fake_find(HOST_KICK, PLAN_NONE, 0);
	uint32_t left = fake_find(HOST_VCPU_LEAVE, 0, 0);
	uint32_t quiesce = fake_find(HOST_VM_QUIESCE, 0, 0);
	uint32_t zero = fake_find(HOST_ZERO, PLAN_NONE, 0);

	assert_true(remove < kick && kick < left && left < quiesce && quiesce < zero);
	assert_int_equal(fake_find(HOST_VM_INSTALL, 0, 0), fake_find(HOST_VM_BUILD, 0, 0));
}

FAKE_TEST(stop_leaves_memory_zero_and_unmapped)
{
	fake_boot(4, two, 2);
	fake_operator("stop alpha");
	assert_true(fake_vm_is_zero(0));
	assert_false(fake_vm_is_zero(1));
	assert_int_equal(host_access(machine_plan()->vm[0].region[0].extent.base), 0);
	assert_int_equal(ledger_check(machine_ledger(), machine_plan()), BH_OK);
}

FAKE_TEST(neighbour_does_not_notice_a_stop)
{
	fake_boot(4, two, 2);
	host_forget_events();
	fake_operator("stop alpha");
	assert_int_equal(fake_state(1), VM_RUNNING);
	assert_true(host_in_guest(3));
	assert_int_equal(fake_events(HOST_VCPU_LEAVE, 1), 0);
	for (uint32_t r = 0; r < EXIT_REASON_COUNT; r++)
		assert_int_equal(cpu_record(3)->exits[r], 0);
}

/* Each core of the VM zeroes its share and no other core any. */
static void expect_shares(uint32_t ncores)
{
	const struct plan_vm *vm = &machine_plan()->vm[0];
	uint32_t count;
	const struct host_event *event = host_events(&count);
	uint64_t next = vm->region[0].extent.base.v;

	for (uint32_t core = 1; core <= ncores; core++) {
		for (uint32_t i = 0; i < count; i++) {
			if (event[i].kind != HOST_ZERO || event[i].value != next)
				continue;
			assert_int_equal(event[i].core, core);
			assert_true(is_aligned(event[i].size, PAGE_SIZE));
			assert_true(event[i].size >=
				    vm->region[0].extent.size / ncores - PAGE_SIZE);
			next += event[i].size;
			break;
		}
	}
	assert_int_equal(next, vm->region[0].extent.base.v + vm->region[0].extent.size);
	assert_int_equal(fake_events(HOST_ZERO, PLAN_NONE), ncores);
}

FAKE_TEST(all_cores_scrub_their_share)
{
	struct host_vm vms[] = {two[0]};

	fake_boot(3, vms, 1);
	host_forget_events();
	fake_operator("stop alpha");
	expect_shares(2);
}

FAKE_TEST(uneven_shares_leave_nothing_out)
{
	struct host_vm vms[] = {two[0]};

	vms[0].ncores = 7;
	fake_boot(8, vms, 1);
	host_forget_events();
	fake_operator("stop alpha");
	expect_shares(7);
	assert_true(fake_vm_is_zero(0));
}

FAKE_TEST(stop_of_a_stopped_vm_is_refused)
{
	fake_boot(4, two, 2);
	fake_operator("stop beta");
	host_forget_output();
	fake_operator("stop beta");
	assert_true(fake_said(bh_strerror(BH_WRONG_STATE)));
	assert_int_equal(fake_state(1), VM_STOPPED);
}

FAKE_TEST(busy_guest_is_stopped)
{
	struct host_vm vms[] = {two[1]};

	vms[0].guest = busy;
	host_boot(host_make(2, vms, 1), core_main);
	assert_int_equal(host_run_for(HOST_SECOND / 100), HOST_BUSY);
	assert_true(host_in_guest(1));
	fake_operator("stop beta");
	assert_int_equal(fake_state(0), VM_STOPPED);
	assert_int_equal(cpu_record(1)->exits[EXIT_STOP], 1);
}

/* The number of @attempt kicks in the trace. */
static uint32_t kicks(uint64_t attempt)
{
	uint32_t count, found = 0;
	const struct host_event *event = host_events(&count);

	for (uint32_t i = 0; i < count; i++)
		found += event[i].kind == HOST_KICK && event[i].value == attempt;
	return found;
}

FAKE_TEST(sleeping_guest_needs_the_gentle_signal_only)
{
	fake_boot(4, two, 2);
	fake_operator("stop beta");
	assert_int_equal(kicks(0), 1);
	assert_int_equal(kicks(1), 0);
}

FAKE_TEST(masked_guest_is_stopped_by_the_stronger_signal)
{
	struct host_vm vms[] = {two[1]};

	vms[0].guest = masked;
	fake_boot(2, vms, 1);
	fake_operator("stop beta");
	assert_int_equal(fake_state(0), VM_STOPPED);
	assert_int_equal(kicks(0), 1);
	assert_int_equal(kicks(1), 1);
	assert_true(fake_vm_is_zero(0));
}

FAKE_TEST(only_cores_that_stay_are_kicked_again)
{
	struct host_vm vms[] = {two[0]};

	vms[0].guest = masked; /* vCPU 1 is off */
	fake_boot(3, vms, 1);
	fake_operator("stop alpha");
	assert_int_equal(kicks(0), 2);
	assert_int_equal(kicks(1), 1);
}

FAKE_TEST(registers_are_wiped)
{
	static const struct arch_cpu zero;

	fake_boot(4, two, 2);
	assert_memory_not_equal(&cpu_record(3)->arch, &zero, sizeof(zero));
	fake_operator("stop beta");
	assert_memory_equal(&cpu_record(3)->arch, &zero, sizeof(zero));
	assert_null(cpu_record(3)->vm);
}

FAKE_TEST(every_run_has_its_reset_and_its_leave)
{
	uint32_t count, runs = 0;

	fake_boot(4, two, 2);
	for (int i = 0; i < 3; i++) {
		fake_operator("stop beta");
		fake_operator("start beta");
	}
	fake_operator("stop beta");
	const struct host_event *event = host_events(&count);
	uint32_t last = HOST_VCPU_LEAVE;
	for (uint32_t i = 0; i < count; i++) {
		if (event[i].core != 3 || event[i].kind < HOST_VCPU_RESET ||
		    event[i].kind > HOST_VCPU_LEAVE)
			continue;
		assert_int_equal(event[i].kind,
				 last == HOST_VCPU_LEAVE ? HOST_VCPU_RESET : last + 1);
		last = event[i].kind;
		runs += last == HOST_VCPU_RUN;
	}
	assert_int_equal(runs, 4);
	assert_int_equal(last, HOST_VCPU_LEAVE);
}

FAKE_TEST(exits_are_counted_from_the_start)
{
	fake_boot(4, two, 2);
	fake_operator("stop beta");
	assert_int_equal(cpu_record(3)->exits[EXIT_STOP], 1);
	fake_operator("start beta");
	assert_int_equal(cpu_record(3)->exits[EXIT_STOP], 0);
}

/* ---- 200 operations ---- */

static void leaver(struct host_guest *guest)
{
	static uint32_t turn;

	guest_store(guest, GUEST_RAM_BASE + 5 * MIB, 1);
	switch (turn++ % 4) {
	case 0:
		guest_system_off(guest);
	case 1:
		guest_system_reset(guest);
	case 2:
		guest_load(guest, 0x1000);
		break;
	default:
		break;
	}
}

FAKE_TEST_SEEDS(two_hundred_operations_leave_the_ledger_as_before, 3)
{
	static const char *const words[] = {"start", "stop", "load"};
	static struct ledger before;
	struct host_vm vms[] = {two[0], two[1]};
	char line[40];

	vms[1].guest = leaver;
	vms[1].restart_limit = 2;
	vms[1].restart_window = 1;
	fake_boot(4, vms, 2);
	fake_operator("stop alpha");
	fake_operator("stop beta");
	memcpy(&before, machine_ledger(), sizeof(before));
	srand((unsigned)fake_seed);
	for (int i = 0; i < 200; i++) {
		snprintf(line, sizeof(line), "%s %s", words[rand() % 3], two[rand() % 2].name);
		fake_operator(line);
		assert_int_equal(ledger_check(machine_ledger(), machine_plan()), BH_OK);
		for (uint32_t v = 0; v < 2; v++)
			if (fake_state(v) == VM_STOPPED)
				assert_true(fake_vm_is_zero(v));
	}
	fake_operator("stop alpha");
	fake_operator("stop beta");
	assert_memory_equal(&before, machine_ledger(), sizeof(before));
}

/* ---- Any order of the cores ---- */

SCHEDULED_TEST(boot_and_stop_under_any_schedule, 40)
{
	fake_boot(4, two, 2);
	assert_int_equal(fake_state(0), VM_RUNNING);
	assert_int_equal(fake_state(1), VM_RUNNING);
	fake_operator("stop alpha");
	fake_operator("stop beta");
	assert_true(fake_vm_is_zero(0) && fake_vm_is_zero(1));
	fake_operator("start alpha");
	assert_int_equal(fake_state(0), VM_RUNNING);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(boot_starts_what_is_wanted),
		cmocka_unit_test(boot_order_in_the_log),
		cmocka_unit_test(boot_scrubs_every_vm_before_any_start),
		cmocka_unit_test(boot_with_no_vm_started_leaves_memory_zero),
		cmocka_unit_test(own_space_holds_no_vm_memory_while_it_runs),
		cmocka_unit_test(own_space_is_split_by_purpose),
		cmocka_unit_test(ledger_says_what_the_plan_says),
		cmocka_unit_test(another_core_may_manage),
		cmocka_unit_test(core_that_does_not_arrive_stops_the_machine),
		cmocka_unit_test(core_that_firmware_refuses_stops_the_machine),
		cmocka_unit_test(broken_hand_off_is_refused),
		cmocka_unit_test(plan_that_breaks_isolation_is_refused),
		cmocka_unit_test(machine_that_lacks_something_is_refused),
		cmocka_unit_test(start_is_seven_steps_in_order),
		cmocka_unit_test(start_gives_images_seeds_and_zeroes),
		cmocka_unit_test(start_gives_images_across_regions),
		cmocka_unit_test(each_start_has_other_seeds),
		cmocka_unit_test(guest_begins_at_its_kernel_with_its_device_tree),
		cmocka_unit_test(start_of_a_running_vm_is_refused),
		cmocka_unit_test(unknown_vm_is_refused),
		cmocka_unit_test(loaded_vm_waits_for_its_start),
		cmocka_unit_test(loaded_vm_is_unloaded),
		cmocka_unit_test(stop_is_five_steps_in_order),
		cmocka_unit_test(stop_cuts_off_before_it_scrubs),
		cmocka_unit_test(stop_leaves_memory_zero_and_unmapped),
		cmocka_unit_test(neighbour_does_not_notice_a_stop),
		cmocka_unit_test(all_cores_scrub_their_share),
		cmocka_unit_test(uneven_shares_leave_nothing_out),
		cmocka_unit_test(stop_of_a_stopped_vm_is_refused),
		cmocka_unit_test(busy_guest_is_stopped),
		cmocka_unit_test(sleeping_guest_needs_the_gentle_signal_only),
		cmocka_unit_test(masked_guest_is_stopped_by_the_stronger_signal),
		cmocka_unit_test(only_cores_that_stay_are_kicked_again),
		cmocka_unit_test(registers_are_wiped),
		cmocka_unit_test(every_run_has_its_reset_and_its_leave),
		cmocka_unit_test(exits_are_counted_from_the_start),
		cmocka_unit_test(two_hundred_operations_leave_the_ledger_as_before),
		cmocka_unit_test(boot_and_stop_under_any_schedule),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
