/* SPDX-License-Identifier: Apache-2.0 */
/* ChaCha20 with fast key erasure: each request replaces the key before it returns. */
#include "core.h"

#include <mbedtls/chacha20.h>
#include <mbedtls/platform_util.h>

#include <string.h>

#define KEY_BYTES 32

static uint8_t key[KEY_BYTES];

/* @size bytes of keystream for block counter 0 on. */
static void keystream(uint8_t *out, size_t size)
{
	static const uint8_t nonce[12];

	memset(out, 0, size);
	if (mbedtls_chacha20_crypt(key, nonce, 0, size, out, out) != 0)
		bh_panic("the random generator failed");
}

void entropy_init(const uint8_t *seed, size_t size)
{
	for (size_t i = 0; i < size; i++)
		key[i % KEY_BYTES] ^= seed[i];
}

void entropy_get(uint8_t *out, size_t size)
{
	uint8_t block[KEY_BYTES + GUEST_RNG_SEED_BYTES];

	BH_CHECK(size <= GUEST_RNG_SEED_BYTES);
	keystream(block, sizeof(block));
	memcpy(key, block, KEY_BYTES);
	memcpy(out, block + KEY_BYTES, size);
	mbedtls_platform_zeroize(block, sizeof(block));
}
