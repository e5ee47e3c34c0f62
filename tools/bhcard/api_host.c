/* SPDX-License-Identifier: Apache-2.0 */
/* Who answers which path of openapi.yaml. */
#include <string.h>

#include "card.h"

/* Made by ld -r -b binary of web/index.html and openapi.json. */
extern const char _binary_index_html_start[], _binary_index_html_end[];
extern const char _binary_openapi_json_start[], _binary_openapi_json_end[];

static void get_page(struct card *card, struct call *call, struct host *host, struct vm *vm)
{
	(void)card;
	(void)host;
	(void)vm;
	call_bytes(call, 200, "text/html; charset=utf-8", _binary_index_html_start,
		   (size_t)(_binary_index_html_end - _binary_index_html_start));
}

static void get_openapi(struct card *card, struct call *call, struct host *host, struct vm *vm)
{
	(void)card;
	(void)host;
	(void)vm;
	call_bytes(call, 200, "application/json", _binary_openapi_json_start,
		   (size_t)(_binary_openapi_json_end - _binary_openapi_json_start));
}

static void get_metrics(struct card *card, struct call *call, struct host *host, struct vm *vm)
{
	struct evbuffer *out = evbuffer_new();

	(void)host;
	(void)vm;
	if (!out) {
		call_empty(call, 500);
		return;
	}
	write_metrics(card, out);
	call_bytes(call, 200, "text/plain; version=0.0.4; charset=utf-8", evbuffer_pullup(out, -1),
		   evbuffer_get_length(out));
	evbuffer_free(out);
}

static void get_machines(struct card *card, struct call *call, struct host *host, struct vm *vm)
{
	json_t *list = json_array();

	(void)host;
	(void)vm;
	for (uint32_t i = 0; i < card->nhosts; i++)
		json_array_append_new(list, view_machine(card->host[i]));
	call_json(call, 200, list);
}

static void get_machine(struct card *card, struct call *call, struct host *host, struct vm *vm)
{
	(void)card;
	(void)vm;
	call_json(call, 200, view_machine(host));
}

static void get_capacity(struct card *card, struct call *call, struct host *host, struct vm *vm)
{
	struct fail fail;

	(void)card;
	(void)vm;
	if (host->is_synced) {
		call_json(call, 200, view_capacity(host));
		return;
	}
	fail_with(&fail, FAIL_OFFLINE, "%s is not connected", host->name);
	call_fail(call, &fail);
}

static const struct route {
	enum evhttp_cmd_type method;
	const char *path; /* '*': any; the third part is a machine's name, the fifth a VM's */
	api_fn *answer; /* NULL: http_upload.c has answered it where it could be */
} routes[] = {
	{EVHTTP_REQ_GET, "", get_page},
	{EVHTTP_REQ_GET, "openapi.json", get_openapi},
	{EVHTTP_REQ_GET, "metrics", get_metrics},
	{EVHTTP_REQ_GET, "v1/machines", get_machines},
	{EVHTTP_REQ_GET, "v1/machines/*", get_machine},
	{EVHTTP_REQ_GET, "v1/machines/*/capacity", get_capacity},
	{EVHTTP_REQ_GET, "v1/machines/*/events", api_events_get},
	{EVHTTP_REQ_GET, "v1/machines/*/logs", api_logs_get},
	{EVHTTP_REQ_GET, "v1/machines/*/vms", api_vms_get},
	{EVHTTP_REQ_POST, "v1/machines/*/vms", api_vms_post},
	{EVHTTP_REQ_GET, "v1/machines/*/vms/*", api_vm_get},
	{EVHTTP_REQ_DELETE, "v1/machines/*/vms/*", api_vm_delete},
	{EVHTTP_REQ_POST, "v1/machines/*/vms/*/start", api_vm_start},
	{EVHTTP_REQ_POST, "v1/machines/*/vms/*/stop", api_vm_stop},
	{EVHTTP_REQ_POST, "v1/machines/*/vms/*/abort", api_vm_abort},
	{EVHTTP_REQ_POST, "v1/machines/*/vms/*/reset", api_vm_reset},
	{EVHTTP_REQ_POST, "v1/machines/*/vms/*/devices", api_device_post},
	{EVHTTP_REQ_DELETE, "v1/machines/*/vms/*/devices/*", api_device_delete},
	{EVHTTP_REQ_GET, "v1/machines/*/vms/*/stats", api_vm_stats},
	{EVHTTP_REQ_GET, "v1/machines/*/vms/*/console", api_console_get},
	{EVHTTP_REQ_POST, "v1/machines/*/vms/*/console", api_console_post},
	{EVHTTP_REQ_PUT, "v1/machines/*/vms/*/images/kernel", NULL},
	{EVHTTP_REQ_PUT, "v1/machines/*/vms/*/images/initrd", NULL},
};

static bool matches(const struct call *call, const char *path)
{
	uint32_t part = 0;

	while (*path != '\0') {
		size_t length = strcspn(path, "/");

		if (part == call->nparts || (!(length == 1 && *path == '*') &&
					     (strlen(call->part[part]) != length ||
					      strncmp(call->part[part], path, length) != 0)))
			return false;
		path += length + (path[length] == '/');
		part++;
	}
	return part == call->nparts;
}

/* The route; NULL with @fail: no such path, or another method is wanted for it. */
static const struct route *find_route(const struct call *call, struct fail *fail)
{
	bool is_there = false;

	for (size_t i = 0; i < ARRAY_SIZE(routes); i++) {
		if (!matches(call, routes[i].path))
			continue;
		if (routes[i].method == call->method && routes[i].answer)
			return &routes[i];
		is_there = true;
	}
	if (is_there)
		fail_with(fail, FAIL_METHOD, "this path does not take this method");
	else
		fail_with(fail, FAIL_PATH, "there is no such path");
	return NULL;
}

static void answer(void *context, struct call *call)
{
	struct card *card = context;
	struct fail fail;
	const struct route *route = find_route(call, &fail);
	struct host *host = NULL;
	struct vm *vm = NULL;

	if (route && call->nparts >= 3) {
		host = card_find(card, call->part[2]);
		if (!host) {
			fail_with(&fail, FAIL_PATH, "there is no machine '%.63s'", call->part[2]);
			route = NULL;
		}
	}
	if (route && call->nparts >= 5) {
		vm = host_find(host, call->part[4]);
		if (!vm) {
			fail_with(&fail, FAIL_NO_VM, "there is no VM '%.63s'", call->part[4]);
			route = NULL;
		}
	}
	if (route)
		route->answer(card, call, host, vm);
	else
		call_fail(call, &fail);
}

const struct http_site api_host_site = {
	.answer = answer,
	.refusal = view_fail,
	.is_upload = api_is_upload,
	.upload_begin = api_upload_begin,
	.upload_add = api_upload_add,
	.upload_end = api_upload_end,
	.upload_drop = api_upload_drop,
};
