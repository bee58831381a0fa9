/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a snapshot to the state: at the start, before the log is read, and when one was fetched from
 * a peer.
 *
 * The bytes come in pieces of any size. The header names the place; the session table takes its
 * chunks, then the state machine its own. At the end the digest of what was built must be the one
 * that the header names, and that the log has agreed on (7.4).
 *
 * What may fail: the machine does not know a chunk, or builds another state from it. Then this
 * version of it is not the one that cut the snapshot: the node stops and says so.
 */
#include "base/failpoint.h"
#include "base/version.h"
#include "engine/runtime/shard_private.h"

int
restore_begin(struct shard *s, struct shard_group *g)
{
	g->snap.is_restoring = true;
	snapshot_reader_init(
		&s->snap_reader, g->config.cluster_id, g->config.group, s->snap_buffer);
	return s->config.machine_ops->restore_begin(g->machine);
}

static int
on_chunk(struct shard *s, struct shard_group *g)
{
	const struct snapshot_reader *r = &s->snap_reader;
	struct decree_chunk chunk = {
		.index = r->chunk_index,
		.bytes = r->buffer,
		.count = r->chunk_bytes,
	};

	if (r->chunk_kind == SNAPSHOT_SESSIONS)
		return eng_sessions_restore_piece(g->sessions, r->buffer, r->chunk_bytes);
	return s->config.machine_ops->restore_next(g->machine, &chunk);
}

static int
on_end(struct shard *s, struct shard_group *g)
{
	const struct decree_machine_ops *ops = s->config.machine_ops;

	if (eng_sessions_restore_end(g->sessions) != 0 || ops->restore_end(g->machine) != 0 ||
		!digest_eq(eng_state_digest(g->sessions, ops->digest(g->machine)),
			s->snap_reader.facts.digest))
		return -EBADMSG;
	g->applied = s->snap_reader.facts.slot;
	g->snap.is_restoring = false;
	return 1;
}

int
restore_feed(struct shard *s, struct shard_group *g, const uint8_t *bytes, uint32_t count)
{
	uint32_t taken;
	int found, rc = 0;

	decree_assert(g->snap.is_restoring);
	for (; rc == 0; bytes += taken, count -= taken) {
		found = snapshot_read(&s->snap_reader, bytes, count, &taken);
		switch (found) {
		case SNAPSHOT_FOUND_NOTHING: return 0;
		case SNAPSHOT_FOUND_HEADER:
			eng_sessions_restore_begin(g->sessions, &s->snap_reader.facts);
			break;
		case SNAPSHOT_FOUND_CHUNK: rc = on_chunk(s, g); break;
		case SNAPSHOT_FOUND_END: return taken == count ? on_end(s, g) : -EBADMSG;
		default: return found;
		}
	}
	return rc == -EPROTONOSUPPORT || rc == -EMSGSIZE ? rc : -EBADMSG;
}

/* ------------------------------------------------------------------------------ at the start */

struct start_load {
	struct shard *s;
	struct shard_group *g;
	int last; /* of restore_feed() */
};

static int
start_feed(void *context, const void *bytes, uint32_t count)
{
	struct start_load *load = context;

	load->last = restore_feed(load->s, load->g, bytes, count);
	return load->last < 0 ? load->last : 0;
}

static int
start_refuse(struct shard *s, const struct shard_group *g, struct decree_slot slot, const char *why)
{
	shard_stop(s, SHARD_STOPPED_SNAPSHOT,
		"group %u: the log begins behind slot %llu, and its snapshot cannot be used: "
		"%.400s",
		g->config.group, (unsigned long long)slot.n, why);
	return -EBADMSG;
}

static void
other_version(const struct shard *s, char ret_why[DECREE_ERROR_BYTES])
{
	if (version_is_known(s->snap_reader.version))
		(void)snprintf(ret_why, DECREE_ERROR_BYTES,
			"another version of the state machine made it: install the program that "
			"the other nodes run");
	else
		(void)snprintf(ret_why, DECREE_ERROR_BYTES,
			"it was written by version %u, and this program reads versions %u to %u",
			s->snap_reader.version, base_versions.min, base_versions.max);
}

int
restore_at_start(struct shard *s, struct shard_group *g)
{
	struct start_load load = { .s = s, .g = g };
	struct snap_info info = { 0 };
	char why[DECREE_ERROR_BYTES] = "its state is not the one that the log agreed on: was it "
				       "cut by another version of the state machine?";
	struct eng_event event = { .type = ENG_EV_RECOVER_SNAPSHOT };
	struct eng_status now;

	eng_status(g->replica, &now);
	if (now.snapshot.n == 0)
		return 0;
	if (!snapshot_is_possible(s))
		return start_refuse(s, g, now.snapshot, "this program keeps no snapshots");
	int rc = restore_begin(s, g);
	FAILPOINT("runtime.start.restore_begun");
	if (rc == 0)
		rc = s->config.snap_ops->load(s->config.snap_store, g->config.group, now.snapshot,
			start_feed, &load, &info, why);
	FAILPOINT("runtime.start.snapshot_restored");
	if (load.last == -EPROTONOSUPPORT)
		other_version(s, why);
	if (load.last == -EMSGSIZE)
		(void)snprintf(why, sizeof(why),
			"it was cut with more or less memory than the state machine has now: put "
			"the setting of its size back to what it was");
	if (rc != 0 || load.last != 1 || s->snap_reader.facts.slot.n != now.snapshot.n)
		return start_refuse(s, g, now.snapshot, why);
	g->snap.kept = (struct snapshot_kept){
		.slot = now.snapshot,
		.bytes = info.bytes,
		.digest = s->snap_reader.facts.digest,
	};
	g->index.slot_min = now.snapshot.n + 1;
	event.snapshot.snapshot = &s->snap_reader.facts;
	shard_step(s, g, &event);
	return s->stop == SHARD_RUNS ? 0 : -EBADMSG;
}

/* ------------------------------------------------------------------------------ who waits here */

void
restore_owners(struct shard *s, struct shard_group *g)
{
	for (uint32_t row = 0; row < g->config.session_count; row++)
		*owner_at(g, row) = (struct owner){ .kind = OWNER_NONE }; /* clients ask again */
	for (uint32_t i = 0; i < s->gateway_after; i++)
		if (s->gateways[i].group == g)
			gateway_on_restored(s, &s->gateways[i], (uint16_t)i);
}
