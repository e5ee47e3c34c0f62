/* SPDX-License-Identifier: Apache-2.0 */
/* What a hypervisor's hello says, checked. */
#ifndef BHCARD_FACTS_H
#define BHCARD_FACTS_H

#include <bulkhead/error.h>
#include <bulkhead/plan.h>

struct facts {
	uint64_t build_id;
	uint64_t boot_id;
	uint64_t time_us; /* since the machine was started, when it said hello */
	uint32_t management_core;
	uint32_t console_interrupt; /* the lowest SPI for consoles; 0: any */
	uint32_t nimages;
	struct extent core;
	struct extent images[CONFIG_MAX_VMS * PLAN_MAX_IMAGES];
	struct machine machine;
};

/* Reads the payload @tree of a hello. A hypervisor that was built with other structures is refused. */
enum bh_error facts_read(const void *tree, struct facts *facts, struct bh_report *report);

#endif
