/* SPDX-License-Identifier: Apache-2.0 */
/* A file of bounded size: the last bytes of a console or of a log. */
#ifndef BHCARD_SPOOL_H
#define BHCARD_SPOOL_H

#include <event2/buffer.h>

struct spool;

/*
 * Opens FILE and FILE.old, which keep at least the last @limit / 2 and at most
 * the last @limit bytes. NULL with errno.
 */
struct spool *spool_open(const char *path, size_t limit);
void spool_close(struct spool *spool);

/* A disk that is full loses bytes; nothing else happens. */
void spool_write(struct spool *spool, const void *data, size_t size);

/* Adds the last @tail bytes that are kept (SIZE_MAX: all) to @out. */
void spool_read(const struct spool *spool, size_t tail, struct evbuffer *out);

/* Removes both files. */
void spool_remove(const char *path);

#endif
