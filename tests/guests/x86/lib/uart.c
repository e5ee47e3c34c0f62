/* SPDX-License-Identifier: Apache-2.0 */
/* The console: a 16550 behind ports, whose interrupt is an MSI of PCI function 00:01.0. */
#include "guest.h"

#define CONFIG (GUEST_X86_ECAM_BASE + (GUEST_X86_CONSOLE_DEVFN << 12))
#define CONFIG_CAPABILITIES 0x34
#define CAP_MSI 5 /* PCI 3.0 6.8.1 */
#define MSI_CONTROL 2
#define MSI_ENABLE 1
#define MSI_64_BIT 0x80
#define MSI_ADDRESS 4
#define MSI_WINDOW 0xfee00000ULL

#define IER_DATA 1
#define MCR_INTERRUPT 0x0b /* DTR, RTS, OUT2 */
#define CONSOLE_VECTOR 0x60

#define CONFIG8(at) (*(volatile uint8_t *)(uintptr_t)(at))
#define CONFIG16(at) (*(volatile uint16_t *)(uintptr_t)(at))
#define CONFIG32(at) (*(volatile uint32_t *)(uintptr_t)(at))

void console_put(char c)
{
	while ((in8(uart_port(UART_LSR)) & UART_LSR_EMPTY) == 0)
		;
	out8(uart_port(UART_RBR), (uint8_t)c);
}

int console_get(void)
{
	if ((in8(uart_port(UART_LSR)) & UART_LSR_DATA) == 0)
		return -1;
	return in8(uart_port(UART_RBR));
}

static uint64_t find_msi(void)
{
	uint8_t at = CONFIG8(CONFIG + CONFIG_CAPABILITIES);

	for (int i = 0; i < 48 && at >= 0x40 && at != 0xff; i++) {
		if (CONFIG8(CONFIG + at) == CAP_MSI)
			return CONFIG + at;
		at = CONFIG8(CONFIG + at + 1U);
	}
	return 0;
}

bool console_msi(uint64_t address, uint16_t data)
{
	uint64_t msi = find_msi();
	uint16_t control;

	if (msi == 0)
		return false;
	control = CONFIG16(msi + MSI_CONTROL);
	CONFIG32(msi + MSI_ADDRESS) = (uint32_t)address;
	if ((control & MSI_64_BIT) != 0) {
		CONFIG32(msi + MSI_ADDRESS + 4) = (uint32_t)(address >> 32);
		CONFIG16(msi + MSI_ADDRESS + 8) = data;
	} else {
		CONFIG16(msi + MSI_ADDRESS + 4) = data;
	}
	CONFIG16(msi + MSI_CONTROL) = control | MSI_ENABLE;
	return true;
}

uint32_t console_interrupt(void)
{
	return CONSOLE_VECTOR - VECTOR_BASE;
}

void console_interrupt_on(void)
{
	if (!console_msi(MSI_WINDOW | cpu_id() << 12, CONSOLE_VECTOR))
		say("console: no MSI\n");
	out8(uart_port(UART_MCR), MCR_INTERRUPT);
	out8(uart_port(UART_IER), IER_DATA);
}
