/* SPDX-License-Identifier: Apache-2.0 */
/* Calls of the hypervisor: Arm DEN0022F (PSCI), DEN0028F (the calling convention). */
#include "guest.h"

#define CALL(name)                                                                                 \
	int64_t name(uint64_t function, uint64_t a, uint64_t b, uint64_t c)                        \
	{                                                                                          \
		register uint64_t x0 __asm__("x0") = function;                                     \
		register uint64_t x1 __asm__("x1") = a;                                            \
		register uint64_t x2 __asm__("x2") = b;                                            \
		register uint64_t x3 __asm__("x3") = c;                                            \
                                                                                                   \
		__asm__ volatile(#name " #0"                                                       \
				 : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)                          \
				 :                                                                 \
				 : "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", \
				   "x14", "x15", "x16", "x17", "memory");                          \
		return (int64_t)x0;                                                                \
	}

CALL(hvc)
CALL(smc)

void system_off(void)
{
	for (;;)
		hvc(PSCI_SYSTEM_OFF, 0, 0, 0);
}

void system_reset(void)
{
	for (;;)
		hvc(PSCI_SYSTEM_RESET, 0, 0, 0);
}

void cpu_off(void)
{
	for (;;)
		hvc(PSCI_CPU_OFF, 0, 0, 0);
}

uint64_t cpu_id(void)
{
	return read_sysreg("mpidr_el1") & 0xff00ffffffULL;
}

int64_t second_on(void (*function)(void))
{
	return hvc(PSCI_CPU_ON, gic_affinity(1), (uint64_t)(uintptr_t)second_start,
		   (uint64_t)(uintptr_t)function);
}

bool second_is_off(void)
{
	return hvc(PSCI_AFFINITY_INFO, gic_affinity(1), 0, 0) == 1;
}
