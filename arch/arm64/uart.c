/* SPDX-License-Identifier: Apache-2.0 */
/* The machine's own UART: a PL011 or its SBSA subset (DDI 0183), as the firmware set it up. */
#include "arm64.h"

#define UART_DR 0x00
#define UART_FR 0x18
#define UART_IMSC 0x38

#define FR_RXFE (1U << 4)
#define FR_TXFF (1U << 5)
#define INT_RX (1U << 4 | 1U << 6)

static volatile uint32_t *reg(uint32_t offset)
{
	return (volatile uint32_t *)(uintptr_t)(machine_facts()->uart.v + offset);
}

void arch_uart_put(char c)
{
	if (machine_facts()->uart.v == 0)
		return;
	while ((*reg(UART_FR) & FR_TXFF) != 0)
		arch_pause();
	*reg(UART_DR) = (uint8_t)c;
}

/* An empty FIFO arms the interrupt, so that the next character wakes arch_wait(). */
int arch_uart_get(void)
{
	if (machine_facts()->uart.v == 0)
		return -1;
	if ((*reg(UART_FR) & FR_RXFE) == 0)
		return (int)(*reg(UART_DR) & 0xff);
	*reg(UART_IMSC) = INT_RX;
	return -1;
}
