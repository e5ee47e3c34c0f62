/* SPDX-License-Identifier: Apache-2.0 */
/* Images on the card's disk. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store.h"

struct incoming {
	int fd;
	uint64_t size;
	struct digest *digest;
	char folder[3072 + 16];
	char path[3072 + 64];
};

struct incoming *incoming_new(const struct store *store, struct fail *fail)
{
	struct incoming *in = calloc(1, sizeof(*in));

	if (in)
		in->digest = digest_new();
	if (!in || !in->digest) {
		free(in);
		fail_with(fail, FAIL_DISK, "out of memory");
		return NULL;
	}
	snprintf(in->folder, sizeof(in->folder), "%s/images", store->folder);
	snprintf(in->path, sizeof(in->path), "%s/.new-XXXXXX", in->folder);
	in->fd = mkostemp(in->path, O_CLOEXEC);
	if (in->fd >= 0)
		return in;
	fail_with(fail, FAIL_DISK, "%.200s: %s", in->path, strerror(errno));
	incoming_drop(in);
	return NULL;
}

void incoming_drop(struct incoming *incoming)
{
	uint8_t sum[DIGEST_BYTES];

	if (incoming->fd >= 0) {
		close(incoming->fd);
		unlink(incoming->path);
	}
	digest_end(incoming->digest, sum);
	free(incoming);
}

bool incoming_add(struct incoming *incoming, const void *data, size_t size, struct fail *fail)
{
	const char *at = data;

	digest_add(incoming->digest, data, size);
	incoming->size += size;
	while (size != 0) {
		ssize_t done = write(incoming->fd, at, size);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return fail_with(fail, FAIL_DISK, "%.200s: %s", incoming->path,
					 strerror(errno));
		at += done;
		size -= (size_t)done;
	}
	return true;
}

bool incoming_keep(struct incoming *incoming, struct stored_image *image, struct fail *fail)
{
	char name[3072 + 16 + DIGEST_HEX + 1];
	uint8_t sum[DIGEST_BYTES];
	bool good = fsync(incoming->fd) == 0;

	close(incoming->fd);
	digest_end(incoming->digest, sum);
	image->size = incoming->size;
	digest_hex(sum, image->digest);
	snprintf(name, sizeof(name), "%s/%s", incoming->folder, image->digest);
	good = good && rename(incoming->path, name) == 0;
	if (!good) {
		fail_with(fail, FAIL_DISK, "%.200s: %s", name, strerror(errno));
		unlink(incoming->path);
	}
	free(incoming);
	return good;
}

bool store_copy(const struct store *store, const char *path, uint64_t limit,
		struct stored_image *image, struct fail *fail)
{
	struct incoming *in = NULL;
	char block[65536];
	struct stat st;
	ssize_t got = -1;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	bool good = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);

	if (!good)
		fail_with(fail, 400, "BH_NO_IMAGE", "%.200s: missing or unreadable", path);
	else if ((uint64_t)st.st_size > limit)
		good = fail_with(fail, FAIL_BIG, "%.200s: larger than an image may be", path);
	in = good ? incoming_new(store, fail) : NULL;
	good = in != NULL;
	while (good && (got = read(fd, block, sizeof(block))) > 0)
		good = incoming_add(in, block, (size_t)got, fail);
	if (fd >= 0)
		close(fd);
	if (in && (!good || got < 0)) {
		incoming_drop(in);
		return good ? fail_with(fail, FAIL_DISK, "%.200s: cannot be read", path) : false;
	}
	return good && incoming_keep(in, image, fail);
}

int store_open_image(const struct store *store, const struct stored_image *image)
{
	char path[3072 + 16 + DIGEST_HEX];

	snprintf(path, sizeof(path), "%s/images/%s", store->folder, image->digest);
	return open(path, O_RDONLY | O_CLOEXEC);
}

void store_sweep(const struct store *store, bool (*is_used)(void *context, const char *digest),
		 void *context)
{
	char path[3072 + 16];
	struct dirent *entry;
	DIR *folder;

	snprintf(path, sizeof(path), "%s/images", store->folder);
	folder = opendir(path);
	while (folder && (entry = readdir(folder))) {
		/* What is being written begins with a dot. */
		if (entry->d_name[0] != '.' && !is_used(context, entry->d_name))
			unlinkat(dirfd(folder), entry->d_name, 0);
	}
	if (folder)
		closedir(folder);
}
