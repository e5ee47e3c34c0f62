/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtqueues of a virtio-vsock device, by QEMU's libvhost-user. QEMU itself serves the event queue. libvhost-user checks
 * what stands in the rings and calls panic(); QEMU's messages are checked here before it sees them.
 */
#include <endian.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <event2/listener.h>
#include <libvhost-user.h>

#include "card_end.h"
#include "pieces.h"
#include "streams.h"

#define F_EVENT_IDX 29 /* virtio 1.2 6 */
#define F_INDIRECT_DESC 28
#define F_VERSION_1 32
#define DEVICE_FEATURES                                                                            \
	(1ull << F_INDIRECT_DESC | 1ull << F_EVENT_IDX | 1ull << F_VERSION_1 |                     \
	 1ull << VHOST_USER_F_PROTOCOL_FEATURES)
/* Without CONFIGURE_MEM_SLOTS QEMU sends all of its memory whenever the device starts, so to a new bhcard too. */
#define PROTOCOL_FEATURES                                                                          \
	(1ull << VHOST_USER_PROTOCOL_F_MQ | 1ull << VHOST_USER_PROTOCOL_F_REPLY_ACK |              \
	 1ull << VHOST_USER_PROTOCOL_F_CONFIG)

enum { QUEUE_RX, QUEUE_TX, QUEUES };

#define TURN_PACKETS                                                                               \
	128 /* one way, before others have their turn; the guest is notified at most this late */
#define QEMU_WAIT_S 1 /* for the rest of a message that has begun */

/* A file descriptor libvhost-user waits for: a queue's kick. */
struct watch {
	struct event *event;
	int fd;
	vu_watch_cb cb;
	void *data;
	struct vsock_device *device;
};

struct vsock_device {
	struct event_base *base;
	char *path;
	uint64_t cid;
	const struct vsock_callbacks *cb;
	void *context;
	struct streams *streams;
	struct evconnlistener *listener;
	struct event *pump; /* never pending: activated when there is something to do */
	struct event *qemu; /* a message of QEMU; NULL: not connected */
	bool hang_up; /* on QEMU, as soon as its message has been dealt with */
	bool is_broken; /* by the driver, which has been said; as vu.broken, but that is set before */
	VuDev vu;
	struct watch watches[QUEUES];
};

static struct vsock_device *device_of(VuDev *vu)
{
	return (struct vsock_device *)((char *)vu - offsetof(struct vsock_device, vu));
}

static void trouble(struct vsock_device *device, const char *sentence)
{
	if (device->cb->trouble != NULL)
		device->cb->trouble(device->context, sentence);
}

/* ---- Packets between the rings and the streams ---------------------------------------------- */

/* The driver broke the rules: nothing moves any more until it resets the device (queue_set_started()). */
static void broken(VuDev *vu, const char *sentence)
{
	struct vsock_device *device = device_of(vu);

	vu->broken = true;
	if (device->is_broken)
		return;
	device->is_broken = true;
	trouble(device, sentence != NULL ? sentence : "out of memory");
	streams_reset(device->streams);
	for (int i = 0; i < QUEUES; i++) {
		if (vu->vq[i].err_fd != -1)
			(void)eventfd_write(vu->vq[i].err_fd, 1);
	}
}

/* What vu_queue_*() take for granted. */
static bool is_usable(struct vsock_device *device, int index)
{
	VuVirtq *vq;

	if (device->qemu == NULL || device->vu.broken)
		return false;
	vq = vu_get_queue(&device->vu, index);
	if (!vq->started || !vq->enable || vq->vring.avail == NULL || vq->call_fd == -1)
		return false;
	if ((uint16_t)(le16toh(vq->vring.avail->idx) - vq->last_avail_idx) <= vq->vring.num)
		return true;
	broken(&device->vu, "the driver offers more than a ring holds");
	return false;
}

static void finish(VuDev *vu, VuVirtq *vq, unsigned int count)
{
	if (count == 0 || vu->broken)
		return;
	vu_queue_flush(vu, vq, count);
	vu_queue_notify(vu, vq);
}

/* Up to a turn of the guest's packets; returns how many. */
static unsigned int take_turn(struct vsock_device *device, VuVirtq *vq)
{
	unsigned int count = 0;
	VuVirtqElement *e;

	while (count < TURN_PACKETS && streams_can_take(device->streams) &&
	       (e = vu_queue_pop(&device->vu, vq, sizeof(*e))) != NULL) {
		if (e->in_num != 0) {
			broken(&device->vu, "the driver sends from memory the device shall write");
			free(e);
			break;
		}
		streams_take(device->streams, e->out_sg, e->out_num);
		vu_queue_fill(&device->vu, vq, e, 0, count++);
		free(e);
	}
	finish(&device->vu, vq, count);
	return count;
}

/* Without notifications from the guest while we are at it. */
static void take_packets(struct vsock_device *device)
{
	VuVirtq *vq = vu_get_queue(&device->vu, QUEUE_TX);

	if (!is_usable(device, QUEUE_TX))
		return;
	vu_queue_set_notification(&device->vu, vq, 0);
	if (take_turn(device, vq) == TURN_PACKETS) {
		event_active(device->pump, 0, 0);
		return;
	}
	if (!is_usable(device, QUEUE_TX))
		return;
	vu_queue_set_notification(&device->vu, vq, 1);
	if (!vu_queue_empty(&device->vu, vq) && streams_can_take(device->streams))
		event_active(device->pump, 0, 0);
}

/* A buffer of the guest's. NULL: it has none now, and will notify us, or it is broken. */
static VuVirtqElement *next_buffer(VuDev *vu, VuVirtq *vq)
{
	VuVirtqElement *e = vu_queue_pop(vu, vq, sizeof(*e));

	if (e == NULL && !vu->broken) {
		vu_queue_set_notification(vu, vq, 1);
		e = vu_queue_pop(vu, vq, sizeof(*e)); /* it may have come in between */
		if (e != NULL)
			vu_queue_set_notification(vu, vq, 0);
	}
	if (e == NULL)
		return NULL;
	if (e->out_num == 0 && pieces_bytes(e->in_sg, e->in_num) >= HEADER_BYTES)
		return e;
	broken(vu, e->out_num != 0 ? "the driver offers memory to receive that it does not let the "
				     "device write"
				   : "the driver's buffer has no room for a header");
	free(e);
	return NULL;
}

static unsigned int give_turn(struct vsock_device *device, VuVirtq *vq)
{
	unsigned int count = 0;
	VuVirtqElement *e;
	size_t bytes;

	while (count < TURN_PACKETS && streams_have(device->streams) &&
	       (e = next_buffer(&device->vu, vq)) != NULL) {
		bytes = streams_give(device->streams, e->in_sg, e->in_num);
		if (bytes == 0)
			vu_queue_unpop(&device->vu, vq, e, 0);
		else
			vu_queue_fill(&device->vu, vq, e, (unsigned int)bytes, count++);
		free(e);
	}
	finish(&device->vu, vq, count);
	return count;
}

static void give_packets(struct vsock_device *device)
{
	VuVirtq *vq = vu_get_queue(&device->vu, QUEUE_RX);

	if (is_usable(device, QUEUE_RX) && give_turn(device, vq) == TURN_PACKETS)
		event_active(device->pump, 0, 0);
}

static void pump(struct vsock_device *device)
{
	if (device->qemu == NULL)
		return;
	take_packets(device);
	give_packets(device);
}

static void on_pump(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	pump(context);
}

static void wake(void *context)
{
	struct vsock_device *device = context;

	event_active(device->pump, 0, 0);
}

static void on_kick(VuDev *vu, int index)
{
	(void)index;
	pump(device_of(vu));
}

/* ---- What libvhost-user asks for ------------------------------------------------------------ */

static void on_watch(evutil_socket_t fd, short what, void *context)
{
	struct watch *watch = context;

	(void)fd;
	(void)what;
	watch->cb(&watch->device->vu, VU_WATCH_IN, watch->data);
}

static void remove_watch(VuDev *vu, int fd)
{
	struct vsock_device *device = device_of(vu);

	for (int i = 0; i < QUEUES; i++) {
		struct watch *watch = &device->watches[i];

		if (watch->event != NULL && watch->fd == fd) {
			event_free(watch->event);
			watch->event = NULL;
		}
	}
}

static void set_watch(VuDev *vu, int fd, int condition, vu_watch_cb cb, void *data)
{
	struct vsock_device *device = device_of(vu);
	struct watch *watch = device->watches;

	(void)condition; /* always to read */
	remove_watch(vu, fd);
	while (watch->event != NULL) {
		if (++watch == device->watches + QUEUES) {
			broken(vu, "QEMU has more kicks than queues");
			return;
		}
	}
	*watch = (struct watch){NULL, fd, cb, data, device};
	watch->event = event_new(device->base, fd, EV_READ | EV_PERSIST, on_watch, watch);
	if (watch->event == NULL || event_add(watch->event, NULL) != 0)
		broken(vu, "cannot wait for kicks");
}

/* Whether the ring is all in memory that QEMU shares; libvhost-user has looked at its beginnings. */
static bool is_mapped(const VuDev *vu, const void *start, size_t bytes)
{
	uintptr_t at = (uintptr_t)start;

	for (uint32_t i = 0; i < vu->nregions; i++) {
		const VuDevRegion *r = &vu->regions[i];
		uintptr_t base = (uintptr_t)(r->mmap_addr + r->mmap_offset);

		if (at >= base && at - base < r->size && bytes <= r->size - (at - base))
			return true;
	}
	return false;
}

static bool ring_is_mapped(const VuDev *vu, const VuVirtq *vq)
{
	size_t num = vq->vring.num;

	return num != 0 && (uintptr_t)vq->vring.desc % 16 == 0 &&
	       (uintptr_t)vq->vring.avail % 2 == 0 && (uintptr_t)vq->vring.used % 4 == 0 &&
	       is_mapped(vu, vq->vring.desc, num * sizeof(struct vring_desc)) &&
	       is_mapped(vu, vq->vring.avail, 6 + num * sizeof(uint16_t)) &&
	       is_mapped(vu, vq->vring.used, 6 + num * sizeof(struct vring_used_elem));
}

static void check_ring(VuDev *vu, const VuVirtq *vq)
{
	if (vq->started && !vu->broken && !ring_is_mapped(vu, vq))
		broken(vu, "a ring of the driver is not in its memory");
}

/* The driver starts the device, or resets it. */
static void queue_set_started(VuDev *vu, int index, bool started)
{
	struct vsock_device *device = device_of(vu);
	VuVirtq *vq = vu_get_queue(vu, index);

	streams_reset(device->streams);
	if (!started) {
		if (!vu->vq[QUEUE_RX].started && !vu->vq[QUEUE_TX].started)
			vu->broken = device->is_broken = false;
		return;
	}
	vq->inuse = 0;
	vq->notification = true;
	vq->signalled_used_valid = false;
	check_ring(vu, vq);
	if (!vu->broken)
		vu_queue_set_notification(vu, vq, index == QUEUE_TX);
}

static int get_config(VuDev *vu, uint8_t *config, uint32_t length)
{
	struct virtio_vsock_config mine = {.guest_cid = htole64(device_of(vu)->cid)};

	memset(config, 0, length);
	memcpy(config, &mine, length < sizeof(mine) ? length : sizeof(mine));
	return 0;
}

/* ---- Messages of QEMU ----------------------------------------------------------------------- */

static void close_files(VhostUserMsg *message)
{
	for (int i = 0; i < message->fd_num; i++)
		close(message->fds[i]);
	message->fd_num = 0;
}

/* The file descriptors that came with a message; false: more than fit. */
static bool read_files(struct msghdr *from, VhostUserMsg *message)
{
	for (struct cmsghdr *h = CMSG_FIRSTHDR(from); h != NULL; h = CMSG_NXTHDR(from, h)) {
		size_t bytes = h->cmsg_len - CMSG_LEN(0);

		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS ||
		    bytes > sizeof(message->fds))
			continue;
		memcpy(message->fds, CMSG_DATA(h), bytes);
		message->fd_num = (int)(bytes / sizeof(int));
	}
	return !(from->msg_flags & MSG_CTRUNC);
}

/* As vu_message_read_default(), without its assertions, and not waiting for ever. */
static bool read_message(VuDev *vu, int fd, VhostUserMsg *message)
{
	char control[CMSG_SPACE(sizeof(message->fds))] = {0};
	struct iovec header = {message, VHOST_USER_HDR_SIZE};
	struct msghdr from = {.msg_iov = &header,
			      .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = sizeof(control)};
	ssize_t got = recvmsg(fd, &from, MSG_WAITALL | MSG_CMSG_CLOEXEC);

	(void)vu;
	message->fd_num = 0;
	if (got > 0 && read_files(&from, message) && got == (ssize_t)VHOST_USER_HDR_SIZE &&
	    message->size <= sizeof(message->payload) &&
	    (message->size == 0 ||
	     recv(fd, &message->payload, message->size, MSG_WAITALL) == (ssize_t)message->size))
		return true;
	close_files(message);
	return false;
}

/* What the message must hold, for each that is let through; libvhost-user would believe some of it. */
static bool is_sane(const VhostUserMsg *m)
{
	uint32_t num = m->payload.state.num;

	switch (m->request) {
	case VHOST_USER_SET_OWNER:
	case VHOST_USER_RESET_OWNER:
	case VHOST_USER_GET_QUEUE_NUM:
	case VHOST_USER_GET_FEATURES:
	case VHOST_USER_GET_PROTOCOL_FEATURES:
		return m->fd_num == 0;
	case VHOST_USER_SET_FEATURES:
		return m->fd_num == 0 && (m->payload.u64 & ~DEVICE_FEATURES) == 0 &&
		       (m->payload.u64 & 1ull << F_VERSION_1) != 0;
	case VHOST_USER_SET_PROTOCOL_FEATURES:
		return m->fd_num == 0 && (m->payload.u64 & ~PROTOCOL_FEATURES) == 0;
	case VHOST_USER_GET_CONFIG:
		return m->fd_num == 0 && m->payload.config.size <= VHOST_USER_MAX_CONFIG_SIZE;
	case VHOST_USER_SET_MEM_TABLE:
		return m->payload.memory.nregions <= VHOST_MEMORY_BASELINE_NREGIONS &&
		       (int)m->payload.memory.nregions == m->fd_num;
	case VHOST_USER_SET_VRING_NUM:
		return m->fd_num == 0 && num != 0 && (num & (num - 1)) == 0 &&
		       num <= VIRTQUEUE_MAX_SIZE;
	case VHOST_USER_SET_VRING_BASE:
		return m->fd_num == 0 && num <= UINT16_MAX;
	case VHOST_USER_SET_VRING_ADDR:
	case VHOST_USER_SET_VRING_ENABLE:
	case VHOST_USER_GET_VRING_BASE:
		return m->fd_num == 0;
	case VHOST_USER_SET_VRING_KICK:
	case VHOST_USER_SET_VRING_CALL:
	case VHOST_USER_SET_VRING_ERR:
		return m->fd_num == (m->payload.u64 & VHOST_USER_VRING_NOFD_MASK ? 0 : 1);
	default:
		return false;
	}
}

static bool memory_is_sane(VhostUserMemory memory)
{
	for (uint32_t i = 0; i < memory.nregions; i++) {
		const VhostUserMemoryRegion *r = &memory.regions[i];

		if (r->memory_size == 0 || r->guest_phys_addr + r->memory_size < r->memory_size ||
		    r->userspace_addr + r->memory_size < r->memory_size ||
		    r->mmap_offset + r->memory_size < r->memory_size)
			return false;
	}
	return true;
}

static bool queue_is_sane(const VhostUserMsg *m)
{
	switch (m->request) {
	case VHOST_USER_SET_VRING_NUM:
	case VHOST_USER_SET_VRING_BASE:
	case VHOST_USER_SET_VRING_ENABLE:
	case VHOST_USER_GET_VRING_BASE:
		return m->payload.state.index < QUEUES;
	case VHOST_USER_SET_VRING_ADDR:
		return m->payload.addr.index < QUEUES;
	case VHOST_USER_SET_VRING_KICK:
	case VHOST_USER_SET_VRING_CALL:
	case VHOST_USER_SET_VRING_ERR:
		return (m->payload.u64 & VHOST_USER_VRING_IDX_MASK) < QUEUES;
	case VHOST_USER_SET_MEM_TABLE:
		return memory_is_sane(m->payload.memory);
	default:
		return true;
	}
}

static int answer(VhostUserMsg *message, uint64_t value, int *reply)
{
	message->payload.u64 = value;
	message->size = sizeof(value);
	message->flags = 1; /* the protocol's version; vu_send_reply() adds that it is an answer */
	*reply = 1;
	return 1;
}

/* 0: libvhost-user goes on with it. */
static int process_message(VuDev *vu, VhostUserMsg *message, int *reply)
{
	struct vsock_device *device = device_of(vu);

	*reply = 0;
	if (!is_sane(message) || !queue_is_sane(message)) {
		close_files(message);
		trouble(device, "QEMU sent a message that is not understood");
		device->hang_up = true;
		return 1;
	}
	if (message->request == VHOST_USER_GET_FEATURES)
		return answer(message, DEVICE_FEATURES, reply);
	if (message->request == VHOST_USER_GET_PROTOCOL_FEATURES)
		return answer(message, PROTOCOL_FEATURES, reply);
	return 0;
}

static const VuDevIface iface = {
	.process_msg = process_message,
	.queue_set_started = queue_set_started,
	.get_config = get_config,
};

/* ---- QEMU comes and goes -------------------------------------------------------------------- */

static void disconnect(struct vsock_device *device)
{
	if (device->qemu == NULL)
		return;
	event_free(device->qemu);
	device->qemu = NULL;
	streams_reset(device->streams);
	vu_deinit(&device->vu);
}

static void on_message(evutil_socket_t fd, short what, void *context)
{
	struct vsock_device *device = context;

	(void)fd;
	(void)what;
	if (!vu_dispatch(&device->vu) || device->hang_up) {
		disconnect(device);
		return;
	}
	/* The message may have moved rings or memory. */
	for (int i = 0; i < QUEUES; i++)
		check_ring(&device->vu, vu_get_queue(&device->vu, i));
	pump(device);
}

static bool connect_qemu(struct vsock_device *device, int fd)
{
	struct timeval wait = {QEMU_WAIT_S, 0};

	if (evutil_make_socket_closeonexec(fd) != 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) != 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait)) != 0)
		return false;
	device->hang_up = false;
	device->is_broken = false;
	device->qemu = event_new(device->base, fd, EV_READ | EV_PERSIST, on_message, device);
	if (device->qemu == NULL)
		return false;
	if (event_add(device->qemu, NULL) == 0 &&
	    vu_init(&device->vu, QUEUES, fd, broken, read_message, set_watch, remove_watch, &iface))
		return true;
	event_free(device->qemu);
	device->qemu = NULL;
	return false;
}

static void on_qemu(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address,
		    int length, void *context)
{
	struct vsock_device *device = context;

	(void)listener;
	(void)address;
	(void)length;
	if (device->qemu != NULL) {
		trouble(device, "another QEMU is turned away");
		close(fd);
		return;
	}
	if (!connect_qemu(device, fd)) {
		trouble(device, "QEMU cannot be served");
		close(fd);
		return;
	}
	for (int i = 0; i < QUEUES; i++)
		vu_set_queue_handler(&device->vu, vu_get_queue(&device->vu, i), on_kick);
}

/* Its owner's QEMU only. */
static struct evconnlistener *listen_at(struct vsock_device *device)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t length = strlen(device->path);
	struct evconnlistener *listener;
	struct stat old;
	mode_t mask;

	if (length >= sizeof(address.sun_path)) {
		errno = ENAMETOOLONG;
		return NULL;
	}
	memcpy(address.sun_path, device->path, length);
	if (lstat(device->path, &old) == 0 && S_ISSOCK(old.st_mode))
		unlink(device->path);
	mask = umask(0177);
	/* Blocking: a message is read whole, with a limit on the time. */
	listener = evconnlistener_new_bind(device->base, on_qemu, device,
					   LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC |
						   LEV_OPT_LEAVE_SOCKETS_BLOCKING,
					   1, (struct sockaddr *)&address, sizeof(address));
	umask(mask);
	return listener;
}

struct vsock_device *vsock_device_new(struct event_base *base, const char *socket_path,
				      uint64_t cid, const struct vsock_callbacks *cb, void *context)
{
	struct vsock_device *device = calloc(1, sizeof(*device));
	int error;

	if (device == NULL)
		return NULL;
	ignore_sigpipe();
	device->base = base;
	device->path = strdup(socket_path);
	device->cid = cid;
	device->cb = cb;
	device->context = context;
	device->pump = event_new(base, -1, 0, on_pump, device);
	device->streams = streams_new(base, cid, cb, context, wake, device);
	if (device->path != NULL && device->pump != NULL && device->streams != NULL)
		device->listener = listen_at(device);
	if (device->listener != NULL)
		return device;
	error = errno;
	vsock_device_free(device);
	errno = error;
	return NULL;
}

void vsock_device_free(struct vsock_device *device)
{
	if (device == NULL)
		return;
	disconnect(device);
	streams_free(device->streams);
	if (device->listener != NULL) {
		evconnlistener_free(device->listener);
		unlink(device->path);
	}
	if (device->pump != NULL)
		event_free(device->pump);
	free(device->path);
	free(device);
}
