/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one door through which a manifest comes in. The blob is untrusted: it
 * is checked as a whole first, then each node is read by a table of its
 * properties. What no table names is refused.
 */
#include <assert.h>
#include <string.h>

#include <libfdt.h>

#include <bulkhead/checked.h>
#include <bulkhead/format.h>
#include <bulkhead/manifest.h>
#include <bulkhead/plan.h>
#include <bulkhead/protocol.h>

#define COMPATIBLE "bulkhead,manifest-v1"
#define FDT_VERSION 17 /* Devicetree Specification v0.4 5.2 */
#define FDT_HEADER_BYTES 40
#define MAX_DEPTH 8 /* only the root, /vms and a VM are known; the rest is refused by name */
#define SPI_FIRST 32
#define SPI_LAST 1019 /* IHI 0069H 2.2 */
#define RESTARTS_MAX 1000
#define RESTART_WINDOW_MAX 86400
#define MEMORY_MAX (((uint64_t)1 << GUEST_IPA_BITS) - GUEST_RAM_BASE)
#define NOBODY UINT8_MAX
#define MANAGEMENT (UINT8_MAX - 1)

static_assert(CONFIG_MAX_VMS < MANAGEMENT, "owners are kept in one byte");

struct parse {
	const void *blob;
	struct manifest *manifest;
	struct manifest_vm *vm; /* the VM being read */
	struct bh_report *report;
	char path[48]; /* of the node being read */
};

struct value {
	const char *name;
	const uint8_t *data;
	uint32_t size;
};

struct property {
	const char *name;
	enum bh_error (*parse)(struct parse *p, const struct value *v);
	bool required;
};

/* Foreign text made fit for a report: printable and short. */
struct shown {
	char text[44];
};

static struct shown show(const char *text, size_t size)
{
	struct shown shown = {""};
	size_t room = sizeof(shown.text) - 3;
	size_t i;

	for (i = 0; i < size && i < room && text[i] != '\0'; i++)
		shown.text[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
	if (i == room && i < size && text[i] != '\0')
		memcpy(&shown.text[i], "..", 3);
	return shown;
}

static uint32_t cell(const struct value *v, uint32_t index)
{
	const uint8_t *at = v->data + (size_t)index * 4;

	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* The value as one string; NULL (and a report) when it is none. */
static const char *string(struct parse *p, const struct value *v)
{
	const char *text = (const char *)v->data;
	uint32_t length = v->size ? v->size - 1 : 0;

	if (v->size == 0 || memchr(text, '\0', v->size) != text + length) {
		bh_fail(p->report, BH_BAD_VALUE, "%s: %s: not a string; one string is allowed",
			p->path, v->name);
		return NULL;
	}
	for (uint32_t i = 0; i < length; i++) {
		if (text[i] >= ' ' && text[i] <= '~')
			continue;
		bh_fail(p->report, BH_BAD_VALUE,
			"%s: %s: byte 0x%02x at %u; only printable ASCII is allowed", p->path,
			v->name, v->data[i], i);
		return NULL;
	}
	return text;
}

/* The value as one cell of @min to @max. */
static enum bh_error number(struct parse *p, const struct value *v, uint32_t min, uint32_t max,
			    uint32_t *out)
{
	if (v->size != 4)
		return bh_fail(p->report, BH_BAD_VALUE,
			       "%s: %s: %u bytes; one cell (4 bytes) is allowed", p->path, v->name,
			       v->size);
	*out = cell(v, 0);
	if (*out < min || *out > max)
		return bh_fail(p->report, BH_BAD_VALUE, "%s: %s: %u; %u to %u are allowed", p->path,
			       v->name, *out, min, max);
	return BH_OK;
}

/* The value as one of the two words @first (0) and @second (1). */
static enum bh_error choice(struct parse *p, const struct value *v, const char *first,
			    const char *second, uint32_t *out)
{
	const char *text = string(p, v);

	if (!text)
		return BH_BAD_VALUE;
	*out = strcmp(text, second) == 0;
	if (*out == 0 && strcmp(text, first) != 0)
		return bh_fail(p->report, BH_BAD_VALUE, "%s: %s: '%s'; '%s' or '%s' are allowed",
			       p->path, v->name, show(text, v->size).text, first, second);
	return BH_OK;
}

static bool is_file_char(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       c == '.' || c == '_' || c == '-';
}

static enum bh_error file_name(struct parse *p, const struct value *v, char *out)
{
	const char *text = string(p, v);
	size_t length;
	size_t good = 0;

	if (!text)
		return BH_BAD_VALUE;
	length = strlen(text);
	while (good < length && is_file_char(text[good]))
		good++;
	if (length == 0 || length > MANIFEST_FILE_MAX || good != length || text[0] == '.')
		return bh_fail(p->report, BH_BAD_VALUE,
			       "%s: %s: '%s' is not a file name; 1 to %u of A-Z a-z 0-9 . _ - are "
			       "allowed, not beginning with a dot",
			       p->path, v->name, show(text, v->size).text, MANIFEST_FILE_MAX);
	memcpy(out, text, length + 1);
	return BH_OK;
}

static bool fits_form(char c, char form)
{
	switch (form) {
	case 'h':
		return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
	case '1':
	case '7':
		return c >= '0' && c <= form;
	default:
		return c == form;
	}
}

/* The hexadecimal digits of @form's length at @text; each also fits @form. */
static bool read_form(const char *text, const char *form, uint64_t *value)
{
	*value = 0;
	for (size_t i = 0; form[i] != '\0'; i++) {
		if (!fits_form(text[i], form[i]))
			return false;
		if (form[i] != ':' && form[i] != '.')
			*value = *value << 4 |
				 (uint64_t)(text[i] <= '9' ? text[i] - '0' : text[i] - 'a' + 10);
	}
	return true;
}

/* Segment, bus, device (at most 1f) and function (at most 7); a VF's number in decimal, at most 255. */
bool manifest_function(const char *text, uint32_t *id, uint32_t *vf)
{
	static const char form[] = "hhhh:hh:1h.7";
	static const char virtual[] = "/vf";
	const char *digits = text + sizeof(form) - 1 + sizeof(virtual) - 1;
	uint32_t number = 0;
	uint64_t value;

	if (!read_form(text, form, &value))
		return false;
	*id = (uint32_t)(value >> 12 << 8 | (value >> 4 & 0x1f) << 3 | (value & 7));
	*vf = MACHINE_NONE;
	text += sizeof(form) - 1;
	if (*text == '\0')
		return true;
	if (strncmp(text, virtual, sizeof(virtual) - 1) != 0)
		return false;
	for (text = digits; *text >= '0' && *text <= '9' && number < 256; text++)
		number = number * 10 + (uint32_t)(*text - '0');
	*vf = number;
	return text != digits && *text == '\0' && number < 256 &&
	       (digits[0] != '0' || text == digits + 1);
}

/* --- / --- */

static enum bh_error parse_compatible(struct parse *p, const struct value *v)
{
	const char *text = string(p, v);

	if (!text)
		return BH_BAD_VALUE;
	if (strcmp(text, COMPATIBLE) != 0)
		return bh_fail(p->report, BH_BAD_VALUE, "%s: %s: '%s'; '%s' is allowed", p->path,
			       v->name, show(text, v->size).text, COMPATIBLE);
	return BH_OK;
}

static const struct property root_properties[] = {
	{"compatible", parse_compatible, true},
};

/* --- /host --- */

static enum bh_error parse_management_core(struct parse *p, const struct value *v)
{
	return number(p, v, 0, CONFIG_MAX_CPUS - 1, &p->manifest->host.management_core);
}

static enum bh_error parse_stop_method(struct parse *p, const struct value *v)
{
	uint32_t chosen = 0;
	enum bh_error error = choice(p, v, "auto", "sgi", &chosen);

	p->manifest->host.stop_method = chosen ? STOP_SGI : STOP_AUTO;
	return error;
}

static enum bh_error parse_when_idle(struct parse *p, const struct value *v)
{
	uint32_t chosen = 0;
	enum bh_error error = choice(p, v, "wait", "poweroff", &chosen);

	p->manifest->host.when_idle = chosen ? IDLE_POWEROFF : IDLE_WAIT;
	return error;
}

static enum bh_error parse_console_interrupt(struct parse *p, const struct value *v)
{
	return number(p, v, SPI_FIRST, SPI_LAST, &p->manifest->host.console_interrupt);
}

static enum bh_error bad_function(struct parse *p, const struct value *v, const char *text,
				  size_t length)
{
	return bh_fail(p->report, BH_BAD_VALUE,
		       "%s: %s: '%s' is not a PCI function; the form \"0000:01:00.0\"%s allowed",
		       p->path, v->name, show(text, length).text,
		       strcmp(v->name, "devices") == 0 ? ", or with \"/vf0\" behind it, is"
						       : " is");
}

static enum bh_error parse_card(struct parse *p, const struct value *v)
{
	const char *text = string(p, v);
	uint32_t id, vf;

	if (!text)
		return BH_BAD_VALUE;
	if (!manifest_function(text, &id, &vf) || vf != MACHINE_NONE)
		return bad_function(p, v, text, v->size);
	memcpy(p->manifest->host.card, text, strlen(text) + 1);
	return BH_OK;
}

/* A list of functions' names, each as it may stand there. */
static enum bh_error function_list(struct parse *p, const struct value *v,
				   char (*names)[MANIFEST_DEVICE_MAX + 1], uint32_t *count)
{
	const char *text = (const char *)v->data;
	uint32_t length, id, vf;

	if (v->size == 0 || v->data[v->size - 1] != '\0')
		return bh_fail(p->report, BH_BAD_VALUE, "%s: %s: not a list of strings", p->path,
			       v->name);
	for (uint32_t at = 0; at < v->size; at += length + 1) {
		length = (uint32_t)strlen(text + at);
		if (!manifest_function(text + at, &id, &vf))
			return bad_function(p, v, text + at, length);
		if (*count == MANIFEST_MAX_DEVICES)
			return bh_fail(p->report, BH_TOO_MANY,
				       "%s: %s: more than %u; at most %u are allowed", p->path,
				       v->name, MANIFEST_MAX_DEVICES, MANIFEST_MAX_DEVICES);
		memcpy(names[(*count)++], text + at, length + 1);
	}
	return BH_OK;
}

static enum bh_error parse_virtual_functions(struct parse *p, const struct value *v)
{
	struct manifest_host *host = &p->manifest->host;
	enum bh_error error = function_list(p, v, host->vfs, &host->nvfs);
	uint32_t id, vf = 0;

	for (uint32_t i = 0; i < host->nvfs && error == BH_OK; i++)
		if (manifest_function(host->vfs[i], &id, &vf) && vf == MACHINE_NONE)
			error = bh_fail(p->report, BH_BAD_VALUE,
					"%s: %s: '%s' is no virtual function; the form "
					"\"0000:01:00.0/vf3\" is allowed",
					p->path, v->name, host->vfs[i]);
	return error;
}

static enum bh_error parse_card_port(struct parse *p, const struct value *v)
{
	return number(p, v, 1, UINT32_MAX - 1, &p->manifest->host.card_port);
}

static const struct property host_properties[] = {
	{"management-core", parse_management_core, false},
	{"stop-method", parse_stop_method, false},
	{"when-idle", parse_when_idle, false},
	{"console-interrupt", parse_console_interrupt, false},
	{"card", parse_card, false},
	{"card-port", parse_card_port, false},
	{"virtual-functions", parse_virtual_functions, false},
};

/* --- /vms/NAME --- */

static enum bh_error one_way_to_name_cores(struct parse *p)
{
	if (p->vm->ncores == 0)
		return BH_OK;
	return bh_fail(p->report, BH_BAD_VALUE,
		       "%s: cores and core-count both stand here; one of the two is allowed",
		       p->path);
}

static enum bh_error parse_cores(struct parse *p, const struct value *v)
{
	enum bh_error error = one_way_to_name_cores(p);
	uint32_t count = v->size / 4;

	if (error != BH_OK)
		return error;
	if (v->size % 4 != 0 || count == 0)
		return bh_fail(p->report, BH_BAD_VALUE,
			       "%s: %s: %u bytes; one cell (4 bytes) for each core is allowed",
			       p->path, v->name, v->size);
	if (count > CONFIG_MAX_CPUS)
		return bh_fail(p->report, BH_TOO_MANY, "%s: %s: %u cores; 1 to %u are allowed",
			       p->path, v->name, count, CONFIG_MAX_CPUS);
	for (uint32_t i = 0; i < count; i++) {
		p->vm->core[i] = cell(v, i);
		if (p->vm->core[i] >= CONFIG_MAX_CPUS)
			return bh_fail(p->report, BH_NO_SUCH_CORE,
				       "%s: %s: core %u does not exist; this build allows cores 0 "
				       "to %u",
				       p->path, v->name, p->vm->core[i], CONFIG_MAX_CPUS - 1);
	}
	p->vm->ncores = count;
	return BH_OK;
}

static enum bh_error parse_core_count(struct parse *p, const struct value *v)
{
	enum bh_error error = one_way_to_name_cores(p);

	if (error != BH_OK)
		return error;
	p->vm->any_core = 1;
	return number(p, v, 1, CONFIG_MAX_CPUS, &p->vm->ncores);
}

/* "512M" into bytes; false when it is no such text or too large. */
static bool read_size(const struct value *v, uint64_t *bytes)
{
	uint32_t length = v->size - 1;
	uint64_t unit;

	if (v->size < 3 || v->data[length] != '\0')
		return false;
	switch (v->data[length - 1]) {
	case 'K':
		unit = KIB;
		break;
	case 'M':
		unit = MIB;
		break;
	case 'G':
		unit = GIB;
		break;
	default:
		return false;
	}
	*bytes = 0;
	for (uint32_t i = 0; i < length - 1; i++) {
		if (v->data[i] < '0' || v->data[i] > '9')
			return false;
		if (!mul_ok(*bytes, 10, bytes) ||
		    !add_ok(*bytes, v->data[i] - (uint64_t)'0', bytes))
			return false;
	}
	return mul_ok(*bytes, unit, bytes);
}

static enum bh_error parse_memory(struct parse *p, const struct value *v)
{
	uint64_t bytes;

	/* No text of eight bytes is a number of bytes that a machine could have. */
	if (!read_size(v, &bytes)) {
		if (v->size != 8)
			return bh_fail(p->report, BH_BAD_VALUE,
				       "%s: %s: '%s' is not a size; a string like \"512M\" (K, M "
				       "or G) or two cells of bytes are allowed",
				       p->path, v->name, show((const char *)v->data, v->size).text);
		bytes = (uint64_t)cell(v, 0) << 32 | cell(v, 1);
	}
	if (bytes < BLOCK_SIZE || bytes > MEMORY_MAX)
		return bh_fail(p->report, bytes < BLOCK_SIZE ? BH_BAD_VALUE : BH_TOO_BIG,
			       "%s: %s: %llu bytes; 2M to %uG are allowed", p->path, v->name,
			       (unsigned long long)bytes, (unsigned int)(MEMORY_MAX / GIB));
	if (!is_aligned(bytes, BLOCK_SIZE))
		return bh_fail(p->report, BH_BAD_VALUE,
			       "%s: %s: %llu bytes; a multiple of 2M is allowed", p->path, v->name,
			       (unsigned long long)bytes);
	p->vm->memory = bytes;
	return BH_OK;
}

static enum bh_error parse_kernel(struct parse *p, const struct value *v)
{
	return file_name(p, v, p->vm->kernel);
}

static enum bh_error parse_initrd(struct parse *p, const struct value *v)
{
	return file_name(p, v, p->vm->initrd);
}

static enum bh_error parse_bootargs(struct parse *p, const struct value *v)
{
	const char *text = string(p, v);

	if (!text)
		return BH_BAD_VALUE;
	if (v->size > sizeof(p->vm->bootargs))
		return bh_fail(p->report, BH_TOO_BIG,
			       "%s: %s: %u characters; at most %u are allowed", p->path, v->name,
			       v->size - 1, MANIFEST_BOOTARGS_MAX);
	memcpy(p->vm->bootargs, text, v->size);
	return BH_OK;
}

static enum bh_error parse_boot_protocol(struct parse *p, const struct value *v)
{
	uint32_t chosen = 0;
	enum bh_error error = choice(p, v, "linux", "pvh", &chosen);

	p->vm->boot_protocol = chosen ? BOOT_PROTOCOL_PVH : BOOT_PROTOCOL_LINUX;
	return error;
}

static enum bh_error parse_console(struct parse *p, const struct value *v)
{
	return choice(p, v, "none", "uart", &p->vm->console);
}

static enum bh_error parse_autostart(struct parse *p, const struct value *v)
{
	return number(p, v, 0, 1, &p->vm->autostart);
}

static enum bh_error parse_restart_limit(struct parse *p, const struct value *v)
{
	if (v->size != 8)
		return bh_fail(p->report, BH_BAD_VALUE,
			       "%s: %s: %u bytes; two cells (restarts, seconds) are allowed",
			       p->path, v->name, v->size);
	p->vm->restart_limit = cell(v, 0);
	p->vm->restart_window = cell(v, 1);
	if (p->vm->restart_limit == 0 && p->vm->restart_window <= RESTART_WINDOW_MAX)
		return BH_OK;
	if (p->vm->restart_limit > RESTARTS_MAX || p->vm->restart_window == 0 ||
	    p->vm->restart_window > RESTART_WINDOW_MAX)
		return bh_fail(p->report, BH_BAD_VALUE,
			       "%s: %s: %u restarts in %u seconds; 1 to %u restarts in 1 to %u "
			       "seconds, or <0 0>, are allowed",
			       p->path, v->name, p->vm->restart_limit, p->vm->restart_window,
			       RESTARTS_MAX, RESTART_WINDOW_MAX);
	return BH_OK;
}

static enum bh_error parse_devices(struct parse *p, const struct value *v)
{
	return function_list(p, v, p->vm->device, &p->vm->ndevices);
}

static enum bh_error parse_dma_trusted(struct parse *p, const struct value *v)
{
	return number(p, v, 0, 1, &p->vm->dma_trusted);
}

static enum bh_error parse_virtual_interrupts(struct parse *p, const struct value *v)
{
	return number(p, v, 0, 1, &p->vm->virtual_interrupts);
}

static enum bh_error parse_hotplug_ports(struct parse *p, const struct value *v)
{
	return number(p, v, 0, PLAN_MAX_PORTS, &p->vm->hotplug_ports);
}

static const struct property vm_properties[] = {
	{"cores", parse_cores, false},
	{"core-count", parse_core_count, false},
	{"memory", parse_memory, true},
	{"kernel", parse_kernel, true},
	{"initrd", parse_initrd, false},
	{"bootargs", parse_bootargs, false},
	{"boot-protocol", parse_boot_protocol, false},
	{"console", parse_console, false},
	{"autostart", parse_autostart, false},
	{"restart-limit", parse_restart_limit, false},
	{"devices", parse_devices, false},
	{"dma-trusted", parse_dma_trusted, false},
	{"hotplug-ports", parse_hotplug_ports, false},
	{"virtual-interrupts", parse_virtual_interrupts, false},
};

/* --- nodes --- */

static enum bh_error unknown_property(struct parse *p, const char *name,
				      const struct property *table, size_t count)
{
	char known[192] = "none";
	size_t length = 0;

	for (size_t i = 0; i < count && length < sizeof(known); i++)
		length += bh_format(known + length, sizeof(known) - length, "%s%s", i ? ", " : "",
				    table[i].name);
	return bh_fail(p->report, BH_UNKNOWN, "%s: %s: this property is not known; known are %s",
		       p->path, show(name, SIZE_MAX).text, known);
}

static enum bh_error parse_property(struct parse *p, int at, const struct property *table,
				    size_t count, uint32_t *seen)
{
	struct value v = {0};
	int size = 0;

	v.data = fdt_getprop_by_offset(p->blob, at, &v.name, &size);
	if (!v.data || size < 0)
		return bh_fail(p->report, BH_BAD_MANIFEST, "%s: a property cannot be read: %s",
			       p->path, fdt_strerror(size));
	v.size = (uint32_t)size;
	for (size_t i = 0; i < count; i++) {
		if (strcmp(v.name, table[i].name) != 0)
			continue;
		if (*seen & 1U << i)
			return bh_fail(p->report, BH_BAD_VALUE,
				       "%s: %s: this property stands twice; once is allowed",
				       p->path, v.name);
		*seen |= 1U << i;
		return table[i].parse(p, &v);
	}
	return unknown_property(p, v.name, table, count);
}

static enum bh_error parse_properties(struct parse *p, int node, const struct property *table,
				      size_t count)
{
	uint32_t seen = 0;
	enum bh_error error;
	int at;

	fdt_for_each_property_offset(at, p->blob, node)
	{
		error = parse_property(p, at, table, count, &seen);
		if (error != BH_OK)
			return error;
	}
	for (size_t i = 0; i < count; i++) {
		if (table[i].required && !(seen & 1U << i))
			return bh_fail(p->report, BH_MISSING,
				       "%s: %s: this property is missing; it is required", p->path,
				       table[i].name);
	}
	return BH_OK;
}

static enum bh_error no_subnodes(struct parse *p, int node)
{
	int child = fdt_first_subnode(p->blob, node);
	const char *name;
	int length = 0;

	if (child < 0)
		return BH_OK;
	name = fdt_get_name(p->blob, child, &length);
	return bh_fail(p->report, BH_UNKNOWN,
		       "%s/%s: this node is not known; none is allowed below %s", p->path,
		       name ? show(name, SIZE_MAX).text : "?", p->path);
}

static enum bh_error parse_host(struct parse *p, int node)
{
	enum bh_error error;

	bh_format(p->path, sizeof(p->path), "/host");
	error = parse_properties(p, node, host_properties, ARRAY_SIZE(host_properties));
	return error != BH_OK ? error : no_subnodes(p, node);
}

static bool is_vm_name(const char *name, size_t length)
{
	if (length < 1 || length > MANIFEST_NAME_MAX)
		return false;
	for (size_t i = 0; i < length; i++) {
		char c = name[i];

		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'))
			return false;
	}
	return true;
}

/* Takes the next VM in p->manifest, named as @node. */
static enum bh_error name_vm(struct parse *p, int node)
{
	struct manifest *manifest = p->manifest;
	int length = 0;
	const char *name = fdt_get_name(p->blob, node, &length);

	if (!name || length < 0)
		return bh_fail(p->report, BH_BAD_MANIFEST, "/vms: a node's name cannot be read");
	if (!is_vm_name(name, (size_t)length))
		return bh_fail(p->report, BH_BAD_VALUE,
			       "/vms/%s: not a name for a VM; 1 to %u of a-z 0-9 - are allowed",
			       show(name, SIZE_MAX).text, MANIFEST_NAME_MAX);
	for (uint32_t i = 0; i < manifest->nvms; i++) {
		if (strcmp(manifest->vm[i].name, name) == 0)
			return bh_fail(p->report, BH_DUPLICATE,
				       "/vms/%s: two VMs have this name; each name may stand once",
				       name);
	}
	if (manifest->nvms == CONFIG_MAX_VMS)
		return bh_fail(p->report, BH_TOO_MANY,
			       "/vms/%s: this is VM number %u; this build allows %u VMs", name,
			       CONFIG_MAX_VMS + 1, CONFIG_MAX_VMS);
	p->vm = &manifest->vm[manifest->nvms++];
	memcpy(p->vm->name, name, (size_t)length + 1);
	bh_format(p->path, sizeof(p->path), "/vms/%s", name);
	return BH_OK;
}

static enum bh_error parse_vm(struct parse *p, int node)
{
	enum bh_error error = name_vm(p, node);

	if (error != BH_OK)
		return error;
	p->vm->console = 1;
	p->vm->autostart = 1;
	p->vm->restart_limit = 3;
	p->vm->restart_window = 60;
	error = parse_properties(p, node, vm_properties, ARRAY_SIZE(vm_properties));
	if (error != BH_OK)
		return error;
	if (p->vm->ncores == 0)
		return bh_fail(p->report, BH_MISSING,
			       "%s: cores: this property is missing; cores or core-count is "
			       "required",
			       p->path);
	return no_subnodes(p, node);
}

static enum bh_error parse_vms(struct parse *p, int node)
{
	enum bh_error error;
	int child;

	bh_format(p->path, sizeof(p->path), "/vms");
	error = parse_properties(p, node, NULL, 0);
	if (error != BH_OK)
		return error;
	fdt_for_each_subnode(child, p->blob, node)
	{
		error = parse_vm(p, child);
		if (error != BH_OK)
			return error;
	}
	return BH_OK;
}

static const struct {
	const char *name;
	enum bh_error (*parse)(struct parse *p, int node);
} root_nodes[] = {
	{"host", parse_host},
	{"vms", parse_vms},
};

static enum bh_error parse_root_node(struct parse *p, int node, uint32_t *seen)
{
	int length = 0;
	const char *name = fdt_get_name(p->blob, node, &length);

	for (size_t i = 0; name && i < ARRAY_SIZE(root_nodes); i++) {
		if (strcmp(name, root_nodes[i].name) != 0)
			continue;
		if (*seen & 1U << i)
			return bh_fail(p->report, BH_BAD_VALUE,
				       "/%s: this node stands twice; once is allowed", name);
		*seen |= 1U << i;
		return root_nodes[i].parse(p, node);
	}
	return bh_fail(p->report, BH_UNKNOWN, "/%s: this node is not known; known are host and vms",
		       name ? show(name, SIZE_MAX).text : "?");
}

static enum bh_error parse_root(struct parse *p)
{
	enum bh_error error;
	uint32_t seen = 0;
	int child;

	bh_format(p->path, sizeof(p->path), "/");
	error = parse_properties(p, 0, root_properties, ARRAY_SIZE(root_properties));
	if (error != BH_OK)
		return error;
	fdt_for_each_subnode(child, p->blob, 0)
	{
		error = parse_root_node(p, child, &seen);
		if (error != BH_OK)
			return error;
	}
	if (p->manifest->nvms == 0 && p->manifest->host.card[0] == '\0')
		return bh_fail(p->report, BH_MISSING,
			       "/vms: no VM stands here; 1 to %u are allowed, none only where "
			       "/host names a card that makes them",
			       CONFIG_MAX_VMS);
	return BH_OK;
}

/* --- what takes more than one node to see --- */

static enum bh_error check_core(struct parse *p, uint32_t vm, uint32_t core, uint8_t *owner)
{
	const char *name = p->manifest->vm[vm].name;

	if (*owner == MANAGEMENT)
		return bh_fail(p->report, BH_CORE_TAKEN,
			       "/vms/%s: cores: core %u is the management core; a VM may have any "
			       "other",
			       name, core);
	if (*owner == vm)
		return bh_fail(p->report, BH_CORE_TAKEN,
			       "/vms/%s: cores: core %u stands twice; once is allowed", name, core);
	if (*owner != NOBODY)
		return bh_fail(p->report, BH_CORE_TAKEN,
			       "/vms/%s: cores: core %u belongs to /vms/%s; a core may belong to "
			       "one VM",
			       name, core, p->manifest->vm[*owner].name);
	*owner = (uint8_t)vm;
	return BH_OK;
}

static enum bh_error check_cores(struct parse *p)
{
	const struct manifest *manifest = p->manifest;
	uint8_t owner[CONFIG_MAX_CPUS];

	memset(owner, NOBODY, sizeof(owner));
	if (manifest->host.management_core != MANIFEST_ANY_CORE)
		owner[manifest->host.management_core] = MANAGEMENT;
	for (uint32_t i = 0; i < manifest->nvms; i++) {
		const struct manifest_vm *vm = &manifest->vm[i];

		for (uint32_t k = 0; k < vm->ncores && !vm->any_core; k++) {
			enum bh_error error = check_core(p, i, vm->core[k], &owner[vm->core[k]]);

			if (error != BH_OK)
				return error;
		}
	}
	return BH_OK;
}

static enum bh_error check_device(struct parse *p, uint32_t vm, uint32_t device)
{
	const struct manifest *manifest = p->manifest;
	const char *name = manifest->vm[vm].device[device];

	for (uint32_t i = 0; i <= vm; i++) {
		uint32_t count = i == vm ? device : manifest->vm[i].ndevices;

		for (uint32_t k = 0; k < count; k++) {
			if (strcmp(manifest->vm[i].device[k], name) == 0)
				return bh_fail(
					p->report, BH_BAD_VALUE,
					"/vms/%s: devices: '%s' belongs to /vms/%s; a device "
					"may be given once",
					manifest->vm[vm].name, name, manifest->vm[i].name);
		}
	}
	return BH_OK;
}

static enum bh_error check_devices(struct parse *p)
{
	for (uint32_t i = 0; i < p->manifest->nvms; i++) {
		for (uint32_t k = 0; k < p->manifest->vm[i].ndevices; k++) {
			enum bh_error error = check_device(p, i, k);

			if (error != BH_OK)
				return error;
		}
	}
	return BH_OK;
}

/* --- the blob --- */

static enum bh_error check_blob(const void *blob, uint64_t size, struct bh_report *report)
{
	int error;

	if (!is_aligned((uint64_t)(uintptr_t)blob, 8))
		return bh_fail(report, BH_BAD_MANIFEST,
			       "manifest: not at a multiple of 8 bytes in memory");
	if (size < FDT_HEADER_BYTES)
		return bh_fail(report, BH_BAD_MANIFEST,
			       "manifest: %llu bytes; a device tree has at least %u",
			       (unsigned long long)size, FDT_HEADER_BYTES);
	if (size > MANIFEST_MAX_BYTES)
		return bh_fail(report, BH_TOO_BIG, "manifest: %llu bytes; at most %u are allowed",
			       (unsigned long long)size, (unsigned int)MANIFEST_MAX_BYTES);
	if (fdt_magic(blob) != FDT_MAGIC)
		return bh_fail(report, BH_BAD_MANIFEST,
			       "manifest: magic 0x%08x; a device tree begins with 0x%08x",
			       fdt_magic(blob), FDT_MAGIC);
	if (fdt_version(blob) != FDT_VERSION || fdt_last_comp_version(blob) > FDT_VERSION)
		return bh_fail(report, BH_BAD_MANIFEST,
			       "manifest: device tree version %u (compatible with %u); %u is "
			       "allowed",
			       fdt_version(blob), fdt_last_comp_version(blob), FDT_VERSION);
	if (fdt_totalsize(blob) > size)
		return bh_fail(report, BH_BAD_MANIFEST,
			       "manifest: its header says %u bytes, but there are %llu",
			       fdt_totalsize(blob), (unsigned long long)size);
	/* libfdt reads whole words where the header says; a core that checks alignment would fault. */
	if (!is_aligned(fdt_off_dt_struct(blob), 4) || !is_aligned(fdt_off_mem_rsvmap(blob), 8))
		return bh_fail(report, BH_BAD_MANIFEST,
			       "manifest: its header places a block at 0x%x or 0x%x; multiples of "
			       "4 and 8 are allowed",
			       fdt_off_dt_struct(blob), fdt_off_mem_rsvmap(blob));
	error = fdt_check_full(blob, (size_t)size);
	if (error != 0)
		return bh_fail(report, BH_BAD_MANIFEST,
			       "manifest: not a well-formed device tree: %s", fdt_strerror(error));
	return BH_OK;
}

/*
 * libfdt's iterators stop at the first thing that is no property, so that one
 * behind a subnode would go unseen; and depth is bounded before nodes are walked.
 */
static enum bh_error check_structure(const void *blob, struct bh_report *report)
{
	uint32_t before = FDT_NOP;
	int depth = 0;
	int next = 0;
	uint32_t tag;

	do {
		tag = fdt_next_tag(blob, next, &next);
		if (tag == FDT_PROP && before == FDT_END_NODE)
			return bh_fail(report, BH_BAD_MANIFEST,
				       "manifest: a property stands behind a node; properties "
				       "come first");
		if (tag == FDT_BEGIN_NODE && ++depth > MAX_DEPTH)
			return bh_fail(report, BH_UNKNOWN,
				       "manifest: nodes are nested more than %u deep; a VM's node "
				       "is the deepest allowed",
				       MAX_DEPTH);
		if (tag == FDT_END_NODE)
			depth--;
		if (tag != FDT_NOP)
			before = tag;
	} while (tag != FDT_END && next > 0);
	if (fdt_num_mem_rsv(blob) != 0)
		return bh_fail(report, BH_UNKNOWN,
			       "/memreserve/: %u entries; none is allowed in a manifest",
			       (unsigned int)fdt_num_mem_rsv(blob));
	return BH_OK;
}

enum bh_error manifest_parse(const void *blob, uint64_t size, struct manifest *manifest,
			     struct bh_report *report)
{
	struct parse p = {.blob = blob, .manifest = manifest, .report = report};
	enum bh_error error;

	memset(manifest, 0, sizeof(*manifest));
	manifest->host.management_core = MANIFEST_ANY_CORE;
	manifest->host.card_port = PROTOCOL_PORT;
	error = check_blob(blob, size, report);
	if (error == BH_OK)
		error = check_structure(blob, report);
	if (error == BH_OK)
		error = parse_root(&p);
	if (error == BH_OK)
		error = check_cores(&p);
	if (error == BH_OK)
		error = check_devices(&p);
	return error;
}
