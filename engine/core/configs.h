/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file configs.h
 * Configurations as values: who the members are, which sets of them are quorums, which changes are
 * allowed, and which slots each one governs. Pure: nothing here knows a replica, so snapshots and
 * tools use it too.
 *
 * A configuration is an ordinary value of the log. Chosen at slot i, it governs the slots from i +
 * alpha on (Lamport, "Paxos Made Simple", section 3). The first one, epoch 1, governs from its own
 * slot on. One that does not fit is void: its epoch is not the next one, or the one before does not
 * govern yet. Every node sees the same log, so every node finds the same ones void.
 */
#ifndef ENG_CONFIGS_H
#define ENG_CONFIGS_H

#include "engine/core/core.h"

#define ENG_CONFIG_HEADER_BYTES 40
#define ENG_CONFIG_MEMBER_BYTES 32
#define ENG_CONFIG_FORMER_BYTES 2
/* Formers stand beside one member only, so they do not make it longer. */
#define ENG_CONFIG_BYTES_MAX                                                                       \
	(ENG_CONFIG_HEADER_BYTES + ENG_MEMBER_COUNT_MAX * ENG_CONFIG_MEMBER_BYTES)

struct eng_membership {
	uint32_t epoch;   /* 0: none */
	uint32_t version; /* of the cluster, from 1: what its commands mean, what its disks hold */
	uint32_t q1;      /* of the voters; q1 + q2 > voters */
	uint32_t q2;
	uint32_t slot_bytes;
	uint32_t alpha;
	uint32_t command_bytes_max;
	uint32_t session_count;
	uint32_t session_window;
	uint32_t digest_slots;
	uint32_t session_idle_slots;
	/* highest node_id that ever was a member: ids are never used again (1.1) */
	uint16_t id_last;
	uint32_t member_count;
	struct eng_member members[ENG_MEMBER_COUNT_MAX]; /* ascending node_id */

	/* Only where `decree force-recover` has put one member in the place of others (12.5): whom
	 * this configuration named before. Replay takes them for the members, see eng_is_live(), so
	 * that it leads to the same sessions. They have no say in anything else, and the next
	 * change forgets them. */
	uint32_t former_count;
	uint16_t former[ENG_MEMBER_COUNT_MAX]; /* ascending node_id */
};

/* 255 versions are enough: one that is dropped makes room for none, but a build speaks a few. */
#define ENG_VERSION_MAX UINT8_MAX

struct eng_governor {
	struct decree_slot from; /* governs the slots from here on, up to the next one's */
	struct eng_membership m;
};

struct eng_configs {
	struct eng_governor now; /* of the first undecided slot; epoch 0: nothing is decided yet */
	/* decided, governs later; epoch 0: none, and `from` is UINT64_MAX */
	struct eng_governor next;
};

/** @return NULL: not a member */
const struct eng_member *eng_member_find(const struct eng_membership *m, uint16_t node_id);
/** Does the configuration protect the sessions of this node's gateways (7.5)? */
bool eng_is_live(const struct eng_membership *m, uint16_t node_id);
uint32_t eng_voter_count(const struct eng_membership *m);

/** Quorums of @p voters nodes: each possible, any two of the two phases meet. */
bool eng_quorums_are_sound(uint32_t voters, uint32_t q1, uint32_t q2);

/* The bytes behind a value's header, see value.h. */
/** @return bytes written, <= ENG_CONFIG_BYTES_MAX */
uint32_t eng_membership_encode(const struct eng_membership *m, uint8_t *ret_out);
/** @retval -EBADMSG not a sound configuration */
int eng_membership_decode(const uint8_t *bytes, uint32_t count, struct eng_membership *ret_m);

/* ---- what governs ---- */

void eng_configs_init(struct eng_configs *c);

/** A configuration was chosen at @p slot, and every slot before it is decided.
 * @return false: it is void, nothing has changed */
bool
eng_configs_decide(struct eng_configs *c, struct decree_slot slot, const struct eng_membership *m);

/** As a snapshot lists them: what governs first, then what will. The slot is where it was decided. */
void
eng_configs_restore(struct eng_configs *c, struct decree_slot slot, const struct eng_membership *m);

/** Every slot up to @p chosen is decided. @return true: the next configuration governs from now on */
static inline bool
eng_configs_advance(struct eng_configs *c, struct decree_slot chosen)
{
	if (chosen.n + 1 < c->next.from.n)
		return false;
	c->now = c->next;
	c->next = (struct eng_governor){ .from = { UINT64_MAX } };
	return true;
}

/** The slot in which a governor was decided. */
static inline struct decree_slot
eng_governor_slot(const struct eng_governor *g)
{
	return (struct decree_slot){ g->from.n - (g->m.epoch == 1 ? 0 : g->m.alpha) };
}

/* ---- changes ---- */

/**
 * The configuration that a change asked for leads to, or the reason why there is none. Adding and
 * replacing begin with a learner; eng_membership_promote() is their second step.
 *
 * @param m        the one that governs, with no other change under way
 * @param ret_new  on ENG_MEMBER_OK
 * @return ENG_MEMBER_DONE: it is so already. ENG_MEMBER_PENDING: begun already, the learner catches
 *         up.
 */
enum eng_member_result eng_membership_change(const struct eng_membership *m,
	const struct eng_member_change *change, struct eng_membership *ret_new);

/** A learner has caught up: it becomes a voter, and the one that it replaces goes. */
void eng_membership_promote(
	const struct eng_membership *m, uint16_t node_id, struct eng_membership *ret_new);

#endif
