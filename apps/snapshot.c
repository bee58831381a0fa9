/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LOOK_MS   100
#define ANSWER_MS 500
#define NODE_MAX  DECREE_NODE_COUNT_MAX

static const char about[] =
	"Have every node cut a snapshot now, at one slot that holds everything applied so far, and "
	"wait until all of them have it on disk, verified. The exit status is 1 if some node has "
	"none in time; it is named, and goes on by itself.";

struct snapshot_options {
	struct config_arguments config;
	uint64_t group;
	uint64_t timeout_ms;
};

/* What is known of each node: the slot of its snapshot, 0 = none, or it did not answer. */
struct survey {
	uint16_t node_count;
	uint16_t nodes[NODE_MAX];
	bool has_answered[NODE_MAX];
	struct decree_status last[NODE_MAX];
};

static void
survey_take(struct survey *s, struct decree_client *client)
{
	for (uint32_t i = 0; i < s->node_count; i++)
		s->has_answered[i] =
			decree_client_status(client, s->nodes[i], ANSWER_MS * MS, &s->last[i]) == 0;
}

static struct decree_slot
survey_newest(const struct survey *s)
{
	struct decree_slot newest = { 0 };

	for (uint32_t i = 0; i < s->node_count; i++)
		if (s->has_answered[i] && s->last[i].snapshot.n > newest.n)
			newest = s->last[i].snapshot;
	return newest;
}

/* A node that waits to be added knows of nothing decided, and cuts nothing. */
static bool
is_outside(const struct decree_status *status)
{
	return status->chosen.n == 0;
}

static uint32_t
survey_count(const struct survey *s, struct decree_slot slot)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < s->node_count; i++)
		count += s->has_answered[i] &&
			 (s->last[i].snapshot.n >= slot.n || is_outside(&s->last[i]));
	return count;
}

static int
report(const struct survey *s, struct decree_slot slot)
{
	uint32_t lacking = s->node_count - survey_count(s, slot);

	for (uint32_t i = 0; i < s->node_count; i++) {
		const struct decree_status *status = &s->last[i];

		if (!s->has_answered[i])
			(void)complain("node %u does not answer", s->nodes[i]);
		else if (is_outside(status))
			(void)printf("node %u: no member yet\n", s->nodes[i]);
		else if (status->snapshot.n < slot.n)
			(void)complain("node %u has no snapshot at slot %" PRIu64
				       " yet (its last one: %" PRIu64 ")%s",
				s->nodes[i], slot.n, status->snapshot.n,
				status->snapshot_space_low ? ": it has no space for snapshots"
							   : "");
		else
			(void)printf("node %u: slot %" PRIu64 ", %" PRIu64 " bytes\n", s->nodes[i],
				status->snapshot.n, status->snapshot_bytes);
	}
	return lacking == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* The leader has one: wait for the others. */
static int
await_all(const struct snapshot_options *o, struct decree_client *client, uint64_t until_ns)
{
	const struct timespec pause = { .tv_nsec = LOOK_MS * MS };
	struct survey s = { 0 };
	struct decree_setup setup;
	struct decree_slot slot;
	int status;

	status = read_setup(&o->config, false, &setup);
	if (status != OPTIONS_GO_ON)
		return status;
	s.node_count = (uint16_t)setup.node_count;
	for (uint32_t i = 0; i < s.node_count; i++)
		s.nodes[i] = setup.nodes[i];
	survey_take(&s, client);
	slot = survey_newest(&s);
	while (survey_count(&s, slot) < s.node_count && now_ns() < until_ns) {
		(void)nanosleep(&pause, NULL); /* cut short: looks again sooner */
		survey_take(&s, client);
	}
	return report(&s, slot);
}

static int
run(const struct snapshot_options *o)
{
	const uint8_t arguments[DECREE_ADMIN_ARGUMENT_BYTES] = { 0 };
	uint64_t until_ns = now_ns() + o->timeout_ms * MS;
	int status;
	struct decree_client *client = open_client(&o->config, (uint16_t)o->group, 1, &status);
	char text[DECREE_ERROR_BYTES];
	int rc;

	if (client == NULL)
		return status;
	rc = decree_client_admin(
		client, DECREE_ADMIN_SNAPSHOT, arguments, o->timeout_ms * MS, text);
	rc = rc == 0 ? await_all(o, client, until_ns) : complain("%s", text);
	decree_client_close(client);
	return rc;
}

int
command_snapshot(int argc, char **argv)
{
	struct snapshot_options o = { .timeout_ms = 60000 };
	const struct option_row rows[] = {
		row_searched_config(&o.config),
		row_group(&o.group),
		row_timeout(&o.timeout_ms, "wait this long altogether"),
	};
	const struct option_page page = { "[-c FILE] [OPTION ...] [section.key=value ...]", about,
		rows, ROW_COUNT(rows) };
	int status = take_arguments(argc, argv, &page, &o.config, NULL, 0);

	return status == OPTIONS_GO_ON ? run(&o) : status;
}
