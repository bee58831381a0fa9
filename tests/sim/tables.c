/* SPDX-License-Identifier: Apache-2.0 */
/* The tables through which a node's production loop reaches this world: network, log, state
 * machine. */
#include "tests/sim/sim.h"

#include "base/bytes.h"

#define LOG_RESERVE 2048

/* ---- the network as a node's loop sees it ---- */

static uint32_t
net_recv(void *net, uint64_t now_ns, struct net_frame *ret_frames, uint32_t count_max)
{
	struct sim_node *n = net;
	uint32_t count = 0;

	(void)now_ns;
	while (count < count_max && n->inbox_count > 0) {
		struct sim_frame *f = n->inbox[n->inbox_first];
		ret_frames[count++] = (struct net_frame){
			.payload = f->data,
			.payload_bytes = f->bytes,
			.peer = { .node_id = f->src },
			.version_max = f->version_max,
			.handle = f,
		};
		f->holder = n->place;
		n->held_count++;
		n->inbox_first = (n->inbox_first + 1) % SIM_INBOX_COUNT;
		n->inbox_count--;
	}
	return count;
}

static void
net_release(void *net, struct net_frame *frames, uint32_t count)
{
	struct sim_node *n = net;

	for (uint32_t i = 0; i < count; i++)
		sim_frame_give(n->sim, frames[i].handle);
	n->held_count -= count;
}

static uint32_t
net_alloc(void *net, struct net_frame *ret_frames, uint32_t count)
{
	struct sim_node *n = net;
	uint32_t i;

	for (i = 0; i < count && n->held_count < SIM_NODE_FRAMES; i++) {
		struct sim_frame *f = sim_frame_take(n->sim);
		if (f == NULL)
			break;
		f->holder = n->place;
		n->held_count++;
		ret_frames[i] = (struct net_frame){ .payload = f->data, .handle = f };
	}
	return i;
}

static enum crash_point
point_of(uint32_t types)
{
	if ((types & 1u << ENG_MSG_ACCEPT) != 0)
		return POINT_ACCEPT;
	if ((types & 1u << ENG_MSG_SNAPSHOT_CHUNK) != 0)
		return POINT_CHUNK;
	return (types & (1u << ENG_MSG_PROMISE | 1u << ENG_MSG_ACCEPTED)) != 0 ? POINT_ANSWER
									       : POINT_ANY_FRAME;
}

static void
net_send(void *net, uint64_t now_ns, struct net_frame *frames, uint32_t count)
{
	struct sim_node *n = net;

	(void)now_ns;
	for (uint32_t i = 0; i < count; i++) {
		struct sim_frame *f = frames[i].handle;

		fault_crash_point(n, point_of(sim_frame_types(f->data, frames[i].payload_bytes)));
		f->src = n->id;
		f->version_max = n->version_max;
		f->dst = frames[i].peer.node_id;
		f->bytes = frames[i].payload_bytes;
		f->holder = 0;
		n->held_count--;
		oracle_on_frame(n->sim, n, f->data, f->bytes);
		sim_frame_send(n->sim, f);
	}
}

const struct net_ops sim_net_ops = {
	.recv = net_recv,
	.release = net_release,
	.alloc = net_alloc,
	.send = net_send,
};

/* ---- the log: the production one, on a disk that a crash may strike between two requests ---- */

static uint32_t
log_append(
	void *log, const struct log_record *records, uint32_t count, struct log_place *ret_places)
{
	struct sim_node *n = log;

	fault_crash_point(n, POINT_APPEND);
	uint32_t done = wal_log_ops.append(n->wal, records, count, ret_places);
	for (uint32_t i = 0; i < done; i++)
		oracle_on_append(n->sim, n, &records[i], ret_places[i].lsn);
	return done;
}

static uint64_t
log_meta(void *log, const void *blob, uint32_t bytes)
{
	struct sim_node *n = log;

	fault_crash_point(n, POINT_APPEND);
	return wal_log_ops.meta(n->wal, blob, bytes);
}

static void
log_hearsay(void *log, const void *blob, uint32_t bytes)
{
	struct sim_node *n = log;

	fault_crash_point(n, POINT_APPEND);
	wal_log_ops.hearsay(n->wal, blob, bytes);
}

static int
log_read(void *log, uint64_t position, uint64_t token)
{
	return wal_log_ops.read(((struct sim_node *)log)->wal, position, token);
}

static void
log_submit(void *log, uint64_t now_ns)
{
	struct sim_node *n = log;

	fault_crash_point(n, POINT_SUBMIT);
	wal_log_ops.submit(n->wal, now_ns);
	fault_crash_point(n, POINT_SUBMIT);
}

static uint32_t
log_reap(void *log, uint64_t now_ns, struct log_completion *ret, uint32_t count_max)
{
	struct sim_node *n = log;
	uint32_t count = wal_log_ops.reap(n->wal, now_ns, ret, count_max);

	for (uint32_t i = 0; i < count; i++)
		if (ret[i].kind == LOG_DURABLE)
			oracle_on_durable(n->sim, n, ret[i].lsn);
	return count;
}

/* A log that fills up for good begins to when enough was executed for the run to mean something. */
static bool
log_is_small(const struct sim *sim)
{
	return sim->faults.log_records != 0 &&
	       (!sim->fills_up || sim->oracle.order_count >= SIM_COMMAND_COUNT_MIN);
}

static uint64_t
log_records_max(struct sim_node *n, const struct log_room *room)
{
	uint64_t records = n->sim->faults.log_records;

	if (!n->sim->fills_up)
		return records;
	if (n->log_records_max == 0)
		n->log_records_max =
			room->space_record_count_max - room->space_record_count + records;
	return n->log_records_max;
}

/* As if it held so much less. The loop keeps LOG_RESERVE of its room from commands
 * (runtime/room.c). */
static void
log_be_small(struct sim_node *n, struct log_room *room)
{
	uint64_t max = LOG_RESERVE + log_records_max(n, room);
	uint64_t less = room->space_record_count_max > max ? room->space_record_count_max - max : 0;
	uint64_t space = room->space_record_count > less ? room->space_record_count - less : 0;
	bool is_full = space <= LOG_RESERVE + 2 * n->sim->window_slots;

	room->space_record_count = space;
	room->space_record_count_max = max;
	if (n->sim->oracle.chosen_last == 0)
		return; /* not prepared yet */
	n->sim->count.filled += is_full && !n->is_full;
	n->sim->count.emptied += !is_full && n->is_full;
	n->is_full = is_full;
}

/* A log that always seems more than half full lets its records go as soon as it may. */
static struct log_room
log_room(void *log)
{
	struct sim_node *n = log;
	struct log_room room = wal_log_ops.room(n->wal);

	if (log_is_small(n->sim))
		log_be_small(n, &room);
	if (n->sim->trims_early)
		room.space_record_count_max = 2 * room.space_record_count + 2;
	return room;
}

static void
log_trim(void *log, uint64_t lsn)
{
	struct sim_node *n = log;

	fault_crash_point(n, POINT_SNAPSHOT);
	wal_log_ops.trim(n->wal, lsn);
}

static void
log_raise(void *log, uint32_t version)
{
	wal_log_ops.raise(((struct sim_node *)log)->wal, version);
}

static bool
log_is_idle(void *log)
{
	return wal_log_ops.is_idle(((struct sim_node *)log)->wal);
}

const struct log_ops sim_log_ops = {
	.append = log_append,
	.meta = log_meta,
	.hearsay = log_hearsay,
	.read = log_read,
	.submit = log_submit,
	.reap = log_reap,
	.room = log_room,
	.trim = log_trim,
	.raise = log_raise,
	.is_idle = log_is_idle,
};

/* ---- the state machine: every node must see the oracle's order ---- */

#define PIECE_COUNT_MAX 5

/* Of one piece some nodes hear the answers together, and others one by one: nobody can tell. */
static void
answer_piece(struct sim_node *n, struct decree_sink *sink, const struct decree_command *commands,
	const struct decree_answer *answers, uint32_t count)
{
	if (sim_draw(&n->sim->random_answers, 2) == 0) {
		decree_sink_answer_burst(sink, commands, answers, count);
		return;
	}
	for (uint32_t i = 0; i < count; i++)
		decree_sink_answer(sink, commands[i].session, commands[i].seq, answers[i].status,
			answers[i].result);
}

static void
execute_piece(struct sim_node *n, struct decree_sink *sink, const struct decree_command *commands,
	uint32_t count)
{
	struct decree_answer answers[PIECE_COUNT_MAX];

	for (uint32_t i = 0; i < count; i++) {
		oracle_on_command(n->sim, n, &commands[i]);
		sim_timer_set(n, &commands[i]);
		answers[i] = (struct decree_answer){ .result = n->applied_count };
	}
	answer_piece(n, sink, commands, answers, count);
}

static void
machine_apply(void *machine, const struct decree_command *commands, uint32_t count,
	uint64_t cluster_ns, struct decree_sink *sink)
{
	struct sim_node *n = machine;

	sim_check(n->sim, cluster_ns >= n->cluster_ns, "cluster time went backwards on node %u",
		n->id);
	n->cluster_ns = cluster_ns;
	if (n->sim->queue->is_on) {
		sim_queue_apply(n, commands, count, cluster_ns, sink);
		return;
	}
	sim_timer_look(n, count == 0);
	for (uint32_t i = 0, piece; i < count; i += piece) {
		piece = (uint32_t)sim_draw_between(&n->sim->random_answers, 1, PIECE_COUNT_MAX);
		if (piece > count - i)
			piece = count - i;
		execute_piece(n, sink, &commands[i], piece);
	}
}

static struct decree_digest
machine_digest(void *machine)
{
	const struct sim_node *n = machine;
	struct decree_digest d = n->digest;

	if (n->sim->queue->is_on) {
		struct decree_digest queue = queue_machine_ops.digest(n->queue);
		d = (struct decree_digest){ d.lo + queue.lo, d.hi + queue.hi };
	}
	return d;
}

static uint64_t
machine_next_deadline(void *machine)
{
	const struct sim_node *n = machine;

	return n->sim->queue->is_on ? sim_queue_next(n) : sim_timer_next(n);
}

/* How many commands were executed here, and a digest of them in their order. */
static int32_t
machine_read(void *machine, const void *query, uint32_t bytes, void *ret_answer, uint32_t capacity)
{
	const struct sim_node *n = machine;

	(void)query, (void)bytes;
	decree_assert(capacity >= 16);
	store_u64(ret_answer, n->applied_count);
	store_u64((uint8_t *)ret_answer + 8, n->fold);
	return 16;
}

const struct decree_machine_ops sim_machine_ops = {
	.struct_bytes = sizeof(struct decree_machine_ops),
	.apply = machine_apply,
	.next_deadline = machine_next_deadline,
	.digest = machine_digest,
	.read = machine_read,
	.snapshot_begin = sim_snapshot_begin,
	.snapshot_next = sim_snapshot_next,
	.snapshot_end = sim_snapshot_end,
	.restore_begin = sim_restore_begin,
	.restore_next = sim_restore_next,
	.restore_end = sim_restore_end,
};

void
sim_on_applied(void *context, uint16_t group, struct decree_slot first, struct decree_slot after)
{
	struct sim_node *n = context;

	(void)group;
	oracle_on_applied(n->sim, n, first, after);
}

/* Which of two processes with one id it is. */
const char *
sim_copy_mark(const struct sim_node *n)
{
	return n->place == SIM_TWIN ? " (the copy)" : "";
}

/* What an operator would read: whom it refuses, for example. */
void
sim_on_note(void *context, enum note note, int32_t group, const char *line)
{
	struct sim_node *n = context;

	(void)group;
	if (note_line(note).level <= DECREE_LOG_WARNING)
		sim_trace(n->sim, "node %u%s: warns: %s", n->id, sim_copy_mark(n), line);
}

void
sim_on_role(void *context, uint16_t group, enum decree_role role, uint16_t leader,
	struct decree_ballot ballot)
{
	struct sim_node *n = context;
	const char *what = role == DECREE_CANDIDATE  ? "stands for election"
			   : role == DECREE_FOLLOWER ? "follows"
			   : sim_replica(n)->ready   ? "leads, and is ready"
						     : "leads";

	(void)group;
	if (role == DECREE_LEADER)
		n->sim->oracle.leader_changes++;
	if (role == DECREE_FOLLOWER && leader == 0)
		sim_trace(n->sim, "node %u%s: knows no leader", n->id, sim_copy_mark(n));
	else
		sim_trace(n->sim, "node %u%s: %s%s%.0u, ballot %lu.%u", n->id, sim_copy_mark(n),
			what, role == DECREE_FOLLOWER ? " node " : "",
			role == DECREE_FOLLOWER ? leader : 0u, ballot.n >> 16,
			(unsigned)(ballot.n & 0xffff));
}
