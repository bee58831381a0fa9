/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file value.h
 * The bytes of one slot's value: a batch of commands, a fragment of one, a configuration, a mark, or
 * nothing.
 *
 *   offset bytes
 *        0     1  kind
 *        1     1  zero
 *        2     2  count of commands (batch), else 0
 *        4     4  zero
 *        8     8  stamp: cluster time in ns
 *
 *   batch, `count` times:          fragment:                       configuration:
 *        0  8  session                  0  8  session                   0  4  epoch
 *        8  8  seq                      8  8  seq                       4  1  q1
 *       16  2  bytes                   16  8  train (slot of part 0)    5  1  q2
 *       18  .  body                    24  4  part, from 0              6  2  member count
 *                                      28  4  part count                8  4  slot_bytes
 *                                      32  4  bytes of the command     12  4  alpha
 *                                      36  4  bytes of this part       16  4  command_bytes_max
 *                                      40 16  digest of the command    20  4  session_count
 *                                      56  .  part of the body         24  4  session_window
 *                                                                      28  4  digest_slots
 *                                                                      32  4  session_idle_slots
 *                                                                      36  2  highest node_id ever used
 *                                                                      38  1  former members
 *                                                                      39  1  version of the cluster, > 0
 *                                                                      40  .  members, 32 bytes each
 *
 *   member:    0  2  node_id                            8  8  disk
 *              2  1  role: 1 voter, 2 learner          16  4  IPv4 address, 0 = as the INI file has it
 *              3  1  the MAC address is given: 0, 1    20  6  MAC address
 *              4  2  UDP port of shard 0               26  2  q1, q2 once it votes (learner)
 *              6  2  node that it will replace, or 0   28  4  zero
 *
 *   mark (protocol 7.4):
 *        0  4  flags: bit 0 = every replica cuts its snapshot here
 *        4  4  zero
 *        8  8  anchor: slot of an earlier mark, 0 = none
 *       16 16  digest of the leader's state right after the anchor; zero without one
 *
 * A value is valid if and only if every length adds up to its size exactly and every zero is zero. The
 * members of a configuration ascend by node_id, no disk occurs twice, and its quorums meet.
 */
#ifndef ENG_VALUE_H
#define ENG_VALUE_H

#include "base/assert.h"
#include "base/bytes.h"
#include "engine/core/configs.h"
#include "engine/core/core.h"

#define ENG_VALUE_HEADER_BYTES    16
#define ENG_COMMAND_HEADER_BYTES  18
#define ENG_FRAGMENT_HEADER_BYTES 56
#define ENG_MARK_BYTES            32

enum eng_value_kind {
	ENG_VALUE_NOOP = 1,
	ENG_VALUE_BATCH = 2,
	ENG_VALUE_FRAGMENT = 3,
	ENG_VALUE_CONFIG = 4,
	ENG_VALUE_MARK = 5,
};

struct eng_fragment {
	struct decree_session session;
	uint64_t seq;
	struct decree_slot train; /* slot of part 0 */
	uint32_t part;
	uint32_t part_count;
	uint32_t command_bytes;
	struct decree_digest digest; /* of the whole body */
	const uint8_t *bytes;
	uint32_t count;
};

/* Where the replicas compare their states, and cut their snapshots. */
struct eng_mark {
	bool is_cut;
	struct decree_slot anchor;   /* 0 = none */
	struct decree_digest digest; /* of the state right after the anchor */
};

struct eng_value {
	enum eng_value_kind kind;
	uint32_t count; /* commands of a batch */
	uint64_t stamp_ns;
	struct eng_fragment fragment;     /* kind FRAGMENT */
	struct eng_membership membership; /* kind CONFIG */
	struct eng_mark mark;             /* kind MARK */
	const uint8_t *next;              /* kind BATCH: eng_value_next()'s place */
	const uint8_t *end;
};

/** A value that was checked before: a batch's commands are not looked at once more. */
void eng_value_reopen(const uint8_t *bytes, uint32_t count, struct eng_value *ret_value);

/** Check the whole value. Of the fields that belong to a kind only those of its own are set.
 * @retval -EBADMSG it is not a value, and @p ret_value is not to be looked at */
int eng_value_decode(const uint8_t *bytes, uint32_t count, struct eng_value *ret_value);

/** Bytes of the body of the command of a batch that begins at @p at. */
static inline uint32_t
eng_command_bytes(const uint8_t *at)
{
	return load_u16(at + 16);
}

/** Whether the command of a batch that begins at @p at is this one. */
static inline bool
eng_command_is(const uint8_t *at, struct decree_session session, uint64_t seq)
{
	return load_u64(at) == session.n && load_u64(at + 8) == seq;
}

/** Commands of a batch, in order. @return false after the last one */
static inline bool
eng_value_next(struct eng_value *v, struct eng_command *ret_command)
{
	if (v->kind != ENG_VALUE_BATCH || v->next == v->end)
		return false;
	*ret_command = (struct eng_command){
		.session = { load_u64(v->next) },
		.seq = load_u64(v->next + 8),
		.bytes = eng_command_bytes(v->next),
		.body = v->next + ENG_COMMAND_HEADER_BYTES,
	};
	v->next = ret_command->body + ret_command->bytes;
	return true;
}

/** Cluster time of a value without looking at the rest. */
uint64_t eng_value_stamp(const uint8_t *bytes);

/* Writers. Each returns the value's size so far; `value` has room for slot_bytes. */
uint32_t eng_value_begin(uint8_t *value, enum eng_value_kind kind);
/** A command that fits, at the end of a batch that does not count it yet. @return the new size */
static inline uint32_t
eng_value_put(uint8_t *value, uint32_t bytes, const struct eng_command *command)
{
	uint8_t *at = value + bytes;

	store_u64(at, command->session.n);
	store_u64(at + 8, command->seq);
	store_u16(at + 16, (uint16_t)command->bytes);
	memcpy(at + ENG_COMMAND_HEADER_BYTES, command->body, command->bytes);
	return bytes + ENG_COMMAND_HEADER_BYTES + command->bytes;
}

/** The batch has @p count commands more. */
static inline void
eng_value_count(uint8_t *value, uint32_t count)
{
	store_u16(value + 2, (uint16_t)(load_u16(value + 2) + count));
}

/** @return the new size, or 0 if the command does not fit @p slot_bytes */
static inline uint32_t
eng_value_add(
	uint8_t *value, uint32_t bytes, uint32_t slot_bytes, const struct eng_command *command)
{
	if (bytes + ENG_COMMAND_HEADER_BYTES + command->bytes > slot_bytes)
		return 0;
	eng_value_count(value, 1);
	return eng_value_put(value, bytes, command);
}

uint32_t eng_value_fragment(uint8_t *value, const struct eng_fragment *fragment);
uint32_t eng_value_config(uint8_t *value, const struct eng_membership *m);
uint32_t eng_value_mark(uint8_t *value, const struct eng_mark *mark);
void eng_value_set_stamp(uint8_t *value, uint64_t stamp_ns);

/** Parts that a command of @p bytes needs; 1 = it fits a batch. */
static inline uint32_t
eng_value_part_count(uint32_t bytes, uint32_t slot_bytes)
{
	uint32_t per_part = slot_bytes - ENG_VALUE_HEADER_BYTES - ENG_FRAGMENT_HEADER_BYTES;

	decree_assert(slot_bytes > ENG_VALUE_HEADER_BYTES + ENG_FRAGMENT_HEADER_BYTES);
	if (bytes + ENG_VALUE_HEADER_BYTES + ENG_COMMAND_HEADER_BYTES <= slot_bytes)
		return 1;
	return (bytes + per_part - 1) / per_part;
}

#endif
