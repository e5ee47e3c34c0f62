/* SPDX-License-Identifier: Apache-2.0 */
/* The state in which a vCPU begins: as a boot loader leaves it, or as SIPI does. */
#include "x86.h"

/* Descriptor bits as in a VMCB: type, S, DPL, P; AVL, L, D/B, G. */
#define CODE_64 0xa9b
#define CODE_32 0xc9b
#define DATA_32 0xc93
#define CODE_16 0x09b
#define DATA_16 0x093

#define FLAT 0xffffffffU
#define REAL_LIMIT 0xffffU

#define REG_RDX 2
#define REG_RBX 3
#define REG_RSI 6

/* After INIT (SDM vol. 3 table 10-1), at the page that SIPI named (9.4.4). */
static void real_mode(uint64_t page, struct x86_state *state)
{
	state->cs = (struct x86_segment){(uint16_t)(page >> 4), CODE_16, REAL_LIMIT, page};
	state->data = (struct x86_segment){0, DATA_16, REAL_LIMIT, 0};
}

/* Flat segments from the boot image's GDT; interrupts off, no IDT. */
static void flat(uint64_t boot, uint16_t code, struct x86_state *state)
{
	state->cs = (struct x86_segment){0x10, code, FLAT, 0};
	state->data = (struct x86_segment){0x18, DATA_32, FLAT, 0};
	state->gdt_base = boot + GUEST_X86_GDT;
	state->cr0 |= CR0_PE;
}

/* PVH: Xen docs/misc/pvh.pandoc. */
static void pvh(struct cpu *cpu, uint64_t boot, struct x86_state *state)
{
	flat(boot, CODE_32, state);
	cpu->arch.regs[REG_RBX] = boot + GUEST_X86_START_INFO;
}

/* Linux Documentation/arch/x86/boot.rst, "64-bit Boot Protocol". */
static void linux64(struct cpu *cpu, uint64_t boot, struct x86_state *state)
{
	flat(boot, CODE_64, state);
	state->cr0 |= CR0_PG;
	state->cr3 = boot + GUEST_X86_PML4;
	state->cr4 = CR4_PAE;
	cpu->arch.efer = EFER_LME | EFER_LMA;
	cpu->arch.regs[REG_RSI] = boot + GUEST_X86_BOOT_PARAMS;
}

/* @context is the boot image for a VM that starts, 0 for a vCPU that got SIPI. */
void vcpu_state(struct cpu *cpu, uint64_t entry, uint64_t context, struct x86_state *state)
{
	*state = (struct x86_state){.cr0 = CR0_ET | CR0_NE};
	cpu->arch.regs[REG_RDX] = cpuid(1, 0).eax; /* as after INIT */
	cpu->arch.pc = context == 0 ? 0 : entry;
	cpu->arch.efer = 0;
	cpu->arch.event = 0;
	if (context == 0)
		real_mode(entry, state);
	else if (vm_plan(cpu->vm)->entry_mode == ENTRY_X86_PVH)
		pvh(cpu, context, state);
	else
		linux64(cpu, context, state);
}
