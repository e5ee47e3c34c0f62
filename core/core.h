/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of core/ share among themselves. */
#ifndef CORE_CORE_H
#define CORE_CORE_H

#include <bulkhead/arch.h>
#include <bulkhead/error.h>
#include <bulkhead/lock.h>
#include <bulkhead/log.h>
#include <bulkhead/mm.h>
#include <bulkhead/pci.h>
#include <bulkhead/protocol.h>
#include <bulkhead/vm.h>

/* ---- main.c ---- */

/* The C entry, on the boot core, on the firmware's tables. */
void core_main(const struct boot_info *info) __attribute__((noreturn));

/* A value of arch_ticks() as time since the machine's counter began. */
uint64_t microseconds(uint64_t ticks);

/* True while the firmware's or our tables map the UART, so that a panic can be printed. */
void log_start(const struct machine *machine);

/* Onto the UART, with a carriage return before each newline. */
void uart_text(const char *text);

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

/* The plan as the system manager may change it: a slot at a time, after plan_check(). */
struct plan *machine_plan_change(void);

/* Makes and wipes record, console ring and tables of the VM in slot @index of the plan. */
void make_vm(uint32_t index);
void forget_vm(uint32_t index);

/* Enters the memory of @vm, for slot @index, in the ledger: all, or BH_OVERLAP when some of it is not free. */
enum bh_error ledger_take_vm(const struct plan_vm *vm, uint32_t index);

/* Gives back the first @nregions of its RAM and what the hypervisor kept for it. */
void ledger_give_vm(const struct plan_vm *vm, uint32_t nregions);

/* ---- slots.c: VMs that come and go ---- */

/* The VM that is called @name; NULL when there is none. */
struct vm *vm_find(const char *name);

/*
 * A new VM as @want has it, in the first vacant slot, its memory zero when this
 * returns. @want is not trusted: BH_BAD_PLAN, BH_OVERLAP and others with the
 * reason in @report. BH_OK when the very same VM is there already, BH_DUPLICATE for another of its name.
 */
enum bh_error vm_create(const struct plan_vm *want, uint32_t *slot, struct bh_report *report);

/* Gives back all that a stopped VM has. BH_WRONG_STATE in any other state. */
enum bh_error vm_delete(struct vm *vm);

/*
 * Puts @want into the port that it names; a running guest is told. It is not trusted: BH_BAD_PLAN and others with the
 * reason in @report, BH_NO_DEVICE without such a port, BH_WRONG_STATE when the port is taken; those of pci_plug(). BH_OK
 * when it is there already.
 */
enum bh_error vm_plug(struct vm *vm, const struct plan_function *want, struct bh_report *report);

/*
 * Takes function @function of the machine out of its port. A running guest is asked to give it back, and BH_OK
 * says that it was asked; with @force it finds it gone. BH_NO_DEVICE when it is in no port, BH_CORE_LOST.
 */
enum bh_error vm_unplug(struct vm *vm, uint32_t function, bool force);

/* Takes what guests have given back. */
void vm_take_functions(void);

/* Of the core image, from its hand-over. */
uint64_t build_id(void);

/* Who owns which extent; written by the system manager only. */
struct ledger *machine_ledger(void);

/* Rings and buffers of the card's function, where the plan names one. */
void make_card(struct page_pool *pool);

/* Opens its DMA to these, on own tables. */
void open_card(void);

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

/* Start steps 1 to 4: images from the store into the memory of a stopped VM. BH_WRONG_STATE in any other state. */
enum bh_error vm_load(struct vm *vm);

/* The same in pieces, for images that come from elsewhere: steps 1 and 2; a piece of step 3; 3 and 4. */
void vm_load_begin(struct vm *vm);
void vm_receive(const struct plan_vm *plan, uint32_t image, uint64_t offset, const void *bytes,
		uint64_t size);
void vm_load_end(struct vm *vm);

/* Start of a loaded VM (steps 5 to 7), or of a stopped one from the store. BH_WRONG_STATE in any other state, or when its images are not there. */
enum bh_error vm_launch(struct vm *vm);

/*
 * Stop of a running VM, @why for the log. BH_CORE_LOST when a core stays in its
 * guest: then the VM keeps all it has. BH_WRONG_STATE when it does not run.
 */
enum bh_error vm_stop(struct vm *vm, const char *why);

/* The same also for one that is loaded or being loaded: that forgets its images. */
enum bh_error vm_end(struct vm *vm, const char *why);

/* Takes an event of one of @vm's cores to its end: stop, restart or abort. */
void vm_event(struct vm *vm, struct mailbox *from);

/* Tells log and card of a DMA that was refused, not of each in a storm. */
void vm_dma_fault(struct vm *vm, const struct dma_fault *fault, bool cut);

/* ---- control.c: the connection to the card ---- */

/* One round of it; true when something moved. */
bool control_poll(void);

/* True while the card listens: consoles and log go there. */
bool control_open(void);

/* When the connection wants to be looked at again (ticks); 0: there is no card. */
uint64_t control_deadline(void);

/* Has the card told of what happened to @vm; @why is kept, @fault may be NULL. */
void control_event(const struct vm *vm, enum vm_event_kind kind, const char *why,
		   const struct vcpu_fault *fault);

/* ---- console.c ---- */

/*
 * Takes what @vm wrote, at most @size bytes, which hold a line of the log (vm->line)
 * at least: one that was begun there is not cut in two. How many. Only the system manager.
 */
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

#endif
