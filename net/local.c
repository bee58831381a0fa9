/* SPDX-License-Identifier: Apache-2.0 */
#include "net/local.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/memory.h"
#include "net/path.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define RING_COUNT (4 * NET_BURST) /* two bursts that the shard holds, and two on their way */
#define RING_MASK  (RING_COUNT - 1)
static_assert((RING_COUNT & RING_MASK) == 0, "an index is a mask away");

/* How long the thread sleeps while an answer may come: the longer ago the last datagram is, the
 * longer. A client that waits asks again, which makes it quick again. */
#define NAP_SHARE  8 /* of the time since */
#define NAP_NS_MIN UINT64_C(50000)
#define NAP_NS_MAX UINT64_C(5000000)
#define ANSWER_NS  UINT64_C(2000000000)

/* Frames on their way from one thread to another, in places that are used in turn. */
struct ring {
	BASE_OWN_LINE _Atomic uint32_t head;        /* giver's: frames given so far */
	BASE_OWN_LINE _Atomic uint32_t tail;        /* taker's: frames done with so far */
	BASE_OWN_LINE uint16_t buffers[RING_COUNT]; /* giver's, as all below */
	uint32_t bytes[RING_COUNT];
};
BASE_ASSERT_APART(struct ring, head, tail);
BASE_ASSERT_APART(struct ring, tail, buffers);
BASE_ASSERT_WHOLE_LINES(struct ring);

struct local_shard {
	struct path path; /* the shard's, as all up to `received` */
	struct path_neighbours neighbours;
	uint32_t taken;    /* frames of `received` that were looked at */
	uint32_t held;     /* of these the shard has so many */
	uint32_t regained; /* frames of `sent` whose buffers are free again */
	uint16_t free[RING_COUNT];
	uint32_t free_count;

	struct ring received; /* buffer i in place i */
	struct ring sent;

	BASE_OWN_LINE int fd; /* the thread's; -1: none */
	struct ether_address self;
	uint32_t buffer_bytes;
	uint8_t *memory; /* RING_COUNT buffers to receive, then those to send */
};
BASE_ASSERT_APART(struct local_shard, free_count, received);
BASE_ASSERT_APART(struct local_shard, sent, fd);
BASE_ASSERT_WHOLE_LINES(struct local_shard);

struct local {
	uint16_t shard_count;
	int stop_fd; /* readable: the thread shall end */
	struct local_shard *shards;
	struct pollfd *fds; /* [shard_count + 1]; the last is stop_fd */
	uint64_t heard_ns;  /* the last datagram */
};

static uint8_t *
receive_buffer(const struct local_shard *s, uint32_t index)
{
	return s->memory + (size_t)index * s->buffer_bytes;
}

static uint8_t *
send_buffer(const struct local_shard *s, uint32_t index)
{
	return receive_buffer(s, RING_COUNT + index);
}

/* ------------------------------------------------------------------ the shard: sending */

/* What the thread has sent is ours again. */
static void
regain(struct local_shard *s)
{
	/* Acquire: pairs with the release in send_out(); it reads these buffers no more. */
	uint32_t tail = atomic_load_explicit(&s->sent.tail, memory_order_acquire);

	for (; s->regained != tail; s->regained++)
		s->free[s->free_count++] = s->sent.buffers[s->regained & RING_MASK];
}

static bool
take_free(struct local_shard *s, uint16_t *ret_buffer)
{
	if (s->free_count == 0)
		regain(s);
	if (s->free_count == 0) {
		net_count(&s->path.counters.dropped[NET_DROP_NO_BUFFER], 1);
		return false;
	}
	*ret_buffer = s->free[--s->free_count];
	return true;
}

/* There is room: no more frames are under way than there are buffers. */
static void
give(struct local_shard *s, uint16_t buffer, uint32_t bytes)
{
	uint32_t head = atomic_load_explicit(&s->sent.head, memory_order_relaxed);

	decree_assert(head - s->regained < RING_COUNT);
	s->sent.buffers[head & RING_MASK] = buffer;
	s->sent.bytes[head & RING_MASK] = bytes;
	/* Release: pairs with the acquire in send_out(). The frame must be visible before its
	 * place. */
	atomic_store_explicit(&s->sent.head, head + 1, memory_order_release);
}

static uint32_t
local_alloc(void *net, struct net_frame *ret_frames, uint32_t count)
{
	struct local_shard *s = net;
	uint32_t done = 0;
	uint16_t buffer;

	while (s != NULL && done < count && take_free(s, &buffer)) {
		ret_frames[done++] = (struct net_frame){
			.payload = send_buffer(s, buffer) + PATH_HEADER_BYTES,
			.handle = (void *)(uintptr_t)(buffer + 1u), /* a number */
		};
	}
	return done;
}

static void
local_send(void *net, uint64_t now_ns, struct net_frame *frames, uint32_t count)
{
	struct local_shard *s = net;
	uint32_t sent_count = 0;

	(void)now_ns;
	for (uint32_t i = 0; i < count; i++) {
		uint16_t buffer = (uint16_t)((uintptr_t)frames[i].handle - 1);
		uint32_t bytes = frames[i].payload_bytes;
		uint16_t port;
		enum net_drop drop;

		decree_assert(PATH_HEADER_BYTES + bytes <= s->buffer_bytes);
		drop = path_seal(&s->path, &frames[i].peer, send_buffer(s, buffer), bytes, &port);
		if (drop == NET_DROP_NONE) {
			give(s, buffer, PATH_HEADER_BYTES + bytes);
			sent_count++;
		} else {
			s->free[s->free_count++] = buffer;
			net_count(&s->path.counters.dropped[drop], 1);
		}
	}
	if (sent_count > 0)
		net_count(&s->path.counters.sent, sent_count);
}

static void
send_control(struct local_shard *s, const uint8_t *frame, uint32_t bytes)
{
	uint16_t buffer;

	if (!take_free(s, &buffer))
		return;
	memcpy(send_buffer(s, buffer), frame, bytes);
	give(s, buffer, bytes);
}

/* ------------------------------------------------------------------ the shard: receiving */

/* Frames of which the shard holds none may be written over. */
static void
let_go(struct local_shard *s)
{
	/* Release: pairs with the acquire in has_room(). We are done with them. */
	if (s->held == 0)
		atomic_store_explicit(&s->received.tail, s->taken, memory_order_release);
}

/* @return whether it is the shard's now */
static bool
take(struct local_shard *s, uint64_t now_ns, uint32_t place, struct net_frame *ret_frame)
{
	uint8_t answer[PATH_CONTROL_BYTES];
	struct path_received r;

	path_receive(&s->path, now_ns, 0, receive_buffer(s, place), s->received.bytes[place], true,
		answer, &r);
	if (r.answer_bytes > 0)
		send_control(s, answer, r.answer_bytes);
	if (r.verdict != PATH_DELIVER)
		return false;
	*ret_frame = (struct net_frame){
		.payload = r.payload,
		.payload_bytes = r.payload_bytes,
		.peer = r.peer,
		.version_max = r.version_max,
	};
	return true;
}

static uint32_t
local_recv(void *net, uint64_t now_ns, struct net_frame *ret_frames, uint32_t count_max)
{
	struct local_shard *s = net;
	uint32_t delivered = 0;
	uint32_t head;

	if (s == NULL)
		return 0;
	/* Acquire: pairs with the release in take_in(). */
	head = atomic_load_explicit(&s->received.head, memory_order_acquire);
	if (head == s->taken)
		return 0;
	path_begin(&s->path, UINT32_MAX);
	for (; s->taken != head && delivered < count_max; s->taken++)
		delivered += take(s, now_ns, s->taken & RING_MASK, &ret_frames[delivered]);
	s->held += delivered;
	let_go(s);
	return delivered;
}

static void
local_release(void *net, struct net_frame *frames, uint32_t count)
{
	struct local_shard *s = net;

	(void)frames;
	decree_assert(count <= s->held);
	s->held -= count;
	let_go(s);
}

/* No peers: no handshakes but those that clients begin. */
static void
local_tick(void *net, uint64_t now_ns)
{
	(void)net, (void)now_ns;
}

const struct net_ops local_ops = {
	.recv = local_recv,
	.release = local_release,
	.alloc = local_alloc,
	.send = local_send,
	.tick = local_tick,
};

/* ------------------------------------------------------------------ the thread */

static bool
has_room(const struct local_shard *s)
{
	/* Acquire: pairs with the release in let_go(). */
	uint32_t tail = atomic_load_explicit(&s->received.tail, memory_order_acquire);

	return atomic_load_explicit(&s->received.head, memory_order_relaxed) - tail < RING_COUNT;
}

/* @return whether there was a datagram */
static bool
take_in(struct local_shard *s)
{
	struct sockaddr_in from = { 0 };
	socklen_t from_bytes = sizeof(from);
	uint32_t head = atomic_load_explicit(&s->received.head, memory_order_relaxed);
	uint8_t *frame = receive_buffer(s, head & RING_MASK);
	/* A datagram that is longer than ours may be loses its end here, and is no frame. */
	ssize_t bytes = recvfrom(s->fd, frame + ETHER_UDP_BYTES, s->buffer_bytes - ETHER_UDP_BYTES,
		MSG_DONTWAIT, (struct sockaddr *)&from, &from_bytes);
	struct ether_address source = {
		.ipv4 = ntohl(from.sin_addr.s_addr),
		.udp_port = ntohs(from.sin_port),
	};

	if (bytes < 0)
		return false; /* nothing there, or an error of an earlier answer: it is told once */
	ether_encode_udp(&source, &s->self, (uint32_t)bytes, true, frame);
	s->received.bytes[head & RING_MASK] = ETHER_UDP_BYTES + (uint32_t)bytes;
	/* Release: pairs with the acquire in local_recv(). The frame must be visible before its
	 * place. */
	atomic_store_explicit(&s->received.head, head + 1, memory_order_release);
	return true;
}

static void
send_one(const struct local_shard *s, const uint8_t *frame, uint32_t bytes)
{
	struct ether_datagram d;
	struct sockaddr_in to = { .sin_family = AF_INET };
	enum net_drop drop;

	drop = ether_decode_udp(frame, bytes, true, &d);
	decree_assert(drop == NET_DROP_NONE); /* it is ours */
	to.sin_addr.s_addr = htonl(d.target.ipv4);
	to.sin_port = htons(d.target.udp_port);
	/* One that does not leave is lost, as on any network. */
	(void)sendto(
		s->fd, d.bytes, d.count, MSG_DONTWAIT, (const struct sockaddr *)&to, sizeof(to));
}

static void
send_out(struct local_shard *s)
{
	uint32_t tail = atomic_load_explicit(&s->sent.tail, memory_order_relaxed);
	/* Acquire: pairs with the release in give(). */
	uint32_t head = atomic_load_explicit(&s->sent.head, memory_order_acquire);

	for (; tail != head; tail++) {
		send_one(s, send_buffer(s, s->sent.buffers[tail & RING_MASK]),
			s->sent.bytes[tail & RING_MASK]);
		/* Release: pairs with the acquire in regain(). */
		atomic_store_explicit(&s->sent.tail, tail + 1, memory_order_release);
	}
}

static void
wait_for_datagrams(struct local *l, uint64_t now_ns)
{
	uint64_t quiet_ns = now_ns - l->heard_ns;
	uint64_t nap_ns = quiet_ns / NAP_SHARE;
	struct timespec nap;

	for (uint16_t i = 0; i < l->shard_count; i++)
		l->fds[i].events = has_room(&l->shards[i]) ? POLLIN : 0;
	nap_ns = nap_ns < NAP_NS_MIN ? NAP_NS_MIN : nap_ns > NAP_NS_MAX ? NAP_NS_MAX : nap_ns;
	nap = (struct timespec){ .tv_nsec = (long)nap_ns };
	/* Interrupted or failed: the loop looks again. */
	(void)ppoll(l->fds, l->shard_count + 1u, quiet_ns < ANSWER_NS ? &nap : NULL, NULL);
}

void *
local_main(void *local)
{
	struct local *l = local;
	struct pollfd *stop = &l->fds[l->shard_count];

	(void)prctl(PR_SET_NAME, "decree-local"); /* for people who look at threads */
	while ((stop->revents & POLLIN) == 0) {
		uint64_t now_ns = base_now_ns();

		for (uint16_t i = 0; i < l->shard_count; i++) {
			struct local_shard *s = &l->shards[i];

			for (uint32_t k = 0; k < NET_BURST && has_room(s) && take_in(s); k++)
				l->heard_ns = now_ns;
			send_out(s);
		}
		wait_for_datagrams(l, now_ns);
	}
	return NULL;
}

void
local_stop(struct local *local)
{
	const uint64_t one = 1;

	/* Fails only if the counter is full, and then the thread sees it all the same. */
	(void)!write(local->stop_fd, &one, sizeof(one));
}

/* ------------------------------------------------------------------ open and close */

static int
bind_socket(struct local_shard *s)
{
	const struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(s->self.ipv4),
		.sin_port = htons(s->self.udp_port),
	};

	s->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->fd < 0 || bind(s->fd, (const struct sockaddr *)&address, sizeof(address)) != 0)
		return -errno;
	return 0;
}

static int
open_shard(struct local_shard *s, uint16_t index, const struct net_config *config, uint32_t ipv4)
{
	struct path_port port = { .ipv4 = ipv4, .has_udp_offload = true };
	struct net_config net = *config;
	struct path_config path = {
		.net = &net, .ports = &port, .shard = (uint8_t)index, .neighbours = &s->neighbours
	};
	int rc;

	net.port_count = 1;
	net.peer_count = 0;
	s->self = (struct ether_address){ .ipv4 = ipv4,
		.udp_port = (uint16_t)(config->base_port + index) };
	rc = bind_socket(s);
	if (rc != 0)
		return rc;
	randombytes_buf(path.seed, sizeof(path.seed));
	rc = path_init(&s->path, &path);
	sodium_memzero(&net, sizeof(net));
	if (rc != 0)
		return rc;
	s->buffer_bytes = (ETHER_UDP_BYTES + s->path.mtu + BASE_CACHE_LINE - 1) / BASE_CACHE_LINE *
			  BASE_CACHE_LINE;
	s->memory = base_zeros(2 * RING_COUNT, s->buffer_bytes);
	if (s->memory == NULL)
		return -ENOMEM;
	for (uint16_t i = 0; i < RING_COUNT; i++)
		s->free[s->free_count++] = i;
	return 0;
}

int
local_open(const struct net_config *config, uint32_t ipv4, struct local **ret_local)
{
	struct local *l = calloc(1, sizeof(*l));
	int rc = 0;

	decree_assert(ipv4 >> 24 == 127);
	if (l == NULL)
		return -ENOMEM;
	l->shard_count = config->shard_count;
	l->shards = base_zeros(l->shard_count, sizeof(*l->shards));
	l->fds = calloc(l->shard_count + 1u, sizeof(*l->fds));
	l->stop_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (l->stop_fd < 0)
		rc = -errno;
	if (l->shards == NULL || l->fds == NULL)
		rc = -ENOMEM;
	for (uint16_t i = 0; l->shards != NULL && i < l->shard_count; i++)
		l->shards[i].fd = -1;
	for (uint16_t i = 0; rc == 0 && i < l->shard_count; i++) {
		rc = open_shard(&l->shards[i], i, config, ipv4);
		l->fds[i].fd = l->shards[i].fd;
	}
	if (rc != 0) {
		local_close(l);
		return rc;
	}
	l->fds[l->shard_count] = (struct pollfd){ .fd = l->stop_fd, .events = POLLIN };
	*ret_local = l;
	return 0;
}

void
local_close(struct local *local)
{
	if (local == NULL)
		return;
	for (uint16_t i = 0; local->shards != NULL && i < local->shard_count; i++) {
		struct local_shard *s = &local->shards[i];

		path_fini(&s->path);
		free(s->memory);
		if (s->fd >= 0)
			(void)close(s->fd); /* nothing is buffered that matters */
	}
	if (local->stop_fd >= 0)
		(void)close(local->stop_fd); /* as above */
	free(local->shards);
	free(local->fds);
	free(local);
}

struct local_shard *
local_shard(struct local *local, uint16_t shard)
{
	decree_assert(shard < local->shard_count);
	return &local->shards[shard];
}

const struct net_counters *
local_shard_counters(const struct local *local, uint16_t shard)
{
	decree_assert(shard < local->shard_count);
	return &local->shards[shard].path.counters;
}
