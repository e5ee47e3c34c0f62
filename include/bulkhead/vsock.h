/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hypervisor's one connection to its card: a stream over a virtio vsock
 * device (virtio 1.2 5.10, modern PCI transport 4.1), polled. The device is not
 * trusted: what it says is copied once and checked, and a lie costs the connection.
 * Used by the system manager only.
 */
#ifndef BULKHEAD_VSOCK_H
#define BULKHEAD_VSOCK_H

#include <bulkhead/plan.h>

enum vsock_state {
	VSOCK_CLOSED, /* no connection */
	VSOCK_CONNECTING,
	VSOCK_OPEN,
};

/*
 * The device stands where @card says, its registers mapped. @bounce: CARD_PAGES
 * zeroed pages, all of the hypervisor's memory that the device may reach.
 */
void vsock_use(const struct plan_card *card, pa_t bounce);

/* Dials @port of the card, with the device set up anew where that is needed. Only when closed. */
void vsock_connect(uint32_t port);

/* Takes what the device has done since; the state of the connection. */
enum vsock_state vsock_poll(void);

/* Up to @size of the bytes that have come; how many. */
uint32_t vsock_read(void *to, uint32_t size);

/* Sends up to @size bytes, as many as device and peer have room for; how many. 0 when the connection is not open. */
uint32_t vsock_write(const void *from, uint32_t size);

/* Ends the connection. Before the peer has answered: resets the device, which the next vsock_connect() sets up anew. */
void vsock_close(void);

#endif
