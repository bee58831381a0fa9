/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file session.h
 * From chosen slots to commands that are executed exactly once (protocol 7.5, 7.5a).
 *
 * Every node keeps the same table of client sessions, because every node builds it from the same
 * slots. A command is executed if and only if its seq is the session's last + 1; the last
 * `session_window` replies are kept, so that a repeated command gets its first answer.
 *
 * A table that is full lets a new session take the place of the one that was used last longest ago,
 * if that was session_idle_slots slots ago or more, no answer of it is outstanding, and it is no
 * live gateway's. What an evicted session did is never executed again: its number is not used
 * twice.
 *
 * Commands larger than a slot arrive as a train of fragments in consecutive slots; the train is put
 * together here and executed with its last fragment.
 *
 * Threads:  belongs to the shard of its group. Memory: given by the caller, once.
 */
#ifndef ENG_SESSION_H
#define ENG_SESSION_H

#include "engine/core/value.h"

enum eng_verdict {
	ENG_EXECUTE = 1,    /* hand it to the state machine, then eng_session_answer_run() */
	ENG_REPLAYED = 2,   /* executed before: `status` and `result` are the first answer */
	ENG_PENDING = 3,    /* executed before, not answered yet: its answer will come */
	ENG_GAP = 4,        /* an earlier one is missing; nothing happened */
	ENG_STALE = 5,      /* older than the kept replies; nothing happened */
	ENG_MISMATCH = 6,   /* this seq was used with another body; nothing happened */
	ENG_NO_SESSION = 7, /* never registered; nothing happened */
	ENG_REGISTERED = 8, /* a session was opened, or found by its token: `session` */
	ENG_TABLE_FULL = 9, /* registration refused */
	ENG_EVICTED = 10,   /* the session gave way to another one; nothing happened */
};

/* One command, or a run of them: EXECUTE, of one session, seq by seq, behind each other in the
 * slot. What is said of the command is then said of the first one. */
struct eng_applied {
	enum eng_verdict verdict;
	struct decree_session session;
	uint64_t seq;
	/* lent until the next eng_sessions_apply(); REGISTERED: the 16-byte token */
	const uint8_t *body;
	uint32_t bytes;
	uint32_t count;  /* of the run; 1 unless EXECUTE */
	uint32_t index;  /* of the command in its slot */
	uint16_t status; /* REPLAYED: the stored answer */
	uint64_t result;
	bool has_new_row; /* REGISTERED: the row was another session's until now, or nobody's */
	const struct decree_command *commands; /* [count] EXECUTE: all of them */
};

#define ENG_REGISTRATION_CLIENT_BYTES  16u
#define ENG_REGISTRATION_GATEWAY_BYTES 32u

/* Who wants a session: the body of a command of session 0. A gateway's session is kept while its
 * node lives: until that node registers one of a later start, or a later one for the same place. */
struct eng_registration {
	uint8_t token[DECREE_UUID_BYTES];
	uint16_t node_id; /* 0: a client; the rest is 0 then */
	uint16_t place;   /* of the gateway in its node */
	uint32_t opened;  /* grows with each gateway that the node opens in this life */
	uint64_t boot_count;
};

static inline bool
eng_is_registration(uint32_t bytes)
{
	return bytes == ENG_REGISTRATION_CLIENT_BYTES || bytes == ENG_REGISTRATION_GATEWAY_BYTES;
}

/** @param ret_body  [ENG_REGISTRATION_GATEWAY_BYTES]  @return bytes of the body */
uint32_t eng_registration_encode(const struct eng_registration *r, uint8_t *ret_body);
/** @param bytes  one of the two lengths; any content decodes */
void eng_registration_decode(
	const uint8_t *body, uint32_t bytes, struct eng_registration *ret_registration);

size_t eng_sessions_bytes(const struct eng_config *config);
struct eng_sessions *eng_sessions_init(void *memory, const struct eng_config *config);

/** Commands that one slot can hold at most: size of the arrays given to eng_sessions_apply(). */
uint32_t eng_commands_per_slot_max(const struct eng_config *config);

/**
 * Take the next chosen slot. Slots come in order, each once.
 * @param ret_runs        [eng_commands_per_slot_max()] verdicts in order
 * @param ret_commands    [eng_commands_per_slot_max()] what executes, all runs behind each other
 * @param ret_cluster_ns  cluster time of the slot
 * @return runs written, 0 for a no-op, a configuration or an inner fragment
 */
uint32_t eng_sessions_apply(struct eng_sessions *s, struct decree_slot slot, const uint8_t *value,
	uint32_t bytes, struct eng_applied *ret_runs, struct decree_command *ret_commands,
	uint64_t *ret_cluster_ns);

/** Store the state machine's answers to executed commands [first, first + count), at once or later
 * (parked ones), of a session whose row is known: eng_session_row(), before any registration.
 * @param answers  [count] */
void eng_session_answer_run(struct eng_sessions *s, uint32_t row, uint64_t first, uint32_t count,
	const struct decree_answer *answers);

/** What a repeated command would get: REPLAYED, PENDING, STALE, MISMATCH, NO_SESSION, EVICTED; GAP
 * if it is not executed yet. @param body_digest  base_digest_short() of the whole body */
enum eng_verdict eng_session_lookup(const struct eng_sessions *s, struct decree_session session,
	uint64_t seq, uint32_t body_digest, uint16_t *ret_status, uint64_t *ret_result);

/** The answer to an executed command, whatever its body was. @return false if there is none (yet) */
bool eng_session_answer_of(const struct eng_sessions *s, struct decree_session session,
	uint64_t seq, uint16_t *ret_status, uint64_t *ret_result);

/** The session that a client token opened, 0 if none. */
struct decree_session
eng_session_find(const struct eng_sessions *s, const uint8_t token[DECREE_UUID_BYTES]);

/** Last executed seq of a session; 0 also for an unknown one. */
uint64_t eng_session_last(const struct eng_sessions *s, struct decree_session session);

/**
 * May the leader propose this command now? Keeps repeats and gaps out of the log; a hint that is
 * not replicated, exactly-once does not depend on it. OK also notes that the command is on its way.
 */
enum eng_submit_status
eng_session_admit(struct eng_sessions *s, struct decree_session session, uint64_t seq);

/** Whether it is OK, for one of a run: only the first is asked for, and all that were proposed are
 * noted afterwards. */
bool eng_session_is_next(struct eng_sessions *s, struct decree_session session, uint64_t seq);
/** Of the session that eng_session_is_next() has just said yes of. */
void eng_session_admit_more(struct eng_sessions *s, uint32_t count);

/** As eng_session_admit(), without noting anything. */
enum eng_submit_status
eng_session_may_admit(const struct eng_sessions *s, struct decree_session session, uint64_t seq);

/** Forget what was on its way: a new leadership begins with what is executed. */
void eng_sessions_admit_reset(struct eng_sessions *s);

/** @return the row of a session, 0 .. session_count - 1, for tables beside this one; -1 = unknown */
int32_t eng_session_row(const struct eng_sessions *s, struct decree_session session);

uint32_t eng_session_count(const struct eng_sessions *s);
/** Sessions that gave way to others, since the first slot or the snapshot that this table began
 * with. */
uint64_t eng_session_evicted_count(const struct eng_sessions *s);

/** Digest of the whole table. What the session that executed last has changed since another one did
 * is added now: at most session_window replies. */
struct decree_digest eng_sessions_digest(const struct eng_sessions *s);

/** The same, computed anew from every row and reply; for tests. */
struct decree_digest eng_sessions_digest_anew(const struct eng_sessions *s);

/** D(i) of protocol 7.4, i being the last slot taken: what ENG_EV_DIGEST carries.
 * @param machine  digest of the state machine right after that slot */
struct decree_digest eng_state_digest(const struct eng_sessions *s, struct decree_digest machine);

#endif
