/* SPDX-License-Identifier: Apache-2.0 */
/* A guest's console: the SBSA subset of the PL011 (SBSA 1.2 appendix B). Output never blocks. */
#include "arm64.h"

#define UART_DR 0x00
#define UART_FR 0x18
#define UART_IMSC 0x38
#define UART_RIS 0x3c
#define UART_MIS 0x40

#define FR_RXFE (1U << 4)
#define FR_TXFE (1U << 7)
#define INT_RX (1U << 4)
#define INT_TX (1U << 5)
#define INT_RX_TIMEOUT (1U << 6)

static uint32_t raw_interrupts(struct vm *vm)
{
	return INT_TX | (console_pending(vm) ? INT_RX | INT_RX_TIMEOUT : 0);
}

/* The console's and the hot-plug ports' together. */
static bool line(struct vm *vm)
{
	uint32_t enabled = __atomic_load_n(&vm->shared.arch.uart_imsc, __ATOMIC_RELAXED);

	return (raw_interrupts(vm) & enabled) != 0 ||
	       __atomic_load_n(&vm->shared.ports_raised, __ATOMIC_RELAXED) != 0;
}

/*
 * The line's level, set anew after whatever may have changed it; pending state stands in for a wire.
 * Who was overtaken by another core's change sets it once more.
 */
static void update_line(struct vm *vm)
{
	bool level;

	do {
		level = line(vm);
		gic_spi_pend(vm_plan(vm)->console_irq, level);
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
	} while (line(vm) != level);
}

void arch_console_notify(struct vm *vm)
{
	update_line(vm);
}

void arch_port_notify(struct vm *vm, uint32_t address, uint32_t data)
{
	(void)address;
	(void)data;
	update_line(vm);
}

static uint32_t read_register(struct vm *vm, uint64_t offset)
{
	int byte;

	switch (offset) {
	case UART_DR:
		byte = console_get(vm);
		update_line(vm);
		return byte < 0 ? 0 : (uint32_t)byte;
	case UART_FR:
		return FR_TXFE | (console_pending(vm) ? 0 : FR_RXFE);
	case UART_IMSC:
		return vm->shared.arch.uart_imsc;
	case UART_RIS:
		return raw_interrupts(vm);
	case UART_MIS:
		return raw_interrupts(vm) & vm->shared.arch.uart_imsc;
	default:
		return 0;
	}
}

const char *sbsa_uart(struct vm *vm, struct mmio *access)
{
	if (!access->write) {
		access->value = read_register(vm, access->offset);
	} else if (access->offset == UART_DR) {
		console_put(vm, (uint8_t)access->value);
	} else if (access->offset == UART_IMSC) {
		__atomic_store_n(&vm->shared.arch.uart_imsc, (uint32_t)access->value & 0x7ff,
				 __ATOMIC_RELAXED);
		update_line(vm);
	}
	return NULL;
}
