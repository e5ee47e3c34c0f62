/* SPDX-License-Identifier: Apache-2.0 */
/* Whoever listens is told: console bytes, log lines, events. */
#ifndef BHCARD_FEED_H
#define BHCARD_FEED_H

#include <stddef.h>

struct listener;

struct feed {
	struct listener *first;
};

/* @size 0: the feed has ended, the listener is gone after this call. */
typedef void feed_fn(void *context, const void *data, size_t size);

/* NULL when there is no memory. */
struct listener *feed_listen(struct feed *feed, feed_fn *fn, void *context);

/* Also from within the listener's own callback. */
void feed_leave(struct listener *listener);

void feed_publish(struct feed *feed, const void *data, size_t size);

/* Tells all listeners that it is over. */
void feed_end(struct feed *feed);

#endif
