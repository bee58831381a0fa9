/* SPDX-License-Identifier: Apache-2.0 */
/* The table of include/decree/machine.h, and the machine's beginning and end. */
#include "queue/machine.h"

#include "queue/private.h"

#include <errno.h>
#include <sys/mman.h>

#define PAGE_BYTES 4096u

static uint64_t
struct_bytes(void)
{
	return (sizeof(struct queue_machine) + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
}

int
queue_machine_create(const struct queue_config *config, struct queue_machine **ret_m)
{
	uint64_t bytes = config->queue_bytes / PAGE_BYTES * PAGE_BYTES;
	struct queue_machine *m;

	if (bytes < QUEUE_BYTES_MIN || bytes > QUEUE_BYTES_MAX)
		return -EINVAL;
	m = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		-1, 0);
	if (m == MAP_FAILED)
		return -ENOMEM;
	m->config = *config;
	m->arena = (uint8_t *)m + struct_bytes();
	m->arena_bytes = bytes - struct_bytes();
	machine_reset(m, false);
	*ret_m = m;
	return 0;
}

void
queue_machine_destroy(struct queue_machine *m)
{
	if (m != NULL)
		(void)munmap(
			m, struct_bytes() + m->arena_bytes); /* fails for other addresses only */
}

/* What restoring an older life's state must not inherit, and what it must: the configuration and
 * the arena. */
void
machine_reset(struct queue_machine *m, bool is_bare)
{
	bool was_walking = m->walk.is_on;

	memset(m->lists, 0, sizeof(m->lists));
	m->timers = m->tubes = m->fallback = 0;
	m->producer_count = m->worker_count = m->waiting_count = 0;
	m->urgent_count = 0;
	memset(m->job_counts, 0, sizeof(m->job_counts));
	m->globals = (struct globals){ .number_next = 1, .job_next = 1, .order_next = 1 };
	m->sum = (struct decree_digest){ 0 };
	m->walk = (struct walk){ .is_on = was_walking, .has_failed = true, .epoch = m->walk.epoch };
	m->garbage = (struct list){ 0 };
	m->restoring = (struct restoring){ 0 };

	/* The kernel takes the pages back and gives zeroes: all that a table or a cell needs. */
	if (madvise(m->arena, m->arena_bytes, MADV_DONTNEED) != 0)
		memset(m->arena, 0, m->arena_bytes);
	cells_reset(m);
	if (!is_bare)
		m->fallback = tube_get(m, "default", 7);
	atomic_store_explicit(
		&m->job_room, UINT32_MAX, memory_order_relaxed); /* until it is known */
}

int64_t
queue_machine_body(
	struct queue_machine *m, uint64_t id, uint32_t offset, void *ret_part, uint32_t capacity)
{
	uint32_t job = index_find(m, KIND_JOB, id);
	const struct object *o = object_at(m, job);
	uint32_t left;

	if (job == 0)
		return -ENOENT;
	left = offset < o->payload_bytes ? o->payload_bytes - offset : 0;
	if (left > capacity)
		left = capacity;
	if (left > 0)
		payload_read(m, o, offset, ret_part, left);
	return left;
}

/* ------------------------------------------------------------------------------ the table */

static void
publish_room(struct queue_machine *m)
{
	uint64_t capacity = m->globals.capacity[FOR_JOBS];
	uint64_t room = m->used < capacity ? capacity - m->used : 0;

	atomic_store_explicit(&m->job_room, (uint32_t)room, memory_order_relaxed);
}

bool
queue_machine_had_room(const struct queue_machine *m, uint32_t body_bytes)
{
	return payload_cells(KIND_JOB, body_bytes) <=
	       atomic_load_explicit(&m->job_room, memory_order_relaxed);
}

static void
machine_apply(void *machine, const struct decree_command *commands, uint32_t count,
	uint64_t cluster_ns, struct decree_sink *sink)
{
	struct queue_machine *m = machine;

	m->sink = sink;
	due_run(m, cluster_ns);
	for (uint32_t i = 0; i < count; i++)
		execute(m, &commands[i]);
	walk_tidy(m);
	m->sink = NULL;
	publish_room(m);
	queue_assert(m->used <= m->globals.capacity[FOR_GATEWAYS]);
	queue_assert(m->retired <= m->retired_max);
}

static uint64_t
machine_next_deadline(void *machine)
{
	return due_next(machine);
}

static struct decree_digest
machine_digest(void *machine)
{
	const struct queue_machine *m = machine;
	uint64_t words[GLOBAL_WORDS];
	struct decree_digest globals;

	memcpy(words, &m->globals, sizeof(words));
	globals = digest_words(words, GLOBAL_WORDS);
	return (struct decree_digest){ m->sum.lo + globals.lo, m->sum.hi + globals.hi };
}

static int
machine_snapshot_begin(void *machine)
{
	return walk_begin(machine);
}

static int
machine_snapshot_next(void *machine, struct decree_chunk *ret_chunk)
{
	return walk_next(machine, ret_chunk);
}

static void
machine_snapshot_end(void *machine)
{
	walk_end(machine);
}

static int
machine_restore_begin(void *machine)
{
	return queue_restore_begin(machine);
}

static int
machine_restore_next(void *machine, const struct decree_chunk *chunk)
{
	return queue_restore_next(machine, chunk);
}

static int
machine_restore_end(void *machine)
{
	const struct queue_machine *m = machine;
	int rc = queue_restore_end(machine);

	if (rc == 0 && m->config.on_restored != NULL)
		m->config.on_restored(m->config.context);
	return rc;
}

static int32_t
machine_read(void *machine, const void *query, uint32_t bytes, void *ret_answer, uint32_t capacity)
{
	return queue_query_answer(machine, query, bytes, ret_answer, capacity);
}

const struct decree_machine_ops queue_machine_ops = {
	.struct_bytes = sizeof(queue_machine_ops),
	.apply = machine_apply,
	.next_deadline = machine_next_deadline,
	.digest = machine_digest,
	.snapshot_begin = machine_snapshot_begin,
	.snapshot_next = machine_snapshot_next,
	.snapshot_end = machine_snapshot_end,
	.restore_begin = machine_restore_begin,
	.restore_next = machine_restore_next,
	.restore_end = machine_restore_end,
	.read = machine_read,
};
