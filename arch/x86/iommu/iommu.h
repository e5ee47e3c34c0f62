/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What Intel's and AMD's IOMMU have in common. The loader has switched them on with everything
 * blocked (boot/x86/iommu.h). "VT-d": Intel VT-d 4.1; "AMD-Vi": AMD I/O Virtualization 3.08.
 */
#ifndef X86_IOMMU_H
#define X86_IOMMU_H

#include "x86.h"

#define IOMMU_DOORBELL 0xfee00000U /* where MSIs are written to (SDM vol. 3 11.11.1) */

struct iommu_kind {
	const struct pt_format *format;
	uint64_t register_bytes;
	/* Takes out of @format what @unit cannot do. */
	void (*adapt)(const struct plan_iommu *unit, struct pt_format *format);
	/* @stream to the tables at @root, as @domain, or to nothing when @root is 0. Returns when nothing older is in use. */
	void (*translate)(const struct plan_iommu *unit, uint32_t stream, pa_t root,
			  uint32_t domain);
	/* @entry of the interrupt tables, which stands at @index: @vector of core @hwid, for @stream. The message that asks for it. */
	struct msi_message (*route)(uint32_t stream, uint32_t index, uint64_t hwid, uint32_t vector,
				    uint64_t entry[2]);
	/* @count entries of @stream, a power of two, have changed at @index. Returns when nothing older is in use. */
	void (*forget)(const struct plan_iommu *unit, uint32_t stream, uint32_t index,
		       uint32_t count);
	bool (*fault)(const struct plan_iommu *unit, struct dma_fault *fault);
};

extern const struct iommu_kind vtd, amdvi;

/* Stores both halves of an entry at once, also for an IOMMU that does not see the processors' caches. */
void iommu_store(uint64_t entry[2], uint64_t low, uint64_t high);

/*
 * Has @unit run @commands, whose tail register is at @tail. The last of them stores 1 at iommu_done: waits for that,
 * and panics when it does not come.
 */
void iommu_run(const struct plan_iommu *unit, uint64_t tail, const uint64_t (*commands)[2],
	       uint32_t count);

extern volatile uint64_t iommu_done;

static inline volatile uint64_t *iommu_register(const struct plan_iommu *unit, uint64_t offset)
{
	return pa_to_ptr(pa(unit->registers.v + offset));
}

static inline volatile uint32_t *iommu_register32(const struct plan_iommu *unit, uint64_t offset)
{
	return pa_to_ptr(pa(unit->registers.v + offset));
}

#endif
