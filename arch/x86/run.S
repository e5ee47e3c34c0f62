/* SPDX-License-Identifier: Apache-2.0 */
/* Into the guest and back: VMRUN (APM 15.5), with GIF off around it (15.17); VMLAUNCH, VMRESUME (SDM 27, 28). */
#include "offsets.h"
#include "vmx/vmcs.h"

/* What C's calling convention has a function preserve. */
	.macro	save_host
	.irp	register, rbx, rbp, r12, r13, r14, r15
	push	%\register
	.endr
	.endm

	.macro	restore_host
	.irp	register, r15, r14, r13, r12, rbp, rbx
	pop	%\register
	.endr
	.endm

/* The guest's registers from the struct arch_cpu at RDI. RAX and RSP are left to the vendors. */
	.macro	load_guest
	mov	8(%rdi), %rcx
	mov	16(%rdi), %rdx
	mov	24(%rdi), %rbx
	mov	40(%rdi), %rbp
	mov	48(%rdi), %rsi
	.irp	i, 8, 9, 10, 11, 12, 13, 14, 15
	mov	8 * \i(%rdi), %r\i
	.endr
	mov	56(%rdi), %rdi
	.endm

/* Back to the struct arch_cpu that the stack's top names: afterwards that is in RDI. Takes RCX. */
	.macro	store_guest
	xchg	%rdi, (%rsp)
	mov	%rcx, 8(%rdi)
	mov	%rdx, 16(%rdi)
	mov	%rbx, 24(%rdi)
	mov	%rbp, 40(%rdi)
	mov	%rsi, 48(%rdi)
	.irp	i, 8, 9, 10, 11, 12, 13, 14, 15
	mov	%r\i, 8 * \i(%rdi)
	.endr
	mov	(%rsp), %rcx
	mov	%rcx, 56(%rdi)
	.endm

	.text

/*
 * bool svm_run(struct cpu *cpu, uint64_t vmcb, uint64_t host_state)
 * From CLGI on an NMI waits; VMRUN lets it in, where it ends the guest's run.
 */
	.global	svm_run
svm_run:
	save_host
	push	%rdx
	push	%rdi
	mov	%rsi, %rax
	clgi
	mov	CPU_RUNG(%rdi), %ecx
	or	CPU_GUEST_NMI(%rdi), %ecx
	jnz	1f
	vmload	%rax
	load_guest
	vmrun	%rax
	vmsave	%rax
	store_guest
	mov	8(%rsp), %rax
	vmload	%rax			/* GS and TR are the hypervisor's again */
	stgi				/* an NMI that ended the run is taken here */
	mov	$1, %eax
	jmp	2f
1:	stgi
	xor	%eax, %eax
2:	add	$16, %rsp
	restore_host
	ret

/*
 * enum vmx_run vmx_run(struct cpu *cpu)
 * From vmx_enter_looks on an NMI is sent to vmx_enter_back (traps.S), until the
 * guest runs and the NMI is what ends that. RSP stays the hypervisor's meanwhile.
 */
	.global	vmx_run, vmx_enter_looks, vmx_enter_back
vmx_run:
	save_host
	push	%rdi
	mov	$VMCS_HOST_RSP, %eax
	vmwrite	%rsp, %rax
vmx_enter_looks:
	mov	CPU_RUNG(%rdi), %eax
	or	CPU_GUEST_NMI(%rdi), %eax
	jnz	vmx_enter_back
	cmpl	$0, CPU_LAUNCHED(%rdi)
	mov	(%rdi), %rax
	load_guest
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
	store_guest
	mov	%rax, (%rdi)
	movl	$1, CPU_LAUNCHED(%rdi)
	mov	$1, %eax		/* VMX_EXITED */
3:	add	$8, %rsp
	restore_host
	ret

	.section .note.GNU-stack, "", %progbits
