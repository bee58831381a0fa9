/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file lane.h
 * Small frames between the hosts of a configuration, over its ports and between its addresses,
 * without a line of the engine: UDP over IPv4, so that switches treat them as they treat a node's,
 * and ARP to find each other.
 *
 * Threads:  one.
 * Errors:   NULL, or what is wrong, in a sentence that stays.
 */
#ifndef BENCH_HOSTS_LANE_H
#define BENCH_HOSTS_LANE_H

#include "engine/runtime/config.h"
#include "net/net.h"

#include <stdbool.h>
#include <stdint.h>

#define LANE_PLACE_COUNT_MAX 7
#define LANE_MESSAGE_MAX     (NET_PORT_COUNT_MAX * NET_BURST)

struct lane_message {
	uint32_t from; /* a place */
	uint32_t run;  /* frames of another one are somebody else's */
	uint8_t kind;
	uint8_t step;
	uint64_t number;
};

struct lane_peer {
	const struct config_node *node;
	uint32_t port; /* index; of our own place nothing */
	bool has_mac;
	uint8_t mac[6];
	uint64_t ask_ns; /* for its MAC, then */
};

struct lane_port {
	uint16_t id; /* EAL's */
	uint8_t mac[6];
	bool is_running;
	bool is_up;
	bool is_memif;
	bool is_memif_client; /* starts once its server is there */
	uint64_t retry_ns;
};

struct lane {
	struct rte_mempool *pool;
	uint64_t cluster_id;
	uint16_t udp_port;
	uint32_t place, place_count; /* founding members, by ascending id */
	struct lane_peer peers[LANE_PLACE_COUNT_MAX];
	struct lane_port ports[NET_PORT_COUNT_MAX];
	uint32_t port_count;
};

/** Start EAL with the configuration's ports. @param c  must stay */
const char *lane_open(struct lane *l, const struct config *c);
void lane_close(struct lane *l);

/** Look after links and ask for addresses: now and then, while not all others are there. */
void lane_tick(struct lane *l, uint64_t now_ns);

/** Lost if it is not known yet where the other is. */
void lane_send(struct lane *l, uint32_t to, const struct lane_message *message);

/** @param ret  [LANE_MESSAGE_MAX] @return how many came; never blocks */
uint32_t lane_poll(struct lane *l, struct lane_message *ret);

/** What is known of the way to a place, for whom it does not answer. */
const char *lane_suspect(const struct lane *l, uint32_t place);

#endif
