/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define EXIT_REFUSED 3 /* no node would start */

static const char about[] =
	"Read a log while no node runs on it, and explain it: whose it is, what was promised, each "
	"block, what is damaged and why, how it ends. DIR is the folder of one log, "
	"DATA_DIR/shard-0 say; of a data directory all logs are read. Nothing is changed.\n\n"
	"The exit status: 0 sound; 1 damaged: a node would start and get what it misses from the "
	"others; 2 wrong usage, or it could not be looked at; 3 no node would start.";

struct wal_options {
	struct decree_log_examination x;
	const char *directory;
	bool is_on_terminal;
	bool has_progress; /* a line of it stands on the terminal */
};

static void
clear_progress(struct wal_options *o)
{
	if (o->has_progress)
		(void)fprintf(stderr, "\r%40s\r", "");
	o->has_progress = false;
}

static void
on_line(void *context, const char *text)
{
	clear_progress(context);
	(void)puts(text);
}

static void
on_progress(void *context, uint64_t bytes_done, uint64_t bytes_total)
{
	struct wal_options *o = context;

	if (!o->is_on_terminal)
		return;
	(void)fprintf(stderr, "\rread %" PRIu64 " of about %" PRIu64 " MiB", bytes_done >> 20,
		bytes_total >> 20);
	o->has_progress = true;
}

/* @return the exit status */
static int
examine(struct wal_options *o, const char *directory)
{
	static const int statuses[] = { EXIT_SUCCESS, EXIT_FAILURE, EXIT_REFUSED };
	char error[DECREE_ERROR_BYTES];
	int rc;

	o->x.directory = directory;
	rc = decree_log_examine(&o->x, error);
	clear_progress(o);
	if (rc != 0) {
		(void)complain("%s", error);
		return EXIT_USAGE;
	}
	return statuses[o->x.verdict];
}

/* A data directory: one log after the other. @return the worst exit status */
static int
examine_all(struct wal_options *o)
{
	char path[DECREE_PATH_BYTES + 32];
	struct stat st;
	int worst = EXIT_SUCCESS;

	for (uint32_t shard = 0; shard < DECREE_SHARD_COUNT_MAX; shard++) {
		(void)snprintf(path, sizeof(path), "%s/shard-%" PRIu32, o->directory, shard);
		if (stat(path, &st) != 0)
			break;
		if (!o->x.is_json)
			(void)printf("%s%s:\n", shard > 0 ? "\n" : "", path);
		int status = examine(o, path);
		worst = status > worst ? status : worst;
	}
	return worst;
}

static bool
is_data_directory(const char *directory)
{
	char path[DECREE_PATH_BYTES + 32];
	struct stat st;

	if (snprintf(path, sizeof(path), "%s/shard-0", directory) >= (int)sizeof(path))
		return false;
	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int
run(struct wal_options *o)
{
	int status;

	o->is_on_terminal = isatty(STDERR_FILENO) != 0;
	o->x.context = o;
	o->x.line = on_line;
	o->x.progress = on_progress;
	status = is_data_directory(o->directory) ? examine_all(o) : examine(o, o->directory);
	if (fflush(stdout) != 0) {
		(void)complain("standard output: %s", strerror(errno));
		return EXIT_USAGE;
	}
	return status;
}

/* @return OPTIONS_GO_ON, or EXIT_USAGE after a complaint */
static int
take_words(struct wal_options *o, int argc, char **argv, int first)
{
	if (first == argc ||
		(strcmp(argv[first], "inspect") != 0 && strcmp(argv[first], "verify") != 0))
		return complain_usage("inspect or verify?");
	o->x.is_verification = strcmp(argv[first], "verify") == 0;
	if (first + 1 == argc)
		return complain_usage("which log? Add DIR, its directory");
	if (first + 2 != argc)
		return complain_usage("what is '%s'?", argv[first + 2]);
	o->directory = argv[first + 1];
	if (o->x.is_verification &&
		(o->x.from_lsn != 0 || o->x.block_count_max != 0 || o->x.slot.n != 0 ||
			o->x.is_damage_only || o->x.are_values_wanted))
		return complain_usage("verify always reads everything and shows what is wrong: the "
				      "options that choose are for inspect");
	return OPTIONS_GO_ON;
}

int
command_wal(int argc, char **argv)
{
	struct wal_options o = { 0 };
	const struct option_row rows[] = {
		{ .argument = "inspect DIR", .help = "every block, one per line" },
		{ .argument = "verify DIR",
			.help = "read all there is, and say what is wrong, in sum" },
		{ "from", 'f', "LSN", "inspect: from this record on", .number = &o.x.from_lsn,
			.min = 1, .max = INT64_MAX },
		{ "count", 'n', "N", "inspect: so many blocks", .number = &o.x.block_count_max,
			.min = 1, .max = INT64_MAX },
		{ "slot", 's', "SLOT", "inspect: records of this slot", .number = &o.x.slot.n,
			.min = 1, .max = INT64_MAX },
		{ "damaged-only", 0, NULL, "inspect: only what is damaged",
			.flag = &o.x.is_damage_only },
		{ "hex", 0, NULL, "inspect: the application's data, too",
			.flag = &o.x.are_values_wanted },
		row_json(&o.x.is_json, "one JSON object per line"),
	};
	const struct option_page page = { "[OPTION ...] inspect|verify DIR", about, rows,
		ROW_COUNT(rows) };
	int first;
	int status = options_take(argc, argv, &page, &first);

	if (status == OPTIONS_GO_ON)
		status = take_words(&o, argc, argv, first);
	return status == OPTIONS_GO_ON ? run(&o) : status;
}
