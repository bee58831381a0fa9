/* SPDX-License-Identifier: Apache-2.0 */
/* decree top: what a cluster does, live. */
#include "apps/top.h"
#include "apps/command.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define HOME  "\033[H"
#define CLEAR "\033[2J"
#define REST  "\033[J"   /* of the screen */
#define CUT   "\033[?7l" /* lines that are too long for the terminal, instead of wrapping them */
#define WRAP  "\033[?7h"

static const char about[] =
	"Who leads, how many commands each second, how long the stages of a commit take, how full "
	"the logs are, and what is wrong: again and again on a terminal, else once. Rates and "
	"latencies are of the last second.";

struct top_options {
	struct config_arguments config;
	uint64_t timeout_ms;
	uint64_t interval_ms;
	bool is_once;
	bool is_json;
};

/* ------------------------------------------------------------------------------ asking */

static void
take_answer(struct top_row *r, const struct decree_metrics *answers)
{
	r->has_answered = false;
	for (uint32_t i = 0; i < DECREE_NODE_COUNT_MAX; i++)
		if (answers[i].node_id == r->node_id) {
			r->has_answered = true;
			r->metrics = answers[i];
		}
}

/* All nodes at the same time, one group after the other. @return how many rows have answered */
static uint32_t
ask(struct decree_client *const *clients, const struct decree_setup *setup, uint64_t timeout_ns,
	struct top_view *v)
{
	uint32_t count = 0;

	for (uint16_t group = 0; group < setup->group_count; group++) {
		struct decree_metrics answers[DECREE_NODE_COUNT_MAX] = { 0 };

		/* Silent ones are counted row by row; the call has no other way to fail here. */
		(void)decree_client_metrics_all(clients[group], timeout_ns, answers);
		for (uint32_t i = 0; i < setup->node_count; i++) {
			struct top_row *r = &v->rows[group * setup->node_count + i];

			r->group = group;
			r->node_id = setup->nodes[i];
			take_answer(r, answers);
			count += r->has_answered;
		}
	}
	return count;
}

static void
remember(struct top_view *v)
{
	if (v->history_count == TOP_HISTORY_COUNT)
		memmove(v->history, v->history + 1, --v->history_count * sizeof(v->history[0]));
	v->history[v->history_count++] = top_rate(v);
}

/* ------------------------------------------------------------------------------ JSON */

static void
print_key(const struct decree_metric *m)
{
	/* "@" stands for labels that are known to the node only. */
	const char *labels = m->labels[0] == '@' ? "" : m->labels;

	(void)printf("\"%s%s", m->name, labels[0] != '\0' ? "{" : "");
	for (const char *at = labels; *at != '\0'; at++)
		(void)printf(*at == '"' ? "\\%c" : "%c", *at);
	(void)printf("%s\":", labels[0] != '\0' ? "}" : "");
}

static void
print_value(const struct decree_metric *m, uint64_t value)
{
	if (value == DECREE_METRIC_ABSENT ||
		(m->unit == DECREE_UNIT_SECONDS && value == UINT64_MAX))
		(void)printf("null");
	else if (m->unit == DECREE_UNIT_SECONDS && m->kind != DECREE_HISTOGRAM)
		(void)printf("%" PRIu64 ".%09" PRIu64, value / 1000000000, value % 1000000000);
	else
		(void)printf("%" PRIu64, value);
}

static void
print_peer(const struct top_row *r, const struct decree_peer_metrics *peer)
{
	const struct decree_metric *m;

	(void)printf("{\"node\":%u", peer->node_id);
	for (uint32_t k = 0; (m = decree_metric_at(r->metrics.value_count + k)) != NULL; k++) {
		(void)putchar(',');
		print_key(m);
		print_value(m, peer->values[k]);
	}
	(void)putchar('}');
}

static void
print_row_json(const struct top_row *r)
{
	(void)printf("{\"node\":%u,\"group\":%u,\"answers\":%s", r->node_id, r->group,
		r->has_answered ? "true" : "false");
	if (r->has_answered) {
		(void)printf(",\"metrics\":{");
		for (uint32_t i = 0; i < r->metrics.value_count; i++) {
			(void)fputs(i > 0 ? "," : "", stdout);
			print_key(decree_metric_at(i));
			print_value(decree_metric_at(i), r->metrics.values[i]);
		}
		(void)printf("},\"peers\":[");
		for (uint32_t i = 0; i < r->metrics.peer_count; i++) {
			(void)fputs(i > 0 ? "," : "", stdout);
			print_peer(r, &r->metrics.peers[i]);
		}
		(void)putchar(']');
	}
	(void)printf("}\n");
}

/* ------------------------------------------------------------------------------ the screen */

/* No more lines than the terminal has; what is on it is written over, so that it does not flicker. */
static void
put_on_screen(const char *text)
{
	struct winsize size = { 0 };
	int lines = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 2
			    ? size.ws_row - 1
			    : 23;

	(void)fputs(CUT HOME, stdout);
	while (lines-- > 0 && *text != '\0') {
		int bytes = (int)(strchrnul(text, '\n') - text);

		(void)printf("%.*s\033[K\n", bytes, text);
		text += bytes + (text[bytes] != '\0');
	}
	(void)fputs(REST WRAP, stdout);
	(void)fflush(stdout);
}

static int
show_screen(const struct top_view *v)
{
	char *text = NULL;
	size_t bytes = 0;
	FILE *to = open_memstream(&text, &bytes);

	if (to == NULL)
		return complain("%s", strerror(errno));
	top_draw(to, v, true);
	if (fclose(to) == 0)
		put_on_screen(text);
	free(text);
	return OPTIONS_GO_ON;
}

static int
show_always(const struct top_options *o, struct decree_client *const *clients,
	const struct decree_setup *setup, struct top_view *v)
{
	const struct timespec pause = { .tv_sec = (time_t)(o->interval_ms / 1000),
		.tv_nsec = (long)(o->interval_ms % 1000 * MS) };
	int status;

	(void)fputs(CLEAR, stdout);
	do {
		(void)ask(clients, setup, o->timeout_ms * MS,
			v); /* the screen tells who was silent */
		remember(v);
		status = show_screen(v);
		(void)nanosleep(&pause, NULL);
	} while (status == OPTIONS_GO_ON);
	return status;
}

static int
show_once(const struct top_options *o, struct decree_client *const *clients,
	const struct decree_setup *setup, struct top_view *v)
{
	uint32_t count = ask(clients, setup, o->timeout_ms * MS, v);

	if (!o->is_json)
		top_draw(stdout, v, false);
	for (uint32_t i = 0; o->is_json && i < v->row_count; i++)
		print_row_json(&v->rows[i]);
	if (fflush(stdout) != 0)
		return complain("cannot write: %s", strerror(errno));
	return count > 0 ? EXIT_SUCCESS
			 : complain("no node answers: not running, not reachable, or another key");
}

/* ------------------------------------------------------------------------------ the command */

/* @return OPTIONS_GO_ON, or the exit status */
static int
open_clients(const struct top_options *o, const struct decree_setup *setup,
	struct decree_client **ret_clients)
{
	int status;

	for (uint16_t group = 0; group < setup->group_count; group++) {
		ret_clients[group] = open_client(&o->config, group, 1, &status);
		if (ret_clients[group] == NULL)
			return status;
		/* Begins the handshakes, so that no group waits for another one's. Nothing is
		 * complete yet. */
		(void)decree_client_poll(ret_clients[group], NULL, 0, 0);
	}
	return OPTIONS_GO_ON;
}

static int
run(const struct top_options *o)
{
	struct decree_client *clients[DECREE_GROUP_COUNT_MAX] = { NULL };
	struct decree_setup setup;
	struct top_view v = { 0 };
	int status;

	status = read_setup(&o->config, false, &setup);
	if (status != OPTIONS_GO_ON)
		return status;
	v.cluster_id = setup.cluster_id;
	v.name = setup.name;
	v.node_count = setup.node_count;
	v.row_count = setup.node_count * setup.group_count;
	v.rows = calloc(v.row_count, sizeof(*v.rows));
	if (v.rows == NULL)
		return complain("out of memory");
	status = open_clients(o, &setup, clients);
	if (status == OPTIONS_GO_ON)
		status = o->is_once || o->is_json || !isatty(STDOUT_FILENO)
				 ? show_once(o, clients, &setup, &v)
				 : show_always(o, clients, &setup, &v);
	for (uint16_t group = 0; group < setup.group_count; group++)
		decree_client_close(clients[group]);
	free(v.rows);
	return status;
}

int
command_top(int argc, char **argv)
{
	struct top_options o = { .timeout_ms = 500, .interval_ms = 1000 };
	const struct option_row rows[] = {
		row_searched_config(&o.config),
		{ "once", 0, NULL, "once, also on a terminal", .flag = &o.is_once },
		row_json(&o.is_json, "once, as one JSON object per line"),
		{ "interval", 0, "MS", "between two looks", .number = &o.interval_ms, .min = 10,
			.max = 3600000 },
		row_timeout(&o.timeout_ms, "wait this long for each node"),
	};
	const struct option_page page = { "[-c FILE] [OPTION ...] [section.key=value ...]", about,
		rows, ROW_COUNT(rows) };
	int status = take_arguments(argc, argv, &page, &o.config, NULL, 0);

	return status == OPTIONS_GO_ON ? run(&o) : status;
}
