/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames that nobody sent: forge A>B TYPE BALLOT [KEY=VALUE ...]
 *
 *   every type       as=ID life=NONCE disk=N epoch=N group=N: the sender's, else A's own
 *   answers          nonce=NONCE: of the life that is answered, else B's present one
 *   accept           slot start commit value=TEXT ("garbage": no value; "large": more than a slot)
 *                    digest=N
 *   accepted         start after commit sack=BITS
 *   echo             seq commit promised=BALLOT
 *   failure          reason=NAME promised=BALLOT snapshot other=1
 *   heartbeat        seq start commit
 *   hello            challenge commit
 *   hello-reply      challenge (else B's open one) boot promised=BALLOT last commit
 *   leader-change    start now=1
 *   prepare          from
 *   prevote          undecided
 *   prevote-reply    granted=1 promised=BALLOT
 *   promise          from low commit last first after doubtful=1; the entries are those of A
 *   query            first after accepted=1
 *   query-reply      slot state=accepted commit value digest
 *   read-index       token
 *   read-index-reply token slot
 *   state-digest     slot digest=N question=1
 *   success          start commit
 */
#include "tests/lib/story.h"

#include "base/digest.h"

#include <stdlib.h>

#define VALUE_BYTES (CLUSTER_SLOT_BYTES + 100)

struct forged_value {
	uint8_t bytes[VALUE_BYTES];
	uint32_t count;
	struct decree_digest digest;
};

/* A registration with this token, or something that is no value. */
static void
value_of(const struct words *w, struct forged_value *ret_value)
{
	const char *text = story_key_of(w, "value", "forged");
	uint8_t token[DECREE_UUID_BYTES];
	struct eng_command c = { .body = token, .bytes = sizeof(token) };

	memset(ret_value, 0, sizeof(*ret_value));
	memset(token, ' ', sizeof(token));
	memcpy(token, text, strnlen(text, sizeof(token)));
	struct eng_command commands[11];
	for (uint32_t i = 0; i < 11; i++)
		commands[i] = c;
	ret_value->count = eng_value_batch(
		ret_value->bytes, VALUE_BYTES, commands, strcmp(text, "large") == 0 ? 11 : 1);
	if (strcmp(text, "garbage") == 0)
		ret_value->bytes[1] = 1;
	ret_value->digest = base_digest(ret_value->bytes, ret_value->count);
	ret_value->digest.lo = story_number_of(w, "digest", ret_value->digest.lo);
}

static struct decree_ballot
ballot_at(const struct words *w, const char *key)
{
	return story_ballot_of(story_key_of(w, key, "0"));
}

static enum eng_failure_reason
reason_of(const struct words *w)
{
	const char *name = story_key_of(w, "reason", "ballot");
	uint32_t reason = ENG_FAIL_BALLOT;

	while (reason < ENG_FAIL_TWIN &&
		strcmp(eng_failure_reason_name((enum eng_failure_reason)reason), name) != 0)
		reason++;
	return (enum eng_failure_reason)reason;
}

/* What B asked A in its last challenge. */
static uint64_t
open_challenge(const struct story *s, uint16_t a, uint16_t b)
{
	const struct eng_replica *r = cluster_replica(s->cluster, b);

	return r->peers[peer_index(r, a)].guard.challenge;
}

/* Phase 1 and who leads. */
static bool
election_body(struct eng_msg *m, const struct words *w, uint64_t nonce)
{
	switch (m->type) {
	case ENG_MSG_PREVOTE:
		m->prevote.first_undecided.n = story_number_of(w, "undecided", 1);
		return true;
	case ENG_MSG_PREVOTE_REPLY:
		m->prevote_reply.granted = story_number_of(w, "granted", 0);
		m->prevote_reply.reason = reason_of(w);
		m->prevote_reply.promised = ballot_at(w, "promised");
		m->prevote_reply.dst_nonce = nonce;
		return true;
	case ENG_MSG_PREPARE: m->prepare.from.n = story_number_of(w, "from", 1); return true;
	case ENG_MSG_PROMISE:
		m->promise.dst_nonce = nonce;
		m->promise.from.n = story_number_of(w, "from", 1);
		m->promise.low.n = story_number_of(w, "low", 1);
		m->promise.commit.n = story_number_of(w, "commit", 0);
		m->promise.last.n = story_number_of(w, "last", 0);
		m->promise.first.n = story_number_of(w, "first", 1);
		m->promise.after.n = story_number_of(w, "after", m->promise.first.n);
		m->promise.doubtful = story_number_of(w, "doubtful", 0);
		return true;
	case ENG_MSG_LEADER_CHANGE:
		m->leader_change.start.n = story_number_of(w, "start", 1);
		m->leader_change.timeout_now = story_number_of(w, "now", 0);
		m->leader_change.seq = story_number_of(w, "seq", UINT64_MAX); /* never late */
		return true;
	case ENG_MSG_FAILURE:
		m->failure.reason = reason_of(w);
		m->failure.promised = ballot_at(w, "promised");
		m->failure.dst_nonce = nonce;
		m->failure.snapshot.n = story_number_of(w, "snapshot", 0);
		m->failure.other_disk = story_number_of(w, "other", 0);
		return true;
	default: return false;
	}
}

/* Phase 2 and learning. */
static bool
slot_body(struct eng_msg *m, const struct words *w, uint64_t nonce, const struct forged_value *v)
{
	switch (m->type) {
	case ENG_MSG_ACCEPT:
		m->accept.slot.n = story_number_of(w, "slot", 1);
		m->accept.start.n = story_number_of(w, "start", 1);
		m->accept.commit.n = story_number_of(w, "commit", 0);
		m->accept.digest = v->digest;
		m->accept.value = v->bytes;
		m->accept.bytes = v->count;
		return true;
	case ENG_MSG_ACCEPTED:
		m->accepted.start.n = story_number_of(w, "start", 1);
		m->accepted.after.n = story_number_of(w, "after", m->accepted.start.n);
		m->accepted.commit.n = story_number_of(w, "commit", 0);
		m->accepted.sack[0] = story_number_of(w, "sack", 0);
		return true;
	case ENG_MSG_SUCCESS:
		m->success.start.n = story_number_of(w, "start", 1);
		m->success.commit.n = story_number_of(w, "commit", 0);
		return true;
	case ENG_MSG_HEARTBEAT:
		m->heartbeat.seq = story_number_of(w, "seq", 1);
		m->heartbeat.start.n = story_number_of(w, "start", 1);
		m->heartbeat.commit.n = story_number_of(w, "commit", 0);
		return true;
	case ENG_MSG_HEARTBEAT_ECHO:
		m->heartbeat_echo.seq = story_number_of(w, "seq", 1);
		m->heartbeat_echo.dst_nonce = nonce;
		m->heartbeat_echo.commit.n = story_number_of(w, "commit", 0);
		m->heartbeat_echo.promised = story_ballot_of(story_key_of(w, "promised", w->at[3]));
		return true;
	case ENG_MSG_QUERY:
		m->query.first.n = story_number_of(w, "first", 1);
		m->query.after.n = story_number_of(w, "after", m->query.first.n + 1);
		m->query.accepted_too = story_number_of(w, "accepted", 0);
		return true;
	case ENG_MSG_QUERY_REPLY:
		m->query_reply.slot.n = story_number_of(w, "slot", 1);
		m->query_reply.state = strcmp(story_key_of(w, "state", "decided"), "decided") == 0
					       ? ENG_ENTRY_DECIDED
					       : ENG_ENTRY_ACCEPTED;
		m->query_reply.vballot = m->ballot;
		m->ballot.n = 0; /* it belongs to no exchange */
		m->query_reply.commit.n = story_number_of(w, "commit", 0);
		m->query_reply.digest = v->digest;
		m->query_reply.value = v->bytes;
		m->query_reply.bytes = v->count;
		return true;
	default: return false;
	}
}

static bool
other_body(struct story *s, struct eng_msg *m, const struct words *w, uint64_t nonce)
{
	switch (m->type) {
	case ENG_MSG_READ_INDEX: m->read_index.token = story_number_of(w, "token", 1); return true;
	case ENG_MSG_READ_INDEX_REPLY:
		m->read_index_reply.token = story_number_of(w, "token", 1);
		m->read_index_reply.dst_nonce = nonce;
		m->read_index_reply.slot.n = story_number_of(w, "slot", 0);
		return true;
	case ENG_MSG_HELLO:
		m->hello.challenge = story_number_of(w, "challenge", 1);
		m->hello.commit.n = story_number_of(w, "commit", 0);
		return true;
	case ENG_MSG_HELLO_REPLY:
		m->hello_reply.challenge =
			story_number_of(w, "challenge", open_challenge(s, m->src, m->dst));
		m->hello_reply.dst_nonce = nonce;
		m->hello_reply.boot_count = story_number_of(w, "boot", 1);
		m->hello_reply.promised = ballot_at(w, "promised");
		m->hello_reply.last.n = story_number_of(w, "last", 0);
		m->hello_reply.commit.n = story_number_of(w, "commit", 0);
		return true;
	case ENG_MSG_STATE_DIGEST:
		m->state_digest.slot.n = story_number_of(w, "slot", 1);
		m->state_digest.digest.lo = story_number_of(w, "digest", 0);
		m->state_digest.is_question = story_number_of(w, "question", 0);
		return true;
	default: return false;
	}
}

static bool
body_of(struct story *s, const struct words *w, struct eng_msg *m, struct forged_value *value)
{
	uint64_t nonce =
		story_number_of(w, "nonce", cluster_replica(s->cluster, m->dst)->cfg.nonce);

	value_of(w, value);
	return election_body(m, w, nonce) || slot_body(m, w, nonce, value) ||
	       other_body(s, m, w, nonce);
}

bool
story_forge(struct story *s, const struct words *w)
{
	struct cluster *c = s->cluster;
	struct forged_value value;
	struct eng_msg m = { .type = 1 };
	uint32_t type = 1;

	if (!story_link_of(s, w->at[1], &m.src, &m.dst) || m.src == 0 || m.dst == 0)
		return false;
	while (type < ENG_MSG_TYPE_COUNT && strcmp(eng_msg_type_name(type), w->at[2]) != 0)
		type++;
	m.type = type;
	m.ballot = story_ballot_of(w->at[3]);
	if (type == ENG_MSG_TYPE_COUNT || !c->nodes[m.src].up || !c->nodes[m.dst].up ||
		!body_of(s, w, &m, &value))
		return false;
	uint16_t src = m.src;
	m.epoch = (uint32_t)story_number_of(w, "epoch", 1);
	m.group = (uint16_t)story_number_of(w, "group", 0);
	m.src_nonce = story_number_of(w, "life", cluster_replica(c, src)->cfg.nonce);
	m.src_disk = story_number_of(w, "disk", eng_disk_short(&c->nodes[src].disk));
	m.src = (uint16_t)story_number_of(w, "as", src);
	struct cluster_frame *f = cluster_frame_add(c, src, m.dst);
	f->bytes = eng_msg_encode(cluster_replica(c, src), &m, f->data, sizeof(f->data));
	return true;
}
