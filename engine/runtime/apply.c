/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chosen slots become executed commands, in order, on every node alike.
 *
 *   slot -> eng_sessions_apply(): which commands execute, which are repeats
 *        -> the state machine, one call per slot
 *        -> decree_sink_answer(): the answer is stored in the session, and goes to whoever waits for it here
 *        -> after a MARK, the digest of all this goes to the core, which compares it with the other nodes'
 *
 * The machine may answer a command of this slot or one that it parked earlier. A machine that leaves a
 * command unanswered keeps its waiter waiting.
 */
#include "base/failpoint.h"
#include "engine/core/session_answer.h"
#include "engine/runtime/gateway_answer.h"

struct decree_sink {
	struct shard *shard;
	struct shard_group *group;
	/* Commands come in runs of one session: its row and owner are looked up once per run. */
	struct decree_session session; /* 0: none yet */
	int32_t row;                   /* -1: it has none */
	struct owner owner;
};

static void
sink_look_up(struct decree_sink *sink, struct decree_session session)
{
	if (sink->session.n == session.n)
		return;
	sink->session = session;
	sink->row = eng_session_row(sink->group->sessions, session);
	sink->owner = sink->row < 0 ? (struct owner){ .kind = OWNER_NONE }
				    : sink->group->owners[sink->row];
}

/* A machine may answer a session that is none: it has no row either. */
static void
sink_forget(struct decree_sink *sink)
{
	sink->session.n = 0;
	sink->row = -1;
	sink->owner.kind = OWNER_NONE;
}

/* Whoever it is for, and whatever else goes on. */
__attribute__((noinline)) static void
answer(struct decree_sink *sink, struct decree_session session, uint64_t seq, uint16_t status,
	uint64_t result)
{
	struct shard *s = sink->shard;

	sink_look_up(sink, session);
	if (sink->row < 0)
		return;
	eng_session_answer_row(sink->group->sessions, (uint32_t)sink->row, seq, status, result);
	if (sink->owner.kind == OWNER_GATEWAY)
		gateway_on_answer(s, &s->gateways[sink->owner.index], seq, status, result);
	else if (sink->owner.kind == OWNER_CLIENT)
		clients_on_answer(s, sink->group, sink->owner, session, seq, status, result);
}

/* Nearly all: of the session whose command was answered before this one, and of nobody here or of a gateway. */
void
decree_sink_answer(struct decree_sink *sink, struct decree_session session, uint64_t seq,
	uint16_t status, uint64_t result)
{
	if (sink->session.n != session.n || sink->row < 0 || sink->owner.kind == OWNER_CLIENT ||
		!session_answer_plainly(
			sink->group->sessions, (uint32_t)sink->row, seq, status, result))
		answer(sink, session, seq, status, result);
	else if (sink->owner.kind == OWNER_GATEWAY)
		gateway_on_answer(sink->shard, &sink->shard->gateways[sink->owner.index], seq,
			status, result);
}

/* Log requests tell what was executed from what was skipped; the log itself does not know. */
static void
note_skip(struct shard_group *g, struct decree_slot slot, uint32_t index)
{
	g->skips[g->skip_count++ % SKIP_COUNT_MAX] = slot.n << 16 | index;
}

bool
was_skipped(const struct shard_group *g, struct decree_slot slot, uint32_t index)
{
	uint64_t wanted = slot.n << 16 | index;
	uint64_t low = g->skip_count > SKIP_COUNT_MAX ? g->skip_count - SKIP_COUNT_MAX : 0;
	uint64_t high = g->skip_count;

	while (low < high) {
		uint64_t middle = low + (high - low) / 2;
		uint64_t here = g->skips[middle % SKIP_COUNT_MAX];

		if (here == wanted)
			return true;
		if (here < wanted)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

static void
tell_owner(struct decree_sink *sink, const struct eng_applied *a)
{
	struct shard *s = sink->shard;

	sink_look_up(sink, a->session);
	if (sink->owner.kind == OWNER_GATEWAY)
		gateway_on_applied(s, &s->gateways[sink->owner.index], a);
	else if (sink->owner.kind == OWNER_CLIENT)
		clients_on_applied(s, sink->group, sink->owner, a);
}

/* A new session's row may have been another's: its owner does not wait for this one's answers. */
static void
forget_owner(struct shard_group *g, struct decree_session session)
{
	g->owners[eng_session_row(g->sessions, session)] = (struct owner){ .kind = OWNER_NONE };
}

/* @return true if they execute */
static bool
sort_out(struct decree_sink *sink, struct decree_slot slot, const struct eng_applied *a)
{
	struct shard *s = sink->shard;

	switch (a->verdict) {
	case ENG_EXECUTE: tell_owner(sink, a); return true;
	case ENG_REGISTERED:
	case ENG_TABLE_FULL:
		if (a->has_new_row)
			forget_owner(sink->group, a->session);
		gateway_on_registered(s, sink->group, a);
		clients_on_registered(s, sink->group, a);
		sink_forget(sink); /* a session may have found its owner just now */
		if (a->verdict == ENG_REGISTERED)
			return false;
		break;
	default: tell_owner(sink, a); break;
	}
	note_skip(sink->group, slot, a->index);
	s->counters.skipped++;
	return false;
}

static void
run_machine(struct decree_sink *sink, const struct decree_command *commands, uint32_t count,
	uint64_t cluster_ns)
{
	const struct decree_machine_ops *ops = sink->shard->config.machine_ops;
	void *machine = sink->group->machine;

	if (count == 0 && (ops->next_deadline == NULL || ops->next_deadline(machine) > cluster_ns))
		return;
	ops->apply(machine, commands, count, cluster_ns, sink);
	sink->shard->counters.executed += count;
	sink->group->applied_count += count;
}

/* The commands of a run, as the machine wants them. @return how many */
static uint32_t
spread_out(struct eng_applied *a, struct decree_slot slot, struct decree_command *ret_commands)
{
	uint32_t count = 0;

	do {
		ret_commands[count++] = (struct decree_command){
			.slot = slot,
			.index = a->index,
			.session = a->session,
			.seq = a->seq,
			.body = a->body,
			.bytes = a->bytes,
		};
	} while (eng_applied_next(a));
	return count;
}

/* @return the kind of its value */
static enum eng_value_kind
apply_slot(struct decree_sink *sink, struct decree_slot slot)
{
	struct shard *s = sink->shard;
	struct shard_group *g = sink->group;
	uint32_t bytes, run_count, execute_count = 0;
	uint64_t cluster_ns;
	const uint8_t *value = eng_value(g->replica, slot, &bytes);

	decree_assert(slot.n == g->applied.n + 1);
	run_count = eng_sessions_apply(g->sessions, slot, value, bytes, s->applied, &cluster_ns);
	for (uint32_t i = 0; i < run_count; i++)
		if (sort_out(sink, slot, &s->applied[i]))
			execute_count +=
				spread_out(&s->applied[i], slot, &s->commands[execute_count]);
	/* The last part of a train that was broken: listed in the log, executed by nobody. */
	if (run_count == 0 && bytes > 0 && value[0] == ENG_VALUE_FRAGMENT)
		note_skip(g, slot, 0);
	run_machine(sink, s->commands, execute_count, cluster_ns);
	FAILPOINT("runtime.apply.executed");
	g->applied = slot;
	return value[0];
}

/* Replicas compare their states after a MARK, and cut snapshots there (7.4, 9.2). The value stays where it is: a DIGEST stores nothing. */
static void
tell_digest(struct shard *s, struct shard_group *g, struct decree_slot slot)
{
	struct decree_digest machine = s->config.machine_ops->digest(g->machine);
	struct eng_value v;
	uint32_t bytes;
	const uint8_t *value = eng_value(g->replica, slot, &bytes);
	int rc = eng_value_decode(value, bytes, &v);
	struct eng_event event = {
		.type = ENG_EV_DIGEST,
		.now_ns = s->now_ns,
		.digest = { .slot = slot, .digest = eng_state_digest(g->sessions, machine) },
	};

	decree_assert(rc == 0);
	shard_step(s, g, &event);
	if (s->stop == SHARD_RUNS)
		snapshot_on_mark(s, g, slot, event.digest.digest, &v.mark);
}

void
apply_range(
	struct shard *s, struct shard_group *g, struct decree_slot first, struct decree_slot after)
{
	struct decree_sink sink = { .shard = s, .group = g, .row = -1 };

	for (struct decree_slot slot = first; slot.n < after.n && s->stop == SHARD_RUNS; slot.n++)
		if (apply_slot(&sink, slot) == ENG_VALUE_MARK)
			tell_digest(s, g, slot);
	s->did_work = true;
	g->is_deadline_old = true;
	if (s->config.on_applied == NULL)
		return;
	/* Whoever is woken by this looks for outcomes. */
	for (uint32_t i = 0; i < s->gateway_after; i++)
		if (s->gateways[i].group == g)
			gateway_flush(&s->gateways[i]);
	s->config.on_applied(s->config.context, g->config.group, first, after);
}
