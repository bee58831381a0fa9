/* SPDX-License-Identifier: Apache-2.0 */
#include "net/steer.h"

#include "base/assert.h"

#include <netinet/in.h>
#include <rte_flow.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

/* Both say the same. i40e takes no protocol beside a UDP port, igb wants to be told it. */
enum rule_form {
	RULE_IPV4 = 0,     /* eth / ipv4 / udp dst is PORT */
	RULE_PROTOCOL = 1, /* eth / ipv4 proto is 17 / udp dst is PORT */
	RULE_FORM_COUNT = 2,
};

struct rule {
	struct rte_flow_item_ipv4 ipv4, ipv4_mask;
	struct rte_flow_item_udp udp, udp_mask;
	struct rte_flow_action_queue queue;
	struct rte_flow_item pattern[4];
	struct rte_flow_action actions[2];
};

static const struct rte_flow_attr ingress = { .ingress = 1 };

static void
write_rule(struct rule *r, enum rule_form form, uint16_t udp_port, uint16_t queue)
{
	*r = (struct rule){
		.ipv4.hdr.next_proto_id = IPPROTO_UDP,
		.ipv4_mask.hdr.next_proto_id = 0xff,
		.udp.hdr.dst_port = rte_cpu_to_be_16(udp_port),
		.udp_mask.hdr.dst_port = 0xffff,
		.queue.index = queue,
		.pattern = { { .type = RTE_FLOW_ITEM_TYPE_ETH },
			{ .type = RTE_FLOW_ITEM_TYPE_IPV4 },
			{ .type = RTE_FLOW_ITEM_TYPE_UDP, .spec = &r->udp, .mask = &r->udp_mask },
			{ .type = RTE_FLOW_ITEM_TYPE_END } },
		.actions = { { .type = RTE_FLOW_ACTION_TYPE_QUEUE, .conf = &r->queue },
			{ .type = RTE_FLOW_ACTION_TYPE_END } },
	};
	if (form == RULE_PROTOCOL) {
		r->pattern[1].spec = &r->ipv4;
		r->pattern[1].mask = &r->ipv4_mask;
	}
}

/* Of one form: all or none. Asked first, since many drivers refuse a second one of what they have
 * taken once. */
static bool
make_rules(const struct net_node *node, struct port *port, enum rule_form form)
{
	struct rte_flow_error ignored; /* what is refused is no fault of anybody's */
	struct rule r;

	for (uint16_t shard = 0; shard < node->shard_count; shard++) {
		uint16_t queue = shard % port->queue_count;

		write_rule(&r, form, (uint16_t)(node->base_port + shard), queue);
		if (rte_flow_validate(port->id, &ingress, r.pattern, r.actions, &ignored) == 0)
			port->rules[shard] =
				rte_flow_create(port->id, &ingress, r.pattern, r.actions, &ignored);
		if (port->rules[shard] == NULL) {
			steer_stop(port);
			return false;
		}
	}
	return true;
}

static bool
takes_rules(const struct net_node *node, struct port *port)
{
	for (enum rule_form form = 0; form < RULE_FORM_COUNT; form++)
		if (make_rules(node, port, form))
			return true;
	return false;
}

static enum port_steering
choose_way(const struct net_node *node, struct port *port)
{
	if (node->shard_count == 1)
		return STEERING_NONE;
	if (port->queue_count == 1)
		return STEERING_HANDOVER;
	if (port->state == PORT_RUNNING && takes_rules(node, port))
		return STEERING_RULES;
	return port->has_hash ? STEERING_HASH : STEERING_DRIVER;
}

void
steer_start(const struct net_node *node, struct port *port)
{
	enum port_steering way;

	decree_assert(port->rules[0] == NULL);

	way = choose_way(node, port);
	atomic_store_explicit(&port->steering, way, memory_order_relaxed);
}

void
steer_stop(struct port *port)
{
	struct rte_flow_error ignored;

	for (uint16_t shard = 0; shard < DECREE_SHARD_COUNT_MAX; shard++) {
		if (port->rules[shard] != NULL)
			/* One that stays leads to a queue that somebody reads, or to a port that is
			 * stopped. */
			(void)rte_flow_destroy(port->id, port->rules[shard], &ignored);
		port->rules[shard] = NULL;
	}
}

void
steer_describe(const struct net_node *node, char *ret_text, size_t bytes)
{
	static const char *const names[STEERING_COUNT] = {
		[STEERING_RULES] = "flow rules",
		[STEERING_HASH] = "RSS",
		[STEERING_DRIVER] = "the driver's own queues",
		[STEERING_HANDOVER] = "one queue, handed over",
	};
	bool is_used[STEERING_COUNT] = { false };
	size_t used = 0;

	decree_assert(bytes > 0);

	ret_text[0] = '\0';
	for (uint32_t i = 0; i < node->port_count; i++)
		is_used[atomic_load_explicit(&node->ports[i].steering, memory_order_relaxed)] =
			true;
	for (uint32_t way = STEERING_NONE + 1; way < STEERING_COUNT && used < bytes; way++)
		if (is_used[way])
			used += (size_t)snprintf(ret_text + used, bytes - used, "%s%s",
				used > 0 ? " and " : "", names[way]);
}
