/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is wanted (state.json) against what is (the hypervisor's word), for one
 * VM at rest. The one place that decides to do something nobody asked for just now.
 */
#include <string.h>

#include <event2/event.h>

#include "op.h"

#define POLL_MS 250
#define UNSEEN_MS 2000 /* so long an event may come late that says how a VM ended */

static void look_again(struct vm *vm, int ms)
{
	const struct timeval pause = {ms / 1000, ms % 1000 * 1000L};

	evtimer_add(vm->timer, &pause);
}

static void write_down(struct vm *vm, bool want_running, enum vm_phase phase)
{
	struct fail ignored; /* what cannot be written now is decided again after a restart */

	if (vm->want_running == want_running && vm->phase == phase &&
	    vm->boot_id == vm->host->facts.boot_id)
		return;
	vm->want_running = want_running;
	vm->phase = phase;
	vm->boot_id = vm->host->facts.boot_id;
	host_save(vm->host, &ignored);
}

static void start_again(struct vm *vm, const char *why)
{
	host_event(vm->host, vm->name, "restarting", why);
	write_down(vm, true, PHASE_STARTING);
	op_resume(vm, OP_START);
}

/* It ran, was to run on, and has ended. */
static void apply_policy(struct vm *vm)
{
	static const char *const reasons[] = {
		"", "off", "reset", "aborted", "it ended while the card was away", "stopped"};
	enum ending ending = vm->ending;

	vm->ending = ENDING_NONE;
	switch (restart_decide(&vm->spec.restart, &vm->count, ending, now_seconds())) {
	case VERDICT_RESTART:
		start_again(vm, reasons[ending]);
		break;
	case VERDICT_CRASH_LOOP:
		write_down(vm, false, PHASE_IDLE);
		fail_with_error(&vm->last_error, BH_CRASH_LOOP, NULL);
		host_event(vm->host, vm->name, "crash-loop", vm->last_error.text);
		break;
	case VERDICT_STAY:
		write_down(vm, false, PHASE_IDLE);
		break;
	}
}

/* Wanted running, and it is not. */
static void settle_down(struct vm *vm)
{
	if (vm->phase == PHASE_STARTING) {
		op_resume(vm, OP_START);
	} else if (vm->boot_id != vm->host->facts.boot_id) {
		start_again(vm, "the machine was started anew");
	} else if (vm->ending != ENDING_NONE) {
		apply_policy(vm);
	} else { /* its event may still come, and then says more */
		vm->ending = ENDING_UNSEEN;
		look_again(vm, UNSEEN_MS);
	}
}

static void settle_running(struct vm *vm)
{
	vm->ending = ENDING_NONE;
	if (vm->want_running)
		write_down(vm, true, PHASE_RUNNING);
	else
		op_resume(vm, OP_STOP);
}

static void settle_at_rest(struct vm *vm)
{
	bool anew = vm->boot_id != vm->host->facts.boot_id;

	if (vm->want_running)
		settle_down(vm);
	else if (vm->is == IS_LOADING || vm->is == IS_LOADED)
		op_resume(vm, OP_STOP);
	else if (anew && vm->spec.autostart && !vm->spec.is_bare)
		start_again(vm, "the machine was started anew");
	else
		write_down(vm, false, PHASE_IDLE);
}

bool vm_set_grace(struct vm *vm, uint64_t until, struct fail *fail)
{
	if (vm->grace_until == until)
		return true;
	vm->grace_until = until;
	if (vm->is_ours)
		return true;
	vm->boot_id = vm->host->facts.boot_id;
	if (host_save(vm->host, fail))
		return true;
	vm->grace_until = 0;
	return false;
}

static void settle_grace(struct vm *vm)
{
	uint64_t now = now_ms();

	if (now < vm->grace_until) {
		look_again(vm, (int)(vm->grace_until - now));
		return;
	}
	host_event(vm->host, vm->name, "stopping",
		   "it did not end by itself within its grace period");
	op_resume(vm, OP_STOP);
}

void vm_settle(struct vm *vm)
{
	struct fail ignored;

	evtimer_del(vm->timer);
	if (vm->op || !vm->host->is_synced)
		return;
	if (vm->is == IS_NEW || vm->is == IS_SCRUBBING || vm->is == IS_STOPPING) {
		look_again(vm, POLL_MS);
		return;
	}
	if (vm->is != IS_RUNNING || vm->boot_id != vm->host->facts.boot_id)
		vm_set_grace(vm, 0, &ignored);
	if (vm->grace_until != 0)
		settle_grace(vm);
	else if (!vm->is_ours || vm->is_kept)
		return;
	else if (vm->leaving != LEAVING_NOT)
		op_resume(vm, vm->leaving == LEAVING_CLEAR ? OP_CLEAR : OP_DELETE);
	else if (vm->is == IS_RUNNING)
		settle_running(vm);
	else if (vm->is != IS_QUARANTINED)
		settle_at_rest(vm);
	else
		write_down(vm, false, PHASE_IDLE);
}

void vm_heard(struct vm *vm, const char *kind)
{
	struct fail ignored;

	if (strcmp(kind, "off") == 0)
		vm->ending = ENDING_OFF;
	else if (strcmp(kind, "reset") == 0)
		vm->ending = ENDING_RESET;
	else if (strcmp(kind, "aborted") == 0)
		vm->ending = ENDING_ABORTED;
	else if (strcmp(kind, "stopped") == 0)
		vm->ending = ENDING_STOPPED;
	if (!vm->is_ours && vm->ending != ENDING_NONE) /* the hypervisor may start it again */
		vm_set_grace(vm, 0, &ignored);
	vm_ask(vm);
}
