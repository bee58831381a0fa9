/* SPDX-License-Identifier: Apache-2.0 */
/* What a story's trace says: one line for each message, write, applied slot and change of role. */
#include "tests/lib/story.h"

#include "base/bytes.h"
#include "base/digest.h"

#include <stdarg.h>
#include <stdlib.h>

/* Texts live until the same place is needed again, eight calls later: enough for one printf. */
static char *
text_place(void)
{
	static char places[8][STORY_TEXT_BYTES];
	static uint32_t next;

	return places[next++ % 8];
}

void
story_line(struct story *s, const char *format, ...)
{
	va_list args;

	if (s->quiet)
		return;
	va_start(args, format);
	(void)vfprintf(s->trace, format, args); /* into memory */
	va_end(args);
	(void)fputc('\n', s->trace);
}

static const char *
ballot_text(struct decree_ballot b)
{
	char *text = text_place();

	if (b.n == 0)
		return "0";
	(void)snprintf(text, STORY_TEXT_BYTES, "%lu.%u", ballot_round(b), ballot_node(b));
	return text;
}

static const char *
node_text(uint16_t node)
{
	char *text = text_place();

	if (node == 0)
		return "all";
	(void)snprintf(text, STORY_TEXT_BYTES, "%u", node);
	return text;
}

/* ---- values ---- */

static bool
is_run(const uint8_t *body, uint32_t bytes)
{
	for (uint32_t i = 1; i < bytes; i++)
		if (body[i] != body[0])
			return false;
	return bytes > 8;
}

static const char *
body_text(const uint8_t *body, uint32_t bytes)
{
	char *text = text_place();
	uint32_t count = bytes < 40 ? bytes : 40;

	if (is_run(body, bytes)) {
		(void)snprintf(text, STORY_TEXT_BYTES, "%c*%u", body[0], bytes);
		return text;
	}
	for (uint32_t i = 0; i < count; i++)
		text[i] = body[i] >= ' ' && body[i] <= '~' ? (char)body[i] : '.';
	text[count] = '\0';
	return text;
}

const char *
story_session_name(const struct story *s, struct decree_session session)
{
	char *text = text_place();

	for (uint32_t i = 0; i < s->session_count; i++)
		if (s->sessions[i].session.n == session.n && session.n != 0)
			return s->sessions[i].name;
	(void)snprintf(text, STORY_TEXT_BYTES, "%lu:%lu", session.n >> 16, session.n & 0xffff);
	return text;
}

static const char *
token_text(const uint8_t *token)
{
	char *text = text_place();

	memcpy(text, token, DECREE_UUID_BYTES);
	text[DECREE_UUID_BYTES] = '\0';
	for (int i = DECREE_UUID_BYTES - 1; i >= 0 && text[i] == ' '; i--)
		text[i] = '\0';
	return text;
}

static const char *
command_text(const struct story *s, struct decree_session session, uint64_t seq,
	const uint8_t *body, uint32_t bytes)
{
	char text[STORY_TEXT_BYTES];

	if (session.n == 0)
		return bytes == DECREE_UUID_BYTES ? token_text(body) : "?";
	(void)snprintf(text, sizeof(text), "%.16s#%lu:%.50s", story_session_name(s, session), seq,
		body_text(body, bytes));
	return strcpy(text_place(), text);
}

static const char *
batch_text(const struct story *s, struct eng_value *v)
{
	char text[STORY_TEXT_BYTES] = "";
	struct eng_command c;
	size_t at = 0;

	while (eng_value_next(v, &c) && at < sizeof(text) - 1)
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%s", at > 0 ? "+" : "",
			command_text(s, c.session, c.seq, c.body, c.bytes));
	return strcpy(text_place(), text);
}

/* States by the order in which the trace first speaks of them: s1, s2, ... */
static const char *
state_text(struct story *s, struct decree_digest digest)
{
	char *text = text_place();
	uint32_t i = 0;

	while (i < s->state_count && !digest_eq(s->states[i], digest))
		i++;
	if (i == s->state_count && i < STORY_STATE_MAX)
		s->states[s->state_count++] = digest;
	(void)snprintf(text, STORY_TEXT_BYTES, "s%u", i + 1);
	return text;
}

/* Members of a later configuration: a learner has a question mark. */
static const char *
config_text(const struct eng_membership *m)
{
	char *text = text_place();
	int at = snprintf(
		text, STORY_TEXT_BYTES, m->version > 1 ? "config v%u" : "config", m->version);

	for (uint32_t i = 0; m->epoch > 1 && i < m->member_count; i++)
		at += snprintf(text + at, STORY_TEXT_BYTES - (size_t)at, "%c%u%s",
			i == 0 ? ':' : ',', m->members[i].node_id,
			m->members[i].role == ENG_LEARNER ? "?" : "");
	return text;
}

static const char *
mark_text(struct story *s, const struct eng_mark *mark)
{
	char text[STORY_TEXT_BYTES];

	if (mark->anchor.n == 0)
		return mark->is_cut ? "mark-cut" : "mark";
	(void)snprintf(text, sizeof(text), "mark%s(%lu:%s)", mark->is_cut ? "-cut" : "",
		mark->anchor.n, state_text(s, mark->digest));
	return strcpy(text_place(), text);
}

static const char *
value_text(struct story *s, const uint8_t *value, uint32_t bytes)
{
	char text[STORY_TEXT_BYTES];
	struct eng_value v;

	if (eng_value_decode(value, bytes, &v) != 0)
		return "damaged";
	switch (v.kind) {
	case ENG_VALUE_NOOP: return "noop";
	case ENG_VALUE_CONFIG: return config_text(&v.membership);
	case ENG_VALUE_MARK: return mark_text(s, &v.mark);
	case ENG_VALUE_BATCH: return batch_text(s, &v);
	case ENG_VALUE_FRAGMENT:
		(void)snprintf(text, sizeof(text), "%.16s#%lu/%u of %u",
			story_session_name(s, v.fragment.session), v.fragment.seq,
			v.fragment.part + 1, v.fragment.part_count);
		return strcpy(text_place(), text);
	}
	return "?";
}

/* Promises carry digests only; every value passed this way before. */
static const char *
value_note(struct story *s, const uint8_t *value, uint32_t bytes)
{
	struct decree_digest digest = base_digest(value, bytes);

	for (uint32_t i = 0; i < s->value_count; i++)
		if (digest_eq(s->values[i].digest, digest))
			return s->values[i].text;
	decree_assert(s->value_count < STORY_VALUE_MAX);
	struct story_value *v = &s->values[s->value_count++];
	v->digest = digest;
	(void)snprintf(v->text, sizeof(v->text), "%.150s", value_text(s, value, bytes));
	return v->text;
}

static const char *
digest_text(const struct story *s, struct decree_digest digest)
{
	for (uint32_t i = 0; i < s->value_count; i++)
		if (digest_eq(s->values[i].digest, digest))
			return s->values[i].text;
	return "unknown";
}

/* ---- messages ---- */

static void
promise_line(
	struct story *s, const struct eng_replica *r, const struct eng_msg *m, const char *head)
{
	char text[2048], low[32] = "";
	size_t at = 0;

	if (m->promise.low.n > 1)
		(void)snprintf(low, sizeof(low), " low=%lu", m->promise.low.n);
	text[0] = '\0';
	for (uint64_t slot = m->promise.first.n; slot < m->promise.after.n; slot++) {
		struct eng_promise_entry e =
			eng_replica_promise_entry(r, (struct decree_slot){ slot });
		if (e.state == ENG_ENTRY_FAULTY_UNKNOWN)
			at += (size_t)snprintf(text + at, sizeof(text) - at, " %lu=damaged", slot);
		else if (e.state == ENG_ENTRY_FAULTY_ID)
			at += (size_t)snprintf(text + at, sizeof(text) - at,
				" %lu=damaged (%s at %s)", slot, digest_text(s, e.digest),
				ballot_text(e.vballot));
		else if (e.state == ENG_ENTRY_NONE)
			at += (size_t)snprintf(text + at, sizeof(text) - at, " %lu=none", slot);
		else
			at += (size_t)snprintf(text + at, sizeof(text) - at, " %lu=%s at %s%s",
				slot, digest_text(s, e.digest), ballot_text(e.vballot),
				e.state == ENG_ENTRY_DECIDED ? " decided" : "");
	}
	story_line(s, "%s from=%lu%s commit=%lu last=%lu%s [%lu,%lu)%s", head, m->promise.from.n,
		low, m->promise.commit.n, m->promise.last.n, m->promise.doubtful ? " in doubt" : "",
		m->promise.first.n, m->promise.after.n, text);
}

static void
accepted_line(struct story *s, const struct eng_msg *m, const char *head)
{
	char text[512];
	size_t at = 0;

	text[0] = '\0';
	for (uint32_t bit = 0; bit < 256; bit++)
		if (m->accepted.sack[bit / 64] >> (bit % 64) & 1 && at < sizeof(text) - 8)
			at += (size_t)snprintf(text + at, sizeof(text) - at, " %lu",
				m->accepted.after.n + 1 + bit);
	story_line(s, "%s [%lu,%lu)%s%s commit=%lu", head, m->accepted.start.n, m->accepted.after.n,
		at > 0 ? " and" : "", text, m->accepted.commit.n);
}

static void
on_send(struct cluster *c, const struct eng_msg *m, uint16_t dst)
{
	struct story *s = c->context;
	char head[80];

	(void)snprintf(head, sizeof(head), "%u > %s %s%s%s", m->src, node_text(dst),
		eng_msg_type_name(m->type), m->ballot.n != 0 ? " " : "",
		m->ballot.n != 0 ? ballot_text(m->ballot) : "");
	switch (m->type) {
	case ENG_MSG_PREVOTE:
		story_line(s, "%s undecided=%lu", head, m->prevote.first_undecided.n);
		break;
	case ENG_MSG_PREVOTE_REPLY:
		if (m->prevote_reply.granted)
			story_line(s, "%s granted", head);
		else
			story_line(s, "%s denied: %s promised=%s", head,
				eng_failure_reason_name(m->prevote_reply.reason),
				ballot_text(m->prevote_reply.promised));
		break;
	case ENG_MSG_PREPARE: story_line(s, "%s from=%lu", head, m->prepare.from.n); break;
	case ENG_MSG_PROMISE: promise_line(s, cluster_replica(c, m->src), m, head); break;
	case ENG_MSG_ACCEPT:
		story_line(s, "%s %lu=%s start=%lu commit=%lu", head, m->accept.slot.n,
			value_note(s, m->accept.value, m->accept.bytes), m->accept.start.n,
			m->accept.commit.n);
		break;
	case ENG_MSG_ACCEPTED: accepted_line(s, m, head); break;
	case ENG_MSG_SUCCESS:
		story_line(s, "%s start=%lu commit=%lu", head, m->success.start.n,
			m->success.commit.n);
		break;
	case ENG_MSG_FAILURE:
		if (m->failure.reason == ENG_FAIL_COMPACTED)
			story_line(s, "%s compacted snapshot=%lu", head, m->failure.snapshot.n);
		else
			story_line(s, "%s %s promised=%s", head,
				eng_failure_reason_name(m->failure.reason),
				ballot_text(m->failure.promised));
		break;
	case ENG_MSG_LEADER_CHANGE:
		story_line(s, "%s start=%lu%s", head, m->leader_change.start.n,
			m->leader_change.timeout_now ? " timeout-now" : "");
		break;
	case ENG_MSG_HEARTBEAT:
		story_line(s, "%s seq=%lu start=%lu commit=%lu", head, m->heartbeat.seq,
			m->heartbeat.start.n, m->heartbeat.commit.n);
		break;
	case ENG_MSG_HEARTBEAT_ECHO:
		story_line(s, "%s seq=%lu commit=%lu%s", head, m->heartbeat_echo.seq,
			m->heartbeat_echo.commit.n,
			m->heartbeat_echo.cut_asked ? " asks for a cut" : "");
		break;
	case ENG_MSG_QUERY:
		story_line(s, "%s [%lu,%lu)%s", head, m->query.first.n, m->query.after.n,
			m->query.accepted_too ? " accepted too" : "");
		break;
	case ENG_MSG_QUERY_REPLY:
		story_line(s, "%s %lu=%s at %s %s commit=%lu", head, m->query_reply.slot.n,
			value_note(s, m->query_reply.value, m->query_reply.bytes),
			ballot_text(m->query_reply.vballot),
			m->query_reply.state == ENG_ENTRY_DECIDED ? "decided" : "accepted",
			m->query_reply.commit.n);
		break;
	case ENG_MSG_HELLO:
		if (s->shows_hellos)
			story_line(s, "%s", head);
		break;
	case ENG_MSG_HELLO_REPLY:
		if (!s->shows_hellos)
			break;
		story_line(s, "%s boot=%lu promised=%s last=%lu%s", head, m->hello_reply.boot_count,
			ballot_text(m->hello_reply.promised), m->hello_reply.last.n,
			m->hello_reply.doubtful ? " in doubt" : "");
		break;
	case ENG_MSG_READ_INDEX: story_line(s, "%s token=%lu", head, m->read_index.token); break;
	case ENG_MSG_READ_INDEX_REPLY:
		story_line(s, "%s token=%lu slot=%lu", head, m->read_index_reply.token,
			m->read_index_reply.slot.n);
		break;
	case ENG_MSG_SNAPSHOT_OFFER:
	case ENG_MSG_SNAPSHOT_FETCH:
	case ENG_MSG_SNAPSHOT_CHUNK: /* the runtime's */ break;
	case ENG_MSG_STATE_DIGEST:
		story_line(s, "%s slot=%lu digest=%s%s", head, m->state_digest.slot.n,
			state_text(s, m->state_digest.digest),
			m->state_digest.is_question ? " question" : "");
		break;
	case ENG_MSG_TYPE_COUNT: break;
	}
}

/* ---- disk, state machine, roles ---- */

static void
on_write(struct cluster *c, uint16_t node, const struct cluster_write *w)
{
	struct story *s = c->context;
	struct eng_record record;
	struct eng_hard hard;

	if (w->kind == ENG_PERSIST_HARD) {
		int rc = eng_hard_decode(w->tag, &hard);
		decree_assert(rc == 0);
		if (hard.snapshot.n == 0)
			story_line(s, "%u writes promised=%s%s", node, ballot_text(hard.promised),
				hard.doubt ? " in doubt" : "");
		else
			story_line(s, "%u writes promised=%s snapshot=%lu", node,
				ballot_text(hard.promised), hard.snapshot.n);
		return;
	}
	int rc = eng_record_decode(w->tag, &record);
	decree_assert(rc == 0);
	if (record.kind == ENG_RECORD_FAULTY) {
		story_line(s, "%u writes %lu=damaged%s%s", node, record.slot.n,
			record.vballot.n == 0 ? "" : " at ",
			record.vballot.n == 0 ? "" : ballot_text(record.vballot));
		return;
	}
	story_line(s, "%u writes %lu=%s at %s%s", node, record.slot.n,
		value_note(s, w->value, w->bytes), ballot_text(record.vballot),
		record.kind == ENG_RECORD_DECIDED ? " decided" : "");
}

static void
on_apply(struct cluster *c, uint16_t node, struct decree_slot slot, const uint8_t *value,
	uint32_t bytes)
{
	struct story *s = c->context;
	const char *text = value_note(s, value, bytes);
	char *log = NULL;

	story_line(s, "%u applies %lu=%s", node, slot.n, text);
	int rc =
		asprintf(&log, "%s %lu=%s", s->log[node] != NULL ? s->log[node] : "", slot.n, text);
	decree_assert(rc > 0);
	free(s->log[node]);
	s->log[node] = log;
	s->stamp_ns[node] = eng_value_stamp(value);
}

static const char *
verdict_text(enum eng_verdict verdict)
{
	static const char *const texts[] = {
		[ENG_EXECUTE] = "executed",
		[ENG_REPLAYED] = "answered again",
		[ENG_PENDING] = "pending",
		[ENG_GAP] = "gap",
		[ENG_STALE] = "stale",
		[ENG_MISMATCH] = "mismatch",
		[ENG_NO_SESSION] = "no session",
		[ENG_EVICTED] = "evicted",
		[ENG_REGISTERED] = "registered",
		[ENG_TABLE_FULL] = "table full",
	};

	return texts[verdict];
}

static void
session_note(struct story *s, const struct eng_applied *a)
{
	for (uint32_t i = 0; i < s->session_count; i++)
		if (strcmp(s->sessions[i].name, token_text(a->body)) == 0)
			s->sessions[i].session = a->session;
}

static void
on_command(struct cluster *c, uint16_t node, struct decree_slot slot, const struct eng_applied *a)
{
	struct story *s = c->context;

	(void)slot;
	if (a->verdict == ENG_REGISTERED) {
		session_note(s, a);
		story_line(s, "%u   %s registered as %lu:%lu", node, token_text(a->body),
			a->session.n >> 16, a->session.n & 0xffff);
		return;
	}
	story_line(s, "%u   %s %s", node, command_text(s, a->session, a->seq, a->body, a->bytes),
		verdict_text(a->verdict));
}

static const char *
halt_text(enum eng_halt why)
{
	switch (why) {
	case ENG_HALT_NONE: return "none";
	case ENG_HALT_TWO_VALUES: return "two values for one slot and ballot";
	case ENG_HALT_TWO_DECISIONS: return "two decisions for one slot";
	case ENG_HALT_NOT_MEMBER: return "another disk is the member";
	case ENG_HALT_REMOVED: return "removed, and no longer needed";
	case ENG_HALT_BAD_RECORD: return "bad record";
	case ENG_HALT_ROLLED_BACK: return "this disk was rolled back";
	case ENG_HALT_TWIN: return "another process runs as this node";
	case ENG_HALT_CONSTANTS: return "other constants";
	case ENG_HALT_DIVERGED: return "another state than a majority";
	case ENG_HALT_NO_AGREEMENT: return "no majority has the same state";
	case ENG_HALT_VERSION: return "the cluster is of another version";
	}
	return "?";
}

static void
on_due(struct cluster *c, uint16_t node)
{
	story_line(c->context, "%u   its deadline has come", node);
}

static void
on_halt(struct cluster *c, uint16_t node, enum eng_halt why)
{
	story_line(c->context, "%u HALTS: %s", node, halt_text(why));
}

static void
on_read(struct cluster *c, uint16_t node, const struct eng_read_ready *ready)
{
	if (ready->is_busy)
		story_line(c->context, "%u refuses read %lu: busy", node, ready->id);
	else
		story_line(c->context, "%u answers read %lu from slot %lu on", node, ready->id,
			ready->slot.n);
}

static const char *
role_text(const struct eng_status *status)
{
	switch (status->role) {
	case DECREE_LEADER: return status->ready ? "leader, ready" : "leader";
	case DECREE_CANDIDATE: return "candidate";
	case DECREE_FOLLOWER: return "follower";
	}
	return "?";
}

static void
on_role(struct cluster *c, uint16_t node)
{
	struct eng_status status;

	eng_status(cluster_replica(c, node), &status);
	if (status.role == DECREE_LEADER)
		story_line(c->context, "%u is %s at %s", node, role_text(&status),
			ballot_text(status.ballot));
	else if (status.leader != 0)
		story_line(c->context, "%u follows %u at %s", node, status.leader,
			ballot_text(status.ballot));
	else
		story_line(c->context, "%u is %s, knows no leader", node, role_text(&status));
}

static void
on_fetch(struct cluster *c, uint16_t node, uint16_t from)
{
	story_line(c->context, "%u wants the snapshot of %u", node, from);
}

void
story_trace_status(struct story *s)
{
	struct cluster *c = s->cluster;

	for (uint16_t node = 1; node <= c->node_count; node++) {
		struct eng_status status;
		if (!c->nodes[node].up) {
			story_line(s, "%u is down", node);
			continue;
		}
		eng_status(cluster_replica(c, node), &status);
		char low[40] = "";
		if (status.low.n > 1)
			(void)snprintf(low, sizeof(low), " low=%lu", status.low.n);
		char damage[60] = "";
		if (status.damaged > 0 || status.counters.rewritten > 0)
			(void)snprintf(damage, sizeof(damage), " damaged=%u rewritten=%lu",
				status.damaged, status.counters.rewritten);
		story_line(s, "%u %s leader=%s promised=%s chosen=%lu last=%lu%s epoch=%u%s%s%s%s",
			node, role_text(&status),
			status.leader == 0 ? "none" : node_text(status.leader),
			ballot_text(status.promised), status.chosen.n, status.last.n, low,
			status.epoch, damage, status.log_full ? " log-full" : "",
			c->nodes[node].halted != ENG_HALT_NONE ? " halted: " : "",
			c->nodes[node].halted != ENG_HALT_NONE ? halt_text(c->nodes[node].halted)
							       : "");
	}
}

void
story_trace_hooks(struct story *s)
{
	s->cluster->context = s;
	s->cluster->on_send = on_send;
	s->cluster->on_write = on_write;
	s->cluster->on_apply = on_apply;
	s->cluster->on_command = on_command;
	s->cluster->on_due = on_due;
	s->cluster->on_halt = on_halt;
	s->cluster->on_role = on_role;
	s->cluster->on_read = on_read;
	s->cluster->on_fetch = on_fetch;
}
