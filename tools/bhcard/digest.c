/* SPDX-License-Identifier: Apache-2.0 */
#include "digest.h"

#include <stdio.h>
#include <stdlib.h>

#include <blake2.h>

struct digest {
	blake2b_state state;
};

struct digest *digest_new(void)
{
	struct digest *digest = malloc(sizeof(*digest));

	if (digest)
		blake2b_init(&digest->state, DIGEST_BYTES);
	return digest;
}

void digest_add(struct digest *digest, const void *data, size_t size)
{
	blake2b_update(&digest->state, data, size);
}

void digest_end(struct digest *digest, uint8_t sum[DIGEST_BYTES])
{
	blake2b_final(&digest->state, sum, DIGEST_BYTES);
	free(digest);
}

void digest_hex(const uint8_t sum[DIGEST_BYTES], char out[DIGEST_HEX])
{
	for (size_t i = 0; i < DIGEST_BYTES; i++)
		snprintf(&out[2 * i], 3, "%02x", sum[i]);
}

void digest_of(const void *data, size_t size, char out[DIGEST_HEX])
{
	uint8_t sum[DIGEST_BYTES];

	blake2b(sum, data, NULL, sizeof(sum), size, 0);
	digest_hex(sum, out);
}
