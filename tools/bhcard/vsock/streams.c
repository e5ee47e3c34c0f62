/* SPDX-License-Identifier: Apache-2.0 */
#include "streams.h"

#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include <sys/queue.h>
#include <sys/socket.h>

#include <event2/buffer.h>

#include "card_end.h"
#include "pieces.h"

#define MAX_REFUSALS 64 /* waiting to be sent, besides those of streams */
#define CREDIT_WAIT_MS 200 /* then the guest is asked whether it has really no room */
#define CLOSE_WAIT_MS 10000 /* for the guest, once the card has hung up */

/* What is to be sent on a stream, besides data; in this order. */
enum { SEND_RESPONSE = 1, SEND_CREDIT_UPDATE = 2, SEND_CREDIT_REQUEST = 4, SEND_SHUTDOWN = 8 };

struct stream {
	TAILQ_ENTRY(stream) link;
	TAILQ_ENTRY(stream) ready_link;
	struct streams *all;
	uint32_t guest_port;
	uint32_t card_port;
	int fd; /* our end; the other one is the card's */
	struct event *event;
	struct event *timer;
	struct evbuffer *unread; /* of the guest, which the socket had no room for */
	unsigned int send;
	bool is_ready; /* in the list of those that may have a packet */
	bool readable; /* the socket may have something */
	bool ended; /* the card sends no more */
	bool hung_up; /* nor does it read */
	bool guest_ends; /* the guest sends no more */
	bool end_told; /* and the card knows */
	bool guest_deaf; /* the guest reads no more */
	uint32_t received;
	uint32_t told; /* as received, but what the guest knows to be taken */
	uint32_t sent;
	uint32_t guest_room; /* its buf_alloc and fwd_cnt */
	uint32_t guest_taken;
};

/* An RST to be sent, for a stream that is not there. */
struct refusal {
	uint64_t from_cid;
	uint32_t card_port;
	uint32_t guest_port;
	uint16_t type;
};

TAILQ_HEAD(stream_list, stream);

/* There is room for the refusal of each stream: refusal_count + stream_count <= MAX_REFUSALS + MAX_STREAMS. */
struct streams {
	struct event_base *base;
	uint64_t cid;
	const struct vsock_callbacks *cb;
	void *context;
	void (*wake)(void *waker);
	void *waker;
	struct stream_list list;
	struct stream_list ready;
	uint32_t stream_count;
	struct refusal refusals[MAX_REFUSALS + MAX_STREAMS];
	uint32_t first_refusal;
	uint32_t refusal_count;
};

/* ---- What is to be sent --------------------------------------------------------------------- */

static void refuse(struct streams *all, const struct refusal *refusal)
{
	uint32_t at = (all->first_refusal + all->refusal_count) % (MAX_REFUSALS + MAX_STREAMS);

	all->refusals[at] = *refusal;
	all->refusal_count++;
	all->wake(all->waker);
}

/* How many bytes the guest has room for. What it says is its own business, as long as it is a number. */
static uint32_t room(const struct stream *s)
{
	uint32_t waiting = s->sent - s->guest_taken;

	return waiting < s->guest_room ? s->guest_room - waiting : 0;
}

static bool has_data(const struct stream *s)
{
	return s->readable && !s->ended && !s->guest_deaf;
}

static void become_ready(struct stream *s)
{
	if (s->is_ready || (s->send == 0 && !(has_data(s) && room(s) != 0)))
		return;
	s->is_ready = true;
	TAILQ_INSERT_TAIL(&s->all->ready, s, ready_link);
	s->all->wake(s->all->waker);
}

static void to_send(struct stream *s, unsigned int what)
{
	s->send |= what;
	become_ready(s);
}

static void wait_ms(struct stream *s, long ms)
{
	struct timeval time = {ms / 1000, ms % 1000 * 1000};

	evtimer_add(s->timer, &time);
}

/* ---- Coming and going ----------------------------------------------------------------------- */

/* The card's end sees end of file once it has read what is in the socket. */
static void stream_free(struct stream *s)
{
	struct streams *all = s->all;

	if (s->is_ready)
		TAILQ_REMOVE(&all->ready, s, ready_link);
	TAILQ_REMOVE(&all->list, s, link);
	all->stream_count--;
	if (s->event != NULL)
		event_free(s->event);
	if (s->timer != NULL)
		event_free(s->timer);
	if (s->unread != NULL)
		evbuffer_free(s->unread);
	close(s->fd);
	free(s);
	all->wake(all->waker);
}

static void stream_reset(struct stream *s)
{
	struct streams *all = s->all;
	struct refusal refusal = {HOST_CID, s->card_port, s->guest_port, VIRTIO_VSOCK_TYPE_STREAM};

	stream_free(s);
	refuse(all, &refusal);
}

static struct stream *find(struct streams *all, uint32_t guest_port, uint32_t card_port)
{
	struct stream *s;

	TAILQ_FOREACH(s, &all->list, link)
	{
		if (s->guest_port == guest_port && s->card_port == card_port)
			return s;
	}
	return NULL;
}

/* The guest learns in time that there is room again: when it thinks that there is half of it or less. */
static void check_credit(struct stream *s)
{
	uint32_t taken = s->received - (uint32_t)evbuffer_get_length(s->unread);

	if (taken != s->told && s->received - s->told >= CREDIT / 2)
		to_send(s, SEND_CREDIT_UPDATE);
}

/* Gives the card what the guest sent, as far as the socket has room. Whether the stream is still there. */
static bool deliver(struct stream *s)
{
	while (evbuffer_get_length(s->unread) != 0) {
		if (evbuffer_write(s->unread, s->fd) >= 0 || errno == EINTR)
			continue;
		if (errno == EAGAIN)
			break;
		evbuffer_drain(s->unread, evbuffer_get_length(s->unread)); /* nobody reads it */
	}
	check_credit(s);
	if (evbuffer_get_length(s->unread) != 0 || !s->guest_ends)
		return true;
	if (!s->end_told) /* once, for it is an event on our end too */
		shutdown(s->fd, SHUT_WR);
	s->end_told = true;
	if (!s->guest_deaf)
		return true;
	stream_reset(s); /* which confirms that everything has arrived (5.10.6.6) */
	return false;
}

static void check_hang_up(struct stream *s)
{
	struct pollfd state = {.fd = s->fd};

	if (s->hung_up || poll(&state, 1, 0) != 1 || !(state.revents & POLLHUP))
		return;
	/* After our own shutdown() of one direction this is the end of the other one. */
	s->hung_up = true;
	wait_ms(s, CLOSE_WAIT_MS);
	if (s->ended || s->guest_deaf)
		to_send(s, SEND_SHUTDOWN);
}

/* Edge-triggered: each time there is more to read, room to write again, or an end. */
static void on_socket(evutil_socket_t fd, short what, void *context)
{
	struct stream *s = context;

	(void)fd;
	(void)what;
	s->readable = true;
	if (!deliver(s))
		return;
	check_hang_up(s);
	become_ready(s);
}

static void on_timer(evutil_socket_t fd, short what, void *context)
{
	struct stream *s = context;

	(void)fd;
	(void)what;
	if (s->hung_up)
		stream_reset(s);
	else if (has_data(s) && room(s) == 0)
		to_send(s, SEND_CREDIT_REQUEST);
}

static bool prepare(struct stream *s)
{
	s->unread = evbuffer_new();
	s->timer = evtimer_new(s->all->base, on_timer, s);
	s->event = event_new(s->all->base, s->fd, EV_READ | EV_WRITE | EV_ET | EV_PERSIST,
			     on_socket, s);
	return s->unread != NULL && s->timer != NULL && s->event != NULL &&
	       event_add(s->event, NULL) == 0;
}

/* A stream on @fd, which it owns then. */
static struct stream *stream_new(struct streams *all, int fd,
				 const struct virtio_vsock_hdr *request)
{
	struct stream *s = calloc(1, sizeof(*s));

	if (s == NULL) {
		close(fd);
		return NULL;
	}
	s->all = all;
	s->fd = fd;
	s->guest_port = le32toh(request->src_port);
	s->card_port = le32toh(request->dst_port);
	s->guest_room = le32toh(request->buf_alloc);
	s->guest_taken = le32toh(request->fwd_cnt);
	TAILQ_INSERT_TAIL(&all->list, s, link);
	all->stream_count++;
	if (prepare(s))
		return s;
	stream_free(s);
	return NULL;
}

/* Whether the card has taken the call. */
static bool stream_open(struct streams *all, const struct virtio_vsock_hdr *request)
{
	uint32_t port = le32toh(request->dst_port);
	struct bufferevent *bev;
	struct stream *s;
	int fds[2];

	if (all->stream_count == MAX_STREAMS ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) != 0)
		return false;
	s = stream_new(all, fds[0], request);
	bev = card_end(all->base, fds[1]);
	if (s != NULL && bev != NULL && all->cb->accept(all->context, all->cid, port, bev)) {
		to_send(s, SEND_RESPONSE);
		return true;
	}
	if (bev != NULL)
		bufferevent_free(bev);
	if (s != NULL)
		stream_free(s);
	return false;
}

/* ---- Packets of the guest ------------------------------------------------------------------- */

static void take_data(struct stream *s, const struct iovec *pieces, size_t count, uint32_t bytes)
{
	struct iovec data[MAX_PIECES];
	size_t n;

	if (s->guest_ends || bytes > CREDIT - evbuffer_get_length(s->unread) ||
	    bytes > pieces_bytes(pieces, count) - HEADER_BYTES) {
		stream_reset(s);
		return;
	}
	n = pieces_cut(pieces, count, HEADER_BYTES, bytes, data);
	for (size_t i = 0; i < n; i++) {
		if (evbuffer_add(s->unread, data[i].iov_base, data[i].iov_len) != 0) {
			stream_reset(s);
			return;
		}
	}
	s->received += bytes;
	(void)deliver(s);
}

static void take_shutdown(struct stream *s, uint32_t flags)
{
	if (flags & VIRTIO_VSOCK_SHUTDOWN_SEND)
		s->guest_ends = true;
	if (flags & VIRTIO_VSOCK_SHUTDOWN_RCV) {
		s->guest_deaf = true;
		shutdown(s->fd, SHUT_RD);
	}
	(void)deliver(s);
}

/* A packet of a stream that is there. */
static void take_on_stream(struct stream *s, const struct virtio_vsock_hdr *header,
			   const struct iovec *pieces, size_t count)
{
	s->guest_room = le32toh(header->buf_alloc);
	s->guest_taken = le32toh(header->fwd_cnt);
	become_ready(s);
	switch (le16toh(header->op)) {
	case VIRTIO_VSOCK_OP_RW:
		take_data(s, pieces, count, le32toh(header->len));
		break;
	case VIRTIO_VSOCK_OP_SHUTDOWN:
		take_shutdown(s, le32toh(header->flags));
		break;
	case VIRTIO_VSOCK_OP_CREDIT_UPDATE:
		break;
	case VIRTIO_VSOCK_OP_CREDIT_REQUEST:
		to_send(s, SEND_CREDIT_UPDATE);
		break;
	case VIRTIO_VSOCK_OP_RST:
		stream_free(s);
		break;
	default: /* a second request, an answer to what nobody asked, or no such thing */
		stream_reset(s);
	}
}

bool streams_can_take(const struct streams *all)
{
	return all->refusal_count + all->stream_count < MAX_REFUSALS + MAX_STREAMS;
}

void streams_take(struct streams *all, const struct iovec *pieces, size_t count)
{
	struct virtio_vsock_hdr header;
	struct stream *s = NULL;

	if (!pieces_read(pieces, count, &header, sizeof(header)) ||
	    le64toh(header.src_cid) != all->cid)
		return;
	if (le64toh(header.dst_cid) == HOST_CID &&
	    le16toh(header.type) == VIRTIO_VSOCK_TYPE_STREAM) {
		s = find(all, le32toh(header.src_port), le32toh(header.dst_port));
		if (s != NULL) {
			take_on_stream(s, &header, pieces, count);
			return;
		}
		if (le16toh(header.op) == VIRTIO_VSOCK_OP_REQUEST && stream_open(all, &header))
			return;
	}
	if (le16toh(header.op) != VIRTIO_VSOCK_OP_RST)
		refuse(all, &(struct refusal){le64toh(header.dst_cid), le32toh(header.dst_port),
					      le32toh(header.src_port), le16toh(header.type)});
}

/* ---- Packets for the guest ------------------------------------------------------------------ */

static size_t give_refusal(struct streams *all, const struct iovec *pieces, size_t count)
{
	const struct refusal *refusal = &all->refusals[all->first_refusal];
	struct virtio_vsock_hdr header = {
		.src_cid = htole64(refusal->from_cid),
		.dst_cid = htole64(all->cid),
		.src_port = htole32(refusal->card_port),
		.dst_port = htole32(refusal->guest_port),
		.type = htole16(refusal->type),
		.op = htole16(VIRTIO_VSOCK_OP_RST),
	};

	all->first_refusal = (all->first_refusal + 1) % (MAX_REFUSALS + MAX_STREAMS);
	all->refusal_count--;
	pieces_write(pieces, count, &header, sizeof(header));
	return sizeof(header);
}

/* Every packet tells the guest how much has been taken. Returns the size of the packet. */
static size_t give_header(struct stream *s, uint16_t op, uint32_t flags, uint32_t bytes,
			  const struct iovec *pieces, size_t count)
{
	struct virtio_vsock_hdr header = {
		.src_cid = htole64(HOST_CID),
		.dst_cid = htole64(s->all->cid),
		.src_port = htole32(s->card_port),
		.dst_port = htole32(s->guest_port),
		.len = htole32(bytes),
		.type = htole16(VIRTIO_VSOCK_TYPE_STREAM),
		.op = htole16(op),
		.flags = htole32(flags),
		.buf_alloc = htole32(CREDIT),
	};

	s->told = s->received - (uint32_t)evbuffer_get_length(s->unread);
	s->send &= ~(unsigned int)SEND_CREDIT_UPDATE;
	header.fwd_cnt = htole32(s->told);
	pieces_write(pieces, count, &header, sizeof(header));
	return sizeof(header) + bytes;
}

static size_t give_shutdown(struct stream *s, const struct iovec *pieces, size_t count)
{
	uint32_t flags = VIRTIO_VSOCK_SHUTDOWN_SEND;

	if (s->hung_up)
		flags |= VIRTIO_VSOCK_SHUTDOWN_RCV;
	s->send &= ~(unsigned int)SEND_SHUTDOWN;
	return give_header(s, VIRTIO_VSOCK_OP_SHUTDOWN, flags, 0, pieces, count);
}

/* As many bytes as the socket has, the guest has room for, and the pieces hold. */
static size_t give_data(struct stream *s, const struct iovec *pieces, size_t count)
{
	struct iovec data[MAX_PIECES];
	size_t n = pieces_cut(pieces, count, HEADER_BYTES, room(s), data);
	ssize_t bytes;

	if (n == 0) /* the guest will have larger ones */
		return give_header(s, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0, 0, pieces, count);
	bytes = readv(s->fd, data, (int)n);
	if (bytes > 0) {
		s->sent += (uint32_t)bytes;
		if (s->hung_up)
			wait_ms(s, CLOSE_WAIT_MS);
		return give_header(s, VIRTIO_VSOCK_OP_RW, 0, (uint32_t)bytes, pieces, count);
	}
	s->readable = bytes < 0 && errno == EINTR;
	if (s->readable || (bytes < 0 && errno == EAGAIN))
		return 0;
	s->ended = true; /* ECONNRESET too: the card hung up with bytes unread */
	check_hang_up(s);
	return give_shutdown(s, pieces, count);
}

static size_t give_on_stream(struct stream *s, const struct iovec *pieces, size_t count)
{
	if (s->send & SEND_RESPONSE) {
		s->send &= ~(unsigned int)SEND_RESPONSE;
		return give_header(s, VIRTIO_VSOCK_OP_RESPONSE, 0, 0, pieces, count);
	}
	if (s->send & SEND_CREDIT_REQUEST) {
		s->send &= ~(unsigned int)SEND_CREDIT_REQUEST;
		return give_header(s, VIRTIO_VSOCK_OP_CREDIT_REQUEST, 0, 0, pieces, count);
	}
	if (s->send & SEND_SHUTDOWN)
		return give_shutdown(s, pieces, count);
	if (has_data(s) && room(s) != 0) {
		size_t bytes = give_data(s, pieces, count);

		if (bytes != 0)
			return bytes;
	}
	if (s->send & SEND_CREDIT_UPDATE)
		return give_header(s, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0, 0, pieces, count);
	return 0;
}

bool streams_have(const struct streams *all)
{
	return all->refusal_count != 0 || !TAILQ_EMPTY(&all->ready);
}

size_t streams_give(struct streams *all, const struct iovec *pieces, size_t count)
{
	struct stream *s;
	size_t bytes;

	if (all->refusal_count != 0)
		return give_refusal(all, pieces, count);
	while ((s = TAILQ_FIRST(&all->ready)) != NULL) {
		bytes = give_on_stream(s, pieces, count);
		TAILQ_REMOVE(&all->ready, s, ready_link);
		s->is_ready = false;
		become_ready(s); /* behind the others */
		if (has_data(s) && room(s) == 0 && !s->hung_up)
			wait_ms(s, CREDIT_WAIT_MS);
		if (bytes != 0)
			return bytes;
	}
	return 0;
}

/* ---- All of them ---------------------------------------------------------------------------- */

struct streams *streams_new(struct event_base *base, uint64_t cid, const struct vsock_callbacks *cb,
			    void *context, void (*wake)(void *waker), void *waker)
{
	struct streams *all = calloc(1, sizeof(*all));

	if (all == NULL)
		return NULL;
	all->base = base;
	all->cid = cid;
	all->cb = cb;
	all->context = context;
	all->wake = wake;
	all->waker = waker;
	TAILQ_INIT(&all->list);
	TAILQ_INIT(&all->ready);
	return all;
}

void streams_reset(struct streams *all)
{
	struct stream *next;

	for (struct stream *s = TAILQ_FIRST(&all->list); s != NULL; s = next) {
		next = TAILQ_NEXT(s, link);
		stream_free(s);
	}
	all->refusal_count = 0;
}

void streams_free(struct streams *all)
{
	if (all == NULL)
		return;
	streams_reset(all);
	free(all);
}
