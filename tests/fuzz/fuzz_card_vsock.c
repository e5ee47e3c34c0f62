/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest's packets and buffers in any order against the card's vsock, without virtqueues: nothing crashes, no packet is
 * larger than its buffer, no stream gets more than the guest has said it has room for.
 */
#include "input.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include <sys/socket.h>

#include <event2/buffer.h>

#include "tools/bhcard/vsock/card_end.h"
#include "tools/bhcard/vsock/streams.h"

#define CID 3
#define PORTS 3 /* the card listens at all but the first */
#define GUEST_PORTS 2
#define MAX_CALLS 256
#define PACKET_BYTES 70000

static struct event_base *base;
static struct streams *streams;
static struct bufferevent *calls[MAX_CALLS];
static unsigned int call_count;
static uint8_t memory[HEADER_BYTES + PACKET_BYTES];
static const uint8_t zeros[PACKET_BYTES];

/* What the guest has said for each stream, and has got; as far as it is one that exists. */
static struct {
	uint32_t room, taken, got;
} guest[GUEST_PORTS][PORTS];

/* Sizes of all magnitudes. */
static uint32_t number(void)
{
	uint32_t shift = input_byte() % 32;

	return ((uint32_t)input_byte() << 24 | (uint32_t)input_byte() << 16) >> shift;
}

static void wake(void *waker)
{
	(void)waker;
}

static bool on_accept(void *context, uint64_t cid, uint32_t port, struct bufferevent *stream)
{
	(void)context;
	CHECK(cid == CID && port < PORTS);
	if (port == 0 || call_count == MAX_CALLS)
		return false;
	calls[call_count++] = stream;
	bufferevent_enable(stream, EV_READ | EV_WRITE);
	bufferevent_setwatermark(stream, EV_READ, 0, 100000);
	return true;
}

static const struct vsock_callbacks callbacks = {on_accept, NULL};

static void settle(void)
{
	for (int i = 0; i < 4; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
}

/* Splits @bytes of memory in pieces of any size. */
static size_t split(uint32_t bytes, struct iovec *pieces, size_t max)
{
	uint32_t at = 0;
	size_t n = 0;

	while (at < bytes) {
		uint32_t part = n + 1 == max ? bytes - at : 1 + number() % (bytes - at);

		pieces[n++] = (struct iovec){memory + at, part};
		at += part;
	}
	return n;
}

static void send_packet(void)
{
	static const uint64_t cids[] = {CID, CID, CID, CID, CID, CID, 4, UINT64_MAX};
	static const uint64_t card[] = {2, 2, 2, 2, 2, 2, 2, 1};
	struct virtio_vsock_hdr header;
	struct iovec pieces[8];
	uint8_t what = input_byte();
	uint32_t bytes = number() % PACKET_BYTES;
	uint32_t length = what & 8 ? number() : bytes;
	uint32_t from = input_byte() % GUEST_PORTS, to = input_byte() % PORTS;

	header = (struct virtio_vsock_hdr){
		.src_cid = htole64(cids[what & 7]),
		.dst_cid = htole64(card[what >> 4 & 7]),
		.src_port = htole32(from),
		.dst_port = htole32(to),
		.len = htole32(length),
		.type = htole16(what & 128 ? input_byte() : 1),
		.op = htole16(input_byte() % 10),
		.flags = htole32(input_byte() % 5),
		.buf_alloc = htole32(number()),
		.fwd_cnt = htole32(number()),
	};
	memcpy(memory, &header, sizeof(header));
	memset(memory + sizeof(header), what, bytes);
	bytes += what & 64 ? (uint32_t)sizeof(header) : input_byte() % (uint32_t)sizeof(header);
	if (!streams_can_take(streams))
		return;
	if (bytes >= sizeof(header) && header.src_cid == CID && header.dst_cid == 2 &&
	    header.type == 1) {
		guest[from][to].room = header.buf_alloc;
		guest[from][to].taken = header.fwd_cnt;
	}
	streams_take(streams, pieces, split(bytes, pieces, 8));
}

static void receive_packet(void)
{
	struct iovec pieces[8];
	uint32_t bytes = (uint32_t)HEADER_BYTES + number() % PACKET_BYTES;
	size_t got = streams_give(streams, pieces, split(bytes, pieces, 8));
	struct virtio_vsock_hdr header;
	uint32_t from, to;

	if (got == 0) {
		CHECK(!streams_have(streams));
		return;
	}
	memcpy(&header, memory, sizeof(header));
	CHECK(got <= bytes && got == sizeof(header) + header.len && header.dst_cid == CID);
	from = header.dst_port;
	to = header.src_port;
	CHECK(from < GUEST_PORTS && to < PORTS);
	if (header.op == VIRTIO_VSOCK_OP_RESPONSE)
		guest[from][to].got = 0;
	if (header.op != VIRTIO_VSOCK_OP_RW)
		return;
	guest[from][to].got += header.len;
	CHECK(guest[from][to].got - guest[from][to].taken <= guest[from][to].room);
}

static void card_acts(void)
{
	uint8_t what = input_byte();
	struct bufferevent **call;

	if (call_count == 0)
		return;
	call = &calls[input_byte() % call_count];
	if (*call == NULL)
		return;
	switch (what % 5) {
	case 0:
		bufferevent_write(*call, zeros, number() % PACKET_BYTES);
		break;
	case 1:
		evbuffer_drain(bufferevent_get_input(*call), number());
		break;
	case 2:
		bufferevent_free(*call);
		*call = NULL;
		break;
	case 3:
		shutdown(bufferevent_getfd(*call), what & 128 ? SHUT_WR : SHUT_RD);
		break;
	default:
		bufferevent_disable(*call, EV_READ);
	}
}

static void step(void)
{
	uint8_t what = input_byte();

	if (what < 110)
		send_packet();
	else if (what < 200)
		receive_packet();
	else if (what < 254)
		card_acts();
	else
		streams_reset(streams);
	if (what & 1)
		settle();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	ignore_sigpipe();
	input = data;
	input_left = size;
	base = event_base_new();
	CHECK(base != NULL);
	streams = streams_new(base, CID, &callbacks, NULL, wake, NULL);
	CHECK(streams != NULL);
	memset(guest, 0, sizeof(guest));
	call_count = 0;
	while (input_left != 0)
		step();
	settle();
	for (unsigned int i = 0; i < call_count; i++) {
		if (calls[i] != NULL)
			bufferevent_free(calls[i]);
	}
	streams_free(streams);
	event_base_free(base);
	return 0;
}
