/* SPDX-License-Identifier: Apache-2.0 */
/* The vsock driver on its virtqueues, against a device in memory: honest first, then with one lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <bulkhead/arch.h>

#include "lib/vsock_device.h"

#define STATUS 0x14

enum { RESPONSE = 2, RST, SHUTDOWN, RW };

static uint32_t flooding = QUEUES; /* every buffer of this queue comes back at once */
static uint32_t fences;

uint64_t arch_ticks(void)
{
	return 0;
}

uint64_t arch_tick_rate(void)
{
	return 1;
}

void arch_dma_fence(void)
{
	assert_true(++fences < 10000);
	if (flooding < QUEUES)
		rings(flooding)->used.index = rings(flooding)->avail.index;
}

/* A packet of the connection that was asked for last, with @data. */
static void send_packet(uint16_t op, const char *data)
{
	const struct virtq_rings *tx = rings(TX);
	uint16_t last = tx->avail.ring[(tx->avail.index - 1U) % VIRTQ_SIZE];
	uint32_t length = (uint32_t)strlen(data);
	uint32_t id = give_back(RX, PACKET_HEADER + length);
	uint8_t *at = pa_to_ptr(pa(rings(RX)->desc[id].address));
	uint32_t port;

	memcpy(&port, pa_to_ptr(pa(tx->desc[last].address + 16)), sizeof(port));
	put_header(at, port, op, length);
	for (uint32_t i = 0; i < length; i++)
		at[PACKET_HEADER + i] = (uint8_t)data[i];
}

static void assert_opens(void)
{
	fences = 0;
	vsock_connect(PROTOCOL_PORT);
	assert_int_equal(vsock_poll(), VSOCK_CONNECTING);
	give_back(TX, 0);
	send_packet(RESPONSE, "");
	assert_int_equal(vsock_poll(), VSOCK_OPEN);
	fences = 0;
}

static int setup(void **state)
{
	(void)state;
	flooding = QUEUES;
	vsock_close();
	memset(bounce, 0, sizeof(bounce));
	reset_registers();
	use_device();
	make_it_give_up();
	assert_opens();
	return 0;
}

/* The device is out of use, and the next dial sets it up anew. */
static void assert_given_up(void)
{
	assert_int_equal(vsock_poll(), VSOCK_CLOSED);
	assert_int_equal(registers[STATUS], 0);
	registers[0x18] = VIRTQ_SIZE;
	rings(RX)->used.index = rings(TX)->used.index = rings(EVENT)->used.index = 0;
	assert_opens();
}

static void honest(void **state)
{
	char text[16] = "";

	(void)state;
	send_packet(RW, "hello");
	send_packet(RW, " card");
	assert_int_equal(vsock_poll(), VSOCK_OPEN);
	assert_int_equal(vsock_read(text, 3), 3);
	assert_int_equal(vsock_read(text + 3, 13), 7);
	assert_string_equal(text, "hello card");
	assert_int_equal(vsock_write("bytes", 5), 5);
	send_packet(RST, "");
	assert_int_equal(vsock_poll(), VSOCK_CLOSED);
	assert_int_equal(registers[STATUS] & 4, 4);
	assert_opens();
}

/* More came back than was ever out; each of the entries is one that could be. */
static void used_index_ahead(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < VIRTQ_SIZE; i++)
		rings(RX)->used.ring[i] = (struct virtq_used_item){i, PACKET_HEADER};
	rings(RX)->used.index += VIRTQ_SIZE + 1;
	assert_given_up();
}

static void id_out_of_range(void **state)
{
	(void)state;
	rings(RX)->used.ring[rings(RX)->used.index++ % VIRTQ_SIZE].id = VIRTQ_SIZE;
	assert_given_up();
}

static void id_twice(void **state)
{
	uint16_t at = rings(TX)->used.index;

	(void)state;
	vsock_write("a", 1);
	vsock_write("b", 1);
	rings(TX)->used.ring[at % VIRTQ_SIZE].id = rings(TX)->avail.ring[at % VIRTQ_SIZE];
	rings(TX)->used.ring[(at + 1U) % VIRTQ_SIZE].id = rings(TX)->avail.ring[at % VIRTQ_SIZE];
	rings(TX)->used.index = (uint16_t)(at + 2U);
	assert_int_equal(vsock_write("c", 1), 0);
	assert_given_up();
}

static void shorter_than_a_header(void **state)
{
	(void)state;
	give_back(RX, PACKET_HEADER - 1);
	assert_given_up();
}

static void longer_than_its_buffer(void **state)
{
	(void)state;
	give_back(RX, PAGE_SIZE - BUFFER_PAD + 1);
	assert_given_up();
}

static void data_longer_than_written(void **state)
{
	(void)state;
	send_packet(RW, "12345");
	rings(RX)->used.ring[(rings(RX)->used.index - 1U) % VIRTQ_SIZE].length--;
	assert_given_up();
}

/* Every buffer comes back at once with a packet that is not ours: it costs rounds, not the system manager. */
static void flood(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < VIRTQ_SIZE; i++)
		rings(RX)->used.ring[i] = (struct virtq_used_item){i, PACKET_HEADER};
	for (uint32_t i = 0; i < VIRTQ_SIZE; i++)
		memset(bounce + (QUEUES + 1 + i) * PAGE_SIZE, 0, BUFFER_PAD + PACKET_HEADER);
	give_back(RX, PACKET_HEADER);
	flooding = RX;
	assert_int_equal(vsock_poll(), VSOCK_OPEN);
	assert_int_equal(vsock_poll(), VSOCK_OPEN);
}

static void flood_of_events(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < VIRTQ_SIZE; i++)
		rings(EVENT)->used.ring[i].id = i % 8;
	give_back(EVENT, 4);
	flooding = EVENT;
	assert_int_equal(vsock_poll(), VSOCK_CLOSED);
}

/* A transport reset while a packet is being read: the next connection has nothing of it, and works at once. */
static void reset_within_a_packet(void **state)
{
	char text[16] = "";

	(void)state;
	send_packet(RW, "first");
	assert_int_equal(vsock_poll(), VSOCK_OPEN);
	assert_int_equal(vsock_read(text, 2), 2);
	give_back(EVENT, 4);
	assert_int_equal(vsock_poll(), VSOCK_CLOSED);
	assert_int_equal(vsock_read(text, sizeof(text)), 0);
	assert_opens();
	send_packet(RW, "second");
	assert_int_equal(vsock_poll(), VSOCK_OPEN);
	assert_int_equal(vsock_read(text, sizeof(text)), 6);
	assert_memory_equal(text, "second", 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(honest, setup),
		cmocka_unit_test_setup(used_index_ahead, setup),
		cmocka_unit_test_setup(id_out_of_range, setup),
		cmocka_unit_test_setup(id_twice, setup),
		cmocka_unit_test_setup(shorter_than_a_header, setup),
		cmocka_unit_test_setup(longer_than_its_buffer, setup),
		cmocka_unit_test_setup(data_longer_than_written, setup),
		cmocka_unit_test_setup(flood, setup),
		cmocka_unit_test_setup(flood_of_events, setup),
		cmocka_unit_test_setup(reset_within_a_packet, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
