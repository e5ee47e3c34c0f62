/* SPDX-License-Identifier: Apache-2.0 */
/* One connection to a hypervisor: frames, requests and their answers, what it sends unasked. */
#ifndef BHCARD_LINK_H
#define BHCARD_LINK_H

#include <event2/bufferevent.h>

#include <bulkhead/error.h>

#include "payload.h"

#define LINK_WINDOW 8 /* pieces of one VM's images on their way */
#define LINK_MAX_PENDING (CONFIG_MAX_VMS * LINK_WINDOW + 64) /* requests on their way */
#define LINK_MAX_OUTPUT (LINK_MAX_PENDING * FRAME_PAYLOAD_MAX) /* bytes that wait for a slow peer */
#define LINK_REQUEST_SECONDS 300 /* a peer that leaves one longer without an answer is gone */

struct link;

struct answer {
	bool lost; /* the connection ended first: whether it was done is not known */
	enum bh_error error;
	const char *detail; /* may be NULL */
	const void *tree; /* NULL: no payload */
};

typedef void link_answer_fn(void *context, const struct answer *answer);

struct link_callbacks {
	/* The peer's first frame; false refuses it, and the callback said why. */
	bool (*hello)(void *context, const void *tree);
	/* The hello was answered: requests may be sent from now on. */
	void (*greeted)(void *context);
	/* Console, log or event. False: it breaks the protocol. */
	bool (*push)(void *context, enum message type, const void *tree);
	/* The connection is gone and all requests have failed. The link frees itself afterwards. */
	void (*down)(void *context, const char *why);
};

/* Takes over @bev, which is connected. NULL when there is no memory; then @bev is freed. */
struct link *link_new(struct bufferevent *bev, const struct link_callbacks *callbacks,
		      void *context);

/* Ends it: requests fail, down() is called with @why. */
void link_close(struct link *link, const char *why);

/*
 * Sends a request with what was written into @m (payload_end() is done here);
 * @done is called exactly once, later. False: too many are on their way, or the
 * message is too large; @done is not called.
 */
bool link_request(struct link *link, enum message type, struct payload *m, link_answer_fn *done,
		  void *context);

/* Nobody waits any more for the answers to requests with this @context: they are let pass. */
void link_forget(struct link *link, const void *context);

/* Sends a message that is not answered. */
bool link_send(struct link *link, enum message type, struct payload *m);

/* How many more requests may be sent now. */
uint32_t link_room(const struct link *link);

#endif
