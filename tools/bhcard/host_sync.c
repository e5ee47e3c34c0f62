/* SPDX-License-Identifier: Apache-2.0 */
/* What the hypervisor says: hello, the list of its VMs, each one's info, and what comes unasked. */
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>
#include <libfdt.h>

#include "device.h"
#include "text.h"

/* ---- Info of one VM ---- */

static bool read_state(const void *tree, int node, struct vm *vm)
{
	const char *word = tree_string(tree, node, "state");
	uint32_t slot = 0;
	uint32_t kept = 0;

	if (!word || !tree_u32(tree, node, "slot", &slot) || !tree_u32(tree, node, "kept", &kept) ||
	    slot >= CONFIG_MAX_VMS)
		return false;
	for (int is = IS_NEW; is < VM_IS_COUNT; is++) {
		if (strcmp(word, vm_word((enum vm_is)is)) == 0) {
			vm->is = (enum vm_is)is;
			vm->slot = slot;
			vm->is_kept = kept != 0;
			return true;
		}
	}
	return false;
}

static bool is_sane(const struct plan_vm *plan, const char *name, const struct machine *machine)
{
	return strncmp(plan->name, name, sizeof(plan->name)) == 0 && plan->ncores >= 1 &&
	       plan->ncores <= CONFIG_MAX_CPUS && plan->nregions <= CONFIG_MAX_REGIONS_PER_VM &&
	       devices_are_sane(plan, machine);
}

static bool read_info(const void *tree, struct vm *vm)
{
	struct plan *plan = &vm->host->plan;
	struct plan_vm told;
	uint32_t size = 0;
	const void *bytes = tree_bytes(tree, 0, "plan", &size);

	if (!bytes || size != sizeof(told))
		return false;
	memcpy(&told, bytes, size); /* aligned */
	if (!is_sane(&told, vm->name, &vm->host->facts.machine) || !read_state(tree, 0, vm))
		return false;
	plan->vm[vm->slot] = told;
	if (plan->nvms <= vm->slot)
		plan->nvms = vm->slot + 1;
	tree_u32(tree, 0, "restarts", &vm->kept_restarts);
	tree_u32(tree, 0, "dropped", &vm->dropped);
	return true;
}

static void forget_plan(struct vm *vm)
{
	if (vm->is != IS_ABSENT)
		memset(&vm->host->plan.vm[vm->slot], 0, sizeof(vm->host->plan.vm[0]));
	vm->is = IS_ABSENT;
	vm->is_kept = false;
}

/* False: the answer is not what it should be, and the connection is gone. */
static bool take_info(struct vm *vm, const struct answer *answer)
{
	vm->is_asking = false;
	if (answer->lost)
		return false;
	if (answer->error == BH_NO_SUCH_VM)
		forget_plan(vm);
	else if (answer->error != BH_OK || !read_info(answer->tree, vm)) {
		link_close(vm->host->link, "an answer to info lacks what it must have");
		return false;
	}
	return true;
}

static bool send_info(struct vm *vm, link_answer_fn *done)
{
	struct payload m;

	payload_begin(&m);
	payload_string(&m, "vm", vm->name);
	vm->is_asking = link_request(vm->host->link, MESSAGE_INFO, &m, done, vm);
	return vm->is_asking;
}

static void on_info(void *context, const struct answer *answer)
{
	struct vm *vm = context;

	if (vm->op && !answer->lost) { /* what it says may be older than what was done since */
		vm->is_asking = false;
		vm->ask_again = true;
		return;
	}
	if (!take_info(vm, answer))
		return;
	if (vm->ask_again)
		vm_ask(vm);
	else if (vm->is == IS_ABSENT && !vm->is_ours)
		host_remove(vm);
	else
		vm_settle(vm);
}

void vm_ask(struct vm *vm)
{
	vm->ask_again = vm->is_asking || vm->op;
	if (vm->host->link && vm->host->is_synced && !vm->ask_again)
		send_info(vm, on_info);
}

/* ---- The list, after a hello ---- */

static void sync_next(struct host *host);

static void on_sync_info(void *context, const struct answer *answer)
{
	struct vm *vm = context;

	if (take_info(vm, answer))
		sync_next(vm->host);
}

/* All is known: what is somebody else's and not there any more goes, then each VM gets what it needs. */
static void synced(struct host *host)
{
	struct vm *next;

	host->is_synced = true;
	host_event(host, NULL, "connected", host->facts.machine.name);
	for (struct vm *vm = host->vms; vm; vm = next) {
		next = vm->next;
		if (!vm->is_ours && vm->is == IS_ABSENT)
			host_remove(vm);
	}
	for (struct vm *vm = host->vms; vm && host->link; vm = next) {
		next = vm->next;
		vm_settle(vm);
	}
}

static void sync_next(struct host *host)
{
	struct vm *vm = host->vms;

	while (vm && !vm->is_seen)
		vm = vm->next;
	if (!vm) {
		synced(host);
		return;
	}
	vm->is_seen = false;
	if (!send_info(vm, on_sync_info))
		link_close(host->link, "it cannot be asked for its VMs");
}

static bool read_list(struct host *host, const void *tree)
{
	int node;

	fdt_for_each_subnode(node, tree, 0)
	{
		const char *name = fdt_get_name(tree, node, NULL);
		struct vm *vm = name && spec_name_valid(name) ? host_find(host, name) : NULL;

		if (!name || !spec_name_valid(name))
			return false;
		if (!vm)
			vm = host_new_vm(host, name);
		if (!vm || vm->is_seen)
			return false;
		vm->is_seen = true;
	}
	return true;
}

static void on_list(void *context, const struct answer *answer)
{
	struct host *host = context;

	if (answer->lost)
		return;
	if (answer->error != BH_OK || !answer->tree || !read_list(host, answer->tree))
		link_close(host->link, "an answer to list lacks what it must have");
	else
		sync_next(host);
}

/* ---- Connection ---- */

static bool take_hello(void *context, const void *tree)
{
	struct host *host = context;
	struct facts *facts = malloc(sizeof(*facts));
	struct bh_report report = {BH_OK, "out of memory"};
	bool good = facts && facts_read(tree, facts, &report) == BH_OK;

	text_copy(host->refused, sizeof(host->refused), good ? "" : report.text);
	if (good) {
		host->facts = *facts;
		host->is_known = true;
		host->hello_at = now_seconds();
		memset(&host->plan, 0, sizeof(host->plan));
		host->plan.management_core = facts->management_core;
		host->plan.console_interrupt = facts->console_interrupt;
		host->plan.core = facts->core;
		host->plan.card.function = MACHINE_NONE; /* the resident check knows it */
		host->plan.nimages = facts->nimages;
		memcpy(host->plan.images, facts->images, sizeof(facts->images));
		for (struct vm *vm = host->vms; vm; vm = vm->next) {
			vm->is = IS_ABSENT;
			vm->is_seen = vm->is_kept = false;
		}
	}
	free(facts);
	if (!good)
		host_event(host, NULL, "refused", host->refused);
	return good;
}

static void greeted(void *context)
{
	struct host *host = context;

	if (!link_request(host->link, MESSAGE_LIST, NULL, on_list, host))
		link_close(host->link, "it cannot be asked for its VMs");
}

static void down(void *context, const char *why)
{
	struct host *host = context;

	host->link = NULL;
	if (host->is_synced)
		host_event(host, NULL, "disconnected", why);
	else if (host->refused[0] == '\0')
		snprintf(host->refused, sizeof(host->refused), "%s", why);
	host->is_synced = false;
	for (struct vm *vm = host->vms; vm; vm = vm->next)
		evtimer_del(vm->timer);
}

/* ---- What comes unasked ---- */

/* Who it has is not known before the list comes, but what they say until then is not to be lost. */
static struct vm *speaker(struct host *host, const char *name)
{
	struct vm *vm = host_find(host, name);
	uint32_t count = 0;

	for (const struct vm *other = host->vms; other; other = other->next)
		count++;
	if (vm || host->is_synced || count >= CONFIG_MAX_VMS || !spec_name_valid(name))
		return vm;
	return host_new_vm(host, name);
}

static bool take_console(struct host *host, const void *tree)
{
	const char *name = tree_string(tree, 0, "vm");
	uint32_t size = 0;
	const void *data = tree_bytes(tree, 0, "data", &size);
	struct vm *vm = NULL;

	if (!name || !data || size > FRAME_DATA_MAX)
		return false;
	vm = speaker(host, name);
	if (vm && size != 0) {
		spool_write(vm->console, data, size);
		feed_publish(&vm->output, data, size);
	}
	return true;
}

static bool take_log(struct host *host, const void *tree)
{
	const char *text = tree_string(tree, 0, "text");
	uint32_t dropped = 0;

	if (!text || !tree_u32(tree, 0, "dropped", &dropped))
		return false;
	host->log_dropped += dropped;
	spool_write(host->log, text, strlen(text));
	if (text[0] != '\0')
		feed_publish(&host->log_lines, text, strlen(text));
	return true;
}

static void add_hex(json_t *event, const void *tree, const char *name)
{
	char text[24];
	uint64_t value;

	if (!tree_u64(tree, 0, name, &value))
		return;
	snprintf(text, sizeof(text), "0x%llx", (unsigned long long)value);
	json_object_set_new(event, name, json_string(text));
}

static bool is_event(const char *kind)
{
	static const char *const kinds[] = {
#define EVENT_KIND_TEXT(name, text) text,
		EVENT_KINDS(EVENT_KIND_TEXT)
#undef EVENT_KIND_TEXT
	};
	size_t i = 0;

	while (i < ARRAY_SIZE(kinds) && strcmp(kinds[i], kind) != 0)
		i++;
	return i < ARRAY_SIZE(kinds);
}

static bool take_event(struct host *host, const void *tree)
{
	const char *name = tree_string(tree, 0, "vm");
	const char *kind = tree_string(tree, 0, "event");
	struct vm *vm = name ? host_find(host, name) : NULL;
	uint64_t time = 0;
	json_t *event;

	if (!name || !kind || !is_event(kind) || !tree_u64(tree, 0, "time-us", &time))
		return false;
	event = json_pack("{s:s, s:s, s:s%, s:I, s:s?}", "event", kind, "machine", host->name, "vm",
			  name, strnlen(name, MANIFEST_NAME_MAX), "time_us", (json_int_t)time,
			  "why", tree_string(tree, 0, "why"));
	if (!event) /* what is no UTF-8 */
		return false;
	add_hex(event, tree, "address");
	add_hex(event, tree, "pc");
	add_hex(event, tree, "syndrome");
	journal_add(&host->journal, event);
	if (vm)
		vm_heard(vm, kind);
	return true;
}

static bool push(void *context, enum message type, const void *tree)
{
	switch (type) {
	case MESSAGE_CONSOLE:
		return take_console(context, tree);
	case MESSAGE_LOG:
		return take_log(context, tree);
	default:
		return take_event(context, tree);
	}
}

const struct link_callbacks host_link_callbacks = {take_hello, greeted, push, down};
