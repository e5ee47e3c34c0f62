/* SPDX-License-Identifier: Apache-2.0 */
/* I/O ports: a guest has a console, a reset and a power switch. All other ports are empty. */
#include "x86.h"

#define KEYBOARD_COMMAND 0x64
#define KEYBOARD_RESET 0xfe
#define RESET_NOW 0x04 /* of the reset control register 0xcf9: RST_CPU */
#define SLEEP_TYPE(value) ((value) >> 2 & 7) /* ACPI 6.5 4.8.3.7 */
#define SLEEP_ENABLE 0x20

/* What an empty port must not read as: all ones would keep a kernel waiting for hardware it only looks for. */
static const struct {
	uint16_t port;
	uint8_t value;
} quiet[] = {
	{0x42, 0x00}, /* PIT channel 2 */
	{0x61, 0x20}, /* its output */
	{KEYBOARD_COMMAND, 0x00}, /* nothing in either buffer */
	{0x71, 0x00}, /* no update in progress */
};

static uint32_t read_empty(uint32_t port, uint32_t size)
{
	for (uint32_t i = 0; i < ARRAY_SIZE(quiet); i++)
		if (quiet[i].port == port)
			return quiet[i].value;
	return UINT32_MAX >> (32 - 8 * size);
}

static bool is_console(const struct guest_exit *exit)
{
	return vm_plan(exit->cpu->vm)->console != 0 && exit->hw.size == 1 &&
	       exit->hw.port - GUEST_X86_CONSOLE_PORT < 8;
}

static uint32_t read_port(struct guest_exit *exit)
{
	if (is_console(exit))
		return console_read(exit->cpu->vm, exit->hw.port - GUEST_X86_CONSOLE_PORT);
	if (exit->hw.port == GUEST_X86_SLEEP_PORT || exit->hw.port == GUEST_X86_SLEEP_PORT + 1)
		return 0;
	return read_empty(exit->hw.port, exit->hw.size);
}

static void leave(struct guest_exit *exit, enum vcpu_result result)
{
	exit->result = result;
	exit->leave = true;
}

static void write_port(struct guest_exit *exit, uint32_t value)
{
	uint32_t port = exit->hw.port;

	if (is_console(exit))
		console_write(exit->cpu->vm, port - GUEST_X86_CONSOLE_PORT, (uint8_t)value);
	else if ((port == GUEST_X86_RESET_PORT && (value & RESET_NOW) != 0) ||
		 (port == KEYBOARD_COMMAND && (value & 0xff) == KEYBOARD_RESET))
		leave(exit, VCPU_SYSTEM_RESET);
	else if (port == GUEST_X86_SLEEP_PORT && (value & SLEEP_ENABLE) != 0 &&
		 SLEEP_TYPE(value) == GUEST_X86_SLEEP_S5)
		leave(exit, VCPU_SYSTEM_OFF);
}

void port_access(struct guest_exit *exit)
{
	uint64_t *rax = &exit->cpu->arch.regs[REG_RAX];
	uint32_t mask = UINT32_MAX >> (32 - 8 * exit->hw.size);

	exit->reason = is_console(exit) ? EXIT_CONSOLE : EXIT_PORT;
	if (exit->hw.string) {
		exit->illegal = "string instruction on an I/O port";
		return;
	}
	/* 4 bytes clear the upper half of RAX, fewer leave the rest of it (SDM vol. 1 3.4.1.1). */
	if (exit->hw.write)
		write_port(exit, (uint32_t)*rax & mask);
	else
		*rax = (exit->hw.size == 4 ? 0 : *rax & ~(uint64_t)mask) | (read_port(exit) & mask);
	skip(exit);
}
