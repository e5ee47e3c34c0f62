/* SPDX-License-Identifier: Apache-2.0 */
#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

struct path {
	char text[4096];
};

static struct path path_of(const struct store *store, const char *folder, const char *name)
{
	struct path p;

	snprintf(p.text, sizeof(p.text), "%s/%s%.200s", store->folder, folder, name);
	return p;
}

static bool make_folder(const char *path, struct fail *fail)
{
	if (mkdir(path, 0750) == 0 || errno == EEXIST)
		return true;
	return fail_with(fail, FAIL_DISK, "%.200s: %s", path, strerror(errno));
}

static bool lock(struct store *store, struct fail *fail)
{
	store->lock = open(store->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (store->lock > 0 && flock(store->lock, LOCK_EX | LOCK_NB) == 0)
		return true;
	return fail_with(fail, FAIL_DISK, "%.200s: %s", store->folder,
			 errno == EWOULDBLOCK ? "another bhcard has it" : strerror(errno));
}

bool store_open(struct store *store, const char *state, const char *machine, struct fail *fail)
{
	int length = snprintf(store->folder, sizeof(store->folder), "%s/%s", state, machine);

	if (length < 0 || (size_t)length >= sizeof(store->folder))
		return fail_with(fail, FAIL_DISK, "%.200s: the path is too long", state);
	return make_folder(state, fail) && make_folder(store->folder, fail) && lock(store, fail) &&
	       make_folder(path_of(store, "images", "").text, fail) &&
	       make_folder(path_of(store, "console", "").text, fail);
}

void store_close(struct store *store)
{
	if (store->lock > 0)
		close(store->lock);
}

/* ---- state.json ---- */

static bool sync_folder(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool good = fd >= 0 && fsync(fd) == 0;

	if (fd >= 0)
		close(fd);
	return good;
}

bool store_save(const struct store *store, const json_t *state, struct fail *fail)
{
	struct path fresh = path_of(store, "state.json.new", "");
	struct path name = path_of(store, "state.json", "");
	int fd = open(fresh.text, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
	bool good = fd >= 0 && json_dumpfd(state, fd, JSON_INDENT(1) | JSON_SORT_KEYS) == 0 &&
		    fsync(fd) == 0;

	if (fd >= 0)
		close(fd);
	good = good && rename(fresh.text, name.text) == 0 && sync_folder(store->folder);
	return good || fail_with(fail, FAIL_DISK, "%.200s: cannot be written: %s", name.text,
				 strerror(errno));
}

json_t *store_load(const struct store *store, struct fail *fail)
{
	struct path name = path_of(store, "state.json", "");
	json_error_t error;
	json_t *state = NULL;

	*fail = (struct fail){0};
	if (access(name.text, F_OK) != 0)
		return NULL;
	state = json_load_file(name.text, 0, &error);
	if (!state)
		fail_with(fail, FAIL_DISK, "%.200s: line %d: %s", name.text, error.line,
			  error.text);
	return state;
}

/* ---- Consoles and log ---- */

struct spool *store_log(const struct store *store)
{
	return spool_open(path_of(store, "log", "").text, STORE_LOG_BYTES);
}

struct spool *store_console(const struct store *store, const char *vm)
{
	return spool_open(path_of(store, "console/", vm).text, STORE_CONSOLE_BYTES);
}

void store_forget_console(const struct store *store, const char *vm)
{
	spool_remove(path_of(store, "console/", vm).text);
}
