/* SPDX-License-Identifier: Apache-2.0 */
/* What the friendly guest can do on x86 only: see and leave values in registers, take NMIs, end in other ways. */
#include "guest.h"
#include "registers.h"

#define CR4_OSFXSR_OSXMMEXCPT 0x600U
#define CR4_OSXSAVE (1U << 18)
#define CPUID_1_ECX_XSAVE (1U << 26)
#define CPUID_1_ECX_AVX (1U << 28)

static void idle(void)
{
	interrupts_on();
	FOREVER wait_for_interrupt();
}

/* ---- registers ---- */

static void show_msr(const char *name, uint32_t msr)
{
	uint64_t value;

	if (try_rdmsr(msr, &value))
		say("reg %s %x\n", name, value);
}

#define SHOW_MSR(name, msr, value) show_msr(#name, msr);
#define SHOW(name, register, value) say("reg " #name " %x\n", read_register(register));
#define DIRTY_MSR(name, msr, value) try_wrmsr(msr, value);
#define DIRTY(name, register, value) write_register(register, value);

/* One register for each vector: what is pending or in service. */
static uint64_t vector_bits(uint32_t msr)
{
	uint64_t any = 0;

	for (uint32_t i = 0; i < 8; i++)
		any |= rdmsr(msr + i);
	return any;
}

static bool has_avx(void)
{
	uint32_t r[4];

	cpuid(1, 0, r);
	return (r[2] & CPUID_1_ECX_XSAVE) != 0 && (r[2] & CPUID_1_ECX_AVX) != 0;
}

static uint64_t xgetbv(void)
{
	uint32_t low, high;

	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return (uint64_t)high << 32 | low;
}

static void xsetbv(uint64_t value)
{
	__asm__ volatile("xsetbv" ::"c"(0), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)));
}

/* Both as XSAVE or FXSAVE lays them out (SDM vol. 1 10.5.1, 13.4), by which all can be seen as memory. */
static uint8_t image[2816] __attribute__((aligned(64)));

static uint64_t any_in(size_t from, size_t to)
{
	uint64_t any = 0;

	for (size_t i = from; i < to; i++)
		any |= image[i];
	return any;
}

static void show_vectors(void)
{
	write_register("cr4", read_register("cr4") | CR4_OSFXSR_OSXMMEXCPT);
	__asm__ volatile("fxsave64 %0" : "=m"(image)::"memory");
	say("reg fcw %x\n", (uint64_t)(image[0] | image[1] << 8));
	say("reg fsw %x\n", (uint64_t)(image[2] | image[3] << 8));
	say("reg mxcsr %x\n", (uint64_t)(image[24] | image[25] << 8));
	say("reg st0-7 %x\n", any_in(32, 160));
	say("reg xmm0-15 %x\n", any_in(160, 416));
	if (!has_avx())
		return;
	write_register("cr4", read_register("cr4") | CR4_OSXSAVE);
	say("reg xcr0 %x\n", xgetbv());
	xsetbv(7);
	__asm__ volatile("xsave64 %0" : "+m"(image) : "a"(7), "d"(0) : "memory");
	say("reg ymm0-15 %x\n", (image[512] & 4) != 0 ? any_in(576, 832) : 0UL);
}

static void dirty_vectors(void)
{
	write_register("cr4", read_register("cr4") | CR4_OSFXSR_OSXMMEXCPT);
	__asm__ volatile("fxsave64 %0" : "=m"(image)::"memory");
	for (size_t i = 32; i < sizeof(image); i++)
		image[i] = 0x5a;
	image[0] = 0x7a; /* FCW, FTW and MXCSR have reserved bits: change what is allowed */
	image[4] = 0xff;
	image[24] = 0x00;
	image[25] = 0x1e;
	__asm__ volatile("fxrstor64 %0" ::"m"(image) : "memory");
	if (!has_avx())
		return;
	write_register("cr4", read_register("cr4") | CR4_OSXSAVE);
	xsetbv(7);
	for (size_t i = 512; i < 576; i++)
		image[i] = 0;
	image[512] = 7;
	__asm__ volatile("xrstor64 %0" ::"m"(image), "a"(7), "d"(0) : "memory");
}

static void show_entry(void)
{
	uint64_t any = 0;

	for (unsigned i = 0; i < 16; i++)
		any |= i == 2 ? 0 : entry_regs[i];
	say("reg rax-r15 %x\nreg rdx %x\nreg rsp %x\n", any, entry_regs[2], entry_regs[ENTRY_RSP]);
	say("reg rflags %x\nreg cr2 %x\n", entry_regs[ENTRY_RFLAGS], entry_regs[ENTRY_CR2]);
}

static void show_registers(void)
{
	say("reg cr0 %x\nreg cr4 %x\n", read_register("cr0"), read_register("cr4"));
	GUEST_REGISTERS(SHOW)
	GUEST_MSRS(SHOW_MSR)
	say("reg isr %x\nreg irr %x\n", vector_bits(X2APIC_ISR), vector_bits(X2APIC_IRR));
	show_vectors();
	say("registers: done\n");
}

static void do_registers(void)
{
	show_entry();
	show_registers();
	idle();
}

/* One interrupt stays in service, another one pending behind it. */
static void dirty_apic(void)
{
	wrmsr(X2APIC_SVR, 0x1ff);
	keep_in_service = true;
	wrmsr(X2APIC_SELF_IPI, 0x85);
	__asm__ volatile("sti\n\tnop\n\tcli" ::: "memory");
	wrmsr(X2APIC_SELF_IPI, 0x75);
}

/* Leaves something everywhere, for the next who runs here. */
static void do_dirty(void)
{
	mask_all();
	dirty_apic();
	dirty_vectors();
	GUEST_MSRS(DIRTY_MSR)
	GUEST_REGISTERS(DIRTY)
	write_register("cr2", ADDRESS);
	entry_regs[ENTRY_CR2] = read_register("cr2");
	show_entry();
	show_registers();
	FOREVER;
}

/* ---- NMIs: from itself, and from and to the second vCPU ---- */

#define NMIS 100

static volatile uint32_t second_ready;

static void send_nmis(uint64_t id, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		uint32_t before = nmi_count;

		icr_send(id, ICR_NMI | ICR_ASSERT);
		while (nmi_count == before)
			;
	}
}

static void second(void)
{
	second_ready = 1;
	send_nmis(apic_id(0), NMIS);
	second_ready = 2;
}

static void wait_second(void)
{
	second_ready = 1;
	while (second_ready != 2)
		wait_for_interrupt();
}

/* Interrupts stay masked: an NMI comes all the same. */
static void do_nmi(void)
{
	uint32_t own, to, from = 0;

	send_nmis(apic_id(0), NMIS);
	own = nmi_count;
	if (vcpu_count() < 2) {
		say("nmi: own %u\n", (uint64_t)own);
		idle();
	}
	second_on(wait_second);
	while (second_ready == 0)
		;
	send_nmis(apic_id(1), NMIS);
	to = nmi_count - own;
	second_ready = 2;
	while (!second_is_off()) /* out of HLT, which it may be about to enter */
		send_nmis(apic_id(1), 1);
	second_ready = 0;
	from = nmi_count;
	second_on(second);
	while (second_ready != 2)
		;
	say("nmi: own %u to %u from %u\n", (uint64_t)own, (uint64_t)to,
	    (uint64_t)(nmi_count - from));
	idle();
}

/* ---- the other ways to go ---- */

static void reset_keyboard(void)
{
	say("hello, resetting\n");
	out8(0x64, 0xfe);
	cpu_off();
}

static void reset_triple(void)
{
	static const struct __attribute__((packed)) {
		uint16_t limit;
		uint64_t base;
	} none = {0, 0};

	say("hello, resetting\n");
	__asm__ volatile("lidt %0\n\tud2" ::"m"(none));
}

const struct behaviour arch_behaviours[] = {
	{"registers", do_registers},
	{"dirty", do_dirty},
	{"nmi", do_nmi},
	{"reset-keyboard", reset_keyboard},
	{"reset-triple", reset_triple},
	{NULL, NULL},
};
