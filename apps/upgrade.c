/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/command.h"

#include <stdio.h>
#include <stdlib.h>

static const char about[] =
	"Show which versions the nodes' programs speak, and of which version the cluster is. When "
	"every node runs the new program, --finish raises the cluster to the highest version that "
	"all of them speak. From then on older programs are refused, and there is no way back; "
	"until then any node may go back to the program that it had.";

struct upgrade_options {
	struct config_arguments config;
	uint64_t timeout_ms;
	bool is_finishing;
};

static void
print_row(const struct decree_status *s)
{
	(void)printf("%4u %5u %8" PRIu32 " %6" PRIu32 "-%" PRIu32 "\n", s->node_id, s->group,
		s->version, s->version_min, s->version_max);
}

/* @return how many nodes answered */
static int
show_group(struct decree_client *client, const struct upgrade_options *o,
	const struct decree_setup *setup, uint16_t group)
{
	int count = 0;

	for (uint32_t i = 0; i < setup->node_count; i++) {
		struct decree_status status;

		if (decree_client_status(client, setup->nodes[i], o->timeout_ms * MS, &status) ==
			0) {
			print_row(&status);
			count++;
			continue;
		}
		(void)complain("node %u, group %u: no answer", setup->nodes[i], group);
	}
	return count;
}

static int
finish_group(struct decree_client *client, const struct upgrade_options *o, uint16_t group)
{
	const uint8_t none[DECREE_ADMIN_ARGUMENT_BYTES] = { 0 };
	char text[DECREE_ERROR_BYTES];

	if (decree_client_admin(client, DECREE_ADMIN_RAISE, none, o->timeout_ms * MS, text) != 0)
		return complain("group %u: %s", group, text);
	(void)printf("group %u: %s\n", group, text);
	return EXIT_SUCCESS;
}

static int
run(const struct upgrade_options *o)
{
	struct decree_setup setup;
	int status = read_setup(&o->config, false, &setup);

	if (status != OPTIONS_GO_ON)
		return status;
	if (!o->is_finishing)
		(void)printf("node group  cluster program\n");
	status = EXIT_SUCCESS;
	for (uint16_t group = 0; group < setup.group_count && status == EXIT_SUCCESS; group++) {
		struct decree_client *client = open_client(&o->config, group, 1, &status);

		if (client == NULL)
			return status;
		if (o->is_finishing)
			status = finish_group(client, o, group);
		else if (show_group(client, o, &setup, group) == 0)
			status = EXIT_FAILURE;
		decree_client_close(client);
	}
	return status;
}

int
command_upgrade(int argc, char **argv)
{
	struct upgrade_options o = { 0 };
	const struct option_row rows[] = {
		row_searched_config(&o.config),
		{ "finish", 0, NULL, "raise the version of the cluster: no way back",
			.flag = &o.is_finishing },
		row_timeout(&o.timeout_ms,
			"wait this long for the outcome (10000), or for each node (500)"),
	};
	const struct option_page page = { "[-c FILE] [OPTION ...] [section.key=value ...]", about,
		rows, ROW_COUNT(rows) };
	int status = take_arguments(argc, argv, &page, &o.config, NULL, 0);

	if (o.timeout_ms == 0)
		o.timeout_ms = o.is_finishing ? 10000 : 500;
	return status == OPTIONS_GO_ON ? run(&o) : status;
}
