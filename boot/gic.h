/* SPDX-License-Identifier: Apache-2.0 */
/* Finding every core's GIC redistributor. */
#ifndef BOOT_GIC_H
#define BOOT_GIC_H

#include <bulkhead/error.h>
#include <bulkhead/machine.h>

#define GIC_MAX_REGIONS 64

/* Where firmware says redistributors stand. Empty when it gave each core's own address. */
struct gic_regions {
	uint32_t count;
	struct extent region[GIC_MAX_REGIONS];
};

/*
 * Asks the hardware: GIC architecture 3 or 4, the number of SPIs, and the
 * redistributor of each core. Fills machine->arm64 and machine->cpu[].gicr.
 */
enum bh_error gic_probe(struct machine *machine, const struct gic_regions *regions,
			struct bh_report *report);

#endif
