/* SPDX-License-Identifier: Apache-2.0 */
/* What the loader asks the processor. "SDM": Intel SDM, "APM": AMD64 APM. */
#ifndef BOOT_X86_CPU_H
#define BOOT_X86_CPU_H

#include <stdbool.h>
#include <stdint.h>

struct cpuid {
	uint32_t eax;
	uint32_t ebx;
	uint32_t ecx;
	uint32_t edx;
};

/* All zero where the processor has no such leaf. */
struct cpuid cpuid(uint32_t leaf, uint32_t subleaf);

/* One that is known to be there. */
uint64_t rdmsr(uint32_t msr);

uint64_t read_cr4(void);

void out8(uint16_t port, uint8_t value);
uint8_t in8(uint16_t port);

#endif
