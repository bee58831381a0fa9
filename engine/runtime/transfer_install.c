/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The snapshot that was fetched takes the place of our own state (protocol 9.4, steps 5 and 6 of
 * state_transfer.c).
 */
#include "base/failpoint.h"
#include "engine/runtime/transfer.h"

#define RESTORE_BYTES SNAP_READ_BYTES_MAX

static void
install(struct shard *s)
{
	struct snapshot_fetch *f = &s->fetch;
	struct eng_snapshot facts = { .slot = f->wanted.slot, .digest = f->wanted.digest };
	struct eng_event event = {
		.type = ENG_EV_SNAPSHOT_INSTALL,
		.now_ns = s->now_ns,
		.snapshot = { .snapshot = &facts },
	};
	struct eng_status now;

	if (!room_for_turn(s, f->group))
		return;
	shard_step(s, f->group, &event);
	FAILPOINT("transfer.install.asked");
	eng_status(f->group->replica, &now);
	if (s->stop == SHARD_RUNS && now.installing.n != f->wanted.slot.n)
		*f = (struct snapshot_fetch){ .state = FETCH_NONE }; /* caught up meanwhile */
}

static void
restore_read(struct shard *s)
{
	struct snapshot_fetch *f = &s->fetch;

	f->is_reading = s->config.snap_ops->read(s->config.snap_store, f->group->config.group,
				f->wanted.slot, f->offset_bytes, RESTORE_BYTES,
				TRANSFER_TOKEN_RESTORE) == 0;
}

static void
restore_finish(struct shard *s)
{
	struct shard_group *g = s->fetch.group;
	struct eng_event event = {
		.type = ENG_EV_SNAPSHOT_INSTALLED,
		.now_ns = s->now_ns,
		.snapshot = { .snapshot = &s->snap_reader.facts },
	};

	g->snap.kept = s->fetch.wanted;
	g->index.slot_min = g->applied.n + 1;
	s->fetch = (struct snapshot_fetch){ .state = FETCH_NONE };
	s->counters.snapshots_fetched++;
	s->config.snap_ops->forget(s->config.snap_store, g->config.group, g->snap.kept.slot);
	trim_note_here(s, g);
	shard_note(s, g, NOTE_SNAPSHOT_FETCH, "group %u: stands on the snapshot of slot %llu now",
		g->config.group, (unsigned long long)g->snap.kept.slot.n);
	FAILPOINT("transfer.install.restored");
	restore_owners(s, g);
	shard_step(s, g, &event);
}

void
transfer_on_restore_read(struct shard *s, const struct snap_completion *c)
{
	struct snapshot_fetch *f = &s->fetch;
	int rc = c->rc;

	f->is_reading = false;
	if (rc == 0) {
		f->offset_bytes += c->count;
		rc = restore_feed(s, f->group, c->data, c->count);
	}
	if (rc == 1) {
		restore_finish(s);
	} else if (rc != 0) {
		shard_stop(s, SHARD_STOPPED_SNAPSHOT,
			"group %u: the snapshot of slot %llu was fetched and verified, but the "
			"state cannot be restored from it (%s): do all nodes run the same program, "
			"with the same settings of its state machine?",
			f->group->config.group, (unsigned long long)f->wanted.slot.n,
			strerror(-rc));
	}
}

/* The hard state points to it. */
static void
restore_first(struct shard *s)
{
	struct snapshot_fetch *f = &s->fetch;

	FAILPOINT("transfer.install.pointed_to");
	f->state = FETCH_RESTORING;
	f->offset_bytes = 0;
	if (restore_begin(s, f->group) != 0)
		shard_stop(s, SHARD_STOPPED_SNAPSHOT,
			"group %u: the state machine does not begin to restore",
			f->group->config.group);
}

void
transfer_install_turn(struct shard *s)
{
	struct snapshot_fetch *f = &s->fetch;
	struct eng_status now;

	if (f->state == FETCH_RESTORING) {
		if (!f->is_reading)
			restore_read(s);
		return;
	}
	decree_assert(f->state == FETCH_POINTING);
	eng_status(f->group->replica, &now);
	if (now.installing.n == 0)
		install(s);
	else if (now.snapshot.n == f->wanted.slot.n)
		restore_first(s);
}
