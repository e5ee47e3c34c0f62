/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server SOCKET: the resident core on the fake machine, as a server that a card
 * can manage: it dials the stream socket SOCKET instead of vsock. 8 cores, 192 MiB, no VM
 * at boot. Its guests say hello and echo what they read; they obey three letters:
 * o switches the VM off, r resets it, x does what no guest may.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <bulkhead/protocol.h>
#include <bulkhead/vsock.h>

#include "arch/host/host.h"
#include "core/core.h"

#define CORES 8
#define RAM (192 * MIB)
#define SLICE 10000 /* microseconds of the fake machine between looks at the socket */

/* ---- bulkhead/vsock.h over a stream socket ---- */

static struct sockaddr_un address = {.sun_family = AF_UNIX};
static int stream = -1;

void vsock_use(const struct plan_card *card, pa_t bounce)
{
	(void)card;
	(void)bounce;
}

void vsock_close(void)
{
	if (stream >= 0)
		close(stream);
	stream = -1;
}

void vsock_connect(uint32_t port)
{
	(void)port;
	stream = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (connect(stream, (struct sockaddr *)&address, sizeof(address)) != 0)
		vsock_close();
}

enum vsock_state vsock_poll(void)
{
	char byte;

	if (stream >= 0 && recv(stream, &byte, 1, MSG_PEEK) == 0)
		vsock_close();
	return stream >= 0 ? VSOCK_OPEN : VSOCK_CLOSED;
}

static uint32_t moved(ssize_t count)
{
	if (count < 0 && errno != EAGAIN)
		vsock_close();
	return count > 0 ? (uint32_t)count : 0;
}

uint32_t vsock_read(void *to, uint32_t size)
{
	return stream >= 0 ? moved(recv(stream, to, size, 0)) : 0;
}

uint32_t vsock_write(const void *from, uint32_t size)
{
	return stream >= 0 ? moved(send(stream, from, size, MSG_NOSIGNAL)) : 0;
}

/* ---- Guests ---- */

static void obey(struct host_guest *guest, int c)
{
	char text[] = {(char)c, '\0'};

	if (c == 'o')
		guest_system_off(guest);
	if (c == 'r')
		guest_system_reset(guest);
	if (c == 'x')
		guest_illegal(guest, "load from unowned memory");
	guest_print(guest, text);
}

static void talk(struct host_guest *guest)
{
	int c;

	if (guest_vcpu(guest) == 0)
		guest_print(guest, "hello\n");
	for (;;) {
		while ((c = guest_read(guest)) >= 0)
			obey(guest, c);
		guest_sleep(guest);
	}
}

/* ---- The machine ---- */

static void show_output(void)
{
	fputs(host_output(), stdout);
	fflush(stdout);
	host_forget_output();
}

int main(int argc, char **argv)
{
	if (argc != 2 || strlen(argv[1]) >= sizeof(address.sun_path)) {
		fprintf(stderr, "usage: server SOCKET\n");
		return 2;
	}
	memcpy(address.sun_path, argv[1], strlen(argv[1]) + 1);
	host_spare_ram(RAM);
	struct boot_info *info = host_make(CORES, NULL, 0);

	for (uint32_t i = 0; i < ARRAY_SIZE(info->machine.arm64.timer_ppi); i++)
		info->machine.arm64.timer_ppi[i] = 26 + i;
	for (uint32_t i = 0; i < CONFIG_MAX_VMS; i++)
		host_guest_set(i, talk);
	info->plan.card = (struct plan_card){.present = 1,
					     .function = MACHINE_NONE,
					     .port = PROTOCOL_PORT,
					     .registers = {pa(HOST_DEVICES_BASE + GIB), PAGE_SIZE},
					     .device = CARD_COMMON_BYTES};
	host_boot(info, core_main);
	for (enum host_end end = HOST_RUNS; end <= HOST_BUSY;) {
		struct pollfd poll_stream = {.fd = stream, .events = POLLIN};

		end = host_run_for(SLICE);
		show_output();
		if (end <= HOST_BUSY)
			poll(&poll_stream, 1, 5);
		else
			fprintf(stderr, "server: the machine ended: %s\n", host_broken());
	}
	return 1;
}
