/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What firmware says of requester ids: which IOMMU checks their DMA and as which
 * stream, which DeviceID their interrupts have, and for which it keeps memory. Gathered from ACPI
 * or FDT before the functions are known, applied when they are.
 */
#ifndef BOOT_DMA_MAP_H
#define BOOT_DMA_MAP_H

#include "pci.h"

#define DMA_MAX_RANGES 256
#define DMA_MAX_SCOPES 64
#define DMA_MAX_DEPTH 8

enum dma_kind {
	DMA_IOMMU, /* requester ids of segment @from: IOMMU @to, streams from @output on */
	DMA_ITS, /* requester ids of segment @from: DeviceIDs from @output on */
	DMA_STREAM_ITS, /* streams of IOMMU @from: the same */
	DMA_RESERVED, /* requester ids of segment @from: memory is kept for them */
	DMA_STREAM_RESERVED, /* streams of IOMMU @from: the same */
};

/* Of several that hold an id, the last counts. */
struct dma_range {
	uint32_t kind; /* enum dma_kind */
	uint32_t from;
	uint32_t first;
	uint32_t last;
	uint32_t to; /* MACHINE_NONE: no IOMMU */
	uint32_t output;
};

/* A function, by its path from a root bus (VT-d 4.1 8.3.1). Counts before any range. */
struct dma_scope {
	uint32_t kind; /* DMA_IOMMU or DMA_RESERVED */
	uint32_t to;
	uint16_t segment;
	uint8_t bus;
	bool below; /* all behind it too */
	uint32_t depth;
	uint8_t devfn[DMA_MAX_DEPTH];
};

struct dma_map {
	uint32_t nranges;
	uint32_t nscopes;
	bool lost; /* there was more than this holds: nothing can be said of any function */
	struct dma_range range[DMA_MAX_RANGES];
	struct dma_scope scope[DMA_MAX_SCOPES];
};

void dma_map_range(struct dma_map *map, const struct dma_range *range);
void dma_map_scope(struct dma_map *map, const struct dma_scope *scope);

/* Fills iommu, stream, msi_device and FUNCTION_RESERVED_MEMORY of all of @machine's functions. */
void dma_map_apply(const struct dma_map *map, const struct pci_access *access,
		   struct machine *machine);

#endif
