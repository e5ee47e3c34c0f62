/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What tells Intel's and AMD's IOMMU apart. The loader has switched them on with everything
 * blocked (boot/x86/iommu.h). "VT-d": Intel VT-d 4.1; "AMD-Vi": AMD I/O Virtualization 3.08.
 */
#ifndef X86_IOMMU_H
#define X86_IOMMU_H

#include "x86.h"

#define IOMMU_DOORBELL 0xfee00000U /* where MSIs are written to (SDM vol. 3 11.11.1) */

/* An entry of a table, and a command in a queue: both have 128 bits. */
struct iommu_pair {
	uint64_t low;
	uint64_t high;
};

#define IOMMU_COMMANDS 4

struct iommu_kind {
	struct pt_format format;
	uint64_t snoop; /* in a leaf: past no cache */
	uint64_t register_bytes;
	uint64_t tail; /* register of the queue */
	/* A stream's entry: besides the tables' root, with none, and with the domain. */
	uint64_t open;
	uint64_t blocked;
	uint64_t open_high;
	uint32_t domain_shift;
	/* Where it stands. */
	struct iommu_pair *(*entry)(const struct plan_iommu *unit, uint32_t stream);
	/*
	 * @commands after which nothing is cached of @stream, of @domain, and of interrupts from @index on; the last
	 * stores 1 at @done.
	 */
	void (*forget)(uint32_t stream, uint32_t domain, uint32_t index, uint64_t done,
		       struct iommu_pair *commands);
	/* Interrupt entry @index of @stream: @vector to core @hwid; and the message that asks for it. */
	struct msi_message (*route)(uint32_t stream, uint32_t index, uint64_t hwid, uint32_t vector,
				    struct iommu_pair *entry);
	bool (*fault)(const struct plan_iommu *unit, struct dma_fault *fault);
};

extern const struct iommu_kind vtd, amdvi;

static inline volatile uint64_t *iommu_register(const struct plan_iommu *unit, uint64_t offset)
{
	return pa_to_ptr(pa(unit->registers.v + offset));
}

#endif
