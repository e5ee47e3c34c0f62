/* SPDX-License-Identifier: Apache-2.0 */
/* AMD's IOMMU. Sections: AMD I/O Virtualization 3.08. */
#include "iommu.h"

/* Registers (3.4). */
#define REGISTER_BYTES (16 * KIB)
#define CONTROL 0x18
#define COMMAND_TAIL 0x2008
#define EVENT_HEAD 0x2010
#define EVENT_TAIL 0x2018
#define STATUS 0x2020

#define CONTROL_EVENTS (1ULL << 2)
#define STATUS_OVERFLOW 1U
#define STATUS_RUNNING (1U << 3) /* the events' log */

/* Commands (2.4). */
#define WAIT(done) (1ULL << 60 | 1 | (done))
#define FORGET_DEVICE (2ULL << 60)
#define FORGET_PAGES (3ULL << 60)
#define ALL_PAGES 0x7ffffffffffff003ULL /* and tables */
#define FORGET_INTERRUPTS (5ULL << 60)

/* Events (2.5). */
#define EVENT_CODE(low) ((uint32_t)((low) >> 60))
#define EVENT_WRITE (1ULL << 53)
#define EVENT_INTERRUPT (1ULL << 51)

/* Device table (2.2.2.1). */
#define DEVICE_BYTES 32
#define VALID 3ULL
#define LEVELS_4 (4ULL << 9)
#define READ_WRITE (3ULL << 61)

/* 2.2.3: entries say how many levels follow; snooped, as in vtd.c. */
#define PRESENT 1ULL
#define LEVEL (1ULL << 9)
#define SNOOP (1ULL << 60)
#define LEAF (PRESENT | READ_WRITE | SNOOP)

#define INTERRUPT_ON 1ULL

static const struct pt_format amdvi_format = {
	X86_FOUR_LEVELS,
	.valid = PRESENT,
	.table_bits = PRESENT | READ_WRITE,
	.level_unit = LEVEL,
	.type_mask = PRESENT | READ_WRITE | 7 * LEVEL,
	.attr = {[PT_GUEST_RAM] = LEAF, [PT_GUEST_DATA] = LEAF},
};

static void amdvi_adapt(const struct plan_iommu *unit, struct pt_format *format)
{
	(void)unit;
	(void)format;
}

static void amdvi_translate(const struct plan_iommu *unit, uint32_t stream, pa_t root,
			    uint32_t domain)
{
	uint64_t *device = pa_to_ptr(pa(unit->streams.v + (uint64_t)stream * DEVICE_BYTES));
	const uint64_t commands[][2] = {
		{FORGET_DEVICE | stream, 0},
		{FORGET_PAGES | (uint64_t)domain << 32, ALL_PAGES},
		{WAIT(ptr_to_pa((const void *)&iommu_done).v), 1},
	};

	iommu_store(device, VALID | (root.v != 0 ? root.v | LEVELS_4 | READ_WRITE : 0), domain);
	iommu_run(unit, COMMAND_TAIL, commands, ARRAY_SIZE(commands));
}

/* 2.2.5.2: on, fixed, edge, physical destination. A function has a table of its own. */
static struct msi_message amdvi_route(uint32_t stream, uint32_t index, uint64_t hwid,
				      uint32_t vector, uint64_t entry[2])
{
	(void)stream;
	entry[0] = (hwid & 0xffffff) << 8 | INTERRUPT_ON;
	entry[1] = hwid >> 24 << 56 | vector;
	return (struct msi_message){IOMMU_DOORBELL, index % PLAN_MAX_VECTORS};
}

static void amdvi_forget(const struct plan_iommu *unit, uint32_t stream, uint32_t index,
			 uint32_t count)
{
	const uint64_t commands[][2] = {
		{FORGET_INTERRUPTS | stream, 0},
		{WAIT(ptr_to_pa((const void *)&iommu_done).v), 1},
	};

	(void)index;
	(void)count;
	iommu_run(unit, COMMAND_TAIL, commands, ARRAY_SIZE(commands));
}

/* A log that was full is stopped until it is switched on again (2.5.13). */
static void restart_log(const struct plan_iommu *unit)
{
	uint64_t control = *iommu_register(unit, CONTROL);

	*iommu_register(unit, CONTROL) = control & ~CONTROL_EVENTS;
	if ((*iommu_register32(unit, STATUS) & STATUS_RUNNING) == 0)
		*iommu_register32(unit, STATUS) = STATUS_OVERFLOW;
	*iommu_register(unit, CONTROL) = control | CONTROL_EVENTS;
}

static bool amdvi_fault(const struct plan_iommu *unit, struct dma_fault *fault)
{
	uint64_t head = *iommu_register(unit, EVENT_HEAD);
	const volatile uint64_t *event = pa_to_ptr(pa(unit->events.v + head));

	if (head == *iommu_register(unit, EVENT_TAIL)) {
		if ((*iommu_register32(unit, STATUS) & STATUS_OVERFLOW) != 0)
			restart_log(unit);
		return false;
	}
	fault->stream = event[0] & 0xffff;
	fault->reason = EVENT_CODE(event[0]);
	fault->write = (event[0] & (EVENT_WRITE | EVENT_INTERRUPT)) != 0;
	fault->address = event[1];
	*iommu_register(unit, EVENT_HEAD) = (head + 16) % PAGE_SIZE;
	return true;
}

const struct iommu_kind amdvi = {&amdvi_format, REGISTER_BYTES, amdvi_adapt, amdvi_translate,
				 amdvi_route,	amdvi_forget,	amdvi_fault};
