/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a core begins with after INIT and SIPI, in real mode: a copy of this in a page below 1 MiB. On to IA-32e mode
 * on the resident core's tables. SDM vol. 3 9.4.4 (SIPI), 10.8.5.
 */
#include <bulkhead/trampoline.h>

/* SDM vol. 3 2.5, 2.2.1. */
#define CR0_PE (1 << 0)
#define CR0_ET (1 << 4)
#define CR0_NE (1 << 5)
#define CR0_WP (1 << 16)
#define CR0_PG 0x80000000
#define CR4_PAE (1 << 5)
#define MSR_EFER 0xc0000080
#define EFER_LME (1 << 8)
#define EFER_NXE (1 << 11)

#define AT(label) (label - trampoline)

/* Runs at any page below 1 MiB: CS base is that page, and EBX too. */
	.section .rodata
	.balign	16
	.global	trampoline, trampoline_end, trampoline_to32, trampoline_to64, trampoline_gdt
	.hidden	trampoline, trampoline_end, trampoline_to32, trampoline_to64, trampoline_gdt
	.code16
trampoline:
	jmp	code16

/* The resident core fills these in, and then makes the page code. */
	.org	trampoline + TRAMPOLINE_ROOT
	.quad	0
	.org	trampoline + TRAMPOLINE_ARRIVE
	.quad	0

code16:
	cli
	cld
	xor	%ebx, %ebx
	mov	%cs, %bx
	mov	%bx, %ds
	shl	$4, %ebx
	lgdtl	AT(gdtr)
	mov	$CR0_PE | CR0_ET | CR0_NE, %eax
	mov	%eax, %cr0
	ljmpl	*AT(trampoline_to32)

	.code32
code32:
	mov	$0x10, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	$CR4_PAE, %eax
	mov	%eax, %cr4
	mov	TRAMPOLINE_ROOT(%ebx), %eax	/* lies below 4 GiB */
	mov	%eax, %cr3
	mov	$MSR_EFER, %ecx
	rdmsr
	or	$EFER_LME | EFER_NXE, %eax
	wrmsr
	mov	$CR0_PG | CR0_WP | CR0_PE | CR0_ET | CR0_NE, %eax
	mov	%eax, %cr0
	ljmpl	*AT(trampoline_to64)(%ebx)

	.code64
code64:
	mov	%ebx, %ebx			/* the upper half is undefined after the switch */
	jmp	*TRAMPOLINE_ARRIVE(%rbx)

	.balign	8
gdt:
	.quad	0
	.quad	0x00cf9b000000ffff		/* 0x08: code, 32-bit */
	.quad	0x00cf93000000ffff		/* 0x10: data */
	.quad	0x00af9b000000ffff		/* 0x18: code, 64-bit */
gdt_end:

/* Far addresses within the page: the loader adds where that stands. */
	.balign	4
trampoline_to32:
	.long	AT(code32)
	.word	0x08
	.balign	4
trampoline_to64:
	.long	AT(code64)
	.word	0x18
gdtr:
	.word	gdt_end - gdt - 1
trampoline_gdt:
	.long	AT(gdt)
trampoline_end:

	.section .note.GNU-stack, "", %progbits
