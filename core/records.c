/* SPDX-License-Identifier: Apache-2.0 */
/* The records of cores, VMs and memory: made once from the frozen plan, from pages the planner counted. */
#include "core.h"

#include <bulkhead/vsock.h>

#include <string.h>

static const struct boot_info *boot;
static struct plan plan; /* the loader's, and what came and went since */
static struct ledger ledger;
static struct cpu *cpus[CONFIG_MAX_CPUS];
static struct vm *vms[CONFIG_MAX_VMS];
static pa_t cpu_blocks;
static pa_t card_dma; /* the tables of what the card's function reaches */

static_assert(sizeof(struct cpu) <= PAGE_SIZE, "a core's record is one page");
static_assert(sizeof(struct vm) <= VM_RECORD_PAGES * PAGE_SIZE, "as the planner counted");

const struct machine *machine_facts(void)
{
	return &boot->machine;
}

const struct plan *machine_plan(void)
{
	return &plan;
}

struct plan *machine_plan_change(void)
{
	return &plan;
}

uint64_t build_id(void)
{
	return boot->build_id;
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
	return &plan.vm[vm->index];
}

va_t stack_top(uint32_t index)
{
	uint64_t block = (uint64_t)index * CORE_PAGES_PER_CPU;

	return va(cpu_blocks.v + (block + CORE_PAGES_PER_CPU - 1 - CORE_ARCH_PAGES) * PAGE_SIZE);
}

void records_use(const struct boot_info *info)
{
	boot = info;
	plan = info->plan;
}

/* @count pages in a row, taken one by one: they need no alignment. */
static pa_t take_pages(struct page_pool *pool, uint64_t count)
{
	pa_t first = pool->next;

	for (uint64_t i = 0; i < count; i++)
		BH_CHECK(pool_take(pool, 1).v != 0);
	return first;
}

/* A guard page, the stack, the record, the architecture's: the guard stays unmapped, so an overflow faults. */
void make_cpus(struct page_pool *pool)
{
	const struct machine *machine = &boot->machine;

	cpu_blocks = take_pages(pool, (uint64_t)machine->ncpus * CORE_PAGES_PER_CPU);
	for (uint32_t i = 0; i < machine->ncpus; i++) {
		cpus[i] = pa_to_ptr(pa(stack_top(i).v));
		cpus[i]->index = i;
		cpus[i]->hwid = machine->cpu[i].hwid;
	}
}

static void map_cpus(uint32_t count)
{
	uint64_t block = CORE_PAGES_PER_CPU * PAGE_SIZE;

	for (uint32_t i = 0; i < count; i++) {
		pa_t stack = pa(cpu_blocks.v + i * block + PAGE_SIZE);

		own_map((struct extent){stack, block - PAGE_SIZE}, PT_DATA);
	}
}

void make_own_space(struct page_pool *pool)
{
	struct extent tables = {pool->next, pool->pages * PAGE_SIZE};

	own_space_build(boot, pool);
	own_map(tables, PT_DATA);
	map_cpus(boot->machine.ncpus);
	for (uint32_t i = 0; i < plan.nimages; i++)
		own_map(plan.images[i], PT_RODATA);
	for (uint32_t i = 0; i < boot->machine.nmemory; i++)
		own_reserve(boot->machine.memory[i].extent); /* for whatever VM is made of it */
	if (plan.card.present)
		own_map(plan.card.registers, PT_DEVICE);
	pci_map(&boot->machine);
}

/* Mapped with the rest of the pool. */
void make_card(struct page_pool *pool)
{
	struct extent bounce = {pa(0), CARD_PAGES * PAGE_SIZE};

	if (!plan.card.present)
		return;
	bounce.base = take_pages(pool, CARD_PAGES);
	if (plan.card.function != MACHINE_NONE)
		card_dma = own_dma_space(pool, bounce);
	vsock_use(&plan.card, bounce.base);
}

void open_card(void)
{
	if (card_dma.v != 0)
		arch_own_function_open(plan.card.function, card_dma);
}

/* Record, console ring and tables of one VM, all from its own extent. */
void make_vm(uint32_t index)
{
	struct extent extent = plan.vm[index].hypervisor;
	struct page_pool own = {extent.base, extent.size / PAGE_SIZE};

	own_map(extent, PT_DATA);
	pa_t record = take_pages(&own, VM_RECORD_PAGES);
	pa_t ring = take_pages(&own, CONSOLE_TX_SIZE / PAGE_SIZE);

	vms[index] = pa_to_ptr(record);
	vms[index]->tx = pa_to_ptr(ring);
	vms[index]->index = index;
	guest_space_build(vms[index], &own);
}

void forget_vm(uint32_t index)
{
	struct extent extent = plan.vm[index].hypervisor;

	vms[index] = NULL;
	arch_zero(pa_to_ptr(extent.base), extent.size);
	own_unmap(extent);
}

struct vm *vm_find(const char *name)
{
	for (uint32_t i = 0; i < plan.nvms; i++)
		if (vms[i] != NULL && strcmp(plan.vm[i].name, name) == 0)
			return vms[i];
	return NULL;
}

void make_vms(void)
{
	for (uint32_t i = 0; i < plan.nvms; i++)
		make_vm(i);
}

/* A VM's RAM, and what the hypervisor keeps for it unless that is a part of the core's extent. */
enum bh_error ledger_take_vm(const struct plan_vm *vm, uint32_t index)
{
	enum bh_error error = BH_OK;
	uint32_t done = 0;

	if (!extent_inside(vm->hypervisor, plan.core))
		error = ledger_take(&ledger, vm->hypervisor, OWNER_HYPERVISOR, index);
	if (error != BH_OK)
		return error;
	while (done < vm->nregions && error == BH_OK) {
		error = ledger_take(&ledger, vm->region[done].extent, OWNER_VM, index);
		done += error == BH_OK;
	}
	if (error != BH_OK)
		ledger_give_vm(vm, done);
	return error;
}

void ledger_give_vm(const struct plan_vm *vm, uint32_t nregions)
{
	for (uint32_t r = 0; r < nregions; r++)
		ledger_give(&ledger, vm->region[r].extent);
	if (!extent_inside(vm->hypervisor, plan.core))
		ledger_give(&ledger, vm->hypervisor);
}

void make_ledger(void)
{
	enum bh_error error;

	ledger_init(&ledger, &boot->machine);
	error = ledger_take(&ledger, plan.core, OWNER_HYPERVISOR, 0);
	for (uint32_t i = 0; i < plan.nimages && error == BH_OK; i++)
		error = ledger_take(&ledger, plan.images[i], OWNER_IMAGES, 0);
	for (uint32_t i = 0; i < plan.nvms && error == BH_OK; i++)
		error = ledger_take_vm(&plan.vm[i], i);
	if (error == BH_OK)
		error = ledger_check(&ledger, &plan);
	if (error != BH_OK)
		bh_panic("ledger: %s", bh_strerror(error));
}
