/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/client/log_reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct log_range *
range_at(struct log_reader *r, uint32_t index)
{
	return &r->ranges[(r->head + index) % LOG_READER_RANGE_COUNT];
}

void
log_reader_init(
	struct log_reader *r, uint16_t group, uint64_t first, uint64_t seed, uint64_t now_ns)
{
	*r = (struct log_reader){ .group = group,
		.next = first,
		.applied = UINT64_MAX,
		.token = seed,
		.heard_ns = now_ns };
}

void
log_reader_fini(struct log_reader *r)
{
	for (uint32_t i = 0; i < LOG_READER_RANGE_COUNT; i++)
		free(r->ranges[i].entries);
	*r = (struct log_reader){ 0 };
}

/* The first range alone until the node has said how far it goes. */
static bool
may_open_range(const struct log_reader *r)
{
	if (r->applied == UINT64_MAX)
		return r->ranges[r->head].first == 0;
	return r->next <= r->applied;
}

static void
open_ranges(struct log_reader *r)
{
	for (uint32_t i = 0; i < LOG_READER_RANGE_COUNT && may_open_range(r); i++) {
		struct log_range *range = range_at(r, i);

		if (range->first != 0)
			continue;
		range->first = r->next;
		range->next = r->next;
		range->next_index = 0;
		range->after = r->next + LOG_READER_RANGE_SLOTS;
		range->token = 0;
		range->repeat_at_ns = 0;
		range->is_complete = false;
		range->entry_count = 0;
		r->next = range->after;
	}
}

bool
log_reader_request(struct log_reader *r, uint64_t now_ns, struct client_msg *ret_request)
{
	open_ranges(r);
	for (uint32_t i = 0; i < LOG_READER_RANGE_COUNT; i++) {
		struct log_range *range = range_at(r, i);

		if (range->first == 0 || range->is_complete || now_ns < range->repeat_at_ns)
			continue;
		range->token = ++r->token;
		range->repeat_at_ns = now_ns + LOG_READER_REPEAT_NS;
		*ret_request = (struct client_msg){
			.type = CLIENT_MSG_LOG_REQUEST,
			.group = r->group,
			.log_request = {
				.token = range->token,
				.first = { range->next },
				.first_index = range->next_index,
				.slot_count = (uint32_t)(range->after - range->next),
			},
		};
		return true;
	}
	return false;
}

static int
range_reserve(struct log_range *range, uint32_t count)
{
	uint32_t capacity = range->entry_capacity != 0 ? range->entry_capacity : 256;
	struct decree_log_entry *entries;

	while (capacity < range->entry_count + count)
		capacity *= 2;
	if (capacity == range->entry_capacity)
		return 0;
	entries = realloc(range->entries, capacity * sizeof(entries[0]));
	if (entries == NULL)
		return -ENOMEM;
	range->entries = entries;
	range->entry_capacity = capacity;
	return 0;
}

/* A reply must go on exactly where the question began, and never backwards. */
static bool
is_plausible(const struct log_range *range, const struct client_msg *m)
{
	struct decree_log_entry entry;
	uint64_t slot = range->next;
	uint64_t end = m->log_reply.next.n;
	uint32_t cursor = 0;

	if (end < range->next || end > range->after ||
		(end == range->next && m->log_reply.next_index < range->next_index))
		return false;
	while (client_log_entry_next(m, &cursor, &entry)) {
		if (entry.slot.n < slot || entry.slot.n > end || entry.slot.n >= range->after)
			return false;
		slot = entry.slot.n;
	}
	return true;
}

static void
range_receive(struct log_reader *r, struct log_range *range, const struct client_msg *m)
{
	uint32_t cursor = 0;

	if (!is_plausible(range, m))
		return; /* asked again when the time comes */
	if (range_reserve(range, m->count) != 0) {
		r->rc = -ENOMEM;
		return;
	}
	while (client_log_entry_next(m, &cursor, &range->entries[range->entry_count]))
		range->entry_count++;
	r->applied = m->log_reply.applied.n;
	range->next = m->log_reply.next.n;
	range->next_index = m->log_reply.next_index;
	range->token = 0;
	range->repeat_at_ns = 0;
	range->is_complete = range->next >= range->after || range->next > r->applied;
}

void
log_reader_receive(struct log_reader *r, uint64_t now_ns, const struct client_msg *m)
{
	if (m->type != CLIENT_MSG_LOG_REPLY || m->group != r->group)
		return;
	for (uint32_t i = 0; i < LOG_READER_RANGE_COUNT; i++) {
		struct log_range *range = range_at(r, i);

		if (range->first != 0 && range->token != 0 && range->token == m->log_reply.token) {
			r->heard_ns = now_ns;
			range_receive(r, range, m);
			return;
		}
	}
}

/* How many entries of whole slots, from the start, fit @p count_max. @return -ENOBUFS: not even one
 * slot */
static int
whole_slots(const struct log_range *range, uint32_t count_max, uint64_t *ret_next)
{
	uint32_t count = count_max;

	*ret_next = range->next;
	if (range->entry_count <= count_max)
		return (int)range->entry_count;
	while (count > 0 && range->entries[count].slot.n == range->entries[count - 1].slot.n)
		count--;
	*ret_next = range->entries[count].slot.n;
	return count > 0 ? (int)count : -ENOBUFS;
}

/* The range ended where the node had applied no more. It may have since: go on from there. */
static void
restart_behind(struct log_reader *r, uint64_t next)
{
	for (uint32_t i = 0; i < LOG_READER_RANGE_COUNT; i++)
		r->ranges[i].first = 0;
	r->next = next;
}

int
log_reader_take(struct log_reader *r, struct decree_log_entry *ret_entries, uint32_t count_max,
	struct decree_slot *ret_next)
{
	uint32_t taken = 0;

	while (r->rc == 0 && r->ranges[r->head].first != 0 && r->ranges[r->head].is_complete) {
		struct log_range *range = &r->ranges[r->head];
		uint64_t next;
		int count = whole_slots(range, count_max - taken, &next);

		if (count < 0) {
			if (taken == 0)
				return count;
			break;
		}
		if (count > 0)
			memcpy(ret_entries + taken, range->entries,
				(size_t)count * sizeof(ret_entries[0]));
		taken += (uint32_t)count;
		range->entry_count -= (uint32_t)count;
		if (range->entry_count > 0) { /* the rest waits for the next call */
			memmove(range->entries, range->entries + count,
				range->entry_count * sizeof(range->entries[0]));
			ret_next->n = next;
			break;
		}
		ret_next->n = range->next;
		range->first = 0;
		r->head = (r->head + 1) % LOG_READER_RANGE_COUNT;
		if (range->next < range->after)
			restart_behind(r, range->next);
	}
	return r->rc != 0 ? r->rc : (int)taken;
}

bool
log_reader_is_done(const struct log_reader *r)
{
	for (uint32_t i = 0; i < LOG_READER_RANGE_COUNT; i++)
		if (r->ranges[i].first != 0)
			return false;
	return r->applied != UINT64_MAX && r->next > r->applied;
}
