/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long the stages of a commit take. A mark is made when a step's records are appended, and one
 * for each slot that a leader appends; what becomes of them is looked up when the log or the quorum
 * has them. The rings are smaller than what may be on its way: what does not fit is not measured,
 * and a mark that was written over is not mistaken for another.
 */
#include "engine/runtime/shard_private.h"
#include "engine/runtime/stages.h"

/* ------------------------------------------------------------------------------ a turn */

void
stages_on_turn(struct shard *s)
{
	struct stage_turn *t = &s->stage_turn;

	if (s->config.stages == NULL)
		return;
	t->before_ns = t->begun_ns;
	t->begun_ns = s->config.stamp_ns();
	t->apart_ns = t->appended_ns = t->decided_ns = 0;
}

uint64_t
stages_on_receive(struct shard *s)
{
	return s->config.stages == NULL ? 0 : s->config.stamp_ns();
}

void
stages_on_received(struct shard *s, uint64_t from_ns)
{
	uint64_t now_ns;

	if (s->config.stages == NULL)
		return;
	now_ns = s->config.stamp_ns();
	s->stage_turn.apart_ns += now_ns - from_ns;
	stage_note(&s->config.stages->decode, from_ns, now_ns);
}

void
stages_on_told(struct shard *s)
{
	if (s->stage_turn.decided_ns == 0)
		return;
	stage_note(&s->config.stages->tx, s->stage_turn.decided_ns, s->config.stamp_ns());
	s->stage_turn.decided_ns = 0;
}

void
stages_on_submitted(struct shard *s)
{
	const struct stage_turn *t = &s->stage_turn;

	if (t->appended_ns == 0)
		return;
	stage_note(&s->config.stages->rx, t->before_ns, t->begun_ns);
	stage_note(&s->config.stages->step, 0, t->step_ns);
	stage_note(&s->config.stages->submit, t->appended_ns + t->apart_ns - t->submit_apart_ns,
		s->config.stamp_ns());
}

static void
turn_on_append(struct stage_turn *t, uint64_t now_ns)
{
	t->appended_ns = now_ns;
	t->submit_apart_ns = t->apart_ns;
	t->step_ns = now_ns - t->begun_ns - t->apart_ns;
}

/* ---------------------------------------------------------------------------- records and slots */

void
stages_on_append(
	struct shard *s, struct shard_group *g, const struct eng_persist *run, uint32_t count)
{
	struct stage_marks *marks = &g->stages;
	uint64_t now_ns;

	if (s->config.stages == NULL)
		return;
	now_ns = s->config.stamp_ns();
	turn_on_append(&s->stage_turn, now_ns);
	if (marks->run_after - marks->run_first < STAGE_RUN_COUNT) {
		uint64_t at = marks->run_after++ % STAGE_RUN_COUNT;

		marks->runs[at].seq = run[count - 1].seq;
		marks->runs[at].at_ns = now_ns;
	}
	if (g->status.role != DECREE_LEADER)
		return;
	for (uint32_t i = 0; i < count; i++) {
		uint64_t at = run[i].slot.n % STAGE_SLOT_COUNT;

		marks->slots[at].slot = run[i].slot;
		marks->slots[at].at_ns = now_ns;
	}
}

/* A slot that an earlier leadership appended is proposed again by this one, or was by another node
 * in between: how long it took says nothing of a stage. */
void
stages_on_role(struct shard_group *g)
{
	memset(g->stages.slots, 0, sizeof(g->stages.slots)); /* there is no slot 0 */
}

void
stages_on_durable(struct shard *s, struct shard_group *g)
{
	struct stage_marks *marks = &g->stages;
	uint64_t now_ns;

	if (s->config.stages == NULL)
		return;
	now_ns = s->config.stamp_ns();
	if (g->status.role != DECREE_LEADER)
		s->stage_turn.decided_ns = now_ns; /* the vote is to be told */
	for (; marks->run_first < marks->run_after; marks->run_first++) {
		uint64_t at = marks->run_first % STAGE_RUN_COUNT;

		if (marks->runs[at].seq > g->persists.durable)
			return;
		stage_note(&s->config.stages->durable, marks->runs[at].at_ns, now_ns);
	}
}

uint64_t
stages_on_chosen(
	struct shard *s, struct shard_group *g, struct decree_slot first, struct decree_slot after)
{
	const struct stage_marks *marks = &g->stages;
	uint64_t now_ns;

	if (s->config.stages == NULL)
		return 0;
	now_ns = s->config.stamp_ns();
	if (g->status.role != DECREE_LEADER)
		return now_ns;
	for (uint64_t slot = first.n; slot < after.n; slot++)
		if (marks->slots[slot % STAGE_SLOT_COUNT].slot.n == slot)
			stage_note(&s->config.stages->chosen,
				marks->slots[slot % STAGE_SLOT_COUNT].at_ns, now_ns);
	return now_ns;
}

void
stages_on_applied(struct shard *s, const struct shard_group *g, uint64_t chosen_ns)
{
	uint64_t now_ns;

	if (s->config.stages == NULL)
		return;
	now_ns = s->config.stamp_ns();
	s->stage_turn.apart_ns += now_ns - chosen_ns;
	if (g->status.role == DECREE_LEADER)
		s->stage_turn.decided_ns = now_ns; /* the answers are to be told */
	stage_note(&s->config.stages->apply, chosen_ns, now_ns);
}
