/* SPDX-License-Identifier: Apache-2.0 */
/* AArch64's part of struct cpu and struct vm. */
#ifndef BULKHEAD_ARCH_CPU_H
#define BULKHEAD_ARCH_CPU_H

#include <bulkhead/vits.h>

#include <stdint.h>

struct arch_cpu {
	uint64_t regs
		[32]; /* the guest's x0 to x30 while it is not running; boot.S and guest.S know the offsets */
	uint64_t
		start_root; /* for boot.S: own tables, stack and C function of a core that starts */
	uint64_t start_stack;
	uint64_t start_entry;
	uint64_t pmr; /* ICC_PMR_EL1 as the guest wrote it */
};

struct arch_vm {
	uint32_t gicd_ctlr; /* as the guest wrote it */
	uint32_t uart_imsc; /* likewise */
	struct vits vits;
};

#endif
