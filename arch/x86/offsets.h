/* SPDX-License-Identifier: Apache-2.0 */
/* Offsets in struct arch_cpu, for assembly; desc.c checks them. */
#ifndef X86_OFFSETS_H
#define X86_OFFSETS_H

#define CPU_REGS 0
#define CPU_START_STACK 128
#define CPU_START_ENTRY 136
#define CPU_DOORBELL 144
#define CPU_RUNG 148
#define CPU_GUEST_NMI 152
#define CPU_LAUNCHED 156

#define SELECTOR_CODE 0x08
#define SELECTOR_DATA 0x10
#define SELECTOR_TSS 0x18

#endif
