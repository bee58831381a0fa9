/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots of bare replicas: the session table and what the core wants to know, in memory. */
#include "tests/lib/cluster.h"

#include "base/digest.h"

#include <stdlib.h>

static struct cluster_snapshot *
file_find(struct cluster *c, uint16_t node, struct decree_slot slot)
{
	struct cluster_node *n = &c->nodes[node];

	for (uint32_t i = 0; i < CLUSTER_SNAPSHOT_MAX; i++)
		if (n->snapshots[i].facts.slot.n == slot.n)
			return &n->snapshots[i];
	return NULL;
}

/* A free place, or that of the oldest. */
static struct cluster_snapshot *
file_place(struct cluster *c, uint16_t node)
{
	struct cluster_node *n = &c->nodes[node];
	struct cluster_snapshot *place = &n->snapshots[0];

	for (uint32_t i = 1; i < CLUSTER_SNAPSHOT_MAX; i++)
		if (n->snapshots[i].facts.slot.n < place->facts.slot.n)
			place = &n->snapshots[i];
	free(place->pieces);
	*place = (struct cluster_snapshot){ .pieces = NULL };
	return place;
}

static void
file_write(struct cluster_node *n, struct cluster_snapshot *file)
{
	eng_sessions_facts(n->sessions, &file->facts);
	file->applied_digest = n->applied_digest;
	file->executed = n->executed;
	eng_sessions_cut_begin(n->sessions);
	for (;;) {
		file->pieces = realloc(
			file->pieces, file->pieces_bytes + 4 + ENG_SESSIONS_PIECE_BYTES_MAX);
		decree_assert(file->pieces != NULL);
		uint8_t *at = file->pieces + file->pieces_bytes;
		uint32_t bytes = eng_sessions_cut_next(n->sessions, at + 4);
		if (bytes == 0)
			break;
		memcpy(at, &bytes, 4);
		file->pieces_bytes += 4 + bytes;
	}
	eng_sessions_cut_end(n->sessions);
	file->facts.digest = base_digest(file->pieces, file->pieces_bytes);
}

void
cluster_cut_snapshot(struct cluster *c, uint16_t node)
{
	struct cluster_node *n = &c->nodes[node];
	struct cluster_snapshot *file = file_place(c, node);

	file_write(n, file);
	cluster_step(c, node,
		&(struct eng_event){ .type = ENG_EV_SNAPSHOT,
			.now_ns = c->now_ns,
			.snapshot.snapshot = &file->facts });
}

void
cluster_trim(struct cluster *c, uint16_t node, struct decree_slot low)
{
	struct cluster_node *n = &c->nodes[node];
	uint32_t kept = 0;

	cluster_step(c, node,
		&(struct eng_event){ .type = ENG_EV_TRIM, .now_ns = c->now_ns, .trim.low = low });
	for (uint32_t i = 0; i < n->durable_count; i++) {
		struct eng_record record;
		int rc = eng_record_decode(n->durable[i].tag, &record);
		decree_assert(rc == 0);
		if (record.slot.n >= low.n)
			n->durable[kept++] = n->durable[i];
	}
	n->durable_count = kept;
}

void
cluster_restore(struct cluster *c, uint16_t node, const struct cluster_snapshot *file)
{
	struct cluster_node *n = &c->nodes[node];
	uint32_t bytes;
	int rc = 0;

	eng_sessions_restore_begin(n->sessions, &file->facts);
	for (uint32_t at = 0; at < file->pieces_bytes && rc == 0; at += 4 + bytes) {
		memcpy(&bytes, file->pieces + at, 4);
		rc = eng_sessions_restore_piece(n->sessions, file->pieces + at + 4, bytes);
	}
	decree_assert(rc == 0 && eng_sessions_restore_end(n->sessions) == 0);
	n->applied = file->facts.slot;
	n->applied_digest = file->applied_digest;
	n->executed = file->executed;
}

bool
cluster_install(struct cluster *c, uint16_t node, uint16_t donor)
{
	struct decree_slot slot = cluster_replica(c, donor)->snapshot.durable;
	const struct cluster_snapshot *theirs = file_find(c, donor, slot);

	if (slot.n == 0 || theirs == NULL)
		return false;
	struct cluster_snapshot *ours = file_place(c, node);
	*ours = *theirs;
	ours->pieces = malloc(theirs->pieces_bytes + 1);
	decree_assert(ours->pieces != NULL);
	memcpy(ours->pieces, theirs->pieces, theirs->pieces_bytes);
	cluster_step(c, node,
		&(struct eng_event){ .type = ENG_EV_SNAPSHOT_INSTALL,
			.now_ns = c->now_ns,
			.snapshot.snapshot = &ours->facts });
	return true;
}

bool
cluster_installed(struct cluster *c, uint16_t node)
{
	struct decree_slot slot = cluster_replica(c, node)->snapshot.installing;
	struct cluster_snapshot *file = file_find(c, node, slot);

	if (slot.n == 0 || cluster_replica(c, node)->snapshot.durable.n != slot.n)
		return false;
	cluster_restore(c, node, file);
	cluster_step(c, node,
		&(struct eng_event){ .type = ENG_EV_SNAPSHOT_INSTALLED,
			.now_ns = c->now_ns,
			.snapshot.snapshot = &file->facts });
	cluster_flush(c, node);
	return true;
}

void
cluster_recover_snapshot(struct cluster *c, uint16_t node)
{
	struct decree_slot slot = cluster_replica(c, node)->snapshot.durable;
	struct cluster_snapshot *file = file_find(c, node, slot);

	if (slot.n == 0)
		return;
	decree_assert(file != NULL);
	cluster_restore(c, node, file);
	cluster_step(c, node,
		&(struct eng_event){
			.type = ENG_EV_RECOVER_SNAPSHOT, .snapshot.snapshot = &file->facts });
}
