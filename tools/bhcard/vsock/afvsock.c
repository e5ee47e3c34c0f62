/* SPDX-License-Identifier: Apache-2.0 */
/* The streams of real cards: the kernel's AF_VSOCK. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <sys/socket.h>

#include <linux/vm_sockets.h>

#include <event2/listener.h>

#include "card_end.h"
#include "tools/bhcard/vsock.h"

struct vsock_listener {
	struct event_base *base;
	const struct vsock_callbacks *cb;
	void *context;
	uint32_t port;
	struct evconnlistener *listener;
};

static void on_call(struct evconnlistener *from, evutil_socket_t fd, struct sockaddr *address,
		    int length, void *context)
{
	struct vsock_listener *listener = context;
	const struct sockaddr_vm *guest = (const struct sockaddr_vm *)(const void *)address;
	struct bufferevent *bev;

	(void)from;
	if (length < (int)sizeof(*guest)) {
		close(fd);
		return;
	}
	bev = card_end(listener->base, fd);
	if (bev != NULL &&
	    !listener->cb->accept(listener->context, guest->svm_cid, listener->port, bev))
		bufferevent_free(bev);
}

struct vsock_listener *vsock_listen_afvsock(struct event_base *base, uint32_t port,
					    const struct vsock_callbacks *cb, void *context)
{
	struct sockaddr_vm address = {
		.svm_family = AF_VSOCK, .svm_port = port, .svm_cid = VMADDR_CID_ANY};
	struct vsock_listener *listener = calloc(1, sizeof(*listener));
	int error;

	if (listener == NULL)
		return NULL;
	ignore_sigpipe();
	*listener = (struct vsock_listener){base, cb, context, port, NULL};
	listener->listener = evconnlistener_new_bind(
		base, on_call, listener, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, -1,
		(const struct sockaddr *)&address, sizeof(address));
	if (listener->listener != NULL)
		return listener;
	error = errno;
	free(listener);
	errno = error;
	return NULL;
}

void vsock_listener_free(struct vsock_listener *listener)
{
	if (listener == NULL)
		return;
	evconnlistener_free(listener->listener);
	free(listener);
}
