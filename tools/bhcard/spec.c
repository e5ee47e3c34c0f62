/* SPDX-License-Identifier: Apache-2.0 */
#include "spec.h"

#include <stdlib.h>
#include <string.h>

#include <libfdt.h>

#define TREE_BYTES 16384

bool spec_name_valid(const char *name)
{
	size_t length = strlen(name);

	return length >= 1 && length <= MANIFEST_NAME_MAX &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == length;
}

/* ---- Shape ---- */

static bool has_type(const json_t *value, char type)
{
	switch (type) {
	case 's':
		return json_is_string(value);
	case 'i':
		return json_is_integer(value);
	case 'b':
		return json_is_boolean(value);
	case 'a':
		return json_is_array(value);
	case 'o':
		return json_is_object(value);
	default:
		return json_is_integer(value) || json_is_string(value);
	}
}

static const char *type_word(char type)
{
	switch (type) {
	case 's':
		return "a string";
	case 'i':
		return "an integer";
	case 'b':
		return "true or false";
	case 'a':
		return "an array";
	case 'o':
		return "an object";
	default:
		return "an integer or a string";
	}
}

bool members_valid(const json_t *object, const struct member *known, size_t count,
		   const char *where, struct fail *fail)
{
	const char *name;
	json_t *value;

	if (!json_is_object(object))
		return fail_with(fail, FAIL_REQUEST, "%s: an object is wanted", where);
	json_object_foreach((json_t *)object, name, value)
	{
		size_t i = 0;

		while (i < count && strcmp(known[i].name, name) != 0)
			i++;
		if (i == count)
			return fail_with(fail, FAIL_REQUEST, "%s: %.40s: this member is not known",
					 where, name);
		if (!has_type(value, known[i].type))
			return fail_with(fail, FAIL_REQUEST, "%s: %s: %s is wanted", where, name,
					 type_word(known[i].type));
	}
	return true;
}

static bool check_shape(const json_t *json, struct fail *fail)
{
	static const struct member known[] = {
		{"name", 's'},
		{"cores", 'a'},
		{"core_count", 'i'},
		{"memory", 'm'},
		{"bootargs", 's'},
		{"boot_protocol", 's'},
		{"console", 's'},
		{"autostart", 'b'},
		{"restart", 'o'},
		{"devices", 'a'},
		{"dma_trusted", 'b'},
		{"hotplug_ports", 'i'},
		{"virtual_interrupts", 'b'},
	};
	json_int_t ports;
	const char *name;
	json_t *core, *device;
	size_t i;

	if (!members_valid(json, known, ARRAY_SIZE(known), "VM", fail))
		return false;
	name = json_string_value(json_object_get(json, "name"));
	if (!name || !spec_name_valid(name))
		return fail_with(fail, FAIL_REQUEST, "VM: name: 1 to %u of a-z 0-9 - are wanted",
				 MANIFEST_NAME_MAX);
	json_array_foreach(json_object_get(json, "cores"), i, core)
	{
		if (!json_is_integer(core) || json_integer_value(core) < 0 ||
		    json_integer_value(core) > UINT32_MAX)
			return fail_with(fail, FAIL_REQUEST, "VM: cores: numbers are wanted");
	}
	json_array_foreach(json_object_get(json, "devices"), i, device)
	{
		if (!json_is_string(device))
			return fail_with(fail, FAIL_REQUEST, "VM: devices: strings are wanted");
	}
	ports = json_integer_value(json_object_get(json, "hotplug_ports"));
	if (ports < 0 || ports > PLAN_MAX_PORTS)
		return fail_with(fail, FAIL_REQUEST, "VM: hotplug_ports: 0 to %d are allowed",
				 PLAN_MAX_PORTS);
	return true;
}

/* ---- Restart ---- */

static bool read_bounded(const json_t *object, const char *name, uint32_t max, uint32_t *value,
			 struct fail *fail)
{
	const json_t *number = json_object_get(object, name);

	if (!number)
		return true;
	if (json_integer_value(number) < 1 || json_integer_value(number) > max)
		return fail_with(fail, FAIL_REQUEST, "VM: restart: %s: 1 to %u are allowed", name,
				 max);
	*value = (uint32_t)json_integer_value(number);
	return true;
}

static bool read_restart(const json_t *json, struct restart_rule *rule, struct fail *fail)
{
	static const struct member known[] = {{"policy", 's'}, {"limit", 'i'}, {"window", 'i'}};
	const json_t *restart = json_object_get(json, "restart");
	const char *policy;

	*rule = (struct restart_rule){RESTART_ON_FAILURE, 3, 60};
	if (!restart)
		return true;
	if (!members_valid(restart, known, ARRAY_SIZE(known), "VM: restart", fail))
		return false;
	policy = json_string_value(json_object_get(restart, "policy"));
	for (int p = RESTART_NEVER; policy && p <= RESTART_ALWAYS; p++) {
		if (strcmp(policy, restart_policy_name((enum restart_policy)p)) == 0) {
			rule->policy = (enum restart_policy)p;
			policy = NULL;
		}
	}
	if (policy)
		return fail_with(fail, FAIL_REQUEST,
				 "VM: restart: policy: never, on-failure or always are allowed");
	return read_bounded(restart, "limit", 1000, &rule->limit, fail) &&
	       read_bounded(restart, "window", 86400, &rule->window, fail);
}

/* ---- The manifest of this one VM ---- */

static int put_cells(void *tree, const char *name, const json_t *array)
{
	fdt32_t cells[256];
	size_t count = json_array_size(array);

	if (count > ARRAY_SIZE(cells))
		return -FDT_ERR_NOSPACE;
	for (size_t i = 0; i < count; i++)
		fdt32_st(&cells[i], (uint32_t)json_integer_value(json_array_get(array, i)));
	return fdt_property(tree, name, cells, (int)(count * sizeof(cells[0])));
}

static int put_number(void *tree, const char *name, const json_t *value)
{
	json_int_t number = json_integer_value(value);

	if (strcmp(name, "memory") == 0)
		return fdt_property_u64(tree, name, number < 0 ? 0 : (uint64_t)number);
	return fdt_property_u32(tree, name,
				number < 0 || number > UINT32_MAX ? UINT32_MAX : (uint32_t)number);
}

static int put_text(void *tree, const char *name, const char *text)
{
	return fdt_property(tree, name, text, (int)strlen(text) + 1);
}

/* A list of strings, each with its NUL. */
static int put_devices(void *tree, const json_t *array)
{
	char text[MANIFEST_MAX_DEVICES * (MANIFEST_DEVICE_MAX + 1)];
	size_t used = 0;

	if (json_array_size(array) == 0)
		return 0;
	for (size_t i = 0; i < json_array_size(array); i++) {
		const char *name = json_string_value(json_array_get(array, i));
		size_t bytes = strlen(name) + 1;

		if (bytes > sizeof(text) - used)
			return -FDT_ERR_NOSPACE;
		memcpy(text + used, name, bytes);
		used += bytes;
	}
	return fdt_property(tree, "devices", text, (int)used);
}

static int put_properties(void *tree, const json_t *json)
{
	static const char *const names[][2] = {
		{"cores", "cores"},
		{"core_count", "core-count"},
		{"memory", "memory"},
		{"bootargs", "bootargs"},
		{"boot_protocol", "boot-protocol"},
		{"console", "console"},
		{"hotplug_ports", "hotplug-ports"},
		{"dma_trusted", "dma-trusted"},
		{"virtual_interrupts", "virtual-interrupts"},
	};
	int error = put_text(tree, "kernel", SPEC_KERNEL);

	for (size_t i = 0; i < ARRAY_SIZE(names) && error == 0; i++) {
		const json_t *value = json_object_get(json, names[i][0]);

		if (json_is_array(value))
			error = put_cells(tree, names[i][1], value);
		else if (json_is_integer(value))
			error = put_number(tree, names[i][1], value);
		else if (json_is_true(value))
			error = fdt_property_u32(tree, names[i][1], 1);
		else if (json_is_string(value))
			error = put_text(tree, names[i][1], json_string_value(value));
	}
	if (error == 0)
		error = put_devices(tree, json_object_get(json, "devices"));
	return error;
}

static int put_manifest(void *tree, const json_t *json)
{
	int error = fdt_create(tree, TREE_BYTES);

	error = error ? error : fdt_finish_reservemap(tree);
	error = error ? error : fdt_begin_node(tree, "");
	error = error ? error : put_text(tree, "compatible", "bulkhead,manifest-v1");
	error = error ? error : fdt_begin_node(tree, "vms");
	error = error ? error
		      : fdt_begin_node(tree, json_string_value(json_object_get(json, "name")));
	error = error ? error : put_properties(tree, json);
	for (int depth = 0; depth < 3; depth++)
		error = error ? error : fdt_end_node(tree);
	return error ? error : fdt_finish(tree);
}

static bool read_manifest(const json_t *json, struct spec *spec, struct fail *fail)
{
	struct manifest *manifest = malloc(sizeof(*manifest));
	void *tree = malloc(TREE_BYTES);
	struct bh_report report = {BH_OK, ""};
	enum bh_error error = BH_TOO_BIG;

	if (tree && manifest && put_manifest(tree, json) == 0)
		error = manifest_parse(tree, fdt_totalsize(tree), manifest, &report);
	if (error == BH_OK)
		spec->vm = manifest->vm[0];
	free(tree);
	free(manifest);
	/* Restarts are the card's business, so the plan has none. */
	spec->vm.autostart = 0;
	spec->vm.restart_limit = 0;
	spec->vm.restart_window = 0;
	return error == BH_OK || fail_with_error(fail, error, report.text);
}

bool spec_read(const json_t *json, struct spec *spec, struct fail *fail)
{
	memset(spec, 0, sizeof(*spec));
	if (!check_shape(json, fail) || !read_restart(json, &spec->restart, fail))
		return false;
	spec->autostart = json_is_true(json_object_get(json, "autostart"));
	spec->is_bare =
		json_object_size(json) == 1 + (json_object_get(json, "hotplug_ports") != NULL);
	return spec->is_bare || read_manifest(json, spec, fail);
}
