/* SPDX-License-Identifier: Apache-2.0 */
/* Into the guest and back: VMRUN (APM 15.5), with GIF off around it (15.17). */
#include "offsets.h"

	.text

/*
 * bool svm_run(struct cpu *cpu, uint64_t vmcb, uint64_t host_state)
 * From CLGI on an NMI waits; VMRUN lets it in, where it ends the guest's run.
 */
	.global	svm_run
svm_run:
	push	%rbx
	push	%rbp
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	push	%rdx
	push	%rdi
	mov	%rsi, %rax
	clgi
	mov	CPU_RUNG(%rdi), %ecx
	or	CPU_GUEST_NMI(%rdi), %ecx
	jnz	1f
	vmload	%rax
	mov	8(%rdi), %rcx
	mov	16(%rdi), %rdx
	mov	24(%rdi), %rbx
	mov	40(%rdi), %rbp
	mov	48(%rdi), %rsi
	mov	64(%rdi), %r8
	mov	72(%rdi), %r9
	mov	80(%rdi), %r10
	mov	88(%rdi), %r11
	mov	96(%rdi), %r12
	mov	104(%rdi), %r13
	mov	112(%rdi), %r14
	mov	120(%rdi), %r15
	mov	56(%rdi), %rdi
	vmrun	%rax
	vmsave	%rax
	xchg	%rdi, (%rsp)
	mov	%rcx, 8(%rdi)
	mov	%rdx, 16(%rdi)
	mov	%rbx, 24(%rdi)
	mov	%rbp, 40(%rdi)
	mov	%rsi, 48(%rdi)
	mov	%r8, 64(%rdi)
	mov	%r9, 72(%rdi)
	mov	%r10, 80(%rdi)
	mov	%r11, 88(%rdi)
	mov	%r12, 96(%rdi)
	mov	%r13, 104(%rdi)
	mov	%r14, 112(%rdi)
	mov	%r15, 120(%rdi)
	mov	(%rsp), %rcx
	mov	%rcx, 56(%rdi)
	mov	8(%rsp), %rax
	vmload	%rax			/* GS and TR are the hypervisor's again */
	stgi				/* an NMI that ended the run is taken here */
	mov	$1, %eax
	jmp	2f
1:	stgi
	xor	%eax, %eax
2:	add	$16, %rsp
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
	ret

	.section .note.GNU-stack, "", %progbits
