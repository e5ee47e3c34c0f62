/* SPDX-License-Identifier: Apache-2.0 */
#include "smbios.h"

#include <bulkhead/format.h>
#include <string.h>

#define HEADER_BYTES 4
#define TYPE_SYSTEM 1
#define TYPE_END 127
#define SYSTEM_MANUFACTURER 4
#define SYSTEM_PRODUCT 5

/* String @number (from 1) of the set at @at; "" when it is not there. Every string ends before @end. */
static const char *string_at(const uint8_t *at, const uint8_t *end, uint8_t number)
{
	for (uint8_t i = 1; number != 0 && at < end && *at != 0; i++) {
		const uint8_t *stop = memchr(at, 0, (size_t)(end - at));

		if (stop == NULL)
			break;
		if (i == number)
			return (const char *)at;
		at = stop + 1;
	}
	return "";
}

/* The set of strings ends with two zero bytes (6.1.3); NULL when it does not end before @end. */
static const uint8_t *after_strings(const uint8_t *at, const uint8_t *end)
{
	for (; end - at >= 2; at++)
		if (at[0] == 0 && at[1] == 0)
			return at + 2;
	return NULL;
}

static uint64_t little_endian(const uint8_t *at, unsigned bytes)
{
	uint64_t value = 0;

	while (bytes-- > 0)
		value = value << 8 | at[bytes];
	return value;
}

/* 5.2.2 and 5.2.1 */
bool smbios_structures(const uint8_t *entry, struct extent *table)
{
	if (memcmp(entry, "_SM3_", 5) == 0)
		*table = (struct extent){pa(little_endian(entry + 0x10, 8)),
					 little_endian(entry + 0xc, 4)};
	else if (memcmp(entry, "_SM_", 4) == 0)
		*table = (struct extent){pa(little_endian(entry + 0x18, 4)),
					 little_endian(entry + 0x16, 2)};
	else
		return false;
	return true;
}

bool smbios_system_name(const uint8_t *table, uint64_t size, char *name, size_t name_size)
{
	const uint8_t *end = table + size;
	const uint8_t *at = table;

	while (at != NULL && end - at > HEADER_BYTES && at[0] != TYPE_END) {
		uint8_t length = at[1];

		if (length < HEADER_BYTES || end - at < length)
			return false;
		if (at[0] == TYPE_SYSTEM && length > SYSTEM_PRODUCT) {
			const uint8_t *strings = at + length;
			const char *maker = string_at(strings, end, at[SYSTEM_MANUFACTURER]);
			const char *product = string_at(strings, end, at[SYSTEM_PRODUCT]);
			bool twice = strncmp(product, maker, strlen(maker)) == 0;

			if (*product == '\0')
				return false;
			bh_format(name, name_size, "%s%s%s", twice ? "" : maker, twice ? "" : " ",
				  product);
			return true;
		}
		at = after_strings(at + length, end);
	}
	return false;
}
