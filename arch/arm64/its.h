/* SPDX-License-Identifier: Apache-2.0 */
/* The physical ITS: only the hypervisor writes its queue. */
#ifndef ARM64_ITS_H
#define ARM64_ITS_H

#include <bulkhead/its.h>
#include <bulkhead/vm.h>

/* Its registers, in the own space. */
void its_map(void);

/* This core's redistributor, awake: tables, and LPIs on, for good. */
void its_cpu_init(uint32_t cpu);

/* Events of the machine's function @function may be mapped; none is. */
void its_open(uint32_t function);

/* The contrary: no event of function @slot of @vm is mapped, none of its interrupts pending. */
void its_close(const struct vm *vm, uint32_t slot);

/* An LPI of @vm, by the guest's INTID, becomes pending where its event belongs; one that has none does not. */
void its_pend(struct vm *vm, uint32_t lpi);

/* A guest's access to its ITS. NULL, or what was illegal. */
const char *its_guest_access(struct vm *vm, struct mmio *access);

/* ---- What the mediation of guests' commands (vits.c) needs; all with the lock held ---- */

/* Queues a command for event @event of physical device @device: @lpi and @third as that command has them, or 0. */
void its_command(enum its_command what, uint32_t device, uint32_t event, uint32_t lpi,
		 uint64_t third);

/* Queues a SYNC with the redistributor of core @cpu. */
void its_sync(uint32_t cpu);

/* @size bytes of the guest's memory at @at, which do not cross a page; NULL when that is none of it. Until the lock is given back. */
const void *its_guest_memory(const struct plan_vm *plan, gpa_t at, uint64_t size);

#endif
