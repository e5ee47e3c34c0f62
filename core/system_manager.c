/* SPDX-License-Identifier: Apache-2.0 */
/* The system manager: one loop on the management core. Guests never wait for it. */
#include "core.h"

#define START_UP_SECONDS 10

void system_manager_wake(void)
{
	arch_doorbell(machine_plan()->management_core);
}

bool system_manager_service(void)
{
	const struct plan *plan = machine_plan();
	bool worked = false;

	if (prompt_attached())
		return false;
	/* A little of each: no guest's output keeps the others', or the operator, waiting. */
	for (uint32_t i = 0; i < plan->nvms; i++)
		if (vm_record(i) != NULL && !control_open())
			worked |= console_mirror(vm_record(i));
	if (!log_pending())
		return worked;
	prompt_hide();
	log_drain();
	prompt_show();
	return worked;
}

/* Nobody left to serve: only when a guest has switched itself off, never because the operator stopped one. */
static void power_off_when_idle(void)
{
	const struct plan *plan = machine_plan();

	if (plan->when_idle != IDLE_POWEROFF)
		return;
	for (uint32_t i = 0; i < plan->nvms; i++)
		if (vm_record(i) != NULL && vm_record(i)->state == VM_RUNNING)
			return;
	log_line("no VM runs any more: switching the machine off");
	log_drain();
	arch_power_off();
}

/*
 * True when there was an event: what it led to may have waited, and so have used
 * up the doorbell of the next one. Only a round that found none may sleep.
 */
static bool take_events(void)
{
	const struct machine *machine = machine_facts();
	bool found = false;

	for (uint32_t i = 0; i < machine->ncpus; i++) {
		struct mailbox *box = &cpu_record(i)->mailbox;
		uint32_t event = load_acquire(&box->event);

		if (event == EVENT_NONE)
			continue;
		found = true;
		vm_event(vm_record(box->vm), box);
		if (event == EVENT_OFF)
			power_off_when_idle();
	}
	return found;
}

static bool all_cores_idle(const struct plan *plan)
{
	const struct machine *machine = machine_facts();

	for (uint32_t i = 0; i < machine->ncpus; i++)
		if (i != plan->management_core &&
		    load_acquire(&cpu_record(i)->mailbox.state) != CORE_IDLE)
			return false;
	return true;
}

static void wait_for_cores(const struct plan *plan)
{
	uint64_t deadline = arch_ticks() + START_UP_SECONDS * arch_tick_rate();

	while (!all_cores_idle(plan)) {
		if (arch_ticks() > deadline)
			bh_panic("a core did not arrive within %u s", START_UP_SECONDS);
		arch_wait(deadline);
	}
	log_line("%u cores up, core %u manages", machine_facts()->ncpus, plan->management_core);
}

static void start_all(const struct plan *plan)
{
	for (uint32_t i = 0; i < plan->nvms; i++)
		vm_scrub_begin(vm_record(i));
	for (uint32_t i = 0; i < plan->nvms; i++)
		vm_scrub_end(vm_record(i));
	for (uint32_t i = 0; i < plan->nvms; i++)
		if (plan->vm[i].autostart != 0)
			vm_launch(vm_record(i));
}

#define FAULTS_PER_ROUND 8
#define FAULTS_LOOK_MS 100 /* IOMMUs do not wake anybody */

static bool take_faults(void)
{
	struct dma_fault fault;
	uint32_t count = 0;
	struct vm *vm;
	bool cut;

	for (; count < FAULTS_PER_ROUND && pci_fault(&fault, &vm, &cut); count++)
		vm_dma_fault(vm, &fault, cut);
	return count != 0;
}

/* When to look again though nobody calls; 0: never. The card's connection is looked at more often than IOMMUs have to be. */
static uint64_t next_look(void)
{
	uint64_t next = control_deadline();

	return next != 0 || machine_facts()->nfunctions == 0
		       ? next
		       : arch_ticks() + FAULTS_LOOK_MS * arch_tick_rate() / 1000;
}

void system_manager(struct cpu *cpu)
{
	const struct plan *plan = machine_plan();

	arch_cpu_init(cpu);
	wait_for_cores(plan);
	start_all(plan);
	for (;;) {
		bool worked = take_events();

		worked |= system_manager_service();
		worked |= prompt_poll();
		worked |= control_poll();
		worked |= take_faults();
		vm_take_functions();
		if (!worked)
			arch_wait(next_look());
	}
}
