/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BOOT_ARM64_ITS_H
#define BOOT_ARM64_ITS_H

#include <bulkhead/boot_info.h>

/* True when there is an ITS that can be used, and firmware has not switched LPIs on. */
bool its_is_usable(const struct machine *machine);

/*
 * True when the GIC is one with which LPIs of one number on the redistributors of different cores have been shown to
 * be different interrupts: the specification does not say so (docs/decisions/0007-passthrough.md).
 */
bool its_shares_lpis(const struct machine *machine);

/*
 * Switches the machine's ITS on with tables from @memory, which is zero: no device mapped, collections as
 * bulkhead/its.h has them, every LPI enabled in the one configuration table. Fills @out; what the machine lacks or
 * cannot do leaves it empty. The redistributors' part is each core's own.
 */
void its_start(const struct machine *machine, uint32_t management_core, struct extent *memory,
	       struct plan_its *out);

/*
 * Whether LPIs of one number are kept apart by the ITS that was started: tried with @machine's first two functions that have
 * events, at this core and another one, whose LPIs are on afterwards. Interrupts are masked, and only the resident core sets
 * this core's redistributor up again. Where there is nothing to try it with, nobody is in the way of anybody: @tried is false.
 */
bool its_keeps_lpis_apart(const struct machine *machine, const struct plan_its *its, bool *tried);

#endif
