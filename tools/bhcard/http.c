/* SPDX-License-Identifier: Apache-2.0 */
#include "http.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <event2/bufferevent.h>
#include <event2/listener.h>

#include "text.h"

#define HEADERS_MAX 16384
#define STREAM_MAX (1U << 20) /* bytes that wait for a slow client */
#define IDLE_SECONDS 60

struct http {
	struct event_base *base;
	struct evhttp *server;
	const struct http_site *site;
	void *context;
	char unix_path[108];
	struct guard *guards;
};

struct stream {
	struct evhttp_request *request;
	void (*left)(void *context);
	void *context;
};

struct event_base *http_base(const struct http *http)
{
	return http->base;
}

const struct http_site *http_site(const struct http *http, void **context)
{
	*context = http->context;
	return http->site;
}

/* ---- Calls ---- */

static void free_call(struct call *call)
{
	for (uint32_t i = 0; i < call->nparts; i++)
		free(call->part[i]);
	evhttp_clear_headers(&call->query);
	free(call->path);
	free(call);
}

/* What a browser is told of any answer: it is for our own page only, and is what it says. */
static void add_headers(struct evkeyvalq *headers, const char *type)
{
	if (type)
		evhttp_add_header(headers, "Content-Type", type);
	evhttp_add_header(headers, "X-Content-Type-Options", "nosniff");
	evhttp_add_header(headers, "X-Frame-Options", "DENY");
	evhttp_add_header(headers, "Cross-Origin-Resource-Policy", "same-origin");
	evhttp_add_header(headers, "Connection", "close");
}

static void reply(struct call *call, int status, const char *type, struct evbuffer *body)
{
	add_headers(evhttp_request_get_output_headers(call->request), type);
	evhttp_send_reply(call->request, status, NULL, body);
	free_call(call);
}

void call_empty(struct call *call, int status)
{
	reply(call, status, NULL, NULL);
}

void call_bytes(struct call *call, int status, const char *type, const void *data, size_t size)
{
	struct evbuffer *body = evbuffer_new();

	if (body)
		evbuffer_add(body, data, size);
	reply(call, body ? status : 500, type, body);
	if (body)
		evbuffer_free(body);
}

void call_json(struct call *call, int status, json_t *json)
{
	char *text = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);

	json_decref(json);
	if (text)
		call_bytes(call, status, "application/json", text, strlen(text));
	else
		call_empty(call, 500);
	free(text);
}

void call_fail(struct call *call, const struct fail *fail)
{
	call_json(call, fail->status, call->http->site->refusal(fail));
}

json_t *call_body(struct call *call, json_t *empty, struct fail *fail)
{
	struct evbuffer *in = evhttp_request_get_input_buffer(call->request);
	size_t size = evbuffer_get_length(in);
	json_error_t error;
	json_t *json;

	if (size == 0 && empty)
		return json_incref(empty);
	json = json_loadb((const char *)evbuffer_pullup(in, -1), size, JSON_REJECT_DUPLICATES,
			  &error);
	if (!json)
		fail_with(fail, FAIL_REQUEST, "the body is no JSON: %s", error.text);
	return json;
}

const char *call_query(const struct call *call, const char *name)
{
	return evhttp_find_header(&call->query, name);
}

/* Divides the path; false when it has too many parts or one that cannot be. */
static bool divide(struct call *call)
{
	char *copy = strdup(call->path);
	char *rest = NULL;
	bool good = copy != NULL;

	for (char *p = good ? strtok_r(copy, "/", &rest) : NULL; p && good;
	     p = strtok_r(NULL, "/", &rest)) {
		good = call->nparts < HTTP_PARTS;
		if (good)
			call->part[call->nparts++] = evhttp_uridecode(p, 0, NULL);
	}
	free(copy);
	return good;
}

static bool is_ours(struct evhttp_request *request, struct fail *fail)
{
	const struct evkeyvalq *headers = evhttp_request_get_input_headers(request);
	struct evhttp_connection *connection = evhttp_request_get_connection(request);

	return http_is_ours(bufferevent_getfd(evhttp_connection_get_bufferevent(connection)),
			    evhttp_find_header(headers, "Host"),
			    evhttp_find_header(headers, "Origin"), fail);
}

static void on_request(struct evhttp_request *request, void *context)
{
	struct http *http = context;
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(request);
	const char *query = evhttp_uri_get_query(uri);
	struct call *call = calloc(1, sizeof(*call));
	struct fail fail;

	if (!call) {
		evhttp_send_error(request, 500, NULL);
		return;
	}
	call->http = http;
	call->request = request;
	call->method = evhttp_request_get_command(request);
	call->path = strdup(evhttp_uri_get_path(uri) ? evhttp_uri_get_path(uri) : "/");
	TAILQ_INIT(&call->query);
	if (query)
		evhttp_parse_query_str(query, &call->query);
	if (!is_ours(request, &fail)) {
		call_fail(call, &fail);
	} else if (call->path && divide(call)) {
		http->site->answer(http->context, call);
	} else {
		fail_with(&fail, FAIL_PATH, "there is no such path");
		call_fail(call, &fail);
	}
}

/* ---- Streams ---- */

static void on_close(struct evhttp_connection *connection, void *context)
{
	struct stream *stream = context;

	(void)connection;
	stream->left(stream->context);
	if (!evhttp_request_get_connection(stream->request))
		evhttp_request_free(stream->request);
	free(stream);
}

struct stream *call_stream(struct call *call, const char *type, void (*left)(void *context),
			   void *context)
{
	struct evhttp_connection *connection = evhttp_request_get_connection(call->request);
	struct evkeyvalq *headers = evhttp_request_get_output_headers(call->request);
	struct stream *stream = malloc(sizeof(*stream));

	if (!stream) {
		call_empty(call, 500);
		return NULL;
	}
	*stream = (struct stream){call->request, left, context};
	add_headers(headers, type);
	evhttp_add_header(headers, "Cache-Control", "no-store");
	evhttp_send_reply_start(call->request, 200, NULL);
	evhttp_connection_set_closecb(connection, on_close, stream);
	bufferevent_set_timeouts(evhttp_connection_get_bufferevent(connection), NULL, NULL);
	free_call(call);
	return stream;
}

bool stream_add(struct stream *stream, struct evbuffer *data)
{
	struct evhttp_connection *connection = evhttp_request_get_connection(stream->request);
	struct bufferevent *bev = evhttp_connection_get_bufferevent(connection);

	if (evbuffer_get_length(bufferevent_get_output(bev)) > STREAM_MAX)
		return false;
	if (evbuffer_get_length(data) != 0)
		evhttp_send_reply_chunk(stream->request, data);
	return true;
}

bool stream_write(struct stream *stream, const void *data, size_t size)
{
	struct evbuffer *buffer = evbuffer_new();
	bool good = buffer && evbuffer_add(buffer, data, size) == 0 && stream_add(stream, buffer);

	if (buffer)
		evbuffer_free(buffer);
	return good;
}

void stream_end(struct stream *stream)
{
	evhttp_connection_set_closecb(evhttp_request_get_connection(stream->request), NULL, NULL);
	evhttp_send_reply_end(stream->request);
	free(stream);
}

/* ---- Server ---- */

struct http *http_new(struct event_base *base, const struct http_site *site, void *context)
{
	struct http *http = calloc(1, sizeof(*http));

	if (http)
		http->server = evhttp_new(base);
	if (!http || !http->server) {
		free(http);
		return NULL;
	}
	http->base = base;
	http->site = site;
	http->context = context;
	evhttp_set_max_headers_size(http->server, HEADERS_MAX);
	evhttp_set_max_body_size(http->server, HTTP_BODY_MAX);
	evhttp_set_timeout(http->server, IDLE_SECONDS);
	/* Who sends too much reads why, before it is hung up on. */
	evhttp_set_flags(http->server, EVHTTP_SERVER_LINGERING_CLOSE);
	evhttp_set_allowed_methods(http->server, EVHTTP_REQ_GET | EVHTTP_REQ_PUT | EVHTTP_REQ_POST |
							 EVHTTP_REQ_DELETE | EVHTTP_REQ_HEAD |
							 EVHTTP_REQ_PATCH | EVHTTP_REQ_OPTIONS);
	evhttp_set_gencb(http->server, on_request, http);
	evhttp_set_bevcb(http->server, http_upload_guard, http);
	return http;
}

struct guard **http_guards(struct http *http)
{
	return &http->guards;
}

void http_free(struct http *http)
{
	if (!http)
		return;
	http_upload_end(http);
	evhttp_free(http->server);
	if (http->unix_path[0] != '\0')
		unlink(http->unix_path);
	free(http);
}

static bool listen_on(struct http *http, const struct sockaddr *address, socklen_t size,
		      const char *name, struct fail *fail)
{
	struct evconnlistener *listener = evconnlistener_new_bind(
		http->base, NULL, NULL,
		LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE, -1, address,
		(int)size);

	if (!listener)
		return fail_with(fail, FAIL_DISK, "%.200s: %s", name, strerror(errno));
	if (evhttp_bind_listener(http->server, listener))
		return true;
	evconnlistener_free(listener);
	return fail_with(fail, FAIL_DISK, "%.200s: out of memory", name);
}

bool http_listen_unix(struct http *http, const char *path, struct fail *fail)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	mode_t mask;
	bool good;

	if (strlen(path) >= sizeof(address.sun_path))
		return fail_with(fail, FAIL_DISK,
				 "%.200s: longer than the %u bytes of a socket's path", path,
				 (unsigned int)sizeof(address.sun_path) - 1);
	text_copy(address.sun_path, sizeof(address.sun_path), path);
	unlink(path);
	mask = umask(0117); /* the daemon's user and group only */
	good = listen_on(http, (const struct sockaddr *)&address, sizeof(address), path, fail);
	umask(mask);
	if (good)
		text_copy(http->unix_path, sizeof(http->unix_path), path);
	return good;
}

bool http_listen_tcp(struct http *http, const char *where, struct fail *fail)
{
	struct sockaddr_storage address;
	int size = sizeof(address);

	if (evutil_parse_sockaddr_port(where, (struct sockaddr *)&address, &size) != 0)
		return fail_with(fail, FAIL_REQUEST, "%.200s: ADDRESS:PORT is wanted", where);
	return listen_on(http, (const struct sockaddr *)&address, (socklen_t)size, where, fail);
}
