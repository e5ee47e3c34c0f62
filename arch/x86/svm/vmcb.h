/* SPDX-License-Identifier: Apache-2.0 */
/* The VMCB: APM 15.5 and Appendix B. */
#ifndef X86_SVM_VMCB_H
#define X86_SVM_VMCB_H

#include "x86.h"

/* Intercepts, by 32-bit word from VMCB offset 0x0c. */
#define INTERCEPT_NMI (1U << 1)
#define INTERCEPT_INIT (1U << 3)
#define INTERCEPT_INVD (1U << 22)
#define INTERCEPT_INVLPGA (1U << 26)
#define INTERCEPT_IOIO (1U << 27)
#define INTERCEPT_MSR (1U << 28)
#define INTERCEPT_TASK_SWITCH (1U << 29)
#define INTERCEPT_SHUTDOWN (1U << 31)
#define INTERCEPT_SVM 0x7fU /* VMRUN, VMMCALL, VMLOAD, VMSAVE, STGI, CLGI, SKINIT */

#define TLB_KEEP 0
#define TLB_FLUSH_ALL 1

#define VMEXIT_EXCEPTION 0x40
#define VMEXIT_NMI 0x61
#define VMEXIT_INIT 0x63
#define VMEXIT_INVD 0x76
#define VMEXIT_INVLPGA 0x7a
#define VMEXIT_IOIO 0x7b
#define VMEXIT_MSR 0x7c
#define VMEXIT_TASK_SWITCH 0x7d
#define VMEXIT_SHUTDOWN 0x7f
#define VMEXIT_VMRUN 0x80
#define VMEXIT_SKINIT 0x86
#define VMEXIT_NPF 0x400

#define IOIO_IN (1U << 0)
#define IOIO_STRING (1U << 2)
#define NPF_WRITE (1U << 1)
#define NPF_FETCH (1U << 4)
#define NPF_WALK (1ULL << 33)

/* A segment of the save area is struct x86_segment. */
struct vmcb {
	uint64_t intercept_registers;
	uint32_t intercept_exceptions;
	uint32_t intercept_1;
	uint32_t intercept_2;
	uint32_t intercept_3;
	uint8_t unused_1[0x40 - 0x18];
	uint64_t port_bitmap;
	uint64_t msr_bitmap;
	uint64_t tsc_offset;
	uint32_t asid;
	uint32_t tlb_control;
	uint64_t virtual_interrupt;
	uint64_t interrupt_shadow;
	uint64_t exit_code;
	uint64_t exit_info_1;
	uint64_t exit_info_2;
	uint64_t exit_interrupt_info;
	uint64_t nested_paging;
	uint8_t unused_2[0xa8 - 0x98];
	uint32_t event;
	uint32_t event_error;
	uint64_t nested_cr3;
	uint8_t unused_3[0x400 - 0xb8];
	struct x86_segment es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr;
	uint8_t unused_4[0x4cb - 0x4a0];
	uint8_t cpl;
	uint32_t unused_5;
	uint64_t efer;
	uint8_t unused_6[0x548 - 0x4d8];
	uint64_t cr4, cr3, cr0, dr7, dr6, rflags, rip;
	uint8_t unused_7[0x5d8 - 0x580];
	uint64_t rsp;
	uint8_t unused_8[0x5f8 - 0x5e0];
	uint64_t rax;
	uint8_t unused_9[0x640 - 0x600];
	uint64_t cr2;
	uint8_t unused_10[0x668 - 0x648];
	uint64_t pat;
	uint8_t unused_11[PAGE_SIZE - 0x670];
};

static_assert(sizeof(struct x86_segment) == 16, "as in the VMCB");
static_assert(offsetof(struct vmcb, port_bitmap) == 0x40, "APM Appendix B");
static_assert(offsetof(struct vmcb, exit_code) == 0x70, "APM Appendix B");
static_assert(offsetof(struct vmcb, event) == 0xa8, "APM Appendix B");
static_assert(offsetof(struct vmcb, es) == 0x400, "APM Appendix B");
static_assert(offsetof(struct vmcb, efer) == 0x4d0, "APM Appendix B");
static_assert(offsetof(struct vmcb, cr4) == 0x548, "APM Appendix B");
static_assert(offsetof(struct vmcb, rip) == 0x578, "APM Appendix B");
static_assert(offsetof(struct vmcb, rax) == 0x5f8, "APM Appendix B");
static_assert(offsetof(struct vmcb, pat) == 0x668, "APM Appendix B");
static_assert(sizeof(struct vmcb) == PAGE_SIZE, "APM 15.5.1");

#endif
