/* SPDX-License-Identifier: Apache-2.0 */
/* The control protocol's answers, byte by byte, on the fake machine: this is the card, and the stream is memory. */
#include "lib/fake.h"

#include <libfdt.h>

#include <bulkhead/protocol.h>
#include <bulkhead/vsock.h>

struct message_buffer {
	struct frame frame;
	uint8_t payload[FRAME_PAYLOAD_MAX] __attribute__((aligned(8)));
};

static enum vsock_state stream;
static struct message_buffer in, answer;
static uint32_t to_read, in_at, out_at;
static uint64_t sequence;

void vsock_use(const struct plan_card *card, pa_t bounce)
{
	(void)card;
	(void)bounce;
}

void vsock_connect(uint32_t port)
{
	(void)port;
	stream = VSOCK_OPEN;
}

void vsock_close(void)
{
	stream = VSOCK_CLOSED;
}

enum vsock_state vsock_poll(void)
{
	return stream;
}

uint32_t vsock_read(void *to, uint32_t size)
{
	uint32_t part = size < to_read ? size : to_read;

	memcpy(to, (const uint8_t *)&in + in_at, part);
	in_at += part;
	to_read -= part;
	return part;
}

/* Keeps the last answer, all of it. */
uint32_t vsock_write(const void *from, uint32_t size)
{
	static struct message_buffer out;

	assert_true(out_at + size <= sizeof(out));
	memcpy((uint8_t *)&out + out_at, from, size);
	out_at += size;
	if (out_at < sizeof(struct frame) || out_at < sizeof(struct frame) + out.frame.length)
		return size;
	out_at = 0;
	if (out.frame.flags == FRAME_ANSWER)
		answer = out;
	return size;
}

static void send_frame(enum message type, uint16_t flags, uint32_t length)
{
	in.frame = (struct frame){.magic = FRAME_MAGIC,
				  .length = length,
				  .type = (uint16_t)type,
				  .flags = flags,
				  .request = 1,
				  .sequence = sequence++};
	in_at = 0;
	to_read = (uint32_t)sizeof(in.frame) + length;
	memset(&answer, 0, sizeof(answer));
	host_run_for(HOST_SECOND);
	assert_int_equal(to_read, 0);
}

/* The `error` of the answer to @type, found as every reader of device trees does; -1 when it is not there. */
static int ask(enum message type, uint32_t length)
{
	int size = 0;

	send_frame(type, 0, length);
	assert_int_equal(answer.frame.type, type);
	assert_int_equal(fdt_check_full(answer.payload, answer.frame.length), 0);
	const fdt32_t *error = fdt_getprop(answer.payload, 0, "error", &size);

	return error != NULL && size == sizeof(*error) ? (int)fdt32_ld(error) : -1;
}

static void sleeper(struct host_guest *guest)
{
	guest_sleep(guest);
}

static void connect_card(void)
{
	static const struct host_vm vms[] = {
		{.name = "web", .ncores = 1, .mib = 8, .guest = sleeper},
		{.name = "db", .ncores = 1, .mib = 8, .guest = sleeper}};
	struct boot_info *info = host_make(3, vms, 2);

	info->plan.card = (struct plan_card){.present = 1,
					     .function = MACHINE_NONE,
					     .port = PROTOCOL_PORT,
					     .registers = {pa(HOST_DEVICES_BASE + GIB), PAGE_SIZE},
					     .device = CARD_COMMON_BYTES};
	host_boot(info, core_main);
	host_run_for(HOST_SECOND);
	assert_int_equal(stream, VSOCK_OPEN);
	send_frame(MESSAGE_HELLO, FRAME_ANSWER, 0);
	assert_true(control_open());
}

/* One property of @size bytes called "data", and "vm". */
static uint32_t put_payload(const char *vm, uint32_t size)
{
	static const uint8_t zeros[FRAME_PAYLOAD_MAX];

	fdt_create(in.payload, sizeof(in.payload));
	fdt_finish_reservemap(in.payload);
	fdt_begin_node(in.payload, "");
	fdt_property(in.payload, "vm", vm, (int)strlen(vm) + 1);
	assert_int_equal(fdt_property(in.payload, "data", zeros, (int)size), 0);
	fdt_end_node(in.payload);
	assert_int_equal(fdt_finish(in.payload), 0);
	return fdt_totalsize(in.payload);
}

FAKE_TEST(list_says_its_error_before_the_vms)
{
	connect_card();
	assert_int_equal(ask(MESSAGE_LIST, 0), BH_OK);
	assert_true(fdt_subnode_offset(answer.payload, 0, "web") > 0);
	assert_true(fdt_subnode_offset(answer.payload, 0, "db") > 0);
}

FAKE_TEST(a_refusal_has_its_error_and_why)
{
	connect_card();
	assert_int_equal(ask(MESSAGE_INFO, put_payload("nobody", 0)), BH_NO_SUCH_VM);
	assert_string_equal(fdt_getprop(answer.payload, 0, "detail", NULL),
			    bh_strerror(BH_NO_SUCH_VM));
	assert_int_equal(ask(MESSAGE_HELLO, 0), BH_BAD_MESSAGE);
}

FAKE_TEST(ping_of_what_no_answer_holds)
{
	int size = 0;

	connect_card();
	assert_int_equal(ask(MESSAGE_PING, put_payload("", FRAME_DATA_MAX)), BH_OK);
	fdt_getprop(answer.payload, 0, "data", &size);
	assert_int_equal(size, FRAME_DATA_MAX);
	assert_int_equal(ask(MESSAGE_PING, put_payload("", FRAME_DATA_MAX + 1)), BH_TOO_BIG);
	assert_int_equal(ask(MESSAGE_PING, put_payload("", FRAME_PAYLOAD_MAX - 200)), BH_TOO_BIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(list_says_its_error_before_the_vms),
		cmocka_unit_test(a_refusal_has_its_error_and_why),
		cmocka_unit_test(ping_of_what_no_answer_holds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
