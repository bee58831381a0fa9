/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file node.h
 * Embed a node: open it, start it, propose commands from your own threads, learn what was chosen.
 *
 * Threads:  decree_open(), decree_start(), decree_stop(), decree_close() belong to one thread of
 *           the program, the owner. The node runs its shards on pinned threads of its own and
 *           everything slow on a control thread. A proposer belongs to the thread that opened it. A
 *           call from a wrong thread returns -EPERM, in release builds too. The callbacks in the
 *           options run on the shard's thread, between two network bursts: they must be short and
 *           must not block.
 * Errors:   0 or -errno; the functions that take `ret_error` also write one sentence that says what
 *           is wrong and what to do about it.
 * Units:    nanoseconds, bytes.
 * Memory:   everything is taken in decree_open() and decree_proposer_open(). Nothing of the options
 *           is kept after decree_open() returns, except the machines, the context and the
 *           callbacks.
 */
#ifndef DECREE_NODE_H
#define DECREE_NODE_H

#include "decree/machine.h"
#include "decree/metrics.h"
#include "decree/types.h"

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct decree_node;
struct decree_proposer;

enum decree_log_level {
	DECREE_LOG_ERROR = 3, /* as in syslog */
	DECREE_LOG_WARNING = 4,
	DECREE_LOG_NOTICE = 5,
	DECREE_LOG_INFO = 6,
};

#define DECREE_NO_GROUP (-1)

/* A line of the log, and what it is about. */
struct decree_log_line {
	enum decree_log_level level;
	const char *event;      /* a word for its kind; docs/operating.md has them all */
	const char *message_id; /* 32 hexadecimal digits, the same for all lines of that kind */
	int32_t group;          /* DECREE_NO_GROUP: of the node or of all groups */
	const char *text;       /* one line, without its end; lent for the call */
};

struct decree_options {
	size_t struct_bytes;         /* sizeof(struct decree_options) */
	const char *config_path;     /* the INI file that describes cluster and node */
	const char *const *settings; /* [setting_count] "section.key=value", override the file */
	uint32_t setting_count;
	bool eal_is_initialised; /* the host program called rte_eal_init() itself, and EAL stays its own */

	const struct decree_machine_ops *machine_ops;
	void *const *machines; /* [group_count] one machine per group, lent until decree_close() */
	uint32_t group_count;

	void *context; /* given to every callback below; each may be NULL */
	/** Slots [first, after) of a group were applied on this node. Shard's thread. */
	void (*on_applied)(
		void *context, uint16_t group, struct decree_slot first, struct decree_slot after);
	/** Role, leader (node_id, 0 = unknown) or ballot of a group changed. Shard's thread. */
	void (*on_role)(void *context, uint16_t group, enum decree_role role, uint16_t leader,
		struct decree_ballot ballot);
	/** One line for the log. Control thread. NULL: lines go to standard error, where those are
	 * lost, and counted, that nobody reads in time. */
	void (*on_log)(void *context, enum decree_log_level level, const char *line);

	/** What the program counts itself, shown behind the node's own metrics where [metrics]
	 * listens. Rows of one name stand together; kinds are counters and gauges, and all are of
	 * the node. Names as Prometheus wants them, with _total at the end of counters and of
	 * nothing else, and none of the node's own; what cannot be shown is refused by
	 * decree_open(), which says why. */
	const struct decree_metric *metrics; /* [metric_count] lent until decree_close() */
	uint32_t metric_count;               /* <= DECREE_METRIC_COUNT_MAX */
	/** Write [metric_count] values. @return false: not known now. From threads that are no
	 * shard's, one at a time, between decree_start() and decree_stop(). */
	bool (*read_metrics)(void *context, uint64_t *ret_values);

	/** The loop of every shard has gone round since the last call: about ten times a second, and
	 * never while one of them hangs. What a watchdog is fed by. Control thread. */
	void (*on_pulse)(void *context);

	/** One line for the log with what it is about, instead of on_log. Control thread, and the
	 * owner in decree_open(). Must not block for longer than the program's watchdog bears: it
	 * waits for the same thread. */
	void (*on_log_line)(void *context, const struct decree_log_line *line);

	/** Behind every turn of a shard's loop: work of the program that shall share the shard's CPU
	 * instead of asking for one of its own. A proposer that is opened here belongs to this
	 * thread, and the next turn takes what it proposes; it may be of a group of this shard
	 * alone (-EINVAL). There is no last call: when decree_stop() has returned, who has called
	 * that polls and closes what was left open here. Short, as everything on this thread. A
	 * shard at rest may sleep half a millisecond between two of these calls.
	 * @return whether it did anything; then the shard goes on at once. Shard's thread. */
	bool (*on_turn)(void *context, uint16_t shard);
};

/** Read the configuration, take all memory, open ports and data directory, recover the log.
 * Blocks: until the log has been read. */
DECREE_API
int decree_open(const struct decree_options *options, struct decree_node **ret_node,
	char ret_error[DECREE_ERROR_BYTES]);

/** Start the shards. Returns at once. */
DECREE_API
int decree_start(struct decree_node *node);

/** @retval 0 running  @retval -errno the node has stopped by itself: @p ret_error says why;
 * -ENOTRECOVERABLE: it would stop again until somebody has done what that says. Any thread. */
DECREE_API
int decree_health(struct decree_node *node, char ret_error[DECREE_ERROR_BYTES]);

/** Stop the shards and wait for them. What is in flight stays unknown to its proposers. */
DECREE_API
void decree_stop(struct decree_node *node);

/** Give everything back. NULL is fine. */
DECREE_API
void decree_close(struct decree_node *node);

struct decree_group_status {
	enum decree_role role;
	bool ready; /* leader: takes commands */
	uint16_t leader;
	struct decree_ballot ballot;
	struct decree_slot chosen;
	struct decree_slot applied;
	struct decree_digest digest; /* of the state machine after `applied` */
};

/** What the group's shard says between two turns of its loop: all fields are of one moment. Any
 * thread but another shard's (-EPERM): two of them would wait for each other.
 * @retval -ENOENT no such group  @retval -ETIMEDOUT the shard does not run (a stopped process, a
 * debugger) */
DECREE_API
int decree_group_status(
	struct decree_node *node, uint16_t group, struct decree_group_status *ret_status);

/* What became of a proposed command. */
enum decree_outcome {
	/* chosen and applied on this node; `status` and `result` are the machine's */
	DECREE_APPLIED = 0,
	DECREE_REFUSED = 1, /* never executed and never will be: there is no session */
	DECREE_UNKNOWN = 2, /* the node was stopped: it may or may not be executed */
	DECREE_EVICTED =
		3, /* the session is gone before the answer came: a client's was unused for long and gave way
			       to another one, a proposer's node is no member any more, or somebody else
			       has used its session. It may have been executed, once: do not just submit it
			       again */
	/* A read is APPLIED when it was answered, REFUSED if the machine answers no reads. */
};

struct decree_completion {
	void *cookie;
	uint64_t seq;
	enum decree_outcome outcome;
	uint16_t status;
	uint64_t result;

	/* Of a read only, else NULL and 0. There seq is 0, `status` is 0 or the errno of the
	 * machine's read(), and `result` is the slot up to which the answering node had applied.
	 * Lent until the next decree_poll() of this proposer. */
	const void *answer;
	uint32_t answer_bytes;
};

/**
 * Open the calling thread's way into a group. It registers a session of its own; commands proposed
 * meanwhile wait for it. After an outcome REFUSED or EVICTED it has none any more, and refuses
 * every command: close it, and open another.
 */
DECREE_API
int decree_proposer_open(struct decree_node *node, uint16_t group,
	struct decree_proposer **ret_proposer, char ret_error[DECREE_ERROR_BYTES]);

/**
 * Propose one command. It is executed exactly once, in the order of this proposer's calls, on
 * whatever node leads; the node retries until it is, through any number of leader changes. Whatever
 * happens, it has one outcome, once; UNKNOWN at the latest, when the node has stopped.
 *
 * @param body    lent for the call
 * @param bytes   0 .. the cluster's command_bytes_max
 * @param cookie  comes back with the completion
 * @retval 0          on its way
 * @retval -EAGAIN    the session window or the proposer's memory is full: decree_poll(), then again
 * @retval -EMSGSIZE  larger than command_bytes_max
 * @retval -ESHUTDOWN the node has stopped
 *
 * Thread: the proposer's. Blocks: never. Allocates: never. Cost: one copy, no system call.
 */
DECREE_API
int
decree_propose(struct decree_proposer *proposer, const void *body, uint32_t bytes, void *cookie);

/**
 * Ask the state machine, without a place in the log. The answer comes as a completion, in any order
 * among the others; a read that must wait for a leader waits.
 *
 * @param query  lent for the call
 * @param bytes  0 .. DECREE_QUERY_BYTES_MAX
 * @retval 0          on its way
 * @retval -EAGAIN    64 reads of this proposer have no completion yet: decree_poll(), then again
 * @retval -EMSGSIZE  larger than DECREE_QUERY_BYTES_MAX
 * @retval -EINVAL    no such consistency
 * @retval -ESHUTDOWN the node has stopped
 *
 * Thread: the proposer's. Blocks: never. Allocates: never. Cost: two copies, no system call.
 */
DECREE_API
int decree_read(struct decree_proposer *proposer, const void *query, uint32_t bytes,
	enum decree_consistency consistency, void *cookie);

/** Completions, in the order of execution. @return how many, 0 .. count_max. Thread: the
 * proposer's. */
DECREE_API
uint32_t decree_poll(struct decree_proposer *proposer, struct decree_completion *ret_completions,
	uint32_t count_max);

/** Forget the proposer. Commands without a completion may still be executed. */
DECREE_API
void decree_proposer_close(struct decree_proposer *proposer);

#ifdef __cplusplus
}
#endif

#endif
