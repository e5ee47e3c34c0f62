/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine's IOMMUs, set up once: everything blocked, translation and interrupt remapping on. The resident core opens
 * functions afterwards (arch/x86/iommu). "VT-d": Intel VT-d 4.1; "AMD-Vi": AMD I/O Virtualization 3.08.
 */
#ifndef BOOT_X86_IOMMU_H
#define BOOT_X86_IOMMU_H

#include "loader.h"

/* The UART's line has the entry behind those of all functions, each of which has room for all vectors. */
#define IOMMU_LINE_ENTRY ((uint64_t)MACHINE_MAX_FUNCTIONS * PLAN_MAX_VECTORS)
#define IOMMU_INTERRUPT_BYTES 16UL /* of an entry, in VT-d (9.10) and in AMD-Vi (2.2.5.2) */
#define IOMMU_QUEUE_BYTES PAGE_SIZE /* 256 commands, or events, of 16 bytes */
#define IOMMU_QUEUE_SLOT 16

/* Intel's or AMD's. What returns false has hardware that does not answer, or too few pages. */
struct iommu_kind {
	/* What the IOMMU at @registers lacks, the end of a sentence; NULL: nothing. */
	const char *(*lacks)(const struct machine *machine, pa_t registers);
	/* Tables for unit @unit of the plan in which everything is blocked, from @left. */
	bool (*block)(struct boot_info *info, uint32_t unit, struct extent *left);
	/* Has it use them. */
	bool (*switch_on)(const struct machine *machine, const struct plan_iommu *unit);
	/* Has it forget what it cached, once it is on. */
	bool (*forget)(const struct machine *machine, const struct plan_iommu *unit);
	/* The remapping table's entry for a line at @ioapic, to @vector of core @hwid; the IOAPIC's entry. */
	uint64_t (*line)(const struct plan_iommu *unit, const struct machine_ioapic *ioapic,
			 uint64_t hwid, uint32_t vector);
};

extern const struct iommu_kind vtd, amdvi;

/*
 * The entry of @ioapic (82093AA 3.2.4) by which a line reaches @vector of core @hwid, and the
 * remapping of it; 0 when it cannot.
 */
uint64_t iommus_line(const struct boot_info *info, const struct machine_ioapic *ioapic,
		     uint64_t hwid, uint32_t vector);

/* Zeroed pages out of @left, at a page's boundary; 0 when there are not as many. */
pa_t iommu_pages(struct extent *left, uint64_t bytes);

/* Waits until the bits @mask of the 32-bit register at @at are @value; false after a second. */
bool iommu_wait(const struct machine *machine, pa_t at, uint32_t mask, uint32_t value);

static inline volatile uint32_t *iommu_register32(pa_t registers, uint64_t offset)
{
	return pa_to_ptr(pa(registers.v + offset));
}

static inline volatile uint64_t *iommu_register(pa_t registers, uint64_t offset)
{
	return pa_to_ptr(pa(registers.v + offset));
}

#endif
