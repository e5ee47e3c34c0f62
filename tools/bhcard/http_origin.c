/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A page of any server that is open in a browser on this machine can have that
 * browser send requests to our TCP port: under its own name, which its owner
 * lets resolve to our address (then Host is that name), or across origins (then
 * Origin is the page's; RFC 6454 7). Unix sockets no browser can reach.
 */
#include <arpa/inet.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "http.h"

#define HOST_MAX 64 /* an address in brackets, a colon and a port need less */

static bool is_unix(evutil_socket_t fd)
{
	struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
	socklen_t size = sizeof(address);

	return getsockname(fd, (struct sockaddr *)&address, &size) == 0 &&
	       address.ss_family == AF_UNIX;
}

/* @host without its port: an address, which nobody can let resolve to another, or the one name that is always our own. */
static bool is_ours(const char *host, size_t length)
{
	char name[HOST_MAX];
	struct in6_addr address;
	size_t end = 0;

	if (length >= sizeof(name))
		return false;
	memcpy(name, host, length);
	name[length] = '\0';
	if (name[0] == '[') {
		end = strcspn(name, "]");
		if (name[end] == '\0' || (name[end + 1] != ':' && name[end + 1] != '\0'))
			return false;
		name[end] = '\0';
		return inet_pton(AF_INET6, name + 1, &address) == 1;
	}
	name[strcspn(name, ":")] = '\0';
	return strcasecmp(name, "localhost") == 0 || inet_pton(AF_INET, name, &address) == 1;
}

/* Of a header's value, without what may follow it. */
static size_t length_of(const char *value)
{
	size_t length = value ? strcspn(value, "\r") : 0;

	while (length != 0 && (value[length - 1] == ' ' || value[length - 1] == '\t'))
		length--;
	return length;
}

bool http_is_ours(evutil_socket_t fd, const char *host, const char *origin, struct fail *fail)
{
	static const char scheme[] = "http://";
	const size_t prefix = sizeof(scheme) - 1;
	size_t length = length_of(host);
	size_t size = length_of(origin);

	if (is_unix(fd))
		return true;
	if (!host || !is_ours(host, length))
		return fail_with(fail, FAIL_ORIGIN,
				 "Host is '%.*s'; an address or localhost is allowed",
				 (int)(length < 128 ? length : 128), host ? host : "");
	if (!origin || (size == prefix + length && strncasecmp(origin, scheme, prefix) == 0 &&
			strncasecmp(origin + prefix, host, length) == 0))
		return true;
	return fail_with(fail, FAIL_ORIGIN, "the request is a page's from '%.*s'; it may not",
			 (int)(size < 128 ? size : 128), origin);
}
