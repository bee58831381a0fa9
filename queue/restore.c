/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A snapshot becomes a state again: walk.c says what the bytes are.
 *
 * An object is accepted if and only if its kind is the one whose turn it is, its number is larger
 * than the one before it, all that it refers to came before it, its words are within their ranges,
 * and its payload has the hash that they name. The words are those of the log's own machine, so
 * this is about accidents; but whatever the bytes are, nothing outside the arena is touched, and
 * -EBADMSG is the worst that happens.
 */
#include "queue/private.h"

#include "queue/bytes.h"

#include <errno.h>

#define HEADER_WORDS (1 + KIND_COUNT + GLOBAL_WORDS)

/* Times and numbers grow from 0; beyond this, adding a delay to one could wrap around. */
#define COUNT_MAX (1ull << 62)

int
queue_restore_begin(struct queue_machine *m)
{
	machine_reset(m, true);
	m->restoring = (struct restoring){ .is_on = true };
	return 0;
}

/* Magics of all formats are alike but for the digit at the end. */
static bool
is_of_another_version(const uint8_t *bytes)
{
	return queue_load_u64(bytes) != SNAPSHOT_MAGIC &&
	       queue_load_u64(bytes) << 8 == SNAPSHOT_MAGIC << 8;
}

/* @return 0 or what queue_restore_next() does */
static int
restore_header(struct queue_machine *m, const uint8_t *bytes)
{
	uint64_t words[GLOBAL_WORDS], capacity[PURPOSE_COUNT];

	if (queue_load_u64(bytes) != SNAPSHOT_MAGIC)
		return -EBADMSG;
	for (int kind = 0; kind < KIND_COUNT; kind++)
		m->restoring.left[kind] = queue_load_u64(bytes + 8 + 8 * kind);
	for (size_t i = 0; i < GLOBAL_WORDS; i++)
		words[i] = queue_load_u64(bytes + 8 * (1 + KIND_COUNT + i));
	memcpy(capacity, m->globals.capacity, sizeof(capacity));
	memcpy(&m->globals, words, sizeof(words));
	if (m->globals.now_ns >= COUNT_MAX || m->globals.number_next >= COUNT_MAX ||
		m->globals.job_next >= COUNT_MAX || m->globals.order_next >= COUNT_MAX)
		return -EBADMSG;
	/* Else they would differ in what fits. */
	return memcmp(m->globals.capacity, capacity, sizeof(capacity)) == 0 ? 0 : -EMSGSIZE;
}

/* --------------------------------------------------------------------- one kind after the other */

static uint32_t
low(uint64_t word)
{
	return (uint32_t)word;
}

static uint32_t
high(uint64_t word)
{
	return (uint32_t)(word >> 32);
}

static bool
restore_tube(struct queue_machine *m, uint32_t cell, const uint64_t *w)
{
	struct tube *t = tube_at(m, cell);

	tube_enter(m, cell);
	t->total_jobs = w[2];
	t->cmd_delete = w[3];
	t->cmd_pause = w[4];
	t->pause_ns = w[5];
	t->unpause_ns = w[6];
	t->name_hash = w[7];
	if (t->t.o.state != 0 || t->t.o.payload_bytes == 0 ||
		t->t.o.payload_bytes > QUEUE_NAME_BYTES_MAX || t->unpause_ns > 2 * COUNT_MAX)
		return false;
	tube_set_timer(m, cell);
	return true;
}

static bool
restore_gateway(struct queue_machine *m, uint32_t cell, const uint64_t *w)
{
	struct gateway *g = gateway_at(m, cell);

	g->t.timer.key = NEVER_NS;
	g->session = w[3];
	g->node = w[4];
	if (w[2] > 2 * COUNT_MAX || g->node == 0 || g->node > UINT16_MAX ||
		g->t.o.payload_bytes != 0 || g->t.o.state > IS_DETACHED)
		return false;
	timer_set(m, cell, w[2]);
	if (g->t.o.state & IS_DETACHED)
		return true;
	if (key_find_gateway(m, g->session) != 0 || gateway_find_node(m, g->node) != cell)
		return false;
	key_add(m, cell);
	return true;
}

static bool
restore_connection(struct queue_machine *m, uint32_t cell, const uint64_t *w)
{
	struct connection *c = connection_at(m, cell);
	uint8_t state = c->t.o.state;

	c->t.timer.key = NEVER_NS;
	c->gateway = index_find(m, KIND_GATEWAY, w[2]);
	c->id = w[3];
	c->t.o.tube = index_find(m, KIND_TUBE, w[4]);
	c->wait_seq = w[5];
	c->wait_until = w[6];
	c->wait_order = w[7];
	if (c->gateway == 0 || c->t.o.tube == 0 || c->t.o.payload_bytes != 0 ||
		state > (IS_PRODUCER | IS_WORKER | IS_WAITING | HAS_PARKED) ||
		((state & IS_WAITING) && !(state & HAS_PARKED)) ||
		key_find_connection(m, c->gateway, c->id) != 0)
		return false;
	key_add(m, cell);
	gateway_enter(m, cell);
	tube_at(m, c->t.o.tube)->using_count++;
	m->producer_count += (state & IS_PRODUCER) != 0;
	m->worker_count += (state & IS_WORKER) != 0;
	if (state & IS_WAITING)
		wait_enter(m, cell);
	return true;
}

static bool
restore_watch(struct queue_machine *m, uint32_t cell, const uint64_t *w)
{
	struct watch *v = watch_at(m, cell);

	v->connection = index_find(m, KIND_CONNECTION, w[2]);
	v->o.tube = index_find(m, KIND_TUBE, w[3]);
	if (v->connection == 0 || v->o.tube == 0 || v->o.state != 0 || v->o.payload_bytes != 0 ||
		key_find_watch(m, v->connection, v->o.tube) != 0)
		return false;
	watch_enter(m, cell);
	if (object_at(m, v->connection)->state & IS_WAITING)
		wait_enter_watch(m, cell);
	return true;
}

static bool
restore_job(struct queue_machine *m, uint32_t cell, const uint64_t *w)
{
	struct job *j = job_at(m, cell);

	j->o.order.key = w[2];
	j->created_ns = w[3];
	j->o.tube = index_find(m, KIND_TUBE, w[4]);
	j->holder = w[5] == 0 ? 0 : index_find(m, KIND_CONNECTION, w[5]);
	j->pri = low(w[6]);
	j->delay_s = high(w[6]);
	j->ttr_s = low(w[7]);
	j->reserves = high(w[7]);
	j->timeouts = low(w[8]);
	j->releases = high(w[8]);
	j->buries = low(w[9]);
	j->kicks = high(w[9]);
	j->body_hash = w[10];
	if (j->o.tube == 0 || j->o.state > JOB_BURIED || j->ttr_s == 0 ||
		(j->o.state == JOB_RESERVED) != (w[5] != 0) || (w[5] != 0 && j->holder == 0) ||
		(j->o.state == JOB_READY && j->o.order.key != j->pri) ||
		(j->o.state == JOB_RESERVED && j->o.order.key < SECOND_NS) ||
		j->o.order.key > 2 * COUNT_MAX)
		return false;
	job_enter(m, cell);
	return true;
}

/* All but jobs draw their numbers from one row. */
static bool
is_number_taken(const struct queue_machine *m, enum kind kind, uint64_t number)
{
	for (int other = KIND_TUBE; other < (int)kind && kind != KIND_JOB; other++)
		if (index_find(m, (enum kind)other, number) != 0)
			return true;
	return false;
}

/* @return its words, or 0: no */
static uint32_t
restore_words(struct queue_machine *m, enum kind kind, const uint8_t *bytes, uint32_t count)
{
	static bool (*const restorers[KIND_COUNT])(
		struct queue_machine * m, uint32_t cell, const uint64_t *w) = {
		restore_tube,
		restore_gateway,
		restore_connection,
		restore_watch,
		restore_job,
	};
	uint32_t word_count = object_word_count(kind), last = m->lists[kind].last, cell;
	uint64_t w[OBJECT_WORDS_MAX];
	uint64_t after = kind == KIND_JOB ? m->globals.job_next : m->globals.number_next;

	if (count < word_count * 8)
		return 0;
	for (uint32_t i = 0; i < word_count; i++)
		w[i] = queue_load_u64(bytes + 8 * i);
	if ((low(w[0]) & ~0xff00u) != (uint32_t)kind || w[1] == 0 || w[1] >= after ||
		(last != 0 && w[1] <= object_at(m, last)->number) ||
		is_number_taken(m, kind, w[1]) ||
		!has_room(m, FOR_GATEWAYS, payload_cells(kind, high(w[0]))))
		return 0;
	cell = object_add(m, kind, w[1]);
	object_at(m, cell)->state = (uint8_t)(w[0] >> 8);
	payload_reserve(m, object_at(m, cell), high(w[0]));
	if (!restorers[kind](m, cell, w))
		return 0;
	object_done(m, object_at(m, cell));
	m->restoring.object = cell;
	m->restoring.payload_offset = 0;
	m->restoring.left[kind]--;
	return word_count;
}

/* The payload is whole. */
static bool
is_payload_ok(struct queue_machine *m, uint32_t cell)
{
	struct object *o = object_at(m, cell);
	uint8_t name[QUEUE_NAME_BYTES_MAX];

	if (o->kind == KIND_JOB)
		return payload_hash(m, o) == job_at(m, cell)->body_hash;
	if (o->kind != KIND_TUBE)
		return true;
	payload_read(m, o, 0, name, o->payload_bytes);
	if (payload_hash(m, o) != tube_at(m, cell)->name_hash ||
		key_find_tube(m, name, o->payload_bytes) != 0)
		return false;
	key_add(m, cell);
	return true;
}

/* @return bytes taken, or -1 */
static int64_t
restore_payload(struct queue_machine *m, const uint8_t *bytes, size_t count)
{
	struct restoring *r = &m->restoring;
	struct object *o = object_at(m, r->object);
	uint32_t left = o->payload_bytes - r->payload_offset;
	uint32_t n = count < left ? (uint32_t)count : left;
	uint32_t cell = r->object;

	payload_write(m, o, r->payload_offset, bytes, n);
	r->payload_offset += n;
	if (n < left)
		return n;
	r->object = 0;
	return is_payload_ok(m, cell) ? (int64_t)n : -1;
}

/* ------------------------------------------------------------------------------ chunks */

/* @return bytes taken, or -1 */
static int64_t
restore_some(struct queue_machine *m, const uint8_t *bytes, size_t count)
{
	struct restoring *r = &m->restoring;
	int kind = 0;
	int64_t taken;
	uint32_t words;

	if (r->object != 0)
		return restore_payload(m, bytes, count);
	while (kind < KIND_COUNT && r->left[kind] == 0)
		kind++;
	if (kind == KIND_COUNT)
		return -1;
	words = restore_words(m, (enum kind)kind, bytes, (uint32_t)count);
	if (words == 0)
		return -1;
	taken = restore_payload(m, bytes + words * 8, count - words * 8);
	return taken < 0 ? -1 : taken + words * 8;
}

int
queue_restore_next(struct queue_machine *m, const struct decree_chunk *chunk)
{
	struct restoring *r = &m->restoring;
	const uint8_t *bytes = chunk->bytes;
	size_t at = 0;
	int rc;

	if (!r->is_on || chunk->index != r->chunk_index || chunk->count > DECREE_CHUNK_BYTES_MAX)
		return -EBADMSG;
	if (r->chunk_index++ == 0) {
		if (chunk->count >= 8 && is_of_another_version(bytes))
			return -EPROTONOSUPPORT;
		rc = chunk->count < HEADER_WORDS * 8 ? -EBADMSG : restore_header(m, bytes);
		if (rc != 0)
			return rc;
		at = HEADER_WORDS * 8;
	}
	while (at < chunk->count) {
		int64_t taken = restore_some(m, bytes + at, chunk->count - at);

		if (taken < 0)
			return -EBADMSG;
		at += (size_t)taken;
	}
	return 0;
}

/* Nothing is there that nobody refers to. */
static bool
are_all_needed(const struct queue_machine *m)
{
	for (uint32_t at = m->lists[KIND_CONNECTION].first; at != 0; at = object_at(m, at)->next)
		if (connection_at(m, at)->watch_count == 0)
			return false;
	for (uint32_t at = m->lists[KIND_TUBE].first; at != 0; at = object_at(m, at)->next) {
		const struct tube *t = tube_at(m, at);

		if (at != m->fallback && t->using_count == 0 && t->watching_count == 0 &&
			t->job_counts[0] + t->job_counts[1] + t->job_counts[2] + t->job_counts[3] ==
				0)
			return false;
	}
	return true;
}

int
queue_restore_end(struct queue_machine *m)
{
	struct restoring *r = &m->restoring;

	if (!r->is_on || r->chunk_index == 0 || r->object != 0)
		return -EBADMSG;
	for (int kind = 0; kind < KIND_COUNT; kind++)
		if (r->left[kind] != 0)
			return -EBADMSG;
	m->fallback = key_find_tube(m, "default", 7);
	if (m->fallback == 0 || !are_all_needed(m))
		return -EBADMSG;
	for (uint32_t at = m->lists[KIND_TUBE].first; at != 0; at = object_at(m, at)->next)
		tube_set_timer(m, at); /* now it is known what is ready, and who waits */
	r->is_on = false;
	return 0;
}
