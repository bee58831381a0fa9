/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file shard.h
 * The loop of one shard: the groups that it owns, their log, their part of the network, and the
 * commands of proposers and clients. It reaches the world through net_ops, log_ops and mailbox_ops
 * and is told the time, so the same code runs on a pinned thread and in the simulator.
 *
 * Start:  shard_init()
 *         shard_recover_meta(), then shard_recover_record() for everything that the log found
 *         shard_attach(), since log and network are open only by now
 *         shard_start()
 *         shard_turn() again and again; the first turns make the new boot count durable, and nothing
 *         is sent before it is.
 *
 * Threads:  all calls belong to one thread at a time.
 * Memory:   shard_bytes() of it, given by the caller, once. Nothing else is ever taken.
 * Errors:   a shard that must not go on stops: shard_stop_reason() says why, nothing more is sent.
 * Units:    nanoseconds of a monotonic clock, bytes.
 */
#ifndef RUNTIME_SHARD_H
#define RUNTIME_SHARD_H

#include "decree/client.h"
#include "engine/core/core.h"
#include "engine/runtime/client_msg.h"
#include "engine/runtime/mailbox_ops.h"
#include "engine/runtime/notes.h"
#include "engine/runtime/snap_ops.h"
#include "net/net_ops.h"
#include "wal/log_ops.h"

#define SHARD_GROUP_COUNT_MAX   62 /* hard states that fit one log's meta blob */
#define SHARD_GATEWAY_COUNT_MAX 16
#define SHARD_NET_TICK_NS       (5 * 1000 * 1000ull)

/* A program in a closed loop has its next command here within a few microseconds of the answer;
 * nobody notices the rest. */
#define SHARD_ANNOUNCE_NS 20000ull

struct shard_config {
	const struct net_ops *net_ops;
	uint32_t frame_bytes; /* capacity of a frame's payload */
	const struct log_ops *log_ops;
	uint64_t log_bytes; /* of the log directory: sizes the index of slots */

	const struct eng_config *groups; /* [group_count] copied; group ids need not be dense */
	uint32_t group_count;            /* 1 .. SHARD_GROUP_COUNT_MAX */
	const struct decree_machine_ops
		*machine_ops;  /* without snapshot hooks nothing is ever cut */
	void *const *machines; /* [group_count] lent */

	/* Where snapshots are kept; NULL: nowhere, and the log fills up for good. `snap_store` is
	 * lent, and is read from shard_recover_meta() on. */
	const struct snap_ops *snap_ops;
	void *snap_store;
	uint64_t snapshot_slots; /* cut one after so many slots; 0: when the log needs it */

	/* commands of one gateway without an outcome; power of two <= session_window */
	uint32_t gateway_window;
	uint32_t assembly_count; /* large commands put together at once; 0 = 8 */
	bool refuses_admin;      /* clients may not change how the cluster runs */

	/* Each may be NULL. Called from shard_turn() and shard_recover_record(). */
	void *context;
	void (*on_applied)(
		void *context, uint16_t group, struct decree_slot first, struct decree_slot after);
	void (*on_role)(void *context, uint16_t group, enum decree_role role, uint16_t leader,
		struct decree_ballot ballot);
	/* A line for the log. Rare. @param group  DECREE_NO_GROUP: it is about all groups */
	void (*on_note)(void *context, enum note note, int32_t group, const char *text);
	/* Complete what the loop does not know: log and network counters, memory, idle strategy,
	 * ... */
	void (*fill_status)(void *context, struct decree_status *status);
	/* This very moment, on the clock of shard_turn(). Needed for leases only. */
	uint64_t (*now_ns)(void *context);

	/* For how long the stages of a commit take; both NULL: nobody measures them. */
	struct shard_stages *stages;
	uint64_t (*stamp_ns)(void); /* as cheap as a clock can be, of any origin */
	/* What a metrics reply carries. NULL: clients that ask for it get no answer. */
	void (*fill_metrics)(void *context, uint16_t group, struct decree_metrics *ret_metrics);
	/* What an operator asks of the node and not of a group. Repeated under its token, a request
	 * tells how it stands. NULL: there is nothing to ask for.
	 * @param ret_text  [CLIENT_ADMIN_TEXT_BYTES + 1] */
	enum client_admin_status (*on_node_request)(void *context, uint64_t token, uint32_t op,
		const uint8_t *arguments, char *ret_text);
};

enum shard_stop {
	SHARD_RUNS = 0,
	SHARD_STOPPED_LOG = 1,  /* a write or flush failed: durability is unknown */
	SHARD_STOPPED_HALT = 2, /* the core found the cluster's or the log's safety broken */
	/* the state cannot be restored from the snapshot that it needs */
	SHARD_STOPPED_SNAPSHOT = 4,
	SHARD_STOPPED_NO_ROOM = 3, /* an append came short although there was room: our own error */
};

struct shard_counters {
	uint64_t turns;
	uint64_t turns_busy;    /* turns that did something */
	uint64_t turns_no_room; /* turns without new input, because the log's buffer was full */
	uint64_t log_full;      /* times that commands began to wait for room in the log */
	uint64_t messages_in;
	uint64_t messages_out; /* of the core */
	uint64_t frames_out;   /* of all kinds */
	uint64_t malformed;    /* payloads that did not decode, or claimed another sender */
	uint64_t no_frame;     /* messages lost because no empty frame was left */
	/* messages dropped because a burst needed more log than was left */
	uint64_t no_room_dropped;
	uint64_t appended; /* records */
	uint64_t hard_states;
	uint64_t executed;  /* commands handed to the state machines */
	uint64_t skipped;   /* repeats, gaps and unknown sessions */
	uint64_t forwarded; /* commands of own proposers, sent to the leader */
	uint64_t client_commands;
	uint64_t client_refused;    /* redirected, busy */
	uint64_t snapshots;         /* cut here, durable */
	uint64_t snapshots_failed;  /* begun, and given up */
	uint64_t snapshots_fetched; /* from peers, installed */
	uint64_t snapshot_bytes;    /* written and received */
	uint64_t trims;             /* times that the log was let go a little further */
	uint64_t reads;             /* of the log */
	uint64_t reads_failed;
};

struct shard;

size_t shard_bytes(const struct shard_config *config);

/** @param memory  [shard_bytes()], zeroed, 64-byte aligned, lent until the shard is no longer used */
struct shard *shard_init(void *memory, const struct shard_config *config);

/** Size of the hard state blob of a log directory with that many groups. */
uint32_t shard_meta_bytes(uint32_t group_count);

/**
 * The hard state blob found by recovery. Groups whose hard state points to a snapshot are restored
 * from it here: this may take a while. Why that failed is shard_stop_reason()'s text.
 * @param ret_boot_count  boot_count of the run before
 * @retval -EBADMSG  not a blob of this version, or of another number of groups
 */
int
shard_recover_meta(struct shard *s, const uint8_t *blob, uint32_t bytes, uint64_t *ret_boot_count);

/** The hearsay blob found by recovery, if there is any. @retval -EBADMSG  not one of this version:
 * the shard goes on, and remembers nothing */
int shard_recover_hearsay(struct shard *s, const uint8_t *blob, uint32_t bytes);

/** Each record found by recovery, in log order. @retval -EBADMSG it names a group that is not here */
int shard_recover_record(struct shard *s, const uint8_t *tag, const uint8_t *payload,
	uint32_t bytes, struct log_place place);

/**
 * In the place of a record that was durable once and cannot be read any more (protocol 11.3): what
 * other places on the disk say of it.
 * @param tag  of the record: group, slot, ballot and digest are known, the value is gone
 * @retval -EBADMSG  it names a group that is not here
 */
int shard_recover_damaged(struct shard *s, const uint8_t *tag, struct log_place place);

/**
 * The same, where less is known.
 * @param first  slots [first, after) of that group, of any ballot; 0: any slots, of any group of
 *               this log
 * @retval -EBADMSG  there is no such group
 */
int shard_recover_unknown(struct shard *s, uint16_t group, struct decree_slot first,
	struct decree_slot after, struct log_place place);

/** What the tables of the configuration work on. Before shard_start(); both lent. */
void shard_attach(struct shard *s, void *log, void *net);

/** Everything has been handed over. @param boot_count  of this run: higher than any before */
void shard_start(struct shard *s, uint64_t boot_count, uint64_t now_ns);

/** One turn: bounded work. @return whether it did any */
bool shard_turn(struct shard *s, uint64_t now_ns);

/** A turn is due then even if nothing arrives; at once, if the last one left something undone.
 * UINT64_MAX: only the log can make one due, and has to be asked whether it has. */
uint64_t shard_wake_at(const struct shard *s);

/** Writes are on their way: a thread that shares its CPU should give way now and then. */
bool shard_is_log_busy(const struct shard *s);

/** For how long the log has made nothing durable of what it was given; 0 = nothing of it waits. */
uint64_t shard_log_waits_ns(const struct shard *s, uint64_t now_ns);

/** The boot count is durable and the groups run. */
bool shard_has_started(const struct shard *s);

/** @param ret_text  [DECREE_ERROR_BYTES] one sentence, "" while it runs; may be NULL */
enum shard_stop shard_stop_reason(const struct shard *s, char *ret_text);

/**
 * Open a way in for one proposer.
 * @param token  16 fresh random bytes: the session's name
 * @retval >= 0     its index, for shard_gateway_close()
 * @retval -ENOENT  no such group  @retval -EMFILE  SHARD_GATEWAY_COUNT_MAX are open
 */
int shard_gateway_open(struct shard *s, uint16_t group, const uint8_t token[DECREE_UUID_BYTES],
	const struct mailbox_ops *ops, void *mailbox);

/** The mailbox is not touched any more. */
void shard_gateway_close(struct shard *s, int gateway);

/** @retval -ENOENT no such group */
int
shard_group_status(const struct shard *s, uint16_t group, struct decree_group_status *ret_status);

/** Everything that a status reply carries. @retval -ENOENT no such group */
int shard_status(
	const struct shard *s, uint16_t group, uint64_t now_ns, struct decree_status *ret_status);

const struct shard_counters *shard_counters(const struct shard *s);

/** For checkers: the replica and the sessions of one group, NULL if it is not here. */
const struct eng_replica *shard_replica(const struct shard *s, uint16_t group);
const struct eng_sessions *shard_sessions(const struct shard *s, uint16_t group);

#endif
