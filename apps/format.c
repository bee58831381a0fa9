/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/command.h"

#include <stdio.h>
#include <stdlib.h>

static const char about[] =
	"Make the data directory of the node that [local] names: one empty log per shard. A "
	"directory that is formatted already is never touched.";

static const char new_keys_help[] =
	"create the key files that it names; copy them to the other nodes afterwards";

static int
run(const struct config_arguments *config, bool are_keys_new)
{
	char error[DECREE_ERROR_BYTES];
	struct decree_setup setup;
	uint64_t disk = 0;
	int status, rc;

	status = read_setup(config, true, &setup);
	if (status != OPTIONS_GO_ON)
		return status;
	rc = decree_format(
		config->path, config->settings, config->setting_count, are_keys_new, &disk, error);
	if (rc != 0)
		return complain_of(rc, error);
	(void)printf("node %u of cluster %" PRIx64 ": %u log%s of %" PRIu64 " MiB in %s\n",
		setup.node_id, setup.cluster_id, setup.shard_count,
		setup.shard_count > 1 ? "s" : "", setup.log_bytes >> 20, setup.data_dir);
	(void)printf("disk %016" PRIx64 "\n", disk);
	return EXIT_SUCCESS;
}

int
command_format(int argc, char **argv)
{
	struct config_arguments config = { 0 };
	bool are_keys_new = false;
	const struct option_row rows[] = {
		row_config(&config, "the configuration of cluster and node"),
		{ "new-keys", 0, NULL, new_keys_help, .flag = &are_keys_new },
	};
	const struct option_page page = { "-c FILE [--new-keys] [section.key=value ...]", about,
		rows, ROW_COUNT(rows) };
	int status = take_arguments(argc, argv, &page, &config, NULL, 0);

	return status == OPTIONS_GO_ON ? run(&config, are_keys_new) : status;
}
