/* SPDX-License-Identifier: Apache-2.0 */
/* AMD's IOMMU. Sections: AMD I/O Virtualization 3.08. */
#include "iommu.h"

#include "arch.h"

/* Registers (3.4). */
#define DEVICE_TABLE 0x00
#define COMMANDS 0x08
#define EVENTS 0x10
#define CONTROL 0x18
#define FEATURES 0x30
#define COMMAND_HEAD 0x2000
#define COMMAND_TAIL 0x2008
#define EVENT_HEAD 0x2010
#define EVENT_TAIL 0x2018
#define STATUS 0x2020

#define QUEUE_256 (8ULL << 56) /* entries, of commands or events */
#define CONTROL_ENABLE (1ULL << 0)
#define CONTROL_EVENTS (1ULL << 2)
#define CONTROL_BUS 0xb02ULL /* HyperTransport's attributes: as firmware has them */
#define CONTROL_COHERENT (1ULL << 10)
#define CONTROL_COMMANDS (1ULL << 12)
#define CONTROL_GA (1ULL << 17) /* interrupt entries of 128 bits */
#define CONTROL_XT (1ULL << 50) /* and x2APIC ids in them */
#define STATUS_RUNNING 0x18U /* both queues */
#define STATUS_CLEAR 0x7U

#define FEATURE_XT (1ULL << 2)
#define FEATURE_FORGET_ALL (1ULL << 6)
#define FEATURE_GA (1ULL << 7)

/* Commands (2.4). */
#define FORGET_ALL (8ULL << 60)
#define COMPLETION_WAIT (1ULL << 60 | 1)

/* Device table (2.2.2.1): 4 words of 64 bits each. */
#define DEVICE_WORDS 4UL
#define DEVICE_BYTES 32
#define DEVICES_PER_PAGE ((uint32_t)PAGE_SIZE / DEVICE_BYTES)
#define VALID 3ULL /* with its translation; mode 0 and neither read nor write: blocked */
#define INTERRUPTS_VALID 1ULL
#define INTERRUPTS_64 (6ULL << 1) /* 2^6 entries */
#define INTERRUPTS_REMAPPED (2ULL << 60) /* without it, they are aborted */
static_assert(PLAN_MAX_VECTORS == 64, "each function has as many entries");

/* Interrupt entries (2.2.5.2). */
#define INTERRUPT_ON 1ULL
#define LINE_INDEX                                                                                 \
	16 /* in the IOAPIC's table; stands where else the vector does, which is never lower */

static const char *amdvi_lacks(const struct machine *machine, pa_t registers)
{
	uint64_t features = *iommu_register(registers, FEATURES);

	if (!(features & FEATURE_GA))
		return "lacks interrupt entries of 128 bits";
	if (!(features & FEATURE_FORGET_ALL))
		return "cannot be made to forget everything";
	for (uint32_t i = 0; i < machine->ncpus; i++) {
		if (machine->cpu[i].hwid >= UINT8_MAX && !(features & FEATURE_XT))
			return "lacks interrupts to x2APIC ids";
	}
	return NULL;
}

static uint32_t devices(const struct machine *machine)
{
	uint32_t highest = 0;

	for (uint32_t i = 0; i < machine->nfunctions; i++) {
		const struct machine_function *f = &machine->function[i];

		if (f->iommu != MACHINE_NONE && f->stream > highest)
			highest = f->stream;
	}
	for (uint32_t i = 0; i < machine->x86.nioapics; i++) {
		if (machine->x86.ioapic[i].requester > highest)
			highest = machine->x86.ioapic[i].requester;
	}
	return (uint32_t)align_up(highest + 1, DEVICES_PER_PAGE);
}

/* Where the interrupt entries from @first on stand, as a device's entry has it. */
static uint64_t interrupts(const struct plan_iommu *unit, uint64_t first)
{
	return (unit->interrupts.v + first * IOMMU_INTERRUPT_BYTES) | INTERRUPTS_VALID |
	       INTERRUPTS_64 | INTERRUPTS_REMAPPED;
}

/* One table for all units: a requester id beyond it is refused too (2.2.2). */
static bool amdvi_block(struct boot_info *info, uint32_t unit, struct extent *left)
{
	const struct machine *machine = &info->machine;
	struct plan_iommu *u = &info->plan.iommu[unit];
	uint64_t *table;

	u->flags = IOMMU_COHERENT | IOMMU_SNOOPS;
	u->nstreams = devices(machine);
	u->streams = unit == 0 ? iommu_pages(left, (uint64_t)u->nstreams * DEVICE_BYTES)
			       : info->plan.iommu[0].streams;
	u->events = iommu_pages(left, IOMMU_QUEUE_BYTES);
	if (u->streams.v == 0 || u->events.v == 0)
		return false;
	table = pa_to_ptr(u->streams);
	for (uint32_t i = 0; i < u->nstreams; i++) {
		table[i * DEVICE_WORDS] = VALID;
		table[i * DEVICE_WORDS + 2] = INTERRUPTS_VALID;
	}
	for (uint32_t i = 0; i < machine->nfunctions; i++) {
		if (machine->function[i].iommu != MACHINE_NONE)
			table[machine->function[i].stream * DEVICE_WORDS + 2] =
				interrupts(u, (uint64_t)i * PLAN_MAX_VECTORS);
	}
	return true;
}

static bool amdvi_forget(const struct machine *machine, const struct plan_iommu *unit)
{
	static volatile uint64_t done;
	volatile uint64_t *tail = iommu_register(unit->registers, COMMAND_TAIL);
	uint64_t commands[][2] = {{FORGET_ALL, 0},
				  {COMPLETION_WAIT | ptr_to_pa((const void *)&done).v, 1}};

	done = 0;
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		uint64_t at = *tail;
		uint64_t *slot = pa_to_ptr(pa(unit->commands.v + at));

		slot[0] = commands[i][0];
		slot[1] = commands[i][1];
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		*tail = (at + IOMMU_QUEUE_SLOT) % IOMMU_QUEUE_BYTES;
	}
	return iommu_wait(machine, ptr_to_pa((const void *)&done), 1, 1);
}

static bool amdvi_switch_on(const struct machine *machine, const struct plan_iommu *unit)
{
	pa_t r = unit->registers;
	volatile uint64_t *control = iommu_register(r, CONTROL);
	uint64_t features = *iommu_register(r, FEATURES);

	*control &= ~(CONTROL_EVENTS | CONTROL_COMMANDS);
	if (!iommu_wait(machine, pa(r.v + STATUS), STATUS_RUNNING, 0))
		return false;
	*iommu_register(r, DEVICE_TABLE) =
		unit->streams.v | (unit->nstreams / DEVICES_PER_PAGE - 1);
	*iommu_register(r, COMMANDS) = unit->commands.v | QUEUE_256;
	*iommu_register(r, EVENTS) = unit->events.v | QUEUE_256;
	*iommu_register(r, COMMAND_HEAD) = 0;
	*iommu_register(r, COMMAND_TAIL) = 0;
	*iommu_register(r, EVENT_HEAD) = 0;
	*iommu_register(r, EVENT_TAIL) = 0;
	*iommu_register(r, STATUS) = STATUS_CLEAR;
	*control = (*control & CONTROL_BUS) | CONTROL_ENABLE | CONTROL_EVENTS | CONTROL_COHERENT |
		   CONTROL_COMMANDS | CONTROL_GA | (features & FEATURE_XT ? CONTROL_XT : 0);
	return amdvi_forget(machine, unit);
}

/* 2.2.5.2: on, fixed, edge, physical destination; in a table that only this IOAPIC has. */
static uint64_t amdvi_line(const struct plan_iommu *unit, const struct machine_ioapic *ioapic,
			   uint64_t hwid, uint32_t vector)
{
	uint64_t *device = pa_to_ptr(unit->streams), *entry = pa_to_ptr(unit->interrupts);

	entry += (IOMMU_LINE_ENTRY + LINE_INDEX) * 2;
	entry[1] = (hwid >> 24) << 56 | vector;
	entry[0] = (hwid & 0xffffff) << 8 | INTERRUPT_ON;
	device[ioapic->requester * DEVICE_WORDS + 2] = interrupts(unit, IOMMU_LINE_ENTRY);
	return LINE_INDEX;
}

const struct iommu_kind amdvi = {amdvi_lacks, amdvi_block, amdvi_switch_on, amdvi_forget,
				 amdvi_line};
