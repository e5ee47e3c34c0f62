/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the first vCPU of an x86 guest executes, from real mode as after SIPI, to where its boot protocol begins (Linux
 * Documentation/arch/x86/boot.rst, "64-bit Boot Protocol"; Xen docs/misc/pvh.pandoc). A part of the boot image:
 * <bulkhead/x86_start.h> has its bytes, core/guest_x86.c fills in the words at its start. In the end general
 * registers are zero but for the protocol's own and PVH's EDX, and so are the flags: SAHF takes them from AH, MOV leaves them.
 */
	.code16
	.org	0
start:
	jmp	code16

/* Filled in: struct x86_start in guest_x86.c. All of it is below 4 GiB, but for the entry. */
	.org	4
page:
	.long	0				/* linear address of start */
	.quad	0				/* entry */
	.long	0				/* PML4; 0: PVH */
	.long	0				/* boot_params or hvm_start_info */
gdtr:
	.word	0x27
	.long	0				/* GDT */
to32:
	.long	code32 - start
	.word	0x08
to64:
	.long	code64 - start
	.word	0x10

#define AT(label) (label - start)

code16:
	lgdtl	%cs:AT(gdtr)
	mov	%cs:AT(page), %ebx
	mov	$0x31, %eax			/* NE, ET, PE */
	mov	%eax, %cr0
	ljmpl	*%cs:AT(to32)

	.code32
code32:
	mov	$0x18, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	%eax, %fs
	mov	%eax, %gs
	mov	%ebx, %ebp
	mov	AT(page) + 16(%ebp), %ebx
	mov	AT(page) + 12(%ebp), %eax
	test	%eax, %eax
	jz	pvh
	mov	%eax, %cr3
	mov	$0x20, %eax			/* PAE */
	mov	%eax, %cr4
	mov	$0xc0000080, %ecx		/* EFER: LME */
	mov	$0x100, %eax
	mov	$0, %edx
	wrmsr
	mov	$0, %eax
	sahf
	mov	$0x80000031, %eax		/* PG */
	mov	%eax, %cr0
	ljmpl	*AT(to64)(%ebp)

pvh:
	sahf					/* EAX is zero */
	mov	AT(page) + 4(%ebp), %edx
	mov	$0, %ebp
	jmp	*%edx

	.code64
code64:
	mov	%ebx, %esi
	mov	$0, %eax
	mov	$0, %ebx
	mov	$0, %ecx
	mov	$0, %ebp
	jmp	*page+4(%rip)
