/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bhvsock: carries vsock connections to a Unix stream socket, where bhcard takes them (bhcard --listen-unix). For a server
 * in QEMU it is the vsock device itself, by vhost-user; on a real card it listens in the kernel. It stands between QEMU and
 * bhcard because QEMU's vsock device does not survive its backend: bhcard can then be restarted, and the server just dials again.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/socket.h>
#include <sys/un.h>

#include <event2/buffer.h>

#include <bulkhead/protocol.h>

#include "tools/bhcard/vsock.h"

#define DEFAULT_CID 42
#define ROOM ((size_t)(256 * KIB)) /* bytes on their way in one direction */

struct bridge {
	struct event_base *base;
	const char *qemu; /* socket for QEMU; NULL: the kernel's vsock */
	uint64_t cid;
	uint32_t port;
	struct sockaddr_un to;
};

/* One end of a connection that is carried; each knows the other. */
struct end {
	struct bufferevent *stream;
	struct end *other; /* NULL: it has gone */
};

static void hang_up(struct end *end)
{
	bufferevent_free(end->stream);
	free(end);
}

/* What is left for the other end is still delivered. */
static void leave(struct end *end)
{
	struct end *other = end->other;

	hang_up(end);
	if (other == NULL)
		return;
	other->other = NULL;
	if (evbuffer_get_length(bufferevent_get_output(other->stream)) == 0)
		hang_up(other);
	else {
		bufferevent_disable(other->stream, EV_READ);
		bufferevent_setwatermark(other->stream, EV_WRITE, 0, 0); /* when all has gone */
	}
}

static void on_read(struct bufferevent *stream, void *context)
{
	struct end *end = context;

	if (end->other == NULL)
		return;
	bufferevent_write_buffer(end->other->stream, bufferevent_get_input(stream));
	if (evbuffer_get_length(bufferevent_get_output(end->other->stream)) >= ROOM)
		bufferevent_disable(stream, EV_READ);
}

/* There is room again. */
static void on_written(struct bufferevent *stream, void *context)
{
	struct end *end = context;

	(void)stream;
	if (end->other != NULL)
		bufferevent_enable(end->other->stream, EV_READ);
	else
		hang_up(end);
}

static void on_event(struct bufferevent *stream, short what, void *context)
{
	(void)stream;
	if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR))
		leave(context);
}

static struct end *new_end(struct bufferevent *stream)
{
	struct end *end = calloc(1, sizeof(*end));

	if (end == NULL)
		abort();
	end->stream = stream;
	bufferevent_setcb(stream, on_read, on_written, on_event, end);
	bufferevent_setwatermark(stream, EV_READ, 0, ROOM);
	bufferevent_setwatermark(stream, EV_WRITE, ROOM / 4, 0);
	return end;
}

static bool on_accept(void *context, uint64_t cid, uint32_t port, struct bufferevent *stream)
{
	struct bridge *bridge = context;
	struct bufferevent *card;

	(void)cid;
	if (port != bridge->port)
		return false;
	card = bufferevent_socket_new(bridge->base, -1, BEV_OPT_CLOSE_ON_FREE);
	if (card == NULL)
		return false;
	/* Before any callback is set: a Unix socket answers at once. */
	if (bufferevent_socket_connect(card, (struct sockaddr *)&bridge->to, sizeof(bridge->to)) !=
	    0) {
		bufferevent_free(card);
		return false;
	}
	struct end *a = new_end(stream), *b = new_end(card);

	a->other = b;
	b->other = a;
	bufferevent_enable(stream, EV_READ | EV_WRITE);
	bufferevent_enable(card, EV_READ | EV_WRITE);
	return true;
}

static void on_trouble(void *context, const char *sentence)
{
	(void)context;
	fprintf(stderr, "bhvsock: %s\n", sentence);
}

static const struct vsock_callbacks callbacks = {.accept = on_accept, .trouble = on_trouble};

static void on_signal(evutil_socket_t number, short what, void *context)
{
	(void)number;
	(void)what;
	event_base_loopbreak(context);
}

static void usage(FILE *out)
{
	fprintf(out,
		"Usage: bhvsock --qemu SOCKET --to SOCKET [--cid N] [--port N]\n"
		"       bhvsock --kernel --to SOCKET [--port N]\n\n"
		"Carries a server's vsock connections to bhcard.\n\n"
		"  --qemu SOCKET  be the vsock device of a QEMU that connects here (vhost-user-vsock-pci)\n"
		"  --kernel       listen for AF_VSOCK connections, as on a real card\n"
		"  --to SOCKET    the Unix socket of `bhcard --listen-unix`\n"
		"  --cid N        the server's CID in QEMU (%u)\n"
		"  --port N       the port that the server dials (%u)\n",
		DEFAULT_CID, PROTOCOL_PORT);
}

static bool parse(struct bridge *bridge, int argc, char **argv)
{
	static const struct option options[] = {{"qemu", required_argument, NULL, 'q'},
						{"kernel", no_argument, NULL, 'k'},
						{"to", required_argument, NULL, 't'},
						{"cid", required_argument, NULL, 'c'},
						{"port", required_argument, NULL, 'p'},
						{"help", no_argument, NULL, 'h'},
						{NULL, 0, NULL, 0}};
	bool kernel = false;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'q')
			bridge->qemu = optarg;
		else if (c == 'k')
			kernel = true;
		else if (c == 'c')
			bridge->cid = strtoul(optarg, NULL, 0);
		else if (c == 'p')
			bridge->port = (uint32_t)strtoul(optarg, NULL, 0);
		else if (c == 't' && strlen(optarg) < sizeof(bridge->to.sun_path))
			memcpy(bridge->to.sun_path, optarg, strlen(optarg) + 1);
		else if (c == 'h') {
			usage(stdout);
			exit(0);
		} else
			return false;
	}
	return optind == argc && kernel == (bridge->qemu == NULL) && bridge->to.sun_path[0] != '\0';
}

int main(int argc, char **argv)
{
	struct bridge bridge = {
		.cid = DEFAULT_CID, .port = PROTOCOL_PORT, .to = {.sun_family = AF_UNIX}};
	static const int signals[] = {SIGINT, SIGTERM};

	if (!parse(&bridge, argc, argv)) {
		usage(stderr);
		return 2;
	}
	bridge.base = event_base_new();
	void *source = bridge.qemu != NULL
			       ? (void *)vsock_device_new(bridge.base, bridge.qemu, bridge.cid,
							  &callbacks, &bridge)
			       : (void *)vsock_listen_afvsock(bridge.base, bridge.port, &callbacks,
							      &bridge);
	if (source == NULL) {
		fprintf(stderr, "bhvsock: %s: %s\n", bridge.qemu ? bridge.qemu : "AF_VSOCK",
			strerror(errno));
		return 1;
	}
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		event_add(evsignal_new(bridge.base, signals[i], on_signal, bridge.base), NULL);
	event_base_dispatch(bridge.base);
	return 0;
}
