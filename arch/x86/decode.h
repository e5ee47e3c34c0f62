/* SPDX-License-Identifier: Apache-2.0 */
/* The MOVs that compilers make of accesses to registers, since an x86 exit does not say what it was about. Pure. */
#ifndef X86_DECODE_H
#define X86_DECODE_H

#include <bulkhead/types.h>

#define INSTRUCTION_MAX 15 /* bytes (SDM vol. 2 2.3.11) */

/* A MOV between memory and a register, or of a constant to memory. */
struct mmio_op {
	uint64_t value; /* with @immediate: what is stored */
	uint8_t length; /* of the instruction */
	uint8_t size; /* of its operand in memory: 1, 2, 4 or 8 bytes */
	uint8_t width; /* of its register: what a load makes of @size bytes; 1 and 2 leave the rest of it as it was */
	uint8_t reg; /* in encoding order; never RSP */
	uint8_t shift; /* 8: AH, CH, DH or BH */
	bool write;
	bool immediate;
};

/*
 * Decodes the instruction that begins at @bytes, of which @n are known, as 64-bit
 * code. False when it is none of those.
 */
bool mmio_decode(const uint8_t *bytes, size_t n, struct mmio_op *op);

/* What register @op->reg holds after a load that found @value, and @before. */
uint64_t mmio_loaded(const struct mmio_op *op, uint64_t before, uint64_t value);

/* What a store of @op writes; its register holds @reg. */
uint64_t mmio_stored(const struct mmio_op *op, uint64_t reg);

#endif
