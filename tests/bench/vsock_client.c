/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vsock_client receive|check|send PORT [MIB]
 *
 * In a Linux guest: how fast vsock is. Dials PORT of CID 2 and reads to the end of file (check: and compares with what
 * tests/card/vsock_source.c sends), or sends MIB mebibytes to PORT + 1, which answers with their number. Prints a line with
 * the mebibytes, the seconds by the guest's clock, and MiB/s.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sys/socket.h>

#include <linux/vm_sockets.h>

#define MIB (1024.0 * 1024.0)
#define BLOCK_BYTES (256 * 1024)

static unsigned char buffer[BLOCK_BYTES];

static void fail(const char *what)
{
	perror(what);
	exit(EXIT_FAILURE);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int dial(unsigned int port)
{
	struct sockaddr_vm card = {
		.svm_family = AF_VSOCK, .svm_port = port, .svm_cid = VMADDR_CID_HOST};
	int fd = socket(AF_VSOCK, SOCK_STREAM, 0);

	if (fd < 0)
		fail("socket");
	if (connect(fd, (struct sockaddr *)&card, sizeof(card)) != 0)
		fail("connect");
	return fd;
}

/* What comes is the 8-byte little-endian numbers from 0, again after each block. */
static void compare(uint64_t at, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++, at++) {
		uint64_t number = at % BLOCK_BYTES / 8;
		unsigned char expected = (unsigned char)(number >> (at % 8 * 8));

		if (buffer[i] != expected) {
			printf("vsock: byte %llu is %u, not %u\n", (unsigned long long)at,
			       buffer[i], expected);
			exit(EXIT_FAILURE);
		}
	}
}

static uint64_t receive(unsigned int port, int check)
{
	int fd = dial(port);
	uint64_t total = 0;
	ssize_t got;

	while ((got = read(fd, buffer, sizeof(buffer))) > 0) {
		if (check)
			compare(total, (size_t)got);
		total += (uint64_t)got;
	}
	if (got < 0)
		fail("read");
	close(fd);
	return total;
}

static uint64_t transmit(unsigned int port, uint64_t bytes)
{
	int fd = dial(port + 1);
	uint64_t left = bytes, answer = 0;

	while (left != 0) {
		ssize_t sent = write(fd, buffer, left < BLOCK_BYTES ? left : BLOCK_BYTES);

		if (sent < 0)
			fail("write");
		left -= (uint64_t)sent;
	}
	if (shutdown(fd, SHUT_WR) != 0)
		fail("shutdown");
	if (read(fd, &answer, sizeof(answer)) != sizeof(answer))
		fail("answer");
	if (answer != bytes) {
		printf("vsock: %llu of %llu bytes arrived\n", (unsigned long long)answer,
		       (unsigned long long)bytes);
		exit(EXIT_FAILURE);
	}
	close(fd);
	return bytes;
}

int main(int argc, char **argv)
{
	unsigned int port = argc > 2 ? (unsigned int)strtoul(argv[2], NULL, 10) : 0;
	double start = now(), seconds;
	uint64_t bytes;

	if (argc == 4 && strcmp(argv[1], "send") == 0) {
		bytes = transmit(port, strtoull(argv[3], NULL, 10) * 1024 * 1024);
	} else if (argc == 3 &&
		   (strcmp(argv[1], "receive") == 0 || strcmp(argv[1], "check") == 0)) {
		bytes = receive(port, argv[1][0] == 'c');
	} else {
		fprintf(stderr, "usage: vsock_client receive|check|send PORT [MIB]\n");
		return 2;
	}
	seconds = now() - start;
	printf("vsock: %s %.1f MiB in %.3f s: %.1f MiB/s\n", argv[1], (double)bytes / MIB, seconds,
	       (double)bytes / MIB / seconds);
	return 0;
}
