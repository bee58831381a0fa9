/* SPDX-License-Identifier: Apache-2.0 */
/* What a shard does behind an empty turn on a shared CPU: 0 = it yields. */
#include "engine/runtime/node_private.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define US    1000ull
#define MS    1000000ull
#define NEVER UINT64_MAX

struct row {
	const char *name;
	uint64_t idle_ns, log_waits_ns, until_wake_ns;
	uint64_t pause_ns;
};

static struct row rows[] = {
	{ "there was work a moment ago", 999 * US, 0, NEVER, 0 },
	{ "a sixteenth of the time that it has been idle", 2 * MS, 0, NEVER, 125 * US },
	{ "never longer than half a millisecond", 3600000 * MS, 0, NEVER, 500 * US },
	{ "never past what is due", 8 * MS, 0, 300 * US, 300 * US },
	/* Whoever yields for ever keeps everybody else from this CPU: what is due now, and does
	 * nothing, is due for ever. */
	{ "the shortest sleep for what is due soon", 8 * MS, 0, 19 * US, 20 * US },
	{ "the shortest sleep for what is due now and does nothing", 8 * MS, 0, 0, 20 * US },
	{ "what is due now, behind work of a moment ago", 999 * US, 0, 0, 0 },
	{ "what is due now, while the log does not answer", 10 * US, 8 * MS, 0, 20 * US },
	{ "a write that has just begun is waited for awake", 10 * US, 999 * US, NEVER, 0 },
	/* The kernel's worker that ends it may wait for this CPU, and a snapshot has something to
	 * do for ever. */
	{ "a slow write is slept through, whatever there was to do", 10 * US, 2 * MS, 500 * US,
		125 * US },
};

static void
test_row(void **state)
{
	const struct row *r = *state;

	assert_int_equal(idle_pause_ns(r->idle_ns, r->log_waits_ns, r->until_wake_ns), r->pause_ns);
}

int
main(void)
{
	struct CMUnitTest tests[sizeof(rows) / sizeof(rows[0])];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		tests[i] = (struct CMUnitTest){
			.name = rows[i].name, .test_func = test_row, .initial_state = &rows[i]
		};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
