/* SPDX-License-Identifier: Apache-2.0 */
#include <bulkhead/format.h>
#include <bulkhead/planner.h>

#define LINE_MAX_BYTES 320

struct printer {
	plan_line_fn *line;
	void *context;
	size_t length;
	char text[LINE_MAX_BYTES];
};

static void add(struct printer *p, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(struct printer *p, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (p->length < sizeof(p->text))
		p->length +=
			bh_vformat(p->text + p->length, sizeof(p->text) - p->length, format, args);
	va_end(args);
}

static void end_line(struct printer *p)
{
	p->line(p->context, p->text);
	p->length = 0;
	p->text[0] = '\0';
}

/* 512 MiB, 1536 KiB: the largest unit that leaves no rest, unless the number gets long. */
static void add_size(struct printer *p, uint64_t bytes)
{
	static const char *const units[] = {"K", "M", "G"};
	size_t unit = 0;

	bytes /= KIB;
	while (unit < 2 && bytes != 0 && (bytes % 1024 == 0 || bytes >= MIB)) {
		bytes /= 1024;
		unit++;
	}
	add(p, "%llu %siB", (unsigned long long)bytes, units[unit]);
}

static void add_range(struct printer *p, uint64_t base, uint64_t size)
{
	unsigned long long end = base + size;

	add(p, "0x%010llx-0x%010llx", (unsigned long long)base, end);
}

/* "1-3,7": runs are drawn together, the order is that of the vCPUs. */
static void add_cores(struct printer *p, const struct plan_vm *vm)
{
	uint32_t i = 0;

	while (i < vm->ncores) {
		uint32_t first = i;

		while (i + 1 < vm->ncores && vm->core[i + 1] == vm->core[i] + 1)
			i++;
		add(p, "%s%u", first ? "," : "", vm->core[first]);
		if (i > first)
			add(p, "%s%u", i == first + 1 ? "," : "-", vm->core[i]);
		i++;
	}
}

static void print_machine(struct printer *p, const struct plan *plan, const struct machine *m)
{
	uint64_t usable = 0;

	for (uint32_t i = 0; i < m->nmemory; i++)
		usable += m->memory[i].extent.size;
	add(p, "machine: %.63s, %u cores, ", m->name, m->ncpus);
	add_size(p, usable);
	add(p, " usable");
	if (m->arch == MACHINE_ARM64 && m->arm64.gic_version != 0)
		add(p, ", GICv%u", m->arm64.gic_version);
	if (m->arch == MACHINE_ARM64 && m->arm64.its.v != 0)
		add(p, ", LPIs taken by %s", m->arm64.one_lpi_owner ? "one VM" : "every VM");
	end_line(p);

	add(p, "hypervisor: core %u, memory ", plan->management_core);
	add_range(p, plan->core.base.v, plan->core.size);
	add(p, " (");
	add_size(p, plan->core.size);
	add(p, "), when idle %s", plan->when_idle == IDLE_POWEROFF ? "power off" : "wait");
	end_line(p);
}

static void print_options(struct printer *p, const struct plan_vm *vm)
{
	add(p, "  console: %s", vm->console ? "UART" : "none");
	if (vm->console_irq != 0)
		add(p, ", interrupt %u", vm->console_irq);
	add(p, "; autostart: %s", vm->autostart ? "yes" : "no");
	if (vm->restart_limit != 0)
		add(p, "; restarts: %u in %u s", vm->restart_limit, vm->restart_window);
	else
		add(p, "; restarts: never");
	end_line(p);
	if (vm->virtual_interrupts == 0)
		return;
	add(p, "  interrupts: by list registers, each an exit");
	end_line(p);
}

static void print_images(struct printer *p, const struct plan_vm *vm)
{
	const char *names[PLAN_MAX_IMAGES] = {"kernel", "device tree", "initrd"};

	if (vm->entry_mode != ENTRY_ARM64) {
		names[IMAGE_BOOT] = "boot image";
		add(p, "  entry: 0x%010llx, %s", (unsigned long long)vm->entry.v,
		    vm->entry_mode == ENTRY_X86_PVH ? "PVH" : "Linux (64-bit)");
		end_line(p);
	}
	for (uint32_t i = 0; i < PLAN_MAX_IMAGES; i++) {
		if (vm->image[i].size == 0)
			continue;
		add(p, "  %s: ", names[i]);
		add_range(p, vm->image[i].to.v, vm->image[i].size);
		add(p, " in the guest, %llu bytes", (unsigned long long)vm->image[i].size);
		end_line(p);
	}
}

static void add_function(struct printer *p, uint32_t id)
{
	add(p, "%04x:%02x:%02x.%u", id >> 16, id >> 8 & 0xff, id >> 3 & 0x1f, id & 7);
}

static void print_function(struct printer *p, const struct plan_function *own,
			   const struct machine *m)
{
	const struct machine_function *f;

	if (own->function == MACHINE_NONE) {
		add(p, "  hot-plug port %u: empty", (own->id >> 8) - 1);
		end_line(p);
		return;
	}
	f = &m->function[own->function];
	add(p, "  device: ");
	add_function(p, f->id);
	add(p, " (%04x:%04x", f->device & 0xffff, f->device >> 16);
	if (f->pf != MACHINE_NONE) {
		add(p, ", a VF of ");
		add_function(p, m->function[f->pf].id);
	}
	add(p, "), in the guest %02x:%02x.0, ", own->id >> 8, own->id >> 3 & 0x1f);
	if (f->iommu != MACHINE_NONE)
		add(p, "IOMMU %u, stream 0x%x", f->iommu, f->stream);
	else
		add(p, "NO IOMMU");
	end_line(p);
	for (uint32_t i = 0; i < MACHINE_MAX_BARS; i++) {
		if (f->bar[i].size == 0)
			continue;
		add(p, "    BAR %u: ", i);
		add_range(p, f->bar[i].base.v, f->bar[i].size);
		add(p, ", in the guest at 0x%010llx", (unsigned long long)own->bar[i].v);
		end_line(p);
	}
}

static void print_functions(struct printer *p, const struct plan_vm *vm, const struct machine *m)
{
	bool unchecked = false;

	for (uint32_t i = 0; i < vm->nfunctions; i++) {
		print_function(p, &vm->function[i], m);
		unchecked =
			unchecked || (vm->function[i].function != MACHINE_NONE &&
				      m->function[vm->function[i].function].iommu == MACHINE_NONE);
	}
	if (!unchecked)
		return;
	add(p,
	    "  WARNING: DMA OF %s IS TRUSTED, NOT CHECKED: its devices reach all memory, other "
	    "VMs' and the hypervisor's too",
	    vm->name);
	end_line(p);
}

static void print_vm(struct printer *p, const struct plan *plan, const struct plan_vm *vm,
		     const struct machine *machine)
{
	add(p, "VM %u %.31s: %u %s (", vm->vmid, vm->name, vm->ncores,
	    vm->ncores == 1 ? "core" : "cores");
	add_cores(p, vm);
	add(p, "), ");
	add_size(p, plan_vm_memory(vm));
	end_line(p);
	for (uint32_t i = 0; i < vm->nregions; i++) {
		const struct plan_region *region = &vm->region[i];

		add(p, "  memory: ");
		add_range(p, region->extent.base.v, region->extent.size);
		add(p, " (");
		add_size(p, region->extent.size);
		add(p, "), in the guest at 0x%010llx", (unsigned long long)region->gpa.v);
		end_line(p);
	}
	if (plan_vm_apart(plan, vm)) {
		add(p, "  hypervisor: ");
		add_range(p, vm->hypervisor.base.v, vm->hypervisor.size);
		add(p, " (");
		add_size(p, vm->hypervisor.size);
		add(p, ")");
		end_line(p);
	}
	print_images(p, vm);
	print_options(p, vm);
	print_functions(p, vm, machine);
}

void plan_print(const struct plan *plan, const struct machine *machine, plan_line_fn *line,
		void *context)
{
	struct printer p = {.line = line, .context = context};

	print_machine(&p, plan, machine);
	for (uint32_t i = 0; i < plan->nvms; i++) {
		if (!plan_vm_vacant(&plan->vm[i]))
			print_vm(&p, plan, &plan->vm[i], machine);
	}
}
