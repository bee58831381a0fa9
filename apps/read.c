/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char about[] = "Asks the state machine of one group and prints its answer. The log "
			    "machine of decreed answers 'count' and 'digest'.";

static const char consistency_help[] =
	"linearizable: sees everything that was acknowledged to anybody before; lease: the same, "
	"faster at a leader with a lease; stale: whatever the node has applied";

struct read_options {
	struct config_arguments config;
	uint64_t consistency; /* enum decree_consistency */
	uint64_t node;
	uint64_t group;
	uint64_t timeout_ms;
	const char *query;
};

static int
explain(const struct read_options *o, int32_t rc)
{
	switch (rc) {
	case -ETIMEDOUT:
		return complain("no answer within %" PRIu64
				" ms: no node reachable, or no majority ('decree status' tells)",
			o->timeout_ms);
	case -ENOTSUP: return complain("the state machine of this cluster answers no reads");
	case -EMSGSIZE:
		return complain("the query is longer than %d bytes", DECREE_QUERY_BYTES_MAX);
	case -ENOENT: return complain("there is no node %" PRIu64, o->node);
	default: return complain("the state machine says: %s", strerror(-rc));
	}
}

static int
run(const struct read_options *o)
{
	int status;
	struct decree_client *client = open_client(&o->config, (uint16_t)o->group, 1, &status);
	char answer[DECREE_ANSWER_BYTES_MAX];
	int32_t rc;

	if (client == NULL)
		return status;
	rc = decree_client_read(client, (uint16_t)o->node, o->query, (uint32_t)strlen(o->query),
		(enum decree_consistency)o->consistency, answer, sizeof(answer),
		o->timeout_ms * MS);
	decree_client_close(client);
	if (rc < 0)
		return explain(o, rc);
	if (fwrite(answer, 1, (size_t)rc, stdout) != (size_t)rc || putchar('\n') == EOF ||
		fflush(stdout) != 0)
		return complain("cannot write the answer: %s", strerror(errno));
	return EXIT_SUCCESS;
}

int
command_read(int argc, char **argv)
{
	static const char *const words[] = { "linearizable", "lease", "stale", NULL };
	struct read_options o = { .timeout_ms = 5000 };
	const struct option_row rows[] = {
		row_cluster_config(&o.config),
		{ "consistency", 0, "WORD", consistency_help, .number = &o.consistency,
			.words = words },
		row_node("node", 0, &o.node, "ask this node (any)"),
		row_group(&o.group),
		row_timeout(&o.timeout_ms, "wait this long for the answer"),
	};
	const struct option_page page = { "[-c FILE] [OPTION ...] QUERY [section.key=value ...]",
		about, rows, ROW_COUNT(rows) };
	int status = take_arguments(argc, argv, &page, &o.config, &o.query, 1);

	if (status != OPTIONS_GO_ON)
		return status;
	if (o.query == NULL)
		return complain_usage(
			"no QUERY: add what to ask, as 'count' of decreed --machine=log");
	return run(&o);
}
