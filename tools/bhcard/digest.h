/* SPDX-License-Identifier: Apache-2.0 */
/* BLAKE2b (RFC 7693) of 32 bytes, of bytes that come in pieces: what `b2sum -l 256` prints. */
#ifndef BHCARD_DIGEST_H
#define BHCARD_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#define DIGEST_BYTES 32
#define DIGEST_HEX (2 * DIGEST_BYTES + 1)

struct digest;

/* NULL when there is no memory. */
struct digest *digest_new(void);
void digest_add(struct digest *digest, const void *data, size_t size);

/* Gives the sum and frees @digest. */
void digest_end(struct digest *digest, uint8_t sum[DIGEST_BYTES]);

/* The sum as hexadecimal digits. */
void digest_hex(const uint8_t sum[DIGEST_BYTES], char out[DIGEST_HEX]);

/* All at once. */
void digest_of(const void *data, size_t size, char out[DIGEST_HEX]);

#endif
