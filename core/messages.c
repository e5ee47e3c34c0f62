/* SPDX-License-Identifier: Apache-2.0 */
/* What the control protocol's requests do, one function each. Payloads are untrusted trees of validated structure. */
#include "control.h"

#include <libfdt.h>
#include <string.h>

/* ---- Payloads ---- */

#define PAYLOAD_FIRST 256

void payload_begin(struct payload *p, void *buffer)
{
	p->tree = buffer;
	/* fdt_create() clears what it is given, and most payloads are small. */
	p->full = fdt_create(buffer, PAYLOAD_FIRST) != 0 ||
		  fdt_resize(buffer, buffer, FRAME_PAYLOAD_MAX) != 0 ||
		  fdt_finish_reservemap(buffer) != 0 || fdt_begin_node(buffer, "") != 0;
}

uint32_t payload_end(struct payload *p)
{
	p->full = p->full || fdt_end_node(p->tree) != 0 || fdt_finish(p->tree) != 0;
	return p->full ? 0 : (uint32_t)fdt_totalsize(p->tree);
}

void payload_bytes(struct payload *p, const char *name, const void *bytes, uint32_t size)
{
	p->full = p->full || fdt_property(p->tree, name, bytes, (int)size) != 0;
}

void payload_text(struct payload *p, const char *name, const char *text)
{
	payload_bytes(p, name, text, (uint32_t)strlen(text) + 1);
}

void payload_u32(struct payload *p, const char *name, uint32_t value)
{
	p->full = p->full || fdt_property_u32(p->tree, name, value) != 0;
}

void payload_u64(struct payload *p, const char *name, uint64_t value)
{
	p->full = p->full || fdt_property_u64(p->tree, name, value) != 0;
}

bool payload_valid(const void *tree, uint32_t size)
{
	return size >= sizeof(struct fdt_header) && fdt_magic(tree) == FDT_MAGIC &&
	       fdt_version(tree) == FDT_LAST_SUPPORTED_VERSION &&
	       fdt_off_dt_struct(tree) % sizeof(uint32_t) == 0 &&
	       fdt_off_mem_rsvmap(tree) % sizeof(uint64_t) == 0 && fdt_check_full(tree, size) == 0;
}

/* The bytes of property @name; NULL when there are none. */
static const void *get_bytes(const void *tree, const char *name, uint32_t *size)
{
	int length = 0;
	const void *bytes = tree != NULL ? fdt_getprop(tree, 0, name, &length) : NULL;

	*size = bytes != NULL ? (uint32_t)length : 0;
	return *size != 0 ? bytes : NULL;
}

/* The same of exactly @size bytes. */
static const void *get_exactly(const void *tree, const char *name, uint32_t size)
{
	uint32_t found;
	const void *bytes = get_bytes(tree, name, &found);

	return found == size ? bytes : NULL;
}

/* ---- Requests ---- */

/* What a request came with, and what is to be said. @vm: the VM it names, for those that name one. */
struct request {
	const void *tree;
	struct vm *vm;
	struct payload *answer;
	struct bh_report *report;
};

static enum bh_error do_ping(struct request *r)
{
	uint32_t size;
	const void *data = get_bytes(r->tree, "data", &size);

	if (size > FRAME_DATA_MAX)
		return bh_fail(r->report, BH_TOO_BIG, "data: %u bytes; at most %u are allowed",
			       size, (uint32_t)FRAME_DATA_MAX);
	if (data != NULL)
		payload_bytes(r->answer, "data", data, size);
	payload_u64(r->answer, "time-us", microseconds(arch_ticks()));
	return BH_OK;
}

static void describe(const struct vm *vm, struct payload *p)
{
	payload_u32(p, "slot", vm->index);
	payload_text(p, "state", vm_state_name((enum vm_state)vm->state));
	payload_u32(p, "kept", plan_vm_kept(vm_plan(vm)));
}

static enum bh_error do_info(struct request *r)
{
	describe(r->vm, r->answer);
	payload_bytes(r->answer, "plan", vm_plan(r->vm), sizeof(struct plan_vm));
	payload_u32(r->answer, "restarts", r->vm->restarts);
	payload_u64(r->answer, "started-us", microseconds(r->vm->started));
	payload_u32(r->answer, "dropped", r->vm->shared.console.dropped);
	return BH_OK;
}

static enum bh_error do_stats(struct request *r)
{
	static const char reasons[] =
#define EXIT_TEXT(name, text) text "\0"
		EXIT_REASONS(EXIT_TEXT);
#undef EXIT_TEXT
	static fdt64_t exits[CONFIG_MAX_CPUS * EXIT_REASON_COUNT];
	const struct plan_vm *plan = vm_plan(r->vm);
	uint32_t count = 0;

	for (uint32_t i = 0; i < plan->ncores; i++)
		for (uint32_t e = 0; e < EXIT_REASON_COUNT; e++)
			fdt64_st(&exits[count++], cpu_record(plan->core[i])->exits[e]);
	payload_bytes(r->answer, "reasons", reasons, sizeof(reasons) - 1);
	payload_bytes(r->answer, "exits", exits, count * (uint32_t)sizeof(exits[0]));
	return BH_OK;
}

static enum bh_error do_create(struct request *r)
{
	static struct plan_vm plan;
	const void *bytes = get_exactly(r->tree, "plan", sizeof(plan));
	uint32_t slot = 0;

	if (bytes == NULL)
		return BH_BAD_MESSAGE;
	memcpy(&plan, bytes, sizeof(plan)); /* aligned */
	enum bh_error error = vm_create(&plan, &slot, r->report);

	payload_u32(r->answer, "slot", slot);
	return error;
}

static enum bh_error do_image(struct request *r)
{
	uint32_t size;
	const void *data = get_bytes(r->tree, "data", &size);
	const fdt32_t *image = get_exactly(r->tree, "image", sizeof(*image));
	const fdt64_t *offset = get_exactly(r->tree, "offset", sizeof(*offset));

	if (data == NULL || size > FRAME_DATA_MAX || image == NULL || offset == NULL)
		return BH_BAD_MESSAGE;
	return image_receive(r->vm, fdt32_ld(image), fdt64_ld(offset), data, size,
			     get_exactly(r->tree, "digest", DIGEST_BYTES));
}

static enum bh_error do_start(struct request *r)
{
	return vm_launch(r->vm);
}

static enum bh_error do_stop(struct request *r)
{
	return vm_end(r->vm, "asked by the card");
}

static enum bh_error do_abort(struct request *r)
{
	return vm_end(r->vm, "aborted by the card");
}

static enum bh_error do_reset(struct request *r)
{
	if (!plan_vm_kept(vm_plan(r->vm)))
		return BH_WRONG_STATE;
	enum bh_error error = vm_stop(r->vm, "reset by the card");

	return error != BH_OK ? error : vm_launch(r->vm);
}

static enum bh_error do_delete(struct request *r)
{
	return vm_delete(r->vm);
}

static enum bh_error do_list(struct request *r)
{
	struct payload *p = r->answer;

	for (uint32_t i = 0; i < machine_plan()->nvms; i++) {
		const struct vm *vm = vm_record(i);

		if (vm == NULL)
			continue;
		p->full = p->full || fdt_begin_node(p->tree, vm_plan(vm)->name) != 0;
		describe(vm, p);
		p->full = p->full || fdt_end_node(p->tree) != 0;
	}
	return BH_OK;
}

static enum bh_error do_plug(struct request *r)
{
	struct plan_function function;
	const void *bytes = get_exactly(r->tree, "plan", sizeof(function));

	if (bytes == NULL)
		return BH_BAD_MESSAGE;
	memcpy(&function, bytes, sizeof(function)); /* aligned */
	return vm_plug(r->vm, &function, r->report);
}

static enum bh_error do_unplug(struct request *r)
{
	const fdt32_t *function = get_exactly(r->tree, "function", sizeof(*function));
	const fdt32_t *force = get_exactly(r->tree, "force", sizeof(*force));

	if (function == NULL)
		return BH_BAD_MESSAGE;
	return vm_unplug(r->vm, fdt32_ld(function), force != NULL && fdt32_ld(force) != 0);
}

/* By type; a type that is not here is not for us. */
static const struct {
	enum bh_error (*run)(struct request *r);
	bool names_vm;
} requests[] = {
	[MESSAGE_PING] = {do_ping, false},     [MESSAGE_LIST] = {do_list, false},
	[MESSAGE_INFO] = {do_info, true},      [MESSAGE_STATS] = {do_stats, true},
	[MESSAGE_CREATE] = {do_create, false}, [MESSAGE_IMAGE] = {do_image, true},
	[MESSAGE_START] = {do_start, true},    [MESSAGE_STOP] = {do_stop, true},
	[MESSAGE_ABORT] = {do_abort, true},    [MESSAGE_RESET] = {do_reset, true},
	[MESSAGE_DELETE] = {do_delete, true},  [MESSAGE_PLUG] = {do_plug, true},
	[MESSAGE_UNPLUG] = {do_unplug, true},
};

static struct vm *named_vm(const void *tree)
{
	uint32_t size;
	const char *name = get_bytes(tree, "vm", &size);

	return name != NULL && name[size - 1] == '\0' ? vm_find(name) : NULL;
}

enum bh_error message_handle(uint32_t type, const void *tree, struct payload *answer,
			     struct bh_report *report)
{
	struct request r = {tree, NULL, answer, report};

	if (type >= ARRAY_SIZE(requests) || requests[type].run == NULL)
		return BH_BAD_MESSAGE;
	if (requests[type].names_vm && (r.vm = named_vm(tree)) == NULL)
		return BH_NO_SUCH_VM;
	return requests[type].run(&r);
}

void message_console(const void *tree)
{
	uint32_t size;
	const uint8_t *data = get_bytes(tree, "data", &size);
	struct vm *vm = named_vm(tree);

	for (uint32_t i = 0; data != NULL && vm != NULL && vm->state == VM_RUNNING && i < size; i++)
		console_input(vm, data[i]);
}

void message_hello(struct payload *p)
{
	const struct plan *plan = machine_plan();
	static uint64_t boot_id;

	if (boot_id == 0)
		entropy_get((uint8_t *)&boot_id, sizeof(boot_id));
	payload_u32(p, "version", PROTOCOL_VERSION);
	payload_u64(p, "build-id", build_id());
	payload_u64(p, "boot-id", boot_id);
	payload_u64(p, "time-us", microseconds(arch_ticks()));
	payload_bytes(p, "machine", machine_facts(), sizeof(struct machine));
	payload_u32(p, "plan-size", sizeof(struct plan));
	payload_u32(p, "management-core", plan->management_core);
	payload_u32(p, "console-interrupt", plan->console_interrupt);
	payload_bytes(p, "core", &plan->core, sizeof(plan->core));
	payload_bytes(p, "images", plan->images, plan->nimages * (uint32_t)sizeof(plan->images[0]));
}
