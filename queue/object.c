/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What tubes, gateways, connections, watches and jobs have in common: a number, a place in the list
 * of their kind in the order of numbers (which is how a snapshot walks), an entry in the index, and
 * words.
 *
 * The digest is the sum of a term for each object, so it costs two terms to change one, however
 * many there are.
 */
#include "queue/private.h"

bool
has_room(const struct queue_machine *m, enum purpose purpose, uint64_t cells)
{
	return m->used + cells <= m->globals.capacity[purpose];
}

uint32_t
object_add(struct queue_machine *m, enum kind kind, uint64_t number)
{
	uint32_t cell = cell_take(m);
	struct object *o = object_at(m, cell);
	struct list *list = &m->lists[kind];

	o->kind = (uint8_t)kind;
	o->number = number;
	o->previous = list->last;
	if (list->last != 0) {
		queue_assert(object_at(m, list->last)->number < number);
		object_at(m, list->last)->next = cell;
	} else {
		list->first = cell;
	}
	list->last = cell;
	list->count++;
	m->used++;
	index_add(m, cell);
	return cell;
}

static uint32_t
tube_words(const struct tube *t, uint64_t *w)
{
	w[2] = t->total_jobs;
	w[3] = t->cmd_delete;
	w[4] = t->cmd_pause;
	w[5] = t->pause_ns;
	w[6] = t->unpause_ns;
	w[7] = t->name_hash;
	return 8;
}

static uint32_t
gateway_words(const struct gateway *g, uint64_t *w)
{
	w[2] = g->t.timer.key;
	w[3] = g->session;
	w[4] = g->node;
	return 5;
}

static uint32_t
connection_words(const struct queue_machine *m, const struct connection *c, uint64_t *w)
{
	w[2] = object_at(m, c->gateway)->number;
	w[3] = c->id;
	w[4] = object_at(m, c->t.o.tube)->number;
	w[5] = c->wait_seq;
	w[6] = c->wait_until;
	w[7] = c->wait_order;
	return 8;
}

static uint32_t
watch_words(const struct queue_machine *m, const struct watch *v, uint64_t *w)
{
	w[2] = object_at(m, v->connection)->number;
	w[3] = object_at(m, v->o.tube)->number;
	return 4;
}

static uint64_t
both(uint32_t low, uint32_t high)
{
	return (uint64_t)high << 32 | low;
}

static uint32_t
job_words(const struct queue_machine *m, const struct job *j, uint64_t *w)
{
	w[2] = j->o.order.key;
	w[3] = j->created_ns;
	w[4] = object_at(m, j->o.tube)->number;
	w[5] = j->holder == 0 ? 0 : object_at(m, j->holder)->number;
	w[6] = both(j->pri, j->delay_s);
	w[7] = both(j->ttr_s, j->reserves);
	w[8] = both(j->timeouts, j->releases);
	w[9] = both(j->buries, j->kicks);
	w[10] = j->body_hash;
	return 11;
}

uint32_t
object_words(const struct queue_machine *m, const struct object *o, uint64_t *ret_words)
{
	ret_words[0] = both((uint32_t)o->kind | (uint32_t)o->state << 8, o->payload_bytes);
	ret_words[1] = o->number;
	switch (o->kind) {
	case KIND_TUBE: return tube_words((const struct tube *)o, ret_words);
	case KIND_GATEWAY: return gateway_words((const struct gateway *)o, ret_words);
	case KIND_CONNECTION: return connection_words(m, (const struct connection *)o, ret_words);
	case KIND_WATCH: return watch_words(m, (const struct watch *)o, ret_words);
	default: return job_words(m, (const struct job *)o, ret_words);
	}
}

uint32_t
object_word_count(enum kind kind)
{
	static const uint8_t counts[KIND_COUNT] = { 8, 5, 8, 4, 11 };

	return counts[kind];
}

static struct decree_digest
term(const struct queue_machine *m, const struct object *o)
{
	uint64_t words[OBJECT_WORDS_MAX];
	uint32_t count = object_words(m, o, words);

	return digest_words(words, count);
}

void
object_edit(struct queue_machine *m, struct object *o)
{
	struct decree_digest old = term(m, o);

	walk_note(m, o);
	m->sum.lo -= old.lo;
	m->sum.hi -= old.hi;
}

void
object_done(struct queue_machine *m, const struct object *o)
{
	struct decree_digest new = term(m, o);

	m->sum.lo += new.lo;
	m->sum.hi += new.hi;
}

void
object_remove(struct queue_machine *m, uint32_t cell)
{
	struct object *o = object_at(m, cell);
	struct list *list = &m->lists[o->kind];

	object_edit(m, o);
	m->used -= (uint32_t)payload_cells(o->kind, o->payload_bytes);
	index_remove(m, cell);
	if (o->kind != KIND_JOB &&
		o->kind != KIND_GATEWAY) /* that lost its key when it was detached */
		key_remove(m, cell);
	*(o->previous != 0 ? &object_at(m, o->previous)->next : &list->first) = o->next;
	*(o->next != 0 ? &object_at(m, o->next)->previous : &list->last) = o->previous;
	list->count--;
	if (walk_keep(m, cell))
		return;
	cell_give_chain(m, o->more);
	cell_give(m, cell);
}
