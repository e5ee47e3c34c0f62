/* SPDX-License-Identifier: Apache-2.0 */
/* A machine's events: the last ones, and who listens to new ones, as server-sent events. */
#ifndef BHCARD_JOURNAL_H
#define BHCARD_JOURNAL_H

#include <event2/buffer.h>
#include <jansson.h>

#include "feed.h"

#define JOURNAL_EVENTS 256

struct journal {
	uint64_t last; /* id of the newest event; 0: none yet */
	char *text[JOURNAL_EVENTS]; /* event n at n % JOURNAL_EVENTS, as it is sent */
	struct feed feed;
};

/*
 * Adds an event: fills in id and time of @event and takes it over. @event has
 * the members event, machine and what else there is to say.
 */
void journal_add(struct journal *journal, json_t *event);

/* Adds the events after number @since that are kept to @out. */
void journal_read(const struct journal *journal, uint64_t since, struct evbuffer *out);

void journal_clear(struct journal *journal);

#endif
