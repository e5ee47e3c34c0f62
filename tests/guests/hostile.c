/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest that breaks the rules, one at a time: `do=NAME at=ADDRESS with=VALUE`. When it lives on, it says what came of
 * it. What an abort must name as its pc is the symbol op_NAME of hostile.elf. Most rules are an architecture's.
 */
#include "guest.h"

volatile uint32_t interrupt_count;

void handle_interrupt(uint32_t interrupt)
{
	(void)interrupt;
	interrupt_count++;
}

void do_operation(const struct operation *table)
{
	uint64_t at = argument_number("at", 0);
	uint64_t with = argument_number("with", 0);

	while (table->name != NULL && !is_word(argument("do"), table->name))
		table++;
	if (table->name == NULL) {
		say("unknown: %s\n", argument("do"));
		return;
	}
	if (table->prepare != NULL)
		table->prepare(&at, &with);
	say("survived: %x\n", operate(table->run, at, with));
}

static void reset_loop(void)
{
	system_reset();
}

static void flood(void)
{
	for (uint64_t line = 0;; line++)
		say("flood %u ................................................................\n",
		    line);
}

/* ---- those who do not want to stop, and those who do ---- */

void say_holding(void)
{
	say("holding\n");
}

static void spin(void)
{
	mask_all();
	say_holding();
	FOREVER __asm__ volatile("");
}

void sleep_masked(void)
{
	mask_all();
	say_holding();
	FOREVER wait_for_interrupt();
}

static void sleep_on(void)
{
	interrupts_on();
	sleep_masked();
}

/* With the interrupt controller as it is at reset. */
static void sleep_at_reset(void)
{
	sleep_masked();
}

static void busy(void)
{
	interrupts_on();
	say_holding();
	FOREVER __asm__ volatile("");
}

static void idle(void)
{
	interrupts_on();
	say_holding();
	FOREVER wait_for_interrupt();
}

static void all_off(void)
{
	say_holding();
	cpu_off();
}

void ipi_storm(void)
{
	interrupts_on();
	for (uint32_t ipi = 0; ipi < 16; ipi++)
		ipi_enable(0, ipi);
	say_holding();
	for (uint32_t ipi = 0;; ipi = (ipi + 1) % 16)
		ipi_send(0, ipi);
}

const struct behaviour behaviours[] = {
	{"pci-show", pci_show},
	{"pci-sweep", pci_sweep},
	{"pci-move", pci_move},
	{"pci-others", pci_others},
	{"pci-reset", pci_reset},
	{"reset-loop", reset_loop},
	{"flood", flood},
	{"spin", spin},
	{"sleep", sleep_on},
	{"sleep-at-reset", sleep_at_reset},
	{"busy", busy},
	{"idle", idle},
	{"all-off", all_off},
	{"ipi-storm", ipi_storm},
	{NULL, NULL},
};
