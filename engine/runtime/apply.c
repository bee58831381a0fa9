/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chosen slots become executed commands, in order, on every node alike.
 *
 *   slot -> eng_sessions_apply(): which commands execute, which are repeats
 *        -> the state machine, one call per slot
 *        -> decree_sink_answer(), _burst(): answers are stored in the sessions, and go to whoever waits for them here
 *        -> after a MARK, the digest of all this goes to the core, which compares it with the other nodes'
 *
 * The machine may answer a command of this slot or one that it parked earlier. A machine that
 * leaves a command unanswered keeps its waiter waiting.
 */
#include "base/failpoint.h"
#include "engine/runtime/shard_private.h"

struct decree_sink {
	struct shard *shard;
	struct shard_group *group;
	/* What executes of this slot: [next, after) is not answered. Answers in the same order wait
	 * for each other and are passed on by runs: those to the commands before `next` are in
	 * shard->answers. */
	const struct decree_command *next, *after;
	struct decree_answer *answer; /* behind the last one that waits */
	/* with the first command that was not told its answer, or before that */
	const struct eng_applied *run;
	/* Whose row and owner were looked up last. */
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
				    : *owner_at(sink->group, sink->row);
}

/* A machine may answer a session that is none: it has no row either. */
static void
sink_forget(struct decree_sink *sink)
{
	sink->session.n = 0;
	sink->row = -1;
	sink->owner.kind = OWNER_NONE;
}

/* To commands [first, first + count) of a session. */
static void
tell_run(struct decree_sink *sink, struct decree_session session, uint64_t first, uint32_t count,
	const struct decree_answer *answers)
{
	struct shard *s = sink->shard;

	sink_look_up(sink, session);
	if (sink->row < 0)
		return;
	eng_session_answer_run(sink->group->sessions, (uint32_t)sink->row, first, count, answers);
	if (sink->owner.kind == OWNER_GATEWAY)
		gateway_on_answers(s, &s->gateways[sink->owner.index], first, count, answers);
	else if (sink->owner.kind == OWNER_CLIENT)
		clients_on_answers(s, sink->group, sink->owner, session, first, count, answers);
}

/* To commands [first, after) of this slot, behind those that were told theirs. */
static void
tell(struct decree_sink *sink, const struct decree_command *first,
	const struct decree_command *after, const struct decree_answer *answers)
{
	while (first < after) {
		const struct eng_applied *run = sink->run;
		uint32_t done, count;

		if (run->verdict != ENG_EXECUTE || first >= run->commands + run->count) {
			sink->run++;
			continue;
		}
		done = (uint32_t)(first - run->commands);
		count = min_u32(run->count - done, (uint32_t)(after - first));
		tell_run(sink, run->session, run->seq + done, count, answers);
		first += count;
		answers += count;
	}
}

void
apply_tell_answers(struct decree_sink *sink)
{
	const struct decree_answer *answers = sink->shard->answers;
	const struct decree_command *first = sink->next - (sink->answer - answers);

	sink->answer = sink->shard->answers;
	tell(sink, first, sink->next, answers);
}

/* Of a command that was parked, or of one behind such a command, which will be answered later. */
__attribute__((noinline)) static void
answer_apart(struct decree_sink *sink, struct decree_session session, uint64_t seq,
	const struct decree_answer *answer)
{
	uint64_t parked = sink->next == sink->after ? 0 : seq - sink->next->seq;

	apply_tell_answers(sink);
	tell_run(sink, session, seq, 1, answer);
	if (parked < (uint64_t)(sink->after - sink->next) &&
		sink->next[parked].session.n == session.n && sink->next[parked].seq == seq)
		sink->next += parked + 1;
}

void
decree_sink_answer(struct decree_sink *sink, struct decree_session session, uint64_t seq,
	uint16_t status, uint64_t result)
{
	const struct decree_answer answer = { .result = result, .status = status };
	const struct decree_command *c = sink->next;

	if (c == sink->after || c->session.n != session.n || c->seq != seq) {
		answer_apart(sink, session, seq, &answer);
		return;
	}
	*sink->answer++ = answer;
	sink->next = c + 1;
}

void
decree_sink_answer_burst(struct decree_sink *sink, const struct decree_command *commands,
	const struct decree_answer *answers, uint32_t count)
{
	if (commands != sink->next || count > sink->after - sink->next) {
		for (uint32_t i = 0; i < count; i++)
			decree_sink_answer(sink, commands[i].session, commands[i].seq,
				answers[i].status, answers[i].result);
		return;
	}
	apply_tell_answers(sink);
	sink->next += count;
	tell(sink, commands, sink->next, answers);
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

/* A new session's row may have been another's. A client finds out when it repeats; a proposer here
 * has nobody else who tells it. */
static void
forget_owner(struct shard *s, struct shard_group *g, struct decree_session session)
{
	int32_t row = eng_session_row(g->sessions, session);
	struct owner former;

	if (row < 0)
		return; /* gone within its own slot: whoever has the row by now tells the former owner */
	former = *owner_at(g, row);
	*owner_at(g, row) = (struct owner){ .kind = OWNER_NONE };
	if (former.kind == OWNER_GATEWAY)
		gateway_on_evicted(s, &s->gateways[former.index]);
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
			forget_owner(s, sink->group, a->session);
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
	sink->next = commands;
	sink->after = commands + count;
	sink->answer = sink->shard->answers;
	sink->run = sink->shard->applied;
	ops->apply(machine, commands, count, cluster_ns, sink);
	apply_tell_answers(sink);
	sink->shard->counters.executed += count;
	sink->group->applied_count += count;
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
	run_count = eng_sessions_apply(
		g->sessions, slot, value, bytes, s->applied, s->commands, &cluster_ns);
	for (uint32_t i = 0; i < run_count; i++)
		if (sort_out(sink, slot, &s->applied[i]))
			execute_count += s->applied[i].count;
	/* The last part of a train that was broken: listed in the log, executed by nobody. */
	if (run_count == 0 && bytes > 0 && value[0] == ENG_VALUE_FRAGMENT)
		note_skip(g, slot, 0);
	run_machine(sink, s->commands, execute_count, cluster_ns);
	FAILPOINT("runtime.apply.executed");
	g->applied = slot;
	return value[0];
}

/* Replicas compare their states after a MARK, and cut snapshots there (7.4, 9.2). The value stays
 * where it is: a DIGEST stores nothing. */
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
