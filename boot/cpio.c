/* SPDX-License-Identifier: Apache-2.0 */
/* The "newc" format: Linux Documentation/driver-api/early-userspace/buffer-format.rst */
#include "cpio.h"

#include <string.h>

#define HEADER_BYTES 110
#define MAGIC_BYTES 6
#define FIELD_BYTES 8
#define FIELD_MODE 1
#define FIELD_FILESIZE 6
#define FIELD_NAMESIZE 11
#define MODE_TYPE 0170000
#define MODE_REGULAR 0100000
#define TRAILER "TRAILER!!!"

struct entry {
	const char *name; /* terminated */
	const uint8_t *data;
	uint64_t length;
	uint64_t next; /* offset of the following header */
	bool regular;
};

/* Field @index of a header: eight hexadecimal digits. */
static bool header_field(const uint8_t *header, unsigned int index, uint32_t *value)
{
	const uint8_t *digit = header + MAGIC_BYTES + (size_t)index * FIELD_BYTES;

	*value = 0;
	for (unsigned int i = 0; i < FIELD_BYTES; i++) {
		uint32_t c = digit[i], lower = c | 0x20;

		if (c >= '0' && c <= '9')
			*value = *value << 4 | (c - '0');
		else if (lower >= 'a' && lower <= 'f')
			*value = *value << 4 | (lower - 'a' + 10);
		else
			return false;
	}
	return true;
}

/* Reads the entry at @at. False when it is not a whole, well-formed entry. */
static bool read_entry(const uint8_t *archive, uint64_t size, uint64_t at, struct entry *entry)
{
	const uint8_t *header = archive + at;
	uint32_t mode, file_size, name_size;
	uint64_t data;

	if (!range_inside(at, HEADER_BYTES, 0, size))
		return false;
	if (memcmp(header, "070701", MAGIC_BYTES) != 0 &&
	    memcmp(header, "070702", MAGIC_BYTES) != 0)
		return false;
	if (!header_field(header, FIELD_MODE, &mode) ||
	    !header_field(header, FIELD_FILESIZE, &file_size) ||
	    !header_field(header, FIELD_NAMESIZE, &name_size))
		return false;
	/* @size is that of an object in memory, so sums of it and 32-bit numbers do not wrap. */
	data = align_up(at + HEADER_BYTES + name_size, 4);
	if (name_size == 0 || !range_inside(data, file_size, 0, size))
		return false;
	entry->name = (const char *)header + HEADER_BYTES;
	if (entry->name[name_size - 1] != '\0')
		return false;
	entry->data = archive + data;
	entry->length = file_size;
	entry->next = align_up(data + file_size, 4);
	entry->regular = (mode & MODE_TYPE) == MODE_REGULAR;
	return true;
}

enum bh_error cpio_find(const void *archive, uint64_t size, const char *name, const void **data,
			uint64_t *length, struct bh_report *report)
{
	struct entry entry;

	for (uint64_t at = 0; at < size; at = entry.next) {
		if (!read_entry(archive, size, at, &entry))
			return bh_fail(
				report, BH_BAD_IMAGE,
				"the initrd blob is not a cpio archive (newc) at offset %llu of %llu",
				(unsigned long long)at, (unsigned long long)size);
		if (strcmp(entry.name, TRAILER) == 0)
			break;
		if (strncmp(entry.name, "./", 2) == 0)
			entry.name += 2;
		if (entry.regular && strcmp(entry.name, name) == 0) {
			*data = entry.data;
			*length = entry.length;
			return BH_OK;
		}
	}
	return bh_fail(report, BH_NO_IMAGE, "file %s is not in the initrd blob", name);
}
