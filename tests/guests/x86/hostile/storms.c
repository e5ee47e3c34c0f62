/* SPDX-License-Identifier: Apache-2.0 */
/* Attacks that take more than one instruction, and those who do not want to stop. */
#include "hostile.h"

#define VECTOR_DB 1
#define VECTOR_NMI 2
#define VECTOR_UD 6
#define VECTOR_AC 17

struct __attribute__((packed)) pointer {
	uint16_t limit;
	uint64_t base;
};

extern uint8_t debug_stack_end[];
extern struct pointer storm_idt_pointer;

static uint32_t low(const void *p)
{
	return (uint32_t)(uintptr_t)p;
}

static void load_idt(uint64_t base, uint16_t limit)
{
	struct pointer pointer = {limit, base};

	__asm__ volatile("lidt %0" ::"m"(pointer) : "memory");
}

/* ---- descriptor tables: SDM vol. 3 3.4.5, 8.2 ---- */

#define TSS (0x89ULL << 40) /* available; of 64 bits in long mode */
#define USER_CODE 0x00cffb000000ffffULL
#define USER_DATA 0x00cff3000000ffffULL

struct tss32 {
	uint32_t link, stacks[6], cr3, eip, eflags;
	uint32_t eax, ecx, edx, ebx, esp, ebp, esi, edi;
	uint32_t es, cs, ss, ds, fs, gs, ldt, map;
};

static_assert(sizeof(struct tss32) == 104, "32-bit TSS");

/* The guest's own, and two TSSs of 32 bits or one of 64, and ring 3's code and data. */
static uint64_t gdt[8];
static struct tss32 tasks[2];
static uint32_t tss64[26];

static uint64_t descriptor(const void *base, uint64_t limit, uint64_t type)
{
	uint64_t at = low(base);

	return type | (at & 0xffffff) << 16 | (at >> 24) << 56 | limit;
}

static void load_gdt(void)
{
	struct pointer pointer = {sizeof(gdt) - 1, (uint64_t)(uintptr_t)gdt};

	for (unsigned i = 0; i < 4; i++)
		gdt[i] = guest_gdt[i];
	gdt[6] = USER_CODE;
	gdt[7] = USER_DATA;
	__asm__ volatile("lgdt %0" ::"m"(pointer) : "memory");
}

/* IST 1 ends at @stack_end (SDM vol. 3 8.7). */
static void load_ist(const void *stack_end)
{
	tss64[9] = low(stack_end);
	gdt[4] = descriptor(tss64, sizeof(tss64) - 1, TSS);
	gdt[5] = 0;
	load_gdt();
	__asm__ volatile("ltr %w0" ::"r"(0x20));
}

void bad_vectors(void)
{
	load_idt(argument_number("at", 0), 0xfff);
	__asm__ volatile("ud2");
}

void bad_descriptors(void)
{
	struct pointer pointer = {0xfff, argument_number("at", 0)};

	__asm__ volatile("lgdt %0\n\tmov %w1, %%es" ::"m"(pointer), "r"(SELECTOR_DATA) : "memory");
	say("survived\n");
}

void triple_fault(void)
{
	load_idt(0, 0);
	__asm__ volatile("ud2");
}

/* ---- tasks ---- */

static void load_tasks(void)
{
	tasks[1] = (struct tss32){.eip = low(other_task),
				  .eflags = 2,
				  .esp = low(storm_stack) + 4096,
				  .cs = SELECTOR_CODE32,
				  .es = SELECTOR_DATA,
				  .ss = SELECTOR_DATA,
				  .ds = SELECTOR_DATA};
	gdt[4] = descriptor(&tasks[0], sizeof(tasks[0]) - 1, TSS);
	gdt[5] = descriptor(&tasks[1], sizeof(tasks[1]) - 1, TSS);
	load_gdt();
}

void task_switch(void)
{
	load_tasks();
	leave_long(low(switch_task));
}

void task_switched(void)
{
	say("survived: the task was switched\n");
	finish();
	system_off();
}

void task_gate(void)
{
	load_tasks();
	jump_compatible();
}

/* ---- interrupts ---- */

/* Shorthand "all but self" (SDM vol. 3 11.6.1), which may only mean all of its own. */
void ipi_others(void)
{
	for (uint32_t i = 0; i < 1000; i++)
		icr_send(0, 3U << 18 | ICR_ASSERT | (VECTOR_BASE + i % 16));
	say("survived: %u\n", 1000UL);
}

void nmi_self(void)
{
	for (uint32_t i = 0; i < 100; i++) {
		icr_send(cpu_id(), ICR_ASSERT | ICR_NMI);
		wait_microseconds(1000);
	}
	say("survived: %u NMIs\n", (uint64_t)nmi_count);
}

/* The console's MSI goes to `at` with `with`; its transmitter is empty, so that it is due at once. */
void message(void)
{
	interrupts_on();
	if (!console_msi(argument_number("at", 0), (uint16_t)argument_number("with", 0)))
		say("console: no MSI\n");
	out8(uart_port(UART_MCR), 0x0b);
	for (uint32_t i = 0; i < 10; i++) {
		out8(uart_port(UART_IER), 2);
		wait_microseconds(1000);
		out8(uart_port(UART_IER), 0);
	}
	say("survived: %u interrupts\n", (uint64_t)interrupt_count);
}

/* ---- those who do not want to stop ---- */

void exception_loop(void)
{
	load_ist(storm_stack + 4096);
	idt_set(VECTOR_UD, low(undefined_again), 1);
	say_holding();
	__asm__ volatile("ud2");
}

/* CVE-2015-8104: #DB whose delivery takes #DB. DR7: L0 and G0, writes, 8 bytes (SDM vol. 3 18.2.4). */
void debug_storm(void)
{
	load_ist(debug_stack_end);
	idt_set(VECTOR_DB, low(debug_again), 1);
	say_holding();
	write_register("dr0", low(debug_stack_end) - 8);
	write_register("dr7", 0x00090703);
	FOREVER MEM64(low(debug_stack_end) - 8) = 0;
}

/* CVE-2015-5307: #AC whose delivery takes #AC. */
static uint64_t storm_idt[32];
struct pointer storm_idt_pointer = {sizeof(storm_idt) - 1, 0};

void alignment_storm(void)
{
	uint64_t handler = low(storm_handler);

	storm_idt[VECTOR_AC] =
		(handler & 0xffff) | 0x33ULL << 16 | 0xeeULL << 40 | (handler >> 16) << 48;
	storm_idt_pointer.base = low(storm_idt);
	load_gdt();
	say_holding();
	leave_long(low(storm_32));
}

void spin_protected(void)
{
	mask_all();
	say_holding();
	leave_long(low(spin_32));
}

/* An APIC that is switched off by software still takes NMIs (SDM vol. 3 11.4.7.2). */
void sleep_apic_off(void)
{
	wrmsr(X2APIC_SVR, 0xff);
	sleep_masked();
}

/* In an NMI handler that does not return. */
void sleep_nmi(void)
{
	mask_all();
	idt_set(VECTOR_NMI, low(nmi_sleep), 0);
	say_holding();
	icr_send(cpu_id(), ICR_ASSERT | ICR_NMI);
	FOREVER;
}

void sleep_mwait(void)
{
	mask_all();
	say_holding();
	FOREVER __asm__ volatile("monitor\n\tmwait" ::"a"(gdt), "c"(0), "d"(0) : "memory");
}

void call_storm(void)
{
	say_holding();
	FOREVER in8(0x80);
}

void nmi_storm(void)
{
	say_holding();
	FOREVER icr_send(cpu_id(), ICR_ASSERT | ICR_NMI);
}

/*
 * Every vector there is pending here, and sent to a sibling that is off: whoever
 * takes them is not the guest. 16 to 31 look like exceptions, 18 like a machine check.
 */
void pend_all(void)
{
	mask_all();
	for (uint64_t vector = 16; vector < 256; vector++) {
		wrmsr(X2APIC_SELF_IPI, vector);
		icr_send(apic_id(vcpu_count() - 1), ICR_ASSERT | (uint32_t)vector);
	}
	say_holding();
	FOREVER;
}

/* INIT takes a vCPU off; nobody is there to send SIPI. */
void init_self(void)
{
	say_holding();
	icr_send(cpu_id(), ICR_ASSERT | ICR_INIT);
	say("survived\n");
}
