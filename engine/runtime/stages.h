/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file stages.h
 * How long the stages of a commit take, as histograms that other threads may read while they grow.
 *
 * Buckets are log-linear: each power of two from 2^10 ns (1 us) to 2^34 ns (17 s) is cut into four
 * equal parts; what is shorter is in the first bucket, what is longer in the last one. So a
 * quantile is at most a fifth above the truth, and a stage takes 800 bytes.
 *
 * Threads:  one writer, the shard. Readers load relaxed: counts of one histogram may differ by what
 *           arrives while they read. Cost: a few instructions per entry, no read-modify-write.
 */
#ifndef ENGINE_RUNTIME_STAGES_H
#define ENGINE_RUNTIME_STAGES_H

#include "base/memory.h"

#include <stdatomic.h>
#include <stdint.h>

#define STAGE_OCTAVE_FIRST 10
#define STAGE_OCTAVE_AFTER 34
#define STAGE_PART_COUNT   4u
#define STAGE_BUCKET_COUNT ((STAGE_OCTAVE_AFTER - STAGE_OCTAVE_FIRST) * STAGE_PART_COUNT + 2)

struct stage_histogram {
	BASE_OWN_LINE _Atomic uint64_t sum_ns;
	_Atomic uint64_t buckets[STAGE_BUCKET_COUNT];
};
BASE_ASSERT_WHOLE_LINES(struct stage_histogram);

/* X(name): the field, and the label `stage` of the metrics.
 *
 *   rx       a turn that appended records: since the turn before, the longest that what it took up
 *            has waited here
 *   decode   a burst of frames: read from the port, authenticated, taken apart
 *   step     the same turn: without decode and apply, until its last record is in the log's buffer
 *   submit   the same turn: from there until the kernel has the write; frames leave first
 *   durable  a step's records: appended until durable
 *   chosen   a slot on its leader: appended until a quorum has it
 *   apply    a run of slots: while it is applied
 *   tx       a turn: from the last thing that was applied by a leader, or became durable at a
 *            follower, until the answers and votes are handed over
 *
 * No two of rx, decode, step, apply and tx overlap; submit is the begin of durable and of
 * chosen. */
#define STAGE_TABLE(X)                                                                             \
	X(rx)                                                                                      \
	X(decode)                                                                                  \
	X(step)                                                                                    \
	X(submit)                                                                                  \
	X(durable)                                                                                 \
	X(chosen)                                                                                  \
	X(apply)                                                                                   \
	X(tx)

struct shard_stages {
#define X(name) struct stage_histogram name;
	STAGE_TABLE(X)
#undef X
};

static inline void
stage_add(_Atomic uint64_t *counter, uint64_t add)
{
	/* Relaxed: a statistic, and this thread alone writes it. */
	uint64_t now = atomic_load_explicit(counter, memory_order_relaxed);

	atomic_store_explicit(counter, now + add, memory_order_relaxed);
}

/** The bucket of a time: its upper bound is the first that is not below it. */
static inline uint32_t
stage_bucket(uint64_t ns)
{
	uint32_t octave;

	if (ns <= 1ull << STAGE_OCTAVE_FIRST)
		return 0;
	if (ns > 1ull << STAGE_OCTAVE_AFTER)
		return STAGE_BUCKET_COUNT - 1;
	ns--; /* bounds belong to the bucket below them */
	octave = 63 - (uint32_t)__builtin_clzll(ns);
	return 1 + (octave - STAGE_OCTAVE_FIRST) * STAGE_PART_COUNT +
	       (uint32_t)(ns >> (octave - 2) & (STAGE_PART_COUNT - 1));
}

/** @return the largest time in that bucket; UINT64_MAX for the last one */
static inline uint64_t
stage_bound_ns(uint32_t bucket)
{
	uint32_t octave = STAGE_OCTAVE_FIRST + (bucket - 1) / STAGE_PART_COUNT;
	uint64_t part = (bucket - 1) % STAGE_PART_COUNT + 1;

	if (bucket == 0)
		return 1ull << STAGE_OCTAVE_FIRST;
	if (bucket == STAGE_BUCKET_COUNT - 1)
		return UINT64_MAX;
	return (1ull << octave) + (part << (octave - 2));
}

/** Writer. A time that ran backwards counts as none. */
static inline void
stage_note(struct stage_histogram *h, uint64_t from_ns, uint64_t to_ns)
{
	uint64_t ns = to_ns > from_ns ? to_ns - from_ns : 0;

	stage_add(&h->buckets[stage_bucket(ns)], 1);
	stage_add(&h->sum_ns, ns);
}

/** @param labels  stage="..." of one that there is */
const struct stage_histogram *
stage_of_labels(const struct shard_stages *stages, const char *labels);

/** How many were counted. Any thread. */
uint64_t stage_count(const struct stage_histogram *h);

/** Add up what is there. @param ret_buckets  [STAGE_BUCKET_COUNT] @return their sum. Any thread. */
uint64_t stage_read(const struct stage_histogram *h, uint64_t *ret_buckets);

/** Of counts in buckets. @param per_mille  0 .. 1000 @return an upper bound; 0: nothing was counted */
uint64_t stage_quantile_ns(const uint64_t *buckets, uint32_t per_mille);

#endif
