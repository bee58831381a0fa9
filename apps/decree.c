/* SPDX-License-Identifier: Apache-2.0 */
/* The operator's tool: built-in commands, and `decree X` runs `decree-X` for everything else. */
#include "apps/command.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *summary;
} commands[] = {
	{ "format", command_format, "make the data directory of a node" },
	{ "submit", command_submit, "submit each line of a file as a command" },
	{ "read", command_read, "ask the state machine" },
	{ "status", command_status, "one row per node: role, ballot, chosen, applied, ..." },
	{ "top", command_top, "who leads, how fast, where the time goes: live" },
	{ "tasks", command_tasks, "what a task queue holds: tubes, jobs and who holds them" },
	{ "log", command_log, "what a node applied" },
	{ "member", command_member, "who the members are: add, remove, replace, list" },
	{ "snapshot", command_snapshot, "have every node cut a snapshot now" },
	{ "transfer", command_transfer, "make another node the leader" },
	{ "capture", command_capture, "a node's frames into a file, for Wireshark" },
	{ "upgrade", command_upgrade, "which versions run, and finish a rolling upgrade" },
	{ "backup", command_backup, "the newest snapshots of a node into a file" },
	{ "restore", command_restore, "a new cluster out of a backup" },
	{ "force-recover", command_force_recover, "a new cluster out of one node that is left" },
	{ "wal", command_wal, "look at a log on the disk: inspect, verify" },
	{ "check", command_check, "is this host ready to run a node?" },
};

static const uint32_t command_count = sizeof(commands) / sizeof(commands[0]);

/* Programs of their own, decree-X, since they take libraries or an interpreter that a node's host
 * need not have. */
static const struct {
	const char *name, *summary;
} others[] = {
	{ "bench", "how long a commit takes on this host, and how many there are" },
	{ "bench-plot", "draw what 'decree bench --json' has written" },
};

static void
print_help(FILE *to)
{
	(void)fprintf(to, "usage: decree COMMAND [OPTION ...] [section.key=value ...]\n\n");
	for (uint32_t i = 0; i < command_count; i++)
		(void)fprintf(to, "  %-13s %s\n", commands[i].name, commands[i].summary);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		(void)fprintf(to, "  %-13s %s\n", others[i].name, others[i].summary);
	(void)fprintf(to, "\n'decree COMMAND --help' tells more. 'decree X' runs the program "
			  "decree-X, if there is one.\n"
			  "A setting section.key=value overrides the configuration file.\n");
}

/* decree-X beside this program, or where the tree that it was built in has the benchmarks; else in
 * PATH. */
static int
run_other(char **argv)
{
	static const char *const places[] = { "", "../bench/" };
	char path[PATH_MAX];
	char name[NAME_MAX];
	ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - sizeof(name) - 16);
	char *slash;

	if (strchr(argv[0], '/') != NULL ||
		snprintf(name, sizeof(name), "decree-%s", argv[0]) >= (int)sizeof(name))
		return complain_usage("'%.64s' is not a command", argv[0]);
	if (length > 0) {
		path[length] = '\0';
		slash = strrchr(path, '/');
		argv[0] = path;
		for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
			(void)sprintf(slash + 1, "%s%s", places[i], name); /* room was kept */
			(void)execv(path, argv); /* returns only if there is none */
		}
	}
	argv[0] = name;
	(void)execvp(name, argv);
	if (errno != ENOENT)
		return complain("%s: %s", name, strerror(errno));
	return complain_usage("'%s' is not a command, and there is no program %s",
		name + strlen("decree-"), name);
}

int
main(int argc, char **argv)
{
	static char help_option[] = "--help";

	if (argc < 2) {
		print_help(stderr);
		return EXIT_USAGE;
	}
	if (strcmp(argv[1], "help") == 0 && argc == 3) {
		argv[1] = argv[2]; /* decree help X: decree X --help */
		argv[2] = help_option;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
		strcmp(argv[1], "help") == 0) {
		print_help(stdout);
		return EXIT_SUCCESS;
	}
	if (strcmp(argv[1], "--version") == 0) {
		(void)printf("decree %s\n", decree_version());
		return EXIT_SUCCESS;
	}
	if (argv[1][0] == '-')
		return complain_usage(
			"unknown option '%s': the command comes first, then its options", argv[1]);
	for (uint32_t i = 0; i < command_count; i++)
		if (strcmp(argv[1], commands[i].name) == 0) {
			options_set_program("decree", argv[1]);
			return commands[i].run(argc - 1, argv + 1);
		}
	return run_other(argv + 1);
}
