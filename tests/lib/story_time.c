/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands of a story about time: clocks and timers, and how a cluster comes to rest.
 */
#include "tests/lib/story_private.h"

#define SETTLE_ROUNDS 20000

/* As cluster_settle(), but for cut links and stalled disks. */
bool
story_settle(struct story *s)
{
	struct cluster *c = s->cluster;

	for (int round = 0; round < SETTLE_ROUNDS; round++) {
		bool busy = false;
		story_drop_cut(s);
		if (c->flight_count > 0) {
			cluster_deliver(c, 0, false);
			continue;
		}
		for (uint16_t node = 1; node <= c->node_count; node++)
			if (c->nodes[node].up && !s->stalled[node] &&
				c->nodes[node].outstanding_count > 0 &&
				c->nodes[node].halted == ENG_HALT_NONE) {
				cluster_persist(c, node, UINT32_MAX);
				busy = true;
			}
		if (!busy && c->flight_count == 0)
			return true;
	}
	return false; /* the replicas never come to rest */
}

static bool
do_settle(struct story *s, const struct words *w)
{
	(void)w;
	return story_settle(s);
}

static bool
pass_time(struct story *s, uint64_t ns, bool settles)
{
	struct cluster *c = s->cluster;
	uint64_t end_ns = c->now_ns + ns;

	while (c->now_ns < end_ns) {
		uint64_t next_ns = end_ns;
		for (uint16_t node = 1; node <= c->node_count; node++)
			if (c->nodes[node].up && c->nodes[node].wake_at_ns < next_ns)
				next_ns = c->nodes[node].wake_at_ns;
		c->now_ns = c->now_ns < next_ns ? next_ns : c->now_ns + 1000;
		for (uint16_t node = 1; node <= c->node_count; node++)
			cluster_tick(c, node);
		if (settles && !story_settle(s))
			return false;
	}
	return true;
}

static bool
do_time(struct story *s, const struct words *w)
{
	return pass_time(s, story_ms_of(w->at[1]), false);
}

static bool
do_run(struct story *s, const struct words *w)
{
	return pass_time(s, story_ms_of(w->at[1]), true);
}

static bool
do_clock(struct story *s, const struct words *w)
{
	s->cluster->now_ns += story_ms_of(w->at[1]);
	return true;
}

static bool
do_tick(struct story *s, const struct words *w)
{
	uint16_t node = story_node_of(s, w->at[1]);

	if (node != 0)
		cluster_tick(s->cluster, node);
	return node != 0;
}

static bool
do_timeout(struct story *s, const struct words *w)
{
	uint16_t node = story_node_of(s, w->at[1]);

	if (node == 0 || !s->cluster->nodes[node].up)
		return false;
	if (cluster_replica(s->cluster, node)->role == DECREE_LEADER)
		cluster_tick(s->cluster, node); /* steps down, if the clock has moved far enough */
	cluster_replica(s->cluster, node)->election_ns = s->cluster->now_ns;
	s->cluster->nodes[node].wake_at_ns = 0;
	cluster_tick(s->cluster, node);
	return true;
}

static bool
do_elect(struct story *s, const struct words *w)
{
	struct cluster *c = s->cluster;
	uint16_t node = story_node_of(s, w->at[1]);

	for (int attempt = 0; node != 0 && attempt < 10; attempt++) {
		/* Long enough for everybody to have forgotten the old leader, itself included. */
		c->now_ns += 401 * MS;
		for (uint16_t other = 1; other <= c->node_count; other++)
			if (c->nodes[other].up && cluster_replica(c, other)->role == DECREE_LEADER)
				cluster_tick(c, other);
		if (!do_timeout(s, w) || !story_settle(s))
			return false;
		if (cluster_replica(c, node)->ready)
			return true;
	}
	return false;
}

const struct story_command story_time_commands[] = {
	{ "elect", 2, 2, do_elect },
	{ "timeout", 2, 2, do_timeout },
	{ "clock", 2, 2, do_clock },
	{ "tick", 2, 2, do_tick },
	{ "time", 2, 2, do_time },
	{ "run", 2, 2, do_run },
	{ "settle", 1, 1, do_settle },
	{ 0 },
};
