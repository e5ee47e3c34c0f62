/* SPDX-License-Identifier: Apache-2.0 */
/* The arm64 Image header (Linux Documentation/arch/arm64/booting.rst), entry points and EL1 vectors. */

	.section .head, "ax"
	.global	_start
_start:
	b	start
	.long	0

/* The linker puts text_offset and image_size in between. */
	.section .head.rest, "a"
	.quad	0, 0, 0, 0		/* flags: little-endian, any page size */
	.ascii	"ARM\x64"
	.long	0

	.text
/* All general registers as they were at entry go to entry_regs, for those who check them. */
start:
	msr	elr_el1, x0		/* the one register that nobody can check */
	adrp	x0, entry_regs
	add	x0, x0, :lo12:entry_regs
	stp	xzr, x1, [x0]
	stp	x2, x3, [x0, #16]
	stp	x4, x5, [x0, #32]
	stp	x6, x7, [x0, #48]
	stp	x8, x9, [x0, #64]
	stp	x10, x11, [x0, #80]
	stp	x12, x13, [x0, #96]
	stp	x14, x15, [x0, #112]
	stp	x16, x17, [x0, #128]
	stp	x18, x19, [x0, #144]
	stp	x20, x21, [x0, #160]
	stp	x22, x23, [x0, #176]
	stp	x24, x25, [x0, #192]
	stp	x26, x27, [x0, #208]
	stp	x28, x29, [x0, #224]
	mov	x1, sp
	stp	x30, x1, [x0, #240]
	mrs	x1, vbar_el1
	str	x1, [x0, #256]
	mrs	x0, elr_el1
	adrp	x1, boot_stack
	mov	sp, x1
	adrp	x1, vectors
	add	x1, x1, :lo12:vectors
	msr	vbar_el1, x1
	isb
	bl	guest_main
	bl	system_off

/* Where PSCI CPU_ON starts the second vCPU; x0 is a function to call. */
	.global	second_start
second_start:
	adrp	x1, second_stack
	mov	sp, x1
	adrp	x1, vectors
	add	x1, x1, :lo12:vectors
	msr	vbar_el1, x1
	isb
	blr	x0
	bl	cpu_off

	.macro	entry handler
	.balign	0x80
	sub	sp, sp, #192
	stp	x0, x1, [sp]
	stp	x2, x3, [sp, #16]
	stp	x4, x5, [sp, #32]
	stp	x6, x7, [sp, #48]
	stp	x8, x9, [sp, #64]
	stp	x10, x11, [sp, #80]
	stp	x12, x13, [sp, #96]
	stp	x14, x15, [sp, #112]
	stp	x16, x17, [sp, #128]
	stp	x18, x30, [sp, #144]
	bl	\handler
	b	leave
	.endm

leave:
	ldp	x2, x3, [sp, #16]
	ldp	x4, x5, [sp, #32]
	ldp	x6, x7, [sp, #48]
	ldp	x8, x9, [sp, #64]
	ldp	x10, x11, [sp, #80]
	ldp	x12, x13, [sp, #96]
	ldp	x14, x15, [sp, #112]
	ldp	x16, x17, [sp, #128]
	ldp	x18, x30, [sp, #144]
	ldp	x0, x1, [sp], #192
	eret

	.balign	0x800
vectors:
	.rept	2
	entry	on_exception
	entry	on_interrupt
	entry	on_exception
	entry	on_exception
	.endr
	.rept	8
	entry	on_exception
	.endr
