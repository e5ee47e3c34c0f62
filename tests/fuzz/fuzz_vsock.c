/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any packets in any order against the vsock driver, on a transport without rings. A model of the one stream takes each
 * packet as the driver does: state, every byte read and every byte sent are as it says, credit is never overdrawn, a device
 * is given up exactly when it lied, and every call comes to its end.
 */
#include "input.h"

#include <bulkhead/arch.h>
#include <bulkhead/protocol.h>
#include <bulkhead/vsock.h>

#include "passthrough/virtio.h"

#define QUEUES 3
#define PAD 4 /* bytes before each buffer, in its page: nobody's */
#define BUFFER_BYTES ((uint32_t)PAGE_SIZE - PAD)
#define HEADER ((uint32_t)sizeof(struct packet))
#define EVENT_BUFFERS 8
#define RESERVED 8 /* transmit buffers that data leaves free */
#define DATA_MASK 4095U
#define MAX_IO 12000
#define MAX_STEPS 24
#define MAX_TAKES 20000 /* in one call */
#define MAX_WAITING 8192 /* packets the driver has taken and not read */
#define CREDIT (128 * KIB) /* bytes of them, at most */

enum { RX, TX, EVENT };

/* struct virtio_vsock_hdr (virtio 1.2 5.10.6) */
enum { REQUEST = 1, RESPONSE, RST, SHUTDOWN, RW, CREDIT_UPDATE };

struct packet {
	uint64_t src_cid, dst_cid;
	uint32_t src_port, dst_port;
	uint32_t length;
	uint16_t type, op;
	uint32_t flags, buf_alloc, fwd_cnt;
} __attribute__((packed));

/* A packet on its way to the driver: what it says, and what the device claims to have written. */
struct arrival {
	struct packet header;
	uint32_t size;
};

static uint8_t bounce[CARD_PAGES * PAGE_SIZE] __attribute__((aligned(4096)));
static uint64_t cid[1]; /* struct virtio_vsock_config */
static uint8_t
	data[DATA_MASK + 1 + MAX_IO + PAGE_SIZE]; /* byte i of any stream is data[i & DATA_MASK] */
static uint8_t buffer[MAX_IO];

/* The device. */
static struct {
	struct virtq *queue[QUEUES];
	bool up;
	bool refuses; /* to be started */
	bool lies; /* it returns what it has not got */
	bool floods; /* there is always one more packet */
	uint32_t events;
	struct arrival arrival[VIRTQ_SIZE];
	uint32_t first, count;
	uint32_t sent; /* transmit buffers it has done with, of those that it has */
	uint32_t takes;
} d;

/* The stream, as the driver must have it. */
static struct {
	enum vsock_state state;
	bool must_give_up;
	uint32_t cid, port, peer_port;
	uint32_t peer_alloc, peer_forwarded, sent;
	struct {
		uint32_t from, left; /* of data[] */
	} packet[MAX_WAITING];
	uint32_t first, count; /* of them */
	uint32_t received, read;
} m;

static uint32_t count(uint64_t bits)
{
	return (uint32_t)__builtin_popcountll(bits);
}

static pa_t buffer_at(uint32_t queue, uint32_t id)
{
	uint64_t page = QUEUES + 1 + (queue == TX ? VIRTQ_SIZE : 0) + id;

	if (queue == EVENT)
		return ptr_to_pa(bounce + QUEUES * PAGE_SIZE + (uint64_t)id * 4);
	return ptr_to_pa(bounce + page * PAGE_SIZE + PAD);
}

/* ---- The model: what the driver sees, and what it sends ---- */

/* What is unread is lost. */
static void forget_packets(void)
{
	m.first = m.count = 0;
	m.read = m.received;
}

static bool is_ours(const struct packet *p)
{
	return m.state != VSOCK_CLOSED && p->type == 1 && p->src_cid == PROTOCOL_CARD_CID &&
	       p->dst_cid == m.cid && p->src_port == m.peer_port && p->dst_port == m.port;
}

static void see_packet(const struct packet *p, uint32_t size)
{
	if (size < HEADER || size > BUFFER_BYTES || p->length > size - HEADER) {
		m.must_give_up = true;
		return;
	}
	if (!is_ours(p))
		return;
	m.peer_alloc = p->buf_alloc;
	m.peer_forwarded = p->fwd_cnt;
	if (p->op == RESPONSE && m.state == VSOCK_CONNECTING) {
		m.state = VSOCK_OPEN;
	} else if (p->op == RST || p->op == SHUTDOWN ||
		   (p->op == RW && m.state == VSOCK_OPEN &&
		    p->length > CREDIT - (m.received - m.read))) {
		m.state = VSOCK_CLOSED;
		forget_packets();
	} else if (p->op == RW && m.state == VSOCK_OPEN && p->length != 0) {
		CHECK(m.count - m.first < MAX_WAITING);
		m.packet[m.count % MAX_WAITING].from = p->flags & DATA_MASK;
		m.packet[m.count++ % MAX_WAITING].left = p->length;
		m.received += p->length;
	}
}

static void see_request(const struct packet *p)
{
	CHECK(m.state == VSOCK_CLOSED && p->length == 0);
	m.port = p->src_port;
	m.state = VSOCK_CONNECTING;
	m.sent = m.peer_alloc = m.peer_forwarded = m.received = m.read = 0;
	forget_packets();
}

static void see_data(const struct packet *p, const uint8_t *bytes)
{
	uint32_t on_way = m.sent - m.peer_forwarded;

	CHECK(m.state == VSOCK_OPEN && p->length != 0);
	CHECK(on_way < m.peer_alloc && p->length <= m.peer_alloc - on_way);
	CHECK(memcmp(bytes, data + (m.sent & DATA_MASK), p->length) == 0);
	CHECK(count(d.queue[TX]->outstanding) <= VIRTQ_SIZE - RESERVED);
	m.sent += p->length;
}

static void see_sent(uint32_t id, uint32_t size)
{
	const uint8_t *at = pa_to_ptr(buffer_at(TX, id));
	struct packet p;

	CHECK(size >= HEADER && size <= BUFFER_BYTES);
	memcpy(&p, at, sizeof(p));
	CHECK(p.length == size - HEADER && p.type == 1 && p.src_cid == m.cid &&
	      p.dst_cid == PROTOCOL_CARD_CID && p.dst_port == m.peer_port);
	if (p.op == REQUEST)
		see_request(&p);
	CHECK(p.src_port == m.port && p.fwd_cnt - m.read <= m.received - m.read);
	CHECK(p.buf_alloc <= VIRTQ_SIZE * (BUFFER_BYTES - HEADER));
	if (p.op == RW)
		see_data(&p, at + HEADER);
	else
		CHECK(p.length == 0);
	CHECK((p.op == REQUEST || p.op == RST || p.op == RW || p.op == CREDIT_UPDATE));
}

/* ---- passthrough/virtio.h without rings ---- */

enum bh_error virtio_start(const struct plan_card *card, struct virtq *queues, uint32_t count)
{
	(void)card;
	CHECK(count == QUEUES && !d.up);
	for (uint32_t i = 0; i < QUEUES; i++) {
		queues[i] = (struct virtq){.index = (uint16_t)i};
		d.queue[i] = &queues[i];
	}
	d.lies = d.floods = false;
	d.events = d.first = d.count = d.sent = 0;
	m.must_give_up = d.refuses;
	d.up = !d.refuses;
	m.cid = (uint32_t)cid[0];
	return d.refuses ? BH_NO_DEVICE : BH_OK;
}

bool virtio_reset(const struct plan_card *card)
{
	(void)card;
	CHECK(m.must_give_up);
	m.must_give_up = d.up = false;
	m.state = VSOCK_CLOSED;
	forget_packets();
	return true;
}

void virtq_offer(struct virtq *queue, uint32_t id, pa_t at, uint32_t size, bool writable)
{
	uint32_t q = queue->index;

	CHECK(id < VIRTQ_SIZE && (queue->outstanding >> id & 1) == 0);
	CHECK(at.v == buffer_at(q, id).v && writable == (q != TX));
	queue->outstanding |= (uint64_t)1 << id;
	queue->offered++;
	if (q == TX)
		see_sent(id, size);
	else
		CHECK(size == (q == RX ? BUFFER_BYTES : 4));
}

void virtq_kick(const struct virtq *queue)
{
	CHECK(queue->index < QUEUES);
}

static void write_packet(uint32_t id, const struct arrival *a)
{
	uint8_t *at = pa_to_ptr(buffer_at(RX, id));
	uint32_t room = BUFFER_BYTES - HEADER;
	uint32_t length = a->header.length < room ? a->header.length : room;

	memcpy(at, &a->header, HEADER);
	if (a->header.op == RW)
		memcpy(at + HEADER, data + (a->header.flags & DATA_MASK), length);
}

static bool take_packet(uint32_t id, uint32_t *length)
{
	const struct arrival *a = &d.arrival[d.first % VIRTQ_SIZE];

	if (d.count == 0)
		return false;
	write_packet(id, a);
	*length = a->size;
	see_packet(&a->header, a->size);
	if (!d.floods || d.count > 1) {
		d.first++;
		d.count--;
	}
	return true;
}

static bool take_event(void)
{
	if (d.events == 0)
		return false;
	d.events -= !d.floods;
	m.state = VSOCK_CLOSED;
	m.cid = (uint32_t)cid[0];
	forget_packets();
	return true;
}

enum bh_error virtq_take(struct virtq *queue, uint32_t *id, uint32_t *length)
{
	bool taken = false;

	CHECK(d.up && !m.must_give_up && ++d.takes < MAX_TAKES);
	*id = *length = 0;
	if (d.lies) {
		m.must_give_up = true;
		return BH_NO_DEVICE;
	}
	if (queue->outstanding == 0)
		return BH_WRONG_STATE;
	*id = (uint32_t)__builtin_ctzll(queue->outstanding);
	if (queue->index == RX)
		taken = take_packet(*id, length);
	else if (queue->index == EVENT)
		taken = take_event();
	else if (d.sent != 0)
		taken = d.sent-- != 0;
	if (!taken)
		return BH_WRONG_STATE;
	queue->outstanding &= ~((uint64_t)1 << *id);
	queue->taken++;
	return BH_OK;
}

/* ---- Steps ---- */

/* Sizes of all magnitudes. */
static uint32_t number(void)
{
	uint32_t shift = input_byte() % 32;

	return (uint32_t)input_u16() << 16 >> shift;
}

/* What a packet says, most of it right. */
static void send_packet(uint8_t what)
{
	uint8_t wrong = input_byte();
	struct arrival a = {.header = {.src_cid = PROTOCOL_CARD_CID,
				       .dst_cid = cid[0],
				       .src_port = m.peer_port,
				       .dst_port = m.port,
				       .type = 1,
				       .op = what % 9,
				       .buf_alloc = number(),
				       .fwd_cnt = m.sent}};

	if (a.header.op == RW)
		a.header.length = number() % 5000;
	a.header.flags = input_byte();
	a.size = HEADER + a.header.length;
	a.header.src_cid += wrong == 1;
	a.header.dst_cid += wrong == 2;
	a.header.src_port += wrong == 3;
	a.header.dst_port += wrong == 4;
	a.header.type = (uint16_t)(1 + (wrong == 5));
	if (wrong == 6)
		a.size = number();
	if (wrong == 7)
		a.header.length = number();
	if (wrong == 8)
		a.header.fwd_cnt = number();
	if (d.count < VIRTQ_SIZE)
		d.arrival[(d.first + d.count++) % VIRTQ_SIZE] = a;
}

static void device_step(uint8_t what)
{
	switch (what % 16) {
	case 10:
		d.lies = true;
		break;
	case 11:
		d.floods = true;
		break;
	case 12:
		d.events++;
		break;
	case 13:
		cid[0] = 3 + input_byte() % 2;
		break;
	case 14:
		d.sent = d.up ? count(d.queue[TX]->outstanding) : 0;
		break;
	case 15:
		d.refuses = input_byte() & 1;
		break;
	default:
		send_packet(what % 16);
		break;
	}
}

static void check_read(uint32_t size)
{
	uint8_t *to =
		buffer + MAX_IO - size; /* to the very end, so that ASan sees a byte too many */

	uint32_t got = vsock_read(to, size);

	CHECK(got <= size);
	m.read += got;
	for (uint32_t done = 0; done < got;) {
		uint32_t part = got - done;

		CHECK(m.first != m.count);
		if (part > m.packet[m.first % MAX_WAITING].left)
			part = m.packet[m.first % MAX_WAITING].left;
		CHECK(memcmp(to + done, data + m.packet[m.first % MAX_WAITING].from, part) == 0);
		m.packet[m.first % MAX_WAITING].from += part;
		m.packet[m.first % MAX_WAITING].left -= part;
		m.first += m.packet[m.first % MAX_WAITING].left == 0;
		done += part;
	}
}

static void driver_step(uint8_t what)
{
	uint32_t size = (what >> 3) * 400;

	switch (what % 8) {
	case 0:
		m.must_give_up |= m.state == VSOCK_CONNECTING; /* nobody answered */
		vsock_close();
		if (!m.must_give_up)
			m.state = VSOCK_CLOSED;
		forget_packets();
		break;
	case 1:
		m.peer_port = m.state == VSOCK_CLOSED ? PROTOCOL_PORT : m.peer_port;
		vsock_connect(PROTOCOL_PORT);
		break;
	case 2:
	case 3:
		CHECK(vsock_write(data + (m.sent & DATA_MASK), size) <= size);
		break;
	case 4:
	case 5:
		check_read(size < MAX_IO ? size : MAX_IO);
		break;
	default:
		break;
	}
	CHECK(!m.must_give_up);
	CHECK(vsock_poll() == m.state && !m.must_give_up);
	d.takes = 0;
}

static void begin(void)
{
	static struct plan_card card;

	for (uint32_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 167 ^ (i & DATA_MASK) >> 8);
	for (uint32_t i = DATA_MASK + 1; i < sizeof(data); i++)
		data[i] = data[i & DATA_MASK];
	card.registers = (struct extent){ptr_to_pa(cid), PAGE_SIZE};
	vsock_use(&card, ptr_to_pa(bounce));
}

/* The connection closed and the device given up. */
static void end(void)
{
	d.refuses = false;
	m.must_give_up |= m.state == VSOCK_CONNECTING;
	vsock_close();
	m.state = VSOCK_CLOSED;
	d.takes = 0;
	d.lies = true;
	CHECK(vsock_poll() == VSOCK_CLOSED && !d.up);
	m.must_give_up = false;
	memset(&m, 0, sizeof(m));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	input = bytes;
	input_left = size;
	if (cid[0] == 0)
		begin();
	cid[0] = 3;
	d.takes = 0;
	for (uint32_t step = 0; input_left != 0 && step < MAX_STEPS; step++) {
		uint8_t what = input_byte();

		if (what & 128)
			device_step(what);
		else
			driver_step(what);
	}
	end();
	return 0;
}
