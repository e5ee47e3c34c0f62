/* SPDX-License-Identifier: Apache-2.0 */
/* The resident core, embedded: an ELF file. */
	.section .rodata.core_image, "a"
	.balign	16
	.global	core_image_start
	.hidden	core_image_start
core_image_start:
	.incbin	CORE_IMAGE
	.global	core_image_end
	.hidden	core_image_end
core_image_end:

	.section .note.GNU-stack, "", %progbits
