/* SPDX-License-Identifier: Apache-2.0 */
#include "net/path.h"

#include "base/assert.h"
#include "base/bytes.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define MAC_KNOWN (UINT64_C(1) << 48)

static_assert(PATH_HEADER_BYTES == 90, "the room that dpdk.c leaves before a payload");
static_assert(NET_MTU_DEFAULT - 28 - FRAME_HEADER_BYTES >= 1424, "what a slot may count on");

/* ------------------------------------------------------------------ start */

static int
find_port(const struct path *p, uint16_t node_id, uint16_t *ret_port)
{
	int shared = -1;

	for (uint32_t i = 0; i < p->port_count; i++) {
		if (p->ports[i].peer_id == node_id) {
			*ret_port = (uint16_t)i;
			return 0;
		}
		if (p->ports[i].peer_id == 0 && shared < 0)
			shared = (int)i;
	}
	if (shared < 0)
		return -EINVAL;
	*ret_port = (uint16_t)shared;
	return 0;
}

static void
neighbour_set(struct path *p, uint32_t peer, const uint8_t *mac)
{
	uint64_t v = MAC_KNOWN;

	memcpy(&v, mac, ETHER_MAC_BYTES);
	/* Relaxed: the address is all in the one word. */
	atomic_store_explicit(&p->neighbours->macs[peer], v, memory_order_relaxed);
}

static bool
neighbour_get(const struct path *p, uint32_t peer, uint8_t *ret_mac)
{
	uint64_t v = atomic_load_explicit(&p->neighbours->macs[peer], memory_order_relaxed);

	memcpy(ret_mac, &v, ETHER_MAC_BYTES);
	return (v & MAC_KNOWN) != 0;
}

static int
init_peers(struct path *p, const struct path_config *config)
{
	const struct net_config *net = config->net;

	p->peers = calloc(net->peer_count > 0 ? net->peer_count : 1, sizeof(p->peers[0]));
	if (p->peers == NULL)
		return -ENOMEM;
	p->peer_count = net->peer_count;
	for (uint32_t i = 0; i < net->peer_count; i++) {
		struct path_peer *peer = &p->peers[i];
		struct handshake_config handshake = {
			.auth = &p->auth,
			.ends = { .cluster_id = net->cluster_id,
				.local_node = net->node_id,
				.remote_node = net->peers[i].node_id,
				.shard = config->shard },
			.secret = p->cluster_key,
			.secret_also = net->auth != NET_AUTH_NONE && net->has_cluster_key_also
					       ? p->cluster_key_also
					       : NULL,
			.boot_count = net->boot_count,
			.versions = net->versions,
			.identity = net->identity,
			.identity_bytes = net->identity_bytes,
			.accept_identity = net->accept_identity,
			.accept_context = net->accept_context,
		};

		peer->config = net->peers[i];
		if (find_port(p, peer->config.node_id, &peer->port) != 0)
			return -EINVAL;
		if (peer->config.has_mac)
			neighbour_set(p, i, peer->config.mac);
		auth_derive(config->seed, "nonce", &peer->config.node_id,
			sizeof(peer->config.node_id), handshake.nonce, NONCE_BYTES);
		handshake_init(&peer->handshake, &handshake);
	}
	return 0;
}

static int
init_clients(struct path *p, const struct path_config *config)
{
	const struct net_config *net = config->net;

	p->clients = (struct clients){
		.auth = &p->auth,
		.cluster_id = net->cluster_id,
		.node_id = net->node_id,
		.shard = config->shard,
		.identity = net->identity,
		.identity_bytes = net->identity_bytes,
	};
	p->are_clients_allowed = net->are_clients_allowed;
	if (!net->are_clients_allowed)
		return 0;
	p->clients.secret_count = 1;
	if (net->auth != NET_AUTH_NONE) {
		memcpy(p->clients.secrets[0], net->client_key, NET_KEY_BYTES);
		memcpy(p->clients.secrets[1], net->client_key_also, NET_KEY_BYTES);
		p->clients.secret_count += net->has_client_key_also;
	}
	auth_derive(config->seed, "cookies", "", 0, p->clients.cookie_secret, NET_KEY_BYTES);
	return clients_init(&p->clients);
}

int
path_init(struct path *p, const struct path_config *config)
{
	const struct net_config *net = config->net;
	int rc;

	decree_assert(config->shard < net->shard_count);
	decree_assert(net->port_count <= NET_PORT_COUNT_MAX);
	decree_assert(net->peer_count <= NET_PEER_COUNT_MAX);

	*p = (struct path){
		.cluster_id = net->cluster_id,
		.node_id = net->node_id,
		.base_port = net->base_port,
		.shard = config->shard,
		.shard_count = (uint8_t)net->shard_count,
		.mtu = net->mtu != 0 ? net->mtu : NET_MTU_DEFAULT,
		.is_probe = net->is_probe,
		.port_count = net->port_count,
		.neighbours = config->neighbours,
	};
	memcpy(p->ports, config->ports, net->port_count * sizeof(p->ports[0]));
	if (net->auth != NET_AUTH_NONE) {
		memcpy(p->cluster_key, net->cluster_key, NET_KEY_BYTES);
		memcpy(p->cluster_key_also, net->cluster_key_also, NET_KEY_BYTES);
	}
	rc = auth_init(&p->auth, net->auth);
	if (rc == 0)
		rc = init_peers(p, config);
	if (rc == 0)
		rc = init_clients(p, config);
	if (rc != 0)
		path_fini(p);
	return rc;
}

void
path_fini(struct path *p)
{
	if (p == NULL)
		return;
	clients_fini(&p->clients);
	free(p->peers);
	p->peers = NULL;
	auth_fini(&p->auth);
	sodium_memzero(p->cluster_key, sizeof(p->cluster_key));
	sodium_memzero(p->cluster_key_also, sizeof(p->cluster_key_also));
}

/* ------------------------------------------------------------------ receiving */

static struct path_peer *
find_peer(struct path *p, uint16_t node_id)
{
	for (uint32_t i = 0; i < p->peer_count; i++)
		if (p->peers[i].config.node_id == node_id)
			return &p->peers[i];
	return NULL;
}

/* Somebody else speaks as our address. While we are young we are the one who is wrong. */
static enum net_drop
on_address_taken(struct path *p, uint64_t now_ns, const struct ether_arp *arp)
{
	uint64_t v = MAC_KNOWN;

	memcpy(&v, arp->sender_mac, ETHER_MAC_BYTES);
	if (p->born_ns == 0 || now_ns < p->born_ns + PATH_PROBE_LIFE_NS)
		atomic_store_explicit(&p->neighbours->taken_by, v, memory_order_relaxed);
	return NET_DROP_ADDRESS_TAKEN;
}

/* Learn from requests and replies alike; answer requests for our address. */
static enum net_drop
on_arp(struct path *p, uint64_t now_ns, uint16_t port, const uint8_t *frame, uint32_t frame_bytes,
	uint8_t *ret_answer, uint32_t *ret_answer_bytes)
{
	struct ether_arp arp, reply;
	enum net_drop drop = ether_decode_arp(frame, frame_bytes, &arp);

	if (drop != NET_DROP_NONE)
		return drop;
	if (arp.sender_ipv4 == p->ports[port].ipv4 &&
		memcmp(arp.sender_mac, p->ports[port].mac, ETHER_MAC_BYTES) != 0)
		return on_address_taken(p, now_ns, &arp);
	for (uint32_t i = 0; i < p->peer_count; i++) {
		const struct path_peer *peer = &p->peers[i];

		if (peer->port == port && peer->config.ipv4 == arp.sender_ipv4 &&
			!peer->config.has_mac)
			neighbour_set(p, i, arp.sender_mac);
	}
	if (!arp.is_request || arp.target_ipv4 != p->ports[port].ipv4)
		return NET_DROP_NONE;
	reply = (struct ether_arp){
		.sender_ipv4 = p->ports[port].ipv4,
		.target_ipv4 = arp.sender_ipv4,
	};
	memcpy(reply.sender_mac, p->ports[port].mac, ETHER_MAC_BYTES);
	memcpy(reply.target_mac, arp.sender_mac, ETHER_MAC_BYTES);
	ether_encode_arp(&reply, arp.sender_mac, ret_answer);
	*ret_answer_bytes = ETHER_ARP_BYTES;
	return NET_DROP_NONE;
}

static void
wrap(const struct path *p, uint16_t port, const struct ether_address *to, bool is_udp_offloaded,
	uint8_t *frame, uint32_t datagram_bytes)
{
	struct ether_address source = { .ipv4 = p->ports[port].ipv4,
		.udp_port = (uint16_t)(p->base_port + p->shard) };

	memcpy(source.mac, p->ports[port].mac, ETHER_MAC_BYTES);
	ether_encode_udp(&source, to, datagram_bytes, is_udp_offloaded, frame);
}

/* Send a hello back to where its cause came from. */
static void
wrap_answer(struct path *p, uint16_t port, const struct ether_datagram *cause, uint8_t *answer,
	uint32_t *answer_bytes)
{
	if (*answer_bytes == 0)
		return;
	wrap(p, port, &cause->source, false, answer, *answer_bytes);
	*answer_bytes += ETHER_UDP_BYTES;
	net_count(&p->counters.hellos_sent, 1);
}

static enum net_drop
on_hello(struct path *p, uint64_t now_ns, uint16_t port, const struct ether_datagram *d,
	const struct frame_header *header, uint8_t *ret_answer, uint32_t *ret_answer_bytes)
{
	struct client_address from = { .ether = d->source, .port = port };
	uint8_t *datagram = ret_answer + ETHER_UDP_BYTES;
	struct path_peer *peer;
	enum net_drop drop;

	if (++p->hello_count > PATH_HELLO_BURST)
		return NET_DROP_HELLO_RATE;
	if (header->source_node == 0) {
		drop = p->are_clients_allowed ? clients_hello(&p->clients, now_ns, header, d->bytes,
							&from, datagram, ret_answer_bytes)
					      : NET_DROP_CLIENT_REFUSED;
	} else {
		peer = find_peer(p, header->source_node);
		drop = peer != NULL ? handshake_receive(&peer->handshake, now_ns, header, d->bytes,
					      datagram, ret_answer_bytes)
				    : NET_DROP_PEER_UNKNOWN;
	}
	wrap_answer(p, port, d, ret_answer, ret_answer_bytes);
	if (drop == NET_DROP_NONE)
		net_count(&p->counters.hellos_received, 1);
	return drop;
}

static enum net_drop
on_data(struct path *p, uint64_t now_ns, uint16_t port, const struct ether_datagram *d,
	const struct frame_header *header, struct net_endpoint *ret_peer, uint8_t *ret_version_max)
{
	struct path_peer *peer;
	enum net_drop drop;

	if (header->source_node == 0) {
		struct client_address from = { .ether = d->source, .port = port };

		if (!p->are_clients_allowed)
			return NET_DROP_CLIENT_REFUSED;
		if (++p->client_count > p->client_count_max)
			return NET_DROP_CLIENT_FLOOD;
		return clients_data(&p->clients, now_ns, header, d->bytes, &from, ret_peer);
	}
	peer = find_peer(p, header->source_node);
	if (peer == NULL)
		return NET_DROP_PEER_UNKNOWN;
	if (!peer->handshake.is_established)
		return NET_DROP_NO_SESSION;
	*ret_peer = (struct net_endpoint){ .node_id = header->source_node };
	*ret_version_max = peer->handshake.peer_version_max;
	drop = session_open(&p->auth, &peer->handshake.session, header, d->bytes);
	if (drop == NET_DROP_NONE)
		peer->handshake.session_heard_ns = now_ns;
	return drop;
}

/* Is the datagram for this cluster, node and shard? @retval NET_DROP_SHARD also for a shard of ours
 * that is not this one: the caller looks at header->target_shard */
static enum net_drop
check_target(const struct path *p, uint16_t port, const struct ether_datagram *d,
	struct frame_header *ret_header)
{
	enum net_drop drop;

	if (d->target.ipv4 != p->ports[port].ipv4)
		return NET_DROP_FOREIGN;
	if (d->target.udp_port < p->base_port ||
		d->target.udp_port - p->base_port >= p->shard_count)
		return NET_DROP_FOREIGN;
	drop = frame_decode(d->bytes, d->count, ret_header);
	if (drop != NET_DROP_NONE)
		return drop;
	if (ret_header->cluster_id != p->cluster_id)
		return NET_DROP_CLUSTER;
	if (ret_header->target_node != p->node_id)
		return NET_DROP_NODE;
	if (ret_header->source_shard != ret_header->target_shard ||
		d->target.udp_port - p->base_port != ret_header->target_shard)
		return NET_DROP_SHARD;
	return NET_DROP_NONE;
}

static enum net_drop
receive_udp(struct path *p, uint64_t now_ns, uint16_t port, uint8_t *frame, uint32_t frame_bytes,
	bool is_checksum_good, uint8_t *ret_answer, struct path_received *r)
{
	struct frame_header header;
	struct ether_datagram d;
	/* A GMAC vouches for more than the UDP checksum could; and a frame from a kernel on this
	 * machine may carry an unfinished one. */
	bool has_trust = is_checksum_good || p->auth.mode == NET_AUTH_GMAC;
	enum net_drop drop = ether_decode_udp(frame, frame_bytes, has_trust, &d);

	if (drop == NET_DROP_NONE)
		drop = check_target(p, port, &d, &header);
	if (drop != NET_DROP_NONE)
		return drop;
	if (p->is_probe)
		return NET_DROP_NO_SESSION;
	if (header.target_shard != p->shard) {
		r->verdict = PATH_HANDOVER;
		r->shard = header.target_shard;
		return NET_DROP_NONE;
	}
	if (header.kind == FRAME_HELLO) {
		r->verdict = PATH_TAKEN;
		return on_hello(p, now_ns, port, &d, &header, ret_answer, &r->answer_bytes);
	}
	r->verdict = PATH_DELIVER;
	r->payload = frame + (d.bytes - frame) + FRAME_HEADER_BYTES;
	r->payload_bytes = header.payload_bytes;
	return on_data(p, now_ns, port, &d, &header, &r->peer, &r->version_max);
}

void
path_begin(struct path *p, uint32_t client_count_max)
{
	p->hello_count = 0;
	p->client_count = 0;
	p->client_count_max = client_count_max;
}

void
path_receive(struct path *p, uint64_t now_ns, uint16_t port, uint8_t *frame, uint32_t frame_bytes,
	bool is_checksum_good, uint8_t *ret_answer, struct path_received *r)
{
	enum net_drop drop;

	decree_assert(port < p->port_count);

	r->verdict = PATH_DROP;
	r->version_max = 0;
	r->answer_bytes = 0;
	switch (ether_type(frame, frame_bytes)) {
	case ETHER_TYPE_IPV4:
		drop = receive_udp(
			p, now_ns, port, frame, frame_bytes, is_checksum_good, ret_answer, r);
		if (drop == NET_DROP_FOREIGN)
			drop = path_on_echo(p, now_ns, port, frame, frame_bytes, r);
		break;
	case ETHER_TYPE_ARP:
		r->verdict = PATH_TAKEN;
		drop = on_arp(p, now_ns, port, frame, frame_bytes, ret_answer, &r->answer_bytes);
		break;
	default: drop = NET_DROP_FOREIGN; break;
	}
	r->drop = drop;
	if (drop == NET_DROP_NONE) {
		if (r->verdict == PATH_DELIVER)
			net_count(&p->counters.received, 1);
		return;
	}
	r->verdict = PATH_DROP;
	net_count(&p->counters.dropped[drop], 1);
}

/* ------------------------------------------------------------------ sending */

static bool
peer_address(const struct path *p, uint32_t index, struct ether_address *ret_to)
{
	const struct net_peer_config *config = &p->peers[index].config;

	ret_to->ipv4 = config->ipv4;
	ret_to->udp_port = (uint16_t)(config->base_port + p->shard);
	return neighbour_get(p, index, ret_to->mac);
}

static enum net_drop
seal_to_node(struct path *p, struct path_peer *peer, uint8_t *datagram, uint32_t payload_bytes,
	struct client_address *ret_to)
{
	if (!peer->handshake.is_established)
		return NET_DROP_SEND_NO_SESSION;
	if (!peer_address(p, (uint32_t)(peer - p->peers), &ret_to->ether))
		return NET_DROP_SEND_NO_ADDRESS;
	ret_to->port = peer->port;
	session_seal(&p->auth, &peer->handshake.session, &peer->handshake.config.ends, 0, datagram,
		(uint16_t)payload_bytes);
	return NET_DROP_NONE;
}

enum net_drop
path_seal(struct path *p, const struct net_endpoint *to, uint8_t *frame, uint32_t payload_bytes,
	uint16_t *ret_port)
{
	uint8_t *datagram = frame + ETHER_UDP_BYTES;
	struct client_address address;
	enum net_drop drop;

	if (to->node_id != 0) {
		struct path_peer *peer = find_peer(p, to->node_id);

		if (peer == NULL)
			return NET_DROP_PEER_UNKNOWN;
		drop = seal_to_node(p, peer, datagram, payload_bytes, &address);
	} else {
		drop = clients_seal(&p->clients, to, datagram, (uint16_t)payload_bytes, &address);
	}
	if (drop != NET_DROP_NONE)
		return drop;
	wrap(p, address.port, &address.ether, p->ports[address.port].has_udp_offload, frame,
		FRAME_HEADER_BYTES + payload_bytes);
	*ret_port = address.port;
	return NET_DROP_NONE;
}

/* @return bytes of the ARP request that is due for this peer, 0 = none */
static uint32_t
poll_arp(struct path *p, uint32_t index, uint64_t now_ns, uint8_t *ret_frame)
{
	static const uint8_t everybody[ETHER_MAC_BYTES] = { 255, 255, 255, 255, 255, 255 };
	struct path_peer *peer = &p->peers[index];
	const struct path_port *port = &p->ports[peer->port];
	uint8_t mac[ETHER_MAC_BYTES];
	struct ether_arp arp = {
		.is_request = true, .sender_ipv4 = port->ipv4, .target_ipv4 = peer->config.ipv4
	};

	if (peer->config.has_mac || now_ns < peer->arp_due_ns)
		return 0;
	/* Asked while known as well, so that a moved address is noticed; and all shards ask, since
	 * a port may answer each in its own queue. */
	peer->arp_due_ns =
		now_ns + (neighbour_get(p, index, mac) ? PATH_ARP_REFRESH_NS : PATH_ARP_RETRY_NS);
	memcpy(arp.sender_mac, port->mac, ETHER_MAC_BYTES);
	ether_encode_arp(&arp, everybody, ret_frame);
	return ETHER_ARP_BYTES;
}

/* Who else has the address of port 0? A question without a sender's address changes nobody's table
 * (RFC 5227). */
static uint32_t
poll_probe(struct path *p, uint64_t now_ns, uint8_t *ret_frame)
{
	static const uint8_t everybody[ETHER_MAC_BYTES] = { 255, 255, 255, 255, 255, 255 };
	struct ether_arp arp = { .is_request = true, .target_ipv4 = p->ports[0].ipv4 };

	if (p->born_ns == 0)
		p->born_ns = now_ns;
	if (p->shard != 0 || p->probe_count == PATH_PROBE_COUNT || now_ns < p->probe_due_ns)
		return 0;
	p->probe_count++;
	p->probe_due_ns = now_ns + PATH_PROBE_GAP_NS;
	memcpy(arp.sender_mac, p->ports[0].mac, ETHER_MAC_BYTES);
	ether_encode_arp(&arp, everybody, ret_frame);
	return ETHER_ARP_BYTES;
}

/* A hello under somebody else's address, and then mostly under its number too, would take the
 * peers' sessions from it. */
static bool
is_address_in_doubt(const struct path *p, uint64_t now_ns)
{
	return now_ns < p->born_ns + PATH_PROBE_WAIT_NS ||
	       atomic_load_explicit(&p->neighbours->taken_by, memory_order_relaxed) != 0;
}

static uint32_t
poll_hello(struct path *p, uint32_t index, uint64_t now_ns, uint8_t *ret_frame)
{
	struct path_peer *peer = &p->peers[index];
	struct ether_address to;
	uint32_t bytes;

	if (p->is_probe || is_address_in_doubt(p, now_ns) || !peer_address(p, index, &to))
		return 0;
	bytes = handshake_poll(&peer->handshake, now_ns, ret_frame + ETHER_UDP_BYTES);
	if (bytes == 0)
		return 0;
	wrap(p, peer->port, &to, false, ret_frame, bytes);
	net_count(&p->counters.hellos_sent, 1);
	return ETHER_UDP_BYTES + bytes;
}

uint32_t
path_poll(struct path *p, uint64_t now_ns, uint8_t *ret_frame, uint16_t *ret_port)
{
	uint32_t bytes = poll_probe(p, now_ns, ret_frame);

	*ret_port = 0;
	if (bytes > 0)
		return bytes;
	while (p->poll_peer < 2 * p->peer_count) {
		uint32_t index = p->poll_peer / 2;
		bool is_arp = p->poll_peer++ % 2 == 0;

		bytes = is_arp ? poll_arp(p, index, now_ns, ret_frame)
			       : poll_hello(p, index, now_ns, ret_frame);

		if (bytes > 0) {
			*ret_port = p->peers[index].port;
			return bytes;
		}
	}
	p->poll_peer = 0;
	return 0;
}

void
path_require(struct path *p, uint8_t version)
{
	for (uint32_t i = 0; i < p->peer_count; i++)
		handshake_require(&p->peers[i].handshake, version);
}

void
path_peer_status(const struct path *p, uint32_t index, struct net_peer_status *ret_status)
{
	const struct handshake *h = &p->peers[index].handshake;
	uint8_t mac[ETHER_MAC_BYTES];

	*ret_status = (struct net_peer_status){
		.node_id = p->peers[index].config.node_id,
		.state = h->is_established ? NET_PEER_ESTABLISHED
			 : h->is_heard     ? NET_PEER_HEARD
					   : NET_PEER_SILENT,
		.boot_count = h->peer_boot_count,
		.refusal = h->refusal,
		.refused_count = h->refused_count,
		.versions = h->peer_versions,
		.version_required = h->config.versions.min,
		.session_count = h->session_count,
		.has_address = neighbour_get(p, index, mac),
		.reach = p->peers[index].reach,
	};
}
