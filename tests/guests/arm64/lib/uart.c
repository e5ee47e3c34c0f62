/* SPDX-License-Identifier: Apache-2.0 */
#include "guest.h"

void console_put(char c)
{
	while ((read32(GUEST_UART_BASE + UART_FR) & UART_FR_TXFF) != 0)
		;
	write32(GUEST_UART_BASE + UART_DR, (uint8_t)c);
}

int console_get(void)
{
	if ((read32(GUEST_UART_BASE + UART_FR) & UART_FR_RXFE) != 0)
		return -1;
	return (int)(read32(GUEST_UART_BASE + UART_DR) & 0xff);
}

void console_interrupt_on(void)
{
	write32(GUEST_UART_BASE + UART_IMSC, UART_INT_RX);
	gic_enable(0, console_interrupt(), 0x80);
}
