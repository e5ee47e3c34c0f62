/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BOOT_ARM64_SMMU_H
#define BOOT_ARM64_SMMU_H

#include <bulkhead/boot_info.h>

/* Why SMMU @index of @machine cannot guard anything; NULL when it can. */
const char *smmu_unfit(const struct machine *machine, uint32_t index);

/*
 * Switches SMMU @index on with every stream blocked, its table and queues from @memory, which is zero, and fills
 * @out. What does not answer, or has no use, stays out of the plan.
 */
void smmu_start(const struct machine *machine, uint32_t index, struct extent *memory,
		struct plan_iommu *out);

#endif
