/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/runtime/world.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/digest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define TURN_NS 20000ull

/* ------------------------------------------------------------------------------ network */

static struct world_frame *
frame_acquire(struct world *w)
{
	struct world_frame *f = w->free;

	if (f != NULL)
		w->free = f->next;
	return f;
}

static void
frame_release(struct world *w, struct world_frame *f)
{
	f->next = w->free;
	w->free = f;
}

static void
queue_push(struct world_net *net, struct world_frame *f)
{
	f->next = NULL;
	*net->last = f;
	net->last = &f->next;
}

static uint32_t
net_recv(void *ctx, uint64_t now_ns, struct net_frame *ret, uint32_t count_max)
{
	struct world_net *net = ctx;
	uint32_t count = 0;

	(void)now_ns;
	while (count < count_max && net->first != NULL) {
		struct world_frame *f = net->first;

		net->first = f->next;
		if (net->first == NULL)
			net->last = &net->first;
		ret[count++] = (struct net_frame){ .payload = f->payload,
			.payload_bytes = f->bytes,
			.peer = f->peer,
			.version_max = f->peer.node_id != 0 ? net->world->version_max : 0,
			.handle = f };
	}
	return count;
}

static void
net_release(void *ctx, struct net_frame *frames, uint32_t count)
{
	struct world_net *net = ctx;

	for (uint32_t i = 0; i < count; i++)
		frame_release(net->world, frames[i].handle);
}

static uint32_t
net_alloc(void *ctx, struct net_frame *ret, uint32_t count)
{
	struct world_net *net = ctx;
	uint32_t i;

	if (net->no_frames)
		return 0;
	for (i = 0; i < count; i++) {
		struct world_frame *f = frame_acquire(net->world);

		if (f == NULL)
			break;
		ret[i] = (struct net_frame){ .payload = f->payload, .handle = f };
	}
	return i;
}

static void
send_to_client(struct world_net *net, const struct net_frame *frame)
{
	struct world *w = net->world;
	struct world_client_frame *c;

	decree_assert(w->client_frame_count < WORLD_CLIENT_FRAMES);
	c = &w->client_frames[w->client_frame_count++];
	c->from = net->node_id;
	c->to = frame->peer;
	c->bytes = frame->payload_bytes;
	memcpy(c->payload, frame->payload, frame->payload_bytes);
	frame_release(w, frame->handle);
}

static void
net_send(void *ctx, uint64_t now_ns, struct net_frame *frames, uint32_t count)
{
	struct world_net *net = ctx;
	struct world *w = net->world;

	(void)now_ns;
	for (uint32_t i = 0; i < count; i++) {
		struct world_frame *f = frames[i].handle;
		uint16_t to = frames[i].peer.node_id;

		decree_assert(frames[i].payload_bytes <= WORLD_FRAME_BYTES);
		net->sent++;
		if (to == 0) {
			send_to_client(net, &frames[i]);
			continue;
		}
		decree_assert(to <= w->node_count);
		if (w->cut[net->node_id][to] || w->nodes[to - 1].is_down ||
			(w->lose != NULL && w->lose(w, net->node_id, to, f->payload))) {
			w->lost++;
			frame_release(w, f);
			continue;
		}
		f->bytes = frames[i].payload_bytes;
		f->peer = (struct net_endpoint){ .node_id = net->node_id };
		queue_push(&w->nodes[to - 1].net, f);
	}
}

static void
net_tick(void *ctx, uint64_t now_ns)
{
	(void)ctx;
	(void)now_ns;
}

static void
net_require(void *ctx, uint8_t version)
{
	struct world_net *net = ctx;

	net->version_required = version;
}

static const struct net_ops net_world_ops = {
	.recv = net_recv,
	.release = net_release,
	.alloc = net_alloc,
	.send = net_send,
	.tick = net_tick,
	.require = net_require,
};

void
world_deliver(struct world *w, struct world_node *to, struct net_endpoint from, const void *bytes,
	uint32_t count)
{
	struct world_frame *f = frame_acquire(w);

	decree_assert(f != NULL && count <= WORLD_FRAME_BYTES);
	f->bytes = count;
	f->peer = from;
	memcpy(f->payload, bytes, count);
	queue_push(&to->net, f);
}

/* ------------------------------------------------------------------------------ machine */

#define ANSWER_BURST_MAX 64

static void
machine_due(struct world_machine *m, uint64_t cluster_ns, struct decree_sink *sink)
{
	if (m->due_ns == 0 || cluster_ns < m->due_ns)
		return;
	m->due_count++;
	m->digest.lo += m->due_ns * 31 + cluster_ns;
	if (m->parked_seq != 0)
		decree_sink_answer(sink, m->parked_session, m->parked_seq, 9, m->count);
	m->parked_seq = 0;
	if (!m->world->is_due_stuck)
		m->due_ns = 0;
}

static void
machine_park(struct world_machine *m, const struct decree_command *c, uint64_t cluster_ns)
{
	m->parked_session = c->session;
	m->parked_seq = c->seq;
	if (m->world->park_ns != 0)
		m->due_ns = cluster_ns + m->world->park_ns;
}

/* To the commands that end at @p after. */
static void
machine_answer(const struct world_machine *m, struct decree_sink *sink,
	const struct decree_command *after, const struct decree_answer *answers, uint32_t count)
{
	const struct decree_command *first = after - count;

	if (m->answer_burst != 0 && count > 0)
		decree_sink_answer_burst(sink, first, answers, count);
	else if (count > 0)
		decree_sink_answer(
			sink, first->session, first->seq, answers->status, answers->result);
}

static void
machine_apply(void *ctx, const struct decree_command *commands, uint32_t count, uint64_t cluster_ns,
	struct decree_sink *sink)
{
	struct world_machine *m = ctx;
	struct decree_answer answers[ANSWER_BURST_MAX];
	uint32_t waiting = 0, waiting_max = m->answer_burst == 0 ? 1 : m->answer_burst;

	machine_due(m, cluster_ns, sink);
	for (uint32_t i = 0; i < count; i++) {
		struct decree_digest d = base_digest(commands[i].body, commands[i].bytes);

		m->count++;
		m->bytes += commands[i].bytes;
		m->digest.lo = m->digest.lo * 31 + d.lo;
		m->digest.hi = m->digest.hi * 31 + d.hi;
		if (m->is_parking || m->world->park_ns != 0 ||
			(m->park_every != 0 && m->count % m->park_every == 0)) {
			machine_answer(m, sink, &commands[i], answers, waiting);
			waiting = 0;
			machine_park(m, &commands[i], cluster_ns);
			continue;
		}
		answers[waiting++] = (struct decree_answer){ .result = m->count };
		if (waiting == waiting_max || i + 1 == count || m->parked_seq != 0) {
			machine_answer(m, sink, &commands[i + 1], answers, waiting);
			waiting = 0;
		}
		if (m->parked_seq != 0)
			decree_sink_answer(sink, m->parked_session, m->parked_seq, 7, m->count);
		m->parked_seq = 0;
	}
}

static uint64_t
machine_next_deadline(void *ctx)
{
	struct world_machine *m = ctx;

	m->ask_count++;
	return m->due_ns == 0 ? UINT64_MAX : m->due_ns;
}

static struct decree_digest
machine_digest(void *ctx)
{
	struct world_machine *m = ctx;

	return m->digest;
}

static int32_t
machine_read(void *ctx, const void *query, uint32_t bytes, void *ret_answer, uint32_t capacity)
{
	struct world_machine *m = ctx;

	(void)query;
	decree_assert(capacity >= 8);
	m->world->now_ns += m->read_ns;
	if (bytes > 0)
		return -EINVAL;
	store_u64(ret_answer, m->count);
	return 8;
}

static const struct decree_machine_ops machine_ops = {
	.struct_bytes = sizeof(machine_ops),
	.apply = machine_apply,
	.next_deadline = machine_next_deadline,
	.digest = machine_digest,
	.read = machine_read,
};

/* ------------------------------------------------------------------------------ nodes */

static void
on_note(void *ctx, enum note note, int32_t group, const char *line)
{
	struct world_node *n = ctx;

	(void)note;
	(void)group;
	snprintf(n->last_log, sizeof(n->last_log), "%s", line);
}

static void
on_role(void *ctx, uint16_t group, enum decree_role role, uint16_t leader,
	struct decree_ballot ballot)
{
	struct world_node *n = ctx;

	(void)group;
	(void)ballot;
	n->role = role;
	n->leader = leader;
}

static uint64_t
on_now_ns(void *ctx)
{
	return ((struct world_node *)ctx)->net.world->now_ns;
}

void (*world_tune)(struct world_node *n);

static void
configure(struct world *w, struct world_node *n)
{
	n->eng = (struct eng_config){
		.cluster_id = 42,
		.node_id = n->node_id,
		.disk = { { (uint8_t)n->node_id, 1 } },
		.member_count = w->node_count,
		.q1 = w->node_count / 2 + 1,
		.q2 = w->node_count / 2 + 1,
		.seed = n->node_id * 7919u + 1,
		.slot_bytes = 1328,
		.alpha = 256,
		.window_slots = 128,
		.ring_slots = 512,
		.frame_bytes = WORLD_FRAME_BYTES,
		.command_bytes_max = 16384,
		.session_count = 64,
		.session_window = 1024,
		.session_idle_slots = 32,
		.digest_slots = 64,
		.heartbeat_ns = 20000000,
		.election_ns = 200000000,
		.disk_stall_ns = 1000000000,
	};
	for (uint32_t i = 0; i < w->node_count; i++)
		n->eng.members[i].node_id = (uint16_t)(i + 1);
	if (w->group_count > 1) {
		n->eng.alpha = n->eng.window_slots = 64;
		n->eng.ring_slots = 128;
		n->eng.session_count = 8;
		n->eng.heartbeat_on_grid = true;
	}
	for (uint32_t i = 0; i < w->group_count; i++)
		n->machines[i] = &n->machine;
	n->config = (struct shard_config){
		.net_ops = &net_world_ops,
		.frame_bytes = WORLD_FRAME_BYTES,
		.log_ops = &world_log_ops,
		.log_bytes = 1 << 20,
		.groups = n->groups,
		.group_count = w->group_count,
		.machine_ops = &machine_ops,
		.machines = n->machines,
		.gateway_window = 1024,
		.context = n,
		.on_role = on_role,
		.on_note = on_note,
		.now_ns = on_now_ns,
	};
	if (world_tune != NULL)
		world_tune(n);
}

static void
take_groups(struct world *w, struct world_node *n)
{
	for (uint32_t i = 0; i < w->group_count; i++) {
		n->groups[i] = n->eng;
		n->groups[i].group = (uint16_t)i;
		n->groups[i].seed += i * 104729u;
	}
}

static int
recover_record(struct world_node *n, uint64_t lsn)
{
	struct world_record *r = world_record_of(&n->log, lsn);
	struct log_place place = { lsn, lsn };
	struct decree_slot any = { 0 };

	if (lsn != n->log.damaged_lsn)
		return shard_recover_record(n->shard, r->tag, r->payload, r->bytes, place);
	if (n->log.is_damage_unknown)
		return shard_recover_unknown(n->shard, 0, any, any, place);
	return shard_recover_damaged(n->shard, r->tag, place);
}

/* What is durable in the array. */
static void *
open_array(struct world_node *n, uint64_t *ret_boot_count)
{
	struct world_log *log = &n->log;

	if (log->meta_bytes > 0) {
		int rc = shard_recover_meta(
			n->shard, log->meta_durable_blob, log->meta_bytes, ret_boot_count);
		decree_assert(rc == 0);
	}
	if (log->hearsay_bytes > 0)
		(void)shard_recover_hearsay(n->shard, log->hearsay, log->hearsay_bytes);
	for (uint64_t lsn = log->trimmed_lsn == 0 ? 1 : log->trimmed_lsn; lsn <= log->durable;
		lsn++) {
		int rc = recover_record(n, lsn);
		decree_assert(rc == 0);
	}
	return log;
}

static void
forget_machines(struct world *w, struct world_node *n)
{
	for (uint32_t i = 0; i < w->group_count; i++) {
		struct world_machine *m = n->machines[i];

		memset(m, 0, sizeof(*m));
		m->world = w;
	}
}

/* Everything in memory is fresh; what the log holds is handed over. */
static void
boot(struct world *w, struct world_node *n)
{
	uint64_t boot_count = 0;
	void *log;

	memset(n->memory, 0, n->memory_bytes);
	forget_machines(w, n);
	n->eng.nonce = w->now_ns * 1000003u + n->node_id + 1;
	take_groups(w, n);
	n->shard = shard_init(n->memory, &n->config);
	log = (n->open_log != NULL ? n->open_log : open_array)(n, &boot_count);
	n->is_down = log == NULL;
	if (n->is_down)
		return;
	shard_attach(n->shard, log, &n->net);
	n->boot_count = boot_count + 1;
	shard_start(n->shard, n->boot_count, w->now_ns);
}

void
world_restart(struct world *w, struct world_node *n)
{
	struct world_log *log = &n->log;

	while (n->net.first != NULL) {
		struct world_frame *f = n->net.first;
		n->net.first = f->next;
		frame_release(w, f);
	}
	n->net.last = &n->net.first;
	log->appended = log->submitted = log->reported = log->durable;
	if (log->trimmed_lsn > log->durable + 1)
		log->trimmed_lsn = log->durable + 1; /* what comes next has these numbers again */
	log->meta_asked = log->meta_reported = log->meta_durable;
	memcpy(log->meta, log->meta_durable_blob, sizeof(log->meta));
	log->read_count = 0;
	log->hold_records = log->hold_meta = log->is_failing = log->has_failed = false;
	boot(w, n);
}

void
world_forget_frames(struct world *w)
{
	w->free = NULL;
	for (uint32_t i = 0; i < WORLD_FRAME_COUNT; i++)
		frame_release(w, &w->frames[i]);
	for (uint32_t i = 0; i < w->node_count; i++) {
		w->nodes[i].net.first = NULL;
		w->nodes[i].net.last = &w->nodes[i].net.first;
	}
	w->client_frame_count = 0;
}

static void
node_init(struct world *w, struct world_node *n, uint16_t node_id)
{
	uint8_t *payloads;

	n->node_id = node_id;
	n->net.world = w;
	n->net.node_id = node_id;
	n->net.last = &n->net.first;
	n->log.records = calloc(WORLD_RECORD_COUNT_MAX, sizeof(*n->log.records));
	payloads = calloc(WORLD_RECORD_COUNT_MAX, WORLD_FRAME_BYTES);
	decree_assert(n->log.records != NULL && payloads != NULL);
	for (uint32_t i = 0; i < WORLD_RECORD_COUNT_MAX; i++)
		n->log.records[i].payload = payloads + (size_t)i * WORLD_FRAME_BYTES;
	configure(w, n);
	take_groups(w, n);
	n->memory_bytes = (shard_bytes(&n->config) + 63) & ~(size_t)63;
	n->memory = aligned_alloc(64, n->memory_bytes);
	decree_assert(n->memory != NULL);
	boot(w, n);
}

struct world *
world_new(uint32_t node_count)
{
	return world_new_groups(node_count, 1);
}

struct world *
world_new_groups(uint32_t node_count, uint32_t group_count)
{
	struct world *w = calloc(1, sizeof(*w));

	decree_assert(w != NULL && node_count <= WORLD_NODE_COUNT_MAX);
	w->now_ns = 1000000000;
	w->node_count = node_count;
	w->group_count = group_count;
	w->frames = calloc(WORLD_FRAME_COUNT, sizeof(*w->frames));
	w->client_frames = calloc(WORLD_CLIENT_FRAMES, sizeof(*w->client_frames));
	decree_assert(w->frames != NULL && w->client_frames != NULL);
	for (uint32_t i = 0; i < WORLD_FRAME_COUNT; i++)
		frame_release(w, &w->frames[i]);
	for (uint32_t i = 0; i < node_count; i++)
		node_init(w, &w->nodes[i], (uint16_t)(i + 1));
	return w;
}

void
world_free(struct world *w)
{
	for (uint32_t i = 0; i < w->node_count; i++) {
		free(w->nodes[i].log.records[0].payload);
		free(w->nodes[i].log.records);
		free(w->nodes[i].memory);
	}
	free(w->client_frames);
	free(w->frames);
	free(w);
}

bool
world_turn(struct world *w)
{
	bool did_work = false;

	for (uint32_t i = 0; i < w->node_count; i++)
		if (!w->nodes[i].is_down)
			did_work = shard_turn(w->nodes[i].shard, w->now_ns) || did_work;
	w->now_ns += TURN_NS;
	return did_work;
}

void
world_run(struct world *w, uint64_t for_ns)
{
	uint64_t until = w->now_ns + for_ns;

	while (w->now_ns < until)
		world_turn(w);
}

struct world_node *
world_elect(struct world *w)
{
	uint64_t until = w->now_ns + 10000000000ull;

	while (w->now_ns < until) {
		world_turn(w);
		for (uint32_t i = 0; i < w->node_count; i++) {
			struct decree_group_status status;

			if (w->nodes[i].is_down)
				continue;
			decree_assert(shard_group_status(w->nodes[i].shard, 0, &status) == 0);
			if (status.ready && status.role == DECREE_LEADER) {
				world_run(w, 30000000); /* the others hear of it */
				return &w->nodes[i];
			}
		}
	}
	decree_assert(!"nobody leads");
	return NULL;
}

struct world_node *
world_follower(struct world *w)
{
	for (uint32_t i = 0; i < w->node_count; i++) {
		struct decree_group_status status;

		if (!w->nodes[i].is_down &&
			shard_group_status(w->nodes[i].shard, 0, &status) == 0 &&
			status.role == DECREE_FOLLOWER)
			return &w->nodes[i];
	}
	return NULL;
}
