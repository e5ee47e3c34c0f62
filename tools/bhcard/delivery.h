/* SPDX-License-Identifier: Apache-2.0 */
/* Brings a VM's images over a link, piece by piece, several pieces on their way at once. */
#ifndef BHCARD_DELIVERY_H
#define BHCARD_DELIVERY_H

#include "cargo.h"
#include "link.h"

/* @answer is the first one that is not good, or the last. */
typedef void delivery_done_fn(void *context, const struct answer *answer);

/*
 * Takes @cargo over and begins; @done is called once, later. False: nothing could
 * be sent, @cargo is freed and @done not called.
 */
bool delivery_begin(struct link *link, const char *vm, struct cargo *cargo, delivery_done_fn *done,
		    void *context);

#endif
