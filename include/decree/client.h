/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file client.h
 * Submit commands from a host without DPDK, over ordinary UDP sockets.
 *
 * The client registers a session, numbers its commands, keeps them until they are answered, and
 * repeats them under the same number to whichever node leads: each is executed exactly once.
 *
 * Threads:  a client belongs to the thread that opened it; another gets -EPERM.
 * Errors:   0 or -errno; `ret_error` gets one sentence that says what is wrong and what to do.
 * Units:    nanoseconds, bytes.
 */
#ifndef DECREE_CLIENT_H
#define DECREE_CLIENT_H

#include "decree/node.h"
#include "decree/types.h"

#ifdef __cplusplus
extern "C" {
#endif

struct decree_client;

struct decree_client_options {
	size_t struct_bytes;     /* sizeof(struct decree_client_options) */
	const char *config_path; /* the INI file of the cluster: [cluster] and [node N] suffice */
	const char *const *settings; /* [setting_count] "section.key=value" */
	uint32_t setting_count;
	uint16_t group;
	uint32_t in_flight_max; /* 0 = the cluster's session window */
};

DECREE_API
int decree_client_open(const struct decree_client_options *options,
	struct decree_client **ret_client, char ret_error[DECREE_ERROR_BYTES]);
DECREE_API
void decree_client_close(struct decree_client *client);

/** As decree_propose(): 0, -EAGAIN, -EMSGSIZE, -EPERM. Sends with the next decree_client_poll(), or
 * at once when several frames are full. */
DECREE_API
int
decree_client_submit(struct decree_client *client, const void *body, uint32_t bytes, void *cookie);

/**
 * Send what waits, repeat what was lost, follow the leader, and collect answers.
 * @param timeout_ns  how long to wait for the first one; 0 = do not wait
 * @return how many completions were written
 */
DECREE_API
uint32_t decree_client_poll(struct decree_client *client, struct decree_completion *ret_completions,
	uint32_t count_max, uint64_t timeout_ns);

/**
 * Ask the state machine of the client's group, without a place in the log. The question is repeated
 * until an answer comes; it changes nothing, so that does no harm.
 *
 * @param node_id     whom to ask; 0 = any node, and the next one when it is silent
 * @param query       [bytes] 0 .. DECREE_QUERY_BYTES_MAX
 * @param ret_answer  [capacity]; DECREE_ANSWER_BYTES_MAX is always enough
 * @return bytes of the answer, >= 0
 * @retval -ETIMEDOUT  no answer: nobody there, nobody leads, or too busy
 * @retval -ENOTSUP    the state machine answers no reads
 * @retval -EMSGSIZE   larger than DECREE_QUERY_BYTES_MAX, or than @p capacity
 * @retval -ENOENT     no such node  @retval -EINVAL no such consistency
 * @retval -errno      as the machine's read() said
 */
DECREE_API
int32_t decree_client_read(struct decree_client *client, uint16_t node_id, const void *query,
	uint32_t bytes, enum decree_consistency consistency, void *ret_answer, uint32_t capacity,
	uint64_t timeout_ns);

/** The session that commands are submitted under; 0 while it is being registered. Another one only
 * after completions other than DECREE_APPLIED. */
DECREE_API
struct decree_session decree_client_session(const struct decree_client *client);

/** Readable when decree_client_poll() has something to do; for an event loop. */
DECREE_API
int decree_client_fd(const struct decree_client *client);

struct decree_peer_row {
	uint16_t node_id;
	bool session_up;      /* authenticated, both directions */
	uint64_t echo_age_ns; /* since it last echoed a heartbeat; UINT64_MAX = never */
	struct decree_slot commit;
};

/** What a configuration names a node as. */
enum decree_member_kind {
	DECREE_OUTSIDER = 0, /* it does not name it: not added yet, or removed */
	DECREE_VOTER = 1,
	DECREE_LEARNER = 2, /* receives and applies everything, counts in no quorum */
};

struct decree_member_row {
	uint16_t node_id;
	enum decree_member_kind kind; /* never DECREE_OUTSIDER */
};

#define DECREE_MEMBER_COUNT_MAX (DECREE_NODE_COUNT_MAX + 1) /* the voters, and one learner */

struct decree_status {
	uint16_t node_id;
	uint16_t group;
	enum decree_role role;
	bool ready;
	uint16_t leader;
	struct decree_ballot ballot;
	struct decree_slot chosen;
	struct decree_slot applied;
	struct decree_digest digest;
	uint64_t applied_count; /* commands executed */
	enum decree_log_mode log_mode;
	bool auth;             /* false: auth = none, frames are not authenticated */
	enum decree_idle idle; /* the strategy that runs, never AUTO */
	bool log_full;
	uint64_t log_bytes_used;
	uint64_t log_bytes;
	uint64_t boot_count;
	uint64_t uptime_ns;
	/* from the start of the process to the first turn of the loop */
	uint64_t start_to_ready_ns;
	uint64_t memory_bytes; /* resident + hugepages */
	uint64_t frames_received;
	uint64_t frames_sent;
	uint64_t frames_dropped;   /* malformed, foreign, not authentic, replayed */
	uint64_t messages_dropped; /* stale, not a member, beyond the window */
	uint64_t elections;
	bool has_lease;              /* leads, and answers LEASE reads by itself at this moment */
	uint64_t lease_ns;           /* as configured; 0 = no leases */
	uint64_t reads;              /* answered here, of whatever consistency */
	uint64_t lease_reads;        /* those that needed no round trip */
	uint64_t read_rounds;        /* led by this node for all the others */
	struct decree_slot low;      /* the log does not go back further */
	struct decree_slot snapshot; /* of the snapshot that counts, 0 = none */
	uint64_t snapshot_bytes;
	uint64_t snapshot_unix_s; /* when it was finished, by the node's wall clock */
	bool snapshot_space_low;  /* no new commands for want of space for snapshots */
	bool snapshot_damaged; /* the file of `snapshot` has rotten; the next one takes its place */
	uint64_t log_damaged; /* slots whose copy in this node's log is damaged, not repaired yet */
	bool log_doubtful; /* more may be, and which is not known: it catches up before it votes */
	/* records that rotted in the log and were written again, since the start */
	uint64_t log_rewritten;
	/* times that the shard's log was read again as a whole, since the start */
	uint64_t log_scrub_count;
	/* newest one where a majority had this node's state, 0 = none yet */
	struct decree_slot agreed;
	uint64_t session_evicted_count; /* since the start; sessions that gave way to others */
	uint32_t session_count;
	uint32_t epoch; /* of the newest configuration decided, as this node knows; 0 = none yet */
	bool is_changing; /* that one is decided, and the one before governs for a few slots more */
	uint8_t version; /* of the cluster, by that one: what commands mean, what disks hold; 0 = none yet */
	uint8_t version_min; /* what the node's program speaks; */
	uint8_t version_max; /* the cluster may be raised to the highest that all of them do */
	uint32_t q1;         /* of that configuration */
	uint32_t q2;
	enum decree_member_kind kind; /* this node itself, by that configuration */
	uint32_t member_count;
	struct decree_member_row members[DECREE_MEMBER_COUNT_MAX]; /* ascending node_id */
	uint32_t peer_count;
	struct decree_peer_row peers[DECREE_NODE_COUNT_MAX];
};

/** Ask one node. @retval -ETIMEDOUT it did not answer */
DECREE_API
int decree_client_status(struct decree_client *client, uint16_t node_id, uint64_t timeout_ns,
	struct decree_status *ret_status);

struct decree_metrics; /* decree/metrics.h */

/** Ask one node. @retval -ETIMEDOUT it did not answer  @retval -ENOENT no such node */
DECREE_API
int decree_client_metrics(struct decree_client *client, uint16_t node_id, uint64_t timeout_ns,
	struct decree_metrics *ret_metrics);

/** Ask all nodes of the configuration at the same time, until all have answered or the time is over.
 * @param ret_metrics  [DECREE_NODE_COUNT_MAX] in the configuration's order; node_id 0: that one was
 *                     silent
 * @return how many have answered, or -EPERM */
DECREE_API
int decree_client_metrics_all(
	struct decree_client *client, uint64_t timeout_ns, struct decree_metrics *ret_metrics);

struct decree_log_entry {
	struct decree_slot slot;
	uint32_t index;
	struct decree_session session;
	uint64_t seq;
	uint32_t bytes;
	bool executed; /* false: a repeat, a gap or an unknown session, skipped by every node alike */
	struct decree_digest digest; /* of the body */
};

/**
 * What one node applied, read from its own log: slots from @p first on, until @p count_max entries
 * or the node's applied prefix are reached.
 * @param ret_next  first slot not yet covered; equal to applied + 1 at the end
 * @retval >= 0 entries written  @retval -ETIMEDOUT it did not answer
 */
DECREE_API
int decree_client_log(struct decree_client *client, uint16_t node_id, struct decree_slot first,
	struct decree_log_entry *ret_entries, uint32_t count_max, struct decree_slot *ret_next,
	uint64_t timeout_ns);

/* Who holds the cluster's client key may administer it, unless [cluster] admin = no. */
enum decree_admin_op {
	DECREE_ADMIN_TRANSFER = 1, /* arguments: 0 u16 node_id of the new leader | 2 0 ... */
	/* No arguments. Done when the leader has it; the others' are in their status. */
	DECREE_ADMIN_SNAPSHOT = 2,

	/* One change of the members of the client's group. Arguments: 0 u16 node_id that comes, or
	 * is removed
	 * | 2 u16 node_id that is replaced | 4 u8 q1 afterwards, 0 = a majority | 5 u8 q2 | 6 u16 0
	 * | 8 u64 disk of who comes, as decree_format() gave it | 16 0 ... */
	DECREE_ADMIN_MEMBER_ADD = 3,
	DECREE_ADMIN_MEMBER_REMOVE = 4,
	DECREE_ADMIN_MEMBER_REPLACE = 5,
	DECREE_ADMIN_MEMBER_LIST = 6, /* no arguments: who they are, in the text of the answer */

	/* Of one node, see decree_client_admin_at(), through a client of group 0. Copy the frames
	 * of its ports into capture.pcapng in its data_dir; done when that has ended. Arguments: 0
	 * u32 seconds, 1 .. 3600 | 4 u32 MiB at most, 1 .. 4096
	 * | 8 u32 bytes of each frame, 64 .. 9216 | 12 0 ... */
	DECREE_ADMIN_CAPTURE = 7,
	DECREE_ADMIN_CAPTURE_STOP = 8, /* no arguments: before its time */

	/* No arguments. Raise the version of the client's group to the highest that all its members
	 * speak: commands and disks may be of that one from then on, and programs that do not speak
	 * it are refused. No way back. */
	DECREE_ADMIN_RAISE = 9,
};

#define DECREE_ADMIN_ARGUMENT_BYTES 64

/**
 * Ask the cluster to change how it runs: find the node that can do it, repeat what was lost, and
 * wait for the outcome. Repeating is safe: an operation says what shall be, and is done when it is.
 *
 * @param arguments  [DECREE_ADMIN_ARGUMENT_BYTES] little-endian, laid out per operation, the rest 0
 * @param ret_text   one sentence: what was done, or why not; always written
 * @retval 0           done
 * @retval -ECANCELED  refused, or tried in vain: `ret_text` says why
 * @retval -EACCES     the nodes take no administrative requests
 * @retval -ENOSYS     the nodes do not know this operation
 * @retval -ETIMEDOUT  no outcome in time: it may still happen
 * @retval -EPERM      another thread's client
 */
DECREE_API
int decree_client_admin(struct decree_client *client, enum decree_admin_op op,
	const uint8_t arguments[DECREE_ADMIN_ARGUMENT_BYTES], uint64_t timeout_ns,
	char ret_text[DECREE_ERROR_BYTES]);

/**
 * The same of one node, which carries it out whoever leads, or says why not.
 * @retval -ENOENT  there is no such node in the configuration
 */
DECREE_API
int decree_client_admin_at(struct decree_client *client, uint16_t node_id, enum decree_admin_op op,
	const uint8_t arguments[DECREE_ADMIN_ARGUMENT_BYTES], uint64_t timeout_ns,
	char ret_text[DECREE_ERROR_BYTES]);

/** Make @p node_id the leader of the client's group. Results as decree_client_admin(). */
DECREE_API
int decree_client_transfer(struct decree_client *client, uint16_t node_id, uint64_t timeout_ns,
	char ret_text[DECREE_ERROR_BYTES]);

#ifdef __cplusplus
}
#endif

#endif
