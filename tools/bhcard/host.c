/* SPDX-License-Identifier: Apache-2.0 */
#include "host.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <event2/event.h>

#include "op.h"
#include "text.h"

static const char *const words[VM_IS_COUNT] = {
#define VM_WORD_TEXT(name, text) [name] = text,
	VM_WORDS(VM_WORD_TEXT)
#undef VM_WORD_TEXT
};

const char *vm_word(enum vm_is is)
{
	return words[is];
}

const char *vm_state_word(const struct vm *vm)
{
	if (vm->is_ours && vm->spec.is_bare && vm->is == IS_ABSENT)
		return "unconfigured";
	if (!vm->host->is_synced)
		return vm->planned[0] != '\0' || !vm->is_ours ? "unknown" : "defined";
	return vm->is == IS_ABSENT ? "defined" : words[vm->is];
}

uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t now_seconds(void)
{
	return now_ms() / 1000;
}

void host_event(struct host *host, const char *vm, const char *kind, const char *why)
{
	json_t *event = json_pack("{s:s, s:s, s:s?, s:s?}", "event", kind, "machine", host->name,
				  "vm", vm, "why", why);

	if (event)
		journal_add(&host->journal, event);
}

/* ---- VMs ---- */

struct vm *host_find(struct host *host, const char *name)
{
	struct vm *vm = host->vms;

	while (vm && strcmp(vm->name, name) != 0)
		vm = vm->next;
	return vm;
}

const struct plan_vm *vm_plan_of(const struct vm *vm)
{
	return vm->is == IS_ABSENT ? NULL : &vm->host->plan.vm[vm->slot];
}

static void on_timer(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	vm_ask(context);
}

struct vm *host_new_vm(struct host *host, const char *name)
{
	struct vm *vm = calloc(1, sizeof(*vm));
	struct vm **last = &host->vms;

	if (!vm)
		return NULL;
	vm->host = host;
	text_copy(vm->name, sizeof(vm->name), name);
	vm->spec.is_bare = true;
	vm->timer = evtimer_new(host->base, on_timer, vm);
	vm->console = store_console(&host->store, name);
	if (!vm->timer || !vm->console) {
		if (vm->timer)
			event_free(vm->timer);
		spool_close(vm->console);
		free(vm);
		return NULL;
	}
	while (*last)
		last = &(*last)->next;
	*last = vm;
	if (host->hooks)
		host->hooks->vm_added(host->hooks_context, vm);
	return vm;
}

static void free_vm(struct vm *vm)
{
	op_drop(vm); /* who waits is answered while its socket is still there */
	feed_end(&vm->output);
	if (vm->host->hooks)
		vm->host->hooks->vm_removed(vm->host->hooks_context, vm);
	event_free(vm->timer);
	spool_close(vm->console);
	json_decref(vm->json);
	json_decref(vm->ch);
	json_decref(vm->ch_ids);
	free(vm);
}

struct vm *host_add(struct host *host, const json_t *json, struct fail *fail)
{
	struct spec spec;
	struct vm *vm;

	if (!spec_read(json, &spec, fail))
		return NULL;
	if (host_find(host, json_string_value(json_object_get(json, "name")))) {
		fail_with(fail, 409, "BH_DUPLICATE",
			  "/vms/%s: two VMs have this name; each name may stand once",
			  json_string_value(json_object_get(json, "name")));
		return NULL;
	}
	vm = host_new_vm(host, json_string_value(json_object_get(json, "name")));
	if (!vm) {
		fail_with(fail, FAIL_DISK, "out of memory, or its console file cannot be opened");
		return NULL;
	}
	vm->is_ours = true;
	vm->spec = spec;
	vm->json = json_deep_copy(json);
	vm->boot_id = host->is_known ? host->facts.boot_id : 0;
	if (!host_save(host, fail)) {
		host_remove(vm);
		return NULL;
	}
	host_event(host, vm->name, "created", NULL);
	return vm;
}

static bool is_image_used(void *context, const char *digest)
{
	const struct host *host = context;

	for (const struct vm *vm = host->vms; vm; vm = vm->next) {
		if (strcmp(vm->image[0].digest, digest) == 0 ||
		    strcmp(vm->image[1].digest, digest) == 0)
			return true;
	}
	return false;
}

void host_remove(struct vm *vm)
{
	struct host *host = vm->host;
	struct vm **link = &host->vms;

	while (*link != vm)
		link = &(*link)->next;
	*link = vm->next;
	if (host->link && vm->is_asking && !host->is_synced)
		link_close(host->link, "a VM went away while it was asked for");
	else if (host->link)
		link_forget(host->link, vm);
	store_forget_console(&host->store, vm->name);
	free_vm(vm);
	store_sweep(&host->store, is_image_used, host);
}

bool host_save(struct host *host, struct fail *fail)
{
	json_t *state = host_state(host);
	bool good = state ? store_save(&host->store, state, fail)
			  : fail_with(fail, FAIL_DISK, "out of memory");

	json_decref(state);
	return good;
}

/* ---- What a VM is to be ---- */

bool vm_may_change(const struct vm *vm, struct fail *fail)
{
	if (!vm->is_ours)
		return fail_with(fail, FAIL_STATE, "%s is not the card's VM", vm->name);
	if (vm->op || vm->leaving != LEAVING_NOT)
		return fail_with(fail, FAIL_BUSY, "%s: something else is being done with it",
				 vm->name);
	if (vm->want_running || (vm->is != IS_ABSENT && vm->is != IS_STOPPED))
		return fail_with(fail, FAIL_STATE, "%s is %s; stop it first", vm->name,
				 vm_state_word(vm));
	return true;
}

bool vm_configure(struct vm *vm, const json_t *json, const json_t *ch, struct fail *fail)
{
	struct spec spec;

	if (!vm_may_change(vm, fail) || !spec_read(json, &spec, fail))
		return false;
	vm->spec = spec;
	vm->planned[0] = '\0';
	json_decref(vm->json);
	vm->json = json_deep_copy(json);
	json_decref(vm->ch);
	vm->ch = ch ? json_deep_copy(ch) : NULL;
	return host_save(vm->host, fail);
}

bool vm_set_image(struct vm *vm, unsigned int which, const struct stored_image *image,
		  struct fail *fail)
{
	struct stored_image before = vm->image[which];

	if (!vm_may_change(vm, fail))
		return false;
	vm->image[which] = *image;
	vm->planned[0] = '\0';
	if (!host_save(vm->host, fail)) {
		vm->image[which] = before;
		return false;
	}
	store_sweep(&vm->host->store, is_image_used, vm->host);
	return true;
}

/* ---- The machine ---- */

void host_attach(struct host *host, struct bufferevent *bev)
{
	if (host->link)
		link_close(host->link, "the machine connected anew");
	host->link = link_new(bev, &host_link_callbacks, host);
}

struct host *host_new(struct event_base *base, const char *name, const char *state,
		      const struct host_hooks *hooks, void *hooks_context, struct fail *fail)
{
	struct host *host = calloc(1, sizeof(*host));

	if (!host) {
		fail_with(fail, FAIL_DISK, "out of memory");
		return NULL;
	}
	host->base = base;
	host->hooks = hooks;
	host->hooks_context = hooks_context;
	text_copy(host->name, sizeof(host->name), name);
	if (store_open(&host->store, state, name, fail)) {
		host->log = store_log(&host->store);
		if (!host->log)
			fail_with(fail, FAIL_DISK, "%s: its log cannot be opened", name);
		else if (host_restore(host, fail)) {
			store_sweep(&host->store, is_image_used, host);
			return host;
		}
	}
	host_free(host);
	return NULL;
}

void host_free(struct host *host)
{
	if (host->link)
		link_close(host->link, "the daemon ends");
	while (host->vms) {
		struct vm *vm = host->vms;

		host->vms = vm->next;
		free_vm(vm);
	}
	feed_end(&host->log_lines);
	journal_clear(&host->journal);
	spool_close(host->log);
	store_close(&host->store);
	free(host);
}
