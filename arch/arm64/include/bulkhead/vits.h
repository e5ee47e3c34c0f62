/* SPDX-License-Identifier: Apache-2.0 */
/* What a VM's own ITS and LPIs are to the hypervisor. Zero: as after reset. */
#ifndef BULKHEAD_VITS_H
#define BULKHEAD_VITS_H

#include <bulkhead/plan.h>

struct vits_event {
	uint16_t lpi; /* INTID; 0: not mapped */
	uint16_t collection; /* the guest's */
	uint16_t home; /* physical collection */
	uint16_t enabled; /* as the guest's configuration table had it at the last look */
};

struct vits {
	uint64_t cbaser; /* these as the guest wrote them */
	uint64_t cwriter;
	uint64_t creadr;
	uint64_t baser[2];
	uint64_t propbaser;
	uint64_t pendbaser[CONFIG_MAX_CPUS];
	uint32_t control; /* GITS_CTLR.Enabled */
	uint32_t devices; /* bit n: the guest mapped function n */
	uint16_t collection[CONFIG_MAX_CPUS]; /* the vCPU it is mapped to, and 1; 0: none */
	uint8_t lpis[CONFIG_MAX_CPUS]; /* GICR_CTLR.EnableLPIs */
	struct vits_event event[PLAN_MAX_FUNCTIONS][PLAN_MAX_VECTORS];
};

#endif
