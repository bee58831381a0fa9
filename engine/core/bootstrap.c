/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first slot: who the members are, and with which disks (protocol 12.0).
 *
 * The first leader of a new cluster needs a promise of every member, writes all disks into slot 1,
 * and takes no command before slot 1 and, behind it, an empty slot 2 are durable on all of them.
 * The record of slot 2 carries the hint that slot 1 is decided, so from its disk alone every member
 * knows all disks before there is anything to lose. From then on a node without that knowledge has
 * lost its disk: it needs the promise of every member, the others turn it away, and its votes do
 * not count. An acceptor that has forgotten its promises must never vote.
 */
#include "engine/core/replica.h"

/* The highest that every founder speaks. All of them have promised, so all have been heard. */
static uint32_t
founding_version(const struct eng_replica *r, const struct eng_membership *m)
{
	uint32_t version = r->cfg.version_max;

	for (uint32_t i = 0; i < m->member_count; i++) {
		uint32_t index = (uint32_t)peer_index(r, m->members[i].node_id);

		if (index != r->self && r->peers[index].version_max < version)
			version = r->peers[index].version_max;
	}
	return version;
}

uint32_t
bootstrap_value(const struct eng_replica *r, uint8_t *value)
{
	struct eng_membership m = {
		.epoch = 1,
		.q1 = r->cfg.q1,
		.q2 = r->cfg.q2,
		.slot_bytes = r->cfg.slot_bytes,
		.alpha = r->cfg.alpha,
		.command_bytes_max = r->cfg.command_bytes_max,
		.session_count = r->cfg.session_count,
		.session_window = r->cfg.session_window,
		.digest_slots = r->cfg.digest_slots,
		.session_idle_slots = r->cfg.session_idle_slots,
	};

	for (uint32_t i = 0; i < r->cfg.member_count; i++) {
		struct eng_member *to = &m.members[m.member_count];
		uint32_t index = (uint32_t)peer_index(r, r->cfg.members[i].node_id);

		if (r->cfg.members[i].role == ENG_LEARNER)
			continue;
		*to = r->cfg.members[i];
		to->role = ENG_VOTER;
		to->disk = index == r->self ? eng_disk_short(&r->cfg.disk) : r->peers[index].disk;
		decree_assert(to->disk != 0);
		m.id_last = to->node_id; /* they ascend */
		m.member_count++;
	}
	m.version = founding_version(r, &m);
	return eng_value_config(value, &m);
}

static bool
constants_match(const struct eng_config *c, const struct eng_membership *m)
{
	return m->slot_bytes == c->slot_bytes && m->alpha == c->alpha &&
	       m->command_bytes_max == c->command_bytes_max &&
	       m->session_count == c->session_count && m->session_window == c->session_window &&
	       m->digest_slots == c->digest_slots && m->session_idle_slots == c->session_idle_slots;
}

/* While a cluster is set up, all its configuration files must name the same members. Later the log
 * counts, and a file may well have been changed since. */
static bool
founders_match(const struct eng_config *c, const struct eng_membership *m)
{
	uint32_t found = 0;

	if (m->q1 != c->q1 || m->q2 != c->q2)
		return false;
	for (uint32_t i = 0; i < c->member_count; i++)
		if (c->members[i].role != ENG_LEARNER &&
			(found == m->member_count ||
				m->members[found++].node_id != c->members[i].node_id))
			return false;
	return found == m->member_count;
}

bool
bootstrap_agrees(const struct eng_replica *r, const struct eng_membership *m)
{
	bool is_founding = m->epoch == 1 && r->started && !r->cfg.joins;

	return constants_match(&r->cfg, m) && (!is_founding || founders_match(&r->cfg, m));
}
