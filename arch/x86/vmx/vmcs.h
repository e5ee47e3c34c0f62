/* SPDX-License-Identifier: Apache-2.0 */
/* The VMCS: SDM 25, field numbers from Appendix B, capability MSRs from Appendix A. For C and assembly. */
#ifndef X86_VMX_VMCS_H
#define X86_VMX_VMCS_H

#define MSR_VMX_BASIC 0x480
#define MSR_VMX_CR0_FIXED0 0x486
#define MSR_VMX_CR0_FIXED1 0x487
#define MSR_VMX_CR4_FIXED0 0x488
#define MSR_VMX_CR4_FIXED1 0x489
#define MSR_VMX_VMCS_ENUM 0x48a
#define MSR_VMX_SECONDARY 0x48b
/* "True": those that do not insist on exits at every access to CR3. */
#define MSR_VMX_TRUE_PIN 0x48d
#define MSR_VMX_TRUE_PRIMARY 0x48e
#define MSR_VMX_TRUE_EXIT 0x48f
#define MSR_VMX_TRUE_ENTRY 0x490

#define VMX_BASIC_REVISION 0x7fffffffU

#define FEATURE_LOCK 1ULL
#define FEATURE_VMX 4ULL /* outside SMX */

/* SDM 25.11.2: in 9:1 the index; 11:10 and 14:13, what it is of and how wide; 12 is 0. Bit 0: the upper half only. */
#define VMCS_INDEX 0x3feU
#define VMCS_GROUP 0x400U
#define VMCS_LAST_GROUP 0x6c00U

#define VMCS_VPID 0x0000
/* then CS, SS, DS, FS, GS, LDTR, TR; the same order for limit, rights and base */
#define VMCS_GUEST_ES 0x0800
#define VMCS_HOST_ES 0x0c00 /* then CS, SS, DS, FS, GS, TR */
#define VMCS_MSR_BITMAP 0x2004
#define VMCS_EPT 0x201a
#define VMCS_XSS_BITMAP 0x202c
#define VMCS_EXIT_ADDRESS 0x2400
#define VMCS_LINK 0x2800
#define VMCS_GUEST_PAT 0x2804
#define VMCS_GUEST_EFER 0x2806
#define VMCS_HOST_PAT 0x2c00
#define VMCS_HOST_EFER 0x2c02
#define VMCS_PIN 0x4000
#define VMCS_PRIMARY 0x4002
#define VMCS_EXCEPTIONS 0x4004
#define VMCS_EXIT 0x400c
#define VMCS_ENTRY 0x4012
#define VMCS_EVENT 0x4016
#define VMCS_EVENT_ERROR 0x4018
#define VMCS_EVENT_LENGTH 0x401a
#define VMCS_SECONDARY 0x401e
#define VMCS_INSTRUCTION_ERROR 0x4400
#define VMCS_EXIT_REASON 0x4402
#define VMCS_EXIT_EVENT 0x4404
#define VMCS_EXIT_LENGTH 0x440c
#define VMCS_GUEST_ES_LIMIT 0x4800
#define VMCS_GUEST_GDTR_LIMIT 0x4810
#define VMCS_GUEST_IDTR_LIMIT 0x4812
#define VMCS_GUEST_ES_RIGHTS 0x4814 /* CS and others follow, 2 from one to the next */
#define RIGHTS_L (1U << 13) /* 64-bit code, 25.4.1 */
#define VMCS_BLOCKING 0x4824
#define VMCS_CR0_MASK 0x6000
#define VMCS_CR4_MASK 0x6002
#define VMCS_CR0_SHADOW 0x6004
#define VMCS_CR4_SHADOW 0x6006
#define VMCS_QUALIFICATION 0x6400
#define VMCS_GUEST_CR0 0x6800
#define VMCS_GUEST_CR3 0x6802
#define VMCS_GUEST_CR4 0x6804
#define VMCS_GUEST_ES_BASE 0x6806
#define VMCS_GUEST_DR7 0x681a
#define VMCS_GUEST_RSP 0x681c
#define VMCS_GUEST_RIP 0x681e
#define VMCS_GUEST_RFLAGS 0x6820
#define VMCS_PENDING_DEBUG 0x6822
#define VMCS_HOST_CR0 0x6c00
#define VMCS_HOST_CR3 0x6c02
#define VMCS_HOST_CR4 0x6c04
#define VMCS_HOST_GS_BASE 0x6c08
#define VMCS_HOST_TR_BASE 0x6c0a
#define VMCS_HOST_GDTR_BASE 0x6c0c
#define VMCS_HOST_IDTR_BASE 0x6c0e
#define VMCS_HOST_RSP 0x6c14
#define VMCS_HOST_RIP 0x6c16

/* SDM 25.6.1, 25.6.2, 25.7.1, 25.8.1. */
#define PIN_NMI (1U << 3)
#define PIN_VIRTUAL_NMI (1U << 5)
#define PRIMARY_NMI_WINDOW (1U << 22)
#define PRIMARY_PORT_EXITS (1U << 24)
#define PRIMARY_MSR_BITMAPS (1U << 28)
#define PRIMARY_SECONDARY (1U << 31)
#define SECONDARY_EPT (1U << 1)
#define SECONDARY_RDTSCP (1U << 3)
#define SECONDARY_VPID (1U << 5)
#define SECONDARY_UNRESTRICTED (1U << 7)
#define SECONDARY_INVPCID (1U << 12)
#define SECONDARY_XSAVES (1U << 20)
#define SECONDARY_USER_WAIT (1U << 26)
#define EXIT_SAVE_DEBUG (1U << 2)
#define EXIT_HOST_64 (1U << 9)
#define EXIT_SAVE_PAT (1U << 18)
#define EXIT_LOAD_PAT (1U << 19)
#define EXIT_SAVE_EFER (1U << 20)
#define EXIT_LOAD_EFER (1U << 21)
#define ENTRY_LOAD_DEBUG (1U << 2)
#define ENTRY_LOAD_PAT (1U << 14)
#define ENTRY_LOAD_EFER (1U << 15)

/* SDM 25.4.1, 25.4.2, 25.6.11. */
#define SEGMENT_UNUSABLE (1U << 16)
#define BLOCKING_STI (1U << 0)
#define BLOCKING_MOV_SS (1U << 1)
#define BLOCKING_NMI (1U << 3)
#define PENDING_SINGLE_STEP (1U << 14)
#define EPT_POINTER_WB_4_LEVELS 0x1eULL

/* Basic exit reasons: SDM Appendix C. */
#define REASON_EXCEPTION_OR_NMI 0
#define REASON_TRIPLE_FAULT 2
#define REASON_INIT 3
#define REASON_NMI_WINDOW 8
#define REASON_TASK_SWITCH 9
#define REASON_CPUID 10
#define REASON_GETSEC 11
#define REASON_INVD 13
#define REASON_VMCALL 18
#define REASON_VMXON 27
#define REASON_CR 28
#define REASON_PORT 30
#define REASON_RDMSR 31
#define REASON_WRMSR 32
#define REASON_MACHINE_CHECK 41
#define REASON_EPT_VIOLATION 48
#define REASON_INVEPT 50
#define REASON_INVVPID 53
#define REASON_XSETBV 55
#define REASON_XSAVES 63
#define REASON_XRSTORS 64
#define REASON_SEAMCALL 76
#define REASON_TDCALL 77
#define REASON_FAILED (1U << 31)

/* Exit qualifications: SDM 28.2.1. */
#define CR_NUMBER(q) ((q)&0xf)
#define CR_REGISTER(q) ((q) >> 8 & 0xf)
#define PORT_SIZE(q) (((uint32_t)(q)&7) + 1)
#define PORT_IN (1U << 3)
#define PORT_STRING (1U << 4)
#define PORT_NUMBER(q) ((uint32_t)((q) >> 16) & 0xffff)
#define EPT_WRITE (1U << 1)
#define EPT_FETCH (1U << 2)
#define EPT_LINEAR (1U << 7)
#define EPT_FINAL (1U << 8) /* with EPT_LINEAR: not the walk, but what it led to */

#endif
