/* SPDX-License-Identifier: Apache-2.0 */
/* Intel's IOMMU. Sections: Intel VT-d 4.1. */
#include "iommu.h"

/* Registers (11.4). */
#define CAP 0x08
#define FSTS 0x34
#define IQT 0x88

#define CAP_FRO(cap) (((cap) >> 24 & 0x3ff) * 16)
#define FSTS_OVERFLOW 1U
#define FSTS_PENDING 2U
#define FSTS_INDEX(fsts) ((fsts) >> 8 & 0xff)
#define FAULT_READ (1ULL << 62) /* of a fault record's upper half (11.4.14.1) */
#define FAULT_VALID (1ULL << 63)
#define REASON_INTERRUPT 2 /* in 7:4: an interrupt was refused (7.1.3) */

#define PRESENT 1ULL
#define LEVELS_4 2ULL /* of a context entry's upper half (9.3) */

/* Second-level entries (9.8). */
#define READ_WRITE 3ULL
#define LARGE (1ULL << 7)
#define SNOOP (1ULL << 11)

/* A bus's entry in the root table (9.1), and the function's in that one's. */
static struct iommu_pair *vtd_entry(const struct plan_iommu *unit, uint32_t stream)
{
	const struct iommu_pair *root = pa_to_ptr(unit->streams);
	struct iommu_pair *contexts = pa_to_ptr(pa(root[stream >> 8 & 0xff].low & ~PRESENT));

	return &contexts[stream & 0xff];
}

/* 6.5.2; of translations, reads and writes are drained. */
static void vtd_forget(uint32_t stream, uint32_t domain, uint32_t index, uint64_t done,
		       struct iommu_pair *commands)
{
	uint64_t first = index & ~(PLAN_MAX_VECTORS - 1U);
	uint64_t size = (uint64_t)__builtin_ctz(PLAN_MAX_VECTORS);

	commands[0].low = 1 | 3 << 4 | domain << 16 | (uint64_t)stream << 32;
	commands[1].low = 2 | 2 << 4 | 3 << 6 | domain << 16;
	commands[2].low = 4 | 1 << 4 | size << 27 | first << 32;
	commands[3] = (struct iommu_pair){5 | 1 << 5 | 1ULL << 32, done};
}

/* 9.10: present, fixed, edge, physical destination, for this requester id only; 5.1.5.2: the message. */
static struct msi_message vtd_route(uint32_t stream, uint32_t index, uint64_t hwid, uint32_t vector,
				    struct iommu_pair *entry)
{
	*entry = (struct iommu_pair){hwid << 32 | vector << 16 | PRESENT, 1ULL << 18 | stream};
	return (struct msi_message){IOMMU_DOORBELL | index << 5 | 1 << 4, 0};
}

static bool vtd_fault(const struct plan_iommu *unit, struct dma_fault *fault)
{
	pa_t at = pa(unit->registers.v + FSTS);
	uint32_t status = (uint32_t)arch_device_load(at, 4);
	uint64_t record = CAP_FRO(*iommu_register(unit, CAP)) + FSTS_INDEX(status) * 16UL;
	uint64_t high;

	if ((status & FSTS_PENDING) == 0) {
		arch_device_store(at, 4, FSTS_OVERFLOW);
		return false;
	}
	high = *iommu_register(unit, record + 8);
	fault->stream = high & 0xffff;
	fault->write = (high & FAULT_READ) == 0;
	fault->address = *iommu_register(unit, record) & ~(PAGE_SIZE - 1);
	if ((high >> 36 & 0xf) == REASON_INTERRUPT) /* then the record names an entry */
		fault->address = IOMMU_DOORBELL;
	*iommu_register(unit, record + 8) = FAULT_VALID;
	return true;
}

const struct iommu_kind vtd = {
	.format = {X86_FOUR_LEVELS, .leaf_bits = {0, LARGE, LARGE, 0}, .valid = PRESENT,
		   .table_bits = READ_WRITE, .type_mask = LARGE | READ_WRITE,
		   .attr = {[PT_GUEST_RAM] = READ_WRITE}},
	.snoop = SNOOP,
	.register_bytes = PAGE_SIZE,
	.tail = IQT,
	.open = PRESENT,
	.open_high = LEVELS_4,
	.domain_shift = 8,
	.entry = vtd_entry,
	.forget = vtd_forget,
	.route = vtd_route,
	.fault = vtd_fault,
};
