/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest's console: a 16550 at COM1's ports, whose interrupt is an MSI of PCI
 * function 00:01.0 (docs/decisions/0005-x86.md). Output never blocks.
 */
#include "x86.h"

#define DIVISOR 1 /* 115200 baud */
#define IER_TX_EMPTY 0x02
#define IIR_NONE 0x01
#define IIR_TX_EMPTY 0x02
#define IIR_RX 0x04
#define IIR_FIFO 0xc0
#define FCR_FIFO 0x01
#define LCR_DLAB 0x80
#define MCR_LOOP 0x10
#define LSR_TX_IDLE 0x60 /* the shift register is empty too */
#define MSR_CTS_DSR_DCD 0xb0

/* ---- the PCI function, whose configuration space is memory: PCIe 6.0 7.7.1 ---- */

#define MSI_ENABLE (1U << 16)

static uint32_t config_word(const struct vm *vm, uint32_t offset)
{
	const uint8_t *page = pa_to_ptr(console_page(vm));

	return __atomic_load_n((const uint32_t *)(const void *)(page + offset), __ATOMIC_RELAXED);
}

/* Sends the MSI as the guest has set it up, if that names one of its own cores; false when it does not. */
static bool send_msi(const struct vm *vm)
{
	uint32_t data = config_word(vm, GUEST_X86_CONSOLE_MSI + 8);
	uint64_t hwid;

	if ((config_word(vm, GUEST_X86_CONSOLE_MSI) & MSI_ENABLE) == 0 ||
	    !msi_target(vm, config_word(vm, GUEST_X86_CONSOLE_MSI + 4), data, &hwid))
		return false;
	apic_send(hwid, data & 0xff);
	return true;
}

/* ---- the 16550: NS16550A data sheet, 8.0 ---- */

/* What it has an interrupt for. */
static uint8_t cause(struct vm *vm)
{
	const struct arch_vm *arch = &vm->shared.arch;

	if ((arch->uart[UART_IER] & IER_RX) != 0 && console_pending(vm))
		return IIR_RX;
	if ((arch->uart[UART_IER] & IER_TX_EMPTY) != 0 && arch->uart_empty != 0)
		return IIR_TX_EMPTY;
	return IIR_NONE;
}

/*
 * After whatever may have changed the line. An MSI has no level: it is sent
 * once, and again only after the line was seen low. Lowering it comes before
 * the second look, so that input that arrives in between raises it.
 */
void arch_port_notify(struct vm *vm, uint32_t address, uint32_t data)
{
	uint64_t hwid;

	if (msi_target(vm, address, data, &hwid))
		apic_send(hwid, data & 0xff);
}

void arch_console_notify(struct vm *vm)
{
	uint32_t *raised = &vm->shared.arch.uart_raised;

	if (cause(vm) == IIR_NONE)
		__atomic_store_n(raised, 0, __ATOMIC_SEQ_CST);
	if (cause(vm) != IIR_NONE && __atomic_exchange_n(raised, 1, __ATOMIC_SEQ_CST) == 0 &&
	    !send_msi(vm))
		__atomic_store_n(raised, 0, __ATOMIC_SEQ_CST);
}

static uint8_t read_data(struct vm *vm)
{
	int byte = console_get(vm);

	return byte < 0 ? 0 : (uint8_t)byte;
}

/* Reading "transmitter empty" takes that interrupt back. */
static uint8_t identify(struct vm *vm)
{
	struct arch_vm *arch = &vm->shared.arch;
	uint8_t found = cause(vm);

	if (found == IIR_TX_EMPTY)
		arch->uart_empty = 0;
	return (arch->uart[UART_IIR_FCR] & FCR_FIFO) != 0 ? found | IIR_FIFO : found;
}

/* In loop-back the modem's lines are the control register's. */
static uint8_t modem(uint8_t mcr)
{
	if ((mcr & MCR_LOOP) == 0)
		return MSR_CTS_DSR_DCD;
	return (uint8_t)((mcr & 1) << 5 | (mcr & 2) << 3 | (mcr & 0xc) << 4);
}

static uint8_t read_register(struct vm *vm, uint32_t offset)
{
	const uint8_t *uart = vm->shared.arch.uart;

	if ((uart[UART_LCR] & LCR_DLAB) != 0 && offset <= UART_IER)
		return offset == UART_DATA ? DIVISOR : 0;
	switch (offset) {
	case UART_DATA:
		return read_data(vm);
	case UART_IIR_FCR:
		return identify(vm);
	case UART_LSR:
		return console_pending(vm) ? LSR_TX_IDLE | LSR_RX : LSR_TX_IDLE;
	case UART_MSR:
		return modem(uart[UART_MCR]);
	default:
		return uart[offset];
	}
}

uint8_t console_read(struct vm *vm, uint32_t offset)
{
	uint8_t value = read_register(vm, offset);

	arch_console_notify(vm);
	return value;
}

static void write_register(struct vm *vm, uint32_t offset, uint8_t value)
{
	/* Data is gone, the status is not a guest's to write. */
	static const uint8_t kept[8] = {0, 0x0f, 0xff, 0xff, 0x1f, 0, 0, 0xff};
	struct arch_vm *arch = &vm->shared.arch;

	if ((arch->uart[UART_LCR] & LCR_DLAB) != 0 && offset <= UART_IER)
		return; /* it has no wire, so no speed */
	if (offset == UART_DATA && (arch->uart[UART_MCR] & MCR_LOOP) == 0)
		console_put(vm, value);
	if (offset == UART_DATA ||
	    (offset == UART_IER && (value & ~arch->uart[UART_IER] & IER_TX_EMPTY) != 0))
		arch->uart_empty = 1;
	arch->uart[offset] = value & kept[offset];
}

void console_write(struct vm *vm, uint32_t offset, uint8_t value)
{
	write_register(vm, offset, value);
	arch_console_notify(vm);
}
