/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one command costs, counted and not timed: three nodes in one thread, the production code of
 * the core, the loop, the log and the path of the network, on a disk that is memory and on a wire
 * that is a list. Time is a number that grows by the same step with every round of turns, so that
 * the same build does the same work each time.
 *
 *   count BATCH COMMANDS [BYTES [MTU]]
 *
 * keeps BATCH commands in flight at the leader until COMMANDS have been executed everywhere, and
 * prints a JSON object of what was sent and written. Slots are as large as the MTU lets them be. A
 * BATCH of 0 is COMMANDS rounds of turns with nothing to do but heartbeats. An instruction counter
 * sees two functions, leader_turn() and follower_turn(), which are called for nothing but the
 * commands that count: tests/budget/check.
 */
#include "base/assert.h"
#include "engine/runtime/mailbox.h"
#include "engine/runtime/shard.h"
#include "engine/runtime/stages.h"
#include "tests/budget/wire.h"
#include "wal/disk_memory.h"
#include "wal/wal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TURN_NS       20000ull
#define EMPTY_NS      1000ull /* of a turn without work */
#define WINDOW        4096
#define ARENA_BYTES   (16u << 20)
#define LOG_BYTES     (64ull << 20)
#define BYTES_MAX     1024
#define MTU_MIN       1500
#define SLOT_MAX      8192 /* of any cluster */
#define SLOT_OVERHEAD 96   /* of a message around its slot */
#define ROUNDS_MAX    1000000
#define SETTLE_TURNS  5000 /* 100 ms */
#define ANSWER_BURST  256  /* told at once */

struct machine {
	uint64_t count;
};

struct node {
	struct eng_config eng;
	struct shard_config config;
	struct machine machine;
	struct shard_stages stages;
	void *machines[1];
	struct shard *shard;
	struct wire_net *net;
	struct wal *wal;
};

struct world {
	uint64_t now_ns;
	struct node nodes[WIRE_NODE_COUNT];
	struct node *leader;
	struct mailbox *mailbox;
	uint32_t batch;
	uint32_t bytes; /* of a command */
	uint32_t mtu;
	uint64_t pushed;
	uint64_t done;
};

static void
die(const char *why)
{
	(void)fprintf(stderr, "count: %s\n", why);
	exit(1);
}

/* ------------------------------------------------------------------------------ machine */

/* Seen by name from outside as well: what it does itself is the application's, and not counted. */
static void
machine_apply(void *opaque, const struct decree_command *commands, uint32_t count,
	uint64_t cluster_ns, struct decree_sink *sink)
{
	struct machine *m = opaque;
	struct decree_answer answers[ANSWER_BURST];

	(void)cluster_ns;
	for (uint32_t first = 0, n; first < count; first += n) {
		for (n = 0; n < ANSWER_BURST && first + n < count; n++)
			answers[n] = (struct decree_answer){ .result = ++m->count };
		decree_sink_answer_burst(sink, &commands[first], answers, n);
	}
}

static struct decree_digest
machine_digest(void *opaque)
{
	return (struct decree_digest){ .lo = ((struct machine *)opaque)->count };
}

static const struct decree_machine_ops machine_ops = {
	.struct_bytes = sizeof(machine_ops),
	.apply = machine_apply,
	.digest = machine_digest,
};

/* ------------------------------------------------------------------------------ nodes */

/* As a node's clock for the stages of a commit: the CPU's counter, times a rate. What it says is of
 * no interest here. */
static uint64_t
stamp_ns(void)
{
	static _Atomic uint64_t rate = (1ull << 32) / 3;
	uint64_t now = __builtin_ia32_rdtsc();

	return (uint64_t)((unsigned __int128)now *
				  atomic_load_explicit(&rate, memory_order_relaxed) >>
			  32);
}

static struct wal *
open_log(uint16_t node_id, uint32_t slot_bytes)
{
	struct wal_format format = { .uuid = { { (uint8_t)node_id, 2 } },
		.log_bytes = LOG_BYTES,
		.payload_bytes_max = slot_bytes };
	struct wal_config config = { .ops = &disk_memory_ops,
		.mode = DECREE_LOG_DURABLE,
		.prewrite_bytes_per_second = 1ull << 40 };
	char error[DECREE_ERROR_BYTES];
	struct disk_memory *disk;
	struct wal *wal = NULL;

	if (disk_memory_create(NULL, NULL, &disk) != 0)
		die("no memory");
	config.disk = disk;
	if (wal_format(&disk_memory_ops, disk, &format, error) != 0 ||
		wal_open(&config, &wal, error) != 0)
		die(error);
	return wal;
}

/* The defaults of a configuration file, but for fewer sessions: valgrind would clear their replies
 * for seconds. */
static void
configure(struct node *n, uint16_t node_id, uint32_t mtu)
{
	uint32_t frame_bytes = WIRE_PAYLOAD_BYTES(mtu);
	uint32_t slot_bytes = frame_bytes - SLOT_OVERHEAD;

	n->eng = (struct eng_config){ .cluster_id = 42,
		.node_id = node_id,
		.disk = { { (uint8_t)node_id, 1 } },
		.member_count = WIRE_NODE_COUNT,
		.q1 = 2,
		.q2 = 2,
		.nonce = node_id,
		.seed = node_id,
		.slot_bytes = slot_bytes < SLOT_MAX ? slot_bytes : SLOT_MAX,
		.alpha = 1024,
		.window_slots = 256,
		.ring_slots = 8192,
		.frame_bytes = frame_bytes,
		.command_bytes_max = 131072,
		.session_count = 16,
		.session_window = WINDOW,
		.session_idle_slots = 1024,
		.digest_slots = 4096,
		.heartbeat_ns = 20000000,
		.heartbeat_on_grid = true,
		.announce_ns = SHARD_ANNOUNCE_NS,
		.election_ns = 200000000,
		.disk_stall_ns = 1000000000 };
	for (uint16_t i = 0; i < WIRE_NODE_COUNT; i++)
		n->eng.members[i].node_id = i + 1;
	n->machines[0] = &n->machine;
	n->config = (struct shard_config){ .net_ops = &wire_ops,
		.frame_bytes = frame_bytes,
		.log_ops = &wal_log_ops,
		.log_bytes = LOG_BYTES,
		.groups = &n->eng,
		.group_count = 1,
		.machine_ops = &machine_ops,
		.machines = n->machines,
		.gateway_window = WINDOW,
		.stages = &n->stages,
		.stamp_ns = stamp_ns };
}

static void
start(struct world *w, struct wire *wire, uint16_t node_id)
{
	struct node *n = &w->nodes[node_id - 1];
	size_t bytes;
	void *memory;

	configure(n, node_id, w->mtu);
	bytes = (shard_bytes(&n->config) + 63) & ~(size_t)63;
	memory = aligned_alloc(64, bytes);
	if (memory == NULL)
		die("no memory");
	memset(memory, 0, bytes);
	n->net = wire_net(wire, node_id);
	n->wal = open_log(node_id, n->eng.slot_bytes);
	n->shard = shard_init(memory, &n->config);
	shard_attach(n->shard, n->wal, n->net);
	shard_start(n->shard, 1, w->now_ns);
}

static bool
leads(const struct node *n)
{
	struct decree_group_status status;

	return shard_group_status(n->shard, 0, &status) == 0 && status.ready &&
	       status.role == DECREE_LEADER;
}

/* Turns that do not count. */
static void
turn_all(struct world *w)
{
	for (uint32_t i = 0; i < WIRE_NODE_COUNT; i++)
		(void)shard_turn(w->nodes[i].shard, w->now_ns);
	w->now_ns += TURN_NS;
}

static void
elect(struct world *w)
{
	for (uint32_t round = 0; w->leader == NULL; round++) {
		if (round == ROUNDS_MAX)
			die("nobody leads");
		turn_all(w);
		for (uint32_t i = 0; i < WIRE_NODE_COUNT; i++)
			if (leads(&w->nodes[i]))
				w->leader = &w->nodes[i];
	}
	for (uint32_t i = 0; i < SETTLE_TURNS; i++)
		turn_all(
			w); /* a second: addresses are asked for, sessions opened, space is prepared */
	if (!leads(w->leader))
		die("the leader changed");
}

/* ------------------------------------------------------------------------------ load */

static void
propose(struct world *w, uint64_t limit)
{
	static uint8_t body[BYTES_MAX];
	struct decree_completion done[64];
	uint32_t count;

	while ((count = mailbox_poll(w->mailbox, done, 64)) > 0) {
		for (uint32_t i = 0; i < count; i++)
			if (done[i].outcome != DECREE_APPLIED)
				die("a command was not committed");
		w->done += count;
	}
	while (w->pushed < limit && w->pushed - w->done < w->batch &&
		mailbox_push(w->mailbox, body, w->bytes, NULL) == 0) {
		w->pushed++;
		memcpy(body, &w->pushed, sizeof(w->pushed));
	}
}

/* Seen by name from outside, so never put into their callers. */
__attribute__((noinline)) static void
leader_turn(struct node *n, uint64_t now_ns)
{
	(void)shard_turn(n->shard, now_ns);
	__asm__ volatile("" ::: "memory"); /* nor left by a jump */
}

__attribute__((noinline)) static void
follower_turn(struct node *n, uint64_t now_ns)
{
	(void)shard_turn(n->shard, now_ns);
	__asm__ volatile("" ::: "memory");
}

static void
turn_counted(struct world *w)
{
	for (uint32_t i = 0; i < WIRE_NODE_COUNT; i++)
		(&w->nodes[i] == w->leader ? leader_turn : follower_turn)(&w->nodes[i], w->now_ns);
	w->now_ns += w->batch > 0 ? TURN_NS : EMPTY_NS;
}

static void
run(struct world *w, uint64_t limit, bool is_counted)
{
	for (uint32_t round = 0; w->done < limit; round++) {
		if (round == ROUNDS_MAX)
			die("commands do not get done");
		propose(w, limit);
		(is_counted ? turn_counted : turn_all)(w);
	}
}

static void
run_counted(struct world *w, uint64_t commands)
{
	if (w->batch > 0)
		run(w, w->done + commands, true);
	for (uint64_t i = 0; i < commands && w->batch == 0; i++)
		turn_counted(w);
}

/* ------------------------------------------------------------------------------ report */

struct totals {
	uint64_t frames, frame_bytes, writes, write_bytes, turns;
};

static struct totals
totals_of(const struct node *n)
{
	struct wal_status log;

	wal_status(n->wal, &log);
	return (struct totals){ n->net->frame_count, n->net->byte_count, log.write_count,
		log.write_bytes, shard_counters(n->shard)->turns };
}

static void
print_node(const char *name, const struct totals *a, const struct totals *b, uint64_t commands)
{
	double n = (double)commands;

	printf("\"%s\":{\"turns\":%" PRIu64 ",\"frames\":%.4f,\"wire_bytes\":%.1f,"
	       "\"log_writes\":%.4f,\"log_bytes\":%.1f}",
		name, b->turns - a->turns, (double)(b->frames - a->frames) / n,
		(double)(b->frame_bytes - a->frame_bytes) / n, (double)(b->writes - a->writes) / n,
		(double)(b->write_bytes - a->write_bytes) / n);
}

static void
measure(struct world *w, uint64_t commands)
{
	const struct node *follower = w->leader == &w->nodes[0] ? &w->nodes[1] : &w->nodes[0];
	struct totals leader_before, follower_before, leader_after, follower_after;

	if (w->batch > 0)
		run(w, 4 * w->batch + 1000, false);
	for (uint32_t i = 0; i < 100; i++)
		turn_all(w);
	leader_before = totals_of(w->leader);
	follower_before = totals_of(follower);
	run_counted(w, commands);
	leader_after = totals_of(w->leader);
	follower_after = totals_of(follower);
	printf("{\"batch\":%u,\"commands\":%" PRIu64 ",\"bytes\":%u,", w->batch, commands,
		w->bytes);
	print_node("leader", &leader_before, &leader_after, commands);
	printf(",");
	print_node("follower", &follower_before, &follower_after, commands);
	printf("}\n");
}

static uint64_t
number(const char *text, uint64_t min, uint64_t max)
{
	char *end;
	uint64_t n = strtoull(text, &end, 10);

	if (*text == '\0' || *end != '\0' || n < min || n > max)
		die("usage: count BATCH COMMANDS [BYTES [MTU]]");
	return n;
}

int
main(int argc, char **argv)
{
	static const uint8_t token[DECREE_UUID_BYTES] = { 7 };
	static struct world w = { .now_ns = 1000000000, .bytes = 64, .mtu = MTU_MIN };
	struct wire *wire = wire_new();

	if (argc < 3 || argc > 5 || wire == NULL)
		die("usage: count BATCH COMMANDS [BYTES [MTU]]");
	w.batch = (uint32_t)number(argv[1], 0, WINDOW);
	if (argc >= 4)
		w.bytes = (uint32_t)number(argv[3], 1, BYTES_MAX);
	if (argc == 5)
		w.mtu = (uint32_t)number(argv[4], MTU_MIN, WIRE_MTU_MAX);
	for (uint16_t id = 1; id <= WIRE_NODE_COUNT; id++)
		start(&w, wire, id);
	elect(&w);
	w.mailbox = mailbox_create(WINDOW, ARENA_BYTES);
	if (w.mailbox == NULL ||
		shard_gateway_open(w.leader->shard, 0, token, &mailbox_ring_ops, w.mailbox) < 0)
		die("no way in");
	measure(&w, number(argv[2], 1, 10000000));
	return 0;
}
