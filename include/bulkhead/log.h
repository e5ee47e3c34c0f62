/* SPDX-License-Identifier: Apache-2.0 */
/* The log: a ring any core may write and the system manager drains; and the end of everything. */
#ifndef BULKHEAD_LOG_H
#define BULKHEAD_LOG_H

#include <bulkhead/types.h>

/*
 * One line "[seconds.micros] coreN: text" into the ring; any core, at any time,
 * never waits for a device. When the ring is full the line is dropped and
 * counted. Formats: see bulkhead/format.h.
 */
void log_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Takes the next line out of the ring; false when it is empty. Only the system manager. */
bool log_take(char *line, size_t size);

/*
 * The next whole lines for the card, each with its newline, as many as fit in
 * @size bytes with a NUL behind them; false when there are none. @lost: lines
 * before them that made way for newer ones. Only the system manager.
 */
bool log_take_lines(char *text, size_t size, uint32_t *lost);

/* True when log_take() would return a line. */
bool log_pending(void);

/* Writes everything in the ring to the UART. Only the system manager, or panic. */
void log_drain(void);

/* The hypervisor's own invariant is broken: says why and where, then stops the machine. */
void bh_panic(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* For our own mistakes only, never for a guest's or the card's. */
#define BH_CHECK(condition)                                                                        \
	do {                                                                                       \
		if (!(condition))                                                                  \
			bh_panic("%s:%u: %s does not hold", __FILE__, (unsigned int)__LINE__,      \
				 #condition);                                                      \
	} while (0)

#endif
