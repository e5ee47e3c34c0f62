/* SPDX-License-Identifier: Apache-2.0 */
#include "device.h"

#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include <bulkhead/planner.h>

/* ---- What a VM has ---- */

void device_name(uint32_t id, char out[DEVICE_NAME])
{
	snprintf(out, DEVICE_NAME, "%04x:%02x:%02x.%u", id >> 16, id >> 8 & 0xff, id >> 3 & 0x1f,
		 id & 7);
}

bool device_vf_name(const struct machine *machine, uint32_t index, char out[DEVICE_VF_NAME])
{
	uint32_t pf = machine->function[index].pf, before = 0;
	char name[DEVICE_NAME];

	if (pf == MACHINE_NONE)
		return false;
	for (uint32_t i = 0; i < index; i++)
		before += machine->function[i].pf == pf;
	device_name(machine->function[pf].id, name);
	snprintf(out, DEVICE_VF_NAME, "%s/vf%u", name, before);
	return true;
}

static bool is_named(const struct machine *machine, uint32_t index, const char *name)
{
	char own[DEVICE_NAME], as_vf[DEVICE_VF_NAME];

	device_name(machine->function[index].id, own);
	return strcmp(own, name) == 0 ||
	       (device_vf_name(machine, index, as_vf) && strcmp(as_vf, name) == 0);
}

static struct plan_function *ports_of(struct plan_vm *plan)
{
	return &plan->function[plan->nfunctions - plan->nports];
}

const struct plan_function *device_in_port(const struct vm *vm, const char *name)
{
	const struct plan_vm *plan = vm_plan_of(vm);

	for (uint32_t i = plan ? plan->nfunctions - plan->nports : 0; plan && i < plan->nfunctions;
	     i++) {
		if (plan->function[i].function != MACHINE_NONE &&
		    is_named(&vm->host->facts.machine, plan->function[i].function, name))
			return &plan->function[i];
	}
	return NULL;
}

bool devices_are_sane(const struct plan_vm *plan, const struct machine *machine)
{
	bool sane = plan->nfunctions <= PLAN_MAX_FUNCTIONS && plan->nports <= plan->nfunctions;

	for (uint32_t i = 0; sane && i < plan->nfunctions; i++)
		sane = plan->function[i].function < machine->nfunctions ||
		       (plan->function[i].function == MACHINE_NONE &&
			i >= plan->nfunctions - plan->nports);
	return sane;
}

static void empty(struct plan_function *port)
{
	*port = (struct plan_function){.function = MACHINE_NONE, .id = port->id};
}

void devices_unplug_all(struct plan_vm *plan)
{
	for (uint32_t i = 0; i < plan->nports; i++)
		empty(&ports_of(plan)[i]);
}

/* ---- Changes ---- */

/* Linux needs a second after it has switched a port off, and then what its machine lets it have. */
#define PORT_WAIT_MS 10000
#define PORT_POLL_US 250000

struct change {
	struct host *host;
	char vm[MANIFEST_NAME_MAX + 1];
	struct plan_function function; /* what is in the port when it is plugged */
	bool is_at_once; /* an unplug for which no guest is asked */
	char device[MANIFEST_DEVICE_MAX + 1]; /* that is plugged in */
	uint64_t until; /* as now_ms(): so long the guest may take for what was in the port */
	op_done_fn *done;
	void *context;
};

/* The port that @c is about, while it has what @function says; NULL: the VM has been created anew. */
static struct plan_function *port_with(const struct change *c, const struct vm *vm,
				       uint32_t function)
{
	struct plan_vm *plan = vm->is == IS_ABSENT ? NULL : &vm->host->plan.vm[vm->slot];

	for (uint32_t i = 0; plan && i < plan->nports; i++) {
		if (ports_of(plan)[i].id == c->function.id &&
		    ports_of(plan)[i].function == function)
			return &ports_of(plan)[i];
	}
	return NULL;
}

/* The VM may be gone. */
static void end(struct change *c, const struct answer *answer)
{
	struct vm *vm = host_find(c->host, c->vm);
	struct fail fail = {0};

	if (answer->lost)
		fail_with(
			&fail, FAIL_OFFLINE,
			"%s: the connection was lost; whether it was done is seen when it is back",
			c->host->name);
	else if (answer->error != BH_OK)
		fail_with_error(&fail, answer->error, answer->detail);
	if (vm) {
		vm->is_plugging = false;
		vm_ask(vm);
	}
	c->done(c->context, fail.status != 0 ? &fail : NULL);
	free(c);
}

static bool plug(struct vm *vm, const char *name, uint64_t until, op_done_fn *done, void *context,
		 struct fail *fail);

static void plug_again(evutil_socket_t none, short what, void *context)
{
	struct change *c = context;
	struct vm *vm = host_find(c->host, c->vm);
	struct fail fail;

	(void)none;
	(void)what;
	if (vm)
		vm->is_plugging = false;
	else
		fail_with(&fail, FAIL_STATE, "%s is not there any more", c->vm);
	if (!vm || !plug(vm, c->device, c->until, c->done, c->context, &fail))
		c->done(c->context, &fail);
	free(c);
}

/* The guest is not done with what was in the port. False when it has had its time. */
static bool wait_for_port(struct change *c)
{
	static const struct timeval pause = {0, PORT_POLL_US};

	return now_ms() < c->until &&
	       event_base_once(c->host->base, -1, EV_TIMEOUT, plug_again, c, &pause) == 0;
}

static void plugged(void *context, const struct answer *answer)
{
	struct change *c = context;

	if (!answer->lost && answer->error == BH_PORT_BUSY && wait_for_port(c))
		return;

	struct vm *vm = host_find(c->host, c->vm);
	bool good = !answer->lost && answer->error == BH_OK;
	struct plan_function *port = vm && good ? port_with(c, vm, MACHINE_NONE) : NULL;
	char name[DEVICE_NAME];

	if (port) {
		*port = c->function;
		device_name(c->host->facts.machine.function[port->function].id, name);
		host_event(c->host, vm->name, "plugged", name);
	}
	end(c, answer);
}

static void unplugged(void *context, const struct answer *answer)
{
	struct change *c = context;
	struct vm *vm = host_find(c->host, c->vm);
	bool good = !answer->lost && answer->error == BH_OK && c->is_at_once;
	struct plan_function *port = vm && good ? port_with(c, vm, c->function.function) : NULL;

	if (port)
		empty(port);
	end(c, answer);
}

static bool may_change(const struct vm *vm, struct fail *fail)
{
	if (!vm->host->is_synced)
		return fail_with(fail, FAIL_OFFLINE, "%s is not connected", vm->host->name);
	if (vm->op || vm->is_plugging)
		return fail_with(fail, FAIL_BUSY, "%s: something else is being done with it",
				 vm->name);
	if (vm->is == IS_ABSENT)
		return fail_with(fail, FAIL_STATE, "%s is %s; it has no ports until it is started",
				 vm->name, vm_state_word(vm));
	return true;
}

/* Sends @m, and calls @answered with a change for @function; false with @fail. */
static bool request(struct vm *vm, enum message type, struct payload *m, struct change change,
		    link_answer_fn *answered, struct fail *fail)
{
	struct change *c = malloc(sizeof(*c));

	if (!c)
		return fail_with(fail, FAIL_DISK, "out of memory");
	*c = change;
	c->host = vm->host;
	memcpy(c->vm, vm->name, sizeof(c->vm));
	vm->is_plugging = link_request(vm->host->link, type, m, answered, c);
	if (vm->is_plugging)
		return true;
	free(c);
	return fail_with(fail, FAIL_OFFLINE, "%s has too many requests on their way",
			 vm->host->name);
}

static bool plug(struct vm *vm, const char *name, uint64_t until, op_done_fn *done, void *context,
		 struct fail *fail)
{
	struct host *host = vm->host;
	struct change change = {.until = until, .done = done, .context = context};
	struct bh_report report = {BH_OK, ""};
	struct payload m;
	enum bh_error error;
	uint32_t id, vf;

	if (!manifest_function(name, &id, &vf))
		return fail_with(fail, 400, "BH_BAD_VALUE",
				 "/vms/%s: devices: '%.40s' is not a PCI function; the form "
				 "\"0000:01:00.0\", or with \"/vf0\" behind it, is allowed",
				 vm->name, name);
	if (!may_change(vm, fail))
		return false;
	error = plan_plug(&host->plan, &host->facts.machine, vm->slot, name, &change.function,
			  &report);
	if (error != BH_OK)
		return fail_with_error(fail, error, report.text);
	payload_begin(&m);
	payload_string(&m, "vm", vm->name);
	payload_bytes(&m, "plan", &change.function, sizeof(change.function));
	snprintf(change.device, sizeof(change.device), "%s", name);
	return request(vm, MESSAGE_PLUG, &m, change, plugged, fail);
}

void device_plug(struct vm *vm, const char *name, op_done_fn *done, void *context)
{
	struct fail fail;

	if (!plug(vm, name, now_ms() + PORT_WAIT_MS, done, context, &fail))
		done(context, &fail);
}

static bool unplug(struct vm *vm, const char *name, bool force, op_done_fn *done, void *context,
		   struct fail *fail)
{
	const struct plan_function *port;
	struct change change = {.done = done, .context = context};
	struct payload m;

	if (!may_change(vm, fail))
		return false;
	port = device_in_port(vm, name);
	if (!port)
		return fail_with(fail, 404, "BH_NO_DEVICE", "%s has no '%.63s' in a port", vm->name,
				 name);
	change.function = *port;
	change.is_at_once = force || vm->is != IS_RUNNING;
	payload_begin(&m);
	payload_string(&m, "vm", vm->name);
	payload_u32(&m, "function", port->function);
	if (force)
		payload_u32(&m, "force", 1);
	return request(vm, MESSAGE_UNPLUG, &m, change, unplugged, fail);
}

void device_unplug(struct vm *vm, const char *name, bool force, op_done_fn *done, void *context)
{
	struct fail fail;

	if (!unplug(vm, name, force, done, context, &fail))
		done(context, &fail);
}
