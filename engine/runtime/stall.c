/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk that does not answer: no error, no end. The core sees to it that such a node does not lead
 * (disk_stall_ns); here the operator is told, once when it begins and once when it is over. The
 * node stays: it hears, forwards and answers status, and its votes count again with the first write
 * that completes.
 */
#include "engine/runtime/shard_private.h"

static bool
is_waiting(const struct shard *s)
{
	return s->durable_lsn < s->appended_lsn || s->durable_generation < s->meta_generation;
}

static void
tell_end(struct shard *s)
{
	s->stall.is_told = false;
	shard_note(s, NULL, NOTE_STALL_OVER, "the log's disk answers again, after %llu ms",
		(unsigned long long)((s->now_ns - s->stall.since_ns) / 1000000));
}

void
stall_look(struct shard *s)
{
	uint64_t done = s->durable_lsn + s->durable_generation; /* both only grow */

	if (done != s->stall.done || !is_waiting(s)) {
		if (s->stall.is_told)
			tell_end(s);
		s->stall.done = done;
		s->stall.since_ns = s->now_ns;
	} else if (!s->stall.is_told &&
		   s->now_ns - s->stall.since_ns > s->groups[0].config.disk_stall_ns) {
		s->stall.is_told = true;
		shard_note(s, NULL, NOTE_STALL,
			"the log's disk has not answered for %llu ms: until it does, this node "
			"does not lead and confirms nothing; look at the device",
			(unsigned long long)((s->now_ns - s->stall.since_ns) / 1000000));
	}
}

uint64_t
shard_log_waits_ns(const struct shard *s, uint64_t now_ns)
{
	return is_waiting(s) ? now_ns - s->stall.since_ns : 0;
}
