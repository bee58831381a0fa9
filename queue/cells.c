/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The arena: one reservation, laid out as
 *
 *   by_number | by_key | cells
 *
 * The kernel gives pages as they are touched, so an empty queue is small however large its arena.
 * Cells come from what was given back first, then from what was never used. Of all cells one ninth
 * is not for objects but for images (walk.c): nodes differ in how far their walks are, and must not
 * differ in what fits. Of the others a few are kept for connections and gateways (enum purpose).
 */
#include "queue/private.h"

#include <sys/mman.h>

#define KEPT_PART          32         /* one in so many, */
#define KEPT_COUNT_MAX     (1u << 18) /* or for 131,072 connections; */
#define KEPT_GATEWAY_COUNT 64         /* of them for gateways alone */

static uint64_t
power_of_two_up_to(uint64_t n)
{
	uint64_t power = 1;

	while (power * 2 <= n)
		power *= 2;
	return power;
}

static void
set_capacity(struct queue_machine *m, uint64_t cells)
{
	uint64_t kept = cells / KEPT_PART < KEPT_COUNT_MAX ? cells / KEPT_PART : KEPT_COUNT_MAX;

	queue_assert(kept > KEPT_GATEWAY_COUNT);
	m->globals.capacity[FOR_JOBS] = cells - kept;
	m->globals.capacity[FOR_CONNECTIONS] = cells - KEPT_GATEWAY_COUNT;
	m->globals.capacity[FOR_GATEWAYS] = cells;
}

void
cells_reset(struct queue_machine *m)
{
	uint64_t cells = m->arena_bytes / (CELL_BYTES + sizeof(uint32_t) + 1);
	uint64_t numbers = power_of_two_up_to(cells);
	uint64_t keys = power_of_two_up_to(cells / 16);
	uint64_t tables_bytes = (numbers + keys) * sizeof(uint32_t);

	m->by_number = (uint32_t *)m->arena;
	m->number_mask = (uint32_t)numbers - 1;
	m->by_key = m->by_number + numbers;
	m->key_mask = (uint32_t)keys - 1;
	m->cells = m->arena + (tables_bytes + 63) / 64 * 64;
	m->cell_count = (uint32_t)((m->arena_bytes - (uint64_t)(m->cells - m->arena)) / CELL_BYTES);
	m->cell_fresh = 1;
	m->cell_free = 0;
	m->used = m->retired = 0;
	m->retired_max = m->cell_count / 9;
	set_capacity(m, m->cell_count - 1 - m->retired_max);
}

uint32_t
cell_take(struct queue_machine *m)
{
	uint32_t cell = m->cell_free;
	struct free_cell *f = cell_at(m, cell);

	if (cell == 0) {
		queue_assert(m->cell_fresh < m->cell_count);
		return m->cell_fresh++;
	}
	m->cell_free = f->next_chain;
	if (f->next != 0) {
		((struct free_cell *)cell_at(m, f->next))->next_chain = f->next_chain;
		m->cell_free = f->next;
	}
	memset(f, 0, CELL_BYTES);
	return cell;
}

void
cell_give_chain(struct queue_machine *m, uint32_t cell)
{
	if (cell == 0)
		return;
	((struct free_cell *)cell_at(m, cell))->next_chain = m->cell_free;
	m->cell_free = cell;
}

void
cell_give(struct queue_machine *m, uint32_t cell)
{
	((struct free_cell *)cell_at(m, cell))->next = 0;
	cell_give_chain(m, cell);
}
