/* SPDX-License-Identifier: Apache-2.0 */
/* Modern virtio-PCI (virtio 1.2 4.1) and split virtqueues (2.7), for a driver whose buffers never move. */
#ifndef PASSTHROUGH_VIRTIO_H
#define PASSTHROUGH_VIRTIO_H

#include <bulkhead/error.h>
#include <bulkhead/plan.h>

#define VIRTQ_SIZE 64U /* descriptors of each queue; what is outstanding is a word of bits */

/* virtio 1.2 2.7.5, 2.7.6, 2.7.8; all little-endian. */
struct virtq_desc {
	uint64_t address;
	uint32_t length;
	uint16_t flags;
	uint16_t next;
};

struct virtq_used_item {
	uint32_t id;
	uint32_t length;
};

/* A queue's three rings, in one page. */
struct virtq_rings {
	struct virtq_desc desc[VIRTQ_SIZE];
	struct {
		uint16_t flags;
		uint16_t index;
		uint16_t ring[VIRTQ_SIZE];
		uint16_t used_event;
	} avail;
	struct {
		uint16_t flags;
		uint16_t index;
		struct virtq_used_item ring[VIRTQ_SIZE];
		uint16_t avail_event;
	} __attribute__((aligned(4))) used;
};

static_assert(sizeof(struct virtq_rings) <= PAGE_SIZE, "the rings of a queue stand in one page");

/* Buffer i is descriptor i for ever. */
struct virtq {
	struct virtq_rings *rings;
	pa_t notify; /* register */
	uint16_t index; /* of this queue in the device */
	uint16_t offered; /* buffers handed over so far */
	uint16_t taken; /* used entries seen so far */
	uint64_t outstanding; /* buffers that the device has */
};

/*
 * Resets the device at @card and brings it to DRIVER_OK with @count queues,
 * whose rings stand in zeroed pages. BH_NO_DEVICE when it does not do its part.
 */
enum bh_error virtio_start(const struct plan_card *card, struct virtq *queues, uint32_t count);

/* Takes all buffers back: nothing reaches memory afterwards (virtio 1.2 2.1.2). False when the device does not say that it has. */
bool virtio_reset(const struct plan_card *card);

/* Hands buffer @id of @size bytes at @at to the device, to write (@writable) or to read. */
void virtq_offer(struct virtq *queue, uint32_t id, pa_t at, uint32_t size, bool writable);

/* Tells the device of what was offered. */
void virtq_kick(const struct virtq *queue);

/*
 * The next buffer the device has done with: its number and how many bytes it
 * wrote (its own claim). BH_NO_DEVICE when it returns what it does not have,
 * BH_WRONG_STATE when there is none.
 */
enum bh_error virtq_take(struct virtq *queue, uint32_t *id, uint32_t *length);

#endif
