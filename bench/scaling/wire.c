/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames. What net/path adds to a payload, and Ethernet to that, is counted in bytes; the work for
 * it is in the counted instructions. Switches are a part of a link's latency.
 */
#include "bench/scaling/world.h"
#include "net/path.h"

#define ETHERNET_EXTRA_BYTES 24 /* preamble 8, check sequence 4, gap 12 */
#define ETHERNET_BYTES_MIN   84 /* of the smallest frame, with these */
#define FRAMES_AT_A_TIME     256

static void
frame_give(struct world *w, struct frame *f)
{
	f->next = w->frames_free;
	w->frames_free = f;
}

static struct frame *
frame_take(struct world *w)
{
	struct frame *f = w->frames_free;

	if (f == NULL) {
		f = take(FRAMES_AT_A_TIME * sizeof(*f));
		for (uint32_t i = 0; i < FRAMES_AT_A_TIME; i++)
			frame_give(w, &f[i]);
		f = w->frames_free;
	}
	w->frames_free = f->next;
	return f;
}

static uint32_t
wire_recv(void *opaque, uint64_t now_ns, struct net_frame *ret_frames, uint32_t count_max)
{
	struct member *m = opaque;
	uint32_t count = 0;

	(void)now_ns;
	while (count < count_max && m->inbox != NULL) {
		struct frame *f = m->inbox;

		m->inbox = f->next;
		if (m->inbox == NULL)
			m->inbox_end = &m->inbox;
		ret_frames[count++] = (struct net_frame){ .payload = f->payload,
			.payload_bytes = f->payload_bytes,
			.peer = { .node_id = (uint16_t)(f->from->node + 1) },
			.version_max = 1,
			.handle = f };
	}
	m->work.frames += count;
	return count;
}

static void
wire_release(void *opaque, struct net_frame *frames, uint32_t count)
{
	struct member *m = opaque;

	for (uint32_t i = 0; i < count; i++)
		frame_give(m->world, frames[i].handle);
}

static uint32_t
wire_alloc(void *opaque, struct net_frame *ret_frames, uint32_t count)
{
	struct member *m = opaque;

	for (uint32_t i = 0; i < count; i++) {
		struct frame *f = frame_take(m->world);

		ret_frames[i] = (struct net_frame){ .payload = f->payload, .handle = f };
	}
	return count;
}

static void
wire_send(void *opaque, uint64_t now_ns, struct net_frame *frames, uint32_t count)
{
	struct member *m = opaque;
	const struct group *g = &m->world->groups[m->group];
	uint64_t after_ns;

	(void)now_ns;
	m->work.frames += count;
	after_ns = cost_ns(m->world, m, &m->work);
	for (uint32_t i = 0; i < count; i++) {
		struct frame *f = frames[i].handle;
		uint32_t bytes = PATH_HEADER_BYTES + frames[i].payload_bytes + ETHERNET_EXTRA_BYTES;

		f->after_ns = after_ns;
		f->from = m;
		f->to = g->members[frames[i].peer.node_id - 1];
		f->payload_bytes = frames[i].payload_bytes;
		f->bytes = bytes < ETHERNET_BYTES_MIN ? ETHERNET_BYTES_MIN : bytes;
		f->next = NULL;
		*m->outbox_end = f;
		m->outbox_end = &f->next;
	}
}

static void
wire_tick(void *opaque, uint64_t now_ns)
{
	(void)opaque, (void)now_ns;
}

const struct net_ops wire_ops = { wire_recv, wire_release, wire_alloc, wire_send, wire_tick };

/* ---- the way ---- */

static uint32_t
region_of(uint32_t place)
{
	return place % REGION_COUNT;
}

static uint64_t
latency_ns(const struct world *w, uint32_t from, uint32_t to)
{
	uint32_t a = region_of(from), b = region_of(to);

	if (a == b || w->s.region_ns[0] == 0)
		return w->s.one_way_ns;
	return w->s.region_ns[a + b == 1 ? 0 : a + b == 3 ? 1 : 2];
}

/* Through one direction of a NIC. @return when it is through */
static uint64_t
pass(const struct world *w, double *free_ns, uint32_t bytes)
{
	double begin = *free_ns > (double)w->now_ns ? *free_ns : (double)w->now_ns;

	*free_ns = begin + (double)bytes * 8 / (double)w->s.nic_gbit;
	return (uint64_t)*free_ns;
}

void
wire_deliver(struct frame *f)
{
	struct member *to = f->to;

	f->next = NULL;
	*to->inbox_end = f;
	to->inbox_end = &f->next;
}

static void
depart_one(struct world *w, struct frame *f)
{
	struct nic *nic = &f->from->host->nic;
	uint64_t at_ns = w->s.is_one_host ? w->now_ns : pass(w, &nic->free_out_ns, f->bytes);

	nic->bytes_out += f->bytes;
	nic->frames_out++;
	world_at(w, at_ns + latency_ns(w, f->from->place, f->to->place), EVENT_FRAME, f);
}

void
wire_depart(struct world *w, struct frame *f)
{
	while (f != NULL) {
		struct frame *next = f->next;

		if (w->is_settling)
			wire_deliver(f);
		else
			depart_one(w, f);
		f = next;
	}
}

void
wire_plan(struct world *w, struct member *m)
{
	struct frame *first = m->outbox;

	while (first != NULL) {
		struct frame *last = first, *next;

		while (last->next != NULL && last->next->after_ns == first->after_ns)
			last = last->next;
		next = last->next;
		last->next = NULL;
		if (w->is_settling)
			wire_depart(w, first);
		else
			world_at(w, w->now_ns + first->after_ns, EVENT_DEPART, first);
		first = next;
	}
	m->outbox = NULL;
	m->outbox_end = &m->outbox;
}

uint64_t
wire_arrive(struct world *w, const struct frame *f)
{
	struct nic *nic = &f->to->host->nic;

	nic->bytes_in += f->bytes;
	nic->frames_in++;
	return w->s.is_one_host ? w->now_ns : pass(w, &nic->free_in_ns, f->bytes);
}
