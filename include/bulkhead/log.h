/* SPDX-License-Identifier: Apache-2.0 */
/* The log: a ring any core may write and the system manager drains; and the end of everything. */
#ifndef BULKHEAD_LOG_H
#define BULKHEAD_LOG_H

#include <bulkhead/types.h>

#define LOG_LINE_MAX 200 /* with its newline; what is longer is cut */

/* Each takes what is logged at its own pace. */
enum log_reader { LOG_UART, LOG_CARD, LOG_READERS };

/*
 * One line "[seconds.micros] coreN: text" into the ring; any core, at any time,
 * never waits for a device. When the ring is full for a reader its oldest line
 * makes way and is counted. Formats: see bulkhead/format.h.
 */
void log_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * The next whole lines for @reader, each with its newline, as many as fit in
 * @size bytes (more than LOG_LINE_MAX) with a NUL behind them; false when there are
 * none. @lost: lines before them that made way for newer ones. Only the system manager, or panic.
 */
bool log_take(enum log_reader reader, char *text, size_t size, uint32_t *lost);

/* True when the UART's reader has lines to take. */
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
