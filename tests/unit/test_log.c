/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/fake.h"

#define LONGEST 199

static const struct machine serial = {.uart = {0x1000}};

static uint32_t lost;

/* What the UART's reader takes at once, without the newline at its end; NULL: nothing. */
static const char *take(void)
{
	static char text[LOG_LINE_MAX + 1];

	if (!log_take(LOG_UART, text, sizeof(text), &lost))
		return NULL;
	assert_int_equal(text[strlen(text) - 1], '\n');
	text[strlen(text) - 1] = '\0';
	return text;
}

FAKE_TEST(line_has_time_core_and_text)
{
	host_pass(12 * HOST_SECOND + 345678);
	log_line("%s has %u", "alpha", 7U);
	assert_string_equal(take(), "[   12.345678] core0: alpha has 7");
}

FAKE_TEST(empty_ring_gives_nothing)
{
	assert_null(take());
	assert_false(log_pending());
	log_line("x");
	assert_true(log_pending());
	assert_non_null(take());
	assert_null(take());
	assert_false(log_pending());
}

FAKE_TEST(lines_come_in_order)
{
	char wanted[200];

	for (unsigned i = 0; i < 100; i++)
		log_line("line %u", i);
	for (unsigned i = 0; i < 100;) {
		const char *line = take();

		assert_non_null(line);
		for (; line != NULL; line = strchr(line, '\n'), i++) {
			snprintf(wanted, sizeof(wanted), "core0: line %u", i);
			line = strchr(line, 'c');
			assert_memory_equal(line, wanted, strlen(wanted));
		}
	}
	assert_null(take());
}

FAKE_TEST(long_line_is_cut)
{
	char text[400];

	memset(text, 'y', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	log_line("%s", text);
	log_line("next");
	assert_int_equal(strlen(take()), LONGEST);
	assert_non_null(strstr(take(), "next"));
}

FAKE_TEST(only_whole_lines_are_taken)
{
	char text[60];

	log_line("first");
	log_line("second, which does not fit as well");
	assert_true(log_take(LOG_CARD, text, sizeof(text), &lost));
	assert_string_equal(text, "[    0.000000] core0: first\n");
}

/* Has 5000 lines logged, of which the card gets the newest, none torn. How many were lost. */
static unsigned newest_of_many(void)
{
	char text[400];
	unsigned next = 0, total = 0;

	for (unsigned i = 0; i < 5000; i++)
		log_line("number %u", i);
	while (log_take(LOG_CARD, text, sizeof(text), &lost)) {
		assert_true(strlen(text) < sizeof(text));
		assert_int_equal(text[strlen(text) - 1], '\n');
		if (total == 0) {
			total = lost;
			next = (unsigned)atoi(strstr(text, "number ") + 7);
		} else {
			assert_int_equal(lost, 0);
		}
		for (const char *at = text; (at = strstr(at, "number ")) != NULL; at += 7)
			assert_int_equal(atoi(at + 7), next++);
	}
	assert_int_equal(next, 5000);
	return total;
}

FAKE_TEST(full_ring_keeps_the_newest)
{
	unsigned first = newest_of_many();

	assert_true(first > 0 && first < 4000);
	assert_true((5000 - first) * 33ULL < CONFIG_LOG_RING_KIB * KIB);
}

/* The one that takes nothing holds up nobody. */
FAKE_TEST(readers_do_not_know_each_other)
{
	for (unsigned i = 0; i < 5000; i++) {
		log_line("for the UART %u", i);
		assert_non_null(take());
		assert_int_equal(lost, 0);
	}
	assert_null(take());
	assert_true(newest_of_many() > 5000);
}

FAKE_TEST(dropped_lines_are_counted)
{
	char wanted[60];
	unsigned kept;

	log_start(&serial);
	for (unsigned i = 0; i < 5000; i++)
		log_line("number");
	log_drain();
	kept = fake_count("number");
	snprintf(wanted, sizeof(wanted), "(%u lines of the log dropped)\r\n[", 5000 - kept);
	assert_true(fake_said(wanted));
	host_forget_output();
	log_line("after");
	log_drain();
	assert_true(fake_said("after"));
	assert_false(fake_said("dropped"));
}

FAKE_TEST(ring_wraps)
{
	char wanted[200];

	for (unsigned i = 0; i < 20000; i++) {
		snprintf(wanted, sizeof(wanted), "core0: %u %.*s", i, (int)(i % 97),
			 "abcdefghijklmnopqrstuvwxyz");
		log_line("%s", wanted + strlen("core0: "));
		assert_string_equal(strchr(take(), 'c'), wanted);
	}
}

FAKE_TEST(drain_ends_lines_for_a_terminal)
{
	log_start(&serial);
	log_line("one");
	log_line("two");
	log_drain();
	assert_true(fake_said("core0: one\r\n["));
	assert_true(fake_said("core0: two\r\n"));
	assert_null(take());
}

FAKE_TEST(without_a_uart_lines_stay_in_the_ring)
{
	log_line("still here");
	log_drain();
	assert_string_equal(host_output(), "");
	assert_non_null(strstr(take(), "still here"));
}

/* ---- Panic ---- */

static const struct host_vm one[] = {{.name = "one", .ncores = 1, .mib = 8}};

static void panics(const struct boot_info *info)
{
	log_start(&info->machine);
	log_line("what came before");
	bh_panic("the %s is broken: 0x%x", "thing", 0x2aU);
}

FAKE_TEST(panic_says_why_after_all_that_was_logged)
{
	static const char *const lines[] = {"what came before", "PANIC: the thing is broken: 0x2a",
					    NULL};

	host_boot(host_make(2, one, 1), panics);
	fake_expect(HOST_HALTED);
	fake_said_in_order(lines);
	assert_int_equal(fake_count("PANIC"), 1);
}

static void checks(const struct boot_info *info)
{
	log_start(&info->machine);
	BH_CHECK(info->magic == BOOT_INFO_MAGIC);
	BH_CHECK(info->version == 77);
}

FAKE_TEST(broken_check_says_where)
{
	host_boot(host_make(2, one, 1), checks);
	fake_expect(HOST_HALTED);
	assert_true(fake_said("PANIC: tests/unit/test_log.c:"));
	assert_true(fake_said("info->version == 77 does not hold"));
}

static void panics_silently(const struct boot_info *info)
{
	(void)info;
	bh_panic("nobody hears this");
}

FAKE_TEST(panic_without_a_uart_halts)
{
	host_boot(host_make(2, one, 1), panics_silently);
	fake_expect(HOST_HALTED);
	assert_string_equal(host_output(), "");
}

/* ---- Many cores ---- */

#define LINES 12

/* On each of the VM's cores, in the hypervisor's place. */
static void logs(struct host_guest *guest)
{
	uint32_t vcpu = guest_vcpu(guest);

	guest_power_on(guest, (vcpu + 1) % 3, GUEST_RAM_BASE, 0);
	for (unsigned i = 0; i < LINES; i++)
		log_line("vcpu %u says that this is line %u", vcpu, i);
}

/* Every line is whole and every core's lines are in order, wherever cores were interrupted. */
SCHEDULED_TEST(lines_of_several_cores_do_not_mix, 40)
{
	static const struct host_vm vms[] = {
		{.name = "a", .ncores = 3, .mib = 8, .autostart = 1, .guest = logs},
	};
	unsigned next[3] = {0};

	fake_boot(4, vms, 1);
	for (const char *at = host_output(); (at = strstr(at, "vcpu ")) != NULL; at++) {
		unsigned vcpu, line, seconds, micros, core;
		const char *begin = at - strlen("[    1.000000] core1: ");

		assert_int_equal(sscanf(at, "vcpu %u says that this is line %u\r\n", &vcpu, &line),
				 2);
		assert_true(vcpu < 3);
		assert_int_equal(line, next[vcpu]++);
		assert_int_equal(sscanf(begin, "[%u.%u] core%u:", &seconds, &micros, &core), 3);
		assert_int_equal(core, vcpu + 1);
	}
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(next[i], LINES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(line_has_time_core_and_text),
		cmocka_unit_test(empty_ring_gives_nothing),
		cmocka_unit_test(lines_come_in_order),
		cmocka_unit_test(long_line_is_cut),
		cmocka_unit_test(only_whole_lines_are_taken),
		cmocka_unit_test(full_ring_keeps_the_newest),
		cmocka_unit_test(readers_do_not_know_each_other),
		cmocka_unit_test(dropped_lines_are_counted),
		cmocka_unit_test(ring_wraps),
		cmocka_unit_test(drain_ends_lines_for_a_terminal),
		cmocka_unit_test(without_a_uart_lines_stay_in_the_ring),
		cmocka_unit_test(panic_says_why_after_all_that_was_logged),
		cmocka_unit_test(broken_check_says_where),
		cmocka_unit_test(panic_without_a_uart_halts),
		cmocka_unit_test(lines_of_several_cores_do_not_mix),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
