/* SPDX-License-Identifier: Apache-2.0 */
#include "core.h"

#include <bulkhead/format.h>

#include <string.h>

#define RING_SIZE (CONFIG_LOG_RING_KIB * KIB)
#define LINE_MAX 200

static char ring[RING_SIZE];
static uint32_t lock;
static uint32_t head; /* written under the lock */
static uint32_t tail; /* written by the system manager */
static uint32_t dropped;
static uint32_t card_tail; /* what the card has not been sent; moves under the lock */
static uint32_t card_dropped; /* lines that made way for newer ones */
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

static size_t stamp(char *line, size_t size)
{
	uint64_t now = microseconds(arch_ticks());
	const struct cpu *cpu = arch_this_cpu();

	return bh_format(line, size, "[%5u.%06u] core%u: ", (unsigned)(now / 1000000),
			 (unsigned)(now % 1000000), cpu != NULL ? cpu->index : 0);
}

static size_t line_at(uint32_t at)
{
	size_t length = 0;

	while (ring[(at + length) % RING_SIZE] != '\n')
		length++;
	return length + 1;
}

static void append(const char *line, size_t length)
{
	spin_lock(&lock);
	for (; RING_SIZE - (head - card_tail) < length + 1; card_dropped++)
		card_tail += (uint32_t)line_at(card_tail);
	if (RING_SIZE - (head - load_acquire(&tail)) < length + 1 && !have_uart)
		tail = head; /* nobody reads there */
	if (RING_SIZE - (head - load_acquire(&tail)) < length + 1) {
		dropped++;
	} else {
		for (size_t i = 0; i < length; i++)
			ring[(head + i) % RING_SIZE] = line[i];
		ring[(head + length) % RING_SIZE] = '\n';
		store_release(&head, head + (uint32_t)length + 1);
	}
	spin_unlock(&lock);
}

void log_line(const char *format, ...)
{
	char line[LINE_MAX];
	va_list args;
	size_t used = stamp(line, sizeof(line));

	va_start(args, format);
	used += bh_vformat(line + used, sizeof(line) - used, format, args);
	va_end(args);
	append(line, used < sizeof(line) ? used : sizeof(line) - 1);
}

bool log_pending(void)
{
	return tail != load_acquire(&head);
}

bool log_take(char *line, size_t size)
{
	uint32_t end = load_acquire(&head);
	uint32_t at = tail;
	size_t used = 0;

	if (at == end)
		return false;
	for (char c; at != end && (c = ring[at % RING_SIZE]) != '\n'; at++)
		if (used + 1 < size)
			line[used++] = c;
	line[used] = '\0';
	store_release(&tail, at + 1);
	return true;
}

bool log_take_lines(char *text, size_t size, uint32_t *lost)
{
	size_t used = 0, length;

	spin_lock(&lock);
	while (card_tail != head && used + (length = line_at(card_tail)) < size) {
		for (size_t i = 0; i < length; i++)
			text[used++] = ring[card_tail++ % RING_SIZE];
	}
	*lost = card_dropped;
	card_dropped = 0;
	spin_unlock(&lock);
	text[used] = '\0';
	return used != 0;
}

static void put_line(const char *line)
{
	for (; *line != '\0'; line++)
		arch_uart_put(*line);
	arch_uart_put('\r');
	arch_uart_put('\n');
}

void log_drain(void)
{
	char line[LINE_MAX + 1];

	if (!have_uart)
		return;
	while (log_take(line, sizeof(line)))
		put_line(line);
	uint32_t lost = __atomic_exchange_n(&dropped, 0, __ATOMIC_RELAXED);
	if (lost != 0) {
		bh_format(line, sizeof(line), "(%u lines of the log dropped)", lost);
		put_line(line);
	}
}

void bh_panic(const char *format, ...)
{
	char line[LINE_MAX];
	va_list args;

	/* The first panic is the cause; a second one, from another core or from here, would only hide it. */
	if (__atomic_exchange_n(&panicking, 1, __ATOMIC_ACQUIRE) == 0 && have_uart) {
		size_t used = stamp(line, sizeof(line));

		used += bh_format(line + used, sizeof(line) - used, "PANIC: ");
		va_start(args, format);
		bh_vformat(line + used, sizeof(line) - used, format, args);
		va_end(args);
		log_drain();
		put_line(line);
	}
	arch_halt();
}
