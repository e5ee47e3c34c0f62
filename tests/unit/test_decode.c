/* SPDX-License-Identifier: Apache-2.0 */
/* The instructions that an x86 guest may use on registers that are not mapped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/decode.h"

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R13 = 13, R15 = 15 };

#define LOAD(size_, width_, reg_) .op = {.size = (size_), .width = (width_), .reg = (reg_)}
#define HIGH(reg_) .op = {.size = 1, .width = 1, .reg = (reg_), .shift = 8}
#define STORE(size_, reg_) .op = {.size = (size_), .width = (size_), .reg = (reg_), .write = true}
#define CONSTANT(size_, value_)                                                                    \
	.op = {.size = (size_),                                                                    \
	       .width = (size_),                                                                   \
	       .write = true,                                                                      \
	       .immediate = true,                                                                  \
	       .value = (value_)}

/* As an assembler makes them; what follows is another instruction. */
static const struct {
	const char *text;
	uint8_t length; /* 0: none that is decoded */
	uint8_t bytes[INSTRUCTION_MAX];
	struct mmio_op op;
} table[] = {
	{"mov (%rdi),%eax", 2, {0x8b, 0x07}, LOAD(4, 4, RAX)},
	{"mov (%rdi),%rax", 3, {0x48, 0x8b, 0x07}, LOAD(8, 8, RAX)},
	{"mov (%rdi),%ax", 3, {0x66, 0x8b, 0x07}, LOAD(2, 2, RAX)},
	{"mov (%rdi),%al", 2, {0x8a, 0x07}, LOAD(1, 1, RAX)},
	{"mov (%rdi),%ah", 2, {0x8a, 0x27}, HIGH(RAX)},
	{"mov (%rdi),%bh", 2, {0x8a, 0x3f}, HIGH(RBX)},
	{"mov (%rdi),%sil", 3, {0x40, 0x8a, 0x37}, LOAD(1, 1, RSI)},
	{"mov (%rdi),%spl", 0, {0x40, 0x8a, 0x27}, {0}},
	{"mov (%rdi),%esp", 0, {0x8b, 0x27}, {0}},
	{"mov %rsp,(%rdi)", 0, {0x48, 0x89, 0x27}, {0}},
	{"mov (%rdi),%r15d", 3, {0x44, 0x8b, 0x3f}, LOAD(4, 4, R15)},
	{"mov (%r12),%r13", 4, {0x4d, 0x8b, 0x2c, 0x24}, LOAD(8, 8, R13)},
	{"mov 0x10(%rdi),%ecx", 3, {0x8b, 0x4f, 0x10}, LOAD(4, 4, RCX)},
	{"mov 0x12345(%rdi),%ecx", 6, {0x8b, 0x8f, 0x45, 0x23, 1, 0}, LOAD(4, 4, RCX)},
	{"mov 0x12345(%rip),%edx", 6, {0x8b, 0x15, 0x45, 0x23, 1, 0}, LOAD(4, 4, RDX)},
	{"mov (%rdi,%rsi,4),%edx", 3, {0x8b, 0x14, 0xb7}, LOAD(4, 4, RDX)},
	{"mov 8(%rdi,%rsi,4),%edx", 4, {0x8b, 0x54, 0xb7, 8}, LOAD(4, 4, RDX)},
	{"mov 0x1000(%rdi,%rsi,4),%edx", 7, {0x8b, 0x94, 0xb7, 0, 0x10, 0, 0}, LOAD(4, 4, RDX)},
	{"mov 0xb0000000,%edx", 7, {0x8b, 0x14, 0x25, 0, 0, 0, 0xb0}, LOAD(4, 4, RDX)},
	{"mov (%r13),%edx", 4, {0x41, 0x8b, 0x55, 0}, LOAD(4, 4, RDX)},
	{"mov %fs:(%edi),%edx", 4, {0x64, 0x67, 0x8b, 0x17}, LOAD(4, 4, RDX)},
	{"mov %ecx,(%rdi)", 2, {0x89, 0x0f}, STORE(4, RCX)},
	{"mov %r8,(%rdi)", 3, {0x4c, 0x89, 0x07}, STORE(8, R8)},
	{"mov %cx,(%rdi)", 3, {0x66, 0x89, 0x0f}, STORE(2, RCX)},
	{"mov %cl,(%rdi)", 2, {0x88, 0x0f}, STORE(1, RCX)},
	{"mov %bpl,(%rdi)", 3, {0x40, 0x88, 0x2f}, STORE(1, RBP)},
	{"movb $0x81,(%rdi)", 3, {0xc6, 0x07, 0x81}, CONSTANT(1, 0x81)},
	{"movw $0x8001,(%rdi)", 5, {0x66, 0xc7, 0x07, 1, 0x80}, CONSTANT(2, 0x8001)},
	{"movl $0x80000001,(%rdi)", 6, {0xc7, 0x07, 1, 0, 0, 0x80}, CONSTANT(4, 0x80000001)},
	{"movq $-2,(%rdi)", 7, {0x48, 0xc7, 0x07, 0xfe, 0xff, 0xff, 0xff}, CONSTANT(8, ~1ULL)},
	{"66 and REX.W: 64 bits", 4, {0x66, 0x48, 0x8b, 0x07}, LOAD(8, 8, RAX)},
	{"movl $1,4(%rsp)", 8, {0xc7, 0x44, 0x24, 4, 1, 0, 0, 0}, CONSTANT(4, 1)},
	{"movl $1,x(%rip)", 10, {0xc7, 5, 0, 1, 0, 0, 1, 0, 0, 0}, CONSTANT(4, 1)},
	{"movzbl (%rdi),%ecx", 3, {0x0f, 0xb6, 0x0f}, LOAD(1, 4, RCX)},
	{"movzbl (%rdi),%esp", 0, {0x0f, 0xb6, 0x27}, {0}},
	{"movzbl (%rdi),%ebp", 3, {0x0f, 0xb6, 0x2f}, LOAD(1, 4, RBP)},
	{"movzwl (%rdi),%ecx", 3, {0x0f, 0xb7, 0x0f}, LOAD(2, 4, RCX)},
	{"movzwq (%rdi),%rcx", 4, {0x48, 0x0f, 0xb7, 0x0f}, LOAD(2, 8, RCX)},
	{"movzbw (%rdi),%cx", 4, {0x66, 0x0f, 0xb6, 0x0f}, LOAD(1, 2, RCX)},
	{"movsbl (%rdi),%ecx", 0, {0x0f, 0xbe, 0x0f}, {0}},
	{"movswq (%rdi),%r8", 0, {0x4c, 0x0f, 0xbf, 0x07}, {0}},
	{"mov %eax,%ecx", 0, {0x89, 0xc1}, {0}},
	{"movzbl %al,%ecx", 0, {0x0f, 0xb6, 0xc8}, {0}},
	{"C7 /1", 0, {0xc7, 0x0f, 1, 0, 0, 0}, {0}},
	{"lock mov", 0, {0xf0, 0x89, 0x0f}, {0}},
	{"rep stos", 0, {0xf3, 0xab}, {0}},
	{"movabs 0x...,%eax", 0, {0xa1, 0, 0, 0, 0, 0, 0, 0, 0}, {0}},
	{"add %eax,(%rdi)", 0, {0x01, 0x07}, {0}},
	{"movups (%rdi),%xmm0", 0, {0x0f, 0x10, 0x07}, {0}},
	{"push (%rdi)", 0, {0xff, 0x37}, {0}},
	{"REX before a prefix", 0, {0x48, 0x66, 0x8b, 0x07}, {0}},
	{"two REX", 0, {0x48, 0x48, 0x8b, 0x07}, {0}},
	{"15 bytes",
	 15,
	 {0x66, 0x66, 0x66, 0x66, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65, 0x67, 0x67, 0x67, 0x89, 0x0f},
	 STORE(2, RCX)},
	{"16 bytes",
	 0,
	 {0x66, 0x66, 0x66, 0x66, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65, 0x67, 0x67, 0x67, 0x67, 0x89},
	 {0}},
};

static void same(const struct mmio_op *a, const struct mmio_op *b)
{
	assert_int_equal(a->size, b->size);
	assert_int_equal(a->width, b->width);
	assert_int_equal(a->reg, b->reg);
	assert_int_equal(a->shift, b->shift);
	assert_int_equal(a->write, b->write);
	assert_int_equal(a->immediate, b->immediate);
	assert_true(a->value == b->value);
}

static void each_of_the_table(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct mmio_op op;

		for (size_t n = 0; n <= INSTRUCTION_MAX; n++) {
			bool whole = table[i].length != 0 && n >= table[i].length;

			if (mmio_decode(table[i].bytes, n, &op) != whole)
				fail_msg("%s, %zu bytes", table[i].text, n);
			if (!whole)
				continue;
			if (op.length != table[i].length)
				fail_msg("%s has %u bytes", table[i].text, op.length);
			same(&op, &table[i].op);
		}
	}
}

/* Bytes of ModR/M, SIB and displacement (SDM vol. 2 table 2-2, 2-3), counted in another way than the decoder does. */
static uint32_t operand_bytes(uint8_t modrm, uint8_t sib)
{
	static const uint8_t displacement[] = {0, 1, 4};
	bool has_sib = (modrm & 7) == 4;
	uint32_t count = 1U + has_sib + displacement[modrm >> 6];

	if ((modrm & 0xc7) == 5 || ((modrm & 0xc7) == 4 && (sib & 7) == 5))
		count += 4;
	return count;
}

/* Every opcode of one and two bytes with every ModR/M and SIB, plain, with REX and with an operand size. */
static void every_opcode_and_operand(void **state)
{
	static const uint8_t prefixes[] = {0, 0x41, 0x44, 0x48, 0x66};

	(void)state;
	for (uint32_t i = 0; i < ARRAY_SIZE(prefixes) * 512 * 65536;
	     i += 7) { /* coprime: all mixes are met */
		uint8_t prefix = prefixes[i / 65536 / 512];
		uint32_t code = i / 65536 % 512;
		uint8_t modrm = (uint8_t)(i >> 8), sib = (uint8_t)i;
		uint8_t bytes[INSTRUCTION_MAX] = {prefix};
		uint32_t at = prefix != 0;
		struct mmio_op op;

		if (code >= 256)
			bytes[at++] = 0x0f;
		bytes[at] = (uint8_t)code;
		bytes[at + 1] = modrm;
		bytes[at + 2] = sib;
		bool store = code == 0x88 || code == 0x89, load = code == 0x8a || code == 0x8b;
		bool constant = code == 0xc6 || code == 0xc7;
		bool extended = code == 0x1b6 || code == 0x1b7;
		uint32_t reg = (modrm >> 3 & 7U) | (prefix == 0x44 ? 8U : 0);
		bool byte = code == 0x88 || code == 0x8a;
		bool rex = prefix != 0 && prefix != 0x66;
		bool good = modrm < 0xc0 &&
			    (constant ? (reg & 7) == 0 : reg != RSP || (byte && !rex)) &&
			    (store || load || constant || extended);
		uint32_t length = at + 1 + operand_bytes(modrm < 0xc0 ? modrm : 0, sib);

		if (constant)
			length += code == 0xc6 ? 1 : prefix == 0x66 ? 2 : 4;
		if (code < 256 && (code == 0x0f ||
				   (prefix != 0x41 && prefix != 0x44 && prefix != 0x48 &&
				    (code & 0xf0) == 0x40) ||
				   code == 0x26 || code == 0x2e || code == 0x36 || code == 0x3e ||
				   (code >= 0x64 && code <= 0x67)))
			continue; /* prefixes, whose opcode is what follows */
		if (mmio_decode(bytes, sizeof(bytes), &op) != good)
			fail_msg("prefix %x, opcode %x, %x, %x", prefix, code, modrm, sib);
		if (good && op.length != length)
			fail_msg("prefix %x, opcode %x, %x, %x: %u bytes, not %u", prefix, code,
				 modrm, sib, op.length, length);
	}
}

static void what_loads_leave(void **state)
{
	const uint64_t before = 0x1122334455667788, value = 0xffeeddccbbaa9988;
	struct mmio_op op = {.size = 1, .width = 1};

	(void)state;
	assert_true(mmio_loaded(&op, before, value) == 0x1122334455667788);
	assert_true(mmio_loaded(&op, before, 0x7a) == 0x112233445566777a);
	op.shift = 8;
	assert_true(mmio_loaded(&op, before, value) == 0x1122334455668888);
	op = (struct mmio_op){.size = 2, .width = 2};
	assert_true(mmio_loaded(&op, before, value) == 0x1122334455669988);
	op = (struct mmio_op){.size = 4, .width = 4};
	assert_true(mmio_loaded(&op, before, value) == 0xbbaa9988);
	op = (struct mmio_op){.size = 8, .width = 8};
	assert_true(mmio_loaded(&op, before, value) == value);
	op = (struct mmio_op){.size = 1, .width = 4};
	assert_true(mmio_loaded(&op, before, value) == 0x88);
	op.width = 2;
	assert_true(mmio_loaded(&op, before, value) == 0x1122334455660088);
}

static void what_stores_write(void **state)
{
	const uint64_t reg = 0x1122334455667788;
	struct mmio_op op = {.size = 1, .write = true};

	(void)state;
	assert_true(mmio_stored(&op, reg) == 0x88);
	op.shift = 8;
	assert_true(mmio_stored(&op, reg) == 0x77);
	op = (struct mmio_op){.size = 4};
	assert_true(mmio_stored(&op, reg) == 0x55667788);
	op.size = 8;
	assert_true(mmio_stored(&op, reg) == reg);
	op.immediate = true;
	op.value = ~1ULL;
	assert_true(mmio_stored(&op, reg) == ~1ULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_of_the_table),
		cmocka_unit_test(every_opcode_and_operand),
		cmocka_unit_test(what_loads_leave),
		cmocka_unit_test(what_stores_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
