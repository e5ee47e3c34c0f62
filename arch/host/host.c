/* SPDX-License-Identifier: Apache-2.0 */
/* Cores as coroutines, time, the UART, and the parts of the arch contract about them. */
#include "private.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TICKS_PER_TURN 10
#define MAX_TURNS 1000000
#define MAX_OUTPUT (1U << 20)
#define MAX_INPUT 4096
#define INTERRUPT_ONE_IN 24 /* basic blocks, under a schedule */

static struct {
	struct host_core core[CONFIG_MAX_CPUS];
	uint32_t ncores;
	uint32_t current; /* index; @ncores: the test runs */
	struct fibre test;
	enum host_end end;
	char broken[256];
	uint64_t now;
	uint64_t random; /* 0: round robin */
	struct boot_info *info;
	void (*boot_entry)(const struct boot_info *info);
	char output[MAX_OUTPUT];
	size_t noutput;
	char input[MAX_INPUT];
	size_t ninput;
	size_t input_read;
	struct host_event event[HOST_MAX_EVENTS];
	uint32_t nevents;
} m = {.end = HOST_RUNS};

struct host_core *host_core(uint32_t index)
{
	if (index >= m.ncores)
		abort();
	return &m.core[index];
}

struct host_core *host_self(void)
{
	return m.current < m.ncores ? &m.core[m.current] : NULL;
}

static uint64_t draw(void)
{
	m.random ^= m.random << 13;
	m.random ^= m.random >> 7;
	m.random ^= m.random << 17;
	return m.random;
}

/* ---- The end ---- */

static void stop_machine(enum host_end end) __attribute__((noreturn));

static void stop_machine(enum host_end end)
{
	struct host_core *self = host_self();

	if (self == NULL) {
		fprintf(stderr, "arch/host: %s\n", m.broken);
		abort();
	}
	m.end = end;
	for (;;) {
		m.current = m.ncores;
		fibre_switch(&self->fibre, &m.test);
	}
}

void host_break(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(m.broken, sizeof(m.broken), format, args);
	va_end(args);
	stop_machine(HOST_BROKEN);
}

const char *host_broken(void)
{
	return m.broken;
}

void arch_power_off(void)
{
	stop_machine(HOST_OFF);
}

void arch_halt(void)
{
	stop_machine(HOST_HALTED);
}

/* ---- The scheduler ---- */

static bool input_waits(uint32_t core)
{
	return m.input_read < m.ninput && m.info != NULL && core == m.info->plan.management_core;
}

static bool runnable(uint32_t index)
{
	const struct host_core *core = &m.core[index];

	switch (core->mode) {
	case MODE_READY:
		return true;
	case MODE_WAITS:
		return core->doorbell || input_waits(index) ||
		       (core->deadline != 0 && m.now >= core->deadline);
	case MODE_SLEEPS:
		return core->kick > core->deaf || (core->deaf == 0 && core->doorbell);
	default:
		return false;
	}
}

/* The next core after the current one, or any; false: all sleep. */
static bool choose(uint32_t *chosen)
{
	uint32_t start = m.random != 0 ? (uint32_t)(draw() % m.ncores) : *chosen + 1;

	for (uint32_t i = 0; i < m.ncores; i++) {
		uint32_t index = (start + i) % m.ncores;

		if (runnable(index)) {
			*chosen = index;
			return true;
		}
	}
	return false;
}

/* The next moment at which a core wants to be woken; 0: none. */
static uint64_t next_deadline(void)
{
	uint64_t next = 0;

	for (uint32_t i = 0; i < m.ncores; i++) {
		const struct host_core *core = &m.core[i];

		if (core->mode == MODE_WAITS && core->deadline != 0 &&
		    (next == 0 || core->deadline < next))
			next = core->deadline;
	}
	return next;
}

static void run_core(uint32_t index)
{
	struct host_core *core = &m.core[index];

	core->mode = MODE_READY;
	m.current = index;
	fibre_switch(&m.test, &core->fibre);
	m.current = m.ncores;
	m.now += TICKS_PER_TURN;
}

enum host_end host_run_for(uint64_t ticks)
{
	uint64_t until = m.now + ticks;
	uint32_t index = 0;

	for (uint32_t turn = 0; turn < MAX_TURNS && m.now < until; turn++) {
		if (m.end != HOST_RUNS)
			return m.end;
		if (choose(&index)) {
			run_core(index);
			continue;
		}
		uint64_t next = next_deadline();
		if (next == 0)
			return HOST_QUIET;
		m.now = next < until ? next : until;
	}
	return m.end != HOST_RUNS ? m.end : HOST_BUSY;
}

enum host_end host_run(void)
{
	return host_run_for(1000 * HOST_SECOND);
}

void host_yield(enum core_mode mode)
{
	struct host_core *self = host_self();

	if (self == NULL)
		return;
	self->mode = mode;
	m.current = m.ncores;
	fibre_switch(&self->fibre, &m.test);
}

void host_schedule(uint64_t seed)
{
	m.random = seed;
	for (int i = 0; i < 16 && seed != 0; i++)
		draw();
}

/*
 * Called at every basic block of the files that were compiled so: there another
 * core may come first. Weak, because a fuzzer brings its own.
 */
void __sanitizer_cov_trace_pc(void) __attribute__((weak));

void __sanitizer_cov_trace_pc(void)
{
	if (m.random != 0 && m.current < m.ncores && draw() % INTERRUPT_ONE_IN == 0)
		host_yield(MODE_READY);
}

/* ---- Start-up ---- */

void host_create(uint32_t count, uint64_t bytes)
{
	host_ram_make(bytes);
	m.ncores = count;
	m.current = count;
	m.now = HOST_SECOND;
}

static void boot_core(void *unused)
{
	(void)unused;
	m.boot_entry(m.info);
	host_break("core_main returned");
}

void host_boot(struct boot_info *info, void (*entry)(const struct boot_info *info))
{
	struct host_core *core = host_core(info->machine.boot_cpu);

	m.info = info;
	m.boot_entry = entry;
	fibre_make(&core->fibre, boot_core, NULL);
	core->mode = MODE_READY;
}

enum bh_error arch_probe(const struct boot_info *info, struct bh_report *report)
{
	if (info->machine.ncpus != m.ncores)
		return bh_fail(report, BH_BAD_MACHINE, "machine: it has %u cores", m.ncores);
	return BH_OK;
}

void arch_map_registers(const struct machine *machine)
{
	own_map((struct extent){machine->uart, PAGE_SIZE}, PT_DEVICE);
	own_map((struct extent){machine->arm64.gicd, 64 * KIB}, PT_DEVICE);
	for (uint32_t i = 0; i < machine->ncpus; i++)
		own_map((struct extent){machine->cpu[i].gicr, 128 * KIB}, PT_DEVICE);
}

/* The stack is not used, it is too small for a sanitizer; but it must be there, behind a guard page. */
static void check_stack(va_t stack, const struct cpu *cpu)
{
	uint32_t rw = HOST_MAY_READ | HOST_MAY_WRITE;
	uint64_t at = stack.v - PAGE_SIZE;

	host_ram_need(ptr_to_pa(cpu).v, sizeof(*cpu), rw);
	for (uint32_t pages = 0; host_access(pa(at)) == rw; pages++) {
		at -= PAGE_SIZE;
		if (pages == CORE_PAGES_PER_CPU)
			host_break("the stack of core %u has no guard page", cpu->index);
	}
	if (host_access(pa(at)) != 0 || stack.v - at < 3 * PAGE_SIZE)
		host_break("the stack of core %u is too small", cpu->index);
}

void arch_enter(pa_t root, va_t stack, struct cpu *cpu, void (*entry)(struct cpu *cpu))
{
	if (root.v != own_space_root().v)
		host_break("not the own tables");
	check_stack(stack, cpu);
	host_ram_enforce();
	host_self()->record = cpu;
	entry(cpu);
	host_break("a core's entry returned");
}

static void other_core(void *argument)
{
	struct host_core *core = argument;

	core->entry(core->record);
	host_break("a core's entry returned");
}

enum bh_error arch_cpu_on(pa_t root, va_t stack, struct cpu *cpu, void (*entry)(struct cpu *cpu))
{
	struct host_core *core = host_core(cpu->index);

	if (core->mode != MODE_ABSENT || root.v != own_space_root().v)
		host_break("core %u is started twice, or not on the own tables", cpu->index);
	check_stack(stack, cpu);
	if (core->refused)
		return BH_NO_SUCH_CORE;
	if (core->dead)
		return BH_OK;
	core->record = cpu;
	core->entry = entry;
	fibre_make(&core->fibre, other_core, core);
	core->mode = MODE_READY;
	return BH_OK;
}

void arch_machine_init(void)
{
}

void arch_cpu_init(struct cpu *cpu)
{
	if (&m.core[cpu->index] != host_self())
		host_break("arch_cpu_init of another core");
	host_trace(HOST_CPU_INIT, NULL, 0, 0);
}

struct cpu *arch_this_cpu(void)
{
	return host_self() != NULL ? host_self()->record : NULL;
}

void host_core_dead(uint32_t core)
{
	host_core(core)->dead = true;
}

void host_core_refused(uint32_t core)
{
	host_core(core)->refused = true;
}

/* ---- Time, sleeping and waking ---- */

uint64_t arch_ticks(void)
{
	return m.now;
}

uint64_t arch_tick_rate(void)
{
	return HOST_TICK_RATE;
}

uint64_t host_now(void)
{
	return m.now;
}

void host_pass(uint64_t ticks)
{
	m.now += ticks;
}

void arch_doorbell(uint32_t cpu)
{
	host_core(cpu)->doorbell = true;
	if (m.random != 0)
		host_yield(MODE_READY);
}

/* Under a schedule it sometimes returns early, as it may. */
void arch_wait(uint64_t deadline)
{
	struct host_core *self = host_self();

	if (self == NULL)
		return;
	self->deadline = deadline;
	host_yield(m.random != 0 && draw() % 8 == 0 ? MODE_READY : MODE_WAITS);
	self->deadline = 0;
	self->doorbell = false;
}

void arch_pause(void)
{
	host_yield(MODE_READY);
}

/* ---- UART ---- */

void arch_uart_put(char c)
{
	if (m.noutput < MAX_OUTPUT - 1)
		m.output[m.noutput++] = c;
}

int arch_uart_get(void)
{
	return m.input_read < m.ninput ? (unsigned char)m.input[m.input_read++] : -1;
}

void host_type(const char *text)
{
	size_t length = strlen(text);

	if (m.input_read == m.ninput)
		m.input_read = m.ninput = 0;
	if (length > MAX_INPUT - m.ninput)
		abort();
	memcpy(&m.input[m.ninput], text, length);
	m.ninput += length;
}

const char *host_output(void)
{
	m.output[m.noutput] = '\0';
	return m.output;
}

void host_forget_output(void)
{
	m.noutput = 0;
}

/* ---- The trace ---- */

void host_trace(enum host_event_kind kind, const struct vm *vm, uint64_t value, uint64_t size)
{
	if (m.nevents == HOST_MAX_EVENTS)
		return;
	m.event[m.nevents++] = (struct host_event){.kind = kind,
						   .core = m.current,
						   .vm = vm != NULL ? vm->index : PLAN_NONE,
						   .value = value,
						   .size = size};
}

const struct host_event *host_events(uint32_t *count)
{
	*count = m.nevents;
	return m.event;
}

void host_forget_events(void)
{
	m.nevents = 0;
}
