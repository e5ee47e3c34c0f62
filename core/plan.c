/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From what is wanted (manifest) and what there is (machine) to who owns what
 * (plan). Every step either fills its part of the plan or refuses with one
 * sentence; nothing is taken back. The plan under construction is also the
 * list of what is taken, so that no second list can disagree with it. A VM that
 * is added later takes the same steps through the plan that is in use.
 */
#include <string.h>

#include <bulkhead/boot_info.h>
#include <bulkhead/checked.h>
#include <bulkhead/format.h>
#include <bulkhead/planner.h>

#define SPI_FIRST 32U
#define PA_MAX ((uint64_t)1 << 52) /* Arm's largest physical address space */
#define ANY_NODE UINT64_MAX /* wider than a node's number, so never one */
#define NOBODY UINT32_MAX
#define BAR_TYPE_MASK 6U /* PCIe 6.0 7.5.1.2.1 */
#define BAR_PREFETCHABLE 8U
#define BAR_TYPE_64 4U
#define PORT_PCIE 0x40U
#define CONSOLE_EA 0x50U
#define LARGE_BAR (64 * MIB)
#define MANAGEMENT (UINT32_MAX - 1)

struct planner {
	const struct machine *machine;
	const struct image_info *images;
	uint32_t nimages;
	struct plan *plan;
	struct bh_report *report;
	uint32_t owner[CONFIG_MAX_CPUS]; /* of each core: a VM's index, NOBODY or MANAGEMENT */
};

/* A guest's physical memory, by enum machine_arch. */
struct guest_layout {
	uint64_t ram_base;
	uint64_t hole_base; /* no RAM from here up to hole_end */
	uint64_t hole_end;
	uint64_t boot_base; /* where the boot image stands; 0: behind the kernel */
	uint64_t free_base; /* kernel and initrd stand here or above */
};

static const struct guest_layout layouts[] = {
	[MACHINE_ARM64] = {GUEST_RAM_BASE, UINT64_MAX, UINT64_MAX, 0, GUEST_RAM_BASE},
	[MACHINE_X86] = {0, GUEST_X86_HOLE_BASE, GUEST_X86_HOLE_END, GUEST_X86_BOOT_BASE, MIB},
};

static const struct guest_layout *layout_of(const struct planner *p)
{
	return &layouts[p->machine->arch];
}

static unsigned long long mib(uint64_t bytes)
{
	return bytes / MIB;
}

/* --- sizes --- */

uint64_t plan_vm_bytes(const struct machine *machine, const struct manifest_vm *vm)
{
	uint64_t gib = align_up(vm->memory, GIB) / GIB;
	uint64_t cpu_tables = (vm->ncores + VM_CPUS_PER_TABLE - 1) / VM_CPUS_PER_TABLE;
	uint64_t pages = VM_FIXED_PAGES + cpu_tables + gib;

	if (machine->arch == MACHINE_X86) /* the hole's GiB takes a place in an upper table too */
		pages = VM_X86_FIXED_PAGES + gib + gib / VM_GIB_PER_TABLE + 1;
	uint64_t functions = vm->ndevices + vm->hotplug_ports;

	if (functions != 0)
		pages += VM_DMA_PAGES + gib + functions * VM_FUNCTION_PAGES + VM_MSIX_PAGES;
	return pages * PAGE_SIZE + align_up(CONFIG_CONSOLE_RING_KIB * KIB, PAGE_SIZE);
}

static uint64_t all_vm_bytes(const struct machine *machine, const struct manifest *manifest)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < manifest->nvms; i++)
		bytes += plan_vm_bytes(machine, &manifest->vm[i]);
	return bytes;
}

/* Each GiB with RAM in it has one table in the hypervisor's own space; neighbours may share it. */
static uint64_t gib_tables(const struct machine *machine)
{
	uint64_t tables = 0;

	for (uint32_t i = 0; i < machine->nmemory; i++) {
		struct extent e = machine->memory[i].extent;

		tables += (align_up(extent_end(e), GIB) - align_down(e.base.v, GIB)) / GIB;
	}
	return tables;
}

/* The highest of the functions' numbers in an IOMMU or ITS, told by @number; and one more. */
static uint64_t count_ids(const struct machine *m,
			  uint32_t (*number)(const struct machine_function *f))
{
	uint64_t count = 0;

	for (uint32_t i = 0; i < m->nfunctions; i++) {
		uint32_t id = number(&m->function[i]);

		if (id != MACHINE_NONE && id >= count)
			count = id + 1ULL;
	}
	return count;
}

static uint32_t stream_of(const struct machine_function *f)
{
	return f->iommu != MACHINE_NONE ? f->stream : MACHINE_NONE;
}

static uint32_t msi_device_of(const struct machine_function *f)
{
	return f->msi_device;
}

static uint64_t power_of_two(uint64_t at_least)
{
	uint64_t power = 1;

	while (power < at_least)
		power *= 2;
	return power;
}

/* Of @bytes, in whole units of room. */
static uint64_t table_bytes(uint64_t bytes)
{
	return align_up(bytes, IOMMU_TABLE_BYTES);
}

/* A stream table stands at a multiple of its size. */
static uint64_t smmu_bytes(const struct machine *m)
{
	uint64_t streams = power_of_two(count_ids(m, stream_of)) * SMMU_STREAM_BYTES;
	uint64_t bytes = table_bytes(streams) + SMMU_TABLES * IOMMU_TABLE_BYTES;

	return m->arm64.nsmmu == 0 ? 0 : m->arm64.nsmmu * bytes + table_bytes(streams);
}

static uint64_t its_bytes(const struct machine *m)
{
	uint64_t devices = count_ids(m, msi_device_of);

	if (m->arm64.its.v == 0 || devices == 0)
		return 0;
	return table_bytes(devices * ITS_DEVICE_BYTES) +
	       table_bytes((uint64_t)m->nfunctions * ITS_ITT_BYTES) +
	       ((uint64_t)ITS_TABLES + m->ncpus) * IOMMU_TABLE_BYTES;
}

/* Each IOMMU has a queue and a root table or a log of events; VT-d a table for each bus with a function. */
static uint64_t x86_iommu_bytes(const struct machine *m)
{
	uint64_t ids = count_ids(m, stream_of);
	uint64_t bytes = X86_INTERRUPT_BYTES + 2 * PAGE_SIZE * m->x86.niommus;

	for (uint32_t i = 0; i < m->x86.nioapics; i++) {
		if (m->x86.ioapic[i].requester >= ids)
			ids = m->x86.ioapic[i].requester + 1ULL;
	}
	if (m->x86.niommus == 0)
		return 0;
	return bytes + (m->x86.iommu_is_amd ? align_up(ids * AMDVI_DEVICE_BYTES, PAGE_SIZE)
					    : m->nfunctions * PAGE_SIZE);
}

uint64_t plan_iommu_bytes(const struct machine *machine)
{
	uint64_t bytes = machine->arch == MACHINE_X86 ? x86_iommu_bytes(machine)
						      : smmu_bytes(machine) + its_bytes(machine);

	/* What is carved begins at a multiple of IOMMU_TABLE_BYTES. */
	return machine->nfunctions == 0 || bytes == 0 ? 0 : bytes + IOMMU_TABLE_BYTES;
}

uint64_t plan_core_bytes(const struct manifest *manifest, const struct machine *machine,
			 uint64_t core_bytes)
{
	uint64_t pages = (uint64_t)machine->ncpus * CORE_PAGES_PER_CPU + CORE_FIXED_PAGES +
			 (uint64_t)machine->nfunctions * CORE_FUNCTION_PAGES + gib_tables(machine) +
			 (manifest->host.card[0] != '\0' ? CARD_PAGES + CARD_TABLE_PAGES : 0);

	return align_up(align_up(core_bytes, PAGE_SIZE) +
				align_up(sizeof(struct boot_info), PAGE_SIZE) + pages * PAGE_SIZE +
				plan_iommu_bytes(machine) + all_vm_bytes(machine, manifest),
			BLOCK_SIZE);
}

/* ACPI has at most 40 bytes for a core (MADT and SRAT) and for a region, and what core/guest_acpi.c says. */
#define X86_BOOT_BYTES(ncores)                                                                     \
	(GUEST_X86_TABLES + 2 * KIB + (CONFIG_MAX_REGIONS_PER_VM + (ncores)) * (uint64_t)40)
static_assert(X86_BOOT_BYTES(CONFIG_MAX_CPUS) <= GUEST_BOOT_MAX, "the boot image of any VM fits");

uint64_t plan_boot_bytes(const struct machine *machine, uint32_t ncores)
{
	if (machine->arch == MACHINE_X86)
		return align_up(X86_BOOT_BYTES(ncores), PAGE_SIZE);
	return align_up(4 * KIB + ncores * 160ULL, PAGE_SIZE);
}

/* --- is what we were given fit to plan with? --- */

static bool is_sane(struct extent e)
{
	return range_inside(e.base.v, e.size, 0, PA_MAX);
}

static enum bh_error check_cpus(const struct machine *m, struct bh_report *report)
{
	if (m->ncpus == 0 || m->ncpus > CONFIG_MAX_CPUS || m->boot_cpu >= m->ncpus)
		return bh_fail(report, BH_BAD_MACHINE,
			       "machine: %u cores, started on core %u; 1 to %u cores are allowed",
			       m->ncpus, m->boot_cpu, CONFIG_MAX_CPUS);
	for (uint32_t i = 0; i < m->ncpus; i++) {
		for (uint32_t k = 0; k < i; k++) {
			if (m->cpu[i].hwid == m->cpu[k].hwid)
				return bh_fail(report, BH_BAD_MACHINE,
					       "machine: cores %u and %u have the same hardware id "
					       "0x%llx",
					       k, i, (unsigned long long)m->cpu[i].hwid);
		}
	}
	return BH_OK;
}

static enum bh_error check_memory(const struct machine *m, struct bh_report *report)
{
	uint64_t end = 0;

	if (m->nmemory == 0 || m->nmemory > MACHINE_MAX_MEMORY)
		return bh_fail(report, BH_BAD_MACHINE,
			       "machine: %u extents of usable memory; 1 to %u are allowed",
			       m->nmemory, MACHINE_MAX_MEMORY);
	for (uint32_t i = 0; i < m->nmemory; i++) {
		struct extent e = m->memory[i].extent;

		if (!is_sane(e) || e.base.v < end)
			return bh_fail(
				report, BH_BAD_MACHINE,
				"machine: memory extent %u at 0x%llx overlaps another, is out "
				"of order or beyond 52 bits",
				i, (unsigned long long)e.base.v);
		end = extent_end(e);
	}
	return BH_OK;
}

static enum bh_error check_input(const struct planner *p)
{
	enum bh_error error = check_cpus(p->machine, p->report);

	if (error == BH_OK)
		error = check_memory(p->machine, p->report);
	if (error != BH_OK)
		return error;
	if (p->machine->arch >= ARRAY_SIZE(layouts))
		return bh_fail(p->report, BH_BAD_MACHINE, "machine: architecture %u is not known",
			       p->machine->arch);
	if (p->machine->nfunctions > MACHINE_MAX_FUNCTIONS)
		return bh_fail(p->report, BH_BAD_MACHINE,
			       "machine: %u PCI functions; at most %u are allowed",
			       p->machine->nfunctions, MACHINE_MAX_FUNCTIONS);
	if (p->machine->arch == MACHINE_ARM64 && p->machine->arm64.gic_version == 2)
		return bh_fail(p->report, BH_BAD_MACHINE,
			       "machine: its interrupt controller is a GICv2; GICv3 or later is "
			       "required");
	if (p->nimages > ARRAY_SIZE(p->plan->images))
		return bh_fail(p->report, BH_TOO_MANY, "images: %u files; at most %u are allowed",
			       p->nimages, (unsigned int)ARRAY_SIZE(p->plan->images));
	for (uint32_t i = 0; i < p->nimages; i++) {
		if (!is_sane(p->images[i].extent))
			return bh_fail(p->report, BH_BAD_IMAGE,
				       "images: '%s' is not in the machine's address space",
				       p->images[i].name);
	}
	return BH_OK;
}

static enum bh_error check_core(const struct planner *p, const struct manifest *manifest)
{
	uint64_t need = plan_iommu_bytes(p->machine) + all_vm_bytes(p->machine, manifest);

	if (!is_sane(p->plan->core) || p->plan->core.size < need)
		return bh_fail(p->report, BH_NO_MEMORY,
			       "hypervisor: its extent has %llu KiB; %llu KiB are needed for the "
			       "VMs and IOMMUs alone",
			       p->plan->core.size / 1024ULL, need / 1024ULL);
	return BH_OK;
}

/* --- PCI functions --- */

#define GROUP_TEXT 128

/* A function that a VM wants. */
struct wish {
	const struct manifest_vm *want;
	const char *device; /* as the manifest has it */
	const struct machine_function *f;
};

/* Where the guest finds BARs, by enum machine_arch: below 4 GiB. */
static const struct {
	uint64_t base;
	uint64_t end;
} windows[] = {
	[MACHINE_ARM64] = {GUEST_WINDOW_BASE, GUEST_WINDOW_END},
	[MACHINE_X86] = {GUEST_X86_WINDOW_BASE, GUEST_X86_WINDOW_END},
};

/* The function that @text names; MACHINE_NONE when it is not there. VFs are counted in the order of the scan. */
static uint32_t find_function(const struct machine *m, const char *text)
{
	uint32_t id, vf;

	if (!manifest_function(text, &id, &vf))
		return MACHINE_NONE;
	for (uint32_t i = 0; i < m->nfunctions; i++) {
		const struct machine_function *f = &m->function[i];

		if (vf == MACHINE_NONE && f->id == id)
			return i;
		if (vf != MACHINE_NONE && f->pf != MACHINE_NONE && m->function[f->pf].id == id &&
		    vf-- == 0)
			return i;
	}
	return MACHINE_NONE;
}

static size_t function_name(char *text, size_t room, uint32_t id)
{
	return bh_format(text, room, "%04x:%02x:%02x.%u", id >> 16, id >> 8 & 0xff, id >> 3 & 0x1f,
			 id & 7);
}

/* All functions of a group, as far as there is room for their names. */
static void group_names(const struct machine *m, uint32_t group, char *text)
{
	size_t length = 0;

	for (uint32_t i = 0; i < m->nfunctions; i++) {
		if (m->function[i].group != group)
			continue;
		if (length + 20 > GROUP_TEXT) {
			bh_format(text + length, GROUP_TEXT - length, " ...");
			return;
		}
		if (length != 0)
			text[length++] = ' ';
		length += function_name(text + length, GROUP_TEXT - length, m->function[i].id);
	}
}

static enum bh_error device_refused(const struct planner *p, const struct wish *w,
				    const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The reason, and the whole group: who wants one of it has to think of all. */
static enum bh_error device_refused(const struct planner *p, const struct wish *w,
				    const char *format, ...)
{
	char why[128], names[GROUP_TEXT] = "";
	va_list args;

	va_start(args, format);
	bh_vformat(why, sizeof(why), format, args);
	va_end(args);
	group_names(p->machine, w->f->group, names);
	return bh_fail(p->report, BH_NO_DEVICE, "/vms/%s: devices: '%s' %s; its group: %s",
		       w->want->name, w->device, why, names);
}

/* Kinds that nobody can have, and what is said of them. */
static const struct {
	uint32_t flag;
	const char *why;
} refused_kinds[] = {
	{FUNCTION_BRIDGE, "is a bridge, and bridges stay with the machine"},
	{FUNCTION_HOST, "is a part of the machine itself"},
	{FUNCTION_MALFORMED, "has malformed capabilities or BARs"},
	{FUNCTION_PF, "has virtual functions that are on, so it stays with the hypervisor"},
	{FUNCTION_RESERVED_MEMORY,
	 "has memory that firmware keeps for its DMA (RMRR, RMR or IVMD)"},
};

static enum bh_error check_kind(const struct planner *p, const struct wish *w)
{
	for (size_t i = 0; i < ARRAY_SIZE(refused_kinds); i++) {
		if (w->f->flags & refused_kinds[i].flag)
			return device_refused(p, w, "%s", refused_kinds[i].why);
	}
	if (!(w->f->flags & FUNCTION_FLR))
		return device_refused(p, w, "cannot be reset by itself (it has no FLR)");
	if (w->f->iommu == MACHINE_NONE && !w->want->dma_trusted)
		return device_refused(p, w,
				      "has no IOMMU that checks its DMA; only a VM with "
				      "dma-trusted may have it");
	return BH_OK;
}

/* Who has function @index already: a VM's name, or NULL. */
static const char *owner_of(const struct plan *plan, uint32_t index)
{
	for (uint32_t i = 0; i < plan->nvms; i++) {
		for (uint32_t k = 0; k < plan->vm[i].nfunctions; k++) {
			if (plan->vm[i].function[k].function == index)
				return plan->vm[i].name;
		}
	}
	return NULL;
}

/* Nobody else may have a function of the group: the IOMMU cannot keep them apart. */
static enum bh_error check_group(const struct planner *p, const struct wish *w)
{
	const struct machine *m = p->machine;

	for (uint32_t i = 0; i < m->nfunctions; i++) {
		const struct machine_function *f = &m->function[i];
		const char *owner = owner_of(p->plan, i);
		const char *which = f == w->f ? "is" : "cannot be kept apart from";
		char name[16] = "";

		if (f->group != w->f->group)
			continue;
		if (f != w->f)
			function_name(name, sizeof(name), f->id);
		if (i == p->plan->card.function)
			return device_refused(p, w, "%s %s%sthe card's", which, name,
					      f != w->f ? ", " : "");
		if (owner != NULL && (f == w->f || strcmp(owner, w->want->name) != 0))
			return device_refused(p, w, "%s %s%sa device of /vms/%s", which, name,
					      f != w->f ? ", " : "", owner);
		if (f->flags & FUNCTION_HOST)
			return device_refused(p, w, "%s %s, a part of the machine itself", which,
					      name);
	}
	return BH_OK;
}

/* True when BAR @bar fills whole pages that are neither RAM nor in any other BAR. */
static bool has_own_pages(const struct machine *m, const struct machine_bar *bar)
{
	struct extent e = {bar->base, bar->size};
	bool own = is_aligned(e.base.v | e.size, PAGE_SIZE) && e.base.v != 0 && is_sane(e);

	for (uint32_t i = 0; i < m->nmemory; i++)
		own = own && !extent_overlap(e, m->memory[i].extent);
	for (uint32_t i = 0; i < m->nfunctions * MACHINE_MAX_BARS; i++) {
		const struct machine_bar *b =
			&m->function[i / MACHINE_MAX_BARS].bar[i % MACHINE_MAX_BARS];

		own = own && (b == bar || !range_overlap(e.base.v, e.size, b->base.v, b->size));
	}
	return own;
}

/* The pages of BAR @b from the MSI-X table to the pending bits, whichever of them is in it (PCIe 6.0 7.7.2). */
static void keep_msix(struct machine_function *f, uint32_t b)
{
	struct machine_bar *bar = &f->bar[b];
	uint64_t table = f->msix_offset, pba = f->pba_offset;
	uint64_t table_end = table + f->msix_vectors * 16ULL;
	uint64_t pba_end = pba + (f->msix_vectors + 63ULL) / 64 * 8;

	if (f->msix == 0 || (b != f->msix_bar && b != f->pba_bar))
		return;
	if (b != f->msix_bar || (b == f->pba_bar && pba < table))
		table = pba;
	if (b != f->msix_bar || (b == f->pba_bar && pba_end > table_end))
		table_end = pba_end;
	if (table_end > bar->size)
		return; /* it is malformed, and nobody gets it */
	bar->kept_page = (uint32_t)(table / PAGE_SIZE);
	bar->kept_pages = (uint32_t)(align_up(table_end, PAGE_SIZE) / PAGE_SIZE) - bar->kept_page;
}

void plan_mark_functions(struct machine *machine)
{
	for (uint32_t i = 0; i < machine->nfunctions; i++) {
		struct machine_function *f = &machine->function[i];

		for (uint32_t b = 0; b < MACHINE_MAX_BARS; b++) {
			if (f->bar[b].size != 0 && !has_own_pages(machine, &f->bar[b]))
				f->flags |= FUNCTION_SHARED_PAGES;
			if (machine->arch == MACHINE_X86)
				keep_msix(f, b);
		}
	}
}

static enum bh_error check_bars(const struct planner *p, const struct wish *w)
{
	for (uint32_t b = 0; b < MACHINE_MAX_BARS; b++) {
		const struct machine_bar *bar = &w->f->bar[b];

		if (bar->size == 0)
			continue;
		if (bar->base.v == 0)
			return device_refused(p, w, "has a BAR %u that firmware gave no address",
					      b);
		if (!has_own_pages(p->machine, bar))
			return device_refused(p, w,
					      "has a BAR %u (%llu bytes at 0x%llx) that does not "
					      "fill whole pages of its own",
					      b, (unsigned long long)bar->size,
					      (unsigned long long)bar->base.v);
	}
	return BH_OK;
}

/* The first place in [@base, @end) for @size bytes, at a multiple of that, beside all BARs of @vm. */
static bool find_place(const struct machine *m, const struct plan_vm *vm, uint64_t base,
		       uint64_t end, uint64_t size, gpa_t *at)
{
	uint64_t next = align_up(base, size);
	bool moved = true;

	while (moved) {
		moved = false;
		if (!range_inside(next, size, base, end - base))
			return false;
		for (uint32_t i = 0; i < vm->nfunctions * MACHINE_MAX_BARS; i++) {
			const struct plan_function *f = &vm->function[i / MACHINE_MAX_BARS];
			uint64_t other = f->bar[i % MACHINE_MAX_BARS].v;
			uint64_t other_size =
				m->function[f->function].bar[i % MACHINE_MAX_BARS].size;

			if (other != 0 && range_overlap(next, size, other, other_size)) {
				next = align_up(other + other_size, size);
				moved = true;
			}
		}
	}
	*at = gpa(next);
	return true;
}

static bool is_wide(const struct machine_bar *bar)
{
	return (bar->flags & BAR_TYPE_MASK) == BAR_TYPE_64;
}

/* The largest of @vm's wide or other BARs that has no place yet; false when all have one. */
static bool largest_bar(const struct machine *m, const struct plan_vm *vm, bool wide,
			uint32_t *slot, uint32_t *b)
{
	uint64_t largest = 0;

	for (uint32_t i = 0; i < vm->nfunctions * MACHINE_MAX_BARS; i++) {
		const struct plan_function *f = &vm->function[i / MACHINE_MAX_BARS];
		const struct machine_bar *bar = &m->function[f->function].bar[i % MACHINE_MAX_BARS];

		if (f->bar[i % MACHINE_MAX_BARS].v != 0 || bar->size <= largest ||
		    is_wide(bar) != wide)
			continue;
		largest = bar->size;
		*slot = i / MACHINE_MAX_BARS;
		*b = i % MACHINE_MAX_BARS;
	}
	return largest != 0;
}

static enum bh_error place_bar(struct planner *p, struct plan_vm *vm,
			       const struct manifest_vm *want, uint32_t slot, uint32_t b)
{
	struct plan_function *out = &vm->function[slot];
	struct wish w = {want, want->device[slot], &p->machine->function[out->function]};
	const struct machine_bar *bar = &w.f->bar[b];
	uint64_t base = windows[p->machine->arch].base, end = windows[p->machine->arch].end;

	if (want->hotplug_ports != 0)
		end = plan_port_window(p->machine, 0).base.v;
	if (!(is_wide(bar) && bar->size >= LARGE_BAR) &&
	    find_place(p->machine, vm, base, end, bar->size, &out->bar[b]))
		return BH_OK;
	if (is_wide(bar) && find_place(p->machine, vm, GUEST_HIGH_WINDOW_BASE,
				       GUEST_HIGH_WINDOW_END, bar->size, &out->bar[b]))
		return BH_OK;
	return device_refused(p, &w, "has a BAR %u of %llu KiB, for which the guest has no room", b,
			      (unsigned long long)(bar->size / KIB));
}

/*
 * First those that only the lower window will do for, then the others, of which large ones, and
 * what finds no place below, go up. The largest first, so that none leaves a gap.
 */
static enum bh_error place_bars(struct planner *p, struct plan_vm *vm,
				const struct manifest_vm *want)
{
	enum bh_error error = BH_OK;
	uint32_t slot = 0, b = 0;

	for (int wide = 0; wide < 2; wide++) {
		while (error == BH_OK && largest_bar(p->machine, vm, wide == 1, &slot, &b))
			error = place_bar(p, vm, want, slot, b);
	}
	return error;
}

static enum bh_error not_there(const struct planner *p, const struct manifest_vm *want,
			       const char *device)
{
	return bh_fail(p->report, BH_NO_DEVICE,
		       "/vms/%s: devices: '%s' is not there; this machine has %u PCI functions "
		       "that can be seen",
		       want->name, device, p->machine->nfunctions);
}

/*
 * Where the GIC has not been shown to keep LPIs of one number apart, one VM takes its own and those of the next ones come
 * by list registers.
 */
static enum bh_error plan_interrupts(struct planner *p, uint32_t slot,
				     const struct manifest_vm *want)
{
	const struct machine_arm64 *arm64 = &p->machine->arm64;
	struct plan_vm *vm = &p->plan->vm[slot];

	for (uint32_t i = 0; i < p->plan->nvms && arm64->one_lpi_owner != 0; i++)
		if (i != slot && plan_takes_lpis(vm) && plan_takes_lpis(&p->plan->vm[i]))
			vm->virtual_interrupts = arm64->maintenance_ppi != 0;
	if (want->virtual_interrupts == 0)
		return BH_OK;
	vm->virtual_interrupts = 1;
	if (arm64->maintenance_ppi != 0)
		return BH_OK;
	return bh_fail(p->report, BH_BAD_VALUE, "/vms/%s: virtual-interrupts: %s", want->name,
		       p->machine->arch == MACHINE_X86
			       ? "this is for arm64 machines; it may not stand here"
			       : "1; this machine has no GIC with list registers and their "
				 "maintenance interrupt");
}

static enum bh_error plan_functions(struct planner *p, uint32_t slot,
				    const struct manifest_vm *want)
{
	struct plan_vm *vm = &p->plan->vm[slot];

	if (want->ndevices + want->hotplug_ports > PLAN_MAX_FUNCTIONS)
		return bh_fail(
			p->report, BH_TOO_MANY,
			"/vms/%s: %u devices and %u hotplug-ports; at most %u are allowed together",
			want->name, want->ndevices, want->hotplug_ports, PLAN_MAX_FUNCTIONS);
	/* On Arm RAM begins at 1 GiB, on x86 as much of it makes room for the hole. */
	if (want->ndevices + want->hotplug_ports != 0 &&
	    want->memory > GUEST_HIGH_WINDOW_BASE - 1 * GIB)
		return bh_fail(p->report, BH_TOO_BIG,
			       "/vms/%s: memory: %llu MiB; a VM with devices may have %llu",
			       want->name, mib(want->memory),
			       mib(GUEST_HIGH_WINDOW_BASE - 1 * GIB));
	for (uint32_t i = 0; i < want->ndevices; i++) {
		uint32_t index = find_function(p->machine, want->device[i]);
		struct wish w = {want, want->device[i], NULL};
		enum bh_error error;

		if (index == MACHINE_NONE)
			return not_there(p, want, want->device[i]);
		w.f = &p->machine->function[index];
		error = check_kind(p, &w);
		if (error == BH_OK)
			error = check_group(p, &w);
		if (error == BH_OK)
			error = check_bars(p, &w);
		if (error != BH_OK)
			return error;
		vm->function[vm->nfunctions++] = (struct plan_function){
			.function = index, .id = (GUEST_FUNCTION_FIRST + i) << 3};
	}
	enum bh_error error = place_bars(p, vm, want);

	vm->nports = want->hotplug_ports;
	for (uint32_t i = 0; i < vm->nports; i++)
		vm->function[vm->nfunctions++] =
			(struct plan_function){.function = MACHINE_NONE, .id = (i + 1) << 8};
	return error != BH_OK ? error : plan_interrupts(p, slot, want);
}

/* In a port's window: what is not prefetchable, or has no more than 32 bits, in its first half, the rest in the second. */
static struct extent port_half(const struct machine *machine, uint32_t port, bool prefetchable)
{
	struct extent half = plan_port_window(machine, port);

	half.size /= 2;
	half.base.v += prefetchable ? half.size : 0;
	return half;
}

static bool is_prefetchable(const struct machine_bar *bar)
{
	return is_wide(bar) && (bar->flags & BAR_PREFETCHABLE) != 0;
}

/*
 * The largest first, from each half's start on: so kernels place the BARs of what is plugged in, and find them
 * there already.
 */
static bool fill_port(const struct machine *m, uint32_t port, struct plan_function *out)
{
	const struct machine_bar *bar = m->function[out->function].bar;
	struct extent room[2] = {port_half(m, port, false), port_half(m, port, true)};

	for (;;) {
		const struct machine_bar *largest = NULL;

		for (const struct machine_bar *b = bar; b < bar + MACHINE_MAX_BARS; b++)
			if (b->size != 0 && out->bar[b - bar].v == 0 &&
			    (largest == NULL || b->size > largest->size))
				largest = b;
		if (largest == NULL)
			return true;
		struct extent *half = &room[is_prefetchable(largest)];

		if (largest->size > half->size)
			return false;
		out->bar[largest - bar] = gpa(half->base.v);
		half->base.v += largest->size;
		half->size -= largest->size;
	}
}

enum bh_error plan_plug(const struct plan *plan, const struct machine *machine, uint32_t slot,
			const char *device, struct plan_function *out, struct bh_report *report)
{
	const struct plan_vm *vm = &plan->vm[slot];
	struct plan copy = *plan;
	struct planner p = {.machine = machine, .plan = &copy, .report = report};
	struct manifest_vm want = {.dma_trusted = vm->dma_trusted};
	uint32_t first = vm->nfunctions - vm->nports, port = 0;
	enum bh_error error;

	memcpy(want.name, vm->name, sizeof(want.name));
	*out = (struct plan_function){.function = find_function(machine, device)};
	if (out->function == MACHINE_NONE)
		return not_there(&p, &want, device);
	while (port < vm->nports && vm->function[first + port].function != MACHINE_NONE)
		port++;
	if (port == vm->nports)
		return bh_fail(
			report, BH_TOO_MANY,
			"/vms/%s: devices: '%s' finds no free port; the VM has %u (hotplug-ports)",
			want.name, device, vm->nports);
	struct wish w = {&want, device, &machine->function[out->function]};

	out->id = (port + 1) << 8;
	error = check_kind(&p, &w);
	if (error == BH_OK)
		error = check_group(&p, &w);
	if (error == BH_OK)
		error = check_bars(&p, &w);
	if (error == BH_OK && !fill_port(machine, port, out))
		error = device_refused(
			&p, &w, "has BARs for which a port's two windows of %llu MiB have no room",
			mib(GUEST_PORT_WINDOW / 2));
	return error;
}

/* Base and limit: 7.5.1.3.8 */
static uint32_t window_register(struct extent window)
{
	return ((uint32_t)(extent_end(window) - 1) & 0xfff00000) | (uint32_t)window.base.v >> 16;
}

/* A root port with a slot, one lane of 2.5 GT/s, and its windows for memory; all else is not there (PCIe 6.0 7.5.1.3, 7.5.3). */
static void plan_ports(struct plan *plan, const struct machine *machine)
{
	bool has_msi = machine->arch == MACHINE_X86;

	for (uint32_t i = 0; i < PLAN_MAX_PORTS; i++) {
		uint32_t *reg = plan->port[i];

		reg[0x00 / 4] = 0x000c1b36; /* QEMU's, of which kernels expect nothing particular */
		reg[0x04 / 4] = 1U << 20; /* capabilities */
		reg[0x08 / 4] = 0x06040000; /* PCI bridge */
		reg[0x0c / 4] = 0x00010000;
		reg[0x18 / 4] = (i + 1) * 0x00010100; /* secondary and subordinate bus */
		reg[0x1c / 4] = 0x0010; /* ports: a window that ends before it begins */
		reg[0x20 / 4] = window_register(port_half(machine, i, false));
		reg[0x24 / 4] =
			window_register(port_half(machine, i, true)) | 0x00010001; /* 64 bits */
		reg[0x34 / 4] = PORT_PCIE;
		reg[0x3c / 4] = has_msi ? 0 : 1U << 8;
		reg[PORT_PCIE / 4] = 0x01420010 | (has_msi ? PORT_MSI << 8 : 0);
		reg[PORT_PCIE / 4 + 1] = 1U << 15;
		reg[PORT_PCIE / 4 + 3] =
			(i + 1) << 24 | 1U << 20 | 0x11; /* tells when its link is up */
		reg[PORT_LINK / 4] = 0x11U << 16;
		/* Button, power, power's indicator, surprise, hot plug; no command takes time. */
		reg[PORT_PCIE / 4 + 5] = (i + 1) << 19 | 1U << 18 | 0x73;
		reg[PORT_PCIE / 4 + 11] = 1U << 1;
		reg[PORT_MSI / 4] = has_msi ? 0x05 : 0;
	}
}

/* A PCI UART with MSI, its BAR fixed at COM1's ports by Enhanced Allocation (PCI ECN "Enhanced Allocation"). */
static void plan_console_function(uint32_t *reg)
{
	reg[0x00 / 4] = 0x99009710; /* NetMos 9900 */
	reg[0x04 / 4] = 0x00100001; /* capabilities; I/O space on */
	/* communication controller; of kind 2, a 16550: that is how the driver counts its ports */
	reg[0x08 / 4] = 0x07800200;
	reg[0x2c / 4] = 0x1000a000; /* of this kind 8250_pci knows that it has MSI */
	reg[0x34 / 4] = GUEST_X86_CONSOLE_MSI;
	reg[GUEST_X86_CONSOLE_MSI / 4] = CONSOLE_EA << 8 | 0x05;
	reg[CONSOLE_EA / 4] = 1U << 16 | 0x14; /* one entry */
	reg[CONSOLE_EA / 4 + 1] =
		1U << 31 | 2U << 8 | 2; /* enabled, I/O space, BAR 0, two words follow */
	reg[CONSOLE_EA / 4 + 2] = GUEST_X86_CONSOLE_PORT;
	reg[CONSOLE_EA / 4 + 3] = 7U & ~3U; /* the last byte's offset, its low two bits implied */
}

/* --- host and fixed parts --- */

static enum bh_error plan_host(struct planner *p, const struct manifest_host *host)
{
	uint32_t core = host->management_core;

	if (p->machine->arch == MACHINE_X86 &&
	    (host->console_interrupt != 0 || host->stop_method != STOP_AUTO))
		return bh_fail(p->report, BH_BAD_VALUE,
			       "/host: %s: this is for arm64 machines; it may not stand here",
			       host->console_interrupt != 0 ? "console-interrupt" : "stop-method");
	if (core == MANIFEST_ANY_CORE)
		core = p->machine->boot_cpu;
	if (core >= p->machine->ncpus)
		return bh_fail(p->report, BH_NO_SUCH_CORE,
			       "/host: management-core: core %u does not exist; this machine has "
			       "cores 0 to %u",
			       core, p->machine->ncpus - 1);
	p->plan->management_core = core;
	p->plan->stop_method = (uint32_t)host->stop_method;
	p->plan->when_idle = (uint32_t)host->when_idle;
	p->plan->console_interrupt = host->console_interrupt;
	p->plan->card.function = find_function(p->machine, host->card);
	plan_ports(p->plan, p->machine);
	plan_console_function(p->plan->console);
	for (uint32_t i = 0; i < p->nimages; i++) {
		if (p->images[i].extent.size != 0)
			p->plan->images[p->plan->nimages++] = p->images[i].extent;
	}
	return BH_OK;
}

/* 1 for the first VM: the lowest that no VM has. */
static uint32_t free_vmid(const struct plan *plan)
{
	uint32_t vmid = 1;

	for (uint32_t i = 0; i < plan->nvms;) {
		bool taken = plan->vm[i++].vmid == vmid;

		vmid += taken;
		i = taken ? 0 : i;
	}
	return vmid;
}

/* Name, id and options. */
static enum bh_error plan_options(struct planner *p, uint32_t slot, const struct manifest_vm *want)
{
	struct plan *plan = p->plan;
	struct plan_vm *vm = &plan->vm[slot];

	for (uint32_t i = 0; i < plan->nvms; i++) {
		if (strcmp(plan->vm[i].name, want->name) == 0)
			return bh_fail(p->report, BH_DUPLICATE,
				       "/vms/%s: two VMs have this name; each name may stand once",
				       want->name);
	}
	memcpy(vm->name, want->name, sizeof(vm->name));
	vm->vmid = free_vmid(plan);
	vm->autostart = want->autostart;
	vm->restart_limit = want->restart_limit;
	vm->restart_window = want->restart_window;
	vm->console = want->console;
	vm->dma_trusted = want->dma_trusted;
	if (slot == plan->nvms)
		plan->nvms++;
	return BH_OK;
}

/* The extents of the manifest's VMs stand at the end of the core's, in order, before them the IOMMUs'; the pool is what lies before these. */
static void place_in_core(struct planner *p, const struct manifest *manifest)
{
	uint64_t at = extent_end(p->plan->core) - all_vm_bytes(p->machine, manifest);
	uint64_t tables = plan_iommu_bytes(p->machine);

	if (tables != 0)
		p->plan->iommu_tables = (struct extent){pa(at - tables), tables};
	for (uint32_t i = 0; i < p->plan->nvms; i++) {
		uint64_t size = plan_vm_bytes(p->machine, &manifest->vm[i]);

		p->plan->vm[i].hypervisor = (struct extent){pa(at), size};
		at += size;
	}
}

/* --- cores --- */

/* A hardware thread of @core's core that is not free for @vm; NOBODY when there is none. */
static uint32_t foreign_sibling(const struct planner *p, uint32_t core, uint32_t vm)
{
	const struct machine *m = p->machine;

	for (uint32_t i = 0; i < m->ncpus; i++) {
		if (m->cpu[i].core_id != m->cpu[core].core_id || i == core)
			continue;
		if (p->owner[i] != NOBODY && p->owner[i] != vm)
			return i;
	}
	return NOBODY;
}

static bool has_sibling_in(const struct planner *p, uint32_t core, uint32_t vm)
{
	const struct machine *m = p->machine;

	for (uint32_t i = 0; i < m->ncpus; i++) {
		if (m->cpu[i].core_id == m->cpu[core].core_id && p->owner[i] == vm)
			return true;
	}
	return false;
}

/* Whose each core is, as the plan says. */
static void know_owners(struct planner *p)
{
	const struct plan *plan = p->plan;

	for (uint32_t i = 0; i < CONFIG_MAX_CPUS; i++)
		p->owner[i] = NOBODY;
	p->owner[plan->management_core] = MANAGEMENT;
	for (uint32_t i = 0; i < plan->nvms; i++) {
		for (uint32_t k = 0; k < plan->vm[i].ncores; k++)
			p->owner[plan->vm[i].core[k]] = i;
	}
}

static enum bh_error core_refused(const struct planner *p, uint32_t vm, uint32_t core,
				  uint32_t owner, const char *how)
{
	const char *name = p->plan->vm[vm].name;

	if (owner == MANAGEMENT)
		return bh_fail(p->report, BH_CORE_TAKEN,
			       "/vms/%s: cores: core %u is %s the management core; a VM may have "
			       "any other",
			       name, core, how);
	return bh_fail(p->report, BH_CORE_TAKEN,
		       "/vms/%s: cores: core %u is %s a core of /vms/%s; a core may belong to one "
		       "VM",
		       name, core, how, p->plan->vm[owner].name);
}

static enum bh_error give_core(struct planner *p, uint32_t vm, uint32_t core)
{
	struct plan_vm *out = &p->plan->vm[vm];
	uint32_t sibling;

	if (core >= p->machine->ncpus)
		return bh_fail(p->report, BH_NO_SUCH_CORE,
			       "/vms/%s: cores: core %u does not exist; this machine has cores 0 "
			       "to %u",
			       out->name, core, p->machine->ncpus - 1);
	if (p->owner[core] != NOBODY)
		return core_refused(p, vm, core, p->owner[core], "already");
	sibling = foreign_sibling(p, core, vm);
	if (sibling != NOBODY)
		return core_refused(p, vm, core, p->owner[sibling], "an SMT sibling of");
	p->owner[core] = vm;
	out->core[out->ncores++] = core;
	return BH_OK;
}

static enum bh_error plan_named_cores(struct planner *p, uint32_t vm,
				      const struct manifest_vm *want)
{
	enum bh_error error = BH_OK;

	for (uint32_t i = 0; !want->any_core && i < want->ncores && error == BH_OK; i++)
		error = give_core(p, vm, want->core[i]);
	return error;
}

static bool is_free(const struct planner *p, uint32_t core, uint32_t vm, uint64_t node)
{
	return p->owner[core] == NOBODY &&
	       (node == ANY_NODE || p->machine->cpu[core].node == node) &&
	       foreign_sibling(p, core, vm) == NOBODY;
}

static uint32_t count_free(const struct planner *p, uint32_t vm, uint64_t node)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < p->machine->ncpus; i++)
		count += is_free(p, i, vm, node);
	return count;
}

/* The first node, in the order of cores, that has all the cores; ANY_NODE when none has. */
static uint64_t node_with_cores(const struct planner *p, uint32_t vm, uint32_t count)
{
	for (uint32_t i = 0; i < p->machine->ncpus; i++) {
		uint32_t node = p->machine->cpu[i].node;

		if (is_free(p, i, vm, node) && count_free(p, vm, node) >= count)
			return node;
	}
	return ANY_NODE;
}

/* A free core for @vm: a sibling of what it has (nobody else may have it), else the lowest. */
static uint32_t pick_core(const struct planner *p, uint32_t vm, uint64_t node)
{
	uint32_t lowest = NOBODY;

	for (uint32_t i = 0; i < p->machine->ncpus; i++) {
		if (!is_free(p, i, vm, node))
			continue;
		if (has_sibling_in(p, i, vm))
			return i;
		if (lowest == NOBODY)
			lowest = i;
	}
	return lowest;
}

static enum bh_error plan_any_cores(struct planner *p, uint32_t vm, const struct manifest_vm *want)
{
	uint32_t count = want->any_core ? want->ncores : 0;
	uint32_t free = count_free(p, vm, ANY_NODE);
	uint64_t node = node_with_cores(p, vm, count);
	enum bh_error error = BH_OK;

	if (free < count)
		return bh_fail(p->report, BH_NO_CORE,
			       "/vms/%s: core-count: %u cores; this machine has %u left for it",
			       want->name, count, free);
	for (uint32_t i = 0; i < count && error == BH_OK; i++)
		error = give_core(p, vm, pick_core(p, vm, node));
	return error;
}

/* --- memory --- */

struct gap {
	uint64_t base; /* both multiples of BLOCK_SIZE */
	uint64_t end;
	uint32_t node;
};

static void lower(struct extent *lowest, uint64_t base, uint64_t size, uint64_t at)
{
	if (size == 0 || base + size <= at)
		return;
	if (lowest->size == 0 || base < lowest->base.v)
		*lowest = (struct extent){pa(base), size};
}

/* Of all that is taken and ends behind @at, the extent that begins lowest; empty: none. */
static struct extent next_taken(const struct plan *plan, uint64_t at)
{
	struct extent lowest = {pa(0), 0};

	lower(&lowest, plan->core.base.v, plan->core.size, at);
	for (uint32_t i = 0; i < plan->nimages; i++)
		lower(&lowest, plan->images[i].base.v, plan->images[i].size, at);
	for (uint32_t i = 0; i < plan->nvms; i++) {
		const struct plan_vm *vm = &plan->vm[i];

		for (uint32_t k = 0; k < vm->nregions; k++)
			lower(&lowest, vm->region[k].extent.base.v, vm->region[k].extent.size, at);
		lower(&lowest, vm->hypervisor.base.v, vm->hypervisor.size, at);
	}
	return lowest;
}

/* The first whole blocks free in [*@from, @end); *@from moves behind them. */
static bool next_gap_within(const struct plan *plan, uint64_t *from, uint64_t end, struct gap *gap)
{
	while (*from < end) {
		struct extent taken = next_taken(plan, *from);
		uint64_t base = align_up(*from, BLOCK_SIZE);
		uint64_t stop = end;

		*from = end;
		if (taken.size != 0 && taken.base.v < end) {
			stop = taken.base.v;
			*from = extent_end(taken);
		}
		stop = align_down(stop, BLOCK_SIZE);
		if (base < stop) {
			gap->base = base;
			gap->end = stop;
			return true;
		}
	}
	return false;
}

/* The first free gap at or behind *@from, in one node; *@from moves behind it. */
static bool next_gap(const struct planner *p, uint64_t *from, struct gap *gap)
{
	const struct machine *m = p->machine;

	for (uint32_t i = 0; i < m->nmemory; i++) {
		uint64_t base = m->memory[i].extent.base.v;
		uint64_t end = extent_end(m->memory[i].extent);

		gap->node = m->memory[i].node;
		/* Firmware's map may divide what is one piece. */
		while (i + 1 < m->nmemory && m->memory[i + 1].extent.base.v == end &&
		       m->memory[i + 1].node == gap->node)
			end = extent_end(m->memory[++i].extent);
		if (end <= *from)
			continue;
		if (*from < base)
			*from = base;
		if (next_gap_within(p->plan, from, end, gap))
			return true;
	}
	return false;
}

/* The smallest gap that holds @size at a multiple of @align; true, and where in @at, if any. */
static bool best_fit(const struct planner *p, uint64_t node, uint64_t size, uint64_t align,
		     uint64_t *at)
{
	uint64_t best = UINT64_MAX;
	uint64_t from = 0;
	struct gap gap;

	while (next_gap(p, &from, &gap)) {
		uint64_t base = align_up(gap.base, align);

		if ((node != ANY_NODE && gap.node != node) || gap.end - gap.base >= best)
			continue;
		if (base < gap.end && gap.end - base >= size) {
			best = gap.end - gap.base;
			*at = base;
		}
	}
	return best != UINT64_MAX;
}

static bool largest_gap(const struct planner *p, uint64_t node, struct gap *largest)
{
	uint64_t from = 0;
	struct gap gap;

	*largest = (struct gap){0, 0, 0};
	while (next_gap(p, &from, &gap)) {
		if (node != ANY_NODE && gap.node != node)
			continue;
		if (gap.end - gap.base > largest->end - largest->base)
			*largest = gap;
	}
	return largest->end != 0;
}

/* Gives @vm the memory at @at, divided where the guest's hole begins; false when it has too many regions. */
static bool add_region(const struct guest_layout *layout, struct plan_vm *vm, uint64_t at,
		       uint64_t size)
{
	while (size != 0) {
		uint64_t to = layout->ram_base + plan_vm_memory(vm);
		uint64_t piece = size;

		if (to >= layout->hole_base)
			to += layout->hole_end - layout->hole_base;
		else if (piece > layout->hole_base - to)
			piece = layout->hole_base - to;
		if (vm->nregions == CONFIG_MAX_REGIONS_PER_VM)
			return false;
		vm->region[vm->nregions++] = (struct plan_region){gpa(to), {pa(at), piece}};
		at += piece;
		size -= piece;
	}
	return true;
}

static bool place_whole(struct planner *p, struct plan_vm *vm, uint64_t node, uint64_t size)
{
	uint64_t at = 0;

	if (!(size >= GIB && best_fit(p, node, size, GIB, &at)) &&
	    !best_fit(p, node, size, BLOCK_SIZE, &at))
		return false;
	if (add_region(layout_of(p), vm, at, size))
		return true;
	vm->nregions = 0;
	return false;
}

static bool place_pieces(struct planner *p, struct plan_vm *vm, uint64_t node, uint64_t size)
{
	struct gap gap;

	while (size != 0 && largest_gap(p, node, &gap)) {
		uint64_t piece = gap.end - gap.base < size ? gap.end - gap.base : size;

		if (!add_region(layout_of(p), vm, gap.base, piece))
			break;
		size -= piece;
	}
	if (size != 0)
		vm->nregions = 0;
	return size == 0;
}

static enum bh_error no_memory(const struct planner *p, const struct manifest_vm *want)
{
	uint64_t total = 0;
	uint64_t from = 0;
	struct gap gap;

	while (next_gap(p, &from, &gap))
		total += gap.end - gap.base;
	largest_gap(p, ANY_NODE, &gap);
	return bh_fail(p->report, BH_NO_MEMORY,
		       "/vms/%s: memory: %llu MiB; %llu MiB are left, %llu MiB in the largest "
		       "extent, and a VM may have %u extents",
		       want->name, mib(want->memory), mib(total), mib(gap.end - gap.base),
		       CONFIG_MAX_REGIONS_PER_VM);
}

static uint64_t node_of(const struct planner *p, const struct plan_vm *vm)
{
	return p->machine->cpu[vm->core[0]].node;
}

static enum bh_error plan_memory(struct planner *p, uint32_t slot, const struct manifest_vm *want)
{
	struct plan_vm *vm = &p->plan->vm[slot];
	uint64_t size = want->memory;
	uint64_t node = node_of(p, vm);

	if (!place_whole(p, vm, node, size) && !place_pieces(p, vm, node, size) &&
	    !place_whole(p, vm, ANY_NODE, size) && !place_pieces(p, vm, ANY_NODE, size))
		return no_memory(p, want);
	return BH_OK;
}

/*
 * For a VM that plan.core has no room for: whole blocks, after its RAM, which
 * needs the large gaps more.
 */
static enum bh_error place_apart(struct planner *p, uint32_t slot, const struct manifest_vm *want)
{
	struct plan_vm *vm = &p->plan->vm[slot];
	uint64_t size = align_up(plan_vm_bytes(p->machine, want), BLOCK_SIZE);
	uint64_t at = 0;
	struct gap gap;

	if (!best_fit(p, node_of(p, vm), size, BLOCK_SIZE, &at) &&
	    !best_fit(p, ANY_NODE, size, BLOCK_SIZE, &at)) {
		largest_gap(p, ANY_NODE, &gap);
		return bh_fail(p->report, BH_NO_MEMORY,
			       "/vms/%s: memory: %llu MiB; beside it the hypervisor needs %llu MiB "
			       "in one extent, and %llu MiB are left in the largest",
			       want->name, mib(want->memory), mib(size), mib(gap.end - gap.base));
	}
	vm->hypervisor = (struct extent){pa(at), size};
	return BH_OK;
}

/* --- images --- */

const struct image_info *plan_find_image(const struct image_info *images, uint32_t nimages,
					 const char *name)
{
	for (uint32_t i = 0; i < nimages; i++) {
		if (strncmp(images[i].name, name, sizeof(images[i].name)) == 0)
			return &images[i];
	}
	return NULL;
}

/* On the host a file may be named without being there: nothing is known of it, nothing checked. */
static bool is_known(const struct image_info *image)
{
	return image->size != 0 || image->extent.base.v != 0;
}

static enum bh_error get_image(const struct planner *p, const char *name, const char *property,
			       const char *file, const struct image_info **image)
{
	*image = plan_find_image(p->images, p->nimages, file);
	if (!*image)
		return bh_fail(p->report, BH_NO_IMAGE,
			       "/vms/%s: %s: '%s' is missing or unreadable; it must stand beside "
			       "the manifest",
			       name, property, file);
	if (!is_known(*image))
		return BH_OK;
	if ((*image)->size == 0)
		return bh_fail(p->report, BH_BAD_IMAGE, "/vms/%s: %s: '%s' is empty", name,
			       property, file);
	if ((*image)->extent.size != 0 && (*image)->extent.size < (*image)->size)
		return bh_fail(p->report, BH_BAD_IMAGE,
			       "/vms/%s: %s: '%s' has %llu bytes, but only %llu were read", name,
			       property, file, (unsigned long long)(*image)->size,
			       (unsigned long long)(*image)->extent.size);
	return BH_OK;
}

static enum bh_error check_arm64_kernel(const struct planner *p, const struct manifest_vm *want,
					const struct image_info *kernel)
{
	if (want->boot_protocol != BOOT_PROTOCOL_ANY)
		return bh_fail(p->report, BH_BAD_VALUE,
			       "/vms/%s: boot-protocol: this is for x86 machines; it may not stand "
			       "here",
			       want->name);
	if (!is_known(kernel) || kernel->kind == KERNEL_ARM64_IMAGE)
		return BH_OK;
	if (kernel->kind != KERNEL_NONE)
		return bh_fail(p->report, BH_BAD_IMAGE,
			       "/vms/%s: kernel: '%s' is an x86 kernel; this machine runs arm64 "
			       "Images",
			       want->name, kernel->name);
	return bh_fail(p->report, BH_BAD_IMAGE,
		       "/vms/%s: kernel: '%s' is not an arm64 Image (no ARM\\x64 magic at byte 56)",
		       want->name, kernel->name);
}

static enum bh_error check_x86_kernel(const struct planner *p, const struct manifest_vm *want,
				      const struct image_info *kernel)
{
	if (!is_known(kernel))
		return BH_OK;
	if (kernel->kind == KERNEL_ARM64_IMAGE)
		return bh_fail(p->report, BH_BAD_IMAGE,
			       "/vms/%s: kernel: '%s' is an arm64 Image; this machine runs x86 "
			       "kernels",
			       want->name, kernel->name);
	if (kernel->kind == KERNEL_NONE)
		return bh_fail(p->report, BH_BAD_IMAGE,
			       "/vms/%s: kernel: '%s' is not an x86 kernel (no bzImage or 64-bit "
			       "ELF header)",
			       want->name, kernel->name);
	if (want->boot_protocol == BOOT_PROTOCOL_PVH && kernel->pvh_offset == UINT64_MAX)
		return bh_fail(p->report, BH_BAD_IMAGE,
			       "/vms/%s: boot-protocol: 'pvh', but '%s' has no PVH note; 'linux' "
			       "is allowed",
			       want->name, kernel->name);
	if (kernel->load_offset < layout_of(p)->free_base)
		return bh_fail(p->report, BH_BAD_IMAGE,
			       "/vms/%s: kernel: '%s' wants to stand at 0x%llx; 0x%llx and above "
			       "is allowed, below stands what the guest is told",
			       want->name, kernel->name, (unsigned long long)kernel->load_offset,
			       (unsigned long long)layout_of(p)->free_base);
	return BH_OK;
}

static enum bh_error check_kernel(const struct planner *p, const struct manifest_vm *want,
				  const struct image_info *kernel)
{
	enum bh_error error = p->machine->arch == MACHINE_X86 ? check_x86_kernel(p, want, kernel)
							      : check_arm64_kernel(p, want, kernel);

	if (error != BH_OK || is_aligned(kernel->load_offset, PAGE_SIZE))
		return error;
	return bh_fail(p->report, BH_BAD_IMAGE,
		       "/vms/%s: kernel: '%s' wants to stand at offset 0x%llx; a multiple of 4 KiB "
		       "is allowed",
		       want->name, kernel->name, (unsigned long long)kernel->load_offset);
}

/* Moves *@at behind @size bytes there and up to the next block; false when this leaves 64 bits. */
static bool advance(uint64_t *at, uint64_t size)
{
	if (!add_ok(*at, size, at) || *at > UINT64_MAX - BLOCK_SIZE)
		return false;
	*at = align_up(*at, BLOCK_SIZE);
	return true;
}

/* What is copied of a kernel's file. */
static struct extent kernel_bytes(const struct image_info *kernel)
{
	return kernel->part.size != 0 ? kernel->part
				      : (struct extent){kernel->extent.base, kernel->size};
}

static void plan_entry(const struct planner *p, enum manifest_boot_protocol want,
		       struct plan_vm *out, const struct image_info *kernel, uint64_t at)
{
	bool pvh = want == BOOT_PROTOCOL_PVH ||
		   (want == BOOT_PROTOCOL_ANY && kernel->kind == KERNEL_ELF &&
		    kernel->pvh_offset != UINT64_MAX);

	out->entry =
		gpa(at + (pvh && is_known(kernel) ? kernel->pvh_offset : kernel->entry_offset));
	out->entry_mode = ENTRY_ARM64;
	if (p->machine->arch == MACHINE_X86)
		out->entry_mode = pvh ? ENTRY_X86_PVH : ENTRY_X86_LINUX64;
}

static enum bh_error too_large(const struct planner *p, const struct manifest_vm *want,
			       const struct image_info *kernel, uint64_t run, uint64_t initrd)
{
	const char *name = want->name;
	unsigned long long memory = mib(want->memory);

	if (p->machine->arch == MACHINE_X86)
		return bh_fail(p->report, BH_TOO_BIG,
			       "/vms/%s: memory: %llu MiB; the kernel ('%s', %llu KiB from 0x%llx) "
			       "and behind it the initrd (%llu KiB) do not fit below 3 GiB",
			       name, memory, kernel->name, run / 1024ULL,
			       (unsigned long long)kernel->load_offset, initrd / 1024ULL);
	return bh_fail(p->report, BH_TOO_BIG,
		       "/vms/%s: memory: %llu MiB; the kernel ('%s', %llu KiB), a device tree and "
		       "the initrd (%llu KiB) do not fit",
		       name, memory, kernel->name, run / 1024ULL, initrd / 1024ULL);
}

/* Kernel, boot image (where it has no fixed place) and initrd, each in blocks of its own. */
static enum bh_error place_images(struct planner *p, uint32_t slot, const struct manifest_vm *want,
				  const struct image_info *kernel, const struct image_info *initrd)
{
	const struct guest_layout *layout = layout_of(p);
	struct plan_vm *out = &p->plan->vm[slot];
	struct extent bytes = kernel_bytes(kernel);
	uint64_t run = kernel->run_size > bytes.size ? kernel->run_size : bytes.size;
	uint64_t initrd_size = initrd ? initrd->size : 0;
	uint64_t ram_end = layout->ram_base + plan_vm_memory(out);
	uint64_t at = is_known(kernel) ? layout->ram_base : layout->free_base;
	uint64_t boot = layout->boot_base;
	uint64_t first = 0;
	uint64_t end = 0;
	bool fits = add_ok(at, kernel->load_offset, &at) && add_ok(at, run, &end);

	first = at;
	/* A kernel that is not known yet still gets one block. */
	fits = fits && advance(&at, run ? run : 1);
	if (boot == 0) {
		boot = at;
		end = boot + GUEST_BOOT_MAX;
		fits = fits && advance(&at, GUEST_BOOT_MAX);
	}
	fits = fits && (initrd_size == 0 || add_ok(at, initrd_size, &end));
	if (!fits || end > ram_end || end > layout->hole_base)
		return too_large(p, want, kernel, run, initrd_size);
	plan_entry(p, want->boot_protocol, out, kernel, first);
	out->image[IMAGE_KERNEL] = (struct plan_image){bytes.base, bytes.size, gpa(first)};
	out->image[IMAGE_BOOT].to = gpa(boot);
	if (initrd)
		out->image[IMAGE_INITRD] =
			(struct plan_image){initrd->extent.base, initrd->size, gpa(at)};
	return BH_OK;
}

static enum bh_error plan_images(struct planner *p, uint32_t slot, const struct manifest_vm *want)
{
	const struct image_info *kernel = NULL;
	const struct image_info *initrd = NULL;
	enum bh_error error = get_image(p, want->name, "kernel", want->kernel, &kernel);

	if (error == BH_OK)
		error = check_kernel(p, want, kernel);
	if (error == BH_OK && want->initrd[0] != '\0')
		error = get_image(p, want->name, "initrd", want->initrd, &initrd);
	if (error == BH_OK)
		error = place_images(p, slot, want, kernel, initrd);
	return error;
}

/* --- interrupts --- */

static bool is_spi_free(const struct planner *p, uint32_t intid)
{
	const struct machine *m = p->machine;
	uint32_t bit = intid - SPI_FIRST;

	for (uint32_t i = 0; i < p->plan->nvms; i++) {
		if (p->plan->vm[i].console_irq == intid)
			return false;
	}
	return intid != m->uart_irq && !(m->arm64.spi_used[bit / 8] & 1U << (bit % 8));
}

static enum bh_error plan_console(struct planner *p, uint32_t slot, const struct manifest_vm *want)
{
	const struct machine *m = p->machine;
	uint32_t first = p->plan->console_interrupt;
	uint32_t count = m->arm64.spi_count;
	uint32_t next;

	/* Ports have the console's. On x86 both send MSIs of the guest's choice. */
	if (m->arch == MACHINE_X86 || (!want->console && want->hotplug_ports == 0))
		return BH_OK;
	if (count == 0 || count > MACHINE_SPI_COUNT)
		count = MACHINE_SPI_COUNT;
	if (first < SPI_FIRST)
		first = SPI_FIRST;
	next = first;
	while (next < SPI_FIRST + count && !is_spi_free(p, next))
		next++;
	if (next >= SPI_FIRST + count)
		return bh_fail(p->report, BH_NO_INTERRUPT,
			       "/vms/%s: console: no interrupt from %u to %u is free for it",
			       want->name, first, SPI_FIRST + count - 1);
	p->plan->vm[slot].console_irq = next;
	return BH_OK;
}

/* --- the whole --- */

/* Fills the slots from @first on with what @want, @count of them, is to have. */
static enum bh_error plan_vms(struct planner *p, uint32_t first, const struct manifest_vm *want,
			      uint32_t count)
{
	/* One after the other for all: who only counts cores gets what named ones leave. */
	static enum bh_error (*const steps[])(struct planner * p, uint32_t slot,
					      const struct manifest_vm *want) = {
		plan_options, plan_named_cores, plan_any_cores, plan_functions,
		plan_memory,  plan_images,	plan_console,
	};
	enum bh_error error = BH_OK;

	for (size_t s = 0; s < ARRAY_SIZE(steps); s++) {
		for (uint32_t i = 0; i < count && error == BH_OK; i++)
			error = steps[s](p, first + i, &want[i]);
	}
	return error;
}

enum bh_error plan_make(const struct manifest *manifest, const struct machine *machine,
			const struct image_info *images, uint32_t nimages, struct extent core,
			struct plan *plan, struct bh_report *report)
{
	struct planner p = {
		.machine = machine,
		.images = images,
		.nimages = nimages,
		.plan = plan,
		.report = report,
	};
	enum bh_error error;

	memset(plan, 0, sizeof(*plan));
	plan->core = core;
	error = check_input(&p);
	if (error == BH_OK)
		error = check_core(&p, manifest);
	if (error == BH_OK)
		error = plan_host(&p, &manifest->host);
	if (error != BH_OK)
		return error;
	know_owners(&p);
	error = plan_vms(&p, 0, manifest->vm, manifest->nvms);
	if (error == BH_OK)
		place_in_core(&p, manifest);
	return error;
}

/* The plan that is in use must be a good one: steps follow its numbers. */
static enum bh_error check_before(const struct planner *p, const struct manifest_vm *want)
{
	enum bh_error error = check_input(p);

	if (error == BH_OK)
		error = plan_check(p->plan, p->machine, p->report);
	if (error == BH_OK && plan_vacant_slot(p->plan) == CONFIG_MAX_VMS)
		error = bh_fail(p->report, BH_TOO_MANY,
				"/vms/%s: this is VM number %u; this build allows %u VMs",
				want->name, CONFIG_MAX_VMS + 1, CONFIG_MAX_VMS);
	return error;
}

enum bh_error plan_add(struct plan *plan, const struct machine *machine,
		       const struct manifest_vm *want, const struct image_info *images,
		       uint32_t nimages, uint32_t *slot, struct bh_report *report)
{
	struct planner p = {
		.machine = machine,
		.images = images,
		.nimages = nimages,
		.plan = plan,
		.report = report,
	};
	enum bh_error error = check_before(&p, want);
	struct plan_vm before;
	uint32_t nvms = plan->nvms;
	uint32_t at;

	if (error != BH_OK)
		return error;
	at = plan_vacant_slot(plan);
	before = plan->vm[at];
	memset(&plan->vm[at], 0, sizeof(before));
	know_owners(&p);
	error = plan_vms(&p, at, want, 1);
	if (error == BH_OK)
		error = place_apart(&p, at, want);
	if (error == BH_OK) {
		*slot = at;
	} else {
		plan->vm[at] = before;
		plan->nvms = nvms;
	}
	return error;
}

void plan_set_boot(struct plan *plan, uint32_t vm, struct extent boot, uint64_t size,
		   uint32_t rng_seed_offset, uint32_t kaslr_seed_offset)
{
	struct plan_image *image = &plan->vm[vm].image[IMAGE_BOOT];
	bool stored = boot.base.v == 0; /* streamed: it has no place in the store */

	image->from = boot.base;
	image->size = size;
	plan->vm[vm].rng_seed_offset = rng_seed_offset;
	plan->vm[vm].kaslr_seed_offset = kaslr_seed_offset;
	/* The loader may have named the place as an image, so that the planner kept it free. */
	for (uint32_t i = 0; i < plan->nimages; i++)
		stored = stored || extent_inside(boot, plan->images[i]);
	if (!stored && plan->nimages < ARRAY_SIZE(plan->images))
		plan->images[plan->nimages++] = boot;
}
