/* SPDX-License-Identifier: Apache-2.0 */
/* The core manager: waits for a command, runs one vCPU until it ends, waits again. */
#include "core.h"

static enum core_command peek(const struct cpu *cpu)
{
	return (enum core_command)load_acquire(&cpu->mailbox.command);
}

static void set_state(struct cpu *cpu, enum core_state state)
{
	store_release(&cpu->mailbox.state, state);
	system_manager_wake();
}

/* Takes the command: it led to @state. */
static void take(struct cpu *cpu, enum core_state state)
{
	store_release(&cpu->mailbox.command, COMMAND_NONE);
	set_state(cpu, state);
}

enum bh_error vcpu_power_on(struct vm *vm, uint32_t vcpu, uint64_t entry, uint64_t context)
{
	uint32_t off = VCPU_POWER_OFF;

	if (vcpu >= vm_plan(vm)->ncores)
		return BH_NO_SUCH_CORE;
	struct vcpu_shared *shared = &vm->shared.vcpu[vcpu];
	if (!__atomic_compare_exchange_n(&shared->power, &off, VCPU_POWER_CLAIMED, false,
					 __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
		return BH_WRONG_STATE;
	shared->entry = entry;
	shared->context = context;
	store_release(&shared->power, VCPU_POWER_PENDING);
	arch_doorbell(vm_plan(vm)->core[vcpu]);
	return BH_OK;
}

/* A vCPU that is off sleeps here until a sibling switches it on; false when a command came first. */
static bool wait_for_power(struct cpu *cpu)
{
	struct vcpu_shared *vcpu = &cpu->vm->shared.vcpu[cpu->vcpu];

	while (load_acquire(&vcpu->power) != VCPU_POWER_PENDING) {
		if (peek(cpu) != COMMAND_NONE)
			return false;
		arch_wait(0);
	}
	store_release(&vcpu->power, VCPU_POWER_ON);
	return true;
}

/* Start steps 6 and 7 and all that follows, until the vCPU must leave for good. */
static void run_vcpu(struct cpu *cpu)
{
	static const uint32_t events[] = {
		[VCPU_SYSTEM_OFF] = EVENT_OFF,
		[VCPU_SYSTEM_RESET] = EVENT_RESET,
		[VCPU_ILLEGAL] = EVENT_ABORT,
	};
	struct vcpu_shared *vcpu = &cpu->vm->shared.vcpu[cpu->vcpu];
	enum vcpu_result result = VCPU_OFF;

	while (result == VCPU_OFF && wait_for_power(cpu)) {
		arch_vcpu_reset(cpu, vcpu->entry, vcpu->context);
		result = arch_vcpu_run(cpu, &cpu->mailbox.fault);
		arch_vcpu_leave(cpu);
		if (result == VCPU_OFF)
			store_release(&vcpu->power, VCPU_POWER_OFF);
	}
	if (events[result] != EVENT_NONE) /* the system manager is woken when this core is parked */
		store_release(&cpu->mailbox.event, events[result]);
}

static void start(struct cpu *cpu)
{
	struct vm *vm = vm_record(cpu->mailbox.vm);
	const struct plan_vm *plan = vm_plan(vm);

	cpu->vm = vm;
	for (cpu->vcpu = 0; plan->core[cpu->vcpu] != cpu->index;)
		cpu->vcpu++;
	for (uint32_t i = 0; i < EXIT_REASON_COUNT; i++)
		cpu->exits[i] = 0;
	if (cpu->vcpu == 0) {
		arch_vm_install(vm);
		log_line("%s: start 6/7: memory and I/O mappings installed", plan->name);
		log_line("%s: start 7/7: entering the guest", plan->name);
	}
	take(cpu, CORE_RUNNING);
	run_vcpu(cpu);
	set_state(cpu, CORE_PARKED);
}

/* This core's share of its VM's memory: every region in as many slices as there are cores. */
static void scrub(struct cpu *cpu)
{
	const struct plan_vm *plan = vm_plan(vm_record(cpu->mailbox.vm));
	uint32_t share = 0;

	while (plan->core[share] != cpu->index)
		share++;
	for (uint32_t r = 0; r < plan->nregions; r++) {
		const struct plan_region *region = &plan->region[r];
		uint64_t pages = region->extent.size / PAGE_SIZE;
		uint64_t from = pages * share / plan->ncores * PAGE_SIZE;
		uint64_t to = pages * (share + 1) / plan->ncores * PAGE_SIZE;

		arch_zero(pa_to_ptr(pa(region->extent.base.v + from)), to - from);
	}
}

void core_manager(struct cpu *cpu)
{
	arch_cpu_init(cpu);
	set_state(cpu, CORE_IDLE);
	for (;;) {
		switch (peek(cpu)) {
		case COMMAND_NONE:
			arch_wait(0);
			break;
		case COMMAND_START:
			start(cpu);
			break;
		case COMMAND_STOP: /* it has left its guest already */
			cpu->vm = NULL;
			take(cpu, CORE_PARKED);
			break;
		case COMMAND_SCRUB:
			scrub(cpu);
			cpu->vm = NULL; /* which may be deleted from now on */
			take(cpu, CORE_IDLE);
			break;
		}
	}
}
