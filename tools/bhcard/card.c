/* SPDX-License-Identifier: Apache-2.0 */
#include "card.h"

#include <string.h>

struct host *card_find(const struct card *card, const char *name)
{
	for (uint32_t i = 0; i < card->nhosts; i++) {
		if (strcmp(card->host[i]->name, name) == 0)
			return card->host[i];
	}
	return NULL;
}

static bool is_name(const char *name)
{
	size_t length = strlen(name);

	return length >= 1 && length <= 63 && name[0] != '.' &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
		       length;
}

struct host *card_host(struct card *card, const char *name, struct fail *fail)
{
	struct host *host = card_find(card, name);

	if (host)
		return host;
	if (!is_name(name))
		fail_with(fail, FAIL_REQUEST, "'%.63s' is no machine's name; A-Z a-z 0-9 . _ - are",
			  name);
	else if (card->nhosts == CARD_MAX_HOSTS)
		fail_with(fail, FAIL_REQUEST, "more than %d machines", CARD_MAX_HOSTS);
	else
		host = host_new(card->base, name, card->state, &api_ch_hooks, card, fail);
	if (host)
		card->host[card->nhosts++] = host;
	return host;
}
