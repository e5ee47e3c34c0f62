/* SPDX-License-Identifier: Apache-2.0 */
/* The boot order of the resident core, from the loader's hand-off to the managers. */
#include "core.h"

#include <string.h>

static const struct boot_info *boot;
static struct page_pool pool;
static struct ledger ledger;
static struct cpu *cpus[CONFIG_MAX_CPUS];
static struct vm *vms[CONFIG_MAX_VMS];
static pa_t cpu_blocks;

static_assert(sizeof(struct cpu) <= PAGE_SIZE, "a core's record is one page");
static_assert(sizeof(struct vm) <= VM_RECORD_PAGES * PAGE_SIZE, "as the planner counted");

const struct machine *machine_facts(void)
{
	return &boot->machine;
}

const struct plan *machine_plan(void)
{
	return &boot->plan;
}

struct ledger *machine_ledger(void)
{
	return &ledger;
}

struct cpu *cpu_record(uint32_t index)
{
	return cpus[index];
}

struct vm *vm_record(uint32_t index)
{
	return vms[index];
}

const struct plan_vm *vm_plan(const struct vm *vm)
{
	return &boot->plan.vm[vm->index];
}

/* The stack of core @index grows down from here to its guard page. */
static va_t stack_top(uint32_t index)
{
	uint64_t block = (uint64_t)index * CORE_PAGES_PER_CPU;

	return va(cpu_blocks.v + (block + CORE_PAGES_PER_CPU - 1) * PAGE_SIZE);
}

/* A guard page, the stack, the record: the guard stays unmapped, so an overflow faults. */
static void make_cpus(const struct machine *machine)
{
	cpu_blocks = pool_take(&pool, (uint64_t)machine->ncpus * CORE_PAGES_PER_CPU);
	BH_CHECK(cpu_blocks.v != 0);
	for (uint32_t i = 0; i < machine->ncpus; i++) {
		cpus[i] = pa_to_ptr(pa(stack_top(i).v));
		cpus[i]->index = i;
		cpus[i]->hwid = machine->cpu[i].hwid;
	}
}

static void map_cpus(const struct machine *machine)
{
	uint64_t block = CORE_PAGES_PER_CPU * PAGE_SIZE;

	for (uint32_t i = 0; i < machine->ncpus; i++)
		own_map((struct extent){pa(cpu_blocks.v + i * block + PAGE_SIZE),
					block - PAGE_SIZE},
			PT_DATA);
}

static struct page_pool vm_pool(const struct plan_vm *plan)
{
	return (struct page_pool){plan->hypervisor.base, plan->hypervisor.size / PAGE_SIZE};
}

/* Record, console ring and tables of one VM, all from its own extent. */
static void make_vm(uint32_t index)
{
	const struct plan_vm *plan = &boot->plan.vm[index];
	struct page_pool own = vm_pool(plan);

	vms[index] = pa_to_ptr(pool_take(&own, VM_RECORD_PAGES));
	vms[index]->tx = pa_to_ptr(pool_take(&own, CONSOLE_TX_SIZE / PAGE_SIZE));
	BH_CHECK(vms[index] != NULL && vms[index]->tx != NULL);
	vms[index]->index = index;
	arch_vm_build(vms[index], &own);
	for (uint32_t r = 0; r < plan->nregions; r++)
		own_reserve((struct extent){plan->region[r].pa, plan->region[r].size});
}

static void make_ledger(const struct plan *plan)
{
	enum bh_error error;

	ledger_init(&ledger, &boot->machine);
	error = ledger_take(&ledger, plan->core, OWNER_HYPERVISOR, 0);
	for (uint32_t i = 0; i < plan->nimages && error == BH_OK; i++)
		error = ledger_take(&ledger, plan->images[i], OWNER_IMAGES, 0);
	for (uint32_t v = 0; v < plan->nvms; v++)
		for (uint32_t r = 0; r < plan->vm[v].nregions && error == BH_OK; r++)
			error = ledger_take(&ledger,
					    (struct extent){plan->vm[v].region[r].pa,
							    plan->vm[v].region[r].size},
					    OWNER_VM, v);
	if (error == BH_OK)
		error = ledger_check(&ledger, plan);
	if (error != BH_OK)
		bh_panic("ledger: %s", bh_strerror(error));
}

/* The loader is trusted, but a broken hand-off must not run on. */
static void check_hand_off(const struct boot_info *info)
{
	struct bh_report report;

	BH_CHECK(info->magic == BOOT_INFO_MAGIC && info->version == BOOT_INFO_VERSION);
	BH_CHECK(info->size == sizeof(*info));
	if (arch_probe(info, &report) != BH_OK ||
	    plan_check(&info->plan, &info->machine, &report) != BH_OK)
		bh_panic("%s", report.text);
}

static void start_other_cores(const struct cpu *self)
{
	for (uint32_t i = 0; i < boot->machine.ncpus; i++) {
		bool manages = i == boot->plan.management_core;

		if (i == self->index)
			continue;
		if (arch_cpu_on(own_space_root(), stack_top(i), cpus[i],
				manages ? system_manager : core_manager) != BH_OK)
			bh_panic("core %u does not start", i);
	}
}

/* On own tables and own stack from here. */
static void boot_core(struct cpu *cpu)
{
	arch_machine_init();
	arch_cpu_init(cpu);
	start_other_cores(cpu);
	if (cpu->index == boot->plan.management_core)
		system_manager(cpu);
	core_manager(cpu);
}

void core_main(const struct boot_info *info)
{
	boot = info;
	log_start(&info->machine);
	check_hand_off(info);

	pool = (struct page_pool){info->pool.base, info->pool.size / PAGE_SIZE};
	make_cpus(&info->machine);
	struct extent rest = {pool.next, pool.pages * PAGE_SIZE};
	own_space_build(info, &pool);
	own_map(rest, PT_DATA);
	map_cpus(&info->machine);
	for (uint32_t i = 0; i < info->plan.nimages; i++)
		own_map(info->plan.images[i], PT_RODATA);
	for (uint32_t i = 0; i < info->plan.nvms; i++)
		own_map(info->plan.vm[i].hypervisor, PT_DATA);
	for (uint32_t i = 0; i < info->plan.nvms; i++)
		make_vm(i);
	own_space_seal();
	make_ledger(&info->plan);
	entropy_init(info->seed, sizeof(info->seed));

	uint32_t self = info->machine.boot_cpu;
	arch_enter(own_space_root(), stack_top(self), cpus[self], boot_core);
}
