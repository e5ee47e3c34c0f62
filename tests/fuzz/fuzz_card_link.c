/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hostile hypervisor against bhcard's link and what it makes of frames: any bytes, frames with any payload, good and patched
 * trees as hello, answers, logs, consoles and events, in any order and pieces. The card survives, keeps to names and counts
 * that the machine can have, and takes a good hypervisor's hello afterwards.
 */
#include "input.h"

#include <ftw.h>
#include <stdio.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <libfdt.h>

#include "tools/bhcard/host.h"

#define MAX_STEPS 12
#define MAX_ASKED 64 /* requests that are remembered */

static struct event_base *base;
static struct host *host;
static struct machine machine;
static struct bufferevent *server;
static uint64_t sequence;
static struct {
	uint16_t type;
	uint32_t number;
} asked[MAX_ASKED];
static uint32_t first_asked, nasked;
static uint64_t tree[FRAME_PAYLOAD_MAX / 8];
static uint32_t tree_size;
static struct plan_vm plan;
static char folder[] = "/tmp/fuzz-card-link-XXXXXX";
static const char *const names[] = {
	"web", "db", "old", "", "UPPER", "a-name-that-is-much-longer-than-31-characters"};
static const char *const kinds[] = {"started", "stopped", "off", "reset", "aborted", "party"};

/* ---- The connection ---- */

static void settle(void)
{
	for (int i = 0; i < 3; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
}

/* What the card asks. */
static void take_requests(void)
{
	struct evbuffer *in = server != NULL ? bufferevent_get_input(server) : NULL;
	struct frame f;

	while (in != NULL && evbuffer_copyout(in, &f, sizeof(f)) == (ev_ssize_t)sizeof(f)) {
		CHECK(f.magic == FRAME_MAGIC && f.length <= FRAME_PAYLOAD_MAX);
		if (evbuffer_get_length(in) < sizeof(f) + f.length)
			return;
		evbuffer_drain(in, sizeof(f) + f.length);
		if (f.flags == 0 && f.request != 0 && nasked < MAX_ASKED) {
			asked[(first_asked + nasked) % MAX_ASKED].type = f.type;
			asked[(first_asked + nasked++) % MAX_ASKED].number = f.request;
		}
	}
}

static void on_event(struct bufferevent *bev, short what, void *context)
{
	(void)context;
	if ((what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)) != 0 && bev == server) {
		bufferevent_free(server);
		server = NULL;
	}
}

static void dial(void)
{
	struct bufferevent *pair[2];

	if (server != NULL)
		bufferevent_free(server);
	CHECK(bufferevent_pair_new(base, 0, pair) == 0);
	server = pair[1];
	bufferevent_setcb(server, NULL, NULL, on_event, NULL);
	bufferevent_enable(server, EV_READ | EV_WRITE);
	sequence = 0;
	first_asked = nasked = 0;
	host_attach(host, pair[0]);
	CHECK(host->link != NULL);
}

static void send_bytes(const void *bytes, size_t size)
{
	if (server != NULL)
		bufferevent_write(server, bytes, size);
	settle();
	take_requests();
}

static void send_frame(uint16_t type, uint16_t flags, uint32_t request, const void *payload,
		       uint32_t size)
{
	struct frame f = {.magic = FRAME_MAGIC,
			  .length = size,
			  .type = type,
			  .flags = flags,
			  .request = request,
			  .sequence = sequence++};
	uint8_t wrong = input_byte();

	if (wrong >= 250)
		((uint8_t *)&f)[input_byte() % sizeof(f)] ^= (uint8_t)(1U << (wrong & 7));
	if (server != NULL)
		bufferevent_write(server, &f, sizeof(f));
	send_bytes(payload, size);
}

/* ---- Trees ---- */

static void begin(void)
{
	fdt_create(tree, sizeof(tree));
	fdt_finish_reservemap(tree);
	fdt_begin_node(tree, "");
}

static void text(const char *name, const char *value)
{
	fdt_property(tree, name, value, (int)strlen(value) + 1);
}

/* The tree is whole; some of its bytes change. */
static void end(bool patched)
{
	fdt_end_node(tree);
	fdt_finish(tree);
	tree_size = fdt_totalsize(tree);
	for (uint8_t more = patched ? input_byte() : 0; more >= 192; more = input_byte())
		((uint8_t *)tree)[input_u32() % tree_size] = input_byte();
}

static void make_hello(bool patched)
{
	struct extent extent = {machine.memory[0].extent.base, MIB};

	begin();
	fdt_property_u32(tree, "version", PROTOCOL_VERSION);
	fdt_property_u64(tree, "build-id", 1);
	fdt_property_u64(tree, "boot-id", 2);
	fdt_property_u64(tree, "time-us", 3);
	fdt_property(tree, "machine", &machine, sizeof(machine));
	fdt_property_u32(tree, "plan-size", sizeof(struct plan));
	fdt_property_u32(tree, "management-core", 0);
	fdt_property_u32(tree, "console-interrupt", 0);
	fdt_property(tree, "core", &extent, sizeof(extent));
	fdt_property(tree, "images", &extent, sizeof(extent));
	end(patched);
}

static void describe(uint8_t what)
{
	fdt_property_u32(tree, "slot", what % (CONFIG_MAX_VMS + 2));
	text("state", vm_word((enum vm_is)(what % VM_IS_COUNT)));
	fdt_property_u32(tree, "kept", what >> 7);
}

static void make_answer(uint16_t type)
{
	uint8_t what = input_byte();

	begin();
	if (what % 8 == 7)
		fdt_property_u32(tree, "error", what % (BH_ERROR_COUNT + 2));
	if (type == MESSAGE_INFO) {
		memcpy(plan.name, names[what % 2], strlen(names[what % 2]) + 1);
		describe(input_byte());
		fdt_property(tree, "plan", &plan, sizeof(plan));
	}
	for (uint32_t i = 0; type == MESSAGE_LIST && i < what % 4; i++) {
		fdt_begin_node(tree, names[input_byte() % 8 < 6 ? i : 4]);
		describe((uint8_t)i);
		fdt_end_node(tree);
	}
	end(true);
}

static void make_push(uint16_t type)
{
	uint8_t what = input_byte();
	const uint8_t *bytes;
	size_t size = input_bytes(&bytes, what >> 3);

	begin();
	text("vm", names[what % 6]);
	if (type == MESSAGE_EVENT)
		text("event", kinds[what / 6 % 6]);
	fdt_property_u64(tree, "time-us", what);
	fdt_property(tree, type == MESSAGE_CONSOLE ? "data" : "why", bytes, (int)size);
	fdt_property_u64(tree, "address", what);
	fdt_property_u32(tree, "dropped", what);
	text("text", names[what % 6]);
	end(true);
}

/* ---- Steps ---- */

static void answer(void)
{
	uint16_t type = MESSAGE_LIST;
	uint32_t number = 1;

	if (nasked != 0) {
		type = asked[first_asked % MAX_ASKED].type;
		number = asked[first_asked % MAX_ASKED].number;
		first_asked++;
		nasked--;
	}
	make_answer(type);
	send_frame(type, FRAME_ANSWER, number, tree, tree_size);
}

static void step(void)
{
	static const uint16_t pushed[] = {MESSAGE_CONSOLE, MESSAGE_LOG, MESSAGE_EVENT};
	uint8_t what = input_byte();
	const uint8_t *bytes;
	size_t size;

	switch (what % 16) {
	case 0:
		size = input_bytes(&bytes, input_byte());
		send_bytes(bytes, size);
		break;
	case 1:
		size = input_bytes(&bytes, input_byte());
		send_frame(input_byte(), what >> 7, what >> 6 & 1, bytes, (uint32_t)size);
		break;
	case 2:
		dial();
		break;
	case 3:
		make_hello(true);
		send_frame(MESSAGE_HELLO, 0, 1, tree, tree_size);
		break;
	case 4:
	case 5:
	case 6:
		make_push(pushed[what % 16 - 4]);
		send_frame(pushed[what % 16 - 4], 0, 0, tree, tree_size);
		break;
	default:
		answer();
		break;
	}
}

static void check_host(void)
{
	CHECK(host->plan.nvms <= CONFIG_MAX_VMS &&
	      host->plan.nimages <= ARRAY_SIZE(host->plan.images));
	CHECK(host->facts.machine.ncpus <= CONFIG_MAX_CPUS);
	for (const struct vm *vm = host->vms; vm != NULL; vm = vm->next) {
		CHECK(spec_name_valid(vm->name) && vm->is < VM_IS_COUNT && vm->host == host);
		CHECK(vm->is == IS_ABSENT || vm->slot < CONFIG_MAX_VMS);
	}
}

/* A good hypervisor dials, says that it has no VM, and the card knows that. */
static void recover(void)
{
	input_left = 0;
	dial();
	make_hello(false);
	send_frame(MESSAGE_HELLO, 0, 1, tree, tree_size);
	CHECK(nasked == 1 && asked[first_asked % MAX_ASKED].type == MESSAGE_LIST);
	begin();
	end(false);
	send_frame(MESSAGE_LIST, FRAME_ANSWER, asked[first_asked % MAX_ASKED].number, tree,
		   tree_size);
	CHECK(server != NULL && host->is_synced);
	CHECK(host->vms != NULL && host->vms->next == NULL);
}

/* ---- The card ---- */

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *at)
{
	(void)status;
	(void)kind;
	(void)at;
	return remove(path);
}

static void clean_up(void)
{
	nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void make_card(void)
{
	json_t *web = json_pack("{s:s, s:i, s:s}", "name", "web", "core_count", 1, "memory", "64M");
	struct fail fail;

	CHECK(mkdtemp(folder) != NULL && atexit(clean_up) == 0);
	base = event_base_new();
	host = host_new(base, "m1", folder, NULL, NULL, &fail);
	CHECK(host != NULL && host_add(host, web, &fail) != NULL);
	json_decref(web);
	memcpy(machine.name, "fake", 5);
	machine.ncpus = 4;
	machine.nmemory = 1;
	machine.memory[0].extent = (struct extent){pa(GIB), GIB};
	plan.ncores = 1;
	plan.nregions = 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	input = data;
	input_left = size;
	if (host == NULL)
		make_card();
	dial();
	if (input_byte() & 1) {
		make_hello(false);
		send_frame(MESSAGE_HELLO, 0, 1, tree, tree_size);
	}
	for (uint32_t i = 0; input_left != 0 && i < MAX_STEPS; i++) {
		step();
		check_host();
	}
	recover();
	return 0;
}
