/* SPDX-License-Identifier: Apache-2.0 */
/* Start, stop and abort, step for step as in docs/lifecycle.md. Runs in the system manager. */
#include "core.h"

#include <string.h>

#define ATTEMPT_SECONDS 1 /* how long a stop signal may take before a stronger one is tried */

static const char *name(const struct vm *vm)
{
	return vm_plan(vm)->name;
}

static void set_state(struct vm *vm, enum vm_state state)
{
	BH_CHECK(vm_state_allows((enum vm_state)vm->state, state));
	vm->state = state;
}

static struct mailbox *mailbox_of(const struct vm *vm, uint32_t vcpu)
{
	return &cpu_record(vm_plan(vm)->core[vcpu])->mailbox;
}

/* A stop rings no doorbells: its cores are kicked when the mappings have gone. */
static void command_cores(const struct vm *vm, enum core_command command)
{
	for (uint32_t i = 0; i < vm_plan(vm)->ncores; i++) {
		struct mailbox *box = mailbox_of(vm, i);

		BH_CHECK(load_acquire(&box->command) == COMMAND_NONE);
		box->vm = vm->index;
		store_release(&box->command, command);
		if (command != COMMAND_STOP)
			arch_doorbell(vm_plan(vm)->core[i]);
	}
}

#define BIT(state) (1U << (state))

static bool core_is(const struct mailbox *box, uint32_t states)
{
	return load_acquire(&box->command) == COMMAND_NONE &&
	       (BIT(load_acquire(&box->state)) & states) != 0;
}

static bool cores_are(const struct vm *vm, uint32_t states)
{
	for (uint32_t i = 0; i < vm_plan(vm)->ncores; i++)
		if (!core_is(mailbox_of(vm, i), states))
			return false;
	return true;
}

/* Waits until every core of @vm is in one of @states; false when @deadline (0: none) passed first. */
static bool wait_cores(const struct vm *vm, uint32_t states, uint64_t deadline)
{
	while (!cores_are(vm, states)) {
		if (deadline != 0 && arch_ticks() >= deadline)
			return false;
		if (!system_manager_service() && !cores_are(vm, states))
			arch_wait(deadline);
	}
	return true;
}

static void map_memory(const struct vm *vm, bool on)
{
	const struct plan_vm *plan = vm_plan(vm);

	for (uint32_t r = 0; r < plan->nregions; r++)
		if (on)
			own_map(plan->region[r].extent, PT_DATA);
		else
			own_unmap(plan->region[r].extent);
}

void vm_scrub_begin(struct vm *vm)
{
	set_state(vm, VM_SCRUBBING);
	map_memory(vm, true);
	command_cores(vm, COMMAND_SCRUB);
}

void vm_scrub_end(struct vm *vm)
{
	wait_cores(vm, BIT(CORE_IDLE), 0);
	map_memory(vm, false);
	set_state(vm, VM_STOPPED);
}

void vm_receive(const struct plan_vm *plan, uint32_t image, uint64_t offset, const void *bytes,
		uint64_t size)
{
	const uint8_t *from = bytes;

	for (uint64_t done = 0; done < size;) {
		uint64_t left = 0;
		gpa_t at = gpa(plan->image[image].to.v + offset + done);
		void *to = pa_to_ptr(plan_translate(plan, at, &left));
		uint64_t part = left < size - done ? left : size - done;

		BH_CHECK(part != 0);
		memcpy(to, from + done, part);
		arch_publish(to, part);
		done += part;
	}
}

/* Fresh seeds at every start: a guest that restarts must not see the same random numbers again. */
static void seed(const struct plan_vm *plan)
{
	const struct plan_image *boot = &plan->image[IMAGE_BOOT];
	uint64_t left = 0;
	uint8_t *at = pa_to_ptr(plan_translate(plan, boot->to, &left));

	if (plan->rng_seed_offset != 0)
		entropy_get(at + plan->rng_seed_offset, GUEST_RNG_SEED_BYTES);
	if (plan->kaslr_seed_offset != 0)
		entropy_get(at + plan->kaslr_seed_offset, sizeof(uint64_t));
	arch_publish(at, boot->size);
}

void vm_load_begin(struct vm *vm)
{
	log_line("%s: start 1/7: asked", name(vm));
	map_memory(vm, true);
	log_line("%s: start 2/7: memory mapped, %lu MiB", name(vm),
		 plan_vm_memory(vm_plan(vm)) / MIB);
	vm->images = 0;
	set_state(vm, VM_LOADING);
}

void vm_load_end(struct vm *vm)
{
	seed(vm_plan(vm));
	log_line("%s: start 3/7: images received", name(vm));
	map_memory(vm, false);
	log_line("%s: start 4/7: memory unmapped", name(vm));
	set_state(vm, VM_LOADED);
}

enum bh_error vm_load(struct vm *vm)
{
	const struct plan_vm *plan = vm_plan(vm);

	if (vm->state != VM_STOPPED || !plan_vm_kept(plan))
		return BH_WRONG_STATE;
	vm_load_begin(vm);
	for (uint32_t i = 0; i < PLAN_MAX_IMAGES; i++)
		vm_receive(plan, i, 0, pa_to_ptr(plan->image[i].from), plan->image[i].size);
	vm_load_end(vm);
	return BH_OK;
}

enum bh_error vm_launch(struct vm *vm)
{
	const struct plan_vm *plan = vm_plan(vm);
	enum bh_error error = vm->state == VM_LOADED ? BH_OK : vm_load(vm);

	if (error != BH_OK)
		return error;
	error = pci_open(vm);
	if (error != BH_OK) {
		log_line("%s: not started: %s", name(vm), bh_strerror(error));
		return error;
	}
	memset(vm->shared.vcpu, 0, sizeof(vm->shared.vcpu));
	memset(&vm->shared.arch, 0, sizeof(vm->shared.arch));
	vm->shared.vcpu[0] = (struct vcpu_shared){.power = VCPU_POWER_PENDING,
						  .entry = plan->entry.v,
						  .context = plan->image[IMAGE_BOOT].to.v};
	vm->started = arch_ticks();
	set_state(vm, VM_RUNNING);
	log_line("%s: start 5/7: start sent to %u core%s", name(vm), plan->ncores,
		 plan->ncores == 1 ? "" : "s");
	command_cores(vm, COMMAND_START);
	wait_cores(vm, BIT(CORE_RUNNING) | BIT(CORE_PARKED), 0); /* a guest may end at once */
	control_event(vm, VM_EVENT_STARTED, "asked", NULL);
	return BH_OK;
}

/* Every core out of the guest, by ever stronger signals. */
static bool park_cores(const struct vm *vm)
{
	const struct plan_vm *plan = vm_plan(vm);

	for (uint32_t attempt = 0;; attempt++) {
		bool kicked = false;

		for (uint32_t i = 0; i < plan->ncores; i++)
			if (!core_is(mailbox_of(vm, i), BIT(CORE_PARKED)))
				kicked |= arch_stop_kick(plan->core[i], attempt);
		if (wait_cores(vm, BIT(CORE_PARKED),
			       arch_ticks() + ATTEMPT_SECONDS * arch_tick_rate()))
			return true;
		if (!kicked)
			return false;
	}
}

/* A core that has not answered is never called free: it keeps its VM's memory with it. */
static enum bh_error quarantine(struct vm *vm)
{
	const struct plan_vm *plan = vm_plan(vm);

	for (uint32_t i = 0; i < plan->ncores; i++) {
		struct mailbox *box = mailbox_of(vm, i);

		if (load_acquire(&box->state) == CORE_PARKED)
			continue;
		store_release(&box->state, CORE_LOST);
		log_line("%s: core %u did not leave its guest: quarantined until reset", name(vm),
			 plan->core[i]);
	}
	set_state(vm, VM_QUARANTINED);
	control_event(vm, VM_EVENT_QUARANTINED, bh_strerror(BH_CORE_LOST), NULL);
	return BH_CORE_LOST;
}

/* As the ring of events is short, the card hears of the first ones and of the end. */
#define FAULTS_TOLD 4

void vm_dma_fault(struct vm *vm, const struct dma_fault *fault, bool cut)
{
	static uint32_t foreign; /* faults of functions that no VM has */
	uint32_t count = vm != NULL ? vm->dma_faults : ++foreign;
	struct vcpu_fault told = {"DMA refused", fault->stream, fault->address, 0};

	if (count > FAULTS_TOLD && !cut)
		return;
	if (cut)
		told.what = "too many DMAs refused: function cut off";
	log_line("%s: stream 0x%x, %s at 0x%lx: %s", vm != NULL ? name(vm) : "no VM", fault->stream,
		 fault->write ? "write" : "read", fault->address, told.what);
	if (vm != NULL)
		control_event(vm, VM_EVENT_DMA_FAULT, told.what, &told);
}

/* Events of several cores of one VM are one event: the first one decides, the stop ends them all. */
static void forget_events(const struct vm *vm)
{
	for (uint32_t i = 0; i < vm_plan(vm)->ncores; i++)
		store_release(&mailbox_of(vm, i)->event, EVENT_NONE);
}

static enum bh_error stop(struct vm *vm, const char *why)
{
	if (!vm_state_allows((enum vm_state)vm->state, VM_STOPPING))
		return BH_WRONG_STATE;

	log_line("%s: stop 1/5: %s", name(vm), why);
	set_state(vm, VM_STOPPING);
	command_cores(vm, COMMAND_STOP);
	arch_vm_remove(vm);
	log_line("%s: stop 2/5: stop sent, %s", name(vm), arch_stop_method());
	bool parked = park_cores(vm);

	pci_close(vm);
	if (!parked)
		return quarantine(vm);
	arch_vm_quiesce(vm);
	console_reset(vm);
	log_line("%s: stop 3/5: cores parked, interrupts cut off; scrubbing", name(vm));
	vm_scrub_begin(vm);
	vm_scrub_end(vm);
	forget_events(vm);
	log_line("%s: stop 4/5: memory zero, mappings removed", name(vm));
	log_line("%s: stop 5/5: cores idle", name(vm));
	return BH_OK;
}

enum bh_error vm_stop(struct vm *vm, const char *why)
{
	enum bh_error error = stop(vm, why);

	if (error == BH_OK)
		control_event(vm, VM_EVENT_STOPPED, why, NULL);
	return error;
}

enum bh_error vm_end(struct vm *vm, const char *why)
{
	if (vm->state == VM_LOADING)
		map_memory(vm, false);
	else if (vm->state != VM_LOADED)
		return vm_stop(vm, why);
	vm_scrub_begin(vm);
	vm_scrub_end(vm);
	return BH_OK;
}

/* True when @vm may restart now; counts it. */
static bool restart_allowed(struct vm *vm)
{
	const struct plan_vm *plan = vm_plan(vm);
	uint64_t window = plan->restart_window * arch_tick_rate();

	if (vm->restarts == 0 || arch_ticks() - vm->restart_first > window) {
		vm->restart_first = arch_ticks();
		vm->restarts = 0;
	}
	return vm->restarts++ < plan->restart_limit;
}

static void restart(struct vm *vm)
{
	const struct plan_vm *plan = vm_plan(vm);

	if (!restart_allowed(vm)) {
		log_line("%s: %s: limit %u in %u s", name(vm), bh_strerror(BH_CRASH_LOOP),
			 plan->restart_limit, plan->restart_window);
		control_event(vm, VM_EVENT_CRASH_LOOP, bh_strerror(BH_CRASH_LOOP), NULL);
		return;
	}
	log_line("%s: restart %u of %u in %u s", name(vm), vm->restarts, plan->restart_limit,
		 plan->restart_window);
	vm_launch(vm);
}

/* What a core's event is called, for the log and for the card. */
static const struct {
	const char *why;
	enum vm_event_kind kind;
} endings[] = {
	[EVENT_OFF] = {"the guest switched itself off", VM_EVENT_OFF},
	[EVENT_RESET] = {"the guest asked for a reset", VM_EVENT_RESET},
	[EVENT_ABORT] = {"aborted", VM_EVENT_ABORTED},
};

void vm_event(struct vm *vm, struct mailbox *from)
{
	enum core_event event = (enum core_event)load_acquire(&from->event);
	struct vcpu_fault fault = from->fault;
	bool aborted = event == EVENT_ABORT;

	store_release(&from->event, EVENT_NONE);
	if (aborted)
		log_line("%s: abort 1/6: %s, address 0x%lx, pc 0x%lx, syndrome 0x%lx", name(vm),
			 fault.what, fault.address, fault.pc, fault.syndrome);
	if (stop(vm, endings[event].why) != BH_OK)
		return;
	control_event(vm, endings[event].kind, aborted ? fault.what : endings[event].why,
		      aborted ? &fault : NULL);
	if (event == EVENT_RESET && plan_vm_kept(vm_plan(vm)))
		restart(vm);
	if (aborted)
		log_line("%s: abort 6/6: ended, reported to the manager", name(vm));
}
