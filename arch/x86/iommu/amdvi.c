/* SPDX-License-Identifier: Apache-2.0 */
/* AMD's IOMMU. Sections: AMD I/O Virtualization 3.08. */
#include "iommu.h"

/* Registers (3.4). */
#define CONTROL 0x18
#define COMMAND_TAIL 0x2008
#define EVENT_HEAD 0x2010
#define EVENT_TAIL 0x2018
#define STATUS 0x2020

#define CONTROL_EVENTS (1ULL << 2)
#define STATUS_OVERFLOW 1ULL

#define EVENT_WRITE (1ULL << 53) /* 2.5.3 */
#define EVENT_INTERRUPT (1ULL << 51)

#define DEVICE_PAIRS 2 /* of a device table's entry (2.2.2.1); the loader filled the second */
#define VALID 3ULL
#define LEVELS_4 (4ULL << 9)
#define READ_WRITE (3ULL << 61)
#define SNOOP (1ULL << 60)

/* 2.2.3: entries say how many levels follow. */
#define PRESENT (READ_WRITE | 1)
#define LEVEL (1ULL << 9)

static struct iommu_pair *amdvi_entry(const struct plan_iommu *unit, uint32_t stream)
{
	return (struct iommu_pair *)pa_to_ptr(unit->streams) + (size_t)stream * DEVICE_PAIRS;
}

/* 2.4: the device's entry; all pages of the domain, and tables; the device's interrupts. */
static void amdvi_forget(uint32_t stream, uint32_t domain, uint32_t index, uint64_t done,
			 struct iommu_pair *commands)
{
	(void)index;
	commands[0].low = 2ULL << 60 | stream;
	commands[1] = (struct iommu_pair){3ULL << 60 | (uint64_t)domain << 32, 0x7ffffffffffff003};
	commands[2].low = 5ULL << 60 | stream;
	commands[3] = (struct iommu_pair){1ULL << 60 | 1 | done, 1};
}

/* 2.2.5.2: on, fixed, edge, physical destination. A function has a table of its own. */
static struct msi_message amdvi_route(uint32_t stream, uint32_t index, uint64_t hwid,
				      uint32_t vector, struct iommu_pair *entry)
{
	(void)stream;
	*entry = (struct iommu_pair){(hwid & 0xffffff) << 8 | 1, hwid >> 24 << 56 | vector};
	return (struct msi_message){IOMMU_DOORBELL, index % PLAN_MAX_VECTORS};
}

static bool amdvi_fault(const struct plan_iommu *unit, struct dma_fault *fault)
{
	uint64_t head = *iommu_register(unit, EVENT_HEAD);
	const struct iommu_pair *event = pa_to_ptr(pa(unit->events.v + head));

	if (head == *iommu_register(unit, EVENT_TAIL)) {
		/* A log that was full stands still until it is switched on again (2.5.13). */
		if ((*iommu_register(unit, STATUS) & STATUS_OVERFLOW) != 0) {
			*iommu_register(unit, CONTROL) &= ~CONTROL_EVENTS;
			*iommu_register(unit, STATUS) = STATUS_OVERFLOW;
			*iommu_register(unit, CONTROL) |= CONTROL_EVENTS;
		}
		return false;
	}
	fault->stream = event->low & 0xffff;
	fault->write = (event->low & (EVENT_WRITE | EVENT_INTERRUPT)) != 0;
	fault->address = event->high;
	*iommu_register(unit, EVENT_HEAD) = (head + sizeof(*event)) % PAGE_SIZE;
	return true;
}

const struct iommu_kind amdvi = {
	.format = {X86_FOUR_LEVELS, .valid = 1, .table_bits = PRESENT, .level_unit = LEVEL,
		   .type_mask = PRESENT | 7 * LEVEL, .attr = {[PT_GUEST_RAM] = PRESENT}},
	.snoop = SNOOP,
	.register_bytes = 16 * KIB,
	.tail = COMMAND_TAIL,
	.open = VALID | LEVELS_4 | READ_WRITE,
	.blocked = VALID,
	.entry = amdvi_entry,
	.forget = amdvi_forget,
	.route = amdvi_route,
	.fault = amdvi_fault,
};
