/* SPDX-License-Identifier: Apache-2.0 */
/* Intel's IOMMU. Sections: Intel VT-d 4.1. */
#include "iommu.h"

#include "arch.h"

/* Registers (11.4). */
#define CAP 0x08
#define ECAP 0x10
#define GCMD 0x18
#define GSTS 0x1c
#define RTADDR 0x20
#define FSTS 0x34
#define FECTL 0x38
#define PMEN 0x64
#define IQT 0x88
#define IQA 0x90
#define IRTA 0xb8

#define CAP_ND(cap) ((cap)&7) /* 2^(4 + 2 ND) domains */
#define CAP_RWBF (1ULL << 4)
#define CAP_FRO(cap) (((cap) >> 24 & 0x3ff) * FAULT_BYTES)
#define CAP_NFR(cap) (((cap) >> 40 & 0xff) + 1)
#define ECAP_COHERENT (1ULL << 0)
#define ECAP_SNOOPS (1ULL << 7)
#define ECAP_MHMV(ecap) ((ecap) >> 20 & 0xf)
#define FAULT_BYTES 16
#define FAULT_F (1ULL << 63)

/* Of GCMD and, in the same place, GSTS. */
#define TRANSLATION (1U << 31)
#define ROOT_POINTER (1U << 30)
#define QUEUE (1U << 26)
#define REMAPPING (1U << 25)
#define INTERRUPT_POINTER (1U << 24)
#define LASTING                                                                                    \
	(TRANSLATION | QUEUE | REMAPPING) /* what is on stays on; compatibility format stays off */

#define FSTS_CLEAR 0x71U /* what is cleared by writing ones */
#define FECTL_MASKED (1U << 31)
#define PMEN_ENABLE (1U << 31)
#define PMEN_STATUS 1U
#define IRTA_X2APIC (1U << 11)
#define IRTA_SIZE 12U /* 2^13 entries */
static_assert(2U << IRTA_SIZE == 2 * IOMMU_LINE_ENTRY, "all entries are in use");

/* Invalidation descriptors (6.5.2). */
#define FORGET_CONTEXTS (1ULL | 1 << 4)
#define FORGET_TRANSLATIONS (2ULL | 1 << 4 | 3 << 6) /* reads and writes drained */
#define FORGET_INTERRUPTS 4ULL
#define QUEUE_WAIT (5ULL | 1 << 5)

#define PRESENT 1ULL

/* A bit that must be 1. */
struct capability {
	uint32_t reg;
	uint32_t bit;
	const char *what;
};

static const struct capability needs[] = {
	{CAP, 10, "lacks tables of 4 levels"},	{CAP, 34, "lacks pages of 2 MiB"},
	{CAP, 35, "lacks pages of 1 GiB"},	{CAP, 54, "cannot drain writes"},
	{CAP, 55, "cannot drain reads"},	{ECAP, 1, "lacks queued invalidation"},
	{ECAP, 3, "lacks interrupt remapping"}, {ECAP, 4, "lacks interrupts to x2APIC ids"},
};

static const char *vtd_lacks(const struct machine *machine, pa_t registers)
{
	uint64_t cap = *iommu_register(registers, CAP), ecap = *iommu_register(registers, ECAP);

	(void)machine;
	for (size_t i = 0; i < ARRAY_SIZE(needs); i++) {
		if (!((needs[i].reg == CAP ? cap : ecap) >> needs[i].bit & 1))
			return needs[i].what;
	}
	if (cap & CAP_RWBF)
		return "has a write buffer to be flushed";
	if (CAP_ND(cap) < 3)
		return "has fewer than 1024 domains";
	if (CAP_FRO(cap) + CAP_NFR(cap) * FAULT_BYTES > PAGE_SIZE)
		return "has registers beyond a page";
	/* A function's entries are forgotten in one go. */
	return 1U << ECAP_MHMV(ecap) < PLAN_MAX_VECTORS ? "forgets too few interrupts at once"
							: NULL;
}

/* A root entry for each bus with a function (9.1), its context entries (9.3) not present: blocked. */
static bool vtd_block(struct boot_info *info, uint32_t unit, struct extent *left)
{
	const struct machine *machine = &info->machine;
	struct plan_iommu *u = &info->plan.iommu[unit];
	uint64_t ecap = *iommu_register(u->registers, ECAP);
	pa_t root = iommu_pages(left, PAGE_SIZE);
	uint64_t *bus = pa_to_ptr(root);

	if (root.v == 0)
		return false;
	u->streams = root;
	if (ecap & ECAP_COHERENT)
		u->flags |= IOMMU_COHERENT;
	if (ecap & ECAP_SNOOPS)
		u->flags |= IOMMU_SNOOPS;
	for (uint32_t i = 0; i < machine->nfunctions; i++) {
		const struct machine_function *f = &machine->function[i];
		uint64_t *entry = &bus[(f->stream >> 8 & 0xff) * 2UL];
		pa_t contexts;

		if (f->iommu != unit || *entry != 0)
			continue;
		contexts = iommu_pages(left, PAGE_SIZE);
		if (contexts.v == 0)
			return false;
		*entry = contexts.v | PRESENT;
	}
	return true;
}

/* 11.4.4: one bit at a time, the others as they are. */
static bool command(const struct machine *machine, pa_t registers, uint32_t bit, bool on)
{
	uint32_t lasting = *iommu_register32(registers, GSTS) & LASTING;

	*iommu_register32(registers, GCMD) = on ? lasting | bit : lasting & ~bit;
	return iommu_wait(machine, pa(registers.v + GSTS), bit, on ? bit : 0);
}

/* The caches of tables need not see the processors'. */
static void write_back(void)
{
	__asm__ volatile("wbinvd" : : : "memory");
}

static void append(const struct plan_iommu *unit, uint64_t low, uint64_t high)
{
	volatile uint64_t *tail = iommu_register(unit->registers, IQT);
	uint64_t at = *tail;
	uint64_t *slot = pa_to_ptr(pa(unit->commands.v + at));

	slot[0] = low;
	slot[1] = high;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	*tail = (at + IOMMU_QUEUE_SLOT) % IOMMU_QUEUE_BYTES;
}

static bool vtd_forget(const struct machine *machine, const struct plan_iommu *unit)
{
	static volatile uint32_t done;

	done = 0;
	write_back();
	append(unit, FORGET_CONTEXTS, 0);
	append(unit, FORGET_TRANSLATIONS, 0);
	append(unit, FORGET_INTERRUPTS, 0);
	append(unit, QUEUE_WAIT | 1ULL << 32, ptr_to_pa((const void *)&done).v);
	return iommu_wait(machine, ptr_to_pa((const void *)&done), 1, 1);
}

/* What firmware left is no fault of a VM's. */
static void clear_faults(pa_t registers)
{
	uint64_t cap = *iommu_register(registers, CAP);

	*iommu_register32(registers, FECTL) = FECTL_MASKED;
	for (uint64_t i = 0; i < CAP_NFR(cap); i++)
		*iommu_register(registers, CAP_FRO(cap) + i * FAULT_BYTES + 8) = FAULT_F;
	*iommu_register32(registers, FSTS) = FSTS_CLEAR;
}

static bool vtd_switch_on(const struct machine *machine, const struct plan_iommu *unit)
{
	pa_t r = unit->registers;

	write_back();
	if (!command(machine, r, QUEUE, false))
		return false;
	clear_faults(r);
	*iommu_register(r, IQT) = 0;
	*iommu_register(r, IQA) = unit->commands.v;
	*iommu_register(r, RTADDR) = unit->streams.v;
	*iommu_register(r, IRTA) = unit->interrupts.v | IRTA_X2APIC | IRTA_SIZE;
	if (!command(machine, r, QUEUE, true) || !command(machine, r, ROOT_POINTER, true) ||
	    !command(machine, r, INTERRUPT_POINTER, true) || !vtd_forget(machine, unit) ||
	    !command(machine, r, TRANSLATION, true) || !command(machine, r, REMAPPING, true))
		return false;
	*iommu_register32(r, PMEN) &=
		~PMEN_ENABLE; /* what firmware protected is blocked by now (11.4.8) */
	return iommu_wait(machine, pa(r.v + PMEN), PMEN_STATUS, 0);
}

/* 9.10: present, fixed, edge, physical destination; for the IOAPIC's requester id only. */
static uint64_t vtd_line(const struct plan_iommu *unit, const struct machine_ioapic *ioapic,
			 uint64_t hwid, uint32_t vector)
{
	uint64_t *entry = pa_to_ptr(unit->interrupts);

	entry += IOMMU_LINE_ENTRY * 2;
	entry[1] = 1ULL << 18 | ioapic->requester;
	entry[0] = hwid << 32 | vector << 16 | PRESENT;
	return IOMMU_LINE_ENTRY << 49 | 1ULL << 48 | vector; /* 5.1.5.1 */
}

const struct iommu_kind vtd = {vtd_lacks, vtd_block, vtd_switch_on, vtd_forget, vtd_line};
