/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file world.h
 * A few shards with the real core in one thread, on a network, a log and mailboxes made of arrays.
 * The test moves time, delivers frames, and decides when writes become durable. A test may give the
 * nodes other logs: world_node.open_log.
 *
 * Nothing here allocates after world_init().
 */
#ifndef TEST_RUNTIME_WORLD_H
#define TEST_RUNTIME_WORLD_H

#include "engine/core/session.h"
#include "engine/runtime/client_msg.h"
#include "engine/runtime/shard.h"

#define WORLD_NODE_COUNT_MAX   5
#define WORLD_FRAME_BYTES      1424
#define WORLD_FRAME_COUNT      4096
#define WORLD_RECORD_COUNT_MAX 16384
#define WORLD_MAIL_COUNT_MAX   4096
#define WORLD_CLIENT_FRAMES    512
#define WORLD_QUERY_COUNT_MAX  512

struct world_frame {
	struct world_frame *next;
	uint32_t bytes;
	struct net_endpoint peer; /* in a queue: the sender */
	uint8_t payload[WORLD_FRAME_BYTES];
};

struct world_record {
	uint8_t tag[LOG_TAG_BYTES];
	uint8_t *payload;
	uint32_t bytes;
};

struct world_read {
	uint64_t position;
	uint64_t token;
};

struct world_log {
	struct world_record *records; /* [WORLD_RECORD_COUNT_MAX] lsn - 1; wraps if is_ring */
	bool is_ring;                 /* keep the newest only: for long runs */
	uint64_t appended;
	uint64_t submitted;
	uint64_t durable;
	uint64_t reported;
	uint64_t meta_asked, meta_durable, meta_reported;
	uint32_t version; /* raised to; 0 = never */
	uint8_t meta[LOG_META_BYTES_MAX];
	uint8_t meta_durable_blob[LOG_META_BYTES_MAX];
	uint32_t meta_bytes;
	uint8_t hearsay[LOG_HEARSAY_BYTES_MAX]; /* durable at once */
	uint32_t hearsay_bytes;                 /* 0 = none */
	uint64_t hearsay_count;                 /* times that it was asked for */
	bool hold_records;                      /* the disk is slow */
	bool hold_meta;
	bool is_crowded;     /* more than half full */
	uint32_t space_left; /* records; 0 = a million */
	uint32_t space_all;  /* records, and what is trimmed comes back; 0 = as above */
	bool is_failing;
	bool has_failed;
	uint32_t room;         /* 0 = plenty */
	uint64_t trimmed_lsn;  /* as the loop last permitted: a start finds nothing below it */
	uint64_t rotten_first; /* [first, after): the next reap() finds them damaged; 0 = none */
	uint64_t rotten_after;
	bool is_rot_nameless;
	uint64_t damaged_lsn;   /* cannot be read by the next recovery; 0 = none */
	bool is_damage_unknown; /* not even its slot is known then */
	bool is_full;           /* not one more record fits, ever */
	uint64_t submit_count;
	uint64_t frames_at_submit; /* frames that had left when submit() saw new records */
	struct world_read reads[64];
	uint32_t read_count;
};

struct world_net {
	struct world *world;
	uint16_t node_id;
	struct world_frame *first, **last; /* frames that have arrived */
	uint64_t sent;
	uint32_t no_frames;       /* alloc() gives none */
	uint8_t version_required; /* the lowest that sessions may have; 0 = any */
};

/* A frame that went to a client. */
struct world_client_frame {
	uint16_t from;
	struct net_endpoint to;
	uint32_t bytes;
	uint8_t payload[WORLD_FRAME_BYTES];
};

struct world_mailbox {
	struct eng_body commands[WORLD_MAIL_COUNT_MAX];
	uint8_t *bodies; /* [WORLD_MAIL_COUNT_MAX][64], or one large one */
	uint64_t pushed, popped, consumed, completed;
	struct decree_completion completions[WORLD_MAIL_COUNT_MAX]; /* by seq */
	/* reads, in order; the cookie is the number, from 0 */
	struct mail_query queries[WORLD_QUERY_COUNT_MAX];
	uint8_t answers[WORLD_QUERY_COUNT_MAX][8];
	uint32_t query_pushed, query_popped, query_completed;
	struct decree_completion query_completions[WORLD_QUERY_COUNT_MAX]; /* by number */
};

/* The state machine: counts, sums, answers its count; may park every command, for ever, or
 * (world.park_ns) until a deadline at which it is answered with status 9. A read of nothing gives
 * the count in 8 bytes, any other one fails with -EINVAL. */
struct world_machine {
	uint64_t count;
	uint64_t bytes;
	struct decree_digest digest;
	uint32_t answer_burst; /* so many answers are told at once; 0 = one by one */
	bool is_parking;
	/* so many commands one is parked, until the one behind it; 0 = none is */
	uint32_t park_every;
	struct decree_session parked_session;
	uint64_t parked_seq;
	uint64_t due_ns;    /* the parked one's deadline; 0 = none */
	uint64_t due_count; /* deadlines that have come */
	uint64_t ask_count; /* of next_deadline(); no part of the state */
	struct world *world;
	uint64_t read_ns; /* a read takes so long, on the clock of the world */
};

struct world_node {
	uint16_t node_id;
	struct shard *shard;
	void *memory;
	size_t memory_bytes;
	struct world_net net;
	struct world_log log;
	struct world_machine machine;
	uint64_t boot_count;
	bool is_down;
	struct shard_config config;
	struct eng_config eng; /* of group 0; the others' differ in group and seed alone */
	struct eng_config groups[SHARD_GROUP_COUNT_MAX];
	/* of each group, a world_machine first: `machine`, or what world_tune says */
	void *machines[SHARD_GROUP_COUNT_MAX];
	char last_log[DECREE_ERROR_BYTES];
	enum decree_role role;
	uint16_t leader;
	/* A start: open the node's log, hand what it holds to n->shard, and tell the boot count
	 * that it names. NULL: the log is the array above. @return what config.log_ops work on;
	 * NULL: the node stays down */
	void *(*open_log)(struct world_node *n, uint64_t *ret_boot_count);
};

struct world {
	uint64_t now_ns;
	uint32_t node_count;
	uint32_t group_count;
	/* every command is parked for so long in cluster time; 0 = as each machine likes */
	uint64_t park_ns;
	bool is_due_stuck; /* a deadline that has come stays, which is an error of the machines */
	struct world_node nodes[WORLD_NODE_COUNT_MAX];
	struct world_frame *frames; /* [WORLD_FRAME_COUNT] */
	struct world_frame *free;
	bool cut[WORLD_NODE_COUNT_MAX + 1][WORLD_NODE_COUNT_MAX + 1]; /* [from][to] */
	/* @return true to lose the frame */
	bool (*lose)(struct world *w, uint16_t from, uint16_t to, const uint8_t *payload);
	uint8_t version_max; /* that frames say their sender speaks; 0 = they do not */
	uint32_t lost;
	struct world_client_frame *client_frames; /* [WORLD_CLIENT_FRAMES] */
	uint32_t client_frame_count;
};

extern const struct log_ops world_log_ops;
extern const struct mailbox_ops world_mailbox_ops;

/** The place of a record in the array. */
struct world_record *world_record_of(struct world_log *log, uint64_t lsn);

/** Changes the configuration of a node before its first start; NULL: nothing. */
extern void (*world_tune)(struct world_node *n);

/** @return a fresh world; world_free() it */
struct world *world_new(uint32_t node_count);
/** The same with several, smaller, groups per node. */
struct world *world_new_groups(uint32_t node_count, uint32_t group_count);
void world_free(struct world *w);

/** Every node that is up takes one turn, then time passes. @return whether any did work */
bool world_turn(struct world *w);

/** Turns for that long. */
void world_run(struct world *w, uint64_t for_ns);

/** Run until some node leads and is ready. @return its node, asserts within 10 s of world time */
struct world_node *world_elect(struct world *w);

/** Forget memory and what was not durable, and start again from the log. */
void world_restart(struct world *w, struct world_node *n);

/** No node runs: every frame is free again, whoever held it. */
void world_forget_frames(struct world *w);

/** The first node that does not lead. */
struct world_node *world_follower(struct world *w);

/** A payload arrives at a node. */
void world_deliver(struct world *w, struct world_node *to, struct net_endpoint from,
	const void *bytes, uint32_t count);

struct world_mailbox *world_mailbox_new(void);
void world_mailbox_free(struct world_mailbox *m);
/** For another proposer, whose commands count from 1. */
void world_mailbox_empty(struct world_mailbox *m);
/** A gateway's session gives way to others: one registers a later gateway of the same place, as a
 * copy of the node would, and so many clients come that the row is taken. */
void world_evict(struct world *w, struct world_node *leader, const struct world_node *n,
	struct decree_session session);
/** One read of the count. */
void world_read(struct world_mailbox *m, enum decree_consistency consistency);
/** One command of 8 bytes, its seq; or of @p bytes times the seq's low byte. */
void world_propose(struct world_mailbox *m, uint32_t bytes);

#endif
