/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A frame has 64 bytes, as those of the other floors: 42 of Ethernet, IPv4 and UDP (net/ether.h),
 * and
 *
 *	 0   4  "dfl1"
 *	 4   4  the cluster's id, its lower half
 *	 8   4  the run
 *	12   1  kind
 *	13   1  step
 *	14   8  number; all little-endian
 *
 * Who sent it is told by its address. A frame of another cluster, of somebody who is no founding
 * member, or of anything else is left alone.
 */
#include "bench/hosts/lane.h"

#include "bench/dpdk.h"
#include "net/device.h"
#include "net/ether.h"

#include <assert.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PAYLOAD_BYTES 22
#define FRAME_BYTES   (ETHER_UDP_BYTES + PAYLOAD_BYTES)
#define ASK_NS        UINT64_C(100000000)
#define CLOSE_US      200000
#define RETRY_NS      UINT64_C(500000000) /* a memif client needs a while to connect */

static const uint8_t magic[4] = { 'd', 'f', 'l', '1' };
static const uint8_t everybody[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

/* ------------------------------------------------------------------------------ opening */

/* A link of its own, or the port of all who have none. */
static uint32_t
find_port(const struct config *c, uint16_t node_id)
{
	uint32_t shared = 0;

	for (uint32_t i = 0; i < c->port_count; i++) {
		if (c->ports[i].peer_id == node_id)
			return i;
		if (c->ports[i].peer_id == 0)
			shared = i;
	}
	return shared;
}

/* Each founding member has a place. @return false: this node is none */
static bool
take_places(struct lane *l, const struct config *c)
{
	bool is_found = false;

	for (uint32_t i = 0; i < c->node_count && l->place_count < LANE_PLACE_COUNT_MAX; i++) {
		const struct config_node *n = &c->nodes[i];

		if (n->joins != CONFIG_JOINS_NO)
			continue;
		if (n->node_id == c->node_id) {
			l->place = l->place_count;
			is_found = true;
		}
		l->peers[l->place_count] = (struct lane_peer){
			.node = n, .port = find_port(c, n->node_id), .has_mac = n->has_mac
		};
		memcpy(l->peers[l->place_count++].mac, n->mac, sizeof(n->mac));
	}
	return is_found;
}

static const char *
check_devices(const struct config *c)
{
	static char error[DECREE_ERROR_BYTES];

	for (uint32_t i = 0; i < c->port_count; i++)
		if (net_device_check(c->ports[i].device, c->mtu, error) != 0)
			return error;
	return NULL;
}

static const char *
open_ports(struct lane *l, const struct config *c)
{
	const char *devices[NET_PORT_COUNT_MAX], *extra[CONFIG_EAL_ARG_COUNT_MAX], *wrong;
	uint16_t ids[NET_PORT_COUNT_MAX];

	for (uint32_t i = 0; i < c->port_count; i++)
		devices[i] = c->ports[i].device;
	for (uint32_t i = 0; i < c->eal_arg_count; i++)
		extra[i] = c->eal_args[i];
	wrong = dpdk_open(&(struct dpdk_config){ .program = "floor",
				  .devices = devices,
				  .device_count = c->port_count,
				  .extra = extra,
				  .extra_count = c->eal_arg_count },
		ids, &l->pool);
	for (uint32_t i = 0; wrong == NULL && i < c->port_count; i++) {
		struct rte_ether_addr mac = { 0 };

		(void)rte_eth_macaddr_get(ids[i], &mac); /* it exists */
		l->ports[i].id = ids[i];
		l->ports[i].is_memif = device_is_memif(c->ports[i].device);
		l->ports[i].is_memif_client =
			l->ports[i].is_memif && !device_is_memif_server(c->ports[i].device);
		memcpy(l->ports[i].mac, mac.addr_bytes, sizeof(l->ports[i].mac));
		l->port_count = i + 1;
	}
	return wrong;
}

const char *
lane_open(struct lane *l, const struct config *c)
{
	const char *wrong;

	*l = (struct lane){ .cluster_id = c->cluster_id, .udp_port = (uint16_t)c->base_port };
	if (!take_places(l, c))
		return "this node is no founding member (joins = yes), and a floor has these alone";
	wrong = check_devices(c);
	if (wrong == NULL && l->place_count > 1)
		wrong = open_ports(l, c);
	return wrong;
}

/* A memif that is closed while its other end closes takes its memory away under itself (seen with
 * DPDK 22.11). So who closes later has seen the other one go, and nobody looks for frames
 * meanwhile. */
static void
let_others_close(const struct lane *l)
{
	bool has_memif = false;

	for (uint32_t i = 0; i < l->port_count; i++)
		has_memif |= l->ports[i].is_memif;
	if (has_memif)
		(void)usleep(CLOSE_US * (l->place + 1)); /* woken early is a risk, not more */
}

void
lane_close(struct lane *l)
{
	uint16_t ids[NET_PORT_COUNT_MAX];

	let_others_close(l);
	for (uint32_t i = 0; i < l->port_count; i++)
		ids[i] = l->ports[i].id;
	dpdk_close(ids, l->port_count);
	l->port_count = 0;
}

/* ------------------------------------------------------------------------------ frames */

static bool
send_frame(struct lane *l, uint32_t port, const uint8_t *bytes, uint32_t count)
{
	struct rte_mbuf *mbuf;
	char *to;

	if (!l->ports[port].is_up)
		return false;
	mbuf = rte_pktmbuf_alloc(l->pool);
	to = mbuf == NULL ? NULL : rte_pktmbuf_append(mbuf, (uint16_t)count);
	if (to == NULL)
		return false; /* asked for again by whoever misses it */
	memcpy(to, bytes, count);
	if (rte_eth_tx_burst(l->ports[port].id, 0, &mbuf, 1) == 1)
		return true;
	rte_pktmbuf_free(mbuf);
	return false;
}

static void
send_arp(struct lane *l, uint32_t port, bool is_request, const uint8_t *mac, uint32_t ipv4)
{
	uint8_t frame[ETHER_ARP_BYTES] = { 0 };
	struct ether_arp arp = { .is_request = is_request,
		.sender_ipv4 = l->peers[l->place].node->ipv4,
		.target_ipv4 = ipv4 };

	memcpy(arp.sender_mac, l->ports[port].mac, sizeof(arp.sender_mac));
	if (!is_request)
		memcpy(arp.target_mac, mac, sizeof(arp.target_mac));
	ether_encode_arp(&arp, mac, frame);
	(void)send_frame(l, port, frame, sizeof(frame)); /* else the next one */
}

static void
put_number(uint8_t *at, uint64_t number, uint32_t bytes)
{
	for (uint32_t i = 0; i < bytes; i++)
		at[i] = (uint8_t)(number >> 8 * i);
}

static uint64_t
get_number(const uint8_t *at, uint32_t bytes)
{
	uint64_t number = 0;

	for (uint32_t i = 0; i < bytes; i++)
		number |= (uint64_t)at[i] << 8 * i;
	return number;
}

void
lane_send(struct lane *l, uint32_t to, const struct lane_message *m)
{
	const struct lane_peer *peer = &l->peers[to];
	struct ether_address source = { .ipv4 = l->peers[l->place].node->ipv4,
		.udp_port = l->udp_port };
	struct ether_address target = { .ipv4 = peer->node->ipv4, .udp_port = l->udp_port };
	uint8_t frame[FRAME_BYTES], *payload = frame + ETHER_UDP_BYTES;

	assert(to != l->place && to < l->place_count);
	if (!peer->has_mac)
		return;
	memcpy(source.mac, l->ports[peer->port].mac, sizeof(source.mac));
	memcpy(target.mac, peer->mac, sizeof(target.mac));
	memcpy(payload, magic, sizeof(magic));
	put_number(payload + 4, l->cluster_id, 4);
	put_number(payload + 8, m->run, 4);
	payload[12] = m->kind;
	payload[13] = m->step;
	put_number(payload + 14, m->number, 8);
	ether_encode_udp(&source, &target, PAYLOAD_BYTES, false, frame);
	(void)send_frame(l, peer->port, frame, sizeof(frame)); /* else it is lost */
}

static struct lane_peer *
find_peer(struct lane *l, uint32_t ipv4)
{
	for (uint32_t i = 0; i < l->place_count; i++)
		if (i != l->place && l->peers[i].node->ipv4 == ipv4)
			return &l->peers[i];
	return NULL;
}

static void
on_arp(struct lane *l, uint32_t port, const uint8_t *frame, uint32_t bytes)
{
	struct ether_arp arp;
	struct lane_peer *peer;

	if (ether_decode_arp(frame, bytes, &arp) != NET_DROP_NONE)
		return;
	peer = find_peer(l, arp.sender_ipv4);
	if (peer != NULL && !peer->node->has_mac) {
		memcpy(peer->mac, arp.sender_mac, sizeof(peer->mac));
		peer->has_mac = true;
	}
	if (arp.is_request && arp.target_ipv4 == l->peers[l->place].node->ipv4)
		send_arp(l, port, false, arp.sender_mac, arp.sender_ipv4);
}

/* @return whether it is a message for us */
static bool
on_udp(struct lane *l, const uint8_t *frame, uint32_t bytes, struct lane_message *ret)
{
	struct ether_datagram d;
	const struct lane_peer *peer;

	if (ether_decode_udp(frame, bytes, false, &d) != NET_DROP_NONE || d.count < PAYLOAD_BYTES ||
		d.target.ipv4 != l->peers[l->place].node->ipv4 ||
		d.target.udp_port != l->udp_port || memcmp(d.bytes, magic, sizeof(magic)) != 0 ||
		get_number(d.bytes + 4, 4) != (uint32_t)l->cluster_id)
		return false;
	peer = find_peer(l, d.source.ipv4);
	if (peer == NULL)
		return false;
	ret->from = (uint32_t)(peer - l->peers);
	ret->run = (uint32_t)get_number(d.bytes + 8, 4);
	ret->kind = d.bytes[12];
	ret->step = d.bytes[13];
	ret->number = get_number(d.bytes + 14, 8);
	return true;
}

static uint32_t
port_poll(struct lane *l, uint32_t port, struct lane_message *ret)
{
	struct rte_mbuf *mbufs[NET_BURST];
	uint16_t got = rte_eth_rx_burst(l->ports[port].id, 0, mbufs, NET_BURST);
	uint32_t count = 0;

	for (uint16_t i = 0; i < got; i++) {
		const uint8_t *frame = rte_pktmbuf_mtod(mbufs[i], const uint8_t *);
		uint32_t bytes = mbufs[i]->data_len;

		if (ether_type(frame, bytes) == ETHER_TYPE_ARP)
			on_arp(l, port, frame, bytes);
		else if (on_udp(l, frame, bytes, &ret[count]))
			count++;
	}
	rte_pktmbuf_free_bulk(mbufs, got);
	return count;
}

uint32_t
lane_poll(struct lane *l, struct lane_message *ret)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < l->port_count; i++)
		if (l->ports[i].is_up)
			count += port_poll(l, i, ret + count);
	return count;
}

/* ------------------------------------------------------------------------------ links */

/* A memif client that came before its server was ready must connect again, which only stop and
 * start make it do. */
static void
tend_port(struct lane_port *p, uint64_t now_ns)
{
	struct rte_eth_link link = { 0 };

	if (now_ns >= p->retry_ns && (!p->is_running || (p->is_memif_client && !p->is_up))) {
		if (p->is_running)
			(void)rte_eth_dev_stop(p->id); /* it runs */
		p->is_running = rte_eth_dev_start(p->id) == 0;
		p->retry_ns = now_ns + RETRY_NS;
	}
	if (!p->is_running)
		return;
	(void)rte_eth_link_get_nowait(p->id, &link); /* down, if it cannot tell */
	p->is_up = link.link_status == RTE_ETH_LINK_UP;
}

void
lane_tick(struct lane *l, uint64_t now_ns)
{
	for (uint32_t i = 0; i < l->port_count; i++)
		tend_port(&l->ports[i], now_ns);
	for (uint32_t i = 0; i < l->place_count; i++) {
		struct lane_peer *p = &l->peers[i];

		if (i == l->place || p->has_mac || now_ns < p->ask_ns)
			continue;
		p->ask_ns = now_ns + ASK_NS;
		send_arp(l, p->port, true, everybody, p->node->ipv4);
	}
}

const char *
lane_suspect(const struct lane *l, uint32_t place)
{
	const struct lane_peer *p = &l->peers[place];

	if (!l->ports[p->port].is_up)
		return "the link to it is down";
	if (!p->has_mac)
		return "nobody answers at its address (ARP): are the cable, the VLAN and both "
		       "addresses right?";
	if (p->node->has_mac)
		return "nothing came from there";
	return "its address is answered: does a node run there, instead of this?";
}
