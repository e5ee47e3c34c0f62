/* SPDX-License-Identifier: Apache-2.0 */
/* A vsock device's memory (virtio 1.2 5.10), as an honest device uses it; for tests and fuzzers of the driver. */
#ifndef TESTS_UNIT_LIB_VSOCK_DEVICE_H
#define TESTS_UNIT_LIB_VSOCK_DEVICE_H

#include <string.h>

#include <bulkhead/arch.h>
#include <bulkhead/protocol.h>
#include <bulkhead/vsock.h>

#include "passthrough/virtio.h"

#define DEVICE_CID 3
#define DEVICE_CONFIG 0x200 /* struct virtio_vsock_config, in its registers */
#define DEVICE_NOTIFY 0x100
#define PACKET_HEADER 44 /* struct virtio_vsock_hdr (5.10.6) */
#define BUFFER_PAD 4 /* bytes before each buffer, in its page: nobody's */

enum { RX, TX, EVENT, QUEUES };

static uint8_t bounce[CARD_PAGES * PAGE_SIZE] __attribute__((aligned(4096)));
static uint8_t registers[PAGE_SIZE] __attribute__((aligned(4096)));

uint32_t arch_device_load(pa_t at, uint32_t size)
{
	uint32_t value = 0;

	memcpy(&value, pa_to_ptr(at), size);
	return value;
}

void arch_device_store(pa_t at, uint32_t size, uint32_t value)
{
	memcpy(pa_to_ptr(at), &value, size);
}

static inline struct virtq_rings *rings(uint32_t queue)
{
	return (struct virtq_rings *)(bounce + queue * PAGE_SIZE);
}

/* Returns the buffer whose turn it is; its number. */
static inline uint32_t give_back(uint32_t queue, uint32_t length)
{
	struct virtq_rings *r = rings(queue);
	uint32_t id = r->avail.ring[r->used.index % VIRTQ_SIZE];

	r->used.ring[r->used.index % VIRTQ_SIZE] = (struct virtq_used_item){id, length};
	r->used.index++;
	return id;
}

static inline void put32(uint8_t *at, uint32_t value)
{
	memcpy(at, &value, sizeof(value));
}

/* A packet of the connection from the driver's @port. */
static inline void put_header(uint8_t *at, uint32_t port, uint16_t op, uint32_t length)
{
	memset(at, 0, PACKET_HEADER);
	put32(at, PROTOCOL_CARD_CID);
	put32(at + 8, DEVICE_CID);
	put32(at + 16, PROTOCOL_PORT);
	put32(at + 20, port);
	put32(at + 24, length);
	at[28] = 1;
	at[30] = (uint8_t)op;
	put32(at + 36, 64 * KIB);
}

/* Registers as before the first dial (4.1.4.3), and where they stand. */
static inline void reset_registers(void)
{
	memset(registers, 0, DEVICE_CONFIG + 8);
	registers[0x04] = 3; /* the second word of features: VERSION_1, ACCESS_PLATFORM */
	registers[0x18] = VIRTQ_SIZE;
	registers[DEVICE_CONFIG] = DEVICE_CID;
}

static inline void use_device(void)
{
	static struct plan_card card = {.present = 1,
					.port = PROTOCOL_PORT,
					.notify = DEVICE_NOTIFY,
					.notify_size = 64,
					.notify_multiplier = 2,
					.device = DEVICE_CONFIG};

	card.registers = (struct extent){ptr_to_pa(registers), PAGE_SIZE};
	vsock_use(&card, ptr_to_pa(bounce));
}

/* A lie among the events: whatever the driver has seen, one of the two indexes is news. It gives the device up. */
static inline void make_it_give_up(void)
{
	memset(rings(EVENT)->used.ring, 0xff, sizeof(rings(EVENT)->used.ring));
	for (uint16_t i = 0; i < 2; i++) {
		rings(EVENT)->used.index = i;
		vsock_poll();
	}
}

#endif
