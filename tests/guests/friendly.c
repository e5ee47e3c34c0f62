/* SPDX-License-Identifier: Apache-2.0 */
/* A guest that behaves well; the tests look at what it sees and does. `do=` in its arguments says what. */
#include "lib/guest.h"
#include "lib/registers.h"

#define PATTERN 0x5a5aa5a5c3c33c3cULL
#define PINGS 1000
#define PING_SGI 1
#define PONG_SGI 2
#define TICKS 1000

static volatile uint32_t ticks, pings, pongs, inputs, strays;
static volatile uint32_t second_runs;
static volatile char last_input;
static uint64_t interval; /* of the timer, in counter ticks */

/* ---- interrupts ---- */

/* Sleeps while @condition holds; an interrupt that ends it cannot come between the look and the sleep. */
#define SLEEP_WHILE(condition)                                                                     \
	do {                                                                                       \
		mask_all();                                                                        \
		while (condition) {                                                                \
			wfi();                                                                     \
			unmask_irq();                                                              \
			isb();                                                                     \
			mask_all();                                                                \
		}                                                                                  \
		unmask_irq();                                                                      \
	} while (0)

static void on_input(void)
{
	for (int c; (c = uart_get()) >= 0; inputs++)
		last_input = (char)c;
}

void handle_interrupt(uint32_t intid)
{
	if (intid == VIRTUAL_TIMER) {
		ticks++;
		write_sysreg("cntv_cval_el0", read_sysreg("cntv_cval_el0") + interval);
	} else if (intid == PING_SGI) {
		pings++;
		gic_send_sgi(gic_affinity(0), PONG_SGI);
	} else if (intid == PONG_SGI) {
		pongs++;
	} else if (intid == guest_console_irq()) {
		on_input();
	} else {
		strays++;
	}
}

static void input_on(void)
{
	write32(GUEST_UART_BASE + UART_IMSC, UART_INT_RX);
	gic_enable(0, guest_console_irq(), 0x80);
}

static void timer_on(uint64_t hertz)
{
	interval = read_sysreg("cntfrq_el0") / hertz;
	gic_enable(0, VIRTUAL_TIMER, 0x80);
	write_sysreg("cntv_cval_el0", read_sysreg("cntvct_el0") + interval);
	write_sysreg("cntv_ctl_el0", 1);
}

/* ---- memory ---- */

/* What no image lies in: between the image and the device tree, and behind that. */
static void free_memory(struct range free[2])
{
	struct range ram = guest_ram();
	uint64_t fdt = (uint64_t)(uintptr_t)guest_fdt();
	uint64_t end = (uint64_t)(uintptr_t)image_end;

	free[0] = (struct range){end, fdt - end};
	free[1] = (struct range){fdt + GUEST_FDT_MAX, ram.from + ram.size - fdt - GUEST_FDT_MAX};
}

static uint64_t pattern_at(uint64_t at)
{
	return PATTERN ^ at;
}

static void fill(void)
{
	struct range free[2];

	free_memory(free);
	for (unsigned i = 0; i < 2; i++)
		for (uint64_t at = free[i].from; at < free[i].from + free[i].size; at += 8)
			MEM64(at) = pattern_at(at);
}

/* How many words are not what @expected says. */
static uint64_t count_wrong(bool pattern)
{
	struct range free[2];
	uint64_t wrong = 0;

	free_memory(free);
	for (unsigned i = 0; i < 2; i++)
		for (uint64_t at = free[i].from; at < free[i].from + free[i].size; at += 8)
			wrong += MEM64(at) != (pattern ? pattern_at(at) : 0);
	return wrong;
}

/* ---- behaviours ---- */

/* With interrupts on, as any kernel sleeps. */
static void idle(void)
{
	gic_on();
	for (;;)
		wfi();
}

static void do_hello(void)
{
	say("hello from %x\n", read_sysreg("mpidr_el1") & 0xff00ffffffULL);
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

/* The neighbour of every attack: its memory, its timer and its console must go on. */
static void do_guard(void)
{
	uint64_t wrong = 0;
	uint32_t reported = 0;

	gic_on();
	for (uint32_t sgi = 0; sgi < 16; sgi++)
		gic_enable(0, sgi, 0x80);
	input_on();
	timer_on(100);
	fill();
	say("guard: on\n");
	for (uint64_t rounds = 0;; rounds++) {
		wrong += count_wrong(true);
		if (inputs == reported || last_input != '\r')
			continue;
		reported = inputs;
		say("guard: rounds %u wrong %u strays %u ticks %u\n", rounds, wrong,
		    (uint64_t)(strays + pings + pongs), (uint64_t)ticks);
	}
}

static void do_echo(void)
{
	uint32_t echoed = 0;

	gic_on();
	input_on();
	say("echo: on\n");
	for (;;) {
		SLEEP_WHILE(echoed == inputs);
		say("<%c %u>\n", last_input, (uint64_t)++echoed);
	}
}

static void do_timer(void)
{
	uint64_t from;

	gic_on();
	from = read_sysreg("cntvct_el0");
	timer_on(1000);
	SLEEP_WHILE(ticks < TICKS);
	say("timer: %u ticks in %u ms\n", (uint64_t)ticks,
	    (read_sysreg("cntvct_el0") - from) * 1000 / read_sysreg("cntfrq_el0"));
	idle();
}

static void second(void)
{
	uint32_t enough = ++second_runs * PINGS;

	gic_on();
	gic_enable(1, PING_SGI, 0x80);
	SLEEP_WHILE(pings < enough);
}

static int64_t second_on(void)
{
	return hvc(PSCI_CPU_ON, gic_affinity(1), (uint64_t)(uintptr_t)second_start,
		   (uint64_t)(uintptr_t)second);
}

static void ping_pong(uint32_t runs)
{
	int64_t answer = second_on();

	if (answer != 0)
		say("smp: CPU_ON gave %x\n", answer);
	while (second_runs != runs)
		;
	for (uint32_t i = (runs - 1) * PINGS; i < runs * PINGS; i++) {
		/* The first may come before the other listens: then it is pending there. */
		gic_send_sgi(gic_affinity(1), PING_SGI);
		SLEEP_WHILE(pongs == i);
	}
	while (hvc(PSCI_AFFINITY_INFO, gic_affinity(1), 0, 0) != 1)
		;
}

/* Twice on, a thousand IPIs there and back, off again. */
static void do_smp(void)
{
	gic_on();
	gic_enable(0, PONG_SGI, 0x80);
	ping_pong(1);
	ping_pong(2);
	say("smp: %u pings, %u pongs, %u times on\n", (uint64_t)pings, (uint64_t)pongs,
	    (uint64_t)second_runs);
	idle();
}

/* The second vCPU has been on and is off again when a stop comes. */
static void do_second_off(void)
{
	gic_on();
	gic_enable(0, PONG_SGI, 0x80);
	ping_pong(1);
	say("second is off\n");
	idle();
}

/* ---- registers ---- */

/* Reads of registers that this processor lacks leave undefined_count changed. */
#define SHOW(name, encoding)                                                                       \
	{                                                                                          \
		uint32_t before = undefined_count;                                                 \
		uint64_t value = read_sysreg(#encoding);                                           \
		if (undefined_count == before)                                                     \
			say("reg " #name " %x\n", value);                                          \
	}
#define SHOW_GIC(name, offset) say("reg " #name " %x\n", (uint64_t)read32(GIC_SGI_BASE + (offset)));

/* A pattern without the lowest bits: those switch things on, and the test must live on. */
#define DIRTY(name, encoding) write_sysreg(#encoding, 0x5a5a5a5a5a5a5a58ULL);
#define FP_SVE_SME_ON 0x3330000 /* CPACR_EL1 */
#define DIRTY_GIC(name, offset) write32(GIC_SGI_BASE + (offset), 0x5a5a5a5a);

static uint64_t simd_or(void)
{
	uint64_t low, high;

	__asm__ volatile(
		".arch_extension fp\n\t.arch_extension simd\n\t"
		".irp n, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, "
		"21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31\n\t"
		"orr v0.16b, v0.16b, v\\n\\().16b\n\t"
		".endr\n\t"
		"umov %0, v0.d[0]\n\tumov %1, v0.d[1]"
		: "=r"(low), "=r"(high));
	return low | high;
}

static void simd_dirty(void)
{
	__asm__ volatile(
		".arch_extension fp\n\t.arch_extension simd\n\t"
		".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, "
		"20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31\n\t"
		"movi v\\n\\().16b, #0x5a\n\t"
		".endr");
}

/* All that is SVE's: predicates and the first-fault register, as found in memory. */
static void show_sve(void)
{
	static uint8_t store[16 * 32 + 32];
	uint64_t any = 0;

	if ((read_sysreg("id_aa64pfr0_el1") >> 32 & 0xf) == 0)
		return;
	__asm__ volatile(".arch_extension sve\n\t"
			 ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15\n\t"
			 "str p\\n, [%0, #\\n, mul vl]\n\t"
			 ".endr\n\t"
			 "rdffr p0.b\n\tstr p0, [%0, #16, mul vl]" ::"r"(store)
			 : "memory");
	for (size_t i = 0; i < sizeof(store); i++)
		any |= store[i];
	say("reg sve %x\n", any);
}

static void sve_dirty(void)
{
	if ((read_sysreg("id_aa64pfr0_el1") >> 32 & 0xf) == 0)
		return;
	__asm__ volatile(".arch_extension sve\n\t"
			 "setffr\n\t"
			 ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15\n\t"
			 "ptrue p\\n\\().b\n\t"
			 ".endr");
}

static void show_registers(void)
{
	uint64_t any = 0;

	for (unsigned i = 0; i < 31; i++)
		any |= entry_regs[i];
	say("reg x1-x30 %x\nreg sp %x\nreg vbar_el1 %x\n", any, entry_regs[31], entry_regs[32]);
	say("reg cpacr_el1 %x\n", read_sysreg("cpacr_el1"));
	write_sysreg("cpacr_el1", FP_SVE_SME_ON);
	isb();
	skip_undefined = true;
	GUEST_REGISTERS(SHOW)
	GUEST_GIC_REGISTERS(SHOW_GIC)
	say("reg igroupr0 %x\n", (uint64_t)read32(GIC_SGI_BASE + 0x80));
	say("reg simd %x\n", simd_or());
	show_sve();
	skip_undefined = false;
	say("registers: done\n");
}

static void do_registers(void)
{
	show_registers();
	idle();
}

/* Leaves something everywhere, for the next who runs here. */
static void do_dirty(void)
{
	mask_all();
	write_sysreg("cpacr_el1", FP_SVE_SME_ON);
	write_sysreg("oslar_el1", 0);
	isb();
	simd_dirty();
	sve_dirty();
	skip_undefined = true;
	GUEST_GIC_REGISTERS(DIRTY_GIC)
	GUEST_REGISTERS(DIRTY)
	isb();
	show_registers();
	for (;;) /* not WFI: the active priorities that stand now let no interrupt through */
		;
}

const struct behaviour behaviours[] = {
	{"hello", do_hello},
	{"off", do_off},
	{"reset", do_reset},
	{"zero", do_zero},
	{"fill", do_fill},
	{"guard", do_guard},
	{"echo", do_echo},
	{"timer", do_timer},
	{"smp", do_smp},
	{"second-off", do_second_off},
	{"registers", do_registers},
	{"dirty", do_dirty},
	{NULL, NULL},
};
