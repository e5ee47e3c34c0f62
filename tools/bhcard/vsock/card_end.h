/* SPDX-License-Identifier: Apache-2.0 */
/* What the card's end of every stream has in common. */
#ifndef BHCARD_VSOCK_CARD_END_H
#define BHCARD_VSOCK_CARD_END_H

#include <event2/bufferevent.h>

/* A stream on the non-blocking socket @fd, which it owns; NULL, and @fd is closed: no memory. */
struct bufferevent *card_end(struct event_base *base, int fd);

/* Writing to a stream that has ended is an error and no signal, unless the program handles that one. */
void ignore_sigpipe(void);

#endif
