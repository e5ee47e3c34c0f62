/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of arch/x86 share. "SDM" is the Intel 64 and IA-32 Architectures Software Developer's Manual
 * (volume 3 unless named), "APM" AMD64 Architecture Programmer's Manual volume 2.
 */
#ifndef X86_X86_H
#define X86_X86_H

#include <bulkhead/arch.h>
#include <bulkhead/log.h>

#include "offsets.h"
#include "registers.h"

/* ---- instructions ---- */

static inline uint64_t rdmsr(uint32_t msr)
{
	uint32_t low;
	uint32_t high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr) : "memory");
	return (uint64_t)high << 32 | low;
}

static inline void wrmsr(uint32_t msr, uint64_t value)
{
	__asm__ volatile("wrmsr" ::"c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
			 : "memory");
}

struct cpuid {
	uint32_t eax;
	uint32_t ebx;
	uint32_t ecx;
	uint32_t edx;
};

static inline struct cpuid cpuid(uint32_t leaf, uint32_t subleaf)
{
	struct cpuid r;

	__asm__ volatile("cpuid"
			 : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
			 : "a"(leaf), "c"(subleaf));
	return r;
}

#define read_cr(n)                                                                                 \
	({                                                                                         \
		uint64_t value_;                                                                   \
		__asm__ volatile("mov %%cr" #n ", %0" : "=r"(value_)::"memory");                   \
		value_;                                                                            \
	})
#define write_cr(n, v) __asm__ volatile("mov %0, %%cr" #n ::"r"((uint64_t)(v)) : "memory")

static inline void out8(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" ::"a"(value), "Nd"(port) : "memory");
}

static inline uint8_t in8(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

/* ---- boot.S, traps.S ---- */

void x86_enter(uint64_t root, uint64_t stack, struct cpu *cpu, void (*entry)(struct cpu *cpu))
	__attribute__((noreturn));

/* The core that is on its way; it takes itself out when it has its stack. */
extern struct cpu *x86_starting;

/* What this processor may refuse, or not have: false when it took #GP. */
bool x86_try_rdmsr(uint32_t msr, uint64_t *value);
bool x86_try_wrmsr(uint32_t msr, uint64_t value);
bool x86_try_xsetbv(uint32_t xcr, uint64_t value);

/* Sleeps until an interrupt or NMI, or not at all when one came since the last call. */
void x86_wait(void);

/* The exceptions' first instructions, X86_STUB_BYTES from one vector to the next, and the interrupts'. */
#define X86_STUB_BYTES 16UL
extern const uint8_t x86_exception_stubs[], x86_interrupt_stub[];

/* ---- desc.c: descriptor tables ---- */

/* The IDT that all cores share; boot core, once. */
void desc_init(void);

/* Its address. */
uint64_t desc_idt(void);

/* This core's control registers, GDT, TSS, IDT and GS base. */
void desc_load(struct cpu *cpu);

/* The pages behind the core's record that the vendors use. */
enum cpu_page { PAGE_VMCB, PAGE_HOST, PAGE_HOST_STATE };

pa_t cpu_page(const struct cpu *cpu, enum cpu_page page);

/* ---- apic.c ---- */

void apic_cpu_init(void);
/* Reset state, x2APIC on, nothing pending or in service. */
void apic_reset(void);
#define ICR_NMI 0x4400U /* delivery mode 4, asserted (SDM vol. 3 11.6.1) */
/* @low as the low half of ICR, to the APIC @hwid. */
void apic_send(uint64_t hwid, uint32_t low);
/* An interrupt to this core soon, and no more. */
void apic_timer(bool on);

/* ---- mmu.c ---- */

/* Has this core's TLB forget what own_unmap() took away. */
void own_tlb_flush(void);

/* What all formats here have in common: four levels, 48 bits, leaves of 1 GiB, 2 MiB and 4 KiB. */
#define X86_FOUR_LEVELS                                                                            \
	.levels = 4, .leaf_levels = 0xe, .shift = {39, 30, 21, 12},                                \
	.entries = {512, 512, 512, 512}, .address_mask = 0x000ffffffffff000ULL
#define X86_LEVEL_1G (1U << 1) /* in leaf_levels */

extern const struct pt_format x86_own_format, x86_npt_format, x86_ept_format;

/* ---- iommu/: besides what the arch contract has ---- */

/* Maps the IOMMUs' tables and registers, and finds out how large their pages may be. */
void iommu_map(void);

struct msi_message {
	uint32_t address; /* its high half is 0 */
	uint32_t data;
};

/*
 * Has interrupt @entry of the machine's function @function arrive as @vector at core @hwid,
 * when the function writes the message that this returns. Its other messages stay as they are.
 */
struct msi_message interrupt_route(uint32_t function, uint32_t entry, uint64_t hwid,
				   uint32_t vector);

/* ---- A hardware exit, decoded by the vendor ---- */

enum x86_exit_kind {
	X86_ILLEGAL, /* @what says; also whatever the vendor does not know */
	X86_NMI, /* taken by the NMI handler: see struct arch_cpu */
	X86_PORT,
	X86_MSR,
	X86_CPUID,
	X86_XSETBV,
	X86_INVD,
	X86_MEMORY, /* @address is not in the guest's space, or not for this */
	X86_EXCEPTION, /* that had to be looked at: goes back */
	X86_UNDEFINED, /* an instruction that a guest does not have: #UD */
	X86_TRIPLE_FAULT,
	X86_REGISTER, /* a control register that the vendor has seen to */
	X86_AGAIN, /* nothing to do */
};

struct x86_exit {
	enum x86_exit_kind kind;
	const char *what;
	uint64_t code; /* exit code or reason, for people */
	uint64_t address; /* guest-physical */
	uint64_t cr3; /* memory: the guest's */
	uint32_t length; /* of the instruction */
	uint32_t event; /* X86_EXCEPTION: as EVENT_*; its error code is 0 if it has one */
	uint32_t port;
	uint32_t size; /* 1, 2 or 4 bytes */
	bool write; /* MSR, port, memory */
	bool fetch; /* memory */
	bool walk; /* memory: by the guest's own page walk */
	bool code_64; /* memory: in 64-bit mode */
	bool string; /* port: INS or OUTS */
};

/* What a vendor's exit code is, where the code says it all. */
struct x86_known {
	uint8_t kind;
	uint8_t length;
	const char *what;
};

#define X86_MACHINE_CHECK "machine check"
#define X86_FOREIGN_INIT "INIT from outside the VM"
#define X86_TASK_SWITCH "task switch"

/* Fills @exit by its code from @known, which has @count entries; what is not there is illegal. */
static inline void exit_known(const struct x86_known *known, uint32_t count, struct x86_exit *exit)
{
	static const struct x86_known unknown = {X86_ILLEGAL, 0, NULL};
	const struct x86_known *is = exit->code < count ? &known[exit->code] : &unknown;

	exit->kind = (enum x86_exit_kind)is->kind;
	exit->length = is->length;
	exit->what = is->what;
}

/* In arch_cpu.regs. */
enum { REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP };

/* An event to inject: the same in VMCB (APM 15.20) and VMCS (SDM 25.8.3). */
#define EVENT_VALID (1U << 31)
#define EVENT_ERROR (1U << 11)
#define EVENT_TYPE(event) ((event) >> 8 & 7)
#define EVENT_SOFTWARE_INTERRUPT 4 /* a type */
#define EVENT_NMI (EVENT_VALID | 2U << 8 | 2)
#define EVENT_EXCEPTION(vector) (EVENT_VALID | 3U << 8 | (vector))
#define VECTOR_FIRST 16 /* of an interrupt: the local APIC refuses others (SDM vol. 3 11.5.2) */
/* one that none can be requested by: an emulator takes no EOI for a spurious one */
#define VECTOR_SPURIOUS 15
#define VECTOR_DB 1
#define VECTOR_UD 6
#define VECTOR_GP 13
#define VECTOR_AC 17
#define VECTOR_MC 18

/* ---- How a vCPU begins ---- */

/* @attr as in a VMCB (APM 15.5.1): bits 55:52 and 47:40 of the descriptor. */
struct x86_segment {
	uint16_t selector;
	uint16_t attr;
	uint32_t limit;
	uint64_t base;
};

#define X86_ATTR_L (1U << 9) /* 64-bit code */

/* The rest is as after INIT (SDM vol. 3 table 10-1), with an empty task. Efer and RIP are in struct arch_cpu. */
#define X86_DATA ((struct x86_segment){0, 0x093, 0xffff, 0})
#define X86_CR0 ((uint64_t)(CR0_ET | CR0_NE))
#define X86_LDTR ((struct x86_segment){0, 0x082, 0, 0})
#define X86_TR ((struct x86_segment){0, 0x08b, 0x67, 0})
#define X86_TABLE_LIMIT 0xffffU /* of GDT and IDT */
#define X86_DR6 0xffff0ff0ULL
#define X86_DR7 0x400ULL

/* ---- The vendor's extension, chosen once ---- */

struct vendor {
	const struct pt_format *format; /* of its guests' tables */
	/* This core's extension on. Again on each core. */
	void (*cpu_init)(struct cpu *cpu);
	/* After leave(): the vCPU to real mode at the start of @cs; nothing of an earlier guest is left in the TLB. */
	void (*reset)(struct cpu *cpu, const struct x86_segment *cs);
	/* Runs the guest from @exit, zeroes at first, to its next, with what stands in @cpu->arch, where it leaves what came of it. */
	void (*enter)(struct cpu *cpu, struct x86_exit *exit);
	/* Has this core's TLB forget what it holds of the guest, before that goes on. */
	void (*flush)(struct cpu *cpu);
	/* Wipes the control block, which may never have been used. */
	void (*leave)(struct cpu *cpu);
	/* Its bitmap: how many ranges of 0x2000 MSRs, bits from one MSR to the next, and from reading to writing it. */
	uint32_t msr_ranges;
	uint32_t msr_stride;
	uint32_t msr_write;
};

extern const struct vendor svm, vmx;

/* The one in use. */
extern const struct vendor *vendor;

/* The vendors' bitmaps; which parts they use is theirs. All ones: everything exits. */
extern uint8_t x86_msr_bitmap[2 * PAGE_SIZE], x86_port_bitmap[3 * PAGE_SIZE];

/* ---- msr.c, port.c, console.c, icr.c: what an exit leads to ---- */

/* One exit on its way. Each handler may set @illegal, or @leave and @result, or inject. */
struct guest_exit {
	struct cpu *cpu;
	struct x86_exit hw;
	const char *illegal; /* what was wrong; NULL: the guest goes on */
	enum exit_reason reason;
	enum vcpu_result result;
	bool leave;
};

/* Opens in the vendor's bitmap what the table lets through. */
void msr_init(void);
void msr_access(struct guest_exit *exit);
/* Zero in all that a guest may have written directly. */
void msr_wipe(void);
void port_access(struct guest_exit *exit);
/* NULL, or what was illegal. */
const char *icr_write(struct cpu *cpu, uint64_t value);

/* The 16550, a guest's and the machine's. */
#define UART_DATA 0 /* divisor's low byte with DLAB */
#define UART_IER 1 /* its high byte */
#define UART_IIR_FCR 2
#define UART_LCR 3
#define UART_MCR 4
#define UART_LSR 5
#define UART_MSR 6
#define IER_RX 0x01
#define LSR_RX 0x01
#define LSR_TX_EMPTY 0x20

/* The guest's: register @offset. */
uint8_t console_read(struct vm *vm, uint32_t offset);
void console_write(struct vm *vm, uint32_t offset, uint8_t value);
/* Its PCI function's configuration space, filled in @page. */

/* In @hwid the core of @vm that an MSI goes to; false when it is none of them, or an interrupt of another kind. */
bool msi_target(const struct vm *vm, uint32_t address, uint32_t data, uint64_t *hwid);

/* mmio.c: true when a guest's access was to a register of a function, and done or found illegal. */
bool mmio_access(struct guest_exit *exit);

/* Where a guest-physical address is in a BAR. */
struct msix_place {
	const struct machine_function *function;
	uint32_t slot;
	uint32_t bar;
	uint64_t offset;
};

/* msix.c: all entries of function @slot masked; whether @at is in a BAR, and where; an access to that one, @access->offset from its start. */
void msix_reset(const struct vm *vm, uint32_t slot);
bool msix_find(const struct vm *vm, uint64_t at, struct msix_place *place);
void msix_access(struct vm *vm, const struct msix_place *place, struct mmio *access);

/* The guest-physical page of the console's function in the machine. */
pa_t console_page(const struct vm *vm);

/* The exception @vector, with error code 0 if it has one, at the next entry. */
void inject(struct cpu *cpu, uint32_t vector);

/* The guest goes on behind the instruction that exited. */
void skip(struct guest_exit *exit);

#endif
