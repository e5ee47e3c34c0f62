/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ACPI 6.5: 5.2.5 RSDP, 5.2.8 XSDT, 5.2.9 FADT, 5.2.12 MADT, 5.2.16 SRAT,
 * 5.2.25 GTDT, 6.4.3.6 Extended Interrupt descriptor. PCI Firmware 3.3, 4.1.2
 * MCFG. IORT: Arm DEN0049E. SPCR and DBG2: Microsoft, Serial Port Console Redirection and
 * Debug Port Table 2. DMAR: Intel VT-d 4.1, 8. IVRS: AMD I/O Virtualization 3.08, 5.2.
 */
#include "machine_acpi.h"

#include <string.h>

#include <bulkhead/checked.h>
#include <bulkhead/format.h>

#define HEADER_BYTES 36
#define RSDP_BYTES 36
#define RSDP_V1_BYTES 20
#define MAX_TABLE (16 * MIB)
#define MPIDR_AFFINITY 0xff00ffffffULL /* Arm ARM D19.2.98, MPIDR_EL1 */
#define FIRST_SPI 32
#define NO_APIC 0xffU /* broadcast: firmware's mark for a processor that is not there */
#define NO_X2APIC UINT32_MAX
#define DBG2_SERIAL 0x8000
#define GAS_SYSTEM_MEMORY 0 /* address spaces, ACPI 6.5 5.2.3.2 */
#define GAS_SYSTEM_IO 1

/* A table, or an entry of one. Reading behind its end gives 0: old revisions are shorter. */
struct table {
	const uint8_t *bytes;
	uint64_t size;
};

static uint64_t get(const struct table *t, uint64_t offset, size_t width)
{
	uint64_t value = 0;

	if (range_inside(offset, width, 0, t->size))
		memcpy(&value, t->bytes + offset, width); /* little-endian, as we are */
	return value;
}

static uint8_t get8(const struct table *t, uint64_t offset)
{
	return (uint8_t)get(t, offset, 1);
}

static uint16_t get16(const struct table *t, uint64_t offset)
{
	return (uint16_t)get(t, offset, 2);
}

static uint32_t get32(const struct table *t, uint64_t offset)
{
	return (uint32_t)get(t, offset, 4);
}

static uint64_t get64(const struct table *t, uint64_t offset)
{
	return get(t, offset, 8);
}

static uint8_t sum(const uint8_t *bytes, uint64_t size)
{
	uint8_t total = 0;

	for (uint64_t i = 0; i < size; i++)
		total = (uint8_t)(total + bytes[i]);
	return total;
}

static enum bh_error bad(struct acpi_reader *r, const struct table *t, const char *what)
{
	return bh_fail(r->report, BH_BAD_MACHINE, "ACPI table %.4s %s", (const char *)t->bytes,
		       what);
}

/* What is said of functions' DMA makes no sense: no VM gets one, and all else goes on. */
static enum bh_error lost(struct acpi_reader *r)
{
	r->dma->lost = true;
	return BH_OK;
}

static void spi_used(struct acpi_reader *r, uint32_t gsiv)
{
	uint32_t n = gsiv - FIRST_SPI;

	if (r->machine->arch == MACHINE_ARM64 && gsiv >= FIRST_SPI && n < MACHINE_SPI_COUNT)
		r->machine->arm64.spi_used[n / 8] |= (uint8_t)(1U << (n % 8));
}

/*
 * The sub-table at @at, whose length stands in @width bytes at its @offset. False when it is not
 * whole.
 */
static bool entry_at(const struct table *t, uint64_t at, uint64_t offset, size_t width,
		     struct table *entry)
{
	uint64_t size = get(t, at + offset, width);

	if (size < 4 || !range_inside(at, size, 0, t->size))
		return false;
	*entry = (struct table){t->bytes + at, size};
	return true;
}

/* ---- MADT ---- */

static enum bh_error madt_gicc(struct acpi_reader *r, const struct table *e)
{
	struct machine *m = r->machine;
	struct machine_cpu *cpu = &m->cpu[m->ncpus];

	spi_used(r, get32(e, 20));
	if (!(get32(e, 12) & 1) ||
	    m->ncpus == CONFIG_MAX_CPUS) /* not enabled, or more than we manage */
		return BH_OK;
	*cpu = (struct machine_cpu){
		.hwid = get64(e, 68) & MPIDR_AFFINITY,
		.gicr = pa(get64(e, 60)),
		.core_id = m->ncpus,
	};
	m->arm64.pmu_ppi = get32(e, 20) < FIRST_SPI ? get32(e, 20) : 0;
	m->arm64.maintenance_ppi = get32(e, 56) < FIRST_SPI ? get32(e, 56) : 0;
	r->uid[m->ncpus++] = get32(e, 8);
	return BH_OK;
}

static enum bh_error madt_gicr(struct acpi_reader *r, const struct table *t, const struct table *e)
{
	struct gic_regions *g = r->regions;
	struct extent region = {pa(get64(e, 4)), get32(e, 12)};
	uint64_t end;

	if (g->count == GIC_MAX_REGIONS)
		return bad(r, t, "names more redistributor regions than this build allows");
	if (!add_ok(region.base.v, region.size, &end))
		return bad(r, t, "has a redistributor region that does not fit in 64 bits");
	g->region[g->count++] = region;
	return BH_OK;
}

/* An MSI frame of GICv2m: its SPIs belong to devices. */
static void madt_msi_frame(struct acpi_reader *r, const struct table *e)
{
	for (uint32_t i = 0; i < get16(e, 20); i++)
		spi_used(r, get16(e, 22) + i);
}

static enum bh_error madt_arm64(struct acpi_reader *r, const struct table *t, const struct table *e)
{
	struct machine_arm64 *arm64 = &r->machine->arm64;

	switch (get8(e, 0)) {
	case 0x0b:
		return madt_gicc(r, e);
	case 0x0c:
		arm64->gicd = pa(get64(e, 8));
		arm64->gic_version = get8(e, 20);
		return BH_OK;
	case 0x0d:
		madt_msi_frame(r, e);
		return BH_OK;
	case 0x0e:
		return madt_gicr(r, t, e);
	case 0x0f:
		if (arm64->its.v == 0) {
			arm64->its = pa(get64(e, 8));
			r->its_id = get32(e, 4);
		}
		return BH_OK;
	default:
		return BH_OK;
	}
}

/*
 * A processor with local APIC @id. One that is only "online capable" is for hot-plug: it is not
 * there. Firmware may name a processor both as APIC and as x2APIC.
 */
static void madt_apic(struct acpi_reader *r, uint32_t id, uint32_t flags, uint32_t uid)
{
	struct machine *m = r->machine;

	if (!(flags & 1) || m->ncpus == CONFIG_MAX_CPUS)
		return;
	for (uint32_t i = 0; i < m->ncpus; i++) {
		if (m->cpu[i].hwid == id)
			return;
	}
	m->cpu[m->ncpus] = (struct machine_cpu){.hwid = id, .core_id = m->ncpus};
	r->uid[m->ncpus++] = uid;
}

static enum bh_error madt_ioapic(struct acpi_reader *r, const struct table *t,
				 const struct table *e)
{
	struct machine_x86 *x86 = &r->machine->x86;

	if (x86->nioapics == MACHINE_MAX_IOAPIC)
		return bad(r, t, "names more IOAPICs than this build allows");
	x86->ioapic[x86->nioapics++] = (struct machine_ioapic){
		.base = pa(get32(e, 4)), .gsi_base = get32(e, 8), .id = get8(e, 2)};
	return BH_OK;
}

/* The global system interrupt of ISA interrupt @irq: the same number where nothing else was said. */
static uint32_t isa_gsi(const struct acpi_reader *r, uint8_t irq)
{
	bool moved = irq < ACPI_ISA_IRQS && r->isa_moved[irq];

	return moved ? r->isa_gsi[irq] : irq;
}

static void madt_override(struct acpi_reader *r, const struct table *e)
{
	uint8_t irq = get8(e, 3);

	if (get8(e, 2) != 0 || irq >= ACPI_ISA_IRQS) /* bus 0: ISA */
		return;
	r->isa_moved[irq] = true;
	r->isa_gsi[irq] = get32(e, 4);
}

static enum bh_error madt_x86(struct acpi_reader *r, const struct table *t, const struct table *e)
{
	switch (get8(e, 0)) {
	case 0:
		if (get8(e, 3) != NO_APIC)
			madt_apic(r, get8(e, 3), get32(e, 4), get8(e, 2));
		return BH_OK;
	case 1:
		return madt_ioapic(r, t, e);
	case 2:
		madt_override(r, e);
		return BH_OK;
	case 9:
		if (get32(e, 4) != NO_X2APIC)
			madt_apic(r, get32(e, 4), get32(e, 8), get32(e, 12));
		return BH_OK;
	default: /* as 5, the local APICs' address: it is not used in x2APIC mode */
		return BH_OK;
	}
}

static enum bh_error read_madt(struct acpi_reader *r, const struct table *t)
{
	enum bh_error error = BH_OK;
	struct table e;

	for (uint64_t at = 44; at < t->size && error == BH_OK; at += e.size) {
		if (!entry_at(t, at, 1, 1, &e))
			return bad(r, t, "has a malformed entry");
		error = r->machine->arch == MACHINE_X86 ? madt_x86(r, t, &e) : madt_arm64(r, t, &e);
	}
	return error;
}

/* ---- GTDT ---- */

static void gtdt_platform_timer(struct acpi_reader *r, const struct table *e)
{
	uint64_t timers = get32(e, 16), count = get32(e, 12);

	if (get8(e, 0) == 1) { /* watchdog */
		spi_used(r, get32(e, 20));
		return;
	}
	for (uint64_t i = 0; i < count && timers + i * 40 < e->size; i++) {
		spi_used(r, get32(e, timers + i * 40 + 20));
		spi_used(r, get32(e, timers + i * 40 + 28));
	}
}

static enum bh_error read_gtdt(struct acpi_reader *r, const struct table *t)
{
	uint64_t at = get32(t, 92);
	struct table e;

	for (uint32_t i = 0; i < 4; i++)
		r->machine->arm64.timer_ppi[i] = get32(t, 48 + 8 * i);
	for (uint32_t i = 0; i < get32(t, 88); i++, at += e.size) {
		if (!entry_at(t, at, 1, 2, &e))
			return bad(r, t, "has a malformed platform timer");
		gtdt_platform_timer(r, &e);
	}
	return BH_OK;
}

/* ---- IORT ---- */

/* @count pairs of GSIV and flags from @offset of node @e on. */
static void iort_interrupts(struct acpi_reader *r, const struct table *e, uint64_t offset,
			    uint32_t count)
{
	for (uint32_t i = 0; i < count && offset + i * 8ULL < e->size; i++)
		spi_used(r, get32(e, offset + i * 8ULL));
}

static enum bh_error iort_smmu_v3(struct acpi_reader *r, const struct table *t,
				  const struct table *e)
{
	struct machine_arm64 *arm64 = &r->machine->arm64;

	if (arm64->nsmmu == MACHINE_MAX_SMMU)
		return bad(r, t, "names more SMMUs than this build allows");
	r->smmu_node[arm64->nsmmu] = (uint32_t)(e->bytes - t->bytes);
	arm64->smmu[arm64->nsmmu++] = pa(get64(e, 16));
	for (uint64_t offset = 44; offset <= 56; offset += 4)
		spi_used(r, get32(e, offset));
	return BH_OK;
}

static enum bh_error iort_node(struct acpi_reader *r, const struct table *t, const struct table *e)
{
	switch (get8(e, 0)) {
	case 3: /* SMMU v1 or v2 */
		iort_interrupts(r, e, get32(e, 40), 2);
		iort_interrupts(r, e, get32(e, 48), get32(e, 44));
		iort_interrupts(r, e, get32(e, 56), get32(e, 52));
		return BH_OK;
	case 4:
		return iort_smmu_v3(r, t, e);
	case 5: /* performance counters */
		spi_used(r, get32(e, 24));
		return BH_OK;
	default:
		return BH_OK;
	}
}

/* Node types that map ids: IORT 3.1.1. */
#define IORT_ITS_GROUP 0
#define IORT_ROOT_COMPLEX 2
#define IORT_SMMU_V3 4
#define IORT_RESERVED_MEMORY 6
#define ID_MAPPING_BYTES 20
#define ID_MAPPING_SINGLE 1U /* an interrupt of the node's own */

/* Index of the SMMUv3 that stands at @node; MACHINE_NONE when none does. */
static uint32_t iort_smmu_at(const struct acpi_reader *r, uint32_t node)
{
	for (uint32_t i = 0; i < r->machine->arm64.nsmmu; i++) {
		if (r->smmu_node[i] == node)
			return i;
	}
	return MACHINE_NONE;
}

/* True when the ITS that we use is in the group at @node. */
static bool iort_has_its(const struct acpi_reader *r, const struct table *t, uint32_t node)
{
	struct table e;
	bool found = false;

	if (!entry_at(t, node, 1, 2, &e) || get8(&e, 0) != IORT_ITS_GROUP)
		return false;
	for (uint32_t i = 0; i < get32(&e, 16) && 20 + i * 4ULL < e.size; i++)
		found = found || get32(&e, 20 + i * 4ULL) == r->its_id;
	return found && r->machine->arm64.its.v != 0;
}

/* One id mapping, @m, of node @e, which is the @from-th of its kind (3.1: id mapping format). */
static void iort_mapping(struct acpi_reader *r, const struct table *t, const struct table *e,
			 uint32_t from, const struct table *m)
{
	uint32_t node = get32(m, 12), count = get32(m, 4), type = get8(e, 0);
	struct dma_range range = {
		.from = from,
		.first = get32(m, 0),
		.to = iort_smmu_at(r, node),
		.output = get32(m, 8),
	};

	range.last = range.first + count < range.first ? UINT32_MAX : range.first + count;
	if (type == IORT_RESERVED_MEMORY) {
		range.kind = DMA_STREAM_RESERVED;
		range.from = range.to;
		range.first = range.output;
		range.last =
			range.output + count < range.output ? UINT32_MAX : range.output + count;
	} else if (type == IORT_ROOT_COMPLEX && range.to != MACHINE_NONE) {
		range.kind = DMA_IOMMU;
	} else if (iort_has_its(r, t, node) && !(get32(m, 16) & ID_MAPPING_SINGLE)) {
		range.kind = type == IORT_SMMU_V3 ? DMA_STREAM_ITS : DMA_ITS;
	} else {
		return;
	}
	dma_map_range(r->dma, &range);
}

static enum bh_error iort_mappings(struct acpi_reader *r, const struct table *t,
				   const struct table *e)
{
	uint64_t at = get32(e, 12);
	uint32_t type = get8(e, 0);
	uint32_t from = type == IORT_ROOT_COMPLEX
				? get32(e, 28)
				: iort_smmu_at(r, (uint32_t)(e->bytes - t->bytes));

	if (type != IORT_ROOT_COMPLEX && type != IORT_SMMU_V3 && type != IORT_RESERVED_MEMORY)
		return BH_OK;
	for (uint32_t i = 0; i < get32(e, 8); i++, at += ID_MAPPING_BYTES) {
		struct table m = {e->bytes + at, ID_MAPPING_BYTES};

		if (!range_inside(at, ID_MAPPING_BYTES, 0, e->size))
			return lost(r);
		iort_mapping(r, t, e, from, &m);
	}
	return BH_OK;
}

/* SMMUs first: what maps ids speaks of them by where they stand. */
static enum bh_error read_iort(struct acpi_reader *r, const struct table *t)
{
	enum bh_error error = BH_OK;
	struct table e;

	for (int pass = 0; pass < 2; pass++) {
		uint64_t at = get32(t, 40);

		for (uint32_t i = 0; i < get32(t, 36) && error == BH_OK; i++, at += e.size) {
			if (!entry_at(t, at, 1, 2, &e))
				return bad(r, t, "has a malformed node");
			error = pass == 0 ? iort_node(r, t, &e) : iort_mappings(r, t, &e);
		}
	}
	return error;
}

/* ---- DMAR, IVRS ---- */

/* Adds the IOMMU at @base and tells its index; MACHINE_NONE, and nothing added, when it is known. */
static enum bh_error iommu(struct acpi_reader *r, const struct table *t, uint64_t base,
			   uint32_t *index)
{
	struct machine_x86 *x86 = &r->machine->x86;

	*index = MACHINE_NONE;
	for (uint32_t i = 0; i < x86->niommus; i++) {
		if (x86->iommu[i].v == base)
			return BH_OK;
	}
	if (x86->niommus == MACHINE_MAX_IOMMU)
		return bad(r, t, "names more IOMMUs than this build allows");
	*index = x86->niommus;
	x86->iommu[x86->niommus++] = pa(base);
	return BH_OK;
}

static void ioapic_requester(struct acpi_reader *r, uint8_t id, uint16_t requester)
{
	struct machine_x86 *x86 = &r->machine->x86;

	for (uint32_t i = 0; i < x86->nioapics; i++) {
		if (x86->ioapic[i].id == id)
			x86->ioapic[i].requester = requester;
	}
}

/* The device scopes of @e from @at on: functions (1) and what is behind bridges (2); VT-d 4.1 8.3.1. */
static enum bh_error dmar_scopes(struct acpi_reader *r, const struct table *e, uint64_t at,
				 struct dma_scope scope)
{
	struct table s;

	for (; at < e->size; at += s.size) {
		uint64_t depth;

		if (!entry_at(e, at, 1, 1, &s))
			return lost(r);
		depth = (s.size - 6) / 2;
		if (get8(&s, 0) == 3 && depth == 1) /* an IOAPIC, by its id */
			ioapic_requester(r, get8(&s, 4),
					 (uint16_t)(get8(&s, 5) << 8 | get8(&s, 6) << 3 |
						    (get8(&s, 7) & 7)));
		if (get8(&s, 0) != 1 && get8(&s, 0) != 2)
			continue;
		if (s.size < 8 || depth > DMA_MAX_DEPTH)
			return lost(r);
		scope.below = get8(&s, 0) == 2;
		scope.bus = get8(&s, 5);
		scope.depth = (uint32_t)depth;
		for (uint64_t i = 0; i < depth; i++)
			scope.devfn[i] =
				(uint8_t)(get8(&s, 6 + 2 * i) << 3 | (get8(&s, 7 + 2 * i) & 7));
		dma_map_scope(r->dma, &scope);
	}
	return BH_OK;
}

/* DRHD: 8.3. With INCLUDE_PCI_ALL it has what no scope names. */
static enum bh_error dmar_unit(struct acpi_reader *r, const struct table *t, const struct table *e)
{
	struct dma_scope scope = {.kind = DMA_IOMMU, .segment = get16(e, 6)};
	enum bh_error error = iommu(r, t, get64(e, 8), &scope.to);
	struct dma_range all = {
		.kind = DMA_IOMMU, .from = scope.segment, .last = UINT16_MAX, .to = scope.to};

	if (error != BH_OK)
		return error;
	if (get8(e, 4) & 1)
		dma_map_range(r->dma, &all);
	return dmar_scopes(r, e, 16, scope);
}

static enum bh_error dmar_entry(struct acpi_reader *r, const struct table *t, const struct table *e)
{
	struct dma_scope reserved = {.kind = DMA_RESERVED, .segment = get16(e, 6)};

	switch (get16(e, 0)) {
	case 0:
		return dmar_unit(r, t, e);
	case 1: /* RMRR: 8.4 */
		return dmar_scopes(r, e, 24, reserved);
	default:
		return BH_OK;
	}
}

static void ivhd_range(struct acpi_reader *r, uint32_t segment, uint32_t first, uint32_t last,
		       uint32_t to)
{
	struct dma_range range = {DMA_IOMMU, segment, first, last, to, first};

	dma_map_range(r->dma, &range);
}

/*
 * The device entries of an IVHD from @at on (AMD I/O Virtualization 3.08 5.2.2.2). What has an alias shares
 * its id with others: no IOMMU tells it apart.
 */
static void ivhd_devices(struct acpi_reader *r, const struct table *e, uint64_t at, uint32_t to)
{
	uint32_t segment = get16(e, 16), first = 0;
	bool aliases = false;

	while (at < e->size) {
		uint8_t type = get8(e, at);
		uint32_t id = get16(e, at + 1);

		switch (type) {
		case 1:
			ivhd_range(r, segment, 0, UINT16_MAX, to);
			break;
		case 2:
		case 70:
			ivhd_range(r, segment, id, id, to);
			break;
		case 66:
			ivhd_range(r, segment, id, id, MACHINE_NONE);
			break;
		case 3:
		case 67:
		case 71:
			first = id;
			aliases = type == 67;
			break;
		case 4:
			ivhd_range(r, segment, first, id, aliases ? MACHINE_NONE : to);
			break;
		case 72: /* an IOAPIC, or an HPET */
			if (get8(e, at + 7) == 1)
				ioapic_requester(r, get8(e, at + 4), get16(e, at + 5));
			break;
		default:
			break;
		}
		at += type == 240 ? 22ULL + get8(e, at + 21) : 4ULL << (type >> 6);
	}
}

/* IVMD: 5.2.2.4: all functions, one, a range. */
static void ivmd(struct acpi_reader *r, const struct table *e)
{
	uint8_t type = get8(e, 0);
	struct dma_range range = {.kind = DMA_RESERVED, .last = UINT16_MAX};

	if (type != 0x20) {
		range.first = get16(e, 4);
		range.last = type == 0x21 ? range.first : get16(e, 6);
	}
	dma_map_range(r->dma, &range);
}

/* AMD's firmware describes one IOMMU in several blocks, one for each age of software; the first one counts. */
static enum bh_error ivrs_entry(struct acpi_reader *r, const struct table *t, const struct table *e)
{
	uint32_t index = MACHINE_NONE;
	enum bh_error error = BH_OK;

	switch (get8(e, 0)) {
	case 0x10:
	case 0x11:
	case 0x40:
		error = iommu(r, t, get64(e, 8), &index);
		if (index != MACHINE_NONE)
			ivhd_devices(r, e, get8(e, 0) == 0x10 ? 24 : 40, index);
		return error;
	case 0x20:
	case 0x21:
	case 0x22:
		ivmd(r, e);
		return BH_OK;
	default:
		return BH_OK;
	}
}

/* Both tables: entries from 48 on with a 16-bit length at 2. */
static enum bh_error read_iommus(struct acpi_reader *r, const struct table *t, bool amd)
{
	enum bh_error error = BH_OK;
	struct table e;

	for (uint64_t at = 48; at < t->size && error == BH_OK; at += e.size) {
		if (!entry_at(t, at, 2, 2, &e))
			return bad(r, t, "has a malformed entry");
		error = amd ? ivrs_entry(r, t, &e) : dmar_entry(r, t, &e);
	}
	r->machine->x86.iommu_is_amd = amd;
	return error;
}

/* ---- MCFG, SPCR, DBG2, SRAT, FADT ---- */

static enum bh_error read_mcfg(struct acpi_reader *r, const struct table *t)
{
	struct machine *m = r->machine;

	for (uint64_t at = 44; at + 16 <= t->size; at += 16) {
		if (m->necam == MACHINE_MAX_ECAM)
			return bad(r, t, "names more PCI segments than this build allows");
		/* MCFG gives the address of bus 0, even when the segment begins with another. */
		m->ecam[m->necam++] = (struct machine_ecam){
			.base = pa(get64(t, at) + ((uint64_t)get8(t, at + 10) << 20)),
			.segment = get16(t, at + 8),
			.bus_first = get8(t, at + 10),
			.bus_last = get8(t, at + 11),
		};
	}
	return BH_OK;
}

/* Types of serial port, DBG2 table 3: 16550 as such, as 16450 and as its address says. */
static bool is_16550(uint32_t type)
{
	return type == 0x00 || type == 0x01 || type == 0x12;
}

/* Interrupt type, bit 0: the ISA interrupt at 53; bits 1 and 2: the global one at 54. */
static void spcr_x86(struct acpi_reader *r, const struct table *t)
{
	uint8_t kind = get8(t, 52);

	if (!is_16550(get8(t, 36)) || get8(t, 40) != GAS_SYSTEM_IO)
		return;
	r->machine->uart = pa(get16(t, 44));
	r->machine->uart_irq = kind & 6 ? get32(t, 54) : kind & 1 ? isa_gsi(r, get8(t, 53)) : 0;
}

/* COM1 to COM4 have one interrupt for two by custom; other ports are used without. */
static uint32_t custom_gsi(const struct acpi_reader *r, uint64_t port)
{
	switch (port) {
	case 0x3f8:
	case 0x3e8:
		return isa_gsi(r, 4);
	case 0x2f8:
	case 0x2e8:
		return isa_gsi(r, 3);
	default:
		return 0;
	}
}

/* The debug port serves when no console is named. It comes without an interrupt. */
static void dbg2_device(struct acpi_reader *r, const struct table *e)
{
	uint64_t address = get16(e, 18);

	if (r->machine->uart.v != 0 || get8(e, 3) == 0 || get16(e, 12) != DBG2_SERIAL ||
	    !is_16550(get16(e, 14)) || get8(e, address) != GAS_SYSTEM_IO)
		return;
	r->machine->uart = pa(get16(e, address + 4));
	r->machine->uart_irq = custom_gsi(r, r->machine->uart.v);
}

static enum bh_error read_dbg2(struct acpi_reader *r, const struct table *t)
{
	uint64_t at = get32(t, 36);
	struct table e;

	if (r->machine->arch != MACHINE_X86)
		return BH_OK;
	for (uint32_t i = 0; i < get32(t, 40); i++, at += e.size) {
		if (!entry_at(t, at, 1, 2, &e))
			return bad(r, t, "has a malformed entry");
		dbg2_device(r, &e);
	}
	return BH_OK;
}

static void spcr_arm64(struct acpi_reader *r, const struct table *t)
{
	uint8_t type = get8(t, 36);
	bool pl011 =
		type == 0x03 || type == 0x0d || type == 0x0e; /* PL011 and SBSA, DBG2 table 3 */

	spi_used(r, get32(t, 54));
	if (!pl011 || get8(t, 40) != GAS_SYSTEM_MEMORY)
		return;
	r->machine->uart = pa(get64(t, 44));
	r->machine->uart_irq = get8(t, 52) & 8 ? get32(t, 54) : 0; /* bit 3: by the GIC */
}

static void read_spcr(struct acpi_reader *r, const struct table *t)
{
	if (r->machine->arch == MACHINE_X86)
		spcr_x86(r, t);
	else
		spcr_arm64(r, t);
}

/* Before revision 2 a domain had 8 bits, and what follows them was reserved. */
static uint32_t srat_node(const struct table *t, uint32_t domain)
{
	return get8(t, 8) < 2 ? domain & 0xff : domain;
}

static enum bh_error srat_memory(struct acpi_reader *r, const struct table *t,
				 const struct table *e)
{
	struct machine *m = r->machine;
	struct extent extent = {pa(get64(e, 8)), get64(e, 16)};
	uint64_t end;

	if (!(get32(e, 28) & 1) || extent.size == 0)
		return BH_OK;
	if (!add_ok(extent.base.v, extent.size, &end))
		return bad(r, t, "has a memory range that does not fit in 64 bits");
	if (m->nmemory == MACHINE_MAX_MEMORY)
		return bad(r, t, "names more memory ranges than this build allows");
	m->memory[m->nmemory++] =
		(struct machine_memory){.extent = extent, .node = srat_node(t, get32(e, 2))};
	return BH_OK;
}

static void srat_gicc(struct acpi_reader *r, const struct table *e)
{
	if (!(get32(e, 10) & 1) || r->machine->arch != MACHINE_ARM64)
		return;
	for (uint32_t i = 0; i < r->machine->ncpus; i++) {
		if (r->uid[i] == get32(e, 6))
			r->machine->cpu[i].node = get32(e, 2);
	}
}

/* The processor with APIC id @id, when @flags say that the entry counts, is of domain @node. */
static void srat_apic(struct acpi_reader *r, uint32_t id, uint32_t flags, uint32_t node)
{
	if (!(flags & 1) || r->machine->arch != MACHINE_X86)
		return;
	for (uint32_t i = 0; i < r->machine->ncpus; i++) {
		if (r->machine->cpu[i].hwid == id)
			r->machine->cpu[i].node = node;
	}
}

static enum bh_error srat_entry(struct acpi_reader *r, const struct table *t, const struct table *e)
{
	switch (get8(e, 0)) {
	case 0: /* the domain's upper 24 bits stand apart */
		srat_apic(r, get8(e, 3), get32(e, 4),
			  srat_node(t, get8(e, 2) | (get32(e, 8) & ~0xffU)));
		return BH_OK;
	case 1:
		return srat_memory(r, t, e);
	case 2:
		srat_apic(r, get32(e, 8), get32(e, 12), get32(e, 4));
		return BH_OK;
	case 3:
		srat_gicc(r, e);
		return BH_OK;
	default:
		return BH_OK;
	}
}

static enum bh_error read_srat(struct acpi_reader *r, const struct table *t)
{
	enum bh_error error = BH_OK;
	struct table e;

	for (uint64_t at = 48; at < t->size && error == BH_OK; at += e.size) {
		if (!entry_at(t, at, 1, 1, &e))
			return bad(r, t, "has a malformed entry");
		error = srat_entry(r, t, &e);
	}
	return error;
}

/*
 * ARM_BOOT_ARCH: bit 0 PSCI is there, bit 1 it is called by HVC. On x86 PM1a_CNT switches the
 * machine off: X_PM1a_CNT_BLK where that is an I/O port (address space 1), else the old field.
 */
static void read_fadt(struct acpi_reader *r, const struct table *t)
{
	if (r->machine->arch == MACHINE_ARM64)
		r->machine->arm64.psci_smc = (get16(t, 129) & 3) == 1;
	else
		r->machine->x86.pm1_control =
			get8(t, 172) == 1 && get64(t, 176) != 0 ? get16(t, 176) : get16(t, 64);
}

/* ---- AML: not interpreted, only searched for interrupt numbers ---- */

/*
 * The Extended Interrupt descriptor at @at, if there is one: 0x89, length, flags, count,
 * numbers.
 */
static void aml_interrupts(struct acpi_reader *r, const struct table *t, uint64_t at)
{
	uint64_t count = get8(t, at + 4), size = get16(t, at + 1);

	if (get8(t, at) != 0x89 || size < 2 + 4 * count || !range_inside(at, 3 + size, 0, t->size))
		return;
	for (uint64_t i = 0; i < count; i++)
		spi_used(r, get32(t, at + 5 + 4 * i));
}

/*
 * The integer constant at @at; returns the offset after it, 0 when there is none (ACPI 6.5
 * 20.2.3).
 */
static uint64_t aml_integer(const struct table *t, uint64_t at, uint32_t *value)
{
	uint8_t op = get8(t, at);
	size_t width = op == 0x0a ? 1 : op == 0x0b ? 2 : 4;

	if (op <= 1) {
		*value = op;
		return at + 1;
	}
	if (op < 0x0a || op > 0x0c)
		return 0;
	*value = (uint32_t)get(t, at + 1, width);
	return at + 1 + width;
}

/* A _PRT entry without a link device: Package (4) {address, pin, 0, GSIV} (ACPI 6.5 6.2.13). */
static void aml_prt_entry(struct acpi_reader *r, const struct table *t, uint64_t at)
{
	uint32_t field[4];

	if (get8(t, at) != 0x12 || get8(t, at + 2) != 4)
		return;
	at += 3;
	for (size_t i = 0; i < 4; i++) {
		at = aml_integer(t, at, &field[i]);
		if (at == 0)
			return;
	}
	if (field[1] < 4 && field[2] == 0)
		spi_used(r, field[3]);
}

/* Name (_S5, Package () {SLP_TYPa, ...}): the package is shorter than 64 bytes (ACPI 6.5 7.4.2.6). */
static void aml_s5(struct acpi_reader *r, const struct table *t, uint64_t at)
{
	static const uint8_t start[] = {0x08, '_', 'S', '5', '_', 0x12};
	uint32_t type;

	if (range_inside(at, sizeof(start) + 3, 0, t->size) &&
	    memcmp(t->bytes + at, start, sizeof(start)) == 0 &&
	    aml_integer(t, at + sizeof(start) + 2, &type) != 0)
		r->machine->x86.s5_type = type & 7;
}

static void read_aml(struct acpi_reader *r, const struct table *t)
{
	for (uint64_t at = HEADER_BYTES; at < t->size; at++) {
		aml_interrupts(r, t, at);
		aml_prt_entry(r, t, at);
		aml_s5(r, t, at);
	}
}

/* ---- All tables ---- */

static bool is(const struct table *t, const char *signature)
{
	return t->size >= 4 && memcmp(t->bytes, signature, 4) == 0;
}

enum bh_error acpi_read_table(struct acpi_reader *r, const void *table, uint64_t size)
{
	struct table t = {table, size};

	if (size < HEADER_BYTES || get32(&t, 4) != size)
		return bh_fail(r->report, BH_BAD_MACHINE, "an ACPI table is cut short");
	if (sum(t.bytes, size) != 0)
		return bad(r, &t, "has a wrong checksum");
	if (is(&t, "APIC"))
		return read_madt(r, &t);
	if (is(&t, "GTDT"))
		return read_gtdt(r, &t);
	if (is(&t, "IORT"))
		return read_iort(r, &t);
	if (is(&t, "MCFG"))
		return read_mcfg(r, &t);
	if (is(&t, "SRAT"))
		return read_srat(r, &t);
	if (is(&t, "DBG2"))
		return read_dbg2(r, &t);
	if (is(&t, "DMAR"))
		return read_iommus(r, &t, false);
	if (is(&t, "IVRS"))
		return read_iommus(r, &t, true);
	if (is(&t, "SPCR"))
		read_spcr(r, &t);
	if (is(&t, "FACP"))
		read_fadt(r, &t);
	if (is(&t, "DSDT") || is(&t, "SSDT"))
		read_aml(r, &t);
	return BH_OK;
}

/* The table at address @at as its header has it. */
static enum bh_error table_at(struct acpi_reader *r, uint64_t at, struct table *t)
{
	uint32_t size;

	if (at == 0)
		return bh_fail(r->report, BH_BAD_MACHINE, "an ACPI table has address 0");
	*t = (struct table){pa_to_ptr(pa(at)), HEADER_BYTES};
	size = get32(t, 4);
	if (size < HEADER_BYTES || size > MAX_TABLE)
		return bad(r, t, "has an impossible length");
	t->size = size;
	return BH_OK;
}

/* Reads the table at @at, and for the FADT also the DSDT it points to. */
static enum bh_error read_at(struct acpi_reader *r, uint64_t at)
{
	struct table t = {NULL, 0};
	enum bh_error error = table_at(r, at, &t);
	uint64_t dsdt;

	if (error == BH_OK)
		error = acpi_read_table(r, t.bytes, t.size);
	if (error != BH_OK || !is(&t, "FACP"))
		return error;
	dsdt = get64(&t, 140) != 0 ? get64(&t, 140) : get32(&t, 40);
	error = table_at(r, dsdt, &t);
	return error != BH_OK ? error : acpi_read_table(r, t.bytes, t.size);
}

static enum bh_error find_xsdt(struct acpi_reader *r, const void *rsdp, struct table *xsdt)
{
	struct table t = {rsdp, RSDP_BYTES};
	enum bh_error error;

	if (memcmp(t.bytes, "RSD PTR ", 8) != 0 || sum(t.bytes, RSDP_V1_BYTES) != 0 ||
	    get8(&t, 15) < 2 || sum(t.bytes, RSDP_BYTES) != 0)
		return bh_fail(r->report, BH_BAD_MACHINE,
			       "the ACPI root pointer is malformed or older than ACPI 2.0");
	error = table_at(r, get64(&t, 24), xsdt);
	if (error != BH_OK)
		return error;
	if (!is(xsdt, "XSDT") || sum(xsdt->bytes, xsdt->size) != 0)
		return bad(r, xsdt, "is not a valid XSDT");
	return BH_OK;
}

/* "OEM id, OEM table id", without the blanks they are filled up with. */
static void set_name(struct machine *m, const struct table *xsdt)
{
	char oem[7] = "", model[9] = "";

	memcpy(oem, xsdt->bytes + 10, 6);
	memcpy(model, xsdt->bytes + 16, 8);
	for (size_t i = 6; i > 0 && (oem[i - 1] == ' ' || oem[i - 1] == '\0'); i--)
		oem[i - 1] = '\0';
	for (size_t i = 8; i > 0 && (model[i - 1] == ' ' || model[i - 1] == '\0'); i--)
		model[i - 1] = '\0';
	bh_format(m->name, sizeof(m->name), "%s %s (ACPI)", oem, model);
}

/* What a machine must have for us to run on it at all. */
static enum bh_error check_found(struct acpi_reader *r)
{
	struct machine *m = r->machine;

	if (m->arch == MACHINE_X86) {
		if (m->ncpus == 0)
			return bh_fail(r->report, BH_BAD_MACHINE, "ACPI names no enabled core");
		return BH_OK;
	}
	if (m->ncpus == 0)
		return bh_fail(r->report, BH_BAD_MACHINE, "ACPI names no enabled core with a GIC");
	if (m->arm64.gicd.v == 0)
		return bh_fail(r->report, BH_BAD_MACHINE, "ACPI names no GIC distributor");
	return BH_OK;
}

enum bh_error machine_from_acpi(const void *rsdp, struct machine *machine,
				struct gic_regions *regions, struct dma_map *dma,
				struct bh_report *report)
{
	struct acpi_reader r = {
		.machine = machine, .regions = regions, .dma = dma, .report = report};
	struct table xsdt = {rsdp, 0}, t = {NULL, 0};
	enum bh_error error = find_xsdt(&r, rsdp, &xsdt);

	if (error != BH_OK)
		return error;
	set_name(machine, &xsdt);
	/* The MADT first: the SRAT speaks of its cores. */
	for (int madt = 1; madt >= 0; madt--) {
		for (uint64_t at = HEADER_BYTES; at + 8 <= xsdt.size; at += 8) {
			error = table_at(&r, get64(&xsdt, at), &t);
			if (error == BH_OK && is(&t, "APIC") == (madt == 1))
				error = read_at(&r, get64(&xsdt, at));
			if (error != BH_OK)
				return error;
		}
	}
	if (machine->arch == MACHINE_X86 && machine->uart.v == 0)
		machine->uart_irq = isa_gsi(&r, 4);
	return check_found(&r);
}
