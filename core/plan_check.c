/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The invariants of a plan, read from the plan alone: no function of plan.c is
 * used, so that a mistake there is not repeated here.
 */
#include <string.h>

#include <bulkhead/plan.h>

#define SPI_FIRST 32U
#define PA_MAX ((uint64_t)1 << 52)
#define GUEST_END ((uint64_t)1 << GUEST_IPA_BITS)
#define VMID_MAX 255 /* 8-bit VMIDs are all that every core has */
#define KASLR_SEED_BYTES 8

/* A guest's RAM: from @base up to a hole, and on behind it. Images stand from @images up to the hole. */
struct layout {
	uint64_t base;
	uint64_t hole;
	uint64_t hole_size;
	uint64_t images;
	struct extent window; /* of BARs, below 4 GiB */
};

struct check {
	const struct plan *plan;
	const struct machine *machine;
	struct bh_report *report;
	const struct layout *layout;
	const struct plan_vm *vm; /* the one that is looked at */
};

static const struct extent high_window = {{GUEST_HIGH_WINDOW_BASE},
					  GUEST_HIGH_WINDOW_END - GUEST_HIGH_WINDOW_BASE};

static const struct layout layouts[] = {
	[MACHINE_ARM64] = {.base = GUEST_RAM_BASE,
			   .hole = GUEST_END,
			   .images = GUEST_RAM_BASE,
			   .window = {{GUEST_WINDOW_BASE}, GUEST_WINDOW_END - GUEST_WINDOW_BASE}},
	[MACHINE_X86] = {.base = 0,
			 .hole = GUEST_X86_HOLE_BASE,
			 .hole_size = GUEST_X86_HOLE_END - GUEST_X86_HOLE_BASE,
			 .images = MIB,
			 .window = {{GUEST_X86_WINDOW_BASE},
				    GUEST_X86_WINDOW_END - GUEST_X86_WINDOW_BASE}},
};

#define REFUSE(c, ...) bh_fail((c)->report, BH_BAD_PLAN, "plan: " __VA_ARGS__)
#define REFUSE_VM(c, text, ...) REFUSE(c, "VM %s: " text, (c)->vm->name, __VA_ARGS__)

/* --- the plan as such --- */

static enum bh_error check_counts(const struct check *c)
{
	const struct plan *plan = c->plan;

	if (plan->nvms > CONFIG_MAX_VMS)
		return REFUSE(c, "%u VMs; at most %u are allowed", plan->nvms, CONFIG_MAX_VMS);
	if (plan->nimages > ARRAY_SIZE(plan->images))
		return REFUSE(c, "%u images; at most %u are allowed", plan->nimages,
			      (unsigned int)ARRAY_SIZE(plan->images));
	if (plan->management_core >= c->machine->ncpus)
		return REFUSE(c, "management core %u does not exist", plan->management_core);
	if (plan->stop_method > STOP_SGI || plan->when_idle > IDLE_POWEROFF)
		return REFUSE(c, "stop method %u or idle action %u is not known", plan->stop_method,
			      plan->when_idle);
	return BH_OK;
}

/* True when usable memory covers all of @e, be it in several adjoining pieces. */
static bool is_usable(const struct machine *m, struct extent e)
{
	uint64_t at = e.base.v;

	if (!range_inside(e.base.v, e.size, 0, PA_MAX))
		return false;
	for (uint32_t i = 0; i < m->nmemory && at < extent_end(e); i++) {
		struct extent usable = m->memory[i].extent;

		if (usable.base.v <= at && at < extent_end(usable))
			at = extent_end(usable);
	}
	return at >= extent_end(e);
}

/* --- memory: everything that has an owner, as one numbered list --- */

struct claim {
	struct extent extent;
	const char *what;
	const char *vm; /* its owner's name, or "" */
};

static bool get_claim(const struct plan *plan, uint32_t index, struct claim *claim)
{
	*claim = (struct claim){plan->core, "the hypervisor", ""};
	if (index-- == 0)
		return true;
	if (index < plan->nimages) {
		*claim = (struct claim){plan->images[index], "an image", ""};
		return true;
	}
	index -= plan->nimages;
	for (uint32_t i = 0; i < plan->nvms; i++) {
		const struct plan_vm *vm = &plan->vm[i];

		if (index < vm->nregions) {
			*claim = (struct claim){vm->region[index].extent, "VM ", vm->name};
			return true;
		}
		index -= vm->nregions;
		if (plan_vm_apart(plan, vm) && index-- == 0) {
			*claim = (struct claim){vm->hypervisor, "the hypervisor for VM ", vm->name};
			return true;
		}
	}
	return false;
}

static enum bh_error check_claim(const struct check *c, const struct claim *claim, uint32_t index)
{
	struct claim other;

	if (claim->extent.size == 0 || !is_aligned(claim->extent.base.v, PAGE_SIZE))
		return REFUSE(c, "%s%s: extent 0x%lx is empty or not aligned", claim->what,
			      claim->vm, claim->extent.base.v);
	if (!is_usable(c->machine, claim->extent))
		return REFUSE(c, "%s%s: 0x%lx to 0x%lx is not usable memory", claim->what,
			      claim->vm, claim->extent.base.v, extent_end(claim->extent));
	for (uint32_t i = 0; i < index && get_claim(c->plan, i, &other); i++) {
		if (extent_overlap(claim->extent, other.extent))
			return bh_fail(c->report, BH_OVERLAP,
				       "plan: %s%s at 0x%lx overlaps %s%s at 0x%lx", claim->what,
				       claim->vm, claim->extent.base.v, other.what, other.vm,
				       other.extent.base.v);
	}
	return BH_OK;
}

static enum bh_error check_memory(const struct check *c)
{
	struct claim claim;
	enum bh_error error;

	if (!is_aligned(c->plan->core.base.v, BLOCK_SIZE))
		return REFUSE(c, "the hypervisor's extent 0x%lx is not aligned to 2 MiB",
			      c->plan->core.base.v);
	for (uint32_t i = 0; get_claim(c->plan, i, &claim); i++) {
		error = check_claim(c, &claim, i);
		if (error != BH_OK)
			return error;
	}
	return BH_OK;
}

/* --- one VM --- */

/* It goes into logs and to terminals, so that not every byte will do. */
static bool is_name(const char *name)
{
	uint32_t i = 0;

	while (i <= MANIFEST_NAME_MAX && ((name[i] >= 'a' && name[i] <= 'z') ||
					  (name[i] >= '0' && name[i] <= '9') || name[i] == '-'))
		i++;
	return i != 0 && i <= MANIFEST_NAME_MAX && name[i] == '\0';
}

static enum bh_error check_identity(const struct check *c)
{
	const struct plan_vm *vm = c->vm;

	if (!is_name(vm->name))
		return REFUSE(c,
			      "slot %u: it is not all zero, nor is its name 1 to %u of a-z 0-9 -",
			      (unsigned int)(vm - c->plan->vm), MANIFEST_NAME_MAX);
	if (vm->vmid == 0 || vm->vmid > VMID_MAX)
		return REFUSE_VM(c, "id %u; 1 to %u are allowed", vm->vmid, VMID_MAX);
	for (const struct plan_vm *other = c->plan->vm; other < vm; other++) {
		if (strcmp(other->name, vm->name) == 0)
			return REFUSE(c, "VM %s: the name stands twice", vm->name);
		if (other->vmid == vm->vmid)
			return REFUSE_VM(c, "id %u belongs to VM %s", vm->vmid, other->name);
	}
	return BH_OK;
}

static enum bh_error check_options(const struct check *c)
{
	const struct plan_vm *vm = c->vm;
	if (vm->console > 1 || vm->autostart > 1 || vm->dma_trusted > 1)
		return REFUSE_VM(c, "console %u, autostart %u or DMA trust %u; 0 or 1 are allowed",
				 vm->console, vm->autostart, vm->dma_trusted);
	if (vm->virtual_interrupts > (c->machine->arm64.maintenance_ppi != 0))
		return REFUSE_VM(c, "virtual interrupts %u", vm->virtual_interrupts);
	if (vm->restart_limit != 0 && vm->restart_window == 0)
		return REFUSE_VM(c, "%u restarts in no time", vm->restart_limit);
	return BH_OK;
}

/* Hardware threads of one core count as one. */
static bool is_same(const struct check *c, uint32_t core, uint32_t other)
{
	return c->machine->cpu[core].core_id == c->machine->cpu[other].core_id;
}

static enum bh_error check_core(const struct check *c, uint32_t vcpu)
{
	uint32_t core = c->vm->core[vcpu];

	if (core >= c->machine->ncpus)
		return REFUSE_VM(c, "core %u does not exist", core);
	if (is_same(c, core, c->plan->management_core))
		return REFUSE_VM(c, "has the management core %u or its sibling", core);
	for (uint32_t i = 0; i < vcpu; i++)
		if (c->vm->core[i] == core)
			return REFUSE_VM(c, "core %u stands twice", core);
	for (const struct plan_vm *other = c->plan->vm; other < c->vm; other++)
		for (uint32_t i = 0; i < other->ncores; i++)
			if (is_same(c, core, other->core[i]))
				return REFUSE_VM(c, "core %u or its sibling belongs to VM %s", core,
						 other->name);
	return BH_OK;
}

static enum bh_error check_cores(const struct check *c)
{
	enum bh_error error = BH_OK;

	if (c->vm->ncores == 0 || c->vm->ncores > CONFIG_MAX_CPUS)
		return REFUSE_VM(c, "%u cores; 1 to %u are allowed", c->vm->ncores,
				 CONFIG_MAX_CPUS);
	for (uint32_t i = 0; i < c->vm->ncores && error == BH_OK; i++)
		error = check_core(c, i);
	return error;
}

/* RAM is one piece for the guest but for the hole: the first region at its fixed place, each next one behind. */
static enum bh_error check_regions(const struct check *c)
{
	const struct plan_vm *vm = c->vm;
	const struct layout *layout = c->layout;
	uint64_t next = layout->base;

	if (vm->nregions == 0 || vm->nregions > CONFIG_MAX_REGIONS_PER_VM)
		return REFUSE_VM(c, "%u extents of RAM; 1 to %u are allowed", vm->nregions,
				 CONFIG_MAX_REGIONS_PER_VM);
	for (uint32_t i = 0; i < vm->nregions; i++) {
		struct extent ram = vm->region[i].extent;
		uint64_t limit = next < layout->hole ? layout->hole : GUEST_END;

		if (ram.size == 0 || !is_aligned(ram.base.v | ram.size, BLOCK_SIZE))
			return REFUSE_VM(c, "RAM at 0x%lx is empty or not aligned", ram.base.v);
		if (vm->region[i].gpa.v != next)
			return REFUSE_VM(c, "RAM at guest address 0x%lx; 0x%lx is due",
					 vm->region[i].gpa.v, next);
		if (ram.size > limit - next)
			return REFUSE_VM(c, "RAM at guest address 0x%lx reaches 0x%lx", next,
					 limit);
		next += ram.size;
		if (next == layout->hole)
			next += layout->hole_size;
	}
	return BH_OK;
}

/* True when the guest finds RAM at all of [@at, @at + @size), below the hole. */
static bool in_low_ram(const struct check *c, uint64_t at, uint64_t size)
{
	const struct layout *layout = c->layout;
	uint64_t low = plan_vm_memory(c->vm);

	if (low > layout->hole - layout->base)
		low = layout->hole - layout->base;
	return range_inside(at, size, layout->base, low);
}

static bool is_stored(const struct plan *plan, const struct plan_image *image)
{
	for (uint32_t i = 0; i < plan->nimages; i++) {
		if (extent_inside((struct extent){image->from, image->size}, plan->images[i]))
			return true;
	}
	return false;
}

static enum bh_error check_image(const struct check *c, uint32_t slot)
{
	const struct plan_vm *vm = c->vm;
	const struct plan_image *image = &vm->image[slot];

	if (image->size == 0)
		return BH_OK;
	if (!in_low_ram(c, image->to.v, image->size) ||
	    (slot != IMAGE_BOOT && image->to.v < c->layout->images))
		return REFUSE_VM(c, "image %u at 0x%lx is not in its RAM", slot, image->to.v);
	/* All of a VM's images or none: one without a place is not in the store either. */
	if (plan_vm_kept(vm) && !is_stored(c->plan, image))
		return REFUSE_VM(c, "image %u comes from 0x%lx, which holds no image", slot,
				 image->from.v);
	for (uint32_t i = 0; i < slot; i++) {
		if (range_overlap(image->to.v, image->size, vm->image[i].to.v, vm->image[i].size))
			return bh_fail(c->report, BH_OVERLAP,
				       "plan: VM %s: images %u and %u overlap in its RAM", vm->name,
				       i, slot);
	}
	return BH_OK;
}

/* True when it is there, or there is none. */
static bool has_seed(const struct plan_image *boot, uint32_t offset, uint32_t size)
{
	return offset == 0 || range_inside(offset, size, 0, boot->size);
}

static enum bh_error check_boot(const struct check *c)
{
	const struct plan_vm *vm = c->vm;
	const struct plan_image *boot = &vm->image[IMAGE_BOOT];
	/* On Arm at any block, on x86 where it was made for. */
	bool placed = c->machine->arch == MACHINE_X86 ? boot->to.v == GUEST_X86_BOOT_BASE
						      : is_aligned(boot->to.v, BLOCK_SIZE);

	if (!placed || boot->size > GUEST_BOOT_MAX || !in_low_ram(c, boot->to.v, GUEST_BOOT_MAX))
		return REFUSE_VM(c, "its boot image of %lu bytes has no place", boot->size);
	if (!has_seed(boot, vm->rng_seed_offset, GUEST_RNG_SEED_BYTES))
		return REFUSE_VM(c, "%s is not in its boot image", "rng-seed");
	if (!has_seed(boot, vm->kaslr_seed_offset, KASLR_SEED_BYTES))
		return REFUSE_VM(c, "%s is not in its boot image", "kaslr-seed");
	return BH_OK;
}

static enum bh_error check_images(const struct check *c)
{
	enum bh_error error = BH_OK;

	for (uint32_t i = 0; i < PLAN_MAX_IMAGES && error == BH_OK; i++)
		error = check_image(c, i);
	return error;
}

/* On Arm the kernel's first word; on x86 any byte of it that is copied. */
static enum bh_error check_entry(const struct check *c)
{
	const struct plan_vm *vm = c->vm;
	const struct plan_image *kernel = &vm->image[IMAGE_KERNEL];
	bool good = vm->entry_mode == ENTRY_X86_LINUX64 || vm->entry_mode == ENTRY_X86_PVH;
	bool begins = range_inside(vm->entry.v, 1, kernel->to.v, kernel->size);
	uint32_t size = 1;

	if (c->machine->arch == MACHINE_ARM64) {
		size = 4;
		good = vm->entry_mode == ENTRY_ARM64 && is_aligned(vm->entry.v, size);
		begins = vm->entry.v == kernel->to.v;
	}
	if (!good || !in_low_ram(c, vm->entry.v, size) || (kernel->size != 0 && !begins))
		return REFUSE_VM(c, "its entry 0x%lx is not where its kernel begins", vm->entry.v);
	return BH_OK;
}

/* What plan.h promises for a VM's tables and rings, counted anew. */
static uint64_t hypervisor_bytes(const struct check *c)
{
	const struct plan_vm *vm = c->vm;
	uint64_t gib = (plan_vm_memory(c->vm) + GIB - 1) / GIB;
	uint64_t cpu_tables = (vm->ncores + VM_CPUS_PER_TABLE - 1) / VM_CPUS_PER_TABLE;
	uint64_t pages = VM_FIXED_PAGES + cpu_tables + gib;

	if (c->machine->arch == MACHINE_X86)
		pages = VM_X86_FIXED_PAGES + gib + (gib + VM_GIB_PER_TABLE) / VM_GIB_PER_TABLE;
	if (vm->nfunctions != 0)
		pages += VM_DMA_PAGES + gib + (uint64_t)vm->nfunctions * VM_FUNCTION_PAGES +
			 VM_MSIX_PAGES;
	return pages * PAGE_SIZE + CONFIG_CONSOLE_RING_KIB * KIB;
}

static enum bh_error check_hypervisor(const struct check *c)
{
	const struct plan_vm *vm = c->vm;
	struct extent e = vm->hypervisor;
	bool apart = plan_vm_apart(c->plan, vm);

	/* Only VMs of the boot manifest have room in plan.core; on the host their images have no place yet. */
	if (!is_aligned(e.base.v | e.size, apart ? BLOCK_SIZE : PAGE_SIZE) ||
	    e.size < hypervisor_bytes(c) || (!apart && c->plan->nimages != 0 && !plan_vm_kept(vm)))
		return REFUSE_VM(c,
				 "the hypervisor's extent 0x%lx for it is too small, "
				 "not aligned or not for it",
				 e.base.v);
	for (const struct plan_vm *other = c->plan->vm; other < vm; other++)
		if (extent_overlap(e, other->hypervisor))
			return bh_fail(c->report, BH_OVERLAP,
				       "plan: the hypervisor's extents for VM %s and VM %s overlap",
				       other->name, vm->name);
	return BH_OK;
}

static enum bh_error check_console(const struct check *c)
{
	const struct machine_arm64 *gic = &c->machine->arm64;
	const struct plan_vm *vm = c->vm;
	uint32_t bit = vm->console_irq - SPI_FIRST;
	uint32_t count = gic->spi_count ? gic->spi_count : MACHINE_SPI_COUNT;

	bool needed = (vm->console || vm->nports != 0) && c->machine->arch != MACHINE_X86;

	if (!needed && vm->console_irq == 0)
		return BH_OK;
	if (c->machine->arch == MACHINE_X86)
		return REFUSE_VM(c, "its console has interrupt %u; none is needed",
				 vm->console_irq);
	if (!needed || vm->console_irq < SPI_FIRST || bit >= count || bit >= MACHINE_SPI_COUNT ||
	    vm->console_irq < c->plan->console_interrupt)
		return REFUSE_VM(c, "interrupt %u cannot be its console's", vm->console_irq);
	if (vm->console_irq == c->machine->uart_irq || gic->spi_used[bit / 8] & 1U << (bit % 8))
		return REFUSE_VM(c, "interrupt %u belongs to a device", vm->console_irq);
	for (const struct plan_vm *other = c->plan->vm; other < vm; other++)
		if (other->console_irq == vm->console_irq)
			return REFUSE_VM(c, "interrupt %u belongs to VM %s", vm->console_irq,
					 other->name);
	return BH_OK;
}

/* --- PCI functions --- */

#define BAR_64 4U /* of bits 1 and 2 in machine_bar.flags (PCIe 6.0 7.5.1.2.1) */
#define KINDS                                                                                      \
	(FUNCTION_BRIDGE | FUNCTION_PF | FUNCTION_RESERVED_MEMORY | FUNCTION_MALFORMED |           \
	 FUNCTION_HOST | FUNCTION_SHARED_PAGES | FUNCTION_FLR)

/* Where the guest finds BAR @index of all of the VM's; in @bar what the machine has there. */
static struct extent guest_bar(const struct check *c, uint32_t index,
			       const struct machine_bar **bar)
{
	static const struct machine_bar none;
	const struct plan_function *f = &c->vm->function[index / MACHINE_MAX_BARS];

	*bar = &none;
	if (f->function != MACHINE_NONE)
		*bar = &c->machine->function[f->function].bar[index % MACHINE_MAX_BARS];
	return (struct extent){pa(f->bar[index % MACHINE_MAX_BARS].v), (*bar)->size};
}

/* In a window that its register can name, beside those before it; or there is no such BAR. */
static bool has_place(const struct check *c, uint32_t index)
{
	const struct machine_bar *bar, *other;
	struct extent at = guest_bar(c, index, &bar);
	bool high = at.base.v >= GUEST_HIGH_WINDOW_BASE && (bar->flags & 6) == BAR_64;
	uint32_t first_port = c->vm->nfunctions - c->vm->nports, slot = index / MACHINE_MAX_BARS;
	struct extent window = slot >= first_port ? plan_port_window(c->machine, slot - first_port)
			       : high		  ? high_window
						  : c->layout->window;
	bool good = is_aligned(at.base.v, bar->size) && extent_inside(at, window);

	for (uint32_t i = 0; i < index; i++)
		good = good && !extent_overlap(at, guest_bar(c, i, &other));
	return bar->size == 0 ? at.base.v == 0 : good;
}

/* True when nobody else has any function of @f's group, nor this VM another one in @f's place. */
static bool has_one_owner(const struct check *c, const struct plan_function *f)
{
	const struct machine_function *all = c->machine->function;
	uint32_t group = all[f->function].group, count = c->machine->nfunctions;
	bool one = true;

	for (uint32_t i = 0; i < count; i++)
		one = one && (all[i].group != group ||
			      !(all[i].flags & FUNCTION_HOST || i == c->plan->card.function));
	for (uint32_t i = 0; i < c->plan->nvms * PLAN_MAX_FUNCTIONS; i++) {
		const struct plan_vm *other = &c->plan->vm[i / PLAN_MAX_FUNCTIONS];
		const struct plan_function *o = &other->function[i % PLAN_MAX_FUNCTIONS];

		if (o == f || i % PLAN_MAX_FUNCTIONS >= other->nfunctions || o->function >= count)
			continue;
		one = one && (other == c->vm ? o->function != f->function && o->id != f->id
					     : all[o->function].group != group);
	}
	return one;
}

/* The guest finds it as device 2 to 27 on bus 0, or in its port. */
static bool is_place(const struct plan_vm *vm, uint32_t slot)
{
	uint32_t first_port = vm->nfunctions - vm->nports, id = vm->function[slot].id;

	if (slot >= first_port)
		return id == (slot - first_port + 1) << 8;
	return id % 8 == 0 && id >= GUEST_FUNCTION_FIRST << 3 && id < GUEST_PORT_FIRST << 3;
}

static enum bh_error check_function(const struct check *c, uint32_t slot)
{
	const struct plan_function *f = &c->vm->function[slot];
	const struct machine_function *facts = c->machine->function;
	const char *wrong = NULL;
	bool vacant = f->function == MACHINE_NONE && slot >= c->vm->nfunctions - c->vm->nports;

	if ((f->function >= c->machine->nfunctions && !vacant) || !is_place(c->vm, slot))
		return REFUSE_VM(c, "PCI function %u or its place does not exist", f->function);
	facts += vacant ? 0 : f->function;
	if (vacant)
		wrong = NULL;
	else if ((facts->flags & KINDS) != FUNCTION_FLR)
		wrong = "it cannot be given";
	else if (facts->iommu == MACHINE_NONE && c->vm->dma_trusted == 0)
		wrong = "no IOMMU checks it";
	else if (!has_one_owner(c, f))
		wrong = "it, its group or its place has another owner";
	for (uint32_t i = 0; i < MACHINE_MAX_BARS && !wrong; i++)
		wrong = has_place(c, slot * MACHINE_MAX_BARS + i) ? NULL : "a BAR has no place";
	return wrong ? REFUSE_VM(c, "PCI function %u: %s", f->function, wrong) : BH_OK;
}

static enum bh_error check_functions(const struct check *c)
{
	const struct plan_vm *vm = c->vm;
	const struct plan_region *last = &vm->region[vm->nregions - 1];
	enum bh_error error = BH_OK;

	if (vm->nfunctions > PLAN_MAX_FUNCTIONS || vm->nports > PLAN_MAX_PORTS ||
	    vm->nports > vm->nfunctions ||
	    (vm->nfunctions != 0 && last->gpa.v + last->extent.size > GUEST_HIGH_WINDOW_BASE))
		return REFUSE_VM(c, "%u functions, or too much RAM beside them", vm->nfunctions);
	/* Every guest numbers its LPIs from 8192 on, and not every GIC has been shown to keep those of different cores apart. */
	for (uint32_t i = 0; i < c->plan->nvms && plan_takes_lpis(vm); i++)
		if (&c->plan->vm[i] != vm && plan_takes_lpis(&c->plan->vm[i]) &&
		    c->machine->arm64.one_lpi_owner != 0)
			return REFUSE_VM(c, "takes its LPIs itself, as does VM %s",
					 c->plan->vm[i].name);
	for (uint32_t i = 0; i < vm->nfunctions && error == BH_OK; i++)
		error = check_function(c, i);
	return error;
}

static enum bh_error check_vm(const struct check *c)
{
	static enum bh_error (*const rules[])(const struct check *c) = {
		check_identity, check_options, check_cores,	 check_regions, check_images,
		check_boot,	check_entry,   check_hypervisor, check_console, check_functions,
	};
	const uint8_t *bytes = (const uint8_t *)c->vm;
	enum bh_error error = BH_OK;

	/* All zero: the first byte is, and each one is like the one before it. */
	if (plan_vm_vacant(c->vm) && memcmp(bytes, bytes + 1, sizeof(*c->vm) - 1) == 0)
		return BH_OK;
	for (size_t i = 0; i < ARRAY_SIZE(rules) && error == BH_OK; i++)
		error = rules[i](c);
	return error;
}

enum bh_error plan_check(const struct plan *plan, const struct machine *machine,
			 struct bh_report *report)
{
	struct check c = {.plan = plan, .machine = machine, .report = report, .vm = plan->vm};
	enum bh_error error = check_counts(&c);

	if (error != BH_OK)
		return error;
	c.layout = &layouts[machine->arch];
	for (; c.vm < plan->vm + plan->nvms && error == BH_OK; c.vm++)
		error = check_vm(&c);
	return error != BH_OK ? error : check_memory(&c);
}
