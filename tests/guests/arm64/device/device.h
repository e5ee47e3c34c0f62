/* SPDX-License-Identifier: Apache-2.0 */
/* A guest's virtio-rng at 00:02.0, and its ITS. */
#ifndef DEVICE_DEVICE_H
#define DEVICE_DEVICE_H

#include "guest.h"

#define DOORBELL (GUEST_ITS_BASE + 0x10040) /* GITS_TRANSLATER, where only devices reach it */

/* LPIs that came, by INTID; and of those beyond. */
#define LPIS_SEEN 64
extern volatile uint32_t lpis[LPIS_SEEN], strange_lpis;

/* ---- rng.c ---- */

/* Finds the device, and starts it with one queue. False when there is none. */
bool rng_start(void);

/* Where the queue's parts stand from now on; 0: in this guest's memory. The device has been started anew. */
bool rng_place(uint64_t descriptors, uint64_t available, uint64_t used);

/* Has it write 64 bytes to @at. True when it says within a second that it did. */
bool rng_write(uint64_t at);

/* Tells it of a request, and does not wait. */
void rng_kick(void);

/* 64 bytes that a good request goes to. */
extern uint8_t rng_buffer[64];

/* Message @vector of its MSI-X table: @address and @data, not masked; the queue uses vector 0. */
void rng_message(uint32_t vector, uint64_t address, uint32_t data);

/* ---- its.c ---- */

/* Its tables, a queue, LPIs of both redistributors; collections 0 and 1 are vCPUs 0 and 1. */
void its_start(void);

/* Queues a command, and waits until the ITS has taken it. False when it stalls. */
bool its_command(uint64_t a, uint64_t b, uint64_t c);

/* Event @event of device 00:02.0 becomes LPI @lpi on @collection, not masked. */
void its_map(uint32_t event, uint32_t lpi, uint32_t collection);

/* The LPI's byte of the configuration table. */
void its_mask(uint32_t event, uint32_t lpi, bool masked);

#define ITS_DEVICE ((uint64_t)(2 << 3) << 32) /* in a command */

#endif
