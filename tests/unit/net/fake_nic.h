/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file fake_nic.h
 * A NIC that takes flow rules, and puts each frame into the queue that they name: a ring port of
 * DPDK's, before which the linker puts the functions of rte_flow (--wrap). It is as unforgiving as
 * DPDK's text allows: a rule on a port that is not started, and a port that is stopped while it has
 * rules, fail the test.
 */
#ifndef TESTS_UNIT_NET_FAKE_NIC_H
#define TESTS_UNIT_NET_FAKE_NIC_H

#include <rte_mbuf.h>
#include <rte_ring.h>
#include <stdbool.h>
#include <stdint.h>

#define NIC_QUEUE_COUNT_MAX 4
#define NIC_RULE_COUNT_MAX  8

struct rte_flow {
	bool is_there;
	bool has_protocol; /* compares that, too */
	uint16_t udp_port;
	uint16_t queue;
};

struct fake_nic {
	/* How it is: set by the test before the port is opened. */
	uint16_t queue_count;
	bool has_rules;      /* else rte_flow_validate() says -ENOSYS, as of a driver without any */
	bool wants_protocol; /* refuses rules that do not name it */
	bool refuses_protocol;     /* refuses rules that do */
	uint16_t invalid_udp_port; /* refused by validate; 0 = none */
	uint16_t failing_udp_port; /* valid, but create fails */
	bool has_hash;

	/* What happened. */
	uint16_t id; /* EAL's */
	bool is_started;
	bool is_hashing; /* RSS was configured */
	uint32_t asked_count, made_count, removed_count;
	struct rte_flow rules[NIC_RULE_COUNT_MAX];
	struct rte_ring *in[NIC_QUEUE_COUNT_MAX], *out[NIC_QUEUE_COUNT_MAX];
};

extern struct fake_nic nic;

/** Make the port, as "net_ring_nic", with two queues and all rules. It goes with the node that takes
 * it; then the next may be made. */
void fake_nic_make(void);

/** A frame from the wire. @return the queue that it got into; it is the NIC's from then on */
uint16_t fake_nic_receive(struct rte_mbuf *frame);

uint32_t fake_nic_rule_count(void);

/** Free what waits in its queues. */
void fake_nic_drain(void);

#endif
