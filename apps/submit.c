/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decree submit: each line is a command. Lines are read while they come, N of them are on their way
 * at a time, and the library repeats them until each has been executed once.
 *
 * A line that is too long is refused before anything was sent if the input is a file, which is
 * looked through first; of a pipe everything before it has been sent by then, and is waited for.
 */
#include "apps/command.h"
#include "apps/digest.h"
#include "apps/histogram.h"
#include "apps/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define IN_FLIGHT        64
#define COMPLETION_COUNT 256
#define PROGRESS_NS      (100 * MS)
#define SILENCE_NS       (3000 * MS) /* then the operator hears that we wait */

static const char about[] = "Submit each line of LINES, or of standard input, as one command; the "
			    "bytes as they are, without the newline. At the end: latency, "
			    "throughput, and the longest time without an answer.";

static const char acks_help[] =
	"append one JSON object per acknowledged command: session, seq, line, digest";

struct submit_options {
	struct config_arguments config;
	uint64_t in_flight;
	uint64_t group;
	const char *input_path; /* NULL: standard input */
	const char *acks_path;
	bool is_json;
	bool has_progress;
};

/* One command on its way. */
struct flight {
	uint64_t submitted_ns;
	uint64_t line;
	struct decree_digest digest; /* if there is an acks file */
	struct flight *next_free;
};

struct submit {
	const struct submit_options *options;
	struct decree_client *client;
	struct lines lines;
	FILE *acks;
	struct flight *flights; /* [options->in_flight] */
	struct flight *free;
	uint64_t in_flight;
	bool is_input_over;
	bool has_failed;

	uint64_t line_count; /* 0: unknown */
	uint64_t submitted;
	uint64_t acked;
	uint64_t refused;
	uint64_t declined; /* of the acknowledged ones: the state machine's status is not 0 */
	uint64_t unknown;
	uint64_t bytes;
	uint64_t started_ns; /* first command */
	/* last answer, or when something was submitted after a pause of ours */
	uint64_t answered_ns;
	uint64_t gap_ns; /* longest time without an answer while one was owed */
	uint64_t ended_ns;
	uint64_t progress_ns; /* when it was shown last */
	bool is_silence_told;
	struct histogram latency; /* nanoseconds */
};

/* Submitting */

static void
take_off(struct submit *s, const uint8_t *line, uint32_t bytes, uint64_t now)
{
	struct flight *flight = s->free;

	s->free = flight->next_free;
	flight->submitted_ns = now;
	flight->line = s->lines.number;
	if (s->acks != NULL)
		flight->digest = body_digest(line, bytes);
	if (s->submitted == 0)
		s->started_ns = now;
	if (s->in_flight == 0)
		s->answered_ns = now;
	s->submitted++;
	s->in_flight++;
	s->bytes += bytes;
}

static void
end_input(struct submit *s, enum lines_result result)
{
	s->is_input_over = true;
	if (result == LINES_END)
		return;
	s->has_failed = true;
	if (result == LINES_TOO_LONG)
		(void)complain("line %" PRIu64 " has more than %" PRIu32
			       " bytes, the cluster's command_bytes_max; "
			       "%" PRIu64 " lines before it were submitted",
			s->lines.number, s->lines.line_bytes_max, s->submitted);
	else
		(void)complain(
			"reading line %" PRIu64 ": %s", s->lines.number + 1, strerror(errno));
}

/* @return false: the input has nothing now */
static bool
submit_lines(struct submit *s)
{
	uint64_t now = now_ns();

	while (!s->is_input_over && s->free != NULL) {
		const uint8_t *line;
		uint32_t bytes;
		enum lines_result result = lines_next(&s->lines, &line, &bytes);

		if (result == LINES_WAIT)
			return false;
		if (result != LINES_ONE) {
			end_input(s, result);
			break;
		}
		if (decree_client_submit(s->client, line, bytes, s->free) != 0) {
			lines_back(&s->lines); /* -EAGAIN: its size was checked */
			break;
		}
		take_off(s, line, bytes, now);
	}
	return true;
}

/* Answers */

static void
write_ack(struct submit *s, const struct flight *flight, uint64_t seq)
{
	(void)fprintf(s->acks,
		"{\"session\":%" PRIu64 ",\"seq\":%" PRIu64 ",\"line\":%" PRIu64
		",\"digest\":\"%016" PRIx64 "%016" PRIx64 "\"}\n",
		decree_client_session(s->client).n, seq, flight->line, flight->digest.hi,
		flight->digest.lo);
}

static void
land(struct submit *s, const struct decree_completion *c, uint64_t now)
{
	struct flight *flight = c->cookie;

	if (c->outcome == DECREE_APPLIED) {
		histogram_add(&s->latency, now - flight->submitted_ns);
		s->acked++;
		s->declined += c->status != 0;
		if (s->acks != NULL)
			write_ack(s, flight, c->seq);
	} else {
		s->refused += c->outcome == DECREE_REFUSED;
		s->unknown += c->outcome == DECREE_UNKNOWN || c->outcome == DECREE_EVICTED;
	}
	flight->next_free = s->free;
	s->free = flight;
	s->in_flight--;
}

static void
note_answers(struct submit *s, uint64_t now)
{
	if (now - s->answered_ns > s->gap_ns)
		s->gap_ns = now - s->answered_ns;
	s->answered_ns = now;
	s->ended_ns = now;
	s->is_silence_told = false;
	if (s->acks != NULL && fflush(s->acks) != 0) {
		(void)complain("%s: %s", s->options->acks_path, strerror(errno));
		s->has_failed = true;
		s->is_input_over = true;
	}
}

static void
poll_answers(struct submit *s, uint64_t timeout_ns)
{
	struct decree_completion done[COMPLETION_COUNT];
	uint32_t count = decree_client_poll(s->client, done, COMPLETION_COUNT, timeout_ns);
	uint64_t now = now_ns();

	for (uint32_t i = 0; i < count; i++)
		land(s, &done[i], now);
	if (count > 0)
		note_answers(s, now);
	if (s->in_flight > 0 && now - s->answered_ns > SILENCE_NS && !s->is_silence_told) {
		s->is_silence_told = true;
		(void)complain("no answer for %d s, trying on: is a majority of the nodes running "
			       "and reachable? ('decree status' tells)",
			(int)(SILENCE_NS / 1000 / MS));
	}
}

static void
wait_for_input(struct submit *s)
{
	struct pollfd fds[2] = { { .fd = s->lines.fd, .events = POLLIN },
		{ .fd = decree_client_fd(s->client), .events = POLLIN } };

	(void)poll(fds, 2, 5); /* whatever it says, both are looked at again */
	poll_answers(s, 0);
}

static void
show_progress(struct submit *s, bool is_last)
{
	uint64_t now = now_ns();
	double seconds = (double)(now - s->started_ns) / 1e9;
	uint64_t total = s->line_count;
	int filled = total > 0 ? (int)(s->acked * 30 / total) : 0;

	if (!s->options->has_progress || s->submitted == 0 ||
		(!is_last && now - s->progress_ns < PROGRESS_NS))
		return;
	s->progress_ns = now;
	if (total > 0)
		(void)fprintf(stderr, "\r[%.*s%*s] %3d%% ", filled,
			"==============================", 30 - filled, "",
			(int)(s->acked * 100 / total));
	else
		(void)fprintf(stderr, "\r");
	(void)fprintf(stderr, "%" PRIu64 " acknowledged, %.0f/s %s", s->acked,
		seconds > 0 ? (double)s->acked / seconds : 0, is_last ? "\n" : "  ");
}

static void
submit_all(struct submit *s)
{
	while (!s->is_input_over || s->in_flight > 0) {
		bool has_input = submit_lines(s);

		if (s->is_input_over && s->in_flight == 0)
			break;
		if (has_input)
			poll_answers(s, 10 * MS);
		else
			wait_for_input(s);
		show_progress(s, false);
	}
	show_progress(s, true);
}

/* The summary */

static double
percentile_us(const struct submit *s, double percent)
{
	return (double)histogram_at(&s->latency, percent) / 1e3;
}

/* Which mode ran is part of every figure. @return false: nobody answers */
static bool
ask_mode(struct submit *s, const struct decree_setup *setup, struct decree_status *ret_status)
{
	for (uint32_t i = 0; i < setup->node_count; i++)
		if (decree_client_status(s->client, setup->nodes[i], 200 * MS, ret_status) == 0 &&
			ret_status->role == DECREE_LEADER)
			return true;
	return false;
}

static void
print_json(const struct submit *s, double seconds, const char *mode, const char *auth)
{
	(void)printf("{\"commands\":%" PRIu64 ",\"acked\":%" PRIu64 ",\"declined\":%" PRIu64
		     ",\"refused\":%" PRIu64 ",\"unknown\":%" PRIu64 ",\"bytes\":%" PRIu64
		     ",\"seconds\":%.6f,\"commits_per_s\":%.0f",
		s->submitted, s->acked, s->declined, s->refused, s->unknown, s->bytes, seconds,
		seconds > 0 ? (double)s->acked / seconds : 0);
	(void)printf(
		",\"p50_us\":%.1f,\"p90_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f,\"max_us\":%.1f",
		percentile_us(s, 50), percentile_us(s, 90), percentile_us(s, 99),
		percentile_us(s, 99.9), (double)s->latency.max / 1e3);
	(void)printf(",\"longest_gap_ms\":%.3f,\"in_flight\":%" PRIu64
		     ",\"log_mode\":\"%s\",\"auth\":\"%s\"}\n",
		(double)s->gap_ns / 1e6, s->options->in_flight, mode, auth);
}

static void
print_text(const struct submit *s, double seconds, const char *mode, const char *auth)
{
	(void)printf("%" PRIu64 " of %" PRIu64 " commands acknowledged in %.3f s: %.0f/s\n",
		s->acked, s->submitted, seconds, seconds > 0 ? (double)s->acked / seconds : 0);
	if (s->declined > 0)
		(void)printf("declined %" PRIu64
			     ": the state machine gave them a status other than "
			     "0. (A task queue takes no lines: its jobs come from beanstalk "
			     "clients)\n",
			s->declined);
	if (s->refused + s->unknown > 0)
		(void)printf("refused %" PRIu64 ", unknown %" PRIu64 "\n", s->refused, s->unknown);
	if (s->refused > 0)
		(void)printf("refused means never executed: the cluster's session table is full "
			     "(session_count), or the session was lost\n");
	(void)printf("latency in us     p50 %.1f  p90 %.1f  p99 %.1f  p99.9 %.1f  max %.1f\n",
		percentile_us(s, 50), percentile_us(s, 90), percentile_us(s, 99),
		percentile_us(s, 99.9), (double)s->latency.max / 1e3);
	(void)printf("longest gap       %.3f ms between two answers\n", (double)s->gap_ns / 1e6);
	(void)printf("measured with     %" PRIu64 " in flight, log mode %s, auth %s\n",
		s->options->in_flight, mode, auth);
}

static int
summarise(struct submit *s, const struct decree_setup *setup)
{
	double seconds = s->acked > 0 ? (double)(s->ended_ns - s->started_ns) / 1e9 : 0;
	struct decree_status status;
	const char *mode = "unknown";
	const char *auth = setup->auth ? "gmac" : "none";

	if (s->submitted > 0 && ask_mode(s, setup, &status))
		mode = log_mode_word(status.log_mode);
	(s->options->is_json ? print_json : print_text)(s, seconds, mode, auth);
	if (fflush(stdout) != 0)
		return complain("standard output: %s", strerror(errno));
	return s->has_failed || s->acked < s->submitted ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* Start and end */

/* A file is looked through before anything is sent. @return false after a complaint */
static bool
survey(struct submit *s, int fd, uint32_t line_bytes_max, const char *name)
{
	uint64_t too_long = 0;
	int rc = lines_survey(fd, line_bytes_max, &s->line_count, &too_long);

	if (rc == -ESPIPE)
		return true;
	if (rc != 0) {
		(void)complain("%s: %s", name, strerror(-rc));
		return false;
	}
	if (too_long == 0)
		return true;
	(void)complain("%s: line %" PRIu64 " has more than %" PRIu32
		       " bytes, the cluster's command_bytes_max; nothing was submitted",
		name, too_long, line_bytes_max);
	return false;
}

/* @return OPTIONS_GO_ON, or the exit status */
static int
prepare(struct submit *s, const struct decree_setup *setup, int fd)
{
	const struct submit_options *o = s->options;
	const char *name = o->input_path != NULL ? o->input_path : "standard input";
	int status;

	if (!survey(s, fd, setup->command_bytes_max, name))
		return EXIT_FAILURE;
	s->flights = calloc(o->in_flight, sizeof(s->flights[0]));
	if (s->flights == NULL || lines_open(&s->lines, fd, setup->command_bytes_max) != 0)
		return complain("out of memory");
	for (uint64_t i = 0; i < o->in_flight; i++) {
		s->flights[i].next_free = s->free;
		s->free = &s->flights[i];
	}
	if (o->acks_path != NULL && (s->acks = fopen(o->acks_path, "ae")) == NULL)
		return complain("--acks %s: %s", o->acks_path, strerror(errno));
	s->client = open_client(&o->config, (uint16_t)o->group, (uint32_t)o->in_flight, &status);
	return s->client != NULL ? OPTIONS_GO_ON : status;
}

static int
run(const struct submit_options *o)
{
	struct submit s = { .options = o };
	struct decree_setup setup;
	int status;
	int fd = STDIN_FILENO;

	status = read_setup(&o->config, false, &setup);
	if (status != OPTIONS_GO_ON)
		return status;
	if (o->in_flight > setup.session_window)
		return complain_usage("--in-flight %" PRIu64
				      ": the cluster's session_window is %" PRIu32,
			o->in_flight, setup.session_window);
	if (o->input_path != NULL)
		fd = open(o->input_path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return complain("%s: %s", o->input_path, strerror(errno));
	status = prepare(&s, &setup, fd);
	if (status == OPTIONS_GO_ON) {
		submit_all(&s);
		status = summarise(&s, &setup);
	}
	decree_client_close(s.client);
	if (s.acks != NULL && fclose(s.acks) != 0)
		status = complain("%s: %s", o->acks_path, strerror(errno));
	lines_close(&s.lines);
	free(s.flights);
	if (o->input_path != NULL)
		(void)close(fd); /* read only */
	return status;
}

int
command_submit(int argc, char **argv)
{
	struct submit_options o = { .in_flight = IN_FLIGHT };
	const struct option_row rows[] = {
		row_cluster_config(&o.config),
		{ "in-flight", 'n', "N", "commands on their way at a time", .number = &o.in_flight,
			.min = 1, .max = 65536 },
		row_group(&o.group),
		{ "progress", 0, NULL, "show how far it is, on standard error",
			.flag = &o.has_progress },
		{ "acks", 0, "FILE", acks_help, .text = &o.acks_path },
		row_json(&o.is_json, "print the summary as one JSON object"),
	};
	const struct option_page page = { "[-c FILE] [OPTION ...] [section.key=value ...] [LINES]",
		about, rows, ROW_COUNT(rows) };
	int status = take_arguments(argc, argv, &page, &o.config, &o.input_path, 1);

	if (status != OPTIONS_GO_ON)
		return status;
	if (o.input_path != NULL && strcmp(o.input_path, "-") == 0)
		o.input_path = NULL;
	return run(&o);
}
