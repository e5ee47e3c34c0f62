/* SPDX-License-Identifier: Apache-2.0 */
/* Memory in several pieces. */
#ifndef BHCARD_VSOCK_PIECES_H
#define BHCARD_VSOCK_PIECES_H

#include <stdbool.h>
#include <string.h>

#include <sys/uio.h>

#define MAX_PIECES                                                                                 \
	1024 /* of one packet: as many as a virtqueue can have descriptors; Linux' IOV_MAX */

static inline size_t pieces_bytes(const struct iovec *pieces, size_t count)
{
	size_t bytes = 0;

	for (size_t i = 0; i < count; i++)
		bytes += pieces[i].iov_len;
	return bytes;
}

/* Makes @cut, of MAX_PIECES, the part of @pieces from @offset on, at most @bytes long; returns of how many pieces. */
static inline size_t pieces_cut(const struct iovec *pieces, size_t count, size_t offset,
				size_t bytes, struct iovec *cut)
{
	size_t n = 0;

	for (size_t i = 0; i < count && n < MAX_PIECES && bytes != 0; i++) {
		size_t length = pieces[i].iov_len;

		if (offset >= length) {
			offset -= length;
			continue;
		}
		length -= offset;
		if (length > bytes)
			length = bytes;
		cut[n++] = (struct iovec){(char *)pieces[i].iov_base + offset, length};
		bytes -= length;
		offset = 0;
	}
	return n;
}

/* Copies what comes first in @pieces to @to; returns whether there were that many @bytes. */
static inline bool pieces_read(const struct iovec *pieces, size_t count, void *to, size_t bytes)
{
	size_t done = 0;

	for (size_t i = 0; i < count && done < bytes; i++) {
		size_t length = pieces[i].iov_len;

		if (length > bytes - done)
			length = bytes - done;
		memcpy((char *)to + done, pieces[i].iov_base, length);
		done += length;
	}
	return done == bytes;
}

/* Copies @bytes from @from to the beginning of @pieces, which are at least that long. */
static inline void pieces_write(const struct iovec *pieces, size_t count, const void *from,
				size_t bytes)
{
	size_t done = 0;

	for (size_t i = 0; i < count && done < bytes; i++) {
		size_t length = pieces[i].iov_len;

		if (length > bytes - done)
			length = bytes - done;
		memcpy(pieces[i].iov_base, (const char *)from + done, length);
		done += length;
	}
}

#endif
