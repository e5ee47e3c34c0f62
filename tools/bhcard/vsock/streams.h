/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The streams of one guest: what virtio-vsock's packets mean (virtio 1.2 5.10.6), without virtqueues. Packets of the guest go
 * in with streams_take(); packets for it come out with streams_give(), made when there is a buffer for one, so that nothing
 * but the guest's unread bytes (CREDIT per stream at most) is ever stored here.
 */
#ifndef BHCARD_VSOCK_STREAMS_H
#define BHCARD_VSOCK_STREAMS_H

#include <sys/uio.h>

#include <linux/virtio_vsock.h>

#include "tools/bhcard/vsock.h"

#define HEADER_BYTES sizeof(struct virtio_vsock_hdr)
#define HOST_CID 2
#define CREDIT 0x40000u /* how much a guest may send on one stream before it is taken */
#define MAX_STREAMS 64

struct streams;

/* @wake(@waker) is called when streams_have() may have become true or streams_can_take() false no more. NULL: no memory. */
struct streams *streams_new(struct event_base *base, uint64_t cid, const struct vsock_callbacks *cb,
			    void *context, void (*wake)(void *waker), void *waker);

void streams_free(struct streams *streams);

/* Ends every stream and forgets what was to be sent: there is no guest any more. */
void streams_reset(struct streams *streams);

/* Whether one more packet of the guest may be taken; if not, give some first. */
bool streams_can_take(const struct streams *streams);

/* One packet of the guest: @count pieces of memory, which it may write to at the same time. */
void streams_take(struct streams *streams, const struct iovec *pieces, size_t count);

/* Whether there may be a packet for the guest. */
bool streams_have(const struct streams *streams);

/*
 * Writes the next packet for the guest to the @count pieces, which have room for a header at least; returns its size, 0 when
 * there is none.
 */
size_t streams_give(struct streams *streams, const struct iovec *pieces, size_t count);

#endif
