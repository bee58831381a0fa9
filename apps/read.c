/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MS UINT64_C(1000000)

static const char help[] =
	"usage: decree read -c FILE [OPTION ...] QUERY [section.key=value ...]\n\n"
	"Asks the state machine of one group and prints its answer. The log machine of decreed "
	"answers\n"
	"'count' and 'digest'.\n\n"
	"  -c, --config FILE         the configuration of the cluster\n"
	"      --consistency WORD    linearizable (default): sees everything that was "
	"acknowledged\n"
	"                            to anybody before; lease: the same, faster at a leader with "
	"a\n"
	"                            lease; stale: whatever the node has applied\n"
	"      --node N              ask this node (any)\n"
	"      --group N             (0)\n"
	"      --timeout MS          (5000)\n";

struct read_options {
	struct config_arguments config;
	enum decree_consistency consistency;
	uint64_t node;
	uint64_t group;
	uint64_t timeout_ms;
	const char *query;
};

static bool
parse_consistency(const char *text, enum decree_consistency *ret)
{
	static const char *const words[] = { "linearizable", "lease", "stale" };

	for (int i = 0; i < 3; i++)
		if (strcmp(text, words[i]) == 0) {
			*ret = (enum decree_consistency)i;
			return true;
		}
	(void)complain_usage("--consistency is linearizable, lease or stale, not '%.64s'", text);
	return false;
}

static int
explain(const struct read_options *o, int32_t rc)
{
	switch (rc) {
	case -ETIMEDOUT:
		return complain("no answer within %" PRIu64
				" ms: no node reachable, or no majority",
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
	struct decree_client *client = open_client(&o->config, (uint16_t)o->group, 1);
	char answer[DECREE_ANSWER_BYTES_MAX];
	int32_t rc;

	if (client == NULL)
		return EXIT_FAILURE;
	rc = decree_client_read(client, (uint16_t)o->node, o->query, (uint32_t)strlen(o->query),
		o->consistency, answer, sizeof(answer), o->timeout_ms * MS);
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
	static const struct option options[] = { { "config", required_argument, NULL, 'c' },
		{ "consistency", required_argument, NULL, 'C' },
		{ "node", required_argument, NULL, 'n' }, { "group", required_argument, NULL, 'g' },
		{ "timeout", required_argument, NULL, 't' }, { "help", no_argument, NULL, 'h' },
		{ 0 } };
	struct read_options o = { .timeout_ms = 5000 };
	bool ok = true;
	int option;

	while (ok && (option = getopt_long(argc, argv, ":c:h", options, NULL)) != -1) {
		if (option == 'c')
			o.config.path = optarg;
		else if (option == 'C')
			ok = parse_consistency(optarg, &o.consistency);
		else if (option == 'n')
			ok = parse_number("--node", optarg, 1, UINT16_MAX, &o.node);
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
	if (!ok || take_arguments(argc, argv, &o.config, &o.query, 1) < 0)
		return EXIT_USAGE;
	if (o.query == NULL)
		return complain_usage("no QUERY given");
	return run(&o);
}
