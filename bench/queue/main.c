/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Servers of the beanstalk protocol side by side. Every load is run against each server in turns (A
 * B C ... A B C ...), so that all see the same machine in the same minute; medians of the rounds
 * are printed, and medians of the ratios of each round. The servers are already there: bench/queues
 * starts them.
 */
#include "apps/options.h"
#include "bench/queue/results.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define BACKLOG_TUBE "bench-backlog"

struct options {
	const char *loads;
	const char *against;
	const char *json;
	const char *markdown;
	const char *plot;
	uint32_t body_bytes;
	uint64_t backlog;
	double seconds;
	struct results *results;
};

/* ------------------------------------------------------------------------------ measuring */

/* A percentile is told if at least ten samples lie above it. */
static double
percentile_us(const struct histogram *h, double percent)
{
	return histogram_has(h, percent) ? (double)histogram_at(h, percent) / 1e3 : 0;
}

static struct measured
measured_from(const struct load_result *l)
{
	return (struct measured){
		.per_s = l->per_s,
		.p50_us = percentile_us(&l->latency, 50),
		.p90_us = percentile_us(&l->latency, 90),
		.p99_us = percentile_us(&l->latency, 99),
		.p999_us = percentile_us(&l->latency, 99.9),
		.max_us = (double)histogram_at(&l->latency, 100) / 1e3,
		.lag_us = percentile_us(&l->lag, 99),
		.unsent = (double)l->unsent_count,
	};
}

static int
measure_one(const struct options *o, uint32_t plan, uint32_t server, uint32_t round)
{
	struct results *r = o->results;
	static struct load_result l;
	char tube[64], error[LOAD_ERROR_BYTES];

	snprintf(tube, sizeof(tube), "bench-%d-%u-%u-%u", (int)getpid(), plan, server, round);
	if (o->backlog > 0)
		snprintf(tube, sizeof(tube), "%s", BACKLOG_TUBE);
	if (load_run(&r->servers[server], &r->plans[plan], tube, &l, error) != 0)
		return complain("%s, %s: %s", r->servers[server].name, r->plan_names[plan], error);
	r->measured[plan][server][round] = measured_from(&l);
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\rround %u of %u, %s, %s   \033[K", round + 1, r->round_count,
			r->plan_names[plan], r->servers[server].name);
	return 0;
}

static int
measure_all(const struct options *o)
{
	const struct results *r = o->results;

	for (uint32_t plan = 0; plan < r->plan_count; plan++)
		for (uint32_t round = 0; round < r->round_count; round++)
			for (uint32_t server = 0; server < r->server_count; server++)
				if (measure_one(o, plan, server, round) != 0)
					return EXIT_FAILURE;
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r\033[K");
	return 0;
}

static int
fill_all(struct results *r, const struct options *o)
{
	char error[LOAD_ERROR_BYTES];

	for (uint32_t server = 0; o->backlog > 0 && server < r->server_count; server++)
		if (load_fill(&r->servers[server], o->backlog, o->body_bytes, BACKLOG_TUBE,
			    error) != 0)
			return complain("%s: %s", r->servers[server].name, error);
	return 0;
}

static int
tell(const struct results *r, const struct options *o)
{
	int rc;

	results_print(r);
	if (o->json != NULL && (rc = results_write_json(r, o->json)) != 0)
		return complain("%s: %s", o->json, strerror(-rc));
	if (o->markdown != NULL && (rc = results_write_markdown(r, o->markdown)) != 0)
		return complain("%s: %s", o->markdown, strerror(-rc));
	if (o->plot == NULL)
		return 0;
	rc = results_plot(r, o->plot);
	if (rc == -ENOENT)
		return complain("%s: install gnuplot for plots", o->plot);
	return rc == 0 ? 0 : complain("%s: %s", o->plot, strerror(-rc));
}

/* ----------------------------------------------------------------------------- the command line */

/* ADDR:PORT, IPv4. */
static bool
take_address(const char *text, size_t length, struct sockaddr_in *ret)
{
	char copy[64], *colon, *end;
	unsigned long port;

	if (length >= sizeof(copy))
		return false;
	memcpy(copy, text, length);
	copy[length] = '\0';
	colon = strrchr(copy, ':');
	if (colon == NULL)
		return false;
	*colon = '\0';
	port = strtoul(colon + 1, &end, 10);
	*ret = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	return *end == '\0' && port > 0 && port <= 65535 &&
	       inet_pton(AF_INET, copy, &ret->sin_addr) == 1;
}

/* NAME=[amqp:]ADDR:PORT,ADDR:PORT,... */
static bool
take_server(struct results *r, const char *text)
{
	const char *at = strchr(text, '=');
	struct load_server *s = &r->servers[r->server_count];

	if (r->server_count == SERVER_COUNT_MAX || at == NULL || at == text ||
		(size_t)(at - text) >= sizeof(s->name))
		return false;
	memcpy(s->name, text, (size_t)(at - text));
	s->is_amqp = strncmp(at + 1, "amqp:", 5) == 0;
	at += s->is_amqp ? 5 : 0;
	while (at != NULL && s->address_count < LOAD_ADDRESS_COUNT_MAX) {
		size_t length = strcspn(++at, ",");

		if (!take_address(at, length, &s->addresses[s->address_count++]))
			return false;
		at = at[length] == ',' ? at + length : NULL;
	}
	r->server_count++;
	return at == NULL;
}

/* A number of a load, which ends where another one, or the load, begins. @return 0: it is none */
static uint32_t
take_count(const char **at)
{
	char *end;
	unsigned long count = **at >= '0' && **at <= '9' ? strtoul(*at, &end, 10) : 0;

	if (count > UINT32_MAX)
		count = 0;
	if (count > 0)
		*at = end;
	return (uint32_t)count;
}

/* CONNECTIONS[:DEPTH][@RATE] */
static bool
take_shape(struct load_plan *p, const char *at)
{
	p->connection_count = take_count(&at);
	if (p->connection_count < (p->kind == LOAD_FAN ? 2 : 1) ||
		p->connection_count > LOAD_CONNECTION_COUNT_MAX)
		return false;
	if (*at == ':' && p->kind == LOAD_CYCLE) {
		at++;
		p->depth = take_count(&at);
	} else if (*at == '@' && p->kind != LOAD_FAN) {
		at++;
		p->rate = take_count(&at);
		if (p->rate == 0)
			return false;
	}
	return *at == 0 && p->depth >= 1 && p->depth <= LOAD_DEPTH_MAX;
}

/* KIND:SHAPE */
static bool
take_load(const struct options *o, const char *text, size_t length)
{
	static const char *const kinds[] = { "put", "cycle", "fan" };
	struct results *r = o->results;
	struct load_plan *p = &r->plans[r->plan_count];
	char *name = r->plan_names[r->plan_count];
	size_t kind_bytes = strcspn(text, ":");

	if (r->plan_count == LOAD_COUNT_MAX || length >= sizeof(r->plan_names[0]) ||
		kind_bytes >= length)
		return false;
	memcpy(name, text, length);
	*p = (struct load_plan){
		.kind = LOAD_PUT,
		.body_bytes = o->body_bytes,
		.depth = 1,
		.run_ns = (uint64_t)(o->seconds * 1e9),
	};
	p->warm_ns = p->run_ns / 5;
	while (p->kind <= LOAD_FAN && (strlen(kinds[p->kind]) != kind_bytes ||
					      memcmp(kinds[p->kind], name, kind_bytes) != 0))
		p->kind++;
	r->plan_count++;
	return p->kind <= LOAD_FAN && take_shape(p, name + kind_bytes + 1);
}

static bool
take_loads(const struct options *o)
{
	for (const char *at = o->loads; *at != '\0';) {
		size_t length = strcspn(at, ",");

		if (!take_load(o, at, length)) {
			(void)complain_usage(
				"--loads: %.*s: expected put:N, put:N@RATE, cycle:N, "
				"cycle:N:DEPTH, cycle:N@RATE or fan:N, at most %u of them",
				(int)length, at, LOAD_COUNT_MAX);
			return false;
		}
		at += length + (at[length] == ',');
	}
	return true;
}

/* What has no counterpart with RabbitMQ. */
static bool
amqp_is_able(const struct options *o)
{
	const struct results *r = o->results;
	bool has_amqp = false, has_open_cycle = false;

	for (uint32_t i = 0; i < r->server_count; i++)
		has_amqp |= r->servers[i].is_amqp;
	for (uint32_t i = 0; i < r->plan_count; i++)
		has_open_cycle |= r->plans[i].kind == LOAD_CYCLE && r->plans[i].rate > 0;
	if (!has_amqp || (!has_open_cycle && o->backlog == 0))
		return true;
	(void)complain_usage("amqp: there is neither cycle:N@RATE nor --backlog");
	return false;
}

static bool
take_against(struct results *r, const char *name)
{
	if (name == NULL)
		return true;
	while (r->against < r->server_count && strcmp(r->servers[r->against].name, name) != 0)
		r->against++;
	if (r->against < r->server_count)
		return true;
	(void)complain_usage("--against %s: no server has that name", name);
	return false;
}

static bool
take_seconds(const struct option_row *row, const char *text)
{
	double *seconds = row->context;
	char *end;

	*seconds = strtod(text, &end);
	if (end != text && *end == '\0' && *seconds >= 0.01 && *seconds <= 600)
		return true;
	(void)complain_usage("--seconds %s: expected 0.01 to 600", text);
	return false;
}

static const char about[] =
	"Servers of the beanstalk protocol under the same load, in turns; a load is put:N, N "
	"connections that each put a job when their last one is INSERTED, cycle:N, put, reserve "
	"and delete by each connection, cycle:N:DEPTH, the same with DEPTH of them under way on "
	"each, pipelined, put:N@RATE or cycle:N@RATE, the same at a fixed rate, or fan:N, one "
	"producer and N - 1 workers.\nNAME=ADDRESS:PORT[,ADDRESS:PORT...] is a server; its "
	"connections take its addresses in turns. NAME=amqp:ADDRESS:PORT[,...] is RabbitMQ, with "
	"quorum queues.";

/* @return OPTIONS_GO_ON, or the exit status */
static int
take_arguments(struct options *o, int argc, char **argv)
{
	struct results *r = o->results;
	const struct option_row rows[] = {
		{ "loads", 0, "LIST", "what to measure", .text = &o->loads },
		{ "body", 0, "BYTES", "of a job", .number32 = &o->body_bytes,
			.min = LOAD_BODY_BYTES_MIN, .max = LOAD_BODY_BYTES_MAX },
		{ "seconds", 0, "S", "measure each this long in a round (2)", .take = take_seconds,
			.context = &o->seconds },
		{ "rounds", 0, "N", "rounds; the medians are printed", .number32 = &r->round_count,
			.min = 1, .max = ROUND_COUNT_MAX },
		{ "backlog", 0, "N", "first put so many jobs into the tube of all loads",
			.number = &o->backlog, .min = 0, .max = 1000000000 },
		{ "against", 0, "NAME", "compare with this server; else with the first",
			.text = &o->against },
		{ "json", 0, "FILE", "write the medians there", .text = &o->json },
		{ "markdown", 0, "FILE", "write them there, as the rows of a table",
			.text = &o->markdown },
		{ "plot", 0, "FILE", "draw them there, as an SVG; needs gnuplot",
			.text = &o->plot },
	};
	const struct option_page page = { "[OPTION ...] NAME=ADDRESS:PORT ...", about, rows,
		sizeof(rows) / sizeof(rows[0]) };
	int first, status;

	options_set_program("queue", "");
	status = options_take(argc, argv, &page, &first);
	if (status != OPTIONS_GO_ON)
		return status;
	if (first == argc)
		return complain_usage("no server: NAME=ADDRESS:PORT");
	for (int i = first; i < argc; i++)
		if (!take_server(r, argv[i]))
			return complain_usage("%s: expected NAME=ADDRESS:PORT[,ADDRESS:PORT...], "
					      "at most %u of them",
				argv[i], SERVER_COUNT_MAX);
	return take_against(r, o->against) && take_loads(o) && amqp_is_able(o) ? OPTIONS_GO_ON
									       : EXIT_USAGE;
}

int
main(int argc, char **argv)
{
	static struct results r = { .round_count = 6 };
	struct options o = {
		.loads = "put:1,put:10,put:100,put:1000,put:10@500,cycle:1,cycle:10,cycle:100,"
			 "cycle:1000,cycle:10:10,cycle:100:10,fan:11",
		.body_bytes = 100,
		.seconds = 2,
		.results = &r
	};
	int status = take_arguments(&o, argc, argv);
	struct rlimit limit;

	if (status != OPTIONS_GO_ON)
		return status;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit); /* then a connection says so */
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	status = fill_all(&r, &o);
	if (status == 0)
		status = measure_all(&o);
	return status == 0 ? tell(&r, &o) : status;
}
