/* SPDX-License-Identifier: Apache-2.0 */
#include "streams.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <event2/bufferevent.h>
#include <event2/listener.h>

#include "text.h"

/* One place a machine connects to. */
struct source {
	struct source *next;
	struct host *host;
	struct evconnlistener *listener;
	char path[108];
};

struct streams {
	struct card *card;
	struct source *sources;
};

struct streams *streams_new(struct card *card)
{
	struct streams *streams = calloc(1, sizeof(*streams));

	if (streams)
		streams->card = card;
	return streams;
}

void streams_free(struct streams *streams)
{
	while (streams && streams->sources) {
		struct source *source = streams->sources;

		streams->sources = source->next;
		evconnlistener_free(source->listener);
		unlink(source->path);
		free(source);
	}
	free(streams);
}

/* ---- Unix sockets ---- */

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address,
		      int size, void *context)
{
	struct source *source = context;
	struct bufferevent *bev = bufferevent_socket_new(evconnlistener_get_base(listener), fd,
							 BEV_OPT_CLOSE_ON_FREE);

	(void)address;
	(void)size;
	if (bev)
		host_attach(source->host, bev);
	else
		close(fd);
}

/* [MACHINE=]PATH, divided. */
static bool divide(const char *argument, char name[64], const char **path, struct fail *fail)
{
	const char *equals = strchr(argument, '=');
	const char *from = argument;
	size_t length;

	*path = equals ? equals + 1 : argument;
	if (!equals && strrchr(argument, '/'))
		from = strrchr(argument, '/') + 1;
	length = equals ? (size_t)(equals - argument) : strlen(from);
	if (!equals && length > 5 && strcmp(from + length - 5, ".sock") == 0)
		length -= 5;
	if (length == 0 || length > 63)
		return fail_with(fail, FAIL_REQUEST, "%.200s: [MACHINE=]PATH is wanted", argument);
	memcpy(name, from, length);
	name[length] = '\0';
	return true;
}

static struct evconnlistener *listen_at(struct streams *streams, struct source *source)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct evconnlistener *listener;
	mode_t mask = umask(0117);

	text_copy(address.sun_path, sizeof(address.sun_path), source->path);
	unlink(source->path);
	listener = evconnlistener_new_bind(streams->card->base, on_accept, source,
					   LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, -1,
					   (const struct sockaddr *)&address, sizeof(address));
	umask(mask);
	return listener;
}

bool streams_listen_unix(struct streams *streams, const char *argument, struct fail *fail)
{
	struct source *source = calloc(1, sizeof(*source));
	const char *path = NULL;
	char name[64];

	if (!source)
		return fail_with(fail, FAIL_DISK, "out of memory");
	if (divide(argument, name, &path, fail) &&
	    (source->host = card_host(streams->card, name, fail))) {
		if (strlen(path) < sizeof(source->path)) {
			text_copy(source->path, sizeof(source->path), path);
			source->listener = listen_at(streams, source);
		} else {
			errno = ENAMETOOLONG;
		}
		if (!source->listener)
			fail_with(fail, FAIL_DISK, "%.200s: %s", path, strerror(errno));
	}
	if (!source->listener) {
		free(source);
		return false;
	}
	source->next = streams->sources;
	streams->sources = source;
	return true;
}
