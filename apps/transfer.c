/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/command.h"

#include <stdio.h>
#include <stdlib.h>

static const char about[] = "Make NODE the leader. The present leader lets it catch up, takes no "
			    "new commands meanwhile (clients wait and repeat by themselves), and "
			    "goes on leading if NODE does not take over within election_ms.";

struct transfer_options {
	struct config_arguments config;
	uint64_t group;
	uint64_t timeout_ms;
	uint64_t node_id;
};

static int
run(const struct transfer_options *o)
{
	int status;
	struct decree_client *client = open_client(&o->config, (uint16_t)o->group, 1, &status);
	char text[DECREE_ERROR_BYTES];
	int rc;

	if (client == NULL)
		return status;
	rc = decree_client_transfer(client, (uint16_t)o->node_id, o->timeout_ms * MS, text);
	decree_client_close(client);
	return tell_outcome(rc, text);
}

int
command_transfer(int argc, char **argv)
{
	struct transfer_options o = { .timeout_ms = 5000 };
	const struct option_row rows[] = {
		row_searched_config(&o.config),
		row_group(&o.group),
		row_timeout(&o.timeout_ms, "wait this long for the outcome"),
	};
	const struct option_page page = { "[-c FILE] [OPTION ...] [section.key=value ...] NODE",
		about, rows, ROW_COUNT(rows) };
	const char *node = NULL;
	int status = take_arguments(argc, argv, &page, &o.config, &node, 1);

	if (status != OPTIONS_GO_ON)
		return status;
	if (node == NULL)
		return complain_usage("which node shall lead?");
	if (!parse_node("NODE", node, &o.node_id))
		return EXIT_USAGE;
	return run(&o);
}
