/* SPDX-License-Identifier: Apache-2.0 */
#include "digest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mbedtls/sha256.h>

struct digest {
	mbedtls_sha256_context context;
};

static void begin(struct digest *digest)
{
	mbedtls_sha256_init(&digest->context);
	mbedtls_sha256_starts(&digest->context, 0);
}

static void finish(struct digest *digest, uint8_t sum[DIGEST_BYTES])
{
	mbedtls_sha256_finish(&digest->context, sum);
	mbedtls_sha256_free(&digest->context);
}

struct digest *digest_new(void)
{
	struct digest *digest = malloc(sizeof(*digest));

	if (digest)
		begin(digest);
	return digest;
}

void digest_add(struct digest *digest, const void *data, size_t size)
{
	mbedtls_sha256_update(&digest->context, data, size);
}

void digest_end(struct digest *digest, uint8_t sum[DIGEST_BYTES])
{
	finish(digest, sum);
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
	struct digest digest;

	begin(&digest);
	digest_add(&digest, data, size);
	finish(&digest, sum);
	digest_hex(sum, out);
}
