/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which configuration governs which slot, as far as the votes tell it (protocol 12.1 - 12.3).
 *
 * The oracle reads every configuration that anybody proposes, and knows by the votes which of them
 * are chosen, so it finds out by itself who may vote in which slot. It is never behind the nodes:
 * what a node calls decided, a quorum was seen to vote for before.
 */
#include "tests/sim/sim.h"

void
governors_reset(struct sim *sim)
{
	struct sim_governors *g = &sim->oracle.governors;

	g->prefix = 0;
	g->count = g->proposed_count = 0;
	eng_configs_init(&g->configs);
	g->list[g->count++] = (struct sim_governor){
		.voters = (2u << sim->founder_count) - 2,
		.q1 = sim->q1,
		.q2 = sim->q2,
	};
}

const struct sim_governor *
governor_of(const struct sim *sim, uint64_t slot)
{
	const struct sim_governors *g = &sim->oracle.governors;
	uint32_t i = g->count - 1;

	while (g->list[i].from > slot)
		i--;
	return &g->list[i];
}

const struct eng_membership *
governors_newest(const struct sim *sim)
{
	const struct eng_configs *c = &sim->oracle.governors.configs;

	return c->next.m.epoch != 0 ? &c->next.m : &c->now.m;
}

static const struct sim_proposed_config *
proposed_find(const struct sim_governors *g, uint64_t slot, struct decree_digest digest)
{
	for (uint32_t i = g->proposed_count; i-- > 0;)
		if (g->proposed[i].slot == slot && digest_eq(g->proposed[i].digest, digest))
			return &g->proposed[i];
	return NULL;
}

/* 12.2: one change at a time. Who knows less than the oracle proposes what has been overtaken: it
 * is void. */
static void
check_one_at_a_time(struct sim *sim, uint64_t slot, uint32_t epoch)
{
	uint32_t newest = governors_newest(sim)->epoch;

	sim_check(sim, epoch <= newest + 1, "slot %lu proposes configuration %u after %u", slot,
		epoch, newest);
	sim_check(sim, epoch <= newest || sim->oracle.governors.configs.next.m.epoch == 0,
		"slot %lu proposes configuration %u before %u governs", slot, epoch, newest);
}

void
governors_on_value(struct sim *sim, uint64_t slot, struct decree_digest digest, const void *bytes,
	uint32_t count)
{
	struct sim_governors *g = &sim->oracle.governors;
	struct eng_value v;

	if (count == 0 || *(const uint8_t *)bytes != ENG_VALUE_CONFIG ||
		proposed_find(g, slot, digest) != NULL)
		return;
	int rc = eng_value_decode(bytes, count, &v);
	sim_check(sim, rc == 0, "slot %lu: a configuration that does not decode", slot);
	sim_check(sim, g->proposed_count < SIM_GOVERNOR_COUNT, "the run outgrew the oracle");
	check_one_at_a_time(sim, slot, v.membership.epoch);
	g->proposed[g->proposed_count++] =
		(struct sim_proposed_config){ slot, digest, v.membership };
}

uint32_t
governors_voters(const struct eng_membership *m)
{
	uint32_t voters = 0;

	for (uint32_t i = 0; i < m->member_count; i++)
		if (m->members[i].role == ENG_VOTER)
			voters |= 1u << m->members[i].node_id;
	return voters;
}

static void
tell(const struct sim *sim, uint64_t slot, const struct eng_membership *m)
{
	char line[200];
	int at = 0;

	if (!sim->options.trace)
		return;
	for (uint32_t i = 0; i < m->member_count && at < (int)sizeof(line) - 20; i++)
		at += snprintf(line + at, sizeof(line) - (size_t)at, " %u%s", m->members[i].node_id,
			m->members[i].role == ENG_LEARNER ? " (learner)" : "");
	sim_trace(sim, "slot %lu: configuration %u governs from slot %lu on: q1 %u, q2 %u:%s", slot,
		m->epoch, slot + sim->alpha, m->q1, m->q2, line);
}

static void
decide(struct sim *sim, uint64_t slot, const struct eng_membership *m)
{
	struct sim_governors *g = &sim->oracle.governors;

	sim_check(sim, m->epoch == 1 || m->version >= g->configs.now.m.version,
		"the cluster's version falls from %u to %u", g->configs.now.m.version, m->version);
	if (!eng_configs_decide(&g->configs, (struct decree_slot){ slot }, m) || m->epoch == 1)
		return;
	sim_check(sim, g->count < SIM_GOVERNOR_COUNT, "the run outgrew the oracle");
	g->list[g->count++] = (struct sim_governor){
		.from = slot + sim->alpha, /* 12.1, whatever the code under test makes of it */
		.voters = governors_voters(m),
		.q1 = m->q1,
		.q2 = m->q2,
	};
	tell(sim, slot, m);
}

void
governors_on_chosen(struct sim *sim)
{
	struct sim_governors *g = &sim->oracle.governors;
	const struct sim_chosen *chosen = sim->oracle.chosen;

	while (g->prefix + 1 < SIM_SLOT_MAX && chosen[g->prefix + 1].is_known) {
		uint64_t slot = ++g->prefix;
		const struct sim_proposed_config *p =
			g->proposed_count == 0 ? NULL : proposed_find(g, slot, chosen[slot].digest);
		if (p != NULL)
			decide(sim, slot, &p->m);
		(void)eng_configs_advance(&g->configs, (struct decree_slot){ slot });
	}
}
