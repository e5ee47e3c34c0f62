/* SPDX-License-Identifier: Apache-2.0 */
/* The boot order of the resident core, from the loader's hand-off to the managers. */
#include "core.h"

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

/* Where core @index spends its life. */
static void (*role(uint32_t index))(struct cpu *cpu)
{
	return index == machine_plan()->management_core ? system_manager : core_manager;
}

static void start_other_cores(const struct cpu *self)
{
	for (uint32_t i = 0; i < machine_facts()->ncpus; i++) {
		if (i == self->index)
			continue;
		if (arch_cpu_on(own_space_root(), stack_top(i), cpu_record(i), role(i)) != BH_OK)
			bh_panic("core %u does not start", i);
	}
}

/* On own tables and own stack from here. */
static void boot_core(struct cpu *cpu)
{
	arch_machine_init(); /* the shared interrupt controller: everything off */
	open_card(); /* the IOMMU lets its function reach its own buffers */
	arch_cpu_init(cpu);
	start_other_cores(cpu);
	role(cpu->index)(cpu);
}

/* On the firmware's tables, with the loader's stack gone. */
void core_main(const struct boot_info *info)
{
	static struct page_pool pool;

	records_use(info);
	log_start(&info->machine);
	check_hand_off(info); /* versions, this processor, the plan's invariants */

	pool = (struct page_pool){info->pool.base, info->pool.size / PAGE_SIZE};
	make_cpus(&pool); /* stacks and records */
	make_own_space(&pool); /* text, rodata, data, records, image store, registers: W^X */
	make_card(&pool); /* what the card's function may reach */
	make_vms(); /* records, rings, stage-2 tables, switched off */
	own_space_seal(); /* from here on nothing is allocated */
	make_ledger(); /* who owns which extent */
	entropy_init(info->seed, sizeof(info->seed));

	uint32_t self = info->machine.boot_cpu;
	arch_enter(own_space_root(), stack_top(self), cpu_record(self), boot_core);
}
