/* SPDX-License-Identifier: Apache-2.0 */
/* For fuzzers whose input is a list of steps: it is taken byte by byte, and reads as zeros behind its end. */
#ifndef TESTS_FUZZ_INPUT_H
#define TESTS_FUZZ_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition))                                                                  \
			abort();                                                                   \
	} while (0)

static const uint8_t *input;
static size_t input_left;

static inline uint8_t input_byte(void)
{
	if (input_left == 0)
		return 0;
	input_left--;
	return *input++;
}

static inline uint16_t input_u16(void)
{
	uint16_t low = input_byte();

	return (uint16_t)(low | input_byte() << 8);
}

static inline uint32_t input_u32(void)
{
	uint32_t low = input_u16();

	return low | (uint32_t)input_u16() << 16;
}

/* The next @size bytes of the input, or what is left of them; how many. */
static inline size_t input_bytes(const uint8_t **bytes, size_t size)
{
	if (size > input_left)
		size = input_left;
	*bytes = input;
	input += size;
	input_left -= size;
	return size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
