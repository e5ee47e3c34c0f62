/* SPDX-License-Identifier: Apache-2.0 */
/* One vsock stream (virtio 1.2 5.10). Whatever the device says is copied out of its reach before it is looked at. */
#include <bulkhead/arch.h>
#include <bulkhead/protocol.h>
#include <bulkhead/vsock.h>

#include <string.h>

#include "virtio.h"

enum { RX, TX, EVENT, QUEUES };

/* 5.10.6 */
enum {
	OP_REQUEST = 1,
	OP_RESPONSE,
	OP_RST,
	OP_SHUTDOWN,
	OP_RW,
	OP_CREDIT_UPDATE,
	OP_CREDIT_REQUEST
};

#define TYPE_STREAM 1
#define SHUTDOWN_BOTH 3U

struct packet_header {
	uint64_t src_cid;
	uint64_t dst_cid;
	uint32_t src_port;
	uint32_t dst_port;
	uint32_t length;
	uint16_t type;
	uint16_t op;
	uint32_t flags;
	uint32_t buf_alloc;
	uint32_t fwd_cnt;
} __attribute__((packed));

static_assert(sizeof(struct packet_header) == 44, "struct virtio_vsock_hdr");

#define FIRST_PORT 1024U
#define BUFFER_OFFSET 4U /* in its page, so that what follows the header is aligned to 8 bytes */
#define BUFFER_BYTES ((uint32_t)PAGE_SIZE - BUFFER_OFFSET)
#define EVENT_BYTES 4U /* struct virtio_vsock_event */
#define EVENT_BUFFERS 8U
#define PACKET_BYTES (BUFFER_BYTES - (uint32_t)sizeof(struct packet_header))
#define CREDIT (128U * (uint32_t)KIB) /* what the peer may have on its way and we have not read */
#define CONTROL_BUFFERS 8U /* of the transmit queue's: not for data */

static struct {
	const struct plan_card *card;
	pa_t bounce;
	struct virtq queue[QUEUES];
	enum vsock_state state;
	bool up; /* the device works */
	uint64_t cid;
	uint32_t port;
	uint32_t peer_port;
	uint32_t dials;
	/* 5.10.6.3 */
	uint32_t sent;
	uint32_t peer_alloc;
	uint32_t peer_forwarded;
	uint32_t received;
	uint32_t forwarded;
	uint32_t told; /* the value of @forwarded that the peer knows */
	bool tell; /* it asked, or is short of credit */
} v;

/*
 * What has come and was not read, byte n of the stream at n % CREDIT. The device gets its buffers back at once: behind
 * data that waits for us may come the credit that we wait for.
 */
static uint8_t unread[CREDIT];

static_assert((CREDIT & (CREDIT - 1)) == 0, "counters wrap around");

/* The bounce area: a page of rings for each queue, one for events, then the buffers. */
static pa_t event_buffer(uint32_t id)
{
	return pa(v.bounce.v + QUEUES * PAGE_SIZE + (uint64_t)id * EVENT_BYTES);
}

static pa_t buffer(uint32_t queue, uint32_t id)
{
	uint64_t page = QUEUES + 1 + (queue == TX ? VIRTQ_SIZE : 0) + id;

	return pa(v.bounce.v + page * PAGE_SIZE + BUFFER_OFFSET);
}

static_assert(CARD_PAGES == QUEUES + 1 + 2 * VIRTQ_SIZE, "as the planner counted");

void vsock_use(const struct plan_card *card, pa_t bounce)
{
	v.card = card;
	v.bounce = bounce;
	for (uint32_t i = 0; i < QUEUES; i++)
		v.queue[i].rings = pa_to_ptr(pa(bounce.v + i * PAGE_SIZE));
}

/* What has not been read is lost. */
static void hang_up(void)
{
	v.forwarded = v.received;
	v.state = VSOCK_CLOSED;
}

/* The device broke the rules, or does not answer: nothing of it is used until it is set up anew. */
static void give_up(void)
{
	virtio_reset(v.card);
	v.up = false;
	hang_up();
}

static void offer_rx(uint32_t id)
{
	virtq_offer(&v.queue[RX], id, buffer(RX, id), BUFFER_BYTES, true);
}

/* 5.10.4: the CID may change with a transport reset, and is read in two halves. */
static uint64_t read_cid(void)
{
	uint64_t at = v.card->registers.base.v + v.card->device;

	return arch_device_load(pa(at), 4) | (uint64_t)arch_device_load(pa(at + 4), 4) << 32;
}

static bool start(void)
{
	if (virtio_start(v.card, v.queue, QUEUES) != BH_OK) {
		give_up();
		return false;
	}
	for (uint32_t i = 0; i < VIRTQ_SIZE; i++)
		offer_rx(i);
	for (uint32_t i = 0; i < EVENT_BUFFERS; i++)
		virtq_offer(&v.queue[EVENT], i, event_buffer(i), EVENT_BYTES, true);
	virtq_kick(&v.queue[RX]);
	virtq_kick(&v.queue[EVENT]);
	v.cid = read_cid();
	v.up = true;
	return true;
}

/* Takes back what has been sent; how many buffers are free. */
static uint32_t free_tx(void)
{
	uint32_t id, length;
	enum bh_error error;

	while ((error = virtq_take(&v.queue[TX], &id, &length)) == BH_OK)
		;
	if (error == BH_NO_DEVICE) {
		give_up();
		return 0;
	}
	return VIRTQ_SIZE - (uint16_t)(v.queue[TX].offered - v.queue[TX].taken);
}

/* Sends one packet; a free buffer is there. */
static void send(uint16_t op, uint32_t flags, const void *data, uint32_t length)
{
	uint32_t id = (uint32_t)__builtin_ctzll(~v.queue[TX].outstanding);
	uint8_t *to = pa_to_ptr(buffer(TX, id));
	struct packet_header header = {.src_cid = v.cid,
				       .dst_cid = PROTOCOL_CARD_CID,
				       .src_port = v.port,
				       .dst_port = v.peer_port,
				       .length = length,
				       .type = TYPE_STREAM,
				       .op = op,
				       .flags = flags,
				       .buf_alloc = CREDIT,
				       .fwd_cnt = v.forwarded};

	memcpy(to, &header, sizeof(header));
	memcpy(to + sizeof(header), data, length);
	v.told = v.forwarded;
	virtq_offer(&v.queue[TX], id, buffer(TX, id), (uint32_t)sizeof(header) + length, false);
}

static bool send_control(uint16_t op, uint32_t flags)
{
	if (!v.up || free_tx() == 0)
		return false;
	send(op, flags, "", 0);
	virtq_kick(&v.queue[TX]);
	return true;
}

void vsock_connect(uint32_t port)
{
	if (v.state != VSOCK_CLOSED || (!v.up && !start()))
		return;
	/* Late packets of the last one have another. */
	v.port = FIRST_PORT + v.dials++ % (UINT32_MAX - FIRST_PORT);
	v.peer_port = port;
	v.sent = v.peer_alloc = v.peer_forwarded = 0;
	v.received = v.forwarded = v.told = 0;
	v.tell = false;
	if (send_control(OP_REQUEST, 0))
		v.state = VSOCK_CONNECTING;
}

void vsock_close(void)
{
	if (v.state == VSOCK_CLOSED)
		return;
	if (v.state == VSOCK_CONNECTING) { /* no answer at all: the device may be what is dead */
		give_up();
		return;
	}
	hang_up();
	send_control(OP_RST, SHUTDOWN_BOTH);
}

static bool is_ours(const struct packet_header *h)
{
	return v.state != VSOCK_CLOSED && h->type == TYPE_STREAM &&
	       h->src_cid == PROTOCOL_CARD_CID && h->dst_cid == v.cid &&
	       h->src_port == v.peer_port && h->dst_port == v.port;
}

static void keep(const uint8_t *bytes, uint32_t length)
{
	uint32_t at = v.received % CREDIT;
	uint32_t first = length < CREDIT - at ? length : CREDIT - at;

	if (length > CREDIT - (v.received - v.forwarded)) { /* it was told how much it may send */
		vsock_close();
		return;
	}
	memcpy(unread + at, bytes, first);
	memcpy(unread, bytes + first, length - first);
	v.received += length;
}

static void handle(const struct packet_header *h, const uint8_t *bytes)
{
	v.peer_alloc = h->buf_alloc;
	v.peer_forwarded = h->fwd_cnt;
	switch (h->op) {
	case OP_RESPONSE:
		if (v.state == VSOCK_CONNECTING)
			v.state = VSOCK_OPEN;
		break;
	case OP_RST:
	case OP_SHUTDOWN:
		hang_up();
		break;
	case OP_CREDIT_REQUEST:
		v.tell = true;
		break;
	case OP_RW:
		if (v.state == VSOCK_OPEN)
			keep(bytes, h->length);
		break;
	default:
		break;
	}
}

/* No more than the ring holds: others want to be served too. */
static void take_packets(void)
{
	enum bh_error error = BH_OK;
	uint32_t id, size, count = 0;

	while (count < VIRTQ_SIZE && (error = virtq_take(&v.queue[RX], &id, &size)) == BH_OK) {
		const uint8_t *packet = pa_to_ptr(buffer(RX, id));
		struct packet_header header;

		memcpy(&header, packet, sizeof(header));
		if (size < sizeof(header) || size > BUFFER_BYTES ||
		    header.length > size - sizeof(header)) {
			error = BH_NO_DEVICE;
			break;
		}
		if (is_ours(&header))
			handle(&header, packet + sizeof(header));
		offer_rx(id);
		count++;
	}
	if (error == BH_NO_DEVICE)
		give_up();
	else if (count != 0)
		virtq_kick(&v.queue[RX]);
}

/* 5.10.6.7: after a transport reset no connection is left, and the CID may be another. */
static void take_events(void)
{
	uint32_t id, size;
	enum bh_error error = BH_OK;

	for (uint32_t i = 0;
	     i < EVENT_BUFFERS && (error = virtq_take(&v.queue[EVENT], &id, &size)) == BH_OK; i++) {
		hang_up();
		v.cid = read_cid();
		virtq_offer(&v.queue[EVENT], id, event_buffer(id), EVENT_BYTES, true);
		virtq_kick(&v.queue[EVENT]);
	}
	if (error == BH_NO_DEVICE)
		give_up();
}

enum vsock_state vsock_poll(void)
{
	if (v.up)
		take_events();
	if (v.up)
		take_packets();
	/* 5.10.6.3: the peer must learn of room before it runs out. */
	if (v.state == VSOCK_OPEN && (v.tell || v.forwarded - v.told >= CREDIT / 4) &&
	    send_control(OP_CREDIT_UPDATE, 0))
		v.tell = false;
	return v.state;
}

uint32_t vsock_read(void *to, uint32_t size)
{
	uint32_t at = v.forwarded % CREDIT;
	uint32_t count = v.received - v.forwarded;

	if (count > size)
		count = size;
	uint32_t first = count < CREDIT - at ? count : CREDIT - at;

	memcpy(to, unread + at, first);
	memcpy((uint8_t *)to + first, unread, count - first);
	v.forwarded += count;
	return count;
}

uint32_t vsock_write(const void *from, uint32_t size)
{
	const uint8_t *bytes = from;
	uint32_t done = 0;

	if (v.state != VSOCK_OPEN)
		return 0;
	for (uint32_t free = free_tx(); done < size && free > CONTROL_BUFFERS; free--) {
		uint32_t on_way = v.sent - v.peer_forwarded;
		uint32_t part = size - done < PACKET_BYTES ? size - done : PACKET_BYTES;

		if (on_way >= v.peer_alloc) /* or it claims to have taken what was never sent */
			break;
		if (part > v.peer_alloc - on_way)
			part = v.peer_alloc - on_way;
		send(OP_RW, 0, bytes + done, part);
		v.sent += part;
		done += part;
	}
	if (done != 0)
		virtq_kick(&v.queue[TX]);
	return done;
}
