/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of arch/host share among themselves. */
#ifndef ARCH_HOST_PRIVATE_H
#define ARCH_HOST_PRIVATE_H

#include "fibre.h"
#include "host.h"

#include <bulkhead/arch.h>

enum core_mode {
	MODE_ABSENT,
	MODE_READY,
	MODE_WAITS, /* in arch_wait() */
	MODE_SLEEPS, /* in a guest that waits for an interrupt */
};

struct host_core {
	struct fibre fibre;
	enum core_mode mode;
	struct cpu *record;
	void (*entry)(struct cpu *cpu);
	uint64_t deadline; /* of arch_wait(); 0: none */
	bool doorbell;
	bool dead;
	bool refused;
	bool in_guest;
	uint32_t kick; /* 1 + the strongest stop attempt so far; 0: none */
	uint32_t deaf; /* of a sleeping guest: stop attempts before this one are not noticed */
};

struct host_core *host_core(uint32_t index);

/* The core that runs; NULL when the test does. */
struct host_core *host_self(void);

/* Gives the other cores a turn; @mode says what this one waits for. */
void host_yield(enum core_mode mode);

/* The contract of arch.h was broken: ends the machine. */
void host_break(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

void host_trace(enum host_event_kind kind, const struct vm *vm, uint64_t value, uint64_t size);

/* memory.c */
void host_ram_make(uint64_t bytes);
bool host_ram_holds(uint64_t at, uint64_t size);

/* From now on RAM is protected as the own tables say. */
void host_ram_enforce(void);

/* Ends the machine unless the own tables let the hypervisor do @access to all of [@at, @at + @size). */
void host_ram_need(uint64_t at, uint64_t size, uint32_t access);

/* guest.c */

#endif
