/* SPDX-License-Identifier: Apache-2.0 */
/* The operator's prompt on the UART, for as long as no card is connected (CONFIG_OPERATOR_PROMPT). */
#include "core.h"

#include <bulkhead/format.h>

#include <string.h>

#define ESCAPE 0x1d /* Ctrl-] leaves a console */

static char line[80];
static uint32_t length;
static struct vm *attached;
static bool waiting; /* the prompt stands on the screen */

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void say(const char *format, ...)
{
	char text[200];
	va_list args;

	va_start(args, format);
	bh_vformat(text, sizeof(text), format, args);
	va_end(args);
	uart_text(text);
}

static void do_list(void)
{
	const struct plan *plan = machine_plan();

	for (uint32_t i = 0; i < plan->nvms; i++) {
		const struct plan_vm *vm = &plan->vm[i];

		if (vm_record(i) == NULL)
			continue;
		say("%-16s %-12s %4lu MiB  cores", vm->name,
		    vm_state_name((enum vm_state)vm_record(i)->state), plan_vm_memory(vm) / MIB);
		for (uint32_t c = 0; c < vm->ncores; c++)
			say(" %u", vm->core[c]);
		say("\n");
	}
}

static enum bh_error stop(struct vm *vm)
{
	return vm_end(vm, "asked by the operator");
}

static void do_stats(void)
{
	static const char *const reasons[] = {
#define EXIT_TEXT(name, text) [name] = text,
		EXIT_REASONS(EXIT_TEXT)
#undef EXIT_TEXT
	};
	const struct plan *plan = machine_plan();

	for (uint32_t i = 0; i < plan->nvms; i++) {
		for (uint32_t c = 0; c < plan->vm[i].ncores; c++) {
			const struct cpu *cpu = cpu_record(plan->vm[i].core[c]);
			uint64_t total = 0;

			for (uint32_t r = 0; r < EXIT_REASON_COUNT; r++)
				total += cpu->exits[r];
			say("%s core %u: %lu exits:", plan->vm[i].name, cpu->index, total);
			for (uint32_t r = 0; r < EXIT_REASON_COUNT; r++)
				say(" %s %lu", reasons[r], cpu->exits[r]);
			say("\n");
		}
	}
}

static void do_memory(void)
{
	static const char *const kinds[] = {"free", "hypervisor", "images", "VM"};
	const struct ledger *ledger = machine_ledger();

	for (uint32_t i = 0; i < ledger->count; i++) {
		const struct ledger_entry *e = &ledger->entry[i];

		say("0x%010lx %6lu KiB  %s", e->extent.base.v, e->extent.size / KIB,
		    kinds[e->kind]);
		if (e->kind == OWNER_VM)
			say(" %s, %s", machine_plan()->vm[e->vm].name,
			    vm_state_name((enum vm_state)vm_record(e->vm)->state));
		say("\n");
	}
	enum bh_error error = ledger_check(ledger, machine_plan());
	say("ledger: %s\n", error == BH_OK ? "agrees with the plan" : bh_strerror(error));
}

static enum bh_error attach(struct vm *vm)
{
	if (vm_plan(vm)->console == 0) {
		say("%s has no console\n", vm_plan(vm)->name);
		return BH_OK;
	}
	say("console of %s; Ctrl-] leaves it\n", vm_plan(vm)->name);
	attached = vm;
	console_input(vm, '\r'); /* so that a shell shows its prompt again */
	return BH_OK;
}

static void do_help(void);

/* Of the machine, or of the VM that is its argument. */
static const struct command {
	const char *name;
	const char *help;
	void (*run)(void);
	enum bh_error (*run_vm)(struct vm *vm);
} commands[] = {
	{"list", "VMs, their states, memory and cores", do_list, NULL},
	{"start", "start a stopped VM", NULL, vm_launch},
	{"stop", "stop a VM and scrub its memory", NULL, stop},
	{"load", "put the images into a stopped VM, to start it later", NULL, vm_load},
	{"stats", "exits of every VM by reason", do_stats, NULL},
	{"memory", "who owns which memory", do_memory, NULL},
	{"console", "attach to a VM's console; Ctrl-] leaves it", NULL, attach},
	{"poweroff", "switch the machine off", arch_power_off, NULL},
	{"help", "this list", do_help, NULL},
};

static const char *argument_of(const struct command *command)
{
	return command->run_vm != NULL ? "VM" : "";
}

static void do_help(void)
{
	for (uint32_t i = 0; i < ARRAY_SIZE(commands); i++)
		say("%-9s %-3s %s\n", commands[i].name, argument_of(&commands[i]),
		    commands[i].help);
}

static void run_vm(const struct command *command, const char *name)
{
	struct vm *vm = vm_find(name);
	enum bh_error error = vm != NULL ? command->run_vm(vm) : BH_NO_SUCH_VM;

	log_drain();
	if (error != BH_OK)
		say("%s\n", bh_strerror(error));
}

static void run_line(void)
{
	char *argument = strchr(line, ' ');
	const struct command *command = commands;

	if (line[0] == '\0')
		return;
	if (argument != NULL)
		*argument++ = '\0';
	while (command < commands + ARRAY_SIZE(commands) && strcmp(command->name, line) != 0)
		command++;
	if (command == commands + ARRAY_SIZE(commands))
		say("%s: not a command; 'help' lists them\n", line);
	else if ((command->run_vm != NULL) != (argument != NULL))
		say("usage: %s %s\n", line, argument_of(command));
	else if (argument != NULL)
		run_vm(command, argument);
	else
		command->run();
}

static void edit(char c)
{
	if (c == '\r' || c == '\n') {
		say("\n");
		line[length] = '\0';
		length = 0;
		waiting = false;
		run_line();
		line[0] = '\0';
	} else if ((c == 0x7f || c == '\b') && length > 0) {
		line[--length] = '\0';
		say("\b \b");
	} else if (c >= ' ' && c < 0x7f && length < sizeof(line) - 1) {
		line[length++] = c;
		line[length] = '\0';
		arch_uart_put(c);
	}
}

static bool show_console(void)
{
	char bytes[sizeof(attached->line)];
	uint32_t count = console_take(attached, bytes, sizeof(bytes));

	for (uint32_t i = 0; i < count; i++)
		arch_uart_put(bytes[i]);
	return count != 0;
}

static void detach(void)
{
	attached = NULL;
	say("\nleft the console\n");
	system_manager_service();
}

void prompt_flush(struct vm *vm)
{
	while (attached == vm && show_console())
		;
}

bool prompt_attached(void)
{
	return attached != NULL;
}

void prompt_hide(void)
{
	if (waiting)
		say("\r\033[K");
}

void prompt_show(void)
{
	if (waiting)
		say("bulkhead> %s", line);
}

bool prompt_poll(void)
{
	static bool greeted;
	bool worked = attached != NULL && show_console();

	if (attached != NULL && attached->state != VM_RUNNING)
		detach();
	if (!greeted)
		say("operator prompt; 'help' lists the commands\n");
	greeted = true;
	if (attached == NULL && !waiting) {
		waiting = true;
		prompt_show();
	}
	int c = arch_uart_get();

	if (c < 0)
		return worked;
	if (attached == NULL)
		edit((char)c);
	else if (c == ESCAPE)
		detach();
	else
		console_input(attached, (uint8_t)c);
	return true;
}
