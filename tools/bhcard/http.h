/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP on Unix sockets and TCP: evhttp, and what it lacks (uploads that do not stand in memory). One request per connection. */
#ifndef BHCARD_HTTP_H
#define BHCARD_HTTP_H

#include <event2/buffer.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <jansson.h>

#include "fail.h"

#define HTTP_BODY_MAX (128U << 10) /* of what is no upload */
#define HTTP_PARTS 8

struct http;

/* One request that waits for its answer. Each of the call_...() that answer frees it. */
struct call {
	struct http *http;
	struct evhttp_request *request;
	enum evhttp_cmd_type method;
	char *path; /* as it came, without the query */
	uint32_t nparts; /* of the path, decoded: "/v1/machines" has two */
	char *part[HTTP_PARTS];
	struct evkeyvalq query;
};

/* Who answers. */
struct http_site {
	void (*answer)(void *context, struct call *call);
	/* How a refusal looks; the caller drops the reference. */
	json_t *(*refusal)(const struct fail *fail);
	/*
	 * An upload of @size bytes to @path (PUT): NULL with @fail refuses it. Where
	 * this is NULL, all requests are answered by answer().
	 */
	void *(*upload_begin)(void *context, const char *path, uint64_t size, struct fail *fail);
	bool (*upload_add)(void *upload, const void *data, size_t size, struct fail *fail);
	/* @json: what is answered. Frees @upload, as upload_drop() does. */
	bool (*upload_end)(void *upload, json_t **json, struct fail *fail);
	void (*upload_drop)(void *upload);
	/* True when a PUT to @path is an upload. */
	bool (*is_upload)(const char *path);
};

struct http *http_new(struct event_base *base, const struct http_site *site, void *context);
void http_free(struct http *http);

bool http_listen_unix(struct http *http, const char *path, struct fail *fail);

/* @where: ADDRESS:PORT. */
bool http_listen_tcp(struct http *http, const char *where, struct fail *fail);

/* ---- Answers ---- */

void call_json(struct call *call, int status, json_t *json); /* takes @json over */
void call_empty(struct call *call, int status);
void call_fail(struct call *call, const struct fail *fail);
void call_bytes(struct call *call, int status, const char *type, const void *data, size_t size);

/* The body as JSON; NULL with @fail. An empty body is @empty (may be NULL: refused). */
json_t *call_body(struct call *call, json_t *empty, struct fail *fail);

const char *call_query(const struct call *call, const char *name);

/* An answer without an end: @left is called once when the client has gone; not after stream_end(). */
struct stream;
struct stream *call_stream(struct call *call, const char *type, void (*left)(void *context),
			   void *context);

/* False when the client is too slow: end it. */
bool stream_write(struct stream *stream, const void *data, size_t size);
bool stream_add(struct stream *stream, struct evbuffer *data);
void stream_end(struct stream *stream);

/* ---- http_origin.c ---- */

/*
 * False with @fail when a request with these headers, each NULL or ended by NUL or
 * CR, that came over the socket @fd may be a foreign web page's.
 */
bool http_is_ours(evutil_socket_t fd, const char *host, const char *origin, struct fail *fail);

/* ---- http_upload.c ---- */

/* Makes the bufferevent of a new connection, which may turn out to carry an upload. */
struct bufferevent *http_upload_guard(struct event_base *base, void *http);

/* Connections that are still looked at, for http_upload.c; and their end, before evhttp's own. */
struct guard;
struct guard **http_guards(struct http *http);
void http_upload_end(struct http *http);
struct event_base *http_base(const struct http *http);
const struct http_site *http_site(const struct http *http, void **context);

#endif
