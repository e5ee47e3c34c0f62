/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the card keeps of one machine, below STATE/MACHINE: state.json, images/,
 * console/, log. state.json is replaced as a whole or not at all; images are
 * named by their digest, so that one which state.json does not name is nobody's.
 */
#ifndef BHCARD_STORE_H
#define BHCARD_STORE_H

#include <jansson.h>

#include "digest.h"
#include "fail.h"
#include "spool.h"

#define STORE_CONSOLE_BYTES (256U << 10)
#define STORE_LOG_BYTES (1U << 20)

struct store {
	char folder[3072];
	int lock; /* the folder, which is one daemon's; 0: not open */
};

/* An image as state.json has it; size 0: there is none. */
struct stored_image {
	uint64_t size;
	char digest[DIGEST_HEX];
};

/* Makes the folders; false when another daemon has them. store_close() in any case. */
bool store_open(struct store *store, const char *state, const char *machine, struct fail *fail);
void store_close(struct store *store);

bool store_save(const struct store *store, const json_t *state, struct fail *fail);

/* NULL with @fail->status 0: there is none yet. The caller drops the reference. */
json_t *store_load(const struct store *store, struct fail *fail);

struct spool *store_log(const struct store *store);
struct spool *store_console(const struct store *store, const char *vm);
void store_forget_console(const struct store *store, const char *vm);

/* ---- Images ---- */

struct incoming; /* one that is being written */

struct incoming *incoming_new(const struct store *store, struct fail *fail);
bool incoming_add(struct incoming *incoming, const void *data, size_t size, struct fail *fail);

/* It is whole: gives it its name and frees @incoming. */
bool incoming_keep(struct incoming *incoming, struct stored_image *image, struct fail *fail);
void incoming_drop(struct incoming *incoming);

/* Copies the file at @path, of at most @limit bytes. */
bool store_copy(const struct store *store, const char *path, uint64_t limit,
		struct stored_image *image, struct fail *fail);

/* Opens an image to be read; -1 when it is not there. */
int store_open_image(const struct store *store, const struct stored_image *image);

/* Removes every image that is_used() does not want. */
void store_sweep(const struct store *store, bool (*is_used)(void *context, const char *digest),
		 void *context);

#endif
