/* SPDX-License-Identifier: Apache-2.0 */
/* The fake machine's part of struct cpu and struct vm. */
#ifndef BULKHEAD_ARCH_CPU_H
#define BULKHEAD_ARCH_CPU_H

#include <stdint.h>

#define HOST_REGS 8

struct arch_cpu {
	uint64_t regs[HOST_REGS]; /* the guest's; 0 is its argument */
	uint64_t simd[HOST_REGS];
	uint64_t pc;
	uint32_t ready; /* arch_vcpu_reset() was called and the guest not run yet */
	uint32_t reserved;
};

struct arch_vm {
	uint32_t input; /* the console's interrupt is pending */
};

#endif
