/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vsock_source SOCKET PORT MIB
 *
 * The card's side of the measurement of vsock (tests/bench/vsock), with nothing but the device in it: for a QEMU at the unix
 * socket SOCKET, sends MIB mebibytes to each guest that dials PORT, and takes what is sent to PORT + 1, to answer with how many
 * bytes it was (8 bytes, little-endian). Prints a line for each; ends at SIGTERM.
 */
#include <endian.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sys/socket.h>

#include <event2/buffer.h>

#include "tools/bhcard/vsock.h"

#define GUEST_CID 3
#define BLOCK_BYTES 0x40000ul
#define MIB (1024.0 * 1024.0)

struct call {
	bool sends;
	uint64_t bytes; /* still to send, or taken */
	struct timespec start;
};

static uint64_t block[BLOCK_BYTES / 8];
static uint32_t source_port;
static uint64_t total;

static double seconds_since(const struct timespec *start)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

static void finish(struct bufferevent *stream, struct call *call)
{
	uint64_t bytes = call->sends ? total - call->bytes : call->bytes;
	double seconds = seconds_since(&call->start);

	printf("card: %s %.0f MiB in %.3f s: %.1f MiB/s\n", call->sends ? "sent" : "took",
	       (double)bytes / MIB, seconds, (double)bytes / MIB / seconds);
	fflush(stdout);
	bufferevent_free(stream);
	free(call);
}

static void on_written(struct bufferevent *stream, void *context)
{
	struct call *call = context;
	size_t bytes = call->bytes < BLOCK_BYTES ? (size_t)call->bytes : BLOCK_BYTES;

	if (bytes == 0) {
		finish(stream, call);
		return;
	}
	call->bytes -= bytes;
	evbuffer_add_reference(bufferevent_get_output(stream), block, bytes, NULL, NULL);
}

static void on_read(struct bufferevent *stream, void *context)
{
	struct call *call = context;
	struct evbuffer *input = bufferevent_get_input(stream);

	call->bytes += evbuffer_get_length(input);
	evbuffer_drain(input, evbuffer_get_length(input));
}

static void on_event(struct bufferevent *stream, short what, void *context)
{
	struct call *call = context;
	uint64_t answer = htole64(call->bytes);

	if (!(what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)))
		return;
	if (call->sends || what & BEV_EVENT_ERROR) {
		finish(stream, call);
		return;
	}
	(void)send(bufferevent_getfd(stream), &answer, sizeof(answer), 0);
	finish(stream, call);
}

static bool on_accept(void *context, uint64_t cid, uint32_t port, struct bufferevent *stream)
{
	struct call *call;

	(void)context;
	(void)cid;
	if (port != source_port && port != source_port + 1)
		return false;
	call = calloc(1, sizeof(*call));
	if (call == NULL)
		return false;
	call->sends = port == source_port;
	call->bytes = call->sends ? total : 0;
	clock_gettime(CLOCK_MONOTONIC, &call->start);
	bufferevent_setcb(stream, on_read, call->sends ? on_written : NULL, on_event, call);
	bufferevent_setwatermark(stream, EV_READ, 0, BLOCK_BYTES);
	bufferevent_setwatermark(stream, EV_WRITE, call->sends ? BLOCK_BYTES / 4 : 0, 0);
	bufferevent_enable(stream, EV_READ | EV_WRITE);
	if (call->sends)
		on_written(stream, call);
	return true;
}

static void on_trouble(void *context, const char *sentence)
{
	(void)context;
	fprintf(stderr, "card: %s\n", sentence);
}

static void on_signal(evutil_socket_t fd, short what, void *base)
{
	(void)fd;
	(void)what;
	event_base_loopbreak(base);
}

static int run(const char *path)
{
	static const struct vsock_callbacks cb = {on_accept, on_trouble};
	struct event_base *base = event_base_new();
	struct event *term = base != NULL ? evsignal_new(base, SIGTERM, on_signal, base) : NULL;
	struct vsock_device *device =
		term != NULL ? vsock_device_new(base, path, GUEST_CID, &cb, NULL) : NULL;

	if (device == NULL) {
		fprintf(stderr, "vsock_source: %s: %s\n", path, strerror(errno));
		return EXIT_FAILURE;
	}
	evsignal_add(term, NULL);
	event_base_dispatch(base);
	vsock_device_free(device);
	event_free(term);
	event_base_free(base);
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	if (argc != 4) {
		fprintf(stderr, "usage: vsock_source SOCKET PORT MIB\n");
		return 2;
	}
	source_port = (uint32_t)strtoul(argv[2], NULL, 10);
	total = strtoull(argv[3], NULL, 10) * 1024 * 1024;
	for (size_t i = 0; i < BLOCK_BYTES / 8; i++)
		block[i] = htole64(i);
	return run(argv[1]);
}
