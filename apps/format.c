/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char about[] =
	"Make the data directory of the node that [local] names: one empty log per shard. A "
	"directory that is formatted already is never touched.";

static const char new_keys_help[] =
	"create the key files that it names; copy them to the other nodes afterwards";

static const char prewrite_help[] =
	"write over the logs' whole space once, which takes as long as the disk needs for 9/8 of "
	"log_bytes; without it a node does so while it runs, and the first round of a log that is "
	"loaded at once is slower";

struct format_options {
	bool are_keys_new, is_prewritten;
	bool is_on_terminal;
};

static void
on_progress(void *context, uint64_t bytes_done, uint64_t bytes_total)
{
	const struct format_options *o = context;

	if (o->is_on_terminal)
		(void)fprintf(stderr, "\rwritten %" PRIu64 " of %" PRIu64 " MiB%s",
			bytes_done >> 20, bytes_total >> 20, bytes_done == bytes_total ? "\n" : "");
}

static int
prewrite(const struct config_arguments *config, struct format_options *o)
{
	char error[DECREE_ERROR_BYTES];
	int rc;

	o->is_on_terminal = isatty(STDERR_FILENO) != 0;
	rc = decree_prewrite(
		config->path, config->settings, config->setting_count, on_progress, o, error);
	return rc == 0 ? EXIT_SUCCESS : complain_of(rc, error);
}

static int
run(const struct config_arguments *config, struct format_options *o)
{
	char error[DECREE_ERROR_BYTES];
	struct decree_setup setup;
	uint64_t disk = 0;
	int status, rc;

	status = read_setup(config, true, &setup);
	if (status != OPTIONS_GO_ON)
		return status;
	rc = decree_format(config->path, config->settings, config->setting_count, o->are_keys_new,
		&disk, error);
	if (rc != 0)
		return complain_of(rc, error);
	(void)printf("node %u of cluster %" PRIx64 ": %u log%s of %" PRIu64 " MiB in %s\n",
		setup.node_id, setup.cluster_id, setup.shard_count,
		setup.shard_count > 1 ? "s" : "", setup.log_bytes >> 20, setup.data_dir);
	(void)printf("disk %016" PRIx64 "\n", disk);
	return o->is_prewritten ? prewrite(config, o) : EXIT_SUCCESS;
}

int
command_format(int argc, char **argv)
{
	struct config_arguments config = { 0 };
	struct format_options o = { 0 };
	const struct option_row rows[] = {
		row_config(&config, "the configuration of cluster and node"),
		{ "new-keys", 0, NULL, new_keys_help, .flag = &o.are_keys_new },
		{ "prewrite", 0, NULL, prewrite_help, .flag = &o.is_prewritten },
	};
	const struct option_page page = {
		"-c FILE [--new-keys] [--prewrite] [section.key=value ...]", about, rows,
		ROW_COUNT(rows)
	};
	int status = take_arguments(argc, argv, &page, &config, NULL, 0);

	return status == OPTIONS_GO_ON ? run(&config, &o) : status;
}
