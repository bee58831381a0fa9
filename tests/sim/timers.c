/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Timers of the state machine: in some worlds a command now and then sets one, for some cluster
 * time later, if none is running. When its time has come it goes off, which changes the state:
 * before the commands of the first slot whose stamp says so, at the same slot on every node, though
 * nobody asks for anything by then.
 */
#include "engine/runtime/shard_private.h"
#include "tests/sim/sim.h"

#define SLACK_ELECTIONS                                                                            \
	8 /* the log's room, frames that were lost before the faults stopped, slow disks */

void
sim_timers_draw(struct sim *sim)
{
	static const uint32_t tenths_of_t[] = { 1, 10, 40, 200 }; /* at most */
	uint64_t *random = &sim->random_timers;

	sim->timers.one_in = 0;
	if (!sim_draw_percent(random, 40) || sim->queue->is_on)
		return;
	sim->timers.one_in = (uint32_t)sim_draw_between(random, 1, 12);
	sim->timers.after_ns_max = sim->election_ns / 10 * tenths_of_t[sim_draw(random, 4)];
	sim_trace(sim, "one of %u commands sets a timer for %.1f ms at most", sim->timers.one_in,
		(double)sim->timers.after_ns_max / 1e6);
}

static uint64_t
slot_of(const struct sim_node *n)
{
	return n->shard->groups[0].applied.n + 1;
}

void
sim_timer_state(struct decree_digest *state, const struct sim_firing *f)
{
	state->lo = (state->lo ^ f->timer_ns) * 0x9e3779b97f4a7c15ull + f->slot;
}

static void
goes_off(struct sim *sim, struct sim_node *n, bool is_idle)
{
	struct sim_oracle *o = &sim->oracle;
	struct sim_firing f = { slot_of(n), n->timer_ns, n->applied_count };

	if (n->fired_count == o->firing_count) {
		sim_check(sim, o->firing_count < SIM_FIRING_MAX, "the run outgrew the oracle");
		o->firings[o->firing_count++] = f;
		sim->count.fired++;
		sim->count.fired_idle += is_idle;
	}
	const struct sim_firing *first = &o->firings[n->fired_count++];
	sim_check(sim,
		first->slot == f.slot && first->timer_ns == f.timer_ns && first->after == f.after,
		"node %u: a timer goes off in slot %lu, and elsewhere one in slot %lu", n->id,
		f.slot, first->slot);
	sim_timer_state(&n->digest, &f);
	n->timer_ns = 0;
}

void
sim_timer_look(struct sim_node *n, bool is_idle)
{
	bool is_due = n->timer_ns != 0 && n->cluster_ns >= n->timer_ns;

	sim_check(n->sim, is_due || !is_idle, "node %u is called in slot %lu for nothing", n->id,
		slot_of(n));
	if (is_due)
		goes_off(n->sim, n, is_idle);
}

void
sim_timer_set(struct sim_node *n, const struct decree_command *c)
{
	const struct sim *sim = n->sim;

	if (sim->timers.one_in == 0 || n->timer_ns != 0)
		return;
	struct decree_digest d = base_digest(c->body, c->bytes);
	if (d.lo % sim->timers.one_in == 0)
		n->timer_ns = n->cluster_ns + 1 + d.hi % sim->timers.after_ns_max;
}

uint64_t
sim_timer_next(const struct sim_node *n)
{
	return n->timer_ns == 0 ? UINT64_MAX : n->timer_ns;
}

static bool
is_running(const struct sim *sim)
{
	uint16_t leader = sim_leader(sim);

	return leader == 0 || sim->nodes[leader].timer_ns != 0;
}

/* Nobody asks for anything, nothing is wrong, and all the same it goes off in its time; in a full
 * log there is none. */
void
sim_timers_require(struct sim *sim)
{
	uint64_t end_ns =
		sim->now_ns + sim->timers.after_ns_max + SLACK_ELECTIONS * sim->election_ns;

	if (sim->timers.one_in == 0 || sim->fills_up || liveness_needs_a_stuck_node(sim))
		return;
	while (is_running(sim)) {
		sim_check(sim, sim->now_ns < end_ns,
			"a timer does not go off although nothing is wrong any more");
		sim_run_until(sim, sim->now_ns + sim->election_ns / 50);
	}
}
