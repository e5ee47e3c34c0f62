/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of arm64 that the hostile guest breaks. */
#include "guest.h"

/* ---- operations of one instruction, which is the first of its function ---- */

#define OP(name, instruction)                                                                      \
	uint64_t op_##name(uint64_t at, uint64_t with);                                            \
	__asm__("\t.text\n\t.arch_extension fp\n\t.arch_extension simd\n\t.balign 4\n"             \
		"op_" #name ":\n\t" instruction "\n\tret\n")

OP(load, "ldr x0, [x0]");
OP(load_byte, "ldrb w0, [x0]");
OP(store, "str x1, [x0]");
OP(store_byte, "strb w1, [x0]");
OP(load_half, "ldrh w0, [x0]");
OP(load_pair, "ldp x0, x1, [x0]");
OP(store_pair, "stp x1, x1, [x0]");
OP(load_writeback, "ldr x1, [x0], #8");
OP(load_exclusive, "ldxr x0, [x0]");
OP(load_simd, "ldr q0, [x0]");
OP(zero_line, "dc zva, x0");
OP(fetch, "br x0");
OP(sgi1r, "msr S3_0_C12_C11_5, x1");
OP(asgi1r, "msr S3_0_C12_C11_6, x1");
OP(sgi0r, "msr S3_0_C12_C11_7, x1");
OP(dir, "msr S3_0_C12_C11_1, x1");
OP(imp_def, "mrs x0, S3_0_C15_C0_0");
OP(imp_def_sys, "sys #0, c11, c0, #0, x1");
OP(actlr_read, "mrs x0, actlr_el1");
OP(actlr_write, "msr actlr_el1, x1");
OP(trace, "mrs x0, S2_1_C0_C1_0");
OP(hcr, "mrs x0, hcr_el2");
OP(vttbr, "msr vttbr_el2, x1");
OP(ich, "msr S3_4_C12_C11_0, x1");
OP(scr, "mrs x0, scr_el3");
OP(nothing, "nop");

/* ---- stage 1, for what needs the MMU ---- */

#define GUEST_LAST_BLOCK 0x80000000ULL /* a virtual address whose table is anywhere */

static uint64_t level1[512] __attribute__((aligned(4096)));

/* Everything normal memory at its own address, but for [2 GiB, 3 GiB): that goes through a table at @table. */
static void mmu_on(uint64_t table)
{
	for (uint64_t i = 0; i < 512; i++)
		level1[i] = i << 30 | 1ULL << 10 | 3ULL << 8 | 1;
	level1[2] = table | 3;
	write_sysreg("mair_el1", 0xff);
	write_sysreg("tcr_el1", 25 | 1ULL << 8 | 1ULL << 10 | 3ULL << 12 | 1ULL << 23 | 2ULL << 32);
	write_sysreg("ttbr0_el1", (uint64_t)(uintptr_t)level1);
	dsb();
	isb();
	write_sysreg("sctlr_el1", read_sysreg("sctlr_el1") | 1);
	isb();
}

static void prepare_walk(uint64_t *at, uint64_t *with)
{
	(void)with;
	mmu_on(*at);
	*at = GUEST_LAST_BLOCK;
}

static void prepare_mmu(uint64_t *at, uint64_t *with)
{
	(void)at, (void)with;
	mmu_on(0);
}

static void prepare_simd(uint64_t *at, uint64_t *with)
{
	(void)at, (void)with;
	write_sysreg("cpacr_el1", 3ULL << 20);
	isb();
}

static void prepare_route(uint64_t *at, uint64_t *with)
{
	(void)with;
	*at = GUEST_GICD_BASE + 0x6000 + 8ULL * console_interrupt();
}

/* The last word is unmapped, so the abort is at the address itself. */
static const struct operation operations[] = {
	{"load", op_load, NULL},
	{"load-byte", op_load_byte, NULL},
	{"store", op_store, NULL},
	{"store-byte", op_store_byte, NULL},
	{"load-pair", op_load_pair, NULL},
	{"store-pair", op_store_pair, NULL},
	{"load-writeback", op_load_writeback, NULL},
	{"load-exclusive", op_load_exclusive, NULL},
	{"load-simd", op_load_simd, prepare_simd},
	{"load-misaligned", op_load_half, prepare_mmu},
	{"zero-line", op_zero_line, prepare_mmu},
	{"fetch", op_fetch, NULL},
	{"walk", op_load, prepare_walk},
	{"route", op_store, prepare_route},
	{"sgi1r", op_sgi1r, NULL},
	{"asgi1r", op_asgi1r, NULL},
	{"sgi0r", op_sgi0r, NULL},
	{"dir", op_dir, NULL},
	{"imp-def", op_imp_def, NULL},
	{"imp-def-sys", op_imp_def_sys, NULL},
	{"actlr-read", op_actlr_read, NULL},
	{"actlr-write", op_actlr_write, NULL},
	{"trace", op_trace, NULL},
	{"hcr", op_hcr, NULL},
	{"vttbr", op_vttbr, NULL},
	{"ich", op_ich, NULL},
	{"scr", op_scr, NULL},
	{"nothing", op_nothing, NULL},
	{NULL, NULL, NULL},
};

uint64_t operate(uint64_t (*run)(uint64_t at, uint64_t with), uint64_t at, uint64_t with)
{
	return run(at, with);
}

static void do_any_operation(void)
{
	do_operation(operations);
}

/* ---- what is refused or ignored ---- */

static void sweep_dist(void)
{
	uint32_t own = console_interrupt();
	uint64_t seen = 0;

	for (uint32_t at = 0; at < 0x10000; at += 4)
		if (at < 0x6000 + 8 * own || at >= 0x6008 + 8 * own)
			write32(GUEST_GICD_BASE + at, UINT32_MAX);
	for (uint32_t at = 0; at < 0x6000; at += 4)
		write32(GUEST_GICD_BASE + at, 0);
	/* Of the arrays from ISENABLER on a guest sees its own SPI only. */
	for (uint32_t at = 0x100; at < 0xffd0; at += 4)
		for (uint32_t value = read32(GUEST_GICD_BASE + at); value != 0; value &= value - 1)
			seen++;
	say("survived: %u bits seen\n", seen);
}

static void sweep_redist(void)
{
	uint64_t seen = 0;

	for (uint32_t at = 0; at < 0x10000; at += 4)
		write32(GUEST_GICR_BASE + at, UINT32_MAX);
	for (uint32_t at = 0; at < 0x10000; at += 8)
		write64(GUEST_GICR_BASE + at, UINT64_MAX);
	for (uint32_t at = 0x11000; at < 0x20000; at += 4)
		write32(GUEST_GICR_BASE + at, UINT32_MAX);
	/* All but TYPER and the identification registers reads as zero. */
	for (uint32_t at = 0x10; at < 0xffd0; at += 4)
		seen += read32(GUEST_GICR_BASE + at) != 0;
	say("survived: CTLR %x PROPBASER %x PENDBASER %x, %u words not zero\n",
	    (uint64_t)read32(GUEST_GICR_BASE), read64(GUEST_GICR_BASE + 0x70),
	    read64(GUEST_GICR_BASE + 0x78), seen);
}

static void sweep_uart(void)
{
	for (uint64_t at = 4; at < 0x1000; at += 4) {
		(void)read32(GUEST_UART_BASE + at);
		write32(GUEST_UART_BASE + at, UINT32_MAX);
		(void)read8(GUEST_UART_BASE + at + 1);
		(void)read16(GUEST_UART_BASE + at + 2);
		if (at % 8 == 0)
			write64(GUEST_UART_BASE + at, UINT64_MAX);
	}
	say("survived: IMSC %x\n", (uint64_t)read32(GUEST_UART_BASE + UART_IMSC));
}

/*
 * PSCI and firmware functions that a guest has no right to: DEN0022F 5, DEN0028F 7, TRNG, FF-A, SDEI, vendors',
 * and the numbers of PSCI 0.1 that QEMU's firmware still knows.
 */
static const uint32_t forbidden[] = {
	0x84000005, 0xc4000005, 0x84000007, 0x84000008 ^ 0x40000000,
	0x8400000b, 0xc400000c, 0xc400000d, 0xc400000e,
	0x8400000f, 0xc4000010, 0xc4000011, 0x84000013,
	0x84000014, 0x84000050, 0xc4000053, 0x84000060,
	0xc4000020, 0x80008000, 0xc0000001, 0x82000000,
	0xc2000000, 0x83000000, 0x86000000, 0xbf00ff01,
	0xc6000001, 0x00000000, 0xffffffff, 0x95c1ba5e,
	0x95c1ba5f, 0x95c1ba60,
};

static void call_sweep(int64_t (*call)(uint64_t, uint64_t, uint64_t, uint64_t))
{
	uint64_t answered = 0;

	for (size_t i = 0; i < ARRAY_SIZE(forbidden); i++) {
		int64_t answer = call(forbidden[i], 0, 0x40000000, 0);

		if (answer == PSCI_NOT_SUPPORTED)
			continue;
		say("function %x answered %x\n", (uint64_t)forbidden[i], answer);
		answered++;
	}
	say("survived: %u of %u answered\n", answered, ARRAY_SIZE(forbidden));
}

static void do_smc(void)
{
	call_sweep(smc);
}

static void do_hvc(void)
{
	call_sweep(hvc);
}

/* `at` is the affinity of a core of someone else. */
static void do_cpu_on(void)
{
	uint64_t own = gic_affinity(0), entry = (uint64_t)(uintptr_t)second_start;
	uint64_t other = argument_number("at", 0);
	struct range ram = guest_ram();

	say("survived: own %x foreign %x beyond %x device %x\n", -hvc(PSCI_CPU_ON, own, entry, 0),
	    -hvc(PSCI_CPU_ON, other, entry, 0), -smc(PSCI_CPU_ON, own, ram.from + ram.size, 0),
	    -hvc(PSCI_CPU_ON, own, GUEST_UART_BASE, 0));
}

/* ---- ends of another kind ---- */

static void own_group0(void)
{
	write32(GIC_SGI_BASE + 0x80, ~(1U << TIMER_INTERRUPT));
	gic_enable(0, TIMER_INTERRUPT, 0);
	write_sysreg("cntv_cval_el0", 0);
	write_sysreg("cntv_ctl_el0", 1);
	isb();
	FOREVER;
}

static void bad_vectors(void)
{
	write_sysreg("vbar_el1", argument_number("at", 0));
	isb();
	__asm__ volatile("udf #0");
}

/* ---- those who do not want to stop ---- */

static void mask_priority(void)
{
	interrupts_on();
	mask_all();
	write_sysreg("S3_0_C4_C6_0", 0);
	isb();
}

static void mask_group(void)
{
	interrupts_on();
	mask_all();
	write_sysreg("S3_0_C12_C12_7", 0);
	isb();
}

static void sleep_priority(void)
{
	mask_priority();
	sleep_masked();
}

static void sleep_group(void)
{
	mask_group();
	sleep_masked();
}

static void sleep_both(void)
{
	mask_priority();
	mask_group();
	write_sysreg("S3_0_C4_C6_0", 0);
	sleep_masked();
}

/* Every SGI of its own switched off, too: the doorbell is one. */
static void sleep_disabled(void)
{
	mask_group();
	write32(GIC_SGI_BASE + 0x180, UINT32_MAX);
	sleep_masked();
}

/* An interrupt of the highest priority is pending all the time, in the group that is off. */
static void sleep_pending(void)
{
	mask_group();
	gic_enable(0, 0, 0);
	write32(GIC_SGI_BASE + 0x200, 1);
	sleep_masked();
}

/* An interrupt of the highest priority that is never ended: nothing can preempt it. */
static void sleep_active(void)
{
	mask_all();
	write32(GUEST_GICD_BASE, 2);
	write_sysreg("S3_0_C4_C6_0", 0xff);
	write_sysreg("S3_0_C12_C12_7", 1);
	gic_enable(0, TIMER_INTERRUPT, 0);
	write_sysreg("cntv_cval_el0", 0);
	write_sysreg("cntv_ctl_el0", 1);
	isb();
	while ((read_sysreg("S3_0_C12_C12_0") & 0xffffff) != TIMER_INTERRUPT)
		;
	sleep_masked();
}

static void exception_loop(void)
{
	static uint8_t nothing[2048] __attribute__((aligned(2048)));

	say_holding();
	write_sysreg("vbar_el1", nothing); /* all zero: an undefined instruction at every vector */
	isb();
	__asm__ volatile("udf #0");
}

/* Asleep most of the time, but in the hypervisor, which opens what the guest masked. */
static void suspend(void)
{
	mask_group();
	say_holding();
	FOREVER hvc(PSCI_CPU_SUSPEND, 0, 0, 0);
}

static void call_storm(void)
{
	say_holding();
	FOREVER hvc(0xc6000001, 0, 0, 0);
}

/* IRM: to all but itself, which may only mean all of its own. */
static void sgi_others(void)
{
	for (uint32_t i = 0; i < 1000; i++)
		write_sysreg("S3_0_C12_C11_5", 1ULL << 40 | (i % 16) << 24);
	isb();
	say("survived: %u\n", 1000UL);
}

const struct behaviour arch_behaviours[] = {
	{"sweep-dist", sweep_dist},
	{"sweep-redist", sweep_redist},
	{"sweep-uart", sweep_uart},
	{"smc", do_smc},
	{"hvc", do_hvc},
	{"cpu-on", do_cpu_on},
	{"group0", own_group0},
	{"vectors", bad_vectors},
	{"sleep-priority", sleep_priority},
	{"sleep-group", sleep_group},
	{"sleep-both", sleep_both},
	{"sleep-disabled", sleep_disabled},
	{"sleep-pending", sleep_pending},
	{"sleep-active", sleep_active},
	{"exception-loop", exception_loop},
	{"suspend", suspend},
	{"sgi-storm", ipi_storm},
	{"call-storm", call_storm},
	{"sgi-others", sgi_others},
	{"", do_any_operation}, /* whatever is not one of these */
	{NULL, NULL},
};
