/* SPDX-License-Identifier: Apache-2.0 */
/* Intel's IOMMU. Sections: Intel VT-d 4.1. */
#include "iommu.h"

/* Registers (11.4). */
#define CAP 0x08
#define ECAP 0x10
#define FSTS 0x34
#define IQT 0x88

#define CAP_FRO(cap) (((cap) >> 24 & 0x3ff) * 16)
#define CAP_1G (1ULL << 35)
#define ECAP_COHERENT (1ULL << 0) /* walks see the processors' caches */
#define ECAP_SNOOP (1ULL << 7)

#define FSTS_OVERFLOW 1U
#define FSTS_PENDING 2U
#define FSTS_INDEX(fsts) ((fsts) >> 8 & 0xff)
#define FAULT_READ (1ULL << 62) /* of a fault record's upper half (11.4.14.1) */
#define FAULT_VALID (1ULL << 63)
#define FAULT_REASON(high) ((high) >> 32 & 0xff)
#define REASON_INTERRUPT 0x20 /* and up to 0x2f: an interrupt was refused (7.1.3) */

/* Invalidation descriptors (6.5.2). */
#define FORGET_CONTEXT (1ULL | 3 << 4) /* of one function */
#define FORGET_DOMAIN (2ULL | 2 << 4 | 3 << 6) /* reads and writes drained */
#define FORGET_INTERRUPTS (4ULL | 1 << 4)
#define WAIT (5ULL | 1 << 5 | 1ULL << 32)

#define PRESENT 1ULL
#define LEVELS_4 2ULL /* of a context entry's upper half (9.3) */

/* 9.8: second-level entries; snooped, so that no device can ask past the caches for what was scrubbed. */
#define READ_WRITE 3ULL
#define LARGE (1ULL << 7)
#define SNOOP (1ULL << 11)

static const struct pt_format vtd_format = {
	X86_FOUR_LEVELS,
	.leaf_bits = {0, LARGE, LARGE, 0},
	.valid = PRESENT,
	.table_bits = READ_WRITE,
	.type_mask = LARGE | READ_WRITE,
	.attr = {[PT_GUEST_RAM] = READ_WRITE | SNOOP, [PT_GUEST_DATA] = READ_WRITE | SNOOP},
};

static void vtd_adapt(const struct plan_iommu *unit, struct pt_format *format)
{
	if ((*iommu_register(unit, CAP) & CAP_1G) == 0)
		format->leaf_levels &= ~X86_LEVEL_1G;
	if ((*iommu_register(unit, ECAP) & ECAP_SNOOP) == 0) {
		format->attr[PT_GUEST_RAM] = READ_WRITE;
		format->attr[PT_GUEST_DATA] = READ_WRITE;
	}
}

static void vtd_translate(const struct plan_iommu *unit, uint32_t stream, pa_t root,
			  uint32_t domain)
{
	const uint64_t *bus = pa_to_ptr(pa(unit->streams.v + (stream >> 8 & 0xff) * 16UL));
	uint64_t *context = pa_to_ptr(pa((bus[0] & ~PRESENT) + (stream & 0xff) * 16UL));
	const uint64_t commands[][2] = {
		{FORGET_CONTEXT | domain << 16 | (uint64_t)stream << 32, 0},
		{FORGET_DOMAIN | domain << 16, 0},
		{WAIT, ptr_to_pa((const void *)&iommu_done).v},
	};

	if ((*iommu_register(unit, ECAP) & ECAP_COHERENT) == 0) /* the tables at @root */
		__asm__ volatile("wbinvd" ::: "memory");
	iommu_store(context, root.v != 0 ? root.v | PRESENT : 0, domain << 8 | LEVELS_4);
	iommu_run(unit, IQT, commands, ARRAY_SIZE(commands));
}

/* 9.10: present, fixed, edge, physical destination, for this requester id only; 5.1.5.2: the message. */
static struct msi_message vtd_route(uint32_t stream, uint32_t index, uint64_t hwid, uint32_t vector,
				    uint64_t entry[2])
{
	entry[0] = hwid << 32 | vector << 16 | PRESENT;
	entry[1] = 1ULL << 18 | stream;
	return (struct msi_message){IOMMU_DOORBELL | index << 5 | 1 << 4, 0};
}

static void vtd_forget(const struct plan_iommu *unit, uint32_t stream, uint32_t index,
		       uint32_t count)
{
	uint64_t size = (uint64_t)__builtin_ctz(count);
	const uint64_t commands[][2] = {
		{FORGET_INTERRUPTS | size << 27 | (uint64_t)index << 32, 0},
		{WAIT, ptr_to_pa((const void *)&iommu_done).v},
	};

	(void)stream;
	iommu_run(unit, IQT, commands, ARRAY_SIZE(commands));
}

static bool vtd_fault(const struct plan_iommu *unit, struct dma_fault *fault)
{
	uint32_t status = *iommu_register32(unit, FSTS);
	uint64_t record = CAP_FRO(*iommu_register(unit, CAP)) + FSTS_INDEX(status) * 16UL;
	uint64_t high;

	if ((status & FSTS_PENDING) == 0) {
		if ((status & FSTS_OVERFLOW) != 0)
			*iommu_register32(unit, FSTS) = FSTS_OVERFLOW;
		return false;
	}
	high = *iommu_register(unit, record + 8);
	fault->stream = high & 0xffff;
	fault->reason = FAULT_REASON(high);
	fault->write = (high & FAULT_READ) == 0;
	fault->address = *iommu_register(unit, record) & ~(PAGE_SIZE - 1);
	if (fault->reason >> 4 == REASON_INTERRUPT >> 4) {
		fault->write = true;
		fault->address = IOMMU_DOORBELL;
	}
	*iommu_register(unit, record + 8) = FAULT_VALID;
	return true;
}

const struct iommu_kind vtd = {&vtd_format, PAGE_SIZE,	vtd_adapt, vtd_translate,
			       vtd_route,   vtd_forget, vtd_fault};
