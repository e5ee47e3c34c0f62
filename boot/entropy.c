/* SPDX-License-Identifier: Apache-2.0 */
#include "arch.h"

#include <libfdt.h>
#include <string.h>

#define SAMPLES_PER_BYTE 64

static EFI_GUID rng_guid = EFI_RNG_PROTOCOL_GUID; /* UEFI 2.10 37.5 */

static bool from_firmware(struct loader *l, uint8_t *seed)
{
	EFI_RNG_PROTOCOL *rng = NULL;

	return !EFI_ERROR(l->services->LocateProtocol(&rng_guid, NULL, (void **)&rng)) &&
	       !EFI_ERROR(rng->GetRNG(rng, NULL, BOOT_SEED_BYTES, seed));
}

static bool from_processor(uint8_t *seed)
{
	for (size_t i = 0; i < BOOT_SEED_BYTES; i += sizeof(uint64_t)) {
		uint64_t value;

		if (!arch_random(&value))
			return false;
		memcpy(seed + i, &value, sizeof(value));
	}
	return true;
}

/* Mixed in by XOR, so that a tree's seed never takes away from what is there. */
static bool from_device_tree(const struct loader *l, uint8_t *seed)
{
	const uint8_t *value;
	int length = 0;

	if (l->fdt == NULL)
		return false;
	value = fdt_getprop(l->fdt, fdt_path_offset(l->fdt, "/chosen"), "rng-seed", &length);
	if (value == NULL || length < 32)
		return false;
	for (size_t i = 0; i < (size_t)length; i++)
		seed[i % BOOT_SEED_BYTES] ^= value[i];
	return true;
}

/* The time that loads and counter reads take varies a little. Weak, hence said aloud. */
static void from_jitter(uint8_t *seed)
{
	uint64_t state = arch_counter();

	for (size_t i = 0; i < BOOT_SEED_BYTES; i++) {
		for (size_t k = 0; k < SAMPLES_PER_BYTE; k++) {
			state ^= arch_counter();
			state *= 0x9e3779b97f4a7c15ULL; /* odd, so nothing is lost */
			state ^= state >> 29;
		}
		seed[i] ^= (uint8_t)(state >> 24);
	}
}

void gather_entropy(struct loader *l)
{
	uint8_t *seed = l->info->seed;
	bool good = from_firmware(l, seed) || from_processor(seed);

	if (from_device_tree(l, seed) || good)
		return;
	from_jitter(seed);
	say(l,
	    "Neither firmware nor processor has a random generator: guests' seeds come from timing "
	    "alone.");
}
