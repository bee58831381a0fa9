/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One turn of a shard's loop:
 *
 *   1. receive bursts of frames; messages of nodes go to the core first, commands of clients after
 *      them
 *   2. take what proposers put into their mailboxes
 *   3. reap the log: what became durable lets the core speak
 *   4. damage that the log has found; snapshots: write a little, fetch a little; tick the groups
 *      that are due
 *   5. flush each group: it packs what is waiting into slots, acknowledges what is durable
 *   6. send the frames of this turn, then hand the log its records with one system call; where they
 *      are durable at once, do 5 and 6 again
 *
 * Frames leave before the log's system call: the peers work while the kernel takes our write.
 *
 * What may fail:
 *   - the log's buffer is full: no new input until it has drained; timers and heartbeats go on
 *     (room.c)
 *   - the log is full: the core refuses commands and Accepts, and says so
 *   - no empty frame: the message is lost, the core repeats what matters
 *   - a write failed, or the core halts: the shard stops at once and sends nothing more
 */
#include "base/failpoint.h"
#include "base/version.h"
#include "engine/runtime/meta.h"
#include "engine/runtime/shard_private.h"

#include <stdarg.h>

struct shard_group *
shard_find_group(const struct shard *s, uint16_t group)
{
	if (group >= DECREE_GROUP_COUNT_MAX || s->group_local[group] < 0)
		return NULL;
	return &s->groups[s->group_local[group]];
}

void
shard_note(struct shard *s, const struct shard_group *g, enum note note, const char *format, ...)
{
	char line[DECREE_ERROR_BYTES];
	va_list args;

	if (s->config.on_note == NULL)
		return;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	s->config.on_note(s->config.context, note,
		g != NULL ? (int32_t)g->config.group : DECREE_NO_GROUP, line);
}

void
shard_stop(struct shard *s, enum shard_stop why, const char *format, ...)
{
	va_list args;

	if (s->stop != SHARD_RUNS)
		return; /* the first reason is the one that explains the rest */
	s->stop = why;
	va_start(args, format);
	vsnprintf(s->stop_text, sizeof(s->stop_text), format, args);
	va_end(args);
}

/* ------------------------------------------------------------------------------ the start */

void
shard_attach(struct shard *s, void *log, void *net)
{
	decree_assert(!s->is_booting && !s->has_started);
	s->log = log;
	s->net = net;
	s->version = VERSION_FIRST;
}

void
shard_start(struct shard *s, uint64_t boot_count, uint64_t now_ns)
{
	decree_assert(!s->is_booting && !s->has_started);
	decree_assert(boot_count > s->boot_count);
	s->boot_count = boot_count;
	s->now_ns = now_ns;
	s->stall.since_ns = now_ns;
	for (uint32_t i = 0; i < s->config.group_count; i++)
		(void)version_follow(s, &s->groups[i]);
	meta_write_boot(s);
	FAILPOINT("runtime.start.boot_count_noted");
	s->is_booting = true;
}

/* The boot count is durable: from here on frames may leave. */
static void
start_groups(struct shard *s)
{
	FAILPOINT("runtime.start.boot_count_durable");
	s->is_booting = false;
	s->has_started = true;
	for (uint32_t i = 0; i < s->config.group_count; i++) {
		struct eng_event event = {
			.type = ENG_EV_START,
			.now_ns = s->now_ns,
			.start = { .boot_count = s->boot_count,
				.hearsay = hearsay_rows(s->hearsay, i) },
		};
		trim_note_here(s, &s->groups[i]);
		shard_step(s, &s->groups[i], &event);
	}
}

/* ------------------------------------------------------------------------------ the turn */

void
shard_step(struct shard *s, struct shard_group *g, struct eng_event *event)
{
	if (s->stop != SHARD_RUNS)
		return;
	event->record_room = room_of(s, g);
	eng_step(g->replica, event, &s->fx);
	if (event->type != ENG_EV_FLUSH)
		g->is_dirty = true;
	effects_carry_out(s, g);
}

void
shard_submit(struct shard *s, struct shard_group *g, uint32_t count)
{
	struct eng_event event = {
		.type = ENG_EV_SUBMIT,
		.now_ns = s->now_ns,
		.submit = { .commands = s->submit,
			.count = count,
			.ret_statuses = s->submit_status },
	};

	decree_assert(count <= CLIENT_BURST_MAX);
	if (!room_for(s, g, ROOM_STEP)) {
		for (uint32_t i = 0; i < count; i++)
			s->submit_status[i] = ENG_SUBMIT_BUSY;
		return;
	}
	shard_step(s, g, &event);
}

enum eng_submit_status
shard_submit_run(struct shard *s, struct shard_group *g, struct decree_session session,
	uint64_t seq, const struct eng_body *bodies, uint32_t count, uint32_t *ret_taken)
{
	enum eng_submit_status status = ENG_SUBMIT_BUSY;
	struct eng_event event = {
		.type = ENG_EV_SUBMIT_RUN,
		.now_ns = s->now_ns,
		.submit_run = { .session = session,
			.seq = seq,
			.bodies = bodies,
			.count = count,
			.ret_taken = ret_taken,
			.ret_status = &status },
	};

	*ret_taken = 0;
	if (room_for(s, g, ROOM_STEP))
		shard_step(s, g, &event);
	return status;
}

/* A message between replicas. Its sender is proved by the network; what it claims must agree. */
static void
on_node_message(
	struct shard *s, const struct net_frame *frame, const uint8_t *bytes, uint32_t count)
{
	struct eng_msg m;
	struct eng_event event = { .type = ENG_EV_RECV,
		.now_ns = s->now_ns,
		.recv = { .msg = &m, .version_max = frame->version_max } };

	if (eng_msg_decode(bytes, count, &m) != 0 || m.src != frame->peer.node_id ||
		m.dst != s->node_id) {
		s->counters.malformed++;
		return;
	}
	struct shard_group *g = shard_find_group(s, m.group);
	if (g == NULL) {
		s->counters.malformed++;
		return;
	}
	if (!room_for(s, g, room_message_needs(&m))) {
		s->counters.no_room_dropped++;
		return;
	}
	s->counters.messages_in++;
	shard_step(s, g, &event);
	if (s->stop == SHARD_RUNS && eng_was_welcome(g->replica))
		transfer_on_message(s, g, &m);
}

static void
on_node_frame(struct shard *s, const struct net_frame *frame)
{
	const uint8_t *message;
	uint32_t cursor = 0, bytes;

	if (!is_bundle(frame->payload, frame->payload_bytes)) {
		on_node_message(s, frame, frame->payload, frame->payload_bytes);
		return;
	}
	if (!bundle_is_valid(frame->payload, frame->payload_bytes)) {
		s->counters.malformed++;
		return;
	}
	while (bundle_next(frame->payload, frame->payload_bytes, &cursor, &message, &bytes))
		on_node_message(s, frame, message, bytes);
}

static bool
is_core_message(const struct net_frame *frame)
{
	return frame->payload_bytes > 0 && frame->payload[0] < CLIENT_MSG_COMMANDS &&
	       frame->peer.node_id != 0;
}

/* Replicas first: a flood of commands must not delay a vote or a heartbeat. */
static uint32_t
receive_burst(struct shard *s, uint64_t stage_from_ns)
{
	struct net_frame frames[NET_BURST];
	uint32_t count = s->config.net_ops->recv(s->net, s->now_ns, frames, NET_BURST);

	if (count > 0)
		stages_on_received(s, stage_from_ns);
	/* What a heartbeat grants counts from its receipt, and that is now: this thread may have
	 * stood still between the beginning of the turn and this line (8.3). */
	if (s->has_leases && count > 0)
		s->now_ns = s->config.now_ns(s->config.context);
	for (uint32_t i = 0; i < count; i++)
		if (is_core_message(&frames[i]))
			on_node_frame(s, &frames[i]);
	for (uint32_t i = 0; i < count; i++)
		if (!is_core_message(&frames[i]))
			clients_on_frame(s, &frames[i]);
	if (count > 0)
		s->config.net_ops->release(s->net, frames, count);
	return count;
}

static void
receive(struct shard *s)
{
	for (uint32_t i = 0; i < RECV_BURSTS_PER_TURN; i++) {
		uint32_t count;

		if (!room_for_burst(s) && !room_is_patience_over(s))
			return;
		/* Nothing that takes time lies between a turn's begin and its first burst. */
		count = receive_burst(s, i == 0 ? s->stage_turn.begun_ns : stages_on_receive(s));
		s->did_work = s->did_work || count > 0;
		if (count < NET_BURST || s->stop != SHARD_RUNS)
			return;
	}
}

/* @return true if the log had something to say */
static bool
reap(struct shard *s)
{
	struct log_completion done[32];
	bool has_news = false;
	uint32_t count;

	do {
		count = s->config.log_ops->reap(s->log, s->now_ns, done, 32);
		for (uint32_t i = 0; i < count; i++) {
			if (done[i].kind == LOG_READ)
				reads_on_completion(s, &done[i]);
			else if (done[i].kind == LOG_DAMAGED)
				damage_on_completion(s, &done[i]);
			else
				persist_on_completion(s, &done[i]);
			if (s->stop != SHARD_RUNS)
				return true;
		}
		has_news = has_news || count > 0;
	} while (count == 32);
	s->did_work = s->did_work || has_news;
	persist_release(s);
	return has_news;
}

static void
tick(struct shard *s)
{
	if (s->now_ns >= s->net_tick_at_ns) {
		s->config.net_ops->tick(s->net, s->now_ns);
		s->net_tick_at_ns = s->now_ns + SHARD_NET_TICK_NS;
	}
	for (uint32_t i = 0; i < s->config.group_count; i++) {
		struct shard_group *g = &s->groups[i];

		if (s->now_ns < g->wake_at_ns || !room_for_turn(s, g))
			continue;
		struct eng_event event = { .type = ENG_EV_TICK, .now_ns = s->now_ns };
		s->did_work = true;
		shard_step(s, g, &event);
	}
}

/* Once a turn at most, and only where somebody could make a slot for it (14). */
static void
deadline_ask(const struct shard *s, struct shard_group *g)
{
	const struct decree_machine_ops *ops = s->config.machine_ops;

	if (ops->next_deadline == NULL || !g->is_deadline_old || g->status.role != DECREE_LEADER)
		return;
	g->deadline_ns = ops->next_deadline(g->machine);
	g->is_deadline_old = false;
}

static void
flush_group(struct shard *s, struct shard_group *g, bool is_idle)
{
	if (!g->is_dirty && (g->was_log_idle || !is_idle))
		return; /* nothing happened that a flush could use */
	if (!room_for_turn(s, g))
		return; /* the log's buffer drains first; the group stays dirty */
	g->is_dirty = false;
	g->was_log_idle = is_idle;
	deadline_ask(s, g);
	struct eng_event event = {
		.type = ENG_EV_FLUSH,
		.now_ns = s->now_ns,
		.flush = { .log_is_idle = is_idle,
			.log_space_slots = room_space_slots(s, g),
			.log_reserve_slots = room_reserve_slots(s),
			.peers_wait = s->now_ns < g->peers_wait_until_ns,
			.deadline_ns = g->deadline_ns },
	};
	shard_step(s, g, &event);
}

static void
flush(struct shard *s)
{
	bool is_idle = s->config.log_ops->is_idle(s->log);

	for (uint32_t i = 0; i < s->config.group_count; i++)
		flush_group(s, &s->groups[i], is_idle);
}

static bool
turn_boot(struct shard *s)
{
	s->config.log_ops->submit(s->log, s->now_ns);
	(void)reap(s);
	stall_look(s);
	if (s->stop == SHARD_RUNS && s->durable_generation >= s->boot_generation)
		start_groups(s);
	return s->did_work || s->stop != SHARD_RUNS;
}

static void
run_gateways(struct shard *s)
{
	for (uint32_t i = 0; i < s->gateway_after; i++)
		if (s->gateways[i].group != NULL)
			gateway_run(s, &s->gateways[i]);
}

static void
flush_gateways(struct shard *s)
{
	bool has_told = false;

	for (uint32_t i = 0; i < s->gateway_after; i++) {
		if (s->gateways[i].group == NULL)
			continue;
		has_told = has_told || s->gateways[i].has_told;
		s->gateways[i].has_told = false;
		gateway_flush(&s->gateways[i]);
	}
	if (has_told)
		stages_on_told(s);
}

/* What the turn has led to goes where it belongs. */
static void
finish(struct shard *s)
{
	flush(s);
	query_answer(s);
	clients_flush(s);
	flush_gateways(s);
	if (s->stop != SHARD_RUNS)
		return;
	bundles_flush(s);
	out_flush(s);
	stages_on_told(s);
	reads_kick(s);
	s->config.log_ops->submit(s->log, s->now_ns);
}

/* A log in memory is durable once it was submitted: a follower then answers in the turn in which it
 * was asked. What was appended before this turn has been looked for. */
static bool
has_news_of_log(struct shard *s, uint64_t appended_before)
{
	if (s->stop != SHARD_RUNS || s->counters.appended == appended_before)
		return false;
	return reap(s) && s->stop == SHARD_RUNS;
}

bool
shard_turn(struct shard *s, uint64_t now_ns)
{
	uint64_t appended = s->counters.appended;

	if (s->stop != SHARD_RUNS || (!s->is_booting && !s->has_started))
		return false;
	s->now_ns = now_ns;
	s->did_work = false;
	s->counters.turns++;
	stages_on_turn(s);
	room_look(s);
	if (s->is_booting)
		return turn_boot(s);

	receive(s);
	if (room_for_burst(s)) {
		clients_continue(s);
		run_gateways(s);
	}
	query_take(s);
	(void)reap(s);
	stall_look(s);
	damage_turn(s);
	snapshot_turn(s);
	tick(s);
	room_hand_over(s);
	query_ask(s);
	finish(s);
	stages_on_submitted(s);
	if (has_news_of_log(s, appended))
		finish(s);
	s->counters.turns_busy += s->did_work;
	return s->did_work ||
	       s->stop != SHARD_RUNS; /* its owner asks why after a turn that did something */
}

/* What one part of a turn left for another that comes before it. */
static bool
is_unfinished(const struct shard *s)
{
	for (uint32_t i = 0; i < s->config.group_count; i++) {
		const struct query_queue *queue = &s->groups[i].queries;

		if (s->groups[i].is_dirty || queue->asked_after != queue->after)
			return true;
	}
	return s->has_waiting || s->damage.hole_after != 0;
}

uint64_t
shard_wake_at(const struct shard *s)
{
	uint64_t at = s->net_tick_at_ns;

	if (!s->has_started)
		return UINT64_MAX; /* there is nothing to do before the log has answered */
	if (is_unfinished(s))
		return s->now_ns;
	for (uint32_t i = 0; i < s->config.group_count; i++)
		at = min_u64(at, s->groups[i].wake_at_ns);
	at = min_u64(at, snapshot_wake_at(s));
	for (uint32_t i = 0; i < s->gateway_after; i++)
		if (s->gateways[i].group != NULL)
			at = min_u64(at, gateway_wake_at(&s->gateways[i], s->now_ns));
	return at;
}

bool
shard_is_log_busy(const struct shard *s)
{
	return s->durable_lsn < s->appended_lsn || s->durable_generation < s->meta_generation ||
	       s->read_open_count > 0;
}

/* ------------------------------------------------------------------------------ questions */

bool
shard_has_started(const struct shard *s)
{
	return s->has_started;
}

enum shard_stop
shard_stop_reason(const struct shard *s, char *ret_text)
{
	if (ret_text != NULL)
		memcpy(ret_text, s->stop_text, sizeof(s->stop_text));
	return s->stop;
}

int
shard_group_status(const struct shard *s, uint16_t group, struct decree_group_status *ret_status)
{
	const struct shard_group *g = shard_find_group(s, group);
	struct eng_status now;

	if (g == NULL)
		return -ENOENT;
	eng_status(g->replica, &now);
	*ret_status = (struct decree_group_status){
		.role = now.role,
		.ready = now.ready,
		.leader = now.leader,
		.ballot = now.ballot,
		.chosen = now.chosen,
		.applied = g->applied,
		.digest = s->config.machine_ops->digest(g->machine),
	};
	return 0;
}

const struct shard_counters *
shard_counters(const struct shard *s)
{
	return &s->counters;
}

const struct eng_replica *
shard_replica(const struct shard *s, uint16_t group)
{
	const struct shard_group *g = shard_find_group(s, group);

	return g == NULL ? NULL : g->replica;
}

const struct eng_sessions *
shard_sessions(const struct shard *s, uint16_t group)
{
	const struct shard_group *g = shard_find_group(s, group);

	return g == NULL ? NULL : g->sessions;
}
