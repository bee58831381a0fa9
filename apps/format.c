/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/command.h"

#include <stdio.h>
#include <stdlib.h>

static const char help[] = "usage: decree format -c FILE [--new-keys] [section.key=value ...]\n\n"
			   "Make the data directory of the node that [local] names: one empty log "
			   "per shard. A directory that\n"
			   "is formatted already is never touched.\n\n"
			   "  -c, --config FILE  the configuration of cluster and node\n"
			   "      --new-keys     create the key files that it names; copy them to "
			   "the other nodes afterwards\n";

int
command_format(int argc, char **argv)
{
	static const struct option options[] = { { "config", required_argument, NULL, 'c' },
		{ "new-keys", no_argument, NULL, 'k' }, { "help", no_argument, NULL, 'h' }, { 0 } };
	struct config_arguments config = { 0 };
	char error[DECREE_ERROR_BYTES];
	struct decree_setup setup;
	bool are_keys_new = false;
	uint64_t disk = 0;
	int option;

	while ((option = getopt_long(argc, argv, ":c:h", options, NULL)) != -1) {
		if (option == 'c')
			config.path = optarg;
		else if (option == 'k')
			are_keys_new = true;
		else if (option == 'h')
			return printf("%s", help), EXIT_SUCCESS;
		else
			return complain_option(argv);
	}
	if (take_arguments(argc, argv, &config, NULL, 0) < 0)
		return EXIT_USAGE;
	if (!read_setup(&config, true, &setup))
		return EXIT_FAILURE;
	if (decree_format(config.path, config.settings, config.setting_count, are_keys_new, &disk,
		    error) != 0)
		return complain("%s", error);
	(void)printf("node %u of cluster %" PRIx64 ": %u log%s of %" PRIu64 " MiB in %s\n",
		setup.node_id, setup.cluster_id, setup.shard_count,
		setup.shard_count > 1 ? "s" : "", setup.log_bytes >> 20, setup.data_dir);
	(void)printf("disk %016" PRIx64 "\n", disk);
	return EXIT_SUCCESS;
}
