/* SPDX-License-Identifier: Apache-2.0 */
/* The ITS (IHI 0069H 5, 12.19) before the resident core runs. */
#include "its.h"

#include "carve.h"
#include "cpu.h"
#include "lpi_test.h"
#include "registers.h"

#include <bulkhead/its.h>

#include <string.h>

#define GICD_CTLR 0x0000
#define GICD_CTLR_ENABLE_GRP1 (1U << 1)
#define GICD_CTLR_ARE (1U << 4)
#define GICD_CTLR_RWP (1U << 31)
#define GICD_TYPER 0x0004
#define GICD_IIDR 0x0008
#define GICD_IIDR_QEMU 0x43b
#define GICD_TYPER_LPIS (1U << 17)
#define GICR_CTLR 0x0000
#define GICR_TYPER 0x0008
#define GICR_ICENABLER0 0x10180 /* in SGI_base */
#define PAGE_SIZES 3

static_assert(PLAN_MAX_VECTORS == 1 << ITS_EVENT_BITS, "event ids of a function");

/* Tables stand apart by what the largest page is, so that any page size does. */
static pa_t take(struct extent *memory, uint64_t bytes)
{
	return carve(memory, align_up(bytes, IOMMU_TABLE_BYTES), IOMMU_TABLE_BYTES);
}

static uint64_t type_of(uint64_t baser)
{
	return baser >> 56 & 7;
}

static uint64_t entry_bytes(uint64_t baser)
{
	return (baser >> 48 & 0x1f) + 1;
}

/* Firmware that has LPIs on has tables of its own in use, which may not be changed any more (12.11.2). */
bool its_is_usable(const struct machine *machine)
{
	pa_t its = machine->arm64.its;

	if (its.v == 0 || !cpu_is_mapped(its.v) ||
	    (read32(machine->arm64.gicd, GICD_TYPER) & GICD_TYPER_LPIS) == 0 ||
	    (read32(machine->arm64.gicd, GICD_TYPER) >> 19 & 0x1f) + 1 < LPI_ID_BITS)
		return false;
	for (uint32_t i = 0; i < machine->ncpus; i++) {
		if ((read32(machine->cpu[i].gicr, GICR_CTLR) & GICR_CTLR_ENABLE_LPIS) != 0)
			return false;
	}
	return (read64(its, GITS_TYPER) & GITS_TYPER_PHYSICAL) != 0;
}

bool its_shares_lpis(const struct machine *machine)
{
	return read32(machine->arm64.gicd, GICD_IIDR) == GICD_IIDR_QEMU;
}

static uint32_t highest_device(const struct machine *machine)
{
	uint32_t highest = 0;

	for (uint32_t i = 0; i < machine->nfunctions; i++) {
		if (machine->function[i].msi_device > highest)
			highest = machine->function[i].msi_device;
	}
	return highest;
}

/* Gives table register @at @bytes at @table; the page size is what the ITS takes. False when it does not take it so. */
static bool set_table(pa_t its, uint64_t at, pa_t table, uint64_t bytes)
{
	for (uint64_t size = PAGE_SIZES; size-- > 0;) {
		uint64_t page = 4 * KIB << 2 * size;
		uint64_t value = GITS_VALID | GITS_COHERENT | table.v | size << 8 |
				 (align_up(bytes, page) / page - 1);
		uint64_t kept = GITS_VALID | GITS_SHAREABLE | 0xfffffffff3ffULL;

		write64(its, at, value);
		if ((read64(its, at) & kept) == (value & kept))
			return true;
	}
	return false;
}

/* A table of @count entries for each that the ITS asks for; others, as those for virtual PEs, stay away. */
static bool set_tables(const struct machine *machine, const struct plan_its *its,
		       struct extent *memory)
{
	pa_t at = its->registers;

	for (uint64_t i = 0; i < GITS_BASERS; i++) {
		uint64_t offset = GITS_BASER + 8 * i, baser = read64(at, offset), bytes;
		bool devices = type_of(baser) == GITS_BASER_DEVICES;
		pa_t table;

		if (!devices && type_of(baser) != GITS_BASER_COLLECTIONS)
			continue;
		bytes = entry_bytes(baser) * (devices ? its->ndevices : machine->ncpus + 1U);
		table = take(memory, bytes);
		if (table.v == 0 || !set_table(at, offset, table, bytes))
			return false;
	}
	return true;
}

/* What commands call core @cpu: the address of its redistributor, or its number there (5.3.1). */
static uint64_t target_of(const struct machine *machine, uint32_t cpu)
{
	pa_t gicr = machine->cpu[cpu].gicr;

	if ((read64(machine->arm64.its, GITS_TYPER) & GITS_TYPER_PTA) != 0)
		return gicr.v;
	return (read64(gicr, GICR_TYPER) >> 8 & 0xffff) << 16;
}

/* Has the ITS do a command, and waits until it is done: false when it never is. */
static bool queue(const struct plan_its *its, uint64_t first, uint64_t second, uint64_t third)
{
	uint64_t write = read64(its->registers, GITS_CWRITER);
	uint64_t *command = pa_to_ptr(pa(its->commands.v + write));

	command[0] = first;
	command[1] = second;
	command[2] = third;
	command[3] = 0;
	dsb();
	write64(its->registers, GITS_CWRITER, (write + ITS_COMMAND_BYTES) % ITS_QUEUE_BYTES);
	return wait32(its->registers, GITS_CREADR, UINT32_MAX,
		      read32(its->registers, GITS_CWRITER));
}

static bool map_collections(const struct machine *machine, uint32_t management_core,
			    const struct plan_its *its)
{
	for (uint32_t i = 0; i <= machine->ncpus; i++) {
		uint32_t core = i < machine->ncpus ? i : management_core;

		if (!queue(its, ITS_MAPC, 0, GITS_VALID | target_of(machine, core) | i))
			return false;
	}
	return true;
}

static bool bring_up(const struct machine *machine, uint32_t management_core,
		     const struct plan_its *its, struct extent *memory)
{
	pa_t at = its->registers;

	write32(at, GITS_CTLR, 0);
	if (!wait32(at, GITS_CTLR, GITS_CTLR_QUIESCENT, GITS_CTLR_QUIESCENT))
		return false;
	memset(pa_to_ptr(its->properties), LPI_PROPERTIES, LPI_COUNT);
	if (!set_tables(machine, its, memory))
		return false;
	write64(at, GITS_CBASER,
		GITS_VALID | GITS_COHERENT | its->commands.v | (ITS_QUEUE_BYTES / PAGE_SIZE - 1));
	if ((read64(at, GITS_CBASER) & GITS_SHAREABLE) == 0)
		return false;
	write64(at, GITS_CWRITER, 0);
	dsb();
	write32(at, GITS_CTLR, GITS_CTLR_ENABLED);
	return map_collections(machine, management_core, its);
}

void its_start(const struct machine *machine, uint32_t management_core, struct extent *memory,
	       struct plan_its *out)
{
	uint64_t nmsix = 0;

	for (uint32_t i = 0; i < machine->nfunctions; i++)
		nmsix += machine->function[i].msix != 0;
	if (nmsix == 0 || !its_is_usable(machine))
		return;
	*out = (struct plan_its){.registers = machine->arm64.its,
				 .ndevices = highest_device(machine) + 1};
	out->commands = take(memory, IOMMU_TABLE_BYTES);
	out->properties = take(memory, IOMMU_TABLE_BYTES);
	out->pending = take(memory, machine->ncpus * IOMMU_TABLE_BYTES);
	out->translations = take(memory, nmsix * ITS_ITT_BYTES);
	if (out->commands.v == 0 || out->properties.v == 0 || out->pending.v == 0 ||
	    out->translations.v == 0 || !bring_up(machine, management_core, out, memory))
		*out = (struct plan_its){.registers = pa(0)};
}

/* ---- Trying whether LPIs of one number are kept apart ---- */

#define LOOKS 100000U /* for an LPI that is on its way: all commands for it are done */

struct trial {
	const struct machine *machine;
	const struct plan_its *its;
	uint32_t core[2];
};

static bool sync(const struct trial *t)
{
	return queue(t->its, ITS_SYNC, 0, target_of(t->machine, t->core[0])) &&
	       queue(t->its, ITS_SYNC, 0, target_of(t->machine, t->core[1]));
}

static bool command(void *context, enum its_command what, uint32_t device, uint32_t collection)
{
	const struct trial *t = context;
	uint64_t lpi = what == ITS_MAPTI ? LPI_FIRST : 0;

	return queue(t->its, what | (uint64_t)device << 32, lpi << 32, collection) && sync(t);
}

static bool take_lpi(void *context, bool wanted)
{
	(void)context;
	for (uint32_t i = 0; i < (wanted ? LOOKS : LOOKS / 100); i++)
		if (cpu_take_interrupt() == LPI_FIRST)
			return true;
	return false;
}

/* @table: where the device's events are translated, and that it may have some; 0: it has none. */
static bool map_device(const struct trial *t, uint32_t device, uint64_t table)
{
	return queue(t->its, ITS_MAPD | (uint64_t)device << 32, ITS_EVENT_BITS - 1, table);
}

/* As the resident core does it, which finds it done (12.11.2). */
static void enable_lpis(const struct machine *machine, const struct plan_its *its, uint32_t core)
{
	pa_t gicr = machine->cpu[core].gicr;

	write64(gicr, GICR_PROPBASER, its->properties.v | GICR_COHERENT | (LPI_ID_BITS - 1));
	write64(gicr, GICR_PENDBASER,
		(its->pending.v + core * IOMMU_TABLE_BYTES) | GICR_COHERENT | GICR_PENDBASER_ZERO);
	dsb();
	write32(gicr, GICR_CTLR, read32(gicr, GICR_CTLR) | GICR_CTLR_ENABLE_LPIS);
	dsb();
}

/* Firmware has switched it off. Of this core's own interrupts none is wanted. */
static void open_gic(const struct machine *machine)
{
	pa_t gicd = machine->arm64.gicd;

	write32(gicd, GICD_CTLR, GICD_CTLR_ARE);
	wait32(gicd, GICD_CTLR, GICD_CTLR_RWP, 0);
	write32(gicd, GICD_CTLR, GICD_CTLR_ARE | GICD_CTLR_ENABLE_GRP1);
	wait32(gicd, GICD_CTLR, GICD_CTLR_RWP, 0);
	write32(machine->cpu[machine->boot_cpu].gicr, GICR_ICENABLER0, UINT32_MAX);
	cpu_open_interface();
}

bool its_keeps_lpis_apart(const struct machine *machine, const struct plan_its *its, bool *tried)
{
	struct trial t = {.machine = machine, .its = its, .core = {machine->boot_cpu}};
	struct lpi_rig rig = {.context = &t, .command = command, .take = take_lpi};
	uint64_t table[2], at = its->translations.v;
	uint32_t found = 0;
	bool apart;

	*tried = false;
	for (uint32_t i = 0; i < machine->nfunctions && found < 2; i++) {
		const struct machine_function *f = &machine->function[i];

		if (f->msix != 0 && f->msi_device < its->ndevices) {
			rig.device[found] = f->msi_device;
			table[found++] = at;
		}
		at += f->msix != 0 ? ITS_ITT_BYTES : 0;
	}
	if (found < 2 || machine->ncpus < 2)
		return true;
	*tried = true;
	t.core[1] = machine->boot_cpu == 0;
	rig.here = t.core[0];
	rig.there = t.core[1];
	open_gic(machine);
	for (uint32_t i = 0; i < 2; i++)
		enable_lpis(machine, its, t.core[i]);
	for (uint32_t i = 0; i < 2; i++)
		if (!map_device(&t, rig.device[i], GITS_VALID | table[i]))
			return false;
	apart = lpis_are_apart(&rig);
	for (uint32_t i = 0; i < 2; i++)
		apart = map_device(&t, rig.device[i], 0) && apart;
	return sync(&t) && apart;
}
