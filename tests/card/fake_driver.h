/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A QEMU with a guest's virtio-vsock driver in it, as the card's device sees them: a vhost-user front end at the device's
 * socket, memory shared with it, and split virtqueues there, which a test may fill with what it likes.
 */
#ifndef FAKE_DRIVER_H
#define FAKE_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/virtio_ring.h>
#include <linux/virtio_vsock.h>

#include <event2/event.h>

#define FAKE_CID 3
#define FAKE_BASE 0x40000000ull /* where its memory is for the guest */
#define FAKE_BYTES 0x400000ul
#define FAKE_RING 64 /* descriptors of each queue */
#define FAKE_ROOM 0x10000u

enum { FAKE_RX, FAKE_TX, FAKE_QUEUES };

struct fake_queue {
	struct vring vring;
	uint16_t used; /* of the used ring, seen */
	int kick;
	int call;
};

struct fake_driver {
	struct event_base *base;
	int sock; /* -1: not connected */
	uint8_t *memory;
	int memory_fd;
	struct fake_queue queue[FAKE_QUEUES];
	uint64_t features;
};

/* Makes memory; connects and starts nothing yet. */
void fake_init(struct fake_driver *f, struct event_base *base);

void fake_exit(struct fake_driver *f);

/* Lets the card do all it can do now. */
void fake_settle(const struct fake_driver *f);

bool fake_connect(struct fake_driver *f, const char *path);

void fake_disconnect(struct fake_driver *f);

/* Whether the card has hung up on QEMU. */
bool fake_is_hung_up(const struct fake_driver *f);

/* One message with @bytes of payload and, unless @fd is -1, a file. */
void fake_message(struct fake_driver *f, uint32_t request, const void *payload, uint32_t bytes,
		  int fd);

/* The same, with an answer of @bytes; false: there is none. */
bool fake_ask(struct fake_driver *f, uint32_t request, const void *payload, uint32_t size,
	      void *answer, uint32_t bytes);

/* As QEMU does when the driver sets DRIVER_OK, and when it resets the device. The rings are empty. */
void fake_start(struct fake_driver *f);
void fake_stop(struct fake_driver *f);

/* Makes the chain that begins at descriptor @head available, and tells the card. */
void fake_avail(struct fake_driver *f, int queue, uint16_t head);

/* A descriptor, for memory at @offset. */
struct vring_desc fake_desc(size_t offset, uint32_t bytes, uint16_t flags, uint16_t next);

/* How often the card has notified of @queue since the last call. */
uint64_t fake_notified(const struct fake_driver *f, int queue);

/* A header of a packet from FAKE_CID's port 1000 to 2:7077. */
struct virtio_vsock_hdr fake_header(uint16_t op, uint32_t bytes);

/* Sends a packet: the header in one descriptor, @bytes of @data in another. */
void fake_send(struct fake_driver *f, const struct virtio_vsock_hdr *header, const void *data,
	       size_t bytes);

/* Offers @count buffers of @bytes each, in @pieces descriptors; they begin at descriptor 0. */
void fake_offer(struct fake_driver *f, unsigned int count, uint32_t bytes, unsigned int pieces);

/*
 * The next packet that was received, its bytes after the header in @data (NULL: not wanted), and how long it is by the used
 * ring; false: there is none.
 */
bool fake_receive(struct fake_driver *f, struct virtio_vsock_hdr *header, uint8_t *data,
		  uint32_t *bytes);

#endif
