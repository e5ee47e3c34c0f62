/* SPDX-License-Identifier: Apache-2.0 */
#include "core.h"

#include <bulkhead/format.h>

#include <string.h>

#define RING_SIZE (CONFIG_LOG_RING_KIB * KIB)

static char ring[RING_SIZE];
static uint32_t lock;
static uint32_t head; /* written under the lock */
static struct {
	uint32_t tail; /* what it has not taken; moves under the lock */
	uint32_t dropped; /* lines that made way for newer ones */
} readers[LOG_READERS];
static bool have_uart;
static uint32_t panicking;

void log_start(const struct machine *machine)
{
	have_uart = machine->uart.v != 0;
}

uint64_t microseconds(uint64_t ticks)
{
	uint64_t rate = arch_tick_rate();

	return ticks / rate * 1000000 + ticks % rate * 1000000 / rate;
}

/* A whole line but for its newline. Its length. */
static size_t compose(char line[LOG_LINE_MAX], const char *prefix, const char *format, va_list args)
{
	uint64_t now = microseconds(arch_ticks());
	const struct cpu *cpu = arch_this_cpu();
	size_t used =
		bh_format(line, LOG_LINE_MAX, "[%5u.%06u] core%u: %s", (unsigned)(now / 1000000),
			  (unsigned)(now % 1000000), cpu != NULL ? cpu->index : 0, prefix);

	used += bh_vformat(line + used, LOG_LINE_MAX - used, format, args);
	return used < LOG_LINE_MAX ? used : LOG_LINE_MAX - 1;
}

static size_t line_at(uint32_t at)
{
	size_t length = 0;

	while (ring[(at + length) % RING_SIZE] != '\n')
		length++;
	return length + 1;
}

/* A reader that has not kept up loses its oldest lines: it holds up neither us nor the other one. */
static void append(const char *line, size_t length)
{
	spin_lock(&lock);
	for (uint32_t r = 0; r < LOG_READERS; r++)
		for (; RING_SIZE - (head - readers[r].tail) < length + 1; readers[r].dropped++)
			readers[r].tail += (uint32_t)line_at(readers[r].tail);
	for (size_t i = 0; i < length; i++)
		ring[(head + i) % RING_SIZE] = line[i];
	ring[(head + length) % RING_SIZE] = '\n';
	store_release(&head, head + (uint32_t)length + 1);
	spin_unlock(&lock);
}

void log_line(const char *format, ...)
{
	char line[LOG_LINE_MAX];
	va_list args;

	va_start(args, format);
	append(line, compose(line, "", format, args));
	va_end(args);
}

bool log_pending(void)
{
	return readers[LOG_UART].tail != load_acquire(&head);
}

bool log_take(enum log_reader reader, char *text, size_t size, uint32_t *lost)
{
	uint32_t *tail = &readers[reader].tail;
	bool locked = load_acquire(&panicking) == 0; /* a panic waits for nobody */
	size_t used = 0, length;

	if (locked)
		spin_lock(&lock);
	/* Signed: without the lock both sides may move the tail, and so past the head. */
	while ((int32_t)(head - *tail) > 0 && used + (length = line_at(*tail)) < size)
		for (size_t i = 0; i < length; i++)
			text[used++] = ring[(*tail)++ % RING_SIZE];
	*lost = readers[reader].dropped;
	readers[reader].dropped = 0;
	if (locked)
		spin_unlock(&lock);
	text[used] = '\0';
	return used != 0;
}

void uart_text(const char *text)
{
	for (; *text != '\0'; text++) {
		if (*text == '\n')
			arch_uart_put('\r');
		arch_uart_put(*text);
	}
}

void log_drain(void)
{
	char text[LOG_LINE_MAX + 1], note[40];
	uint32_t lost;

	while (have_uart && log_take(LOG_UART, text, sizeof(text), &lost)) {
		if (lost != 0) {
			bh_format(note, sizeof(note), "(%u lines of the log dropped)\n", lost);
			uart_text(note);
		}
		uart_text(text);
	}
}

void bh_panic(const char *format, ...)
{
	char line[LOG_LINE_MAX];
	va_list args;

	/* The first panic is the cause; a second one, from another core or from here, would only hide it. */
	if (__atomic_exchange_n(&panicking, 1, __ATOMIC_ACQUIRE) == 0 && have_uart) {
		va_start(args, format);
		compose(line, "PANIC: ", format, args);
		va_end(args);
		log_drain();
		uart_text(line);
		uart_text("\n");
	}
	arch_halt();
}
