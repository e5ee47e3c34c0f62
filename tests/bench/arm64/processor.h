/* SPDX-License-Identifier: Apache-2.0 */
/* What work.c needs of the processor. */
#ifndef BENCH_PROCESSOR_H
#define BENCH_PROCESSOR_H

#include <stdint.h>

/* A HINT nobody has allocated: a NOP on every processor, and seen by the plugin. */
#define MARK(n) __asm__ volatile("hint #0x70 + " #n ::: "memory")

#define COUNT_DOWN(turns)                                                                          \
	__asm__ volatile("1:	subs	%0, %0, #1\n"                                                    \
			 "	b.ne	1b"                                                                \
			 : "+r"(turns)                                                             \
			 :                                                                         \
			 : "cc")

static inline uint64_t clock_ticks(void)
{
	uint64_t value;

	__asm__ volatile("isb\n\tmrs %0, cntvct_el0" : "=r"(value)::"memory");
	return value;
}

#endif
