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
#include "op.h"

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

static json_t *config_of(const struct vm *vm)
{
	const struct plan_vm *plan = vm_plan_of(vm);
	int cores = (int)(plan ? plan->ncores : vm->spec.vm.ncores);
	uint64_t memory = plan ? plan_vm_memory(plan) : vm->spec.vm.memory;

	if (vm->ch)
		return json_incref(vm->ch);
	return json_pack("{s:{s:i, s:i}, s:{s:I}, s:{s:s, s:s}}", "cpus", "boot_vcpus", cores,
			 "max_vcpus", cores, "memory", "size", (json_int_t)memory, "payload",
			 "kernel", vm->image[0].sha256, "cmdline", vm->spec.vm.bootargs);
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
	spec = ch_spec(vm->name, config, fail);
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
	{"vm.add-device", EVHTTP_REQ_PUT, false, NULL, "devices are given when a VM is planned"},
	{"vm.add-user-device", EVHTTP_REQ_PUT, false, NULL, "there are no emulated devices"},
	{"vm.add-disk", EVHTTP_REQ_PUT, false, NULL, "there are no emulated devices"},
	{"vm.add-fs", EVHTTP_REQ_PUT, false, NULL, "there are no emulated devices"},
	{"vm.add-pmem", EVHTTP_REQ_PUT, false, NULL, "there are no emulated devices"},
	{"vm.add-net", EVHTTP_REQ_PUT, false, NULL, "there are no emulated devices"},
	{"vm.add-vsock", EVHTTP_REQ_PUT, false, NULL, "there are no emulated devices"},
	{"vm.add-vdpa", EVHTTP_REQ_PUT, false, NULL, "there are no emulated devices"},
	{"vm.remove-device", EVHTTP_REQ_PUT, false, NULL, "devices are given when a VM is planned"},
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
