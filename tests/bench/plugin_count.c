/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A TCG plugin that counts executed instructions and writes a line for every event:
 *
 *	NAME vcpu V total T core C exits E ipis I us H each N0,N1,...
 *
 * T: instructions of all vCPUs so far, without the one that is the event. C: those in the text of the resident core.
 * E: how often the core was entered by a guest's exit. I: executed instructions that send an interrupt to a core, outside
 * of the resident one: writes of ICC_SGI1R_EL1, or of the x2APIC's ICR. H: the host's monotonic clock in microseconds.
 * N: the part of C that each vCPU executed. An x86 instruction that repeats itself counts as often
 * as the emulator begins with it, not for each time.
 *
 * An event is a marker or an address named in the arguments. A marker is a NOP on every processor, of a form that nothing
 * else uses: HINT #0x70 to #0x7f, or NOPL 0x42480000(%rax) to 0x4248000f(%rax); NAME is "mark0" to "mark15". The arguments:
 *	out=FILE          the lines go here; with QEMU's -d plugin into its log as well
 *	text=FILE         the bytes of the core's text; without it there is no core
 *	exit=OFFSET       in the core's text, where a guest's exit enters it
 *	at=OFFSET:NAME    an address in the core's text
 *	pc=ADDRESS:NAME   any other address
 *	count=WHAT        all (default); core: all but T, which is faster; none: events only
 *	single=on         for an emulator of one thread, as with -icount
 *
 * Inline additions per vCPU are fast and exact when every vCPU has a thread of its own. With one thread for all, QEMU
 * 10.0's inline additions are broken (gen_cpu_index() in accel/tcg/plugin-gen.c makes a constant, which the caller then
 * multiplies in place: code translated by any vCPU but 0 writes anywhere), and the vCPU told to a callback is the one
 * that translated the code. So there a callback adds to plain counters: totals are exact, V and N mean nothing.
 */
#include <glib.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <qemu-plugin.h>

#define MAX_POINTS 32
#define MAX_EXITS 8
#define HINT_MASK 0xfffffe1fU /* all but four bits of the number */
#define HINT_0X70 0xd5032e1fU
#define SGI1R_MASK 0xffffffe0U /* all but Rt */
#define SGI1R 0xd518cba0U /* MSR ICC_SGI1R_EL1, Xt */
#define MSR_X2APIC_ICR 0x830 /* Intel SDM vol. 3 11.12.1.2 */
#define PROBE 4096 /* the core's text is known by its first page */

QEMU_PLUGIN_EXPORT int qemu_plugin_version = QEMU_PLUGIN_VERSION;

struct counters {
	uint64_t total;
	uint64_t core;
	uint64_t exits;
	uint64_t ipis;
};

struct point {
	uint64_t address;
	bool in_core; /* the address is an offset in the core's text */
	char name[32];
};

static struct qemu_plugin_scoreboard *scores;
static struct counters plain; /* of an emulator of one thread */
static bool single;
static FILE *out;
static GMutex out_lock;
static struct point points[MAX_POINTS];
static unsigned int npoints;
static struct point marks[16];
static enum { COUNT_NONE, COUNT_CORE, COUNT_ALL } counting = COUNT_ALL;
static char *text;
static size_t text_size;
static uint64_t text_base; /* where the core runs; 0: not seen yet */
static uint64_t exits[MAX_EXITS];
static unsigned int nexits;
static struct qemu_plugin_register *rcx;

/* What depends on the emulated processor. */
struct target {
	const char *name;
	/* The number of the marker that @insn is, or -1. */
	int (*marker)(const struct qemu_plugin_insn *insn);
	/* Has what @insn sends be counted. */
	void (*watch_ipi)(struct qemu_plugin_insn *insn);
};

static const struct target *target;

static qemu_plugin_u64 field(size_t offset)
{
	return (qemu_plugin_u64){scores, offset};
}

static uint64_t sum(size_t offset)
{
	return qemu_plugin_u64_sum(field(offset)) + *(uint64_t *)(void *)((char *)&plain + offset);
}

static void add_one(unsigned int vcpu, void *data)
{
	uint64_t *counter = data;

	(void)vcpu;
	(*counter)++;
}

static void on_event(unsigned int vcpu, void *data)
{
	const struct point *point = data;
	g_autoptr(GString) line = g_string_new(point->name);

	g_string_append_printf(line,
			       " vcpu %u total %" PRIu64 " core %" PRIu64 " exits %" PRIu64
			       " ipis %" PRIu64 " us %" PRId64 " each ",
			       vcpu, sum(offsetof(struct counters, total)),
			       sum(offsetof(struct counters, core)),
			       sum(offsetof(struct counters, exits)),
			       sum(offsetof(struct counters, ipis)), g_get_monotonic_time());
	for (int i = 0; i < qemu_plugin_num_vcpus(); i++)
		g_string_append_printf(line, "%s%" PRIu64, i == 0 ? "" : ",",
				       qemu_plugin_u64_get(field(offsetof(struct counters, core)),
							   (unsigned int)i));
	g_string_append_c(line, '\n');
	qemu_plugin_outs(line->str);
	g_mutex_lock(&out_lock);
	if (out) {
		fputs(line->str, out);
		fflush(out);
	}
	g_mutex_unlock(&out_lock);
}

static void report(struct qemu_plugin_insn *insn, struct point *point)
{
	qemu_plugin_register_vcpu_insn_exec_cb(insn, on_event, QEMU_PLUGIN_CB_NO_REGS, point);
}

static void add(struct qemu_plugin_insn *insn, size_t offset)
{
	if (single)
		qemu_plugin_register_vcpu_insn_exec_cb(insn, add_one, QEMU_PLUGIN_CB_NO_REGS,
						       (char *)&plain + offset);
	else
		qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(
			insn, QEMU_PLUGIN_INLINE_ADD_U64, field(offset), 1);
}

static uint32_t arm64_opcode(const struct qemu_plugin_insn *insn)
{
	uint32_t opcode = 0;

	qemu_plugin_insn_data(insn, &opcode, sizeof(opcode));
	return opcode;
}

static int arm64_marker(const struct qemu_plugin_insn *insn)
{
	uint32_t opcode = arm64_opcode(insn);

	return (opcode & HINT_MASK) == HINT_0X70 ? (int)(opcode >> 5 & 0xf) : -1;
}

static void arm64_watch_ipi(struct qemu_plugin_insn *insn)
{
	if ((arm64_opcode(insn) & SGI1R_MASK) == SGI1R)
		add(insn, offsetof(struct counters, ipis));
}

static int x86_marker(const struct qemu_plugin_insn *insn)
{
	static const uint8_t form[7] = {0x0f, 0x1f, 0x80, 0, 0x00, 0x48, 0x42};
	uint8_t bytes[sizeof(form)] = {0};
	uint8_t number;

	if (qemu_plugin_insn_data(insn, bytes, sizeof(bytes)) != sizeof(bytes))
		return -1;
	number = bytes[3];
	bytes[3] = 0;
	return memcmp(bytes, form, sizeof(form)) == 0 && number < G_N_ELEMENTS(marks) ? number : -1;
}

static void on_wrmsr(unsigned int vcpu, void *data)
{
	g_autoptr(GByteArray) value = g_byte_array_new();
	uint32_t ecx = 0;

	(void)data;
	if (rcx == NULL || qemu_plugin_read_register(rcx, value) < (int)sizeof(ecx))
		return;
	memcpy(&ecx, value->data, sizeof(ecx));
	if (ecx == MSR_X2APIC_ICR)
		qemu_plugin_u64_add(field(offsetof(struct counters, ipis)), vcpu, 1);
}

static void x86_watch_ipi(struct qemu_plugin_insn *insn)
{
	static const uint8_t wrmsr[2] = {0x0f, 0x30};
	uint8_t bytes[sizeof(wrmsr)] = {0};

	if (qemu_plugin_insn_data(insn, bytes, sizeof(bytes)) == sizeof(bytes) &&
	    memcmp(bytes, wrmsr, sizeof(wrmsr)) == 0)
		qemu_plugin_register_vcpu_insn_exec_cb(insn, on_wrmsr, QEMU_PLUGIN_CB_R_REGS, NULL);
}

/* A register's handle is the same on all vCPUs. */
static void on_vcpu(qemu_plugin_id_t id, unsigned int vcpu)
{
	g_autoptr(GArray) all = qemu_plugin_get_registers();

	(void)id;
	(void)vcpu;
	for (unsigned int i = 0; i < all->len; i++) {
		const qemu_plugin_reg_descriptor *one =
			&g_array_index(all, qemu_plugin_reg_descriptor, i);

		if (strcmp(one->name, "rcx") == 0)
			rcx = one->handle;
	}
}

/* The core is where its first page is executed from its first instruction on. */
static void find_core(struct qemu_plugin_tb *tb)
{
	uint64_t at = qemu_plugin_tb_vaddr(tb);
	const void *bytes;

	if (text == NULL || text_base != 0 || at % PROBE != 0)
		return;
	bytes = qemu_plugin_insn_haddr(qemu_plugin_tb_get_insn(tb, 0));
	if (bytes != NULL && memcmp(bytes, text, PROBE) == 0)
		text_base = at;
}

static void on_core_instruction(struct qemu_plugin_insn *insn, uint64_t offset)
{
	for (unsigned int i = 0; i < npoints; i++)
		if (points[i].in_core && points[i].address == offset)
			report(insn, &points[i]);
	if (counting == COUNT_NONE)
		return;
	add(insn, offsetof(struct counters, core));
	for (unsigned int i = 0; i < nexits; i++)
		if (exits[i] == offset)
			add(insn, offsetof(struct counters, exits));
}

static void on_other_instruction(struct qemu_plugin_insn *insn, uint64_t at)
{
	int number = target->marker(insn);

	for (unsigned int i = 0; i < npoints; i++)
		if (!points[i].in_core && points[i].address == at)
			report(insn, &points[i]);
	if (number >= 0)
		report(insn, &marks[number]);
	if (counting != COUNT_NONE)
		target->watch_ipi(insn);
}

static void on_translation(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	size_t count = qemu_plugin_tb_n_insns(tb);

	(void)id;
	find_core(tb);
	for (size_t i = 0; i < count; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
		uint64_t at = qemu_plugin_insn_vaddr(insn);

		if (text_base != 0 && at - text_base < text_size)
			on_core_instruction(insn, at - text_base);
		else
			on_other_instruction(insn, at);
		if (counting == COUNT_ALL) /* last, so that an event does not count itself */
			add(insn, offsetof(struct counters, total));
	}
}

static void on_exit(qemu_plugin_id_t id, void *data)
{
	static struct point end = {.name = "end"};

	(void)id;
	(void)data;
	on_event(0, &end);
	g_mutex_lock(&out_lock);
	if (out)
		fclose(out);
	out = NULL;
	g_mutex_unlock(&out_lock);
}

static bool add_point(const char *value, bool in_core)
{
	char *end = NULL;
	struct point *point = &points[npoints];

	if (npoints == MAX_POINTS)
		return false;
	point->address = g_ascii_strtoull(value, &end, 0);
	point->in_core = in_core;
	if (end == value || *end != ':')
		return false;
	g_strlcpy(point->name, end + 1, sizeof(point->name));
	npoints++;
	return true;
}

static bool take_count(const char *value)
{
	static const char *const names[] = {"none", "core", "all"};

	for (unsigned int i = 0; i < G_N_ELEMENTS(names); i++) {
		if (strcmp(value, names[i]) != 0)
			continue;
		counting = i;
		return true;
	}
	return false;
}

static bool take_argument(const char *name, const char *value)
{
	if (strcmp(name, "out") == 0)
		return (out = fopen(value, "w")) != NULL;
	if (strcmp(name, "text") == 0)
		return g_file_get_contents(value, &text, &text_size, NULL) && text_size >= PROBE;
	if (strcmp(name, "count") == 0)
		return take_count(value);
	if (strcmp(name, "single") == 0)
		return qemu_plugin_bool_parse(name, value, &single);
	if (strcmp(name, "at") == 0 || strcmp(name, "pc") == 0)
		return add_point(value, name[0] == 'a');
	if (strcmp(name, "exit") != 0 || nexits == MAX_EXITS)
		return false;
	exits[nexits++] = g_ascii_strtoull(value, NULL, 0);
	return true;
}

static bool choose_target(const char *name)
{
	static const struct target targets[] = {{"aarch64", arm64_marker, arm64_watch_ipi},
						{"x86_64", x86_marker, x86_watch_ipi}};

	for (unsigned int i = 0; i < G_N_ELEMENTS(targets); i++)
		if (strcmp(name, targets[i].name) == 0)
			target = &targets[i];
	return target != NULL;
}

QEMU_PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc,
					   char **argv)
{
	if (!choose_target(info->target_name)) {
		fprintf(stderr, "plugin_count: nothing is known about '%s'\n", info->target_name);
		return 1;
	}
	for (int i = 0; i < argc; i++) {
		g_auto(GStrv) part = g_strsplit(argv[i], "=", 2);

		if (part[0] == NULL || part[1] == NULL || !take_argument(part[0], part[1])) {
			fprintf(stderr, "plugin_count: bad argument '%s'\n", argv[i]);
			return 1;
		}
	}
	for (int i = 0; i < 16; i++)
		g_snprintf(marks[i].name, sizeof(marks[i].name), "mark%d", i);
	scores = qemu_plugin_scoreboard_new(sizeof(struct counters));
	qemu_plugin_register_vcpu_init_cb(id, on_vcpu);
	qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
	qemu_plugin_register_atexit_cb(id, on_exit, NULL);
	return 0;
}
