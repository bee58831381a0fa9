/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/machine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_BYTES  65536u
#define ANSWER_BURST 256 /* told at once */

int
bench_machine_init(struct bench_machine *m, uint64_t state_bytes)
{
	uint8_t *ballast;

	*m = (struct bench_machine){ .state_bytes = state_bytes / CHUNK_BYTES * CHUNK_BYTES };
	if (m->state_bytes == 0)
		return 0;
	ballast = malloc(BENCH_BALLAST_BYTES);
	if (ballast == NULL)
		return -ENOMEM;
	for (uint64_t i = 0; i < BENCH_BALLAST_BYTES; i++)
		ballast[i] = (uint8_t)(i * 2654435761u >> 13);
	m->ballast = ballast;
	return 0;
}

static void
apply(void *machine, const struct decree_command *commands, uint32_t count, uint64_t cluster_ns,
	struct decree_sink *sink)
{
	struct bench_machine *m = machine;
	struct decree_answer answers[ANSWER_BURST];

	(void)cluster_ns;
	for (uint32_t first = 0, n; first < count; first += n) {
		for (n = 0; n < ANSWER_BURST && first + n < count; n++) {
			m->count++;
			m->digest.lo += commands[first + n].bytes;
			answers[n] = (struct decree_answer){ .result = m->count };
		}
		decree_sink_answer_burst(sink, &commands[first], answers, n);
	}
}

static struct decree_digest
digest(void *machine)
{
	return ((const struct bench_machine *)machine)->digest;
}

static int
snapshot_begin(void *machine)
{
	struct bench_machine *m = machine;

	m->cut[0] = m->count;
	m->cut[1] = m->digest.lo;
	m->cut[2] = m->digest.hi;
	m->chunk_next = 0;
	return 0;
}

/* The counters, then the ballast, which never changes. */
static int
snapshot_next(void *machine, struct decree_chunk *ret_chunk)
{
	struct bench_machine *m = machine;
	uint64_t index = m->chunk_next;

	if (index > m->state_bytes / CHUNK_BYTES)
		return 0;
	m->chunk_next++;
	*ret_chunk =
		(struct decree_chunk){ .index = index, .bytes = m->cut, .count = sizeof(m->cut) };
	if (index > 0) {
		ret_chunk->bytes = m->ballast + (index - 1) * CHUNK_BYTES % BENCH_BALLAST_BYTES;
		ret_chunk->count = CHUNK_BYTES;
	}
	return 1;
}

static void
snapshot_end(void *machine)
{
	struct bench_machine *m = machine;

	if (m->chunk_next > m->state_bytes / CHUNK_BYTES)
		atomic_fetch_add_explicit(&m->snapshot_count, 1, memory_order_relaxed);
}

static int
restore_begin(void *machine)
{
	((struct bench_machine *)machine)->chunk_next = 0;
	return 0;
}

static int
restore_next(void *machine, const struct decree_chunk *chunk)
{
	struct bench_machine *m = machine;

	if (chunk->index != m->chunk_next++)
		return -EBADMSG;
	if (chunk->index > 0)
		return chunk->count == CHUNK_BYTES ? 0 : -EBADMSG;
	if (chunk->count != sizeof(m->cut))
		return -EBADMSG;
	memcpy(m->cut, chunk->bytes, sizeof(m->cut));
	m->count = m->cut[0];
	m->digest = (struct decree_digest){ .lo = m->cut[1], .hi = m->cut[2] };
	return 0;
}

static int
restore_end(void *machine)
{
	const struct bench_machine *m = machine;

	return m->chunk_next > m->state_bytes / CHUNK_BYTES ? 0 : -EBADMSG;
}

const struct decree_machine_ops bench_machine_ops = {
	.struct_bytes = sizeof(bench_machine_ops),
	.apply = apply,
	.digest = digest,
	.snapshot_begin = snapshot_begin,
	.snapshot_next = snapshot_next,
	.snapshot_end = snapshot_end,
	.restore_begin = restore_begin,
	.restore_next = restore_next,
	.restore_end = restore_end,
};
