/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon: its machines, and who is told what about them. */
#ifndef BHCARD_CARD_H
#define BHCARD_CARD_H

#include "host.h"
#include "http.h"

#define CARD_MAX_HOSTS 64
#define CARD_IMAGE_LIMIT ((uint64_t)1 << 30)

struct card {
	struct event_base *base;
	const char *state; /* folders */
	const char *sockets;
	uint64_t image_limit;
	uint32_t nhosts;
	struct host *host[CARD_MAX_HOSTS];
	struct http *http; /* the API of all machines */
	struct event *beat; /* keeps streams of events open */
};

struct host *card_find(const struct card *card, const char *name);

/* The machine @name; it is made where there is none yet. NULL with @fail. */
struct host *card_host(struct card *card, const char *name, struct fail *fail);

/* ---- view.c: how things look as JSON ---- */

json_t *view_machine(const struct host *host);
json_t *view_vm(const struct card *card, const struct vm *vm);
json_t *view_image(const struct stored_image *image);
json_t *view_fail(const struct fail *fail);
/* {"reasons": [...], "vcpus": [...]} from an answer to stats; NULL when it is malformed. */
json_t *view_stats(const struct vm *vm, const void *tree);

/* ---- capacity.c ---- */

json_t *view_capacity(const struct host *host);

/* ---- metrics.c ---- */

/* Prometheus' text format 0.0.4. */
void write_metrics(const struct card *card, struct evbuffer *out);

/* ---- api_host.c: all machines, on one socket ---- */

extern const struct http_site api_host_site; /* its context is the card */

/* ---- api_vm.c ---- */

typedef void api_fn(struct card *card, struct call *call, struct host *host, struct vm *vm);

api_fn api_vms_get, api_vms_post, api_vm_get, api_vm_delete, api_vm_start, api_vm_stop,
	api_vm_abort, api_vm_reset, api_vm_stats, api_console_post, api_device_post,
	api_device_delete;

/* ---- api_stream.c ---- */

api_fn api_console_get, api_logs_get, api_events_get;

/* ---- api_upload.c ---- */

bool api_is_upload(const char *path);
void *api_upload_begin(void *card, const char *path, uint64_t size, struct fail *fail);
bool api_upload_add(void *upload, const void *data, size_t size, struct fail *fail);
bool api_upload_end(void *upload, json_t **json, struct fail *fail);
void api_upload_drop(void *upload);

/* ---- api_ch.c: one VM on its own socket, as Cloud Hypervisor speaks ---- */

extern const struct host_hooks api_ch_hooks; /* their context is the card */

/* Where @vm's socket is. */
void api_ch_path(const struct card *card, const struct vm *vm, char *out, size_t size);

/*
 * A VmSpec for Cloud Hypervisor's @config; NULL with @fail. Ports are none of its: @bare, what the VM is before, has
 * them. The caller drops the reference.
 */
json_t *ch_spec(const json_t *bare, const json_t *config, struct fail *fail);

/* The function that @device, a DeviceConfig, names by a path in sysfs; NULL with @fail. The caller drops the reference. */
json_t *ch_device(const json_t *device, struct fail *fail);

#endif
