/* SPDX-License-Identifier: Apache-2.0 */
/* Answers without an end: console output, the log, events. */
#include <stdlib.h>
#include <string.h>

#include "card.h"

/* One client that listens to one feed. */
struct follower {
	struct stream *stream;
	struct listener *listener;
};

static void left(void *context)
{
	struct follower *f = context;

	if (f->listener)
		feed_leave(f->listener);
	free(f);
}

static void end(struct follower *f)
{
	struct stream *stream = f->stream;

	left(f);
	stream_end(stream);
}

static void heard(void *context, const void *data, size_t size)
{
	struct follower *f = context;

	if (size == 0) /* the feed is over, and with it the listener */
		f->listener = NULL;
	if (size == 0 || !stream_write(f->stream, data, size))
		end(f);
}

/* Sends what is kept (@kept, freed here), then what comes. */
static void follow(struct call *call, const char *type, struct evbuffer *kept, struct feed *feed)
{
	struct follower *f = calloc(1, sizeof(*f));

	if (!f || !kept) {
		free(f);
		call_empty(call, 500);
	} else if ((f->stream = call_stream(call, type, left, f))) {
		stream_add(f->stream, kept);
		f->listener = feed ? feed_listen(feed, heard, f) : NULL;
		if (!f->listener)
			end(f);
	} else {
		free(f);
	}
	if (kept)
		evbuffer_free(kept);
}

/* True for ?name, ?name=1; @otherwise where it is not there. */
static bool flag(const struct call *call, const char *name, bool otherwise)
{
	const char *query = strchr(evhttp_request_get_uri(call->request), '?');
	const char *value = call_query(call, name);

	if (value)
		return strcmp(value, "0") != 0;
	/* evhttp forgets what has no value. */
	return otherwise || (query && strcmp(query + 1, name) == 0);
}

static bool number(const struct call *call, const char *name, uint64_t *value)
{
	const char *text = call_query(call, name);
	char *rest = NULL;

	if (!text || *text < '0' || *text > '9')
		return false;
	*value = strtoull(text, &rest, 10);
	return *rest == '\0';
}

void api_console_get(struct card *card, struct call *call, struct host *host, struct vm *vm)
{
	struct evbuffer *kept = evbuffer_new();
	uint64_t tail = SIZE_MAX;

	(void)card;
	(void)host;
	number(call, "tail", &tail);
	if (kept)
		spool_read(vm->console, tail, kept);
	follow(call, "application/octet-stream", kept,
	       flag(call, "follow", true) ? &vm->output : NULL);
}

void api_logs_get(struct card *card, struct call *call, struct host *host, struct vm *vm)
{
	struct evbuffer *kept = evbuffer_new();

	(void)card;
	(void)vm;
	if (kept)
		spool_read(host->log, SIZE_MAX, kept);
	follow(call, "text/plain; charset=utf-8", kept,
	       flag(call, "follow", false) ? &host->log_lines : NULL);
}

void api_events_get(struct card *card, struct call *call, struct host *host, struct vm *vm)
{
	const char *last = evhttp_find_header(evhttp_request_get_input_headers(call->request),
					      "Last-Event-ID");
	uint64_t since = last ? strtoull(last, NULL, 10) : host->journal.last;
	struct evbuffer *kept = evbuffer_new();

	(void)card;
	(void)vm;
	number(call, "since", &since);
	if (kept) { /* the comment makes the head go out at once */
		evbuffer_add_printf(kept, ": events of %s\n\n", host->name);
		journal_read(&host->journal, since, kept);
	}
	follow(call, "text/event-stream", kept, &host->journal.feed);
}
