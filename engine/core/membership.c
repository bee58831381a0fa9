/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is known, who takes part, and what is a quorum.
 *
 * Bitmaps of nodes are over peers[]. A configuration names its voters as such a bitmap, so a quorum costs
 * one AND and one count of bits, whatever the number of nodes.
 */
#include "engine/core/replica.h"

static uint16_t
voters_of(const struct eng_replica *r, const struct eng_membership *m)
{
	uint16_t set = 0;

	for (uint32_t i = 0; i < m->member_count; i++)
		set |= set_of((uint32_t)peer_index(r, m->members[i].node_id));
	return set;
}

void
config_take(struct eng_replica *r, const struct eng_membership *m)
{
	r->config.m = *m;
	r->config.voters = voters_of(r, m);
	r->targets = r->config.voters & (uint16_t)~set_of(r->self);
}

void
membership_init(struct eng_replica *r)
{
	const struct eng_config *cfg = &r->cfg;
	struct eng_membership m = {
		.epoch = 0,
		.q1 = cfg->q1,
		.q2 = cfg->q2,
		.member_count = cfg->member_count,
	};

	r->peer_count = cfg->member_count;
	for (uint32_t i = 0; i < cfg->member_count; i++) {
		r->peers[i].node_id = cfg->members[i].node_id;
		m.members[i].node_id = cfg->members[i].node_id;
	}
	int32_t self = peer_index(r, cfg->node_id);
	decree_assert(self >= 0);
	r->self = (uint32_t)self;
	config_take(r, &m);
}

bool
has_q1_everywhere(const struct eng_replica *r, uint16_t set)
{
	return is_quorum(set, &r->config, r->config.m.q1);
}

bool
has_q2_everywhere(const struct eng_replica *r, uint16_t set)
{
	return is_quorum(set, &r->config, r->config.m.q2);
}

/* Two sets meet if one cannot be found within what the other leaves. */
bool
meets_every_q1(const struct eng_replica *r, uint16_t set)
{
	return !is_quorum((uint16_t)~set, &r->config, r->config.m.q1);
}

uint32_t
eng_targets(const struct eng_replica *r, uint16_t ret_nodes[ENG_PEER_COUNT_MAX])
{
	uint32_t count = 0;

	for (uint16_t set = r->targets; set != 0; set = set_rest(set))
		ret_nodes[count++] = r->peers[set_first(set)].node_id;
	return count;
}
