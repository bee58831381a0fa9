/* SPDX-License-Identifier: Apache-2.0 */
/* The burst functions: buffers between ports, rings and the loop. What is in them is path.c's
 * business.
 *
 * Overload. A port's queue is first in, first out, so a flood of client frames could keep a
 * heartbeat waiting behind it until the queue overflows. While some port has had a full burst for
 * OVERLOAD_TURNS calls in a row, recv() reads up to OVERLOAD_BURSTS bursts per call and drops
 * client data beyond OVERLOAD_CLIENT_COUNT per call before it costs a tag. Frames of nodes are
 * never dropped here. */
#include "net/node.h"

#include "base/assert.h"
#include "base/probe.h"

#include <rte_lcore.h>
#include <string.h>

#define OVERLOAD_TURNS        8
#define OVERLOAD_BURSTS       4
#define OVERLOAD_CLIENT_COUNT 8

static_assert(RTE_PKTMBUF_HEADROOM >= PATH_HEADER_BYTES, "headers go before the payload");
static_assert(NET_BURST <= 255, "memif's send burst has been buggy beyond");

/* ------------------------------------------------------------------ copies for a capture */

static __attribute__((cold, noinline)) void
tap_frames(struct net *net, uint32_t port, enum tap_direction direction, struct rte_mbuf **mbufs,
	uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		tap_push(&net->tap, net->now_ns, (uint8_t)port, direction,
			rte_pktmbuf_mtod(mbufs[i], uint8_t *), mbufs[i]->data_len,
			mbufs[i]->pkt_len);
}

static void
tap_sync(struct net *net)
{
	/* Acquire: pairs with the release in net_tap_begin(). */
	bool is_wanted = atomic_load_explicit(&net->is_tap_wanted, memory_order_acquire);

	if (is_wanted == net->is_tapped)
		return;
	net->is_tapped = is_wanted;
	/* Release: pairs with the acquire in net_tap_has_ended(). */
	atomic_store_explicit(&net->is_tap_used, is_wanted, memory_order_release);
}

/* ------------------------------------------------------------------ sending */

static void
drop_send(struct net *net, struct rte_mbuf **mbufs, uint32_t count, enum net_drop why)
{
	if (count == 0)
		return;
	rte_pktmbuf_free_bulk(mbufs, count);
	net_count(&net->path.counters.dropped[why], count);
}

static struct rte_ring *
ring_between(struct rte_ring **rings, const struct net_node *node, uint16_t from, uint16_t to)
{
	return rings == NULL ? NULL : rings[from * node->shard_count + to];
}

/* Hand frames to the port's queue of ours, or to the shard that has one. All are gone afterwards. */
static void
port_send(struct net *net, uint32_t index, struct rte_mbuf **mbufs, uint32_t count)
{
	struct net_node *node = net->node;
	const struct port *port = &node->ports[index];
	uint16_t owner = net->shard % port->queue_count;
	uint32_t sent;

	if (!net->is_port_on[index]) {
		drop_send(net, mbufs, count, NET_DROP_SEND_PORT_DOWN);
		return;
	}
	if (owner == net->shard) {
		if (net->is_tapped) /* first: what has been sent is not ours any more */
			tap_frames(net, index, TAP_SENT, mbufs, count);
		sent = rte_eth_tx_burst(port->id, owner, mbufs, (uint16_t)count);
		BASE_PROBE3(frames_sent, index, sent, count);
		drop_send(net, mbufs + sent, count - sent, NET_DROP_SEND_QUEUE_FULL);
		return;
	}
	for (uint32_t i = 0; i < count; i++)
		mbufs[i]->port = (uint16_t)index;
	sent = rte_ring_sp_enqueue_burst(ring_between(node->sending_rings, node, net->shard, owner),
		(void **)mbufs, count, NULL);
	drop_send(net, mbufs + sent, count - sent, NET_DROP_HANDOVER_FULL);
}

/* Frames of shards that have no queue at a port of ours. */
static void
send_for_others(struct net *net)
{
	struct net_node *node = net->node;
	struct rte_mbuf *mbufs[NET_BURST];

	for (uint16_t from = 0; from < node->shard_count; from++) {
		struct rte_ring *ring = ring_between(node->sending_rings, node, from, net->shard);
		uint32_t count;

		if (ring == NULL)
			continue;
		count = rte_ring_sc_dequeue_burst(ring, (void **)mbufs, NET_BURST, NULL);
		for (uint32_t i = 0; i < count; i++)
			port_send(net, mbufs[i]->port, &mbufs[i], 1);
	}
}

static void
flush(struct net *net, uint32_t port)
{
	if (net->staged_count[port] > 0)
		port_send(net, port, net->staged[port], net->staged_count[port]);
	net->staged_count[port] = 0;
}

static void
stage(struct net *net, uint32_t port, struct rte_mbuf *mbuf)
{
	if (net->node->ports[port].has_udp_offload) {
		mbuf->ol_flags |= RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_UDP_CKSUM;
		mbuf->l2_len = 14;
		mbuf->l3_len = 20;
	}
	net->staged[port][net->staged_count[port]++] = mbuf;
	if (net->staged_count[port] == NET_BURST)
		flush(net, port);
}

static void
net_dpdk_send(void *opaque, uint64_t now_ns, struct net_frame *frames, uint32_t count)
{
	struct net *net = opaque;
	uint32_t sent_count = 0;

	net->now_ns = now_ns;
	for (uint32_t i = 0; i < count; i++) {
		struct rte_mbuf *mbuf = frames[i].handle;
		uint32_t bytes = frames[i].payload_bytes;
		enum net_drop drop;
		uint16_t port = 0;

		decree_assert(bytes <= net_payload_bytes_max(net->node));

		(void)rte_pktmbuf_prepend(
			mbuf, PATH_HEADER_BYTES); /* the headroom is there, see above */
		mbuf->data_len = (uint16_t)(PATH_HEADER_BYTES + bytes);
		mbuf->pkt_len = mbuf->data_len;
		drop = path_seal(&net->path, &frames[i].peer, rte_pktmbuf_mtod(mbuf, uint8_t *),
			bytes, &port);
		if (drop != NET_DROP_NONE) {
			drop_send(net, &mbuf, 1, drop);
			continue;
		}
		stage(net, port, mbuf);
		sent_count++;
	}
	for (uint32_t i = 0; i < net->node->port_count; i++)
		flush(net, i);
	net_count(&net->path.counters.sent, sent_count);
}

static uint32_t
net_dpdk_alloc(void *opaque, struct net_frame *ret_frames, uint32_t count)
{
	struct net *net = opaque;
	uint32_t done = 0;

	while (done < count) {
		struct rte_mbuf *mbufs[NET_BURST];
		uint32_t part = count - done < NET_BURST ? count - done : NET_BURST;

		if (rte_pktmbuf_alloc_bulk(net->pool, mbufs, part) != 0) {
			mbufs[0] = rte_pktmbuf_alloc(net->pool); /* fewer than a burst are left */
			if (mbufs[0] == NULL) {
				net_count(&net->path.counters.dropped[NET_DROP_NO_BUFFER], 1);
				break;
			}
			part = 1;
		}
		for (uint32_t i = 0; i < part; i++)
			ret_frames[done + i] = (struct net_frame){
				.payload = rte_pktmbuf_mtod(mbufs[i], uint8_t *),
				.handle = mbufs[i],
			};
		done += part;
	}
	return done;
}

static void
send_control(struct net *net, uint32_t port, const uint8_t *frame, uint32_t bytes)
{
	struct rte_mbuf *mbuf = rte_pktmbuf_alloc(net->pool);

	if (mbuf == NULL) {
		net_count(&net->path.counters.dropped[NET_DROP_NO_BUFFER], 1);
		return;
	}
	memcpy(rte_pktmbuf_append(mbuf, (uint16_t)bytes), frame, bytes);
	port_send(net, port, &mbuf, 1);
}

/* ------------------------------------------------------------------ receiving */

/* What the port has said of it as it came does not hold for what leaves. */
static void
send_back(struct net *net, uint32_t port, struct rte_mbuf *mbuf)
{
	mbuf->ol_flags = 0;
	port_send(net, port, &mbuf, 1);
}

static void
hand_over(struct net *net, uint32_t port, uint16_t shard, struct rte_mbuf *mbuf)
{
	struct net_node *node = net->node;

	mbuf->port = (uint16_t)port;
	if (rte_ring_sp_enqueue(
		    ring_between(node->received_rings, node, net->shard, shard), mbuf) != 0)
		drop_send(net, &mbuf, 1, NET_DROP_HANDOVER_FULL);
}

/* Decide about frames of one port. @return how many were delivered */
static uint32_t
take(struct net *net, uint64_t now_ns, uint32_t port, struct rte_mbuf **mbufs, uint32_t count,
	struct net_frame *ret_frames)
{
	uint8_t answer[PATH_CONTROL_BYTES];
	uint32_t delivered = 0;

	for (uint32_t i = 0; i < count; i++)
		rte_prefetch0(rte_pktmbuf_mtod(mbufs[i], void *));
	for (uint32_t i = 0; i < count; i++) {
		struct rte_mbuf *mbuf = mbufs[i];
		struct path_received r;
		bool is_good = (mbuf->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) ==
			       RTE_MBUF_F_RX_L4_CKSUM_GOOD;

		if (mbuf->nb_segs != 1) {
			drop_send(net, &mbuf, 1, NET_DROP_HEADER_MULTISEGMENT);
			continue;
		}
		path_receive(&net->path, now_ns, (uint16_t)port, rte_pktmbuf_mtod(mbuf, uint8_t *),
			mbuf->data_len, is_good, answer, &r);
		if (r.answer_bytes > 0)
			send_control(net, port, answer, r.answer_bytes);
		if (r.verdict == PATH_DELIVER)
			ret_frames[delivered++] = (struct net_frame){ .payload = r.payload,
				.payload_bytes = r.payload_bytes,
				.peer = r.peer,
				.version_max = r.version_max,
				.handle = mbuf };
		else if (r.verdict == PATH_HANDOVER)
			hand_over(net, port, r.shard, mbuf);
		else if (r.verdict == PATH_RETURN)
			send_back(net, port, mbuf);
		else
			rte_pktmbuf_free(mbuf);
	}
	return delivered;
}

static uint32_t
receive_from_others(
	struct net *net, uint64_t now_ns, struct net_frame *ret_frames, uint32_t count_max)
{
	struct net_node *node = net->node;
	struct rte_mbuf *mbufs[NET_BURST];
	uint32_t delivered = 0;

	for (uint16_t from = 0; from < node->shard_count; from++) {
		struct rte_ring *ring = ring_between(node->received_rings, node, from, net->shard);
		uint32_t room =
			count_max - delivered < NET_BURST ? count_max - delivered : NET_BURST;
		uint32_t count;

		if (ring == NULL || room == 0)
			continue;
		count = rte_ring_sc_dequeue_burst(ring, (void **)mbufs, room, NULL);
		for (uint32_t i = 0; i < count; i++)
			delivered += take(
				net, now_ns, mbufs[i]->port, &mbufs[i], 1, ret_frames + delivered);
	}
	return delivered;
}

/* One burst of each port. @param has_full  set if some port had as much as was asked for */
static uint32_t
receive_round(struct net *net, uint64_t now_ns, struct net_frame *ret_frames, uint32_t count_max,
	bool *has_full)
{
	struct net_node *node = net->node;
	struct rte_mbuf *mbufs[NET_BURST];
	uint32_t delivered = 0;

	for (uint32_t n = 0; n < node->port_count; n++) {
		uint32_t index = (net->first_port + n) % node->port_count;
		const struct port *port = &node->ports[index];
		uint32_t room =
			count_max - delivered < NET_BURST ? count_max - delivered : NET_BURST;
		uint32_t count;

		if (room == 0)
			break;
		if (!net->is_port_on[index] || net->shard >= port->queue_count)
			continue;
		count = rte_eth_rx_burst(port->id, net->shard, mbufs, (uint16_t)room);
		if (count == 0)
			continue;
		BASE_PROBE2(frames_received, index, count);
		if (count == NET_BURST)
			*has_full = true;
		if (net->is_tapped)
			tap_frames(net, index, TAP_RECEIVED, mbufs, count);
		delivered += take(net, now_ns, index, mbufs, count, ret_frames + delivered);
	}
	if (++net->first_port >= node->port_count)
		net->first_port = 0;
	return delivered;
}

static uint32_t
net_dpdk_recv(void *opaque, uint64_t now_ns, struct net_frame *ret_frames, uint32_t count_max)
{
	struct net *net = opaque;
	bool is_overloaded = net->full_burst_count >= OVERLOAD_TURNS;
	uint32_t round_count = is_overloaded ? OVERLOAD_BURSTS : 1;
	bool has_full = false;
	uint32_t delivered = 0;

	net->now_ns = now_ns;
	path_begin(&net->path, is_overloaded ? OVERLOAD_CLIENT_COUNT : UINT32_MAX);
	if (net->node->received_rings != NULL) {
		delivered = receive_from_others(net, now_ns, ret_frames, count_max);
		send_for_others(net);
	}
	for (uint32_t i = 0; i < round_count && delivered < count_max; i++)
		delivered += receive_round(
			net, now_ns, ret_frames + delivered, count_max - delivered, &has_full);
	net->full_burst_count = has_full ? net->full_burst_count + 1 : 0;
	return delivered;
}

static void
net_dpdk_release(void *opaque, struct net_frame *frames, uint32_t count)
{
	(void)opaque;
	for (uint32_t i = 0; i < count; i++)
		rte_pktmbuf_free(frames[i].handle);
}

/* ------------------------------------------------------------------ time */

static void
publish(struct net *net)
{
	for (uint32_t i = 0; i < net->path.peer_count; i++) {
		struct published_peer *to = &net->published[i];
		struct net_peer_status s;

		path_peer_status(&net->path, i, &s);
		/* Relaxed: a status may mix two moments a tick apart. */
		atomic_store_explicit(&to->state,
			(uint64_t)s.state | (uint64_t)s.refusal << 8 |
				(uint64_t)s.has_address << 16 | (uint64_t)s.reach << 24 |
				(uint64_t)s.versions.min << 32 | (uint64_t)s.versions.max << 40 |
				(uint64_t)s.version_required << 48,
			memory_order_relaxed);
		atomic_store_explicit(&to->boot_count, s.boot_count, memory_order_relaxed);
		atomic_store_explicit(&to->refused_count, s.refused_count, memory_order_relaxed);
		atomic_store_explicit(&to->session_count, s.session_count, memory_order_relaxed);
	}
}

static void
send_echoes(struct net *net, uint64_t now_ns)
{
	uint32_t peer, bytes;

	while (path_next_echo(&net->path, now_ns, &peer, &bytes)) {
		struct rte_mbuf *mbuf = rte_pktmbuf_alloc(net->pool);
		uint16_t port;

		if (mbuf == NULL) {
			net_count(&net->path.counters.dropped[NET_DROP_NO_BUFFER], 1);
			return; /* the next round is soon enough */
		}
		path_write_echo(&net->path, peer, bytes,
			(uint8_t *)rte_pktmbuf_append(mbuf, (uint16_t)(14 + bytes)), &port);
		port_send(net, port, &mbuf, 1);
	}
}

static void
net_dpdk_tick(void *opaque, uint64_t now_ns)
{
	struct net *net = opaque;
	uint8_t frame[PATH_CONTROL_BYTES];
	uint32_t bytes;
	uint16_t port;

	net->now_ns = now_ns;
	tap_sync(net);
	link_sync(net);
	while ((bytes = path_poll(&net->path, now_ns, frame, &port)) > 0)
		send_control(net, port, frame, bytes);
	send_echoes(net, now_ns);
	publish(net);
}

static void
net_dpdk_require(void *opaque, uint8_t version)
{
	struct net *net = opaque;

	path_require(&net->path, version);
}

const struct net_ops net_dpdk_ops = {
	.recv = net_dpdk_recv,
	.release = net_dpdk_release,
	.alloc = net_dpdk_alloc,
	.send = net_dpdk_send,
	.tick = net_dpdk_tick,
	.require = net_dpdk_require,
};
