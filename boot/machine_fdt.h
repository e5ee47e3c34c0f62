/* SPDX-License-Identifier: Apache-2.0 */
/* The machine from a flattened device tree. Pure: also used by bhmanifest, tests and fuzzers. */
#ifndef BOOT_MACHINE_FDT_H
#define BOOT_MACHINE_FDT_H

#include <bulkhead/error.h>
#include <bulkhead/machine.h>

#include "dma_map.h"

#define MACHINE_FDT_MAX_BYTES (2 * MIB) /* Linux, Documentation/arch/arm64/booting.rst */

/*
 * Reads the device tree of @size bytes at @fdt (8-byte aligned, not trusted)
 * into @m. Memory is what the tree calls memory less its reservations: a
 * candidate, which the EFI loader replaces by the firmware's map. Left open:
 * cpu[].gicr (see machine_fdt_redistributors) and arm64.spi_count, which only
 * the hardware knows. ecam[].base is where bus_first's configuration space
 * begins. Returns BH_OK or the error described in @report; then @m is
 * unspecified.
 */
enum bh_error machine_from_fdt(const void *fdt, uint64_t size, struct machine *m,
			       struct bh_report *report);

/*
 * The regions that hold the GICv3 redistributors, at most @max of them, into
 * @region; returns their number. Which frame belongs to which core stands in
 * GICR_TYPER. @fdt must have passed machine_from_fdt().
 */
uint32_t machine_fdt_redistributors(const void *fdt, struct extent *region, uint32_t max);

/*
 * What the tree's iommu-map and msi-map say of PCI functions, into @map (zeroed): SMMUs are numbered as
 * in struct machine, and interrupts of any ITS but the first are not told. @fdt
 * must have passed machine_from_fdt().
 */
void machine_fdt_dma(const void *fdt, struct dma_map *map);

#endif
