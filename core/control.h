/* SPDX-License-Identifier: Apache-2.0 */
/* What control.c (frames and the connection), messages.c (what they say) and images.c share. */
#ifndef CORE_CONTROL_H
#define CORE_CONTROL_H

#include "core.h"

#include <bulkhead/protocol.h>

/* A payload being written: libfdt's sequential writer on a buffer of FRAME_PAYLOAD_MAX bytes. */
struct payload {
	void *tree;
	bool full; /* something did not fit */
};

/* Begins and ends the tree. The length of the finished tree; 0 when it did not fit. */
void payload_begin(struct payload *p, void *buffer);
uint32_t payload_end(struct payload *p);

void payload_u32(struct payload *p, const char *name, uint32_t value);
void payload_u64(struct payload *p, const char *name, uint64_t value);
void payload_text(struct payload *p, const char *name, const char *text);
void payload_bytes(struct payload *p, const char *name, const void *bytes, uint32_t size);

/* Carries out the request of @type with payload @tree (NULL: none), and writes into @answer what is to be said beyond the error. */
enum bh_error message_handle(uint32_t type, const void *tree, struct payload *answer,
			     struct bh_report *report);

/* The first thing the card is told. */
void message_hello(struct payload *p);

/* Bytes for a VM's console. */
void message_console(const void *tree);

/* True when @tree, of @size bytes, is a device tree that libfdt can be trusted with. Not changed by the other side any more. */
bool payload_valid(const void *tree, uint32_t size);

/* ---- images.c ---- */

#define DIGEST_BYTES 32U

/*
 * A piece of image @image of @vm: @size bytes for @offset, in order; @digest is
 * NULL but with the last. BH_WRONG_STATE when the VM takes no images, BH_BAD_VALUE
 * when the piece is out of order or the image is not planned, BH_BAD_DIGEST.
 */
enum bh_error image_receive(struct vm *vm, uint32_t image, uint64_t offset, const void *data,
			    uint32_t size, const uint8_t *digest);

#endif
