/* SPDX-License-Identifier: Apache-2.0 */
/* Into the guest and back: VMLAUNCH, VMRESUME (SDM 27, 28). */
#include "offsets.h"
#include "vmcs.h"

	.text

/*
 * enum vmx_run vmx_run(struct cpu *cpu)
 * From vmx_enter_looks on an NMI is sent to vmx_enter_back (traps.S), until the
 * guest runs and the NMI is what ends that. RSP stays the hypervisor's meanwhile.
 */
	.global	vmx_run, vmx_enter_looks, vmx_enter_back
vmx_run:
	push	%rbx
	push	%rbp
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	push	%rdi
	mov	$VMCS_HOST_RSP, %eax
	vmwrite	%rsp, %rax
vmx_enter_looks:
	mov	CPU_RUNG(%rdi), %eax
	or	CPU_GUEST_NMI(%rdi), %eax
	jnz	vmx_enter_back
	cmpl	$0, CPU_LAUNCHED(%rdi)
	mov	(%rdi), %rax
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
	je	1f
	vmresume
	jmp	2f
1:	vmlaunch
2:	mov	$2, %eax		/* VMX_REFUSED: there was no entry */
	jmp	3f
vmx_enter_back:
	xor	%eax, %eax		/* VMX_NOT_RUN */
	jmp	3f

	.global	vmx_exit
vmx_exit:
	xchg	%rdi, (%rsp)
	mov	%rax, (%rdi)
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
	movl	$1, CPU_LAUNCHED(%rdi)
	mov	$1, %eax		/* VMX_EXITED */
3:	add	$8, %rsp
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
	ret

	.section .note.GNU-stack, "", %progbits
