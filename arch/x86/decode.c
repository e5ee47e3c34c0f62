/* SPDX-License-Identifier: Apache-2.0 */
/* Instruction format and opcodes: SDM vol. 2 2.1, 2.2.1, appendix A.3. */
#include "decode.h"

#define REX_W 8U
#define REX_R 4U
#define REG_RSP 4U

static const struct {
	uint16_t code; /* 0x100: behind 0x0f */
	uint8_t size; /* of the operand in memory; 0: the operand size */
	uint8_t width; /* of the register likewise */
	bool write;
	bool immediate;
} opcodes[] = {
	{0x88, 1, 1, true, false},   {0x89, 0, 0, true, false},	  {0x8a, 1, 1, false, false},
	{0x8b, 0, 0, false, false},  {0xc6, 1, 1, true, true},	  {0xc7, 0, 0, true, true},
	{0x1b6, 1, 0, false, false}, {0x1b7, 2, 0, false, false},
};

struct cursor {
	const uint8_t *bytes;
	size_t n;
	size_t at; /* beyond @n: there were too few */
};

/* The next @count bytes, at most 4, as a number; zeros for those that are not there. */
static uint32_t take(struct cursor *c, uint32_t count)
{
	uint32_t value = 0;

	for (uint32_t i = 0; i < count; i++, c->at++)
		if (c->at < c->n)
			value |= (uint32_t)c->bytes[c->at] << 8 * i;
	return value;
}

/* Operand and address size, and segments: of these the first changes what we decode. No LOCK, no REP. */
static bool is_prefix(uint32_t byte)
{
	return byte == 0x66 || byte == 0x67 || byte == 0x64 || byte == 0x65 ||
	       (byte & 0xe7) == 0x26;
}

/* ModR/M, SIB and displacement (2.1.5, 2.2.1.3); the fields of ModR/M. False: the operand is a register. */
static bool take_operand(struct cursor *c, uint32_t *reg)
{
	uint32_t modrm = take(c, 1);
	uint32_t mod = modrm >> 6;
	uint32_t base = modrm & 7;
	bool plain = mod == 0 && base == 5; /* relative to RIP */

	*reg = modrm >> 3 & 7;
	if (mod != 3 && base == 4)
		plain = (take(c, 1) & 7) == 5 && mod == 0; /* SIB without a base */
	take(c, mod == 1 ? 1 : mod == 2 || plain ? 4 : 0);
	return mod != 3;
}

/* The register's number to what it names: without REX four of the bytes are high ones. False: RSP, which is not kept with the others. */
static bool name_register(struct mmio_op *op, uint32_t reg, uint32_t rex)
{
	bool high = op->size == 1 && op->width == 1 && rex == 0 && reg >= 4;

	op->shift = high ? 8 : 0;
	op->reg = (uint8_t)(high ? reg - 4 : reg | (rex & REX_R) << 1);
	return op->reg != REG_RSP;
}

bool mmio_decode(const uint8_t *bytes, size_t n, struct mmio_op *op)
{
	struct cursor c = {bytes, n < INSTRUCTION_MAX ? n : INSTRUCTION_MAX, 0};
	uint32_t operand = 4, rex = 0, reg = 0, i = 0;
	uint32_t code = take(&c, 1);

	for (; is_prefix(code) && c.at <= c.n; code = take(&c, 1))
		operand = code == 0x66 ? 2 : operand;
	if ((code & 0xf0) == 0x40) {
		rex = code;
		code = take(&c, 1);
	}
	operand = (rex & REX_W) != 0 ? 8 : operand;
	if (code == 0x0f)
		code = 0x100 | take(&c, 1);
	while (i < ARRAY_SIZE(opcodes) && opcodes[i].code != code)
		i++;
	if (i == ARRAY_SIZE(opcodes) || !take_operand(&c, &reg))
		return false;
	*op = (struct mmio_op){
		.size = opcodes[i].size != 0 ? opcodes[i].size : (uint8_t)operand,
		.width = opcodes[i].width != 0 ? opcodes[i].width : (uint8_t)operand,
		.write = opcodes[i].write,
		.immediate = opcodes[i].immediate,
	};
	if (op->immediate ? reg != 0 : !name_register(op, reg, rex))
		return false;
	if (op->immediate)
		op->value = take(&c, op->size < 4 ? op->size : 4);
	if (op->size == 8) /* a constant of four bytes, with its sign */
		op->value = (uint64_t)(int32_t)op->value;
	op->length = (uint8_t)c.at;
	return c.at <= c.n;
}

static uint64_t low_bits(uint32_t size)
{
	return ~0ULL >> (64 - 8 * size);
}

uint64_t mmio_loaded(const struct mmio_op *op, uint64_t before, uint64_t value)
{
	uint64_t mask = low_bits(op->width) << op->shift;

	value &= low_bits(op->size);
	value = value << op->shift & mask;
	return op->width < 4 ? (before & ~mask) | value : value;
}

uint64_t mmio_stored(const struct mmio_op *op, uint64_t reg)
{
	return (op->immediate ? op->value : reg >> op->shift) & low_bits(op->size);
}
