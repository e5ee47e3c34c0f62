/* SPDX-License-Identifier: Apache-2.0 */
/* Into the guest and back: the exception vectors of EL2 (Arm ARM D1.3.1). */

	.text

/* uint64_t arm64_run_guest(struct arch_cpu *cpu): ELR_EL2 and SPSR_EL2 are set. */
	.global arm64_run_guest
arm64_run_guest:
	stp	x19, x20, [sp, #-96]!
	stp	x21, x22, [sp, #16]
	stp	x23, x24, [sp, #32]
	stp	x25, x26, [sp, #48]
	stp	x27, x28, [sp, #64]
	stp	x29, x30, [sp, #80]

	ldp	x2, x3, [x0, #16]
	ldp	x4, x5, [x0, #32]
	ldp	x6, x7, [x0, #48]
	ldp	x8, x9, [x0, #64]
	ldp	x10, x11, [x0, #80]
	ldp	x12, x13, [x0, #96]
	ldp	x14, x15, [x0, #112]
	ldp	x16, x17, [x0, #128]
	ldp	x18, x19, [x0, #144]
	ldp	x20, x21, [x0, #160]
	ldp	x22, x23, [x0, #176]
	ldp	x24, x25, [x0, #192]
	ldp	x26, x27, [x0, #208]
	ldp	x28, x29, [x0, #224]
	ldr	x30, [x0, #240]
	ldp	x0, x1, [x0]
	eret
	dsb	nsh		/* no speculation past the eret */
	isb

/* x0, x1 are on the stack, x0 holds the exit kind. */
leave_guest:
	mrs	x1, tpidr_el2
	stp	x2, x3, [x1, #16]
	stp	x4, x5, [x1, #32]
	stp	x6, x7, [x1, #48]
	stp	x8, x9, [x1, #64]
	stp	x10, x11, [x1, #80]
	stp	x12, x13, [x1, #96]
	stp	x14, x15, [x1, #112]
	stp	x16, x17, [x1, #128]
	stp	x18, x19, [x1, #144]
	stp	x20, x21, [x1, #160]
	stp	x22, x23, [x1, #176]
	stp	x24, x25, [x1, #192]
	stp	x26, x27, [x1, #208]
	stp	x28, x29, [x1, #224]
	str	x30, [x1, #240]
	ldp	x2, x3, [sp], #16
	stp	x2, x3, [x1]

	ldp	x21, x22, [sp, #16]
	ldp	x23, x24, [sp, #32]
	ldp	x25, x26, [sp, #48]
	ldp	x27, x28, [sp, #64]
	ldp	x29, x30, [sp, #80]
	ldp	x19, x20, [sp], #96
	ret

	.macro	from_guest kind
	.balign	0x80
	stp	x0, x1, [sp, #-16]!
	mov	x0, #\kind
	b	leave_guest
	.endm

	.macro	from_self kind
	.balign	0x80
	mov	x0, #\kind
	b	own_fault
	.endm

	.balign	0x800
	.global	vectors
vectors:
	.irp kind, 0, 1, 2, 3, 0, 1, 2, 3
	from_self \kind
	.endr
	.irp kind, 0, 1, 2, 3, 0, 1, 2, 3
	from_guest \kind
	.endr

/* The hypervisor's own exception; its stack may be what is broken. */
own_fault:
	adrp	x1, fault_stack_top
	add	sp, x1, :lo12:fault_stack_top
	mrs	x1, esr_el2
	mrs	x2, elr_el2
	mrs	x3, far_el2
	bl	arm64_own_fault
	b	.

/* void arm64_zero_simd(uint64_t sve): writing V also zeroes the rest of Z (B1.2.2). */
	.arch_extension fp
	.arch_extension simd
	.global arm64_zero_simd
arm64_zero_simd:
	.irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	movi	v\n\().2d, #0
	.endr
	msr	fpcr, xzr
	msr	fpsr, xzr
	cbz	x0, 1f
	.arch_extension sve
	.irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	pfalse	p\n\().b
	.endr
	wrffr	p0.b
1:
	ret
