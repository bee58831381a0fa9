/* SPDX-License-Identifier: Apache-2.0 */
/* What a node is opened with, by programs older and newer than the library too: what does not fit
 * is refused by name. */
#include "tests/unit/runtime/one_node.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void
test_other_constants_than_the_formatted_ones_are_refused(void **state)
{
	struct one_node *f = *state;

	assert_int_equal(one_open(f, "cluster.session_window=2048"), -EINVAL);
	assert_non_null(strstr(f->error, "session_window"));
	assert_int_equal(one_open(f, "local.log_bytes=16M"), -EINVAL);
	assert_non_null(strstr(f->error, "formatted with log_bytes = 8M"));
	assert_int_equal(one_open(f, "local.segment_bytes=4M"), -EINVAL);
	assert_non_null(strstr(f->error, "segment_bytes = 2M"));
	assert_int_equal(one_open(f, "cluster.id=78"), -EXDEV);
	assert_int_equal(one_open(f, "local.data_dir=nowhere"), -ENOENT);
}

static void
test_a_directory_in_use_is_refused(void **state)
{
	struct one_node *f = *state;
	struct decree_node *first;

	assert_int_equal(one_open(f, NULL), 0);
	first = f->node;
	assert_int_equal(one_open(f, NULL), -EBUSY);
	f->node = first;
}

/* A program keeps running with a library that is newer than the headers it was compiled against:
 * what it does not have is 0, whatever lies behind its structure. */
static void
test_options_of_an_older_version_are_taken(void **state)
{
	struct one_node *f = *state;
	struct decree_options options = one_options(f);
	struct decree_machine_ops ops = adder_ops;

	options.struct_bytes = offsetof(struct decree_options, on_log);
	memset((char *)&options + options.struct_bytes, 0xff,
		sizeof(options) - options.struct_bytes);
	ops.struct_bytes = offsetof(struct decree_machine_ops, snapshot_begin);
	memset((char *)&ops + ops.struct_bytes, 0xff, sizeof(ops) - ops.struct_bytes);
	options.machine_ops = &ops;
	assert_int_equal(decree_open(&options, &f->node, f->error), 0);
	assert_int_equal(decree_start(f->node), 0);
}

static void
test_options_of_a_newer_version_are_taken_if_they_use_nothing_new(void **state)
{
	struct one_node *f = *state;
	struct {
		struct decree_options known;
		uint64_t added;
	} options = { one_options(f), 0 };

	options.known.struct_bytes = sizeof(options);
	assert_int_equal(decree_open(&options.known, &f->node, f->error), 0);
	one_close(f);
	options.added = 1;
	assert_int_equal(decree_open(&options.known, &f->node, f->error), -EINVAL);
	assert_non_null(strstr(f->error, "this version of decree does not know"));
}

static void
test_options_without_a_size_are_refused(void **state)
{
	struct one_node *f = *state;
	struct decree_options options = one_options(f);

	options.struct_bytes = 0;
	assert_int_equal(decree_open(&options, &f->node, f->error), -EINVAL);
	assert_non_null(strstr(f->error, "struct_bytes"));
	options.struct_bytes = SIZE_MAX;
	assert_int_equal(decree_open(&options, &f->node, f->error), -EINVAL);
	assert_non_null(strstr(f->error, "struct_bytes"));
}

static bool
read_metrics(void *context, uint64_t *ret_values)
{
	(void)context;
	ret_values[0] = 1;
	return true;
}

static void
test_a_programs_metrics_that_cannot_be_shown_are_refused(void **state)
{
	struct one_node *f = *state;
	struct decree_options options = one_options(f);
	struct decree_metric row = { "app_jobs_total", "", DECREE_COUNTER, DECREE_UNIT_NONE,
		DECREE_OF_NODE, "Jobs that were done." };

	options.metrics = &row;
	options.metric_count = 1;
	assert_int_equal(decree_open(&options, &f->node, f->error), -EINVAL);
	assert_non_null(strstr(f->error, "read_metrics"));
	options.read_metrics = read_metrics;
	row.name = "jobs done";
	assert_int_equal(decree_open(&options, &f->node, f->error), -EINVAL);
	assert_non_null(strstr(f->error, "metrics[0] jobs done: a name is made of letters"));
	row.name = "app_jobs_total";
	assert_int_equal(decree_open(&options, &f->node, f->error), 0);
	one_close(f);
}

static int
begin_hook(void *machine)
{
	(void)machine;
	return 0;
}

static void
test_half_of_the_snapshot_hooks_are_refused(void **state)
{
	struct one_node *f = *state;
	struct decree_machine_ops half = adder_ops;
	struct decree_options options = { .struct_bytes = sizeof(options),
		.config_path = "c.ini",
		.machine_ops = &half,
		.machines = (void *[]){ f } };

	half.snapshot_begin = begin_hook;
	assert_int_equal(decree_open(&options, &f->node, f->error), -EINVAL);
	assert_non_null(strstr(f->error, "all six"));
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, one_setup, one_teardown)
	const struct CMUnitTest tests[] = {
		T(test_other_constants_than_the_formatted_ones_are_refused),
		T(test_a_directory_in_use_is_refused),
		T(test_options_of_an_older_version_are_taken),
		T(test_options_of_a_newer_version_are_taken_if_they_use_nothing_new),
		T(test_options_without_a_size_are_refused),
		T(test_a_programs_metrics_that_cannot_be_shown_are_refused),
		T(test_half_of_the_snapshot_hooks_are_refused),
	};

	return cmocka_run_group_tests_name("node options", tests, NULL, NULL);
}
