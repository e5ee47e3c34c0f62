/* SPDX-License-Identifier: Apache-2.0 */
/* VMs that come and go: all checks on a candidate plan first, then what cannot fail. */
#include "core.h"

#include <bulkhead/pci.h>

#include <string.h>

/* A core that is in quarantine has no VM in the plan any more, but is not free. */
static enum bh_error cores_free(const struct plan_vm *want)
{
	for (uint32_t i = 0; i < want->ncores; i++)
		if (load_acquire(&cpu_record(want->core[i])->mailbox.state) != CORE_IDLE)
			return BH_CORE_LOST;
	return BH_OK;
}

static enum bh_error check(const struct plan *candidate, uint32_t slot, struct bh_report *report)
{
	const struct plan_vm *want = &candidate->vm[slot];
	enum bh_error error = plan_check(candidate, machine_facts(), report);

	if (error == BH_OK && (plan_vm_kept(want) || !plan_vm_apart(candidate, want)))
		error = BH_BAD_PLAN; /* store and core were divided at boot */
	return error != BH_OK ? error : cores_free(want);
}

enum bh_error vm_create(const struct plan_vm *want, uint32_t *slot, struct bh_report *report)
{
	static struct plan candidate;
	struct plan *plan = machine_plan_change();
	const struct vm *there =
		memchr(want->name, '\0', sizeof(want->name)) != NULL ? vm_find(want->name) : NULL;

	if (there != NULL) {
		*slot = there->index;
		return memcmp(vm_plan(there), want, sizeof(*want)) == 0 ? BH_OK : BH_DUPLICATE;
	}
	*slot = plan_vacant_slot(plan);
	if (*slot == CONFIG_MAX_VMS)
		return BH_TOO_MANY;
	candidate = *plan;
	candidate.vm[*slot] = *want;
	candidate.nvms += *slot == plan->nvms;
	enum bh_error error = check(&candidate, *slot, report);

	if (error == BH_OK)
		error = ledger_take_vm(want, *slot);
	if (error != BH_OK)
		return error;
	*plan = candidate;
	make_vm(*slot);
	log_line("%s: created in slot %u", want->name, *slot);
	vm_scrub_begin(vm_record(*slot));
	vm_scrub_end(vm_record(*slot));
	return BH_OK;
}

enum bh_error vm_delete(struct vm *vm)
{
	struct plan *plan = machine_plan_change();
	uint32_t slot = vm->index;

	if (vm->state != VM_STOPPED)
		return BH_WRONG_STATE;
	log_line("%s: deleted from slot %u", plan->vm[slot].name, slot);
	forget_vm(slot);
	ledger_give_vm(&plan->vm[slot], plan->vm[slot].nregions);
	memset(&plan->vm[slot], 0, sizeof(plan->vm[slot]));
	return BH_OK;
}

/* ---- Hot plug ---- */

enum bh_error vm_plug(struct vm *vm, const struct plan_function *want, struct bh_report *report)
{
	struct plan_vm *plan = &machine_plan_change()->vm[vm->index];
	uint32_t number = (want->id >> 8) - 1;
	struct plan_function *port = plan->function + plan->nfunctions - plan->nports;

	if (number >= plan->nports)
		return BH_NO_DEVICE;
	port += number;
	if (memcmp(port, want, sizeof(*want)) == 0) /* asked for again */
		return BH_OK;
	if (port->function != MACHINE_NONE || vm->state == VM_QUARANTINED)
		return BH_WRONG_STATE;
	struct plan_function vacant = *port;

	*port = *want;
	enum bh_error error = plan_check(machine_plan(), machine_facts(), report);

	if (error == BH_OK)
		error = pci_plug(vm, (uint32_t)(port - plan->function));
	if (error != BH_OK)
		*port = vacant;
	else
		log_line("%s: PCI function %u plugged into port %u", plan->name, want->function,
			 number);
	return error;
}

/* A core that still reaches the function keeps it: the VM is stopped, and what does not stop is quarantined. */
static enum bh_error unplug(struct vm *vm, uint32_t slot)
{
	struct plan_vm *plan = &machine_plan_change()->vm[vm->index];
	struct plan_function *port = &plan->function[slot];
	uint32_t function = port->function;

	if (!pci_unplug(vm, slot) &&
	    vm_stop(vm, "a core still reaches a function that was unplugged") != BH_OK)
		return BH_CORE_LOST;
	*port = (struct plan_function){.function = MACHINE_NONE, .id = port->id};
	log_line("%s: PCI function %u unplugged", plan->name, function);
	control_event(vm, VM_EVENT_UNPLUGGED, "its port is empty", NULL);
	return BH_OK;
}

enum bh_error vm_unplug(struct vm *vm, uint32_t function, bool force)
{
	const struct plan_vm *plan = vm_plan(vm);
	uint32_t slot = plan->nfunctions - plan->nports;

	while (slot < plan->nfunctions && plan->function[slot].function != function)
		slot++;
	if (function == MACHINE_NONE || slot == plan->nfunctions)
		return BH_NO_DEVICE;
	if (vm->state == VM_QUARANTINED)
		return BH_WRONG_STATE;
	if (force || vm->state != VM_RUNNING)
		return unplug(vm, slot);
	pci_ask(vm, slot);
	return BH_OK;
}

void vm_take_functions(void)
{
	for (uint32_t i = 0; i < machine_plan()->nvms; i++) {
		struct vm *vm = vm_record(i);
		uint32_t slots = vm != NULL ? __atomic_exchange_n(&vm->shared.pci_given_back, 0,
								  __ATOMIC_SEQ_CST)
					    : 0;

		for (; slots != 0; slots &= slots - 1)
			unplug(vm, (uint32_t)__builtin_ctz(slots));
	}
}
