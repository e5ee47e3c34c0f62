/* SPDX-License-Identifier: Apache-2.0 */
/* Each VM's own socket: Cloud Hypervisor's API as far as it means the same (openapi-ch.yaml). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bulkhead/version.h>

#include "card.h"
#include "device.h"
#include "text.h"

#define POWER_BUTTON_MS 60000

struct ch {
	struct card *card;
	struct vm *vm;
	struct http *http;
};

typedef void ch_fn(struct ch *ch, struct call *call);

/* Cloud Hypervisor's own: a list of sentences. */
static json_t *refusal(const struct fail *fail)
{
	json_t *list = json_pack("[s]", fail->text);

	return list ? list : json_pack("[s]", fail->name);
}

/* The codes of its API: 404 before vm.create, 405 in the wrong state, 500 for what failed. */
static void ch_fail(struct call *call, const struct fail *fail)
{
	struct fail shown = *fail;

	if (strcmp(fail->name, "BH_WRONG_STATE") == 0 || strcmp(fail->name, "BH_BUSY") == 0)
		shown.status = 405;
	else if (fail->status != 404 && fail->status != 405 &&
		 !(fail->status == 400 && strcmp(fail->name, "BH_BAD_REQUEST") == 0))
		shown.status = 500;
	call_fail(call, &shown);
}

static void done(void *context, const struct fail *fail)
{
	if (fail)
		ch_fail(context, fail);
	else
		call_empty(context, 204);
}

/* ---- What is asked ---- */

static void ping(struct ch *ch, struct call *call)
{
	(void)ch;
	call_json(call, 200,
		  json_pack("{s:s, s:s, s:i, s:[]}", "build_version", BULKHEAD_VERSION, "version",
			    BULKHEAD_VERSION, "pid", (int)getpid(), "features"));
}

static const char *state_word(const struct vm *vm)
{
	switch (vm->is) {
	case IS_RUNNING:
	case IS_STOPPING:
	case IS_QUARANTINED:
		return "Running";
	default:
		return vm->planned[0] != '\0' || vm->is_kept ? "Shutdown" : "Created";
	}
}

/* What its client calls function @name of @vm, which is in a port. */
static const char *id_of(const struct vm *vm, const char *name)
{
	const char *id;
	json_t *function;

	json_object_foreach(vm->ch_ids, id, function)
	{
		if (strcmp(json_string_value(function), name) == 0)
			return id;
	}
	return name;
}

/* Beside the devices that @config names, those in ports. */
static json_t *with_plugged(json_t *config, const struct vm *vm)
{
	const struct plan_vm *plan = vm_plan_of(vm);
	json_t *devices = json_object_get(config, "devices");
	json_t *plugged = json_array();

	for (uint32_t i = plan ? plan->nfunctions - plan->nports : 0; plan && i < plan->nfunctions;
	     i++) {
		char path[64] = "/sys/bus/pci/devices/";
		char *name = path + strlen(path);

		if (plan->function[i].function == MACHINE_NONE)
			continue;
		device_name(vm->host->facts.machine.function[plan->function[i].function].id, name);
		json_array_append_new(plugged,
				      json_pack("{s:s, s:s}", "path", path, "id", id_of(vm, name)));
	}
	if (json_is_array(devices))
		json_array_extend(devices, plugged);
	else if (json_array_size(plugged) != 0)
		json_object_set(config, "devices", plugged);
	json_decref(plugged);
	return config;
}

static json_t *config_of(const struct vm *vm)
{
	const struct plan_vm *plan = vm_plan_of(vm);
	int cores = (int)(plan ? plan->ncores : vm->spec.vm.ncores);
	uint64_t memory = plan ? plan_vm_memory(plan) : vm->spec.vm.memory;

	if (vm->ch)
		return with_plugged(json_deep_copy(vm->ch), vm);
	return with_plugged(json_pack("{s:{s:i, s:i}, s:{s:I}, s:{s:s, s:s}}", "cpus", "boot_vcpus",
				      cores, "max_vcpus", cores, "memory", "size",
				      (json_int_t)memory, "payload", "kernel", vm->image[0].digest,
				      "cmdline", vm->spec.vm.bootargs),
			    vm);
}

static void info(struct ch *ch, struct call *call)
{
	const struct plan_vm *plan = vm_plan_of(ch->vm);
	uint64_t memory = plan ? plan_vm_memory(plan) : ch->vm->spec.vm.memory;

	call_json(call, 200,
		  json_pack("{s:o, s:s, s:I}", "config", config_of(ch->vm), "state",
			    state_word(ch->vm), "memory_actual_size", (json_int_t)memory));
}

struct counting {
	struct call *call;
	struct host *host;
	char vm[MANIFEST_NAME_MAX + 1];
};

static json_t *counters_of(const json_t *stats)
{
	json_t *counters = json_object();
	json_t *vcpu;
	size_t i;

	json_array_foreach(json_object_get(stats, "vcpus"), i, vcpu)
	{
		char name[32];

		snprintf(name, sizeof(name), "vcpu%zu", i);
		json_object_set(counters, name, json_object_get(vcpu, "exits"));
	}
	return counters;
}

static void counted(void *context, const struct answer *answer)
{
	struct counting *c = context;
	struct vm *vm = host_find(c->host, c->vm);
	json_t *stats = NULL;
	struct fail fail;

	if (answer->lost || answer->error != BH_OK)
		fail_with(&fail, 500, "BH_NOT_CONNECTED", "%s",
			  answer->detail ? answer->detail : bh_strerror(answer->error));
	else if (!vm || !(stats = view_stats(vm, answer->tree)))
		fail_with(&fail, 500, "BH_BAD_MESSAGE", "the answer to stats is malformed");
	if (stats)
		call_json(c->call, 200, counters_of(stats));
	else
		ch_fail(c->call, &fail);
	json_decref(stats);
	free(c);
}

static void counters(struct ch *ch, struct call *call)
{
	struct vm *vm = ch->vm;
	struct counting *c = NULL;
	struct payload m;
	struct fail fail;

	if (!vm->host->is_synced)
		fail_with(&fail, FAIL_OFFLINE, "%s is not connected", vm->host->name);
	else if (vm->is != IS_RUNNING)
		fail_with(&fail, FAIL_STATE, "%s does not run", vm->name);
	else if (!(c = calloc(1, sizeof(*c))))
		fail_with(&fail, FAIL_DISK, "out of memory");
	if (c) {
		c->call = call;
		c->host = vm->host;
		memcpy(c->vm, vm->name, sizeof(c->vm));
		payload_begin(&m);
		payload_string(&m, "vm", vm->name);
		if (link_request(vm->host->link, MESSAGE_STATS, &m, counted, c))
			return;
		free(c);
		fail_with(&fail, FAIL_OFFLINE, "%s has too many requests", vm->host->name);
	}
	ch_fail(call, &fail);
}

/* ---- What is done ---- */

/* Both images of @config, copied. */
static bool copy_images(struct ch *ch, const json_t *config, struct fail *fail)
{
	const json_t *payload = json_object_get(config, "payload");
	const char *kernel = json_string_value(json_object_get(payload, "kernel"));
	const char *initrd = json_string_value(json_object_get(payload, "initramfs"));
	const struct store *store = &ch->vm->host->store;
	uint64_t limit = ch->card->image_limit;

	return store_copy(store, kernel, limit, &ch->vm->image[0], fail) &&
	       (!initrd || store_copy(store, initrd, limit, &ch->vm->image[1], fail));
}

static bool create_from(struct ch *ch, const json_t *config, struct fail *fail)
{
	struct vm *vm = ch->vm;
	struct spec checked;
	json_t *spec;
	bool good;

	if (!vm->is_ours || !vm->spec.is_bare)
		return fail_with(fail, 500, "BH_DUPLICATE", "VM is already created");
	spec = ch_spec(vm->json, config, fail);
	if (!spec)
		return false;
	good = vm_may_change(vm, fail) && spec_read(spec, &checked, fail) &&
	       copy_images(ch, config, fail) && vm_configure(vm, spec, config, fail);
	if (!good && vm->spec.is_bare)
		memset(vm->image, 0, sizeof(vm->image));
	json_decref(spec);
	return good;
}

static void create(struct ch *ch, struct call *call)
{
	struct fail fail;
	json_t *config = call_body(call, NULL, &fail);

	if (config && create_from(ch, config, &fail))
		call_empty(call, 204);
	else
		ch_fail(call, &fail);
	json_decref(config);
}

static void boot(struct ch *ch, struct call *call)
{
	op_begin(ch->vm, OP_START, 0, done, call);
}

static void halt(struct ch *ch, struct call *call)
{
	op_begin(ch->vm, OP_STOP, 0, done, call);
}

static void reboot(struct ch *ch, struct call *call)
{
	op_begin(ch->vm, OP_RESET, 0, done, call);
}

static void power_button(struct ch *ch, struct call *call)
{
	op_begin(ch->vm, OP_STOP, POWER_BUTTON_MS, done, call);
}

static void delete (struct ch *ch, struct call *call)
{
	op_begin(ch->vm, OP_CLEAR, 0, done, call);
}

/* ---- Hot plug ---- */

struct adding {
	struct call *call;
	struct host *host;
	char vm[MANIFEST_NAME_MAX + 1];
	char device[MANIFEST_DEVICE_MAX + 1];
	json_t *id; /* as its client calls it; may be NULL */
};

/* The name is written down: it is all by which its client will know the function. */
static void keep_id(struct vm *vm, const json_t *id, const char *name)
{
	struct fail ignored;
	const char *old;
	json_t *function;
	void *next;

	if (!vm->ch_ids)
		vm->ch_ids = json_object();
	json_object_foreach_safe(vm->ch_ids, next, old, function)
	{
		if (!device_in_port(vm, json_string_value(function)) ||
		    strcmp(json_string_value(function), name) == 0)
			json_object_del(vm->ch_ids, old);
	}
	if (id)
		json_object_set_new(vm->ch_ids, json_string_value(id), json_string(name));
	host_save(vm->host, &ignored);
}

static void added(void *context, const struct fail *fail)
{
	struct adding *a = context;
	struct vm *vm = host_find(a->host, a->vm);
	const struct plan_function *f = vm && !fail ? device_in_port(vm, a->device) : NULL;
	char name[DEVICE_NAME], bdf[DEVICE_NAME];

	if (fail) {
		ch_fail(a->call, fail);
	} else if (!f) {
		call_empty(a->call, 204);
	} else {
		device_name(vm->host->facts.machine.function[f->function].id, name);
		device_name(f->id, bdf);
		keep_id(vm, a->id, name);
		call_json(a->call, 200, json_pack("{s:s, s:s}", "id", id_of(vm, name), "bdf", bdf));
	}
	json_decref(a->id);
	free(a);
}

/* The function in a port of @vm that its client calls @id, by the function's own name; @id itself where it gave it none. */
static const char *named_by(const struct vm *vm, const char *id)
{
	const char *function = json_string_value(json_object_get(vm->ch_ids, id));

	return function ? function : id;
}

static bool begin_adding(struct ch *ch, struct call *call, const json_t *body, struct fail *fail)
{
	json_t *name = ch_device(body, fail);
	const char *id = json_string_value(json_object_get(body, "id"));
	struct adding *a = NULL;
	bool good = false;

	if (!name)
		return false;
	if (id && device_in_port(ch->vm, named_by(ch->vm, id)))
		fail_with(fail, 500, "BH_DUPLICATE", "a device is called '%.63s' already", id);
	else if (!(a = calloc(1, sizeof(*a))))
		fail_with(fail, FAIL_DISK, "out of memory");
	if (a) {
		good = true;
		a->call = call;
		a->host = ch->vm->host;
		memcpy(a->vm, ch->vm->name, sizeof(a->vm));
		text_copy(a->device, sizeof(a->device), json_string_value(name));
		a->id = id ? json_string(id) : NULL;
		device_plug(ch->vm, json_string_value(name), added, a);
	}
	json_decref(name);
	return good;
}

static void add_device(struct ch *ch, struct call *call)
{
	struct fail fail;
	json_t *body = call_body(call, NULL, &fail);

	if (!body || !begin_adding(ch, call, body, &fail))
		ch_fail(call, &fail);
	json_decref(body);
}

/* As Cloud Hypervisor has it, the guest is asked, and the answer does not wait for it. */
static void remove_device(struct ch *ch, struct call *call)
{
	static const struct member known[] = {{"id", 's'}};
	struct fail fail;
	json_t *body = call_body(call, NULL, &fail);
	const char *id = json_string_value(json_object_get(body, "id"));
	bool good = body && members_valid(body, known, ARRAY_SIZE(known), "device", &fail);

	if (good && !id)
		good = fail_with(&fail, FAIL_REQUEST, "device: id: it is missing");
	if (good)
		device_unplug(ch->vm, named_by(ch->vm, id), false, done, call);
	else
		ch_fail(call, &fail);
	json_decref(body);
}

/* ---- Who answers what ---- */

static const struct endpoint {
	const char *name;
	enum evhttp_cmd_type method;
	bool needs_vm; /* 404 before vm.create */
	ch_fn *run; /* NULL: a partition cannot, because: */
	const char *reason;
} endpoints[] = {
	{"vmm.ping", EVHTTP_REQ_GET, false, ping, NULL},
	{"vmm.shutdown", EVHTTP_REQ_PUT, false, NULL,
	 "the daemon serves other VMs too; delete this one instead"},
	{"vm.info", EVHTTP_REQ_GET, true, info, NULL},
	{"vm.counters", EVHTTP_REQ_GET, true, counters, NULL},
	{"vm.create", EVHTTP_REQ_PUT, false, create, NULL},
	{"vm.delete", EVHTTP_REQ_PUT, true, delete, NULL},
	{"vm.boot", EVHTTP_REQ_PUT, true, boot, NULL},
	{"vm.shutdown", EVHTTP_REQ_PUT, true, halt, NULL},
	{"vm.reboot", EVHTTP_REQ_PUT, true, reboot, NULL},
	{"vm.power-button", EVHTTP_REQ_PUT, true, power_button, NULL},
	{"vm.pause", EVHTTP_REQ_PUT, false, NULL,
	 "a partition's cores are its own: nobody can take them for a while"},
	{"vm.resume", EVHTTP_REQ_PUT, false, NULL, "a partition is never paused"},
	{"vm.resize", EVHTTP_REQ_PUT, false, NULL,
	 "a partition has its cores and memory for as long as it exists"},
	{"vm.resize-zone", EVHTTP_REQ_PUT, false, NULL, "a partition's memory does not change"},
	{"vm.resize-disk", EVHTTP_REQ_PUT, false, NULL, "there are no emulated disks"},
	{"vm.add-device", EVHTTP_REQ_PUT, true, add_device, NULL},
	{"vm.add-user-device", EVHTTP_REQ_PUT, false, NULL, "there are no emulated devices"},
	{"vm.add-disk", EVHTTP_REQ_PUT, false, NULL, "there are no emulated devices"},
	{"vm.add-fs", EVHTTP_REQ_PUT, false, NULL, "there are no emulated devices"},
	{"vm.add-pmem", EVHTTP_REQ_PUT, false, NULL, "there are no emulated devices"},
	{"vm.add-net", EVHTTP_REQ_PUT, false, NULL, "there are no emulated devices"},
	{"vm.add-vsock", EVHTTP_REQ_PUT, false, NULL, "there are no emulated devices"},
	{"vm.add-vdpa", EVHTTP_REQ_PUT, false, NULL, "there are no emulated devices"},
	{"vm.remove-device", EVHTTP_REQ_PUT, true, remove_device, NULL},
	{"vm.snapshot", EVHTTP_REQ_PUT, false, NULL, "nobody can read a partition's memory"},
	{"vm.restore", EVHTTP_REQ_PUT, false, NULL, "nobody can write a partition's memory"},
	{"vm.coredump", EVHTTP_REQ_PUT, false, NULL, "nobody can read a partition's memory"},
	{"vm.receive-migration", EVHTTP_REQ_PUT, false, NULL,
	 "nobody can write a partition's memory"},
	{"vm.send-migration", EVHTTP_REQ_PUT, false, NULL, "nobody can read a partition's memory"},
	{"vm.nmi", EVHTTP_REQ_PUT, false, NULL, "nobody can interrupt a partition"},
};

static const struct endpoint *find_endpoint(const struct call *call)
{
	if (call->nparts != 3 || strcmp(call->part[0], "api") != 0 ||
	    strcmp(call->part[1], "v1") != 0)
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(endpoints); i++) {
		if (strcmp(endpoints[i].name, call->part[2]) == 0)
			return &endpoints[i];
	}
	return NULL;
}

static void answer(void *context, struct call *call)
{
	struct ch *ch = context;
	const struct endpoint *endpoint = find_endpoint(call);
	bool is_created = ch->vm->is != IS_ABSENT || !ch->vm->spec.is_bare;
	struct fail fail = {0};

	if (!endpoint)
		fail_with(&fail, FAIL_PATH, "there is no such path");
	else if (endpoint->method != call->method)
		fail_with(&fail, FAIL_REQUEST, "%s takes another method", endpoint->name);
	else if (!endpoint->run)
		fail_with(&fail, FAIL_METHOD, "%s: %s", endpoint->name, endpoint->reason);
	else if (endpoint->needs_vm && !is_created)
		fail_with(&fail, FAIL_NO_VM, "VM is not created");
	else
		endpoint->run(ch, call);
	if (fail.status != 0)
		ch_fail(call, &fail);
}

static const struct http_site site = {.answer = answer, .refusal = refusal};

void api_ch_path(const struct card *card, const struct vm *vm, char *out, size_t size)
{
	snprintf(out, size, "%s/%s/%s.sock", card->sockets, vm->host->name, vm->name);
}

/* ---- Sockets come and go with VMs ---- */

static void vm_added(void *context, struct vm *vm)
{
	struct card *card = context;
	struct ch *ch = calloc(1, sizeof(*ch));
	char path[512];
	struct fail fail = {.text = "out of memory"};

	snprintf(path, sizeof(path), "%s/%s", card->sockets, vm->host->name);
	if (mkdir(path, 0750) != 0 && errno != EEXIST)
		fprintf(stderr, "bhcard: %s: %s\n", path, strerror(errno));
	api_ch_path(card, vm, path, sizeof(path));
	if (ch) {
		*ch = (struct ch){card, vm, http_new(card->base, &site, ch)};
		vm->api = ch;
	}
	if (!ch || !ch->http || !http_listen_unix(ch->http, path, &fail))
		fprintf(stderr, "bhcard: %s: the VM has no socket: %s\n", path, fail.text);
}

static void vm_removed(void *context, struct vm *vm)
{
	struct ch *ch = vm->api;

	(void)context;
	vm->api = NULL;
	if (ch)
		http_free(ch->http);
	free(ch);
}

const struct host_hooks api_ch_hooks = {vm_added, vm_removed};
