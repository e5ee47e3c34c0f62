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

/* The registers of the GIC's CPU interface: IHI 0069H 12.2. */
#define WRITE(name, value) __asm__ volatile("msr " name ", %0" : : "r"((uint64_t)(value)))
#define ICC_PMR_EL1 "s3_0_c4_c6_0"
#define ICC_SRE_EL2 "s3_4_c12_c9_5"
#define ICC_IAR1_EL1 "s3_0_c12_c12_0"
#define ICC_EOIR1_EL1 "s3_0_c12_c12_1"
#define ICC_CTLR_EL1 "s3_0_c12_c12_4"
#define ICC_IGRPEN1_EL1 "s3_0_c12_c12_7"
#define ICH_VTR_EL2 "s3_4_c12_c11_1"
#define INTID_SPECIAL 1020U

static void isb(void)
{
	__asm__ volatile("isb" : : : "memory");
}

void cpu_open_interface(void)
{
	__asm__ volatile("msr daifset, #3" : : : "memory");
	WRITE(ICC_SRE_EL2, 0xf);
	isb();
	WRITE(ICC_CTLR_EL1, 0); /* ending an interrupt deactivates it */
	WRITE(ICC_PMR_EL1, 0xff);
	WRITE(ICC_IGRPEN1_EL1, 1);
	isb();
}

uint32_t cpu_take_interrupt(void)
{
	uint32_t intid = (uint32_t)READ(ICC_IAR1_EL1);

	if (intid < INTID_SPECIAL || intid > INTID_SPECIAL + 3)
		WRITE(ICC_EOIR1_EL1, intid);
	isb();
	return intid;
}

uint32_t cpu_list_registers(void)
{
	if (cpu_exception_level() != 2 || (READ(ICC_SRE_EL2) & 1) == 0)
		return 0;
	return (uint32_t)(READ(ICH_VTR_EL2) & 0x1f) + 1;
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
