/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ENTRY_COUNT 65536
#define TIMEOUT_NS  UINT64_C(5000000000) /* of silence: a restarting node may come back */

static const char about[] =
	"What a node applied, one line per command: slot, index in the slot, session, number in "
	"the session, bytes, digest of the body. Commands that every node skipped (repeats) are "
	"marked, and so are those that opened a session: the state machine saw neither.";

struct log_options {
	struct config_arguments config;
	uint64_t node_id;
	uint64_t group;
	uint64_t from;
	bool is_json;
};

/* Session 0 is how a session is opened. */
static bool
is_registration(const struct decree_log_entry *e)
{
	return e->session.n == 0;
}

static void
print_json(const struct decree_log_entry *e)
{
	(void)printf("{\"slot\":%" PRIu64 ",\"index\":%" PRIu32 ",\"session\":%" PRIu64
		     ",\"seq\":%" PRIu64 ",\"bytes\":%" PRIu32
		     ",\"executed\":%s,\"digest\":\"%016" PRIx64 "%016" PRIx64 "\"}\n",
		e->slot.n, e->index, e->session.n, e->seq, e->bytes,
		e->executed && !is_registration(e) ? "true" : "false", e->digest.hi, e->digest.lo);
}

static void
print_text(const struct decree_log_entry *e)
{
	(void)printf("%" PRIu64 " %" PRIu32 " %" PRIu64 " %" PRIu64 " %" PRIu32 " %016" PRIx64
		     "%016" PRIx64 "%s\n",
		e->slot.n, e->index, e->session.n, e->seq, e->bytes, e->digest.hi, e->digest.lo,
		is_registration(e) ? " registration"
		: e->executed      ? ""
				   : " skipped");
}

static int
stream(struct decree_client *client, const struct log_options *o, struct decree_log_entry *entries)
{
	struct decree_slot first = { o->from };
	struct decree_slot next = first;

	for (;;) {
		int count = decree_client_log(client, (uint16_t)o->node_id, first, entries,
			ENTRY_COUNT, &next, TIMEOUT_NS);

		if (count == -ENOENT)
			return complain(
				"there is no node %" PRIu64 " in %s", o->node_id, o->config.path);
		if (count == -ETIMEDOUT)
			return complain("node %" PRIu64 " does not answer: is it running, and is "
					"its port reachable from here?",
				o->node_id);
		if (count < 0)
			return complain("node %" PRIu64 ": %s", o->node_id, strerror(-count));
		for (int i = 0; i < count; i++)
			(o->is_json ? print_json : print_text)(&entries[i]);
		if (next.n == first.n || ferror(stdout))
			break;
		first = next;
	}
	if (fflush(stdout) != 0)
		return complain("standard output: %s", strerror(errno));
	return EXIT_SUCCESS;
}

static int
run(const struct log_options *o)
{
	struct decree_log_entry *entries = calloc(ENTRY_COUNT, sizeof(entries[0]));
	struct decree_client *client = NULL;
	int status = EXIT_FAILURE;

	if (entries != NULL)
		client = open_client(&o->config, (uint16_t)o->group, 1, &status);
	if (client != NULL)
		status = stream(client, o, entries);
	decree_client_close(client);
	free(entries);
	return status;
}

/* @return OPTIONS_GO_ON, or the exit status after a complaint */
static int
take_only_node(struct log_options *o)
{
	struct decree_setup setup;
	int status = read_setup(&o->config, false, &setup);

	if (status != OPTIONS_GO_ON)
		return status;
	if (setup.node_count != 1)
		return complain_usage("whose log? Add --node N");
	o->node_id = setup.nodes[0];
	return OPTIONS_GO_ON;
}

int
command_log(int argc, char **argv)
{
	struct log_options o = { .from = 1 };
	const struct option_row rows[] = {
		row_searched_config(&o.config),
		row_node("node", 'n', &o.node_id, "ask this node (the only one)"),
		row_group(&o.group),
		{ "from", 'f', "SLOT", "from this slot on", .number = &o.from, .min = 1,
			.max = INT64_MAX },
		row_json(&o.is_json, "one JSON object per line"),
	};
	const struct option_page page = {
		"[-c FILE] [--node N] [OPTION ...] [section.key=value ...]", about, rows,
		ROW_COUNT(rows)
	};
	int status = take_arguments(argc, argv, &page, &o.config, NULL, 0);

	if (status != OPTIONS_GO_ON)
		return status;
	if (o.node_id == 0)
		status = take_only_node(&o);
	return status == OPTIONS_GO_ON ? run(&o) : status;
}
