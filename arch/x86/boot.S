/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a core comes to its own stack: the boot core from the firmware's tables
 * (x86_enter), the others by the loader's trampoline (boot/x86/trampoline.S).
 * Code and data are at the same address before and after.
 */
#include "offsets.h"
#include "registers.h"

	.section .text.entry, "ax"
	.global core_entry
core_entry:
	cli
	cld
	lea	boot_stack_top(%rip), %rsp
	xor	%ebp, %ebp
	call	core_main
	ud2

	.text
/* x86_enter(root, stack, cpu, entry): NX must be on before tables that use it. */
	.global x86_enter
x86_enter:
	mov	%rdx, %r12
	mov	%rcx, %r13
	mov	$MSR_EFER, %ecx
	rdmsr
	or	$EFER_NXE, %eax
	wrmsr
	mov	%rdi, %cr3
	mov	%rsi, %rsp
arrive:
	xor	%ebp, %ebp
	mov	%r12, %rdi
	call	desc_load
	mov	%r12, %rdi
	call	*%r13
	ud2

/* A core that started, on own tables, in the trampoline's 64-bit code: takes what x86_starting has for it. */
	.global x86_arrive
x86_arrive:
	mov	x86_starting(%rip), %r12
	mov	CPU_START_STACK(%r12), %rsp
	mov	CPU_START_ENTRY(%r12), %r13
	movq	$0, x86_starting(%rip)
	jmp	arrive

	.data
	.balign	8
	.global	x86_starting
x86_starting:
	.quad	0

	.bss
	.balign	16
	.skip	16384
boot_stack_top:
	.skip	4096
	.global	x86_fault_stack_top
x86_fault_stack_top:

	.section .note.GNU-stack, "", %progbits
