/* SPDX-License-Identifier: Apache-2.0 */
/* PUT /v1/machines/{m}/vms/{vm}/images/{kernel,initrd}: to disk as it comes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "card.h"

struct upload {
	struct host *host;
	char vm[MANIFEST_NAME_MAX + 1]; /* it may go while its image comes */
	unsigned int which;
	struct incoming *file;
};

struct target {
	char machine[64];
	char vm[MANIFEST_NAME_MAX + 1];
	unsigned int which;
};

static bool parse(const char *path, struct target *t)
{
	char image[8];
	int end = 0;

	static_assert(MANIFEST_NAME_MAX == 31, "as the format below has it");
	if (sscanf(path, "/v1/machines/%63[^/]/vms/%31[^/]/images/%7[a-z]%n", t->machine, t->vm,
		   image, &end) != 3 ||
	    path[end] != '\0')
		return false;
	t->which = strcmp(image, "initrd") == 0;
	return t->which || strcmp(image, "kernel") == 0;
}

bool api_is_upload(const char *path)
{
	struct target t;

	return parse(path, &t);
}

void *api_upload_begin(void *context, const char *path, uint64_t size, struct fail *fail)
{
	struct card *card = context;
	struct upload *upload = NULL;
	struct target t = {"", "", 0};
	struct host *host = parse(path, &t) ? card_find(card, t.machine) : NULL;
	struct vm *vm = host ? host_find(host, t.vm) : NULL;

	if (!host)
		fail_with(fail, FAIL_PATH, "there is no machine '%s'", t.machine);
	else if (!vm)
		fail_with(fail, FAIL_NO_VM, "there is no VM '%s'", t.vm);
	else if (size > card->image_limit)
		fail_with(fail, FAIL_BIG, "the image has %llu bytes; at most %llu are allowed",
			  (unsigned long long)size, (unsigned long long)card->image_limit);
	else if (vm_may_change(vm, fail) && !(upload = calloc(1, sizeof(*upload))))
		fail_with(fail, FAIL_DISK, "out of memory");
	if (!upload)
		return NULL;
	upload->host = host;
	upload->which = t.which;
	memcpy(upload->vm, t.vm, sizeof(upload->vm));
	upload->file = incoming_new(&host->store, fail);
	if (upload->file)
		return upload;
	free(upload);
	return NULL;
}

bool api_upload_add(void *upload, const void *data, size_t size, struct fail *fail)
{
	return incoming_add(((struct upload *)upload)->file, data, size, fail);
}

bool api_upload_end(void *context, json_t **json, struct fail *fail)
{
	struct upload *upload = context;
	struct vm *vm = host_find(upload->host, upload->vm);
	struct stored_image image = {0};
	bool good;

	if (!vm || !vm_may_change(vm, fail)) {
		if (!vm)
			fail_with(fail, FAIL_NO_VM, "the VM was deleted meanwhile");
		api_upload_drop(upload);
		return false;
	}
	good = incoming_keep(upload->file, &image, fail) &&
	       vm_set_image(vm, upload->which, &image, fail);
	if (good)
		*json = view_image(&image);
	free(upload);
	return good;
}

void api_upload_drop(void *context)
{
	struct upload *upload = context;

	incoming_drop(upload->file);
	free(upload);
}
