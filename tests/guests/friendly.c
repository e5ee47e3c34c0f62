/* SPDX-License-Identifier: Apache-2.0 */
/* A guest that behaves well; the tests look at what it sees and does. `do=` in its arguments says what. */
#include "guest.h"

#define PATTERN 0x5a5aa5a5c3c33c3cULL
#define PINGS 1000
#define PING 1 /* IPIs */
#define PONG 2
#define TICKS 1000
#define ALL_IPIS 0xffffU
#define BURSTS 100

static volatile uint32_t ticks, pings, pongs, inputs, strays;
static volatile uint32_t last_tick; /* with this one the timer ends; 0: it never does */
static volatile uint32_t second_runs;
static volatile uint32_t ipis; /* bit n: IPI n came */
static volatile char last_input;

/* ---- interrupts ---- */

/* Sleeps while @condition holds; an interrupt that ends it cannot come between the look and the sleep. */
#define SLEEP_WHILE(condition)                                                                     \
	do {                                                                                       \
		mask_all();                                                                        \
		while (condition)                                                                  \
			sleep_once();                                                              \
		unmask_irq();                                                                      \
	} while (0)

static void on_input(void)
{
	for (int c; (c = console_get()) >= 0; inputs++)
		last_input = (char)c;
}

void handle_interrupt(uint32_t interrupt)
{
	if (interrupt < 16)
		ipis |= 1U << interrupt;
	if (interrupt == TIMER_INTERRUPT) {
		if (++ticks == last_tick)
			timer_off();
		else
			timer_next();
	} else if (interrupt == PING) {
		pings++;
		ipi_send(0, PONG);
	} else if (interrupt == PONG) {
		pongs++;
	} else if (interrupt == console_interrupt()) {
		on_input();
	} else {
		strays++;
	}
}

/* ---- memory ---- */

static uint64_t pattern_at(uint64_t at)
{
	return PATTERN ^ at;
}

static void fill(void)
{
	struct range free[FREE_RANGES];
	unsigned n = guest_free_memory(free, FREE_RANGES);

	for (unsigned i = 0; i < n; i++)
		for (uint64_t at = free[i].from; at < free[i].from + free[i].size; at += 8)
			MEM64(at) = pattern_at(at);
}

/* How many words are not what @expected says. */
static uint64_t count_wrong(bool pattern)
{
	struct range free[FREE_RANGES];
	unsigned n = guest_free_memory(free, FREE_RANGES);
	uint64_t wrong = 0;

	for (unsigned i = 0; i < n; i++)
		for (uint64_t at = free[i].from; at < free[i].from + free[i].size; at += 8)
			wrong += MEM64(at) != (pattern ? pattern_at(at) : 0);
	return wrong;
}

/* ---- behaviours ---- */

/* With interrupts on, as any kernel sleeps. */
static void idle(void)
{
	interrupts_on();
	FOREVER wait_for_interrupt();
}

static void do_hello(void)
{
	say("hello from %x\n", cpu_id());
	idle();
}

static void do_off(void)
{
	say("hello, going off\n");
}

static void do_reset(void)
{
	say("hello, resetting\n");
	system_reset();
}

static void do_zero(void)
{
	say("memory: %u words not zero\n", count_wrong(false));
}

static void do_fill(void)
{
	fill();
	say("filled\n");
	idle();
}

/*
 * The neighbour of every attack: its memory, its timer and its console must go on. It looks a hundred times a second, and
 * leaves the emulator's other processors some of the host in between.
 */
static void do_guard(void)
{
	uint64_t wrong = 0;
	uint32_t reported = 0;

	interrupts_on();
	for (uint32_t ipi = 0; ipi < 16; ipi++)
		ipi_enable(0, ipi);
	console_interrupt_on();
	timer_on(100);
	fill();
	say("guard: on\n");
	for (uint64_t rounds = 0;; rounds++) {
		uint32_t now = ticks;

		wrong += count_wrong(true);
		if (inputs != reported && last_input == '\r') {
			reported = inputs;
			say("guard: rounds %u wrong %u strays %u ticks %u\n", rounds, wrong,
			    (uint64_t)(strays + pings + pongs), (uint64_t)ticks);
		}
		SLEEP_WHILE(ticks == now && inputs == reported);
	}
}

static void do_echo(void)
{
	uint32_t echoed = 0;

	interrupts_on();
	console_interrupt_on();
	say("echo: on\n");
	for (;;) {
		SLEEP_WHILE(echoed == inputs);
		say("<%c %u>\n", last_input, (uint64_t)++echoed);
	}
}

static void do_timer(void)
{
	uint64_t from;

	interrupts_on();
	last_tick = TICKS;
	from = clock_now();
	timer_on(1000);
	SLEEP_WHILE(ticks < TICKS);
	say("timer: %u ticks in %u ms\n", (uint64_t)ticks,
	    (clock_now() - from) * 1000 / clock_hertz());
	idle();
}

static void second(void)
{
	uint32_t enough = ++second_runs * PINGS;

	interrupts_on();
	ipi_enable(1, PING);
	SLEEP_WHILE(pings < enough);
}

static void ping_pong(uint32_t runs)
{
	int64_t answer = second_on(second);

	if (answer != 0)
		say("smp: CPU_ON gave %x\n", answer);
	while (second_runs != runs)
		;
	for (uint32_t i = (runs - 1) * PINGS; i < runs * PINGS; i++) {
		/* The first may come before the other listens: then it is pending there. */
		ipi_send(1, PING);
		SLEEP_WHILE(pongs == i);
	}
	while (!second_is_off())
		;
}

/* Twice on, a thousand IPIs there and back, off again. */
static void do_smp(void)
{
	interrupts_on();
	ipi_enable(0, PONG);
	ping_pong(1);
	ping_pong(2);
	say("smp: %u pings, %u pongs, %u times on\n", (uint64_t)pings, (uint64_t)pongs,
	    (uint64_t)second_runs);
	idle();
}

/* The second vCPU has been on and is off again when a stop comes. */
static void do_second_off(void)
{
	interrupts_on();
	ipi_enable(0, PONG);
	ping_pong(1);
	say("second is off\n");
	idle();
}

/* All IPIs pend at once, more than an Arm core has list registers; each comes, time and again, and then so does the timer. */
static void do_burst(void)
{
	interrupts_on();
	for (uint32_t ipi = 0; ipi < 16; ipi++)
		ipi_enable(0, ipi);
	for (uint32_t i = 0; i < BURSTS; i++) {
		mask_all();
		ipis = 0;
		for (uint32_t ipi = 0; ipi < 16; ipi++)
			ipi_send(0, ipi);
		SLEEP_WHILE(ipis != ALL_IPIS);
	}
	say("burst: %u times all\n", (uint64_t)BURSTS);
	do_timer();
}

const struct behaviour behaviours[] = {
	{"hello", do_hello}, {"off", do_off},
	{"reset", do_reset}, {"zero", do_zero},
	{"fill", do_fill},   {"guard", do_guard},
	{"echo", do_echo},   {"timer", do_timer},
	{"smp", do_smp},     {"second-off", do_second_off},
	{"burst", do_burst}, {NULL, NULL},
};
