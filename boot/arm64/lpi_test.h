/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a GIC takes LPIs of one number on the redistributors of two cores for two interrupts: by trying it. */
#ifndef BOOT_ARM64_LPI_TEST_H
#define BOOT_ARM64_LPI_TEST_H

#include <stdbool.h>
#include <stdint.h>

#include <bulkhead/its.h>

/* Two devices that may have events, and the collections of this core and of another one. */
struct lpi_rig {
	void *context;
	uint32_t device[2];
	uint32_t here, there;
	/* Has the ITS done a command, and both redistributors seen it, when it returns. False: it does not. */
	bool (*command)(void *context, enum its_command what, uint32_t device, uint32_t collection);
	/* Acknowledges LPI_FIRST at this core, if it pends here; waits for it where it is @wanted. */
	bool (*take)(void *context, bool wanted);
};

/*
 * Event 0 of both devices becomes LPI_FIRST, one at each core. True when taking one leaves the other pending, when that can be
 * moved here, and when discarding it takes nothing from the one that pends here. No event is mapped when it returns.
 */
bool lpis_are_apart(const struct lpi_rig *rig);

#endif
