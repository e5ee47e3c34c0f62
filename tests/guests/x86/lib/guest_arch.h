/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What only x86-64 has. guest.h includes this. "SDM" is the Intel 64 and IA-32 Architectures Software Developer's
 * Manual, "APM" the AMD64 Architecture Programmer's Manual.
 */
#ifndef GUEST_ARCH_H
#define GUEST_ARCH_H

/* ---- instructions ---- */

#define wait_for_interrupt() __asm__ volatile("hlt" ::: "memory")
#define mask_all() __asm__ volatile("cli" ::: "memory")
#define unmask_irq() __asm__ volatile("sti" ::: "memory")
#define sleep_once()                                                                               \
	__asm__ volatile("sti\n\thlt\n\tcli" ::: "memory") /* SDM vol. 2, STI: no gap */

#define PORT(bits, letter, width)                                                                  \
	static inline uint##bits##_t in##bits(uint16_t port)                                       \
	{                                                                                          \
		uint##bits##_t v;                                                                  \
                                                                                                   \
		__asm__ volatile("in" letter " %1, %" width "0"                                    \
				 : "=a"(v)                                                         \
				 : "Nd"(port)                                                      \
				 : "memory");                                                      \
		return v;                                                                          \
	}                                                                                          \
	static inline void out##bits(uint16_t port, uint##bits##_t v)                              \
	{                                                                                          \
		__asm__ volatile("out" letter " %" width "0, %1" ::"a"(v), "Nd"(port) : "memory"); \
	}

PORT(8, "b", "b")
PORT(16, "w", "w")
PORT(32, "l", "k")

/* Device registers: by MOV, as kernels do it, because the hypervisor knows no other instruction. */
#define DEVICE(bits, letter, width)                                                                \
	static inline uint##bits##_t read##bits(uint64_t at)                                       \
	{                                                                                          \
		uint##bits##_t v;                                                                  \
                                                                                                   \
		__asm__ volatile("mov" letter " (%1), %" width "0"                                 \
				 : "=r"(v)                                                         \
				 : "r"(at)                                                         \
				 : "memory");                                                      \
		return v;                                                                          \
	}                                                                                          \
	static inline void write##bits(uint64_t at, uint##bits##_t v)                              \
	{                                                                                          \
		__asm__ volatile("mov" letter " %" width "0, (%1)" ::"r"(v), "r"(at) : "memory");  \
	}

DEVICE(8, "b", "b")
DEVICE(16, "w", "w")
DEVICE(32, "l", "k")
DEVICE(64, "q", "q")

#define ECAM_BASE GUEST_X86_ECAM_BASE
#define device_barrier() __asm__ volatile("mfence" ::: "memory")

static inline uint64_t rdmsr(uint32_t msr)
{
	uint32_t low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr) : "memory");
	return (uint64_t)high << 32 | low;
}

static inline void wrmsr(uint32_t msr, uint64_t value)
{
	__asm__ volatile("wrmsr" ::"c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
			 : "memory");
}

#define read_register(name)                                                                        \
	({                                                                                         \
		uint64_t value_;                                                                   \
		__asm__ volatile("mov %%" name ", %0" : "=r"(value_)::"memory");                   \
		value_;                                                                            \
	})
#define write_register(name, v) __asm__ volatile("mov %0, %%" name ::"r"((uint64_t)(v)) : "memory")

/* EAX, EBX, ECX and EDX of a leaf. */
static inline void cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
	__asm__ volatile("cpuid"
			 : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3])
			 : "a"(leaf), "c"(subleaf));
}

/* ---- start.S ---- */

#define SELECTOR_CODE 0x08 /* of the GDT */
#define SELECTOR_DATA 0x10
#define SELECTOR_CODE32 0x18

extern uint64_t guest_gdt[4];

/* RAX to R15 at entry by their encoding (RSP and RSI as 0), then RSP, RFLAGS and CR2. */
#define ENTRY_RSP 16
#define ENTRY_RFLAGS 17
#define ENTRY_CR2 18
extern uint64_t entry_regs[19];

/* ---- exception.c ---- */

struct frame {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax;
	uint64_t vector, error;
	uint64_t rip, cs, rflags, rsp, ss;
};

/* A gate of the IDT (SDM vol. 3 6.14.1) that all vCPUs share; @ist is a stack of the TSS, 0: the one in use. */
struct gate {
	uint64_t low, high;
};

void idt_load(void);
void idt_set(uint32_t vector, uint64_t handler, uint32_t ist);

/*
 * The instruction between TRY_BEGIN and TRY_END may take an exception: it is stepped over, and try_caught is its
 * vector. Else try_caught stays what it was. The instruction must not need R11.
 */
#define TRY_BEGIN "lea 99f(%%rip), %%r11\n\tmov %%r11, try_resume(%%rip)\n\t"
#define TRY_END "\n99:\n\tmovq $0, try_resume(%%rip)\n\t"
#define NOTHING_CAUGHT UINT32_MAX
extern volatile uint64_t try_resume;
extern volatile uint32_t try_caught;

/* False when they take an exception. */
bool try_rdmsr(uint32_t msr, uint64_t *value);
bool try_wrmsr(uint32_t msr, uint64_t value);

/* ---- apic.c: SDM vol. 3 11.12 ---- */

#define X2APIC_ID 0x802
#define X2APIC_TPR 0x808
#define X2APIC_EOI 0x80b
#define X2APIC_SVR 0x80f
#define X2APIC_ISR 0x810
#define X2APIC_IRR 0x820
#define X2APIC_ICR 0x830
#define X2APIC_LVT_TIMER 0x832
#define X2APIC_INITIAL_COUNT 0x838
#define X2APIC_DIVIDE 0x83e
#define X2APIC_SELF_IPI 0x83f

#define ICR_ASSERT (1U << 14)
#define ICR_LEVEL (1U << 15)
#define ICR_NMI (4U << 8)
#define ICR_INIT (5U << 8)
#define ICR_STARTUP (6U << 8)

/* handle_interrupt()'s numbers count from the vector of IPI 0. */
#define VECTOR_BASE 0x40
#define TIMER_INTERRUPT 16
#define NMI_INTERRUPT 0x1000
extern volatile uint32_t nmi_count;

void icr_send(uint64_t apic_id, uint32_t low);

/* While true, interrupts are not ended: they stay in service. */
extern bool keep_in_service;

/* ---- boot.c ---- */

struct start_info { /* Xen's public/arch-x86/hvm/start_info.h, version 1 */
	uint32_t magic, version, flags, nr_modules;
	uint64_t modlist_paddr, cmdline_paddr, rsdp_paddr, memmap_paddr;
	uint32_t memmap_entries, reserved;
};

struct memmap_entry {
	uint64_t addr, size;
	uint32_t type, reserved;
};

#define START_INFO_MAGIC 0x336ec578U
#define MEMORY_RAM 1

uint64_t guest_rsdp(void);

/* APIC id of vCPU @vcpu, as ACPI says; how many vCPUs there are. */
uint64_t apic_id(uint32_t vcpu);
uint32_t vcpu_count(void);

/* ---- uart.c ---- */

#define UART_RBR 0
#define UART_IER 1
#define UART_MCR 4
#define UART_LSR 5
#define UART_LSR_DATA 1
#define UART_LSR_EMPTY 0x20

static inline uint16_t uart_port(unsigned offset)
{
	return (uint16_t)(GUEST_X86_CONSOLE_PORT + offset);
}

/* The console's MSI goes to @address with @data; false when the function has no MSI. */
bool console_msi(uint64_t address, uint16_t data);

void wait_microseconds(uint64_t us);

#endif
