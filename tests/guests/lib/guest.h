/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the test guests share: a console, arguments, interrupts, a timer, a second vCPU. Each architecture implements
 * this in tests/guests/ARCH/lib and adds what only it has in guest_arch.h.
 */
#ifndef GUEST_H
#define GUEST_H

#include <bulkhead/plan.h>

/* A word of memory. */
#define MEM64(at) (*(volatile uint64_t *)(uintptr_t)(at))

#define FOREVER for (;;)

/* Linker script. */
extern uint8_t image_start[], image_end[];

/* ---- Each guest: what it can do; @name is what `do=` in its bootargs says, "" takes all the rest ---- */

struct behaviour {
	const char *name;
	void (*run)(void);
};

/* Those of every architecture, and then this one's; each ends with a NULL name. */
extern const struct behaviour behaviours[], arch_behaviours[];

/* The first C function; @boot is what the hypervisor handed over. */
void guest_main(const void *boot);

/* ---- main.c: arguments ---- */

/* The value of "name=" in the arguments, up to the next space; "" when it is not there. */
const char *argument(const char *name);

/* The same as a number (0x for hexadecimal), @otherwise when it is not there. */
uint64_t argument_number(const char *name, uint64_t otherwise);

/* The same in @text. */
const char *argument_in(const char *text, const char *name);
uint64_t argument_number_in(const char *text, const char *name, uint64_t otherwise);

/* Before a guest that was asked what to do goes off: gives the reader of its console time, until a key is typed. */
void finish(void);

/* True when @word begins with @name and a space or its end follows. */
bool is_word(const char *word, const char *name);

/* ---- say.c ---- */

/* Formats: %s, %c, %u (decimal), %x (hexadecimal with 0x); numbers are uint64_t. */
void say(const char *format, ...);

/* ---- hostile.c: operations of one instruction ---- */

struct operation {
	const char *name;
	uint64_t (*run)(uint64_t at, uint64_t with); /* op_NAME: the instruction is its first */
	void (*prepare)(uint64_t *at, uint64_t *with); /* NULL: nothing to prepare */
};

/* Does what `do=` names in @table, which ends with a NULL name, with `at=` and `with=`; says what it gave when it lives on. */
void do_operation(const struct operation *table);

/* Each architecture's hostile.c: calls @run with its operands where the instruction wants them. */
uint64_t operate(uint64_t (*run)(uint64_t at, uint64_t with), uint64_t at, uint64_t with);

/* How many interrupts came, of any kind. */
extern volatile uint32_t interrupt_count;

/* Says that this guest is as it wants to be found by a stop. */
void say_holding(void);

/* With interrupts masked. */
void sleep_masked(void) __attribute__((noreturn));

/* IPIs to itself without end. */
void ipi_storm(void);

/* ---- pci.c: what a guest tries with its function 00:02.0; each says what came of it ---- */

/* All that is not zero in its configuration space. */
void pci_show(void);

/* Writes ones and zeroes, by 1, 2 and 4 bytes, everywhere in it. */
void pci_sweep(void);

/* Puts each BAR at `at=`, and asks for its size. */
void pci_move(void);

/* Writes to every function that it does not have. */
void pci_others(void);

/* Resets it by what its PCI Express capability has for that. */
void pci_reset(void);

/* ---- rng.c: a virtio-rng at 00:02.0, or an NVMe, whose queues of commands and completions are the available and used parts ---- */

/* Finds the device, and starts it with one queue. False when there is none. */
bool rng_start(void);

/* Where the queue's parts stand from now on; 0: in this guest's memory. The device has been started anew. */
bool rng_place(uint64_t descriptors, uint64_t available, uint64_t used);

/* Has it write 64 bytes to @at. True when it says within a second that it did. */
bool rng_write(uint64_t at);

/* Tells it of a request, and does not wait. */
void rng_kick(void);

/* Seconds after which an answer of the device, or its interrupt, does not come any more; 1 at first. */
extern uint32_t device_patience;
#define BUSY_HOST 60 /* where silence is an error and an emulator may take its time */

/* 64 bytes that a good request goes to. */
extern uint8_t rng_buffer[64];

/* Message @vector of its MSI-X table: @address and @data, not masked; the queue uses vector 0. */
void rng_message(uint32_t vector, uint64_t address, uint32_t data);

/* ---- nvme.c: the same for rng.c, where the device is an NVMe with its registers at @bar ---- */

bool nvme_start(uint64_t bar);
bool nvme_place(uint64_t commands, uint64_t completions);
bool nvme_write(uint64_t at);
void nvme_kick(void);

/* ---- device.c: a guest that drives it; each architecture's device.c ---- */

/* All that its interrupts need, and the device. False when there is none. */
bool device_begin(void);

/* Its message 0 becomes an interrupt of vCPU 0. */
void device_route(void);

/* An interrupt that is not the console's. */
void device_interrupt(uint32_t interrupt);

/* How many came of message 0, and others. */
uint32_t device_interrupts(void);
uint32_t device_strays(void);

/* The console's, of which not each is a byte. */
extern volatile uint32_t console_interrupts;

/* True when within device_patience as many have come as that; @count 0: when none comes in a tenth of one. */
bool device_wait(uint32_t count);

/* ======== From here on each architecture's ======== */

/* ---- what the hypervisor told the guest ---- */

struct range {
	uint64_t from;
	uint64_t size;
};

/* Takes down what @boot holds; returns the arguments. */
const char *guest_boot(const void *boot);

/* RAM that no image lies in: at most @max ranges; returns how many. */
#define FREE_RANGES 4
unsigned guest_free_memory(struct range *free, unsigned max);

/* ---- console ---- */

void console_put(char c);

/* The next character typed; -1 when there is none. */
int console_get(void);

/* Interrupts for what is typed. */
void console_interrupt_on(void);

/* ---- interrupts ---- */

/*
 * Called for every interrupt, between acknowledge and end; each guest has one. IPIs are 0 to 15, the timer is
 * TIMER_INTERRUPT, the console what console_interrupt() says, all others are strays.
 */
void handle_interrupt(uint32_t interrupt);
uint32_t console_interrupt(void);

/* This vCPU's interrupt controller on; interrupts unmasked. */
void interrupts_on(void);

/* @vcpu takes IPI @ipi. */
void ipi_enable(uint32_t vcpu, uint32_t ipi);
void ipi_send(uint32_t vcpu, uint32_t ipi);

/*
 * guest_arch.h has: mask_all(), unmask_irq(), wait_for_interrupt(), and sleep_once(), which is called with interrupts
 * masked, sleeps until there is one, takes it, and masks them again.
 */

/* ---- time ---- */

uint64_t clock_now(void);
uint64_t clock_hertz(void);

/* A tick every 1 / @hertz seconds; handle_interrupt() calls timer_next() for each, or timer_off(). Late ones are made up for. */
void timer_on(uint64_t hertz);
void timer_next(void);
void timer_off(void);

/* ---- vCPUs ---- */

/* What this vCPU knows itself by: MPIDR affinity or APIC id. */
uint64_t cpu_id(void);

/* Starts vCPU 1 in @function; when that returns it goes off again. 0, or the error. */
int64_t second_on(void (*function)(void));
bool second_is_off(void);

void cpu_off(void) __attribute__((noreturn));
void system_off(void) __attribute__((noreturn));
void system_reset(void) __attribute__((noreturn));

#include "guest_arch.h"

#endif
