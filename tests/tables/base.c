/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The histories that patterns damage. Each is made once by each process, by a healthy cluster:
 *
 *   entries     four commands of 1, 2, 3 and 1 sectors, committed on every node, everything durable
 *               and idle
 *   lagging     the same, but one node dies after one, two or three of them: a follower, or the
 *               leader while it proposes the next
 *   snapshots   some three hundred commands, snapshots, and logs that begin behind them
 */
#include "tests/tables/base.h"

#include "base/assert.h"
#include "engine/core/record.h"
#include "wal/directory.h"
#include "wal/disk_uring.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECOND_NS     1000000000ull
#define DEADLINE_NS   (20 * SECOND_NS)
#define COMMAND_COUNT 300 /* of a history with snapshots */

static const uint32_t entry_bytes[ENTRY_COUNT] = { 40, 600, 1000, 100 };

static void
fail(const struct cluster *c, const char *what)
{
	fprintf(stderr, "tables: a healthy cluster does not %s%s%s\n", what,
		c->wrong[0] != '\0' ? ": " : "", c->wrong);
	for (uint32_t i = 0; i < c->node_count; i++)
		if (c->nodes[i].refusal[0] != '\0')
			fprintf(stderr, "  node %u: %s\n", i + 1, c->nodes[i].refusal);
	exit(2);
}

static bool
has_leader(struct cluster *c)
{
	return cluster_leader(c) != NULL;
}

static void
commit(struct cluster *c, uint64_t number, uint32_t bytes)
{
	if (!cluster_run(c, DEADLINE_NS, has_leader))
		fail(c, "elect a leader");
	cluster_propose(c, cluster_leader(c), number, bytes);
	if (!cluster_run(c, DEADLINE_NS, cluster_has_applied))
		fail(c, "commit a command");
	if (!cluster_run(c, DEADLINE_NS, cluster_is_idle))
		fail(c, "become idle");
}

static void
take_images(struct cluster *c, struct image images[NODE_MAX])
{
	for (uint32_t i = 0; i < c->node_count; i++) {
		image_free(&images[i]);
		image_take(&images[i], c->nodes[i].path);
	}
}

/* ---- where the records are ---- */

static int
on_record(void *context, const struct log_place *place, const uint8_t *tag, const void *payload,
	uint32_t payload_bytes)
{
	struct base_log *log = context;
	struct eng_record record;

	(void)payload;
	decree_assert(log->count < BASE_RECORD_MAX && eng_record_decode(tag, &record) == 0);
	log->records[log->count++] = (struct base_record){
		.lsn = place->lsn,
		.position = place->position,
		.payload_bytes = payload_bytes,
		.slot = record.slot.n,
	};
	return 0;
}

/* The log's own reader finds them: nothing is damaged yet. */
static void
locate(const struct node *n, struct base_log *log)
{
	struct bad_sectors none = { 0 };
	char path[300], error[DECREE_ERROR_BYTES];
	struct table_disk *disk;
	struct wal_config cfg = {
		.ops = &table_disk_ops,
		.is_read_only = true,
		.recovery = { .context = log, .record = on_record },
	};
	struct wal *wal;
	int rc;

	snprintf(path, sizeof(path), "%s/" SHARD_FOLDER, n->path);
	rc = table_disk_open(path, &none, n->cluster->is_direct, false, &disk, error);
	if (rc == 0) {
		cfg.disk = disk;
		rc = wal_open(&cfg, &wal, error);
		table_disk_close(disk);
	}
	if (rc != 0) {
		fprintf(stderr, "tables: cannot read %s: %s\n", path, error);
		exit(2);
	}
}

/* docs/wal-format.md, "Sectors and blocks" */
static uint64_t
block_bytes(uint32_t payload_bytes)
{
	uint64_t stream = 112 + payload_bytes;

	return IMAGE_SECTOR_BYTES * (stream <= 496 ? 1 : (stream + 40 + 495) / 496);
}

struct base_range
base_block(const struct base *b, uint32_t node, uint64_t slot)
{
	const struct base_log *log = &b->logs[node];

	for (uint32_t i = log->count; i-- > 0;)
		if (log->records[i].slot == slot)
			return (struct base_range){
				log->records[i].position %
					b->images[node].files[DISK_SEGMENTS].size,
				block_bytes(log->records[i].payload_bytes),
			};
	return (struct base_range){ 0 };
}

struct base_range
base_identifier(const struct base *b, uint32_t node, uint64_t slot)
{
	const struct base_log *log = &b->logs[node];
	uint64_t count = b->images[node].files[DISK_SEGMENTS].size / 1024;

	for (uint32_t i = log->count; i-- > 0;)
		if (log->records[i].slot == slot)
			return (struct base_range){ (log->records[i].lsn - 1) % count * 128, 128 };
	return (struct base_range){ 0 };
}

/* ---- histories ---- */

static void
start_all(struct cluster *c, uint64_t seed)
{
	static const struct judged_slot nothing[SLOT_MAX];

	cluster_begin(c, nothing, 0, seed);
	for (uint32_t i = 0; i < c->node_count; i++) {
		node_format(&c->nodes[i]);
		if (!node_start(&c->nodes[i]))
			fail(c, "start");
	}
}

/* The leader has the next command on its way when it dies; a follower has nothing to do. */
static void
lose_one(struct cluster *c, struct base *b, uint64_t number)
{
	struct node *leader = cluster_leader(c);
	bool is_leader = number / ENTRY_COUNT % 2 == 0;

	decree_assert(leader != NULL);
	b->lagging = (uint32_t)(leader - c->nodes);
	if (!is_leader)
		b->lagging = (b->lagging + 1 + (uint32_t)(number / 8) % (c->node_count - 1)) %
			     c->node_count;
	if (is_leader) {
		cluster_propose(c, leader, 500, 200);
		(void)cluster_run(c, number / 8 * 20000 + 1, NULL);
	}
	node_kill(&c->nodes[b->lagging]);
}

static void
commit_entries(struct cluster *c, struct base *b, bool lags, uint64_t number)
{
	for (uint32_t i = 0; i < ENTRY_COUNT; i++) {
		if (lags && i == 1 + number % (ENTRY_COUNT - 1))
			lose_one(c, b, number);
		commit(c, i + 1, entry_bytes[i]);
		b->entry_slots[i] = c->proposed_slot;
		if (i == 0)
			take_images(c, b->older);
	}
}

static void
commit_many(struct cluster *c, struct base *b)
{
	for (uint32_t i = 0; i < COMMAND_COUNT; i++) {
		commit(c, i + 1, 40 + i % 5 * 40);
		if (i == COMMAND_COUNT / 2)
			take_images(c, b->older);
		if (i + ENTRY_COUNT >= COMMAND_COUNT)
			b->entry_slots[i + ENTRY_COUNT - COMMAND_COUNT] = c->proposed_slot;
	}
}

struct base *
base_make(struct worker *w, const struct family *f, uint64_t number)
{
	struct cluster *c = w->cluster;
	struct base *b = calloc(1, sizeof(*b));
	bool lags = f->damage == damage_with_crashes;

	decree_assert(b != NULL);
	b->lagging = NODE_MAX;
	start_all(c, 1 + number);
	if (f->has_snapshots)
		commit_many(c, b);
	else
		commit_entries(c, b, lags, number);
	if (!cluster_run(c, DEADLINE_NS, cluster_is_idle) || c->wrong[0] != '\0')
		fail(c, "stay healthy");
	for (uint32_t i = 0; i < c->node_count; i++)
		node_kill(&c->nodes[i]);
	take_images(c, b->images);
	memcpy(b->slots, c->slots, sizeof(b->slots));
	b->held_last = c->slot_last;
	for (uint32_t i = 0; i < c->node_count; i++) {
		/* Copies: the kernel may still hold the dead nodes' files for a moment. */
		image_write(&b->images[i], c->nodes[i].path);
		locate(&c->nodes[i], &b->logs[i]);
	}
	return b;
}

void
base_free(struct base *b)
{
	for (uint32_t i = 0; i < NODE_MAX; i++) {
		image_free(&b->images[i]);
		image_free(&b->older[i]);
	}
	free(b);
}
