/* SPDX-License-Identifier: Apache-2.0 */
/* Where C cannot go: 32-bit modes, and handlers that never return. */

#define CR0_PG 0x80000000
#define CR0_AM 0x40000
#define EFER_LME 0x100
#define MSR_EFER 0xc0000080
#define EFLAGS_AC 0x40002
#define USER_CODE 0x33			/* descriptors of storms.c */
#define USER_DATA 0x3b

	.text
	.code64
	.global	leave_long
leave_long:
	push	$0x18
	lea	1f(%rip), %rax
	push	%rax
	lretq
	.code32
1:	mov	$0x10, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	$boot_stack, %esp
	mov	%cr0, %eax
	and	$~CR0_PG, %eax
	mov	%eax, %cr0
	mov	$MSR_EFER, %ecx
	rdmsr
	and	$~EFER_LME, %eax
	wrmsr
	jmp	*%edi

/* SDM vol. 3 8.3: a far jump to a TSS. */
	.global	switch_task
switch_task:
	mov	$0x20, %eax
	ltr	%ax
	.global	op_task_switch
op_task_switch:
	ljmp	$0x28, $0

	.global	other_task
other_task:
	mov	$task_switched_64, %edi
	jmp	enter_long
	.code64
task_switched_64:
	lea	boot_stack(%rip), %rsp
	call	task_switched

	.code32
	.global	spin_32
spin_32:
	jmp	spin_32

/*
 * Ring 3 with alignment checks and a stack that is not aligned: what #AC pushes for its handler, in the same ring, takes
 * #AC again. Where the processor does not check there, the handler goes on with it.
 */
	.global	storm_32
storm_32:
	mov	%cr0, %eax
	or	$CR0_AM, %eax
	mov	%eax, %cr0
	lidt	storm_idt_pointer
	mov	$USER_DATA, %eax
	mov	%eax, %ds
	mov	%eax, %es
	push	$USER_DATA
	push	$storm_stack_end - 1
	push	$EFLAGS_AC
	push	$USER_CODE
	push	$storm_handler
	iret
	.global	storm_handler
storm_handler:
	mov	$storm_stack_end - 1, %esp
	mov	storm_stack + 1, %eax
	jmp	storm_handler

/* Compatibility mode has no task gates and no jumps to a TSS (SDM vol. 3 8.7): #GP. */
	.code64
	.global	jump_compatible
jump_compatible:
	push	$0x18
	lea	1f(%rip), %rax
	push	%rax
	lretq
	.code32
1:	.global	op_task_gate
op_task_gate:
	ljmp	$0x28, $0
	.code64

	.global	undefined_again, debug_again, nmi_sleep
undefined_again:
	ud2

/* A watchpoint on the slot where #DB's own frame begins. */
debug_again:
	mov	%rax, debug_stack_end - 8(%rip)
	jmp	debug_again

/* Without IRET no other NMI is taken (SDM vol. 3 6.7.1). */
nmi_sleep:
	cli
	hlt
	jmp	nmi_sleep

	.bss
	.balign	16
	.skip	512
	.global	debug_stack_end, storm_stack, storm_stack_end
debug_stack_end:
storm_stack:
	.skip	4096
storm_stack_end:
