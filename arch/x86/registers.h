/* SPDX-License-Identifier: Apache-2.0 */
/* Bits and numbers of registers, for C and assembly. SDM vol. 3 2.5, vol. 4 2.1; APM 3.1, Appendix A. */
#ifndef X86_REGISTERS_H
#define X86_REGISTERS_H

#define CR0_PE (1 << 0)
#define CR0_MP (1 << 1)
#define CR0_ET (1 << 4)
#define CR0_NE (1 << 5)
#define CR0_WP (1 << 16)
#define CR0_NW (1 << 29)
#define CR0_CD (1 << 30)
#define CR0_PG 0x80000000

#define CR4_PAE (1 << 5)
#define CR4_MCE (1 << 6)
#define CR4_LA57 (1 << 12)
#define CR4_OSFXSR (1 << 9)
#define CR4_OSXMMEXCPT (1 << 10)
#define CR4_VMXE (1 << 13)
#define CR4_OSXSAVE (1 << 18)
#define CR4_PKE (1 << 22)

#define EFER_SCE (1 << 0)
#define EFER_LME (1 << 8)
#define EFER_LMA (1 << 10)
#define EFER_NXE (1 << 11)
#define EFER_SVME (1 << 12)
#define EFER_FFXSR (1 << 14)

#define RFLAGS_RESERVED (1 << 1)

#define MSR_TSC 0x10
#define MSR_APIC_BASE 0x1b
#define MSR_FEATURE_CONTROL 0x3a
#define MSR_SPEC_CTRL 0x48
#define MSR_MTRR_CAP 0xfe
#define MSR_DEBUGCTL 0x1d9
#define MSR_PAT 0x277
#define MSR_MTRR_DEF_TYPE 0x2ff
#define MSR_X2APIC 0x800
#define MSR_X2APIC_ICR 0x830
#define MSR_EFER 0xc0000080
#define MSR_FS_BASE 0xc0000100
#define MSR_GS_BASE 0xc0000101
#define MSR_KERNEL_GS_BASE 0xc0000102
#define MSR_VM_CR 0xc0010114
#define MSR_VM_HSAVE_PA 0xc0010117

/* Supervisor state for XSAVES that stays on its core (SDM vol. 1 13.1): CET's. Not processor trace, PASID, user interrupts. */
#define XSS_GUEST 0x1800

#define PAT_RESET 0x0007040600070406 /* SDM 12.12.4 */

#endif
