/* SPDX-License-Identifier: Apache-2.0 */
/* x86's part of struct cpu and struct vm. */
#ifndef BULKHEAD_ARCH_CPU_H
#define BULKHEAD_ARCH_CPU_H

#include <stdint.h>

#define ARCH_REGS 16
#define ARCH_IST_BYTES 256

/* Assembly knows the offsets of what stands before the descriptor tables (arch/x86/offsets.h). */
struct arch_cpu {
	uint64_t regs[ARCH_REGS]; /* the guest's, in encoding order; RSP is the control block's */
	uint64_t start_stack; /* stack and C function of a core that starts */
	uint64_t start_entry;
	uint32_t doorbell; /* set by others, who then send an NMI; taken by the NMI */
	uint32_t rung; /* an NMI took the doorbell: somebody has something to say */
	uint32_t guest_nmi; /* an NMI that found no doorbell: the guest's */
	uint32_t launched; /* VMX: the VMCS is, so that VMRESUME enters */
	/* The guest's too, between one exit and the next entry: the vendor's code takes them out and puts them back. */
	uint64_t pc;
	uint64_t efer; /* VMX: this and cr0 only where an MSR, cr4 only where CPUID was the exit */
	uint64_t cr0;
	uint64_t cr4;
	uint32_t event; /* to inject at the next entry, as EVENT_* of x86.h; 0: none */
	uint32_t event_error;
	uint32_t stale; /* set by the system manager: the TLB may hold what is mapped no more */
	uint64_t gdt[5]; /* null, code, data, TSS in two */
	uint32_t tss[26]; /* Intel SDM vol. 3 8.7 */
	uint8_t ist[3][ARCH_IST_BYTES] __attribute__((aligned(16))); /* NMI, #DF, #MC */
};

struct arch_vm {
	uint8_t uart[8]; /* the console's 16550: its registers, as the guest wrote them */
	uint32_t uart_empty; /* the transmitter's interrupt is pending */
	uint32_t uart_raised; /* its MSI was sent and nothing read since */
};

#endif
