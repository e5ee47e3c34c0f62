/* SPDX-License-Identifier: Apache-2.0 */
/* Each bad manifest is the good one with a few changes, and has its exact sentence. */
#include "blob.h"

#include <bulkhead/format.h>
#include <bulkhead/manifest.h>

static struct blob blob;
static struct manifest manifest;
static struct bh_report report;

#define MUST(call)                                                                                 \
	do {                                                                                       \
		int must_error = (call);                                                           \
		if (must_error < 0)                                                                \
			fail_msg("test: %s: %s", #call, fdt_strerror(must_error));                 \
	} while (0)

/* / { compatible; host { }; vms { web { cores = <1 2>; ... }; }; }; */
static void make_good(struct blob *b)
{
	static const struct change changes[] = {
		SET_TEXT("/", "compatible", "bulkhead,manifest-v1"),
		ADD_NODE("/", "vms"),
		ADD_NODE("/", "host"),
		ADD_NODE("/vms", "web"),
		SET_CELLS("/vms/web", "cores", 2, 1, 2),
		SET_TEXT("/vms/web", "memory", "512M"),
		SET_TEXT("/vms/web", "kernel", "Image"),
	};

	memset(b, 0, sizeof(*b));
	MUST(fdt_create(b->aligned, BLOB_BYTES));
	MUST(fdt_finish_reservemap(b->aligned));
	MUST(fdt_begin_node(b->aligned, ""));
	MUST(fdt_end_node(b->aligned));
	MUST(fdt_finish(b->aligned));
	MUST(fdt_open_into(b->aligned, b->aligned, BLOB_BYTES));
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++)
		blob_change(b, &changes[i]);
}

/* A second VM beside web. */
#define DB                                                                                         \
	ADD_NODE("/vms", "db"), SET_TEXT("/vms/db", "memory", "64M"),                              \
		SET_TEXT("/vms/db", "kernel", "Image")

static enum bh_error parse(struct blob *b)
{
	memset(&report, 0, sizeof(report));
	memset(&manifest, 0xa5, sizeof(manifest));
	MUST(fdt_pack(b->aligned));
	return manifest_parse(b->aligned, fdt_totalsize(b->aligned), &manifest, &report);
}

static int set_up(void **state)
{
	(void)state;
	make_good(&blob);
	return 0;
}

/* --- good manifests --- */

static void parse_with(const struct change *changes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		blob_change(&blob, &changes[i]);
	if (parse(&blob) != BH_OK)
		fail_msg("%s", report.text);
}

#define PARSE_WITH(...)                                                                            \
	do {                                                                                       \
		const struct change with[] = {__VA_ARGS__};                                        \
		parse_with(with, ARRAY_SIZE(with));                                                \
	} while (0)

static void defaults_are_filled_in(void **state)
{
	const struct manifest_vm *vm = &manifest.vm[0];

	(void)state;
	PARSE_WITH({0});
	assert_int_equal(manifest.host.management_core, MANIFEST_ANY_CORE);
	assert_int_equal(manifest.host.stop_method, STOP_AUTO);
	assert_int_equal(manifest.host.when_idle, IDLE_WAIT);
	assert_int_equal(manifest.host.console_interrupt, 0);
	assert_int_equal(manifest.nvms, 1);
	assert_string_equal(vm->name, "web");
	assert_int_equal(vm->ncores, 2);
	assert_int_equal(vm->any_core, 0);
	assert_int_equal(vm->core[0], 1);
	assert_int_equal(vm->core[1], 2);
	assert_int_equal(vm->memory, 512 * MIB);
	assert_string_equal(vm->kernel, "Image");
	assert_string_equal(vm->initrd, "");
	assert_string_equal(vm->bootargs, "");
	assert_int_equal(vm->console, 1);
	assert_int_equal(vm->autostart, 1);
	assert_int_equal(vm->restart_limit, 3);
	assert_int_equal(vm->restart_window, 60);
	assert_int_equal(vm->ndevices, 0);
}

static void host_is_optional(void **state)
{
	(void)state;
	PARSE_WITH(REMOVE_NODE("/host"));
	assert_int_equal(manifest.host.management_core, MANIFEST_ANY_CORE);
}

static void host_properties_are_read(void **state)
{
	(void)state;
	PARSE_WITH(SET_CELLS("/host", "management-core", 1, 3),
		   SET_TEXT("/host", "stop-method", "sgi"),
		   SET_TEXT("/host", "when-idle", "poweroff"),
		   SET_CELLS("/host", "console-interrupt", 1, 40));
	assert_int_equal(manifest.host.management_core, 3);
	assert_int_equal(manifest.host.stop_method, STOP_SGI);
	assert_int_equal(manifest.host.when_idle, IDLE_POWEROFF);
	assert_int_equal(manifest.host.console_interrupt, 40);
}

static void host_words_may_be_the_defaults(void **state)
{
	(void)state;
	PARSE_WITH(SET_TEXT("/host", "stop-method", "auto"),
		   SET_TEXT("/host", "when-idle", "wait"));
	assert_int_equal(manifest.host.stop_method, STOP_AUTO);
	assert_int_equal(manifest.host.when_idle, IDLE_WAIT);
}

static void vm_properties_are_read(void **state)
{
	const struct manifest_vm *vm = &manifest.vm[0];

	(void)state;
	PARSE_WITH(SET_TEXT("/vms/web", "initrd", "initrd.gz"),
		   SET_TEXT("/vms/web", "bootargs", "console=ttyAMA0 quiet"),
		   SET_TEXT("/vms/web", "console", "none"),
		   SET_CELLS("/vms/web", "autostart", 1, 0),
		   SET_CELLS("/vms/web", "restart-limit", 2, 5, 600));
	assert_string_equal(vm->initrd, "initrd.gz");
	assert_string_equal(vm->bootargs, "console=ttyAMA0 quiet");
	assert_int_equal(vm->console, 0);
	assert_int_equal(vm->autostart, 0);
	assert_int_equal(vm->restart_limit, 5);
	assert_int_equal(vm->restart_window, 600);
}

static void boot_protocols_are_read(void **state)
{
	(void)state;
	PARSE_WITH(SET_TEXT("/vms/web", "boot-protocol", "linux"));
	assert_int_equal(manifest.vm[0].boot_protocol, BOOT_PROTOCOL_LINUX);
	PARSE_WITH(SET_TEXT("/vms/web", "boot-protocol", "pvh"));
	assert_int_equal(manifest.vm[0].boot_protocol, BOOT_PROTOCOL_PVH);
	PARSE_WITH(REMOVE("/vms/web", "boot-protocol"));
	assert_int_equal(manifest.vm[0].boot_protocol, BOOT_PROTOCOL_ANY);
}

static void core_count_instead_of_cores(void **state)
{
	(void)state;
	PARSE_WITH(REMOVE("/vms/web", "cores"), SET_CELLS("/vms/web", "core-count", 1, 7));
	assert_int_equal(manifest.vm[0].any_core, 1);
	assert_int_equal(manifest.vm[0].ncores, 7);
}

static void restarts_can_be_forbidden(void **state)
{
	(void)state;
	PARSE_WITH(SET_CELLS("/vms/web", "restart-limit", 2, 0, 0));
	assert_int_equal(manifest.vm[0].restart_limit, 0);
}

static void devices_are_read(void **state)
{
	(void)state;
	PARSE_WITH(SET_BYTES("/vms/web", "devices", "0000:01:00.0\0ffff:ff:1f.7\0"));
	assert_int_equal(manifest.vm[0].ndevices, 2);
	assert_string_equal(manifest.vm[0].device[0], "0000:01:00.0");
	assert_string_equal(manifest.vm[0].device[1], "ffff:ff:1f.7");
}

static void functions_are_understood(void **state)
{
	static const struct {
		const char *text;
		uint32_t id;
		uint32_t vf;
	} good[] = {
		{"0000:01:00.0", 0x100, MACHINE_NONE},
		{"1234:56:1f.7", 0x123456ff, MACHINE_NONE},
		{"ffff:ff:10.1", 0xffffff81, MACHINE_NONE},
		{"0000:01:00.0/vf0", 0x100, 0},
		{"0000:01:00.0/vf10", 0x100, 10},
		{"0000:01:00.0/vf255", 0x100, 255},
	};
	static const char *const bad[] = {
		"",
		"0000:01:00",
		"0000:01:00.0/",
		"0000:01:00.0/vf",
		"0000:01:00.0/vf256",
		"0000:01:00.0/vf00",
		"0000:01:00.0/vf01",
		"0000:01:00.0/vf1x",
		"0000:01:00.0vf1",
		"0000:01:00.0/vf9999999999",
		"0000:01:00.00",
		"0000:0A:00.0",
	};
	uint32_t id, vf;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_true(manifest_function(good[i].text, &id, &vf));
		assert_int_equal(id, good[i].id);
		assert_int_equal(vf, good[i].vf);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(manifest_function(bad[i], &id, &vf));
}

static void interrupts_can_be_virtual(void **state)
{
	(void)state;
	PARSE_WITH(SET_CELLS("/vms/web", "virtual-interrupts", 1, 1));
	assert_int_equal(manifest.vm[0].virtual_interrupts, 1);
	assert_int_equal(manifest.vm[1].virtual_interrupts, 0);
}

static void dma_can_be_trusted(void **state)
{
	(void)state;
	PARSE_WITH(SET_CELLS("/vms/web", "dma-trusted", 1, 1));
	assert_int_equal(manifest.vm[0].dma_trusted, 1);
}

static void ports_for_hot_plug(void **state)
{
	(void)state;
	PARSE_WITH(SET_CELLS("/vms/web", "hotplug-ports", 1, 0));
	assert_int_equal(manifest.vm[0].hotplug_ports, 0);
	PARSE_WITH(SET_CELLS("/vms/web", "hotplug-ports", 1, 4));
	assert_int_equal(manifest.vm[0].hotplug_ports, 4);
}

static void memory_in_gib(void **state)
{
	(void)state;
	PARSE_WITH(SET_TEXT("/vms/web", "memory", "3G"));
	assert_int_equal(manifest.vm[0].memory, 3 * GIB);
}

static void memory_in_kib(void **state)
{
	(void)state;
	PARSE_WITH(SET_TEXT("/vms/web", "memory", "524288K")); /* eight bytes, and still a text */
	assert_int_equal(manifest.vm[0].memory, 512 * MIB);
}

static void memory_in_cells(void **state)
{
	(void)state;
	PARSE_WITH(SET_CELLS("/vms/web", "memory", 2, 1, 0x40000000));
	assert_int_equal(manifest.vm[0].memory, 5 * GIB);
}

static void memory_at_its_limits(void **state)
{
	(void)state;
	PARSE_WITH(SET_TEXT("/vms/web", "memory", "2M"));
	assert_int_equal(manifest.vm[0].memory, 2 * MIB);
	set_up(NULL);
	PARSE_WITH(SET_TEXT("/vms/web", "memory", "1023G"));
	assert_int_equal(manifest.vm[0].memory, 1023 * GIB);
}

static void longest_name(void **state)
{
	(void)state;
	PARSE_WITH(REMOVE_NODE("/vms/web"), ADD_NODE("/vms", "abcdefghijklmnopqrstuvwxyz-0123"),
		   SET_CELLS("/vms/abcdefghijklmnopqrstuvwxyz-0123", "cores", 1, 1),
		   SET_TEXT("/vms/abcdefghijklmnopqrstuvwxyz-0123", "memory", "64M"),
		   SET_TEXT("/vms/abcdefghijklmnopqrstuvwxyz-0123", "kernel", "Image"));
	assert_string_equal(manifest.vm[0].name, "abcdefghijklmnopqrstuvwxyz-0123");
}

static void longest_bootargs(void **state)
{
	char args[MANIFEST_BOOTARGS_MAX + 1];

	(void)state;
	memset(args, 'x', sizeof(args) - 1);
	args[sizeof(args) - 1] = '\0';
	PARSE_WITH(SET_TEXT("/vms/web", "bootargs", args));
	assert_string_equal(manifest.vm[0].bootargs, args);
}

static void add_vms(uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		char name[16];
		char path[24];

		bh_format(name, sizeof(name), "vm%u", i);
		bh_format(path, sizeof(path), "/vms/%s", name);
		MUST(fdt_add_subnode(blob.aligned, blob_node(&blob, "/vms"), name));
		MUST(fdt_setprop(blob.aligned, blob_node(&blob, path), "memory", "64M", 4));
		MUST(fdt_setprop(blob.aligned, blob_node(&blob, path), "kernel", "Image", 6));
		MUST(fdt_setprop_u32(blob.aligned, blob_node(&blob, path), "core-count", 1));
	}
}

static void as_many_vms_as_allowed(void **state)
{
	(void)state;
	add_vms(CONFIG_MAX_VMS - 1);
	assert_int_equal(parse(&blob), BH_OK);
	assert_int_equal(manifest.nvms, CONFIG_MAX_VMS);
}

static void one_vm_too_many(void **state)
{
	(void)state;
	add_vms(CONFIG_MAX_VMS);
	assert_int_equal(parse(&blob), BH_TOO_MANY);
	/* libfdt adds new nodes in front, so that web is the last. */
	assert_string_equal(report.text,
			    "/vms/web: this is VM number 17; this build allows 16 VMs");
}

static void report_may_be_null(void **state)
{
	(void)state;
	blob_change(&blob, &(struct change)SET_TEXT("/vms/web", "memory", "lots"));
	MUST(fdt_pack(blob.aligned));
	assert_int_equal(manifest_parse(blob.aligned, BLOB_BYTES / 2, &manifest, NULL),
			 BH_BAD_VALUE);
}

/* --- bad manifests: the good one with changes --- */

#define NAME32 "abcdefghijklmnopqrstuvwxyz-01234"
#define FILE64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static const struct bad {
	const char *name;
	enum bh_error error;
	const char *sentence;
	struct change change[MAX_CHANGES + 2];
} bad[] = {
	/* unknown */
	{"unknown_vm_property",
	 BH_UNKNOWN,
	 "/vms/web: colour: this property is not known; known are cores, core-count, memory, "
	 "kernel, initrd, bootargs, boot-protocol, console, autostart, restart-limit, devices, dma-trusted, "
	 "hotplug-ports, virtual-interrupts",
	 {SET_TEXT("/vms/web", "colour", "blue")}},
	{"unknown_host_property",
	 BH_UNKNOWN,
	 "/host: management-cores: this property is not known; known are management-core, "
	 "stop-method, when-idle, console-interrupt, card, card-port, "
	 "virtual-functions",
	 {SET_CELLS("/host", "management-cores", 1, 0)}},
	{"unknown_root_property",
	 BH_UNKNOWN,
	 "/: model: this property is not known; known are compatible",
	 {SET_TEXT("/", "model", "x")}},
	{"property_on_vms",
	 BH_UNKNOWN,
	 "/vms: count: this property is not known; known are none",
	 {SET_CELLS("/vms", "count", 1, 1)}},
	{"unknown_root_node",
	 BH_UNKNOWN,
	 "/hosts: this node is not known; known are host and vms",
	 {ADD_NODE("/", "hosts")}},
	{"node_below_a_vm",
	 BH_UNKNOWN,
	 "/vms/web/disk: this node is not known; none is allowed below /vms/web",
	 {ADD_NODE("/vms/web", "disk")}},
	{"node_below_host",
	 BH_UNKNOWN,
	 "/host/x: this node is not known; none is allowed below /host",
	 {ADD_NODE("/host", "x")}},
	{"foreign_name_is_made_printable",
	 BH_UNKNOWN,
	 "/vms/web: co?lour: this property is not known; known are cores, core-count, memory, "
	 "kernel, initrd, bootargs, boot-protocol, console, autostart, restart-limit, devices, dma-trusted, "
	 "hotplug-ports, virtual-interrupts",
	 {SET_TEXT("/vms/web", "co\x1blour", "blue")}},
	{"foreign_name_is_cut",
	 BH_UNKNOWN,
	 "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa..: this node is not known; known are host "
	 "and vms",
	 {ADD_NODE("/", FILE64)}},

	/* missing */
	{"no_compatible",
	 BH_MISSING,
	 "/: compatible: this property is missing; it is required",
	 {REMOVE("/", "compatible")}},
	{"no_vms_node",
	 BH_MISSING,
	 "/vms: no VM stands here; 1 to 16 are allowed, none only where /host names a card that makes them",
	 {REMOVE_NODE("/vms")}},
	{"no_vm",
	 BH_MISSING,
	 "/vms: no VM stands here; 1 to 16 are allowed, none only where /host names a card that makes them",
	 {REMOVE_NODE("/vms/web")}},
	{"no_cores",
	 BH_MISSING,
	 "/vms/web: cores: this property is missing; cores or core-count is required",
	 {REMOVE("/vms/web", "cores")}},
	{"no_memory",
	 BH_MISSING,
	 "/vms/web: memory: this property is missing; it is required",
	 {REMOVE("/vms/web", "memory")}},
	{"no_kernel",
	 BH_MISSING,
	 "/vms/web: kernel: this property is missing; it is required",
	 {REMOVE("/vms/web", "kernel")}},

	/* compatible */
	{"other_version",
	 BH_BAD_VALUE,
	 "/: compatible: 'bulkhead,manifest-v2'; 'bulkhead,manifest-v1' is allowed",
	 {SET_TEXT("/", "compatible", "bulkhead,manifest-v2")}},
	{"two_versions",
	 BH_BAD_VALUE,
	 "/: compatible: not a string; one string is allowed",
	 {SET_BYTES("/", "compatible", "bulkhead,manifest-v1\0x\0")}},

	/* names */
	{"name_with_capitals",
	 BH_BAD_VALUE,
	 "/vms/Web: not a name for a VM; 1 to 31 of a-z 0-9 - are allowed",
	 {ADD_NODE("/vms", "Web")}},
	{"name_with_unit_address",
	 BH_BAD_VALUE,
	 "/vms/web@1: not a name for a VM; 1 to 31 of a-z 0-9 - are allowed",
	 {ADD_NODE("/vms", "web@1")}},
	{"name_too_long",
	 BH_BAD_VALUE,
	 "/vms/" NAME32 ": not a name for a VM; 1 to 31 of a-z 0-9 - are allowed",
	 {ADD_NODE("/vms", NAME32)}},

	/* cores */
	{"cores_and_core_count",
	 BH_BAD_VALUE,
	 "/vms/web: cores and core-count both stand here; one of the two is allowed",
	 {SET_CELLS("/vms/web", "core-count", 1, 2)}},
	{"cores_empty",
	 BH_BAD_VALUE,
	 "/vms/web: cores: 0 bytes; one cell (4 bytes) for each core is allowed",
	 {SET_CELLS("/vms/web", "cores", 0, 0)}},
	{"cores_not_cells",
	 BH_BAD_VALUE,
	 "/vms/web: cores: 6 bytes; one cell (4 bytes) for each core is allowed",
	 {SET_BYTES("/vms/web", "cores", "\0\0\0\1\0\0")}},
	{"core_beyond_the_build",
	 BH_NO_SUCH_CORE,
	 "/vms/web: cores: core 64 does not exist; this build allows cores 0 to 63",
	 {SET_CELLS("/vms/web", "cores", 2, 1, 64)}},
	{"core_twice",
	 BH_CORE_TAKEN,
	 "/vms/web: cores: core 1 stands twice; once is allowed",
	 {SET_CELLS("/vms/web", "cores", 3, 1, 2, 1)}},
	{"core_of_another_vm",
	 BH_CORE_TAKEN,
	 "/vms/web: cores: core 2 belongs to /vms/db; a core may belong to one VM",
	 {DB, SET_CELLS("/vms/db", "cores", 2, 3, 2)}},
	{"core_of_the_management",
	 BH_CORE_TAKEN,
	 "/vms/web: cores: core 2 is the management core; a VM may have any other",
	 {SET_CELLS("/host", "management-core", 1, 2)}},
	{"core_count_zero",
	 BH_BAD_VALUE,
	 "/vms/web: core-count: 0; 1 to 64 are allowed",
	 {REMOVE("/vms/web", "cores"), SET_CELLS("/vms/web", "core-count", 1, 0)}},
	{"core_count_too_large",
	 BH_BAD_VALUE,
	 "/vms/web: core-count: 65; 1 to 64 are allowed",
	 {REMOVE("/vms/web", "cores"), SET_CELLS("/vms/web", "core-count", 1, 65)}},
	{"core_count_two_cells",
	 BH_BAD_VALUE,
	 "/vms/web: core-count: 8 bytes; one cell (4 bytes) is allowed",
	 {REMOVE("/vms/web", "cores"), SET_CELLS("/vms/web", "core-count", 2, 1, 1)}},

	/* memory */
	{"memory_no_unit",
	 BH_BAD_VALUE,
	 "/vms/web: memory: '512' is not a size; a string like \"512M\" (K, M or G) or two cells "
	 "of bytes are allowed",
	 {SET_TEXT("/vms/web", "memory", "512")}},
	{"memory_other_unit",
	 BH_BAD_VALUE,
	 "/vms/web: memory: '512MB' is not a size; a string like \"512M\" (K, M or G) or two "
	 "cells of bytes are allowed",
	 {SET_TEXT("/vms/web", "memory", "512MB")}},
	{"memory_negative",
	 BH_BAD_VALUE,
	 "/vms/web: memory: '-1M' is not a size; a string like \"512M\" (K, M or G) or two cells "
	 "of bytes are allowed",
	 {SET_TEXT("/vms/web", "memory", "-1M")}},
	{"memory_unit_only",
	 BH_BAD_VALUE,
	 "/vms/web: memory: 'G' is not a size; a string like \"512M\" (K, M or G) or two cells of "
	 "bytes are allowed",
	 {SET_TEXT("/vms/web", "memory", "G")}},
	{"memory_empty",
	 BH_BAD_VALUE,
	 "/vms/web: memory: '' is not a size; a string like \"512M\" (K, M or G) or two cells of "
	 "bytes are allowed",
	 {SET_CELLS("/vms/web", "memory", 0, 0)}},
	{"memory_overflows",
	 BH_BAD_VALUE,
	 "/vms/web: memory: '18446744073709551617G' is not a size; a string like \"512M\" (K, M "
	 "or G) or two cells of bytes are allowed",
	 {SET_TEXT("/vms/web", "memory", "18446744073709551617G")}},
	{"memory_zero",
	 BH_BAD_VALUE,
	 "/vms/web: memory: 0 bytes; 2M to 1023G are allowed",
	 {SET_TEXT("/vms/web", "memory", "0M")}},
	{"memory_beyond_the_guest",
	 BH_TOO_BIG,
	 "/vms/web: memory: 1099511627776 bytes; 2M to 1023G are allowed",
	 {SET_TEXT("/vms/web", "memory", "1024G")}},
	{"memory_not_whole_blocks",
	 BH_BAD_VALUE,
	 "/vms/web: memory: 3145728 bytes; a multiple of 2M is allowed",
	 {SET_TEXT("/vms/web", "memory", "3M")}},

	/* files, bootargs */
	{"kernel_with_a_path",
	 BH_BAD_VALUE,
	 "/vms/web: kernel: '../Image' is not a file name; 1 to 63 of A-Z a-z 0-9 . _ - are "
	 "allowed, not beginning with a dot",
	 {SET_TEXT("/vms/web", "kernel", "../Image")}},
	{"kernel_empty",
	 BH_BAD_VALUE,
	 "/vms/web: kernel: '' is not a file name; 1 to 63 of A-Z a-z 0-9 . _ - are allowed, not "
	 "beginning with a dot",
	 {SET_TEXT("/vms/web", "kernel", "")}},
	{"kernel_dots",
	 BH_BAD_VALUE,
	 "/vms/web: kernel: '..' is not a file name; 1 to 63 of A-Z a-z 0-9 . _ - are allowed, "
	 "not beginning with a dot",
	 {SET_TEXT("/vms/web", "kernel", "..")}},
	{"initrd_too_long",
	 BH_BAD_VALUE,
	 "/vms/web: initrd: 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa..' is not a file name; 1 "
	 "to 63 of A-Z a-z 0-9 . _ - are allowed, not beginning with a dot",
	 {SET_TEXT("/vms/web", "initrd", FILE64)}},
	{"kernel_without_end",
	 BH_BAD_VALUE,
	 "/vms/web: kernel: not a string; one string is allowed",
	 {SET_BYTES("/vms/web", "kernel", "Image")}},
	{"kernel_not_ascii",
	 BH_BAD_VALUE,
	 "/vms/web: kernel: byte 0xff at 1; only printable ASCII is allowed",
	 {SET_TEXT("/vms/web", "kernel", "I\xffmage")}},
	{"bootargs_with_newline",
	 BH_BAD_VALUE,
	 "/vms/web: bootargs: byte 0x0a at 5; only printable ASCII is allowed",
	 {SET_TEXT("/vms/web", "bootargs", "quiet\n")}},

	/* the rest of a VM */
	{"boot_protocol_unknown",
	 BH_BAD_VALUE,
	 "/vms/web: boot-protocol: 'multiboot'; 'linux' or 'pvh' are allowed",
	 {SET_TEXT("/vms/web", "boot-protocol", "multiboot")}},
	{"console_unknown",
	 BH_BAD_VALUE,
	 "/vms/web: console: 'vga'; 'none' or 'uart' are allowed",
	 {SET_TEXT("/vms/web", "console", "vga")}},
	{"autostart_two",
	 BH_BAD_VALUE,
	 "/vms/web: autostart: 2; 0 to 1 are allowed",
	 {SET_CELLS("/vms/web", "autostart", 1, 2)}},
	{"autostart_without_value",
	 BH_BAD_VALUE,
	 "/vms/web: autostart: 0 bytes; one cell (4 bytes) is allowed",
	 {SET_CELLS("/vms/web", "autostart", 0, 0)}},
	{"restart_limit_one_cell",
	 BH_BAD_VALUE,
	 "/vms/web: restart-limit: 4 bytes; two cells (restarts, seconds) are allowed",
	 {SET_CELLS("/vms/web", "restart-limit", 1, 3)}},
	{"restarts_in_no_time",
	 BH_BAD_VALUE,
	 "/vms/web: restart-limit: 3 restarts in 0 seconds; 1 to 1000 restarts in 1 to 86400 "
	 "seconds, or <0 0>, are allowed",
	 {SET_CELLS("/vms/web", "restart-limit", 2, 3, 0)}},
	{"too_many_restarts",
	 BH_BAD_VALUE,
	 "/vms/web: restart-limit: 1001 restarts in 60 seconds; 1 to 1000 restarts in 1 to 86400 "
	 "seconds, or <0 0>, are allowed",
	 {SET_CELLS("/vms/web", "restart-limit", 2, 1001, 60)}},

	/* devices */
	{"device_not_an_address",
	 BH_BAD_VALUE,
	 "/vms/web: devices: '01:00.0' is not a PCI function; the form \"0000:01:00.0\", or with \"/vf0\" behind it, is allowed",
	 {SET_TEXT("/vms/web", "devices", "01:00.0")}},
	{"device_beyond_1f",
	 BH_BAD_VALUE,
	 "/vms/web: devices: '0000:01:20.0' is not a PCI function; the form \"0000:01:00.0\", or with \"/vf0\" behind it, is "
	 "allowed",
	 {SET_TEXT("/vms/web", "devices", "0000:01:20.0")}},
	{"function_beyond_7",
	 BH_BAD_VALUE,
	 "/vms/web: devices: '0000:01:00.8' is not a PCI function; the form \"0000:01:00.0\", or with \"/vf0\" behind it, is "
	 "allowed",
	 {SET_TEXT("/vms/web", "devices", "0000:01:00.8")}},
	{"vf_beyond_255",
	 BH_BAD_VALUE,
	 "/vms/web: devices: '0000:01:00.0/vf256' is not a PCI function; the form \"0000:01:00.0\", or with \"/vf0\" behind it, is "
	 "allowed",
	 {SET_TEXT("/vms/web", "devices", "0000:01:00.0/vf256")}},
	{"vf_as_the_card",
	 BH_BAD_VALUE,
	 "/host: card: '0000:01:00.0/vf0' is not a PCI function; the form \"0000:01:00.0\" is allowed",
	 {SET_TEXT("/host", "card", "0000:01:00.0/vf0")}},
	{"dma_trusted_too_much",
	 BH_BAD_VALUE,
	 "/vms/web: dma-trusted: 2; 0 to 1 are allowed",
	 {SET_CELLS("/vms/web", "dma-trusted", 1, 2)}},
	{"virtual_interrupts_too_much",
	 BH_BAD_VALUE,
	 "/vms/web: virtual-interrupts: 2; 0 to 1 are allowed",
	 {SET_CELLS("/vms/web", "virtual-interrupts", 1, 2)}},
	{"too_many_ports",
	 BH_BAD_VALUE,
	 "/vms/web: hotplug-ports: 5; 0 to 4 are allowed",
	 {SET_CELLS("/vms/web", "hotplug-ports", 1, 5)}},
	{"ports_as_text",
	 BH_BAD_VALUE,
	 "/vms/web: hotplug-ports: 2 bytes; one cell (4 bytes) is allowed",
	 {SET_TEXT("/vms/web", "hotplug-ports", "4")}},
	{"devices_without_end",
	 BH_BAD_VALUE,
	 "/vms/web: devices: not a list of strings",
	 {SET_BYTES("/vms/web", "devices", "0000:01:00.0")}},
	{"device_twice",
	 BH_BAD_VALUE,
	 "/vms/web: devices: '0000:01:00.0' belongs to /vms/web; a device may be given once",
	 {SET_BYTES("/vms/web", "devices",
		    "0000:01:00.0\0"
		    "0000:01:00.0\0")}},
	{"device_of_another_vm",
	 BH_BAD_VALUE,
	 "/vms/web: devices: '0000:01:00.0' belongs to /vms/db; a device may be given once",
	 {DB, SET_CELLS("/vms/db", "cores", 1, 3), SET_TEXT("/vms/db", "devices", "0000:01:00.0"),
	  SET_TEXT("/vms/web", "devices", "0000:01:00.0")}},

	/* host */
	{"management_core_too_large",
	 BH_BAD_VALUE,
	 "/host: management-core: 64; 0 to 63 are allowed",
	 {SET_CELLS("/host", "management-core", 1, 64)}},
	{"stop_method_unknown",
	 BH_BAD_VALUE,
	 "/host: stop-method: 'nmi'; 'auto' or 'sgi' are allowed",
	 {SET_TEXT("/host", "stop-method", "nmi")}},
	{"when_idle_unknown",
	 BH_BAD_VALUE,
	 "/host: when-idle: 'halt'; 'wait' or 'poweroff' are allowed",
	 {SET_TEXT("/host", "when-idle", "halt")}},
	{"console_interrupt_not_an_spi",
	 BH_BAD_VALUE,
	 "/host: console-interrupt: 31; 32 to 1019 are allowed",
	 {SET_CELLS("/host", "console-interrupt", 1, 31)}},
	{"console_interrupt_too_large",
	 BH_BAD_VALUE,
	 "/host: console-interrupt: 1020; 32 to 1019 are allowed",
	 {SET_CELLS("/host", "console-interrupt", 1, 1020)}},
};

static void test_bad(void **state)
{
	const struct bad *b = *state;

	make_good(&blob);
	for (size_t i = 0; i < ARRAY_SIZE(b->change); i++)
		blob_change(&blob, &b->change[i]);
	assert_int_not_equal(parse(&blob), BH_OK);
	assert_string_equal(report.text, b->sentence);
	assert_string_equal(bh_error_name(report.error), bh_error_name(b->error));
}

static void cores_more_than_the_build_allows(void **state)
{
	uint32_t cells[CONFIG_MAX_CPUS + 1] = {0};

	(void)state;
	MUST(fdt_setprop(blob.aligned, blob_node(&blob, "/vms/web"), "cores", cells,
			 sizeof(cells)));
	assert_int_equal(parse(&blob), BH_TOO_MANY);
	assert_string_equal(report.text, "/vms/web: cores: 65 cores; 1 to 64 are allowed");
}

static void bootargs_too_long(void **state)
{
	char args[MANIFEST_BOOTARGS_MAX + 2];

	(void)state;
	memset(args, 'x', sizeof(args) - 1);
	args[sizeof(args) - 1] = '\0';
	blob_change(&blob, &(struct change)SET_TEXT("/vms/web", "bootargs", args));
	assert_int_equal(parse(&blob), BH_TOO_BIG);
	assert_string_equal(report.text,
			    "/vms/web: bootargs: 1024 characters; at most 1023 are allowed");
}

static void too_many_devices(void **state)
{
	char list[9 * 13 + 1];

	(void)state;
	for (unsigned int i = 0; i < 9; i++)
		bh_format(list + (size_t)i * 13, 14, "0000:%02x:00.0", i);
	MUST(fdt_setprop(blob.aligned, blob_node(&blob, "/vms/web"), "devices", list, 9 * 13));
	assert_int_equal(parse(&blob), BH_TOO_MANY);
	assert_string_equal(report.text, "/vms/web: devices: more than 8; at most 8 are allowed");
}

/* --- what only a writer of our own can make: dtc and libfdt refuse it --- */

static void put_string(const char *name, const char *text)
{
	MUST(fdt_property(blob.aligned, name, text, (int)strlen(text) + 1));
}

static void begin(void)
{
	MUST(fdt_create(blob.aligned, BLOB_BYTES));
	MUST(fdt_finish_reservemap(blob.aligned));
	MUST(fdt_begin_node(blob.aligned, ""));
	put_string("compatible", "bulkhead,manifest-v1");
}

static void write_vm(const char *name, uint32_t core)
{
	MUST(fdt_begin_node(blob.aligned, name));
	MUST(fdt_property_u32(blob.aligned, "cores", core));
	put_string("memory", "64M");
	put_string("kernel", "Image");
	MUST(fdt_end_node(blob.aligned));
}

static enum bh_error finish(void)
{
	MUST(fdt_end_node(blob.aligned));
	MUST(fdt_finish(blob.aligned));
	return manifest_parse(blob.aligned, fdt_totalsize(blob.aligned), &manifest, &report);
}

static void two_vms_of_one_name(void **state)
{
	(void)state;
	begin();
	MUST(fdt_begin_node(blob.aligned, "vms"));
	write_vm("web", 1);
	write_vm("web", 2);
	MUST(fdt_end_node(blob.aligned));
	assert_int_equal(finish(), BH_DUPLICATE);
	assert_string_equal(report.text,
			    "/vms/web: two VMs have this name; each name may stand once");
}

static void property_twice(void **state)
{
	(void)state;
	begin();
	put_string("compatible", "bulkhead,manifest-v1");
	MUST(fdt_begin_node(blob.aligned, "vms"));
	write_vm("web", 1);
	MUST(fdt_end_node(blob.aligned));
	assert_int_equal(finish(), BH_BAD_VALUE);
	assert_string_equal(report.text,
			    "/: compatible: this property stands twice; once is allowed");
}

static void vms_node_twice(void **state)
{
	(void)state;
	begin();
	for (uint32_t i = 0; i < 2; i++) {
		MUST(fdt_begin_node(blob.aligned, "vms"));
		write_vm(i ? "web" : "db", i + 1);
		MUST(fdt_end_node(blob.aligned));
	}
	assert_int_equal(finish(), BH_BAD_VALUE);
	assert_string_equal(report.text, "/vms: this node stands twice; once is allowed");
}

static void property_behind_a_node(void **state)
{
	(void)state;
	begin();
	MUST(fdt_begin_node(blob.aligned, "vms"));
	write_vm("web", 1);
	put_string("hidden", "from libfdt's iterators");
	MUST(fdt_end_node(blob.aligned));
	assert_int_equal(finish(), BH_BAD_MANIFEST);
	assert_string_equal(report.text,
			    "manifest: a property stands behind a node; properties come first");
}

static void nested_too_deep(void **state)
{
	(void)state;
	begin();
	for (int i = 0; i < 8; i++)
		MUST(fdt_begin_node(blob.aligned, "vms"));
	for (int i = 0; i < 8; i++)
		MUST(fdt_end_node(blob.aligned));
	assert_int_equal(finish(), BH_UNKNOWN);
	assert_string_equal(report.text, "manifest: nodes are nested more than 8 deep; a VM's node "
					 "is the deepest allowed");
}

static void misaligned_structure(void **state)
{
	(void)state;
	MUST(fdt_pack(blob.aligned));
	fdt_set_off_dt_struct(blob.aligned, 57);
	assert_int_equal(
		manifest_parse(blob.aligned, fdt_totalsize(blob.aligned), &manifest, &report),
		BH_BAD_MANIFEST);
	assert_string_equal(report.text, "manifest: its header places a block at 0x39 or 0x28; "
					 "multiples of 4 and 8 are allowed");
}

static void memory_reservation(void **state)
{
	(void)state;
	MUST(fdt_add_mem_rsv(blob.aligned, 0x1000, 0x1000));
	assert_int_equal(parse(&blob), BH_UNKNOWN);
	assert_string_equal(report.text, "/memreserve/: 1 entries; none is allowed in a manifest");
}

/* --- the blob itself --- */

static enum bh_error parse_bytes(const void *at, uint64_t size)
{
	return manifest_parse(at, size, &manifest, &report);
}

static void empty_file(void **state)
{
	(void)state;
	assert_int_equal(parse_bytes(blob.aligned, 0), BH_BAD_MANIFEST);
	assert_string_equal(report.text, "manifest: 0 bytes; a device tree has at least 40");
}

static void not_aligned(void **state)
{
	(void)state;
	assert_int_equal(parse_bytes((const char *)blob.aligned + 4, 1000), BH_BAD_MANIFEST);
	assert_string_equal(report.text, "manifest: not at a multiple of 8 bytes in memory");
}

static void huge_file(void **state)
{
	(void)state;
	assert_int_equal(parse_bytes(blob.aligned, MANIFEST_MAX_BYTES + 1), BH_TOO_BIG);
	assert_string_equal(report.text, "manifest: 65537 bytes; at most 65536 are allowed");
}

static void huge_header(void **state)
{
	(void)state;
	fdt_set_totalsize(blob.aligned, 0xffffffff);
	assert_int_equal(parse_bytes(blob.aligned, 4096), BH_BAD_MANIFEST);
	assert_string_equal(report.text,
			    "manifest: its header says 4294967295 bytes, but there are 4096");
}

static void wrong_magic(void **state)
{
	(void)state;
	fdt_set_magic(blob.aligned, 0x2f647473); /* "/dts": source instead of a blob */
	assert_int_equal(parse_bytes(blob.aligned, 4096), BH_BAD_MANIFEST);
	assert_string_equal(report.text,
			    "manifest: magic 0x2f647473; a device tree begins with 0xd00dfeed");
}

static void old_version(void **state)
{
	(void)state;
	fdt_set_version(blob.aligned, 3);
	assert_int_equal(parse_bytes(blob.aligned, 4096), BH_BAD_MANIFEST);
	assert_string_equal(report.text,
			    "manifest: device tree version 3 (compatible with 16); 17 is allowed");
}

static void future_version(void **state)
{
	(void)state;
	fdt_set_last_comp_version(blob.aligned, 18);
	assert_int_equal(parse_bytes(blob.aligned, 4096), BH_BAD_MANIFEST);
}

/* Structure and strings in each other: every name is then made of structure. */
static void blocks_overlap(void **state)
{
	(void)state;
	MUST(fdt_pack(blob.aligned));
	fdt_set_off_dt_strings(blob.aligned, fdt_off_dt_struct(blob.aligned));
	assert_int_not_equal(parse_bytes(blob.aligned, fdt_totalsize(blob.aligned)), BH_OK);
}

static void structure_outside(void **state)
{
	(void)state;
	MUST(fdt_pack(blob.aligned));
	fdt_set_off_dt_struct(blob.aligned, 0xfffffff0);
	assert_int_equal(parse_bytes(blob.aligned, fdt_totalsize(blob.aligned)), BH_BAD_MANIFEST);
}

/* A node that never ends, with another below it, and so on. */
static void endless_nesting(void **state)
{
	uint32_t *cell;

	(void)state;
	MUST(fdt_pack(blob.aligned));
	cell = (uint32_t *)(void *)((char *)blob.aligned + fdt_off_dt_struct(blob.aligned));
	for (uint32_t i = 0; i < fdt_size_dt_struct(blob.aligned) / 4; i++)
		cell[i] = cpu_to_fdt32(i % 2 ? 0 : FDT_BEGIN_NODE);
	assert_int_equal(parse_bytes(blob.aligned, fdt_totalsize(blob.aligned)), BH_BAD_MANIFEST);
}

static void every_truncation_is_refused(void **state)
{
	static struct blob cut;
	uint32_t size;

	(void)state;
	MUST(fdt_pack(blob.aligned));
	size = fdt_totalsize(blob.aligned);
	for (uint32_t length = 0; length < size; length++) {
		memset(&cut, 0, sizeof(cut));
		memcpy(cut.aligned, blob.aligned, length);
		assert_int_equal(parse_bytes(cut.aligned, length), BH_BAD_MANIFEST);
	}
}

/* A truncated blob whose header was adapted, too. */
static void every_shortened_total_is_refused(void **state)
{
	uint32_t size;

	(void)state;
	MUST(fdt_pack(blob.aligned));
	size = fdt_totalsize(blob.aligned);
	for (uint32_t length = 0; length < size; length++) {
		fdt_set_totalsize(blob.aligned, length);
		assert_int_not_equal(parse_bytes(blob.aligned, length), BH_OK);
	}
}

/* No flipped byte may do harm; what it does beyond that is up to the bytes. */
static void every_flipped_byte_is_survived(void **state)
{
	static struct blob flipped;
	uint32_t size;

	(void)state;
	MUST(fdt_pack(blob.aligned));
	size = fdt_totalsize(blob.aligned);
	for (uint32_t i = 0; i < size * 8; i++) {
		memcpy(&flipped, &blob, size);
		((uint8_t *)flipped.aligned)[i / 8] ^= (uint8_t)(1U << i % 8);
		if (parse_bytes(flipped.aligned, size) == BH_OK)
			assert_in_range(manifest.nvms, 1, CONFIG_MAX_VMS);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(defaults_are_filled_in, set_up),
		cmocka_unit_test_setup(host_is_optional, set_up),
		cmocka_unit_test_setup(host_properties_are_read, set_up),
		cmocka_unit_test_setup(host_words_may_be_the_defaults, set_up),
		cmocka_unit_test_setup(vm_properties_are_read, set_up),
		cmocka_unit_test_setup(boot_protocols_are_read, set_up),
		cmocka_unit_test_setup(core_count_instead_of_cores, set_up),
		cmocka_unit_test_setup(restarts_can_be_forbidden, set_up),
		cmocka_unit_test_setup(devices_are_read, set_up),
		cmocka_unit_test_setup(functions_are_understood, set_up),
		cmocka_unit_test_setup(dma_can_be_trusted, set_up),
		cmocka_unit_test_setup(interrupts_can_be_virtual, set_up),
		cmocka_unit_test_setup(ports_for_hot_plug, set_up),
		cmocka_unit_test_setup(memory_in_gib, set_up),
		cmocka_unit_test_setup(memory_in_kib, set_up),
		cmocka_unit_test_setup(memory_in_cells, set_up),
		cmocka_unit_test_setup(memory_at_its_limits, set_up),
		cmocka_unit_test_setup(longest_name, set_up),
		cmocka_unit_test_setup(longest_bootargs, set_up),
		cmocka_unit_test_setup(as_many_vms_as_allowed, set_up),
		cmocka_unit_test_setup(one_vm_too_many, set_up),
		cmocka_unit_test_setup(report_may_be_null, set_up),
		cmocka_unit_test_setup(cores_more_than_the_build_allows, set_up),
		cmocka_unit_test_setup(bootargs_too_long, set_up),
		cmocka_unit_test_setup(too_many_devices, set_up),
		cmocka_unit_test_setup(two_vms_of_one_name, set_up),
		cmocka_unit_test_setup(property_twice, set_up),
		cmocka_unit_test_setup(vms_node_twice, set_up),
		cmocka_unit_test_setup(property_behind_a_node, set_up),
		cmocka_unit_test_setup(nested_too_deep, set_up),
		cmocka_unit_test_setup(memory_reservation, set_up),
		cmocka_unit_test_setup(misaligned_structure, set_up),
		cmocka_unit_test_setup(empty_file, set_up),
		cmocka_unit_test_setup(not_aligned, set_up),
		cmocka_unit_test_setup(huge_file, set_up),
		cmocka_unit_test_setup(huge_header, set_up),
		cmocka_unit_test_setup(wrong_magic, set_up),
		cmocka_unit_test_setup(old_version, set_up),
		cmocka_unit_test_setup(future_version, set_up),
		cmocka_unit_test_setup(blocks_overlap, set_up),
		cmocka_unit_test_setup(structure_outside, set_up),
		cmocka_unit_test_setup(endless_nesting, set_up),
		cmocka_unit_test_setup(every_truncation_is_refused, set_up),
		cmocka_unit_test_setup(every_shortened_total_is_refused, set_up),
		cmocka_unit_test_setup(every_flipped_byte_is_survived, set_up),
	};
	static struct CMUnitTest all[ARRAY_SIZE(tests) + ARRAY_SIZE(bad)];

	memcpy(all, tests, sizeof(tests));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		all[ARRAY_SIZE(tests) + i] = (struct CMUnitTest){
			.name = bad[i].name,
			.test_func = test_bad,
			.initial_state = (void *)(uintptr_t)&bad[i],
		};
	return cmocka_run_group_tests(all, NULL, NULL);
}
