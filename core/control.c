/* SPDX-License-Identifier: Apache-2.0 */
/* The connection to the card: dials, frames, answers, and what the card is told unasked (docs/control-protocol.md). */
#include "control.h"

#include <bulkhead/vsock.h>

#include <string.h>

#define DIAL_MIN_MS 250U
#define DIAL_MAX_MS 8000U
#define LOOK_MS 1U /* how often a connection is looked at when nothing moves */
#define CONNECT_SECONDS 5U
#define MAX_EVENTS 32U
#define LOG_BYTES 4096U /* of the log in one frame */
#define CONSOLE_BYTES 4096U

struct buffer {
	struct frame header;
	uint8_t payload[FRAME_PAYLOAD_MAX] __attribute__((aligned(8)));
};

static_assert(offsetof(struct buffer, payload) == sizeof(struct frame), "one piece to send");

/* What happened to a VM: its name, since it may be gone when the card hears of it. */
struct event {
	char vm[MANIFEST_NAME_MAX + 1];
	const char *why;
	uint64_t ticks;
	enum vm_event_kind kind;
	struct vcpu_fault fault; /* its what is NULL: none */
};

static struct {
	bool greeted; /* the card has answered our hello */
	bool begun; /* this connection's hello is on its way */
	bool dialled;
	uint32_t pause_ms; /* before the next dial */
	uint64_t next; /* ticks: of that dial, or when connecting has taken too long */
	uint64_t sent_frames;
	uint64_t taken_frames;
	uint32_t in_size; /* bytes of @in so far */
	uint32_t out_size;
	uint32_t out_sent;
	uint32_t events_first;
	uint32_t nevents;
} c = {.pause_ms = DIAL_MIN_MS};

static struct buffer in, out;
static struct event events[MAX_EVENTS];

static uint64_t ms(uint32_t count)
{
	return arch_tick_rate() * count / 1000;
}

/* ---- Sending ---- */

/* @length bytes of payload stand in out.payload. */
static void put_frame(enum message type, uint16_t flags, uint32_t request, uint32_t length)
{
	out.header = (struct frame){.magic = FRAME_MAGIC,
				    .length = length,
				    .type = (uint16_t)type,
				    .flags = flags,
				    .request = request,
				    .sequence = c.sent_frames++};
	c.out_size = (uint32_t)sizeof(struct frame) + length;
	c.out_sent = 0;
}

/* True when some of it could go. */
static bool send_more(void)
{
	uint32_t sent = vsock_write((const uint8_t *)&out + c.out_sent, c.out_size - c.out_sent);

	c.out_sent += sent;
	if (c.out_sent == c.out_size)
		c.out_sent = c.out_size = 0;
	return sent != 0;
}

static void send_hello(void)
{
	struct payload p;

	payload_begin(&p, out.payload);
	message_hello(&p);
	put_frame(MESSAGE_HELLO, 0, 1, payload_end(&p));
}

static bool send_event(void)
{
	const struct event *e = &events[c.events_first % MAX_EVENTS];
	static const char *const kinds[] = {
#define EVENT_KIND_TEXT(name, text) [name] = text,
		EVENT_KINDS(EVENT_KIND_TEXT)
#undef EVENT_KIND_TEXT
	};
	struct payload p;

	if (c.nevents == 0)
		return false;
	payload_begin(&p, out.payload);
	payload_text(&p, "vm", e->vm);
	payload_text(&p, "event", kinds[e->kind]);
	payload_u64(&p, "time-us", microseconds(e->ticks));
	payload_text(&p, "why", e->why);
	if (e->fault.what != NULL) {
		payload_u64(&p, "address", e->fault.address);
		payload_u64(&p, "pc", e->fault.pc);
		payload_u64(&p, "syndrome", e->fault.syndrome);
	}
	put_frame(MESSAGE_EVENT, 0, 0, payload_end(&p));
	c.events_first++;
	c.nevents--;
	return true;
}

static bool send_log(void)
{
	static char text[LOG_BYTES];
	uint32_t dropped = 0;
	struct payload p;

	if (!log_take(LOG_CARD, text, sizeof(text), &dropped))
		return false;
	payload_begin(&p, out.payload);
	payload_text(&p, "text", text);
	payload_u32(&p, "dropped", dropped);
	put_frame(MESSAGE_LOG, 0, 0, payload_end(&p));
	return true;
}

static bool send_console(struct vm *vm)
{
	static char bytes[CONSOLE_BYTES];
	uint32_t count = vm != NULL ? console_take(vm, bytes, sizeof(bytes)) : 0;
	struct payload p;

	if (count == 0)
		return false;
	payload_begin(&p, out.payload);
	payload_text(&p, "vm", vm_plan(vm)->name);
	payload_bytes(&p, "data", bytes, count);
	put_frame(MESSAGE_CONSOLE, 0, 0, payload_end(&p));
	return true;
}

/* One frame of what nobody asked for. Log first: a VM's steps come before the event they led to. */
static bool push(void)
{
	static uint32_t turn; /* so that one console does not keep the others waiting */

	if (send_log() || send_event())
		return true;
	if (prompt_attached()) /* the operator looks */
		return false;
	for (uint32_t i = 0; i < machine_plan()->nvms; i++)
		if (send_console(vm_record(++turn % machine_plan()->nvms)))
			return true;
	return false;
}

/* ---- Receiving ---- */

static void lost(const char *why)
{
	if (c.greeted)
		log_line("card: %s", why);
	vsock_close();
	c.greeted = c.begun = c.dialled = false;
	c.in_size = c.out_size = c.out_sent = 0;
	c.sent_frames = c.taken_frames = 0;
	c.next = arch_ticks() + ms(c.pause_ms);
	c.pause_ms = c.pause_ms * 2 < DIAL_MAX_MS ? c.pause_ms * 2 : DIAL_MAX_MS;
}

static bool header_valid(const struct frame *h)
{
	static const uint8_t no_tag[FRAME_TAG_BYTES];

	return h->magic == FRAME_MAGIC && h->length <= FRAME_PAYLOAD_MAX &&
	       h->sequence == c.taken_frames && memcmp(h->tag, no_tag, sizeof(no_tag)) == 0;
}

static void answer(const struct frame *request, const void *tree)
{
	struct bh_report report = {BH_OK, ""};
	struct payload p;

	payload_begin(&p, out.payload);
	payload_u32(&p, "error", BH_OK); /* before a list's nodes: behind them nobody finds it */
	enum bh_error error = message_handle(request->type, tree, &p, &report);

	if (error != BH_OK) { /* nothing but that */
		payload_begin(&p, out.payload);
		payload_u32(&p, "error", (uint32_t)error);
		payload_text(&p, "detail",
			     report.text[0] != '\0' ? report.text : bh_strerror(error));
	}
	put_frame((enum message)request->type, FRAME_ANSWER, request->request, payload_end(&p));
}

/* The card has taken our hello. */
static void welcome(void)
{
	c.greeted = true;
	c.pause_ms = DIAL_MIN_MS;
	log_line("card: connected");
}

/* A whole frame is in @in; false when it may not be there. */
static bool take_frame(void)
{
	const struct frame *h = &in.header;
	const void *tree = h->length != 0 ? in.payload : NULL;

	if (tree != NULL && !payload_valid(tree, h->length))
		return false;
	if (!c.greeted) {
		if (h->type != MESSAGE_HELLO || h->flags != FRAME_ANSWER)
			return false;
		welcome();
	} else if (h->flags != 0 || (h->request == 0) != (h->type == MESSAGE_CONSOLE)) {
		return false; /* we have asked nothing; only bytes for a console are not answered */
	} else if (h->type == MESSAGE_CONSOLE) {
		message_console(tree);
	} else {
		answer(h, tree);
	}
	return true;
}

/* True when something came. */
static bool receive(void)
{
	uint32_t want = sizeof(struct frame);

	if (c.in_size >= want)
		want += in.header.length;
	uint32_t got = vsock_read((uint8_t *)&in + c.in_size, want - c.in_size);

	c.in_size += got;
	if (c.in_size < sizeof(struct frame))
		return got != 0;
	if (!header_valid(&in.header)) {
		lost("sent what is no frame; disconnected");
		return true;
	}
	if (c.in_size < sizeof(struct frame) + in.header.length)
		return got != 0;
	c.in_size = 0;
	c.taken_frames++;
	if (!take_frame())
		lost("sent a malformed frame; disconnected");
	return true;
}

/* ---- The connection ---- */

static bool dial(enum vsock_state state)
{
	if (arch_ticks() < c.next)
		return false;
	if (state == VSOCK_CONNECTING) {
		lost("did not answer");
		return false;
	}
	vsock_connect(machine_plan()->card.port);
	c.dialled = true;
	c.next = arch_ticks() + CONNECT_SECONDS * arch_tick_rate();
	return true;
}

static bool converse(void)
{
	if (!c.begun) {
		c.begun = true;
		send_hello();
	}
	if (c.out_size != 0)
		return send_more();
	if (receive())
		return true;
	return c.greeted && push();
}

bool control_poll(void)
{
	if (!machine_plan()->card.present)
		return false;
	enum vsock_state state = vsock_poll();

	if (state == VSOCK_OPEN)
		return converse();
	if (c.begun || (c.dialled && state == VSOCK_CLOSED))
		lost("connection lost");
	return dial(state);
}

bool control_open(void)
{
	return c.greeted;
}

uint64_t control_deadline(void)
{
	return machine_plan()->card.present ? arch_ticks() + ms(LOOK_MS) : 0;
}

void control_event(const struct vm *vm, enum vm_event_kind kind, const char *why,
		   const struct vcpu_fault *fault)
{
	struct event *e = &events[(c.events_first + c.nevents) % MAX_EVENTS];

	if (c.nevents == MAX_EVENTS)
		c.events_first++; /* the oldest goes */
	else
		c.nevents++;
	*e = (struct event){.why = why, .ticks = arch_ticks(), .kind = kind};
	memcpy(e->vm, vm_plan(vm)->name, sizeof(e->vm));
	if (fault != NULL)
		e->fault = *fault;
}
