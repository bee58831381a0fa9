/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file capture.h
 * A node's frames in a file, while an operator wants them.
 *
 * A port that DPDK drives is invisible to the kernel, and EAL runs without files that a second
 * process could join by. So the node itself copies: each shard into its tap (net/tap.h), and a
 * thread, which lives as long as a capture, from the taps into DATA_DIR/capture.pcapng.
 *
 *   shard 0, for an operator   NONE, TOLD -> ASKED
 *   control thread             ASKED -> RUNNING, or ENDED if there is no thread; ENDED -> TOLD: its
 *                              end is in the log
 *   the capture's thread       RUNNING -> ENDED
 *
 * One at a time. The file, which replaces that of the capture before, is bounded, and so is its
 * share of the disk; its name is the node's, so that the client key opens no other file.
 *
 * Threads:  capture_on_request(): shard 0's. capture_tick(): the control thread.
 */
#ifndef RUNTIME_CAPTURE_H
#define RUNTIME_CAPTURE_H

#include "engine/runtime/client_msg.h"

#include <pthread.h>
#include <stdatomic.h>

#define CAPTURE_FILE_NAME   "capture.pcapng"
#define CAPTURE_SECONDS_MAX 3600u
#define CAPTURE_MIB_MAX     4096u

enum capture_state {
	CAPTURE_NONE = 0,
	CAPTURE_ASKED = 1,
	CAPTURE_RUNNING = 2,
	CAPTURE_ENDED = 3,
	CAPTURE_TOLD = 4,
};

struct capture {
	/* enum capture_state. Release and acquire: who moves it on hands all that follows to the
	 * next. */
	_Atomic uint32_t state;
	_Atomic bool is_stopped; /* by an operator, before its time */

	/* What shard 0 asks for. */
	uint64_t token;
	uint32_t seconds;
	uint32_t mib;
	uint32_t snap_bytes;

	/* How it ended. */
	int rc;
	char text[CLIENT_ADMIN_TEXT_BYTES + 1];

	/* owner: the control thread */
	pthread_t thread;
	bool has_thread; /* to be joined */
};

struct decree_node;

/**
 * DECREE_ADMIN_CAPTURE and DECREE_ADMIN_CAPTURE_STOP. Repeated under its token, a request tells how
 * it stands.
 * @param context   struct node_shard
 * @param ret_text  [CLIENT_ADMIN_TEXT_BYTES + 1]
 */
enum client_admin_status capture_on_request(
	void *context, uint64_t token, uint32_t op, const uint8_t *arguments, char *ret_text);

/** Begin what was asked for, and tell of what has ended. */
void capture_tick(struct decree_node *node);

/** After the control thread has ended, and before the shards' memory goes. */
void capture_join(struct decree_node *node);

#endif
