/* SPDX-License-Identifier: Apache-2.0 */
/* What the loader hands to the resident core: one versioned struct, then it is gone. */
#ifndef BULKHEAD_BOOT_INFO_H
#define BULKHEAD_BOOT_INFO_H

#include <bulkhead/machine.h>
#include <bulkhead/plan.h>

#define BOOT_INFO_MAGIC 0x444b4c42U /* "BLKD" */
#define BOOT_INFO_VERSION 3
#define BOOT_SEED_BYTES 64

/*
 * The core's extent (plan.core), from its base: the image's segments (text,
 * rodata, data, each page-aligned, relocated by the loader), this struct, then
 * @pool: free pages that the core takes for stacks, records and tables. The
 * pool ends where plan.iommu_tables or, without those, plan.vm[0].hypervisor
 * begins: the VMs' extents follow, in order, up to the end of plan.core.
 */
struct boot_info {
	uint32_t magic;
	uint32_t version;
	uint64_t size; /* sizeof(struct boot_info) */
	struct extent text;
	struct extent rodata;
	struct extent data; /* with bss */
	struct extent pool;
	uint8_t seed[BOOT_SEED_BYTES]; /* entropy: keys the generator of guests' rng-seed */
	uint64_t build_id; /* first 8 bytes of the core's build id */
	struct machine machine;
	struct plan plan;
};

/*
 * The core image's entry: called by the loader on the boot core at EL2 or in
 * ring 0 (System V calling convention) with the firmware's identity map still
 * on, interrupts masked, after ExitBootServices. @info lies in plan.core. Does not return.
 */
typedef void core_entry_fn(struct boot_info *info);

#endif
