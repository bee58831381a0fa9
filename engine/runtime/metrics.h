/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file metrics.h
 * The one table of metrics. A row says what a metric is called, what it means, and how it is read
 * from what a shard knows between two turns of its loop; everything else follows from it:
 *
 *   metrics_table.c   the rows without the reading: decree_metric_at()
 *   metrics_fill.c    the reading: shard's thread, every METRICS_PERIOD_NS and when a client asks
 *   board.c           where shards put the values for other threads
 *   metrics_text.c    Prometheus' text        metrics_http.c  ... over HTTP
 *   telemetry.c       DPDK's telemetry        client_msg_metrics.c  for clients: `decree top`
 *
 * The values travel by position, so a row is added behind the last one of METRIC_TABLE, or of
 * METRIC_PEER_TABLE, and none is ever taken away or moved.
 */
#ifndef ENGINE_RUNTIME_METRICS_H
#define ENGINE_RUNTIME_METRICS_H

#include "base/assert.h"
#include "decree/metrics.h"
#include "engine/runtime/stages.h"
#include "net/drop.h"

/* X(scope, kind, unit, name, labels, expression of `s`, help). `s` is a struct metric_source. */
#define METRIC_TABLE(X)                                                                            \
	X(NODE, GAUGE, NONE, "decree_node_info", METRIC_INFO, 1,                                   \
		"Which version runs, and how its log, authentication and idle strategy are set.")  \
	X(NODE, GAUGE, SECONDS, "decree_uptime_seconds", "", s->status.uptime_ns,                  \
		"Since the process began.")                                                        \
	X(NODE, GAUGE, SECONDS, "decree_start_seconds", "", s->status.start_to_ready_ns,           \
		"From the begin of the process until it took part.")                               \
	X(NODE, GAUGE, NONE, "decree_boot_number", "", s->status.boot_count,                       \
		"Starts of this node since it was formatted.")                                     \
	X(NODE, GAUGE, BYTES, "decree_memory_bytes", "", s->status.memory_bytes,                   \
		"Resident memory and huge pages of the process.")                                  \
	X(SHARD, COUNTER, NONE, "decree_loop_turns_total", "", s->counters->turns,                 \
		"Turns of the shard's loop.")                                                      \
	X(SHARD, COUNTER, NONE, "decree_loop_busy_turns_total", "", s->counters->turns_busy,       \
		"Turns that found work.")                                                          \
	X(SHARD, COUNTER, NONE, "decree_loop_blocked_turns_total", "", s->counters->turns_no_room, \
		"Turns that took no input since the log's buffer was full.")                       \
	X(SHARD, COUNTER, NONE, "decree_frames_received_total", "", s->status.frames_received,     \
		"Authentic payloads handed to the loop.")                                          \
	X(SHARD, COUNTER, NONE, "decree_frames_sent_total", "", s->status.frames_sent,             \
		"Payloads handed to a port.")                                                      \
	X(SHARD, COUNTER, NONE, "decree_messages_received_total", "", s->counters->messages_in,    \
		"Messages between replicas that arrived.")                                         \
	X(SHARD, COUNTER, NONE, "decree_messages_sent_total", "", s->counters->messages_out,       \
		"Messages between replicas that left.")                                            \
	X(SHARD, COUNTER, NONE, "decree_messages_lost_total", "reason=\"malformed\"",              \
		s->counters->malformed,                                                            \
		"Messages that the loop could not take or send; they are repeated.")               \
	X(SHARD, COUNTER, NONE, "decree_messages_lost_total", "reason=\"no_frame\"",               \
		s->counters->no_frame,                                                             \
		"Messages that the loop could not take or send; they are repeated.")               \
	X(SHARD, COUNTER, NONE, "decree_messages_lost_total", "reason=\"no_room\"",                \
		s->counters->no_room_dropped,                                                      \
		"Messages that the loop could not take or send; they are repeated.")               \
	X(SHARD, COUNTER, NONE, "decree_commands_forwarded_total", "", s->counters->forwarded,     \
		"Commands of this process that were sent to the leader.")                          \
	X(SHARD, COUNTER, NONE, "decree_commands_skipped_total", "", s->counters->skipped,         \
		"Commands in the log that are repeats or of unknown sessions.")                    \
	X(SHARD, COUNTER, NONE, "decree_client_commands_total", "", s->counters->client_commands,  \
		"Commands of remote clients that arrived here.")                                   \
	X(SHARD, COUNTER, NONE, "decree_client_refused_total", "", s->counters->client_refused,    \
		"Those that were sent elsewhere, or told to come again.")                          \
	X(SHARD, GAUGE, BYTES, "decree_log_size_bytes", "", s->wal.log_bytes,                      \
		"What the log may hold.")                                                          \
	X(SHARD, GAUGE, BYTES, "decree_log_used_bytes", "", s->wal.used_bytes, "What it holds.")   \
	X(SHARD, GAUGE, NONE, "decree_log_unflushed_records", "",                                  \
		s->wal.lsn_appended - s->wal.lsn_durable, "Records that are not durable yet.")     \
	X(SHARD, COUNTER, NONE, "decree_log_records_total", "", s->counters->appended,             \
		"Records appended to the log.")                                                    \
	X(SHARD, COUNTER, NONE, "decree_log_hard_states_total", "", s->counters->hard_states,      \
		"Hard states written: promises.")                                                  \
	X(SHARD, COUNTER, NONE, "decree_log_writes_total", "", s->wal.write_count,                 \
		"Writes of the log.")                                                              \
	X(SHARD, COUNTER, BYTES, "decree_log_written_bytes_total", "", s->wal.write_bytes,         \
		"Bytes of these writes.")                                                          \
	X(SHARD, COUNTER, NONE, "decree_log_full_total", "", s->counters->log_full,                \
		"Times that commands began to wait for room in the log.")                          \
	X(SHARD, COUNTER, NONE, "decree_log_scrubs_total", "", s->wal.scrub_pass_count,            \
		"Times that the whole log was read again.")                                        \
	X(SHARD, COUNTER, BYTES, "decree_log_scrubbed_bytes_total", "", s->wal.scrub_bytes,        \
		"Bytes read again.")                                                               \
	X(SHARD, COUNTER, NONE, "decree_snapshots_total", "", s->counters->snapshots,              \
		"Snapshots written here.")                                                         \
	X(SHARD, COUNTER, NONE, "decree_snapshots_failed_total", "",                               \
		s->counters->snapshots_failed, "Snapshots begun and given up.")                    \
	X(SHARD, COUNTER, NONE, "decree_snapshots_fetched_total", "",                              \
		s->counters->snapshots_fetched, "Snapshots taken over from other nodes.")          \
	X(SHARD, HISTOGRAM, SECONDS, "decree_stage_seconds", "stage=\"durable\"",                  \
		stage_count(&s->stages->durable), METRIC_STAGE_HELP)                               \
	X(SHARD, HISTOGRAM, SECONDS, "decree_stage_seconds", "stage=\"chosen\"",                   \
		stage_count(&s->stages->chosen), METRIC_STAGE_HELP)                                \
	X(SHARD, HISTOGRAM, SECONDS, "decree_stage_seconds", "stage=\"apply\"",                    \
		stage_count(&s->stages->apply), METRIC_STAGE_HELP)                                 \
	X(SHARD, GAUGE, SECONDS, "decree_stage_recent_seconds", "stage=\"durable\",share=\"0.5\"", \
		s->recent.durable[0], METRIC_RECENT_HELP)                                          \
	X(SHARD, GAUGE, SECONDS, "decree_stage_recent_seconds",                                    \
		"stage=\"durable\",share=\"0.99\"", s->recent.durable[1], METRIC_RECENT_HELP)      \
	X(SHARD, GAUGE, SECONDS, "decree_stage_recent_seconds", "stage=\"chosen\",share=\"0.5\"",  \
		s->recent.chosen[0], METRIC_RECENT_HELP)                                           \
	X(SHARD, GAUGE, SECONDS, "decree_stage_recent_seconds", "stage=\"chosen\",share=\"0.99\"", \
		s->recent.chosen[1], METRIC_RECENT_HELP)                                           \
	X(SHARD, GAUGE, SECONDS, "decree_stage_recent_seconds", "stage=\"apply\",share=\"0.5\"",   \
		s->recent.apply[0], METRIC_RECENT_HELP)                                            \
	X(SHARD, GAUGE, SECONDS, "decree_stage_recent_seconds", "stage=\"apply\",share=\"0.99\"",  \
		s->recent.apply[1], METRIC_RECENT_HELP)                                            \
	X(SHARD, GAUGE, SECONDS, "decree_shard_silent_seconds", "", 0,                             \
		"Since the shard last said anything: more than a second, and it hangs.")           \
	X(GROUP, GAUGE, NONE, "decree_role", "", s->status.role,                                   \
		"0 follower, 1 candidate, 2 leader.")                                              \
	X(GROUP, GAUGE, NONE, "decree_ready", "", s->status.ready,                                 \
		"1 where a leader takes commands.")                                                \
	X(GROUP, GAUGE, NONE, "decree_leader_node", "", s->status.leader,                          \
		"Number of the node that leads, as this one knows; 0 none.")                       \
	X(GROUP, GAUGE, NONE, "decree_ballot_round", "", s->status.ballot.n >> 16,                 \
		"Round of the ballot that this node follows.")                                     \
	X(GROUP, COUNTER, NONE, "decree_elections_total", "", s->status.elections,                 \
		"Elections that this node has begun.")                                             \
	X(GROUP, GAUGE, NONE, "decree_chosen_slot", "", s->status.chosen.n,                        \
		"Every slot up to here is chosen, as this node knows.")                            \
	X(GROUP, GAUGE, NONE, "decree_applied_slot", "", s->status.applied.n,                      \
		"Every slot up to here is applied.")                                               \
	X(GROUP, GAUGE, NONE, "decree_agreed_slot", "", s->status.agreed.n,                        \
		"Newest slot after which a majority had the same state.")                          \
	X(GROUP, GAUGE, NONE, "decree_low_slot", "", s->status.low.n,                              \
		"The log goes back to here.")                                                      \
	X(GROUP, COUNTER, NONE, "decree_commands_total", "", s->status.applied_count,              \
		"Commands executed.")                                                              \
	X(GROUP, GAUGE, NONE, "decree_commands_per_second", "", s->recent.commands_per_s,          \
		"Commands executed in the second before.")                                         \
	X(GROUP, COUNTER, NONE, "decree_messages_dropped_total", "", s->status.messages_dropped,   \
		"Messages between replicas that were stale, of strangers or beyond the window.")   \
	X(GROUP, COUNTER, NONE, "decree_reads_total", "", s->status.reads, "Reads answered here.") \
	X(GROUP, COUNTER, NONE, "decree_lease_reads_total", "", s->status.lease_reads,             \
		"Those that needed no round trip.")                                                \
	X(GROUP, COUNTER, NONE, "decree_read_rounds_total", "", s->status.read_rounds,             \
		"Rounds of heartbeats that this node led for reads.")                              \
	X(GROUP, GAUGE, NONE, "decree_has_lease", "", s->status.has_lease,                         \
		"1 where a leader answers lease reads by itself.")                                 \
	X(GROUP, GAUGE, NONE, "decree_sessions", "", s->status.session_count,                      \
		"Clients and proposers that are known.")                                           \
	X(GROUP, COUNTER, NONE, "decree_sessions_evicted_total", "",                               \
		s->status.session_evicted_count, "Sessions that gave way to others.")              \
	X(GROUP, GAUGE, NONE, "decree_log_full", "", s->status.log_full,                           \
		"1 while commands are refused since the log is full.")                             \
	X(GROUP, GAUGE, NONE, "decree_log_damaged_slots", "", s->status.log_damaged,               \
		"Slots whose copy in this log is damaged and not repaired yet.")                   \
	X(GROUP, GAUGE, NONE, "decree_log_doubtful", "", s->status.log_doubtful,                   \
		"1 while more may be damaged than is known: the node does not vote.")              \
	X(GROUP, COUNTER, NONE, "decree_log_rewritten_total", "", s->status.log_rewritten,         \
		"Records that had rotten and were written again.")                                 \
	X(GROUP, GAUGE, NONE, "decree_snapshot_slot", "", s->status.snapshot.n,                    \
		"Slot of the snapshot that counts; 0 none.")                                       \
	X(GROUP, GAUGE, BYTES, "decree_snapshot_size_bytes", "", s->status.snapshot_bytes,         \
		"Size of that snapshot.")                                                          \
	X(GROUP, GAUGE, SECONDS, "decree_snapshot_timestamp_seconds", "",                          \
		s->status.snapshot_unix_s * 1000000000u, "When it was finished, since 1970.")      \
	X(GROUP, GAUGE, NONE, "decree_snapshot_space_low", "", s->status.snapshot_space_low,       \
		"1 while commands are refused for want of space for snapshots.")                   \
	X(GROUP, GAUGE, NONE, "decree_snapshot_damaged", "", s->status.snapshot_damaged,           \
		"1 while the snapshot's file has rotten.")                                         \
	X(GROUP, GAUGE, NONE, "decree_config_epoch", "", s->status.epoch,                          \
		"Number of the newest configuration of members.")                                  \
	X(GROUP, GAUGE, NONE, "decree_members", "", s->status.member_count,                        \
		"Voters and learners of that configuration.")                                      \
	X(GROUP, GAUGE, NONE, "decree_is_voter", "", s->status.kind == DECREE_VOTER,               \
		"1 where this node votes.")                                                        \
	X(GROUP, GAUGE, NONE, "decree_is_changing", "", s->status.is_changing,                     \
		"1 while the members change.")                                                     \
	X(GROUP, GAUGE, NONE, "decree_cluster_version", "", s->status.version,                     \
		"Of which version the cluster is; 0 not known yet.")                               \
	X(GROUP, GAUGE, NONE, "decree_program_version", "", s->status.version_max,                 \
		"The highest version that the node's program speaks.")                             \
	X(SHARD, HISTOGRAM, SECONDS, "decree_stage_seconds", "stage=\"rx\"",                       \
		stage_count(&s->stages->rx), METRIC_STAGE_HELP)                                    \
	X(SHARD, HISTOGRAM, SECONDS, "decree_stage_seconds", "stage=\"decode\"",                   \
		stage_count(&s->stages->decode), METRIC_STAGE_HELP)                                \
	X(SHARD, HISTOGRAM, SECONDS, "decree_stage_seconds", "stage=\"step\"",                     \
		stage_count(&s->stages->step), METRIC_STAGE_HELP)                                  \
	X(SHARD, HISTOGRAM, SECONDS, "decree_stage_seconds", "stage=\"submit\"",                   \
		stage_count(&s->stages->submit), METRIC_STAGE_HELP)                                \
	X(SHARD, HISTOGRAM, SECONDS, "decree_stage_seconds", "stage=\"tx\"",                       \
		stage_count(&s->stages->tx), METRIC_STAGE_HELP)

#define METRIC_DROP_HELP                                                                           \
	"Frames that the network turned away, by reason; operating.md says what to look at."
#define METRIC_STAGE_HELP                                                                          \
	"Time of each stage of a commit: rx a wait for the loop, decode a burst of frames, step "  \
	"the "                                                                                     \
	"core, submit the log's write; durable a batch of records until the disk has it, chosen "  \
	"a "                                                                                       \
	"leader's slot until a quorum has it; apply the state machine, tx answers and votes."
#define METRIC_RECENT_HELP "Of the second before: the time that this share of them did not exceed."
#define METRIC_INFO        "@info" /* labels that are known at run time only */

/* X(unit, name, expression of `p` and `s`, help). `p` is a struct decree_peer_row. */
#define METRIC_PEER_TABLE(X)                                                                       \
	X(NONE, "decree_peer_up", p->session_up, "1 where there is a session with that node.")     \
	X(SECONDS, "decree_peer_echo_age_seconds", p->echo_age_ns,                                 \
		"On a leader: since that node answered; +Inf never.")                              \
	X(NONE, "decree_peer_commit_slot", p->commit.n,                                            \
		"What that node knows to be chosen, as far as this one has heard.")                \
	X(NONE, "decree_peer_lag_slots",                                                           \
		s->status.chosen.n > p->commit.n ? s->status.chosen.n - p->commit.n : 0,           \
		"Slots chosen here that it did not know of then.")

enum {
#define X(scope, kind, unit, name, labels, expression, help) +1
	METRIC_ROW_COUNT = 0 METRIC_TABLE(X),
#undef X
#define X(unit, name, expression, help) +1
	METRIC_PEER_ROW_COUNT = 0 METRIC_PEER_TABLE(X),
#undef X
	METRIC_DROP_COUNT = NET_DROP_COUNT - 1, /* NET_DROP_NONE is no reason */
	METRIC_COUNT = METRIC_ROW_COUNT + METRIC_DROP_COUNT,
};

static_assert((int)METRIC_COUNT <= DECREE_METRIC_COUNT_MAX, "all have a place");
static_assert((int)METRIC_PEER_ROW_COUNT <= DECREE_PEER_METRIC_COUNT_MAX, "all have a place");

/** @return the index of the first row of that name; there is one */
uint32_t metrics_row_of(const char *name);

/** May a program add these? @param ret_error  [DECREE_ERROR_BYTES] which row, and why not  @retval 0
 * @retval -EINVAL */
int metrics_program_check(const struct decree_metric *rows, uint32_t count, char *ret_error);

struct decree_node;

/** What the program around the node counts: one asker at a time. Any thread that is no shard's.
 * @return false: it has none, or does not know it now */
bool metrics_of_program(struct decree_node *node, uint64_t *ret_values);

#endif
