/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One walk over the tree, depth first, with a short stack of what nodes
 * inherit (cells, ranges, interrupt parent, status). A table says which
 * function reads which kind of node. libfdt's look-ups of a parent cost a walk
 * each, so none is made inside the walk.
 */
#include <string.h>

#include <libfdt.h>

#include <bulkhead/checked.h>
#include <bulkhead/format.h>

#include "machine_fdt.h"

#define FDT_VERSION 17 /* Devicetree Specification v0.4 5.2 */
#define FDT_HEADER_BYTES 40
#define MAX_DEPTH 16
#define SPI_FIRST 32U
#define PPI_FIRST 16U
#define GIC_SPI 0U /* first cell of an interrupt (Linux, arm,gic-v3.yaml) */
#define GIC_PPI 1U
#define PA_MAX ((uint64_t)1 << 52)
#define MPIDR_AFFINITY 0xff00ffffffULL /* Arm ARM D19.2.101 */
#define APIC_ID 0xffffffffULL /* x2APIC, Intel SDM vol. 3 11.12.5.1 */

/* A property's value; data is NULL when there is none. */
struct cells {
	const uint8_t *data;
	uint32_t count; /* whole cells */
};

struct level {
	struct cells ranges; /* how children's addresses become this node's parent's */
	bool has_ranges;
	uint32_t address_cells; /* of the children */
	uint32_t size_cells;
	uint32_t interrupt_parent; /* phandle; 0: none */
	int node;
	bool enabled;
	char name[24]; /* for reports and for nodes known by their parent's name */
};

struct walk {
	const void *fdt;
	struct machine *m;
	struct bh_report *report;
	int node;
	int depth; /* of node; the root has 0 */
	struct level level[MAX_DEPTH];
	int stdout_node; /* the node of /chosen's stdout-path, or negative */
	uint32_t gic; /* phandle; 0: none */
	uint32_t gic_address_cells;
	uint32_t gic_interrupt_cells;
	uint32_t cpu_phandle[CONFIG_MAX_CPUS];
	int thread_parent; /* of the last thread seen in /cpus/cpu-map, and its hardware core */
	uint32_t thread_core;
};

#define BAD(w, ...) bh_fail((w)->report, BH_BAD_MACHINE, __VA_ARGS__)

/* --- properties --- */

static struct cells get(const void *fdt, int node, const char *name)
{
	int size = 0;
	const void *data = fdt_getprop(fdt, node, name, &size);

	return (struct cells){data, data ? (uint32_t)size / 4 : 0};
}

static uint32_t cell(const struct cells *c, uint32_t index)
{
	const uint8_t *at = c->data + (size_t)index * 4;

	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static uint32_t get_cell(const void *fdt, int node, const char *name, uint32_t otherwise)
{
	struct cells c = get(fdt, node, name);

	return c.count == 1 ? cell(&c, 0) : otherwise;
}

/* @count cells from @at as one number: the upper ones, beyond two, must be 0. */
static bool number(const struct cells *c, uint32_t at, uint32_t count, uint64_t *value)
{
	*value = 0;
	if (at > c->count || count > c->count - at)
		return false;
	for (uint32_t i = 0; i < count; i++) {
		if (*value >> 32 != 0)
			return false;
		*value = *value << 32 | cell(c, at + i);
	}
	return true;
}

/* True when property @name is a list of strings that holds @wanted. */
static bool has_string(const void *fdt, int node, const char *name, const char *wanted)
{
	int size = 0;
	const char *list = fdt_getprop(fdt, node, name, &size);

	return list && size > 0 && fdt_stringlist_contains(list, size, wanted);
}

static bool is_compatible(const struct walk *w, const char *wanted)
{
	return has_string(w->fdt, w->node, "compatible", wanted);
}

/* --- addresses --- */

/* The range of @ranges that holds @at moves it into the parent's addresses. */
static bool translate_up(const struct level *bus, uint32_t parent_cells, uint64_t size,
			 uint64_t *at)
{
	uint32_t stride = bus->address_cells + parent_cells + bus->size_cells;

	if (!bus->has_ranges)
		return false;
	if (bus->ranges.count == 0)
		return true;
	for (uint32_t i = 0; stride != 0 && i < bus->ranges.count / stride; i++) {
		uint64_t child, parent, length;

		if (!number(&bus->ranges, i * stride, bus->address_cells, &child) ||
		    !number(&bus->ranges, i * stride + bus->address_cells, parent_cells, &parent) ||
		    !number(&bus->ranges, (i + 1) * stride - bus->size_cells, bus->size_cells,
			    &length))
			continue;
		if (range_inside(*at, size, child, length))
			return add_ok(parent, *at - child, at);
	}
	return false;
}

/* Entry @index of the node's reg, as the cores see it; false when there is no such place. */
static bool get_reg(const struct walk *w, uint32_t index, struct extent *out)
{
	const struct level *parent = &w->level[w->depth - 1];
	struct cells reg = get(w->fdt, w->node, "reg");
	uint32_t stride = parent->address_cells + parent->size_cells;
	uint64_t at, size;

	if (stride == 0 || index >= reg.count / stride)
		return false;
	if (!number(&reg, index * stride, parent->address_cells, &at) ||
	    !number(&reg, index * stride + parent->address_cells, parent->size_cells, &size))
		return false;
	for (int i = w->depth - 1; i > 0; i--) {
		if (!translate_up(&w->level[i], w->level[i - 1].address_cells, size, &at))
			return false;
	}
	*out = (struct extent){pa(at), size};
	return range_inside(at, size, 0, PA_MAX);
}

static const char *node_name(const struct walk *w)
{
	return w->level[w->depth].name;
}

static const char *parent_name(const struct walk *w)
{
	return w->depth > 0 ? w->level[w->depth - 1].name : "";
}

/* "memory@40000000" is called "memory". */
static bool is_called(const char *name, const char *wanted)
{
	size_t length = strlen(wanted);

	return strncmp(name, wanted, length) == 0 && (name[length] == '\0' || name[length] == '@');
}

/* --- interrupts --- */

static void mark_used(struct machine *m, uint32_t spi)
{
	if (spi < MACHINE_SPI_COUNT)
		m->arm64.spi_used[spi / 8] |= (uint8_t)(1U << spi % 8);
}

/*
 * Marks every SPI that @c can mean: any cells that read as the GIC's phandle,
 * @skip cells, "SPI", number. More may be marked than is used, never less.
 */
static void mark_references(struct walk *w, const struct cells *c, uint32_t skip)
{
	for (uint32_t i = 0; c->count > skip + 2 && i < c->count - skip - 2; i++) {
		if (cell(c, i) == w->gic && cell(c, i + skip + 1) == GIC_SPI)
			mark_used(w->m, cell(c, i + skip + 2));
	}
}

/* Marks the ranges (first INTID, count) that message-signalled interrupts use. */
static void mark_range(struct walk *w, uint32_t first, uint32_t count)
{
	for (uint32_t i = 0; i < count && i < MACHINE_SPI_COUNT; i++) {
		if (first >= SPI_FIRST && first - SPI_FIRST < MACHINE_SPI_COUNT)
			mark_used(w->m, first - SPI_FIRST + i);
	}
}

static void mark_messages(struct walk *w)
{
	struct cells ranges = get(w->fdt, w->node, "mbi-ranges");

	for (uint32_t i = 0; i + 1 < ranges.count; i += 2)
		mark_range(w, cell(&ranges, i), cell(&ranges, i + 1));
	mark_range(w, get_cell(w->fdt, w->node, "arm,msi-base-spi", 0),
		   get_cell(w->fdt, w->node, "arm,msi-num-spis", 0));
}

static void mark_interrupts(struct walk *w)
{
	struct cells own = get(w->fdt, w->node, "interrupts");
	struct cells extended = get(w->fdt, w->node, "interrupts-extended");
	struct cells map = get(w->fdt, w->node, "interrupt-map");

	if (w->gic == 0)
		return;
	if (w->level[w->depth].interrupt_parent == w->gic) {
		for (uint32_t i = 0; i + 2 < own.count; i += w->gic_interrupt_cells) {
			if (cell(&own, i) == GIC_SPI)
				mark_used(w->m, cell(&own, i + 1));
		}
	}
	mark_references(w, &extended, 0);
	mark_references(w, &map, w->gic_address_cells);
	mark_messages(w);
}

/* The node's interrupt @index as an INTID, if it is of @kind at the GIC; else 0. */
static uint32_t get_intid(const struct walk *w, uint32_t index, uint32_t kind)
{
	struct cells c = get(w->fdt, w->node, "interrupts");
	uint32_t at = index * w->gic_interrupt_cells;

	if (w->gic == 0 || w->level[w->depth].interrupt_parent != w->gic || at + 2 >= c.count)
		return 0;
	if (cell(&c, at) != kind)
		return 0;
	if (kind == GIC_PPI)
		return cell(&c, at + 1) < 16 ? PPI_FIRST + cell(&c, at + 1) : 0;
	return cell(&c, at + 1) < MACHINE_SPI_COUNT ? SPI_FIRST + cell(&c, at + 1) : 0;
}

/* --- cores --- */

static enum bh_error read_cpu(struct walk *w)
{
	struct cells reg = get(w->fdt, w->node, "reg");
	struct machine *m = w->m;
	uint64_t hwid = 0;

	if (w->depth != 2 || !has_string(w->fdt, w->node, "device_type", "cpu"))
		return BH_OK;
	if (reg.count == 0 || !number(&reg, 0, w->level[1].address_cells, &hwid) ||
	    (hwid & ~(m->arch == MACHINE_X86 ? APIC_ID : MPIDR_AFFINITY)) != 0)
		return BAD(w, "/cpus/%s: reg: not an %s", node_name(w),
			   m->arch == MACHINE_X86 ? "APIC id" : "MPIDR");
	if (m->ncpus == CONFIG_MAX_CPUS)
		return bh_fail(w->report, BH_TOO_MANY,
			       "/cpus/%s: this is core number %u; this build allows %u cores",
			       node_name(w), CONFIG_MAX_CPUS + 1, CONFIG_MAX_CPUS);
	for (uint32_t i = 0; i < m->ncpus; i++) {
		if (m->cpu[i].hwid == hwid)
			return BAD(w, "/cpus/%s: reg: 0x%llx belongs to another core too",
				   node_name(w), (unsigned long long)hwid);
	}
	if (hwid == fdt_boot_cpuid_phys(w->fdt))
		m->boot_cpu = m->ncpus;
	m->cpu[m->ncpus] = (struct machine_cpu){
		.hwid = hwid,
		.node = get_cell(w->fdt, w->node, "numa-node-id", 0),
		.core_id = m->ncpus,
	};
	w->cpu_phandle[m->ncpus++] = fdt_get_phandle(w->fdt, w->node);
	return BH_OK;
}

/* Threads below one node of /cpus/cpu-map share a hardware core (Linux, cpu-topology.yaml). */
static void read_thread(struct walk *w)
{
	uint32_t phandle = get_cell(w->fdt, w->node, "cpu", 0);
	int parent = w->level[w->depth - 1].node;

	for (uint32_t i = 0; phandle != 0 && i < w->m->ncpus; i++) {
		if (w->cpu_phandle[i] != phandle)
			continue;
		if (w->thread_parent != parent)
			w->thread_core = w->m->cpu[i].core_id;
		w->thread_parent = parent;
		w->m->cpu[i].core_id = w->thread_core;
	}
}

/* --- memory --- */

static enum bh_error too_much_memory(const struct walk *w)
{
	return bh_fail(w->report, BH_TOO_MANY,
		       "/%s: more than %u extents of memory; at most %u are allowed",
		       w->depth > 0 ? node_name(w) : "memreserve", MACHINE_MAX_MEMORY,
		       MACHINE_MAX_MEMORY);
}

/* Opens a place at @index. */
static bool open_memory(struct machine *m, uint32_t index, struct extent e, uint32_t node)
{
	if (m->nmemory == MACHINE_MAX_MEMORY)
		return false;
	memmove(&m->memory[index + 1], &m->memory[index],
		(m->nmemory - index) * sizeof(m->memory[0]));
	m->memory[index] = (struct machine_memory){.extent = e, .node = node};
	m->nmemory++;
	return true;
}

static enum bh_error add_memory(struct walk *w, struct extent e, uint32_t node)
{
	struct machine *m = w->m;
	uint64_t end = align_down(extent_end(e), PAGE_SIZE);
	uint32_t i = 0;

	e.base.v = align_up(e.base.v, PAGE_SIZE);
	if (e.base.v >= end)
		return BH_OK;
	e.size = end - e.base.v;
	while (i < m->nmemory && m->memory[i].extent.base.v < e.base.v)
		i++;
	if ((i > 0 && extent_overlap(m->memory[i - 1].extent, e)) ||
	    (i < m->nmemory && extent_overlap(m->memory[i].extent, e)))
		return bh_fail(w->report, BH_OVERLAP,
			       "/%s: reg: memory at 0x%llx overlaps other memory", node_name(w),
			       (unsigned long long)e.base.v);
	return open_memory(m, i, e, node) ? BH_OK : too_much_memory(w);
}

static enum bh_error read_memory(struct walk *w)
{
	uint32_t node = get_cell(w->fdt, w->node, "numa-node-id", 0);
	enum bh_error error = BH_OK;
	struct extent e;

	if (w->depth != 1)
		return BH_OK;
	for (uint32_t i = 0; error == BH_OK && get_reg(w, i, &e); i++)
		error = add_memory(w, e, node);
	return error;
}

/* Takes [@from, @to) out of memory piece @index; a rest behind it becomes a piece of its own. */
static bool cut(struct machine *m, uint32_t index, uint64_t from, uint64_t to)
{
	struct extent *e = &m->memory[index].extent;
	uint64_t end = extent_end(*e);

	if (to < end) {
		struct extent rest = {pa(to), end - to};

		if (from <= e->base.v) {
			*e = rest;
			return true;
		}
		if (!open_memory(m, index + 1, rest, m->memory[index].node))
			return false;
	}
	e->size = from > e->base.v ? from - e->base.v : 0;
	return true;
}

static enum bh_error reserve(struct walk *w, uint64_t base, uint64_t size)
{
	struct machine *m = w->m;
	uint32_t kept = 0;
	uint64_t from, to;

	if (!range_inside(base, size, 0, PA_MAX))
		return BAD(w, "reserved memory: 0x%llx bytes at 0x%llx are beyond 52 bits",
			   (unsigned long long)size, (unsigned long long)base);
	from = align_down(base, PAGE_SIZE);
	to = align_up(base + size, PAGE_SIZE);
	for (uint32_t i = 0; size != 0 && i < m->nmemory; i++) {
		struct extent e = m->memory[i].extent;

		if (range_overlap(e.base.v, e.size, from, to - from) && !cut(m, i, from, to))
			return too_much_memory(w);
	}
	for (uint32_t i = 0; i < m->nmemory; i++) {
		if (m->memory[i].extent.size != 0)
			m->memory[kept++] = m->memory[i];
	}
	m->nmemory = kept;
	return BH_OK;
}

static enum bh_error reserve_entries(struct walk *w)
{
	int count = fdt_num_mem_rsv(w->fdt);
	enum bh_error error = BH_OK;
	uint64_t base, size;

	for (int i = 0; i < count && error == BH_OK; i++) {
		if (fdt_get_mem_rsv(w->fdt, i, &base, &size) != 0)
			return BAD(w, "/memreserve/: entry %u cannot be read", (unsigned int)i);
		error = reserve(w, base, size);
	}
	return error;
}

/* What needs to know all memory or all cores: these may stand behind it. */
static enum bh_error read_late(struct walk *w)
{
	enum bh_error error = BH_OK;
	struct extent e;

	if (w->depth > 2 && strncmp(w->level[w->depth].name, "thread", 6) == 0)
		read_thread(w);
	if (w->depth != 2 || strcmp(parent_name(w), "reserved-memory") != 0)
		return BH_OK;
	for (uint32_t i = 0; error == BH_OK && get_reg(w, i, &e); i++)
		error = reserve(w, e.base.v, e.size);
	return error;
}

/* --- devices --- */

static enum bh_error read_gic(struct walk *w)
{
	struct extent gicd;

	if (w->m->arm64.gic_version != 0)
		return BH_OK;
	if (!get_reg(w, 0, &gicd))
		return BAD(w, "/%s: reg: its address cannot be read", node_name(w));
	w->m->arm64.gicd = gicd.base;
	w->m->arm64.gic_version = is_compatible(w, "arm,gic-v3") ? 3 : 2;
	w->m->arm64.maintenance_ppi = get_intid(w, 0, GIC_PPI);
	return BH_OK;
}

static enum bh_error read_its(struct walk *w)
{
	struct extent its;

	if (w->m->arm64.its.v == 0 && get_reg(w, 0, &its))
		w->m->arm64.its = its.base;
	return BH_OK;
}

static enum bh_error read_timer(struct walk *w)
{
	for (uint32_t i = 0; i < ARRAY_SIZE(w->m->arm64.timer_ppi); i++)
		w->m->arm64.timer_ppi[i] = get_intid(w, i, GIC_PPI);
	return BH_OK;
}

static enum bh_error read_pmu(struct walk *w)
{
	if (w->m->arm64.pmu_ppi == 0)
		w->m->arm64.pmu_ppi = get_intid(w, 0, GIC_PPI);
	return BH_OK;
}

static enum bh_error read_psci(struct walk *w)
{
	w->m->arm64.psci_smc = has_string(w->fdt, w->node, "method", "smc");
	return BH_OK;
}

/* The console /chosen names, if it is one of ours; else the first that is. */
static enum bh_error read_uart(struct walk *w)
{
	struct extent uart;

	if (w->m->uart.v != 0 && w->node != w->stdout_node)
		return BH_OK;
	if (!get_reg(w, 0, &uart))
		return BH_OK;
	w->m->uart = uart.base;
	w->m->uart_irq = get_intid(w, 0, GIC_SPI);
	return BH_OK;
}

static enum bh_error read_ecam(struct walk *w)
{
	struct cells buses = get(w->fdt, w->node, "bus-range");
	uint32_t first = buses.count == 2 ? cell(&buses, 0) : 0;
	uint32_t last = buses.count == 2 ? cell(&buses, 1) : 255;
	uint32_t segment = get_cell(w->fdt, w->node, "linux,pci-domain", w->m->necam);
	struct extent e;

	if (w->m->necam == MACHINE_MAX_ECAM)
		return bh_fail(w->report, BH_TOO_MANY,
			       "/%s: more than %u PCI hosts are not allowed", node_name(w),
			       MACHINE_MAX_ECAM);
	if (!get_reg(w, 0, &e) || e.size < MIB)
		return BAD(w, "/%s: reg: its address cannot be read", node_name(w));
	if (first > last || last > 255 || segment > UINT16_MAX)
		return BAD(w, "/%s: segment %u, buses %u to %u; 0 to 65535, 0 to 255 are allowed",
			   node_name(w), segment, first, last);
	/* One MiB for each bus (PCIe 6.0 7.2.2). */
	if (last - first >= e.size / MIB)
		last = first + (uint32_t)(e.size / MIB) - 1;
	w->m->ecam[w->m->necam++] = (struct machine_ecam){
		.base = e.base,
		.segment = (uint16_t)segment,
		.bus_first = (uint8_t)first,
		.bus_last = (uint8_t)last,
	};
	return BH_OK;
}

static enum bh_error read_smmu(struct walk *w)
{
	struct machine_arm64 *arm = &w->m->arm64;
	struct extent e;

	if (arm->nsmmu == MACHINE_MAX_SMMU)
		return bh_fail(w->report, BH_TOO_MANY, "/%s: more than %u SMMUs are not allowed",
			       node_name(w), MACHINE_MAX_SMMU);
	if (!get_reg(w, 0, &e))
		return BAD(w, "/%s: reg: its address cannot be read", node_name(w));
	arm->smmu[arm->nsmmu++] = e.base;
	return BH_OK;
}

/* A node is known by what it is compatible with or, for the oldest kinds, by its place. */
static const struct {
	const char *compatible;
	enum bh_error (*read)(struct walk *w);
} devices[] = {
	{"arm,gic-v3", read_gic},
	{"arm,gic-400", read_gic},
	{"arm,cortex-a15-gic", read_gic},
	{"arm,gic-v3-its", read_its},
	{"arm,armv8-timer", read_timer},
	{"arm,armv8-pmuv3", read_pmu},
	{"arm,psci-1.0", read_psci},
	{"arm,psci-0.2", read_psci},
	{"arm,pl011", read_uart},
	{"arm,sbsa-uart", read_uart},
	{"pci-host-ecam-generic", read_ecam},
	{"arm,smmu-v3", read_smmu},
};

static enum bh_error read_node(struct walk *w)
{
	if (is_called(parent_name(w), "cpus"))
		return read_cpu(w);
	if (w->depth == 1 && has_string(w->fdt, w->node, "device_type", "memory"))
		return read_memory(w);
	for (size_t i = 0; i < ARRAY_SIZE(devices); i++) {
		if (is_compatible(w, devices[i].compatible))
			return devices[i].read(w);
	}
	return BH_OK;
}

/* --- the walk --- */

/* Fills the level of the node just reached from its parent's and its own properties. */
static bool enter(struct walk *w)
{
	struct level *own = &w->level[w->depth];
	const struct level *parent = w->depth > 0 ? own - 1 : NULL;
	struct cells ranges = get(w->fdt, w->node, "ranges");
	int size = 0;
	const char *status = fdt_getprop(w->fdt, w->node, "status", &size);
	const char *name = fdt_get_name(w->fdt, w->node, &size);
	uint32_t inherited = parent ? parent->interrupt_parent : 0;

	*own = (struct level){
		.ranges = ranges,
		.has_ranges = ranges.data != NULL,
		.address_cells = get_cell(w->fdt, w->node, "#address-cells", 2),
		.size_cells = get_cell(w->fdt, w->node, "#size-cells", 1),
		.interrupt_parent = get_cell(w->fdt, w->node, "interrupt-parent", inherited),
		.node = w->node,
		.enabled = !parent || parent->enabled,
	};
	if (status && !has_string(w->fdt, w->node, "status", "okay") &&
	    !has_string(w->fdt, w->node, "status", "ok"))
		own->enabled = false;
	for (size_t i = 0; name && i < sizeof(own->name) - 1 && name[i] != '\0'; i++)
		own->name[i] = name[i] > ' ' && name[i] <= '~' ? name[i] : '?';
	return own->address_cells <= 4 && own->size_cells <= 4;
}

/* Calls @visit for every node that is switched on, and mark_interrupts for all when @mark. */
static enum bh_error walk(struct walk *w, enum bh_error (*visit)(struct walk *w), bool mark)
{
	enum bh_error error = BH_OK;
	int depth = -1;

	for (w->node = fdt_next_node(w->fdt, -1, &depth); w->node >= 0 && depth >= 0;
	     w->node = fdt_next_node(w->fdt, w->node, &depth)) {
		if (depth >= MAX_DEPTH)
			return BAD(w, "device tree: nodes are nested more than %u deep", MAX_DEPTH);
		w->depth = depth;
		if (!enter(w))
			return BAD(w, "/%s: more than 4 cells for an address or size",
				   node_name(w));
		if (mark)
			mark_interrupts(w);
		if (depth > 0 && w->level[depth].enabled)
			error = visit(w);
		if (error != BH_OK)
			return error;
	}
	return BH_OK;
}

/* --- the whole --- */

static enum bh_error check_blob(const void *fdt, uint64_t size, struct bh_report *report)
{
	int error;

	if (!is_aligned((uint64_t)(uintptr_t)fdt, 8) || size < FDT_HEADER_BYTES)
		return bh_fail(report, BH_BAD_MACHINE,
			       "device tree: too short or not at a multiple of 8 bytes");
	if (fdt_magic(fdt) != FDT_MAGIC)
		return bh_fail(report, BH_BAD_MACHINE,
			       "device tree: magic 0x%08x; it begins with 0x%08x", fdt_magic(fdt),
			       FDT_MAGIC);
	if (fdt_version(fdt) < FDT_VERSION || fdt_last_comp_version(fdt) > FDT_VERSION)
		return bh_fail(report, BH_BAD_MACHINE,
			       "device tree: version %u (compatible with %u); %u is allowed",
			       fdt_version(fdt), fdt_last_comp_version(fdt), FDT_VERSION);
	if (fdt_totalsize(fdt) > size || fdt_totalsize(fdt) > MACHINE_FDT_MAX_BYTES)
		return bh_fail(report, BH_BAD_MACHINE,
			       "device tree: %u bytes, of which %llu are there; at most %u are "
			       "allowed",
			       fdt_totalsize(fdt), (unsigned long long)size,
			       (unsigned int)MACHINE_FDT_MAX_BYTES);
	/* libfdt reads whole words where the header says; a core that checks alignment would fault. */
	if (!is_aligned(fdt_off_dt_struct(fdt), 4) || !is_aligned(fdt_off_mem_rsvmap(fdt), 8))
		return bh_fail(report, BH_BAD_MACHINE,
			       "device tree: its header places a block at 0x%x or 0x%x; multiples "
			       "of 4 and 8 are allowed",
			       fdt_off_dt_struct(fdt), fdt_off_mem_rsvmap(fdt));
	error = fdt_check_full(fdt, (size_t)size);
	if (error != 0)
		return bh_fail(report, BH_BAD_MACHINE, "device tree: not well-formed: %s",
			       fdt_strerror(error));
	return BH_OK;
}

static void read_name(struct walk *w)
{
	int size = 0;
	const char *model = fdt_getprop(w->fdt, 0, "model", &size);
	char *name = w->m->name;

	if (!model || size <= 0 || model[size - 1] != '\0')
		model = "unnamed";
	bh_format(name, sizeof(w->m->name), "%.40s (device tree)", model);
	for (size_t i = 0; name[i] != '\0'; i++) {
		if (name[i] < ' ' || name[i] > '~')
			name[i] = '?';
	}
}

/* "/pl011@9000000", or an alias, each perhaps with ":115200" behind. */
static void find_stdout(struct walk *w)
{
	int chosen = fdt_path_offset(w->fdt, "/chosen");
	int size = 0;
	const char *path = chosen < 0 ? NULL : fdt_getprop(w->fdt, chosen, "stdout-path", &size);
	const char *options;

	w->stdout_node = -1;
	if (!path || size <= 1 || path[size - 1] != '\0')
		return;
	options = memchr(path, ':', (size_t)size);
	w->stdout_node =
		fdt_path_offset_namelen(w->fdt, path, options ? (int)(options - path) : size - 1);
}

static void find_gic(struct walk *w)
{
	static const char *const kinds[] = {"arm,gic-v3", "arm,gic-400", "arm,cortex-a15-gic"};
	int node = -1;

	for (size_t i = 0; node < 0 && i < ARRAY_SIZE(kinds); i++)
		node = fdt_node_offset_by_compatible(w->fdt, -1, kinds[i]);
	w->gic_interrupt_cells = 3;
	if (node < 0)
		return;
	w->gic = fdt_get_phandle(w->fdt, node);
	w->gic_address_cells = get_cell(w->fdt, node, "#address-cells", 0) & 7;
	if (get_cell(w->fdt, node, "#interrupt-cells", 3) == 4)
		w->gic_interrupt_cells = 4;
}

/* An x86 machine has no tree of its own: somebody wrote this one for bhmanifest. */
static enum bh_error read_x86(struct walk *w)
{
	struct cells hz = get(w->fdt, 0, "tsc-hz");

	w->m->arch = MACHINE_ARM64;
	if (!has_string(w->fdt, 0, "compatible", "bulkhead,x86-machine"))
		return BH_OK;
	w->m->arch = MACHINE_X86;
	if (hz.data && !number(&hz, 0, hz.count, &w->m->x86.tsc_hz))
		return BAD(w, "/: tsc-hz: not a number of 64 bits");
	return BH_OK;
}

static enum bh_error check_machine(const struct walk *w)
{
	if (w->m->ncpus == 0)
		return BAD(w, "/cpus: no core stands here; at least 1 is required");
	if (w->m->nmemory == 0)
		return BAD(w, "/memory: no usable memory; some is required");
	return BH_OK;
}

enum bh_error machine_from_fdt(const void *fdt, uint64_t size, struct machine *m,
			       struct bh_report *report)
{
	struct walk w = {.fdt = fdt, .m = m, .report = report, .thread_parent = -1};
	enum bh_error error = check_blob(fdt, size, report);

	memset(m, 0, sizeof(*m));
	if (error != BH_OK)
		return error;
	read_name(&w);
	find_stdout(&w);
	find_gic(&w);
	error = read_x86(&w);
	if (error == BH_OK)
		error = walk(&w, read_node, true);
	if (error == BH_OK)
		error = reserve_entries(&w);
	if (error == BH_OK)
		error = walk(&w, read_late, false);
	if (error == BH_OK)
		error = check_machine(&w);
	return error;
}

struct regions {
	struct walk walk; /* first, so that a visitor finds the rest behind it */
	struct extent *region;
	uint32_t count;
	uint32_t max;
};

static enum bh_error read_regions(struct walk *w)
{
	struct regions *r = (struct regions *)w;
	uint32_t count = get_cell(w->fdt, w->node, "#redistributor-regions", 1);

	if (r->count != 0 || !is_compatible(w, "arm,gic-v3"))
		return BH_OK;
	for (uint32_t i = 0; i < count && r->count < r->max; i++) {
		if (!get_reg(w, 1 + i, &r->region[r->count]))
			break;
		r->count++;
	}
	return BH_OK;
}

uint32_t machine_fdt_redistributors(const void *fdt, struct extent *region, uint32_t max)
{
	struct regions r = {.walk = {.fdt = fdt}, .region = region, .max = max};

	walk(&r.walk, read_regions, false);
	return r.count;
}

/* ---- What PCI functions are to IOMMUs and ITS ---- */

struct dma_walk {
	struct walk walk; /* first, as above */
	struct dma_map *map;
	uint32_t smmu[MACHINE_MAX_SMMU]; /* phandles, in the order of struct machine */
	uint32_t nsmmus;
	uint32_t its; /* phandle */
	uint32_t nhosts;
};

static enum bh_error read_dma_targets(struct walk *w)
{
	struct dma_walk *d = (struct dma_walk *)w;
	uint32_t phandle = fdt_get_phandle(w->fdt, w->node);
	struct extent e;

	if (is_compatible(w, "arm,smmu-v3") && d->nsmmus < MACHINE_MAX_SMMU)
		d->smmu[d->nsmmus++] = phandle;
	else if (is_compatible(w, "arm,gic-v3-its") && d->its == 0 && get_reg(w, 0, &e))
		d->its = phandle;
	return BH_OK;
}

static uint32_t smmu_index(const struct dma_walk *d, uint32_t phandle)
{
	uint32_t i = 0;

	while (i < d->nsmmus && d->smmu[i] != phandle)
		i++;
	return i < d->nsmmus && phandle != 0 ? i : MACHINE_NONE;
}

/* Entries of iommu-map or msi-map: requester id, phandle, first id there, how many (Linux, pci-iommu.txt, pci-msi.txt). */
static void read_id_map(struct dma_walk *d, const char *name, uint32_t segment)
{
	struct cells c = get(d->walk.fdt, d->walk.node, name);
	bool msi = name[0] == 'm';

	for (uint32_t i = 0; i + 4 <= c.count; i += 4) {
		uint32_t phandle = cell(&c, i + 1), length = cell(&c, i + 3);
		struct dma_range range = {
			.kind = msi ? DMA_ITS : DMA_IOMMU,
			.from = segment,
			.first = cell(&c, i),
			.last = cell(&c, i) + length - 1,
			.to = msi ? 0 : smmu_index(d, phandle),
			.output = cell(&c, i + 2),
		};

		if (length != 0 && range.last >= range.first && range.to != MACHINE_NONE &&
		    (!msi || phandle == d->its))
			dma_map_range(d->map, &range);
	}
}

static enum bh_error read_dma_host(struct walk *w)
{
	struct dma_walk *d = (struct dma_walk *)w;
	struct dma_range all = {.kind = DMA_ITS, .last = UINT16_MAX};

	if (!is_compatible(w, "pci-host-ecam-generic"))
		return BH_OK;
	all.from = get_cell(w->fdt, w->node, "linux,pci-domain", d->nhosts++);
	if (d->its != 0 && get_cell(w->fdt, w->node, "msi-parent", 0) == d->its)
		dma_map_range(d->map, &all);
	/* With a mask several functions have one id: then nothing is known of any. */
	if ((get_cell(w->fdt, w->node, "iommu-map-mask", UINT16_MAX) & UINT16_MAX) == UINT16_MAX)
		read_id_map(d, "iommu-map", all.from);
	if ((get_cell(w->fdt, w->node, "msi-map-mask", UINT16_MAX) & UINT16_MAX) == UINT16_MAX)
		read_id_map(d, "msi-map", all.from);
	return BH_OK;
}

void machine_fdt_dma(const void *fdt, struct dma_map *map)
{
	struct dma_walk d = {.walk = {.fdt = fdt}, .map = map};

	walk(&d.walk, read_dma_targets, false);
	walk(&d.walk, read_dma_host, false);
}
