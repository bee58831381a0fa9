/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long the stages of a commit take. A mark is made when a step's records are appended, and one for each slot that a
 * leader appends; what becomes of them is looked up when the log or the quorum has them. The rings are smaller than
 * what may be on its way: what does not fit is not measured, and a mark that was written over is not
 * mistaken for another.
 */
#include "engine/runtime/shard_private.h"
#include "engine/runtime/stages.h"

void
stages_on_append(
	struct shard *s, struct shard_group *g, const struct eng_persist *run, uint32_t count)
{
	struct stage_marks *marks = &g->stages;
	uint64_t now_ns;

	if (s->config.stages == NULL)
		return;
	now_ns = s->config.stamp_ns();
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

/* A slot that an earlier leadership appended is proposed again by this one, or was by another node in between: how long
 * it took says nothing of a stage. */
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
stages_on_applied(struct shard *s, uint64_t chosen_ns)
{
	if (s->config.stages != NULL)
		stage_note(&s->config.stages->apply, chosen_ns, s->config.stamp_ns());
}
