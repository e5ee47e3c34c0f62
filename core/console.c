/* SPDX-License-Identifier: Apache-2.0 */
/* The VMs' consoles: two rings each. The guest never waits for the system manager. */
#include "core.h"

#include <string.h>

void console_put(struct vm *vm, uint8_t byte)
{
	struct console *c = &vm->shared.console;

	spin_lock(&c->tx_lock);
	uint32_t head = c->tx_head;
	if (head - load_acquire(&c->tx_tail) < CONSOLE_TX_SIZE) {
		vm->tx[head % CONSOLE_TX_SIZE] = byte;
		store_release(&c->tx_head, head + 1);
	} else {
		c->dropped++;
	}
	spin_unlock(&c->tx_lock);
	/* With the fence in take(): either it sees this byte, or we see that it had taken all before. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (load_acquire(&c->tx_tail) == head)
		system_manager_wake();
}

int console_get(struct vm *vm)
{
	struct console *c = &vm->shared.console;
	uint32_t tail = c->rx_tail;

	if (tail == load_acquire(&c->rx_head))
		return -1;
	uint8_t byte = c->rx[tail % CONSOLE_RX_SIZE];
	store_release(&c->rx_tail, tail + 1);
	return byte;
}

bool console_pending(struct vm *vm)
{
	struct console *c = &vm->shared.console;

	return c->rx_tail != load_acquire(&c->rx_head);
}

static uint32_t take(struct vm *vm, char *bytes, uint32_t size)
{
	struct console *c = &vm->shared.console;
	uint32_t tail = c->tx_tail;
	uint32_t used = load_acquire(&c->tx_head) - tail;

	if (used < size)
		size = used;
	for (uint32_t i = 0; i < size; i++)
		bytes[i] = (char)vm->tx[(tail + i) % CONSOLE_TX_SIZE];
	store_release(&c->tx_tail, tail + size);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return size;
}

uint32_t console_take(struct vm *vm, char *bytes, uint32_t size)
{
	uint32_t begun = vm->line_length;

	memcpy(bytes, vm->line, begun);
	vm->line_length = 0;
	return begun + take(vm, bytes + begun, size - begun);
}

bool console_input(struct vm *vm, uint8_t byte)
{
	struct console *c = &vm->shared.console;
	uint32_t head = c->rx_head;

	if (head - load_acquire(&c->rx_tail) == CONSOLE_RX_SIZE)
		return false;
	c->rx[head % CONSOLE_RX_SIZE] = byte;
	store_release(&c->rx_head, head + 1);
	arch_console_notify(vm);
	return true;
}

static void flush_line(struct vm *vm)
{
	vm->line[vm->line_length] = '\0';
	if (vm->line_length != 0)
		log_line("%s| %s", vm_plan(vm)->name, vm->line);
	vm->line_length = 0;
}

bool console_mirror(struct vm *vm)
{
	char bytes[64];
	uint32_t count = take(vm, bytes, sizeof(bytes));

	for (uint32_t i = 0; i < count; i++) {
		if (bytes[i] == '\n' || vm->line_length == sizeof(vm->line) - 1)
			flush_line(vm);
		if (bytes[i] >= ' ' || bytes[i] == '\t')
			vm->line[vm->line_length++] = bytes[i];
	}
	return count != 0;
}

void console_reset(struct vm *vm)
{
	struct console *c = &vm->shared.console;

	prompt_flush(vm);
	/* What is left for the card stays in the ring. */
	while (!control_open() && console_mirror(vm))
		;
	flush_line(vm);
	if (c->dropped != 0)
		log_line("%s: %u bytes of console output dropped", vm_plan(vm)->name, c->dropped);
	c->dropped = 0;
	c->rx_tail = c->rx_head;
}
