/* SPDX-License-Identifier: Apache-2.0 */
#include "guest.h"

#include <stdarg.h>

static void put(char c)
{
	while ((read32(GUEST_UART_BASE + UART_FR) & UART_FR_TXFF) != 0)
		;
	write32(GUEST_UART_BASE + UART_DR, (uint8_t)c);
}

static void put_number(uint64_t value, unsigned base)
{
	char digits[20];
	size_t n = 0;

	do {
		digits[n++] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value != 0);
	while (n != 0)
		put(digits[--n]);
}

void say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	for (; *format != '\0'; format++) {
		if (*format != '%') {
			put(*format);
			continue;
		}
		switch (*++format) {
		case 's':
			for (const char *s = va_arg(args, const char *); *s != '\0'; s++)
				put(*s);
			break;
		case 'c':
			put((char)va_arg(args, int));
			break;
		case 'u':
			put_number(va_arg(args, uint64_t), 10);
			break;
		default:
			put('0');
			put('x');
			put_number(va_arg(args, uint64_t), 16);
			break;
		}
	}
	va_end(args);
}

int uart_get(void)
{
	if ((read32(GUEST_UART_BASE + UART_FR) & UART_FR_RXFE) != 0)
		return -1;
	return (int)(read32(GUEST_UART_BASE + UART_DR) & 0xff);
}
