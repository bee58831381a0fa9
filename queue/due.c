/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What becomes due as cluster time goes on: delayed jobs, pauses, time-outs of jobs and of
 * reserves, the end of silent gateways. Each tube, gateway and connection stands in one tree by the
 * first of its own, and they happen in the order of their times.
 *
 * When ten million jobs were put with the same delay, or a gateway dies with all its clients, many
 * are due at once, and a shard must not stand still for seconds: so many happen at one time and no
 * more, on all nodes alike, and the rest at the next.
 */
#include "queue/private.h"

#define DUE_COUNT_MAX 1024

void
timer_set(struct queue_machine *m, uint32_t cell, uint64_t due_ns)
{
	struct timed *t = cell_at(m, cell);

	if (t->timer.key == due_ns)
		return;
	if (t->timer.key != NEVER_NS)
		tree_remove(m, &m->timers, TIMER_AT, cell);
	t->timer.key = due_ns;
	if (due_ns != NEVER_NS)
		tree_insert(m, &m->timers, TIMER_AT, cell);
}

uint64_t
due_next(const struct queue_machine *m)
{
	uint32_t cell = tree_first(m, m->timers, TIMER_AT);
	uint64_t gateways = gateway_next(m);
	uint64_t first = cell == 0 ? NEVER_NS : ((const struct timed *)cell_at(m, cell))->timer.key;

	return first < gateways ? first : gateways;
}

void
due_run(struct queue_machine *m, uint64_t now_ns)
{
	if (now_ns > m->globals.now_ns) {
		gateway_forgive(m, now_ns - m->globals.now_ns);
		m->globals.due_budget = DUE_COUNT_MAX;
		m->globals.now_ns = now_ns;
	}
	while (m->globals.due_budget > 0 && due_next(m) <= m->globals.now_ns) {
		uint32_t cell = tree_first(m, m->timers, TIMER_AT);

		m->globals.due_budget--;
		switch (object_at(m, cell)->kind) {
		case KIND_TUBE: tube_due(m, cell); break;
		case KIND_GATEWAY: gateway_due(m, cell); break;
		default: connection_due(m, cell);
		}
	}
}
