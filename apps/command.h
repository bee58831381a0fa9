/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file command.h
 * What the subcommands of `decree` share: their options, their errors.
 *
 * A subcommand gets its own name as argv[0] and returns the exit status: 0 done; 1 failed (one line
 * on standard error says why); 2 the command line, the configuration or what it names is wrong, and
 * trying again does not help. `wal` has a status more.
 */
#ifndef APPS_COMMAND_H
#define APPS_COMMAND_H

#include "apps/options.h"

#include <decree/client.h>
#include <decree/setup.h>

#include <inttypes.h>

#define MS                UINT64_C(1000000)
#define SETTING_COUNT_MAX 64
#define ROW_COUNT(rows)   ((uint32_t)(sizeof(rows) / sizeof((rows)[0])))

int command_format(int argc, char **argv);
int command_submit(int argc, char **argv);
int command_status(int argc, char **argv);
int command_log(int argc, char **argv);
int command_force_recover(int argc, char **argv);
int command_capture(int argc, char **argv);
int command_backup(int argc, char **argv);
int command_restore(int argc, char **argv);
int command_member(int argc, char **argv);
int command_snapshot(int argc, char **argv);
int command_transfer(int argc, char **argv);
int command_upgrade(int argc, char **argv);
int command_check(int argc, char **argv);
int command_read(int argc, char **argv);
int command_tasks(int argc, char **argv);
int command_top(int argc, char **argv);
int command_wal(int argc, char **argv);

/* What every command takes: -c FILE and settings. */
struct config_arguments {
	const char *path; /* NULL: not given */
	const char *settings[SETTING_COUNT_MAX];
	uint32_t setting_count;
	bool is_optional;       /* it also runs without a configuration, */
	bool has_own;           /* and then there is one that settings may change */
	bool is_in_environment; /* without one it is $DECREE_CONFIG, if that is set; */
	bool is_searched;       /* else that of a decreed that has made its own (standalone.h) */
};

/** Options of many commands. */
struct option_row row_config(struct config_arguments *config, const char *help);
/** Of commands that ask nodes: sets is_in_environment. */
struct option_row row_cluster_config(struct config_arguments *config);
/** Of those that ask a queue of one node that nobody has configured, too: sets is_searched as well. */
struct option_row row_searched_config(struct config_arguments *config);
struct option_row row_node(const char *name, char letter, uint64_t *node_id, const char *help);
struct option_row row_group(uint64_t *group);
struct option_row row_timeout(uint64_t *timeout_ms, const char *help);
struct option_row row_json(bool *is_json, const char *help);

/**
 * Take a whole command line: options; settings (with '=' and '.') into @p config; others for the
 * caller.
 *
 * @param ret_others  [count_max]; those that were not given stay as they are
 * @return OPTIONS_GO_ON, or the exit status
 */
int take_arguments(int argc, char **argv, const struct option_page *page,
	struct config_arguments *config, const char **ret_others, int count_max);

/** What take_arguments() says where one is needed and there is none. @return EXIT_USAGE */
int complain_no_config(const struct config_arguments *config);

/** A node's number in a command line. @return false after a complaint */
bool parse_node(const char *what, const char *text, uint64_t *ret_node_id);

/** The exit status for what the library returned: EXIT_USAGE if a person has to correct the
 * configuration, a key file or the place of the data first; EXIT_FAILURE for what may be otherwise
 * the next time: a port or a lock that is taken, a full disk. */
int status_of(int rc);

/** Complain about what the library returned. @return status_of(rc) */
int complain_of(int rc, const char *error);

/** Print what a node said of an operation. @return the exit status */
int tell_outcome(int rc, const char *text);

/** Open a client for one group. @return NULL after a complaint, with the exit status in ret_status */
struct decree_client *open_client(const struct config_arguments *config, uint16_t group,
	uint32_t in_flight_max, int *ret_status);

/** Read the configuration. @return OPTIONS_GO_ON, or the exit status after a complaint */
int read_setup(const struct config_arguments *config, bool is_node, struct decree_setup *ret_setup);

uint64_t now_ns(void);

const char *role_word(enum decree_role role);
const char *member_word(enum decree_member_kind kind);
const char *log_mode_word(enum decree_log_mode mode);
const char *idle_word(enum decree_idle idle);

#endif
