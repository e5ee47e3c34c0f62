/* SPDX-License-Identifier: Apache-2.0 */
/* A machine's state.json: what is wanted, and how far it had come. */
#include <stdlib.h>
#include <string.h>

#include "host.h"
#include "text.h"

#define STATE_VERSION 1
#define BOOT_ID_HEX 17

static const char *const phases[] = {"idle", "starting", "running"};
static const char *const leavings[] = {"no", "forget", "clear"};
static const char *const images[] = {"kernel", "initrd"};

static json_t *image_state(const struct stored_image *image)
{
	if (image->size == 0)
		return json_null();
	return json_pack("{s:I, s:s}", "size", (json_int_t)image->size, "blake2b", image->digest);
}

static void put_boot_id(const struct vm *vm, char text[BOOT_ID_HEX])
{
	snprintf(text, BOOT_ID_HEX, "%016llx", (unsigned long long)vm->boot_id);
}

static json_t *vm_state(const struct vm *vm)
{
	char boot_id[BOOT_ID_HEX];

	put_boot_id(vm, boot_id);
	return json_pack("{s:O, s:O?, s:O?, s:b, s:s, s:s, s:{s:o, s:o}, s:s, s:s}", "spec",
			 vm->json, "ch", vm->ch, "ch_ids", vm->ch_ids, "want_running",
			 vm->want_running, "phase", phases[vm->phase], "leaving",
			 leavings[vm->leaving], "images", images[0], image_state(&vm->image[0]),
			 images[1], image_state(&vm->image[1]), "planned", vm->planned, "boot_id",
			 boot_id);
}

/* Of a VM that is not ours: that it is to end. */
static json_t *ending_state(const struct vm *vm)
{
	char boot_id[BOOT_ID_HEX];

	put_boot_id(vm, boot_id);
	return json_pack("{s:s, s:s}", "name", vm->name, "boot_id", boot_id);
}

json_t *host_state(const struct host *host)
{
	json_t *vms = json_array();
	json_t *ending = json_array();
	bool good = true;

	for (const struct vm *vm = host->vms; vm; vm = vm->next) {
		if (vm->is_ours)
			good = good && json_array_append_new(vms, vm_state(vm)) == 0;
		else if (vm->grace_until != 0)
			good = good && json_array_append_new(ending, ending_state(vm)) == 0;
	}
	if (good)
		return json_pack("{s:i, s:o, s:o}", "version", STATE_VERSION, "vms", vms, "ending",
				 ending);
	json_decref(vms);
	json_decref(ending);
	return NULL;
}

/* ---- Back ---- */

static void read_image(const json_t *json, struct stored_image *image)
{
	const char *digest = json_string_value(json_object_get(json, "blake2b"));
	json_int_t size = json_integer_value(json_object_get(json, "size"));

	if (!digest || strlen(digest) != DIGEST_HEX - 1 || size <= 0)
		return;
	image->size = (uint64_t)size;
	memcpy(image->digest, digest, DIGEST_HEX);
}

static unsigned int read_word(const json_t *json, const char *name, const char *const words[3])
{
	const char *word = json_string_value(json_object_get(json, name));

	for (unsigned int i = 0; word && i < 3; i++) {
		if (strcmp(words[i], word) == 0)
			return i;
	}
	return 0;
}

static uint64_t read_boot_id(const json_t *json)
{
	const char *boot_id = json_string_value(json_object_get(json, "boot_id"));

	return boot_id ? strtoull(boot_id, NULL, 16) : 0;
}

static void restore_rest(struct vm *vm, const json_t *json)
{
	const char *planned = json_string_value(json_object_get(json, "planned"));
	const json_t *ch = json_object_get(json, "ch");
	const json_t *ids = json_object_get(json, "ch_ids");

	vm->is_ours = true;
	vm->want_running = json_is_true(json_object_get(json, "want_running"));
	vm->phase = (enum vm_phase)read_word(json, "phase", phases);
	vm->leaving = (enum vm_leaving)read_word(json, "leaving", leavings);
	vm->ch = json_is_object(ch) ? json_deep_copy(ch) : NULL;
	vm->ch_ids = json_is_object(ids) ? json_deep_copy(ids) : NULL;
	for (unsigned int i = 0; i < 2; i++)
		read_image(json_object_get(json_object_get(json, "images"), images[i]),
			   &vm->image[i]);
	if (planned)
		text_copy(vm->planned, sizeof(vm->planned), planned);
	vm->boot_id = read_boot_id(json);
}

static bool restore_vm(struct host *host, const json_t *json, struct fail *fail)
{
	const json_t *wanted = json_object_get(json, "spec");
	struct spec spec;
	struct vm *vm;

	if (!spec_read(wanted, &spec, fail))
		return false;
	vm = host_new_vm(host, json_string_value(json_object_get(wanted, "name")));
	if (!vm)
		return fail_with(fail, FAIL_DISK, "out of memory, or a console file is unusable");
	vm->spec = spec;
	vm->json = json_deep_copy(wanted);
	restore_rest(vm, json);
	return true;
}

/* Its time is up: how much of it there was, nobody knows any more. */
static bool restore_ending(struct host *host, const json_t *json, struct fail *fail)
{
	const char *name = json_string_value(json_object_get(json, "name"));
	struct vm *vm;

	if (!name || !spec_name_valid(name) || host_find(host, name))
		return true;
	vm = host_new_vm(host, name);
	if (!vm)
		return fail_with(fail, FAIL_DISK, "out of memory, or a console file is unusable");
	vm->boot_id = read_boot_id(json);
	vm->grace_until = now_ms();
	return true;
}

bool host_restore(struct host *host, struct fail *fail)
{
	json_t *state = store_load(&host->store, fail);
	bool good = fail->status == 0;
	json_t *vm;
	size_t i;

	if (state && json_integer_value(json_object_get(state, "version")) != STATE_VERSION)
		good = fail_with(fail, FAIL_DISK, "%s: its state.json is not of version %d",
				 host->name, STATE_VERSION);
	json_array_foreach(json_object_get(state, "vms"), i, vm) good =
		good && restore_vm(host, vm, fail);
	json_array_foreach(json_object_get(state, "ending"), i, vm) good =
		good && restore_ending(host, vm, fail);
	json_decref(state);
	return good;
}
