/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each step sends one request and goes on when its answer comes. What is
 * wanted is in state.json before the first one is sent.
 */
#include "op.h"

#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "delivery.h"
#include "device.h"
#include "text.h"

struct op {
	struct vm *vm; /* NULL: it went away */
	enum op_kind kind;
	bool has_grace; /* which begins now */
	op_done_fn *done;
	void *context;
	bool is_waiting; /* for an answer, which will come */
	void (*then)(struct op *op); /* the next step when it is good */
};

static const char *const words[] = {
#define OP_KIND_TEXT(name, text) [name] = text,
	OP_KINDS(OP_KIND_TEXT)
#undef OP_KIND_TEXT
};

const char *op_word(const struct vm *vm)
{
	return vm->op ? words[vm->op->kind] : NULL;
}

/* ---- The end ---- */

static void finish(struct op *op, const struct fail *fail)
{
	struct vm *vm = op->vm;
	op_done_fn *done = op->done;
	void *context = op->context;

	vm->op = NULL;
	if (fail)
		vm->last_error = *fail;
	else
		vm->last_error.status = 0;
	free(op);
	if (done)
		done(context, fail);
}

/* It cannot be: so it is not wanted any more, but for what a lost connection left undone. */
static void give_up(struct op *op, const struct fail *fail)
{
	struct vm *vm = op->vm;
	struct fail ignored;

	if (strcmp(fail->name, "BH_NOT_CONNECTED") != 0 && vm->is_ours) {
		vm->want_running = vm->want_running && vm->is == IS_RUNNING;
		vm->phase = vm->want_running ? PHASE_RUNNING : PHASE_IDLE;
		vm->leaving = LEAVING_NOT;
		host_save(vm->host, &ignored);
		host_event(vm->host, vm->name, "failed", fail->text);
	}
	finish(op, fail);
	vm_ask(vm);
}

static void succeed(struct op *op)
{
	struct vm *vm = op->vm;

	finish(op, NULL);
	if (vm->ask_again)
		vm_ask(vm);
	else
		vm_settle(vm);
}

void op_drop(struct vm *vm)
{
	const struct fail gone = {404, "BH_NO_SUCH_VM", "the VM went away"};
	struct op *op = vm->op;

	if (!op)
		return;
	vm->op = NULL;
	if (op->done)
		op->done(op->context, &gone);
	op->done = NULL;
	op->vm = NULL;
	if (!op->is_waiting)
		free(op);
}

/* ---- One step ---- */

static void fail_lost(struct fail *fail, const struct host *host)
{
	fail_with(fail, FAIL_OFFLINE,
		  "%s: the connection was lost; what is wanted is written down and done when it is "
		  "back",
		  host->name);
}

static void on_answer(void *context, const struct answer *answer)
{
	struct op *op = context;
	struct fail fail;

	op->is_waiting = false;
	if (!op->vm) {
		free(op);
	} else if (answer->lost) {
		fail_lost(&fail, op->vm->host);
		give_up(op, &fail);
	} else if (answer->error != BH_OK) {
		fail_with_error(&fail, answer->error, answer->detail);
		give_up(op, &fail);
	} else {
		op->then(op);
	}
}

static void request(struct op *op, enum message type, struct payload *m, void (*then)(struct op *))
{
	struct link *link = op->vm->host->link;
	struct fail fail;

	op->then = then;
	op->is_waiting = true;
	if (link && link_request(link, type, m, on_answer, op))
		return;
	op->is_waiting = false;
	fail_lost(&fail, op->vm->host);
	give_up(op, &fail);
}

/* A request about the VM that says nothing else. */
static void request_plain(struct op *op, enum message type, void (*then)(struct op *))
{
	struct payload m;

	payload_begin(&m);
	payload_string(&m, "vm", op->vm->name);
	request(op, type, &m, then);
}

/* ---- Start: clean up, create, deliver, start ---- */

static void start_prepare(struct op *op);

static void started(struct op *op)
{
	struct vm *vm = op->vm;
	struct fail fail;

	vm->is = IS_RUNNING;
	vm->phase = PHASE_RUNNING;
	vm->ending = ENDING_NONE;
	if (vm->is_ours)
		host_save(vm->host,
			  &fail); /* else it is started once more after a crash: harmless */
	succeed(op);
}

static void delivered(struct op *op)
{
	op->vm->is = IS_LOADED;
	request_plain(op, MESSAGE_START, started);
}

static void deliver(struct op *op, struct cargo *cargo)
{
	struct vm *vm = op->vm;
	struct link *link = vm->host->link;
	struct fail fail;

	op->then = delivered;
	op->is_waiting = true;
	vm->is = IS_LOADING;
	if (link && delivery_begin(link, vm->name, cargo, on_answer, op))
		return;
	op->is_waiting = false;
	fail_lost(&fail, vm->host);
	give_up(op, &fail);
}

static struct cargo *open_cargo(struct op *op)
{
	struct fail fail;
	struct cargo *cargo = cargo_open(&op->vm->host->store, op->vm->image, &fail);

	if (!cargo)
		give_up(op, &fail);
	return cargo;
}

/* The VM is there, and stopped: its boot image is made again, from the same plan. */
static void created(struct op *op)
{
	struct vm *vm = op->vm;
	struct host *host = vm->host;
	struct cargo *cargo = open_cargo(op);
	struct plan_vm before;
	struct fail fail;
	bool good;

	if (!cargo)
		return;
	before = host->plan.vm[vm->slot];
	good = cargo_make_boot(cargo, &host->plan, vm->slot, &host->facts.machine,
			       vm->spec.vm.bootargs, &fail);
	host->plan.vm[vm->slot] = before;
	if (good && cargo_fits(cargo, &before)) {
		deliver(op, cargo);
		return;
	}
	cargo_free(cargo);
	if (good)
		fail_with(&fail, 500, "BH_BAD_PLAN", "its images are not what its plan says");
	vm->planned[0] = '\0'; /* the next start plans anew */
	give_up(op, &fail);
}

/* What is in the ports comes and goes, and the VM stays the one that was created. */
static void plan_digest(const struct plan_vm *plan, char out[DIGEST_HEX])
{
	struct plan_vm created = *plan;

	devices_unplug_all(&created);
	digest_of(&created, sizeof(created), out);
}

/* Makes the plan of the VM in the plan that is in use. */
static bool make_plan(struct vm *vm, struct cargo *cargo, struct fail *fail)
{
	struct host *host = vm->host;
	struct bh_report report = {BH_OK, ""};
	struct manifest_vm want = vm->spec.vm;
	uint32_t count;
	const struct image_info *infos = cargo_infos(cargo, &count);
	enum bh_error error;

	text_copy(want.initrd, sizeof(want.initrd), count == 2 ? SPEC_INITRD : "");
	error = plan_add(&host->plan, &host->facts.machine, &want, infos, count, &vm->slot,
			 &report);
	if (error != BH_OK)
		return fail_with_error(fail, error, report.text);
	if (cargo_make_boot(cargo, &host->plan, vm->slot, &host->facts.machine, want.bootargs,
			    fail))
		return true;
	memset(&host->plan.vm[vm->slot], 0, sizeof(host->plan.vm[0]));
	return false;
}

static void refused_create(struct op *op, const struct fail *fail)
{
	struct vm *vm = op->vm;

	memset(&vm->host->plan.vm[vm->slot], 0, sizeof(vm->host->plan.vm[0]));
	vm->planned[0] = '\0';
	vm->is = IS_ABSENT;
	give_up(op, fail);
}

/* The hypervisor chose the slot: another one than planned where a create before this one was refused. */
static bool take_slot(struct vm *vm, const void *tree)
{
	struct plan *plan = &vm->host->plan;
	uint32_t slot = 0;

	if (!tree_u32(tree, 0, "slot", &slot) || slot >= CONFIG_MAX_VMS)
		return false;
	if (slot == vm->slot)
		return true;
	if (!plan_vm_vacant(&plan->vm[slot]))
		return false;
	plan->vm[slot] = plan->vm[vm->slot];
	memset(&plan->vm[vm->slot], 0, sizeof(plan->vm[0]));
	vm->slot = slot;
	return true;
}

static void on_create_answer(void *context, const struct answer *answer)
{
	struct op *op = context;
	struct fail fail;

	op->is_waiting = false;
	if (!op->vm || answer->lost) {
		on_answer(op, answer);
	} else if (answer->error != BH_OK) {
		fail_with_error(&fail, answer->error, answer->detail);
		refused_create(op, &fail);
	} else if (!take_slot(op->vm, answer->tree)) {
		/* The card's plan is not the hypervisor's: ask for everything anew. */
		link_close(op->vm->host->link, "it created a VM in a slot that is taken");
		fail_lost(&fail, op->vm->host);
		give_up(op, &fail);
	} else {
		op->then(op);
	}
}

/* The plan is written down by its digest, so that a daemon that was killed now knows its VM again. */
static void start_plan(struct op *op)
{
	struct vm *vm = op->vm;
	struct host *host = vm->host;
	struct cargo *cargo = open_cargo(op);
	struct payload m;
	struct fail fail;
	bool good;

	if (!cargo)
		return;
	good = make_plan(vm, cargo, &fail);
	cargo_free(cargo);
	if (!good) {
		give_up(op, &fail);
		return;
	}
	vm->is = IS_STOPPED;
	plan_digest(&host->plan.vm[vm->slot], vm->planned);
	if (!host_save(host, &fail)) {
		refused_create(op, &fail);
		return;
	}
	payload_begin(&m);
	payload_bytes(&m, "plan", &host->plan.vm[vm->slot], sizeof(host->plan.vm[0]));
	op->then = created;
	op->is_waiting = true;
	if (host->link && link_request(host->link, MESSAGE_CREATE, &m, on_create_answer, op))
		return;
	op->is_waiting = false;
	fail_lost(&fail, host);
	refused_create(op, &fail);
}

static void start_deleted(struct op *op)
{
	struct vm *vm = op->vm;

	memset(&vm->host->plan.vm[vm->slot], 0, sizeof(vm->host->plan.vm[0]));
	vm->is = IS_ABSENT;
	start_plan(op);
}

static void start_cleaned(struct op *op)
{
	op->vm->is = IS_STOPPED;
	start_prepare(op);
}

static void start_prepare(struct op *op)
{
	struct vm *vm = op->vm;
	char planned[DIGEST_HEX];
	struct fail fail;

	switch (vm->is) {
	case IS_ABSENT:
		start_plan(op);
		break;
	case IS_LOADING:
	case IS_LOADED:
		request_plain(op, vm->is_kept ? MESSAGE_START : MESSAGE_STOP,
			      vm->is_kept ? started : start_cleaned);
		break;
	case IS_STOPPED:
		plan_digest(&vm->host->plan.vm[vm->slot], planned);
		if (vm->is_kept)
			request_plain(op, MESSAGE_START, started);
		else if (strcmp(planned, vm->planned) == 0)
			created(op);
		else
			request_plain(op, MESSAGE_DELETE, start_deleted);
		break;
	case IS_RUNNING:
		started(op);
		break;
	default:
		fail_with(&fail, FAIL_STATE, "%s is %s", vm->name, vm_word(vm->is));
		give_up(op, &fail);
	}
}

/* ---- Stop, abort, reset ---- */

static void stopped(struct op *op)
{
	op->vm->is = IS_STOPPED;
	succeed(op);
}

static void reset_kept(struct op *op)
{
	op->vm->is = IS_RUNNING;
	succeed(op);
}

static void reset_stopped(struct op *op)
{
	op->vm->is = IS_STOPPED;
	start_prepare(op);
}

static void stop(struct op *op, void (*then)(struct op *op))
{
	request_plain(op, op->kind == OP_ABORT ? MESSAGE_ABORT : MESSAGE_STOP, then);
}

/* ---- Delete, clear ---- */

static void left(struct op *op)
{
	struct vm *vm = op->vm;
	struct host *host = vm->host;
	bool forget = vm->leaving != LEAVING_CLEAR;
	struct fail fail;

	if (vm->is != IS_ABSENT)
		memset(&host->plan.vm[vm->slot], 0, sizeof(host->plan.vm[0]));
	vm->is = IS_ABSENT;
	vm->leaving = LEAVING_NOT;
	host_event(host, vm->name, "deleted", NULL);
	finish(op, NULL);
	if (forget) {
		host_remove(vm);
	} else {
		json_t *bare = json_pack("{s:s, s:O*}", "name", vm->name, "hotplug_ports",
					 json_object_get(vm->json, "hotplug_ports"));

		memset(vm->image, 0, sizeof(vm->image));
		vm_configure(vm, bare, NULL, &fail);
		json_decref(bare);
	}
	host_save(host, &fail);
}

static void leave(struct op *op)
{
	struct vm *vm = op->vm;

	if (vm->is == IS_ABSENT)
		left(op);
	else
		request_plain(op, MESSAGE_DELETE, left);
}

static void leave_stopped(struct op *op)
{
	op->vm->is = IS_STOPPED;
	leave(op);
}

/* ---- Beginning ---- */

static void run(struct op *op)
{
	struct vm *vm = op->vm;

	switch (op->kind) {
	case OP_START:
		start_prepare(op);
		break;
	case OP_STOP:
	case OP_ABORT:
		/* It was about to be started again; or vm_settle() waits. */
		if (vm->is == IS_ABSENT || vm->is == IS_STOPPED ||
		    (op->has_grace && vm->grace_until != 0))
			succeed(op);
		else
			stop(op, stopped);
		break;
	case OP_RESET:
		if (vm->is_kept)
			request_plain(op, MESSAGE_RESET, reset_kept);
		else
			stop(op, reset_stopped);
		break;
	default:
		if (vm->is != IS_ABSENT && vm->is != IS_STOPPED)
			stop(op, leave_stopped);
		else
			leave(op);
	}
}

static bool wrong_state(const struct vm *vm, const char *done, struct fail *fail)
{
	return fail_with(fail, FAIL_STATE, "%s is %s; it cannot be %s now", vm->name,
			 vm_state_word(vm), done);
}

static bool check_start(const struct vm *vm, struct fail *fail)
{
	if (vm->is == IS_RUNNING || vm->want_running)
		return wrong_state(vm, "started", fail);
	if (vm->is_kept)
		return true;
	if (!vm->is_ours)
		return fail_with(fail, FAIL_STATE, "%s is not the card's VM: it has no images here",
				 vm->name);
	if (vm->spec.is_bare)
		return fail_with(fail, FAIL_STATE,
				 "%s is not configured: it has no cores and no memory", vm->name);
	return true;
}

static bool check_delete(const struct vm *vm, enum op_kind kind, struct fail *fail)
{
	if (vm->is_kept)
		return fail_with(fail, FAIL_STATE,
				 "%s is the boot manifest's; it cannot be deleted", vm->name);
	if (kind == OP_DELETE &&
	    (vm->want_running || (vm->is != IS_ABSENT && vm->is != IS_STOPPED)))
		return wrong_state(vm, "deleted", fail);
	return true;
}

/* May this be done now? */
static bool check(const struct vm *vm, enum op_kind kind, struct fail *fail)
{
	static const char *const done[] = {"started", "stopped", "aborted",
					   "reset",   "deleted", "deleted"};
	bool offline = !vm->host->is_synced;
	bool leaves = kind == OP_DELETE || kind == OP_CLEAR;

	if (vm->op || vm->leaving != LEAVING_NOT)
		return fail_with(fail, FAIL_BUSY, "%s: something else is being done with it",
				 vm->name);
	/* What was never created can be forgotten at any time. */
	if (offline && !(leaves && vm->is_ours && vm->planned[0] == '\0' && vm->is == IS_ABSENT))
		return fail_with(fail, FAIL_OFFLINE, "%s is not connected", vm->host->name);
	if (leaves)
		return check_delete(vm, kind, fail);
	if (kind == OP_START)
		return check_start(vm, fail);
	if (vm->is != IS_RUNNING && !(kind == OP_STOP && vm->want_running))
		return wrong_state(vm, done[kind], fail);
	return kind != OP_RESET || vm->is_kept || vm->is_ours ||
	       fail_with(fail, FAIL_STATE, "%s is not the card's VM: it has no images here",
			 vm->name);
}

static bool write_down(struct vm *vm, enum op_kind kind, uint32_t grace_ms, struct fail *fail)
{
	bool wants = kind == OP_START || kind == OP_RESET;
	bool waits = grace_ms != 0 && vm->is == IS_RUNNING;

	vm->count = (struct restart_count){0, 0};
	vm->ending = ENDING_NONE;
	if (!vm_set_grace(vm, waits ? now_ms() + grace_ms : 0, fail))
		return false;
	if (!vm->is_ours)
		return true;
	vm->want_running = wants;
	vm->phase = wants ? PHASE_STARTING : PHASE_IDLE;
	vm->boot_id = vm->host->facts.boot_id;
	if (kind == OP_DELETE || kind == OP_CLEAR)
		vm->leaving = kind == OP_CLEAR ? LEAVING_CLEAR : LEAVING_FORGET;
	if (host_save(vm->host, fail))
		return true;
	vm->want_running = vm->is == IS_RUNNING;
	vm->phase = vm->want_running ? PHASE_RUNNING : PHASE_IDLE;
	vm->leaving = LEAVING_NOT;
	vm->grace_until = 0;
	return false;
}

static void start_op(struct vm *vm, struct op op)
{
	struct op *o = malloc(sizeof(*o));
	struct fail fail;

	if (!o) {
		fail_with(&fail, FAIL_DISK, "out of memory");
		if (op.done)
			op.done(op.context, &fail);
		return;
	}
	*o = op;
	vm->op = o;
	evtimer_del(vm->timer);
	run(o);
}

void op_begin(struct vm *vm, enum op_kind kind, uint32_t grace_ms, op_done_fn *done, void *context)
{
	struct fail fail;

	if (!check(vm, kind, &fail) || !write_down(vm, kind, grace_ms, &fail)) {
		if (done)
			done(context, &fail);
		return;
	}
	start_op(vm, (struct op){.vm = vm,
				 .kind = kind,
				 .has_grace = grace_ms != 0,
				 .done = done,
				 .context = context});
}

void op_resume(struct vm *vm, enum op_kind kind)
{
	start_op(vm, (struct op){.vm = vm, .kind = kind});
}
