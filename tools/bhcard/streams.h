/* SPDX-License-Identifier: Apache-2.0 */
/* Where hypervisors' connections come from. */
#ifndef BHCARD_STREAMS_H
#define BHCARD_STREAMS_H

#include "card.h"

struct streams;

struct streams *streams_new(struct card *card);
void streams_free(struct streams *streams);

/* Listens on a Unix socket: @argument is [MACHINE=]PATH. Without a name the file's is the machine's, without .sock. */
bool streams_listen_unix(struct streams *streams, const char *argument, struct fail *fail);

#endif
