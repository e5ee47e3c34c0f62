/* SPDX-License-Identifier: Apache-2.0 */
/* Switching vCPUs on and off: what PSCI's CPU_ON and CPU_OFF come down to. */
#include "lib/fake.h"

static struct host_vm vm = {.name = "smp", .ncores = 3, .mib = 8, .autostart = 1};

static void boot_with(host_guest_fn *guest)
{
	vm.guest = guest;
	fake_boot(4, &vm, 1);
}

static uint32_t power(uint32_t vcpu)
{
	return vm_record(0)->shared.vcpu[vcpu].power;
}

static enum bh_error answers[8];
static uint32_t nanswers;

static void ask(struct host_guest *guest, uint32_t vcpu)
{
	answers[nanswers++] =
		guest_power_on(guest, vcpu, GUEST_RAM_BASE + PAGE_SIZE * vcpu, 70 + vcpu);
}

static void only_boots(struct host_guest *guest)
{
	guest_sleep(guest);
}

FAKE_TEST(only_the_first_vcpu_is_on_at_first)
{
	boot_with(only_boots);
	assert_int_equal(power(0), VCPU_POWER_ON);
	assert_int_equal(power(1), VCPU_POWER_OFF);
	assert_int_equal(power(2), VCPU_POWER_OFF);
	assert_true(host_in_guest(1));
	assert_false(host_in_guest(2) || host_in_guest(3));
}

static uint64_t seen_entry[3], seen_context[3];
static uint32_t seen_runs[3];

static void look(struct host_guest *guest)
{
	uint32_t vcpu = guest_vcpu(guest);

	seen_entry[vcpu] = guest_entry(guest);
	seen_context[vcpu] = guest_context(guest);
	seen_runs[vcpu]++;
}

static void switches_on_all(struct host_guest *guest)
{
	look(guest);
	if (guest_vcpu(guest) != 0)
		return;
	ask(guest, 1);
	ask(guest, 2);
}

FAKE_TEST(siblings_begin_where_they_are_told)
{
	boot_with(switches_on_all);
	assert_int_equal(answers[0], BH_OK);
	assert_int_equal(answers[1], BH_OK);
	for (uint32_t i = 1; i < 3; i++) {
		assert_int_equal(power(i), VCPU_POWER_ON);
		assert_int_equal(seen_entry[i], GUEST_RAM_BASE + PAGE_SIZE * i);
		assert_int_equal(seen_context[i], 70 + i);
		assert_true(host_in_guest(1 + i));
	}
}

static void asks_nonsense(struct host_guest *guest)
{
	ask(guest, 3);
	ask(guest, UINT32_MAX);
	ask(guest, 0);
}

FAKE_TEST(vcpu_that_is_none_or_on_is_refused)
{
	boot_with(asks_nonsense);
	assert_int_equal(answers[0], BH_NO_SUCH_CORE);
	assert_int_equal(answers[1], BH_NO_SUCH_CORE);
	assert_int_equal(answers[2], BH_WRONG_STATE);
	assert_int_equal(power(0), VCPU_POWER_ON);
}

static void asks_twice(struct host_guest *guest)
{
	look(guest);
	if (guest_vcpu(guest) != 0)
		return;
	ask(guest, 1);
	ask(guest, 1);
	for (int i = 0; i < 50; i++)
		guest_pause(guest);
	ask(guest, 1);
}

FAKE_TEST(second_request_is_refused)
{
	boot_with(asks_twice);
	assert_int_equal(answers[0], BH_OK);
	assert_int_equal(answers[1], BH_WRONG_STATE);
	assert_int_equal(answers[2], BH_WRONG_STATE);
	assert_int_equal(seen_runs[1], 1);
}

#define ROUNDS 5

static void on_and_off(struct host_guest *guest)
{
	look(guest);
	if (guest_vcpu(guest) != 0)
		guest_cpu_off(guest);
	for (int i = 0; i < ROUNDS; i++)
		while (guest_power_on(guest, 1, GUEST_RAM_BASE, (uint64_t)i) != BH_OK)
			guest_pause(guest);
}

SCHEDULED_TEST(off_and_on_again, 20)
{
	boot_with(on_and_off);
	assert_int_equal(seen_runs[1], ROUNDS);
	assert_int_equal(seen_context[1], ROUNDS - 1);
	assert_int_equal(power(1), VCPU_POWER_OFF);
	assert_int_equal(fake_events(HOST_VCPU_RESET, 0), 1 + ROUNDS);
	assert_int_equal(fake_events(HOST_VCPU_LEAVE, 0), ROUNDS);
}

static uint32_t won;

static void claims_the_third(struct host_guest *guest)
{
	look(guest);
	if (guest_vcpu(guest) == 2)
		return;
	if (guest_vcpu(guest) == 0)
		guest_power_on(guest, 1, GUEST_RAM_BASE, 0);
	if (guest_power_on(guest, 2, GUEST_RAM_BASE, guest_vcpu(guest)) == BH_OK)
		won |= 1U << guest_vcpu(guest);
}

SCHEDULED_TEST(of_two_claims_one_wins, 60)
{
	boot_with(claims_the_third);
	assert_true(won == 1 || won == 2);
	assert_int_equal(seen_runs[2], 1);
	assert_int_equal(1U << seen_context[2], won);
	assert_int_equal(power(2), VCPU_POWER_ON);
}

static void all_off(struct host_guest *guest)
{
	if (guest_vcpu(guest) == 0)
		ask(guest, 1);
	guest_cpu_off(guest);
}

FAKE_TEST(all_off_is_not_a_stop)
{
	boot_with(all_off);
	assert_int_equal(fake_state(0), VM_RUNNING);
	assert_int_equal(power(0), VCPU_POWER_OFF);
	assert_false(fake_said("stop 1/5"));
	fake_operator("stop smp");
	assert_int_equal(fake_state(0), VM_STOPPED);
	assert_true(fake_vm_is_zero(0));
}

FAKE_TEST(restart_begins_with_one_vcpu)
{
	boot_with(switches_on_all);
	fake_operator("stop smp");
	vm_record(0)->shared.vcpu[2].entry = 1;
	seen_runs[1] = seen_runs[2] = 0;
	nanswers = 0;
	fake_operator("start smp");
	assert_int_equal(fake_state(0), VM_RUNNING);
	assert_int_equal(answers[0], BH_OK);
	assert_int_equal(answers[1], BH_OK);
	assert_int_equal(seen_runs[1], 1);
	assert_int_equal(seen_runs[2], 1);
}

static void storm(struct host_guest *guest)
{
	uint32_t vcpu = guest_vcpu(guest);

	for (uint32_t i = 0;; i++) {
		guest_power_on(guest, (vcpu + i) % 3, GUEST_RAM_BASE, 0);
		if (vcpu != 0 && i % 4 == 3)
			guest_cpu_off(guest);
	}
}

SCHEDULED_TEST(stop_ends_a_storm_of_requests, 40)
{
	vm.guest = storm;
	host_schedule(fake_seed);
	host_boot(host_make(4, &vm, 1), core_main);
	host_run_for(40000 + fake_seed * 500);
	host_type("stop smp\r");
	fake_expect(HOST_QUIET);
	assert_int_equal(fake_state(0), VM_STOPPED);
	assert_true(fake_vm_is_zero(0));
	for (uint32_t core = 1; core < 4; core++)
		assert_int_equal(cpu_record(core)->mailbox.state, CORE_IDLE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_the_first_vcpu_is_on_at_first),
		cmocka_unit_test(siblings_begin_where_they_are_told),
		cmocka_unit_test(vcpu_that_is_none_or_on_is_refused),
		cmocka_unit_test(second_request_is_refused),
		cmocka_unit_test(off_and_on_again),
		cmocka_unit_test(of_two_claims_one_wins),
		cmocka_unit_test(all_off_is_not_a_stop),
		cmocka_unit_test(restart_begins_with_one_vcpu),
		cmocka_unit_test(stop_ends_a_storm_of_requests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
