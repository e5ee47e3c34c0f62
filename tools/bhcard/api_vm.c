/* SPDX-License-Identifier: Apache-2.0 */
/* VMs, as the API of all machines has them. */
#include <stdlib.h>
#include <string.h>

#include "card.h"
#include "device.h"
#include "text.h"

#define GRACE_MAX_MS 600000

void api_vms_get(struct card *card, struct call *call, struct host *host, struct vm *vm)
{
	json_t *list = json_array();

	for (vm = host->vms; vm; vm = vm->next)
		json_array_append_new(list, view_vm(card, vm));
	call_json(call, 200, list);
}

void api_vms_post(struct card *card, struct call *call, struct host *host, struct vm *vm)
{
	struct fail fail;
	json_t *body = call_body(call, NULL, &fail);

	vm = body ? host_add(host, body, &fail) : NULL;
	json_decref(body);
	if (vm)
		call_json(call, 201, view_vm(card, vm));
	else
		call_fail(call, &fail);
}

void api_vm_get(struct card *card, struct call *call, struct host *host, struct vm *vm)
{
	(void)host;
	call_json(call, 200, view_vm(card, vm));
}

/* ---- What takes a while ---- */

struct waiting {
	struct card *card;
	struct call *call;
	struct host *host;
	char vm[MANIFEST_NAME_MAX + 1];
	char device[MANIFEST_DEVICE_MAX + 1]; /* that is unplugged */
};

static struct waiting *wait_for(struct card *card, struct call *call, struct vm *vm)
{
	struct waiting *w = malloc(sizeof(*w));

	if (!w) {
		call_empty(call, 500);
		return NULL;
	}
	*w = (struct waiting){.card = card, .call = call, .host = vm->host};
	memcpy(w->vm, vm->name, sizeof(w->vm));
	return w;
}

static void done(void *context, const struct fail *fail)
{
	struct waiting *w = context;
	struct vm *vm = host_find(w->host, w->vm);

	if (fail)
		call_fail(w->call, fail);
	else if (vm)
		call_json(w->call, 200, view_vm(w->card, vm));
	else
		call_empty(w->call, 204);
	free(w);
}

static void deleted(void *context, const struct fail *fail)
{
	struct waiting *w = context;

	if (fail)
		call_fail(w->call, fail);
	else
		call_empty(w->call, 204);
	free(w);
}

static void begin(struct card *card, struct call *call, struct vm *vm, enum op_kind kind,
		  uint32_t grace_ms)
{
	struct waiting *w = wait_for(card, call, vm);

	if (w)
		op_begin(vm, kind, grace_ms, kind == OP_DELETE ? deleted : done, w);
}

void api_vm_delete(struct card *card, struct call *call, struct host *host, struct vm *vm)
{
	(void)host;
	begin(card, call, vm, OP_DELETE, 0);
}

void api_vm_start(struct card *card, struct call *call, struct host *host, struct vm *vm)
{
	(void)host;
	begin(card, call, vm, OP_START, 0);
}

void api_vm_abort(struct card *card, struct call *call, struct host *host, struct vm *vm)
{
	(void)host;
	begin(card, call, vm, OP_ABORT, 0);
}

void api_vm_reset(struct card *card, struct call *call, struct host *host, struct vm *vm)
{
	(void)host;
	begin(card, call, vm, OP_RESET, 0);
}

static bool read_grace(struct call *call, uint32_t *grace_ms, struct fail *fail)
{
	static const struct member known[] = {{"grace_ms", 'i'}};
	json_t *nothing = json_object();
	json_t *body = call_body(call, nothing, fail);
	json_int_t ms = json_integer_value(json_object_get(body, "grace_ms"));
	bool good = body && members_valid(body, known, ARRAY_SIZE(known), "stop", fail);

	if (good && (ms < 0 || ms > GRACE_MAX_MS))
		good = fail_with(fail, FAIL_REQUEST, "stop: grace_ms: 0 to %d are allowed",
				 GRACE_MAX_MS);
	*grace_ms = (uint32_t)ms;
	json_decref(body);
	json_decref(nothing);
	return good;
}

void api_vm_stop(struct card *card, struct call *call, struct host *host, struct vm *vm)
{
	uint32_t grace_ms = 0;
	struct fail fail;

	(void)host;
	if (read_grace(call, &grace_ms, &fail))
		begin(card, call, vm, OP_STOP, grace_ms);
	else
		call_fail(call, &fail);
}

/* ---- Hot plug ---- */

void api_device_post(struct card *card, struct call *call, struct host *host, struct vm *vm)
{
	static const struct member known[] = {{"function", 's'}};
	struct fail fail;
	json_t *body = call_body(call, NULL, &fail);
	const char *function = json_string_value(json_object_get(body, "function"));
	bool good = body && members_valid(body, known, ARRAY_SIZE(known), "device", &fail);
	struct waiting *w = NULL;

	(void)host;
	if (good && !function)
		good = fail_with(&fail, FAIL_REQUEST, "device: function: it is missing");
	if (!good)
		call_fail(call, &fail);
	else if ((w = wait_for(card, call, vm)))
		device_plug(vm, function, done, w);
	json_decref(body);
}

/* The guest may have been asked only. */
static void unplugged(void *context, const struct fail *fail)
{
	struct waiting *w = context;
	struct vm *vm = host_find(w->host, w->vm);

	if (fail)
		call_fail(w->call, fail);
	else if (vm && device_in_port(vm, w->device))
		call_json(w->call, 202, view_vm(w->card, vm));
	else
		call_empty(w->call, 204);
	free(w);
}

void api_device_delete(struct card *card, struct call *call, struct host *host, struct vm *vm)
{
	const char *force = call_query(call, "force");
	struct waiting *w = wait_for(card, call, vm);

	(void)host;
	if (!w)
		return;
	text_copy(w->device, sizeof(w->device), call->part[6]);
	device_unplug(vm, call->part[6], force && strcmp(force, "0") != 0, unplugged, w);
}

/* ---- Stats ---- */

static void got_stats(void *context, const struct answer *answer)
{
	struct waiting *w = context;
	struct vm *vm = host_find(w->host, w->vm);
	json_t *json = NULL;
	struct fail fail;

	if (answer->lost)
		fail_with(&fail, FAIL_OFFLINE, "%s: the connection was lost", w->host->name);
	else if (answer->error != BH_OK)
		fail_with_error(&fail, answer->error, answer->detail);
	else if (!vm || !(json = view_stats(vm, answer->tree)))
		fail_with(&fail, 500, "BH_BAD_MESSAGE", "the answer to stats is malformed");
	if (json)
		call_json(w->call, 200, json);
	else
		call_fail(w->call, &fail);
	free(w);
}

void api_vm_stats(struct card *card, struct call *call, struct host *host, struct vm *vm)
{
	struct payload m;
	struct fail fail = {0};
	struct waiting *w;

	if (!host->is_synced)
		fail_with(&fail, FAIL_OFFLINE, "%s is not connected", host->name);
	else if (vm->is == IS_ABSENT)
		fail_with(&fail, FAIL_STATE, "%s is %s; it has no counters yet", vm->name,
			  vm_state_word(vm));
	w = fail.status == 0 ? wait_for(card, call, vm) : NULL;
	if (fail.status == 0 && !w)
		return;
	payload_begin(&m);
	payload_string(&m, "vm", vm->name);
	if (w && link_request(host->link, MESSAGE_STATS, &m, got_stats, w))
		return;
	if (w)
		fail_with(&fail, FAIL_OFFLINE, "%s has too many requests on their way", host->name);
	free(w);
	call_fail(call, &fail);
}

/* ---- Console input ---- */

void api_console_post(struct card *card, struct call *call, struct host *host, struct vm *vm)
{
	struct evbuffer *in = evhttp_request_get_input_buffer(call->request);
	size_t size = evbuffer_get_length(in);
	struct fail fail = {0};
	struct payload m;

	(void)card;
	if (!host->is_synced)
		fail_with(&fail, FAIL_OFFLINE, "%s is not connected", host->name);
	else if (vm->is != IS_RUNNING)
		fail_with(&fail, FAIL_STATE, "%s is %s; nobody takes what is typed", vm->name,
			  vm_state_word(vm));
	else if (size > FRAME_DATA_MAX)
		fail_with(&fail, FAIL_BIG, "console: %zu bytes; at most %llu are allowed at once",
			  size, (unsigned long long)FRAME_DATA_MAX);
	if (fail.status == 0 && size != 0) {
		payload_begin(&m);
		payload_string(&m, "vm", vm->name);
		payload_bytes(&m, "data", evbuffer_pullup(in, -1), (uint32_t)size);
		if (!link_send(host->link, MESSAGE_CONSOLE, &m))
			fail_with(&fail, FAIL_OFFLINE, "%s takes nothing", host->name);
	}
	if (fail.status != 0)
		call_fail(call, &fail);
	else
		call_empty(call, 204);
}
