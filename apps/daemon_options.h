/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file daemon_options.h
 * The command line of decreed: its own options, and those of beanstalkd, which become settings of
 * the configuration or a line that says why they have no effect.
 *
 * Threads:  one.
 * Errors:   one line on standard error.
 */
#ifndef APPS_DAEMON_OPTIONS_H
#define APPS_DAEMON_OPTIONS_H

#include "apps/command.h"

#define NO_FD UINT64_MAX

enum daemon_machine {
	DAEMON_QUEUE = 0, /* the task queue */
	DAEMON_LOG = 1,   /* an ordered log */
};

struct daemon_options {
	struct config_arguments config; /* path NULL: a node that nobody has configured */
	uint64_t machine;               /* enum daemon_machine */
	uint64_t ready_fd;              /* NO_FD: none */
	bool is_sandboxed;
	const char *directory;  /* of a node that nobody has configured; NULL: the default */
	uint64_t job_bytes_max; /* 0: the configuration's */

	/* Where settings that -l, -p and -z stand for are kept. */
	const char *address;
	uint64_t port;
	char listen_setting[DECREE_NAME_BYTES + 32];
	char job_bytes_setting[40];
};

/**
 * Take the command line.
 * @param ret  lent as long as the configuration's settings are used: they point into it
 * @return OPTIONS_GO_ON, or the exit status
 */
int daemon_options_take(int argc, char **argv, struct daemon_options *ret);

#endif
