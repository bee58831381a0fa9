/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/core/session_digest.h"

#include "base/assert.h"
#include "base/digest.h"
#include "engine/core/value.h"

#include <string.h>

/* Bodies that are digested in one go. */
#define DIGEST_BURST 128

static size_t
align64(size_t bytes)
{
	return (bytes + 63) & ~(size_t)63;
}

static uint32_t
bucket_count(uint32_t rows)
{
	uint32_t count = 16;

	while (count < rows * 2)
		count *= 2;
	return count;
}

/* A second table: in the worst case every session executes a command before a snapshot comes to its
 * row. */
static size_t
cut_bytes(const struct eng_config *config)
{
	return align64(config->session_count * sizeof(struct row)) +
	       align64((size_t)config->session_count * config->session_window *
		       sizeof(struct reply)) +
	       align64((config->session_count / 64 + 1) * sizeof(uint64_t));
}

size_t
eng_sessions_bytes(const struct eng_config *config)
{
	return align64(sizeof(struct eng_sessions)) +
	       align64(config->session_count * sizeof(struct row)) +
	       align64((size_t)config->session_count * config->session_window *
		       sizeof(struct reply)) +
	       align64(bucket_count(config->session_count) * sizeof(uint16_t)) +
	       align64(config->command_bytes_max) + cut_bytes(config);
}

struct eng_sessions *
eng_sessions_init(void *memory, const struct eng_config *config)
{
	struct eng_sessions *s = memory;
	uint8_t *at = (uint8_t *)memory + align64(sizeof(*s));

	decree_assert((config->session_window & (config->session_window - 1)) == 0);
	decree_assert(config->session_count > 0 && config->session_count < UINT16_MAX);
	*s = (struct eng_sessions){
		.row_count_max = config->session_count,
		.window = config->session_window,
		.bucket_mask = bucket_count(config->session_count) - 1,
		.command_bytes_max = config->command_bytes_max,
		.idle_slots = config->session_idle_slots,
	};
	eng_configs_init(&s->configs);
	s->rows = (struct row *)at;
	at += align64(config->session_count * sizeof(struct row));
	s->replies = (struct reply *)at;
	at += align64(
		(size_t)config->session_count * config->session_window * sizeof(struct reply));
	s->buckets = (uint16_t *)at;
	at += align64(bucket_count(config->session_count) * sizeof(uint16_t));
	s->body = at;
	at += align64(config->command_bytes_max);
	s->cut.rows = (struct row *)at;
	at += align64(config->session_count * sizeof(struct row));
	s->cut.replies = (struct reply *)at;
	at += align64(
		(size_t)config->session_count * config->session_window * sizeof(struct reply));
	s->cut.saved = (uint64_t *)at;
	return s;
}

uint32_t
eng_commands_per_slot_max(const struct eng_config *config)
{
	return eng_value_commands_max(config->slot_bytes);
}

uint32_t
session_bucket(const struct eng_sessions *s, struct decree_session session)
{
	return (uint32_t)((session.n * 0x9e3779b97f4a7c15ull) >> 32) & s->bucket_mask;
}

int32_t
eng_session_row(const struct eng_sessions *s, struct decree_session session)
{
	for (uint32_t b = session_bucket(s, session); s->buckets[b] != 0;
		b = (b + 1) & s->bucket_mask)
		if (s->rows[s->buckets[b] - 1].session.n == session.n)
			return s->buckets[b] - 1;
	return -1;
}

uint32_t
eng_session_count(const struct eng_sessions *s)
{
	return s->row_count;
}

/* Commands come in runs of one session. */
static int32_t
row_near(struct eng_sessions *s, struct decree_session session)
{
	if (s->row_recent < s->row_count && s->rows[s->row_recent].session.n == session.n)
		return (int32_t)s->row_recent;

	int32_t row = eng_session_row(s, session);

	if (row >= 0)
		s->row_recent = (uint32_t)row;
	return row;
}

static int32_t
row_of_token(const struct eng_sessions *s, const uint8_t *token)
{
	for (uint32_t i = 0; i < s->row_count; i++)
		if (memcmp(s->rows[i].token, token, DECREE_UUID_BYTES) == 0)
			return (int32_t)i;
	return -1;
}

struct decree_session
eng_session_find(const struct eng_sessions *s, const uint8_t token[DECREE_UUID_BYTES])
{
	int32_t row = row_of_token(s, token);

	return row < 0 ? (struct decree_session){ 0 } : s->rows[row].session;
}

uint64_t
eng_session_last(const struct eng_sessions *s, struct decree_session session)
{
	int32_t row = eng_session_row(s, session);

	return row < 0 ? 0 : s->rows[row].last;
}

void
session_index(struct eng_sessions *s, uint32_t row)
{
	uint32_t b = session_bucket(s, s->rows[row].session);

	while (s->buckets[b] != 0)
		b = (b + 1) & s->bucket_mask;
	s->buckets[b] = (uint16_t)(row + 1);
}

static void
register_row(struct eng_sessions *s, uint32_t row, const struct eng_registration *r, bool is_live,
	struct eng_applied *a)
{
	session_touch(s, row);
	memset(reply_of(s, (int32_t)row, 0), 0, s->window * sizeof(struct reply));
	struct row *w = &s->rows[row];
	*w = (struct row){
		.session = { s->applied.n << 16 | a->index },
		.used = s->applied.n,
		.node_id = is_live ? r->node_id : 0,
		.place = r->place,
		.opened = r->opened,
		.boot_count = r->boot_count,
	};
	memcpy(w->token, r->token, DECREE_UUID_BYTES);
	session_index(s, row);
	digest_add_row(s, row);
	a->session = w->session;
	a->has_new_row = true;
}

/* Same token, same session: a client that lost the answer simply registers again. */
static void
apply_register(struct eng_sessions *s, struct eng_applied *a)
{
	struct eng_registration r;

	if (!eng_is_registration(a->bytes)) {
		a->verdict = ENG_MISMATCH;
		return;
	}
	eng_registration_decode(a->body, a->bytes, &r);
	int32_t row = row_of_token(s, r.token);
	if (row >= 0) {
		a->session = s->rows[row].session;
		a->verdict = ENG_REGISTERED;
		return;
	}
	bool is_live = r.node_id != 0 && session_gateway_begin(s, &r);
	row = session_acquire_row(s);
	if (row < 0) {
		a->verdict = ENG_TABLE_FULL;
		return;
	}
	register_row(s, (uint32_t)row, &r, is_live, a);
	a->verdict = ENG_REGISTERED;
}

/* A number that names a slot of the past was a session once, and is none any more. */
static bool
was_session(const struct eng_sessions *s, struct decree_session session)
{
	return session.n >> 16 != 0 && session.n >> 16 <= s->applied.n;
}

/* Replies [first, first + count), which stand behind each other at @p at, are about to give up
 * their places. */
static void
forget_replies(
	struct eng_sessions *s, struct row *w, struct reply *at, uint64_t first, uint32_t count)
{
	if (w->pending == 0 && first > w->summed)
		return; /* all are answered, and the sum has none of them */
	for (uint32_t i = 0; i < count; i++) {
		if (at[i].state == REPLY_PENDING)
			w->pending--;
		else if (at[i].state == REPLY_DONE && first + i <= w->summed)
			sum_take(&s->sum, reply_term(w, first + i, &at[i]));
	}
}

/* @param ret_digests  [count] */
static void
digest_bodies(
	const struct decree_command *commands, uint32_t count, bool is_mixed, uint32_t *ret_digests)
{
	if (!is_mixed) {
		base_digest_short_run(commands->body, commands->bytes, count, ret_digests);
		return;
	}
	for (uint32_t i = 0; i < count; i++)
		ret_digests[i] = base_digest_short(commands[i].body, commands[i].bytes);
}

/* The commands of a row that are the next ones. Their replies take the places of some that are not
 * kept any more.
 * @param is_mixed  as in their run: else the bodies are of one size, and stand behind each other */
static void
execute(struct eng_sessions *s, uint32_t row, const struct decree_command *commands, uint32_t count,
	bool is_mixed)
{
	struct row *w = &s->rows[row];
	uint64_t after = w->last + 1 + count;
	uint32_t digests[DIGEST_BURST], part;

	session_touch(s, row);
	digest_go_ahead(s, row);
	for (uint64_t seq = w->last + 1; seq < after; seq += part, commands += part) {
		struct reply *at = reply_of(s, (int32_t)row, seq);
		uint64_t to_end = s->window - (seq & (s->window - 1));

		part = (uint32_t)(after - seq < to_end ? after - seq : to_end);
		if (part > DIGEST_BURST)
			part = DIGEST_BURST;
		if (seq >= s->window)
			forget_replies(s, w, at, seq - s->window, part);
		digest_bodies(commands, part, is_mixed, digests);
		for (uint32_t i = 0; i < part; i++)
			at[i] = (struct reply){ .digest = digests[i], .state = REPLY_PENDING };
		w->pending += part;
	}
	w->used = s->applied.n;
	w->last = after - 1;
	if (w->admitted < w->last)
		w->admitted = w->last;
}

static void
take_mixed_run(
	struct eng_run run, struct decree_command command, struct decree_command *ret_commands)
{
	for (uint32_t i = 0; run.count > 0; i++) {
		struct eng_command c = eng_run_first(&run);

		eng_run_pass(&run, &c);
		command.body = c.body;
		command.bytes = c.bytes;
		ret_commands[i] = command;
		command.index++;
		command.seq++;
	}
}

/* All that is left of a run. */
static void
take_run(const struct eng_run *run, struct decree_slot slot, uint32_t index,
	struct decree_command *ret_commands)
{
	struct decree_command command = {
		.slot = slot,
		.index = index,
		.session = run->session,
		.seq = run->seq,
		.body = run->at,
		.bytes = run->bytes,
	};

	if (run->is_mixed) {
		take_mixed_run(*run, command, ret_commands);
		return;
	}
	for (uint32_t i = 0; i < run->count; i++) {
		ret_commands[i] = command;
		command.index++;
		command.seq++;
		command.body = (const uint8_t *)command.body + command.bytes;
	}
}

/* protocol 7.5: execute iff seq == last + 1. */
static void
apply_request(struct eng_sessions *s, struct eng_applied *a)
{
	int32_t row = row_near(s, a->session);

	if (row < 0) {
		a->verdict = was_session(s, a->session) ? ENG_EVICTED : ENG_NO_SESSION;
		return;
	}
	struct row *w = &s->rows[row];
	if (a->seq > w->last + 1) {
		a->verdict = ENG_GAP;
		return;
	}
	if (a->seq == w->last + 1) {
		a->verdict = ENG_EXECUTE;
		return;
	}
	if (a->seq == 0 || w->last - a->seq >= s->window) {
		a->verdict = ENG_STALE;
		return;
	}
	const struct reply *reply = reply_of(s, row, a->seq);
	if (reply->digest != base_digest_short(a->body, a->bytes)) {
		a->verdict = ENG_MISMATCH;
		return;
	}
	a->verdict = reply->state == REPLY_DONE ? ENG_REPLAYED : ENG_PENDING;
	a->status = reply->status;
	a->result = reply->result;
}

static struct eng_applied
apply_command(struct eng_sessions *s, const struct eng_command *c, uint32_t index)
{
	struct eng_applied a = {
		.session = c->session,
		.seq = c->seq,
		.body = c->body,
		.bytes = c->bytes,
		.count = 1,
		.index = index,
	};

	if (c->session.n == 0)
		apply_register(s, &a);
	else
		apply_request(s, &a);
	return a;
}

/* What of a run was executed before, is repeated or cannot be executed is judged command by
 * command; from the first one that executes on, all of them do. @return how many verdicts;
 * *ret_execute_count: of commands */
static uint32_t
apply_run(struct eng_sessions *s, struct eng_run run, uint32_t index, struct eng_applied *ret_runs,
	struct decree_command *ret_commands, uint32_t *ret_execute_count)
{
	uint32_t count = 0;

	*ret_execute_count = 0;
	for (; run.count > 0; index++) {
		const struct eng_command c = eng_run_first(&run);
		struct eng_applied *a = &ret_runs[count++];

		*a = apply_command(s, &c, index);
		if (a->verdict == ENG_EXECUTE) {
			a->count = *ret_execute_count = run.count;
			a->commands = ret_commands;
			take_run(&run, s->applied, index, ret_commands);
			execute(s, s->row_recent, ret_commands, run.count, run.is_mixed);
			break;
		}
		eng_run_pass(&run, &c);
	}
	return count;
}

/* Slots come without gaps, and every other one closes the train: this is the one behind the last
 * part. */
static bool
is_next_part(const struct train *t, const struct eng_fragment *f)
{
	return t->part_next > 0 && f->part == t->part_next && f->train.n == t->first.train.n &&
	       f->session.n == t->first.session.n && f->seq == t->first.seq &&
	       f->part_count == t->first.part_count && f->command_bytes == t->first.command_bytes;
}

/* @return true if the command is whole: it stands in s->body, s->train.bytes long */
static bool
apply_fragment(struct eng_sessions *s, struct decree_slot slot, const struct eng_fragment *f)
{
	struct train *t = &s->train;

	if (f->part == 0 && f->train.n == slot.n && f->command_bytes <= s->command_bytes_max)
		*t = (struct train){ .first = *f };
	else if (!is_next_part(t, f)) {
		t->part_next = 0;
		return false;
	}
	if (t->bytes + f->count > t->first.command_bytes) {
		t->part_next = 0;
		return false;
	}
	memcpy(s->body + t->bytes, f->bytes, f->count);
	t->bytes += f->count;
	t->part_next = f->part + 1;
	if (t->part_next < f->part_count)
		return false;
	t->part_next = 0;
	return t->bytes == f->command_bytes &&
	       digest_eq(base_digest(s->body, t->bytes), t->first.digest);
}

uint32_t
eng_sessions_apply(struct eng_sessions *s, struct decree_slot slot, const uint8_t *value,
	uint32_t bytes, struct eng_applied *ret_runs, struct decree_command *ret_commands,
	uint64_t *ret_cluster_ns)
{
	struct eng_value v;
	struct eng_run run;
	uint32_t index = 0, count = 0, execute_count;

	eng_value_reopen(value, bytes, &v); /* checked before it was accepted */
	decree_assert(slot.n == s->applied.n + 1);
	s->applied = slot;
	(void)eng_configs_advance(&s->configs, slot);
	if (s->cluster_ns < v.stamp_ns)
		s->cluster_ns = v.stamp_ns;
	*ret_cluster_ns = s->cluster_ns;

	if (v.kind == ENG_VALUE_FRAGMENT) {
		if (!apply_fragment(s, slot, &v.fragment))
			return 0;
		run = (struct eng_run){ v.fragment.session, v.fragment.seq, 1, false,
			s->train.bytes, s->body };
		return apply_run(s, run, 0, ret_runs, ret_commands, &execute_count);
	}
	s->train.part_next = 0;
	if (v.kind == ENG_VALUE_CONFIG)
		(void)eng_configs_decide(&s->configs, slot, &v.membership); /* or it is void */
	for (; eng_value_next_run(&v, &run); index += run.count) {
		count += apply_run(s, run, index, ret_runs + count, ret_commands, &execute_count);
		ret_commands += execute_count;
	}
	return count;
}

static void
answer_replies(struct reply *replies, const struct decree_answer *answers, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		decree_assert(replies[i].state == REPLY_PENDING);
		replies[i].state = REPLY_DONE;
		replies[i].status = answers[i].status;
		replies[i].result = answers[i].result;
	}
}

void
eng_session_answer_run(struct eng_sessions *s, uint32_t row, uint64_t first, uint32_t count,
	const struct decree_answer *answers)
{
	struct row *w = &s->rows[row];
	struct reply *replies = reply_of(s, (int32_t)row, 0);
	uint64_t kept = w->last > s->window ? w->last - s->window + 1 : 1;
	uint64_t after = first + count, summed = w->summed;
	uint32_t index, to_end;

	session_touch(s, row);
	if (after > w->last + 1)
		return; /* nobody has executed that */
	for (; first < kept && first < after; answers++)
		first++; /* parked for so long that nobody can ask for it any more */
	count = (uint32_t)(after - first);
	index = (uint32_t)first & (s->window - 1);
	to_end = count < s->window - index ? count : s->window - index;
	w->pending -= count;
	answer_replies(&replies[index], answers, to_end);
	answer_replies(replies, answers + to_end, count - to_end);
	for (; first < after && first <= summed; first++)
		sum_add(&s->sum, reply_term(w, first, reply_of(s, (int32_t)row, first)));
}

enum eng_verdict
eng_session_lookup(const struct eng_sessions *s, struct decree_session session, uint64_t seq,
	uint32_t body_digest, uint16_t *ret_status, uint64_t *ret_result)
{
	int32_t row = eng_session_row(s, session);

	if (row < 0)
		return was_session(s, session) ? ENG_EVICTED : ENG_NO_SESSION;
	if (seq > s->rows[row].last)
		return ENG_GAP;
	if (seq == 0 || s->rows[row].last - seq >= s->window)
		return ENG_STALE;
	const struct reply *reply = reply_of(s, row, seq);
	if (reply->digest != body_digest)
		return ENG_MISMATCH;
	if (reply->state != REPLY_DONE)
		return ENG_PENDING;
	*ret_status = reply->status;
	*ret_result = reply->result;
	return ENG_REPLAYED;
}

bool
eng_session_answer_of(const struct eng_sessions *s, struct decree_session session, uint64_t seq,
	uint16_t *ret_status, uint64_t *ret_result)
{
	int32_t row = eng_session_row(s, session);

	if (row < 0 || seq == 0 || seq > s->rows[row].last || s->rows[row].last - seq >= s->window)
		return false;
	const struct reply *reply = reply_of(s, row, seq);
	if (reply->state != REPLY_DONE)
		return false;
	*ret_status = reply->status;
	*ret_result = reply->result;
	return true;
}

static enum eng_submit_status
may_admit(const struct eng_sessions *s, int32_t row, struct decree_session session, uint64_t seq)
{
	if (row < 0)
		return was_session(s, session) ? ENG_SUBMIT_EVICTED : ENG_SUBMIT_NO_SESSION;
	if (seq <= s->rows[row].admitted)
		return ENG_SUBMIT_DUPLICATE;
	return seq > s->rows[row].admitted + 1 ? ENG_SUBMIT_GAP : ENG_SUBMIT_OK;
}

enum eng_submit_status
eng_session_may_admit(const struct eng_sessions *s, struct decree_session session, uint64_t seq)
{
	return may_admit(s, eng_session_row(s, session), session, seq);
}

enum eng_submit_status
eng_session_admit(struct eng_sessions *s, struct decree_session session, uint64_t seq)
{
	int32_t row = row_near(s, session);
	enum eng_submit_status status = may_admit(s, row, session, seq);

	if (status == ENG_SUBMIT_OK)
		s->rows[row].admitted = seq;
	return status;
}

bool
eng_session_is_next(struct eng_sessions *s, struct decree_session session, uint64_t seq)
{
	return may_admit(s, row_near(s, session), session, seq) == ENG_SUBMIT_OK;
}

void
eng_session_admit_more(struct eng_sessions *s, uint32_t count)
{
	s->rows[s->row_recent].admitted += count;
}

void
eng_sessions_admit_reset(struct eng_sessions *s)
{
	for (uint32_t i = 0; i < s->row_count; i++)
		s->rows[i].admitted = s->rows[i].last;
}
