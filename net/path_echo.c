/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ICMP echoes of a shard. `ping -M do -s 1472` to a node answers an operator's first question, and
 * the nodes ask each other the same: handshakes and heartbeats are small, so a network that carries
 * them and loses full frames looks healthy and decides nothing.
 *
 * An echo is nobody's secret and needs no key. What it could be abused for is bounded: an answer is
 * as large as its question, goes back to where that came from, there are few of them, and none at
 * all while frames of clients are being dropped for lack of time.
 */
#include "net/path.h"

#include <string.h>

static enum net_drop
answer(struct path *p, uint64_t now_ns, uint16_t port, const struct echo *e, uint8_t *frame,
	struct path_received *r)
{
	if (now_ns >= p->echo_window_ns) {
		p->echo_window_ns = now_ns + PATH_ECHO_WINDOW_NS;
		p->echo_count = 0;
	}
	if (p->client_count_max != UINT32_MAX || p->echo_count >= PATH_ECHO_BURST)
		return NET_DROP_ECHO_RATE;
	p->echo_count++;
	if (!echo_is_intact(
		    frame, e)) /* only now: a flood costs no more than a look at its headers */
		return NET_DROP_IP_CHECKSUM;
	echo_answer(frame, p->ports[port].mac);
	r->verdict = PATH_RETURN;
	return NET_DROP_NONE;
}

/* A peer's answer to an echo of this life. */
static void
note_answer(struct path *p, uint16_t port, const struct echo *e)
{
	for (uint32_t i = 0; i < p->peer_count; i++)
		if (p->peers[i].config.ipv4 == e->source_ipv4 && p->peers[i].port == port)
			/* Relaxed: a bit says all. Rare, and any shard may hear it. */
			(void)atomic_fetch_or_explicit(&p->neighbours->echoes[i],
				e->packet_bytes >= p->mtu ? PATH_ECHO_FULL : PATH_ECHO_SMALL,
				memory_order_relaxed);
}

enum net_drop
path_on_echo(struct path *p, uint64_t now_ns, uint16_t port, uint8_t *frame, uint32_t frame_bytes,
	struct path_received *r)
{
	struct echo e;
	enum net_drop drop = echo_decode(frame, frame_bytes, &e);

	if (drop != NET_DROP_NONE)
		return drop;
	if (e.target_ipv4 != p->ports[port].ipv4)
		return NET_DROP_FOREIGN;
	if (e.is_request)
		return answer(p, now_ns, port, &e, frame, r);
	if (e.nonce != p->neighbours->echo_nonce || !echo_is_intact(frame, &e))
		return NET_DROP_FOREIGN; /* to somebody's ping from this address */
	note_answer(p, port, &e);
	r->verdict = PATH_TAKEN;
	return NET_DROP_NONE;
}

/* What the last round has shown. */
static void
judge(struct path *p, uint32_t index)
{
	struct path_peer *peer = &p->peers[index];
	uint64_t answered =
		atomic_exchange_explicit(&p->neighbours->echoes[index], 0, memory_order_relaxed);

	if (answered & PATH_ECHO_FULL) {
		peer->reach = NET_REACH_FULL;
		peer->narrow_count = 0;
	} else if (p->is_probe && peer->reach == NET_REACH_FULL) {
		return; /* once is proof */
	} else if (answered & PATH_ECHO_SMALL) {
		if (peer->narrow_count < PATH_ECHO_NARROW_ROUNDS)
			peer->narrow_count++;
		if (peer->narrow_count == PATH_ECHO_NARROW_ROUNDS || p->is_probe)
			peer->reach = NET_REACH_NARROW;
	} else {
		peer->narrow_count = 0; /* it is down, or busy */
	}
}

static uint64_t
round_ns(const struct path *p, const struct path_peer *peer)
{
	if (p->is_probe)
		return PATH_ECHO_ROUND_PROBE_NS;
	return peer->reach == NET_REACH_FULL && peer->narrow_count == 0 ? PATH_ECHO_ROUND_LONG_NS
									: PATH_ECHO_ROUND_NS;
}

bool
path_next_echo(struct path *p, uint64_t now_ns, uint32_t *ret_peer, uint32_t *ret_packet_bytes)
{
	/* Relaxed: the address is all in the one word. */
	while (p->shard == 0 && p->poll_echo < p->peer_count) {
		uint32_t index = p->poll_echo;
		struct path_peer *peer = &p->peers[index];

		*ret_peer = index;
		if (peer->is_full_due) {
			peer->is_full_due = false;
			p->poll_echo++;
			*ret_packet_bytes = p->mtu;
			return true;
		}
		if (now_ns < peer->echo_due_ns || atomic_load_explicit(&p->neighbours->macs[index],
							  memory_order_relaxed) == 0) {
			p->poll_echo++;
			continue;
		}
		judge(p, index);
		peer->echo_due_ns = now_ns + round_ns(p, peer);
		peer->is_full_due = true;
		*ret_packet_bytes = ECHO_BYTES_SMALL;
		return true;
	}
	p->poll_echo = 0;
	return false;
}

void
path_write_echo(struct path *p, uint32_t index, uint32_t packet_bytes, uint8_t *ret_frame,
	uint16_t *ret_port)
{
	const struct path_peer *peer = &p->peers[index];
	const struct path_port *port = &p->ports[peer->port];
	struct ether_address source = { .ipv4 = port->ipv4 };
	struct ether_address target = { .ipv4 = peer->config.ipv4 };
	/* Relaxed: as above. */
	uint64_t mac = atomic_load_explicit(&p->neighbours->macs[index], memory_order_relaxed);

	memcpy(source.mac, port->mac, ETHER_MAC_BYTES);
	memcpy(target.mac, &mac, ETHER_MAC_BYTES);
	echo_encode(&source, &target, p->neighbours->echo_nonce, packet_bytes, ret_frame);
	*ret_port = peer->port;
}
