/* SPDX-License-Identifier: Apache-2.0 */
#include "journal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

void journal_add(struct journal *journal, json_t *event)
{
	uint64_t id = journal->last + 1;
	char **slot = &journal->text[id % JOURNAL_EVENTS];
	const char *kind = json_string_value(json_object_get(event, "event"));
	struct timeval now;
	char *text = NULL;
	char *data;

	gettimeofday(&now, NULL);
	json_object_set_new(event, "id", json_integer((json_int_t)id));
	json_object_set_new(event, "time",
			    json_real((double)now.tv_sec + (double)now.tv_usec / 1e6));
	data = json_dumps(event, JSON_COMPACT | JSON_SORT_KEYS);
	if (data && asprintf(&text, "id: %llu\nevent: %s\ndata: %s\n\n", (unsigned long long)id,
			     kind ? kind : "?", data) > 0) {
		free(*slot);
		*slot = text;
		journal->last++;
		feed_publish(&journal->feed, text, strlen(text));
	}
	free(data);
	json_decref(event);
}

void journal_read(const struct journal *journal, uint64_t since, struct evbuffer *out)
{
	uint64_t first = journal->last < JOURNAL_EVENTS ? 1 : journal->last - JOURNAL_EVENTS + 1;

	for (uint64_t id = since + 1 > first ? since + 1 : first; id <= journal->last; id++) {
		const char *text = journal->text[id % JOURNAL_EVENTS];

		evbuffer_add(out, text, strlen(text));
	}
}

void journal_clear(struct journal *journal)
{
	feed_end(&journal->feed);
	for (size_t i = 0; i < JOURNAL_EVENTS; i++)
		free(journal->text[i]);
}
