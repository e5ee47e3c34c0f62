/* SPDX-License-Identifier: Apache-2.0 */
#include "card_end.h"

#include <signal.h>
#include <unistd.h>

#include <sys/socket.h>

#define SOCKET_BYTES (1024 * 1024) /* asked of the kernel, for what the card has written */
#define TURN_BYTES ((size_t)256 * 1024) /* what is read or written at once */

struct bufferevent *card_end(struct event_base *base, int fd)
{
	struct bufferevent *bev = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
	int size = SOCKET_BYTES;

	if (bev == NULL) {
		close(fd);
		return NULL;
	}
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) != 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)); /* less will do */
	bufferevent_set_max_single_read(bev, TURN_BYTES);
	bufferevent_set_max_single_write(bev, TURN_BYTES);
	return bev;
}

void ignore_sigpipe(void)
{
	struct sigaction now;

	if (sigaction(SIGPIPE, NULL, &now) == 0 && now.sa_handler == SIG_DFL)
		signal(SIGPIPE, SIG_IGN);
}
