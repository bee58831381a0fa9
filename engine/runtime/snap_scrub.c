/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The snapshot that each group keeps is read again from the medium, piece after piece at a bounded
 * rate, around and around (protocol 11.8): else the next start would be the first to find out that
 * it has rotten, with the log behind it long gone. A piece that is wrong is read once more. A file
 * that stays wrong is left alone from then on; the shard asks for a new snapshot, and the damaged
 * one goes when that one is there.
 */
#include "engine/runtime/snap_private.h"

#define PAUSE_NS (1000 * 1000 * 1000ull) /* between two rounds */

static uint64_t
kept_slot(const struct snap_store *s, uint16_t group)
{
	return atomic_load_explicit(&s->kept[group], memory_order_relaxed);
}

static bool
is_due(const struct snap_store *s, uint16_t group)
{
	uint64_t slot = kept_slot(s, group);

	return slot != 0 && atomic_load_explicit(&s->damaged[group], memory_order_relaxed) != slot;
}

/* The next group with a file to read, from its beginning. @return false once all groups have been
 * seen */
static bool
begin_next(struct snap_store *s)
{
	struct snap_scrub *at = &s->scrub;

	for (; at->group < DECREE_GROUP_COUNT_MAX; at->group++)
		if (is_due(s, at->group)) {
			at->slot = kept_slot(s, at->group);
			at->index = 0;
			snap_read_close(
				s, at->group, UINT64_MAX); /* page and table are read again */
			return true;
		}
	return false;
}

/* @retval 1 that was the last piece  @retval 0 there are more */
static int
verify_next(struct snap_store *s)
{
	int rc = snap_read_verify(s, s->scrub.group, s->scrub.slot, s->scrub.index);

	if (rc < 0) {
		snap_read_close(s, s->scrub.group, UINT64_MAX);
		rc = snap_read_verify(s, s->scrub.group, s->scrub.slot, s->scrub.index);
	}
	return rc;
}

static void
group_end(struct snap_store *s)
{
	s->scrub.slot = 0;
	s->scrub.group++;
}

bool
snap_scrub_step(struct snap_store *s, uint64_t now_ns)
{
	struct snap_scrub *at = &s->scrub;
	int rc;

	if (s->config.scrub_bytes_per_second == 0 || now_ns < at->due_ns)
		return false;
	if (at->slot != kept_slot(s, at->group % DECREE_GROUP_COUNT_MAX))
		at->slot = 0; /* another one took its place */
	if (at->slot == 0 && !begin_next(s)) {
		at->group = 0;
		at->due_ns = now_ns + PAUSE_NS;
		return false;
	}
	at->due_ns = now_ns + SNAP_PIECE_BYTES * 1000000000ull / s->config.scrub_bytes_per_second;
	rc = verify_next(s);
	if (rc < 0 && rc != -ENOMEM && at->slot == kept_slot(s, at->group))
		/* Nothing else is published with it. */
		atomic_store_explicit(&s->damaged[at->group], at->slot, memory_order_relaxed);
	if (rc == 0)
		at->index++;
	else
		group_end(s);
	return true;
}
