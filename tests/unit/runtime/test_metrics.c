/* SPDX-License-Identifier: Apache-2.0 */
/* The table of metrics, the histograms of stages, the board, and the message that carries values to
 * clients. */
#include "base/bytes.h"
#include "engine/runtime/board.h"
#include "engine/runtime/client_msg.h"
#include "engine/runtime/metrics.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define FRAME_BYTES 1424

/* ------------------------------------------------------------------------------ the table */

static bool
ends_with(const char *text, const char *end)
{
	size_t bytes = strlen(text), end_bytes = strlen(end);

	return bytes >= end_bytes && strcmp(text + bytes - end_bytes, end) == 0;
}

/* Prometheus' rules for names; a row that breaks them breaks every dashboard later. */
static void
test_names_say_what_they_are(void **state)
{
	const struct decree_metric *m;

	(void)state;
	for (uint32_t i = 0; (m = decree_metric_at(i)) != NULL; i++) {
		assert_int_equal(strncmp(m->name, "decree_", 7), 0);
		assert_int_equal(strspn(m->name, "abcdefghijklmnopqrstuvwxyz_"), strlen(m->name));
		assert_int_equal(m->kind == DECREE_COUNTER, ends_with(m->name, "_total"));
		assert_int_equal(m->unit == DECREE_UNIT_SECONDS, ends_with(m->name, "_seconds"));
		if (m->unit == DECREE_UNIT_BYTES)
			assert_non_null(strstr(m->name, "_bytes"));
		assert_int_equal(m->help[strlen(m->help) - 1], '.');
		assert_null(strpbrk(m->help, "\\\n"));
		assert_int_equal(m->scope == DECREE_OF_PEER, i >= METRIC_COUNT);
	}
	assert_int_equal(METRIC_COUNT,
		(int)(metrics_row_of("decree_frames_dropped_total") + METRIC_DROP_COUNT));
}

/* Prometheus refuses a text in which a name has two helps or types, or a line comes a second time. */
static void
test_rows_of_one_name_are_of_one_kind_and_differ(void **state)
{
	const struct decree_metric *a, *b;

	(void)state;
	for (uint32_t i = 0; (a = decree_metric_at(i)) != NULL; i++)
		for (uint32_t k = i + 1; (b = decree_metric_at(k)) != NULL; k++) {
			if (strcmp(a->name, b->name) != 0)
				continue;
			assert_string_equal(a->help, b->help);
			assert_int_equal(a->kind, b->kind);
			assert_string_not_equal(a->labels, b->labels);
		}
}

/* ------------------------------------------------------------------------------ histograms */

static void
test_a_time_is_in_the_bucket_that_bounds_it(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < STAGE_BUCKET_COUNT - 1; i++) {
		assert_int_equal(stage_bucket(stage_bound_ns(i)), i);
		assert_int_equal(stage_bucket(stage_bound_ns(i) + 1), i + 1);
		assert_true(stage_bound_ns(i) < stage_bound_ns(i + 1));
	}
	assert_int_equal(stage_bucket(0), 0);
	assert_int_equal(stage_bucket(UINT64_MAX), STAGE_BUCKET_COUNT - 1);
}

static void
test_a_quantile_is_a_close_upper_bound(void **state)
{
	struct stage_histogram h = { 0 };
	uint64_t buckets[STAGE_BUCKET_COUNT];

	(void)state;
	assert_int_equal(stage_read(&h, buckets), 0);
	assert_int_equal(stage_quantile_ns(buckets, 500), 0);
	for (uint64_t us = 1; us <= 1000; us++)
		stage_note(&h, 5000, 5000 + us * 1000);
	assert_int_equal(stage_read(&h, buckets), 1000);
	assert_in_range(stage_quantile_ns(buckets, 500), 500000, 625000);
	assert_in_range(stage_quantile_ns(buckets, 990), 990000, 1237500);
	assert_int_equal(h.sum_ns, 500500000);
}

/* Counters of two CPUs may differ by a little: no time may look like a century. */
static void
test_a_clock_that_goes_back_counts_as_no_time(void **state)
{
	struct stage_histogram h = { 0 };
	uint64_t buckets[STAGE_BUCKET_COUNT];

	(void)state;
	stage_note(&h, 9000, 8000);
	assert_int_equal(stage_read(&h, buckets), 1);
	assert_int_equal(buckets[0], 1);
	assert_int_equal(h.sum_ns, 0);
}

/* ------------------------------------------------------------------------------ the board */

static struct board board;
static _Atomic bool is_over;

static void *
write_always(void *context)
{
	struct decree_metrics m = { .node_id = 1 };

	(void)context;
	for (uint64_t n = 1; !is_over; n++) {
		for (uint32_t i = 0; i < DECREE_METRIC_COUNT_MAX; i++)
			m.values[i] = n;
		board_write(&board, &m, n);
	}
	return NULL;
}

/* A reader sees the values of one moment, whatever the writer does meanwhile. */
static void
test_a_reader_never_sees_half_of_a_write(void **state)
{
	struct decree_metrics m;
	uint64_t written_ns, last = 0;
	pthread_t writer;

	(void)state;
	assert_false(board_read(&board, &m, &written_ns));
	assert_int_equal(pthread_create(&writer, NULL, write_always, NULL), 0);
	while (last < 20000) {
		if (!board_read(&board, &m, &written_ns))
			continue;
		assert_true(written_ns >= last);
		last = written_ns;
		for (uint32_t i = 0; i < DECREE_METRIC_COUNT_MAX; i++)
			assert_int_equal(m.values[i], written_ns);
	}
	is_over = true;
	pthread_join(writer, NULL);
}

/* ------------------------------------------------------------------------------ the message */

static struct decree_metrics
some_metrics(uint32_t peer_count)
{
	struct decree_metrics m = {
		.node_id = 3, .group = 5, .value_count = METRIC_COUNT, .peer_count = peer_count
	};

	for (uint32_t i = 0; i < METRIC_COUNT; i++)
		m.values[i] = 1000 + i;
	for (uint32_t i = 0; i < peer_count; i++) {
		m.peers[i].node_id = (uint16_t)(10 + i);
		for (uint32_t k = 0; k < METRIC_PEER_ROW_COUNT; k++)
			m.peers[i].values[k] = 100 * i + k;
	}
	return m;
}

static void
test_metrics_come_back_whole(void **state)
{
	const struct decree_metrics want = some_metrics(DECREE_NODE_COUNT_MAX - 1);
	struct decree_metrics got;
	uint8_t frame[FRAME_BYTES];
	struct client_msg m;
	uint32_t bytes = client_metrics_encode(&want, 77, frame, sizeof(frame));

	(void)state;
	assert_int_equal(client_msg_decode(frame, bytes, &m), 0);
	assert_int_equal(m.type, CLIENT_MSG_METRICS_REPLY);
	assert_int_equal(m.metrics_reply.token, 77);
	client_metrics_read(&m, &got);
	assert_memory_equal(&got, &want, sizeof(got));
}

/* The smallest MTU has no room for all: the first rows come, and nothing is made up. */
static void
test_a_small_frame_carries_what_fits(void **state)
{
	const struct decree_metrics want = some_metrics(2);
	struct decree_metrics got;
	uint8_t frame[CLIENT_MSG_FIXED_BYTES_MAX];
	struct client_msg m;
	uint32_t bytes = client_metrics_encode(&want, 1, frame, sizeof(frame));

	(void)state;
	assert_true(bytes <= sizeof(frame));
	assert_int_equal(client_msg_decode(frame, bytes, &m), 0);
	client_metrics_read(&m, &got);
	assert_int_equal(got.peer_count, 2);
	assert_int_equal(got.values[0], 1000);
	assert_int_equal(got.values[METRIC_COUNT - 1], DECREE_METRIC_ABSENT);
}

/* A node of a version with fewer rows of each kind: what it does not know is absent, which is
 * something else than 0. */
static void
test_rows_of_a_newer_version_are_absent(void **state)
{
	const struct decree_metrics want = some_metrics(1);
	struct decree_metrics got;
	uint8_t frame[FRAME_BYTES], *rows = frame + 24;
	struct client_msg m;
	uint32_t bytes = client_metrics_encode(&want, 1, frame, sizeof(frame));

	(void)state;
	/* Two rows, a reason for drops and a row of peers less, as if they had not been there. */
	store_u16(frame + 16, METRIC_ROW_COUNT - 2);
	store_u16(frame + 18, METRIC_DROP_COUNT - 1);
	store_u16(frame + 20, METRIC_PEER_ROW_COUNT - 1);
	memmove(rows + 8 * (METRIC_ROW_COUNT - 2), rows + 8 * METRIC_ROW_COUNT,
		8 * (METRIC_DROP_COUNT - 1));
	memmove(rows + 8 * (METRIC_COUNT - 3), rows + 8 * METRIC_COUNT, 8 * METRIC_PEER_ROW_COUNT);
	bytes -= 8 * 4;
	assert_int_equal(client_msg_decode(frame, bytes, &m), 0);
	client_metrics_read(&m, &got);
	assert_int_equal(got.values[METRIC_ROW_COUNT - 3], want.values[METRIC_ROW_COUNT - 3]);
	assert_int_equal(got.values[METRIC_ROW_COUNT - 2], DECREE_METRIC_ABSENT);
	assert_int_equal(got.values[METRIC_ROW_COUNT - 1], DECREE_METRIC_ABSENT);
	assert_int_equal(got.values[METRIC_ROW_COUNT], want.values[METRIC_ROW_COUNT]);
	assert_int_equal(got.values[METRIC_COUNT - 2], want.values[METRIC_COUNT - 2]);
	assert_int_equal(got.values[METRIC_COUNT - 1], DECREE_METRIC_ABSENT);
	assert_int_equal(got.peers[0].node_id, 10);
	assert_int_equal(got.peers[0].values[METRIC_PEER_ROW_COUNT - 2], METRIC_PEER_ROW_COUNT - 2);
	assert_int_equal(got.peers[0].values[METRIC_PEER_ROW_COUNT - 1], DECREE_METRIC_ABSENT);
}

static void
test_malformed_metrics_are_refused(void **state)
{
	const struct decree_metrics want = some_metrics(2);
	uint8_t frame[FRAME_BYTES], copy[FRAME_BYTES];
	struct client_msg m;
	uint32_t bytes = client_metrics_encode(&want, 1, frame, sizeof(frame));

	(void)state;
	for (uint32_t n = 0; n < bytes; n++)
		assert_true(client_msg_decode(frame, n, &m) != 0);
	for (uint32_t at = 16; at < 24; at++) {
		memcpy(copy, frame, bytes);
		copy[at] ^= 0x40;
		assert_true(client_msg_decode(copy, bytes, &m) != 0);
	}
	memcpy(copy, frame, bytes);
	copy[bytes - 8 * (METRIC_PEER_ROW_COUNT + 1) + 2] = 1; /* a node_id of more than 16 bits */
	assert_true(client_msg_decode(copy, bytes, &m) != 0);
}

/* One row that Prometheus cannot read would cost the whole page, at the moment when somebody wants
 * it. */
static const struct wrong_row {
	const char *why; /* words of the complaint */
	struct decree_metric row;
} wrong_rows[] = {
#define ROW(why, name, labels, kind, unit, scope, help)                                            \
	{                                                                                          \
		why,                                                                               \
		{                                                                                  \
			name, labels, DECREE_##kind, DECREE_UNIT_##unit, DECREE_OF_##scope, help   \
		}                                                                                  \
	}
	ROW("no name", NULL, "", GAUGE, NONE, NODE, "Help."),
	ROW("no name", "", "", GAUGE, NONE, NODE, "Help."),
	ROW("letters, digits", "jobs done", "", GAUGE, NONE, NODE, "Help."),
	ROW("letters, digits", "1_job", "", GAUGE, NONE, NODE, "Help."),
	ROW("letters, digits", "jobs{", "", GAUGE, NONE, NODE, "Help."),
	ROW("letters, digits", "j\303\266bs", "", GAUGE, NONE, NODE, "Help."),
	ROW("the node has", "decree_role", "", GAUGE, NONE, NODE, "Help."),
	ROW("counters and gauges", "app_x", "", HISTOGRAM, NONE, NODE, "Help."),
	ROW("_total", "app_jobs", "", COUNTER, NONE, NODE, "Help."),
	ROW("_total", "app_jobs_total", "", GAUGE, NONE, NODE, "Help."),
	ROW("of the node", "app_x", "", GAUGE, NONE, GROUP, "Help."),
	ROW("app_x_seconds", "app_x", "", GAUGE, SECONDS, NODE, "Help."),
	ROW("unit belongs", "app_x_total", "", COUNTER, BYTES, NODE, "Help."),
	ROW("no help", "app_x", "", GAUGE, NONE, NODE, NULL),
	ROW("no help", "app_x", "", GAUGE, NONE, NODE, ""),
	ROW("newline", "app_x", "", GAUGE, NONE, NODE, "Two\nlines."),
	ROW("labels are NULL", "app_x", NULL, GAUGE, NONE, NODE, "Help."),
	ROW("labels look like", "app_x", "a", GAUGE, NONE, NODE, "Help."),
	ROW("labels look like", "app_x", "a=b", GAUGE, NONE, NODE, "Help."),
	ROW("labels look like", "app_x", "a=\"b\",", GAUGE, NONE, NODE, "Help."),
	ROW("labels look like", "app_x", "a:b=\"c\"", GAUGE, NONE, NODE, "Help."),
	ROW("does not end", "app_x", "a=\"b", GAUGE, NONE, NODE, "Help."),
	ROW("does not end", "app_x", "a=\"b\\", GAUGE, NONE, NODE, "Help."),
	ROW("does not end", "app_x", "a=\"b\\x\"", GAUGE, NONE, NODE, "Help."),
	ROW("label a is there", "app_x", "a=\"b\",a=\"c\"", GAUGE, NONE, NODE, "Help."),
	ROW("label node is there", "app_x", "node=\"b\"", GAUGE, NONE, NODE, "Help."),
	ROW("more than 8", "app_x",
		"a=\"\",b=\"\",c=\"\",d=\"\",e=\"\",f=\"\",g=\"\",h=\"\",i=\"\"", GAUGE, NONE, NODE,
		"Help."),
	/* Against the row before: app_before, gauge, k="1", "Help." */
	ROW("one kind", "app_before", "k=\"2\"", GAUGE, NONE, NODE, "Other help."),
	ROW("there twice", "app_before", "k=\"1\"", GAUGE, NONE, NODE, "Help."),
};

static void
test_a_programs_row_that_cannot_be_shown_is_refused_by_name(void **state)
{
	char error[DECREE_ERROR_BYTES];

	(void)state;
	for (uint32_t i = 0; i < sizeof(wrong_rows) / sizeof(wrong_rows[0]); i++) {
		const struct decree_metric rows[] = {
			{ "app_before", "k=\"1\"", DECREE_GAUGE, DECREE_UNIT_NONE, DECREE_OF_NODE,
				"Help." },
			wrong_rows[i].row,
		};

		error[0] = '\0';
		assert_int_equal(metrics_program_check(rows, 2, error), -EINVAL);
		assert_non_null(strstr(error, "metrics[1]"));
		if (strstr(error, wrong_rows[i].why) == NULL)
			fail_msg("row %u: \"%s\" does not say \"%s\"", i, error, wrong_rows[i].why);
	}
}

static void
test_rows_of_one_name_stand_together(void **state)
{
#define GAUGE_ROW(name, labels)                                                                    \
	{                                                                                          \
		name, labels, DECREE_GAUGE, DECREE_UNIT_NONE, DECREE_OF_NODE, "Help."              \
	}
	const struct decree_metric rows[] = { GAUGE_ROW("app_a", "k=\"1\""), GAUGE_ROW("app_b", ""),
		GAUGE_ROW("app_a", "k=\"2\"") };
	char error[DECREE_ERROR_BYTES];

	(void)state;
	assert_int_equal(metrics_program_check(rows, 3, error), -EINVAL);
	assert_non_null(strstr(error, "stand together"));
}

static void
test_rows_as_they_should_be_are_taken(void **state)
{
	const struct decree_metric rows[] = {
		{ "app_jobs_total", "kind=\"a\",to=\"b, \\\"c\\\" \\\\ \\n\"", DECREE_COUNTER,
			DECREE_UNIT_NONE, DECREE_OF_NODE, "Jobs that were done." },
		{ "app_jobs_total", "", DECREE_COUNTER, DECREE_UNIT_NONE, DECREE_OF_NODE,
			"Jobs that were done." },
		{ "app:wait_seconds", "", DECREE_GAUGE, DECREE_UNIT_SECONDS, DECREE_OF_NODE,
			"Waiting." },
		{ "app_sent_bytes_total", "", DECREE_COUNTER, DECREE_UNIT_BYTES, DECREE_OF_NODE,
			"Sent." },
	};
	char error[DECREE_ERROR_BYTES] = "";

	(void)state;
	assert_int_equal(metrics_program_check(rows, 4, error), 0);
	assert_string_equal(error, "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names_say_what_they_are),
		cmocka_unit_test(test_rows_of_one_name_are_of_one_kind_and_differ),
		cmocka_unit_test(test_a_time_is_in_the_bucket_that_bounds_it),
		cmocka_unit_test(test_a_quantile_is_a_close_upper_bound),
		cmocka_unit_test(test_a_clock_that_goes_back_counts_as_no_time),
		cmocka_unit_test(test_a_reader_never_sees_half_of_a_write),
		cmocka_unit_test(test_metrics_come_back_whole),
		cmocka_unit_test(test_a_small_frame_carries_what_fits),
		cmocka_unit_test(test_rows_of_a_newer_version_are_absent),
		cmocka_unit_test(test_malformed_metrics_are_refused),
		cmocka_unit_test(test_a_programs_row_that_cannot_be_shown_is_refused_by_name),
		cmocka_unit_test(test_rows_of_one_name_stand_together),
		cmocka_unit_test(test_rows_as_they_should_be_are_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
