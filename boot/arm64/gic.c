/* SPDX-License-Identifier: Apache-2.0 */
/* GICv3: IHI 0069H, 12.9 distributor, 12.11 redistributor registers. */
#include "gic.h"

#include "cpu.h"
#include "registers.h"

#define GICD_TYPER 0x0004
#define GICD_PIDR2 0xffe8 /* the same in every 64 KiB frame */
#define GICR_TYPER 0x0008
#define GICR_TYPER_VLPIS (1ULL << 1)
#define GICR_TYPER_LAST (1ULL << 4)
#define GICR_BYTES 0x20000
#define GICR_VLPI_BYTES 0x40000 /* with the two frames for virtual LPIs */

/* 0 where no GIC can be: some firmware maps only the redistributors that it uses itself. */
static uint32_t arch_revision(pa_t frame)
{
	if (!cpu_is_mapped(frame.v) || !cpu_is_mapped(frame.v + GICD_PIDR2))
		return 0;
	return read32(frame, GICD_PIDR2) >> 4 & 0xf;
}

/* ITLinesNumber counts blocks of 32 INTIDs, of which the first are SGIs and PPIs. */
static uint32_t spi_count(pa_t gicd)
{
	uint32_t count = (read32(gicd, GICD_TYPER) & 0x1f) * 32;

	return count < MACHINE_SPI_COUNT ? count : MACHINE_SPI_COUNT;
}

static bool all_found(const struct machine *machine)
{
	for (uint32_t i = 0; i < machine->ncpus; i++) {
		if (machine->cpu[i].gicr.v == 0)
			return false;
	}
	return true;
}

static void assign(struct machine *machine, pa_t frame, uint64_t typer)
{
	uint64_t affinity = typer >> 32;
	uint64_t hwid = (affinity & 0xffffff) | (affinity >> 24) << 32;

	for (uint32_t i = 0; i < machine->ncpus; i++) {
		if (machine->cpu[i].hwid == hwid)
			machine->cpu[i].gicr = frame;
	}
}

/* Walks a region's frames to the one marked last, or until no core misses its own. */
static enum bh_error walk_region(struct machine *machine, struct extent region,
				 struct bh_report *report)
{
	uint64_t typer = 0, stride;

	for (uint64_t at = 0;
	     !(typer & GICR_TYPER_LAST) && !all_found(machine) && at + GICR_BYTES <= region.size;
	     at += stride) {
		pa_t frame = pa(region.base.v + at);
		uint32_t revision = arch_revision(frame);

		if (revision != 3 && revision != 4)
			return bh_fail(
				report, BH_BAD_MACHINE,
				"there is no GICv3 redistributor at 0x%llx, or firmware keeps "
				"it unmapped",
				(unsigned long long)frame.v);
		typer = read64(frame, GICR_TYPER);
		stride = typer & GICR_TYPER_VLPIS ? GICR_VLPI_BYTES : GICR_BYTES;
		assign(machine, frame, typer);
	}
	return BH_OK;
}

enum bh_error gic_probe(struct machine *machine, const struct gic_regions *regions,
			struct bh_report *report)
{
	uint32_t revision = arch_revision(machine->arm64.gicd);
	enum bh_error error = BH_OK;

	if (revision != 3 && revision != 4)
		return bh_fail(report, BH_BAD_MACHINE,
			       "the interrupt controller is GIC architecture %u; 3 or 4 is needed",
			       revision);
	machine->arm64.gic_version = revision;
	if (cpu_list_registers() <
	    2) /* the maintenance interrupt comes when one is in use (12.4.7) */
		machine->arm64.maintenance_ppi = 0;
	machine->arm64.spi_count = spi_count(machine->arm64.gicd);
	for (uint32_t i = 0; i < regions->count && error == BH_OK; i++)
		error = walk_region(machine, regions->region[i], report);
	for (uint32_t i = 0; i < machine->ncpus && error == BH_OK; i++) {
		if (machine->cpu[i].gicr.v == 0)
			error = bh_fail(report, BH_BAD_MACHINE,
					"core %u (MPIDR 0x%llx) has no GIC redistributor", i,
					(unsigned long long)machine->cpu[i].hwid);
	}
	return error;
}
