/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptor tables and control registers of the hypervisor itself. SDM vol. 3 3.5, 7.10, 7.14, 8.7. */
#include "x86.h"

#define IDT_ENTRIES 256
#define GATE_PRESENT_INTERRUPT 0x8e00U
#define TSS_PRESENT_AVAILABLE 0x89ULL
#define TSS_IST1 9 /* in 32-bit words */
#define TSS_IOMAP 25
#define NMI_VECTOR 2
#define DF_VECTOR 8

static_assert(offsetof(struct cpu, arch) == 0, "assembly finds it at the record's address");
static_assert(offsetof(struct arch_cpu, regs) == CPU_REGS, "offsets.h");
static_assert(offsetof(struct arch_cpu, start_stack) == CPU_START_STACK, "offsets.h");
static_assert(offsetof(struct arch_cpu, start_entry) == CPU_START_ENTRY, "offsets.h");
static_assert(offsetof(struct arch_cpu, doorbell) == CPU_DOORBELL, "offsets.h");
static_assert(offsetof(struct arch_cpu, rung) == CPU_RUNG, "offsets.h");
static_assert(offsetof(struct arch_cpu, guest_nmi) == CPU_GUEST_NMI, "offsets.h");
static_assert(offsetof(struct arch_cpu, launched) == CPU_LAUNCHED, "offsets.h");

struct gate {
	uint16_t offset_low;
	uint16_t selector;
	uint16_t ist_and_type;
	uint16_t offset_middle;
	uint32_t offset_high;
	uint32_t reserved;
};

struct table_pointer {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

static struct gate idt[IDT_ENTRIES];

static_assert(sizeof(struct gate) == 16, "a gate of IA-32e mode");

/* What may come at any time, or because a stack is broken, has a stack of its own; 0: stays on the current one. */
static uint16_t ist_of(uint32_t vector)
{
	return vector == NMI_VECTOR ? 1 : vector == DF_VECTOR ? 2 : vector == VECTOR_MC ? 3 : 0;
}

/* From 15 on, which is nobody's, come interrupts that guests may send; of the exceptions there only #MC can come to code like ours. */
void desc_init(void)
{
	for (uint32_t i = 0; i < IDT_ENTRIES; i++) {
		bool exception = i < VECTOR_SPURIOUS || i == VECTOR_MC;
		const uint8_t *stub =
			exception ? x86_exception_stubs + i * X86_STUB_BYTES : x86_interrupt_stub;
		uint64_t at = (uint64_t)(uintptr_t)stub;

		idt[i] = (struct gate){
			.offset_low = (uint16_t)at,
			.selector = SELECTOR_CODE,
			.ist_and_type = (uint16_t)(GATE_PRESENT_INTERRUPT | ist_of(i)),
			.offset_middle = (uint16_t)(at >> 16),
			.offset_high = (uint32_t)(at >> 32),
		};
	}
}

uint64_t desc_idt(void)
{
	return (uint64_t)(uintptr_t)idt;
}

static void fill(struct arch_cpu *arch)
{
	uint64_t tss = (uint64_t)(uintptr_t)arch->tss;

	arch->gdt[SELECTOR_CODE / 8] = 0x00af9b000000ffffULL;
	arch->gdt[SELECTOR_DATA / 8] = 0x00cf93000000ffffULL;
	arch->gdt[SELECTOR_TSS / 8] = (sizeof(arch->tss) - 1) | (tss & 0xffffff) << 16 |
				      TSS_PRESENT_AVAILABLE << 40 | (tss >> 24 & 0xff) << 56;
	arch->gdt[SELECTOR_TSS / 8 + 1] = tss >> 32;
	for (uint32_t i = 0; i < ARRAY_SIZE(arch->ist); i++) {
		uint64_t top = (uint64_t)(uintptr_t)(arch->ist[i] + ARCH_IST_BYTES);

		arch->tss[TSS_IST1 + 2 * i] = (uint32_t)top;
		arch->tss[TSS_IST1 + 2 * i + 1] = (uint32_t)(top >> 32);
	}
	arch->tss[TSS_IOMAP] = (uint32_t)sizeof(arch->tss) << 16;
}

void desc_load(struct cpu *cpu)
{
	struct table_pointer gdtr = {sizeof(cpu->arch.gdt) - 1, (uint64_t)(uintptr_t)cpu->arch.gdt};
	struct table_pointer idtr = {sizeof(idt) - 1, desc_idt()};

	fill(&cpu->arch);
	write_cr(0, CR0_PG | CR0_WP | CR0_NE | CR0_ET | CR0_MP | CR0_PE);
	write_cr(4, CR4_PAE | CR4_MCE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE);
	__asm__ volatile("lgdt %0\n\t"
			 "lidt %1\n\t"
			 "mov %w2, %%ds\n\t"
			 "mov %w2, %%es\n\t"
			 "mov %w2, %%ss\n\t"
			 "mov %w3, %%fs\n\t"
			 "mov %w3, %%gs\n\t"
			 "lldt %w3\n\t"
			 "ltr %w4\n\t"
			 "pushq %5\n\t"
			 "lea 1f(%%rip), %%rax\n\t"
			 "push %%rax\n\t"
			 "lretq\n"
			 "1:"
			 :
			 : "m"(gdtr), "m"(idtr), "r"(SELECTOR_DATA), "r"(0), "r"(SELECTOR_TSS),
			   "i"(SELECTOR_CODE)
			 : "rax", "memory");
	wrmsr(MSR_GS_BASE, (uint64_t)(uintptr_t)cpu);
}

pa_t cpu_page(const struct cpu *cpu, enum cpu_page page)
{
	return pa((uint64_t)(uintptr_t)cpu + (1 + (uint64_t)page) * PAGE_SIZE);
}

void x86_own_fault(uint64_t vector, uint64_t error, uint64_t rip, uint64_t address)
	__attribute__((noreturn));

void x86_own_fault(uint64_t vector, uint64_t error, uint64_t rip, uint64_t address)
{
	bh_panic("exception %lu in the hypervisor: error 0x%lx, pc 0x%lx, address 0x%lx", vector,
		 error, rip, address);
}
