/* SPDX-License-Identifier: Apache-2.0 */
/* The boot image a guest is given: what it owns, and nothing else. Pure. */
#ifndef BULKHEAD_GUEST_BOOT_H
#define BULKHEAD_GUEST_BOOT_H

#include <bulkhead/error.h>
#include <bulkhead/machine.h>
#include <bulkhead/planner.h>

/*
 * Writes the boot image of VM @vm of @plan into @buffer (@size bytes, 8-byte
 * aligned) and its length into @used: a device tree or, on x86, what plan.h
 * lists at GUEST_X86_BOOT_BASE. @kernel is what the planner was told of the
 * VM's kernel. The guest's random seeds are zeroes; their offsets from @buffer
 * go to @rng_seed_offset and @kaslr_seed_offset (0: there is none), so that
 * fresh entropy can be put there at each start. Returns BH_OK, BH_TOO_BIG when
 * @size is too small, or BH_BAD_MACHINE.
 */
enum bh_error guest_boot_make(const struct plan *plan, uint32_t vm, const struct machine *machine,
			      const struct image_info *kernel, const char *bootargs, void *buffer,
			      uint64_t size, uint64_t *used, uint32_t *rng_seed_offset,
			      uint32_t *kaslr_seed_offset, struct bh_report *report);

/* The same for one architecture. */
enum bh_error guest_fdt_make(const struct plan *plan, uint32_t vm, const struct machine *machine,
			     const char *bootargs, void *buffer, uint64_t size, uint64_t *used,
			     uint32_t *rng_seed_offset, uint32_t *kaslr_seed_offset,
			     struct bh_report *report);
enum bh_error guest_x86_make(const struct plan *plan, uint32_t vm, const struct machine *machine,
			     const struct image_info *kernel, const char *bootargs, void *buffer,
			     uint64_t size, uint64_t *used, uint32_t *rng_seed_offset,
			     struct bh_report *report);

#endif
