/* SPDX-License-Identifier: Apache-2.0 */
/* Entry points, and the first instructions of exceptions and interrupts. */

#define CR0_PG 0x80000000
#define CR4_PAE 0x20
#define MSR_EFER 0xc0000080
#define EFER_LME 0x100
#define TRAMPOLINE 0x8000

/* The 64-bit entry of Linux (Documentation/arch/x86/boot.rst): RSI is boot_params. All registers are kept for those who
   check them. */
	.section .head, "ax"
	.code64
	.global	_start
_start:
	mov	%rax, entry_regs + 0(%rip)
	mov	%rcx, entry_regs + 8(%rip)
	mov	%rdx, entry_regs + 16(%rip)
	mov	%rbx, entry_regs + 24(%rip)
	mov	%rbp, entry_regs + 40(%rip)
	mov	%rdi, entry_regs + 56(%rip)
	mov	%r8, entry_regs + 64(%rip)
	mov	%r9, entry_regs + 72(%rip)
	mov	%r10, entry_regs + 80(%rip)
	mov	%r11, entry_regs + 88(%rip)
	mov	%r12, entry_regs + 96(%rip)
	mov	%r13, entry_regs + 104(%rip)
	mov	%r14, entry_regs + 112(%rip)
	mov	%r15, entry_regs + 120(%rip)
	mov	%rsp, entry_regs + 128(%rip)
	lea	boot_stack(%rip), %rsp
	pushf
	pop	%rax
	mov	%rax, entry_regs + 136(%rip)
	mov	%cr2, %rax
	mov	%rax, entry_regs + 144(%rip)

/* RSI is for guest_main(). */
	.global	start_long
start_long:
	lea	boot_stack(%rip), %rsp
	mov	%rsi, %rbx
	call	load_gdt
	call	idt_load
	mov	%rbx, %rdi
	call	guest_main
	call	system_off

load_gdt:
	lgdt	gdt_pointer(%rip)
	mov	$0x10, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	pop	%rax
	push	$0x08
	push	%rax
	lretq

/* From 32-bit protected mode without paging to the 64-bit code at EDI, on an identity map of 4 GiB; ESI stays. */
	.code32
	.global	enter_long
enter_long:
	lgdt	gdt_pointer
	mov	$long_level4, %eax
	movl	$long_level3 + 3, (%eax)
	mov	$long_level2 + 3, %ebx
	xor	%ecx, %ecx
1:	mov	%ebx, long_level3(, %ecx, 8)
	add	$0x1000, %ebx
	inc	%ecx
	cmp	$4, %ecx
	jne	1b
	mov	$0x83, %ebx		/* present, writable, 2 MiB */
	xor	%ecx, %ecx
2:	mov	%ebx, long_level2(, %ecx, 8)
	add	$0x200000, %ebx
	inc	%ecx
	cmp	$2048, %ecx
	jne	2b
	mov	%eax, %cr3
	mov	%cr4, %eax
	or	$CR4_PAE, %eax
	mov	%eax, %cr4
	mov	$MSR_EFER, %ecx
	rdmsr
	or	$EFER_LME, %eax
	wrmsr
	mov	%cr0, %eax
	or	$CR0_PG | 1, %eax
	mov	%eax, %cr0
	ljmp	$0x08, $3f
	.code64
3:	mov	$0x10, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	%edi, %edi
	jmp	*%rdi

/*
 * Where another vCPU begins: this is copied to TRAMPOLINE and runs there, in real mode. Its words at the end are those
 * of vCPU 0.
 */
	.code16
	.global	trampoline
trampoline:
	cli
	mov	%cs, %ax
	mov	%ax, %ds
	lgdtl	trampoline_gdt - trampoline
	mov	$1, %eax
	mov	%eax, %cr0
	ljmpl	$0x18, $TRAMPOLINE + 1f - trampoline
	.code32
1:	mov	$0x10, %eax
	mov	%eax, %ds
	mov	TRAMPOLINE + trampoline_cr4 - trampoline, %eax
	mov	%eax, %cr4
	mov	TRAMPOLINE + trampoline_cr3 - trampoline, %eax
	mov	%eax, %cr3
	mov	$MSR_EFER, %ecx
	mov	TRAMPOLINE + trampoline_efer - trampoline, %eax
	xor	%edx, %edx
	wrmsr
	mov	TRAMPOLINE + trampoline_cr0 - trampoline, %eax
	mov	%eax, %cr0
	ljmp	$0x08, $second_long
	.balign	8
trampoline_gdt:
	.word	31
	.long	guest_gdt
	.balign	4
	.global	trampoline_cr0, trampoline_cr3, trampoline_cr4, trampoline_efer, trampoline_end
trampoline_cr0:
	.long	0
trampoline_cr3:
	.long	0
trampoline_cr4:
	.long	0
trampoline_efer:
	.long	0
trampoline_end:

	.code64
second_long:
	lea	second_stack(%rip), %rsp
	call	load_gdt
	call	idt_load
	call	second_main

/* One first instruction for each vector, 16 bytes apart. Those with an error code: SDM vol. 3 6.15. */
	.text
	.balign	16
	.global	vectors
vectors:
	.set	vector, 0
	.rept	256
	.balign	16
	.if	!(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || vector == 29 || vector == 30)
	push	$0
	.endif
	push	$vector
	jmp	take
	.set	vector, vector + 1
	.endr

take:
	push	%rax
	push	%rbx
	push	%rcx
	push	%rdx
	push	%rsi
	push	%rdi
	push	%rbp
	push	%r8
	push	%r9
	push	%r10
	push	%r11
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	cld
	mov	%rsp, %rdi
	call	on_vector
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%r11
	pop	%r10
	pop	%r9
	pop	%r8
	pop	%rbp
	pop	%rdi
	pop	%rsi
	pop	%rdx
	pop	%rcx
	pop	%rbx
	pop	%rax
	add	$16, %rsp
	iretq

	.data
	.balign	8
	.global	guest_gdt
guest_gdt:
	.quad	0
	.quad	0x00af9b000000ffff	/* 64-bit code */
	.quad	0x00cf93000000ffff	/* data */
	.quad	0x00cf9b000000ffff	/* 32-bit code */
	.global	gdt_pointer
gdt_pointer:
	.word	. - guest_gdt - 1
	.quad	guest_gdt

	.bss
	.balign	4096
long_level4:
	.skip	4096
long_level3:
	.skip	4096
long_level2:
	.skip	4 * 4096
