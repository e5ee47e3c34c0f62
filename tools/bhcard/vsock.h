/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the card is dialled: streams that come in by vsock, from a server in QEMU (this is its virtio-vsock device, by
 * vhost-user) or, on a real card, from the kernel's AF_VSOCK. Both end in the same libevent streams.
 */
#ifndef BHCARD_VSOCK_H
#define BHCARD_VSOCK_H

#include <stdbool.h>
#include <stdint.h>

#include <event2/bufferevent.h>
#include <event2/event.h>

struct vsock_device;
struct vsock_listener;

struct vsock_callbacks {
	/*
	 * The guest @cid has dialled @port. True: @stream is the callee's, which sets callbacks, enables it, and frees it to
	 * hang up. False: nobody listens there; the guest is refused, @stream goes away.
	 *
	 * It is a bufferevent on a socket, so all goes as with TCP:
	 * - BEV_EVENT_EOF: the guest sends no more, or is gone; what it sent before has been delivered.
	 * - BEV_EVENT_ERROR (EPIPE, ECONNRESET): what is written no longer arrives.
	 * - shutdown(bufferevent_getfd(stream), SHUT_WR), once its output is empty, ends one direction. bufferevent_free()
	 *   ends both; bytes that are still in its output buffer are lost, those that have left it are delivered.
	 * - What the guest does not take stays in the output buffer; write more in the write callback. What nobody takes
	 *   here is held back by credit: set a high read watermark, or disable EV_READ, to make the guest wait.
	 */
	bool (*accept)(void *context, uint64_t cid, uint32_t port, struct bufferevent *stream);
	/* The device or its driver did something it must not, @sentence says what; may be NULL. For the log. */
	void (*trouble)(void *context, const char *sentence);
};

/*
 * A virtio-vsock device (virtio 1.2 5.10) for a guest with the number @cid, for QEMU's vhost-user-vsock-pci: listens on the
 * unix socket @socket_path, replacing what socket is there, and serves one QEMU at a time, again and again. The guest
 * reaches the card as CID 2. It is not trusted, and can break nothing but its own device: then all its streams end, and
 * nothing moves until its driver resets the device. Its streams end as well when the driver resets it or QEMU goes away.
 *
 * Also makes the program ignore SIGPIPE, unless it handles that signal. @cb must stay where it is. NULL, with errno: it did
 * not work.
 */
struct vsock_device *vsock_device_new(struct event_base *base, const char *socket_path,
				      uint64_t cid, const struct vsock_callbacks *cb,
				      void *context);

/* Hangs up every stream and QEMU. Not to be called from one of its callbacks. NULL is fine. */
void vsock_device_free(struct vsock_device *device);

/*
 * The same from the kernel: listens for AF_VSOCK connections of any CID to @port. NULL, with errno: no such sockets here, or
 * the port is taken. SIGPIPE and @cb as above.
 */
struct vsock_listener *vsock_listen_afvsock(struct event_base *base, uint32_t port,
					    const struct vsock_callbacks *cb, void *context);

/* Listens no more. Streams that were accepted stay. NULL is fine. */
void vsock_listener_free(struct vsock_listener *listener);

#endif
