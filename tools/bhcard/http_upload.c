/* SPDX-License-Identifier: Apache-2.0 */
/*
 * evhttp hands over a request when its whole body is in memory, which an image
 * must not be. So each new connection is looked at before evhttp does: a PUT
 * to an upload's path is carried out here, anything else is given on untouched.
 */
#include <stdlib.h>
#include <string.h>

#include <event2/bufferevent.h>
#include <event2/event.h>

#include "http.h"

#define HEAD_MAX 8192

struct guard {
	struct guard *next, **link; /* of all that http_guards() has */
	struct http *http;
	struct bufferevent *bev;
	struct event *accepted; /* pending until evhttp has set its callbacks */
	bufferevent_data_cb read; /* evhttp's callbacks */
	bufferevent_data_cb write;
	bufferevent_event_cb event;
	void *context;
	void *upload; /* NULL: none is on its way */
	uint64_t left; /* bytes of it */
	bool is_answered; /* what still comes is thrown away until the client has gone */
};

static void guard_free(struct guard *g)
{
	*g->link = g->next;
	if (g->next)
		g->next->link = g->link;
	if (g->accepted)
		event_free(g->accepted);
	free(g);
}

/* Gives the connection back to evhttp. */
static void give_back(struct guard *g)
{
	bufferevent_setcb(g->bev, g->read, g->write, g->event, g->context);
}

static void close_connection(struct guard *g, short what)
{
	void *context;
	const struct http_site *site = http_site(g->http, &context);
	struct bufferevent *bev = g->bev;

	if (g->upload)
		site->upload_drop(g->upload);
	give_back(g);
	g->event(bev, what, g->context); /* frees it */
	guard_free(g);
}

static const char *reason(int status)
{
	switch (status) {
	case 100:
		return "Continue";
	case 200:
		return "OK";
	case 403:
		return "Forbidden";
	case 404:
		return "Not Found";
	case 409:
		return "Conflict";
	case 411:
		return "Length Required";
	case 413:
		return "Payload Too Large";
	case 503:
		return "Service Unavailable";
	default:
		return status < 500 ? "Bad Request" : "Internal Server Error";
	}
}

/* Takes @json over. */
static void answer(struct guard *g, int status, json_t *json)
{
	char *text = json_dumps(json, JSON_COMPACT);
	size_t size = text ? strlen(text) : 0;

	evbuffer_add_printf(bufferevent_get_output(g->bev),
			    "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: "
			    "%zu\r\nConnection: close\r\n\r\n%s",
			    status, reason(status), size, text ? text : "");
	bufferevent_enable(g->bev, EV_WRITE);
	g->is_answered = true;
	json_decref(json);
	free(text);
}

static void refuse(struct guard *g, const struct fail *fail)
{
	void *context;
	const struct http_site *site = http_site(g->http, &context);

	if (g->upload)
		site->upload_drop(g->upload);
	g->upload = NULL;
	answer(g, fail->status, site->refusal(fail));
}

/* ---- The body ---- */

static void take_body(struct guard *g)
{
	struct evbuffer *in = bufferevent_get_input(g->bev);
	void *context;
	const struct http_site *site = http_site(g->http, &context);
	struct fail fail = {500, "BH_CARD", "what came cannot be read"};
	json_t *json = NULL;
	uint8_t block[16384];
	bool good = true;

	while (g->left != 0 && evbuffer_get_length(in) != 0 && good) {
		size_t want = g->left < sizeof(block) ? (size_t)g->left : sizeof(block);
		int got = evbuffer_remove(in, block, want);

		good = got > 0 && site->upload_add(g->upload, block, (size_t)got, &fail);
		g->left -= good ? (size_t)got : 0;
	}
	if (good && g->left != 0)
		return;
	if (good) {
		good = site->upload_end(g->upload, &json, &fail);
		g->upload = NULL;
	}
	if (good)
		answer(g, 200, json);
	else
		refuse(g, &fail);
}

/* ---- The head ---- */

/* The value of header @name in @head, which ends each line with CR LF; NULL: it has none. */
static const char *header(const char *head, const char *name)
{
	size_t length = strlen(name);

	for (const char *line = strstr(head, "\r\n"); line; line = strstr(line + 2, "\r\n")) {
		if (strncasecmp(line + 2, name, length) == 0 && line[2 + length] == ':')
			return line + 3 + length + strspn(line + 3 + length, " \t");
	}
	return NULL;
}

static bool read_length(const char *head, uint64_t *length, struct fail *fail)
{
	const char *value = header(head, "Content-Length");
	char *end = NULL;

	if (!value || *value < '0' || *value > '9')
		return fail_with(fail, 411, "BH_BAD_REQUEST", "an upload needs a Content-Length");
	*length = strtoull(value, &end, 10);
	if (*length == 0 || *length > INT64_MAX || *end != '\r')
		return fail_with(fail, FAIL_REQUEST, "an upload needs at least one byte");
	return true;
}

/* The head of an upload is whole: @head ends with an empty line. */
static void begin(struct guard *g, const char *head, const char *path)
{
	void *context;
	const struct http_site *site = http_site(g->http, &context);
	const char *expect = header(head, "Expect");
	struct fail fail;

	if (!http_is_ours(bufferevent_getfd(g->bev), header(head, "Host"), header(head, "Origin"),
			  &fail) ||
	    !read_length(head, &g->left, &fail) ||
	    !(g->upload = site->upload_begin(context, path, g->left, &fail))) {
		refuse(g, &fail);
		return;
	}
	if (expect && strncasecmp(expect, "100-continue", 12) == 0) {
		evbuffer_add_printf(bufferevent_get_output(g->bev), "HTTP/1.1 100 %s\r\n\r\n",
				    reason(100));
		bufferevent_enable(g->bev, EV_WRITE);
	}
	take_body(g);
}

enum verdict { IS_UPLOAD, IS_OTHER, IS_OPEN };

/* Is what has come (@text, one line at least or the beginning of one) an upload? Its path goes to @path. */
static enum verdict judge(const struct http_site *site, const char *text, char path[512])
{
	size_t length = strlen(text);
	size_t end;

	if (strncmp(text, "PUT ", length < 4 ? length : 4) != 0)
		return IS_OTHER;
	if (length < 4)
		return IS_OPEN;
	end = strcspn(text + 4, " ?\r\n");
	if (end >= 512)
		return IS_OTHER;
	if (text[4 + end] == '\0')
		return IS_OPEN;
	memcpy(path, text + 4, end);
	path[end] = '\0';
	return site->is_upload(path) ? IS_UPLOAD : IS_OTHER;
}

static void on_first(struct guard *g)
{
	struct evbuffer *in = bufferevent_get_input(g->bev);
	size_t size = evbuffer_get_length(in);
	struct bufferevent *bev = g->bev;
	char head[HEAD_MAX + 1];
	char path[512];
	void *context;
	const struct http_site *site = http_site(g->http, &context);
	enum verdict verdict;
	char *end;

	size = size < HEAD_MAX ? size : HEAD_MAX;
	evbuffer_copyout(in, head, size);
	head[size] = '\0';
	verdict = judge(site, head, path);
	if (verdict == IS_OPEN && strlen(head) < size)
		verdict = IS_OTHER; /* no text: more of it will not help */
	end = strstr(head, "\r\n\r\n");
	if (verdict == IS_OPEN || (verdict == IS_UPLOAD && !end && size < HEAD_MAX))
		return;
	if (verdict == IS_UPLOAD && end) {
		evbuffer_drain(in, (size_t)(end - head) + 4);
		end[2] = '\0';
		begin(g, head, path);
		return;
	}
	give_back(g);
	g->read(bev, g->context);
	guard_free(g);
}

static void on_read(struct bufferevent *bev, void *context)
{
	struct guard *g = context;
	struct evbuffer *in = bufferevent_get_input(bev);

	if (g->is_answered)
		evbuffer_drain(in, evbuffer_get_length(in));
	else if (g->upload)
		take_body(g);
	else
		on_first(g);
}

static void on_write(struct bufferevent *bev, void *context)
{
	struct guard *g = context;

	/* A client that still sends would not see the answer if the connection were closed under it: it has a second. */
	const struct timeval pause = {1, 0};

	if (g->is_answered && g->left == 0)
		close_connection(g, BEV_EVENT_READING | BEV_EVENT_EOF);
	else if (g->is_answered)
		bufferevent_set_timeouts(bev, &pause, NULL);
}

static void on_event(struct bufferevent *bev, short what, void *context)
{
	(void)bev;
	close_connection(context, what);
}

/* evhttp has set its callbacks meanwhile: stand before them. */
static void on_accepted(evutil_socket_t fd, short what, void *context)
{
	struct guard *g = context;

	(void)fd;
	(void)what;
	event_free(g->accepted);
	g->accepted = NULL;
	bufferevent_getcb(g->bev, &g->read, &g->write, &g->event, &g->context);
	if (bufferevent_decref(g->bev) || !g->event || !g->read)
		guard_free(g); /* it failed already */
	else
		bufferevent_setcb(g->bev, on_read, on_write, on_event, g);
}

void http_upload_end(struct http *http)
{
	void *context;
	const struct http_site *site = http_site(http, &context);

	while (*http_guards(http)) {
		struct guard *g = *http_guards(http);

		if (g->upload)
			site->upload_drop(g->upload);
		if (g->accepted)
			bufferevent_decref(g->bev);
		guard_free(g);
	}
}

static struct guard *guard_new(struct event_base *base, struct http *http, struct bufferevent *bev)
{
	struct guard *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	g->accepted = evtimer_new(base, on_accepted, g);
	if (!g->accepted) {
		free(g);
		return NULL;
	}
	g->http = http;
	g->bev = bev;
	g->link = http_guards(http);
	g->next = *g->link;
	*g->link = g;
	if (g->next)
		g->next->link = &g->next;
	bufferevent_incref(bev);
	event_active(g->accepted, EV_TIMEOUT, 1); /* before anything can be read */
	return g;
}

struct bufferevent *http_upload_guard(struct event_base *base, void *http)
{
	struct bufferevent *bev = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
	void *context;

	if (!bev)
		return NULL;
	/* More than a body and its head need not be read ahead. */
	bufferevent_setwatermark(bev, EV_READ, 0, HTTP_BODY_MAX + 2 * HEAD_MAX + 65536);
	if (http_site(http, &context)->is_upload)
		guard_new(base, http, bev);
	return bev;
}
