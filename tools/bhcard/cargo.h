/* SPDX-License-Identifier: Apache-2.0 */
/* All that is brought into a VM's memory before it starts: kernel, boot image, initrd, as the hypervisor wants them. */
#ifndef BHCARD_CARGO_H
#define BHCARD_CARGO_H

#include <bulkhead/planner.h>

#include "spec.h"
#include "store.h"

struct bytes {
	const uint8_t *data;
	uint64_t size;
};

struct cargo;

/*
 * Opens the images @stored (kernel, initrd) and looks at them as the loader
 * does. NULL with @fail when there is no kernel or one cannot be read.
 */
struct cargo *cargo_open(const struct store *store, const struct stored_image stored[2],
			 struct fail *fail);
void cargo_free(struct cargo *cargo);

/* What the planner is to know of them. */
const struct image_info *cargo_infos(const struct cargo *cargo, uint32_t *count);

/* Makes what the VM in slot @slot of @plan is told, and enters it into the plan. */
bool cargo_make_boot(struct cargo *cargo, struct plan *plan, uint32_t slot,
		     const struct machine *machine, const char *bootargs, struct fail *fail);

/* The bytes of one image; size 0: there is none. */
struct bytes cargo_bytes(const struct cargo *cargo, enum plan_image_slot image);

/* True when what is here is what @vm was planned for. */
bool cargo_fits(const struct cargo *cargo, const struct plan_vm *vm);

#endif
