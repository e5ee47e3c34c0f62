/* SPDX-License-Identifier: Apache-2.0 */
/* The machine's own UART: a 16550 at I/O ports, as the firmware set it up. */
#include "x86.h"

#define MCR_DTR_RTS_OUT2 0x0b /* OUT2 lets the interrupt through on a PC */

static uint16_t port(uint32_t reg)
{
	return (uint16_t)(machine_facts()->uart.v + reg);
}

void arch_uart_put(char c)
{
	if (machine_facts()->uart.v == 0)
		return;
	while ((in8(port(UART_LSR)) & LSR_TX_EMPTY) == 0)
		arch_pause();
	out8(port(UART_DATA), (uint8_t)c);
}

/* An empty FIFO arms the interrupt, so that the next character wakes arch_wait(). */
int arch_uart_get(void)
{
	if (machine_facts()->uart.v == 0)
		return -1;
	if ((in8(port(UART_LSR)) & LSR_RX) != 0)
		return in8(port(UART_DATA));
	out8(port(UART_MCR), MCR_DTR_RTS_OUT2);
	out8(port(UART_IER), IER_RX);
	return -1;
}
