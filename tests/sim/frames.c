/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames: a pool for the whole world, and a heap of those in flight. A frame is written in place by
 * the loop that sends it, travels, and is read in place by the loop that receives it: nothing is
 * copied but duplicates.
 */
#include "tests/sim/sim.h"

void
sim_frames_reset(struct sim *sim)
{
	sim->heap_count = 0;
	sim->frame_number = 0;
	sim->recorded_count = 0;
	sim->frame_free = 0;
	sim->frame_after = 0;
}

struct sim_frame *
sim_frame_take(struct sim *sim)
{
	struct sim_frame *f;

	if (sim->frame_free != 0) {
		f = &sim->frames[sim->frame_free - 1];
		sim->frame_free = f->next;
	} else if (sim->frame_after < SIM_FRAME_COUNT) {
		f = &sim->frames[sim->frame_after++];
	} else {
		return NULL;
	}
	f->holder = 0;
	return f;
}

void
sim_frame_give(struct sim *sim, struct sim_frame *f)
{
	f->holder = 0;
	f->next = sim->frame_free;
	sim->frame_free = (uint16_t)(f - sim->frames + 1);
}

void
sim_frames_reclaim(struct sim *sim, struct sim_node *n)
{
	for (; n->inbox_count > 0; n->inbox_count--) {
		sim_frame_give(sim, n->inbox[n->inbox_first]);
		n->inbox_first = (n->inbox_first + 1) % SIM_INBOX_COUNT;
	}
	for (uint32_t i = 0; i < sim->frame_after && n->held_count > 0; i++)
		if (sim->frames[i].holder == n->place) {
			sim_frame_give(sim, &sim->frames[i]);
			n->held_count--;
		}
	decree_assert(n->held_count == 0);
}

static bool
is_before(const struct sim_flight *a, const struct sim_flight *b)
{
	return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->number < b->number;
}

void
sim_heap_push(struct sim *sim, struct sim_frame *frame, uint64_t due_ns)
{
	struct sim_flight flight = { due_ns, sim->frame_number++, frame };
	uint32_t i = sim->heap_count++;

	decree_assert(i < SIM_FRAME_COUNT);
	for (; i > 0 && is_before(&flight, &sim->heap[(i - 1) / 2]); i = (i - 1) / 2)
		sim->heap[i] = sim->heap[(i - 1) / 2];
	sim->heap[i] = flight;
}

struct sim_frame *
sim_heap_pop(struct sim *sim)
{
	struct sim_frame *top = sim->heap[0].frame;
	struct sim_flight last = sim->heap[--sim->heap_count];
	uint32_t i = 0;

	for (;;) {
		uint32_t child = 2 * i + 1;
		if (child >= sim->heap_count)
			break;
		if (child + 1 < sim->heap_count &&
			is_before(&sim->heap[child + 1], &sim->heap[child]))
			child++;
		if (!is_before(&sim->heap[child], &last))
			break;
		sim->heap[i] = sim->heap[child];
		i = child;
	}
	if (sim->heap_count > 0)
		sim->heap[i] = last;
	return top;
}
