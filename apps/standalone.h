/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file standalone.h
 * A node that nobody has configured: a cluster of one without a network, all of it in one folder;
 * and how the commands of `decree` find it.
 *
 *   DIR/decree.ini                a configuration like any other, to be looked at and changed
 *   DIR/client.key                who may read it may ask the node, with `decree tasks` and the
 *                                 like
 *   DIR/cluster.key               nobody needs it until there is a network
 *   DIR/data                      the node's data directory
 *
 * Threads:  one.
 * Errors:   one line on standard error.
 */
#ifndef APPS_STANDALONE_H
#define APPS_STANDALONE_H

#include <decree/setup.h>

#include <stdbool.h>

#define STANDALONE_SYSTEM_DIRECTORY "/var/lib/decree"
#define STANDALONE_FILE_NAME        "decree.ini"

/** What only the first start asks for: it stands in the configuration from then on. */
struct standalone_first {
	uint32_t job_bytes_max; /* commands are as large as that needs */
	/* [setting_count] of the command line; local.log_bytes, local.segment_bytes and
	 * queue.bytes are taken */
	const char *const *settings;
	uint32_t setting_count;
};

/**
 * Find the folder's configuration, or make both, and the formatted data directory, at the first
 * start.
 *
 * Formatted is only where there is neither a configuration nor data nor keys; the configuration
 * comes last, so that one that is there belongs to data that are whole. A call that is killed
 * half-way leaves what the next one completes, or begins anew.
 *
 * @param directory      made if it is not there; NULL: /var/lib/decree, or where this user cannot
 *                       write there a folder in its home, and a line says which
 * @param ret_path       [DECREE_PATH_BYTES] of decree.ini
 * @return OPTIONS_GO_ON, or the exit status after a complaint
 */
int standalone_prepare(const char *directory, const struct standalone_first *first, char *ret_path);

/** The folder of a user who cannot write to the system's. @return false: there is no home, or its
 * path is too long */
bool standalone_home(char ret_path[DECREE_PATH_BYTES]);

/** The configuration that a `decreed` without one has made, in the folder that it takes by itself:
 * this user's one first.
 * @return false: there is none that this user can read */
bool standalone_find(char ret_path[DECREE_PATH_BYTES]);

#endif
