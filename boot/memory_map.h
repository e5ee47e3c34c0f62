/* SPDX-License-Identifier: Apache-2.0 */
/* From the firmware's memory map to the machine's usable memory. Pure. */
#ifndef BOOT_MEMORY_MAP_H
#define BOOT_MEMORY_MAP_H

#include <bulkhead/error.h>
#include <bulkhead/machine.h>

/* EFI_MEMORY_DESCRIPTOR, UEFI 2.10 7.2.3. Firmware's descriptors may be longer. */
struct memory_descriptor {
	uint32_t type;
	uint32_t reserved;
	uint64_t base;
	uint64_t virtual_base;
	uint64_t pages;
	uint64_t attributes;
};

struct memory_map {
	uint8_t *descriptors;
	uint64_t size; /* bytes in use */
	uint64_t room; /* bytes of the buffer */
	uint64_t stride; /* bytes from one descriptor to the next */
};

/* Which memory belongs to which NUMA node. */
struct node_map {
	uint32_t count;
	struct machine_memory range[MACHINE_MAX_MEMORY];
};

/*
 * Fills @machine's memory with what is free once boot services are gone:
 * sorted, merged, cut at the borders of nodes. Sorts @map in place.
 */
enum bh_error memory_from_map(struct memory_map *map, const struct node_map *nodes,
			      struct machine *machine, struct bh_report *report);

#endif
