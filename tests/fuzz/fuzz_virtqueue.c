/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A lying virtio device against the transport and the vsock driver on it: it writes whatever it likes into all memory it
 * reaches, between calls of the driver and during them (at every fence), and into its registers. The driver touches nothing
 * outside the bounce area and of that only buffers, comes to an end of every call, and works again with an honest device.
 */
#include "input.h"

#include <bulkhead/arch.h>

#include "tests/unit/lib/vsock_device.h"

#define INDEX_AT offsetof(struct virtq_rings, avail.index)
#define MAX_STEPS 24
#define MAX_FENCES 50000 /* in one call: a few for each packet */
#define MAX_READ 20000

static uint8_t buffer[MAX_READ];
static bool dirty[CARD_PAGES]; /* pages that the device wrote into */
static uint8_t flooding; /* queues whose buffers all come back at once; a bit each */
static bool racing; /* the device does things at fences */
static bool in_step;
static uint32_t fences;
static uint64_t now;
static uint32_t port; /* the driver's, of its last request */

/* ---- What the driver needs of the machine ---- */

uint64_t arch_ticks(void)
{
	return now += 1000;
}

uint64_t arch_tick_rate(void)
{
	return 1000000;
}

/* ---- The device ---- */

static uint8_t *rx_buffer(uint32_t id)
{
	uint32_t page = QUEUES + 1 + id % VIRTQ_SIZE;

	dirty[page] = true;
	return bounce + page * PAGE_SIZE + BUFFER_PAD;
}

/* A packet of this connection, @size bytes of it written. */
static void put_packet(uint16_t op, uint32_t length, uint32_t size)
{
	put_header(rx_buffer(give_back(RX, size)), port, op, length);
}

static void scribble(void)
{
	uint32_t at = input_u32() % sizeof(bounce);
	uint8_t value = input_byte();
	uint32_t page = at / PAGE_SIZE;

	if ((page > QUEUES && at % PAGE_SIZE < BUFFER_PAD) ||
	    (page < QUEUES && at % PAGE_SIZE / 2 == INDEX_AT / 2))
		return; /* what the checks go by */
	dirty[page] = true;
	bounce[at] = value;
}

static void device_step(void)
{
	uint8_t what = input_byte();
	uint32_t queue = (what >> 3) % QUEUES;
	struct virtq_rings *r = rings(queue);
	uint32_t slot = input_byte();

	switch (what & 7) {
	case 0:
		r->used.index = (uint16_t)(slot << 8 | input_byte());
		break;
	case 1: /* ids of all sizes, most of them possible */
		r->used.ring[slot % VIRTQ_SIZE].id =
			slot < VIRTQ_SIZE ? input_u32() : input_byte() % VIRTQ_SIZE;
		r->used.ring[slot % VIRTQ_SIZE].length = input_u16();
		break;
	case 2:
		give_back(queue, slot & 1 ? input_u32() : slot);
		break;
	case 3:
		put_packet(slot % 9, slot & 16 ? input_u16() : 4, slot & 32 ? input_u16() : 4000);
		break;
	case 4:
		scribble();
		break;
	case 5:
		registers[(slot << 2) % PAGE_SIZE] = input_byte();
		break;
	case 6:
		for (uint32_t i = 0; i < VIRTQ_SIZE; i++)
			r->used.ring[i] = (struct virtq_used_item){i, slot};
		flooding |= (uint8_t)(1U << queue);
		break;
	default:
		racing = slot & 1;
		r->used.index = (uint16_t)(r->used.index + slot);
		break;
	}
}

/* The one moment of a call in which the device's hand can be shown. */
void arch_dma_fence(void)
{
	CHECK(++fences < MAX_FENCES);
	for (uint32_t i = 0; i < QUEUES; i++)
		if (flooding & 1U << i)
			rings(i)->used.index = rings(i)->avail.index;
	if (!racing || in_step || input_left == 0)
		return;
	in_step = true;
	if (input_byte() >= 128)
		device_step();
	in_step = false;
}

/* ---- The driver ---- */

/* More came back than is out: the index is not one that the device can have come to. */
static bool impossible(uint32_t queue)
{
	return (uint16_t)(rings(queue)->avail.index - rings(queue)->used.index) > VIRTQ_SIZE;
}

static enum vsock_state poll(void)
{
	bool quiet = !racing; /* nothing came after it had looked */

	fences = 0;
	enum vsock_state state = vsock_poll();

	/* It has looked there, unless it has a packet to be read first. */
	if (state != VSOCK_CLOSED && quiet && impossible(RX))
		CHECK(vsock_read(buffer, 1) == 1);
	flooding = 0;
	CHECK(state <= VSOCK_OPEN);
	return state;
}

static void driver_step(uint8_t what)
{
	uint32_t size = what >> 3;

	fences = 0;
	size = size < 16 ? size : (size - 15) * 1200;
	switch (what & 7) {
	case 0:
		vsock_close();
		break;
	case 1:
		vsock_connect(PROTOCOL_PORT);
		break;
	case 2:
		CHECK(vsock_write(buffer, size) <= size);
		break;
	case 3:
	case 4: /* to the very end, so that ASan sees a byte too many */
		CHECK(vsock_read(buffer + MAX_READ - size, size) <= size);
		break;
	default:
		poll();
		break;
	}
}

/* ---- An honest device, and a driver that has nothing left of what was ---- */

static void be_honest(void)
{
	flooding = 0;
	racing = false;
	reset_registers();
	for (uint32_t i = 0; i < CARD_PAGES; i++) {
		if (dirty[i])
			memset(bounce + i * PAGE_SIZE, 0, PAGE_SIZE);
		dirty[i] = false;
	}
}

static void greet(void)
{
	be_honest();
	fences = 0;
	vsock_close();
	make_it_give_up();
	CHECK(poll() == VSOCK_CLOSED);
	vsock_connect(PROTOCOL_PORT);
	CHECK(poll() == VSOCK_CONNECTING && rings(TX)->avail.index == 1);
	memcpy(&port, pa_to_ptr(pa(rings(TX)->desc[0].address + 16)), sizeof(port));
	give_back(TX, 0);
	put_packet(2, 0, PACKET_HEADER);
	CHECK(poll() == VSOCK_OPEN);
}

static void check_pads(void)
{
	uint32_t any = 0;

	for (uint32_t page = QUEUES + 1; page < CARD_PAGES; page++)
		any |= *(const uint32_t *)(bounce + page * PAGE_SIZE);
	CHECK(any == 0);
}

static void start(void)
{
	use_device();
	be_honest();
	vsock_connect(PROTOCOL_PORT);
	greet();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	input = data;
	input_left = size;
	if (now == 0)
		start();
	for (uint32_t step = 0; input_left != 0 && step < MAX_STEPS; step++) {
		uint8_t what = input_byte();

		if (what & 128)
			device_step();
		else
			driver_step(what);
	}
	check_pads();
	input_left = 0;
	greet();
	return 0;
}
