/* SPDX-License-Identifier: Apache-2.0 */
/* The device tree a guest is given: what it owns, and nothing else. Pure. */
#ifndef BULKHEAD_GUEST_FDT_H
#define BULKHEAD_GUEST_FDT_H

#include <bulkhead/error.h>
#include <bulkhead/machine.h>
#include <bulkhead/plan.h>

/*
 * Writes the device tree of VM @vm of @plan into @buffer (@size bytes, 8-byte
 * aligned) and its length into @used. /chosen holds rng-seed and kaslr-seed as
 * zeroes; their offsets from @buffer go to @rng_seed_offset and
 * @kaslr_seed_offset, so that fresh entropy can be put there at each start.
 * Returns BH_OK, BH_TOO_BIG when @size is too small, or BH_BAD_MACHINE.
 */
enum bh_error guest_fdt_make(const struct plan *plan, uint32_t vm, const struct machine *machine,
			     const char *bootargs, void *buffer, uint64_t size, uint64_t *used,
			     uint32_t *rng_seed_offset, uint32_t *kaslr_seed_offset,
			     struct bh_report *report);

#endif
