/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nodes as engine/runtime/recover.c starts them: identity, hard state, snapshot, records and
 * damage, in this order. The network, the memory of shards and the proposer's mailbox are those of
 * the loop's unit tests.
 */
#include "tests/tables/cluster.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "engine/runtime/snap_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define CLUSTER_ID 42
#define BEGIN_NS   1000000000ull
#define TURN_NS    20000ull
#define SLEEP_NS   2000000ull /* the log has timers of its own, of a millisecond */
#define BLOB_BYTES 2
#define SLOT_BYTES 1024

#define LOG_BYTES      (512ull << 10)
#define SEGMENT_BYTES  (32ull << 10)
#define WINDOW_BYTES   (64u << 10)
#define RESERVE_COUNT  4096
#define SPACE_MIN      64 /* less is no room for commands */
#define LOG_RECORD_MAX (SLOT_BYTES + 64)

static_assert(LOG_BYTES / IMAGE_SECTOR_BYTES <= BAD_SECTOR_COUNT, "every sector can be bad");

static struct node *
node_of(const struct world_node *n)
{
	return n->config.context;
}

/* ---- the log ---- */

/* The loop takes nothing in while a burst of hundreds of records would not fit the buffer, and
 * keeps back more space than this log has (runtime/room.c). Here a burst is a few records. */
static struct log_room
log_room(void *log)
{
	struct log_room room = wal_log_ops.room(log);

	room.buffer_record_count += RESERVE_COUNT;
	if (room.space_record_count >= SPACE_MIN)
		room.space_record_count += RESERVE_COUNT;
	room.space_record_count_max = 2 * RESERVE_COUNT; /* it always seems worth a cut */
	return room;
}

static struct log_ops table_log_ops;

static int
on_identity(void *context, const struct decree_uuid *uuid, const void *blob, uint32_t bytes,
	char *ret_error)
{
	const struct node *n = context;

	(void)uuid;
	if (bytes == BLOB_BYTES && load_u16(blob) == n->world->node_id)
		return 0;
	snprintf(ret_error, DECREE_ERROR_BYTES, "this log is another node's");
	return -EXDEV;
}

static int
on_meta(void *context, uint64_t generation, const void *blob, uint32_t bytes)
{
	struct node *n = context;
	int rc;

	if (generation == 0)
		return 0;
	rc = shard_recover_meta(n->world->shard, blob, bytes, &n->world->boot_count);
	if (rc != 0)
		n->why_not = "the hard state was written by another version";
	return rc;
}

static void
on_hearsay(void *context, const void *blob, uint32_t bytes)
{
	struct node *n = context;

	(void)shard_recover_hearsay(n->world->shard, blob, bytes); /* or it is forgotten */
}

static int
take(struct node *n, int rc)
{
	if (rc != 0)
		n->why_not = "a record belongs to a group that is not here";
	return rc != 0 || shard_stop_reason(n->world->shard, NULL) != SHARD_RUNS ? -EBADMSG : 0;
}

static int
on_record(void *context, const struct log_place *place, const uint8_t *tag, const void *payload,
	uint32_t bytes)
{
	struct node *n = context;

	return take(n, shard_recover_record(n->world->shard, tag, payload, bytes, *place));
}

static int
on_damaged(void *context, const struct log_place *place, const uint8_t *tag)
{
	struct node *n = context;
	struct decree_slot any = { 0 };

	if (tag == NULL)
		return take(n, shard_recover_unknown(n->world->shard, 0, any, any, *place));
	return take(n, shard_recover_damaged(n->world->shard, tag, *place));
}

static void
explain(struct node *n)
{
	char text[DECREE_ERROR_BYTES];

	if (shard_stop_reason(n->world->shard, text) != SHARD_RUNS)
		memcpy(n->refusal, text, sizeof(text));
	else if (n->why_not != NULL)
		snprintf(n->refusal, sizeof(n->refusal), "%s", n->why_not);
}

static void *
open_log(struct world_node *world, uint64_t *ret_boot_count)
{
	struct node *n = node_of(world);
	struct wal_config cfg = {
		.ops = &table_disk_ops,
		.disk = n->disk,
		.mode = DECREE_LOG_DURABLE,
		.recovery = {
			.context = n,
			.identity = on_identity,
			.meta = on_meta,
			.hearsay = on_hearsay,
			.record = on_record,
			.damaged = on_damaged,
		},
	};

	if (n->disk == NULL)
		return NULL; /* the world is being made: there are no files yet */
	world->boot_count = 0;
	if (wal_open(&cfg, &n->wal, n->refusal) != 0) {
		n->wal = NULL;
		explain(n);
		return NULL;
	}
	*ret_boot_count = world->boot_count;
	return n->wal;
}

/* ---- start and death ---- */

static void
shard_path(const struct node *n, char ret[300])
{
	snprintf(ret, 300, "%s/" SHARD_FOLDER, n->path);
}

static int
snapshots_open(struct node *n)
{
	char path[300];
	struct snap_directory_config directory = {
		.path = path,
		.may_create = true,
		.cluster_id = CLUSTER_ID,
	};
	struct snap_store_config store = { .bytes_per_second = 1ull << 40 };
	int rc;

	snprintf(path, sizeof(path), "%s/" SNAPSHOT_FOLDER, n->path);
	rc = snap_directory_open(&directory, &n->snap_directory, n->refusal);
	if (rc != 0)
		return rc;
	store.directory = n->snap_directory;
	return snap_store_open(&store, &n->snaps);
}

bool
node_start(struct node *n)
{
	char path[300];

	decree_assert(n->disk == NULL);
	n->machine = (struct machine){ .node = n };
	n->why_not = NULL;
	n->refusal[0] = '\0';
	shard_path(n, path);
	if (n->cluster->has_snapshots && snapshots_open(n) != 0) {
		node_kill(n);
		return false;
	}
	n->world->config.snap_store = n->snaps;
	if (table_disk_open(path, &n->bad, n->cluster->is_direct, false, &n->disk, n->refusal) == 0)
		world_restart(n->cluster->world, n->world);
	if (n->wal == NULL)
		node_kill(n);
	return n->wal != NULL;
}

void
node_kill(struct node *n)
{
	if (n->cluster->proposer == n) {
		n->cluster->proposer = NULL;
		n->cluster->proposed_slot = 0; /* whoever goes on proposes another one */
	}
	n->world->is_down = true;
	table_disk_close(n->disk);
	wal_abandon(n->wal);
	snap_store_close(n->snaps);
	snap_directory_close(n->snap_directory);
	n->disk = NULL;
	n->wal = NULL;
	n->snaps = NULL;
	n->snap_directory = NULL;
}

bool
node_is_up(const struct node *n)
{
	return n->wal != NULL;
}

void
node_format(struct node *n)
{
	uint8_t blob[BLOB_BYTES];
	char path[300], error[DECREE_ERROR_BYTES];
	struct wal_format format = {
		.identity = blob,
		.identity_bytes = sizeof(blob),
		.payload_bytes_max = LOG_RECORD_MAX,
		.log_bytes = LOG_BYTES,
		.segment_bytes = SEGMENT_BYTES,
		.window_bytes = WINDOW_BYTES,
	};
	int rc;

	memset(format.uuid.bytes, 0xd0 + n->world->node_id, sizeof(format.uuid.bytes));
	store_u16(blob, n->world->node_id);
	image_write(&(struct image){ .count = 0 }, n->path);
	shard_path(n, path);
	rc = table_disk_open(path, &n->bad, n->cluster->is_direct, true, &n->disk, error);
	if (rc == 0)
		rc = wal_format(&table_disk_ops, n->disk, &format, error);
	if (rc != 0) {
		fprintf(stderr, "tables: cannot format %s: %s\n", path, error);
		exit(2);
	}
	table_disk_close(n->disk);
	n->disk = NULL;
}

/* ---- the world ---- */

static void
on_applied(void *context, uint16_t group, struct decree_slot first, struct decree_slot after)
{
	(void)group, (void)first;
	judge_applied(context, after);
}

static uint64_t
on_now_ns(void *context)
{
	return ((struct node *)context)->cluster->world->now_ns;
}

static struct cluster *being_made;

/* Small, so that a start costs little. No digests are compared: they would fill slots between the
 * commands. */
static void
tune(struct world_node *w)
{
	struct node *n = &being_made->nodes[w->node_id - 1];

	n->world = w;
	n->cluster = being_made;
	w->eng.slot_bytes = SLOT_BYTES;
	w->eng.alpha = w->eng.window_slots = 16;
	w->eng.ring_slots = being_made->has_snapshots ? 256 : 64;
	w->eng.command_bytes_max = SLOT_BYTES;
	w->eng.session_count = 8;
	w->eng.session_window = 1024;
	w->eng.digest_slots = being_made->has_snapshots ? 64 : 0;
	w->config.log_ops = &table_log_ops;
	w->config.log_bytes = LOG_BYTES;
	w->config.machine_ops = being_made->has_snapshots ? &machine_snapshot_ops : &machine_ops;
	w->machines[0] = &n->machine;
	w->config.snap_ops = being_made->has_snapshots ? &snap_file_ops : NULL;
	w->config.snapshot_slots = 96;
	w->config.gateway_window = 64;
	w->config.assembly_count = 1;
	w->config.context = n;
	w->config.on_applied = on_applied;
	w->config.on_role = NULL;
	w->config.on_note = NULL;
	w->config.now_ns = on_now_ns;
	w->open_log = open_log;
}

struct cluster *
cluster_create(const char *path, uint32_t node_count, bool has_snapshots, bool is_direct)
{
	struct cluster *c = calloc(1, sizeof(*c));

	decree_assert(c != NULL && node_count <= NODE_MAX);
	table_log_ops = wal_log_ops;
	table_log_ops.room = log_room;
	c->node_count = node_count;
	c->has_snapshots = has_snapshots;
	c->is_direct = is_direct;
	c->mailbox = world_mailbox_new();
	for (uint32_t i = 0; i < node_count; i++)
		snprintf(c->nodes[i].path, sizeof(c->nodes[i].path), "%.200s/node-%u", path, i + 1);
	being_made = c;
	world_tune = tune;
	c->world = world_new(node_count);
	world_tune = NULL;
	being_made = NULL;
	return c;
}

void
cluster_destroy(struct cluster *c)
{
	for (uint32_t i = 0; i < c->node_count; i++)
		node_kill(&c->nodes[i]);
	world_mailbox_free(c->mailbox);
	world_free(c->world);
	free(c);
}

void
cluster_begin(struct cluster *c, const struct judged_slot slots[SLOT_MAX], uint64_t held_last,
	uint64_t seed)
{
	for (uint32_t i = 0; i < c->node_count; i++) {
		decree_assert(!node_is_up(&c->nodes[i]));
		c->nodes[i].refusal[0] = '\0';
		c->nodes[i].world->eng.seed = draw(&seed, UINT64_MAX);
		memset(&c->nodes[i].bad, 0, sizeof(c->nodes[i].bad));
	}
	world_forget_frames(c->world);
	c->world->now_ns = BEGIN_NS;
	memcpy(c->slots, slots, sizeof(c->slots));
	c->held_last = c->slot_last = held_last;
	c->wrong[0] = '\0';
	c->proposer = NULL;
	c->proposed = c->proposed_slot = 0;
}

/* ---- running ---- */

static bool
is_busy(const struct node *n)
{
	return n->snaps != NULL && snap_store_is_busy(n->snaps);
}

/* @return whether anything happened, or is about to */
static bool
node_turn(struct node *n)
{
	struct cluster *c = n->cluster;
	bool worked = shard_turn(n->world->shard, c->world->now_ns);

	table_disk_settle(n->disk);
	if (n->snaps != NULL)
		worked |= snap_store_step(n->snaps, c->world->now_ns);
	if (shard_stop_reason(n->world->shard, n->refusal) != SHARD_RUNS) {
		node_kill(n);
		return true;
	}
	return worked || n->world->net.first != NULL;
}

static void
time_pass(struct cluster *c, bool is_at_work)
{
	uint64_t at = c->world->now_ns + SLEEP_NS;

	for (uint32_t i = 0; i < c->node_count && !is_at_work; i++) {
		const struct node *n = &c->nodes[i];

		if (!node_is_up(n))
			continue;
		if (shard_wake_at(n->world->shard) < at)
			at = shard_wake_at(n->world->shard);
		is_at_work = is_busy(n);
	}
	if (is_at_work || at < c->world->now_ns + TURN_NS)
		at = c->world->now_ns + TURN_NS;
	c->world->now_ns = at;
}

static void
cluster_turn(struct cluster *c)
{
	bool worked = false, is_waiting = false;

	for (uint32_t i = 0; i < c->node_count; i++)
		if (node_is_up(&c->nodes[i]))
			worked |= node_turn(&c->nodes[i]);
	for (uint32_t i = 0; i < c->node_count; i++)
		is_waiting |= node_is_up(&c->nodes[i]) && table_disk_is_busy(c->nodes[i].disk);
	if (!is_waiting)
		time_pass(c, worked);
}

bool
cluster_run(struct cluster *c, uint64_t for_ns, bool (*is_done)(struct cluster *c))
{
	uint64_t until_ns = c->world->now_ns + for_ns;

	while (c->world->now_ns < until_ns && c->wrong[0] == '\0') {
		cluster_turn(c);
		if (is_done != NULL && is_done(c))
			return true;
	}
	return false;
}

/* ---- commands ---- */

struct node *
cluster_leader(struct cluster *c)
{
	for (uint32_t i = 0; i < c->node_count; i++) {
		struct decree_group_status status;

		if (node_is_up(&c->nodes[i]) &&
			shard_group_status(c->nodes[i].world->shard, 0, &status) == 0 &&
			status.role == DECREE_LEADER && status.ready)
			return &c->nodes[i];
	}
	return NULL;
}

static void
proposer_open(struct cluster *c, struct node *n)
{
	struct world_mailbox *m = c->mailbox;
	uint8_t token[DECREE_UUID_BYTES] = { 0 };
	int rc;

	if (c->proposer != NULL)
		shard_gateway_close(c->proposer->world->shard, 0);
	world_mailbox_empty(m);
	store_u64(token, c->world->now_ns);
	store_u64(token + 8, c->proposed + 1);
	rc = shard_gateway_open(n->world->shard, 0, token, &world_mailbox_ops, m);
	decree_assert(rc == 0);
	c->proposer = n;
}

void
cluster_propose(struct cluster *c, struct node *n, uint64_t number, uint32_t bytes)
{
	if (c->proposer != n)
		proposer_open(c, n);
	command_fill(number, c->body, bytes);
	world_propose(c->mailbox, bytes);
	c->mailbox->commands[c->mailbox->pushed % WORLD_MAIL_COUNT_MAX].body = c->body;
	c->proposed = number;
	c->proposed_slot = 0;
}

bool
cluster_has_applied(struct cluster *c)
{
	for (uint32_t i = 0; i < c->node_count; i++)
		if (node_is_up(&c->nodes[i]) && c->nodes[i].machine.last < c->proposed_slot)
			return false;
	return c->proposed_slot != 0;
}

bool
cluster_is_idle(struct cluster *c)
{
	for (uint32_t i = 0; i < c->node_count; i++) {
		struct wal_status status;

		if (!node_is_up(&c->nodes[i]))
			continue;
		wal_status(c->nodes[i].wal, &status);
		if (table_disk_is_busy(c->nodes[i].disk) || is_busy(&c->nodes[i]) ||
			status.lsn_identified < status.lsn_appended)
			return false;
	}
	return true;
}

/* A command that begins after the damage. Whoever was to commit it may have died: then another one. */
bool
cluster_has_converged(struct cluster *c)
{
	struct node *leader = cluster_leader(c);

	if (leader != NULL && c->proposer == NULL)
		cluster_propose(
			c, leader, c->proposed >= SLOT_MAX ? c->proposed + 1 : SLOT_MAX, 24);
	if (!cluster_has_applied(c))
		return false;
	for (uint32_t i = 0; i < c->node_count; i++)
		if (node_is_up(&c->nodes[i]) && c->nodes[i].machine.last < c->held_last)
			return false;
	return true;
}
