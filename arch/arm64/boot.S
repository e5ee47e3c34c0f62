/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a core comes to its own tables and stack: the boot core from the
 * firmware's (arm64_enter), the others from PSCI CPU_ON with the MMU off
 * (arm64_secondary). Code and data are at the same address before and after.
 */

#define ARCH_CPU_START_ROOT 256
#define ARCH_CPU_START_STACK 264
#define ARCH_CPU_START_ENTRY 272

/* D19.2.120: RES1 bits, MMU and caches off. */
#define SCTLR_OFF 0x30c50830
/* M, C, SA, I, WXN. */
#define SCTLR_ON (SCTLR_OFF | 1 << 0 | 1 << 2 | 1 << 3 | 1 << 12 | 1 << 19)
#define HCR_RW (1 << 31)
/* Attr0 Normal write-back, Attr1 Device-nGnRE. */
#define MAIR 0x04ff
/* D19.2.142: 48-bit addresses, 4 KiB granule, walks write-back inner shareable; RES1 31 and 23. */
#define TCR (1 << 31 | 1 << 23 | 3 << 12 | 1 << 10 | 1 << 8 | 16)

	.section .text.entry, "ax"
	.global core_entry
core_entry:
	msr	daifset, #0xf
	adrp	x1, boot_stack_top
	add	sp, x1, :lo12:boot_stack_top
	mov	x29, xzr
	bl	core_main
	b	.

	.text
	.global arm64_secondary
arm64_secondary:
	msr	daifset, #0xf
	ldr	x20, [x0, #ARCH_CPU_START_ROOT]
	ldr	x21, [x0, #ARCH_CPU_START_STACK]
	ldr	x23, [x0, #ARCH_CPU_START_ENTRY]
	mov	x22, x0
	b	1f

	.global arm64_enter
arm64_enter:
	mov	x20, x0
	mov	x21, x1
	mov	x22, x2
	mov	x23, x3
1:
	/*
	 * MMU off in between: the tables, their attributes and TCR_EL2 change at
	 * once, which break-before-make (D8.16.1) does not allow live. Until it is
	 * on again nothing is touched but this code and its literals, which the
	 * loader cleaned to the PoC.
	 */
	dsb	sy
	ldr	x0, =SCTLR_OFF
	msr	sctlr_el2, x0
	isb
	/* Firmware may run with E2H, under which TCR_EL2 and CPTR_EL2 have other formats. */
	mov	x0, #HCR_RW
	msr	hcr_el2, x0
	isb

	ldr	x0, =MAIR
	msr	mair_el2, x0
	ldr	x0, =TCR
	mrs	x1, id_aa64mmfr0_el1
	and	x1, x1, #0xf			/* PARange, at most 48 bits */
	mov	x2, #5
	cmp	x1, x2
	csel	x1, x1, x2, lo
	orr	x0, x0, x1, lsl #16
	msr	tcr_el2, x0
	msr	ttbr0_el2, x20
	isb
	tlbi	alle2
	ic	iallu
	dsb	nsh
	isb
	ldr	x0, =SCTLR_ON
	msr	sctlr_el2, x0
	isb

	adrp	x0, vectors
	add	x0, x0, :lo12:vectors
	msr	vbar_el2, x0
	msr	tpidr_el2, x22
	isb
	mov	sp, x21
	mov	x29, xzr
	mov	x0, x22
	blr	x23
	b	.
	.ltorg

	.bss
	.balign 16
boot_stack:
	.skip 16384
boot_stack_top:
	.global fault_stack_top
	.skip 4096
fault_stack_top:
