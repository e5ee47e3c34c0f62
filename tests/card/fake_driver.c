/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_driver.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <linux/vhost_types.h>

#define USER_BASE 0x7000000000ull /* where QEMU has the memory */
#define RINGS_AT 0 /* in the memory */
#define QUEUE_BYTES 0x4000
#define RX_AT 0x10000 /* buffers to receive: FAKE_RING of them */
#define RX_STRIDE 0xc000
#define TX_AT 0x380000 /* what is sent: a slot for each descriptor */
#define TX_STRIDE 0x40
#define TX_DATA_AT 0x384000
#define TURNS 64

/* vhost-user (docs/interop/vhost-user.rst of QEMU) */
enum {
	GET_FEATURES = 1,
	SET_FEATURES = 2,
	SET_OWNER = 3,
	SET_MEM_TABLE = 5,
	SET_VRING_NUM = 8,
	SET_VRING_ADDR = 9,
	SET_VRING_BASE = 10,
	GET_VRING_BASE = 11,
	SET_VRING_KICK = 12,
	SET_VRING_CALL = 13,
	SET_VRING_ENABLE = 18,
};

struct front_message {
	uint32_t request;
	uint32_t flags;
	uint32_t size;
	uint8_t payload[340];
};

struct memory_table {
	uint32_t regions;
	uint32_t padding;
	uint64_t guest;
	uint64_t size;
	uint64_t user;
	uint64_t offset;
};

static void check(bool right)
{
	if (!right)
		abort();
}

void fake_init(struct fake_driver *f, struct event_base *base)
{
	memset(f, 0, sizeof(*f));
	f->base = base;
	f->sock = -1;
	f->features = 1ull << 32;
	f->memory_fd = memfd_create("guest", MFD_CLOEXEC);
	check(f->memory_fd >= 0 && ftruncate(f->memory_fd, FAKE_BYTES) == 0);
	f->memory = mmap(NULL, FAKE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, f->memory_fd, 0);
	check(f->memory != MAP_FAILED);
	for (int i = 0; i < FAKE_QUEUES; i++) {
		f->queue[i].kick = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		f->queue[i].call = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		vring_init(&f->queue[i].vring, FAKE_RING,
			   f->memory + RINGS_AT + (size_t)i * QUEUE_BYTES, 4096);
	}
}

void fake_exit(struct fake_driver *f)
{
	fake_disconnect(f);
	for (int i = 0; i < FAKE_QUEUES; i++) {
		close(f->queue[i].kick);
		close(f->queue[i].call);
	}
	munmap(f->memory, FAKE_BYTES);
	close(f->memory_fd);
}

void fake_settle(const struct fake_driver *f)
{
	for (int i = 0; i < TURNS; i++)
		event_base_loop(f->base, EVLOOP_NONBLOCK);
}

bool fake_connect(struct fake_driver *f, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	f->sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(f->sock, (struct sockaddr *)&address, sizeof(address)) != 0) {
		close(f->sock);
		f->sock = -1;
		return false;
	}
	fake_settle(f);
	return true;
}

void fake_disconnect(struct fake_driver *f)
{
	if (f->sock == -1)
		return;
	close(f->sock);
	f->sock = -1;
	fake_settle(f);
}

bool fake_is_hung_up(const struct fake_driver *f)
{
	uint8_t byte;

	fake_settle(f);
	return recv(f->sock, &byte, 1, MSG_DONTWAIT | MSG_PEEK) == 0;
}

void fake_message(struct fake_driver *f, uint32_t request, const void *payload, uint32_t bytes,
		  int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = {0};
	struct front_message m = {.request = request, .flags = 1, .size = bytes};
	struct iovec piece = {&m, offsetof(struct front_message, payload) + bytes};
	struct msghdr to = {.msg_iov = &piece, .msg_iovlen = 1};

	check(bytes <= sizeof(m.payload));
	if (bytes != 0)
		memcpy(m.payload, payload, bytes);
	if (fd != -1) {
		struct cmsghdr *c = (struct cmsghdr *)(void *)control;

		*c = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
		to.msg_control = control;
		to.msg_controllen = sizeof(control);
	}
	(void)sendmsg(f->sock, &to, MSG_NOSIGNAL);
	fake_settle(f);
}

bool fake_ask(struct fake_driver *f, uint32_t request, const void *payload, uint32_t size,
	      void *answer, uint32_t bytes)
{
	struct front_message m;
	size_t length = offsetof(struct front_message, payload) + bytes;

	fake_message(f, request, payload, size, -1);
	if (recv(f->sock, &m, length, MSG_DONTWAIT) != (ssize_t)length || m.request != request ||
	    m.flags != 5 || m.size != bytes)
		return false;
	memcpy(answer, m.payload, bytes);
	return true;
}

static uint64_t user_address(const struct fake_driver *f, const void *at)
{
	return USER_BASE + (uint64_t)((const uint8_t *)at - f->memory);
}

static void start_queue(struct fake_driver *f, uint32_t index)
{
	struct fake_queue *q = &f->queue[index];
	struct vhost_vring_state num = {index, FAKE_RING};
	struct vhost_vring_state zero = {index, 0};
	struct vhost_vring_state one = {index, 1};
	uint64_t file = index;
	struct vhost_vring_addr address = {
		.index = index,
		.desc_user_addr = user_address(f, q->vring.desc),
		.used_user_addr = user_address(f, q->vring.used),
		.avail_user_addr = user_address(f, q->vring.avail),
	};

	q->used = 0;
	fake_message(f, SET_VRING_NUM, &num, sizeof(num), -1);
	fake_message(f, SET_VRING_BASE, &zero, sizeof(zero), -1);
	fake_message(f, SET_VRING_ADDR, &address, sizeof(address), -1);
	fake_message(f, SET_VRING_KICK, &file, sizeof(file), q->kick);
	fake_message(f, SET_VRING_CALL, &file, sizeof(file), q->call);
	fake_message(f, SET_VRING_ENABLE, &one, sizeof(one), -1);
}

void fake_start(struct fake_driver *f)
{
	struct memory_table table = {1, 0, FAKE_BASE, FAKE_BYTES, USER_BASE, 0};

	memset(f->memory, 0, RX_AT);
	fake_message(f, SET_OWNER, NULL, 0, -1);
	fake_message(f, SET_FEATURES, &f->features, sizeof(f->features), -1);
	fake_message(f, SET_MEM_TABLE, &table, sizeof(table), f->memory_fd);
	for (uint32_t i = 0; i < FAKE_QUEUES; i++)
		start_queue(f, i);
	for (int i = 0; i < FAKE_QUEUES; i++)
		(void)fake_notified(f, i);
}

void fake_stop(struct fake_driver *f)
{
	for (uint32_t i = 0; i < FAKE_QUEUES; i++) {
		struct vhost_vring_state state = {i, 0};

		check(fake_ask(f, GET_VRING_BASE, &state, sizeof(state), &state, sizeof(state)));
	}
}

void fake_avail(struct fake_driver *f, int queue, uint16_t head)
{
	struct fake_queue *q = &f->queue[queue];
	struct vring_avail *avail = q->vring.avail;

	avail->ring[avail->idx % FAKE_RING] = head;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	avail->idx++;
	check(eventfd_write(q->kick, 1) == 0);
	fake_settle(f);
}

struct vring_desc fake_desc(size_t offset, uint32_t bytes, uint16_t flags, uint16_t next)
{
	return (struct vring_desc){FAKE_BASE + offset, bytes, flags, next};
}

uint64_t fake_notified(const struct fake_driver *f, int queue)
{
	eventfd_t count = 0;

	return eventfd_read(f->queue[queue].call, &count) == 0 ? count : 0;
}

struct virtio_vsock_hdr fake_header(uint16_t op, uint32_t bytes)
{
	return (struct virtio_vsock_hdr){
		.src_cid = FAKE_CID,
		.dst_cid = 2,
		.src_port = 1000,
		.dst_port = 7077,
		.len = bytes,
		.type = VIRTIO_VSOCK_TYPE_STREAM,
		.op = op,
		.buf_alloc = FAKE_ROOM,
	};
}

void fake_send(struct fake_driver *f, const struct virtio_vsock_hdr *header, const void *data,
	       size_t bytes)
{
	struct fake_queue *q = &f->queue[FAKE_TX];
	uint16_t head = (uint16_t)(q->vring.avail->idx * 2 % FAKE_RING);
	size_t at = TX_AT + (size_t)head * TX_STRIDE;

	check(bytes <= FAKE_BYTES - TX_DATA_AT);
	memcpy(f->memory + at, header, sizeof(*header));
	q->vring.desc[head] = fake_desc(at, sizeof(*header), bytes != 0 ? VRING_DESC_F_NEXT : 0,
					(uint16_t)(head + 1));
	if (bytes != 0) {
		memcpy(f->memory + TX_DATA_AT, data, bytes);
		q->vring.desc[head + 1] = fake_desc(TX_DATA_AT, (uint32_t)bytes, 0, 0);
	}
	fake_avail(f, FAKE_TX, head);
}

void fake_offer(struct fake_driver *f, unsigned int count, uint32_t bytes, unsigned int pieces)
{
	struct vring *ring = &f->queue[FAKE_RX].vring;

	check(count * pieces <= FAKE_RING && bytes <= RX_STRIDE);
	for (unsigned int i = 0; i < count; i++) {
		uint16_t head = (uint16_t)(i * pieces);
		uint32_t done = 0;

		for (unsigned int p = 0; p < pieces; p++) {
			uint32_t part = p + 1 == pieces ? bytes - done : bytes / pieces;

			ring->desc[head + p] =
				fake_desc(RX_AT + (size_t)i * RX_STRIDE + done, part,
					  (uint16_t)(VRING_DESC_F_WRITE |
						     (p + 1 == pieces ? 0 : VRING_DESC_F_NEXT)),
					  (uint16_t)(head + p + 1));
			done += part;
		}
		fake_avail(f, FAKE_RX, head);
	}
}

bool fake_receive(struct fake_driver *f, struct virtio_vsock_hdr *header, uint8_t *data,
		  uint32_t *bytes)
{
	struct fake_queue *q = &f->queue[FAKE_RX];
	const struct vring_used_elem *used = &q->vring.used->ring[q->used % FAKE_RING];
	const uint8_t *at;

	fake_settle(f);
	if (q->used == q->vring.used->idx)
		return false;
	q->used++;
	at = f->memory + (q->vring.desc[used->id].addr - FAKE_BASE);
	check(used->len >= sizeof(*header));
	memcpy(header, at, sizeof(*header));
	if (data != NULL)
		memcpy(data, at + sizeof(*header), used->len - sizeof(*header));
	*bytes = used->len;
	return true;
}
