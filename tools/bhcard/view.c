/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "card.h"
#include "device.h"

json_t *view_fail(const struct fail *fail)
{
	json_t *json = json_pack("{s:s, s:s}", "error", fail->name, "message", fail->text);

	/* A sentence that quotes what is no UTF-8. */
	return json ? json : json_pack("{s:s, s:s}", "error", fail->name, "message", "malformed");
}

json_t *view_image(const struct stored_image *image)
{
	if (image->size == 0)
		return json_null();
	return json_pack("{s:I, s:s}", "size", (json_int_t)image->size, "blake2b", image->digest);
}

static json_t *hex_id(uint64_t id)
{
	char text[17];

	snprintf(text, sizeof(text), "%016llx", (unsigned long long)id);
	return json_string(text);
}

static uint64_t memory_of(const struct machine *machine)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < machine->nmemory; i++)
		bytes += machine->memory[i].extent.size;
	return bytes;
}

static void add_facts(json_t *json, const struct host *host)
{
	const struct facts *f = &host->facts;
	uint64_t uptime = f->time_us + (now_seconds() - host->hello_at) * 1000000;

	json_object_set_new(json, "model", json_string(f->machine.name));
	json_object_set_new(json, "arch",
			    json_string(f->machine.arch == MACHINE_X86 ? "x86_64" : "arm64"));
	json_object_set_new(json, "cores", json_integer(f->machine.ncpus));
	json_object_set_new(json, "memory", json_integer((json_int_t)memory_of(&f->machine)));
	json_object_set_new(json, "management_core", json_integer(f->management_core));
	json_object_set_new(json, "build_id", hex_id(f->build_id));
	json_object_set_new(json, "boot_id", hex_id(f->boot_id));
	json_object_set_new(json, "uptime_us", json_integer((json_int_t)uptime));
}

json_t *view_machine(const struct host *host)
{
	int count = 0;
	json_t *json;

	for (const struct vm *vm = host->vms; vm; vm = vm->next)
		count++;
	json = json_pack("{s:s, s:b, s:i, s:s?}", "name", host->name, "connected", host->is_synced,
			 "vms", count, "refused", host->refused[0] ? host->refused : NULL);
	if (host->is_known)
		add_facts(json, host);
	else
		json_object_set_new(json, "model", json_null());
	return json;
}

/* ---- A VM ---- */

/* @port: -1 for a function that is in none. */
static json_t *device(const struct machine *machine, const struct plan_function *f, int64_t port)
{
	char name[DEVICE_NAME], guest[DEVICE_NAME], vf[DEVICE_VF_NAME];
	bool is_vf = device_vf_name(machine, f->function, vf);

	device_name(machine->function[f->function].id, name);
	device_name(f->id, guest);
	return json_pack("{s:s, s:s?, s:s, s:o}", "function", name, "vf", is_vf ? vf : NULL,
			 "guest", guest, "port", port < 0 ? json_null() : json_integer(port));
}

static json_t *devices_of(const struct vm *vm, const struct plan_vm *plan)
{
	json_t *devices = json_array();

	for (uint32_t i = 0; plan && i < plan->nfunctions; i++) {
		int64_t port = (int64_t)i + plan->nports - plan->nfunctions;

		if (plan->function[i].function != MACHINE_NONE)
			json_array_append_new(devices, device(&vm->host->facts.machine,
							      &plan->function[i], port));
	}
	return devices;
}

static void add_plan(json_t *json, const struct vm *vm)
{
	const struct plan_vm *plan = vm_plan_of(vm);
	json_t *cores = json_array();
	json_t *regions = json_array();

	for (uint32_t i = 0; plan && i < plan->ncores; i++)
		json_array_append_new(cores, json_integer(plan->core[i]));
	for (uint32_t i = 0; plan && i < plan->nregions; i++) {
		const struct plan_region *r = &plan->region[i];

		json_array_append_new(regions, json_pack("{s:I, s:I, s:I}", "base",
							 (json_int_t)r->extent.base.v, "guest",
							 (json_int_t)r->gpa.v, "size",
							 (json_int_t)r->extent.size));
	}
	json_object_set_new(json, "cores", cores);
	json_object_set_new(json, "regions", regions);
	json_object_set_new(json, "devices", devices_of(vm, plan));
	json_object_set_new(json, "hotplug_ports", json_integer(plan ? plan->nports : 0));
	json_object_set_new(json, "virtual_interrupts",
			    json_boolean(plan && plan->virtual_interrupts != 0));
	json_object_set_new(json, "memory",
			    json_integer(plan ? (json_int_t)plan_vm_memory(plan) : 0));
}

static const char *wanted_word(const struct vm *vm)
{
	if (!vm->is_ours)
		return NULL;
	return vm->want_running ? "running" : "stopped";
}

json_t *view_vm(const struct card *card, const struct vm *vm)
{
	char socket[512];
	const char *busy = op_word(vm);
	uint32_t restarts = vm->is_kept ? vm->kept_restarts : vm->count.restarts;
	json_t *json;

	api_ch_path(card, vm, socket, sizeof(socket));
	if (busy && strcmp(busy, "clear") == 0)
		busy = "delete";
	json = json_pack("{s:s, s:s, s:s?, s:s?, s:b, s:O?, s:{s:o, s:o}, s:I, s:I, s:s, s:o}",
			 "name", vm->name, "state", vm_state_word(vm), "wanted", wanted_word(vm),
			 "busy", busy, "kept", vm->is_kept, "spec", vm->json, "images", "kernel",
			 view_image(&vm->image[0]), "initrd", view_image(&vm->image[1]), "restarts",
			 (json_int_t)restarts, "console_dropped", (json_int_t)vm->dropped,
			 "api_socket", socket, "last_error",
			 vm->last_error.status ? view_fail(&vm->last_error) : json_null());
	if (json)
		add_plan(json, vm);
	return json;
}

/* ---- Stats ---- */

/* The strings of a property, in order; NULL when it is not whole strings. */
static json_t *strings(const char *data, uint32_t size)
{
	json_t *list = json_array();

	if (size == 0 || data[size - 1] != '\0') {
		json_decref(list);
		return NULL;
	}
	for (const char *at = data; at < data + size; at += strlen(at) + 1)
		json_array_append_new(list, json_string(at));
	return list;
}

static json_t *vcpu(const struct plan_vm *plan, uint32_t index, const json_t *reasons,
		    const uint8_t *counters)
{
	json_t *exits = json_object();
	json_t *reason;
	size_t i;

	json_array_foreach((json_t *)reasons, i, reason)
	{
		if (json_is_string(reason))
			json_object_set_new(
				exits, json_string_value(reason),
				json_integer((json_int_t)tree_cell64(counters + i * 8)));
	}
	return json_pack("{s:i, s:o}", "core", (int)plan->core[index], "exits", exits);
}

json_t *view_stats(const struct vm *vm, const void *tree)
{
	const struct plan_vm *plan = vm_plan_of(vm);
	uint32_t size = 0;
	uint32_t exits_size = 0;
	const char *names = tree_bytes(tree, 0, "reasons", &size);
	const uint8_t *exits = tree_bytes(tree, 0, "exits", &exits_size);
	json_t *reasons = names ? strings(names, size) : NULL;
	size_t row = json_array_size(reasons) * 8;
	json_t *vcpus;

	if (!reasons || !exits || !plan || exits_size != row * plan->ncores) {
		json_decref(reasons);
		return NULL;
	}
	vcpus = json_array();
	for (uint32_t i = 0; i < plan->ncores; i++)
		json_array_append_new(vcpus, vcpu(plan, i, reasons, exits + i * row));
	return json_pack("{s:o, s:o}", "reasons", reasons, "vcpus", vcpus);
}
