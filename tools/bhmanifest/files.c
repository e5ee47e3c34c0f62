/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <libfdt.h>

#include "bhmanifest.h"
#include "boot/kernel_image.h"

#define TREE_MAX_BYTES (16 * MIB) /* more is no device tree; the parsers have limits of their own */

static bool fail(const char *path, const char *what)
{
	fprintf(stderr, "bhmanifest: %s: %s\n", path, what);
	return false;
}

/* Reads all that @fd gives. */
static bool read_all(const char *path, int fd, struct bytes *out)
{
	size_t room = 64 * KIB;
	ssize_t got = 0;

	*out = (struct bytes){malloc(room), 0};
	while (out->data && out->size < TREE_MAX_BYTES) {
		got = read(fd, (char *)out->data + out->size, room - out->size);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		out->size += (size_t)got;
		if (out->size == room) {
			void *more = realloc(out->data, room *= 2);

			if (!more)
				free(out->data);
			out->data = more;
		}
	}
	if (out->data && got == 0)
		return true;
	fail(path, !out->data ? "out of memory" : got < 0 ? strerror(errno) : "too large");
	free(out->data);
	*out = (struct bytes){NULL, 0};
	return false;
}

/* Starts dtc on @path; its output comes from the returned descriptor. */
static int start_dtc(const char *path, pid_t *pid)
{
	char *const argv[] = {"dtc", "-q", "-I", "dts", "-O", "dtb", "--", (char *)path, NULL};
	posix_spawn_file_actions_t actions;
	int ends[2];
	int error;

	if (pipe2(ends, O_CLOEXEC) != 0) {
		fail("dtc", strerror(errno));
		return -1;
	}
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
	error = posix_spawnp(pid, "dtc", &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(ends[1]);
	if (error == 0)
		return ends[0];
	close(ends[0]);
	fail("dtc", error == ENOENT ? "not found; install the package device-tree-compiler"
				    : strerror(error));
	return -1;
}

static bool compile(const char *path, struct bytes *out)
{
	pid_t pid = 0;
	int fd = start_dtc(path, &pid);
	int status = 0;
	bool good;

	if (fd < 0)
		return false;
	good = read_all(path, fd, out);
	close(fd);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (!good)
		return false;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return true;
	free(out->data);
	*out = (struct bytes){NULL, 0};
	return fail(path, "dtc cannot compile it (see above)");
}

bool read_tree(const char *path, struct bytes *tree)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool good;

	if (fd < 0)
		return fail(path, strerror(errno));
	good = read_all(path, fd, tree);
	close(fd);
	if (!good)
		return false;
	if (tree->size >= 4 && fdt32_ld(tree->data) == FDT_MAGIC)
		return true;
	/* A blob that lost its first bytes is no text either: dtc would only be puzzled. */
	if (memchr(tree->data, '\0', tree->size))
		return true;
	free(tree->data);
	*tree = (struct bytes){NULL, 0};
	return compile(path, tree);
}

bool write_file(const char *path, const struct bytes *bytes)
{
	FILE *file = fopen(path, "wb");
	bool good;

	if (!file)
		return fail(path, strerror(errno));
	good = fwrite(bytes->data, 1, bytes->size, file) == bytes->size;
	good = fclose(file) == 0 && good;
	return good || fail(path, strerror(errno));
}

/* Describes a regular file; false when there is no such file. */
static bool probe(const char *folder, const char *name, struct image_info *image)
{
	char path[4096];
	struct stat st;
	void *bytes = MAP_FAILED;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return false;
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		st.st_size = -1;
	if (st.st_size > 0)
		bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (bytes != MAP_FAILED) {
		kernel_image_probe(bytes, (uint64_t)st.st_size, image);
		munmap(bytes, (size_t)st.st_size);
	}
	/* There, but empty: an address makes it known, so that the planner says so. */
	if (st.st_size == 0)
		image->extent.base = pa(PAGE_SIZE);
	return st.st_size == 0 || bytes != MAP_FAILED;
}

static uint32_t add_image(const char *name, const char *folder, struct image_info *images,
			  uint32_t count)
{
	struct image_info *image = &images[count];

	for (uint32_t i = 0; i < count; i++) {
		if (strcmp(images[i].name, name) == 0)
			return count;
	}
	memset(image, 0, sizeof(*image));
	if (name[0] == '\0' || (folder && !probe(folder, name, image)))
		return count;
	memcpy(image->name, name, sizeof(image->name));
	return count + 1;
}

uint32_t read_images(const struct manifest *manifest, const char *folder, struct image_info *images)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < manifest->nvms; i++) {
		count = add_image(manifest->vm[i].kernel, folder, images, count);
		count = add_image(manifest->vm[i].initrd, folder, images, count);
	}
	return count;
}
