/* SPDX-License-Identifier: Apache-2.0 */
/* What the device guest has on Arm: an ITS. */
#ifndef DEVICE_DEVICE_H
#define DEVICE_DEVICE_H

#include "guest.h"

#define DOORBELL (GUEST_ITS_BASE + 0x10040) /* GITS_TRANSLATER, where only devices reach it */

/* LPIs that came, by INTID; and of those beyond. */
#define LPIS_SEEN 64
extern volatile uint32_t lpis[LPIS_SEEN], strange_lpis;

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
