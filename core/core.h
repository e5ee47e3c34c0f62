/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of core/ share among themselves. */
#ifndef CORE_CORE_H
#define CORE_CORE_H

#include <bulkhead/arch.h>
#include <bulkhead/error.h>
#include <bulkhead/log.h>
#include <bulkhead/mm.h>
#include <bulkhead/vm.h>

/* ---- main.c ---- */

/* The C entry, on the boot core, on the firmware's tables. */
void core_main(const struct boot_info *info) __attribute__((noreturn));

/* True while the firmware's or our tables map the UART, so that a panic can be printed. */
void log_start(const struct machine *machine);

/* ---- records.c: each make_ takes what the planner counted, and panics when that was wrong ---- */

/* The hand-off struct, for all that reads the plan; before anything else. */
void records_use(const struct boot_info *info);

/* Stacks and records of all cores. */
void make_cpus(struct page_pool *pool);

/* The hypervisor's own address space; what is left of @pool becomes its tables. */
void make_own_space(struct page_pool *pool);

/* Records, console rings and guest-physical spaces of all VMs. */
void make_vms(void);

/* The ledger, checked against the plan. */
void make_ledger(void);

/* Who owns which extent; written by the system manager only. */
struct ledger *machine_ledger(void);

/* The stack of core @index grows down from here to its guard page. */
va_t stack_top(uint32_t index);

/* ---- core_manager.c and system_manager.c: where the cores spend their lives ---- */

void core_manager(struct cpu *cpu);
void system_manager(struct cpu *cpu);

/* One round of log and consoles, which go on while the system manager waits for cores. True when another may find more. */
bool system_manager_service(void);

/* ---- lifecycle.c: the sequences; called by the system manager only ---- */

/* Zeroes @vm's memory by its own cores: VM_NEW, VM_LOADED or VM_STOPPING to VM_STOPPED when it has ended. */
void vm_scrub_begin(struct vm *vm);
void vm_scrub_end(struct vm *vm);

/* Start steps 1 to 4: images into the memory of a stopped VM. BH_WRONG_STATE in any other state. */
enum bh_error vm_load(struct vm *vm);

/* Start steps 5 to 7 of a loaded VM. BH_WRONG_STATE in any other state. */
enum bh_error vm_start(struct vm *vm);

/* Forgets the images of a loaded VM. BH_WRONG_STATE in any other state. */
enum bh_error vm_unload(struct vm *vm);

/*
 * Stop of a running VM, @why for the log. BH_CORE_LOST when a core stays in its
 * guest: then the VM keeps all it has. BH_WRONG_STATE when it does not run.
 */
enum bh_error vm_stop(struct vm *vm, const char *why);

/* Takes an event of one of @vm's cores to its end: stop, restart or abort. */
void vm_event(struct vm *vm, struct mailbox *from);

/* ---- console.c ---- */

/* Takes what @vm wrote, at most @size bytes; how many. Only the system manager. */
uint32_t console_take(struct vm *vm, char *bytes, uint32_t size);

/* Input from the operator for @vm; false when its ring is full. */
bool console_input(struct vm *vm, uint8_t byte);

/* Mirrors some of @vm's output to the log, whole lines with its name. True when there was any, so that there may be more. */
bool console_mirror(struct vm *vm);

/* @vm has ended: its last output to the operator or the log, its input forgotten. */
void console_reset(struct vm *vm);

/* ---- prompt.c or no_prompt.c ---- */

/*
 * Handles waiting input and, while attached to a console, its output. True when
 * there was something, and whenever it may have waited.
 */
bool prompt_poll(void);

/* True while the operator looks at a console: log and mirrors wait. */
bool prompt_attached(void);

/* Shows what is left of @vm's output when the operator looks at its console. */
void prompt_flush(struct vm *vm);

/* Around lines of the log: takes the waiting prompt off the screen, and puts it back with what was typed. */
void prompt_hide(void);
void prompt_show(void);

/* ---- entropy.c ---- */

void entropy_init(const uint8_t *seed, size_t size);

/* Fills @out with bytes nobody can predict; earlier output cannot be found from later state. */
void entropy_get(uint8_t *out, size_t size);

/* ---- small things ---- */

static inline uint32_t load_acquire(const uint32_t *p)
{
	return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

static inline void store_release(uint32_t *p, uint32_t v)
{
	__atomic_store_n(p, v, __ATOMIC_RELEASE);
}

static inline void spin_lock(uint32_t *lock)
{
	while (__atomic_exchange_n(lock, 1, __ATOMIC_ACQUIRE) != 0)
		arch_pause();
}

static inline void spin_unlock(uint32_t *lock)
{
	store_release(lock, 0);
}

#endif
