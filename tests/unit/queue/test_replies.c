/* SPDX-License-Identifier: Apache-2.0 */
/* The replies, byte for byte. */
#include "queue/protocol.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static char text[QUEUE_STATS_BYTES_MAX];

static void
check(size_t bytes, const char *want)
{
	assert_int_equal(bytes, strlen(want));
	assert_memory_equal(text, want, bytes);
}

static void
test_words(void **state)
{
	static const char *const want[QUEUE_REPLY_COUNT] = {
		"OUT_OF_MEMORY\r\n",
		"INTERNAL_ERROR\r\n",
		"DRAINING\r\n",
		"BAD_FORMAT\r\n",
		"UNKNOWN_COMMAND\r\n",
		"EXPECTED_CRLF\r\n",
		"JOB_TOO_BIG\r\n",
		"NOT_FOUND\r\n",
		"DELETED\r\n",
		"RELEASED\r\n",
		"BURIED\r\n",
		"TOUCHED\r\n",
		"KICKED\r\n",
		"PAUSED\r\n",
		"NOT_IGNORED\r\n",
		"TIMED_OUT\r\n",
		"DEADLINE_SOON\r\n",
	};

	(void)state;
	for (uint32_t i = 0; i < QUEUE_REPLY_COUNT; i++)
		check(queue_reply_word(i, text, sizeof(text)), want[i]);
}

static void
test_lines_with_numbers(void **state)
{
	(void)state;
	check(queue_reply_inserted(1, text, sizeof(text)), "INSERTED 1\r\n");
	check(queue_reply_inserted(UINT64_MAX, text, sizeof(text)),
		"INSERTED 18446744073709551615\r\n");
	check(queue_reply_watching(10, text, sizeof(text)), "WATCHING 10\r\n");
	check(queue_reply_kicked(0, text, sizeof(text)), "KICKED 0\r\n");
	check(queue_reply_using("default", 7, text, sizeof(text)), "USING default\r\n");
	check(queue_reply_reserved(12, 0, text, sizeof(text)), "RESERVED 12 0\r\n");
	check(queue_reply_found(13, 65535, text, sizeof(text)), "FOUND 13 65535\r\n");
	check(queue_reply_ok(961, text, sizeof(text)), "OK 961\r\n");
}

static void
test_lists(void **state)
{
	(void)state;
	check(queue_yaml_list(text, sizeof(text)), "---\n");
	check(queue_yaml_item("a;b", 3, text, sizeof(text)), "- a;b\n");
}

static const struct queue_server server = {
	.job_bytes_max = 65535,
	.pid = 4711,
	.user_time_us = 1000002,
	.system_time_us = 59999999,
	.uptime_s = 86400,
	.is_draining = true,
	.id = 0x0123456789abcdef,
	.hostname = "queue-1",
	.os = "#1 SMP: of a kind",
	.platform = "x86_64",
};

#define STATS_1                                                                                    \
	"---\n"                                                                                    \
	"current-jobs-urgent: 126\n"                                                               \
	"current-jobs-ready: 127\n"                                                                \
	"current-jobs-reserved: 128\n"                                                             \
	"current-jobs-delayed: 129\n"                                                              \
	"current-jobs-buried: 130\n"                                                               \
	"cmd-put: 101\n"                                                                           \
	"cmd-peek: 102\n"                                                                          \
	"cmd-peek-ready: 103\n"                                                                    \
	"cmd-peek-delayed: 104\n"                                                                  \
	"cmd-peek-buried: 105\n"                                                                   \
	"cmd-reserve: 106\n"                                                                       \
	"cmd-reserve-with-timeout: 107\n"                                                          \
	"cmd-delete: 108\n"                                                                        \
	"cmd-release: 109\n"                                                                       \
	"cmd-use: 110\n"                                                                           \
	"cmd-watch: 111\n"                                                                         \
	"cmd-ignore: 112\n"                                                                        \
	"cmd-bury: 113\n"                                                                          \
	"cmd-kick: 114\n"                                                                          \
	"cmd-touch: 115\n"                                                                         \
	"cmd-stats: 116\n"                                                                         \
	"cmd-stats-job: 117\n"                                                                     \
	"cmd-stats-tube: 118\n"                                                                    \
	"cmd-list-tubes: 119\n"                                                                    \
	"cmd-list-tube-used: 120\n"                                                                \
	"cmd-list-tubes-watched: 121\n"                                                            \
	"cmd-pause-tube: 122\n"                                                                    \
	"job-timeouts: 123\n"                                                                      \
	"total-jobs: 124\n"                                                                        \
	"max-job-size: 65535\n"                                                                    \
	"current-tubes: 131\n"                                                                     \
	"current-connections: 132\n"                                                               \
	"current-producers: 133\n"                                                                 \
	"current-workers: 134\n"                                                                   \
	"current-waiting: 135\n"                                                                   \
	"total-connections: 125\n"                                                                 \
	"pid: 4711\n"

#define STATS_2                                                                                    \
	"rusage-utime: 1.000002\n"                                                                 \
	"rusage-stime: 59.999999\n"                                                                \
	"uptime: 86400\n"                                                                          \
	"binlog-oldest-index: 0\n"                                                                 \
	"binlog-current-index: 0\n"                                                                \
	"binlog-records-migrated: 0\n"                                                             \
	"binlog-records-written: 0\n"                                                              \
	"binlog-max-size: 0\n"                                                                     \
	"draining: true\n"                                                                         \
	"id: 0123456789abcdef\n"

static void
fill(uint64_t *numbers, uint32_t count, uint64_t first)
{
	for (uint32_t i = 0; i < count; i++)
		numbers[i] = first + i;
}

static void
test_stats(void **state)
{
	struct queue_server old = server;
	uint64_t numbers[QUEUE_STAT_COUNT];

	(void)state;
	fill(numbers, QUEUE_STAT_COUNT, 101);
	check(queue_reply_stats(&server, numbers, text, sizeof(text)),
		"OK 1025\r\n" STATS_1 "version: \"1.13\"\n" STATS_2 "hostname: \"queue-1\"\n"
		"os: \"#1 SMP: of a kind\"\n"
		"platform: \"x86_64\"\n\r\n");
	old.has_old_yaml = true;
	check(queue_reply_stats(&old, numbers, text, sizeof(text)),
		"OK 1019\r\n" STATS_1 "version: \"1.12\"\n" STATS_2 "hostname: queue-1\n"
		"os: #1 SMP: of a kind\n"
		"platform: x86_64\n\r\n");
}

#define JOB                                                                                        \
	"state: reserved\n"                                                                        \
	"pri: 4294967295\n"                                                                        \
	"age: 7\n"                                                                                 \
	"delay: 8\n"                                                                               \
	"ttr: 9\n"                                                                                 \
	"time-left: 6\n"                                                                           \
	"file: 0\n"                                                                                \
	"reserves: 10\n"                                                                           \
	"timeouts: 11\n"                                                                           \
	"releases: 12\n"                                                                           \
	"buries: 13\n"                                                                             \
	"kicks: 14\n\r\n"

static void
test_stats_of_a_job(void **state)
{
	uint64_t numbers[QUEUE_JOB_STAT_COUNT] = {
		[QUEUE_JOB_STAT_ID] = 77,
		[QUEUE_JOB_STAT_STATE] = 1,
		[QUEUE_JOB_STAT_PRI] = UINT32_MAX,
		[QUEUE_JOB_STAT_AGE_NS] = 7999999999ull, /* rounded down, like all times */
		[QUEUE_JOB_STAT_DELAY_S] = 8,
		[QUEUE_JOB_STAT_TTR_S] = 9,
		[QUEUE_JOB_STAT_LEFT_NS] = 6000000000ull,
		[QUEUE_JOB_STAT_RESERVES] = 10,
		[QUEUE_JOB_STAT_TIMEOUTS] = 11,
		[QUEUE_JOB_STAT_RELEASES] = 12,
		[QUEUE_JOB_STAT_BURIES] = 13,
		[QUEUE_JOB_STAT_KICKS] = 14,
	};
	static const char *const states[] = { "ready", "reserved", "delayed", "buried" };
	char line[32];

	(void)state;
	check(queue_reply_stats_job(false, numbers, "tt", 2, text, sizeof(text)),
		"OK 158\r\n---\nid: 77\ntube: \"tt\"\n" JOB);
	check(queue_reply_stats_job(true, numbers, "tt", 2, text, sizeof(text)),
		"OK 156\r\n---\nid: 77\ntube: tt\n" JOB);
	for (uint32_t i = 0; i < COUNT(states); i++) {
		size_t bytes;

		numbers[QUEUE_JOB_STAT_STATE] = i;
		bytes = queue_reply_stats_job(false, numbers, "tt", 2, text, sizeof(text));
		text[bytes] = '\0';
		snprintf(line, sizeof(line), "\nstate: %s\n", states[i]);
		assert_non_null(strstr(text, line));
	}
}

#define TUBE                                                                                       \
	"current-jobs-urgent: 1\n"                                                                 \
	"current-jobs-ready: 2\n"                                                                  \
	"current-jobs-reserved: 3\n"                                                               \
	"current-jobs-delayed: 4\n"                                                                \
	"current-jobs-buried: 5\n"                                                                 \
	"total-jobs: 6\n"                                                                          \
	"current-using: 7\n"                                                                       \
	"current-watching: 8\n"                                                                    \
	"current-waiting: 9\n"                                                                     \
	"cmd-delete: 10\n"                                                                         \
	"cmd-pause-tube: 11\n"                                                                     \
	"pause: 12\n"                                                                              \
	"pause-time-left: 3\n\r\n"

static void
test_stats_of_a_tube(void **state)
{
	uint64_t numbers[QUEUE_TUBE_STAT_COUNT];

	(void)state;
	fill(numbers, QUEUE_TUBE_STAT_COUNT, 1);
	numbers[QUEUE_TUBE_STAT_PAUSE_LEFT_NS] = 3999999999ull;
	check(queue_reply_stats_tube(false, numbers, "1.5", 3, text, sizeof(text)),
		"OK 266\r\n---\nname: \"1.5\"\n" TUBE);
	check(queue_reply_stats_tube(true, numbers, "1.5", 3, text, sizeof(text)),
		"OK 264\r\n---\nname: 1.5\n" TUBE);
}

/* Whatever does not fit is not written beyond the buffer, and says so. */
static void
test_what_does_not_fit(void **state)
{
	uint64_t numbers[QUEUE_STAT_COUNT];
	size_t whole, least = 0;

	(void)state;
	fill(numbers, QUEUE_STAT_COUNT, UINT64_MAX - QUEUE_STAT_COUNT);
	whole = queue_reply_stats(&server, numbers, text, sizeof(text));
	assert_true(whole != 0);
	for (size_t capacity = 0; capacity < sizeof(text); capacity++) {
		size_t bytes;

		memset(text, 'x', sizeof(text));
		bytes = queue_reply_stats(&server, numbers, text, capacity);
		if (bytes == 0)
			least = capacity + 1;
		assert_true(bytes == 0 || bytes == whole);
		for (size_t i = capacity; i < sizeof(text); i++)
			assert_int_equal(text[i], 'x');
	}
	assert_in_range(least, whole, whole + 12);
	assert_int_equal(queue_reply_inserted(123, text, 13), 0);
	assert_int_equal(queue_reply_inserted(123, text, 14), 14);
	assert_int_equal(queue_reply_using("t", 1, text, 8), 0);
	assert_int_equal(queue_yaml_item("t", 1, text, 3), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_lines_with_numbers),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_stats),
		cmocka_unit_test(test_stats_of_a_job),
		cmocka_unit_test(test_stats_of_a_tube),
		cmocka_unit_test(test_what_does_not_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
