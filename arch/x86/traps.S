/* SPDX-License-Identifier: Apache-2.0 */
/* The hypervisor's own exceptions and interrupts. SDM vol. 3 7.14 (64-bit mode). */
#include "offsets.h"
#include "registers.h"

#define MSR_X2APIC_EOI 0x80b
#define MSR_X2APIC_ISR 0x810

	.text

/* 16 bytes each, for vectors 0 to 18; those without an error code push a zero. */
	.balign	16
	.global	x86_exception_stubs
x86_exception_stubs:
	.set	vector, 0
	.rept	19
	.balign	16
	.if	vector == 2
	jmp	nmi
	.elseif	vector == 18
	jmp	machine_check
	.else
	.if	(0x27d00 >> vector & 1) == 0	/* 8, 10 to 14, 17 have one (SDM vol. 3 7.15) */
	push	$0
	.endif
	push	$vector
	jmp	exception
	.endif
	.set	vector, vector + 1
	.endr

/* On the stack: vector, error code, RIP, CS, RFLAGS, RSP, SS. */
exception:
	cmpq	$13, (%rsp)
	jne	1f
	push	%rax
	.irp	tried, tried_rdmsr, tried_wrmsr, tried_xsetbv
	lea	\tried(%rip), %rax
	cmp	%rax, 24(%rsp)
	je	2f
	.endr
	pop	%rax
1:	mov	(%rsp), %rdi
	mov	8(%rsp), %rsi
	mov	16(%rsp), %rdx
	mov	%cr2, %rcx
	lea	x86_fault_stack_top(%rip), %rsp	/* its stack may be what is broken */
	call	x86_own_fault
	ud2
2:	lea	try_failed(%rip), %rax
	mov	%rax, 24(%rsp)
	pop	%rax
	add	$16, %rsp
	iretq

/* bool x86_try_rdmsr(uint32_t msr, uint64_t *value) */
	.global	x86_try_rdmsr
x86_try_rdmsr:
	mov	%edi, %ecx
tried_rdmsr:
	rdmsr
	shl	$32, %rdx
	or	%rdx, %rax
	mov	%rax, (%rsi)
	mov	$1, %eax
	ret

/* bool x86_try_wrmsr(uint32_t msr, uint64_t value), bool x86_try_xsetbv(uint32_t xcr, uint64_t value) */
	.irp	write, wrmsr, xsetbv
	.global	x86_try_\write
x86_try_\write:
	mov	%edi, %ecx
	mov	%esi, %eax
	mov	%rsi, %rdx
	shr	$32, %rdx
tried_\write:
	\write
	mov	$1, %eax
	ret
	.endr

try_failed:
	xor	%eax, %eax
	ret

/*
 * An NMI is the managers' IPI when it finds this core's doorbell set, else the
 * guest's. Code that looked for either just before it came must look again: it
 * is sent behind its HLT or, before it can enter the guest, back.
 */
nmi:
	push	%rax
	push	%rcx
	xor	%eax, %eax
	xchg	%eax, %gs:CPU_DOORBELL
	test	%eax, %eax
	jz	1f
	movl	$1, %gs:CPU_RUNG
	jmp	2f
1:	movl	$1, %gs:CPU_GUEST_NMI
2:
	.macro	redirect from, to
	lea	\from(%rip), %rax
	lea	\to(%rip), %rcx
	cmp	%rax, 16(%rsp)
	jb	3f
	cmp	%rcx, 16(%rsp)
	jae	3f
	mov	%rcx, 16(%rsp)
3:
	.endm
	redirect x86_wait_looks, x86_wait_done
	redirect vmx_enter_looks, vmx_enter_back
	pop	%rcx
	pop	%rax
	iretq

/* void x86_wait(void): interrupts are off before and after; STI holds them off until HLT has begun. */
	.global	x86_wait
x86_wait:
x86_wait_looks:
	cmpl	$0, %gs:CPU_RUNG
	jne	x86_wait_done
	sti
	hlt
x86_wait_done:
	cli
	movl	$0, %gs:CPU_RUNG
	ret

/* A guest may send itself or a sibling any vector from 16 on: this one is an interrupt when the APIC says so. */
machine_check:
	push	%rax
	push	%rcx
	push	%rdx
	mov	$MSR_X2APIC_ISR, %ecx
	rdmsr
	test	$1 << 18, %eax
	jnz	1f
	pop	%rdx
	pop	%rcx
	pop	%rax
	push	$0
	push	$18
	jmp	exception

/* Whatever interrupt it was: it only had to wake this core. */
	.balign	16
	.global	x86_interrupt_stub
x86_interrupt_stub:
	push	%rax
	push	%rcx
	push	%rdx
1:	mov	$MSR_X2APIC_EOI, %ecx
	xor	%eax, %eax
	xor	%edx, %edx
	wrmsr
	pop	%rdx
	pop	%rcx
	pop	%rax
	iretq

	.section .note.GNU-stack, "", %progbits
