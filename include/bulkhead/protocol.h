/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control protocol v1 between the hypervisor and its card, over one stream
 * (docs/control-protocol.md). Both sides are little-endian; what stands in a
 * payload is a flattened device tree, whose cells are big-endian as ever.
 */
#ifndef BULKHEAD_PROTOCOL_H
#define BULKHEAD_PROTOCOL_H

#include <bulkhead/types.h>

#define PROTOCOL_VERSION 1
#define PROTOCOL_CARD_CID 2 /* virtio 1.2 5.10.4: the host's */
#define PROTOCOL_PORT 7077 /* unless the manifest says otherwise */

#define FRAME_MAGIC 0x31504842U /* "BHP1" */
#define FRAME_ANSWER 1U /* in flags: to the request of this number */
#define FRAME_TAG_BYTES 16
#define FRAME_PAYLOAD_MAX (64 * KIB)
#define FRAME_DATA_MAX (60 * KIB) /* of an image or of console bytes in one frame */

/* What a frame is about. C: from the card, H: from the hypervisor. */
enum message {
	MESSAGE_HELLO = 1, /* H: first frame of a connection */
	MESSAGE_PING, /* C */
	MESSAGE_LIST, /* C */
	MESSAGE_INFO, /* C */
	MESSAGE_STATS, /* C */
	MESSAGE_CREATE, /* C */
	MESSAGE_IMAGE, /* C */
	MESSAGE_START, /* C */
	MESSAGE_STOP, /* C */
	MESSAGE_ABORT, /* C */
	MESSAGE_RESET, /* C */
	MESSAGE_DELETE, /* C */
	MESSAGE_CONSOLE, /* C and H; not answered */
	MESSAGE_LOG, /* H; not answered */
	MESSAGE_EVENT, /* H; not answered */
	MESSAGE_PLUG, /* C */
	MESSAGE_UNPLUG, /* C */
};

/* What stands before each payload. */
struct frame {
	uint32_t magic;
	uint32_t length; /* of the payload, at most FRAME_PAYLOAD_MAX; 0: no payload */
	uint16_t type; /* enum message */
	uint16_t flags;
	uint32_t request; /* its sender's number; an answer repeats it; 0 where none is expected */
	uint64_t sequence; /* of frames in this direction on this connection: 0, 1, 2 ... */
	uint8_t tag[FRAME_TAG_BYTES]; /* room for authentication: zero in version 1 */
};

static_assert(sizeof(struct frame) == 40, "as docs/control-protocol.md has it");

/* What an event is about. */
#define EVENT_KINDS(X)                                                                             \
	X(VM_EVENT_STARTED, "started") /* its cores are in the guest */                            \
	X(VM_EVENT_STOPPED, "stopped") /* asked by card or operator; memory zero, cores idle */    \
	X(VM_EVENT_OFF, "off") /* the guest switched itself off; then as stopped */                \
	X(VM_EVENT_RESET, "reset") /* the guest asked for a reset; then as stopped */              \
	X(VM_EVENT_ABORTED, "aborted") /* an illegal operation; then as stopped */                 \
	X(VM_EVENT_CRASH_LOOP, "crash-loop") /* it restarted too often and stays stopped */        \
	X(VM_EVENT_QUARANTINED, "quarantined") /* a core is lost */                                \
	X(VM_EVENT_DMA_FAULT, "dma-fault") /* a function of it was refused a DMA; it goes on */    \
	X(VM_EVENT_UNPLUGGED, "unplugged") /* a function has left it: reset, and nobody's */

enum vm_event_kind {
#define EVENT_KIND_NAME(name, text) name,
	EVENT_KINDS(EVENT_KIND_NAME)
#undef EVENT_KIND_NAME
};

#endif
