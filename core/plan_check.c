/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The invariants of a plan, read from the plan alone: no function of plan.c is
 * used, so that a mistake there is not repeated here.
 */
#include <string.h>

#include <bulkhead/plan.h>

#define SPI_FIRST 32U
#define PA_MAX ((uint64_t)1 << 52)
#define VMID_MAX 255 /* 8-bit VMIDs are all that every core has */
#define KASLR_SEED_BYTES 8

struct check {
	const struct plan *plan;
	const struct machine *machine;
	struct bh_report *report;
};

/* A guest's RAM: from @base up to a hole, and on behind it. Images stand from @images up to the hole. */
struct layout {
	uint64_t base;
	uint64_t hole;
	uint64_t hole_size;
	uint64_t images;
	struct extent window; /* of BARs, below 4 GiB */
};

static const struct extent high_window = {{GUEST_HIGH_WINDOW_BASE},
					  GUEST_HIGH_WINDOW_END - GUEST_HIGH_WINDOW_BASE};

static const struct layout layouts[] = {
	[MACHINE_ARM64] = {.base = GUEST_RAM_BASE,
			   .hole = UINT64_MAX,
			   .images = GUEST_RAM_BASE,
			   .window = {{GUEST_WINDOW_BASE}, GUEST_WINDOW_END - GUEST_WINDOW_BASE}},
	[MACHINE_X86] = {.base = 0,
			 .hole = GUEST_X86_HOLE_BASE,
			 .hole_size = GUEST_X86_HOLE_END - GUEST_X86_HOLE_BASE,
			 .images = MIB,
			 .window = {{GUEST_X86_WINDOW_BASE},
				    GUEST_X86_WINDOW_END - GUEST_X86_WINDOW_BASE}},
};

#define REFUSE(c, ...) bh_fail((c)->report, BH_BAD_PLAN, __VA_ARGS__)

static unsigned long long hex(uint64_t v)
{
	return v;
}

/* --- the plan as such --- */

static enum bh_error check_counts(const struct check *c)
{
	const struct plan *plan = c->plan;

	if (c->machine->ncpus == 0 || c->machine->ncpus > CONFIG_MAX_CPUS ||
	    c->machine->nmemory > MACHINE_MAX_MEMORY ||
	    c->machine->nfunctions > MACHINE_MAX_FUNCTIONS ||
	    c->machine->arch >= ARRAY_SIZE(layouts))
		return bh_fail(c->report, BH_BAD_MACHINE,
			       "machine: its counts or its architecture are out of range");
	if (plan->nvms > CONFIG_MAX_VMS)
		return REFUSE(c, "plan: %u VMs; at most %u are allowed", plan->nvms,
			      CONFIG_MAX_VMS);
	if (plan->nimages > ARRAY_SIZE(plan->images))
		return REFUSE(c, "plan: %u images; at most %u are allowed", plan->nimages,
			      (unsigned int)ARRAY_SIZE(plan->images));
	if (plan->management_core >= c->machine->ncpus)
		return REFUSE(c, "plan: management core %u does not exist", plan->management_core);
	if (plan->stop_method > STOP_SGI || plan->when_idle > IDLE_POWEROFF)
		return REFUSE(c, "plan: stop method %u or idle action %u is not known",
			      plan->stop_method, plan->when_idle);
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
			const struct plan_region *region = &vm->region[index];

			*claim = (struct claim){{region->pa, region->size}, "VM ", vm->name};
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
		return REFUSE(c, "plan: %s%s: extent 0x%llx is empty or not aligned", claim->what,
			      claim->vm, hex(claim->extent.base.v));
	if (!is_usable(c->machine, claim->extent))
		return REFUSE(c, "plan: %s%s: 0x%llx to 0x%llx is not usable memory", claim->what,
			      claim->vm, hex(claim->extent.base.v), hex(extent_end(claim->extent)));
	for (uint32_t i = 0; i < index && get_claim(c->plan, i, &other); i++) {
		if (extent_overlap(claim->extent, other.extent))
			return bh_fail(c->report, BH_OVERLAP,
				       "plan: %s%s at 0x%llx overlaps %s%s at 0x%llx", claim->what,
				       claim->vm, hex(claim->extent.base.v), other.what, other.vm,
				       hex(other.extent.base.v));
	}
	return BH_OK;
}

static enum bh_error check_memory(const struct check *c)
{
	struct claim claim;
	enum bh_error error;

	if (!is_aligned(c->plan->core.base.v, BLOCK_SIZE))
		return REFUSE(c, "plan: the hypervisor's extent 0x%llx is not aligned to 2 MiB",
			      hex(c->plan->core.base.v));
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

static enum bh_error check_identity(const struct check *c, uint32_t index)
{
	const struct plan_vm *vm = &c->plan->vm[index];

	if (!is_name(vm->name))
		return REFUSE(
			c,
			"plan: slot %u: it is not all zero, nor is its name 1 to %u of a-z 0-9 -",
			index, MANIFEST_NAME_MAX);
	if (vm->vmid == 0 || vm->vmid > VMID_MAX)
		return REFUSE(c, "plan: VM %s: id %u; 1 to %u are allowed", vm->name, vm->vmid,
			      VMID_MAX);
	for (uint32_t i = 0; i < index; i++) {
		if (strcmp(c->plan->vm[i].name, vm->name) == 0)
			return REFUSE(c, "plan: VM %s: the name stands twice", vm->name);
		if (c->plan->vm[i].vmid == vm->vmid)
			return REFUSE(c, "plan: VM %s: id %u belongs to VM %s", vm->name, vm->vmid,
				      c->plan->vm[i].name);
	}
	return BH_OK;
}

static enum bh_error check_options(const struct check *c, const struct plan_vm *vm)
{
	if (vm->console > 1 || vm->autostart > 1 || vm->dma_trusted > 1)
		return REFUSE(
			c,
			"plan: VM %s: console %u, autostart %u or DMA trust %u; 0 or 1 are allowed",
			vm->name, vm->console, vm->autostart, vm->dma_trusted);
	if (vm->restart_limit != 0 && vm->restart_window == 0)
		return REFUSE(c, "plan: VM %s: %u restarts in no time", vm->name,
			      vm->restart_limit);
	return BH_OK;
}

static enum bh_error check_cores_of(const struct check *c, const struct plan_vm *vm)
{
	if (vm->ncores == 0 || vm->ncores > CONFIG_MAX_CPUS)
		return REFUSE(c, "plan: VM %s: %u cores; 1 to %u are allowed", vm->name, vm->ncores,
			      CONFIG_MAX_CPUS);
	for (uint32_t i = 0; i < vm->ncores; i++) {
		if (vm->core[i] >= c->machine->ncpus)
			return REFUSE(c, "plan: VM %s: core %u does not exist", vm->name,
				      vm->core[i]);
	}
	return BH_OK;
}

/* RAM is one piece for the guest but for the hole: the first region at its fixed place, each next one behind. */
static enum bh_error check_regions(const struct check *c, const struct plan_vm *vm)
{
	const struct layout *layout = &layouts[c->machine->arch];
	uint64_t next = layout->base;

	if (vm->nregions == 0 || vm->nregions > CONFIG_MAX_REGIONS_PER_VM)
		return REFUSE(c, "plan: VM %s: %u extents of RAM; 1 to %u are allowed", vm->name,
			      vm->nregions, CONFIG_MAX_REGIONS_PER_VM);
	for (uint32_t i = 0; i < vm->nregions; i++) {
		const struct plan_region *region = &vm->region[i];

		if (region->size == 0 || !is_aligned(region->size, BLOCK_SIZE) ||
		    !is_aligned(region->pa.v, BLOCK_SIZE))
			return REFUSE(c, "plan: VM %s: RAM at 0x%llx is empty or not aligned",
				      vm->name, hex(region->pa.v));
		if (region->gpa.v != next)
			return REFUSE(c, "plan: VM %s: RAM at guest address 0x%llx; 0x%llx is due",
				      vm->name, hex(region->gpa.v), hex(next));
		if (next < layout->hole && region->size > layout->hole - next)
			return REFUSE(c, "plan: VM %s: RAM at guest address 0x%llx reaches 0x%llx",
				      vm->name, hex(next), hex(layout->hole));
		if (!add_ok(next, region->size, &next) || next > (uint64_t)1 << GUEST_IPA_BITS)
			return REFUSE(c, "plan: VM %s: RAM leaves the guest's %u bits of address",
				      vm->name, GUEST_IPA_BITS);
		if (next == layout->hole)
			next += layout->hole_size;
	}
	return BH_OK;
}

static uint64_t ram_size(const struct plan_vm *vm)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < vm->nregions; i++)
		bytes += vm->region[i].size;
	return bytes;
}

/* True when the guest finds RAM at all of [@at, @at + @size), below the hole. */
static bool in_low_ram(const struct check *c, const struct plan_vm *vm, uint64_t at, uint64_t size)
{
	const struct layout *layout = &layouts[c->machine->arch];
	uint64_t low = ram_size(vm);

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

static enum bh_error check_image(const struct check *c, const struct plan_vm *vm, uint32_t slot)
{
	const struct plan_image *image = &vm->image[slot];

	if (image->size == 0)
		return BH_OK;
	if (!in_low_ram(c, vm, image->to.v, image->size) ||
	    (slot != IMAGE_BOOT && image->to.v < layouts[c->machine->arch].images))
		return REFUSE(c, "plan: VM %s: image %u at 0x%llx is not in its RAM", vm->name,
			      slot, hex(image->to.v));
	/* All of a VM's images or none: one without a place is not in the store either. */
	if (plan_vm_kept(vm) && !is_stored(c->plan, image))
		return REFUSE(c, "plan: VM %s: image %u comes from 0x%llx, which holds no image",
			      vm->name, slot, hex(image->from.v));
	for (uint32_t i = 0; i < slot; i++) {
		if (range_overlap(image->to.v, image->size, vm->image[i].to.v, vm->image[i].size))
			return bh_fail(c->report, BH_OVERLAP,
				       "plan: VM %s: images %u and %u overlap in its RAM", vm->name,
				       i, slot);
	}
	return BH_OK;
}

/* On Arm at any block, on x86 where it was made for. */
static bool is_boot_place(const struct check *c, gpa_t at)
{
	return c->machine->arch == MACHINE_X86 ? at.v == GUEST_X86_BOOT_BASE
					       : is_aligned(at.v, BLOCK_SIZE);
}

static enum bh_error check_boot(const struct check *c, const struct plan_vm *vm)
{
	const struct plan_image *boot = &vm->image[IMAGE_BOOT];

	if (!is_boot_place(c, boot->to) || boot->size > GUEST_BOOT_MAX ||
	    !in_low_ram(c, vm, boot->to.v, GUEST_BOOT_MAX))
		return REFUSE(c, "plan: VM %s: its boot image of %llu bytes has no place", vm->name,
			      hex(boot->size));
	if (vm->rng_seed_offset != 0 &&
	    !range_inside(vm->rng_seed_offset, GUEST_RNG_SEED_BYTES, 0, boot->size))
		return REFUSE(c, "plan: VM %s: rng-seed is not in its boot image", vm->name);
	if (vm->kaslr_seed_offset != 0 &&
	    !range_inside(vm->kaslr_seed_offset, KASLR_SEED_BYTES, 0, boot->size))
		return REFUSE(c, "plan: VM %s: kaslr-seed is not in its boot image", vm->name);
	return BH_OK;
}

/* On Arm the kernel's first word; on x86 any byte of it that is copied. */
static bool is_entry(const struct check *c, const struct plan_vm *vm)
{
	const struct plan_image *kernel = &vm->image[IMAGE_KERNEL];

	if (c->machine->arch == MACHINE_X86)
		return (vm->entry_mode == ENTRY_X86_LINUX64 || vm->entry_mode == ENTRY_X86_PVH) &&
		       in_low_ram(c, vm, vm->entry.v, 1) &&
		       (kernel->size == 0 ||
			range_inside(vm->entry.v, 1, kernel->to.v, kernel->size));
	return vm->entry_mode == ENTRY_ARM64 && is_aligned(vm->entry.v, 4) &&
	       in_low_ram(c, vm, vm->entry.v, 4) &&
	       (kernel->size == 0 || vm->entry.v == kernel->to.v);
}

static enum bh_error check_images(const struct check *c, const struct plan_vm *vm)
{
	enum bh_error error = BH_OK;

	for (uint32_t i = 0; i < PLAN_MAX_IMAGES && error == BH_OK; i++)
		error = check_image(c, vm, i);
	if (error == BH_OK)
		error = check_boot(c, vm);
	if (error != BH_OK)
		return error;
	if (!is_entry(c, vm))
		return REFUSE(c, "plan: VM %s: its entry 0x%llx is not where its kernel begins",
			      vm->name, hex(vm->entry.v));
	return BH_OK;
}

/* What plan.h promises for a VM's tables and rings, counted anew. */
static uint64_t hypervisor_bytes(const struct check *c, const struct plan_vm *vm)
{
	uint64_t gib = (ram_size(vm) + GIB - 1) / GIB;
	uint64_t cpu_tables = (vm->ncores + VM_CPUS_PER_TABLE - 1) / VM_CPUS_PER_TABLE;

	uint64_t pages = VM_FIXED_PAGES + cpu_tables + gib;

	if (c->machine->arch == MACHINE_X86)
		pages = VM_X86_FIXED_PAGES + gib + (gib + VM_GIB_PER_TABLE) / VM_GIB_PER_TABLE;
	if (vm->nfunctions != 0)
		pages += VM_DMA_PAGES + gib + (uint64_t)vm->nfunctions * VM_FUNCTION_PAGES +
			 (c->machine->arch == MACHINE_X86 ? VM_MSIX_PAGES : 0);
	return pages * PAGE_SIZE + CONFIG_CONSOLE_RING_KIB * KIB;
}

static enum bh_error check_hypervisor(const struct check *c, uint32_t index)
{
	const struct plan_vm *vm = &c->plan->vm[index];
	struct extent e = vm->hypervisor;
	bool apart = plan_vm_apart(c->plan, vm);

	/* Only VMs of the boot manifest have room in plan.core; on the host their images have no place yet. */
	if (!is_aligned(e.base.v | e.size, apart ? BLOCK_SIZE : PAGE_SIZE) ||
	    e.size < hypervisor_bytes(c, vm) ||
	    (!apart && c->plan->nimages != 0 && !plan_vm_kept(vm)))
		return REFUSE(c,
			      "plan: VM %s: the hypervisor's extent 0x%llx for it is too small, "
			      "not aligned or not for it",
			      vm->name, hex(e.base.v));
	for (uint32_t i = 0; i < index; i++) {
		if (extent_overlap(e, c->plan->vm[i].hypervisor))
			return bh_fail(c->report, BH_OVERLAP,
				       "plan: the hypervisor's extents for VM %s and VM %s overlap",
				       c->plan->vm[i].name, vm->name);
	}
	return BH_OK;
}

static enum bh_error check_console(const struct check *c, uint32_t index)
{
	const struct machine_arm64 *gic = &c->machine->arm64;
	const struct plan_vm *vm = &c->plan->vm[index];
	uint32_t bit = vm->console_irq - SPI_FIRST;
	uint32_t count = gic->spi_count ? gic->spi_count : MACHINE_SPI_COUNT;

	if ((!vm->console || c->machine->arch == MACHINE_X86) && vm->console_irq == 0)
		return BH_OK;
	if (c->machine->arch == MACHINE_X86)
		return REFUSE(c, "plan: VM %s: its console has interrupt %u; none is needed",
			      vm->name, vm->console_irq);
	if (!vm->console || vm->console_irq < SPI_FIRST || bit >= count ||
	    bit >= MACHINE_SPI_COUNT || vm->console_irq < c->plan->console_interrupt)
		return REFUSE(c, "plan: VM %s: interrupt %u cannot be its console's", vm->name,
			      vm->console_irq);
	if (vm->console_irq == c->machine->uart_irq || gic->spi_used[bit / 8] & 1U << (bit % 8))
		return REFUSE(c, "plan: VM %s: interrupt %u belongs to a device", vm->name,
			      vm->console_irq);
	for (uint32_t i = 0; i < index; i++) {
		if (c->plan->vm[i].console_irq == vm->console_irq)
			return REFUSE(c, "plan: VM %s: interrupt %u belongs to VM %s", vm->name,
				      vm->console_irq, c->plan->vm[i].name);
	}
	return BH_OK;
}

/* --- PCI functions --- */

#define BAR_64 4U /* of bits 1 and 2 in machine_bar.flags (PCIe 6.0 7.5.1.2.1) */
#define KINDS                                                                                      \
	(FUNCTION_BRIDGE | FUNCTION_PF | FUNCTION_RESERVED_MEMORY | FUNCTION_MALFORMED |           \
	 FUNCTION_HOST | FUNCTION_FLR)

/* True when @bar fills whole pages that are neither RAM nor in any other BAR. */
static bool has_own_pages(const struct machine *m, const struct machine_bar *bar)
{
	struct extent e = {bar->base, bar->size};
	bool own = is_aligned(e.base.v | e.size, PAGE_SIZE) &&
		   extent_inside(e, (struct extent){pa(PAGE_SIZE), PA_MAX});

	for (uint32_t i = 0; i < m->nmemory; i++)
		own = own && !extent_overlap(e, m->memory[i].extent);
	for (uint32_t i = 0; i < m->nfunctions * MACHINE_MAX_BARS; i++) {
		const struct machine_bar *b =
			&m->function[i / MACHINE_MAX_BARS].bar[i % MACHINE_MAX_BARS];

		own = own && (b == bar || !range_overlap(e.base.v, e.size, b->base.v, b->size));
	}
	return own;
}

/* The guest finds BAR @index of all of @vm's in a window that its register can name, beside those before it. */
static bool has_place(const struct check *c, const struct plan_vm *vm, uint32_t index)
{
	const struct plan_function *f = &vm->function[index / MACHINE_MAX_BARS];
	const struct machine_function *all = c->machine->function;
	const struct machine_bar *bar = &all[f->function].bar[index % MACHINE_MAX_BARS];
	uint64_t at = f->bar[index % MACHINE_MAX_BARS].v;
	bool high = at >= GUEST_HIGH_WINDOW_BASE && (bar->flags & 6) == BAR_64;
	struct extent window = high ? high_window : layouts[c->machine->arch].window;
	bool good = is_aligned(at, bar->size) &&
		    extent_inside((struct extent){pa(at), bar->size}, window);

	for (uint32_t i = 0; i < index; i++) {
		f = &vm->function[i / MACHINE_MAX_BARS];
		good = good && !range_overlap(at, bar->size, f->bar[i % MACHINE_MAX_BARS].v,
					      all[f->function].bar[i % MACHINE_MAX_BARS].size);
	}
	return bar->size == 0 ? at == 0 : good && has_own_pages(c->machine, bar);
}

/* True when nobody else has any function of @f's group, nor @vm another one in @f's place. */
static bool has_one_owner(const struct check *c, const struct plan_vm *vm,
			  const struct plan_function *f)
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
		one = one && (other == vm ? o->function != f->function && o->device != f->device
					  : all[o->function].group != group);
	}
	return one;
}

static enum bh_error check_function(const struct check *c, const struct plan_vm *vm, uint32_t slot)
{
	const struct plan_function *f = &vm->function[slot];
	const struct machine_function *facts = c->machine->function;
	const char *wrong = NULL;

	if (f->function >= c->machine->nfunctions || f->device < 2 || f->device > 31)
		return REFUSE(c, "plan: VM %s: PCI function %u or its place does not exist",
			      vm->name, f->function);
	facts += f->function;
	if ((facts->flags & KINDS) != FUNCTION_FLR)
		wrong = "it cannot be given";
	else if (facts->iommu == MACHINE_NONE && vm->dma_trusted == 0)
		wrong = "no IOMMU checks it";
	else if (!has_one_owner(c, vm, f))
		wrong = "it, its group or its place has another owner";
	for (uint32_t i = 0; i < MACHINE_MAX_BARS && !wrong; i++)
		wrong = has_place(c, vm, slot * MACHINE_MAX_BARS + i) ? NULL : "a BAR has no place";
	return wrong ? REFUSE(c, "plan: VM %s: PCI function %u: %s", vm->name, f->function, wrong)
		     : BH_OK;
}

/* Every guest numbers its LPIs from 8192 on, and not every GIC has been shown to keep those of different cores apart. */
static bool may_have_lpis(const struct check *c, const struct plan_vm *vm)
{
	bool may = true;

	for (uint32_t i = 0; c->machine->arm64.one_lpi_owner != 0 && i < c->plan->nvms; i++)
		may = may && (&c->plan->vm[i] == vm || c->plan->vm[i].nfunctions == 0);
	return may || vm->nfunctions == 0;
}

static enum bh_error check_functions(const struct check *c, const struct plan_vm *vm)
{
	const struct plan_region *last = &vm->region[vm->nregions - 1];
	enum bh_error error = BH_OK;

	if (vm->nfunctions > PLAN_MAX_FUNCTIONS ||
	    (vm->nfunctions != 0 && last->gpa.v + last->size > GUEST_HIGH_WINDOW_BASE))
		return REFUSE(c, "plan: VM %s: %u functions, or too much RAM beside them", vm->name,
			      vm->nfunctions);
	if (!may_have_lpis(c, vm))
		return REFUSE(
			c,
			"plan: VM %s: with this interrupt controller one VM alone may have PCI "
			"functions",
			vm->name);
	for (uint32_t i = 0; i < vm->nfunctions && error == BH_OK; i++)
		error = check_function(c, vm, i);
	return error;
}

static enum bh_error check_vm(const struct check *c, uint32_t index)
{
	const struct plan_vm *vm = &c->plan->vm[index];
	const uint8_t *bytes = (const uint8_t *)vm;
	enum bh_error error = BH_OK;

	/* All zero: the first byte is, and each one is like the one before it. */
	if (plan_vm_vacant(vm) && memcmp(bytes, bytes + 1, sizeof(*vm) - 1) == 0)
		return BH_OK;
	error = check_identity(c, index);
	if (error == BH_OK)
		error = check_options(c, vm);
	if (error == BH_OK)
		error = check_cores_of(c, vm);
	if (error == BH_OK)
		error = check_regions(c, vm);
	if (error == BH_OK)
		error = check_images(c, vm);
	if (error == BH_OK)
		error = check_hypervisor(c, index);
	if (error == BH_OK)
		error = check_console(c, index);
	if (error == BH_OK)
		error = check_functions(c, vm);
	return error;
}

/* --- cores: one owner each, and one for all threads of a hardware core --- */

/* True when @core is (or shares its hardware with) a core of VM @vm; counts how often it stands. */
static bool touches(const struct check *c, uint32_t core, const struct plan_vm *vm, uint32_t *times)
{
	const struct machine_cpu *cpu = c->machine->cpu;
	bool shared = false;

	*times = 0;
	for (uint32_t i = 0; i < vm->ncores; i++) {
		*times += vm->core[i] == core;
		shared = shared || cpu[vm->core[i]].core_id == cpu[core].core_id;
	}
	return shared;
}

static enum bh_error check_core(const struct check *c, uint32_t core)
{
	const struct plan *plan = c->plan;
	uint32_t owner = PLAN_NONE;
	uint32_t times = 0;

	for (uint32_t i = 0; i < plan->nvms; i++) {
		if (!touches(c, core, &plan->vm[i], &times))
			continue;
		if (times > 1)
			return REFUSE(c, "plan: VM %s: core %u stands twice", plan->vm[i].name,
				      core);
		if (owner != PLAN_NONE)
			return REFUSE(c, "plan: core %u or its sibling belongs to VM %s and VM %s",
				      core, plan->vm[owner].name, plan->vm[i].name);
		if (core == plan->management_core)
			return REFUSE(c, "plan: VM %s: has the management core %u or its sibling",
				      plan->vm[i].name, core);
		owner = i;
	}
	return BH_OK;
}

static enum bh_error check_cores(const struct check *c)
{
	enum bh_error error = BH_OK;

	for (uint32_t i = 0; i < c->machine->ncpus && error == BH_OK; i++)
		error = check_core(c, i);
	return error;
}

/* --- the card's function --- */

static enum bh_error check_card(const struct check *c)
{
	const struct plan_card *card = &c->plan->card;
	struct extent e = card->registers;

	if (card->present == 0)
		return BH_OK;
	if (card->present > 1 || card->port == 0 || !range_inside(e.base.v, e.size, 0, PA_MAX) ||
	    !is_aligned(e.base.v | e.size, PAGE_SIZE) ||
	    !range_inside(card->common, CARD_COMMON_BYTES, 0, e.size) ||
	    !range_inside(card->notify, card->notify_size, 0, e.size) ||
	    !range_inside(card->device, sizeof(uint64_t), 0, e.size))
		return REFUSE(c, "plan: the card's registers at 0x%llx have no place",
			      hex(e.base.v));
	for (uint32_t i = 0; i < c->machine->nmemory; i++)
		if (extent_overlap(e, c->machine->memory[i].extent))
			return REFUSE(c, "plan: the card's registers at 0x%llx are memory",
				      hex(e.base.v));
	return BH_OK;
}

enum bh_error plan_check(const struct plan *plan, const struct machine *machine,
			 struct bh_report *report)
{
	struct check c = {plan, machine, report};
	enum bh_error error = check_counts(&c);

	for (uint32_t i = 0; error == BH_OK && i < plan->nvms; i++)
		error = check_vm(&c, i);
	if (error == BH_OK)
		error = check_cores(&c);
	if (error == BH_OK)
		error = check_memory(&c);
	if (error == BH_OK)
		error = check_card(&c);
	return error;
}
