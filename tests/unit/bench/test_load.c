/* SPDX-License-Identifier: Apache-2.0 */
/* How the load of a measurement waits. The clock is the real one: an order here has an hour left,
 * or is over. */
#include "base/clock.h"
#include "bench/commit/load.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define HOUR_NS UINT64_C(3600000000000)

struct fixture {
	struct board *board;
	struct load *load;
	struct load_pass pass;
};

static int
take(void *context, const void *body, uint32_t bytes, void *cookie)
{
	(void)context, (void)body, (void)bytes, (void)cookie;
	return 0;
}

static uint32_t
answer_nothing(void *context, struct decree_completion *ret_done, uint32_t count_max)
{
	(void)context, (void)ret_done, (void)count_max;
	return 0;
}

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->board = calloc(1, sizeof(*f->board));
	f->load = calloc(1, sizeof(*f->load));
	f->board->load = (struct plan_load){ .rate = 1000000, .in_flight = 1000, .bytes = 8 };
	f->board->from_ns = base_now_ns();
	*f->load = (struct load){
		.board = f->board,
		.target = { NULL, take, answer_nothing, NULL },
		.group_count = 1,
	};
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	free(f->board);
	free(f->load);
	free(f);
	return 0;
}

/* @return whether it is over */
static bool
turn_until(struct fixture *f, uint64_t until_ns)
{
	bool is_over;

	f->board->until_ns = until_ns;
	(void)load_turn(&f->pass, &is_over);
	return is_over;
}

/* A million commands a second: the next one is due within a microsecond. */
static void
test_what_is_due_soon_is_waited_for_awake(void **state)
{
	struct fixture *f = *state;

	load_begin(&f->pass, &f->load, 1);
	assert_false(turn_until(f, f->board->from_ns + HOUR_NS));
	assert_true(f->pass.pace.is_due_soon);
}

/* Answers that a slow disk owes come when the kernel's worker has run: a load that yields for them
 * instead of to sleep may keep it from its CPU, and they never come. */
static void
test_behind_the_end_nothing_is_due_however_many_answers_are_missing(void **state)
{
	struct fixture *f = *state;

	load_begin(&f->pass, &f->load, 1);
	assert_false(turn_until(f, f->board->from_ns + HOUR_NS));
	assert_false(turn_until(f, f->board->from_ns));
	assert_true(f->pass.pace.is_waiting);
	assert_false(f->pass.pace.is_due_soon);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_what_is_due_soon_is_waited_for_awake),
		T(test_behind_the_end_nothing_is_due_however_many_answers_are_missing),
	};

	return cmocka_run_group_tests_name("load", tests, NULL, NULL);
}
