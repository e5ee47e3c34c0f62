/* SPDX-License-Identifier: Apache-2.0 */
/* Mediation of a guest's ITS: no hardware, but for what its.h lends it. */
#ifndef ARM64_VITS_H
#define ARM64_VITS_H

#include "its.h"

#include <bulkhead/vits.h>

/* A guest's ITS, for one access. */
struct guest_its {
	struct vits *state;
	const struct plan_vm *plan;
	const struct machine *machine;
	uint32_t present; /* bit n: function n is there for the guest */
	uint32_t parking_core; /* whose redistributor has what nobody is to take */
	uint32_t work; /* done in this access */
};

/* An access to its registers. Takes a part of what waits in the command queue; the next access goes on. */
void vits_access(struct guest_its *its, struct mmio *access);

/* Makes the event with the guest's INTID @lpi pending; there may be none. */
void vits_pend(struct guest_its *its, uint32_t lpi);

/* Unmaps all events of function @slot. */
void vits_forget(struct guest_its *its, uint32_t slot);

/* An access to GICR_CTLR, PROPBASER or PENDBASER of @vcpu; false when it is to none of them. */
bool vits_redist(struct vits *state, uint32_t vcpu, struct mmio *access);

#endif
