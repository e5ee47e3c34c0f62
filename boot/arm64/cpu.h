/* SPDX-License-Identifier: Apache-2.0 */
/* What the loader asks the processor. Registers: Arm ARM (DDI 0487J) D19.2. */
#ifndef BOOT_ARM64_CPU_H
#define BOOT_ARM64_CPU_H

#include <stdbool.h>
#include <stdint.h>

#define MPIDR_AFFINITY 0xff00ffffffULL
#define MPIDR_MT (1ULL << 24) /* Aff0 counts hardware threads of one core */

unsigned int cpu_exception_level(void);
uint64_t cpu_mpidr(void);

/* The GIC's CPU interface can be reached through system registers: GICv3 or later. */
bool cpu_has_gic_registers(void);

/* List registers for a guest's interrupts; 0 where that cannot be seen, from EL1. */
uint32_t cpu_list_registers(void);

/* Masks interrupts, and lets the CPU interface give all of Group 1 to who asks it. */
void cpu_open_interface(void);

/* Acknowledges and ends the interrupt that pends for this core: its INTID, or 1020 to 1023. */
uint32_t cpu_take_interrupt(void);

/* Whether the tables in use let a load from @address through; at EL2 only. */
bool cpu_is_mapped(uint64_t address);

#endif
