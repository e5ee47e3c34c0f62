/* SPDX-License-Identifier: Apache-2.0 */
#include "spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "text.h"

struct spool {
	int fd;
	size_t size; /* of the newer file */
	size_t half; /* when that many are in it, it becomes the older one */
	char path[4096];
};

static void old_name(const char *path, char out[4096 + 8])
{
	snprintf(out, 4096 + 8, "%s.old", path);
}

static int open_file(const char *path)
{
	return open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
}

struct spool *spool_open(const char *path, size_t limit)
{
	struct spool *s = calloc(1, sizeof(*s));
	struct stat st;

	if (!s || strlen(path) >= sizeof(s->path)) {
		free(s);
		errno = s ? ENAMETOOLONG : ENOMEM;
		return NULL;
	}
	text_copy(s->path, sizeof(s->path), path);
	s->half = limit / 2;
	s->fd = open_file(path);
	if (s->fd < 0 || fstat(s->fd, &st) != 0) {
		free(s);
		return NULL;
	}
	s->size = (size_t)st.st_size;
	return s;
}

void spool_close(struct spool *spool)
{
	if (!spool)
		return;
	close(spool->fd);
	free(spool);
}

static void turn(struct spool *s)
{
	char old[4096 + 8];
	int fd;

	old_name(s->path, old);
	if (rename(s->path, old) != 0)
		return;
	fd = open_file(s->path);
	if (fd < 0)
		return;
	close(s->fd);
	s->fd = fd;
	s->size = 0;
}

void spool_write(struct spool *spool, const void *data, size_t size)
{
	const char *at = data;

	while (size != 0) {
		size_t piece = size < spool->half ? size : spool->half;
		ssize_t done;

		if (spool->size + piece > spool->half)
			turn(spool);
		done = write(spool->fd, at, piece);
		if (done <= 0)
			return;
		spool->size += (size_t)done;
		at += done;
		size -= (size_t)done;
	}
}

/* Adds what is in @path from @skip on. */
static void add_file(const char *path, off_t skip, struct evbuffer *out)
{
	char block[16384];
	ssize_t got;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (lseek(fd, skip, SEEK_SET) == skip) {
		while ((got = read(fd, block, sizeof(block))) > 0)
			evbuffer_add(out, block, (size_t)got);
	}
	close(fd);
}

void spool_read(const struct spool *spool, size_t tail, struct evbuffer *out)
{
	char old[4096 + 8];
	struct stat st;
	size_t older = 0;

	old_name(spool->path, old);
	if (stat(old, &st) == 0)
		older = (size_t)st.st_size;
	if (tail > older + spool->size)
		tail = older + spool->size;
	if (tail > spool->size)
		add_file(old, (off_t)(older - (tail - spool->size)), out);
	add_file(spool->path, tail < spool->size ? (off_t)(spool->size - tail) : 0, out);
}

void spool_remove(const char *path)
{
	char old[4096 + 8];

	old_name(path, old);
	unlink(path);
	unlink(old);
}
