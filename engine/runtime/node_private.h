/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file node_private.h
 * The inside of a node, for the files that put it on threads, DPDK and a disk:
 *
 *   node.c     open, start, stop, close        recover.c   a shard's memory and what its log holds
 *   eal.c      DPDK's EAL, ours or the host program's
 *   thread.c   a shard's thread                proposer.c  proposers and their mailboxes
 *   control.c  the control thread: slow work, the log lines, memory, what status requests show
 *   metrics_fill.c, metrics_recent.c, metrics_text.c, metrics_http.c   see metrics.h
 *   capture.c  frames in a file, while an operator wants them
 *   node_network.c  keys, ports and peers, as the network is told of them
 *   local_clients.c  clients on this host, of a node without ports
 *   watch.c    what the network turns away, told to the operator
 *   snap_thread.c  the thread that serves the shards' snapshot files
 *   clock.c    the node's clock, and whether leases may trust it
 */
#ifndef RUNTIME_NODE_PRIVATE_H
#define RUNTIME_NODE_PRIVATE_H

#include "base/assert.h"
#include "base/memory.h"
#include "engine/runtime/board.h"
#include "engine/runtime/capture.h"
#include "engine/runtime/config.h"
#include "engine/runtime/identity.h"
#include "engine/runtime/mailbox.h"
#include "engine/runtime/metrics.h"
#include "engine/runtime/shard.h"
#include "engine/runtime/snap_file.h"
#include "net/local.h"
#include "net/net.h"
#include "wal/directory.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define NODE_ARENA_BYTES_MIN (4u << 20)
#define NODE_LOG_LINE_COUNT  64
#define NODE_WATCH_COUNT     16
#define NODE_CONTROL_NS      (10 * 1000 * 1000ull)
#define METRICS_PERIOD_NS    (50 * 1000 * 1000ull)

/* A proposer's place at its shard. Each state has one writer, who hands the slot on with a release
 * that pairs with the other side's acquire. */
enum slot_state {
	SLOT_FREE = 0,    /* anybody may claim it */
	SLOT_CLAIMED = 1, /* the proposer's thread fills it */
	SLOT_OPENING = 2, /* the shard shall open it */
	SLOT_OPEN = 3,
	SLOT_CLOSING = 4, /* the shard shall close it */
	SLOT_CLOSED = 5,  /* the shard does not touch the mailbox any more */
};

struct proposer_slot {
	_Atomic uint32_t state;
	uint16_t group;
	int gateway; /* shard's */
	uint8_t token[DECREE_UUID_BYTES];
	struct mailbox *mailbox;
};

struct log_line {
	enum note note;
	int32_t group;
	char text[DECREE_ERROR_BYTES];
};

/* One question about a group at a time, from whatever thread: the asker holds status_mutex. */
enum question_state {
	QUESTION_NONE = 0,
	QUESTION_ASKED = 1,
	QUESTION_ANSWERING = 2,
	QUESTION_ANSWERED = 3,
};

enum recent_stage {
	RECENT_DURABLE = 0,
	RECENT_CHOSEN = 1,
	RECENT_APPLY = 2,
	RECENT_STAGE_COUNT = 3,
};

/* What happened in the second before. The control thread writes; the shard reads what is atomic,
 * relaxed. */
struct shard_recent {
	_Atomic uint64_t quantiles_ns[RECENT_STAGE_COUNT][2]; /* the median, and 99 % */
	_Atomic uint64_t commands_per_s[SHARD_GROUP_COUNT_MAX];
	uint64_t next_ns;
	uint64_t last_buckets[RECENT_STAGE_COUNT][STAGE_BUCKET_COUNT];
	uint64_t last_commands[SHARD_GROUP_COUNT_MAX];
	uint64_t last_ns[SHARD_GROUP_COUNT_MAX]; /* 0: not looked yet */
};

struct node_shard {
	struct decree_node *node;
	uint16_t index;
	uint16_t cpu; /* where it runs, if is_pinned */
	bool is_pinned;
	struct shard *shard; /* owner: its thread while that runs, else the owner of the node */
	void *memory;
	size_t memory_bytes;
	struct wal *wal;
	struct snap_store *snaps; /* NULL: the machine has no snapshot hooks */
	struct shard_config config;
	struct eng_config groups[SHARD_GROUP_COUNT_MAX];
	void *machines[SHARD_GROUP_COUNT_MAX];
	uint64_t found_boot_count;
	const char *refusal;     /* why recovery was refused, NULL: not by us */
	uint32_t damaged_count;  /* records of its log that recovery could only name */
	uint32_t nameless_count; /* holes in it of which nothing is known */

	pthread_t thread;
	bool has_thread; /* to be joined */

	/* The shard's thread, in each turn, and others look at `turns` ten times a second at most. */
	BASE_OWN_LINE _Atomic uint64_t turns; /* relaxed: only that it moves tells anything */
	uint64_t turn_at_ns;                  /* of the turn before, for the sleep strategy */
	uint32_t vain_look_score; /* how seldom a turn behind one that did something finds more */
	uint32_t look_skip_count;
	uint32_t slots_served; /* what slots_asked was when it looked last */
	uint64_t publish_at_ns;
	uint32_t publish_next;
	_Atomic bool is_running; /* release when the thread is done with `shard` */

	/* Whoever wants something of the shard, which looks at the first line in each turn: to open
	 * or close a proposer, or, under status_mutex, to be told of a group. */
	/* so often has a proposer left the shard something to do in its slot */
	BASE_OWN_LINE _Atomic uint32_t slots_asked;
	_Atomic uint32_t question;
	struct proposer_slot slots[SHARD_GATEWAY_COUNT_MAX];
	uint16_t question_group;
	int question_rc;
	struct decree_group_status question_answer;

	/* Metrics, which the shard writes: see metrics.h. */
	struct shard_stages stages;
	struct board *boards; /* [config.group_count] */

	/* Lines for the log: the shard writes, the control thread reads. */
	struct log_line *lines;                   /* [NODE_LOG_LINE_COUNT] */
	BASE_OWN_LINE _Atomic uint64_t line_head; /* release: the line is whole */
	_Atomic uint64_t lines_lost;

	/* The control thread. */
	BASE_OWN_LINE _Atomic uint64_t line_tail;
	uint64_t turns_seen; /* of the last pulse */
	struct shard_recent recent;
	/* relaxed: what status replies show of each peer's session */
	_Atomic uint8_t peer_up[DECREE_NODE_COUNT_MAX];
};
BASE_ASSERT_APART(struct node_shard, has_thread, turns);
BASE_ASSERT_APART(struct node_shard, is_running, slots_asked);
BASE_ASSERT_APART(struct node_shard, question_answer, stages);
BASE_ASSERT_APART(struct node_shard, boards, line_head);
BASE_ASSERT_APART(struct node_shard, lines_lost, line_tail);
BASE_ASSERT_WHOLE_LINES(struct node_shard);

/* How much of one kind of drop the operator was told about. */
struct node_watch {
	uint64_t count;
	uint64_t quiet_until_ns;
};

/* What clock_slew_ppm() last saw. */
struct clock_watch {
	uint64_t steered_ns;
	uint64_t raw_ns; /* 0: not looked yet */
};

struct decree_node {
	struct config config;
	struct decree_options options; /* strings and arrays in it are void after decree_open() */
	struct decree_machine_ops machine_ops;
	pthread_t owner;
	struct decree_uuid disk;
	uint8_t identity[IDENTITY_BYTES];
	uint64_t boot_count;
	uint64_t nonce;
	enum decree_idle idle;     /* never AUTO */
	uint64_t process_start_ns; /* of node_now_ns() */
	_Atomic uint64_t ready_ns; /* start of the process to the first turn; 0 = not yet */

	bool owns_eal;
	struct net_eal_args *eal_args;
	struct net_node *net; /* NULL: a cluster of one without ports, */
	struct local *local;  /* and perhaps with clients on its own host. NULL: none */
	pthread_t local_thread;
	bool has_local_thread;
	uint32_t shard_count;
	struct node_shard *shards; /* [shard_count] */

	struct metrics_server *metrics_server; /* NULL: nobody is served */
	struct snap_directory *snap_directory; /* NULL: no snapshots */
	pthread_t snap_thread;
	bool has_snap_thread;

	pthread_t control;
	bool has_control;
	bool is_started;

	/* Written once, at the end; every shard looks in each turn. */
	BASE_OWN_LINE _Atomic bool stop; /* every thread ends its loop */
	_Atomic int failed;              /* 0, or -errno: a shard stopped by itself */

	/* Whoever asks for something. */
	BASE_OWN_LINE pthread_mutex_t failed_mutex;
	char failed_text[DECREE_ERROR_BYTES];
	pthread_mutex_t program_mutex; /* whoever reads the program's metrics */
	pthread_mutex_t status_mutex;  /* askers of decree_group_status(); no shard ever takes it */
	struct capture capture;

	/* The control thread. */
	BASE_OWN_LINE _Atomic uint64_t memory_bytes;
	struct line_budget {
		uint64_t since_ns; /* a second of it */
		uint32_t written;
		uint64_t left_out;
	} line_budgets[NOTE_COUNT];
	uint64_t pulse_at_ns; /* not before */
	struct node_watch watches[NODE_WATCH_COUNT];
	uint64_t narrow_quiet_until_ns[DECREE_NODE_COUNT_MAX]; /* by peer */
	struct clock_watch clock;

	struct decree_node *telemetry_next; /* telemetry.c's */
};
BASE_ASSERT_APART(struct decree_node, is_started, stop);
BASE_ASSERT_APART(struct decree_node, failed, failed_mutex);
BASE_ASSERT_APART(struct decree_node, capture, memory_bytes);
BASE_ASSERT_WHOLE_LINES(struct decree_node);

/** To on_log_line, on_log, or standard error. Owner's and control thread. */
void node_log(struct decree_node *node, enum note note, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/** Remember why, and let every thread end. Any thread. */
void node_fail(struct decree_node *node, int rc, const char *text);

/* node_network.c */
/** The keys that a configuration names, as the network wants them. @retval -errno  `ret_error` says
 * which, and why */
int node_read_keys(const struct config *c, struct net_config *net, char *ret_error);
/** Those of clients alone. */
int node_read_client_keys(const struct config *c, struct net_config *net, char *ret_error);
void node_forget_keys(struct net_config *net);
struct node_network {
	struct net_config net; /* points into the rest */
	struct net_port_config ports[CONFIG_PORT_COUNT_MAX];
	struct net_peer_config peers[DECREE_NODE_COUNT_MAX];
};
/** What this node's configuration says to the network, and what its peers know it by; no keys. */
void node_network_plan(const struct decree_node *node, struct node_network *ret_plan);
/** With keys, ports and peers. EAL is there. */
int node_network_open(struct decree_node *node, char *ret_error);

/* local_clients.c */
/** Hear clients on this host, if this node has no port and its address is one of loopback. Cannot
 * fail: without them it serves all the same, and a line of the log says why. */
void local_clients_open(struct decree_node *node);
/** @return 0 or -errno */
int local_clients_start(struct decree_node *node);
void local_clients_join(struct decree_node *node);
/** What a shard's network has counted. Any thread. @return NULL: it has none */
const struct net_counters *node_shard_counters(const struct node_shard *ns);

/* metrics_http.c */
/** Bind a socket to "127.0.0.1:9464" or "[::1]:9464". @return its descriptor, or -errno */
int metrics_listen(const char *where);

/* probe.c */
/** Who answers on the network: of a node without shards. To be called once in a process. */
struct probe {
	/* by peer, as in the configuration without this node */
	enum net_reach reach[DECREE_NODE_COUNT_MAX];
	bool has_address[DECREE_NODE_COUNT_MAX];
	bool is_address_taken;
	uint8_t taken_by[6];
	char steering[NET_STEERING_BYTES]; /* net_describe_steering() */
};
int probe_run(struct decree_node *node, struct probe *ret_probe, char *ret_error);

/* recover.c */
int recover_shards(struct decree_node *node, char *ret_error);
void recover_undo(struct decree_node *node);

/* eal.c */
/** Before anything is opened: is what the ports name there, and to be had? */
int eal_check_devices(const struct config *c, char *ret_error);
/** Start EAL for this node alone. */
int eal_start(struct decree_node *node, char *ret_error);
/** End what eal_start() has started, or has begun to. */
void eal_stop(struct decree_node *node);
/** May the node run on the EAL that the host program has started?
 * @retval -EINVAL it has not  @retval -ENOTSUP a secondary process  @retval -EBUSY one is attached
 * @retval -ENOSPC too few lcore ids are left */
int eal_check_hosts(struct decree_node *node, char *ret_error);

/* thread.c */
int thread_start(struct node_shard *ns);
void thread_join(struct node_shard *ns);
/** May threads run on the CPUs that the configuration names? @retval -EINVAL  `ret_error` says on
 * which not */
int thread_check_cpus(const struct config *c, char *ret_error);
/** Is this the shard's own thread? */
bool thread_is_of(const struct node_shard *ns);
/** Is this the thread of any shard? */
bool thread_is_shards(void);
enum decree_idle idle_choose(const struct decree_node *node);
const char *idle_name(enum decree_idle idle);
/**
 * How long `sleep` sleeps behind an empty turn.
 *
 * @param idle_ns        since the last turn that did something
 * @param log_waits_ns   since the log last made something durable of what it has; 0 = it has
 *                       nothing
 * @param until_wake_ns  a turn is due then
 * @return 0: yield
 */
uint64_t idle_pause_ns(uint64_t idle_ns, uint64_t log_waits_ns, uint64_t until_wake_ns);

/* control.c */
/* A thread that is no shard's: on control_cpu, if there is one. @return 0 or -errno */
int control_thread_start(const struct decree_node *node, pthread_t *ret_thread,
	void *(*main)(void *), void *context);
int control_start(struct decree_node *node);
void control_join(struct decree_node *node);
void control_fill_status(void *context, struct decree_status *status); /* context: node_shard */
uint64_t control_memory_bytes(void);

/* lines.c */
void
lines_push(void *context, enum note note, int32_t group, const char *text); /* shard's thread */
void lines_drain(struct node_shard *ns, uint64_t now_ns); /* control thread, as those below */
/** @param ret_left_out  how many of this kind were in the second before */
bool lines_may_write(struct line_budget *b, uint64_t now_ns, uint64_t *ret_left_out);
/** Say what was left out, also if nothing follows it. */
void lines_look_back(struct decree_node *node, uint64_t now_ns);

/* metrics_fill.c: shard's thread, but the last one */
void metrics_fill(void *context, uint16_t group, struct decree_metrics *ret_metrics);
void metrics_publish(struct node_shard *ns, uint64_t now_ns);
/** What a group's shard said last. Any thread. @return false: it has not said anything yet */
bool metrics_look(struct decree_node *node, uint16_t group, struct decree_metrics *ret_metrics);

/* metrics_recent.c: control thread */
void metrics_look_back(struct node_shard *ns, uint64_t now_ns);

/* metrics_text.c */
/**
 * Everything in Prometheus' text format 0.0.4.
 * @return [*ret_bytes] to be freed; NULL: no memory. Any thread.
 */
char *metrics_text(struct decree_node *node, size_t *ret_bytes);

/* telemetry.c: owner */
/** From here on DPDK's telemetry answers for this node, until telemetry_close(). */
void telemetry_open(struct decree_node *node);
void telemetry_close(struct decree_node *node);

/* metrics_http.c */
/** Listen where [metrics] says, if it does. Owner. @retval -errno  `ret_error` says why */
int metrics_server_open(struct decree_node *node, char *ret_error);
int metrics_server_start(struct decree_node *node);
void metrics_server_join(struct decree_node *node);
void metrics_server_close(struct decree_node *node);

/* watch.c */
void watch_drops(struct decree_node *node, uint64_t now_ns);
/** Does somebody have our address? Ends the node. */
void watch_address(struct decree_node *node);
/** Do full frames reach the peers? */
void watch_reach(struct decree_node *node, uint64_t now_ns);

/* snap_thread.c */
/** Open the directory and the stores; nothing happens without snapshot hooks. Owner. */
int snap_thread_open(struct decree_node *node, char *ret_error);
int snap_thread_start(struct decree_node *node);
/** After the shards' threads have ended: what they asked for last is not carried out. */
void snap_thread_join(struct decree_node *node);
void snap_thread_close(struct decree_node *node);

/* clock.c */
uint64_t node_now_ns(void);
/** Nanoseconds of the CPU's counter, from any origin: for statistics only, at a third of the price. */
uint64_t clock_stamp_ns(void);
/** Before the first of them. Takes 2 ms. */
void clock_stamp_calibrate(void);
/**
 * May leases trust this clock?
 * @param ret_error   [DECREE_ERROR_BYTES]
 * @retval -ENOTSUP   its source may stop or jump  @retval -ERANGE it is being slewed by more than
 * the limit
 */
int clock_check(const char *source_path, uint32_t max_drift_ppm, char *ret_error);
#define CLOCK_SOURCE_PATH "/sys/devices/system/clocksource/clocksource0/current_clocksource"

/** @return parts per million between the rates of the node's clock and of the bare counter since the
 * last call; 0 if that cannot be told */
uint64_t clock_slew_ppm(struct clock_watch *w);

/* proposer.c */
void proposer_serve(struct node_shard *ns); /* shard's thread, every turn */

#endif
