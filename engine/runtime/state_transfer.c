/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A snapshot from a peer (protocol 9.4), for a node that asks for slots that nobody's log goes back
 * to.
 *
 *   1. ASKING      SNAPSHOT_FETCH of slot 0: what have you got?   SNAPSHOT_OFFER: this slot, so many bytes
 *   2. BYTES       SNAPSHOT_FETCH of its bytes, a burst at a time, each SNAPSHOT_CHUNK with its digest. They go to
 *                  the store, and through the reader, which checks every chunk as it comes
 *   3. ANCHOR      a QUERY for the decided MARK behind it: the cluster's own word on the digest of that state.
 *                  A peer that has restarted knows no such slot. It compared the two before it ever kept the file,
 *                  so its word must do: the MARK may be a slot that cannot be chosen again until we can vote on it.
 *                  The next MARK compares our state with everybody's in any case (7.4)
 *   4. COMMITTING  the store makes the file durable, and reads it back. From here on the others are asked to keep theirs,
 *                  and with it what is behind it in their logs
 *
 * and in transfer_install.c
 *
 *   5. POINTING    ENG_EV_SNAPSHOT_INSTALL: the hard state points to it, and the core stops applying
 *   6. RESTORING   state machine and sessions take it, some bytes a turn; then the core goes on behind it
 *
 * A file is the same on every node, so whoever has it may serve any part of it: when a peer falls
 * silent, or has moved on, the next one is asked for the next byte.
 *
 * What may fail, and where it ends:
 *   - a frame is lost: the gap, or a timer, asks again from the byte that is missing
 *   - no peer has this snapshot any more, all have newer ones: begin anew with what they offer
 *   - bytes, header or digest are wrong: begin anew with another peer; nothing was installed
 *   - this node caught up meanwhile: the core does not install, and the file is forgotten later
 *   - power goes: before the pointer is durable the node is as it was, after it restore_at_start()
 *     finishes
 */
#include "base/failpoint.h"
#include "engine/runtime/transfer.h"

#define RETRY_NS     (20 * 1000 * 1000ull)
#define PATIENCE_MAX 10
#define SILENCES_MAX 3
#define BURST_FRAMES 16

uint32_t
transfer_burst_bytes(const struct shard *s)
{
	return min_u32(BURST_FRAMES * (s->config.frame_bytes - TRANSFER_CHUNK_OVERHEAD),
		SNAP_READ_BYTES_MAX);
}

void
transfer_send(struct shard *s, struct shard_group *g, struct eng_msg *m)
{
	struct net_frame frame;

	if (!out_frame(s, &frame))
		return;
	frame.peer = (struct net_endpoint){ .node_id = m->dst };
	frame.payload_bytes = eng_msg_encode(g->replica, m, frame.payload, s->config.frame_bytes);
	out_push(s, &frame);
}

struct eng_msg
transfer_message(const struct shard_group *g, enum eng_msg_type type, uint16_t to)
{
	struct eng_msg m;

	eng_msg_address(g->replica, type, to, &m);
	return m;
}

/* ------------------------------------------------------------------------------ asking */

/* Bytes and anchors come from a donor's disk, which may be slow, like the path: each time they are
 * waited for longer, up to T / 8. */
static uint64_t
pause_ns(const struct snapshot_fetch *f)
{
	uint64_t max_ns = f->group->config.election_ns / 8;

	if (f->state == FETCH_ASKING || max_ns < RETRY_NS)
		return RETRY_NS;
	return min_u64(RETRY_NS << f->patience, max_ns);
}

static void
fetch_send(struct shard *s, struct decree_slot slot, uint64_t offset_bytes)
{
	struct snapshot_fetch *f = &s->fetch;
	struct eng_msg m = transfer_message(f->group, ENG_MSG_SNAPSHOT_FETCH, f->peer);

	m.snapshot_fetch.slot = slot;
	m.snapshot_fetch.offset_bytes = offset_bytes;
	m.snapshot_fetch.count = slot.n == 0 ? 0 : transfer_burst_bytes(s);
	f->asked_after = offset_bytes + m.snapshot_fetch.count;
	transfer_send(s, f->group, &m);
	f->retry_ns = s->now_ns + pause_ns(f);
}

static void
anchor_query(struct shard *s)
{
	struct snapshot_fetch *f = &s->fetch;
	struct eng_msg m = transfer_message(f->group, ENG_MSG_QUERY, f->peer);

	m.query.first = f->wanted.anchor;
	m.query.after.n = f->wanted.anchor.n + 1;
	m.query.accepted_too = false;
	transfer_send(s, f->group, &m);
	f->retry_ns = s->now_ns + pause_ns(f);
}

/* Ask for what this state waits for, or for what it lacks. */
static void
ask(struct shard *s)
{
	struct snapshot_fetch *f = &s->fetch;

	switch (f->state) {
	case FETCH_ASKING: fetch_send(s, (struct decree_slot){ 0 }, 0); break;
	case FETCH_BYTES: fetch_send(s, f->wanted.slot, f->offset_bytes); break;
	case FETCH_ANCHOR: anchor_query(s); break;
	default: break;
	}
}

static void
give_up(struct shard *s)
{
	struct snapshot_fetch *f = &s->fetch;

	decree_assert(f->state != FETCH_RESTORING);
	if (f->state >= FETCH_BYTES && f->state <= FETCH_COMMITTING)
		s->config.snap_ops->abort(s->config.snap_store, f->group->config.group);
	*f = (struct snapshot_fetch){ .state = FETCH_NONE, .patience = f->patience };
}

/* The members, and who leads: a newcomer has not come to the slots that made a member of either. */
static uint32_t
peers_of(const struct shard *s, uint16_t ret_nodes[ENG_PEER_COUNT_MAX + 1])
{
	const struct eng_replica *r = s->fetch.group->replica;
	uint32_t count = eng_targets(r, ret_nodes);
	uint16_t leader = eng_leader(r);

	for (uint32_t i = 0; i < count; i++)
		if (ret_nodes[i] == leader)
			return count;
	if (leader != 0 && leader != s->node_id)
		ret_nodes[count++] = leader;
	return count;
}

/* The next one in the order of that list. @return false if there is no other, or all were asked */
static bool
next_peer(struct shard *s)
{
	struct snapshot_fetch *f = &s->fetch;
	uint16_t nodes[ENG_PEER_COUNT_MAX + 1];
	uint32_t count = peers_of(s, nodes);
	uint32_t at = 0;

	if (count == 0 || ++f->refusals > count)
		return false;
	while (at < count && nodes[at] != f->peer)
		at++;
	f->peer = nodes[(at + 1) % count];
	f->silences = 0;
	return true;
}

void
transfer_want(const struct shard *s, struct shard_group *g, uint16_t from)
{
	if (s->fetch.group != g && snapshot_is_possible(s) && s->has_started)
		g->snap.wanted_from = from;
}

/* Groups take turns: one that asks again and again, and that nobody can help, would keep the others
 * from ever being fetched. While the log is full for their sake, that is how it asks. */
static void
fetch_begin(struct shard *s)
{
	struct snapshot_fetch *f = &s->fetch;

	for (uint32_t i = 0; i < s->config.group_count; i++) {
		struct shard_group *g = &s->groups[(s->fetch_next + i) % s->config.group_count];

		if (g->snap.wanted_from == 0)
			continue;
		*f = (struct snapshot_fetch){
			.state = FETCH_ASKING,
			.group = g,
			.peer = g->snap.wanted_from,
			.patience = f->patience,
		};
		g->snap.wanted_from = 0;
		s->fetch_next = g->local + 1;
		ask(s);
		return;
	}
}

/* ------------------------------------------------------------------------------ receiving */

static void
bytes_begin(struct shard *s, const struct snapshot_kept *offer)
{
	struct snapshot_fetch *f = &s->fetch;
	struct shard_group *g = f->group;

	if (g->snap.cut.state != CUT_NONE && g->snap.cut.state != CUT_POINTING)
		cut_give_up(s, g); /* an older slot, and the store has one writer */
	if (f->state == FETCH_BYTES)
		s->config.snap_ops->abort(s->config.snap_store, g->config.group);
	f->state = FETCH_ASKING;
	if (s->config.snap_ops->begin(s->config.snap_store, g->config.group, offer->slot) != 0)
		return; /* the store still clears up: the timer asks again */
	FAILPOINT("transfer.fetch.begun");
	f->state = FETCH_BYTES;
	f->wanted = *offer;
	f->offset_bytes = 0;
	f->gap_offset = 0;
	f->silences = 0;
	f->refusals = 0;
	f->is_outdated = false;
	digest_stream_init(&f->all);
	snapshot_reader_init(
		&s->snap_reader, g->config.cluster_id, g->config.group, s->snap_buffer);
	shard_note(s, g, NOTE_SNAPSHOT_FETCH,
		"group %u: too far behind for anybody's log: fetching the snapshot of slot %llu, "
		"%llu KiB, from node %u",
		g->config.group, (unsigned long long)offer->slot.n,
		(unsigned long long)((offer->bytes + 1023) / 1024), f->peer);
	ask(s);
}

static void
on_offer(struct shard *s, const struct eng_msg *m)
{
	struct snapshot_fetch *f = &s->fetch;
	struct snapshot_kept offer = {
		.slot = m->snapshot_offer.slot,
		.bytes = m->snapshot_offer.bytes,
		.anchor = m->snapshot_offer.anchor,
		.digest = m->snapshot_offer.digest,
	};
	bool is_useful = offer.slot.n > f->group->applied.n &&
			 (offer.anchor.n == 0 || offer.anchor.n > offer.slot.n);

	if (m->src != f->peer)
		return;
	if (f->state == FETCH_ASKING && is_useful) {
		bytes_begin(s, &offer);
	} else if (f->state == FETCH_ASKING) {
		if (next_peer(s))
			ask(s);
		else
			give_up(s); /* nobody has what we need: the core asks for slots again */
	} else if (f->state == FETCH_BYTES && offer.slot.n != f->wanted.slot.n) {
		/* This peer has moved on. Others may still have it; if none has, begin anew. */
		f->is_outdated = true;
		if (next_peer(s))
			ask(s);
		else if (is_useful)
			bytes_begin(s, &offer);
		else
			give_up(s);
	}
}

static void
is_wrong(struct shard *s, const char *what)
{
	struct snapshot_fetch *f = &s->fetch;

	shard_note(s, f->group, NOTE_SNAPSHOT_FAILED,
		"group %u: the snapshot of slot %llu from node %u is refused: %s",
		f->group->config.group, (unsigned long long)f->wanted.slot.n, f->peer, what);
	give_up(s);
}

/* @return false if they cannot be part of that snapshot */
static bool
read_along(struct shard *s, const uint8_t *bytes, uint32_t count)
{
	uint32_t taken;

	for (;; bytes += taken, count -= taken) {
		int found = snapshot_read(&s->snap_reader, bytes, count, &taken);

		if (found < 0)
			return false;
		if (found == SNAPSHOT_FOUND_NOTHING || found == SNAPSHOT_FOUND_END)
			return taken == count;
	}
}

static bool
is_the_one(const struct shard *s)
{
	const struct eng_snapshot *facts = &s->snap_reader.facts;

	return snapshot_is_whole(&s->snap_reader) && facts->slot.n == s->fetch.wanted.slot.n &&
	       digest_eq(facts->digest, s->fetch.wanted.digest);
}

static void
commit(struct shard *s)
{
	struct snapshot_fetch *f = &s->fetch;

	s->config.snap_ops->commit(
		s->config.snap_store, f->group->config.group, digest_stream_get(&f->all));
	FAILPOINT("transfer.fetch.all_here");
	f->state = FETCH_COMMITTING;
}

static void
all_bytes_are_here(struct shard *s)
{
	struct snapshot_fetch *f = &s->fetch;

	if (f->wanted.anchor.n == 0) {
		commit(s);
		return;
	}
	f->state = FETCH_ANCHOR;
	ask(s);
}

static void
on_bytes(struct shard *s, const struct eng_msg *m)
{
	struct snapshot_fetch *f = &s->fetch;
	uint32_t count = m->snapshot_chunk.bytes;

	if (s->config.snap_ops->room(s->config.snap_store, f->group->config.group) < count)
		return; /* the store is busy: the timer asks again */
	s->config.snap_ops->write(
		s->config.snap_store, f->group->config.group, m->snapshot_chunk.value, count);
	FAILPOINT("transfer.fetch.bytes_written");
	digest_stream_add(&f->all, m->snapshot_chunk.value, count);
	f->offset_bytes += count;
	f->silences = 0;
	f->refusals = 0;
	f->is_outdated = false;
	f->patience = 0;
	f->retry_ns = s->now_ns + RETRY_NS;
	s->counters.snapshot_bytes += count;
	if (!read_along(s, m->snapshot_chunk.value, count)) {
		is_wrong(s, "its bytes are not those of a snapshot of this group and cluster");
		return;
	}
	if (f->offset_bytes == f->wanted.bytes) {
		if (!is_the_one(s)) {
			is_wrong(s, "it is cut short, or another one than was offered");
			return;
		}
		all_bytes_are_here(s);
	} else if (f->offset_bytes >= f->asked_after) {
		ask(s);
	}
}

static void
on_chunk(struct shard *s, const struct eng_msg *m)
{
	struct snapshot_fetch *f = &s->fetch;
	uint64_t offset = m->snapshot_chunk.offset_bytes;

	if (f->state != FETCH_BYTES || m->snapshot_chunk.slot.n != f->wanted.slot.n ||
		m->snapshot_chunk.bytes == 0 ||
		!digest_eq(m->snapshot_chunk.digest,
			base_digest(m->snapshot_chunk.value, m->snapshot_chunk.bytes)))
		return;
	if (offset == f->offset_bytes && m->snapshot_chunk.bytes > f->wanted.bytes - offset) {
		is_wrong(s, "it is longer than was offered");
	} else if (offset == f->offset_bytes) {
		on_bytes(s, m);
	} else if (offset > f->offset_bytes && f->gap_offset != f->offset_bytes + 1) {
		f->gap_offset = f->offset_bytes + 1; /* one repetition per gap; 0 = none yet */
		ask(s);
	}
}

/* The log's word on the state after the snapshot's slot (7.4). */
static void
on_anchor(struct shard *s, const struct eng_msg *m)
{
	struct snapshot_fetch *f = &s->fetch;
	struct eng_value v;

	if (m->query_reply.state != ENG_ENTRY_DECIDED ||
		!digest_eq(m->query_reply.digest,
			base_digest(m->query_reply.value, m->query_reply.bytes)) ||
		eng_value_decode(m->query_reply.value, m->query_reply.bytes, &v) != 0)
		return;
	if (v.kind != ENG_VALUE_MARK || v.mark.anchor.n != f->wanted.slot.n ||
		!digest_eq(v.mark.digest, f->wanted.digest)) {
		is_wrong(s, "the log has agreed on another state there");
		return;
	}
	commit(s);
}

/* That peer's log does not go back to the anchor any more; if nobody's does, a newer snapshot has a
 * newer one. */
static void
on_anchor_gone(struct shard *s)
{
	s->fetch.is_outdated = true;
	if (next_peer(s))
		ask(s);
	else
		give_up(s);
}

void
transfer_on_message(struct shard *s, struct shard_group *g, const struct eng_msg *m)
{
	bool is_ours = s->fetch.group == g;

	switch (m->type) {
	case ENG_MSG_SNAPSHOT_FETCH:
		if (snapshot_is_possible(s))
			transfer_on_fetch(s, g, m);
		break;
	case ENG_MSG_SNAPSHOT_OFFER:
		if (is_ours)
			on_offer(s, m);
		break;
	case ENG_MSG_SNAPSHOT_CHUNK:
		if (is_ours)
			on_chunk(s, m);
		break;
	case ENG_MSG_QUERY_REPLY:
		if (is_ours && s->fetch.state == FETCH_ANCHOR &&
			m->query_reply.slot.n == s->fetch.wanted.anchor.n)
			on_anchor(s, m);
		break;
	case ENG_MSG_FAILURE:
		if (is_ours && s->fetch.state == FETCH_ANCHOR && m->src == s->fetch.peer &&
			m->failure.reason == ENG_FAIL_COMPACTED &&
			m->failure.snapshot.n >= s->fetch.wanted.anchor.n)
			on_anchor_gone(
				s); /* else it is the answer to what the core asks for meanwhile */
		break;
	default: break;
	}
}

void
transfer_on_completion(struct shard *s, const struct snap_completion *c)
{
	struct snapshot_fetch *f = &s->fetch;

	if (c->kind == SNAP_READ && c->token == TRANSFER_TOKEN_RESTORE) {
		transfer_on_restore_read(s, c);
	} else if (c->kind == SNAP_READ) {
		decree_assert(c->token < SNAPSHOT_SERVE_COUNT);
		transfer_on_read(s, &s->serves[c->token], c);
	} else if (f->group != NULL && f->group->config.group == c->group &&
		   f->wanted.slot.n == c->slot.n && f->state <= FETCH_COMMITTING) {
		if (c->kind == SNAP_COMMITTED) {
			FAILPOINT("transfer.fetch.kept");
			f->state = FETCH_POINTING;
			return;
		}
		shard_note(s, shard_find_group(s, c->group), NOTE_SNAPSHOT_FAILED,
			"group %u: the snapshot of slot %llu was not kept: %s", c->group,
			(unsigned long long)c->slot.n, c->text);
		*f = (struct snapshot_fetch){ .state = FETCH_NONE };
	}
}

/* ------------------------------------------------------------------------------ the turn */

/* Restoring may take long, and then what comes behind this snapshot must still be in somebody's
 * log. So whoever stands on it is asked for none of its bytes, now and then: for as long as it is
 * being fetched, and the log allows it, the next one waits. */
static void
ask_to_keep(struct shard *s)
{
	struct snapshot_fetch *f = &s->fetch;
	uint16_t nodes[ENG_PEER_COUNT_MAX + 1];
	uint32_t count = peers_of(s, nodes);

	if (s->now_ns < f->retry_ns)
		return;
	f->retry_ns = s->now_ns + f->group->config.election_ns / 4;
	for (uint32_t i = 0; i < count; i++) {
		struct eng_msg m = transfer_message(f->group, ENG_MSG_SNAPSHOT_FETCH, nodes[i]);

		m.snapshot_fetch.slot = f->wanted.slot;
		m.snapshot_fetch.offset_bytes = f->wanted.bytes;
		m.snapshot_fetch.count = 0;
		transfer_send(s, f->group, &m);
	}
}

static void
on_silence(struct shard *s)
{
	struct snapshot_fetch *f = &s->fetch;

	if (f->state != FETCH_ASKING && f->patience < PATIENCE_MAX)
		f->patience++; /* also over the end of this fetch: disks stay as slow as they are */
	if (++f->silences > SILENCES_MAX && !next_peer(s)) {
		/* Who is silent may be dead, and nobody else has it any more: the core asks for
		 * slots again. */
		if (f->state == FETCH_ASKING || f->is_outdated) {
			give_up(s);
			return;
		}
		f->refusals = 0; /* nobody says no: what is here already is worth waiting */
		f->silences = 0;
		(void)next_peer(s); /* and whoever is silent may stay so */
	}
	ask(s);
}

void
transfer_turn(struct shard *s)
{
	struct snapshot_fetch *f = &s->fetch;

	if (f->state >= FETCH_COMMITTING)
		ask_to_keep(s);
	switch (f->state) {
	case FETCH_NONE: fetch_begin(s); break;
	case FETCH_COMMITTING: break;
	case FETCH_ASKING:
	case FETCH_BYTES:
	case FETCH_ANCHOR:
		if (f->group->applied.n >= f->wanted.slot.n && f->wanted.slot.n != 0)
			give_up(s); /* caught up by way of somebody's log */
		else if (s->now_ns >= f->retry_ns)
			on_silence(s);
		break;
	case FETCH_POINTING:
	case FETCH_RESTORING: transfer_install_turn(s); break;
	}
}
