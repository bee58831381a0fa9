/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The search for an order.
 *
 *   1. Of the operations not ordered yet, those may come next that were invoked before the first of
 *      the others returned. Operations with an answer are tried first.
 *   2. One whose answer fits the state is put next; the pair (set of ordered operations, state) is
 *      remembered. A pair that was seen before leads nowhere new.
 *   3. None fits: take back the last one and try the next candidate. Nothing to take back: no order
 *      exists.
 *   4. All operations with an answer have their place: there is an order. Pending ones may be left
 *      out.
 *
 * Pending operations are what makes this exponential, for they never run out. Three facts keep them few; each
 * drops a branch only if another one can do all that it can:
 *   - one that would not change the state need not happen
 *   - of equal ones, the one invoked first happens first
 *   - one whose effect the very next operation wipes out need not have happened
 *
 * The memory holds 128-bit hashes of pairs and not the pairs. Two pairs that collide could hide an
 * order and so accuse a good history, once in 2^128 / configurations^2.
 */
#include "tests/lib/linear.h"

#include "base/assert.h"

#include <stdlib.h>
#include <string.h>

#define NONE UINT32_MAX

struct hash {
	uint64_t lo;
	uint64_t hi;
};

/* Invocations and returns of operations with an answer, in order, as a ring of links through place
 * 0. */
struct event {
	uint32_t previous;
	uint32_t next;
	uint32_t op;
	bool is_return;
};

/* One operation that has its place in the order being tried. */
struct frame {
	uint32_t op;
	struct linear_state before;
};

struct search {
	const struct linear_model *model;
	const struct history_op *ops; /* [count] by invocation */
	uint32_t count;
	uint32_t answered_left; /* with an answer and without a place */
	struct linear_state state;
	struct hash set;      /* of the operations that have a place */
	struct event *events; /* [1 + 2 * count] */
	uint32_t *call_event; /* [count], NONE for pending ones */
	uint32_t *return_event;
	bool *has_place;   /* [count] */
	uint32_t *pending; /* [pending_count] by invocation */
	uint32_t pending_count;
	uint32_t *pending_index; /* [count] where in pending */
	uint32_t *twin;          /* [count] the equal pending operation invoked before; NONE */
	struct frame *stack;     /* [count] */
	uint32_t depth;
	struct hash *seen; /* [seen_room] open addressing, all 0 = free */
	uint32_t seen_room;
	uint32_t seen_count;
	uint32_t seen_count_max;
};

/* ---- hashes, and the memory of what was seen ---- */

static uint64_t
mix(uint64_t z)
{
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

/* A set's hash is the xor of its members', so adding and removing one costs the same. */
static void
set_toggle(struct hash *set, uint32_t op)
{
	set->lo ^= mix((op + 1) * 0x9e3779b97f4a7c15ull);
	set->hi ^= mix((op + 1) * 0xc2b2ae3d27d4eb4full + 1);
}

static struct hash
pair_hash(struct hash set, const struct linear_state *state)
{
	for (uint32_t i = 0; i < 4; i++) {
		set.lo = mix(set.lo + state->word[i] * 0x9e3779b97f4a7c15ull + i);
		set.hi = mix(set.hi + (state->word[i] ^ i) * 0xc2b2ae3d27d4eb4full + 1);
	}
	if (set.lo == 0 && set.hi == 0)
		set.lo = 1;
	return set;
}

static struct hash *
seen_place(struct search *s, struct hash h)
{
	uint32_t i = (uint32_t)h.lo & (s->seen_room - 1);

	while ((s->seen[i].lo != 0 || s->seen[i].hi != 0) &&
		(s->seen[i].lo != h.lo || s->seen[i].hi != h.hi))
		i = (i + 1) & (s->seen_room - 1);
	return &s->seen[i];
}

static void
seen_grow(struct search *s)
{
	struct hash *old = s->seen;
	uint32_t old_room = s->seen_room;

	s->seen_room *= 2;
	s->seen = calloc(s->seen_room, sizeof(*s->seen));
	decree_assert(s->seen != NULL);
	for (uint32_t i = 0; i < old_room; i++)
		if (old[i].lo != 0 || old[i].hi != 0)
			*seen_place(s, old[i]) = old[i];
	free(old);
}

/* @return false if it was there */
static bool
seen_add(struct search *s, struct hash h)
{
	if (2 * s->seen_count >= s->seen_room)
		seen_grow(s);
	struct hash *place = seen_place(s, h);
	if (place->lo != 0 || place->hi != 0)
		return false;
	*place = h;
	s->seen_count++;
	return true;
}

/* ---- the ring of events ---- */

static void
event_unlink(struct search *s, uint32_t e)
{
	s->events[s->events[e].previous].next = s->events[e].next;
	s->events[s->events[e].next].previous = s->events[e].previous;
}

static void
event_link(struct search *s, uint32_t e)
{
	s->events[s->events[e].previous].next = e;
	s->events[s->events[e].next].previous = e;
}

static bool
is_pending(const struct search *s, uint32_t op)
{
	return s->ops[op].returned == HISTORY_NEVER;
}

/* Before this moment an operation must have been invoked, to come next. */
static uint64_t
first_return(const struct search *s)
{
	uint32_t e = s->events[0].next;

	while (e != 0 && !s->events[e].is_return)
		e = s->events[e].next;
	return e == 0 ? HISTORY_NEVER : s->ops[s->events[e].op].returned;
}

static uint32_t
next_pending(const struct search *s, uint32_t index)
{
	uint64_t limit = first_return(s);

	for (; index < s->pending_count; index++) {
		uint32_t op = s->pending[index];
		if (s->ops[op].invoked > limit)
			break;
		if (!s->has_place[op] && (s->twin[op] == NONE || s->has_place[s->twin[op]]))
			return op;
	}
	return NONE;
}

/* @param after  the candidate tried last, NONE for the first */
static uint32_t
next_candidate(const struct search *s, uint32_t after)
{
	if (after != NONE && is_pending(s, after))
		return next_pending(s, s->pending_index[after] + 1);
	uint32_t e = s->events[after == NONE ? 0 : s->call_event[after]].next;
	if (e != 0 && !s->events[e].is_return)
		return s->events[e].op;
	return next_pending(s, 0);
}

/* ---- the search ---- */

static bool
state_eq(const struct linear_state *a, const struct linear_state *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

/* Would @p next be reached without the pending operation that was placed last? */
static bool
is_last_wiped_out(
	const struct search *s, const struct history_op *op, const struct linear_state *next)
{
	struct linear_state without;

	if (s->depth == 0 || !is_pending(s, s->stack[s->depth - 1].op))
		return false;
	return s->model->step(&s->stack[s->depth - 1].before, op, &without) &&
	       state_eq(&without, next);
}

static bool
place(struct search *s, uint32_t number)
{
	const struct history_op *op = &s->ops[number];
	struct linear_state next;
	struct hash set = s->set;

	if (!s->model->step(&s->state, op, &next))
		return false;
	if (is_pending(s, number) && state_eq(&next, &s->state))
		return false;
	if (is_last_wiped_out(s, op, &next))
		return false;
	set_toggle(&set, number);
	if (!seen_add(s, pair_hash(set, &next)))
		return false;

	s->stack[s->depth++] = (struct frame){ .op = number, .before = s->state };
	s->set = set;
	s->state = next;
	s->has_place[number] = true;
	if (!is_pending(s, number)) {
		event_unlink(s, s->call_event[number]);
		event_unlink(s, s->return_event[number]);
		s->answered_left--;
	}
	return true;
}

/* @return the operation that was taken back */
static uint32_t
take_back(struct search *s)
{
	struct frame *f = &s->stack[--s->depth];

	s->state = f->before;
	set_toggle(&s->set, f->op);
	s->has_place[f->op] = false;
	if (!is_pending(s, f->op)) {
		event_link(s, s->return_event[f->op]); /* the other way round, as links want it */
		event_link(s, s->call_event[f->op]);
		s->answered_left++;
	}
	return f->op;
}

static enum linear_verdict
search_run(struct search *s)
{
	uint32_t op = next_candidate(s, NONE);

	while (s->answered_left > 0) {
		if (s->seen_count > s->seen_count_max)
			return LINEAR_UNDECIDED;
		if (op == NONE) {
			if (s->depth == 0)
				return LINEAR_VIOLATION;
			op = next_candidate(s, take_back(s));
		} else if (place(s, op)) {
			op = next_candidate(s, NONE);
		} else {
			op = next_candidate(s, op);
		}
	}
	return LINEAR_OK;
}

/* ---- setting up ---- */

static bool
is_same_request(const struct history_op *a, const struct history_op *b)
{
	return a->kind == b->kind && a->argument[0] == b->argument[0] &&
	       a->argument[1] == b->argument[1];
}

static void
add_pending(struct search *s, uint32_t op)
{
	s->twin[op] = NONE;
	for (uint32_t i = s->pending_count; i-- > 0 && s->twin[op] == NONE;)
		if (is_same_request(&s->ops[s->pending[i]], &s->ops[op]))
			s->twin[op] = s->pending[i];
	s->pending_index[op] = s->pending_count;
	s->pending[s->pending_count++] = op;
}

struct moment {
	uint64_t number;
	uint32_t op;
	bool is_return;
};

static int
compare_moments(const void *a, const void *b)
{
	const struct moment *x = a, *y = b;

	return x->number < y->number ? -1 : x->number > y->number;
}

static void
link_events(struct search *s)
{
	struct moment *moments = malloc((2 * s->count + 1) * sizeof(*moments));
	uint32_t count = 0;

	decree_assert(moments != NULL);
	for (uint32_t op = 0; op < s->count; op++) {
		if (is_pending(s, op)) {
			add_pending(s, op);
			continue;
		}
		moments[count++] = (struct moment){ s->ops[op].invoked, op, false };
		moments[count++] = (struct moment){ s->ops[op].returned, op, true };
		s->answered_left++;
	}
	qsort(moments, count, sizeof(*moments), compare_moments);
	for (uint32_t i = 0; i < count; i++) {
		uint32_t *at = moments[i].is_return ? s->return_event : s->call_event;
		at[moments[i].op] = i + 1;
		s->events[i + 1] = (struct event){ i, (i + 2) % (count + 1), moments[i].op,
			moments[i].is_return };
	}
	s->events[0] = (struct event){ count, count > 0 ? 1 : 0, NONE, false };
	free(moments);
}

static void *
take(uint8_t **at, size_t bytes)
{
	void *p = *at;

	*at += (bytes + 15) & ~(size_t)15;
	return p;
}

enum linear_verdict
linear_search(const struct history_op *ops, uint32_t count, const struct linear_model *model,
	uint32_t config_count_max, uint64_t *ret_configurations)
{
	struct search s = { .model = model,
		.ops = ops,
		.count = count,
		.state = model->first,
		.seen_count_max = config_count_max };
	size_t per_op = 2 * sizeof(struct event) + 5 * sizeof(uint32_t) + sizeof(bool) +
			sizeof(struct frame);
	uint8_t *memory = calloc(count + 1, per_op + 8 * 16);
	uint8_t *at = memory;

	decree_assert(memory != NULL);
	s.events = take(&at, (1 + 2 * (size_t)count) * sizeof(*s.events));
	s.call_event = take(&at, count * sizeof(uint32_t));
	s.return_event = take(&at, count * sizeof(uint32_t));
	s.pending = take(&at, count * sizeof(uint32_t));
	s.pending_index = take(&at, count * sizeof(uint32_t));
	s.twin = take(&at, count * sizeof(uint32_t));
	s.has_place = take(&at, count * sizeof(bool));
	s.stack = take(&at, count * sizeof(*s.stack));
	for (s.seen_room = 64; s.seen_room < 4 * count;)
		s.seen_room *= 2;
	s.seen = calloc(s.seen_room, sizeof(*s.seen));
	decree_assert(s.seen != NULL);
	link_events(&s);
	enum linear_verdict verdict = search_run(&s);
	if (ret_configurations != NULL)
		*ret_configurations = s.seen_count;
	free(s.seen);
	free(memory);
	return verdict;
}

/* ---- a whole history ---- */

static int
compare_by_claim(const void *a, const void *b)
{
	const struct history_op *x = a, *y = b;

	if (x->order != y->order)
		return x->order < y->order ? -1 : 1;
	return x->invoked < y->invoked ? -1 : x->invoked > y->invoked;
}

/* An order that somebody claims is easily verified: it respects time, and every answer fits. */
static bool
is_claim_right(const struct history_op *ops, uint32_t count, const struct linear_model *model)
{
	struct history_op *order = malloc((count + 1) * sizeof(*order));
	struct linear_state state = model->first, next;
	uint64_t invoked_max = 0;
	bool is_right = true;

	decree_assert(order != NULL);
	memcpy(order, ops, count * sizeof(*order));
	qsort(order, count, sizeof(*order), compare_by_claim);
	for (uint32_t i = 0; i < count && is_right; i++) {
		const struct history_op *op = &order[i];
		if (op->order == 0) {
			is_right = op->returned == HISTORY_NEVER;
			continue;
		}
		if (invoked_max < op->invoked)
			invoked_max = op->invoked;
		is_right = op->returned > invoked_max && model->step(&state, op, &next);
		state = next;
	}
	free(order);
	return is_right;
}

static int
compare_by_key(const void *a, const void *b)
{
	const struct history_op *x = a, *y = b;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return x->invoked < y->invoked ? -1 : x->invoked > y->invoked;
}

static enum linear_verdict
check_key(struct history_op *ops, uint32_t count, const struct linear_model *model,
	uint32_t config_count_max, FILE *explain, struct linear_result *r)
{
	uint64_t configurations = 0;

	if (is_claim_right(ops, count, model)) {
		r->claims_proved++;
		return LINEAR_OK;
	}
	enum linear_verdict verdict =
		linear_search(ops, count, model, config_count_max, &configurations);
	r->configurations += configurations;
	if (verdict != LINEAR_OK)
		r->key = ops[0].key;
	if (verdict == LINEAR_VIOLATION && explain != NULL)
		(void)linear_explain(ops, count, model, explain); /* nobody needs them any more */
	else if (verdict == LINEAR_UNDECIDED && explain != NULL)
		fprintf(explain, "key %lu (%s): undecided after %lu configurations\n", ops[0].key,
			model->name, configurations);
	return verdict;
}

enum linear_verdict
linear_check(const struct history *h, const struct linear_model *model, uint32_t config_count_max,
	FILE *explain, struct linear_result *ret_result)
{
	struct history_op *ops = malloc((h->count + 1) * sizeof(*ops));
	enum linear_verdict verdict = LINEAR_OK;
	struct linear_result r = { 0 };
	uint32_t count = 0;

	decree_assert(ops != NULL);
	for (uint32_t i = 0; i < h->count; i++)
		if (!h->ops[i].is_void)
			ops[count++] = h->ops[i];
	qsort(ops, count, sizeof(*ops), compare_by_key);
	for (uint32_t first = 0, after; first < count && verdict == LINEAR_OK; first = after) {
		for (after = first; after < count && ops[after].key == ops[first].key;)
			after++;
		verdict =
			check_key(&ops[first], after - first, model, config_count_max, explain, &r);
	}
	free(ops);
	if (ret_result != NULL)
		*ret_result = r;
	return verdict;
}
