/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the hostile guest share. */
#ifndef HOSTILE_H
#define HOSTILE_H

#include "guest.h"

#define MSR_APIC_BASE 0x1b
#define MSR_EFER 0xc0000080
#define EFER_LME (1ULL << 8)
#define EFER_SVME (1ULL << 12)
#define CR4_OSFXSR (1ULL << 9)
#define CR4_VMXE (1ULL << 13)
#define CR4_SMXE (1ULL << 14)
#define CR4_OSXSAVE (1ULL << 18)

/* ---- modes.S ---- */

/* Leaves long mode: 32-bit protected mode without paging, flat segments, at @code32. */
void leave_long(uint32_t code32) __attribute__((noreturn));

/* In that mode: switches from the task of TSS 0x20 to that of 0x28, which comes back to task_switched(). */
extern const uint8_t switch_task[], other_task[];
void task_switched(void) __attribute__((noreturn));

/* In that mode: spins; or makes #AC recurse, in ring 3. */
extern const uint8_t spin_32[], storm_32[], storm_handler[];

/* A far jump in compatibility mode through selector 0x28, which is not a code segment's. */
void jump_compatible(void);

/* Handlers that never return. */
extern const uint8_t undefined_again[], debug_again[], nmi_sleep[];

/* Stacks, where modes.S and the tables agree on them. */
extern uint8_t storm_stack[];

/* ---- sweeps.c ---- */

void sweep_rdmsr(void);
void sweep_wrmsr(void);
void sweep_in(void);
void sweep_out(void);
void sweep_config(void);

/* ---- storms.c ---- */

void bad_vectors(void);
void bad_descriptors(void);
void triple_fault(void);
void task_switch(void);
void task_gate(void);
void ipi_others(void);
void nmi_self(void);
void message(void);
void exception_loop(void);
void debug_storm(void);
void alignment_storm(void);
void spin_protected(void);
void sleep_apic_off(void);
void sleep_nmi(void);
void sleep_mwait(void);
void call_storm(void);
void nmi_storm(void);
void pend_all(void);
void init_self(void);

#endif
