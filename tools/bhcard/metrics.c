/* SPDX-License-Identifier: Apache-2.0 */
/* https://prometheus.io/docs/instrumenting/exposition_formats/ */
#include "card.h"

typedef unsigned long long ull;

static void family(struct evbuffer *out, const char *name, const char *type, const char *help)
{
	evbuffer_add_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static ull free_memory(const struct host *host)
{
	json_t *capacity = view_capacity(host);
	ull bytes = (ull)json_integer_value(json_object_get(capacity, "memory_free"));

	json_decref(capacity);
	return bytes;
}

static ull free_cores(const struct host *host)
{
	json_t *capacity = view_capacity(host);
	ull count = (ull)json_array_size(json_object_get(capacity, "cores_free"));

	json_decref(capacity);
	return count;
}

static ull is_up(const struct host *host)
{
	return host->is_synced;
}

static ull cores(const struct host *host)
{
	return host->facts.machine.ncpus;
}

static ull events(const struct host *host)
{
	return host->journal.last;
}

static ull lost_lines(const struct host *host)
{
	return host->log_dropped;
}

static void machine_families(const struct card *card, struct evbuffer *out)
{
	static const struct {
		const char *name;
		const char *type;
		const char *help;
		ull (*value)(const struct host *host);
	} families[] = {
		{"bhcard_machine_connected", "gauge", "1: the hypervisor is connected.", is_up},
		{"bhcard_machine_cores", "gauge", "Cores of the machine.", cores},
		{"bhcard_machine_cores_free", "gauge", "Cores nobody owns.", free_cores},
		{"bhcard_machine_memory_free_bytes", "gauge", "Memory nobody owns.", free_memory},
		{"bhcard_events_total", "counter", "Events since the daemon began.", events},
		{"bhcard_log_lines_dropped_total", "counter", "Log lines that were lost.",
		 lost_lines},
	};

	for (size_t f = 0; f < ARRAY_SIZE(families); f++) {
		family(out, families[f].name, families[f].type, families[f].help);
		for (uint32_t i = 0; i < card->nhosts; i++)
			evbuffer_add_printf(out, "%s{machine=\"%s\"} %llu\n", families[f].name,
					    card->host[i]->name, families[f].value(card->host[i]));
	}
}

static ull is_running(const struct vm *vm)
{
	return vm->host->is_synced && vm->is == IS_RUNNING;
}

static ull is_wanted(const struct vm *vm)
{
	return vm->want_running;
}

static ull vm_cores(const struct vm *vm)
{
	return vm_plan_of(vm) ? vm_plan_of(vm)->ncores : 0;
}

static ull vm_memory(const struct vm *vm)
{
	return vm_plan_of(vm) ? plan_vm_memory(vm_plan_of(vm)) : 0;
}

static ull restarts(const struct vm *vm)
{
	return vm->is_kept ? vm->kept_restarts : vm->count.restarts;
}

static ull dropped(const struct vm *vm)
{
	return vm->dropped;
}

static void vm_families(const struct card *card, struct evbuffer *out)
{
	static const struct {
		const char *name;
		const char *help;
		ull (*value)(const struct vm *vm);
	} families[] = {
		{"bhcard_vm_running", "1: it runs.", is_running},
		{"bhcard_vm_wanted", "1: it is to run.", is_wanted},
		{"bhcard_vm_cores", "Cores it owns.", vm_cores},
		{"bhcard_vm_memory_bytes", "Memory it owns.", vm_memory},
		{"bhcard_vm_restarts", "Restarts within the current window.", restarts},
		{"bhcard_vm_console_dropped_bytes", "Console output nobody took.", dropped},
	};

	for (size_t f = 0; f < ARRAY_SIZE(families); f++) {
		family(out, families[f].name, "gauge", families[f].help);
		for (uint32_t i = 0; i < card->nhosts; i++) {
			for (const struct vm *vm = card->host[i]->vms; vm; vm = vm->next)
				evbuffer_add_printf(out, "%s{machine=\"%s\",vm=\"%s\"} %llu\n",
						    families[f].name, card->host[i]->name, vm->name,
						    families[f].value(vm));
		}
	}
}

void write_metrics(const struct card *card, struct evbuffer *out)
{
	machine_families(card, out);
	vm_families(card, out);
}
