/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/net/common.h"

#include "tests/unit/net/fake_nic.h"

#include <errno.h>
#include <netinet/in.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_flow.h>
#include <stdio.h>

struct fake_nic nic;

int __real_rte_eth_dev_start(uint16_t port_id);
int __real_rte_eth_dev_stop(uint16_t port_id);
int __real_rte_eth_dev_info_get(uint16_t port_id, struct rte_eth_dev_info *info);
int __real_rte_eth_dev_configure(
	uint16_t port_id, uint16_t rx_count, uint16_t tx_count, const struct rte_eth_conf *conf);

int __wrap_rte_eth_dev_start(uint16_t port_id);
int __wrap_rte_eth_dev_stop(uint16_t port_id);
int __wrap_rte_eth_dev_info_get(uint16_t port_id, struct rte_eth_dev_info *info);
int __wrap_rte_eth_dev_configure(
	uint16_t port_id, uint16_t rx_count, uint16_t tx_count, const struct rte_eth_conf *conf);
int __wrap_rte_flow_validate(uint16_t port_id, const struct rte_flow_attr *attr,
	const struct rte_flow_item pattern[], const struct rte_flow_action actions[],
	struct rte_flow_error *error);
struct rte_flow *__wrap_rte_flow_create(uint16_t port_id, const struct rte_flow_attr *attr,
	const struct rte_flow_item pattern[], const struct rte_flow_action actions[],
	struct rte_flow_error *error);
int __wrap_rte_flow_destroy(uint16_t port_id, struct rte_flow *flow, struct rte_flow_error *error);

/* ------------------------------------------------------------------ the port */

int
__wrap_rte_eth_dev_start(uint16_t port_id)
{
	int rc = __real_rte_eth_dev_start(port_id);

	if (port_id == nic.id)
		nic.is_started = rc == 0;
	return rc;
}

int
__wrap_rte_eth_dev_stop(uint16_t port_id)
{
	if (port_id == nic.id) {
		assert_int_equal(fake_nic_rule_count(), 0);
		nic.is_started = false;
	}
	return __real_rte_eth_dev_stop(port_id);
}

int
__wrap_rte_eth_dev_info_get(uint16_t port_id, struct rte_eth_dev_info *info)
{
	int rc = __real_rte_eth_dev_info_get(port_id, info);

	if (port_id == nic.id) {
		info->max_rx_queues = nic.queue_count;
		info->max_tx_queues = nic.queue_count;
		info->flow_type_rss_offloads = nic.has_hash ? RTE_ETH_RSS_NONFRAG_IPV4_UDP : 0;
	}
	return rc;
}

/* The ring port knows nothing of a hash. */
int
__wrap_rte_eth_dev_configure(
	uint16_t port_id, uint16_t rx_count, uint16_t tx_count, const struct rte_eth_conf *conf)
{
	struct rte_eth_conf plain = *conf;

	if (port_id == nic.id) {
		nic.is_hashing = conf->rxmode.mq_mode == RTE_ETH_MQ_RX_RSS;
		plain.rxmode.mq_mode = RTE_ETH_MQ_RX_NONE;
		plain.rx_adv_conf.rss_conf.rss_hf = 0;
	}
	return __real_rte_eth_dev_configure(port_id, rx_count, tx_count, &plain);
}

/* ------------------------------------------------------------------ rules */

/* @return false: no rule of the kind that this NIC knows */
static bool
parse(const struct rte_flow_attr *attr, const struct rte_flow_item *items,
	const struct rte_flow_action *actions, struct rte_flow *ret)
{
	const struct rte_flow_item_ipv4 *ipv4 = items[1].spec, *ipv4_mask = items[1].mask;
	const struct rte_flow_item_udp *udp = items[2].spec, *udp_mask = items[2].mask;
	const struct rte_flow_action_queue *queue = actions[0].conf;

	if (!attr->ingress || attr->egress || attr->transfer || attr->group != 0)
		return false;
	if (items[0].type != RTE_FLOW_ITEM_TYPE_ETH || items[0].spec != NULL ||
		items[1].type != RTE_FLOW_ITEM_TYPE_IPV4 ||
		items[2].type != RTE_FLOW_ITEM_TYPE_UDP || items[3].type != RTE_FLOW_ITEM_TYPE_END)
		return false;
	if (actions[0].type != RTE_FLOW_ACTION_TYPE_QUEUE ||
		actions[1].type != RTE_FLOW_ACTION_TYPE_END)
		return false;
	if (udp == NULL || udp_mask == NULL || udp_mask->hdr.dst_port != 0xffff ||
		udp_mask->hdr.src_port != 0 || queue->index >= nic.queue_count)
		return false;
	*ret = (struct rte_flow){ .is_there = true,
		.has_protocol = ipv4 != NULL,
		.udp_port = rte_be_to_cpu_16(udp->hdr.dst_port),
		.queue = queue->index };
	return ipv4 == NULL ||
	       (ipv4_mask->hdr.next_proto_id == 0xff && ipv4->hdr.next_proto_id == IPPROTO_UDP);
}

static bool
is_valid(const struct rte_flow_attr *attr, const struct rte_flow_item *items,
	const struct rte_flow_action *actions, struct rte_flow *ret)
{
	if (!parse(attr, items, actions, ret) || ret->udp_port == nic.invalid_udp_port)
		return false;
	return ret->has_protocol ? !nic.refuses_protocol : !nic.wants_protocol;
}

int
__wrap_rte_flow_validate(uint16_t port_id, const struct rte_flow_attr *attr,
	const struct rte_flow_item pattern[], const struct rte_flow_action actions[],
	struct rte_flow_error *error)
{
	struct rte_flow rule;

	(void)error;
	if (port_id != nic.id || !nic.has_rules)
		return -ENOSYS;
	assert_true(nic.is_started);
	nic.asked_count++;
	return is_valid(attr, pattern, actions, &rule) ? 0 : -EINVAL;
}

struct rte_flow *
__wrap_rte_flow_create(uint16_t port_id, const struct rte_flow_attr *attr,
	const struct rte_flow_item pattern[], const struct rte_flow_action actions[],
	struct rte_flow_error *error)
{
	struct rte_flow rule;

	(void)error;
	assert_int_equal(port_id, nic.id);
	assert_true(nic.is_started);
	if (!is_valid(attr, pattern, actions, &rule) || rule.udp_port == nic.failing_udp_port)
		return NULL;
	for (uint32_t i = 0; i < NIC_RULE_COUNT_MAX; i++)
		if (!nic.rules[i].is_there) {
			nic.rules[i] = rule;
			nic.made_count++;
			return &nic.rules[i];
		}
	return NULL;
}

int
__wrap_rte_flow_destroy(uint16_t port_id, struct rte_flow *flow, struct rte_flow_error *error)
{
	(void)error;
	assert_int_equal(port_id, nic.id);
	assert_true(nic.is_started);
	flow->is_there = false;
	nic.removed_count++;
	return 0;
}

/* ------------------------------------------------------------------ the wire */

#define PROTOCOL_OFFSET 23
#define UDP_PORT_OFFSET 36

uint16_t
fake_nic_receive(struct rte_mbuf *frame)
{
	const uint8_t *bytes = rte_pktmbuf_mtod(frame, const uint8_t *);
	uint16_t queue = 0; /* by default */

	if (bytes[PROTOCOL_OFFSET] == IPPROTO_UDP)
		for (uint32_t i = 0; i < NIC_RULE_COUNT_MAX; i++)
			if (nic.rules[i].is_there &&
				nic.rules[i].udp_port ==
					(bytes[UDP_PORT_OFFSET] << 8 | bytes[UDP_PORT_OFFSET + 1]))
				queue = nic.rules[i].queue;
	assert_int_equal(rte_ring_enqueue(nic.in[queue], frame), 0);
	return queue;
}

uint32_t
fake_nic_rule_count(void)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < NIC_RULE_COUNT_MAX; i++)
		count += nic.rules[i].is_there;
	return count;
}

void
fake_nic_drain(void)
{
	void *mbuf;

	for (uint32_t i = 0; i < NIC_QUEUE_COUNT_MAX; i++) {
		while (rte_ring_dequeue(nic.in[i], &mbuf) == 0)
			rte_pktmbuf_free(mbuf);
		while (rte_ring_dequeue(nic.out[i], &mbuf) == 0)
			rte_pktmbuf_free(mbuf);
	}
}

void
fake_nic_make(void)
{
	struct fake_nic before = nic;
	char name[16];
	int rc;

	nic = (struct fake_nic){ .queue_count = 2, .has_rules = true };
	for (uint32_t i = 0; i < NIC_QUEUE_COUNT_MAX; i++) {
		snprintf(name, sizeof(name), "nic_in_%u", i);
		nic.in[i] = before.in[i] != NULL ? before.in[i] : rte_ring_create(name, 1024, 0, 0);
		snprintf(name, sizeof(name), "nic_out_%u", i);
		nic.out[i] =
			before.out[i] != NULL ? before.out[i] : rte_ring_create(name, 1024, 0, 0);
		assert_non_null(nic.in[i]);
		assert_non_null(nic.out[i]);
	}
	rc = rte_eth_from_rings(
		"nic", nic.in, NIC_QUEUE_COUNT_MAX, nic.out, NIC_QUEUE_COUNT_MAX, 0);
	assert_true(rc >= 0);
	nic.id = (uint16_t)rc;
}
