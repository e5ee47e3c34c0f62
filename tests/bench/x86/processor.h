/* SPDX-License-Identifier: Apache-2.0 */
/* What work.c needs of the processor. */
#ifndef BENCH_PROCESSOR_H
#define BENCH_PROCESSOR_H

#include <stdint.h>

/* NOPL 0x42480000+n(%rax): a NOP on every processor, as no compiler writes it, and seen by the plugin. */
#define MARK(n) __asm__ volatile(".byte 0x0f, 0x1f, 0x80\n\t.long 0x42480000 + " #n ::: "memory")

#define COUNT_DOWN(turns)                                                                          \
	__asm__ volatile("1:	sub	$1, %0\n"                                                         \
			 "	jnz	1b"                                                                 \
			 : "+r"(turns)                                                             \
			 :                                                                         \
			 : "cc")

static inline uint64_t clock_ticks(void)
{
	uint32_t low;
	uint32_t high;

	__asm__ volatile("lfence\n\trdtsc" : "=a"(low), "=d"(high)::"memory");
	return (uint64_t)high << 32 | low;
}

#endif
