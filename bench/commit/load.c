/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/commit/load.h"

#include "base/clock.h"
#include "bench/wait.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DRAIN_NS                                                                                   \
	UINT64_C(                                                                                  \
		20000000000) /* for answers, when all has been sent: disks of busy hosts stall for seconds */
#define BURST   256
#define SOON_NS UINT64_C(200000)   /* longer than a sleep of wait_a_little() lasts */
#define NAP_NS  UINT64_C(10000000) /* of a target that sleeps itself, while no command is due */

static uint8_t body[PLAN_BYTES_MAX];

void
load_die(struct board_node *node, const char *what)
{
	(void)snprintf(node->error, sizeof(node->error), "%s", what);
	/* Release: pairs with the program's acquire, which then reads the text. */
	atomic_store_explicit(&node->has_failed, true, memory_order_release);
	_exit(EXIT_FAILURE); /* not what the program has not printed yet */
}

/* ----------------------------------------------------------------------- a node of this process */

static int
propose(void *context, const void *command, uint32_t bytes, void *cookie)
{
	return decree_propose(context, command, bytes, cookie);
}

static uint32_t
poll_completions(void *context, struct decree_completion *ret_done, uint32_t count_max)
{
	return decree_poll(context, ret_done, count_max);
}

void
load_open(struct load *l, struct decree_node *node)
{
	struct decree_proposer *proposer;
	char error[DECREE_ERROR_BYTES];

	if (decree_proposer_open(node, l->group, &proposer, error) != 0)
		load_die(l->node, error);
	l->target = (struct load_target){ proposer, propose, poll_completions, NULL };
	l->own = node;
}

void
load_close(struct load *l)
{
	decree_proposer_close(l->target.context);
}

/* ------------------------------------------------------------------------------ sending */

/* The k-th command of this group: those of all groups are evenly spread. */
static uint64_t
due_ns(const struct load *l, uint64_t k)
{
	double per_command = 1e9 / l->board->load.rate;

	return l->begun_ns + (uint64_t)(per_command * (double)(k * l->group_count + l->place));
}

static bool
is_measured(const struct load *l, uint64_t at_ns)
{
	return at_ns >= l->board->from_ns && at_ns < l->board->until_ns;
}

/* @return false: not now */
static bool
send_one(struct load *l, uint64_t started_ns)
{
	uint32_t place;

	if (l->free_count == 0)
		return false;
	place = l->free[l->free_count - 1];
	l->started_ns[place] = started_ns;
	if (l->target.propose(
		    l->target.context, body, l->board->load.bytes, (void *)(uintptr_t)place) != 0)
		return false;
	l->free_count--;
	return true;
}

/* @return true if a command was sent */
static bool
send_due(struct load *l, uint64_t now)
{
	struct board_group *g = &l->board->groups[l->group];
	bool has_sent = false;

	for (;;) {
		uint64_t due = due_ns(l, l->due_count);

		if (due > now || due >= l->board->until_ns || !send_one(l, due))
			return has_sent;
		has_sent = true;
		l->due_count++;
		if (is_measured(l, due))
			histogram_add(&g->lag, base_now_ns() - due);
	}
}

static bool
send_more(struct load *l, uint64_t now)
{
	bool has_sent = false;

	if (l->board->load.rate > 0)
		return send_due(l, now);
	while (now < l->board->until_ns && send_one(l, now))
		has_sent = true;
	return has_sent;
}

/* ------------------------------------------------------------------------------ answers */

static void
note_sample(struct load *l, uint64_t started_ns, uint64_t latency_ns)
{
	struct board *b = l->board;

	if (b->sample_count == BOARD_SAMPLE_COUNT_MAX)
		return;
	b->samples[b->sample_count++] = (struct board_sample){
		.due_us = (uint32_t)((started_ns - b->from_ns) / 1000),
		.latency_us = (uint32_t)(latency_ns / 1000),
	};
}

static void
on_done(struct load *l, uint64_t started_ns, uint64_t now)
{
	struct board_group *g = &l->board->groups[l->group];
	bool is_done_inside = is_measured(l, now);

	g->done_count += is_done_inside;
	/* An open loop's commands count by when they were due: who counts answers forgets the late
	 * ones. */
	if (l->board->load.rate > 0 ? !is_measured(l, started_ns) : !is_done_inside)
		return;
	histogram_add(&g->latency, now - started_ns);
	if (l->board->are_samples_wanted)
		note_sample(l, started_ns, now - started_ns);
}

/* A node that has stopped answers nothing any more, and says why to whoever asks it. */
static void
look_at_node(const struct load *l)
{
	char error[DECREE_ERROR_BYTES];

	if (l->own != NULL && decree_health(l->own, error) != 0)
		load_die(l->node, error);
}

static uint32_t
take_answers(struct load *l)
{
	struct decree_completion done[BURST];
	uint32_t count = l->target.poll(l->target.context, done, BURST);
	uint64_t now = count > 0 ? base_now_ns() : 0;

	for (uint32_t i = 0; i < count; i++) {
		uint32_t place = (uint32_t)(uintptr_t)done[i].cookie;

		if (done[i].outcome != DECREE_APPLIED) {
			look_at_node(l);
			load_die(l->node, "a command was refused");
		}
		on_done(l, l->started_ns[place], now);
		l->free[l->free_count++] = place;
	}
	return count;
}

/* ------------------------------------------------------------------------------ an order */

static void
begin(struct load *l, uint64_t now)
{
	struct board_group *g = &l->board->groups[l->group];
	uint32_t in_flight = l->board->load.in_flight;

	memset(g, 0, sizeof(*g));
	l->begun_ns = now;
	l->due_count = 0;
	/* Shared out, so that the sum is what was asked for. */
	l->in_flight = in_flight / l->group_count + (l->place < in_flight % l->group_count);
	l->free_count = 0;
	for (uint32_t i = 0; i < l->in_flight; i++)
		l->free[l->free_count++] = i;
}

static void
end(struct load *l)
{
	struct board_group *g = &l->board->groups[l->group];

	g->unanswered_count = l->in_flight - l->free_count;
	while (l->board->load.rate > 0 && due_ns(l, l->due_count) < l->board->until_ns)
		g->unsent_count += is_measured(l, due_ns(l, l->due_count++));
}

/* Behind the end nothing is due any more: answers that are late come sooner if their disk's kernel
 * worker has this CPU. */
static bool
is_due_soon(const struct load *l, uint64_t now)
{
	return l->board->load.rate > 0 && now < l->board->until_ns &&
	       due_ns(l, l->due_count) < now + SOON_NS;
}

/* One turn. @return true if there was anything to do */
static bool
turn(struct load *const *loads, uint32_t count, struct load_pace *p)
{
	bool was_waiting = p->is_waiting, has_sent = false, has_answer = false;

	p->is_waiting = p->is_due_soon = false;
	for (uint32_t i = 0; i < count; i++) {
		has_sent |= send_more(loads[i], p->now_ns);
		has_answer |= take_answers(loads[i]) > 0;
		p->is_waiting |= loads[i]->free_count < loads[i]->in_flight;
		p->is_due_soon |= is_due_soon(loads[i], p->now_ns);
	}
	/* What is sent into a cluster that does not answer is no reason to keep everybody else from
	 * the CPU. */
	if (has_answer || (has_sent && !was_waiting))
		p->heard_ns = p->now_ns;
	return has_sent || has_answer;
}

static void
wait_for_more(struct load *const *loads, const struct load_pace *p)
{
	const struct load_target *target = &loads[0]->target;

	if (target->wait == NULL)
		wait_a_little(p->is_due_soon   ? 0
			      : !p->is_waiting ? WAIT_YIELD_NS
					       : p->now_ns - p->heard_ns);
	else if (!p->is_due_soon)
		target->wait(
			target->context, loads[0]->board->load.rate > 0 ? SOON_NS / 2 : NAP_NS);
}

void
load_begin(struct load_pass *p, struct load *const *loads, uint32_t count)
{
	*p = (struct load_pass){ .loads = loads, .count = count };
	p->pace = (struct load_pace){ .now_ns = base_now_ns(), .is_waiting = true };
	for (uint32_t i = 0; i < count; i++)
		begin(loads[i], p->pace.now_ns);
}

bool
load_turn(struct load_pass *p, bool *ret_is_over)
{
	const struct board *b = p->loads[0]->board;
	bool did_work = turn(p->loads, p->count, &p->pace);

	p->pace.now_ns = base_now_ns();
	*ret_is_over = p->pace.now_ns >= b->until_ns &&
		       (!p->pace.is_waiting || p->pace.now_ns >= b->until_ns + DRAIN_NS);
	return did_work;
}

void
load_end(struct load_pass *p)
{
	for (uint32_t i = 0; i < p->count; i++)
		end(p->loads[i]);
	if (p->pace.is_waiting)
		load_die(p->loads[0]->node, "commands had no answer within 20 s");
}

void
load_run(struct load *const *loads, uint32_t count)
{
	struct load_pass p;
	bool is_over = false;

	load_begin(&p, loads, count);
	while (!is_over)
		if (!load_turn(&p, &is_over)) {
			for (uint32_t i = 0;
				i < count && p.pace.now_ns - p.pace.heard_ns > WAIT_YIELD_NS; i++)
				look_at_node(loads[i]); /* that is long enough for a silence */
			wait_for_more(loads, &p.pace);
		}
	load_end(&p);
}
