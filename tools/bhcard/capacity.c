/* SPDX-License-Identifier: Apache-2.0 */
/* What of a machine is nobody's, in the plan that is in use. */
#include "card.h"
#include "device.h"

static bool is_core_free(const struct host *host, uint32_t core)
{
	if (core == host->plan.management_core)
		return false;
	for (uint32_t i = 0; i < host->plan.nvms; i++) {
		const struct plan_vm *vm = &host->plan.vm[i];

		for (uint32_t k = 0; k < vm->ncores; k++) {
			if (vm->core[k] == core)
				return false;
		}
	}
	return true;
}

static void lower(struct extent *lowest, struct extent e, uint64_t at)
{
	if (e.size != 0 && extent_end(e) > at && (lowest->size == 0 || e.base.v < lowest->base.v))
		*lowest = e;
}

/* Of all that is taken and ends behind @at, what begins lowest. */
static struct extent next_taken(const struct plan *plan, uint64_t at)
{
	struct extent lowest = {pa(0), 0};

	lower(&lowest, plan->core, at);
	for (uint32_t i = 0; i < plan->nimages; i++)
		lower(&lowest, plan->images[i], at);
	for (uint32_t i = 0; i < plan->nvms; i++) {
		const struct plan_vm *vm = &plan->vm[i];

		lower(&lowest, vm->hypervisor, at);
		for (uint32_t k = 0; k < vm->nregions; k++)
			lower(&lowest, vm->region[k].extent, at);
	}
	return lowest;
}

/* Adds the free whole blocks of one extent of the machine's memory. */
static uint64_t add_gaps(const struct plan *plan, const struct machine_memory *memory, json_t *out)
{
	uint64_t at = memory->extent.base.v;
	uint64_t end = extent_end(memory->extent);
	uint64_t total = 0;

	while (at < end) {
		struct extent taken = next_taken(plan, at);
		uint64_t stop = taken.size != 0 && taken.base.v < end ? taken.base.v : end;
		uint64_t base = align_up(at, BLOCK_SIZE);

		at = stop == end ? end : extent_end(taken);
		stop = align_down(stop, BLOCK_SIZE);
		if (base >= stop)
			continue;
		total += stop - base;
		json_array_append_new(out, json_pack("{s:I, s:I, s:i}", "base", (json_int_t)base,
						     "size", (json_int_t)(stop - base), "node",
						     (int)memory->node));
	}
	return total;
}

static bool is_owned(const struct plan *plan, uint32_t function)
{
	for (uint32_t i = 0; i < plan->nvms * PLAN_MAX_FUNCTIONS; i++) {
		const struct plan_vm *vm = &plan->vm[i / PLAN_MAX_FUNCTIONS];

		if (i % PLAN_MAX_FUNCTIONS < vm->nfunctions &&
		    vm->function[i % PLAN_MAX_FUNCTIONS].function == function)
			return true;
	}
	return false;
}

/* It can be given, and nothing that cannot be kept apart from it is the machine's or a VM's. */
static bool is_function_free(const struct host *host, uint32_t function)
{
	const struct machine *machine = &host->facts.machine;
	const struct machine_function *f = &machine->function[function];

	if ((f->flags & ~FUNCTION_VF) != FUNCTION_FLR)
		return false;
	for (uint32_t i = 0; i < machine->nfunctions; i++) {
		if (machine->function[i].group == f->group &&
		    ((machine->function[i].flags & FUNCTION_HOST) || is_owned(&host->plan, i)))
			return false;
	}
	return true;
}

static json_t *free_functions(const struct host *host)
{
	json_t *list = json_array();
	char name[DEVICE_NAME];

	for (uint32_t i = 0; i < host->facts.machine.nfunctions; i++) {
		device_name(host->facts.machine.function[i].id, name);
		if (is_function_free(host, i))
			json_array_append_new(list, json_string(name));
	}
	return list;
}

json_t *view_capacity(const struct host *host)
{
	const struct machine *machine = &host->facts.machine;
	json_t *cores = json_array();
	json_t *extents = json_array();
	uint64_t memory = 0;
	int vms = CONFIG_MAX_VMS;

	for (uint32_t i = 0; i < machine->ncpus; i++) {
		if (is_core_free(host, i))
			json_array_append_new(cores, json_integer(i));
	}
	for (uint32_t i = 0; i < machine->nmemory; i++)
		memory += add_gaps(&host->plan, &machine->memory[i], extents);
	for (uint32_t i = 0; i < host->plan.nvms; i++)
		vms -= !plan_vm_vacant(&host->plan.vm[i]);
	return json_pack("{s:o, s:I, s:o, s:i, s:o}", "cores_free", cores, "memory_free",
			 (json_int_t)memory, "extents", extents, "vms_free", vms, "devices_free",
			 free_functions(host));
}
