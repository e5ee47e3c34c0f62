/* SPDX-License-Identifier: Apache-2.0 */
/* Finding every core's GIC redistributor. */
#ifndef BOOT_ARM64_GIC_H
#define BOOT_ARM64_GIC_H

#include "machine_acpi.h"

/*
 * Asks the hardware: GIC architecture 3 or 4, the number of SPIs, and the
 * redistributor of each core. Fills machine->arm64 and machine->cpu[].gicr.
 */
enum bh_error gic_probe(struct machine *machine, const struct gic_regions *regions,
			struct bh_report *report);

#endif
