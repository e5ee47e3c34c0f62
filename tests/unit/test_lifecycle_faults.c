/* SPDX-License-Identifier: Apache-2.0 */
/* Abort, restart, crash loops, lost cores and races: what guests do wrong ends only them. */
#include "lib/fake.h"

static void sleeper(struct host_guest *guest)
{
	guest_sleep(guest);
}

static void hangs_for_ever(struct host_guest *guest)
{
	guest_hang(guest, HOST_FOR_EVER);
}

static void masked(struct host_guest *guest)
{
	guest_hang(guest, 1);
}

static void loads(struct host_guest *guest)
{
	guest_load(guest, 0x12345678);
}

static void stores(struct host_guest *guest)
{
	guest_store(guest, GUEST_RAM_BASE + 8 * MIB, 1);
}

static void breaks(struct host_guest *guest)
{
	guest_illegal(guest, "something no guest may do");
}

static void powers_off(struct host_guest *guest)
{
	guest_system_off(guest);
}

static void resets(struct host_guest *guest)
{
	guest_system_reset(guest);
}

static struct host_vm bad = {.name = "bad", .ncores = 1, .mib = 8, .autostart = 1};
static const struct host_vm good = {
	.name = "good", .ncores = 1, .mib = 8, .autostart = 1, .guest = sleeper};

/* A machine on which VM "bad" runs @guest and VM "good" sleeps. */
static struct boot_info *boot_bad(host_guest_fn *guest)
{
	struct host_vm vms[] = {bad, good};

	vms[0].guest = guest;
	return fake_boot(4, vms, 2);
}

static void expect_good_runs(void)
{
	assert_int_equal(fake_state(1), VM_RUNNING);
	assert_true(host_in_guest(machine_plan()->vm[1].core[0]));
	assert_int_equal(ledger_check(machine_ledger(), machine_plan()), BH_OK);
}

/* ---- Abort ---- */

static void expect_aborted(const char *what)
{
	assert_true(fake_said(what));
	assert_int_equal(fake_count("bad: abort"), 2);
	assert_int_equal(fake_state(0), VM_STOPPED);
	assert_true(fake_vm_is_zero(0));
	expect_good_runs();
}

FAKE_TEST(foreign_load_aborts)
{
	boot_bad(loads);
	expect_aborted("bad: abort 1/6: load from unowned memory, address 0x12345678, "
		       "pc 0x40000000, syndrome 0xbad");
}

FAKE_TEST(store_behind_its_memory_aborts)
{
	boot_bad(stores);
	expect_aborted("bad: abort 1/6: store to unowned memory, address 0x40800000");
}

FAKE_TEST(illegal_operation_aborts)
{
	boot_bad(breaks);
	expect_aborted("bad: abort 1/6: something no guest may do");
}

FAKE_TEST(abort_is_a_stop_between_its_own_lines)
{
	static const char *const lines[] = {
		"bad: abort 1/6",
		"bad: stop 1/5: aborted",
		"bad: stop 2/5",
		"bad: stop 3/5",
		"bad: stop 4/5",
		"bad: stop 5/5",
		"bad: abort 6/6: ended, reported to the manager",
		NULL,
	};

	boot_bad(breaks);
	fake_said_in_order(lines);
}

static void breaks_on_second_vcpu(struct host_guest *guest)
{
	if (guest_vcpu(guest) == 1)
		guest_load(guest, 0x88);
	guest_power_on(guest, 1, GUEST_RAM_BASE, 0);
}

FAKE_TEST(abort_of_one_vcpu_ends_all)
{
	bad.ncores = 2;
	boot_bad(breaks_on_second_vcpu);
	expect_aborted("address 0x88");
	assert_false(host_in_guest(1) || host_in_guest(2));
}

FAKE_TEST(aborted_vm_does_not_restart)
{
	bad.restart_limit = 3;
	bad.restart_window = 60;
	boot_bad(breaks);
	assert_int_equal(fake_count("bad: start 7/7"), 1);
	assert_int_equal(fake_state(0), VM_STOPPED);
}

FAKE_TEST(aborted_vm_can_be_started_again)
{
	boot_bad(breaks);
	fake_operator("start bad");
	assert_int_equal(fake_count("bad: abort 6/6"), 2);
	assert_int_equal(fake_state(0), VM_STOPPED);
}

FAKE_TEST(guest_that_ends_at_once_does_not_hold_up_the_manager)
{
	uint64_t begin;

	boot_bad(breaks);
	begin = host_now();
	fake_operator("start bad");
	assert_true(host_now() - begin < HOST_SECOND / 10);
}

/* ---- Off and reset ---- */

FAKE_TEST(system_off_is_a_stop)
{
	boot_bad(powers_off);
	assert_true(fake_said("bad: stop 1/5: the guest switched itself off"));
	assert_true(fake_said("bad: stop 5/5"));
	assert_false(fake_said("abort"));
	assert_int_equal(fake_state(0), VM_STOPPED);
	assert_true(fake_vm_is_zero(0));
	expect_good_runs();
}

FAKE_TEST(switched_off_vm_does_not_restart)
{
	bad.restart_limit = 3;
	bad.restart_window = 60;
	boot_bad(powers_off);
	assert_int_equal(fake_count("bad: start 7/7"), 1);
}

static uint32_t resets_left;

static void resets_some_times(struct host_guest *guest)
{
	if (guest_load(guest, GUEST_RAM_BASE + 15 * BLOCK_SIZE / 4) != 0)
		guest_illegal(guest, "memory is not zero after a restart");
	guest_store(guest, GUEST_RAM_BASE + 15 * BLOCK_SIZE / 4, 1);
	if (resets_left > 0) {
		resets_left--;
		guest_system_reset(guest);
	}
}

FAKE_TEST(reset_restarts_in_clean_memory)
{
	bad.restart_limit = 3;
	bad.restart_window = 60;
	resets_left = 2;
	boot_bad(resets_some_times);
	assert_int_equal(fake_state(0), VM_RUNNING);
	assert_int_equal(fake_count("bad: stop 1/5: the guest asked for a reset"), 2);
	assert_true(fake_said("bad: restart 1 of 3 in 60 s"));
	assert_true(fake_said("bad: restart 2 of 3 in 60 s"));
	assert_int_equal(fake_count("bad: start 7/7"), 3);
}

FAKE_TEST(crash_loop_is_limited_and_reported)
{
	bad.restart_limit = 3;
	bad.restart_window = 60;
	boot_bad(resets);
	assert_int_equal(fake_count("bad: start 7/7"), 4);
	assert_int_equal(fake_count(bh_strerror(BH_CRASH_LOOP)), 1);
	assert_int_equal(fake_state(0), VM_STOPPED);
	assert_true(fake_vm_is_zero(0));
	expect_good_runs();
}

FAKE_TEST(limit_of_none_never_restarts)
{
	boot_bad(resets);
	assert_int_equal(fake_count("bad: start 7/7"), 1);
	assert_int_equal(fake_state(0), VM_STOPPED);
}

FAKE_TEST(after_the_window_restarts_count_anew)
{
	bad.restart_limit = 2;
	bad.restart_window = 10;
	resets_left = 2;
	boot_bad(resets_some_times);
	assert_int_equal(fake_state(0), VM_RUNNING);
	fake_operator("stop bad");
	host_pass(11 * HOST_SECOND);
	resets_left = 2;
	fake_operator("start bad");
	assert_int_equal(fake_state(0), VM_RUNNING);
	assert_int_equal(fake_count("bad: restart 1 of 2"), 2);
}

FAKE_TEST(within_the_window_restarts_add_up)
{
	bad.restart_limit = 2;
	bad.restart_window = 10;
	resets_left = 2;
	boot_bad(resets_some_times);
	fake_operator("stop bad");
	host_pass(5 * HOST_SECOND);
	resets_left = 1;
	fake_operator("start bad");
	assert_int_equal(fake_state(0), VM_STOPPED);
	assert_true(fake_said(bh_strerror(BH_CRASH_LOOP)));
}

FAKE_TEST(crash_loop_can_be_started_by_the_operator)
{
	bad.restart_limit = 1;
	bad.restart_window = 60;
	resets_left = 2;
	boot_bad(resets_some_times);
	assert_int_equal(fake_state(0), VM_STOPPED);
	fake_operator("start bad");
	assert_int_equal(fake_state(0), VM_RUNNING);
}

/* ---- When idle ---- */

static void boot_idle(host_guest_fn *guest, uint32_t nvms, enum host_end end)
{
	struct host_vm vms[] = {bad, good};
	struct boot_info *info;

	vms[0].guest = guest;
	info = host_make(4, vms, nvms);
	info->plan.when_idle = IDLE_POWEROFF;
	host_schedule(fake_seed);
	host_boot(info, core_main);
	fake_expect(end);
}

FAKE_TEST(last_guest_switches_the_machine_off)
{
	boot_idle(powers_off, 1, HOST_OFF);
	assert_true(fake_said("bad: stop 5/5"));
	assert_true(fake_said("no VM runs any more: switching the machine off"));
	assert_true(fake_vm_is_zero(0));
}

FAKE_TEST(machine_stays_on_while_another_runs)
{
	boot_idle(powers_off, 2, HOST_QUIET);
	expect_good_runs();
}

FAKE_TEST(operator_stop_leaves_the_machine_on)
{
	boot_idle(sleeper, 1, HOST_QUIET);
	fake_operator("stop bad");
	assert_int_equal(fake_state(0), VM_STOPPED);
}

FAKE_TEST(abort_leaves_the_machine_on)
{
	boot_idle(breaks, 1, HOST_QUIET);
	assert_int_equal(fake_state(0), VM_STOPPED);
}

FAKE_TEST(idle_wait_leaves_the_machine_on)
{
	struct host_vm vms[] = {bad};

	vms[0].guest = powers_off;
	fake_boot(2, vms, 1);
	assert_int_equal(fake_state(0), VM_STOPPED);
}

FAKE_TEST(operator_switches_the_machine_off)
{
	boot_bad(sleeper);
	host_type("poweroff\r");
	fake_expect(HOST_OFF);
}

/* ---- Lost cores ---- */

static void expect_quarantined(void)
{
	const struct ledger *ledger = machine_ledger();
	const struct ledger_entry *entry =
		&ledger->entry[ledger_find(ledger, machine_plan()->vm[0].region[0].extent.base)];

	assert_int_equal(fake_state(0), VM_QUARANTINED);
	assert_true(fake_said("did not leave its guest: quarantined until reset"));
	assert_int_equal(entry->kind, OWNER_VM);
	assert_int_equal(entry->vm, 0);
	assert_false(fake_vm_is_zero(0));
	assert_int_equal(fake_events(HOST_VM_QUIESCE, 0), 0);
	expect_good_runs();
}

FAKE_TEST(core_that_never_parks_is_quarantined)
{
	boot_bad(hangs_for_ever);
	host_forget_events();
	fake_operator("stop bad");
	expect_quarantined();
	assert_true(fake_said(bh_strerror(BH_CORE_LOST)));
	assert_int_equal(cpu_record(machine_plan()->vm[0].core[0])->mailbox.state, CORE_LOST);
	assert_int_equal(fake_events(HOST_ZERO, PLAN_NONE), 0);
}

FAKE_TEST(quarantine_takes_seconds_not_for_ever)
{
	boot_bad(hangs_for_ever);
	uint64_t begin = host_now();

	fake_operator("stop bad");
	assert_true(host_now() - begin < 5 * HOST_SECOND);
}

FAKE_TEST(quarantined_vm_can_do_nothing)
{
	boot_bad(hangs_for_ever);
	fake_operator("stop bad");
	host_forget_output();
	fake_operator("start bad");
	fake_operator("stop bad");
	fake_operator("load bad");
	assert_int_equal(fake_count(bh_strerror(BH_WRONG_STATE)), 3);
	assert_int_equal(fake_state(0), VM_QUARANTINED);
}

FAKE_TEST(others_go_on_beside_a_lost_core)
{
	boot_bad(hangs_for_ever);
	fake_operator("stop bad");
	fake_operator("stop good");
	assert_int_equal(fake_state(1), VM_STOPPED);
	assert_true(fake_vm_is_zero(1));
	fake_operator("start good");
	expect_good_runs();
	expect_quarantined();
}

static void second_hangs(struct host_guest *guest)
{
	if (guest_vcpu(guest) == 1)
		guest_hang(guest, HOST_FOR_EVER);
	guest_power_on(guest, 1, GUEST_RAM_BASE, 0);
}

FAKE_TEST(one_lost_core_of_two_keeps_all)
{
	bad.ncores = 2;
	boot_bad(second_hangs);
	fake_operator("stop bad");
	expect_quarantined();
	assert_int_equal(fake_count("quarantined until reset"), 1);
	assert_int_equal(cpu_record(machine_plan()->vm[0].core[0])->mailbox.state, CORE_PARKED);
	assert_int_equal(cpu_record(machine_plan()->vm[0].core[1])->mailbox.state, CORE_LOST);
}

static void second_hangs_first_breaks(struct host_guest *guest)
{
	if (guest_vcpu(guest) == 1)
		guest_hang(guest, HOST_FOR_EVER);
	guest_power_on(guest, 1, GUEST_RAM_BASE, 0);
	for (int i = 0; i < 10; i++)
		guest_pause(guest);
	guest_system_reset(guest);
}

FAKE_TEST(reset_with_a_lost_core_does_not_restart)
{
	bad.ncores = 2;
	bad.restart_limit = 5;
	bad.restart_window = 60;
	boot_bad(second_hangs_first_breaks);
	expect_quarantined();
	assert_int_equal(fake_count("bad: start 7/7"), 1);
	assert_false(fake_said("restart 1"));
}

FAKE_TEST(without_a_stronger_signal_a_masked_guest_is_lost)
{
	host_stop_attempts(1);
	boot_bad(masked);
	fake_operator("stop bad");
	expect_quarantined();
}

/* ---- Races ---- */

static bool go;

static void all_reset_together(struct host_guest *guest)
{
	static uint32_t runs;

	if (guest_vcpu(guest) == 0) {
		runs++;
		guest_power_on(guest, 1, GUEST_RAM_BASE, 0);
	}
	if (runs == 1) {
		while (guest_vcpu(guest) == 0 && !go)
			guest_pause(guest);
		go = true;
		guest_system_reset(guest);
	}
}

SCHEDULED_TEST(events_of_two_cores_are_one_event, 60)
{
	bad.ncores = 2;
	bad.restart_limit = 5;
	bad.restart_window = 60;
	boot_bad(all_reset_together);
	assert_int_equal(fake_state(0), VM_RUNNING);
	assert_int_equal(fake_count("bad: start 7/7"), 2);
	assert_int_equal(fake_count("bad: stop 5/5"), 1);
}

static void resets_when_told(struct host_guest *guest)
{
	while (!go)
		guest_sleep(guest);
	go = false;
	guest_system_reset(guest);
}

/* Once a second run begins, it stays; so any way to run at the end is a restart after the stop. */
static void resets_once_when_told(struct host_guest *guest)
{
	static bool done;

	if (done)
		return;
	while (!go)
		guest_pause(guest);
	done = true;
	guest_system_reset(guest);
}

SCHEDULED_TEST(operator_stop_racing_a_reset_does_not_restart, 60)
{
	struct host_vm vms[] = {bad, good};

	vms[0].guest = resets_once_when_told;
	vms[0].restart_limit = 5;
	vms[0].restart_window = 60;
	host_schedule(fake_seed);
	host_boot(host_make(4, vms, 2), core_main);
	while (!fake_said("bad: start 7/7"))
		assert_int_equal(host_run_for(1000), HOST_BUSY);
	host_run_for(fake_seed * 50);
	host_type("stop bad");
	host_run_for(HOST_SECOND / 100);
	host_type("\r");
	host_run_for(fake_seed * 7);
	go = true;
	fake_expect(HOST_QUIET);
	assert_int_equal(fake_state(0), VM_STOPPED);
	assert_true(fake_vm_is_zero(0));
	assert_int_equal(ledger_check(machine_ledger(), machine_plan()), BH_OK);
}

SCHEDULED_TEST(aborts_and_stops_at_any_moment, 60)
{
	struct host_vm vms[] = {bad, good};

	vms[0].ncores = 2;
	vms[0].guest = breaks_on_second_vcpu;
	host_schedule(fake_seed);
	host_boot(host_make(4, vms, 2), core_main);
	host_run_for(fake_seed * 300);
	host_type("stop bad\rstop good\r");
	fake_expect(HOST_QUIET);
	assert_true(fake_state(0) == VM_STOPPED);
	assert_true(fake_state(1) == VM_STOPPED);
	assert_true(fake_vm_is_zero(0) && fake_vm_is_zero(1));
}

SCHEDULED_TEST(crash_loop_under_any_schedule, 30)
{
	bad.restart_limit = 3;
	bad.restart_window = 60;
	boot_bad(resets);
	assert_int_equal(fake_count("bad: start 7/7"), 4);
	assert_int_equal(fake_count("bad: stop 5/5"), 4);
	expect_good_runs();
}

SCHEDULED_TEST(last_off_under_any_schedule, 30)
{
	boot_idle(powers_off, 1, HOST_OFF);
	assert_true(fake_vm_is_zero(0));
}

/* Lets the sleeping guest reset itself once. */
static void reset_now(void)
{
	go = true;
	arch_doorbell(machine_plan()->vm[0].core[0]);
	fake_expect(HOST_QUIET);
}

FAKE_TEST(window_begins_with_the_first_restart)
{
	bad.restart_limit = 1;
	bad.restart_window = 10;
	boot_bad(resets_when_told);
	host_pass(7 * HOST_SECOND);
	reset_now();
	assert_int_equal(fake_state(0), VM_RUNNING);
	host_pass(4 * HOST_SECOND);
	reset_now();
	assert_int_equal(fake_state(0), VM_STOPPED);
	assert_true(fake_said(bh_strerror(BH_CRASH_LOOP)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(foreign_load_aborts),
		cmocka_unit_test(store_behind_its_memory_aborts),
		cmocka_unit_test(illegal_operation_aborts),
		cmocka_unit_test(abort_is_a_stop_between_its_own_lines),
		cmocka_unit_test(abort_of_one_vcpu_ends_all),
		cmocka_unit_test(aborted_vm_does_not_restart),
		cmocka_unit_test(aborted_vm_can_be_started_again),
		cmocka_unit_test(guest_that_ends_at_once_does_not_hold_up_the_manager),
		cmocka_unit_test(system_off_is_a_stop),
		cmocka_unit_test(switched_off_vm_does_not_restart),
		cmocka_unit_test(reset_restarts_in_clean_memory),
		cmocka_unit_test(crash_loop_is_limited_and_reported),
		cmocka_unit_test(limit_of_none_never_restarts),
		cmocka_unit_test(after_the_window_restarts_count_anew),
		cmocka_unit_test(within_the_window_restarts_add_up),
		cmocka_unit_test(crash_loop_can_be_started_by_the_operator),
		cmocka_unit_test(last_guest_switches_the_machine_off),
		cmocka_unit_test(machine_stays_on_while_another_runs),
		cmocka_unit_test(operator_stop_leaves_the_machine_on),
		cmocka_unit_test(abort_leaves_the_machine_on),
		cmocka_unit_test(idle_wait_leaves_the_machine_on),
		cmocka_unit_test(operator_switches_the_machine_off),
		cmocka_unit_test(core_that_never_parks_is_quarantined),
		cmocka_unit_test(quarantine_takes_seconds_not_for_ever),
		cmocka_unit_test(quarantined_vm_can_do_nothing),
		cmocka_unit_test(others_go_on_beside_a_lost_core),
		cmocka_unit_test(one_lost_core_of_two_keeps_all),
		cmocka_unit_test(reset_with_a_lost_core_does_not_restart),
		cmocka_unit_test(without_a_stronger_signal_a_masked_guest_is_lost),
		cmocka_unit_test(events_of_two_cores_are_one_event),
		cmocka_unit_test(operator_stop_racing_a_reset_does_not_restart),
		cmocka_unit_test(aborts_and_stops_at_any_moment),
		cmocka_unit_test(crash_loop_under_any_schedule),
		cmocka_unit_test(last_off_under_any_schedule),
		cmocka_unit_test(window_begins_with_the_first_restart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
