/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file pipeline.h
 * The client's half of exactly-once, as a pure state machine: what to send next and to which node,
 * what an answer means, when to repeat. It knows neither sockets nor clocks.
 *
 * The happy path:
 *  1. With the first command it registers: a command of session 0 with a random token, repeated
 *     until a session number comes.
 *  2. Commands get seq 1, 2, 3, ... and go to one node, the target, as many to a frame as fit. A
 *     command that does not fit goes in fragments.
 *  3. Each answer completes its command. Memory is given back in order of seq.
 *
 * What may go wrong:
 *  - No answer for `rto`: everything unanswered is sent again from the first (go-back-N; the node
 *    skips what it has), a few at first. The second time in a row the next node is the target.
 *  - REDIRECT to a leader: it becomes the target and everything unanswered goes there at once.
 *  - REDIRECT without one, BUSY and the like: the same after a pause; without a leader, from
 *    another node.
 *  - GAP: a frame was lost on the way. Sending resumes from the first seq that the leader misses.
 *  - The session is gone: what was sent is unknown (evicted, if it gave way to another), what was
 *    not is refused, and the next command registers a new one.
 *
 * Threads:  one.  Memory: taken in pipeline_open() only.
 * Units:    nanoseconds of any monotonic clock, the caller's.
 */
#ifndef ENGINE_CLIENT_PIPELINE_H
#define ENGINE_CLIENT_PIPELINE_H

#include "engine/runtime/client_msg.h"

#define PIPELINE_RTO_NS (20 * UINT64_C(1000000)) /* several round trips and a durable append */
#define PIPELINE_RTO_NS_MAX                                                                        \
	(80 * UINT64_C(1000000)) /* below an election: its end must not be overslept */

struct pipeline_config {
	uint16_t group;
	uint32_t in_flight_max; /* commands without an answer, <= the cluster's session window */
	uint32_t command_bytes_max;
	uint32_t frame_bytes; /* capacity of one payload */
	uint32_t node_count;
	uint16_t nodes[DECREE_NODE_COUNT_MAX];
	uint8_t token[DECREE_UUID_BYTES]; /* random */
};

struct pipeline_entry;

struct pipeline {
	struct pipeline_config config;

	/* Registration */
	struct decree_session session; /* 0: not yet registered */
	uint64_t session_first;        /* number of the command that has seq 1 in this session */

	/* Commands by number, from 0 for ever: [released, accepted) are held, released <= next <=
	 * accepted. entries[number % capacity]. */
	struct pipeline_entry *entries;
	uint32_t capacity;              /* a power of two */
	uint64_t released;              /* answered, and their completions taken */
	uint64_t answered;              /* every command before this one is answered */
	uint64_t next;                  /* to be sent next */
	uint64_t accepted;              /* by pipeline_submit() */
	uint64_t sent;                  /* highest ever sent + 1 */
	uint32_t fragment_offset_bytes; /* of command `next`, if it travels in fragments */
	uint64_t window;                /* commands from `answered` on that may be on the way */

	/* Bodies, in order, in a ring that never splits one */
	uint8_t *bodies;
	uint32_t bodies_bytes;
	uint32_t bodies_head; /* where the next one goes */

	/* Completions not taken yet: numbers */
	uint64_t *completed;
	uint64_t completed_first;
	uint64_t completed_after;

	/* Timing */
	uint32_t target;           /* index in config.nodes */
	uint32_t is_reachable;     /* bit per index: there is a session with that node */
	uint64_t waiting_since_ns; /* last progress or first send; 0: nothing is on the way */
	uint64_t rto_ns;
	uint32_t timeout_count; /* in a row */
	uint64_t pause_until_ns;
	uint64_t gap_number;     /* resumed from here ... */
	uint64_t gap_handled_ns; /* ... at this time */
	uint64_t redirect_ns;    /* last followed */
	bool is_session_wanted; /* since the first submit: who only asks for status takes no session */
	bool is_register_sent;

	uint64_t retransmit_count; /* of commands */
	uint64_t redirect_count;
};

/** @retval -ENOMEM  @retval -EINVAL a field is 0 or a frame holds no command */
int pipeline_open(struct pipeline *p, const struct pipeline_config *config);
void pipeline_close(struct pipeline *p);

/** @retval -EAGAIN  in_flight_max commands, or the memory for bodies, is in use  @retval -EMSGSIZE */
int pipeline_submit(struct pipeline *p, const void *body, uint32_t bytes, void *cookie);

/** A session with a node came up or went down. */
void pipeline_reachable(struct pipeline *p, uint16_t node_id, bool is_reachable);

/** Notice what is overdue. Before pipeline_next_frame(), whenever time has passed. */
void pipeline_tick(struct pipeline *p, uint64_t now_ns);

/**
 * The next payload to send.
 * @param out          [config.frame_bytes]
 * @param ret_node_id  where to; written if the result is not 0
 * @return its bytes; 0: nothing to send now
 */
uint32_t
pipeline_next_frame(struct pipeline *p, uint64_t now_ns, uint8_t *out, uint16_t *ret_node_id);

/** Take REPLIES or a REDIRECT that a node sent; anything else, and other groups', is ignored. */
void
pipeline_receive(struct pipeline *p, uint64_t now_ns, uint16_t from, const struct client_msg *m);

/** @return completions written, 0 .. count_max */
uint32_t pipeline_completions(
	struct pipeline *p, struct decree_completion *ret_completions, uint32_t count_max);

/** When pipeline_tick() has something to do next; UINT64_MAX = only after a submit or an answer. */
uint64_t pipeline_wake_at(const struct pipeline *p);

#endif
