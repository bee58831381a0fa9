/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/budget/wire.h"

#include "base/assert.h"

#include <stdlib.h>
#include <string.h>

#define FRAME_COUNT 8192
#define IPV4_BASE   0x0a4d0000u /* 10.77.0.0 */

struct wire_frame {
	struct wire_frame *next;
	uint32_t bytes;
	_Alignas(64) uint8_t data[PATH_HEADER_BYTES + WIRE_PAYLOAD_BYTES(WIRE_MTU_MAX)];
};

struct wire {
	struct wire_net nets[WIRE_NODE_COUNT];
	struct wire_frame *free;
	struct wire_frame frames[FRAME_COUNT];
};

static struct wire_frame *
take(struct wire *w)
{
	struct wire_frame *f = w->free;

	decree_assert(f != NULL);
	w->free = f->next;
	return f;
}

static void
give(struct wire *w, struct wire_frame *f)
{
	f->next = w->free;
	w->free = f;
}

static void
arrive(struct wire_net *to, struct wire_frame *f, uint32_t bytes)
{
	f->bytes = bytes;
	f->next = NULL;
	*to->last = f;
	to->last = &f->next;
}

/* To whom its destination address, or nobody's, says: MAC addresses end in the node's id. */
static void
carry(struct wire_net *from, struct wire_frame *f, uint32_t bytes)
{
	struct wire *w = from->wire;
	uint16_t to = f->data[5];

	from->frame_count++;
	from->byte_count += bytes;
	if (to >= 1 && to <= WIRE_NODE_COUNT) {
		arrive(&w->nets[to - 1], f, bytes);
		return;
	}
	for (uint16_t i = 0; i < WIRE_NODE_COUNT; i++) {
		struct wire_frame *copy;

		if (&w->nets[i] == from)
			continue;
		copy = take(w);
		memcpy(copy->data, f->data, bytes);
		arrive(&w->nets[i], copy, bytes);
	}
	give(w, f);
}

static void
carry_control(struct wire_net *from, const uint8_t *data, uint32_t bytes)
{
	struct wire_frame *f = take(from->wire);

	memcpy(f->data, data, bytes);
	carry(from, f, bytes);
}

static uint32_t
wire_recv(void *opaque, uint64_t now_ns, struct net_frame *ret_frames, uint32_t count_max)
{
	struct wire_net *net = opaque;
	uint32_t count = 0;

	path_begin(&net->path, UINT32_MAX);
	while (count < count_max && net->first != NULL) {
		struct wire_frame *f = net->first;
		uint8_t answer[PATH_CONTROL_BYTES];
		struct path_received r;

		net->first = f->next;
		if (net->first == NULL)
			net->last = &net->first;
		path_receive(&net->path, now_ns, 0, f->data, f->bytes, true, answer, &r);
		if (r.answer_bytes > 0)
			carry_control(net, answer, r.answer_bytes);
		if (r.verdict == PATH_DELIVER)
			ret_frames[count++] = (struct net_frame){ .payload = r.payload,
				.payload_bytes = r.payload_bytes,
				.peer = r.peer,
				.version_max = r.version_max,
				.handle = f };
		else
			give(net->wire, f);
	}
	return count;
}

static void
wire_release(void *opaque, struct net_frame *frames, uint32_t count)
{
	struct wire_net *net = opaque;

	for (uint32_t i = 0; i < count; i++)
		give(net->wire, frames[i].handle);
}

static uint32_t
wire_alloc(void *opaque, struct net_frame *ret_frames, uint32_t count)
{
	struct wire_net *net = opaque;

	for (uint32_t i = 0; i < count; i++) {
		struct wire_frame *f = take(net->wire);

		ret_frames[i] =
			(struct net_frame){ .payload = f->data + PATH_HEADER_BYTES, .handle = f };
	}
	return count;
}

static void
wire_send(void *opaque, uint64_t now_ns, struct net_frame *frames, uint32_t count)
{
	struct wire_net *net = opaque;

	(void)now_ns;
	for (uint32_t i = 0; i < count; i++) {
		struct wire_frame *f = frames[i].handle;
		uint16_t port;

		if (path_seal(&net->path, &frames[i].peer, f->data, frames[i].payload_bytes,
			    &port) == NET_DROP_NONE)
			carry(net, f, PATH_HEADER_BYTES + frames[i].payload_bytes);
		else
			give(net->wire, f); /* before its session is there */
	}
}

static void
wire_tick(void *opaque, uint64_t now_ns)
{
	struct wire_net *net = opaque;
	uint8_t frame[PATH_CONTROL_BYTES];
	uint16_t port;
	uint32_t bytes;

	while ((bytes = path_poll(&net->path, now_ns, frame, &port)) > 0)
		carry_control(net, frame, bytes);
}

const struct net_ops wire_ops = { wire_recv, wire_release, wire_alloc, wire_send, wire_tick };

static int
open_path(struct wire_net *net, uint16_t node_id)
{
	struct net_peer_config peers[WIRE_NODE_COUNT - 1];
	struct path_port port = { .mac = { 2, 0, 0, 0, 0, (uint8_t)node_id },
		.ipv4 = IPV4_BASE + node_id,
		.has_udp_offload = true };
	struct net_config config = { .cluster_id = 42,
		.node_id = node_id,
		.boot_count = 1,
		.base_port = 4200,
		.shard_count = 1,
		.port_count = 1,
		.peers = peers,
		.cluster_key = { 1 } };
	struct path_config path = { .net = &config,
		.ports = &port,
		.seed = { (uint8_t)node_id },
		.neighbours = &net->neighbours };

	for (uint16_t id = 1; id <= WIRE_NODE_COUNT; id++)
		if (id != node_id)
			peers[config.peer_count++] = (struct net_peer_config){
				.node_id = id, .ipv4 = IPV4_BASE + id, .base_port = 4200
			};
	return path_init(&net->path, &path);
}

struct wire *
wire_new(void)
{
	struct wire *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return NULL;
	for (uint32_t i = 0; i < FRAME_COUNT; i++)
		give(w, &w->frames[i]);
	for (uint16_t i = 0; i < WIRE_NODE_COUNT; i++) {
		w->nets[i].wire = w;
		w->nets[i].last = &w->nets[i].first;
		if (open_path(&w->nets[i], i + 1) != 0)
			return NULL; /* the program ends */
	}
	return w;
}

struct wire_net *
wire_net(struct wire *w, uint16_t node_id)
{
	return &w->nets[node_id - 1];
}
