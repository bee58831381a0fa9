/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands that arrive in frames: from clients on other hosts, and from other nodes' gateways.
 *
 *   this node leads  -> SUBMIT; the session's row remembers who asked; REPLIES leave at the end of the turn
 *                       in which the command is applied, many to a frame
 *   it does not      -> REDIRECT to the leader; a busy leader says BUSY and when to come back
 *   a repeat         -> the stored reply, or, if it is still on its way, the reply when it comes
 *
 * Another node's gateway sees for itself what is applied, so it gets no replies, only news of a gap
 * and redirects.
 *
 * A command larger than a frame comes in fragments, which are put together in a small pool, in any
 * order; a missing one is filled by the sender's repetition. An assembly whose sender has gone
 * silent gives way to a new one.
 *
 * What may fail: everything here may be dropped at any time; clients and gateways repeat.
 */
#include "base/digest.h"
#include "engine/runtime/shard_private.h"

/* ------------------------------------------------------------------------------ replies */

static void
reply_close(struct shard *s, struct reply_frame *r)
{
	r->is_open = false;
	r->frame.peer = r->to;
	r->frame.payload_bytes = client_writer_finish(&r->writer);
	out_push(s, &r->frame);
}

static bool
is_same_endpoint(struct net_endpoint a, struct net_endpoint b)
{
	return a.node_id == b.node_id && a.client == b.client &&
	       a.client_generation == b.client_generation;
}

/* The open frame to @p to, or a fresh one; NULL if the network has none. */
static struct reply_frame *
reply_to(struct shard *s, const struct shard_group *g, struct net_endpoint to)
{
	struct reply_frame *r = NULL;

	for (uint32_t i = 0; i < REPLY_FRAME_COUNT_MAX; i++) {
		struct reply_frame *at = &s->replies[i];

		if (at->is_open && at->group == g->config.group && is_same_endpoint(at->to, to))
			return at;
		if (!at->is_open && r == NULL)
			r = at;
	}
	if (r == NULL) {
		r = &s->replies[s->reply_next++ % REPLY_FRAME_COUNT_MAX];
		reply_close(s, r);
	}
	if (!out_frame(s, &r->frame))
		return NULL;
	r->is_open = true;
	r->to = to;
	r->group = g->config.group;
	client_replies_begin(&r->writer, r->frame.payload, s->config.frame_bytes, r->group,
		eng_leader(g->replica));
	s->has_replies = true;
	return r;
}

static void
reply(struct shard *s, const struct shard_group *g, struct net_endpoint to,
	const struct client_reply *what)
{
	struct reply_frame *r = reply_to(s, g, to);

	if (r == NULL || client_replies_add(&r->writer, what))
		return;
	reply_close(s, r);
	r = reply_to(s, g, to);
	if (r == NULL)
		return;
	bool fits = client_replies_add(&r->writer, what);
	decree_assert(fits);
}

void
clients_flush(struct shard *s)
{
	if (!s->has_replies)
		return;
	s->has_replies = false;
	for (uint32_t i = 0; i < REPLY_FRAME_COUNT_MAX; i++)
		if (s->replies[i].is_open)
			reply_close(s, &s->replies[i]);
}

static void
redirect(struct shard *s, const struct shard_group *g, struct net_endpoint to,
	enum client_redirect_reason reason)
{
	struct net_frame frame;
	struct client_msg m = {
		.type = CLIENT_MSG_REDIRECT,
		.group = g->config.group,
		.node_id =
			reason == CLIENT_REDIRECT_NOT_LEADER ? eng_leader(g->replica) : s->node_id,
		.redirect = { .reason = reason, .retry_after_us = BUSY_RETRY_US },
	};

	s->counters.client_refused++;
	if (!out_frame(s, &frame))
		return;
	frame.peer = to;
	frame.payload_bytes = client_msg_encode(&m, frame.payload, s->config.frame_bytes);
	out_push(s, &frame);
}

/* ----------------------------------------------------------------------------- what was applied */

static struct net_endpoint
endpoint_of(struct owner owner)
{
	return (struct net_endpoint){ .client = owner.index,
		.client_generation = owner.generation };
}

void
clients_on_answers(struct shard *s, struct shard_group *g, struct owner to,
	struct decree_session session, uint64_t first, uint32_t count,
	const struct decree_answer *answers)
{
	for (uint32_t i = 0; i < count; i++)
		reply(s, g, endpoint_of(to),
			&(struct client_reply){
				.kind = CLIENT_REPLY_APPLIED,
				.status = answers[i].status,
				.session = session,
				.seq = first + i,
				.result = answers[i].result,
			});
}

/* A chosen command that did not execute; one that did is answered by its machine. */
void
clients_on_applied(
	struct shard *s, struct shard_group *g, struct owner to, const struct eng_applied *a)
{
	struct client_reply r = { .session = a->session, .seq = a->seq };

	switch (a->verdict) {
	case ENG_REPLAYED:
		r.kind = CLIENT_REPLY_APPLIED;
		r.status = a->status;
		r.result = a->result;
		break;
	case ENG_GAP:
		r.kind = CLIENT_REPLY_GAP;
		r.result = eng_session_last(g->sessions, a->session);
		break;
	case ENG_STALE: r.kind = CLIENT_REPLY_STALE; break;
	case ENG_MISMATCH: r.kind = CLIENT_REPLY_MISMATCH; break;
	case ENG_NO_SESSION: r.kind = CLIENT_REPLY_NO_SESSION; break;
	case ENG_EVICTED: r.kind = CLIENT_REPLY_EVICTED; break;
	default: return;
	}
	reply(s, g, endpoint_of(to), &r);
}

static void
own_session(struct shard_group *g, struct decree_session session, struct net_endpoint from)
{
	int32_t row = eng_session_row(g->sessions, session);

	if (row >= 0 && from.node_id == 0 && owner_at(g, row)->kind != OWNER_GATEWAY)
		*owner_at(g, row) = (struct owner){
			.kind = OWNER_CLIENT,
			.index = from.client,
			.generation = from.client_generation,
		};
}

static void
reply_registered(struct shard *s, struct shard_group *g, struct net_endpoint to,
	const uint8_t *token, struct decree_session session)
{
	struct client_reply r = {
		.kind = session.n != 0 ? CLIENT_REPLY_REGISTERED : CLIENT_REPLY_TABLE_FULL,
		.session = session,
	};

	memcpy(r.token, token, DECREE_UUID_BYTES);
	own_session(g, session, to);
	reply(s, g, to, &r);
}

static void
remember_register(struct shard_group *g, const uint8_t *token, struct net_endpoint from)
{
	struct pending_register *p = NULL;

	for (uint32_t i = 0; i < REGISTER_COUNT_MAX && p == NULL; i++)
		if (g->registers[i].is_used &&
			memcmp(g->registers[i].token, token, DECREE_UUID_BYTES) == 0)
			p = &g->registers[i];
	if (p == NULL)
		p = &g->registers[g->register_next++ % REGISTER_COUNT_MAX];
	p->is_used = true;
	p->from = from;
	memcpy(p->token, token, DECREE_UUID_BYTES);
}

void
clients_on_registered(struct shard *s, struct shard_group *g, const struct eng_applied *a)
{
	for (uint32_t i = 0; i < REGISTER_COUNT_MAX; i++) {
		struct pending_register *p = &g->registers[i];

		if (!p->is_used || a->bytes != DECREE_UUID_BYTES ||
			memcmp(p->token, a->body, DECREE_UUID_BYTES) != 0)
			continue;
		p->is_used = false;
		reply_registered(s, g, p->from, a->body,
			a->verdict == ENG_REGISTERED ? a->session : (struct decree_session){ 0 });
		return;
	}
}

/* ------------------------------------------------------------------------------ commands */

/* @param digest  base_digest_short() of the command's body */
static void
on_duplicate(struct shard *s, struct shard_group *g, struct net_endpoint from,
	struct decree_session session, uint64_t seq, uint32_t digest)
{
	struct client_reply r = { .session = session, .seq = seq };

	own_session(g, session, from);
	switch (eng_session_lookup(g->sessions, session, seq, digest, &r.status, &r.result)) {
	case ENG_REPLAYED: r.kind = CLIENT_REPLY_APPLIED; break;
	case ENG_STALE: r.kind = CLIENT_REPLY_STALE; break;
	case ENG_MISMATCH: r.kind = CLIENT_REPLY_MISMATCH; break;
	case ENG_NO_SESSION: r.kind = CLIENT_REPLY_NO_SESSION; break;
	case ENG_EVICTED: r.kind = CLIENT_REPLY_EVICTED; break;
	default: return; /* on its way, or parked: its answer will come */
	}
	if (from.node_id == 0)
		reply(s, g, from, &r);
}

static enum client_redirect_reason
not_leader_reason(const struct shard *s, struct shard_group *g)
{
	if (eng_leader(g->replica) == s->node_id)
		return CLIENT_REDIRECT_BUSY; /* leadership began or ended within this turn */
	eng_status(g->replica, &g->status);
	return g->status.role == DECREE_LEADER ? CLIENT_REDIRECT_NOT_READY
					       : CLIENT_REDIRECT_NOT_LEADER;
}

/* @return false if the rest of this frame has no chance either */
static bool
on_status(struct shard *s, struct shard_group *g, struct net_endpoint from,
	const struct eng_command *c, enum eng_submit_status status)
{
	struct client_reply r = { .session = c->session, .seq = c->seq };

	switch (status) {
	case ENG_SUBMIT_OK:
		if (c->session.n == 0 && from.node_id == 0)
			remember_register(g, c->body, from);
		return true;
	case ENG_SUBMIT_DUPLICATE:
		on_duplicate(s, g, from, c->session, c->seq, base_digest_short(c->body, c->bytes));
		return true;
	case ENG_SUBMIT_BUSY:
		eng_status(g->replica, &g->status);
		redirect(s, g, from,
			g->status.log_full ? CLIENT_REDIRECT_LOG_FULL : CLIENT_REDIRECT_BUSY);
		return false;
	case ENG_SUBMIT_NOT_LEADER: redirect(s, g, from, not_leader_reason(s, g)); return false;
	case ENG_SUBMIT_GAP:
		own_session(g, c->session, from);
		r.kind = CLIENT_REPLY_GAP;
		r.result = eng_session_last(g->sessions, c->session);
		reply(s, g, from, &r);
		return false;
	case ENG_SUBMIT_NO_SESSION: r.kind = CLIENT_REPLY_NO_SESSION; break;
	case ENG_SUBMIT_EVICTED: r.kind = CLIENT_REPLY_EVICTED; break;
	case ENG_SUBMIT_TOO_LARGE: r.kind = CLIENT_REPLY_TOO_LARGE; break;
	}
	if (from.node_id == 0)
		reply(s, g, from, &r);
	return true;
}

/* A registration that was applied already needs no slot. A client is told its session; a node finds
 * it where it applies what we have applied, or takes it over with a snapshot, and repeats itself
 * until then: a slot for each would keep a small log so busy that the node never gets there. */
static bool
is_registered(struct shard *s, struct shard_group *g, struct net_endpoint from,
	const struct eng_command *c)
{
	struct decree_session session;

	if (c->session.n != 0)
		return false;
	session = eng_session_find(g->sessions, c->body);
	if (session.n == 0)
		return false;
	if (from.node_id == 0)
		reply_registered(s, g, from, c->body, session);
	return true;
}

/* Only a node may register gateways, and only its own. */
static bool
is_pretended(const struct eng_command *c, struct net_endpoint from)
{
	struct eng_registration r;

	if (c->session.n != 0)
		return false;
	eng_registration_decode(c->body, c->bytes, &r);
	return r.node_id != from.node_id;
}

/* A node that passes on commands waits for what is chosen. */
static void
note_waiting_peer(const struct shard *s, struct shard_group *g, struct net_endpoint from)
{
	if (from.node_id != 0)
		g->peers_wait_until_ns = s->now_ns + PEERS_WAIT_NS;
}

/* The row must know who asked before the command can be applied, which may be in this very step. */
static void
submit_and_answer(struct shard *s, struct shard_group *g, struct net_endpoint from, uint32_t count)
{
	struct decree_session last = { 0 };

	for (uint32_t i = 0; i < count; i++) {
		if (s->submit[i].session.n != last.n)
			own_session(g, s->submit[i].session, from);
		last = s->submit[i].session;
	}
	note_waiting_peer(s, g, from);
	s->counters.client_commands += count;
	shard_submit(s, g, count);
	for (uint32_t i = 0; i < count && s->stop == SHARD_RUNS; i++)
		if (!on_status(s, g, from, &s->submit[i], s->submit_status[i]))
			return;
}

static void
on_commands(struct shard *s, struct shard_group *g, struct net_endpoint from,
	const struct client_msg *m)
{
	struct eng_command c;
	uint32_t cursor = 0, count = 0;

	if (eng_leader(g->replica) != s->node_id) {
		redirect(s, g, from, not_leader_reason(s, g));
		return;
	}
	while (client_command_next(m, &cursor, &c)) {
		if (is_pretended(&c, from)) {
			s->counters.malformed++;
			continue;
		}
		if (is_registered(s, g, from, &c))
			continue;
		s->submit[count++] = c;
		if (count == CLIENT_BURST_MAX) {
			submit_and_answer(s, g, from, count);
			count = 0;
		}
	}
	if (count > 0)
		submit_and_answer(s, g, from, count);
}

/* ------------------------------------------------------------------------------ fragments */

/* A session's commands are executed in order, so only its lowest unfinished one is worth a place:
 * without that rule several large commands behind each other would push each other out for ever. */
static struct assembly *
assembly_of(struct shard *s, const struct shard_group *g, const struct client_fragment *f)
{
	struct assembly *a = &s->assemblies[0];

	for (uint32_t i = 0; i < s->config.assembly_count; i++) {
		struct assembly *at = &s->assemblies[i];

		if (at->group == g && at->session.n == f->session.n) {
			a = at;
			break;
		}
		if (a->is_waiting || (!at->is_waiting && at->used < a->used))
			a = at;
	}
	if (a->is_waiting && (a->group != g || a->session.n != f->session.n))
		return NULL; /* all are whole and find no room: the sender repeats */
	if (a->session.n != 0 && (a->group != g || a->session.n != f->session.n) &&
		s->now_ns < a->used_ns + ASSEMBLY_PATIENCE_NS)
		return NULL; /* more senders than places would push each other out for ever, too */
	if (a->group == g && a->session.n == f->session.n) {
		if (a->seq < f->seq && eng_session_last(g->sessions, f->session) < a->seq)
			return NULL;
		if (a->seq == f->seq && digest_eq(a->digest, f->digest) &&
			a->total_bytes == f->total_bytes)
			return a;
	}
	a->group = g;
	a->session = f->session;
	a->seq = f->seq;
	a->digest = f->digest;
	a->total_bytes = f->total_bytes;
	a->piece_bytes = 0;
	a->have_bytes = 0;
	a->is_waiting = false;
	memset(a->pieces, 0, sizeof(a->pieces));
	return a;
}

/* Pieces come in any order; all but the last are equally long. */
static void
assembly_add(struct assembly *a, const struct client_fragment *f)
{
	bool is_last = f->offset_bytes + f->count == a->total_bytes;

	if (a->piece_bytes == 0 && (!is_last || f->offset_bytes == 0))
		a->piece_bytes = f->count;
	if (a->piece_bytes == 0 || f->offset_bytes % a->piece_bytes != 0 ||
		(!is_last && f->count != a->piece_bytes) || f->count > a->piece_bytes)
		return;
	uint32_t piece = f->offset_bytes / a->piece_bytes;
	if (piece >= ASSEMBLY_PIECE_COUNT_MAX || a->pieces[piece / 64] & 1ull << piece % 64)
		return;
	a->pieces[piece / 64] |= 1ull << piece % 64;
	memcpy(a->bytes + f->offset_bytes, f->bytes, f->count);
	a->have_bytes += f->count;
}

static void
assembly_free(struct assembly *a)
{
	a->session.n = 0;
	a->used = 0;
	a->is_waiting = false;
}

/* Give a whole command to the core. A long one takes many turns: it stays here while the leader is
 * busy. */
static void
assembly_submit(struct shard *s, struct assembly *a)
{
	struct shard_group *g = shard_find_group(s, a->group->config.group);

	s->submit[0] = (struct eng_command){
		.session = a->session,
		.seq = a->seq,
		.body = a->bytes,
		.bytes = a->total_bytes,
	};
	own_session(g, a->session, a->from);
	note_waiting_peer(s, g, a->from);
	shard_submit(s, g, 1);
	a->is_waiting = s->submit_status[0] == ENG_SUBMIT_BUSY;
	if (a->is_waiting) {
		s->has_waiting = true;
		return;
	}
	s->counters.client_commands++;
	if (s->stop == SHARD_RUNS)
		(void)on_status(s, g, a->from, &s->submit[0], s->submit_status[0]);
	if (s->submit_status[0] !=
		ENG_SUBMIT_GAP) /* what is missing comes, then a repeated piece */
		assembly_free(a);
}

void
clients_continue(struct shard *s)
{
	if (!s->has_waiting)
		return;
	s->has_waiting = false;
	for (uint32_t i = 0; i < s->config.assembly_count; i++)
		if (s->assemblies[i].is_waiting)
			assembly_submit(s, &s->assemblies[i]);
}

static void
on_assembled(struct shard *s, struct assembly *a)
{
	if (!digest_eq(base_digest(a->bytes, a->total_bytes), a->digest)) {
		assembly_free(a); /* pieces of two bodies under one number: the sender's mistake */
		return;
	}
	assembly_submit(s, a);
}

static void
on_fragment(struct shard *s, struct shard_group *g, struct net_endpoint from,
	const struct client_fragment *f)
{
	if (eng_leader(g->replica) != s->node_id) {
		if (f->offset_bytes == 0)
			redirect(s, g, from, not_leader_reason(s, g));
		return;
	}
	if (f->total_bytes > g->config.command_bytes_max) {
		struct eng_command c = { .session = f->session, .seq = f->seq };
		if (f->offset_bytes == 0)
			(void)on_status(s, g, from, &c, ENG_SUBMIT_TOO_LARGE);
		return;
	}
	if (f->seq <= eng_session_last(g->sessions, f->session) &&
		f->total_bytes > BASE_DIGEST_SHORT_BYTES) {
		/* Repeated pieces of what is executed must not push out the command behind it. */
		if (f->offset_bytes == 0)
			on_duplicate(s, g, from, f->session, f->seq, (uint32_t)f->digest.lo);
		return;
	}
	struct assembly *a = assembly_of(s, g, f);
	if (a == NULL)
		return;
	a->used = ++s->assembly_clock;
	a->used_ns = s->now_ns;
	a->from = from;
	if (a->is_waiting)
		return;
	assembly_add(a, f);
	if (a->have_bytes == a->total_bytes)
		on_assembled(s, a);
}

/* ------------------------------------------------------------------------------ frames */

/* Frames that only a node may send to a node. */
static void
on_reply(struct shard *s, struct shard_group *g, const struct net_frame *frame,
	const struct client_msg *m)
{
	if (frame->peer.node_id != 0 && frame->peer.node_id == eng_leader(g->replica))
		gateway_on_node_msg(s, g, m);
}

void
clients_on_frame(struct shard *s, const struct net_frame *frame)
{
	struct client_msg m;

	if (client_msg_decode(frame->payload, frame->payload_bytes, &m) != 0) {
		s->counters.malformed++;
		return;
	}
	struct shard_group *g = shard_find_group(s, m.group);
	if (g == NULL) {
		s->counters.malformed++;
		return;
	}
	switch (m.type) {
	case CLIENT_MSG_COMMANDS: on_commands(s, g, frame->peer, &m); break;
	case CLIENT_MSG_COMMAND_FRAGMENT: on_fragment(s, g, frame->peer, &m.fragment); break;
	case CLIENT_MSG_REPLIES:
	case CLIENT_MSG_REDIRECT: on_reply(s, g, frame, &m); break;
	case CLIENT_MSG_METRICS_REQUEST:
		report_metrics(s, g, frame->peer, m.metrics_request.token);
		break;
	case CLIENT_MSG_STATUS_REQUEST:
		report_status(s, g, frame->peer, m.status_request.token);
		break;
	case CLIENT_MSG_LOG_REQUEST: report_log(s, g, frame->peer, &m); break;
	case CLIENT_MSG_READ_REQUEST: query_on_request(s, g, frame->peer, &m); break;
	case CLIENT_MSG_ADMIN_REQUEST: admin_on_request(s, g, frame->peer, &m); break;
	case CLIENT_MSG_ADMIN_REPLY:
	case CLIENT_MSG_METRICS_REPLY:
	case CLIENT_MSG_STATUS_REPLY:
	case CLIENT_MSG_LOG_REPLY:
	case CLIENT_MSG_READ_REPLY:
	case CLIENT_MSG_TYPE_AFTER: s->counters.malformed++; break;
	}
}
