/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The card's end of docs/control-protocol.md. Any frame that is not exactly as it
 * should be ends the connection: there is nothing to repair on a stream.
 */
#include "link.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/event.h>

static_assert(__BYTE_ORDER == __LITTLE_ENDIAN, "struct frame stands on the wire as it is");

struct pending {
	uint32_t number;
	enum message type;
	struct timeval sent;
	link_answer_fn *done;
	void *context;
};

struct link {
	struct bufferevent *bev;
	struct event *clock; /* looks after requests that are never answered */
	const struct link_callbacks *callbacks;
	void *context;
	uint64_t sent; /* frames */
	uint64_t received;
	uint32_t last_number;
	bool is_greeted;
	bool is_closed;
	uint32_t busy; /* callbacks of ours that are running: it may not be freed */
	uint32_t npending; /* in the order they were sent, which is that of their answers */
	struct pending pending[LINK_MAX_PENDING];
};

static void release(struct link *link)
{
	if (!link->is_closed || link->busy != 0)
		return;
	event_free(link->clock);
	free(link);
}

void link_close(struct link *link, const char *why)
{
	const struct answer lost = {.lost = true, .error = BH_BAD_MESSAGE, .detail = why};

	if (link->is_closed)
		return;
	link->is_closed = true;
	link->busy++;
	bufferevent_free(link->bev);
	event_del(link->clock);
	while (link->npending != 0) {
		struct pending p = link->pending[0];

		link->npending--;
		memmove(&link->pending[0], &link->pending[1],
			link->npending * sizeof(link->pending[0]));
		p.done(p.context, &lost);
	}
	link->callbacks->down(link->context, why);
	link->busy--;
	release(link);
}

/* ---- Out ---- */

static bool send_frame(struct link *link, enum message type, uint16_t flags, uint32_t number,
		       struct payload *m)
{
	struct evbuffer *out;
	struct frame frame;

	if (link->is_closed || (m && !payload_end(m)))
		return false;
	out = bufferevent_get_output(link->bev);
	if (evbuffer_get_length(out) > LINK_MAX_OUTPUT)
		return false;
	frame = (struct frame){
		.magic = FRAME_MAGIC,
		.length = m ? m->size : 0,
		.type = (uint16_t)type,
		.flags = flags,
		.request = number,
		.sequence = link->sent++,
	};
	evbuffer_add(out, &frame, sizeof(frame));
	if (m)
		evbuffer_add(out, m->buffer, m->size);
	return true;
}

uint32_t link_room(const struct link *link)
{
	return link->is_closed ? 0 : LINK_MAX_PENDING - link->npending;
}

bool link_request(struct link *link, enum message type, struct payload *m, link_answer_fn *done,
		  void *context)
{
	struct pending *p = &link->pending[link->npending];

	if (link_room(link) == 0)
		return false;
	if (++link->last_number == 0)
		link->last_number = 1;
	if (!send_frame(link, type, 0, link->last_number, m))
		return false;
	*p = (struct pending){.number = link->last_number, .type = type, .done = done};
	p->context = context;
	event_base_gettimeofday_cached(bufferevent_get_base(link->bev), &p->sent);
	link->npending++;
	return true;
}

static void let_pass(void *context, const struct answer *answer)
{
	(void)context;
	(void)answer;
}

void link_forget(struct link *link, const void *context)
{
	for (uint32_t i = 0; i < link->npending; i++)
		if (link->pending[i].context == context)
			link->pending[i].done = let_pass;
}

bool link_send(struct link *link, enum message type, struct payload *m)
{
	return send_frame(link, type, 0, 0, m);
}

/* ---- In ---- */

/* What is wrong with a frame's header; NULL when nothing is. */
static const char *header_fault(const struct link *link, const struct frame *f)
{
	static const uint8_t no_tag[FRAME_TAG_BYTES];

	if (f->magic != FRAME_MAGIC)
		return "a frame has a wrong magic";
	if (f->length > FRAME_PAYLOAD_MAX)
		return "a frame is longer than allowed";
	if (f->sequence != link->received)
		return "a frame is out of sequence";
	if (f->flags & ~FRAME_ANSWER)
		return "a frame has unknown flags";
	if (memcmp(f->tag, no_tag, sizeof(no_tag)) != 0)
		return "a frame has a tag, which version 1 does not know";
	return NULL;
}

static const char *take_answer(struct link *link, const struct frame *f, const void *tree)
{
	struct answer answer = {.tree = tree};
	struct pending p = link->pending[0];
	uint32_t error = 0;

	if (link->npending == 0 || p.number != f->request || p.type != (enum message)f->type)
		return "an answer to what was not asked";
	if (tree_u32(tree, 0, "error", &error) && error >= BH_ERROR_COUNT)
		return "an answer with an error that is not known";
	answer.error = (enum bh_error)error;
	answer.detail = tree_string(tree, 0, "detail");
	link->npending--;
	memmove(&link->pending[0], &link->pending[1], link->npending * sizeof(link->pending[0]));
	p.done(p.context, &answer);
	return NULL;
}

static const char *take_hello(struct link *link, const struct frame *f, const void *tree)
{
	struct payload m;

	if (link->is_greeted)
		return "a second hello";
	if (f->type != MESSAGE_HELLO || f->flags != 0 || f->request == 0 || !tree)
		return "the first frame is no hello";
	if (!link->callbacks->hello(link->context, tree))
		return "its hello was refused";
	link->is_greeted = true;
	payload_begin(&m);
	payload_u32(&m, "version", PROTOCOL_VERSION);
	if (!send_frame(link, MESSAGE_HELLO, FRAME_ANSWER, f->request, &m))
		return "cannot answer";
	link->callbacks->greeted(link->context);
	return NULL;
}

static const char *take_frame(struct link *link, const struct frame *f, const void *tree)
{
	if (!link->is_greeted || f->type == MESSAGE_HELLO)
		return take_hello(link, f, tree);
	if (f->flags & FRAME_ANSWER)
		return take_answer(link, f, tree);
	if (f->type != MESSAGE_CONSOLE && f->type != MESSAGE_LOG && f->type != MESSAGE_EVENT)
		return "a message of a type that only the card may send, or nobody";
	if (f->request != 0)
		return "a message that is not answered has a request number";
	if (!tree || !link->callbacks->push(link->context, (enum message)f->type, tree))
		return "a message lacks what it must have";
	return NULL;
}

/* Takes one frame from @in. False: more bytes are needed, or the link is closed. */
static bool next_frame(struct link *link, struct evbuffer *in)
{
	struct frame f;
	const char *fault;
	uint64_t *tree = NULL;

	if (evbuffer_copyout(in, &f, sizeof(f)) != (ev_ssize_t)sizeof(f))
		return false;
	fault = header_fault(link, &f);
	if (!fault && evbuffer_get_length(in) < sizeof(f) + f.length)
		return false;
	if (!fault && f.length != 0 && !(tree = malloc(f.length)))
		fault = "out of memory";
	if (!fault) {
		link->received++;
		evbuffer_drain(in, sizeof(f));
		evbuffer_remove(in, tree, f.length);
		fault = tree && !tree_valid(tree, f.length) ? "a payload is no device tree"
							    : take_frame(link, &f, tree);
	}
	free(tree);
	if (fault)
		link_close(link, fault);
	return !link->is_closed;
}

static void on_read(struct bufferevent *bev, void *context)
{
	struct link *link = context;

	link->busy++;
	while (!link->is_closed && next_frame(link, bufferevent_get_input(bev)))
		;
	link->busy--;
	release(link);
}

static void on_event(struct bufferevent *bev, short what, void *context)
{
	(void)bev;
	if (what & BEV_EVENT_EOF)
		link_close(context, "the connection was closed");
	else if (what & BEV_EVENT_ERROR)
		link_close(context, "the connection broke");
}

static void on_clock(evutil_socket_t fd, short what, void *context)
{
	struct link *link = context;
	struct timeval now;

	(void)fd;
	(void)what;
	event_base_gettimeofday_cached(bufferevent_get_base(link->bev), &now);
	if (!link->is_greeted)
		link_close(link, "it did not say hello within 10 seconds");
	else if (link->npending != 0 &&
		 now.tv_sec - link->pending[0].sent.tv_sec > LINK_REQUEST_SECONDS)
		link_close(link, "a request was not answered");
}

struct link *link_new(struct bufferevent *bev, const struct link_callbacks *callbacks,
		      void *context)
{
	const struct timeval period = {10, 0};
	struct link *link = calloc(1, sizeof(*link));

	if (link)
		link->clock = event_new(bufferevent_get_base(bev), -1, EV_PERSIST, on_clock, link);
	if (!link || !link->clock) {
		bufferevent_free(bev);
		free(link);
		return NULL;
	}
	link->bev = bev;
	link->callbacks = callbacks;
	link->context = context;
	event_add(link->clock, &period);
	bufferevent_setwatermark(bev, EV_READ, 0, 4 * FRAME_PAYLOAD_MAX);
	bufferevent_setcb(bev, on_read, NULL, on_event, link);
	bufferevent_enable(bev, EV_READ | EV_WRITE);
	return link;
}
