/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way of one proposer's commands to the leader, wherever that is, and of their outcomes back.
 *
 * A gateway is one session (protocol 7.5). It takes commands from a mailbox into a window, hands
 * them to the leader in order, and counts a command as executed when this node applies it: every
 * node applies everything, so no answer needs to travel between nodes.
 *
 *   popped    taken from the mailbox             window[seq]: body (in the proposer's arena)
 *   sent      given to the leader                this node's core, or COMMANDS frames to another node
 *   executed  applied here; the body is free     executed <= sent <= popped
 *   answered  the machine has answered; the window's place is free
 *
 * Go-back-N: whenever something may be lost, `sent` falls back to `executed` and everything is given again
 * under its number; the leader's session table sorts repeats out. That happens
 *   - when the leader or its ballot changes, at once;
 *   - when the leader reports a gap, at most once per millisecond;
 *   - when nothing was executed for retry_ns, which doubles each time;
 *   - when the leader is busy, after the pause that it asks for.
 *
 * What may fail: the session table is full; another session has taken the row, as it does if this
 * node is no member any more; somebody else has used our numbers. Then the proposer is closed:
 * commands that a leader may have end as EVICTED, since they may be executed where nobody here sees
 * it, and all others as REFUSED. A snapshot jumps over commands: gateway_restored.c.
 */
#include "engine/runtime/gateway_private.h"

#define REWIND_PAUSE_NS    (1000 * 1000ull)
#define LOG_FULL_PAUSE_NS  (1000 * 1000ull) /* at first */
#define FORWARD_FRAMES_MAX 32               /* per turn */
#define BUSY_SHIFT_MAX     8

/* Each is turned once. */
static void
turn_bits(uint64_t *bits, uint32_t first, uint32_t after, bool to)
{
	while (first < after) {
		uint32_t count = min_u32(after - first, 64 - first % 64);
		uint64_t mask = UINT64_MAX >> (64 - count) << first % 64;

		decree_assert((bits[first / 64] & mask) == (to ? 0 : mask));
		bits[first / 64] ^= mask;
		first += count;
	}
}

/* Commands [first, first + count) wait for their outcome, or do not any more. */
static void
set_open(const struct shard *s, struct gateway *gw, uint64_t first, uint32_t count, bool to)
{
	uint32_t index = (uint32_t)first & (s->config.gateway_window - 1);
	uint32_t to_end = min_u32(s->config.gateway_window - index, count);

	turn_bits(gw->open, index, index + to_end, to);
	turn_bits(gw->open, 0, count - to_end, to);
	gw->open_count = to ? gw->open_count + count : gw->open_count - count;
	decree_assert(gw->open_count <= s->config.gateway_window);
}

int
shard_gateway_open(struct shard *s, uint16_t group, const uint8_t token[DECREE_UUID_BYTES],
	const struct mailbox_ops *ops, void *mailbox)
{
	struct shard_group *g = shard_find_group(s, group);

	if (g == NULL)
		return -ENOENT;
	for (int i = 0; i < SHARD_GATEWAY_COUNT_MAX; i++) {
		struct gateway *gw = &s->gateways[i];
		struct eng_body *window = gw->window;
		uint64_t *open = gw->open;

		if (gw->group != NULL)
			continue;
		memset(open, 0, (s->config.gateway_window / 64 + 1) * sizeof(*open));
		*gw = (struct gateway){
			.group = g,
			.ops = ops,
			.mailbox = mailbox,
			.window = window,
			.open = open,
			.gap_at_ns = UINT64_MAX,
			.retry_at_ns = UINT64_MAX,
			.retry_ns = RETRY_NS_MIN,
		};
		s->gateway_after =
			s->gateway_after > (uint32_t)i ? s->gateway_after : (uint32_t)i + 1;
		const struct eng_registration r = {
			.node_id = s->node_id,
			.place = (uint16_t)i,
			.opened = ++s->gateway_opened,
			.boot_count = s->boot_count,
		};
		(void)eng_registration_encode(&r, gw->registration); /* always the longer form */
		memcpy(gw->registration, token, DECREE_UUID_BYTES);
		return i;
	}
	return -EMFILE;
}

void
shard_gateway_close(struct shard *s, int gateway)
{
	decree_assert(gateway >= 0 && gateway < SHARD_GATEWAY_COUNT_MAX);
	struct gateway *gw = &s->gateways[gateway];

	decree_assert(gw->group != NULL);
	query_forget(s, gw);
	int32_t row = eng_session_row(gw->group->sessions, gw->session);
	if (gw->session.n != 0 && row >= 0)
		*owner_at(gw->group, row) = (struct owner){ .kind = OWNER_NONE };
	gw->group = NULL;
	while (s->gateway_after > 0 && s->gateways[s->gateway_after - 1].group == NULL)
		s->gateway_after--;
}

void
gateway_on_read(struct gateway *gw, const struct decree_completion *done)
{
	gw->ops->complete_read(gw->mailbox, done);
	gw->has_told = true;
}

void
gateway_flush(struct gateway *gw)
{
	if (gw->has_consumed)
		gw->ops->consumed(gw->mailbox, gw->executed);
	gw->has_consumed = false;
}

/* Bodies first: a proposer that sees its command's outcome may count on its memory. */
void
gateway_complete(const struct shard *s, struct gateway *gw, uint64_t first, uint32_t count,
	enum decree_outcome outcome, const struct decree_answer *answers)
{
	gateway_flush(gw);
	set_open(s, gw, first, count, false);
	gw->ops->complete(gw->mailbox, first, count, outcome, answers);
	gw->has_told = true;
}

/* To commands [first, first + count). What is answered after a refusal has its outcome already. */
void
gateway_on_answers(const struct shard *s, struct gateway *gw, uint64_t first, uint32_t count,
	const struct decree_answer *answers)
{
	if (gw->is_refused && gw->refused_first < first + count)
		count = gw->refused_first < first ? 0 : (uint32_t)(gw->refused_first - first);
	if (count > 0)
		gateway_complete(s, gw, first, count, DECREE_APPLIED, answers);
}

/* ----------------------------------------------------------------------------- what was applied */

static void
note_given(struct gateway *gw)
{
	gw->given = max_u64(gw->given, gw->sent);
}

/* The proposer is closed, if it is not yet. Open commands from @p first on end here, and so does
 * whatever comes: as EVICTED if a leader may have it, as REFUSED if not. Those before @p first wait
 * for their answers. */
static void
end_from(const struct shard *s, struct gateway *gw, uint64_t first)
{
	uint64_t behind = gw->popped > s->config.gateway_window
				  ? gw->popped - s->config.gateway_window
				  : 0; /* these are not open any more */

	if (!gw->is_refused) {
		note_given(gw);
		gw->given = max_u64(gw->given, gw->executed); /* a snapshot may have told */
		gw->refused_first = first;
	}
	gw->is_refused = true;
	gw->refused_first = min_u64(gw->refused_first, first);
	gw->retry_at_ns = UINT64_MAX;
	if (gw->executed < gw->popped) {
		gw->executed = gw->sent = gw->popped;
		gw->has_consumed = true;
	}
	for (uint64_t seq = max_u64(first, behind + 1); seq <= gw->popped; seq++)
		if (gateway_is_open(s, gw, seq))
			gateway_complete(s, gw, seq, 1,
				seq <= gw->given ? DECREE_EVICTED : DECREE_REFUSED, NULL);
}

void
gateway_on_evicted(struct shard *s, struct gateway *gw)
{
	shard_note(s, gw->group, NOTE_SESSIONS,
		"group %u: the session of a proposer of this node has given way to another: the "
		"proposer is closed",
		gw->group->config.group);
	end_from(s, gw, 1);
}

void
gateway_on_stolen(struct shard *s, struct gateway *gw, uint64_t first)
{
	shard_note(s, gw->group, NOTE_STOLEN,
		"group %u: somebody else used the session of a proposer of this node: a client "
		"with the client key borrowed its number. The proposer is closed",
		gw->group->config.group);
	end_from(s, gw, first);
}

void
gateway_rewind(struct gateway *gw, uint64_t now_ns)
{
	note_given(gw);
	gw->sent = gw->executed;
	gw->is_register_sent = false;
	gw->gap_at_ns = UINT64_MAX;
	gw->retry_at_ns = now_ns + gw->retry_ns;
}

void
gateway_on_registered(struct shard *s, struct shard_group *g, const struct eng_applied *a)
{
	for (uint32_t i = 0; i < s->gateway_after; i++) {
		struct gateway *gw = &s->gateways[i];

		if (gw->group != g || gw->session.n != 0 || gw->is_refused ||
			a->bytes != sizeof(gw->registration) ||
			memcmp(a->body, gw->registration, sizeof(gw->registration)) != 0)
			continue;
		if (a->verdict == ENG_TABLE_FULL) {
			shard_note(s, g, NOTE_SESSIONS,
				"group %u: a proposer was refused, the session table is full (%u "
				"rows)",
				g->config.group, g->config.session_count);
			end_from(s, gw, 1);
			return;
		}
		int32_t row = eng_session_row(g->sessions, a->session);
		if (row < 0) {
			/* It was opened, and gave way within this slot to a later one of the same
			 * place, which a second process with our id has opened. */
			gateway_on_evicted(s, gw);
			return;
		}
		gw->session = a->session;
		gw->retry_at_ns = UINT64_MAX;
		gw->retry_ns = RETRY_NS_MIN;
		*owner_at(g, row) = (struct owner){ .kind = OWNER_GATEWAY, .index = (uint16_t)i };
		return;
	}
}

/* @return how many entries, from the first on, are the commands */
static uint32_t
count_equal(
	const struct eng_body *entries, const struct decree_command *commands, uint32_t count_max)
{
	uint32_t count = 0;

	while (count < count_max && entries[count].bytes == commands[count].bytes &&
		memcmp(entries[count].body, commands[count].body, commands[count].bytes) == 0)
		count++;
	return count;
}

/* @return how many entries, from the first on, have the sizes of the commands and lie as these do */
static uint32_t
count_alike(
	const struct eng_body *entries, const struct decree_command *commands, uint32_t count_max)
{
	const uintptr_t distance = (uintptr_t)entries[0].body - (uintptr_t)commands[0].body;
	uint32_t count = 0;

	while (count < count_max && entries[count].bytes == commands[count].bytes &&
		(uintptr_t)entries[count].body - (uintptr_t)commands[count].body == distance)
		count++;
	return count;
}

/* Bodies lie behind each other in the proposer's arena, and in a slot where a run has them so: then
 * many are compared at once, with whatever lies between them. If that differs they are looked at
 * one by one. */
static uint32_t
count_ours_of(
	const struct eng_body *entries, const struct decree_command *commands, uint32_t count_max)
{
	uint32_t count = 0;

	while (count < count_max) {
		const struct eng_body *first = &entries[count];
		uint32_t alike = count_alike(first, &commands[count], count_max - count);

		if (alike == 0)
			break;
		const struct eng_body *last = &first[alike - 1];
		if (memcmp(first->body, commands[count].body,
			    (size_t)(last->body + last->bytes - first->body)) != 0)
			return count + count_equal(first, &commands[count], count_max - count);
		count += alike;
	}
	return count;
}

/* Session numbers are no secrets: a client may have used ours.
 * @return how many of a run that was executed, from its first on, are what we gave */
static uint32_t
count_ours(const struct shard *s, const struct gateway *gw, const struct eng_applied *run)
{
	const struct eng_body *first = gateway_entry(s, gw, run->seq);
	uint32_t to_end = s->config.gateway_window - (uint32_t)(first - gw->window);
	uint32_t count_max = (uint32_t)min_u64(run->count, gw->popped - gw->executed);
	uint32_t count;

	if (run->seq != gw->executed + 1)
		return 0;
	to_end = min_u32(to_end, count_max);
	count = count_ours_of(first, run->commands, to_end);
	if (count == to_end)
		count += count_ours_of(gw->window, run->commands + count, count_max - count);
	return count;
}

static void
on_executed(struct shard *s, struct gateway *gw, uint64_t last)
{
	gw->executed = last;
	if (gw->sent < gw->executed)
		gw->sent = gw->executed; /* given before a rewind, and it made it */
	gw->has_consumed = true;
	gw->busy_count = 0;
	gw->retry_ns = RETRY_NS_MIN;
	gw->retry_at_ns = gw->executed < gw->sent ? s->now_ns + gw->retry_ns : UINT64_MAX;
}

void
gateway_on_applied(struct shard *s, struct gateway *gw, const struct eng_applied *a)
{
	if (a->verdict == ENG_EXECUTE) {
		uint32_t count = count_ours(s, gw, a);

		if (count > 0)
			on_executed(s, gw, a->seq + count - 1);
		if (count < a->count)
			gateway_on_stolen(s, gw, gw->executed + 1);
	} else if (a->verdict == ENG_GAP) {
		gw->gap_at_ns = min_u64(gw->gap_at_ns, s->now_ns + REWIND_PAUSE_NS);
	}
}

/* A leader that stays busy, since its disk hangs or its quorum is away or its log is full, is asked
 * less and less often until something is executed. */
static void
wait_for_busy(const struct shard *s, struct gateway *gw, uint64_t pause_ns)
{
	pause_ns <<= min_u32(gw->busy_count++, BUSY_SHIFT_MAX);
	gw->not_before_ns = s->now_ns + min_u64(pause_ns, RETRY_NS_MAX);
}

/* Each frame of a burst is answered: one pause. Whoever is not the leader, although we think so,
 * stays that until this node hears of another: then the pauses double, and that news ends them
 * (follow_leader). */
static void
on_redirect(struct shard *s, struct gateway *gw, const struct client_msg *m)
{
	gateway_rewind(gw, s->now_ns);
	if (s->now_ns < gw->not_before_ns)
		return;
	if (m->redirect.reason == CLIENT_REDIRECT_NOT_LEADER) {
		gw->not_before_ns = s->now_ns + min_u64(gw->retry_ns, RETRY_NS_MAX);
		gw->retry_ns = min_u64(gw->retry_ns * 2, RETRY_NS_MAX);
	} else {
		wait_for_busy(s, gw, m->redirect.retry_after_us * 1000ull);
	}
}

/* The leader answers a node only when something is amiss. */
void
gateway_on_node_msg(struct shard *s, struct shard_group *g, const struct client_msg *m)
{
	struct client_reply reply;
	uint32_t cursor = 0;

	if (m->type == CLIENT_MSG_REPLIES &&
		(!client_reply_next(m, &cursor, &reply) || reply.kind != CLIENT_REPLY_GAP))
		return;
	for (uint32_t i = 0; i < s->gateway_after; i++) {
		struct gateway *gw = &s->gateways[i];

		if (gw->group != g || gw->retry_at_ns == UINT64_MAX)
			continue;
		if (m->type == CLIENT_MSG_REDIRECT) {
			on_redirect(s, gw, m);
		} else if (gw->session.n == reply.session.n) {
			/* Frames behind the gap report it too: one pause, one repetition. */
			gw->gap_at_ns = min_u64(gw->gap_at_ns, s->now_ns + REWIND_PAUSE_NS);
		}
	}
}

/* ------------------------------------------------------------------------------ giving */

static struct eng_command
command_of(const struct shard *s, const struct gateway *gw, uint64_t seq)
{
	const struct eng_body *entry = gateway_entry(s, gw, seq);

	return (struct eng_command){
		.session = gw->session,
		.seq = seq,
		.body = entry->body,
		.bytes = entry->bytes,
	};
}

/* Straight into the window, up to its end and then from its beginning. */
static void
pop(struct shard *s, struct gateway *gw)
{
	uint32_t count, room;

	do {
		struct eng_body *first = gateway_entry(s, gw, gw->popped + 1);

		room = min_u32(
			s->config.gateway_window - (uint32_t)(first - gw->window), POP_BURST);
		count = gw->ops->pop(gw->mailbox, first, room);
		if (count == 0)
			return;
		set_open(s, gw, gw->popped + 1, count, true);
		gw->popped += count;
		s->did_work = true;
	} while (count == room);
}

/* Why a command was not taken. A full window moves on by itself, within microseconds; a full log
 * needs a snapshot. */
static void
on_not_taken(struct shard *s, struct gateway *gw, enum eng_submit_status status)
{
	switch (status) {
	case ENG_SUBMIT_GAP: gateway_rewind(gw, s->now_ns); break;
	case ENG_SUBMIT_TOO_LARGE: end_from(s, gw, gw->executed + 1); break;
	case ENG_SUBMIT_BUSY:
		eng_status(gw->group->replica, &gw->group->status);
		if (gw->group->status.log_full)
			wait_for_busy(s, gw, LOG_FULL_PAUSE_NS);
		break;
	case ENG_SUBMIT_OK:
	case ENG_SUBMIT_DUPLICATE:
	case ENG_SUBMIT_NOT_LEADER:
	case ENG_SUBMIT_NO_SESSION:
	case ENG_SUBMIT_EVICTED: break;
	}
}

static void
submit_here(struct shard *s, struct gateway *gw)
{
	while (gw->sent < gw->popped && s->stop == SHARD_RUNS) {
		const struct eng_body *first = gateway_entry(s, gw, gw->sent + 1);
		uint32_t to_end = s->config.gateway_window - (uint32_t)(first - gw->window);
		uint32_t count = (uint32_t)min_u64(gw->popped - gw->sent, SUBMIT_BURST), taken;
		enum eng_submit_status status;

		count = min_u32(count, to_end);
		status = shard_submit_run(
			s, gw->group, gw->session, gw->sent + 1, first, count, &taken);
		s->did_work = true;
		gw->sent += taken;
		if (taken < count) {
			on_not_taken(s, gw, status);
			return;
		}
	}
}

static bool
forward_fragments(struct shard *s, struct gateway *gw, const struct eng_command *c)
{
	uint32_t piece_max = s->config.frame_bytes - CLIENT_FRAGMENT_BYTES;
	struct client_msg m = {
		.type = CLIENT_MSG_COMMAND_FRAGMENT,
		.group = gw->group->config.group,
		.fragment = {
			.session = c->session,
			.seq = c->seq,
			.total_bytes = c->bytes,
			.digest = base_digest(c->body, c->bytes),
		},
	};

	for (uint32_t at = 0; at < c->bytes; at += m.fragment.count) {
		struct net_frame frame;

		m.fragment.offset_bytes = at;
		m.fragment.bytes = c->body + at;
		m.fragment.count = min_u32(c->bytes - at, piece_max);
		if (!out_frame(s, &frame))
			return false;
		frame.peer = (struct net_endpoint){ .node_id = gw->leader };
		frame.payload_bytes = client_msg_encode(&m, frame.payload, s->config.frame_bytes);
		out_push(s, &frame);
	}
	return true;
}

/* As many commands as fit one frame. @return how many; 0 if the next one needs fragments, or no
 * frame */
static uint32_t
forward_frame(struct shard *s, struct gateway *gw)
{
	struct client_writer w;
	struct net_frame frame;
	uint32_t count = 0;

	if (!out_frame(s, &frame))
		return 0;
	client_commands_begin(&w, frame.payload, s->config.frame_bytes, gw->group->config.group);
	while (gw->sent + count < gw->popped) {
		struct eng_command c = command_of(s, gw, gw->sent + count + 1);

		if (!client_commands_add(&w, &c))
			break;
		count++;
	}
	if (count == 0) {
		out_give_back(s, &frame);
		return 0;
	}
	frame.peer = (struct net_endpoint){ .node_id = gw->leader };
	frame.payload_bytes = client_writer_finish(&w);
	out_push(s, &frame);
	return count;
}

static void
forward(struct shard *s, struct gateway *gw)
{
	uint64_t before = gw->sent;

	for (uint32_t i = 0; i < FORWARD_FRAMES_MAX && gw->sent < gw->popped; i++) {
		struct eng_command c = command_of(s, gw, gw->sent + 1);

		if (CLIENT_MSG_HEADER_BYTES + CLIENT_COMMAND_BYTES + c.bytes >
			s->config.frame_bytes) {
			if (!forward_fragments(s, gw, &c))
				break;
			gw->sent++;
			continue;
		}
		uint32_t count = forward_frame(s, gw);
		if (count == 0)
			break;
		gw->sent += count;
	}
	s->counters.forwarded += gw->sent - before;
}

/* Session 0, and the token as body (protocol 7.5). */
static void
give_registration(struct shard *s, struct gateway *gw)
{
	struct eng_command c = { .body = gw->registration, .bytes = sizeof(gw->registration) };
	struct client_writer w;
	struct net_frame frame;

	if (gw->leader == s->node_id) {
		s->submit[0] = c;
		shard_submit(s, gw->group, 1);
		gw->is_register_sent = s->submit_status[0] == ENG_SUBMIT_OK ||
				       s->submit_status[0] == ENG_SUBMIT_DUPLICATE;
	} else if (out_frame(s, &frame)) {
		client_commands_begin(
			&w, frame.payload, s->config.frame_bytes, gw->group->config.group);
		bool fits = client_commands_add(&w, &c);
		decree_assert(fits);
		frame.peer = (struct net_endpoint){ .node_id = gw->leader };
		frame.payload_bytes = client_writer_finish(&w);
		out_push(s, &frame);
		gw->is_register_sent = true;
	}
	if (gw->is_register_sent)
		gw->retry_at_ns = s->now_ns + gw->retry_ns;
}

static bool
has_new_leader(const struct gateway *gw)
{
	return eng_leader(gw->group->replica) != gw->leader ||
	       gw->ballot.n != gw->group->status.ballot.n;
}

static void
follow_leader(struct shard *s, struct gateway *gw)
{
	if (!has_new_leader(gw))
		return;
	gw->leader = eng_leader(gw->group->replica);
	gw->ballot = gw->group->status.ballot;
	gw->retry_ns = RETRY_NS_MIN;
	gw->not_before_ns = 0;
	gw->busy_count = 0;
	gateway_rewind(gw, s->now_ns);
}

static void
retry_if_due(struct shard *s, struct gateway *gw)
{
	if (s->now_ns >= gw->retry_at_ns)
		gw->retry_ns = min_u64(gw->retry_ns * 2, RETRY_NS_MAX);
	else if (s->now_ns < gw->gap_at_ns)
		return;
	gateway_rewind(gw, s->now_ns);
}

void
gateway_run(struct shard *s, struct gateway *gw)
{
	uint64_t before;

	pop(s, gw);
	if (gw->is_refused) {
		end_from(s, gw, gw->executed + 1);
		return;
	}
	follow_leader(s, gw);
	retry_if_due(s, gw);
	if (gw->leader == 0 || s->now_ns < gw->not_before_ns)
		return;
	if (gw->session.n == 0) {
		if (!gw->is_register_sent)
			give_registration(s, gw);
		return;
	}
	before = gw->sent;
	if (gw->leader == s->node_id)
		submit_here(s, gw);
	else
		forward(s, gw);
	if (gw->sent > before && gw->retry_at_ns == UINT64_MAX)
		gw->retry_at_ns = s->now_ns + gw->retry_ns;
}

/* What there is to give is given at once, or when the pause of a busy leader is over. */
uint64_t
gateway_wake_at(const struct gateway *gw, uint64_t now_ns)
{
	bool has_more = gw->session.n == 0 ? !gw->is_register_sent : gw->sent < gw->popped;

	if (gw->is_refused)
		return UINT64_MAX;
	if (has_new_leader(gw))
		return now_ns;
	if (gw->leader == 0)
		return UINT64_MAX;
	if (has_more)
		return gw->not_before_ns < now_ns ? now_ns : gw->not_before_ns;
	return min_u64(gw->retry_at_ns, gw->gap_at_ns);
}
