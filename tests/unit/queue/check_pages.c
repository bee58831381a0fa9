/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/queue/check_pages.h"

#include "base/bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define TASK_BYTES (QUEUE_TASK_COUNT * 8)
#define HELD_BYTES (TASK_BYTES + QUEUE_HOLDER_COUNT * 8)

static int32_t
ask(struct queue_machine *machine, const struct queue_query *q, uint8_t *ret_answer)
{
	uint8_t query[DECREE_QUERY_BYTES_MAX];
	size_t bytes = queue_query_encode(q, query, sizeof(query));
	int32_t rc;

	assert_true(bytes > 0);
	rc = queue_machine_ops.read(
		machine, query, (uint32_t)bytes, ret_answer, DECREE_ANSWER_BYTES_MAX);
	assert_true(rc >= 0);
	return rc;
}

static const struct model_job *
find_job(const struct model *model, uint64_t id)
{
	for (int i = 0; i < model->job_count; i++)
		if (model->jobs[i].id == id)
			return &model->jobs[i];
	fail_msg("a job that there is not");
	return NULL;
}

static int
count_jobs(const struct model *model, const char *tube, int state)
{
	int count = 0;

	for (int i = 0; i < model->job_count; i++)
		count += model->jobs[i].state == state &&
			 (tube == NULL || strcmp(model->jobs[i].tube, tube) == 0);
	return count;
}

static const struct model_job *
check_task(const struct model *model, const uint8_t *e)
{
	const struct model_job *j = find_job(model, load_u64(e + QUEUE_TASK_ID * 8));
	uint64_t numbers[QUEUE_JOB_STAT_COUNT];

	assert_true(model_job_stats(model, j->id, numbers));
	assert_int_equal(load_u64(e + QUEUE_TASK_PRI * 8), j->pri);
	assert_int_equal(load_u64(e + QUEUE_TASK_AGE_NS * 8), numbers[QUEUE_JOB_STAT_AGE_NS]);
	assert_int_equal(load_u64(e + QUEUE_TASK_LEFT_NS * 8), numbers[QUEUE_JOB_STAT_LEFT_NS]);
	assert_int_equal(load_u64(e + QUEUE_TASK_RESERVES * 8), j->reserves);
	assert_int_equal(load_u64(e + QUEUE_TASK_RELEASES * 8), j->releases);
	assert_int_equal(load_u64(e + QUEUE_TASK_TIMEOUTS * 8), j->timeouts);
	assert_int_equal(load_u64(e + QUEUE_TASK_BODY_BYTES * 8), j->bytes);
	return j;
}

/* What the machine sorts a state by; then by id. */
static uint64_t
order_of(const struct model_job *j)
{
	return j->state == 0 ? j->pri : j->state == 2 ? j->until_ns : j->buried_order;
}

static void
check_jobs(struct queue_machine *machine, const struct model *model, const char *tube, int state)
{
	struct queue_query q = { .kind = QUEUE_JOBS,
		.offset = (uint32_t)state,
		.name = tube,
		.name_bytes = (uint32_t)strlen(tube) };
	uint8_t answer[DECREE_ANSWER_BYTES_MAX];
	const struct model_job *before = NULL;
	int count = 0;

	do {
		int32_t bytes = ask(machine, &q, answer);

		for (const uint8_t *e = answer + 16; e < answer + bytes; e += TASK_BYTES, count++) {
			const struct model_job *j = check_task(model, e);

			assert_string_equal(j->tube, tube);
			assert_int_equal(j->state, state);
			assert_true(before == NULL || order_of(before) < order_of(j) ||
				    (order_of(before) == order_of(j) && before->id < j->id));
			before = j;
		}
		q.key = load_u64(answer);
		q.id = load_u64(answer + 8);
	} while (q.id != 0);
	assert_int_equal(count, count_jobs(model, tube, state));
}

/* Whoever holds them, each once. */
static void
check_held(struct queue_machine *machine, const struct model *model)
{
	static bool is_seen[MODEL_JOB_COUNT];
	struct queue_query q = { .kind = QUEUE_HELD };
	uint8_t answer[DECREE_ANSWER_BYTES_MAX];
	int count = 0;

	memset(is_seen, 0, sizeof(is_seen));
	do {
		int32_t bytes = ask(machine, &q, answer);

		for (const uint8_t *e = answer + 32; e < answer + bytes;
			e += HELD_BYTES + 1 + e[HELD_BYTES], count++) {
			const struct model_job *j = check_task(model, e);
			const uint8_t *holder = e + TASK_BYTES;
			uint64_t numbers[QUEUE_JOB_STAT_COUNT];

			assert_false(is_seen[j - model->jobs]);
			is_seen[j - model->jobs] = true;
			assert_int_equal(j->state, 1);
			(void)model_job_stats(model, j->id, numbers);
			assert_int_equal(load_u64(holder + QUEUE_HOLDER_SESSION * 8),
				numbers[QUEUE_JOB_STAT_HOLDER_SESSION]);
			assert_int_equal(load_u64(holder + QUEUE_HOLDER_CONNECTION * 8),
				numbers[QUEUE_JOB_STAT_HOLDER]);
			assert_int_equal(e[HELD_BYTES], strlen(j->tube));
			assert_memory_equal(e + HELD_BYTES + 1, j->tube, e[HELD_BYTES]);
		}
		q.session = load_u64(answer);
		q.connection = load_u64(answer + 8);
		q.key = load_u64(answer + 16);
		q.id = load_u64(answer + 24);
	} while (q.session != 0);
	assert_int_equal(count, count_jobs(model, NULL, 1));
}

void
check_pages(struct queue_machine *machine, const struct model *model)
{
	struct queue_query q = { .kind = QUEUE_TUBES };
	uint8_t answer[DECREE_ANSWER_BYTES_MAX];
	uint64_t numbers[QUEUE_TUBE_STAT_COUNT];
	int32_t bytes;
	int at = 0;

	while ((bytes = ask(machine, &q, answer)) > 0)
		for (const uint8_t *e = answer; e < answer + bytes; at++) {
			const struct model_tube *t = &model->tubes[at];

			assert_true(at < model->tube_count);
			q.id = load_u64(e);
			assert_int_equal(q.id, t->number);
			assert_true(model_tube_stats(model, t->name, numbers));
			for (int i = 0; i < QUEUE_TUBE_STAT_COUNT; i++)
				assert_int_equal(load_u64(e + 8 + 8 * i), numbers[i]);
			e += 8 + QUEUE_TUBE_STAT_COUNT * 8;
			assert_int_equal(*e, strlen(t->name));
			assert_memory_equal(e + 1, t->name, *e);
			e += 1 + *e;
		}
	assert_int_equal(at, model->tube_count);
	for (int i = 0; i < model->tube_count; i++)
		for (int state = 0; state <= 3; state++)
			if (state != 1)
				check_jobs(machine, model, model->tubes[i].name, state);
	check_held(machine, model);
}
