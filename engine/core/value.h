/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file value.h
 * The bytes of one slot's value: a batch of commands, a fragment of one, a configuration, a mark,
 * or nothing.
 *
 *   offset bytes
 *        0     1  kind
 *        1     1  zero
 *        2     2  count of commands (batch), else 0
 *        4     4  zero
 *        8     8  stamp: cluster time in ns
 *
 *   batch, run by run:             fragment:                       configuration:
 *        0  8  session                  0  8  session                   0  4  epoch
 *        8  8  seq of the first         8  8  seq                       4  1  q1
 *       16  2  count of commands       16  8  train (slot of part 0)    5  1  q2
 *       18  2  bytes of each body      24  4  part, from 0              6  2  member count
 *       20  .  bodies                  28  4  part count                8  4  slot_bytes
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
 * A run is commands of one session, seq by seq. Where its bodies differ in size the bytes of each
 * are 65535, and each body has its own in 2 bytes before it. A batch may hold runs of one session
 * that could be one.
 *
 * A value is valid if and only if every length adds up to its size exactly, every zero is zero, no
 * run is empty or goes beyond the last seq, and what registers (session 0) is alone in its run. The
 * members of a configuration ascend by node_id, no disk occurs twice, and its quorums meet. A slot
 * of n bytes holds at most n / ENG_COMMAND_SHARE_BYTES commands: who knows its size looks at that,
 * too.
 */
#ifndef ENG_VALUE_H
#define ENG_VALUE_H

#include "base/assert.h"
#include "base/bytes.h"
#include "engine/core/configs.h"
#include "engine/core/core.h"

#define ENG_VALUE_HEADER_BYTES    16
#define ENG_RUN_HEADER_BYTES      20
#define ENG_FRAGMENT_HEADER_BYTES 56
#define ENG_MARK_BYTES            32

/* In the place of a run's bytes of each body: they differ, and each is preceded by its own. */
#define ENG_RUN_MIXED       UINT16_MAX
#define ENG_RUN_MIXED_BYTES 2

/* What a command takes of a slot at least, as far as arrays for the commands of one are concerned. */
#define ENG_COMMAND_SHARE_BYTES 16

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

/* Commands of one session, seq by seq, behind each other: what is left of them. */
struct eng_run {
	struct decree_session session;
	uint64_t seq; /* of the first one */
	uint32_t count;
	bool is_mixed;
	uint32_t bytes;    /* of each body, unless mixed */
	const uint8_t *at; /* the first one's body; mixed: what says its size */
};

/* A batch that is being written. */
struct eng_batch {
	uint8_t *value; /* [slot_bytes] */
	uint32_t slot_bytes;
	uint32_t command_bytes_max; /* larger ones are not taken */
	uint32_t bytes;             /* so far; 0: there is none */
	uint32_t run;               /* offset of the last run, which may go on; 0: none */
};

struct eng_value {
	enum eng_value_kind kind;
	uint32_t count; /* commands of a batch */
	uint64_t stamp_ns;
	struct eng_fragment fragment;     /* kind FRAGMENT */
	struct eng_membership membership; /* kind CONFIG */
	struct eng_mark mark;             /* kind MARK */
	const uint8_t *next;              /* kind BATCH: the next run */
	const uint8_t *end;
	struct eng_run run; /* eng_value_next()'s place; count 0: at the next run */
};

/** A value that was checked before: a batch's commands are not looked at once more. */
void eng_value_reopen(const uint8_t *bytes, uint32_t count, struct eng_value *ret_value);

/** Check the whole value. Of the fields that belong to a kind only those of its own are set.
 * @retval -EBADMSG it is not a value, and @p ret_value is not to be looked at */
int eng_value_decode(const uint8_t *bytes, uint32_t count, struct eng_value *ret_value);

/** Commands that a slot of that size holds at most. */
static inline uint32_t
eng_value_commands_max(uint32_t slot_bytes)
{
	return slot_bytes / ENG_COMMAND_SHARE_BYTES;
}

/** The run that begins at @p at, its header being there. */
static inline struct eng_run
eng_run_at(const uint8_t *at)
{
	uint32_t bytes = load_u16(at + 18);

	return (struct eng_run){
		.session = { load_u64(at) },
		.seq = load_u64(at + 8),
		.count = load_u16(at + 16),
		.is_mixed = bytes == ENG_RUN_MIXED,
		.bytes = bytes,
		.at = at + ENG_RUN_HEADER_BYTES,
	};
}

/** The first command of what is left, which is not nothing. */
static inline struct eng_command
eng_run_first(const struct eng_run *run)
{
	return (struct eng_command){
		.session = run->session,
		.seq = run->seq,
		.bytes = run->is_mixed ? load_u16(run->at) : run->bytes,
		.body = run->is_mixed ? run->at + ENG_RUN_MIXED_BYTES : run->at,
	};
}

/** @param first  eng_run_first(): go on behind it */
static inline void
eng_run_pass(struct eng_run *run, const struct eng_command *first)
{
	run->seq++;
	run->count--;
	run->at = first->body + first->bytes;
}

/** Runs of a batch, in order. @return false after the last one */
bool eng_value_next_run(struct eng_value *v, struct eng_run *ret_run);
/** Its commands, in order. Not both. @return false after the last one */
bool eng_value_next(struct eng_value *v, struct eng_command *ret_command);

/** Cluster time of a value without looking at the rest. */
uint64_t eng_value_stamp(const uint8_t *bytes);

/* Writers. Each returns the value's size so far; `value` has room for slot_bytes. */
uint32_t eng_value_begin(uint8_t *value, enum eng_value_kind kind);
/** A whole batch. @return 0 if the commands do not fit @p slot_bytes */
uint32_t eng_value_batch(
	uint8_t *value, uint32_t slot_bytes, const struct eng_command *commands, uint32_t count);
uint32_t eng_value_fragment(uint8_t *value, const struct eng_fragment *fragment);
uint32_t eng_value_config(uint8_t *value, const struct eng_membership *m);
uint32_t eng_value_mark(uint8_t *value, const struct eng_mark *mark);
void eng_value_set_stamp(uint8_t *value, uint64_t stamp_ns);

void eng_batch_open(
	struct eng_batch *batch, uint8_t *value, uint32_t slot_bytes, uint32_t command_bytes_max);
/** Whether there is a batch, and the command fits it. */
bool eng_batch_has_room(const struct eng_batch *batch, const struct eng_command *command);
/** A command and those that follow it in its session, as far as there is room. @param commands
 * [count], 1 or more
 * @return how many it took */
uint32_t eng_batch_add(struct eng_batch *batch, const struct eng_command *commands, uint32_t count);
/** The same for a run. @param seq  of the first one */
uint32_t eng_batch_add_run(struct eng_batch *batch, struct decree_session session, uint64_t seq,
	const struct eng_body *bodies, uint32_t count);

/** Parts that a command of @p bytes needs; 1 = it fits a batch. */
static inline uint32_t
eng_value_part_count(uint32_t bytes, uint32_t slot_bytes)
{
	uint32_t per_part = slot_bytes - ENG_VALUE_HEADER_BYTES - ENG_FRAGMENT_HEADER_BYTES;

	decree_assert(slot_bytes > ENG_VALUE_HEADER_BYTES + ENG_FRAGMENT_HEADER_BYTES);
	if (bytes + ENG_VALUE_HEADER_BYTES + ENG_RUN_HEADER_BYTES <= slot_bytes)
		return 1;
	return (bytes + per_part - 1) / per_part;
}

#endif
