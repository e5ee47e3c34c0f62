/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a core comes to its own tables and stack: the boot core from the
 * firmware's (x86_enter), the others from INIT and SIPI in real mode, by a copy
 * of x86_trampoline below 1 MiB. Code and data are at the same address before
 * and after. SDM vol. 3 9.4.4 (SIPI), 10.8.5 (to IA-32e mode).
 */
#include "offsets.h"
#include "registers.h"

#define MSR_EFER_BITS (EFER_LME | EFER_NXE)

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

#define AT(label) (label - x86_trampoline)

/* Runs at any page below 1 MiB: CS base is that page, and EBX too. x86_trampoline_base is filled in there. */
	.section .rodata
	.balign	16
	.global	x86_trampoline
	.code16
x86_trampoline:
	cli
	cld
	xor	%ebx, %ebx
	mov	%cs, %bx
	mov	%bx, %ds
	shl	$4, %ebx
	lgdtl	AT(gdtr)
	mov	$CR0_PE | CR0_ET | CR0_NE, %eax
	mov	%eax, %cr0
	ljmpl	*AT(to32)

	.code32
code32:
	mov	$0x10, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	$CR4_PAE, %eax
	mov	%eax, %cr4
	mov	AT(starting)(%ebx), %esi	/* &x86_starting: the core lies below 4 GiB */
	mov	(%esi), %esi
	mov	CPU_START_ROOT(%esi), %eax
	mov	%eax, %cr3
	mov	$MSR_EFER, %ecx
	rdmsr
	or	$MSR_EFER_BITS, %eax
	wrmsr
	mov	$CR0_PG | CR0_WP | CR0_PE | CR0_ET | CR0_NE, %eax
	mov	%eax, %cr0
	ljmpl	*AT(to64)(%ebx)

	.code64
code64:
	mov	%ebx, %ebx			/* the upper half is undefined after the switch */
	jmp	*AT(arrive64)(%rbx)

	.balign	8
gdt:
	.quad	0
	.quad	0x00cf9b000000ffff		/* 0x08: code, 32-bit */
	.quad	0x00cf93000000ffff		/* 0x10: data */
	.quad	0x00af9b000000ffff		/* 0x18: code, 64-bit */
gdt_end:

/* Addresses within the page are filled in where it stands; the order is struct trampoline's in cpu.c. */
	.balign	8
	.global	x86_trampoline_base
x86_trampoline_base:
arrive64:
	.quad	0
starting:
	.long	0
to32:
	.long	AT(code32)
	.word	0x08
	.word	0
to64:
	.long	AT(code64)
	.word	0x18
gdtr:
	.word	gdt_end - gdt - 1
	.long	AT(gdt)
	.global	x86_trampoline_end
x86_trampoline_end:

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
