/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/command.h"

#include <stdio.h>
#include <stdlib.h>

#define MS UINT64_C(1000000)

static const char help[] =
	"usage: decree transfer -c FILE [--group N] [--timeout MS] [section.key=value ...] NODE\n\n"
	"Make NODE the leader. The present leader lets it catch up, takes no new commands "
	"meanwhile "
	"(clients\n"
	"wait and repeat by themselves), and goes on leading if NODE does not take over within "
	"election_ms.\n\n"
	"  -c, --config FILE  the configuration of the cluster\n"
	"  -g, --group N      of this group (0)\n"
	"      --timeout MS   wait this long for the outcome (5000)\n";

struct transfer_options {
	struct config_arguments config;
	uint64_t group;
	uint64_t timeout_ms;
	uint64_t node_id;
};

static int
run(const struct transfer_options *o)
{
	struct decree_client *client = open_client(&o->config, (uint16_t)o->group, 1);
	char text[DECREE_ERROR_BYTES];
	int rc;

	if (client == NULL)
		return EXIT_FAILURE;
	rc = decree_client_transfer(client, (uint16_t)o->node_id, o->timeout_ms * MS, text);
	decree_client_close(client);
	if (rc != 0)
		return complain("%s", text);
	(void)printf("%s\n", text);
	return EXIT_SUCCESS;
}

int
command_transfer(int argc, char **argv)
{
	static const struct option options[] = { { "config", required_argument, NULL, 'c' },
		{ "group", required_argument, NULL, 'g' },
		{ "timeout", required_argument, NULL, 't' }, { "help", no_argument, NULL, 'h' },
		{ 0 } };
	struct transfer_options o = { .timeout_ms = 5000 };
	const char *node = NULL;
	bool ok = true;
	int option;

	while (ok && (option = getopt_long(argc, argv, ":c:g:h", options, NULL)) != -1) {
		if (option == 'c')
			o.config.path = optarg;
		else if (option == 'g')
			ok = parse_number(
				"--group", optarg, 0, DECREE_GROUP_COUNT_MAX - 1, &o.group);
		else if (option == 't')
			ok = parse_number("--timeout", optarg, 1, 3600000, &o.timeout_ms);
		else if (option == 'h')
			return printf("%s", help), EXIT_SUCCESS;
		else
			return complain_option(argv);
	}
	if (!ok || take_arguments(argc, argv, &o.config, &node, 1) < 0)
		return EXIT_USAGE;
	if (node == NULL)
		return complain_usage("which node shall lead?");
	if (!parse_number("NODE", node, 1, UINT16_MAX, &o.node_id))
		return EXIT_USAGE;
	return run(&o);
}
