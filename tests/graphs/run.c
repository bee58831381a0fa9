/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One graph:
 *   1. all links work; a leader is there, its cluster is bootstrapped; or all nodes restart. For a
 *      while another graph may hold, so that ballots and promises are left over from it
 *   2. the links are cut to the graph, for good
 *   3. SETTLE_NS: old leaders may fall and a new one may rise, once
 *   4. QUIET_NS: nothing may move any more. Where a leader can exist, there is one, and what it is
 *      given is chosen; where none can, nothing is chosen and nobody begins a ballot
 *
 * A leader can exist if and only if some node has links both ways to a q1 quorum and a q2 quorum,
 * itself included: phase 1 and phase 2 are round trips, and only round trips count (10.3). One that
 * already leads needs the q2 quorum only.
 */
#include "tests/graphs/graphs.h"

#include "base/bytes.h"
#include "tests/lib/cluster.h"

#include <stdarg.h>

#define MS 1000000ull

#define HOP_NS (1 * MS) /* a frame's way, and a write */
#define T_NS   (200 * MS)

/* 4 T_elect and round trips, T_elect = 2 T at most: the bound of protocol 0. Then T for the old
 * leader to fall. */
#define SETTLE_NS (9 * T_NS + 100 * MS)
#define QUIET_NS  (20 * T_NS)

/* A node that hears of a decision through others only learns of it when it next asks for votes, at
 * most 2 T later; a chain of nodes takes a few of those. */
#define LEARN_NS (8 * T_NS)

#define SUBMIT_EVERY_NS T_NS

/* A ballot begun at all costs others their timers. Five nodes that duel with growing back-off are
 * done soon. */
#define PREPARE_COUNT_MAX 12

struct run {
	const struct graph_case *g;
	struct graph_result *result;
	struct cluster *cluster;
	bool is_cut_before; /* to the first graph */
	bool is_cut;        /* to the one that is tested */
	uint64_t cut_ns;
	uint64_t hop_ns;    /* frames and writes under way arrive then */
	uint64_t submit_ns; /* NEVER: no more commands */
	uint64_t submitted;
	uint64_t prepared[GRAPH_NODE_MAX + 1]; /* ballot last prepared by this node */
	uint64_t prepared_ns[GRAPH_NODE_MAX + 1];
	uint64_t prepare_ns; /* when a ballot was last begun */
	uint64_t change_ns;  /* from the cut to the first change of leader that counts */
	uint16_t leader;     /* the last one that was ready */
	uint64_t applied_max;
};

static void
fail(struct run *run, const char *format, ...)
{
	va_list arguments;

	if (run->result->why[0] != '\0')
		return; /* the first thing wrong is the one to look at */
	va_start(arguments, format);
	(void)vsnprintf(run->result->why, sizeof(run->result->why), format, arguments);
	va_end(arguments);
}

uint64_t
graph_undirected(uint32_t nodes, uint64_t pairs)
{
	uint64_t links = 0;
	uint32_t bit = 0;

	for (uint32_t a = 1; a <= nodes; a++)
		for (uint32_t b = a + 1; b <= nodes; b++, bit++)
			if (pairs >> bit & 1)
				links |= graph_link(nodes, a, b) | graph_link(nodes, b, a);
	return links;
}

/* ---- what the graph says ---- */

static bool
is_linked(const struct graph_case *g, uint32_t from, uint32_t to)
{
	return from == to || (g->links & graph_link(g->nodes, from, to)) != 0;
}

static bool
is_linked_now(const struct run *run, uint32_t from, uint32_t to)
{
	const struct graph_case *g = run->g;

	if (run->is_cut)
		return is_linked(g, from, to);
	return !run->is_cut_before || (g->links_before & graph_link(g->nodes, from, to)) != 0;
}

static uint32_t
two_way_count(const struct graph_case *g, uint32_t node)
{
	uint32_t count = 0;

	for (uint32_t other = 1; other <= g->nodes; other++)
		count += is_linked(g, node, other) && is_linked(g, other, node);
	return count;
}

static uint32_t
quorum(const struct graph_case *g, uint32_t wanted)
{
	return wanted != 0 ? wanted : g->nodes / 2 + 1;
}

static bool
can_lead(const struct graph_case *g, uint32_t node)
{
	uint32_t count = two_way_count(g, node);

	return count >= quorum(g, g->q1) && count >= quorum(g, g->q2);
}

static bool
can_stay(const struct graph_case *g)
{
	return g->leader != 0 && g->before_ns == 0 &&
	       two_way_count(g, g->leader) >= quorum(g, g->q2);
}

static bool
is_possible(const struct graph_case *g)
{
	bool possible = can_stay(g);

	for (uint32_t node = 1; node <= g->nodes; node++)
		possible |= can_lead(g, node);
	return possible;
}

/* Nodes that can ask somebody who can ask somebody ... who is @p leader, and get answers. */
static uint32_t
reachable(const struct graph_case *g, uint32_t leader)
{
	uint32_t set = 1u << leader, before = 0;

	while (set != before) {
		before = set;
		for (uint32_t a = 1; a <= g->nodes; a++)
			for (uint32_t b = 1; b <= g->nodes; b++)
				if ((before & 1u << a) && is_linked(g, a, b) && is_linked(g, b, a))
					set |= 1u << b;
	}
	return set;
}

/* ---- what the cluster does ---- */

static void
on_send(struct cluster *c, const struct eng_msg *m, uint16_t dst)
{
	struct run *run = c->context;

	if (run->g->trace && run->is_cut)
		printf("%8.1f ms  %u > %u %s %lu.%u\n", (double)(c->now_ns - run->cut_ns) / 1e6,
			m->src, dst, eng_msg_type_name(m->type), m->ballot.n >> 16,
			(unsigned)(m->ballot.n & 0xffff));
	if (m->type != ENG_MSG_PREPARE || run->prepared[m->src] == m->ballot.n)
		return;
	run->prepared[m->src] = m->ballot.n;
	run->prepared_ns[m->src] = c->now_ns;
	run->prepare_ns = c->now_ns;
	run->result->prepares++;
}

/* Two candidates that get their grants at the same moment may both win, the higher ballot for good:
 * that is one change, if it is over within T. */
static void
note_change(struct run *run)
{
	uint64_t after_ns = run->cluster->now_ns - run->cut_ns;

	if (run->result->leader_changes == 0 || after_ns > run->change_ns + T_NS) {
		run->result->leader_changes++;
		run->change_ns = after_ns;
	}
	run->result->leader_ns = after_ns;
}

static void
on_role(struct cluster *c, uint16_t node)
{
	struct run *run = c->context;
	const struct eng_replica *r = cluster_replica(c, node);

	if (run->g->trace && run->is_cut)
		printf("%8.1f ms  %u is %s, leader %u\n", (double)(c->now_ns - run->cut_ns) / 1e6,
			node,
			r->ready                   ? "ready"
			: r->role == DECREE_LEADER ? "leader"
						   : "follower",
			r->leader);
	if (!r->ready || run->leader == node)
		return;
	/* A ballot that was begun before the cut may have had its promises by then. */
	if (run->is_cut && run->prepared_ns[node] > run->cut_ns)
		note_change(run);
	run->leader = node;
}

static void
on_apply(struct cluster *c, uint16_t node, struct decree_slot slot, const uint8_t *value,
	uint32_t bytes)
{
	struct run *run = c->context;

	(void)node, (void)value, (void)bytes;
	if (run->applied_max < slot.n)
		run->applied_max = slot.n;
}

static void
on_halt(struct cluster *c, uint16_t node, enum eng_halt why)
{
	fail(c->context, "node %u halted: %s", node, eng_halt_text(why));
}

/* What was under way arrives; what that gives rise to is under way. */
static void
hop(struct run *run)
{
	struct cluster *c = run->cluster;
	uint32_t frames = c->flight_count;

	run->hop_ns = NEVER;
	for (uint16_t node = 1; node <= c->node_count; node++)
		cluster_persist(c, node, UINT32_MAX);
	while (frames-- > 0) {
		const struct cluster_frame *f = &c->flight[0];
		if (is_linked_now(run, f->src, f->dst))
			cluster_deliver(c, 0, false);
		else
			cluster_drop(c, 0);
	}
}

/* Every node that thinks it leads is given something to do. */
static void
submit(struct run *run)
{
	struct cluster *c = run->cluster;
	uint8_t token[DECREE_UUID_BYTES] = { 0 };

	for (uint16_t node = 1; node <= c->node_count; node++) {
		if (!cluster_replica(c, node)->ready)
			continue;
		store_u64(token, ++run->submitted);
		(void)cluster_submit(
			c, node, (struct decree_session){ 0 }, 0, token, sizeof(token));
	}
	run->submit_ns = c->now_ns + SUBMIT_EVERY_NS;
}

static bool
is_under_way(const struct cluster *c)
{
	bool any = c->flight_count > 0;

	for (uint16_t node = 1; node <= c->node_count; node++)
		any |= c->nodes[node].outstanding_count > 0;
	return any;
}

static void
run_until(struct run *run, uint64_t end_ns)
{
	struct cluster *c = run->cluster;

	while (c->now_ns < end_ns) {
		if (run->hop_ns == NEVER && is_under_way(c))
			run->hop_ns = c->now_ns + HOP_NS;
		uint64_t next_ns = run->hop_ns < run->submit_ns ? run->hop_ns : run->submit_ns;
		for (uint16_t node = 1; node <= c->node_count; node++)
			if (c->nodes[node].wake_at_ns < next_ns)
				next_ns = c->nodes[node].wake_at_ns;
		next_ns = next_ns < end_ns ? next_ns : end_ns;
		c->now_ns = c->now_ns < next_ns ? next_ns : c->now_ns + 1000;
		if (c->now_ns >= run->hop_ns)
			hop(run);
		for (uint16_t node = 1; node <= c->node_count; node++)
			cluster_tick(c, node);
		if (c->now_ns >= run->submit_ns)
			submit(run);
	}
}

/* ---- one graph from start to end ---- */

static void
begin(struct run *run)
{
	struct cluster *c = run->cluster;
	const struct graph_case *g = run->g;

	c->context = run;
	c->on_send = on_send;
	c->on_role = on_role;
	c->on_apply = on_apply;
	c->on_halt = on_halt;
	run->hop_ns = NEVER;
	run->submit_ns = NEVER;
	if (!cluster_elect(c, g->leader != 0 ? g->leader : 1))
		fail(run, "no leader although all links work");
	submit(run);
	run_until(run, c->now_ns + 100 * MS);
	if (g->leader == 0) {
		for (uint16_t node = 1; node <= g->nodes; node++) {
			cluster_crash(c, node);
			cluster_restart(c, node);
		}
		run->leader = 0;
	}
	run->submit_ns = c->now_ns;
	if (g->before_ns != 0) {
		run->is_cut_before = true;
		run_until(run, c->now_ns + g->before_ns);
	}
	run->is_cut = true;
	run->cut_ns = c->now_ns;
	run->result->prepares = 0;
}

/* Up to here a slot may become chosen by votes that were on their way at the cut. */
static uint64_t
last_slot(const struct run *run)
{
	uint64_t last = 0;

	for (uint16_t node = 1; node <= run->g->nodes; node++)
		if (last < cluster_replica(run->cluster, node)->last.n)
			last = cluster_replica(run->cluster, node)->last.n;
	return last;
}

static void
check_round(struct run *run)
{
	uint64_t first = 0, last = 0;

	for (uint16_t node = 1; node <= run->g->nodes; node++) {
		const struct eng_replica *r = cluster_replica(run->cluster, node);
		if (first < ballot_round(r->promised))
			first = ballot_round(r->promised);
		if (last < r->round_seen)
			last = r->round_seen;
	}
	if (last > first + PREPARE_COUNT_MAX)
		fail(run, "rounds run away: %lu are heard of, %lu is the highest promised", last,
			first);
}

static void
check_possible(struct run *run, uint64_t quiet_ns, uint16_t leader)
{
	struct cluster *c = run->cluster;
	const struct eng_replica *r = leader != 0 ? cluster_replica(c, leader) : NULL;

	if (r == NULL || !r->ready) {
		fail(run, "no leader %lu ms after the cut", (quiet_ns - run->cut_ns) / MS);
		return;
	}
	if (can_stay(run->g) && run->result->leader_changes != 0)
		fail(run, "leader %u could have stayed, %u took over", run->g->leader, leader);
	if (run->result->leader_changes > 1)
		fail(run, "%u changes of leader", run->result->leader_changes);
	if (run->prepare_ns >= quiet_ns)
		fail(run, "a ballot was begun %lu ms after the cut",
			(run->prepare_ns - run->cut_ns) / MS);
	if (r->next.n != r->chosen.n + 1 || r->chosen.n < run->applied_max)
		fail(run, "leader %u proposed up to slot %lu and has chosen %lu", leader,
			r->next.n - 1, r->chosen.n);
	uint32_t set = reachable(run->g, leader);
	for (uint16_t node = 1; node <= run->g->nodes; node++)
		if ((set & 1u << node) && cluster_replica(c, node)->chosen.n != r->chosen.n)
			fail(run, "node %u could have learned slot %lu and knows of %lu", node,
				r->chosen.n, cluster_replica(c, node)->chosen.n);
}

static void
check_impossible(struct run *run, uint64_t last_before)
{
	if (run->applied_max > last_before)
		fail(run, "slot %lu was chosen without a quorum", run->applied_max);
	/* The old leader may have tried to win a stuck member back before it fell. */
	if (run->prepare_ns > run->cut_ns + 2 * T_NS)
		fail(run, "a ballot was begun %lu ms after the cut",
			(run->prepare_ns - run->cut_ns) / MS);
	if (run->result->leader_changes != 0)
		fail(run, "node %u leads without a quorum", run->leader);
}

void
graph_run(const struct graph_case *g, struct graph_result *ret_result)
{
	struct run run = { .g = g, .result = ret_result };
	struct cluster *c = cluster_create(g->nodes, g->q1, g->q2, g->seed);

	*ret_result = (struct graph_result){ .is_possible = is_possible(g) };
	run.cluster = c;
	begin(&run);
	uint64_t last_before = last_slot(&run), quiet_ns = run.cut_ns + SETTLE_NS;
	run_until(&run, quiet_ns);
	uint64_t leader_changes = ret_result->leader_changes, submitted = run.submitted;
	uint16_t leader = run.leader;
	run_until(&run, quiet_ns + QUIET_NS - LEARN_NS);
	run.submit_ns = NEVER;
	submitted = run.submitted - submitted;
	run_until(&run, quiet_ns + QUIET_NS);
	if (ret_result->is_possible)
		check_possible(&run, quiet_ns, leader);
	else
		check_impossible(&run, last_before);
	if (ret_result->is_possible && submitted < (QUIET_NS - LEARN_NS) / SUBMIT_EVERY_NS)
		fail(&run, "the leader took only %lu commands", submitted);
	if (ret_result->leader_changes != leader_changes)
		fail(&run, "the leader changed long after the cut");
	if (ret_result->prepares > PREPARE_COUNT_MAX)
		fail(&run, "%u ballots were begun", ret_result->prepares);
	check_round(&run);
	cluster_destroy(c);
}
