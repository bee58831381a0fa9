/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why a change is safe with no quorum common to the old and the new configuration: no slot is
 * governed by both. A value of slot i is chosen by the one configuration that governs i, and
 * whoever proposes in a slot has asked that configuration's phase 1 quorum first (membership.c).
 * What remains is that everybody agrees which one governs i, and that is decided by slots <= i -
 * alpha alone, all of them decided before i is proposed (protocol 12.2).
 */
#include "engine/core/configs.h"

#include "base/assert.h"
#include "base/bytes.h"

#include <errno.h>
#include <string.h>

const struct eng_member *
eng_member_find(const struct eng_membership *m, uint16_t node_id)
{
	for (uint32_t i = 0; i < m->member_count; i++)
		if (m->members[i].node_id == node_id)
			return &m->members[i];
	return NULL;
}

bool
eng_is_live(const struct eng_membership *m, uint16_t node_id)
{
	if (m->former_count == 0)
		return eng_member_find(m, node_id) != NULL;
	for (uint32_t i = 0; i < m->former_count; i++)
		if (m->former[i] == node_id)
			return true;
	return false;
}

uint32_t
eng_voter_count(const struct eng_membership *m)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < m->member_count; i++)
		count += m->members[i].role == ENG_VOTER;
	return count;
}

bool
eng_quorums_are_sound(uint32_t voters, uint32_t q1, uint32_t q2)
{
	return q1 <= voters && q2 <= voters && q1 + q2 > voters;
}

/* ---- bytes ---- */

static void
member_encode(const struct eng_member *m, uint8_t *at)
{
	memset(at, 0, ENG_CONFIG_MEMBER_BYTES);
	store_u16(at, m->node_id);
	at[2] = (uint8_t)m->role;
	at[3] = m->address.has_mac;
	store_u16(at + 4, m->address.port);
	store_u16(at + 6, m->replaces);
	store_u64(at + 8, m->disk);
	store_u32(at + 16, m->address.ipv4);
	memcpy(at + 20, m->address.mac, 6);
	at[26] = m->q1;
	at[27] = m->q2;
}

static uint32_t
config_bytes(const struct eng_membership *m)
{
	return ENG_CONFIG_HEADER_BYTES + m->member_count * ENG_CONFIG_MEMBER_BYTES +
	       m->former_count * ENG_CONFIG_FORMER_BYTES;
}

uint32_t
eng_membership_encode(const struct eng_membership *m, uint8_t *out)
{
	store_u32(out, m->epoch);
	out[4] = (uint8_t)m->q1;
	out[5] = (uint8_t)m->q2;
	store_u16(out + 6, (uint16_t)m->member_count);
	store_u32(out + 8, m->slot_bytes);
	store_u32(out + 12, m->alpha);
	store_u32(out + 16, m->command_bytes_max);
	store_u32(out + 20, m->session_count);
	store_u32(out + 24, m->session_window);
	store_u32(out + 28, m->digest_slots);
	store_u32(out + 32, m->session_idle_slots);
	store_u16(out + 36, m->id_last);
	out[38] = (uint8_t)m->former_count;
	out[39] = (uint8_t)m->version;
	for (uint32_t i = 0; i < m->member_count; i++)
		member_encode(&m->members[i],
			out + ENG_CONFIG_HEADER_BYTES + i * ENG_CONFIG_MEMBER_BYTES);
	for (uint32_t i = 0; i < m->former_count; i++)
		store_u16(out + ENG_CONFIG_HEADER_BYTES +
				  m->member_count * ENG_CONFIG_MEMBER_BYTES +
				  i * ENG_CONFIG_FORMER_BYTES,
			m->former[i]);
	return config_bytes(m);
}

static bool
member_decode(const uint8_t *at, struct eng_member *m)
{
	*m = (struct eng_member){
		.node_id = load_u16(at),
		.role = at[2],
		.replaces = load_u16(at + 6),
		.disk = load_u64(at + 8),
		.q1 = at[26],
		.q2 = at[27],
		.address = { .ipv4 = load_u32(at + 16),
			.port = load_u16(at + 4),
			.has_mac = at[3] },
	};
	memcpy(m->address.mac, at + 20, 6);
	return m->node_id != 0 && (m->role == ENG_VOTER || m->role == ENG_LEARNER) && at[3] <= 1 &&
	       m->disk != 0 && load_u32(at + 28) == 0;
}

/* No id twice, no disk twice, quorums that meet. */
static bool
is_sound(const struct eng_membership *m)
{
	for (uint32_t i = 0; i < m->member_count; i++) {
		if (m->members[i].node_id > m->id_last)
			return false;
		for (uint32_t k = 0; k < i; k++)
			if (m->members[k].node_id >= m->members[i].node_id ||
				m->members[k].disk == m->members[i].disk)
				return false;
	}
	if (m->former_count != 0 && m->member_count != 1)
		return false;
	for (uint32_t i = 0; i < m->former_count; i++)
		if (m->former[i] > m->id_last || m->former[i] == 0 ||
			(i > 0 && m->former[i - 1] >= m->former[i]))
			return false;
	uint32_t voters = eng_voter_count(m);
	return voters >= 1 && voters <= DECREE_NODE_COUNT_MAX &&
	       eng_quorums_are_sound(voters, m->q1, m->q2);
}

int
eng_membership_decode(const uint8_t *at, uint32_t count, struct eng_membership *ret_m)
{
	struct eng_membership m = { 0 };

	if (count < ENG_CONFIG_HEADER_BYTES)
		return -EBADMSG;
	m.epoch = load_u32(at);
	m.q1 = at[4];
	m.q2 = at[5];
	m.member_count = load_u16(at + 6);
	m.slot_bytes = load_u32(at + 8);
	m.alpha = load_u32(at + 12);
	m.command_bytes_max = load_u32(at + 16);
	m.session_count = load_u32(at + 20);
	m.session_window = load_u32(at + 24);
	m.digest_slots = load_u32(at + 28);
	m.session_idle_slots = load_u32(at + 32);
	m.id_last = load_u16(at + 36);
	m.former_count = at[38];
	m.version = at[39];
	if (m.epoch == 0 || m.version == 0 || m.member_count > ENG_MEMBER_COUNT_MAX ||
		m.former_count > ENG_MEMBER_COUNT_MAX || count != config_bytes(&m))
		return -EBADMSG;
	at += ENG_CONFIG_HEADER_BYTES;
	for (uint32_t i = 0; i < m.member_count; i++, at += ENG_CONFIG_MEMBER_BYTES)
		if (!member_decode(at, &m.members[i]))
			return -EBADMSG;
	for (uint32_t i = 0; i < m.former_count; i++, at += ENG_CONFIG_FORMER_BYTES)
		m.former[i] = load_u16(at);
	if (!is_sound(&m))
		return -EBADMSG;
	*ret_m = m;
	return 0;
}

/* ---- what governs ---- */

void
eng_configs_init(struct eng_configs *c)
{
	*c = (struct eng_configs){ .next.from = { UINT64_MAX } };
}

bool
eng_configs_decide(struct eng_configs *c, struct decree_slot slot, const struct eng_membership *m)
{
	if (c->next.m.epoch != 0 || m->epoch != c->now.m.epoch + 1)
		return false;
	if (m->epoch == 1)
		c->now = (struct eng_governor){ slot, *m };
	else
		c->next = (struct eng_governor){ { slot.n + m->alpha }, *m };
	return true;
}

void
eng_configs_restore(struct eng_configs *c, struct decree_slot slot, const struct eng_membership *m)
{
	struct decree_slot from = { slot.n + (m->epoch == 1 ? 0 : m->alpha) };

	*(c->now.m.epoch == 0 ? &c->now : &c->next) = (struct eng_governor){ from, *m };
}

/* ---- changes ---- */

static void
succeed(const struct eng_membership *m, struct eng_membership *ret_new)
{
	*ret_new = *m;
	ret_new->epoch++;
	ret_new->former_count = 0;
}

/* Whoever comes, or votes from now on, came last: ids are never used again, and only one learns at
 * a time. */
static void
append(struct eng_membership *m, const struct eng_member *member)
{
	uint32_t at = m->member_count++;

	decree_assert(at < ENG_MEMBER_COUNT_MAX);
	decree_assert(at == 0 || m->members[at - 1].node_id < member->node_id);
	m->members[at] = *member;
	m->id_last = member->node_id;
}

static void
erase(struct eng_membership *m, uint16_t node_id)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < m->member_count; i++)
		if (m->members[i].node_id != node_id)
			m->members[kept++] = m->members[i];
	m->member_count = kept;
}

/* Majorities, unless the operator wants others. */
static enum eng_member_result
quorums_of(
	uint32_t voters, const struct eng_member_change *change, uint8_t *ret_q1, uint8_t *ret_q2)
{
	uint32_t q1 = change->q1 != 0 ? change->q1 : voters / 2 + 1;
	uint32_t q2 = change->q2 != 0 ? change->q2 : voters / 2 + 1;

	if (!eng_quorums_are_sound(voters, q1, q2))
		return ENG_MEMBER_BAD_QUORUM;
	*ret_q1 = (uint8_t)q1;
	*ret_q2 = (uint8_t)q2;
	return ENG_MEMBER_OK;
}

static const struct eng_member *
learner_of(const struct eng_membership *m)
{
	for (uint32_t i = 0; i < m->member_count; i++)
		if (m->members[i].role == ENG_LEARNER)
			return &m->members[i];
	return NULL;
}

static bool
is_disk_used(const struct eng_membership *m, uint64_t disk)
{
	for (uint32_t i = 0; i < m->member_count; i++)
		if (m->members[i].disk == disk)
			return true;
	return false;
}

/* Add, or replace @p old. */
static enum eng_member_result
change_add(const struct eng_membership *m, const struct eng_member_change *change, uint16_t old,
	struct eng_membership *ret_new)
{
	struct eng_member learner = change->member;
	const struct eng_member *present = eng_member_find(m, learner.node_id);
	uint32_t voters = eng_voter_count(m) + (old == 0);

	if (present != NULL && present->disk == learner.disk) {
		if (present->role == ENG_LEARNER)
			return present->replaces == old ? ENG_MEMBER_PENDING
							: ENG_MEMBER_OUTSTANDING;
		return old == 0 || eng_member_find(m, old) == NULL ? ENG_MEMBER_DONE
								   : ENG_MEMBER_ID_USED;
	}
	if (learner.node_id == 0 || learner.node_id <= m->id_last)
		return ENG_MEMBER_ID_USED;
	if (learner.disk == 0)
		return ENG_MEMBER_NO_DISK;
	if (is_disk_used(m, learner.disk))
		return ENG_MEMBER_DISK_USED;
	if (learner_of(m) != NULL)
		return ENG_MEMBER_OUTSTANDING;
	const struct eng_member *leaving = old != 0 ? eng_member_find(m, old) : NULL;
	if (old != 0 && leaving == NULL)
		return ENG_MEMBER_UNKNOWN;
	if (voters > DECREE_NODE_COUNT_MAX)
		return ENG_MEMBER_TOO_MANY;
	learner.role = ENG_LEARNER;
	learner.replaces = old;
	learner.q1 = (uint8_t)m->q1;
	learner.q2 = (uint8_t)m->q2;
	if (old == 0 && quorums_of(voters, change, &learner.q1, &learner.q2) != ENG_MEMBER_OK)
		return ENG_MEMBER_BAD_QUORUM;
	succeed(m, ret_new);
	append(ret_new, &learner);
	return ENG_MEMBER_OK;
}

static enum eng_member_result
change_remove(const struct eng_membership *m, const struct eng_member_change *change,
	struct eng_membership *ret_new)
{
	const struct eng_member *leaving = eng_member_find(m, change->member.node_id);
	uint32_t voters = eng_voter_count(m);
	uint8_t q1 = (uint8_t)m->q1, q2 = (uint8_t)m->q2;

	if (leaving == NULL)
		return change->member.node_id <= m->id_last ? ENG_MEMBER_DONE : ENG_MEMBER_UNKNOWN;
	if (leaving->role == ENG_VOTER) {
		if (learner_of(m) != NULL)
			return ENG_MEMBER_OUTSTANDING;
		if (voters == 1)
			return ENG_MEMBER_LAST;
		if (quorums_of(voters - 1, change, &q1, &q2) != ENG_MEMBER_OK)
			return ENG_MEMBER_BAD_QUORUM;
	}
	succeed(m, ret_new);
	ret_new->q1 = q1;
	ret_new->q2 = q2;
	erase(ret_new, change->member.node_id);
	return ENG_MEMBER_OK;
}

static enum eng_member_result
change_raise(const struct eng_membership *m, const struct eng_member_change *change,
	struct eng_membership *ret_new)
{
	if (change->version <= m->version)
		return ENG_MEMBER_DONE;
	succeed(m, ret_new);
	ret_new->version = change->version;
	return ENG_MEMBER_OK;
}

enum eng_member_result
eng_membership_change(const struct eng_membership *m, const struct eng_member_change *change,
	struct eng_membership *ret_new)
{
	switch (change->op) {
	case ENG_MEMBER_ADD: return change_add(m, change, 0, ret_new);
	case ENG_MEMBER_REMOVE: return change_remove(m, change, ret_new);
	case ENG_MEMBER_RAISE: return change_raise(m, change, ret_new);
	case ENG_MEMBER_REPLACE:
		return change->old == 0 ? ENG_MEMBER_UNKNOWN
					: change_add(m, change, change->old, ret_new);
	}
	return ENG_MEMBER_UNKNOWN;
}

void
eng_membership_promote(
	const struct eng_membership *m, uint16_t node_id, struct eng_membership *ret_new)
{
	struct eng_member voter = *eng_member_find(m, node_id);

	succeed(m, ret_new);
	ret_new->q1 = voter.q1;
	ret_new->q2 = voter.q2;
	erase(ret_new, node_id);
	if (voter.replaces != 0)
		erase(ret_new, voter.replaces);
	voter.role = ENG_VOTER;
	voter.replaces = 0;
	voter.q1 = 0;
	voter.q2 = 0;
	append(ret_new, &voter);
}
