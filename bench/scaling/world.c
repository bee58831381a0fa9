/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time. First each shard elects the leader that it is to have and settles down, with a network and
 * a disk that take no time; then all of them run on one clock.
 */
#include "bench/scaling/world.h"
#include "engine/core/replica.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define ROUND_NS      (20 * US)
#define ROUNDS_MAX    1000000
#define SETTLE_ROUNDS 2000
#define REST_NS       (1 * US) /* a turn that had nothing to do is not repeated at once */
#define BEGIN_NS      (1000 * MS)
#define WARM_UP       4 /* a part of so many goes before what is measured */
#define SILENCE_NS    (60000 * MS)

void
die(const char *format, ...)
{
	va_list args;

	(void)fprintf(stderr, "scaling: ");
	va_start(args, format);
	(void)vfprintf(stderr, format, args);
	va_end(args);
	(void)fprintf(stderr, "\n");
	exit(1);
}

/* splitmix64 */
uint64_t
draw(uint64_t *stream, uint64_t bound)
{
	uint64_t z = *stream += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	z ^= z >> 31;
	return bound == 0 ? 0 : z % bound;
}

void *
take(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		die("no memory");
	return memory;
}

uint64_t
member_clock(const struct world *w, const struct member *m)
{
	return w->now_ns - m->behind_ns;
}

/* ---- what happens when: a heap by time, then by the order in which it was planned ---- */

static bool
is_before(const struct event *a, const struct event *b)
{
	return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->number < b->number;
}

static void
grow(struct world *w)
{
	w->event_capacity = w->event_capacity == 0 ? 4096 : 2 * w->event_capacity;
	w->events = realloc(w->events, w->event_capacity * sizeof(*w->events));
	if (w->events == NULL)
		die("no memory");
}

void
world_at(struct world *w, uint64_t at_ns, enum event_kind kind, void *of)
{
	struct event e = { at_ns, w->event_number++, kind, of };
	uint64_t i = w->event_count++;

	if (w->event_count > w->event_capacity)
		grow(w);
	for (; i > 0 && is_before(&e, &w->events[(i - 1) / 2]); i = (i - 1) / 2)
		w->events[i] = w->events[(i - 1) / 2];
	w->events[i] = e;
}

static struct event
pop(struct world *w)
{
	struct event first = w->events[0], last = w->events[--w->event_count];
	uint64_t i = 0, child;

	while ((child = 2 * i + 1) < w->event_count) {
		if (child + 1 < w->event_count &&
			is_before(&w->events[child + 1], &w->events[child]))
			child++;
		if (!is_before(&w->events[child], &last))
			break;
		w->events[i] = w->events[child];
		i = child;
	}
	w->events[i] = last;
	return first;
}

/* ---- turns ---- */

static uint64_t
min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t
next_turn_ns(const struct world *w, const struct member *m)
{
	uint64_t wake_ns = shard_wake_at(m->shard);
	uint64_t at_ns = m->inbox != NULL ? w->now_ns : log_disk_next_ns(&m->disk);
	const struct group *g = &w->groups[m->group];

	wake_ns = wake_ns == UINT64_MAX ? wake_ns : wake_ns + m->behind_ns;
	if (m->has_rested && wake_ns < w->now_ns + REST_NS)
		wake_ns = w->now_ns + REST_NS;
	at_ns = min_u64(at_ns, wake_ns);
	if (m == g->leader && (g->has_news || (!m->has_rested && g->pushed > g->done)))
		at_ns = w->now_ns;
	return at_ns < w->now_ns ? w->now_ns : at_ns;
}

/* Something has changed for it: when is its next turn? */
static void
plan_turn(struct world *w, struct member *m)
{
	uint64_t at_ns;

	if (m->is_busy || w->is_settling)
		return;
	at_ns = next_turn_ns(w, m);
	if (at_ns >= m->planned_ns)
		return;
	m->planned_ns = at_ns;
	world_at(w, at_ns, EVENT_TURN, m);
}

static bool
turn(struct world *w, struct member *m)
{
	char text[DECREE_ERROR_BYTES];
	bool did_work;

	m->work = (struct work){ 0 };
	did_work = shard_turn(m->shard, member_clock(w, m));
	if (shard_stop_reason(m->shard, text) != SHARD_RUNS)
		die("shard %u of node %u has stopped: %s", m->group, m->node + 1, text);
	return did_work;
}

/* It looked at what it waits for, as a loop that polls does all the time. */
static bool
is_nothing(const struct work *work)
{
	return work->frames == 0 && work->appended == 0 && work->executed == 0 && work->writes == 0;
}

uint64_t *
find_core(struct host *host)
{
	uint64_t *best = &host->core_free_ns[0];

	if (host->core_count == 0)
		return NULL;
	for (uint32_t i = 1; i < host->core_count; i++)
		if (host->core_free_ns[i] < *best)
			best = &host->core_free_ns[i];
	return best;
}

static void
on_turn(struct world *w, struct member *m, uint64_t at_ns)
{
	struct group *g = &w->groups[m->group];
	uint64_t *core = find_core(m->host);
	uint64_t work_ns, write_ns;

	if (m->is_busy || at_ns != m->planned_ns)
		return; /* it was planned anew meanwhile */
	if (core != NULL && *core > w->now_ns) {
		m->planned_ns = *core;
		world_at(w, *core, EVENT_TURN, m);
		return;
	}
	m->planned_ns = UINT64_MAX;
	if (m == g->leader)
		g->has_news = false;
	m->has_rested = !turn(w, m) || is_nothing(&m->work);
	m->is_busy = true;
	work_ns = cost_ns(w, m, &m->work);
	write_ns = w->s.is_memory ? 0 : m->work.writes * w->s.write_ns;
	if (w->is_measured)
		m->busy_ns += m->has_rested ? 0 : work_ns + write_ns;
	if (core != NULL)
		*core = w->now_ns + work_ns + write_ns;
	wire_plan(w, m);
	world_at(w, w->now_ns + work_ns, EVENT_WRITE, m);
	world_at(w, w->now_ns + work_ns + write_ns, EVENT_END, m);
	if (m == g->leader)
		load_expect(w, g);
}

static void
on_load(struct world *w, struct group *g)
{
	g->is_expected = false;
	g->has_news = true;
	plan_turn(w, g->leader);
}

static void
carry_out(struct world *w, const struct event *e)
{
	switch (e->kind) {
	case EVENT_TURN: on_turn(w, e->of, e->at_ns); break;
	case EVENT_DEPART: wire_depart(w, e->of); break;
	case EVENT_WRITE: log_disk_hand_over(w, &((struct member *)e->of)->disk); break;
	case EVENT_END:
		((struct member *)e->of)->is_busy = false;
		plan_turn(w, e->of);
		break;
	case EVENT_FRAME: world_at(w, wire_arrive(w, e->of), EVENT_INBOX, e->of); break;
	case EVENT_INBOX:
		wire_deliver(e->of);
		plan_turn(w, ((struct frame *)e->of)->to);
		break;
	case EVENT_LOAD: on_load(w, e->of); break;
	}
}

/* ---- before time begins ---- */

static void
settle_round(struct world *w, struct group *g)
{
	for (uint32_t i = 0; i < w->s.node_count; i++) {
		struct member *m = g->members[i];

		(void)turn(w, m);
		wire_plan(w, m);
		log_disk_hand_over(w, &m->disk);
	}
	w->now_ns += ROUND_NS;
}

static struct member *
find_leader(const struct world *w, const struct group *g)
{
	for (uint32_t i = 0; i < w->s.node_count; i++)
		if (member_leads(g->members[i]))
			return g->members[i];
	return NULL;
}

/* Whom they elect is chance; on which host that one is, is not. */
static void
settle_places(struct world *w, struct group *g)
{
	uint32_t wanted = w->s.is_one_leader ? 0 : g->leader->group % w->s.node_count;
	uint32_t nodes = w->s.node_count;

	for (uint32_t i = 0; i < nodes; i++) {
		struct member *m = g->members[i];

		m->place = (i + nodes + wanted - g->leader->node) % nodes;
		m->host = &w->hosts[w->s.is_one_host ? 0 : m->place];
	}
}

static bool
is_prepared(const struct world *w, const struct group *g)
{
	for (uint32_t i = 0; i < w->s.node_count; i++) {
		struct wal_status log;

		wal_status(g->members[i]->wal, &log);
		if (log.prewritten_bytes < log.log_bytes)
			return false;
	}
	return true;
}

static void
settle_group(struct world *w, struct group *g)
{
	uint64_t rounds = 0;

	for (uint32_t i = 0; i < w->s.node_count; i++)
		g->members[i]->behind_ns = w->now_ns - BEGIN_NS;
	while ((g->leader = find_leader(w, g)) == NULL) {
		if (++rounds > ROUNDS_MAX)
			die("nobody leads");
		settle_round(w, g);
	}
	settle_places(w, g);
	load_open(w, g);
	for (rounds = 0; rounds < SETTLE_ROUNDS || !is_prepared(w, g); rounds++) {
		if (rounds > ROUNDS_MAX)
			die("a log is not prepared");
		settle_round(w, g);
	}
	if (!member_leads(g->leader))
		die("the leader changed");
}

void
world_settle(struct world *w)
{
	uint64_t spent_ns[SHARD_COUNT_MAX];

	w->is_settling = true;
	for (uint32_t i = 0; i < w->s.shard_count; i++) {
		uint64_t before_ns = w->now_ns;

		settle_group(w, &w->groups[i]);
		spent_ns[i] = w->now_ns - before_ns;
	}
	/* They settled one after the other; their clocks go on where each was. */
	for (uint32_t i = 0; i < w->s.shard_count; i++)
		for (uint32_t k = 0; k < w->s.node_count; k++) {
			struct member *m = w->groups[i].members[k];

			for (uint32_t later = i + 1; later < w->s.shard_count; later++)
				m->behind_ns += spent_ns[later];
		}
	w->is_settling = false;
}

/* ---- the run ---- */

static struct totals
totals_of(const struct world *w)
{
	struct totals t = { .at_ns = w->now_ns, .done = w->done };

	for (uint32_t i = 0; i < w->s.shard_count; i++)
		t.retransmits += shard_replica(w->groups[i].leader->shard, 0)->counters.retransmits;
	return t;
}

static void
begin_measuring(struct world *w)
{
	for (uint32_t i = 0; i < w->host_count; i++) {
		struct nic *nic = &w->hosts[i].nic;

		nic->bytes_out = nic->bytes_in = nic->frames_out = nic->frames_in = 0;
	}
	w->begin = totals_of(w);
	w->is_measured = true;
}

static void
run_until(struct world *w, uint64_t done)
{
	uint64_t silent_since_ns = w->now_ns, before = w->done, told = w->done;

	while (w->done < done) {
		struct event e = pop(w);

		w->now_ns = e.at_ns;
		carry_out(w, &e);
		if (w->done != before) {
			before = w->done;
			silent_since_ns = w->now_ns;
		}
		if (w->now_ns - silent_since_ns > SILENCE_NS)
			die("commands do not get done");
		if (w->done - told > 500000) {
			told = w->done;
			(void)fprintf(stderr, "scaling: %lu commands, %.3f ms\n", w->done,
				(double)(w->now_ns) / 1e6);
		}
	}
}

void
world_run(struct world *w)
{
	uint64_t commands = w->s.commands * w->s.shard_count;

	for (uint32_t i = 0; i < w->s.shard_count; i++) {
		load_begin(w, &w->groups[i]);
		for (uint32_t k = 0; k < w->s.node_count; k++)
			plan_turn(w, w->groups[i].members[k]);
	}
	run_until(w, w->done + commands / WARM_UP + 1);
	begin_measuring(w);
	run_until(w, w->done + commands);
	w->end = totals_of(w);
	w->is_measured = false;
}
