/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file command.h
 * What the subcommands of `decree` share: their table, their options, their errors.
 *
 * A subcommand gets its own name as argv[0] and returns the exit status: 0 done, 1 failed (one line on
 * standard error says why), 2 wrong usage.
 */
#ifndef APPS_COMMAND_H
#define APPS_COMMAND_H

#include <decree/client.h>
#include <decree/setup.h>

#include <getopt.h>
#include <inttypes.h>

#define EXIT_USAGE 2

#define SETTING_COUNT_MAX 64

struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *summary;
};

extern const struct command commands[];
extern const uint32_t command_count;

int command_format(int argc, char **argv);
int command_submit(int argc, char **argv);
int command_status(int argc, char **argv);
int command_log(int argc, char **argv);
int command_force_recover(int argc, char **argv);
int command_member(int argc, char **argv);
int command_snapshot(int argc, char **argv);
int command_transfer(int argc, char **argv);
int command_check(int argc, char **argv);
int command_read(int argc, char **argv);

/* What every command takes: -c FILE and settings. */
struct config_arguments {
	const char *path; /* NULL: not given */
	const char *settings[SETTING_COUNT_MAX];
	uint32_t setting_count;
};

/** One line on standard error: "decree submit: ...". @return EXIT_FAILURE */
__attribute__((format(printf, 1, 2))) int complain(const char *format, ...);

/** The same with a pointer to --help. @return EXIT_USAGE */
__attribute__((format(printf, 1, 2))) int complain_usage(const char *format, ...);

/** What getopt_long() returned '?' or ':' for. @return EXIT_USAGE */
int complain_option(char **argv);

/** Name in front of complaints; main() sets it once. */
void set_program_name(const char *program, const char *command);

/** Take what is left after the options: settings (with '=' and '.'), and others for the caller.
 * @param ret_others  [count_max] @return how many others, or -1 after a complaint */
int take_arguments(int argc, char **argv, struct config_arguments *ret_config,
	const char **ret_others, int count_max);

/** A whole number for an option. @return false after a complaint */
bool parse_number(const char *option, const char *text, uint64_t min, uint64_t max, uint64_t *ret);

/** Open a client for one group. @return NULL after a complaint */
struct decree_client *
open_client(const struct config_arguments *config, uint16_t group, uint32_t in_flight_max);

/** Read the configuration. @return false after a complaint */
bool
read_setup(const struct config_arguments *config, bool is_node, struct decree_setup *ret_setup);

uint64_t now_ns(void);

const char *role_word(enum decree_role role);
const char *log_mode_word(enum decree_log_mode mode);
const char *idle_word(enum decree_idle idle);

#endif
