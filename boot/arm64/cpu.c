/* SPDX-License-Identifier: Apache-2.0 */
#include "cpu.h"

#include "arch.h"

#define READ(name)                                                                                 \
	({                                                                                         \
		uint64_t value_;                                                                   \
		__asm__ volatile("mrs %0, " name : "=r"(value_));                                  \
		value_;                                                                            \
	})

#define RNDR "s3_3_c2_c4_0"
#define ISAR0_RNDR_SHIFT 60
#define PFR0_GIC_SHIFT 24
#define CTR_DMINLINE_SHIFT 16 /* log2 of the words in the smallest data cache line */
#define PAR_FAULT 1U
#define RANDOM_ATTEMPTS 16

unsigned int cpu_exception_level(void)
{
	return (unsigned int)(READ("CurrentEL") >> 2 & 3);
}

uint64_t cpu_mpidr(void)
{
	return READ("mpidr_el1");
}

bool cpu_has_gic_registers(void)
{
	return (READ("id_aa64pfr0_el1") >> PFR0_GIC_SHIFT & 0xf) != 0;
}

bool arch_random(uint64_t *value)
{
	if ((READ("id_aa64isar0_el1") >> ISAR0_RNDR_SHIFT & 0xf) == 0)
		return false;
	for (int i = 0; i < RANDOM_ATTEMPTS; i++) {
		uint64_t number, failed;

		/* D19.2.117: Z is set when no number came in time. */
		__asm__ volatile("mrs %0, " RNDR "\n\tcset %1, eq"
				 : "=r"(number), "=r"(failed)
				 :
				 : "cc");
		if (failed == 0) {
			*value = number;
			return true;
		}
	}
	return false;
}

uint64_t arch_counter(void)
{
	__asm__ volatile("isb");
	return READ("cntpct_el0");
}

bool cpu_is_mapped(uint64_t address)
{
	__asm__ volatile("at s1e2r, %0\n\tisb" : : "r"(address) : "memory");
	return (READ("par_el1") & PAR_FAULT) == 0;
}

void arch_prepare_entry(const struct boot_info *info, const void *at, uint64_t size)
{
	uint64_t line = 4ULL << (READ("ctr_el0") >> CTR_DMINLINE_SHIFT & 0xf);
	uint64_t end = (uint64_t)at + size;

	(void)info; /* the core itself sets up the interrupt controller */
	__asm__ volatile("msr daifset, #0xf" : : : "memory");
	/*
	 * Invalidated too: others will write here past the caches, and no stale line may cover
	 * that.
	 */
	for (uint64_t p = (uint64_t)at & ~(line - 1); p < end; p += line)
		__asm__ volatile("dc civac, %0" : : "r"(p) : "memory");
	__asm__ volatile("dsb sy\n\tic iallu\n\tdsb sy\n\tisb" : : : "memory");
}
