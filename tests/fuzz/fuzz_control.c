/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hostile card against the control protocol: any bytes as frames, frames with any bytes as payload, and trees of the
 * properties that requests have, whole and patched, in any order and any pieces, on the fake machine with cores that obey at
 * once. What comes back is well-formed and answers what was asked, once each; plan, records, ledger, states and mappings agree
 * after every input; and when all VMs are gone everything is as it was.
 */
#include "input.h"

#include <blake2.h>
#include <libfdt.h>
#include <sanitizer/asan_interface.h>
#include <stdio.h>

#include <bulkhead/planner.h>
#include <bulkhead/vsock.h>

#include "arch/host/private.h"
#include "core/control.h"
#include "passthrough/function.h"

#define CORES 6
#define VM_BYTES (4 * MIB)
#define IMAGE_BYTES 192 /* of every image of the card */
#define TYPES 18 /* of frames, that have trees */
#define GUARD 64 /* bytes behind a frame */
#define MAX_STEPS 7
#define MAX_ROUNDS 100000 /* of control_poll() until nothing moves */
#define FUNCTIONS 2 /* of PCI, which may be plugged into the first VM that the card asks for */
#define PORTS 2U /* that it has */
#define WANTED                                                                                     \
	3 /* VMs that the card may ask for: two that can live together, and one that overlaps the first */

/* ---- The fake machine, in place of arch/host/host.c: core 0 runs, the others obey when it waits ---- */

static struct host_core cores[CONFIG_MAX_CPUS];
static uint32_t ncores;
static uint64_t now = HOST_SECOND;

struct host_core *host_core(uint32_t index)
{
	CHECK(index < ncores);
	return &cores[index];
}

struct host_core *host_self(void)
{
	return NULL;
}

void host_create(uint32_t count, uint64_t bytes)
{
	ncores = count;
	host_ram_make(bytes);
}

void host_yield(enum core_mode mode)
{
	(void)mode;
}

void host_break(const char *format, ...)
{
	(void)format;
	abort();
}

void host_trace(enum host_event_kind kind, const struct vm *vm, uint64_t value, uint64_t size)
{
	(void)kind;
	(void)vm;
	(void)value;
	(void)size;
}

uint64_t arch_ticks(void)
{
	return now;
}

uint64_t host_now(void)
{
	return now;
}

uint64_t arch_tick_rate(void)
{
	return HOST_TICK_RATE;
}

struct cpu *arch_this_cpu(void)
{
	return cpu_record(0);
}

void arch_map_registers(const struct machine *machine)
{
	(void)machine;
}

void arch_doorbell(uint32_t cpu)
{
	(void)host_core(cpu);
}

void arch_pause(void)
{
}

void arch_uart_put(char c)
{
	(void)c;
}

void arch_halt(void)
{
	abort();
}

/* Only what is the hypervisor's to write may be zeroed; that it then is zero takes longer than all the rest, and pools zero what they give. */
void __wrap_arch_zero(void *at, uint64_t size);

void __wrap_arch_zero(void *at, uint64_t size)
{
	CHECK((host_access(ptr_to_pa(at)) & HOST_MAY_WRITE) != 0);
	CHECK((host_access(pa(ptr_to_pa(at).v + size - 1)) & HOST_MAY_WRITE) != 0);
}

static void obey(uint32_t index)
{
	static const uint32_t states[] = {
		[COMMAND_START] = CORE_RUNNING,
		[COMMAND_STOP] = CORE_PARKED,
		[COMMAND_SCRUB] = CORE_IDLE,
	};
	struct mailbox *box = &cpu_record(index)->mailbox;
	const struct plan_vm *plan = &machine_plan()->vm[box->vm];

	if (box->command == COMMAND_NONE)
		return;
	for (uint32_t r = 0; r < plan->nregions && box->command == COMMAND_SCRUB; r++)
		__wrap_arch_zero(pa_to_ptr(plan->region[r].extent.base),
				 plan->region[r].extent.size);
	box->state = states[box->command];
	box->command = COMMAND_NONE;
}

/* A wait until then, as for a reset; nothing here takes seconds. */
void arch_wait(uint64_t deadline)
{
	if (deadline > now && deadline - now < HOST_SECOND)
		now = deadline;
	for (uint32_t i = 1; i < ncores; i++)
		obey(i);
}

/* ---- The managers, in place of core/core_manager.c and core/system_manager.c ---- */

enum bh_error vcpu_power_on(struct vm *vm, uint32_t vcpu, uint64_t entry, uint64_t context)
{
	(void)vm;
	(void)vcpu;
	(void)entry;
	(void)context;
	abort(); /* no guest runs */
}

void system_manager_wake(void)
{
}

bool system_manager_service(void)
{
	return false;
}

bool prompt_attached(void)
{
	return false;
}

void prompt_flush(struct vm *vm)
{
	(void)vm;
}

/* ---- The stream, and what comes back on it ---- */

static uint64_t tree[4096 / 8]; /* the one that is sent next */

static struct {
	bool open;
	uint8_t wire[2 * sizeof(struct frame) + FRAME_PAYLOAD_MAX];
	uint32_t first, size; /* of what has not been read */
	uint32_t piece; /* bytes that go at once, either way; 0: any number */
	uint64_t sent, received; /* frames */
	uint32_t asked, answered; /* requests */
	uint16_t asked_type;
	bool broken; /* the card itself knows no more where a frame begins */
	struct {
		struct frame frame;
		uint8_t payload[FRAME_PAYLOAD_MAX] __attribute__((aligned(8)));
	} in;
	uint32_t in_size;
} s;

static void take_frame(void)
{
	const struct frame *f = &s.in.frame;
	bool answer = f->flags == FRAME_ANSWER;
	int size = 0;

	CHECK(f->magic == FRAME_MAGIC && f->sequence == s.received++ && f->flags <= FRAME_ANSWER);
	CHECK(f->length != 0 || answer); /* an answer that does not fit has nothing */
	CHECK(f->length == 0 ||
	      (fdt_check_header(s.in.payload) == 0 && fdt_totalsize(s.in.payload) == f->length));
	if (f->type == MESSAGE_HELLO && !answer)
		CHECK(f->sequence == 0 && f->request != 0);
	else if (!answer)
		CHECK(f->request == 0 && f->type >= MESSAGE_CONSOLE && f->type <= MESSAGE_EVENT);
	if (!answer)
		return;
	CHECK(s.broken ||
	      (f->request == s.asked && f->type == s.asked_type && s.answered == s.asked - 1));
	s.answered++;
	if (f->length == 0)
		return;
	const fdt32_t *error = fdt_getprop(s.in.payload, 0, "error", &size);
	CHECK(error != NULL && size == 4 && fdt32_ld(error) < BH_ERROR_COUNT);
}

void vsock_use(const struct plan_card *card, pa_t bounce)
{
	(void)card;
	(void)bounce;
}

void vsock_connect(uint32_t port)
{
	CHECK(port == PROTOCOL_PORT && !s.open);
	s.open = true;
	s.first = s.size = s.in_size = 0;
	s.sent = s.received = 0;
	s.asked = s.answered = 0;
	s.broken = false;
}

void vsock_close(void)
{
	s.open = false;
}

enum vsock_state vsock_poll(void)
{
	return s.open ? VSOCK_OPEN : VSOCK_CLOSED;
}

static uint32_t piece(uint32_t size)
{
	return s.piece != 0 && s.piece < size ? s.piece : size;
}

/* All of @size might come, and what stands behind it is no part of the frame: ASan sees who reads it. */
static void guard(const uint8_t *to, uint32_t size)
{
	static const uint8_t *end;

	if (end != NULL)
		ASAN_UNPOISON_MEMORY_REGION(end, GUARD);
	CHECK(__asan_region_is_poisoned((void *)(uintptr_t)to, size) == NULL);
	end = size <= sizeof(tree) ? to + size : NULL;
	if (end != NULL)
		ASAN_POISON_MEMORY_REGION(end, GUARD);
}

uint32_t vsock_read(void *to, uint32_t size)
{
	uint32_t part = piece(size < s.size ? size : s.size);

	CHECK(s.open && size != 0);
	guard(to, size);
	memcpy(to, s.wire + s.first, part);
	s.first += part;
	s.size -= part;
	return part;
}

uint32_t vsock_write(const void *from, uint32_t size)
{
	uint32_t want = sizeof(struct frame);

	CHECK(s.open && size != 0);
	if (s.in_size >= want)
		want += s.in.frame.length;
	size = piece(size < want - s.in_size ? size : want - s.in_size);
	memcpy((uint8_t *)&s.in + s.in_size, from, size);
	s.in_size += size;
	if (s.in_size < sizeof(struct frame))
		return size;
	CHECK(s.in.frame.length <= FRAME_PAYLOAD_MAX);
	if (s.in_size == sizeof(struct frame) + s.in.frame.length) {
		take_frame();
		s.in_size = 0;
	}
	return size;
}

static void settle(void)
{
	for (uint32_t i = 0; control_poll(); i++)
		CHECK(i < MAX_ROUNDS);
}

/* Until what was sent has been taken and answered; the rest comes later. */
static void await_answer(void)
{
	for (uint32_t i = 0; (s.size != 0 || s.answered != s.asked) && control_poll(); i++)
		CHECK(i < MAX_ROUNDS);
}

/* ---- What the card sends ---- */

static uint8_t image[IMAGE_BYTES];
static uint8_t digest[32];
static struct plan_vm wanted[WANTED];
static struct plan_function plugged[FUNCTIONS * PORTS]; /* as the card may ask for it */
static const char *const names[] = {"boot", "one", "two", "clash", "nobody"};

static void put(const void *bytes, size_t size)
{
	CHECK(s.first + s.size + size <= sizeof(s.wire));
	memcpy(s.wire + s.first + s.size, bytes, size);
	s.size += (uint32_t)size;
}

static bool is_in(size_t at, size_t from, size_t size)
{
	return at >= from && at < from + size;
}

/* Unless the middle of a frame is on its way, of which this would be more. */
static void put_frame(uint16_t type, uint16_t flags, const void *payload, uint32_t size)
{
	struct frame f = {.magic = FRAME_MAGIC,
			  .length = size,
			  .type = type,
			  .flags = flags,
			  .request = type == MESSAGE_CONSOLE ? 0 : s.asked + 1};
	uint8_t wrong = input_byte();
	size_t at = 0;

	if (!s.open || s.size != 0)
		return;
	s.first = 0;
	f.sequence = s.sent++;
	if (wrong >= 250) {
		at = input_byte() % sizeof(f);
		((uint8_t *)&f)[at] ^= (uint8_t)(1U << (wrong & 7));
		s.broken |= is_in(at, offsetof(struct frame, length), sizeof(f.length));
	}
	if (control_open() && f.request != 0) {
		s.asked = f.request;
		s.asked_type = f.type;
		s.answered = s.asked - 1;
	}
	put(&f, sizeof(f));
	put(payload, size);
	await_answer();
	CHECK(!s.open || wrong < 250 || s.broken ||
	      is_in(at, offsetof(struct frame, type), sizeof(f.type)) ||
	      is_in(at, offsetof(struct frame, request), sizeof(f.request)));
}

static void text(const char *name, const char *value)
{
	fdt_property(tree, name, value, (int)strlen(value) + 1);
}

static void any_property(void)
{
	static const char *const properties[] = {"vm",	    "plan", "image",	"offset", "digest",
						 "version", "data", "function", "force"};
	const char *name = properties[input_byte() % ARRAY_SIZE(properties)];
	uint8_t what = input_byte();
	const uint8_t *bytes;
	size_t size;

	switch (what % 6) {
	case 0:
		text(name, names[(what / 6) % ARRAY_SIZE(names)]);
		break;
	case 1:
		fdt_property_u32(tree, name, what / 6);
		break;
	case 2:
		fdt_property_u64(tree, name, (uint64_t)(what / 6) * IMAGE_BYTES / 2);
		break;
	case 3:
		fdt_property(tree, name, digest, sizeof(digest));
		break;
	case 4:
		fdt_property(tree, name, &wanted[(what / 6) % WANTED], sizeof(wanted[0]));
		break;
	default:
		size = input_bytes(&bytes, what);
		fdt_property(tree, name, bytes, (int)size);
		break;
	}
}

/* A whole image, or half of one: the first bit says which, the digest comes with the last. */
static void stream(uint32_t which)
{
	uint32_t half = which >> 2 & 3;
	uint32_t offset = half == 2 ? IMAGE_BYTES / 2 : 0;
	uint32_t size = half == 0 || half == 3 ? IMAGE_BYTES : IMAGE_BYTES / 2;

	fdt_property_u32(tree, "image", which & 3);
	fdt_property_u64(tree, "offset", offset);
	fdt_property(tree, "data", image + offset, (int)size);
	if (offset + size == IMAGE_BYTES)
		fdt_property(tree, "digest", digest, sizeof(digest));
}

static void begin_tree(void)
{
	fdt_create(tree, sizeof(tree));
	fdt_finish_reservemap(tree);
	fdt_begin_node(tree, "");
}

static uint32_t end_tree(void)
{
	fdt_end_node(tree);
	fdt_finish(tree);
	return fdt_totalsize(tree);
}

/* A request with what its type needs. */
static void begin_request(uint16_t type, uint8_t which)
{
	begin_tree();
	if (type == MESSAGE_CREATE)
		fdt_property(tree, "plan", &wanted[which % WANTED], sizeof(wanted[0]));
	else
		text("vm", names[(which & 7) % ARRAY_SIZE(names)]);
	if (type == MESSAGE_IMAGE)
		stream(which >> 3);
	if (type == MESSAGE_PLUG)
		fdt_property(tree, "plan", &plugged[(which >> 3) % ARRAY_SIZE(plugged)],
			     sizeof(plugged[0]));
	if (type == MESSAGE_UNPLUG)
		fdt_property_u32(tree, "function", (which >> 3) % (FUNCTIONS + 1));
	if (type == MESSAGE_UNPLUG && (which & 0x80) != 0)
		fdt_property_u32(tree, "force", 1);
	if (type == MESSAGE_CONSOLE || type == MESSAGE_PING)
		fdt_property(tree, "data", image, which % IMAGE_BYTES);
}

/* The same, from the ones that were made already. */
static uint32_t take_request(uint16_t type, uint8_t which)
{
	static struct {
		uint32_t size;
		uint64_t tree[256]; /* the largest holds a struct plan_vm */
	} made[TYPES][256], *m;

	m = &made[type][which];
	if (m->size == 0) {
		begin_request(type, which);
		m->size = end_tree();
		CHECK(m->size <= sizeof(m->tree));
		memcpy(m->tree, tree, m->size);
	}
	memcpy(tree, m->tree, m->size);
	return m->size;
}

/* A request, perhaps with more properties, perhaps with bytes changed. */
static void send_request(uint16_t type)
{
	uint8_t which = input_byte();
	uint8_t more = input_byte();
	uint32_t size;

	if ((more & 3) == 0) {
		size = take_request(type, which);
	} else {
		begin_request(type, which);
		for (uint32_t i = 0; i < (more & 3); i++)
			any_property();
		size = end_tree();
	}
	for (; more >= 232; more = input_byte())
		((uint8_t *)tree)[input_u16() % size] = input_byte();
	put_frame(type, 0, tree, size);
}

static void send_bytes(bool framed)
{
	uint16_t type = framed ? input_byte() : 0;
	uint16_t flags = framed ? input_byte() & 1 : 0;
	const uint8_t *bytes;
	size_t size = input_bytes(&bytes, input_byte());

	if (framed) {
		put_frame(type, flags, bytes, (uint32_t)size);
	} else if (s.open && s.first + s.size + size <= sizeof(s.wire)) {
		s.broken = true;
		put(bytes, size);
	}
}

/* ---- What happens meanwhile ---- */

static void hang_up(void)
{
	s.open = false;
	settle();
}

/* The dial, our hello and its answer. */
static void greet(void)
{
	hang_up();
	now += 10 * HOST_SECOND;
	settle();
	CHECK(s.open && s.received != 0);
	s.asked_type = MESSAGE_HELLO;
	struct frame f = {.magic = FRAME_MAGIC,
			  .type = MESSAGE_HELLO,
			  .flags = FRAME_ANSWER,
			  .request = 1,
			  .sequence = s.sent++};
	put(&f, sizeof(f));
	settle();
	CHECK(control_open());
	s.asked = s.answered = 0;
}

/* A guest writes to its port's configuration space, where its slot is switched off and on. */
static void port_step(struct vm *vm, uint8_t what)
{
	static const uint32_t registers[] = {PORT_SLOT, PORT_SLOT + 2, PORT_MSI, PCI_COMMAND};
	struct mmio access = {.offset = registers[what & 3], .size = 2, .write = true};

	access.value = input_u16();
	if (vm_plan(vm)->nports == 0)
		return;
	spin_lock(&vm->shared.pci_lock);
	pci_port_access(vm, what >> 2 & (PORTS - 1), &access);
	spin_unlock(&vm->shared.pci_lock);
}

/* A guest ends by itself, writes, or does something to a port. */
static void guest_step(uint8_t what)
{
	struct vm *vm = vm_record(what % 4);

	if (vm == NULL || vm->state != VM_RUNNING)
		return;
	struct mailbox *box = &cpu_record(vm_plan(vm)->core[0])->mailbox;

	switch (what >> 2 & 3) {
	case 0:
		box->event = 1 + (what >> 4) % 3;
		box->fault.what = "something";
		vm_event(vm, box);
		break;
	case 1:
		while (console_get(vm) >= 0)
			;
		break;
	case 2:
		port_step(vm, what >> 4);
		break;
	default:
		for (uint32_t i = 0; i < what; i++)
			console_put(vm, what);
		break;
	}
}

static void step(void)
{
	uint8_t what = input_byte();

	switch (what) {
	case 0:
		send_bytes(false);
		settle();
		break;
	case 16:
		send_bytes(true);
		break;
	case 17:
		hang_up();
		break;
	case 18:
		now += 10 * HOST_SECOND;
		vm_take_functions();
		settle();
		break;
	case 19:
		s.piece = input_byte();
		break;
	case 20:
		guest_step(input_byte());
		settle();
		break;
	case 21:
		if (!control_open())
			greet();
		break;
	default:
		send_request(what % TYPES);
		break;
	}
}

/* ---- What must hold ---- */

static struct plan plan_before;
static struct ledger ledger_before;

static void check_vm(uint32_t slot)
{
	const struct plan_vm *plan = &machine_plan()->vm[slot];
	const struct vm *vm = vm_record(slot);

	CHECK((vm == NULL) == (slot >= machine_plan()->nvms || plan_vm_vacant(plan)));
	if (vm == NULL)
		return;
	CHECK(vm->index == slot && vm_find(plan->name) == vm);
	CHECK(vm->state == VM_STOPPED || vm->state == VM_LOADING || vm->state == VM_LOADED ||
	      vm->state == VM_RUNNING);
	for (uint32_t r = 0; r < plan->nregions; r++)
		CHECK((host_access(plan->region[r].extent.base) != 0) == (vm->state == VM_LOADING));
	for (uint32_t i = 0; i < plan->ncores; i++)
		CHECK(cpu_record(plan->core[i])->mailbox.state ==
		      (vm->state == VM_RUNNING ? CORE_RUNNING : CORE_IDLE));
}

/* Who has function @index; NULL: nobody. */
static const struct vm *owner_of(uint32_t index)
{
	for (uint32_t i = 0; i < machine_plan()->nvms; i++)
		for (uint32_t f = 0; f < machine_plan()->vm[i].nfunctions; f++)
			if (machine_plan()->vm[i].function[f].function == index)
				return vm_record(i);
	return NULL;
}

/* DMA is open for the function of a VM that runs, and for no other. */
static void check_functions(void)
{
	for (uint32_t i = 0; i < FUNCTIONS; i++) {
		const struct vm *vm = owner_of(i);

		CHECK(host_function_open(i) == (vm != NULL && vm->state == VM_RUNNING));
	}
}

static void check_machine(void)
{
	struct bh_report report;

	for (uint32_t i = 0; i < CONFIG_MAX_VMS; i++)
		check_vm(i);
	check_functions();
	if (memcmp(machine_plan(), &plan_before, sizeof(plan_before)) == 0)
		return;
	CHECK(plan_check(machine_plan(), machine_facts(), &report) == BH_OK);
	CHECK(ledger_check(machine_ledger(), machine_plan()) == BH_OK);
}

/* No request waits for its answer, unless the connection has ended. */
static void check_answers(void)
{
	CHECK(!control_open() || s.size != 0 || s.broken || s.answered == s.asked);
}

/* The boot manifest's VM, which the card has deleted. */
static void bring_back(void)
{
	machine_plan_change()->vm[0] = plan_before.vm[0];
	CHECK(ledger_take_vm(&plan_before.vm[0], 0) == BH_OK);
	make_vm(0);
	vm_scrub_begin(vm_record(0));
	vm_scrub_end(vm_record(0));
}

/* All VMs of the card go, the boot manifest's stops; what is left is what there was. */
static void clear(void)
{
	for (uint32_t i = 0; i < machine_plan()->nvms; i++) {
		struct vm *vm = vm_record(i);

		if (vm == NULL)
			continue;
		if (vm->state != VM_STOPPED)
			CHECK(vm_end(vm, "the input is over") == BH_OK);
		vm->restarts = 0;
		vm->shared.console.tx_tail = vm->shared.console.tx_head;
		vm->shared.console.rx_tail = vm->shared.console.rx_head;
		if (!plan_vm_kept(vm_plan(vm)))
			CHECK(vm_delete(vm) == BH_OK);
	}
	machine_plan_change()->nvms = plan_before.nvms;
	if (vm_record(0) == NULL)
		bring_back();
	CHECK(memcmp(machine_plan(), &plan_before, sizeof(plan_before)) == 0);
	CHECK(ledger_check(machine_ledger(), machine_plan()) == BH_OK);
	CHECK(machine_ledger()->count == ledger_before.count);
	CHECK(memcmp(machine_ledger()->entry, ledger_before.entry,
		     ledger_before.count * sizeof(ledger_before.entry[0])) == 0);
}

/* ---- Making it ---- */

static void want(uint32_t i, struct plan *plan)
{
	struct image_info kernel = {.name = "kernel",
				    .size = IMAGE_BYTES,
				    .run_size = IMAGE_BYTES,
				    .kind = KERNEL_ARM64_IMAGE};
	struct manifest_vm vm = {.any_core = 1,
				 .ncores = 1 + i % 2,
				 .memory = VM_BYTES,
				 .console = 1,
				 .hotplug_ports = i == 0 ? PORTS : 0,
				 .kernel = "kernel"};
	struct bh_report report;
	uint32_t slot;

	memcpy(vm.name, names[i + 1], strlen(names[i + 1]) + 1);
	CHECK(plan_add(plan, machine_facts(), &vm, &kernel, 1, &slot, &report) == BH_OK);
	plan_set_boot(plan, slot, (struct extent){pa(0), PAGE_SIZE}, IMAGE_BYTES, 64, 0);
	wanted[i] = plan->vm[slot];
	if (i != 0)
		return;
	/* Each function into each port: the first one is taken, then the second. */
	for (uint32_t f = 0; f < FUNCTIONS; f++) {
		struct plan_vm *other = &plan->vm[slot];
		uint32_t first = other->nfunctions - other->nports;
		char name[16];

		snprintf(name, sizeof(name), "0000:01:%02x.0", f);
		for (uint32_t p = 0; p < PORTS; p++) {
			struct plan_function *function = &plugged[f * PORTS + p];

			CHECK(plan_plug(plan, machine_facts(), slot, name, function, &report) ==
			      BH_OK);
			other->function[first + p].function = 1 - f;
		}
		*other = wanted[i];
	}
}

static void make_wanted(void)
{
	static struct plan plan;

	plan = *machine_plan();
	want(0, &plan);
	want(1, &plan);
	plan = *machine_plan();
	want(2, &plan);
	for (uint32_t i = 0; i < IMAGE_BYTES; i++)
		image[i] = (uint8_t)i;
	CHECK(blake2b(digest, image, NULL, sizeof(digest), IMAGE_BYTES, 0) == 0);
}

/* As core_main() does it, up to where the cores start. */
static void boot(void)
{
	static const struct host_vm vms[] = {{.name = "boot", .ncores = 1, .mib = 8}};
	static struct page_pool pool;

	host_spare_ram(32 * MIB);
	struct boot_info *info = host_make(CORES, vms, ARRAY_SIZE(vms));

	for (uint32_t i = 0; i < FUNCTIONS; i++)
		host_add_function(info, PLAN_NONE);
	info->plan.card.present = 1;
	info->plan.card.function = MACHINE_NONE;
	info->plan.card.port = PROTOCOL_PORT;
	info->plan.card.registers = (struct extent){pa(HOST_DEVICES_BASE + GIB), PAGE_SIZE};
	info->plan.vm[0].image[IMAGE_KERNEL].size = IMAGE_BYTES; /* to be quick */
	info->plan.vm[0].image[IMAGE_INITRD].size = IMAGE_BYTES;
	info->plan.vm[0].restart_limit = 2;
	info->plan.vm[0].restart_window = 60;
	records_use(info);
	pool = (struct page_pool){info->pool.base, info->pool.size / PAGE_SIZE};
	make_cpus(&pool);
	make_own_space(&pool);
	make_vms();
	own_space_seal();
	make_ledger();
	entropy_init(info->seed, sizeof(info->seed));
	for (uint32_t i = 1; i < CORES; i++)
		cpu_record(i)->mailbox.state = CORE_IDLE;
	vm_scrub_begin(vm_record(0));
	vm_scrub_end(vm_record(0));
	make_wanted();
	plan_before = *machine_plan();
	ledger_before = *machine_ledger();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	input = data;
	input_left = size;
	if (ncores == 0)
		boot();
	s.piece = 0;
	if (!control_open())
		greet();
	for (uint32_t i = 0; input_left != 0 && i < MAX_STEPS; i++) {
		step();
		check_answers();
	}
	vm_take_functions();
	check_machine();
	clear();
	s.piece = 0;
	settle();
	if (s.size != 0 || s.broken)
		hang_up();
	return 0;
}
