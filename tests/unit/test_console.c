/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/fake.h"

static void sleeper(struct host_guest *guest)
{
	guest_sleep(guest);
}

static struct host_vm two[] = {
	{.name = "alpha", .ncores = 2, .mib = 8, .autostart = 1, .guest = sleeper},
	{.name = "beta", .ncores = 1, .mib = 8, .autostart = 1, .guest = sleeper},
};

static struct vm *alpha;
static struct console *ring;

/* A resting machine: now the test itself plays guest and system manager. */
static void boot(void)
{
	fake_boot(4, two, 2);
	alpha = vm_record(0);
	ring = &alpha->shared.console;
}

static void put(const char *text)
{
	for (; *text != '\0'; text++)
		console_put(alpha, (uint8_t)*text);
}

static void expect_taken(const char *text)
{
	char bytes[64];
	uint32_t count = console_take(alpha, bytes, sizeof(bytes));

	assert_int_equal(count, strlen(text));
	assert_memory_equal(bytes, text, count);
}

/* ---- Output ---- */

FAKE_TEST(output_comes_in_order)
{
	boot();
	put("hello");
	put(", world");
	expect_taken("hello, world");
	expect_taken("");
}

FAKE_TEST(taker_gets_what_it_has_room_for)
{
	char bytes[3];

	boot();
	put("abcdef");
	assert_int_equal(console_take(alpha, bytes, 3), 3);
	assert_memory_equal(bytes, "abc", 3);
	expect_taken("def");
}

FAKE_TEST(output_wraps)
{
	char text[40];

	boot();
	for (uint32_t i = 0; i < 2 * CONSOLE_TX_SIZE / 20; i++) {
		snprintf(text, sizeof(text), "<%u bytes went before>", ring->tx_head);
		put(text);
		expect_taken(text);
	}
}

FAKE_TEST(full_ring_drops_and_counts)
{
	boot();
	for (uint32_t i = 0; i < CONSOLE_TX_SIZE + 100; i++)
		console_put(alpha, (uint8_t)('a' + i % 26));
	assert_int_equal(ring->dropped, 100);
	for (uint32_t i = 0; i < CONSOLE_TX_SIZE; i++) {
		char byte = 0;

		assert_int_equal(console_take(alpha, &byte, 1), 1);
		assert_int_equal(byte, 'a' + (char)(i % 26));
	}
	expect_taken("");
	put("again");
	expect_taken("again");
}

FAKE_TEST(dropped_bytes_are_reported_at_the_end)
{
	boot();
	for (uint32_t i = 0; i < CONSOLE_TX_SIZE + 7; i++)
		console_put(alpha, 'z');
	fake_operator("stop alpha");
	assert_true(fake_said("alpha: 7 bytes of console output dropped"));
	assert_int_equal(ring->dropped, 0);
}

FAKE_TEST(output_indices_run_over)
{
	boot();
	ring->tx_head = ring->tx_tail = UINT32_MAX - 4;
	put("0123456789");
	assert_int_equal(ring->tx_head, 5);
	expect_taken("0123456789");
	for (uint32_t i = 0; i < CONSOLE_TX_SIZE + 1; i++)
		console_put(alpha, 'q');
	assert_int_equal(ring->dropped, 1);
}

/* ---- Input ---- */

FAKE_TEST(input_comes_in_order)
{
	boot();
	assert_false(console_pending(alpha));
	assert_int_equal(console_get(alpha), -1);
	assert_true(console_input(alpha, 'x'));
	assert_true(console_input(alpha, 0xff));
	assert_true(console_pending(alpha));
	assert_int_equal(console_get(alpha), 'x');
	assert_int_equal(console_get(alpha), 0xff);
	assert_int_equal(console_get(alpha), -1);
	assert_false(console_pending(alpha));
}

FAKE_TEST(full_input_is_refused)
{
	boot();
	for (uint32_t i = 0; i < CONSOLE_RX_SIZE; i++)
		assert_true(console_input(alpha, (uint8_t)i));
	assert_false(console_input(alpha, 'x'));
	for (uint32_t i = 0; i < CONSOLE_RX_SIZE; i++)
		assert_int_equal(console_get(alpha), (int)i);
	assert_int_equal(console_get(alpha), -1);
}

FAKE_TEST(input_indices_run_over)
{
	boot();
	ring->rx_head = ring->rx_tail = UINT32_MAX;
	for (int i = 0; i < 3; i++)
		assert_true(console_input(alpha, (uint8_t)i));
	for (int i = 0; i < 3; i++)
		assert_int_equal(console_get(alpha), i);
}

FAKE_TEST(input_is_forgotten_at_the_end)
{
	boot();
	console_input(alpha, 'x');
	fake_operator("stop alpha");
	fake_operator("start alpha");
	assert_false(console_pending(alpha));
}

/* ---- The mirror in the log ---- */

static void mirror(const char *text)
{
	host_forget_output();
	put(text);
	while (console_mirror(alpha))
		;
	log_drain();
}

FAKE_TEST(line_is_mirrored_with_its_name)
{
	boot();
	mirror("Linux version 6.1\n");
	assert_true(fake_said("core0: alpha| Linux version 6.1\r\n"));
}

FAKE_TEST(line_waits_for_its_end)
{
	boot();
	mirror("login");
	assert_false(fake_said("alpha|"));
	mirror(": \nnext");
	assert_true(fake_said("alpha| login: \r\n"));
	assert_false(fake_said("next"));
}

FAKE_TEST(empty_lines_and_control_characters_are_left_out)
{
	boot();
	mirror("\n\r\n\033[31mred\a\tblue\r\n\n");
	assert_int_equal(fake_count("alpha|"), 1);
	assert_true(fake_said("alpha| [31mred\tblue\r\n"));
}

FAKE_TEST(long_line_is_mirrored_in_pieces)
{
	char text[302];

	boot();
	memset(text, 'x', 300);
	memcpy(text + 300, "\n", 2);
	mirror(text);
	assert_int_equal(fake_count("alpha| x"), 3);
	assert_int_equal(fake_count("x"), 300);
}

FAKE_TEST(line_that_just_fits_is_one_line)
{
	char text[121];

	boot();
	memset(text, 'x', 119);
	memcpy(text + 119, "\n", 2);
	mirror(text);
	assert_int_equal(fake_count("alpha|"), 1);
	assert_int_equal(fake_count("x"), 119);
}

FAKE_TEST(unfinished_line_is_mirrored_at_the_end)
{
	boot();
	mirror("Kernel panic - not sync");
	fake_operator("stop alpha");
	assert_true(fake_said("alpha| Kernel panic - not sync\r\n"));
}

FAKE_TEST(names_tell_two_consoles_apart)
{
	boot();
	put("from alpha\n");
	console_put(vm_record(1), 'B');
	console_put(vm_record(1), '\n');
	host_run();
	assert_true(fake_said("alpha| from alpha\r\n"));
	assert_true(fake_said("beta| B\r\n"));
}

/* ---- Waking the system manager ---- */

#define LINES 12

static void prints(struct host_guest *guest)
{
	char line[20];

	if (guest_vcpu(guest) == 0)
		guest_power_on(guest, 1, GUEST_RAM_BASE, 0);
	for (unsigned i = 0; i < LINES; i++) {
		snprintf(line, sizeof(line), "%u\n", i);
		guest_print(guest, line);
	}
}

/* When nothing moves any more, nothing may be left in the ring. */
SCHEDULED_TEST(no_wake_up_is_lost, 80)
{
	two[0].guest = two[1].guest = prints;
	two[0].ncores = two[1].ncores = 2;
	fake_boot(5, two, 2);
	for (uint32_t i = 0; i < 2; i++) {
		const struct console *console = &vm_record(i)->shared.console;

		assert_int_equal(console->tx_head, console->tx_tail);
		assert_int_equal(console->dropped, 0);
		assert_int_equal(console->tx_head, 2 * (10 * 2 + (LINES - 10) * 3));
	}
}

static void prints_much(struct host_guest *guest)
{
	for (uint32_t i = 0; i < 2 * CONSOLE_TX_SIZE / 16; i++)
		guest_print(guest, "0123456789abcde\n");
}

FAKE_TEST(nothing_is_dropped_while_the_manager_keeps_up)
{
	two[0].guest = prints_much;
	boot();
	assert_int_equal(ring->dropped, 0);
	assert_int_equal(fake_count("alpha| 0123456789abcde"), 2 * CONSOLE_TX_SIZE / 16);
}

/* ---- Attached ---- */

static void echoes(struct host_guest *guest)
{
	for (;;) {
		int c = guest_read(guest);

		if (c < 0) {
			guest_sleep(guest);
			continue;
		}
		guest_print(guest, (char[]){'<', (char)c, '>', '\0'});
		if (c == 'q')
			guest_system_off(guest);
	}
}

static void attach(void)
{
	two[0].guest = echoes;
	boot();
	fake_operator("console alpha");
	host_forget_output();
}

FAKE_TEST(operator_talks_to_the_guest)
{
	attach();
	host_type("ab");
	fake_expect(HOST_QUIET);
	assert_true(fake_said("<a><b>"));
	assert_false(fake_said("alpha|"));
}

FAKE_TEST(escape_leaves_the_console)
{
	attach();
	host_type("\x1d");
	fake_operator("list");
	assert_true(fake_said("left the console"));
	assert_true(fake_said("running"));
	assert_false(fake_said("<l>"));
}

FAKE_TEST(end_of_the_vm_leaves_the_console)
{
	attach();
	host_type("q");
	fake_expect(HOST_QUIET);
	assert_int_equal(fake_state(0), VM_STOPPED);
	assert_true(fake_said("left the console"));
	fake_operator("list");
	assert_true(fake_said("stopped"));
}

FAKE_TEST(others_wait_while_one_is_attached)
{
	attach();
	console_put(vm_record(1), 'B');
	console_put(vm_record(1), '\n');
	fake_expect(HOST_QUIET);
	assert_false(fake_said("beta|"));
	host_type("\x1d");
	fake_expect(HOST_QUIET);
	assert_true(fake_said("beta| B"));
}

SCHEDULED_TEST(echo_under_any_schedule, 30)
{
	attach();
	host_type("hello");
	fake_expect(HOST_QUIET);
	assert_non_null(strstr(host_output(), "<h><e><l><l><o>"));
}

FAKE_TEST(console_of_a_stopped_vm_gives_it_no_input)
{
	two[0].autostart = 0;
	two[0].guest = echoes;
	boot();
	fake_operator("console alpha");
	fake_operator("start alpha");
	assert_false(fake_said("<"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(output_comes_in_order),
		cmocka_unit_test(taker_gets_what_it_has_room_for),
		cmocka_unit_test(output_wraps),
		cmocka_unit_test(full_ring_drops_and_counts),
		cmocka_unit_test(dropped_bytes_are_reported_at_the_end),
		cmocka_unit_test(output_indices_run_over),
		cmocka_unit_test(input_comes_in_order),
		cmocka_unit_test(full_input_is_refused),
		cmocka_unit_test(input_indices_run_over),
		cmocka_unit_test(input_is_forgotten_at_the_end),
		cmocka_unit_test(line_is_mirrored_with_its_name),
		cmocka_unit_test(line_waits_for_its_end),
		cmocka_unit_test(empty_lines_and_control_characters_are_left_out),
		cmocka_unit_test(long_line_is_mirrored_in_pieces),
		cmocka_unit_test(line_that_just_fits_is_one_line),
		cmocka_unit_test(unfinished_line_is_mirrored_at_the_end),
		cmocka_unit_test(names_tell_two_consoles_apart),
		cmocka_unit_test(no_wake_up_is_lost),
		cmocka_unit_test(nothing_is_dropped_while_the_manager_keeps_up),
		cmocka_unit_test(operator_talks_to_the_guest),
		cmocka_unit_test(escape_leaves_the_console),
		cmocka_unit_test(end_of_the_vm_leaves_the_console),
		cmocka_unit_test(others_wait_while_one_is_attached),
		cmocka_unit_test(echo_under_any_schedule),
		cmocka_unit_test(console_of_a_stopped_vm_gives_it_no_input),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
