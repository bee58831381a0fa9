/* SPDX-License-Identifier: Apache-2.0 */
/* decree tasks: what a task queue holds, once or again and again. */
#include "apps/command.h"
#include "apps/tasks_view.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define CLEAR "\033[H\033[2J"

static const char about[] =
	"Shows the tubes of a task queue, and with --jobs its jobs and who holds them: again and "
	"again on a terminal, else once. Whatever node answers, it has seen all that was "
	"acknowledged before.";

static const char limit_help[] = "at most so many tubes, and so many jobs in one state of one tube";

static const char *const state_words[] = { "ready", "reserved", "delayed", "buried" };

struct tasks_options {
	struct config_arguments config;
	uint64_t node;
	uint64_t timeout_ms;
	uint64_t interval_ms;
	uint64_t limit;
	const char *tube;
	bool are_jobs_wanted;
	bool is_once;
	bool is_json;
};

/* What was counted, for rates. */
struct sample {
	uint64_t at_ns;
	uint64_t puts, reserves, deletes;
};

/* ------------------------------------------------------------------------------ JSON */

static double
seconds(uint64_t ns)
{
	return (double)ns / 1e9;
}

static void
print_totals_json(FILE *to, const uint64_t *s)
{
	(void)fprintf(to,
		"{\"cluster_s\":%.3f,\"tube_count\":%" PRIu64 ",\"urgent\":%" PRIu64
		",\"ready\":%" PRIu64 ",\"reserved\":%" PRIu64 ",\"delayed\":%" PRIu64
		",\"buried\":%" PRIu64 ",\"waiting\":%" PRIu64 ",\"connections\":%" PRIu64
		",\"producers\":%" PRIu64 ",\"workers\":%" PRIu64 ",",
		seconds(s[QUEUE_STAT_NOW_NS]), s[QUEUE_STAT_TUBES], s[QUEUE_STAT_JOBS_URGENT],
		s[QUEUE_STAT_JOBS_READY], s[QUEUE_STAT_JOBS_RESERVED], s[QUEUE_STAT_JOBS_DELAYED],
		s[QUEUE_STAT_JOBS_BURIED], s[QUEUE_STAT_WAITING], s[QUEUE_STAT_CONNECTIONS],
		s[QUEUE_STAT_PRODUCERS], s[QUEUE_STAT_WORKERS]);
	(void)fprintf(to,
		"\"total_jobs\":%" PRIu64 ",\"puts\":%" PRIu64 ",\"deletes\":%" PRIu64
		",\"timeouts\":%" PRIu64 ",\"bytes_used\":%" PRIu64 ",\"bytes_max\":%" PRIu64 ",",
		s[QUEUE_TOTAL_JOBS], s[QUEUE_CMD_PUT], s[QUEUE_CMD_DELETE], s[QUEUE_JOB_TIMEOUTS],
		s[QUEUE_STAT_BYTES_USED], s[QUEUE_STAT_BYTES_MAX]);
}

static void
print_tube_json(FILE *to, const struct tasks_tube *t)
{
	const uint64_t *s = t->stats;

	(void)fprintf(to,
		"{\"tube\":\"%s\",\"urgent\":%" PRIu64 ",\"ready\":%" PRIu64
		",\"reserved\":%" PRIu64 ",\"delayed\":%" PRIu64 ",\"buried\":%" PRIu64
		",\"waiting\":%" PRIu64 ",\"using\":%" PRIu64 ",\"watching\":%" PRIu64
		",\"total_jobs\":%" PRIu64 ",\"deletes\":%" PRIu64 ",\"pause_left_s\":%.3f}",
		t->name, s[QUEUE_TUBE_STAT_JOBS_URGENT], s[QUEUE_TUBE_STAT_JOBS_READY],
		s[QUEUE_TUBE_STAT_JOBS_RESERVED], s[QUEUE_TUBE_STAT_JOBS_DELAYED],
		s[QUEUE_TUBE_STAT_JOBS_BURIED], s[QUEUE_TUBE_STAT_WAITING],
		s[QUEUE_TUBE_STAT_USING], s[QUEUE_TUBE_STAT_WATCHING],
		s[QUEUE_TUBE_STAT_TOTAL_JOBS], s[QUEUE_TUBE_STAT_CMD_DELETE],
		seconds(s[QUEUE_TUBE_STAT_PAUSE_LEFT_NS]));
}

static void
print_job_json(FILE *to, const struct tasks_job *j)
{
	const uint64_t *n = j->numbers;

	(void)fprintf(to,
		"{\"id\":%" PRIu64 ",\"tube\":\"%s\",\"state\":\"%s\",\"pri\":%" PRIu64
		",\"reserves\":%" PRIu64 ",\"releases\":%" PRIu64 ",\"timeouts\":%" PRIu64
		",\"bytes\":%" PRIu64 ",\"age_s\":%.3f,\"left_s\":%.3f,\"holder\":",
		n[QUEUE_TASK_ID], j->tube, state_words[j->state], n[QUEUE_TASK_PRI],
		n[QUEUE_TASK_RESERVES], n[QUEUE_TASK_RELEASES], n[QUEUE_TASK_TIMEOUTS],
		n[QUEUE_TASK_BODY_BYTES], seconds(n[QUEUE_TASK_AGE_NS]),
		seconds(n[QUEUE_TASK_LEFT_NS]));
	if (j->state == TASK_RESERVED)
		(void)fprintf(to,
			"{\"node\":%" PRIu64 ",\"session\":%" PRIu64 ",\"connection\":%" PRIu64
			"}}",
			j->holder[QUEUE_HOLDER_NODE], j->holder[QUEUE_HOLDER_SESSION],
			j->holder[QUEUE_HOLDER_CONNECTION]);
	else
		(void)fputs("null}", to);
}

static void
print_json(FILE *to, const struct tasks_options *o, const struct tasks_view *v)
{
	print_totals_json(to, v->stats);
	(void)fputs("\"tubes\":[", to);
	for (uint32_t i = 0; i < v->tube_count; i++) {
		(void)fputs(i > 0 ? "," : "", to);
		print_tube_json(to, &v->tubes[i]);
	}
	(void)fputs("]", to);
	if (o->are_jobs_wanted) {
		(void)fputs(",\"jobs\":[", to);
		for (uint32_t i = 0; i < v->job_count; i++) {
			(void)fputs(i > 0 ? "," : "", to);
			print_job_json(to, &v->jobs[i]);
		}
		(void)fprintf(to, "],\"has_more_jobs\":%s", v->has_more_jobs ? "true" : "false");
	}
	(void)fputs("}\n", to);
}

/* ------------------------------------------------------------------------------ text */

static void
print_totals(FILE *to, const uint64_t *s)
{
	(void)fprintf(to,
		"%" PRIu64 " tubes   %" PRIu64 " jobs: %" PRIu64 " ready, %" PRIu64
		" reserved, %" PRIu64 " delayed, %" PRIu64 " buried   memory %.1f %%\n",
		s[QUEUE_STAT_TUBES],
		s[QUEUE_STAT_JOBS_READY] + s[QUEUE_STAT_JOBS_RESERVED] +
			s[QUEUE_STAT_JOBS_DELAYED] + s[QUEUE_STAT_JOBS_BURIED],
		s[QUEUE_STAT_JOBS_READY], s[QUEUE_STAT_JOBS_RESERVED], s[QUEUE_STAT_JOBS_DELAYED],
		s[QUEUE_STAT_JOBS_BURIED],
		100.0 * (double)s[QUEUE_STAT_BYTES_USED] / (double)s[QUEUE_STAT_BYTES_MAX]);
	(void)fprintf(to,
		"%" PRIu64 " connections: %" PRIu64 " producers, %" PRIu64 " workers, %" PRIu64
		" wait\n",
		s[QUEUE_STAT_CONNECTIONS], s[QUEUE_STAT_PRODUCERS], s[QUEUE_STAT_WORKERS],
		s[QUEUE_STAT_WAITING]);
}

static void
print_tubes(FILE *to, const struct tasks_view *v)
{
	(void)fprintf(to, "\n%-24s %10s %8s %10s %8s %8s %6s %6s %12s %s\n", "tube", "ready",
		"reserved", "delayed", "buried", "waiting", "using", "watch", "jobs ever",
		"paused");
	for (uint32_t i = 0; i < v->tube_count; i++) {
		const struct tasks_tube *t = &v->tubes[i];
		const uint64_t *s = t->stats;

		(void)fprintf(to,
			"%-24s %10" PRIu64 " %8" PRIu64 " %10" PRIu64 " %8" PRIu64 " %8" PRIu64
			" %6" PRIu64 " %6" PRIu64 " %12" PRIu64,
			t->name, s[QUEUE_TUBE_STAT_JOBS_READY], s[QUEUE_TUBE_STAT_JOBS_RESERVED],
			s[QUEUE_TUBE_STAT_JOBS_DELAYED], s[QUEUE_TUBE_STAT_JOBS_BURIED],
			s[QUEUE_TUBE_STAT_WAITING], s[QUEUE_TUBE_STAT_USING],
			s[QUEUE_TUBE_STAT_WATCHING], s[QUEUE_TUBE_STAT_TOTAL_JOBS]);
		if (s[QUEUE_TUBE_STAT_PAUSE_LEFT_NS] > 0)
			(void)fprintf(to, " %.0f s", seconds(s[QUEUE_TUBE_STAT_PAUSE_LEFT_NS]));
		(void)fputs("\n", to);
	}
}

static void
print_job(FILE *to, const struct tasks_job *j)
{
	const uint64_t *n = j->numbers;
	char left[32] = "-";

	if (n[QUEUE_TASK_LEFT_NS] > 0)
		(void)snprintf(left, sizeof(left), "%.1f s", seconds(n[QUEUE_TASK_LEFT_NS]));
	(void)fprintf(to, "%12" PRIu64 " %8" PRIu64 " %-8s %10" PRIu64 " %10.1f s %10s  %-24s",
		n[QUEUE_TASK_ID], n[QUEUE_TASK_RESERVES], state_words[j->state], n[QUEUE_TASK_PRI],
		seconds(n[QUEUE_TASK_AGE_NS]), left, j->tube);
	if (j->state == TASK_RESERVED)
		(void)fprintf(to, " node %" PRIu64 ", connection %" PRIu64,
			j->holder[QUEUE_HOLDER_NODE], j->holder[QUEUE_HOLDER_CONNECTION]);
	(void)fputs("\n", to);
}

static void
print_jobs(FILE *to, const struct tasks_view *v)
{
	(void)fprintf(to, "\n%12s %8s %-8s %10s %12s %10s  %-24s %s\n", "job", "reserves", "state",
		"priority", "age", "left", "tube", "holder");
	for (uint32_t i = 0; i < v->job_count; i++)
		print_job(to, &v->jobs[i]);
	if (v->has_more_jobs)
		(void)fputs("             ... and more: --limit, --tube\n", to);
}

static void
print_text(FILE *to, const struct tasks_options *o, const struct tasks_view *v)
{
	print_totals(to, v->stats);
	print_tubes(to, v);
	if (o->tube == NULL && v->stats[QUEUE_STAT_TUBES] > v->tube_count)
		(void)fputs("... and more: --limit, --tube\n", to);
	if (o->are_jobs_wanted)
		print_jobs(to, v);
}

/* ------------------------------------------------------------------------------ asking */

static int
explain(const struct tasks_options *o, int rc)
{
	switch (rc) {
	case -ETIMEDOUT:
		return complain("no answer within %" PRIu64
				" ms: no node reachable, or no majority ('decree status' tells)",
			o->timeout_ms);
	case -ENOTSUP:
	case -EINVAL:
	case -EPROTO: /* somebody else's state machine answers something else */
		return complain("this cluster is no task queue (decreed --machine=queue)");
	case -ENOENT:
		return o->tube != NULL ? complain("there is no tube '%.200s'", o->tube)
				       : complain("there is no node %" PRIu64, o->node);
	default: return complain("%s", strerror(-rc));
	}
}

static int
show_once(const struct tasks_options *o, const struct tasks_question *t, struct tasks_view *v)
{
	int rc = tasks_view_fetch(v, t);

	if (rc != 0)
		return explain(o, rc);
	(o->is_json ? print_json : print_text)(stdout, o, v);
	return fflush(stdout) == 0 ? EXIT_SUCCESS : complain("cannot write: %s", strerror(errno));
}

static struct sample
sample(const struct tasks_view *v)
{
	return (struct sample){ now_ns(), v->stats[QUEUE_CMD_PUT],
		v->stats[QUEUE_CMD_RESERVE] + v->stats[QUEUE_CMD_RESERVE_TIMEOUT],
		v->stats[QUEUE_CMD_DELETE] };
}

static void
print_rates(FILE *to, const struct sample *a, const struct sample *b)
{
	double s = seconds(b->at_ns - a->at_ns);

	if (a->at_ns == 0 || s <= 0)
		(void)fputs("\n", to);
	else
		(void)fprintf(to, "each second: %.0f puts, %.0f reserves, %.0f deletes\n",
			(double)(b->puts - a->puts) / s, (double)(b->reserves - a->reserves) / s,
			(double)(b->deletes - a->deletes) / s);
}

/* As many lines of the text as a terminal has room for, where long ones go on in the next row: who
 * holds a job stands at their ends. @return their end */
static const char *
fill(const char *text, size_t rows, size_t columns)
{
	while (*text != '\0') {
		size_t bytes = (size_t)(strchrnul(text, '\n') - text);
		size_t taken = bytes == 0 ? 1 : (bytes + columns - 1) / columns;

		if (taken > rows)
			break;
		rows -= taken;
		text += bytes + (text[bytes] != '\0');
	}
	return text;
}

/* No more than fits, so that the first lines stay in sight. */
static void
put_on_screen(const char *text)
{
	struct winsize size = { 0 };
	bool is_known =
		ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 2 && size.ws_col > 0;
	const char *end = fill(text, is_known ? size.ws_row - 1u : 23, is_known ? size.ws_col : 80);

	(void)fputs(CLEAR, stdout);
	(void)fwrite(text, 1, (size_t)(end - text), stdout); /* as much as the terminal takes */
	(void)fflush(stdout);
}

static int
show_screen(const struct tasks_options *o, const struct tasks_question *t, struct tasks_view *v,
	struct sample *last)
{
	char *text = NULL;
	size_t bytes = 0;
	int rc = tasks_view_fetch(v, t);
	struct sample now;
	FILE *to;

	if (rc == -EINVAL || rc == -ENOTSUP || rc == -EPROTO || (rc == -ENOENT && o->tube == NULL))
		return explain(o, rc);
	if (rc != 0) {
		(void)explain(o, rc); /* it may come */
		return OPTIONS_GO_ON;
	}
	to = open_memstream(&text, &bytes);
	if (to == NULL)
		return complain("%s", strerror(errno));
	now = sample(v);
	print_rates(to, last, &now);
	print_text(to, o, v);
	if (fclose(to) == 0)
		put_on_screen(text);
	free(text);
	*last = now;
	return OPTIONS_GO_ON;
}

static int
show_always(const struct tasks_options *o, const struct tasks_question *t, struct tasks_view *v)
{
	const struct timespec pause = { .tv_sec = (time_t)(o->interval_ms / 1000),
		.tv_nsec = (long)(o->interval_ms % 1000 * MS) };
	struct sample last = { 0 };
	int status;

	while ((status = show_screen(o, t, v, &last)) == OPTIONS_GO_ON)
		(void)nanosleep(&pause, NULL);
	return status;
}

static int
run(const struct tasks_options *o)
{
	int status;
	struct tasks_question t = {
		.client = open_client(&o->config, 0, 1, &status),
		.node_id = (uint16_t)o->node,
		.timeout_ns = o->timeout_ms * MS,
		.tube = o->tube,
		.are_jobs_wanted = o->are_jobs_wanted,
		.count_max = (uint32_t)o->limit,
	};
	struct tasks_view v = { 0 };

	if (t.client == NULL)
		return status;
	status = o->is_once || o->is_json || !isatty(STDOUT_FILENO) ? show_once(o, &t, &v)
								    : show_always(o, &t, &v);
	tasks_view_fini(&v);
	decree_client_close(t.client);
	return status;
}

int
command_tasks(int argc, char **argv)
{
	struct tasks_options o = { .timeout_ms = 5000, .interval_ms = 1000, .limit = 100 };
	const struct option_row rows[] = {
		row_searched_config(&o.config),
		{ "jobs", 'j', NULL, "its jobs, too, and who holds them",
			.flag = &o.are_jobs_wanted },
		{ "tube", 't', "NAME", "only this tube", .text = &o.tube },
		{ "limit", 'n', "N", limit_help, .number = &o.limit, .min = 1, .max = 1000000 },
		{ "once", 0, NULL, "once, also on a terminal", .flag = &o.is_once },
		row_json(&o.is_json, "once, as one JSON object"),
		{ "interval", 0, "MS", "between two looks", .number = &o.interval_ms, .min = 10,
			.max = 3600000 },
		row_node("node", 0, &o.node, "ask this node (any)"),
		row_timeout(&o.timeout_ms, "wait this long for an answer"),
	};
	const struct option_page page = { "[-c FILE] [OPTION ...] [section.key=value ...]", about,
		rows, ROW_COUNT(rows) };
	int status = take_arguments(argc, argv, &page, &o.config, NULL, 0);

	return status == OPTIONS_GO_ON ? run(&o) : status;
}
