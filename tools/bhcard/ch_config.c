/* SPDX-License-Identifier: Apache-2.0 */
/* Cloud Hypervisor's VmConfig: what of it means the same on a static partition; the rest is refused by name. */
#include <string.h>

#include "card.h"

#define DEFAULT_MEMORY (512 * MIB) /* Cloud Hypervisor's */

/* Members without meaning here: how its devices for the console look, how memory is backed. */
static const char *const ignored[] = {
	"serial",    "console", "debug_console", "rng",	      "max_phys_bits",
	"hugepages", "shared",	"prefault",	 "mergeable", "thp",
};

static bool is_nothing(const json_t *value)
{
	return json_is_null(value) || json_is_false(value) ||
	       (json_is_integer(value) && json_integer_value(value) == 0) ||
	       (json_is_array(value) && json_array_size(value) == 0) ||
	       (json_is_object(value) && json_object_size(value) == 0);
}

static bool is_listed(const char *name, const char *const *list, size_t count)
{
	size_t i = 0;

	while (i < count && strcmp(list[i], name) != 0)
		i++;
	return i < count;
}

/* Every member of @object is one of @taken, without meaning or nothing. */
static bool check(const json_t *object, const char *where, const char *const taken[4],
		  struct fail *fail)
{
	const char *name;
	json_t *value;

	if (object && !json_is_object(object))
		return fail_with(fail, FAIL_REQUEST, "%s: an object is wanted", where);
	json_object_foreach((json_t *)object, name, value)
	{
		if (is_listed(name, taken, 4) || is_nothing(value) ||
		    is_listed(name, ignored, ARRAY_SIZE(ignored)))
			continue;
		return fail_with(fail, 500, "BH_BAD_VALUE",
				 "%s: %.40s: a static partition cannot have this", where, name);
	}
	return true;
}

/* The integer @name of @object, @otherwise where it is not there. */
static bool number(const json_t *object, const char *name, uint64_t otherwise, uint64_t *value,
		   struct fail *fail)
{
	const json_t *number = json_object_get(object, name);

	*value = otherwise;
	if (!number)
		return true;
	if (!json_is_integer(number) || json_integer_value(number) < 0)
		return fail_with(fail, FAIL_REQUEST, "%s: a number is wanted", name);
	*value = (uint64_t)json_integer_value(number);
	return true;
}

static bool check_payload(const json_t *payload, struct fail *fail)
{
	static const char *const names[] = {"kernel", "cmdline", "initramfs"};

	if (!json_is_object(payload))
		return fail_with(fail, FAIL_REQUEST, "payload: it is missing");
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const json_t *value = json_object_get(payload, names[i]);

		if (value && !json_is_null(value) && !json_is_string(value))
			return fail_with(fail, FAIL_REQUEST, "payload: %s: a string is wanted",
					 names[i]);
	}
	if (!json_is_string(json_object_get(payload, "kernel")))
		return fail_with(fail, FAIL_REQUEST, "payload: kernel: it is missing");
	return true;
}

json_t *ch_device(const json_t *device, struct fail *fail)
{
	static const char *const known[4] = {"path", "id", "", ""};
	const char *path = json_string_value(json_object_get(device, "path"));
	const json_t *id = json_object_get(device, "id");
	size_t end = path ? strlen(path) : 0, begin;

	if (!path || (id && !json_is_null(id) && !json_is_string(id))) {
		fail_with(fail, FAIL_REQUEST, "devices: %s: a string is wanted",
			  path ? "id" : "path");
		return NULL;
	}
	if (!check(device, "devices", known, fail))
		return NULL;
	while (end > 0 && path[end - 1] == '/')
		end--;
	for (begin = end; begin > 0 && path[begin - 1] != '/';)
		begin--;
	return json_stringn(path + begin, end - begin);
}

/* DeviceConfigs as names. */
static json_t *device_names(const json_t *devices, struct fail *fail)
{
	json_t *names = json_array(), *device;
	size_t i;

	json_array_foreach((json_t *)devices, i, device)
	{
		json_t *name = ch_device(device, fail);

		if (name) {
			json_array_append_new(names, name);
			continue;
		}
		json_decref(names);
		return NULL;
	}
	return names;
}

json_t *ch_spec(const json_t *bare, const json_t *config, struct fail *fail)
{
	static const char *const top[4] = {"cpus", "memory", "payload", "devices"};
	static const char *const cpu[4] = {"boot_vcpus", "max_vcpus", "", ""};
	static const char *const ram[4] = {"size", "", "", ""};
	static const char *const load[4] = {"kernel", "cmdline", "initramfs", ""};
	const json_t *cpus = json_object_get(config, "cpus");
	const json_t *memory = json_object_get(config, "memory");
	const json_t *payload = json_object_get(config, "payload");
	const char *cmdline = json_string_value(json_object_get(payload, "cmdline"));
	uint64_t vcpus, max_vcpus, size;

	if (!json_is_object(config))
		fail_with(fail, FAIL_REQUEST, "an object VmConfig is wanted");
	else if (check(config, "config", top, fail) && check(cpus, "cpus", cpu, fail) &&
		 check(memory, "memory", ram, fail) && check(payload, "payload", load, fail) &&
		 check_payload(payload, fail) && number(cpus, "boot_vcpus", 1, &vcpus, fail) &&
		 number(cpus, "max_vcpus", vcpus, &max_vcpus, fail) &&
		 number(memory, "size", DEFAULT_MEMORY, &size, fail)) {
		json_t *devices = device_names(json_object_get(config, "devices"), fail);

		if (vcpus == max_vcpus && devices)
			return json_pack("{s:O, s:O*, s:I, s:I, s:s, s:o}", "name",
					 json_object_get(bare, "name"), "hotplug_ports",
					 json_object_get(bare, "hotplug_ports"), "core_count",
					 (json_int_t)vcpus, "memory", (json_int_t)size, "bootargs",
					 cmdline ? cmdline : "", "devices", devices);
		json_decref(devices);
		if (!devices)
			return NULL;
		fail_with(fail, 500, "BH_BAD_VALUE",
			  "cpus: max_vcpus: a static partition has the cores it has; as boot_vcpus "
			  "is allowed");
	}
	return NULL;
}
