/* SPDX-License-Identifier: Apache-2.0 */
/* What a guest's exit leads to, whichever vendor's extension it came from. A kind without a handler is illegal. */
#include "x86.h"

#define CPUID_1_ECX_VMX (1U << 5)
#define CPUID_1_ECX_OSXSAVE (1U << 27)
#define CPUID_1_EDX_DS (1U << 21)
#define CPUID_7_ECX_OSPKE (1U << 4)

void inject(struct cpu *cpu, uint32_t vector)
{
	cpu->arch.event = EVENT_EXCEPTION(vector) | (vector == VECTOR_GP ? EVENT_ERROR : 0);
	cpu->arch.event_error = 0;
}

void skip(struct guest_exit *exit)
{
	exit->cpu->arch.pc += exit->hw.length;
}

/*
 * As the hardware answers in the guest: what depends on its CR4 is made up
 * here, and VMX and the debug store (BTS, PEBS) are not there.
 */
static void on_cpuid(struct guest_exit *exit)
{
	struct cpu *cpu = exit->cpu;
	uint32_t leaf = (uint32_t)cpu->arch.regs[REG_RAX];
	struct cpuid r = cpuid(leaf, (uint32_t)cpu->arch.regs[REG_RCX]);
	uint64_t cr4 = cpu->arch.cr4;

	if (leaf == 1) {
		r.ecx &= ~(CPUID_1_ECX_VMX | CPUID_1_ECX_OSXSAVE);
		r.edx &= ~CPUID_1_EDX_DS;
		r.ecx |= (cr4 & CR4_OSXSAVE) != 0 ? CPUID_1_ECX_OSXSAVE : 0;
	} else if (leaf == 7 && (uint32_t)cpu->arch.regs[REG_RCX] == 0) {
		r.ecx &= ~CPUID_7_ECX_OSPKE;
		r.ecx |= (cr4 & CR4_PKE) != 0 ? CPUID_7_ECX_OSPKE : 0;
	} else if (leaf == 0xd && (uint32_t)cpu->arch.regs[REG_RCX] == 1) {
		r.ecx &= XSS_GUEST;
	}
	cpu->arch.regs[REG_RAX] = r.eax;
	cpu->arch.regs[REG_RBX] = r.ebx;
	cpu->arch.regs[REG_RCX] = r.ecx;
	cpu->arch.regs[REG_RDX] = r.edx;
	skip(exit);
}

/* The processor itself knows what it would refuse the guest. */
static void on_xsetbv(struct guest_exit *exit)
{
	uint64_t value =
		exit->cpu->arch.regs[REG_RDX] << 32 | (exit->cpu->arch.regs[REG_RAX] & UINT32_MAX);

	if ((uint32_t)exit->cpu->arch.regs[REG_RCX] != 0 || !x86_try_xsetbv(0, value)) {
		inject(exit->cpu, VECTOR_GP);
		return;
	}
	skip(exit);
}

/* Invalidation without write-back would lose what others have in shared caches: write back as well. */
static void on_invd(struct guest_exit *exit)
{
	__asm__ volatile("wbinvd" ::: "memory");
	skip(exit);
}

static void on_memory(struct guest_exit *exit)
{
	if (mmio_access(exit))
		return;
	exit->illegal = exit->hw.walk	 ? "page-table walk of unowned memory"
			: exit->hw.fetch ? "fetch from unowned memory"
			: exit->hw.write ? "store to unowned memory"
					 : "load from unowned memory";
}

/* #DB and #AC: looked at only because a guest can make them recurse for ever, deaf to NMIs. */
static void on_exception(struct guest_exit *exit)
{
	exit->cpu->arch.event = exit->hw.event;
	exit->cpu->arch.event_error = 0;
}

static void on_undefined(struct guest_exit *exit)
{
	inject(exit->cpu, VECTOR_UD);
}

static void on_triple_fault(struct guest_exit *exit)
{
	exit->result = VCPU_SYSTEM_RESET;
	exit->leave = true;
}

/* What is done, and what it counts as; @run may know better. */
static const struct {
	enum exit_reason reason;
	void (*run)(struct guest_exit *exit);
} handlers[] = {
	/* The doorbell needs no more than to be heard: see arch_vcpu_run(). */
	[X86_NMI] = {EXIT_NMI, NULL},
	[X86_PORT] = {EXIT_PORT, port_access},
	[X86_MSR] = {EXIT_REGISTER, msr_access},
	[X86_CPUID] = {EXIT_CPUID, on_cpuid},
	[X86_XSETBV] = {EXIT_REGISTER, on_xsetbv},
	[X86_INVD] = {EXIT_REGISTER, on_invd},
	[X86_MEMORY] = {EXIT_PCI, on_memory},
	[X86_EXCEPTION] = {EXIT_REGISTER, on_exception},
	[X86_UNDEFINED] = {EXIT_REGISTER, on_undefined},
	[X86_TRIPLE_FAULT] = {EXIT_CALL, on_triple_fault},
	[X86_REGISTER] = {EXIT_REGISTER, NULL},
	[X86_AGAIN] = {EXIT_NMI, NULL},
};

static void handle(struct guest_exit *exit)
{
	exit->reason = handlers[exit->hw.kind].reason;
	if (exit->hw.kind == X86_ILLEGAL)
		exit->illegal = exit->hw.what != NULL ? exit->hw.what
						      : "state that the processor does not run";
	else if (handlers[exit->hw.kind].run != NULL)
		handlers[exit->hw.kind].run(exit);
	if (exit->illegal == NULL)
		return;
	exit->reason = EXIT_ILLEGAL;
	exit->result = VCPU_ILLEGAL;
	exit->leave = true;
}

/* True when this vCPU must not run on: the manager or a sibling wants it out. */
static bool is_wanted(struct cpu *cpu, enum vcpu_result *result)
{
	struct vcpu_shared *vcpu = &cpu->vm->shared.vcpu[cpu->vcpu];

	cpu->arch.rung = 0; /* before looking: what comes later rings again */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (__atomic_exchange_n(&cpu->arch.stale, 0, __ATOMIC_ACQ_REL) != 0)
		vendor->flush(cpu);
	if (__atomic_load_n(&cpu->mailbox.command, __ATOMIC_ACQUIRE) != COMMAND_NONE) {
		cpu->exits[EXIT_STOP]++;
		*result = VCPU_STOPPED;
		return true;
	}
	if (__atomic_load_n(&vcpu->init, __ATOMIC_ACQUIRE) == 0)
		return false;
	__atomic_store_n(&vcpu->init, 0, __ATOMIC_RELAXED);
	*result = VCPU_OFF;
	return true;
}

enum vcpu_result arch_vcpu_run(struct cpu *cpu, struct vcpu_fault *fault)
{
	void (*enter)(struct cpu * cpu, struct x86_exit * exit) = vendor->enter;
	struct guest_exit exit = {.cpu = cpu};

	cpu->arch.rung = 1; /* what came before now may have been heard and not been looked at */
	do {
		enter(cpu, &exit.hw);
		if (cpu->arch.rung != 0 && is_wanted(cpu, &exit.result))
			return exit.result;
		handle(&exit);
		if (exit.hw.kind != X86_AGAIN)
			cpu->exits[exit.reason]++;
	} while (!exit.leave);

	if (exit.result == VCPU_ILLEGAL)
		*fault = (struct vcpu_fault){exit.illegal, exit.hw.code, exit.hw.address,
					     cpu->arch.pc};
	return exit.result;
}
