/* SPDX-License-Identifier: Apache-2.0 */
/* The card's virtio-vsock device against a driver that does right, and one that does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/eventfd.h>
#include <sys/socket.h>

#include <cmocka.h>
#include <event2/buffer.h>

#include "fake_driver.h"
#include "tools/bhcard/vsock.h"

#define PORT 7077
#define CREDIT 0x40000u /* the device's buf_alloc */
#define MAX_CALLS 80
#define WRITE VRING_DESC_F_WRITE
#define NEXT VRING_DESC_F_NEXT

/* vhost-user */
enum { NONE = 0, GET_PROTOCOL_FEATURES = 15, GET_CONFIG = 24, SET_LOG_BASE = 6, GET_FEATURES = 1 };

static struct event_base *base;
static struct vsock_device *device;
static struct fake_driver f;
static char path[64];

/* The card. */
static struct bufferevent *calls[MAX_CALLS];
static unsigned int call_count;
static bool eof;
static unsigned int troubles;

static uint8_t data[CREDIT * 4];
static uint8_t received[sizeof(data)];

static void on_event(struct bufferevent *stream, short what, void *context)
{
	(void)stream;
	(void)context;
	eof |= (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)) != 0;
}

static bool on_accept(void *context, uint64_t cid, uint32_t port, struct bufferevent *stream)
{
	assert_ptr_equal(context, &base);
	assert_int_equal(cid, FAKE_CID);
	if (port != PORT)
		return false;
	if (call_count == MAX_CALLS)
		return false;
	calls[call_count++] = stream;
	eof = false;
	bufferevent_setcb(stream, NULL, NULL, on_event, NULL);
	bufferevent_enable(stream, EV_READ | EV_WRITE);
	return true;
}

static void on_trouble(void *context, const char *sentence)
{
	(void)context;
	(void)sentence;
	troubles++;
}

static const struct vsock_callbacks callbacks = {on_accept, on_trouble};

static int set_up(void **state)
{
	(void)state;
	snprintf(path, sizeof(path), "/tmp/test_vsock.%d", (int)getpid());
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7 + i / 1000);
	call_count = 0;
	troubles = 0;
	eof = false;
	base = event_base_new();
	device = vsock_device_new(base, path, FAKE_CID, &callbacks, &base);
	assert_non_null(device);
	fake_init(&f, base);
	assert_true(fake_connect(&f, path));
	fake_start(&f);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < call_count; i++) {
		if (calls[i] != NULL)
			bufferevent_free(calls[i]);
	}
	fake_exit(&f);
	vsock_device_free(device);
	event_base_free(base);
	assert_int_equal(access(path, F_OK), -1);
	return 0;
}

static void send_op(uint16_t op, uint32_t flags)
{
	struct virtio_vsock_hdr header = fake_header(op, 0);

	header.flags = flags;
	fake_send(&f, &header, NULL, 0);
}

static void send_data(const uint8_t *bytes, uint32_t count, uint32_t taken)
{
	struct virtio_vsock_hdr header = fake_header(VIRTIO_VSOCK_OP_RW, count);

	header.fwd_cnt = taken;
	fake_send(&f, &header, bytes, count);
}

static struct virtio_vsock_hdr expect(uint16_t op)
{
	struct virtio_vsock_hdr header;
	uint32_t bytes;

	assert_true(fake_receive(&f, &header, NULL, &bytes));
	assert_int_equal(header.op, op);
	assert_int_equal(header.dst_cid, FAKE_CID);
	assert_int_equal(header.len, bytes - sizeof(header));
	return header;
}

static void expect_nothing(void)
{
	struct virtio_vsock_hdr header;
	uint32_t bytes;

	assert_false(fake_receive(&f, &header, NULL, &bytes));
}

/* A stream, with @count buffers of @bytes for what is to come. */
static struct bufferevent *dial(unsigned int count, uint32_t bytes)
{
	struct virtio_vsock_hdr answer;

	fake_offer(&f, 1, 128, 1);
	send_op(VIRTIO_VSOCK_OP_REQUEST, 0);
	answer = expect(VIRTIO_VSOCK_OP_RESPONSE);
	assert_int_equal(answer.buf_alloc, CREDIT);
	assert_int_equal(answer.fwd_cnt, 0);
	assert_int_equal(answer.src_cid, 2);
	assert_int_equal(answer.src_port, PORT);
	assert_int_equal(answer.dst_port, 1000);
	assert_int_equal(answer.type, VIRTIO_VSOCK_TYPE_STREAM);
	if (count != 0)
		fake_offer(&f, count, bytes, 1);
	return calls[call_count - 1];
}

static void hang_up(void)
{
	bufferevent_free(calls[call_count - 1]);
	calls[call_count - 1] = NULL;
	fake_settle(&f);
}

static size_t card_has(struct bufferevent *stream)
{
	fake_settle(&f);
	return evbuffer_get_length(bufferevent_get_input(stream));
}

/* ---- What drivers do ------------------------------------------------------------------------ */

static void tells_its_cid(void **state)
{
	struct {
		uint32_t offset, size, flags;
		uint64_t cid;
	} __attribute__((packed)) config = {0, 8, 0, 0};
	uint64_t features = 0;

	(void)state;
	assert_true(fake_ask(&f, GET_CONFIG, &config, sizeof(config), &config, sizeof(config)));
	assert_int_equal(config.cid, FAKE_CID);
	assert_true(fake_ask(&f, GET_FEATURES, NULL, 0, &features, sizeof(features)));
	assert_int_equal(features, 1ull << 28 | 1ull << 29 | 1ull << 30 | 1ull << 32);
}

static void a_call_is_answered(void **state)
{
	(void)state;
	dial(0, 0);
	assert_int_equal(call_count, 1);
}

static void a_port_nobody_listens_at_refuses(void **state)
{
	struct virtio_vsock_hdr header = fake_header(VIRTIO_VSOCK_OP_REQUEST, 0);

	(void)state;
	header.dst_port = 1;
	fake_offer(&f, 1, 128, 1);
	fake_send(&f, &header, NULL, 0);
	header = expect(VIRTIO_VSOCK_OP_RST);
	assert_int_equal(header.src_port, 1);
	assert_int_equal(header.dst_port, 1000);
	assert_int_equal(call_count, 0);
}

static void answers_wait_for_buffers(void **state)
{
	(void)state;
	send_op(VIRTIO_VSOCK_OP_REQUEST, 0);
	expect_nothing();
	fake_offer(&f, 1, 128, 1);
	expect(VIRTIO_VSOCK_OP_RESPONSE);
}

static void bytes_go_to_the_card(void **state)
{
	struct bufferevent *stream = dial(0, 0);

	(void)state;
	send_data(data, 10, 0);
	send_data(data + 10, 5000, 0);
	assert_int_equal(card_has(stream), 5010);
	assert_int_equal(bufferevent_read(stream, received, sizeof(received)), 5010);
	assert_memory_equal(received, data, 5010);
}

/* In descriptors of these sizes, the header in two of them. */
static void chains_of_any_shape_are_read(void **state)
{
	static const uint32_t sizes[] = {1, 43, 1, 99, 900};
	struct virtio_vsock_hdr header = fake_header(VIRTIO_VSOCK_OP_RW, 1000);
	struct bufferevent *stream = dial(0, 0);
	size_t at = 0x380000;

	(void)state;
	memcpy(f.memory + at, &header, sizeof(header));
	memcpy(f.memory + at + sizeof(header), data, 1000);
	for (uint16_t i = 0; i < 5; i++) {
		f.queue[FAKE_TX].vring.desc[10 + i * 3] =
			fake_desc(at, sizes[i], i < 4 ? NEXT : 0, (uint16_t)(13 + i * 3));
		at += sizes[i];
	}
	fake_avail(&f, FAKE_TX, 10);
	assert_int_equal(card_has(stream), 1000);
	bufferevent_read(stream, received, 1000);
	assert_memory_equal(received, data, 1000);
}

static void indirect_chains_are_read(void **state)
{
	struct virtio_vsock_hdr header = fake_header(VIRTIO_VSOCK_OP_RW, 100);
	struct bufferevent *stream = dial(0, 0);
	struct vring_desc table[2] = {fake_desc(0x380000, sizeof(header), NEXT, 1),
				      fake_desc(0x381000, 100, 0, 0)};

	(void)state;
	memcpy(f.memory + 0x380000, &header, sizeof(header));
	memcpy(f.memory + 0x382000, table, sizeof(table));
	f.queue[FAKE_TX].vring.desc[5] =
		fake_desc(0x382000, sizeof(table), VRING_DESC_F_INDIRECT, 0);
	fake_avail(&f, FAKE_TX, 5);
	assert_int_equal(card_has(stream), 100);
}

static void bytes_go_to_the_guest(void **state)
{
	struct bufferevent *stream = dial(8, 1000);
	struct virtio_vsock_hdr header;
	uint32_t bytes;
	size_t total = 0;

	(void)state;
	bufferevent_write(stream, data, 5000);
	while (fake_receive(&f, &header, received + total, &bytes)) {
		assert_int_equal(header.op, VIRTIO_VSOCK_OP_RW);
		total += header.len;
	}
	assert_int_equal(total, 5000);
	assert_memory_equal(received, data, total);
}

/* One packet, as large as the buffer, over its six descriptors. */
static void large_buffers_get_large_packets(void **state)
{
	struct bufferevent *stream = dial(0, 0);
	struct virtio_vsock_hdr header;
	uint32_t bytes;

	(void)state;
	fake_offer(&f, 1, 0xc000, 6);
	bufferevent_write(stream, data, sizeof(data));
	assert_true(fake_receive(&f, &header, received, &bytes));
	assert_int_equal(bytes, 0xc000);
	assert_memory_equal(received, data, 0xc000 - sizeof(header));
}

static void the_guest_s_credit_is_kept(void **state)
{
	struct bufferevent *stream = dial(20, 10000);
	struct virtio_vsock_hdr header;
	uint32_t bytes, total = 0;

	(void)state;
	bufferevent_write(stream, data, sizeof(data));
	while (fake_receive(&f, &header, received, &bytes))
		total += header.len;
	assert_int_equal(total, FAKE_ROOM);
	header = fake_header(VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0);
	header.fwd_cnt = 1000;
	fake_send(&f, &header, NULL, 0);
	assert_int_equal(expect(VIRTIO_VSOCK_OP_RW).len, 1000);
	expect_nothing();
	/* After a while the card asks. */
	usleep(300000);
	expect(VIRTIO_VSOCK_OP_CREDIT_REQUEST);
	expect_nothing();
	/* Less room than there is on its way, and more taken than was sent, are no room. */
	header.buf_alloc = 10;
	fake_send(&f, &header, NULL, 0);
	header.buf_alloc = FAKE_ROOM;
	header.fwd_cnt = total + 100000;
	fake_send(&f, &header, NULL, 0);
	expect_nothing();
}

/* What it sends while the card does not read: as much as it was told. */
static uint32_t fill(struct bufferevent *stream)
{
	uint32_t sent = 0;
	struct virtio_vsock_hdr header;
	uint32_t bytes, taken = 0;

	bufferevent_disable(stream, EV_READ);
	while (sent - taken < CREDIT) {
		uint32_t part = CREDIT - (sent - taken);

		if (part > 30000)
			part = 30000;
		send_data(data + sent % 100000, part, 0);
		sent += part;
		while (fake_receive(&f, &header, NULL, &bytes)) {
			assert_int_equal(header.op, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
			taken = header.fwd_cnt;
		}
	}
	return sent;
}

static void the_card_s_credit_comes_back(void **state)
{
	struct bufferevent *stream = dial(40, 128);
	struct virtio_vsock_hdr header;
	uint32_t sent = fill(stream);

	(void)state;
	send_op(VIRTIO_VSOCK_OP_CREDIT_REQUEST, 0);
	header = expect(VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	assert_true(sent - header.fwd_cnt >= CREDIT - 30000);
	bufferevent_enable(stream, EV_READ);
	assert_int_equal(card_has(stream), sent);
	do
		header = expect(VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	while (sent - header.fwd_cnt >= CREDIT / 2);
	expect_nothing();
	assert_false(eof);
}

static void more_than_the_credit_ends_the_stream(void **state)
{
	(void)state;
	fill(dial(40, 128));
	send_data(data, 60000, 0);
	send_data(data, 60000, 0);
	send_data(data, 60000, 0);
	send_data(data, 60000, 0);
	send_data(data, 60000, 0);
	expect(VIRTIO_VSOCK_OP_RST);
	assert_int_equal(troubles, 0);
}

static void the_guest_ends_its_half(void **state)
{
	struct bufferevent *stream = dial(4, 1000);

	(void)state;
	send_data(data, 10, 0);
	send_op(VIRTIO_VSOCK_OP_SHUTDOWN, VIRTIO_VSOCK_SHUTDOWN_SEND);
	assert_int_equal(card_has(stream), 10);
	assert_true(eof);
	bufferevent_enable(stream, EV_WRITE);
	bufferevent_write(stream, data, 500);
	assert_int_equal(expect(VIRTIO_VSOCK_OP_RW).len, 500);
	hang_up();
	assert_int_equal(expect(VIRTIO_VSOCK_OP_SHUTDOWN).flags, 3);
	send_op(VIRTIO_VSOCK_OP_RST, 0);
	expect_nothing();
}

static void data_after_the_end_is_an_error(void **state)
{
	(void)state;
	dial(4, 1000);
	send_op(VIRTIO_VSOCK_OP_SHUTDOWN, VIRTIO_VSOCK_SHUTDOWN_SEND);
	send_data(data, 10, 0);
	expect(VIRTIO_VSOCK_OP_RST);
}

static void the_card_ends_its_half(void **state)
{
	struct bufferevent *stream = dial(4, 1000);

	(void)state;
	bufferevent_write(stream, data, 500);
	fake_settle(&f);
	shutdown(bufferevent_getfd(stream), SHUT_WR);
	expect(VIRTIO_VSOCK_OP_RW);
	assert_int_equal(expect(VIRTIO_VSOCK_OP_SHUTDOWN).flags, VIRTIO_VSOCK_SHUTDOWN_SEND);
	send_data(data, 70, 500);
	assert_int_equal(card_has(stream), 70);
	hang_up();
	assert_int_equal(expect(VIRTIO_VSOCK_OP_SHUTDOWN).flags, 3);
}

static void the_card_hangs_up(void **state)
{
	struct bufferevent *stream = dial(1, 300);

	(void)state;
	bufferevent_write(stream, data, 500);
	fake_settle(&f);
	hang_up();
	assert_int_equal(expect(VIRTIO_VSOCK_OP_RW).len, 300 - sizeof(struct virtio_vsock_hdr));
	expect_nothing();
	fake_offer(&f, 4, 1000, 1); /* what was written still arrives */
	assert_int_equal(expect(VIRTIO_VSOCK_OP_RW).len, 200 + sizeof(struct virtio_vsock_hdr));
	assert_int_equal(expect(VIRTIO_VSOCK_OP_SHUTDOWN).flags, 3);
	send_data(data, 100, 0); /* it did not know yet */
	send_op(VIRTIO_VSOCK_OP_SHUTDOWN, 3);
	expect(VIRTIO_VSOCK_OP_RST);
	expect_nothing();
}

/* Confirmed when the card has it all (5.10.6.6.1). */
static void the_guest_hangs_up(void **state)
{
	struct bufferevent *stream = dial(40, 1000);
	uint32_t sent = fill(stream);
	struct virtio_vsock_hdr header;
	uint32_t bytes;

	(void)state;
	send_op(VIRTIO_VSOCK_OP_SHUTDOWN, 3);
	expect_nothing();
	bufferevent_enable(stream, EV_READ);
	assert_int_equal(card_has(stream), sent);
	assert_true(eof);
	do
		assert_true(fake_receive(&f, &header, NULL, &bytes));
	while (header.op == VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	assert_int_equal(header.op, VIRTIO_VSOCK_OP_RST);
	send_op(VIRTIO_VSOCK_OP_RST, 0);
	expect_nothing();
}

static void the_guest_resets(void **state)
{
	struct bufferevent *stream = dial(4, 1000);

	(void)state;
	send_data(data, 10, 0);
	send_op(VIRTIO_VSOCK_OP_RST, 0);
	assert_int_equal(card_has(stream), 10);
	assert_true(eof);
	expect_nothing();
}

static void streams_are_as_many_as_there_is_room_for(void **state)
{
	struct virtio_vsock_hdr header = fake_header(VIRTIO_VSOCK_OP_REQUEST, 0);

	(void)state;
	for (uint32_t i = 0; i < 65; i++) {
		fake_offer(&f, 1, 128, 1);
		header.src_port = 2000 + i;
		fake_send(&f, &header, NULL, 0);
		expect(i < 64 ? VIRTIO_VSOCK_OP_RESPONSE : VIRTIO_VSOCK_OP_RST);
	}
}

/* Nothing is stored for a guest that dials and takes no answer: then its packets wait. */
static void refusals_do_not_pile_up(void **state)
{
	struct virtio_vsock_hdr header = fake_header(VIRTIO_VSOCK_OP_RW, 0);
	unsigned int sent;

	(void)state;
	for (sent = 0; sent < 300; sent++) {
		header.src_port = sent;
		fake_send(&f, &header, NULL, 0);
		if (f.queue[FAKE_TX].vring.used->idx <= sent)
			break;
	}
	assert_in_range(sent, 100, 200);
	fake_offer(&f, 60, 128, 1);
	assert_int_equal(f.queue[FAKE_TX].vring.used->idx, sent + 1);
	for (uint32_t i = 0; i < 60; i++)
		assert_int_equal(expect(VIRTIO_VSOCK_OP_RST).dst_port, i);
}

static void two_streams_take_turns(void **state)
{
	struct virtio_vsock_hdr header = fake_header(VIRTIO_VSOCK_OP_REQUEST, 0);
	uint32_t of[2] = {0, 0};

	(void)state;
	dial(0, 0);
	header.src_port = 1001;
	fake_offer(&f, 1, 128, 1);
	fake_send(&f, &header, NULL, 0);
	expect(VIRTIO_VSOCK_OP_RESPONSE);
	bufferevent_write(calls[0], data, 50000);
	bufferevent_write(calls[1], data, 50000);
	fake_settle(&f);
	fake_offer(&f, 20, 1000, 1);
	for (int i = 0; i < 20; i++)
		of[expect(VIRTIO_VSOCK_OP_RW).dst_port - 1000]++;
	assert_int_equal(of[0], 10);
	assert_int_equal(of[1], 10);
}

static void notifications_are_few(void **state)
{
	struct bufferevent *stream = dial(0, 0);

	(void)state;
	f.queue[FAKE_RX].vring.avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
	fake_offer(&f, 60, 1000, 1);
	(void)fake_notified(&f, FAKE_RX);
	bufferevent_write(stream, data, 20000);
	fake_settle(&f);
	assert_int_equal(fake_notified(&f, FAKE_RX), 0);
	f.queue[FAKE_RX].vring.avail->flags = 0;
	bufferevent_write(stream, data, 20000);
	fake_settle(&f);
	assert_in_range(fake_notified(&f, FAKE_RX), 1, 2);
}

/* ---- What they do not ----------------------------------------------------------------------- */

static void foreign_packets_change_nothing(void **state)
{
	struct virtio_vsock_hdr header = fake_header(VIRTIO_VSOCK_OP_RST, 0);
	struct bufferevent *stream = dial(8, 1000);

	(void)state;
	header.src_cid = 4; /* not its own: no answer */
	fake_send(&f, &header, NULL, 0);
	expect_nothing();
	header = fake_header(VIRTIO_VSOCK_OP_RW, 0); /* to whom it may not send */
	header.dst_cid = 1ull << 40;
	fake_send(&f, &header, NULL, 0);
	assert_int_equal(expect(VIRTIO_VSOCK_OP_RST).src_cid, 1ull << 40);
	header = fake_header(VIRTIO_VSOCK_OP_REQUEST, 0);
	header.type = 2;
	fake_send(&f, &header, NULL, 0);
	assert_int_equal(expect(VIRTIO_VSOCK_OP_RST).type, 2);
	fake_send(&f, &header, NULL, 0);
	expect(VIRTIO_VSOCK_OP_RST);
	f.queue[FAKE_TX].vring.desc[60] = fake_desc(0x380000, 43, 0, 0); /* no header */
	fake_avail(&f, FAKE_TX, 60);
	expect_nothing();
	send_data(data, 3, 0);
	assert_int_equal(card_has(stream), 3);
	assert_int_equal(troubles, 0);
}

static void bad_packets_end_their_stream(void **state)
{
	static const uint16_t ops[] = {0, VIRTIO_VSOCK_OP_REQUEST, VIRTIO_VSOCK_OP_RESPONSE, 8,
				       0xffff};

	(void)state;
	for (size_t i = 0; i < sizeof(ops) / sizeof(*ops); i++) {
		eof = false;
		dial(1, 100);
		send_op(ops[i], 0);
		expect(VIRTIO_VSOCK_OP_RST);
		assert_true(eof);
		send_op(ops[i], 0);
		fake_offer(&f, 1, 100, 1);
		expect(ops[i] == VIRTIO_VSOCK_OP_REQUEST ? VIRTIO_VSOCK_OP_RESPONSE
							 : VIRTIO_VSOCK_OP_RST);
		send_op(VIRTIO_VSOCK_OP_RST, 0);
	}
	assert_int_equal(troubles, 0);
}

static void longer_than_the_chain_is_an_error(void **state)
{
	struct virtio_vsock_hdr header;

	(void)state;
	dial(1, 100);
	header = fake_header(VIRTIO_VSOCK_OP_RW, 101);
	fake_send(&f, &header, data, 100);
	expect(VIRTIO_VSOCK_OP_RST);
	dial(1, 100);
	header = fake_header(VIRTIO_VSOCK_OP_RW, UINT32_MAX);
	fake_send(&f, &header, data, 100);
	expect(VIRTIO_VSOCK_OP_RST);
}

/* The device is broken, its streams have ended, nothing moves; after a reset it is as new. */
static void expect_broken(void)
{
	uint16_t used = f.queue[FAKE_TX].vring.used->idx;

	fake_settle(&f);
	assert_int_equal(troubles, 1);
	assert_true(eof);
	send_op(VIRTIO_VSOCK_OP_REQUEST, 0);
	assert_int_equal(f.queue[FAKE_TX].vring.used->idx, used);
	assert_int_equal(call_count, 1);
	fake_stop(&f);
	fake_start(&f);
	dial(0, 0);
	assert_int_equal(call_count, 2);
	assert_int_equal(troubles, 1);
}

static void expect_breaks(int queue, const struct vring_desc *desc, uint16_t count)
{
	bool waits = queue == FAKE_RX;

	dial(0, 0);
	if (waits) {
		bufferevent_write(calls[0], data, 10);
		fake_settle(&f);
	}
	for (uint16_t i = 0; i < count; i++)
		f.queue[queue].vring.desc[i] = desc[i];
	fake_avail(&f, queue, 0);
	expect_broken();
}

static void a_loop_breaks_the_device(void **state)
{
	struct vring_desc desc[] = {fake_desc(0x380000, 44, NEXT, 1),
				    fake_desc(0x381000, 44, NEXT, 0)};

	(void)state;
	expect_breaks(FAKE_TX, desc, 2);
}

static void a_loop_to_receive_breaks_the_device(void **state)
{
	struct vring_desc desc[] = {fake_desc(0x380000, 44, NEXT | WRITE, 0)};

	(void)state;
	expect_breaks(FAKE_RX, desc, 1);
}

static void an_index_out_of_range_breaks_the_device(void **state)
{
	struct vring_desc desc[] = {fake_desc(0x380000, 44, NEXT, FAKE_RING)};

	(void)state;
	expect_breaks(FAKE_TX, desc, 1);
}

static void a_head_out_of_range_breaks_the_device(void **state)
{
	(void)state;
	dial(0, 0);
	fake_avail(&f, FAKE_TX, FAKE_RING);
	expect_broken();
}

static void too_many_heads_break_the_device(void **state)
{
	(void)state;
	dial(0, 0);
	f.queue[FAKE_TX].vring.avail->idx += 1000;
	fake_avail(&f, FAKE_TX, 0);
	expect_broken();
}

static void memory_that_is_not_there_breaks_the_device(void **state)
{
	struct vring_desc desc[] = {fake_desc(FAKE_BYTES - 43, 44, 0, 0)};

	(void)state;
	expect_breaks(FAKE_TX, desc, 1);
}

static void memory_far_away_breaks_the_device(void **state)
{
	struct vring_desc desc[] = {{UINT64_MAX - 10, 44, WRITE, 0}};

	(void)state;
	expect_breaks(FAKE_RX, desc, 1);
}

static void no_length_breaks_the_device(void **state)
{
	struct vring_desc desc[] = {fake_desc(0x380000, 0, 0, 0)};

	(void)state;
	expect_breaks(FAKE_TX, desc, 1);
}

static void an_endless_length_breaks_the_device(void **state)
{
	struct vring_desc desc[] = {fake_desc(0x380000, UINT32_MAX, 0, 0)};

	(void)state;
	expect_breaks(FAKE_TX, desc, 1);
}

static void writable_memory_to_send_breaks_the_device(void **state)
{
	struct vring_desc desc[] = {fake_desc(0x380000, 44, NEXT, 1),
				    fake_desc(0x381000, 44, WRITE, 0)};

	(void)state;
	expect_breaks(FAKE_TX, desc, 2);
}

static void writable_before_readable_breaks_the_device(void **state)
{
	struct vring_desc desc[] = {fake_desc(0x380000, 44, NEXT | WRITE, 1),
				    fake_desc(0x381000, 44, 0, 0)};

	(void)state;
	expect_breaks(FAKE_TX, desc, 2);
}

static void readable_memory_to_receive_breaks_the_device(void **state)
{
	struct vring_desc desc[] = {fake_desc(0x380000, 1000, 0, 0)};

	(void)state;
	expect_breaks(FAKE_RX, desc, 1);
}

static void no_room_for_a_header_breaks_the_device(void **state)
{
	struct vring_desc desc[] = {fake_desc(0x380000, 43, WRITE, 0)};

	(void)state;
	expect_breaks(FAKE_RX, desc, 1);
}

static void a_bad_indirect_table_breaks_the_device(void **state)
{
	struct vring_desc desc[] = {fake_desc(0x380000, 33, VRING_DESC_F_INDIRECT, 0)};

	(void)state;
	expect_breaks(FAKE_TX, desc, 1);
}

static void an_empty_indirect_table_breaks_the_device(void **state)
{
	struct vring_desc desc[] = {fake_desc(0x380000, 0, VRING_DESC_F_INDIRECT, 0)};

	(void)state;
	expect_breaks(FAKE_TX, desc, 1);
}

static uint32_t random_below(uint32_t limit)
{
	static uint64_t state = 1;

	state = state * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(state >> 33) % limit;
}

/* Mostly the first ones, where the rings are; some are not there. */
static size_t random_page(uint32_t limit)
{
	return (size_t)random_below(1 + random_below(limit)) * 4096;
}

static struct vring_desc random_desc(void)
{
	static const uint32_t sizes[] = {1, 43, 44, 100, 4096, 70000, 0, 0x7fffffff, UINT32_MAX};
	struct vring_desc desc;

	desc.addr = FAKE_BASE + random_page(1060) + random_below(4);
	desc.len = sizes[random_below(50) == 0 ? 6 + random_below(3) : random_below(6)];
	desc.flags = (uint16_t)random_below(random_below(8) == 0 ? 8 : 4);
	desc.next = (uint16_t)random_below(random_below(30) == 0 ? 70 : FAKE_RING);
	return desc;
}

/* Rings full of anything, over memory full of anything, the rings themselves too. */
static void random_rings_break_no_more_than_the_device(void **state)
{
	(void)state;
	for (int round = 0; round < 3000; round++) {
		int queue = (int)random_below(2);
		struct vring *ring = &f.queue[queue].vring;
		struct virtio_vsock_hdr header = fake_header((uint16_t)random_below(9), 0);

		if (round % 20 == 0) { /* a good start */
			fake_stop(&f);
			fake_start(&f);
			while (call_count != 0)
				bufferevent_free(calls[--call_count]);
			send_op(VIRTIO_VSOCK_OP_REQUEST, 0);
			bufferevent_write(calls[0], data, 5000);
		}
		for (uint16_t i = 0; i < FAKE_RING; i++)
			ring->desc[i] = random_desc();
		header.len = random_below(5000);
		memcpy(f.memory + random_page(1000), &header, sizeof(header));
		fake_avail(&f, queue, (uint16_t)random_below(random_below(50) ? 64 : 70));
	}
	assert_true(troubles > 50);
	fake_stop(&f);
	fake_start(&f);
	dial(0, 0);
}

/* Room for a header only: its data goes elsewhere, and the device does not turn in circles. */
static void small_buffers_get_no_data(void **state)
{
	struct bufferevent *stream = dial(2, 44);

	(void)state;
	bufferevent_write(stream, data, 100);
	expect(VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	expect(VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	expect_nothing();
	fake_offer(&f, 1, 1000, 1);
	assert_int_equal(expect(VIRTIO_VSOCK_OP_RW).len, 100);
}

/* ---- QEMU ----------------------------------------------------------------------------------- */

static void qemu_comes_again(void **state)
{
	struct fake_driver second;

	(void)state;
	dial(0, 0);
	fake_init(&second, base);
	assert_true(fake_connect(&second, path));
	assert_true(fake_is_hung_up(&second)); /* one at a time */
	fake_disconnect(&f);
	assert_true(eof);
	fake_disconnect(&second);
	assert_true(fake_connect(&second, path));
	fake_start(&second);
	fake_exit(&second);
	assert_true(fake_connect(&f, path));
	fake_start(&f);
	dial(0, 0);
}

static void hostile_messages_only_hang_up(void **state)
{
	uint64_t payload[8] = {0};
	static const struct {
		uint32_t request;
		uint32_t bytes;
		uint64_t payload;
		bool file;
	} messages[] = {
		{NONE, 0, 0, false}, /* which ends programs that leave it to libvhost-user */
		{SET_LOG_BASE, 16, 1, true}, {2, 8, UINT64_MAX, false},
		{5, 40, 9, false},	     {5, 40, 1, false},
		{8, 8, 3ull << 32, false},   {8, 8, 5, false},
		{9, 40, 0xff, false},	     {10, 8, 1ull << 48, false},
		{11, 8, 2, false},	     {12, 8, 7, true},
		{13, 8, 0, false},	     {18, 8, 1000, false},
		{24, 64, 1ull << 60, false}, {1000, 0, 0, false},
		{31, 24, 0, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(messages) / sizeof(*messages); i++) {
		payload[0] = messages[i].payload;
		fake_message(&f, messages[i].request, payload, messages[i].bytes,
			     messages[i].file ? f.memory_fd : -1);
		assert_true(fake_is_hung_up(&f));
		fake_disconnect(&f);
		assert_true(fake_connect(&f, path));
	}
	fake_start(&f);
	dial(0, 0);
}

static void rings_must_be_in_memory(void **state)
{
	struct {
		uint32_t index, flags;
		uint64_t desc, used, avail, log;
	} address = {FAKE_TX, 0, 0x7000000000 + FAKE_BYTES - 16, 0x7000000000, 0x7000000000, 0};

	(void)state;
	dial(0, 0);
	fake_message(&f, 9, &address, sizeof(address), -1);
	assert_int_equal(troubles, 1);
	assert_true(eof);
	fake_stop(&f);
	fake_start(&f);
	dial(0, 0);
}

static void a_reset_ends_all_streams(void **state)
{
	(void)state;
	dial(0, 0);
	fake_stop(&f);
	assert_true(eof);
	fake_start(&f);
	dial(0, 0);
}

#define DEVICE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		DEVICE_TEST(tells_its_cid),
		DEVICE_TEST(a_call_is_answered),
		DEVICE_TEST(a_port_nobody_listens_at_refuses),
		DEVICE_TEST(answers_wait_for_buffers),
		DEVICE_TEST(bytes_go_to_the_card),
		DEVICE_TEST(chains_of_any_shape_are_read),
		DEVICE_TEST(indirect_chains_are_read),
		DEVICE_TEST(bytes_go_to_the_guest),
		DEVICE_TEST(large_buffers_get_large_packets),
		DEVICE_TEST(the_guest_s_credit_is_kept),
		DEVICE_TEST(the_card_s_credit_comes_back),
		DEVICE_TEST(more_than_the_credit_ends_the_stream),
		DEVICE_TEST(the_guest_ends_its_half),
		DEVICE_TEST(data_after_the_end_is_an_error),
		DEVICE_TEST(the_card_ends_its_half),
		DEVICE_TEST(the_card_hangs_up),
		DEVICE_TEST(the_guest_hangs_up),
		DEVICE_TEST(the_guest_resets),
		DEVICE_TEST(streams_are_as_many_as_there_is_room_for),
		DEVICE_TEST(refusals_do_not_pile_up),
		DEVICE_TEST(two_streams_take_turns),
		DEVICE_TEST(notifications_are_few),
		DEVICE_TEST(foreign_packets_change_nothing),
		DEVICE_TEST(bad_packets_end_their_stream),
		DEVICE_TEST(longer_than_the_chain_is_an_error),
		DEVICE_TEST(a_loop_breaks_the_device),
		DEVICE_TEST(a_loop_to_receive_breaks_the_device),
		DEVICE_TEST(an_index_out_of_range_breaks_the_device),
		DEVICE_TEST(a_head_out_of_range_breaks_the_device),
		DEVICE_TEST(too_many_heads_break_the_device),
		DEVICE_TEST(memory_that_is_not_there_breaks_the_device),
		DEVICE_TEST(memory_far_away_breaks_the_device),
		DEVICE_TEST(no_length_breaks_the_device),
		DEVICE_TEST(an_endless_length_breaks_the_device),
		DEVICE_TEST(writable_memory_to_send_breaks_the_device),
		DEVICE_TEST(writable_before_readable_breaks_the_device),
		DEVICE_TEST(readable_memory_to_receive_breaks_the_device),
		DEVICE_TEST(no_room_for_a_header_breaks_the_device),
		DEVICE_TEST(a_bad_indirect_table_breaks_the_device),
		DEVICE_TEST(an_empty_indirect_table_breaks_the_device),
		DEVICE_TEST(random_rings_break_no_more_than_the_device),
		DEVICE_TEST(small_buffers_get_no_data),
		DEVICE_TEST(qemu_comes_again),
		DEVICE_TEST(hostile_messages_only_hang_up),
		DEVICE_TEST(rings_must_be_in_memory),
		DEVICE_TEST(a_reset_ends_all_streams),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
