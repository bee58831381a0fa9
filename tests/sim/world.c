/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim.h"

#include <errno.h>

/* ---- random numbers and the heap of frames ---- */

uint64_t
sim_draw(struct sim *sim, uint64_t bound)
{
	uint64_t z = sim->random += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	z ^= z >> 31;
	return bound == 0 ? 0 : z % bound;
}

static bool
is_before(const struct sim_frame *a, const struct sim_frame *b)
{
	return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->number < b->number;
}

void
sim_heap_push(struct sim *sim, struct sim_frame *frame)
{
	if (sim->heap_count == sim->heap_max) {
		sim->heap_max = sim->heap_max == 0 ? 1024 : sim->heap_max * 2;
		sim->heap = realloc(sim->heap, sim->heap_max * sizeof(*sim->heap));
	}
	uint32_t i = sim->heap_count++;
	for (; i > 0 && is_before(frame, sim->heap[(i - 1) / 2]); i = (i - 1) / 2)
		sim->heap[i] = sim->heap[(i - 1) / 2];
	sim->heap[i] = frame;
}

static struct sim_frame *
heap_pop(struct sim *sim)
{
	struct sim_frame *top = sim->heap[0];
	struct sim_frame *last = sim->heap[--sim->heap_count];
	uint32_t i = 0;

	for (;;) {
		uint32_t child = 2 * i + 1;
		if (child >= sim->heap_count)
			break;
		if (child + 1 < sim->heap_count &&
			is_before(sim->heap[child + 1], sim->heap[child]))
			child++;
		if (!is_before(sim->heap[child], last))
			break;
		sim->heap[i] = sim->heap[child];
		i = child;
	}
	if (sim->heap_count > 0)
		sim->heap[i] = last;
	return top;
}

/* ---- the network as a node's loop sees it ---- */

static uint32_t
net_recv(void *net, uint64_t now_ns, struct net_frame *ret_frames, uint32_t count_max)
{
	struct sim_node *n = net;
	uint32_t count = 0;

	(void)now_ns;
	while (count < count_max && n->inbox_count > 0) {
		struct sim_frame *f = &n->inbox[n->inbox_first];
		ret_frames[count++] = (struct net_frame){
			.payload = f->data,
			.payload_bytes = f->bytes,
			.peer = { .node_id = f->src },
		};
		n->inbox_first = (n->inbox_first + 1) % SIM_INBOX_COUNT;
		n->inbox_count--;
	}
	return count;
}

static void
net_release(void *net, struct net_frame *frames, uint32_t count)
{
	(void)net, (void)frames, (void)count;
}

static uint32_t
net_alloc(void *net, struct net_frame *ret_frames, uint32_t count)
{
	struct sim_node *n = net;
	uint32_t i;

	for (i = 0; i < count && n->pool_free_count > 0; i++) {
		uint32_t place = n->pool_free[--n->pool_free_count];
		ret_frames[i] = (struct net_frame){ .payload = n->pool + place * SIM_FRAME_BYTES };
	}
	return i;
}

static void
net_send(void *net, uint64_t now_ns, struct net_frame *frames, uint32_t count)
{
	struct sim_node *n = net;

	(void)now_ns;
	for (uint32_t i = 0; i < count; i++) {
		oracle_on_frame(n->sim, n, frames[i].payload, frames[i].payload_bytes);
		sim_frame_send(n->sim, n->id, frames[i].peer.node_id, frames[i].payload,
			frames[i].payload_bytes);
		n->pool_free[n->pool_free_count++] =
			(uint16_t)((size_t)(frames[i].payload - n->pool) / SIM_FRAME_BYTES);
	}
}

static void
net_tick(void *net, uint64_t now_ns)
{
	(void)net, (void)now_ns;
}

static const struct net_ops sim_net_ops = {
	.recv = net_recv,
	.release = net_release,
	.alloc = net_alloc,
	.send = net_send,
	.tick = net_tick,
};

/* ---- the state machine: every node must see the oracle's order ---- */

static void
machine_apply(void *machine, const struct decree_command *commands, uint32_t count,
	uint64_t cluster_ns, struct decree_sink *sink)
{
	struct sim_node *n = machine;

	sim_check(n->sim, cluster_ns >= n->cluster_ns, "cluster time went backwards on node %u",
		n->id);
	n->cluster_ns = cluster_ns;
	for (uint32_t i = 0; i < count; i++) {
		oracle_on_command(n->sim, n, &commands[i]);
		decree_sink_answer(sink, commands[i].session, commands[i].seq, 0, n->applied_count);
	}
}

static struct decree_digest
machine_digest(void *machine)
{
	return ((struct sim_node *)machine)->digest;
}

static const struct decree_machine_ops sim_machine_ops = {
	.struct_bytes = sizeof(struct decree_machine_ops),
	.apply = machine_apply,
	.digest = machine_digest,
};

static void
on_applied(void *context, uint16_t group, struct decree_slot first, struct decree_slot after)
{
	struct sim_node *n = context;

	(void)group;
	oracle_on_applied(n->sim, n, first, after);
}

static void
on_role(void *context, uint16_t group, enum decree_role role, uint16_t leader,
	struct decree_ballot ballot)
{
	struct sim_node *n = context;

	(void)group;
	if (role == DECREE_LEADER)
		n->sim->oracle.leader_changes++;
	sim_trace(n->sim, "node %u: role %d leader %u ballot %lu.%u", n->id, role, leader,
		ballot.n >> 16, (unsigned)(ballot.n & 0xffff));
}

/* ---- nodes ---- */

static struct eng_config
group_config(struct sim *sim, const struct sim_node *n)
{
	struct eng_config cfg = {
		.cluster_id = 1,
		.node_id = n->id,
		.member_count = sim->node_count,
		.q1 = sim->node_count / 2 + 1,
		.q2 = sim->node_count / 2 + 1,
		.nonce = sim_draw(sim, UINT64_MAX),
		.seed = sim_draw(sim, UINT64_MAX),
		.slot_bytes = SIM_SLOT_BYTES,
		.alpha = 64,
		.window_slots = 32,
		.ring_slots = 128,
		.frame_bytes = SIM_FRAME_BYTES,
		.command_bytes_max = SIM_COMMAND_BYTES,
		.session_count = SIM_SESSION_COUNT,
		.session_window = 1024,
		.heartbeat_ns = 20 * MS,
		.election_ns = 200 * MS,
		.disk_stall_ns = 500 * MS,
	};

	memset(cfg.disk.bytes, 0xd0 + n->id, sizeof(cfg.disk.bytes));
	for (uint32_t i = 0; i < sim->node_count; i++)
		cfg.members[i].node_id = (uint16_t)(i + 1);
	return cfg;
}

static void
shard_build(struct sim *sim, struct sim_node *n)
{
	void *machines[1] = { n };

	n->group = group_config(sim, n);
	struct shard_config cfg = {
		.net_ops = &sim_net_ops,
		.frame_bytes = SIM_FRAME_BYTES,
		.log_ops = &wal_log_ops,
		.log_bytes = SIM_LOG_BYTES,
		.groups = &n->group,
		.group_count = 1,
		.machine_ops = &sim_machine_ops,
		.machines = machines,
		.gateway_window = SIM_IN_FLIGHT,
		.assembly_count = 2,
		.context = n,
		.on_applied = on_applied,
		.on_role = on_role,
	};
	size_t bytes = shard_bytes(&cfg);
	n->memory = aligned_alloc(64, bytes);
	memset(n->memory, 0, bytes);
	n->shard = shard_init(n->memory, &cfg);
}

static int
recover_meta(void *context, uint64_t generation, const void *blob, uint32_t bytes)
{
	struct sim_node *n = context;
	uint64_t boot_count = 0;

	(void)generation;
	if (bytes == 0)
		return 0;
	int rc = shard_recover_meta(n->shard, blob, bytes, &boot_count);
	sim_check(n->sim, rc == 0, "node %u: hard state of %u bytes", n->id, bytes);
	sim_check(
		n->sim, boot_count <= n->boot_count, "node %u: boot count from the future", n->id);
	return 0;
}

static int
recover_record(void *context, const struct log_place *place, const uint8_t *tag,
	const void *payload, uint32_t payload_bytes)
{
	struct sim_node *n = context;

	return shard_recover_record(n->shard, tag, payload, payload_bytes, *place);
}

void
sim_node_start(struct sim *sim, uint16_t id)
{
	struct sim_node *n = &sim->nodes[id];
	char error[DECREE_ERROR_BYTES] = "";
	struct wal_config cfg = {
		.ops = &disk_fake_ops,
		.disk = n->disk,
		.mode = DECREE_LOG_DURABLE,
		.recovery = { .context = n, .meta = recover_meta, .record = recover_record },
	};

	n->applied_count = 0;
	n->cluster_ns = 0;
	n->digest = (struct decree_digest){ 0, 0 };
	n->inbox_count = 0;
	n->pool_free_count = SIM_POOL_COUNT;
	for (uint16_t i = 0; i < SIM_POOL_COUNT; i++)
		n->pool_free[i] = i;
	disk_fake_set_now(n->disk, sim->now_ns);
	shard_build(sim, n);
	int rc = wal_open(&cfg, &n->wal, error);
	sim_check(sim, rc == 0, "node %u does not recover: %s", id, error);
	disk_fake_set_now(n->disk, sim->now_ns);
	oracle_on_recovered(sim, n);
	n->boot_count++;
	shard_attach(n->shard, n->wal, n);
	shard_start(n->shard, n->boot_count, sim->now_ns);
	n->is_up = true;
	n->turn_at_ns = sim->now_ns;
	n->paused_until_ns = 0;
	workload_open(sim, n);
	sim_trace(sim, "node %u: starts (boot %lu), chosen %lu", id, n->boot_count,
		shard_replica(n->shard, 0)->chosen.n);
}

void
sim_node_crash(struct sim *sim, uint16_t id, bool power_cut)
{
	struct sim_node *n = &sim->nodes[id];

	sim_trace(sim, "node %u: %s", id, power_cut ? "power cut" : "kill -9");
	n->proposer.is_open = false;
	n->is_up = false;
	if (power_cut)
		disk_fake_cut_power(n->disk);
	else
		disk_fake_kill_process(n->disk);
	wal_abandon(n->wal); /* only now: writes in flight read its buffers */
	n->wal = NULL;
	free(n->memory);
	n->memory = NULL;
	n->shard = NULL;
}

static void
node_create(struct sim *sim, uint16_t id)
{
	struct sim_node *n = &sim->nodes[id];
	char error[DECREE_ERROR_BYTES] = "";
	struct disk_fake_config disk = {
		.seed = sim_draw(sim, UINT64_MAX),
		.latency_ns_min = sim->faults.disk_ns_min,
		.latency_ns_max = sim->faults.disk_ns_max,
		.flush_covers_all = sim_draw(sim, 2) == 0,
	};
	struct wal_format format = {
		.payload_bytes_max = SIM_SLOT_BYTES,
		.log_bytes = SIM_LOG_BYTES,
		.segment_bytes = SIM_LOG_BYTES / 4,
	};

	n->id = id;
	n->sim = sim;
	n->disk = disk_fake_create(&disk);
	n->inbox = malloc(SIM_INBOX_COUNT * sizeof(*n->inbox));
	n->pool = malloc(SIM_POOL_COUNT * SIM_FRAME_BYTES);
	n->accepted_said = calloc(SIM_SLOT_MAX, sizeof(*n->accepted_said));
	memset(format.uuid.bytes, id, sizeof(format.uuid.bytes));
	int rc = wal_format(&disk_fake_ops, n->disk, &format, error);
	sim_check(sim, rc == 0, "format: %s", error);
	sim_node_start(sim, id);
}

struct sim *
sim_create(uint64_t seed, uint32_t node_count, bool trace)
{
	struct sim *sim = calloc(1, sizeof(*sim));

	sim->seed = seed;
	sim->random = seed * 0x2545f4914f6cdd1dull + 1;
	sim->trace = trace;
	sim->now_ns = 1000 * MS;
	static const uint32_t sizes[] = { 3, 3, 5, 3, 1, 3, 4, 5, 2, 3, 7 };
	sim->node_count = node_count != 0 ? node_count : sizes[sim_draw(sim, 11)];
	sim->oracle.order = malloc(SIM_COMMAND_MAX * sizeof(*sim->oracle.order));
	sim->oracle.executed = calloc(SIM_PROPOSER_MAX, sizeof(*sim->oracle.executed));
	sim->oracle.values = calloc(SIM_VALUE_COUNT, sizeof(*sim->oracle.values));
	sim_faults_draw(sim);
	for (uint16_t id = 1; id <= sim->node_count; id++)
		node_create(sim, id);
	return sim;
}

void
sim_destroy(struct sim *sim)
{
	for (uint16_t id = 1; id <= sim->node_count; id++) {
		struct sim_node *n = &sim->nodes[id];
		if (n->wal != NULL)
			wal_abandon(n->wal);
		disk_fake_destroy(n->disk);
		free(n->memory);
		free(n->inbox);
		free(n->pool);
		free(n->accepted_said);
	}
	for (uint32_t i = 0; i < sim->heap_count; i++)
		free(sim->heap[i]);
	free(sim->heap);
	free(sim->oracle.order);
	free(sim->oracle.executed);
	free(sim->oracle.values);
	free(sim);
}

/* ---- time ---- */

static void
frame_arrives(struct sim *sim, struct sim_frame *f)
{
	struct sim_node *n = &sim->nodes[f->dst];

	if (!n->is_up || n->inbox_count == SIM_INBOX_COUNT || sim->is_cut[f->src][f->dst]) {
		sim->count.lost++;
	} else {
		n->inbox[(n->inbox_first + n->inbox_count) % SIM_INBOX_COUNT] = *f;
		n->inbox_count++;
		n->turn_at_ns = sim->now_ns;
	}
	free(f);
}

static uint64_t
node_next_ns(const struct sim *sim, const struct sim_node *n)
{
	uint64_t at = n->turn_at_ns;

	if (!n->is_up)
		return n->up_at_ns;
	if (n->is_dead)
		return UINT64_MAX;
	uint64_t disk_ns = disk_fake_next_ns(n->disk);
	/* A node that boots polls its disk; here the disk says when it has something. */
	uint64_t wake_ns = shard_has_started(n->shard) ? shard_wake_at(n->shard) : UINT64_MAX;
	if (disk_ns < at)
		at = disk_ns;
	if (wake_ns < at)
		at = wake_ns;
	if (at < n->paused_until_ns)
		at = n->paused_until_ns;
	return at < sim->now_ns ? sim->now_ns : at;
}

static void
node_turn(struct sim *sim, struct sim_node *n)
{
	char text[DECREE_ERROR_BYTES];

	if (!n->is_up) {
		sim_node_start(sim, n->id);
		return;
	}
	disk_fake_set_now(n->disk, sim->now_ns);
	bool worked = shard_turn(n->shard, sim->now_ns);
	sim->count.turns++;
	/* A turn costs time: what it left undone is done in the next one, a little later. */
	n->turn_at_ns = worked ? sim->now_ns + 2 * US : UINT64_MAX;
	if (!shard_has_started(n->shard) && disk_fake_next_ns(n->disk) == UINT64_MAX)
		n->turn_at_ns = sim->now_ns + 2 * US; /* hands the disk the second copy */
	if (!worked && shard_has_started(n->shard) && shard_wake_at(n->shard) <= sim->now_ns)
		n->turn_at_ns = sim->now_ns + 10 * US;
	sim_check(sim, shard_stop_reason(n->shard, text) == SHARD_RUNS, "node %u stopped: %s",
		n->id, text);
}

static void
earlier(uint64_t *at, uint64_t other)
{
	if (other < *at)
		*at = other;
}

void
sim_run_until(struct sim *sim, uint64_t end_ns)
{
	while (sim->now_ns < end_ns) {
		uint64_t at = end_ns;

		if (sim->heap_count > 0)
			earlier(&at, sim->heap[0]->due_ns);
		for (uint16_t id = 1; id <= sim->node_count; id++)
			earlier(&at, node_next_ns(sim, &sim->nodes[id]));
		earlier(&at, workload_next_ns(sim));
		earlier(&at, sim_faults_next_ns(sim));
		if (at > sim->now_ns)
			sim->now_ns = at;
		else
			sim->now_ns += 100; /* two things at once: one after the other */
		while (sim->heap_count > 0 && sim->heap[0]->due_ns <= sim->now_ns)
			frame_arrives(sim, heap_pop(sim));
		workload_step(sim);
		sim_faults_step(sim);
		for (uint16_t id = 1; id <= sim->node_count; id++)
			if (node_next_ns(sim, &sim->nodes[id]) <= sim->now_ns) {
				sim->events++;
				node_turn(sim, &sim->nodes[id]);
			}
	}
}

uint16_t
sim_leader(const struct sim *sim)
{
	uint16_t best = 0;
	uint64_t ballot = 0;

	for (uint16_t id = 1; id <= sim->node_count; id++) {
		const struct sim_node *n = &sim->nodes[id];
		if (!n->is_up)
			continue;
		const struct eng_replica *r = shard_replica(n->shard, 0);
		if (r->role == DECREE_LEADER && r->ready && r->ballot.n > ballot) {
			ballot = r->ballot.n;
			best = id;
		}
	}
	return best;
}
