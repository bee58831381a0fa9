/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A proposer for each shard, beside its leader. In a closed loop the next command follows an answer
 * at once; in an open one commands are due at random times of a fixed mean (a Poisson process), and
 * a latency begins when its command was due. Both happen at the moment of the turn at which the
 * loop comes to them.
 */
#include "bench/scaling/world.h"

#include <math.h>
#include <string.h>

static uint8_t body[COMMAND_BYTES_MAX];

/* How far the turn has come. */
static uint64_t
moment_ns(const struct world *w, const struct group *g)
{
	return w->now_ns + cost_ns(w, g->leader, &g->leader->work);
}

static void
push(struct group *g, uint64_t due_ns)
{
	g->sent_ns[++g->pushed % WINDOW_MAX] = due_ns;
}

static double
pause_ns(const struct world *w, struct group *g)
{
	double u = (double)(draw(&g->random, 1ull << 53) + 1) / (double)(1ull << 53);

	return -log(u) * 1e9 / (double)w->s.rate;
}

static void
push_due(const struct world *w, struct group *g, uint64_t now_ns)
{
	while (g->due_ns <= (double)now_ns && g->pushed - g->done < w->s.in_flight) {
		push(g, (uint64_t)g->due_ns);
		g->due_ns += pause_ns(w, g);
	}
}

static uint32_t
load_pop(void *mailbox, struct eng_body *ret_commands, uint32_t count_max)
{
	struct group *g = mailbox;
	const struct world *w = g->leader->world;
	uint32_t count = 0;

	if (w->s.rate != 0)
		push_due(w, g, moment_ns(w, g));
	for (; count < count_max && g->popped < g->pushed; count++) {
		g->popped++;
		ret_commands[count] =
			(struct eng_body){ .body = body, .bytes = w->s.command_bytes };
	}
	return count;
}

static void
load_consumed(void *mailbox, uint64_t seq)
{
	(void)mailbox, (void)seq;
}

/* The proposer keeps a core busy, where it shares them. */
static void
charge(struct world *w, struct host *host, uint32_t count)
{
	uint64_t *core = find_core(host);

	if (core == NULL)
		return;
	if (*core < w->now_ns)
		*core = w->now_ns;
	*core += count * w->s.proposer_ns;
}

static void
load_complete(void *mailbox, uint64_t first, uint32_t count, enum decree_outcome outcome,
	const struct decree_answer *answers)
{
	struct group *g = mailbox;
	struct world *w = g->leader->world;
	uint64_t now_ns = moment_ns(w, g);

	(void)answers;
	if (outcome != DECREE_APPLIED)
		die("a command was not committed");
	for (uint32_t i = 0; i < count; i++) {
		if (w->is_measured)
			histogram_add(w->latency, now_ns - g->sent_ns[(first + i) % WINDOW_MAX]);
		g->done++;
		if (w->s.rate == 0)
			push(g, now_ns);
	}
	w->done += count;
	charge(w, g->leader->host, count);
}

static const struct mailbox_ops load_ops = {
	.pop = load_pop,
	.consumed = load_consumed,
	.complete = load_complete,
};

void
load_open(const struct world *w, struct group *g)
{
	uint8_t token[DECREE_UUID_BYTES] = { 7, (uint8_t)g->leader->group };

	g->random = w->s.seed * 0x2545f4914f6cdd1dull + g->leader->group;
	g->due_ns = HUGE_VAL; /* nothing is, before time begins */
	if (shard_gateway_open(g->leader->shard, 0, token, &load_ops, g) < 0)
		die("no way in for a proposer");
}

void
load_begin(struct world *w, struct group *g)
{
	if (w->s.rate != 0)
		g->due_ns = (double)w->now_ns + pause_ns(w, g);
	else
		while (g->pushed < w->s.in_flight)
			push(g, w->now_ns);
	g->has_news = true;
	load_expect(w, g);
}

void
load_expect(struct world *w, struct group *g)
{
	if (w->s.rate == 0 || g->is_expected || g->pushed - g->done >= w->s.in_flight)
		return;
	g->is_expected = true;
	world_at(w, g->due_ns > (double)w->now_ns ? (uint64_t)g->due_ns + 1 : w->now_ns, EVENT_LOAD,
		g);
}
