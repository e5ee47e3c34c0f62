/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/fake.h"

#define LONGEST 199

static const struct machine serial = {.uart = {0x1000}};

FAKE_TEST(line_has_time_core_and_text)
{
	char line[200];

	host_pass(12 * HOST_SECOND + 345678);
	log_line("%s has %u", "alpha", 7U);
	assert_true(log_take(line, sizeof(line)));
	assert_string_equal(line, "[   12.345678] core0: alpha has 7");
}

FAKE_TEST(empty_ring_gives_nothing)
{
	char line[200];

	assert_false(log_take(line, sizeof(line)));
	log_line("x");
	assert_true(log_take(line, sizeof(line)));
	assert_false(log_take(line, sizeof(line)));
}

FAKE_TEST(lines_come_in_order)
{
	char line[200], wanted[200];

	for (unsigned i = 0; i < 100; i++)
		log_line("line %u", i);
	for (unsigned i = 0; i < 100; i++) {
		snprintf(wanted, sizeof(wanted), "core0: line %u", i);
		assert_true(log_take(line, sizeof(line)));
		assert_string_equal(strchr(line, 'c'), wanted);
	}
}

FAKE_TEST(long_line_is_cut)
{
	char text[400], line[400];

	memset(text, 'y', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	log_line("%s", text);
	log_line("next");
	assert_true(log_take(line, sizeof(line)));
	assert_int_equal(strlen(line), LONGEST);
	assert_true(log_take(line, sizeof(line)));
	assert_non_null(strstr(line, "next"));
}

FAKE_TEST(taker_with_little_room_gets_a_part)
{
	char line[10];

	log_line("first");
	log_line("second");
	assert_true(log_take(line, sizeof(line)));
	assert_string_equal(line, "[    0.00");
	assert_true(log_take(line, sizeof(line)));
	assert_false(log_take(line, sizeof(line)));
}

/* Writes @count lines; how many were kept. */
static unsigned kept_of(unsigned count)
{
	char line[200];
	unsigned kept = 0;

	for (unsigned i = 0; i < count; i++)
		log_line("number %u", i);
	for (; log_take(line, sizeof(line)); kept++) {
		unsigned number = (unsigned)atoi(strstr(line, "number ") + 7);

		assert_int_equal(number, kept); /* the first ones are kept, none is torn */
	}
	return kept;
}

FAKE_TEST(full_ring_drops_the_newest)
{
	log_start(&serial);
	unsigned kept = kept_of(5000);

	assert_true(kept > 1000 && kept < 5000);
	assert_true(kept * 33ULL < CONFIG_LOG_RING_KIB * KIB);
	assert_int_equal(kept_of(10), 10);
}

/* Without a UART nobody takes lines from there: what the card gets are the newest. */
FAKE_TEST(card_gets_the_newest)
{
	char text[400];
	uint32_t lost = 0;
	unsigned count = 0, first;

	for (unsigned i = 0; i < 5000; i++)
		log_line("number %u", i);
	assert_true(log_take_lines(text, sizeof(text), &lost));
	assert_true(strlen(text) < sizeof(text));
	assert_int_equal(text[strlen(text) - 1], '\n');
	first = (unsigned)atoi(strstr(text, "number ") + 7);
	assert_int_equal(first, lost);
	for (const char *at = text; (at = strstr(at, "number ")) != NULL; at += 7)
		count++;
	while (log_take_lines(text, sizeof(text), &lost))
		for (const char *at = text; (at = strstr(at, "number ")) != NULL; at += 7)
			count++;
	assert_int_equal(first + count, 5000);
	assert_int_equal(lost, 0);
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
	snprintf(wanted, sizeof(wanted), "(%u lines of the log dropped)\r\n", 5000 - kept);
	assert_true(fake_said(wanted));
	host_forget_output();
	log_line("after");
	log_drain();
	assert_true(fake_said("after"));
	assert_false(fake_said("dropped"));
}

FAKE_TEST(ring_wraps)
{
	char line[200], wanted[200];

	for (unsigned i = 0; i < 20000; i++) {
		snprintf(wanted, sizeof(wanted), "core0: %u %.*s", i, (int)(i % 97),
			 "abcdefghijklmnopqrstuvwxyz");
		log_line("%s", wanted + strlen("core0: "));
		assert_true(log_take(line, sizeof(line)));
		assert_string_equal(strchr(line, 'c'), wanted);
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
	assert_false(log_take((char[8]){0}, 8));
}

FAKE_TEST(without_a_uart_lines_stay_in_the_ring)
{
	char line[200];

	log_line("still here");
	log_drain();
	assert_string_equal(host_output(), "");
	assert_true(log_take(line, sizeof(line)));
	assert_non_null(strstr(line, "still here"));
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
		cmocka_unit_test(taker_with_little_room_gets_a_part),
		cmocka_unit_test(full_ring_drops_the_newest),
		cmocka_unit_test(card_gets_the_newest),
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
