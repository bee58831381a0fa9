/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread that serves the snapshot files of all shards of a node, one step of one shard at a
 * time.
 *
 * It is not the control thread: a step may wait for the disk, an fsync for seconds, and a link that
 * went down or a log line must not wait for that. While something is under way it looks every
 * LOOK_NS, which keeps up with the default rate of a piece in 874 us; else every IDLE_NS.
 */
#include "engine/runtime/data_paths.h"
#include "engine/runtime/node_private.h"

#include <sys/prctl.h>
#include <time.h>

#define LOOK_NS (500 * 1000l)
#define IDLE_NS (10 * 1000 * 1000l)

#define RESERVE_PER_LOG    16 /* of a shard's log_bytes, up to SNAP_RESERVE_BYTES_MAX */
#define PROGRESS_BYTES_MIN (256ull << 20)

static void
on_progress(void *context, uint64_t bytes_done, uint64_t bytes_total)
{
	struct node_shard *ns = context;

	if (bytes_done >= PROGRESS_BYTES_MIN && bytes_done < bytes_total)
		node_log(ns->node, NOTE_PROGRESS,
			"shard %u: restored %llu of %llu MiB of a snapshot", ns->index,
			(unsigned long long)(bytes_done >> 20),
			(unsigned long long)(bytes_total >> 20));
}

static int
open_directory(struct decree_node *node, char *ret_error)
{
	const struct config *c = &node->config;
	char path[DATA_PATH_BYTES];
	struct snap_directory_config cfg = {
		.path = path,
		.may_create = c->snapshot_dir[0] ==
			      '\0', /* a configured one may be a mount that is missing */
		.cluster_id = c->cluster_id,
		.reserve_bytes = c->log_bytes / RESERVE_PER_LOG,
	};
	const char *foreign;
	uint32_t count;
	int rc;

	data_snapshot_path(c->data_dir, c->snapshot_dir, path);
	if (cfg.reserve_bytes > SNAP_RESERVE_BYTES_MAX)
		cfg.reserve_bytes = SNAP_RESERVE_BYTES_MAX;
	rc = snap_directory_open(&cfg, &node->snap_directory, ret_error);
	if (rc != 0)
		return rc;
	count = snap_directory_foreign_count(node->snap_directory, &foreign);
	if (count > 0)
		node_log(node, NOTE_SNAPSHOT_FOREIGN,
			"%.200s holds %u file(s) that are no snapshots, for example %.64s: they "
			"are left alone",
			path, count, foreign);
	return 0;
}

int
snap_thread_open(struct decree_node *node, char *ret_error)
{
	int rc;

	if (node->machine_ops.snapshot_begin == NULL)
		return 0; /* all six hooks, or none: checked */
	rc = open_directory(node, ret_error);
	for (uint32_t i = 0; rc == 0 && i < node->shard_count; i++) {
		struct snap_store_config cfg = {
			.directory = node->snap_directory,
			.bytes_per_second =
				node->config.snapshot_rate_mb * 1000000ull / node->shard_count,
			.scrub_bytes_per_second =
				node->config.scrub_rate_mb * 1000000ull / node->shard_count,
			.progress = on_progress,
			.context = &node->shards[i],
		};

		rc = snap_store_open(&cfg, &node->shards[i].snaps);
		if (rc != 0)
			snprintf(ret_error, DECREE_ERROR_BYTES, "no memory for snapshot buffers");
	}
	return rc;
}

static void *
snap_main(void *context)
{
	struct decree_node *node = context;

	prctl(PR_SET_NAME, "decree-snap");
	while (!atomic_load_explicit(&node->stop, memory_order_relaxed)) {
		struct timespec pause = { .tv_nsec = IDLE_NS };
		bool did_work = false;

		for (uint32_t i = 0; i < node->shard_count; i++) {
			struct snap_store *s = node->shards[i].snaps;

			did_work |= snap_store_step(s, node_now_ns());
			if (snap_store_is_busy(s))
				pause.tv_nsec = LOOK_NS;
		}
		if (!did_work)
			nanosleep(&pause, NULL);
	}
	return NULL;
}

int
snap_thread_start(struct decree_node *node)
{
	int rc;

	if (node->snap_directory == NULL)
		return 0;
	rc = control_thread_start(node, &node->snap_thread, snap_main, node);
	node->has_snap_thread = rc == 0;
	return rc;
}

void
snap_thread_join(struct decree_node *node)
{
	if (node->has_snap_thread)
		pthread_join(node->snap_thread, NULL);
	node->has_snap_thread = false;
}

void
snap_thread_close(struct decree_node *node)
{
	for (uint32_t i = 0; node->shards != NULL && i < node->shard_count; i++) {
		snap_store_close(node->shards[i].snaps);
		node->shards[i].snaps = NULL;
	}
	snap_directory_close(node->snap_directory);
	node->snap_directory = NULL;
}
