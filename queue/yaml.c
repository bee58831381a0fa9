/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Statistics and lists, as the YAML that clients know from beanstalkd: the same keys in the same
 * order.
 *
 * 1.13 puts strings of its dictionaries in quotes (name, tube, version, hostname, os, platform),
 * 1.12 only the version. Neither has quotes around `id`, a state or the names of a list.
 *
 * There are no binlog files here, so their numbers are 0, and so is a job's `file`.
 */
#include "queue/print.h"
#include "queue/protocol.h"

#define SECOND_NS 1000000000ull
#define SECOND_US 1000000u

/* Room in front of the YAML for "OK bytes\r\n", of which seven digits are the most. */
#define HEAD_BYTES_MAX 12

enum show {
	SHOW_NUMBER,
	SHOW_SECONDS, /* of nanoseconds, rounded down */
	SHOW_STATE,
	SHOW_ZERO,
};

/* One line: a key, and what of the numbers stands there. */
struct line {
	const char *key;
	uint8_t at;
	enum show show;
};

static const struct line stats_lines[] = {
	{ "current-jobs-urgent", QUEUE_STAT_JOBS_URGENT },
	{ "current-jobs-ready", QUEUE_STAT_JOBS_READY },
	{ "current-jobs-reserved", QUEUE_STAT_JOBS_RESERVED },
	{ "current-jobs-delayed", QUEUE_STAT_JOBS_DELAYED },
	{ "current-jobs-buried", QUEUE_STAT_JOBS_BURIED },
	{ "cmd-put", QUEUE_CMD_PUT },
	{ "cmd-peek", QUEUE_CMD_PEEK },
	{ "cmd-peek-ready", QUEUE_CMD_PEEK_READY },
	{ "cmd-peek-delayed", QUEUE_CMD_PEEK_DELAYED },
	{ "cmd-peek-buried", QUEUE_CMD_PEEK_BURIED },
	{ "cmd-reserve", QUEUE_CMD_RESERVE },
	{ "cmd-reserve-with-timeout", QUEUE_CMD_RESERVE_TIMEOUT },
	{ "cmd-delete", QUEUE_CMD_DELETE },
	{ "cmd-release", QUEUE_CMD_RELEASE },
	{ "cmd-use", QUEUE_CMD_USE },
	{ "cmd-watch", QUEUE_CMD_WATCH },
	{ "cmd-ignore", QUEUE_CMD_IGNORE },
	{ "cmd-bury", QUEUE_CMD_BURY },
	{ "cmd-kick", QUEUE_CMD_KICK },
	{ "cmd-touch", QUEUE_CMD_TOUCH },
	{ "cmd-stats", QUEUE_CMD_STATS },
	{ "cmd-stats-job", QUEUE_CMD_STATS_JOB },
	{ "cmd-stats-tube", QUEUE_CMD_STATS_TUBE },
	{ "cmd-list-tubes", QUEUE_CMD_LIST_TUBES },
	{ "cmd-list-tube-used", QUEUE_CMD_LIST_TUBE_USED },
	{ "cmd-list-tubes-watched", QUEUE_CMD_LIST_TUBES_WATCHED },
	{ "cmd-pause-tube", QUEUE_CMD_PAUSE_TUBE },
	{ "job-timeouts", QUEUE_JOB_TIMEOUTS },
	{ "total-jobs", QUEUE_TOTAL_JOBS },
};

/* Behind max-job-size, which the server knows. */
static const struct line stats_more_lines[] = {
	{ "current-tubes", QUEUE_STAT_TUBES },
	{ "current-connections", QUEUE_STAT_CONNECTIONS },
	{ "current-producers", QUEUE_STAT_PRODUCERS },
	{ "current-workers", QUEUE_STAT_WORKERS },
	{ "current-waiting", QUEUE_STAT_WAITING },
	{ "total-connections", QUEUE_TOTAL_CONNECTIONS },
};

static const struct line binlog_lines[] = {
	{ "binlog-oldest-index", 0, SHOW_ZERO },
	{ "binlog-current-index", 0, SHOW_ZERO },
	{ "binlog-records-migrated", 0, SHOW_ZERO },
	{ "binlog-records-written", 0, SHOW_ZERO },
	{ "binlog-max-size", 0, SHOW_ZERO },
};

/* Behind id and tube. */
static const struct line job_lines[] = {
	{ "state", QUEUE_JOB_STAT_STATE, SHOW_STATE },
	{ "pri", QUEUE_JOB_STAT_PRI },
	{ "age", QUEUE_JOB_STAT_AGE_NS, SHOW_SECONDS },
	{ "delay", QUEUE_JOB_STAT_DELAY_S },
	{ "ttr", QUEUE_JOB_STAT_TTR_S },
	{ "time-left", QUEUE_JOB_STAT_LEFT_NS, SHOW_SECONDS },
	{ "file", 0, SHOW_ZERO },
	{ "reserves", QUEUE_JOB_STAT_RESERVES },
	{ "timeouts", QUEUE_JOB_STAT_TIMEOUTS },
	{ "releases", QUEUE_JOB_STAT_RELEASES },
	{ "buries", QUEUE_JOB_STAT_BURIES },
	{ "kicks", QUEUE_JOB_STAT_KICKS },
};

/* Behind name. */
static const struct line tube_lines[] = {
	{ "current-jobs-urgent", QUEUE_TUBE_STAT_JOBS_URGENT },
	{ "current-jobs-ready", QUEUE_TUBE_STAT_JOBS_READY },
	{ "current-jobs-reserved", QUEUE_TUBE_STAT_JOBS_RESERVED },
	{ "current-jobs-delayed", QUEUE_TUBE_STAT_JOBS_DELAYED },
	{ "current-jobs-buried", QUEUE_TUBE_STAT_JOBS_BURIED },
	{ "total-jobs", QUEUE_TUBE_STAT_TOTAL_JOBS },
	{ "current-using", QUEUE_TUBE_STAT_USING },
	{ "current-watching", QUEUE_TUBE_STAT_WATCHING },
	{ "current-waiting", QUEUE_TUBE_STAT_WAITING },
	{ "cmd-delete", QUEUE_TUBE_STAT_CMD_DELETE },
	{ "cmd-pause-tube", QUEUE_TUBE_STAT_CMD_PAUSE_TUBE },
	{ "pause", QUEUE_TUBE_STAT_PAUSE_S },
	{ "pause-time-left", QUEUE_TUBE_STAT_PAUSE_LEFT_NS, SHOW_SECONDS },
};

static const char *const state_names[] = { "ready", "reserved", "delayed", "buried" };

static void
print_key(struct print *p, const char *key)
{
	print_string(p, key);
	print_string(p, ": ");
}

static void
print_key_number(struct print *p, const char *key, uint64_t n)
{
	print_key(p, key);
	print_number(p, n);
	print_string(p, "\n");
}

static void
print_key_text(struct print *p, const char *key, const void *text, size_t bytes, bool has_quotes)
{
	print_key(p, key);
	print_string(p, has_quotes ? "\"" : "");
	print_bytes(p, text, bytes);
	print_string(p, has_quotes ? "\"\n" : "\n");
}

static void
print_key_string(struct print *p, const char *key, const char *string, bool has_quotes)
{
	print_key_text(p, key, string, strlen(string), has_quotes);
}

static void
print_lines(struct print *p, const struct line *lines, size_t count, const uint64_t *numbers)
{
	for (const struct line *l = lines; l < lines + count; l++) {
		uint64_t n = numbers[l->at];

		if (l->show == SHOW_STATE) {
			queue_assert(n < sizeof(state_names) / sizeof(state_names[0]));
			print_key_string(p, l->key, state_names[n], false);
		} else if (l->show == SHOW_SECONDS) {
			print_key_number(p, l->key, n / SECOND_NS);
		} else {
			print_key_number(p, l->key, l->show == SHOW_ZERO ? 0 : n);
		}
	}
}

#define PRINT_LINES(p, lines, numbers)                                                             \
	print_lines(p, lines, sizeof(lines) / sizeof((lines)[0]), numbers)

/* "key: seconds.microseconds" */
static void
print_key_us(struct print *p, const char *key, uint64_t us)
{
	print_key(p, key);
	print_number(p, us / SECOND_US);
	print_string(p, ".");
	for (uint32_t unit = SECOND_US / 10; unit != 0; unit /= 10)
		print_number(p, us / unit % 10);
	print_string(p, "\n");
}

/* A whole reply: the YAML is printed behind the room for its head, and moved up to it in the end. */
static struct print
reply_start(char *ret, size_t capacity)
{
	struct print p;

	if (capacity < HEAD_BYTES_MAX) {
		p = print_start(ret, 0);
		p.is_full = true;
		return p;
	}
	p = print_start(ret + HEAD_BYTES_MAX, capacity - HEAD_BYTES_MAX);
	print_string(&p, "---\n");
	return p;
}

static size_t
reply_end(struct print *p, char *ret)
{
	size_t yaml_bytes = print_end(p), head_bytes;

	print_string(p, "\r\n");
	if (print_end(p) == 0)
		return 0;
	head_bytes = queue_reply_ok(yaml_bytes, ret, HEAD_BYTES_MAX);
	if (head_bytes == 0)
		return 0;
	memmove(ret + head_bytes, p->start, yaml_bytes + 2);
	return head_bytes + yaml_bytes + 2;
}

size_t
queue_reply_stats(
	const struct queue_server *server, const uint64_t *numbers, char *ret, size_t capacity)
{
	struct print p = reply_start(ret, capacity);
	bool has_quotes = !server->has_old_yaml;

	PRINT_LINES(&p, stats_lines, numbers);
	print_key_number(&p, "max-job-size", server->job_bytes_max);
	PRINT_LINES(&p, stats_more_lines, numbers);
	print_key_number(&p, "pid", server->pid);
	print_key_string(&p, "version", server->has_old_yaml ? "1.12" : "1.13", true);
	print_key_us(&p, "rusage-utime", server->user_time_us);
	print_key_us(&p, "rusage-stime", server->system_time_us);
	print_key_number(&p, "uptime", server->uptime_s);
	PRINT_LINES(&p, binlog_lines, numbers);
	print_key_string(&p, "draining", server->is_draining ? "true" : "false", false);
	print_key(&p, "id");
	print_hex(&p, server->id);
	print_string(&p, "\n");
	print_key_string(&p, "hostname", server->hostname, has_quotes);
	print_key_string(&p, "os", server->os, has_quotes);
	print_key_string(&p, "platform", server->platform, has_quotes);
	return reply_end(&p, ret);
}

size_t
queue_reply_stats_job(bool has_old_yaml, const uint64_t *numbers, const void *tube,
	uint32_t tube_bytes, char *ret, size_t capacity)
{
	struct print p = reply_start(ret, capacity);

	print_key_number(&p, "id", numbers[QUEUE_JOB_STAT_ID]);
	print_key_text(&p, "tube", tube, tube_bytes, !has_old_yaml);
	PRINT_LINES(&p, job_lines, numbers);
	return reply_end(&p, ret);
}

size_t
queue_reply_stats_tube(bool has_old_yaml, const uint64_t *numbers, const void *tube,
	uint32_t tube_bytes, char *ret, size_t capacity)
{
	struct print p = reply_start(ret, capacity);

	print_key_text(&p, "name", tube, tube_bytes, !has_old_yaml);
	PRINT_LINES(&p, tube_lines, numbers);
	return reply_end(&p, ret);
}

size_t
queue_yaml_list(char *ret, size_t capacity)
{
	struct print p = print_start(ret, capacity);

	print_string(&p, "---\n");
	return print_end(&p);
}

size_t
queue_yaml_item(const void *name, uint32_t name_bytes, char *ret, size_t capacity)
{
	struct print p = print_start(ret, capacity);

	print_string(&p, "- ");
	print_bytes(&p, name, name_bytes);
	print_string(&p, "\n");
	return print_end(&p);
}
