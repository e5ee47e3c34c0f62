/* SPDX-License-Identifier: Apache-2.0 */
/* SMMUv3 (IHI 0070F): on, with every stream blocked, before the resident core runs. */
#include "smmu.h"

#include "carve.h"
#include "cpu.h"
#include "registers.h"

#include <bulkhead/planner.h>
#include <bulkhead/smmuv3.h>

#define IDR0_S2P (1U << 0)
#define IDR0_AARCH64 (2U << 2) /* TTF: AArch64 tables, alone or with others */
#define IDR0_COHACC (1U << 4)
#define IDR1_PRESET (3U << 29) /* tables or queues at fixed places */
#define IDR5_GRAN4K (1U << 4)

#define CR0_SMMUEN (1U << 0)
#define CR0_EVENTQEN (1U << 2)
#define CR0_CMDQEN (1U << 3)
/* Queues and tables: write-back, inner shareable. */
#define CR1_COHERENT (3U << 10 | 1U << 8 | 1U << 6 | 3U << 4 | 1U << 2 | 1U << 0)
#define CR2_PTM (1U << 2) /* the CPUs' TLB maintenance is not for this TLB: its tables are others */
#define GBPA_UPDATE (1U << 31)
#define GBPA_ABORT (1U << 20)
#define BASE_ALLOCATE (1ULL << 62) /* RA of STRTAB_BASE, CMDQ_BASE and EVENTQ_BASE */
#define CFGI_RANGE_ALL 31ULL

static uint32_t streams_log2(const struct machine *machine, uint32_t index)
{
	uint32_t log2 = 0;

	for (uint32_t i = 0; i < machine->nfunctions; i++) {
		const struct machine_function *f = &machine->function[i];

		while (f->iommu == index && f->stream >> log2 != 0)
			log2++;
	}
	return log2;
}

const char *smmu_unfit(const struct machine *machine, uint32_t index)
{
	pa_t smmu = machine->arm64.smmu[index];
	uint32_t idr0, idr1, idr5;

	if (!cpu_is_mapped(smmu.v) || !cpu_is_mapped(smmu.v + SMMU_EVENTQ_PROD))
		return "is kept unmapped by firmware";
	idr0 = read32(smmu, SMMU_IDR0);
	idr1 = read32(smmu, SMMU_IDR1);
	idr5 = read32(smmu, SMMU_IDR5);
	if ((idr0 & IDR0_S2P) == 0)
		return "has no stage 2";
	if ((idr0 & IDR0_AARCH64) == 0 || (idr5 & IDR5_GRAN4K) == 0)
		return "does not read tables of AArch64 with 4 KiB pages";
	if ((idr0 & IDR0_COHACC) == 0)
		return "does not read memory coherently";
	if ((idr5 & 7) < 2) /* OAS */
		return "has addresses of fewer than 40 bits";
	if ((idr1 & IDR1_PRESET) != 0)
		return "has its tables or queues at fixed places";
	if ((idr1 >> 21 & 0x1f) < SMMU_COMMANDS_LOG2 || (idr1 >> 16 & 0x1f) < SMMU_EVENTS_LOG2)
		return "has too short queues";
	if (streams_log2(machine, index) > (idr1 & 0x3f))
		return "tells fewer functions apart than firmware says";
	return NULL;
}

/* CR0 takes effect when CR0ACK has the same bits (6.3.9). */
static bool control(pa_t smmu, uint32_t cr0)
{
	write32(smmu, SMMU_CR0, cr0);
	return wait32(smmu, SMMU_CR0ACK, UINT32_MAX, cr0);
}

/* Whatever firmware allowed, nothing passes while the SMMU is off (6.3.14). */
static bool block_bypass(pa_t smmu)
{
	if (!wait32(smmu, SMMU_GBPA, GBPA_UPDATE, 0))
		return false;
	write32(smmu, SMMU_GBPA, GBPA_UPDATE | GBPA_ABORT);
	return wait32(smmu, SMMU_GBPA, GBPA_UPDATE, 0);
}

static void post(const struct plan_iommu *smmu, uint64_t low, uint64_t high)
{
	uint32_t index = read32(smmu->registers, SMMU_CMDQ_PROD);
	uint64_t *command = pa_to_ptr(smmu->commands);

	command += 2ULL * (index & ((1U << SMMU_COMMANDS_LOG2) - 1));
	command[0] = low;
	command[1] = high;
	dsb();
	write32(smmu->registers, SMMU_CMDQ_PROD, index + 1);
}

/* What firmware left in its caches is forgotten (4.3.4, 4.4.4.5). */
static bool forget_all(const struct plan_iommu *smmu)
{
	post(smmu, SMMU_CFGI_ALL, CFGI_RANGE_ALL);
	post(smmu, SMMU_TLBI_NSNH_ALL, 0);
	post(smmu, SMMU_SYNC, 0);
	return wait32(smmu->registers, SMMU_CMDQ_CONS, UINT32_MAX,
		      read32(smmu->registers, SMMU_CMDQ_PROD));
}

static void fill_streams(const struct plan_iommu *smmu)
{
	uint64_t *entry = pa_to_ptr(smmu->streams);

	for (uint32_t i = 0; i < smmu->nstreams; i++)
		entry[(uint64_t)i * SMMU_STE_WORDS] = SMMU_STE_VALID | SMMU_STE_ABORT;
	dsb();
}

static void point(const struct plan_iommu *smmu, uint32_t log2)
{
	pa_t at = smmu->registers;

	write32(at, SMMU_IRQ_CTRL, 0); /* events are polled */
	write32(at, SMMU_CR1, CR1_COHERENT);
	write32(at, SMMU_CR2, CR2_PTM);
	write64(at, SMMU_STRTAB_BASE, BASE_ALLOCATE | smmu->streams.v);
	write32(at, SMMU_STRTAB_BASE_CFG, log2); /* linear */
	write64(at, SMMU_CMDQ_BASE, BASE_ALLOCATE | smmu->commands.v | SMMU_COMMANDS_LOG2);
	write32(at, SMMU_CMDQ_PROD, 0);
	write32(at, SMMU_CMDQ_CONS, 0);
	write64(at, SMMU_EVENTQ_BASE, BASE_ALLOCATE | smmu->events.v | SMMU_EVENTS_LOG2);
	write32(at, SMMU_EVENTQ_PROD, 0);
	write32(at, SMMU_EVENTQ_CONS, 0);
	write32(at, SMMU_GERRORN, read32(at, SMMU_GERROR));
}

static bool bring_up(const struct plan_iommu *smmu, uint32_t log2)
{
	pa_t at = smmu->registers;

	if (!block_bypass(at) || !control(at, 0))
		return false;
	fill_streams(smmu);
	point(smmu, log2);
	return control(at, CR0_CMDQEN) && forget_all(smmu) &&
	       control(at, CR0_CMDQEN | CR0_EVENTQEN) &&
	       control(at, CR0_CMDQEN | CR0_EVENTQEN | CR0_SMMUEN);
}

void smmu_start(const struct machine *machine, uint32_t index, struct extent *memory,
		struct plan_iommu *out)
{
	uint32_t log2 = streams_log2(machine, index);

	if (smmu_unfit(machine, index) != NULL)
		return;
	*out = (struct plan_iommu){.registers = machine->arm64.smmu[index], .nstreams = 1U << log2};
	out->streams = carve(memory, (uint64_t)SMMU_STREAM_BYTES << log2,
			     (uint64_t)SMMU_STREAM_BYTES << log2);
	out->commands = carve(memory, IOMMU_TABLE_BYTES, IOMMU_TABLE_BYTES);
	out->events = carve(memory, IOMMU_TABLE_BYTES, IOMMU_TABLE_BYTES);
	if (out->streams.v == 0 || out->commands.v == 0 || out->events.v == 0 ||
	    !bring_up(out, log2))
		out->registers = pa(0);
}
