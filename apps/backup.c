/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char about_backup[] =
	"Write the newest snapshot of each group of a node into one file, with checksums over "
	"every byte. To be run on the node's host; the node may run, and is not held up. 'decree "
	"snapshot' first has a new one cut: the backup then holds all that was acknowledged before "
	"that.\n\n"
	"With --check FILE a backup is read as a whole instead, and what it holds is shown.";

static const char about_restore[] =
	"Begin a new cluster of one node with what a backup holds. Whatever was acknowledged after "
	"the backup was taken is NOT there. The new cluster has an id of its own: clients and "
	"nodes of the other one are refused.";

static const char restore_config_help[] =
	"of the new cluster, on this host: a new id, this node its only member so far (others: "
	"'joins = yes', numbers that were never used), the same constants, a data_dir that does "
	"not exist yet";

struct backup_options {
	struct config_arguments config;
	const char *check;
};

static void
print_time(uint64_t unix_s, char ret_text[32])
{
	time_t time = (time_t)unix_s;
	struct tm utc;

	(void)strcpy(ret_text, "an unknown time");
	if (unix_s != 0 && gmtime_r(&time, &utc) != NULL)
		(void)strftime(ret_text, 32, "%Y-%m-%d %H:%M:%S UTC", &utc);
}

static void
print_backup(const struct decree_backup *b)
{
	char when[32];

	print_time(b->taken_unix_s, when);
	(void)printf("backup of cluster %" PRIx64 ", from node %u, %s, %" PRIu64 " bytes\n",
		b->cluster_id, b->node_id, when, b->bytes);
	for (uint32_t i = 0; i < b->group_count; i++) {
		print_time(b->snapshot_unix_s[i], when);
		(void)printf("group %u: everything up to slot %" PRIu64 ", a snapshot of %s\n", i,
			b->slots[i].n, when);
	}
}

static int
run_backup(const struct backup_options *o, const char *file)
{
	char error[DECREE_ERROR_BYTES];
	struct decree_backup backup;
	struct decree_setup setup;
	int status, rc;

	if (o->check == NULL) {
		status = read_setup(&o->config, true, &setup);
		if (status != OPTIONS_GO_ON)
			return status;
	}
	rc = o->check != NULL ? decree_backup_check(o->check, &backup, error)
			      : decree_backup(o->config.path, o->config.settings,
					o->config.setting_count, file, &backup, error);
	if (rc != 0)
		return complain("%s", error);
	print_backup(&backup);
	return EXIT_SUCCESS;
}

int
command_backup(int argc, char **argv)
{
	struct backup_options o = { .config.is_optional = true };
	const struct option_row rows[] = {
		{ .argument = "FILE", .help = "the backup; must not exist yet" },
		row_searched_config(&o.config),
		{ "check", 0, "FILE", "read this backup, and change nothing", .text = &o.check },
	};
	const struct option_page page = { "[-c FILE] [section.key=value ...] FILE | --check FILE",
		about_backup, rows, ROW_COUNT(rows) };
	const char *file = NULL;
	int status = take_arguments(argc, argv, &page, &o.config, &file, 1);

	if (status != OPTIONS_GO_ON)
		return status;
	if ((file == NULL) == (o.check == NULL))
		return complain_usage("name one file: the backup to make, or --check FILE");
	if (file != NULL && o.config.path == NULL)
		return complain_no_config(&o.config);
	return run_backup(&o, file);
}

static int
run_restore(const struct config_arguments *config, const char *file)
{
	char error[DECREE_ERROR_BYTES];
	struct decree_backup backup;
	struct decree_setup setup;
	int status;

	status = read_setup(config, true, &setup);
	if (status != OPTIONS_GO_ON)
		return status;
	if (decree_restore(config->path, config->settings, config->setting_count, file, &backup,
		    error) != 0)
		return complain("%s", error);
	print_backup(&backup);
	(void)printf("cluster %" PRIx64 " begins with node %u alone, in %s\n"
		     "disk %016" PRIx64 "\n"
		     "Start this node, then 'decree member add' others, under new numbers and with "
		     "empty directories.\n",
		setup.cluster_id, setup.node_id, setup.data_dir, backup.disk);
	return EXIT_SUCCESS;
}

int
command_restore(int argc, char **argv)
{
	struct config_arguments config = { 0 };
	const struct option_row rows[] = {
		{ .argument = "FILE", .help = "the backup" },
		row_config(&config, restore_config_help),
	};
	const struct option_page page = { "-c FILE [section.key=value ...] FILE", about_restore,
		rows, ROW_COUNT(rows) };
	const char *file = NULL;
	int status = take_arguments(argc, argv, &page, &config, &file, 1);

	if (status != OPTIONS_GO_ON)
		return status;
	if (file == NULL)
		return complain_usage("which backup? Name its file");
	return run_restore(&config, file);
}
