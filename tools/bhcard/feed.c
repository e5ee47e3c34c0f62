/* SPDX-License-Identifier: Apache-2.0 */
#include "feed.h"

#include <stdlib.h>

struct listener {
	struct feed *feed;
	struct listener *next;
	struct listener **link; /* what points to this one */
	feed_fn *fn;
	void *context;
};

struct listener *feed_listen(struct feed *feed, feed_fn *fn, void *context)
{
	struct listener *l = malloc(sizeof(*l));

	if (!l)
		return NULL;
	*l = (struct listener){feed, feed->first, &feed->first, fn, context};
	if (l->next)
		l->next->link = &l->next;
	feed->first = l;
	return l;
}

void feed_leave(struct listener *listener)
{
	*listener->link = listener->next;
	if (listener->next)
		listener->next->link = listener->link;
	free(listener);
}

/* A listener may leave while it is told, but only itself. */
void feed_publish(struct feed *feed, const void *data, size_t size)
{
	struct listener *l = feed->first;

	while (l) {
		struct listener *next = l->next;

		l->fn(l->context, data, size);
		l = next;
	}
}

void feed_end(struct feed *feed)
{
	struct listener *l;

	while ((l = feed->first)) {
		feed_fn *fn = l->fn;
		void *context = l->context;

		feed->first = l->next;
		if (l->next)
			l->next->link = &feed->first;
		free(l);
		fn(context, NULL, 0);
	}
}
