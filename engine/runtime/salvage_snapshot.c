/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A snapshot of the lost cluster becomes one of the new: another header (cluster, members), the
 * same chunks, and so another end. The state and its digest are the same: members are no part of
 * it.
 */
#include "engine/runtime/salvage.h"

#include "base/bytes.h"
#include "base/clock.h"
#include "base/memory.h"
#include "engine/runtime/data_paths.h"
#include "engine/runtime/snap_private.h"
#include "engine/runtime/snapshot_format.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BYTES_PER_SECOND 10000000000ull /* nobody else uses this disk's time here */

struct snapshot_copy {
	struct salvage *s;
	struct salvage_group *g;
	struct snapshot_reader reader;
	uint8_t buffer[DECREE_CHUNK_BYTES_MAX];
	struct snap_store *to; /* NULL: only look */
	struct digest_stream all;
	uint64_t chunk_count;
	bool is_whole;
};

static void
serve(struct snap_store *to)
{
	if (!snap_store_step(to, base_now_ns()))
		salvage_rest();
}

static void
put(struct snapshot_copy *c, const void *bytes, uint32_t count)
{
	uint16_t group = c->g->found.group;

	if (c->to == NULL)
		return;
	digest_stream_add(&c->all, bytes, count);
	for (const uint8_t *at = bytes; count > 0;) {
		uint32_t part = snap_file_ops.room(c->to, group);

		part = part < count ? part : count;
		snap_file_ops.write(c->to, group, at, part);
		at += part;
		count -= part;
		serve(c->to);
	}
}

/* ------------------------------------------------------------------------------ reading */

static void
on_header(struct snapshot_copy *c)
{
	struct eng_snapshot facts = c->reader.facts;
	uint8_t header[SNAPSHOT_HEADER_BYTES_MAX];

	c->g->hard.snapshot_digest = facts.digest;
	for (uint32_t i = 0; i < facts.config_count; i++)
		if (c->g->id_last < facts.configs[i].members.id_last)
			c->g->id_last = facts.configs[i].members.id_last;
	for (uint32_t i = 0; i < facts.config_count; i++)
		salvage_membership(
			c->s, c->g, &c->reader.facts.configs[i].members, &facts.configs[i].members);
	put(c, header,
		snapshot_header_encode(&facts, c->s->config.cluster_id, c->g->found.group, header));
}

/* A backup does not say how often the nodes had been started, but the sessions of their gateways
 * do. The new node counts on from there, or a session of an earlier life of its number would pass
 * for a newer one. */
static void
note_boot_count(struct snapshot_copy *c)
{
	uint64_t boot_count;

	if (c->s->backup == NULL || c->reader.chunk_kind != SNAPSHOT_SESSIONS ||
		c->reader.chunk_bytes < ENG_SESSIONS_PIECE_HEADER_BYTES)
		return;
	boot_count = load_u64(c->buffer + ENG_SESSIONS_PIECE_BOOT_AT);
	if (c->s->boot_count < boot_count)
		c->s->boot_count = boot_count;
}

static void
put_chunk(struct snapshot_copy *c, enum snapshot_chunk_kind kind, uint64_t index,
	const uint8_t *payload, uint32_t bytes)
{
	uint8_t head[SNAPSHOT_CHUNK_HEADER_BYTES];

	snapshot_chunk_encode(kind, index, payload, bytes, head);
	put(c, head, sizeof(head));
	put(c, payload, bytes);
}

static void
on_end(struct snapshot_copy *c)
{
	uint8_t payload[SNAPSHOT_END_BYTES];

	snapshot_end_encode(c->chunk_count, digest_stream_get(&c->all), payload);
	put_chunk(c, SNAPSHOT_END, 0, payload, sizeof(payload));
	c->is_whole = true;
}

static int
on_bytes(void *context, const void *bytes, uint32_t count)
{
	struct snapshot_copy *c = context;
	const struct snapshot_reader *r = &c->reader;
	const uint8_t *at = bytes;
	uint32_t taken;

	for (;; at += taken, count -= taken) {
		switch (snapshot_read(&c->reader, at, count, &taken)) {
		case SNAPSHOT_FOUND_NOTHING: return 0;
		case SNAPSHOT_FOUND_HEADER: on_header(c); break;
		case SNAPSHOT_FOUND_CHUNK:
			c->chunk_count++;
			note_boot_count(c);
			put_chunk(c, r->chunk_kind, r->chunk_index, r->buffer, r->chunk_bytes);
			break;
		case SNAPSHOT_FOUND_END: on_end(c); return taken == count ? 0 : -EBADMSG;
		default: return -EBADMSG;
		}
	}
}

/* ------------------------------------------------------------------------------ one, and all */

static int
commit(struct snapshot_copy *c)
{
	uint16_t group = c->g->found.group;
	struct snap_completion done;

	snap_file_ops.commit(c->to, group, digest_stream_get(&c->all));
	while (snap_file_ops.reap(c->to, base_now_ns(), &done, 1) == 0)
		serve(c->to);
	c->g->is_copied = done.kind == SNAP_COMMITTED;
	if (c->g->is_copied)
		return 0;
	return salvage_refuse(
		c->s, done.rc, "the new snapshot of group %u: %.300s", group, done.text);
}

static int
copy_one(struct salvage *s, struct salvage_group *g, struct snap_store *from, struct snap_store *to)
{
	struct snapshot_copy *c = base_zeros(1, sizeof(*c));
	struct snap_info info;
	int rc = c == NULL ? -ENOMEM : 0;

	if (rc == 0 && to != NULL)
		rc = snap_file_ops.begin(to, g->found.group, g->found.snapshot);
	if (rc != 0) {
		free(c);
		return rc;
	}
	c->s = s;
	c->g = g;
	c->to = to;
	digest_stream_init(&c->all);
	snapshot_reader_init(&c->reader, s->old.cluster_id, g->found.group, c->buffer);
	rc = s->backup != NULL ? backup_load(s->backup, g->found.group, on_bytes, c, s->ret_error)
			       : snap_file_ops.load(from, g->found.group, g->found.snapshot,
					 on_bytes, c, &info, s->ret_error);
	if (rc == 0 && (!c->is_whole || c->reader.facts.slot.n != g->found.snapshot.n))
		rc = -EBADMSG;
	if (rc == -EBADMSG && s->ret_error[0] == '\0' && s->backup != NULL)
		salvage_refuse(s, rc, "%.300s is damaged (group %u): use another backup",
			s->backup->path, g->found.group);
	if (rc == -EBADMSG && s->ret_error[0] == '\0')
		salvage_refuse(s, rc, "the snapshot of group %u was written by another version",
			g->found.group);
	if (rc == 0 && to != NULL)
		rc = commit(c);
	free(c);
	return rc;
}

static int
open_store(const struct salvage *s, const struct snap_directory_config *cfg,
	struct snap_directory **ret_directory, struct snap_store **ret_store)
{
	struct snap_store_config store = { .bytes_per_second = BYTES_PER_SECOND };
	int rc = snap_directory_open(cfg, ret_directory, s->ret_error);

	if (rc != 0)
		return rc;
	store.directory = *ret_directory;
	return snap_store_open(&store, ret_store);
}

static int
copy_groups(struct salvage *s, struct snap_store *from, struct snap_store *to)
{
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < s->config.group_count; i++)
		if (s->groups[i].found.snapshot.n != 0)
			rc = copy_one(s, &s->groups[i], from, to);
	return rc;
}

/* @param to  NULL: only look */
static int
copy_all(struct salvage *s, struct snap_store *to)
{
	struct snap_directory *directory = NULL;
	struct snap_store *from = NULL;
	char path[DATA_PATH_BYTES];
	struct snap_directory_config cfg = {
		.path = path,
		.cluster_id = s->old.cluster_id,
		.is_read_only = true,
	};
	int rc;

	if (s->backup != NULL)
		return copy_groups(s, NULL, to);
	data_snapshot_path(s->rescue->data_dir, s->rescue->snapshot_dir, path);
	rc = open_store(s, &cfg, &directory, &from);
	if (rc == 0)
		rc = copy_groups(s, from, to);
	snap_store_close(from);
	snap_directory_close(directory);
	return rc;
}

static bool
has_snapshots(const struct salvage *s)
{
	for (uint32_t i = 0; i < s->config.group_count; i++)
		if (s->groups[i].found.snapshot.n != 0)
			return true;
	return false;
}

int
salvage_check_snapshots(struct salvage *s)
{
	return has_snapshots(s) ? copy_all(s, NULL) : 0;
}

/* A backup is restored where another node may have its snapshots: they have the names of those to
 * come, and would go. */
static int
check_directory_is_free(const struct salvage *s, const char *path)
{
	DIR *folder = opendir(path);
	struct dirent *entry;
	int rc = 0;

	if (folder == NULL)
		return 0; /* whoever opens it next says why */
	while (rc == 0 && (entry = readdir(folder)) != NULL)
		if (strncmp(entry->d_name, "snapshot-", 9) == 0 ||
			strncmp(entry->d_name, "spare-", 6) == 0)
			rc = salvage_refuse(s, -EEXIST,
				"%.300s holds snapshots already (%.100s): name another [snapshot] "
				"directory, or move them away",
				path, entry->d_name);
	(void)closedir(folder); /* was only read */
	return rc;
}

int
salvage_copy_snapshots(struct salvage *s)
{
	struct snap_directory *directory = NULL;
	struct snap_store *to = NULL;
	char path[DATA_PATH_BYTES];
	struct snap_directory_config cfg = {
		.path = path,
		.may_create = s->config.snapshot_dir[0] == '\0',
		.cluster_id = s->config.cluster_id,
	};
	int rc;

	if (!has_snapshots(s))
		return 0;
	data_snapshot_path(s->building, s->config.snapshot_dir, path);
	rc = s->backup != NULL ? check_directory_is_free(s, path) : 0;
	if (rc == 0)
		rc = open_store(s, &cfg, &directory, &to);
	if (rc == 0)
		rc = copy_all(s, to);
	snap_store_close(to);
	snap_directory_close(directory);
	return rc;
}

void
salvage_forget_snapshots(const struct salvage *s)
{
	char name[SNAP_NAME_BYTES], path[CONFIG_PATH_BYTES + SNAP_NAME_BYTES + 1];

	for (uint32_t i = 0; s->config.snapshot_dir[0] != '\0' && i < s->config.group_count; i++) {
		const struct salvage_group *g = &s->groups[i];

		if (!g->is_copied)
			continue;
		snap_name(name, g->found.group, g->found.snapshot.n);
		(void)snprintf(path, sizeof(path), "%.1023s/%s", s->config.snapshot_dir, name);
		(void)unlink(
			path); /* what stays behind is of a cluster that never was, and says so */
	}
}
