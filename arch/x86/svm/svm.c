/* SPDX-License-Identifier: Apache-2.0 */
/* AMD's SVM: APM 15. */
#include "vmcb.h"

#include <string.h>

/* 0 is the host's; a core only ever runs one guest, and flushes before the next */
#define GUEST_ASID 1

/* run.S: false when something was to be looked at before. */
bool svm_run(struct cpu *cpu, uint64_t vmcb, uint64_t host_state);

static struct vmcb *vmcb_of(const struct cpu *cpu)
{
	return pa_to_ptr(cpu_page(cpu, PAGE_VMCB));
}

static void cpu_init(struct cpu *cpu)
{
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME);
	wrmsr(MSR_VM_HSAVE_PA, cpu_page(cpu, PAGE_HOST).v);
	__asm__ volatile("vmsave %0" ::"a"(cpu_page(cpu, PAGE_HOST_STATE).v) : "memory");
}

static void set_controls(const struct cpu *cpu, struct vmcb *vmcb)
{
	vmcb->intercept_exceptions = 1U << VECTOR_DB | 1U << VECTOR_AC | 1U << VECTOR_MC;
	vmcb->intercept_1 = INTERCEPT_NMI | INTERCEPT_INIT | INTERCEPT_INVD | INTERCEPT_INVLPGA |
			    INTERCEPT_IOIO | INTERCEPT_MSR | INTERCEPT_TASK_SWITCH |
			    INTERCEPT_SHUTDOWN;
	vmcb->intercept_2 = INTERCEPT_SVM;
	vmcb->port_bitmap = ptr_to_pa(x86_port_bitmap).v;
	vmcb->msr_bitmap = ptr_to_pa(x86_msr_bitmap).v;
	vmcb->asid = GUEST_ASID;
	vmcb->tlb_control = TLB_FLUSH_ALL;
	vmcb->nested_paging = 1;
	vmcb->nested_cr3 = cpu->vm->stage2.v;
}

static void reset(struct cpu *cpu, const struct x86_segment *cs)
{
	struct vmcb *vmcb = vmcb_of(cpu);

	set_controls(cpu, vmcb);
	vmcb->cs = *cs;
	vmcb->ds = vmcb->es = vmcb->ss = vmcb->fs = vmcb->gs = X86_DATA;
	vmcb->ldtr = X86_LDTR;
	vmcb->tr = X86_TR;
	vmcb->gdtr = vmcb->idtr = (struct x86_segment){0, 0, X86_TABLE_LIMIT, 0};
	vmcb->cr0 = X86_CR0;
	vmcb->dr6 = X86_DR6;
	vmcb->dr7 = X86_DR7;
	vmcb->rflags = RFLAGS_RESERVED;
	vmcb->pat = PAT_RESET;
}

/* The next reset() flushes the TLB before any guest runs again. */
static void leave(struct cpu *cpu)
{
	memset(vmcb_of(cpu), 0, sizeof(struct vmcb));
}

static void decode_port(const struct vmcb *vmcb, struct x86_exit *exit)
{
	uint64_t info = vmcb->exit_info_1;

	exit->port = (uint32_t)(info >> 16) & 0xffff;
	exit->size = (uint32_t)(info >> 4) & 7;
	exit->write = (info & IOIO_IN) == 0;
	exit->string = (info & IOIO_STRING) != 0;
	exit->length = (uint32_t)(vmcb->exit_info_2 - vmcb->rip);
}

static void decode_memory(const struct vmcb *vmcb, struct x86_exit *exit)
{
	exit->kind = X86_MEMORY;
	exit->address = vmcb->exit_info_2;
	exit->write = (vmcb->exit_info_1 & NPF_WRITE) != 0;
	exit->fetch = (vmcb->exit_info_1 & NPF_FETCH) != 0;
	exit->walk = (vmcb->exit_info_1 & NPF_WALK) != 0;
	exit->cr3 = vmcb->cr3;
	exit->code_64 = (vmcb->efer & EFER_LMA) != 0 && (vmcb->cs.attr & X86_ATTR_L) != 0;
}

static const struct x86_known known[] = {
	[VMEXIT_EXCEPTION + VECTOR_DB] = {X86_EXCEPTION, 0, NULL},
	[VMEXIT_EXCEPTION + VECTOR_AC] = {X86_EXCEPTION, 0, NULL},
	[VMEXIT_EXCEPTION + VECTOR_MC] = {X86_ILLEGAL, 0, X86_MACHINE_CHECK},
	[VMEXIT_NMI] = {X86_NMI, 0, NULL},
	[VMEXIT_INIT] = {X86_ILLEGAL, 0, X86_FOREIGN_INIT},
	[VMEXIT_INVD] = {X86_INVD, 2, NULL},
	[VMEXIT_INVLPGA] = {X86_UNDEFINED, 0, NULL},
	[VMEXIT_IOIO] = {X86_PORT, 0, NULL},
	[VMEXIT_MSR] = {X86_MSR, 2, NULL},
	[VMEXIT_TASK_SWITCH] = {X86_ILLEGAL, 0, X86_TASK_SWITCH},
	[VMEXIT_SHUTDOWN] = {X86_TRIPLE_FAULT, 0, NULL},
	[VMEXIT_VMRUN... VMEXIT_SKINIT] = {X86_UNDEFINED, 0, NULL},
};

static void decode(const struct vmcb *vmcb, struct x86_exit *exit)
{
	uint32_t vector = (uint32_t)vmcb->exit_code - VMEXIT_EXCEPTION;

	exit->code = vmcb->exit_code;
	exit_known(known, ARRAY_SIZE(known), exit);
	if (exit->code == VMEXIT_NPF)
		decode_memory(vmcb, exit);
	else if (exit->kind == X86_PORT)
		decode_port(vmcb, exit);
	else if (exit->kind == X86_MSR)
		exit->write = vmcb->exit_info_1 == 1;
	else if (exit->kind == X86_EXCEPTION)
		exit->event = EVENT_EXCEPTION(vector) | (vector == VECTOR_AC ? EVENT_ERROR : 0);
}

/* An event on its way already goes first; the NMI then comes back to this core by itself. */
static void give_nmi(struct arch_cpu *arch, uint64_t hwid)
{
	arch->guest_nmi = 0;
	if (arch->event == 0)
		arch->event = EVENT_NMI;
	else
		apic_send(hwid, ICR_NMI);
}

/* Behind an instruction that was stepped over nothing is held off any more by the one before it. */
static void put_back(const struct arch_cpu *arch, struct vmcb *vmcb)
{
	if (vmcb->rip != arch->pc)
		vmcb->interrupt_shadow = 0;
	vmcb->rip = arch->pc;
	vmcb->rax = arch->regs[REG_RAX];
	vmcb->efer = arch->efer | EFER_SVME;
	vmcb->event = arch->event;
	vmcb->event_error = arch->event_error;
}

/* What an exit kept from being delivered is delivered at the next entry; a software interrupt happens again by itself. */
static void take_out(struct arch_cpu *arch, struct vmcb *vmcb)
{
	uint64_t info = vmcb->exit_interrupt_info;
	bool keep = (info & EVENT_VALID) != 0 && EVENT_TYPE(info) != EVENT_SOFTWARE_INTERRUPT;

	vmcb->tlb_control = TLB_KEEP;
	arch->pc = vmcb->rip;
	arch->regs[REG_RAX] = vmcb->rax;
	arch->efer = vmcb->efer & ~(uint64_t)EFER_SVME;
	arch->cr0 = vmcb->cr0;
	arch->cr4 = vmcb->cr4;
	arch->event = keep ? (uint32_t)info : 0;
	arch->event_error = (uint32_t)(info >> 32);
}

static void enter(struct cpu *cpu, struct x86_exit *exit)
{
	struct vmcb *vmcb = vmcb_of(cpu);

	if (cpu->arch.guest_nmi != 0)
		give_nmi(&cpu->arch, cpu->hwid);
	put_back(&cpu->arch, vmcb);
	exit->kind = X86_AGAIN;
	if (!svm_run(cpu, cpu_page(cpu, PAGE_VMCB).v, cpu_page(cpu, PAGE_HOST_STATE).v))
		return;
	take_out(&cpu->arch, vmcb);
	decode(vmcb, exit);
}

static void flush(struct cpu *cpu)
{
	vmcb_of(cpu)->tlb_control = TLB_FLUSH_ALL;
}

const struct vendor svm = {
	.format = &x86_npt_format,
	.cpu_init = cpu_init,
	.reset = reset,
	.enter = enter,
	.flush = flush,
	.leave = leave,
	.msr_ranges = 3, /* APM 15.11: two bits for each MSR of three ranges */
	.msr_stride = 2,
	.msr_write = 1,
};
