/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A proposer whose node has jumped, by a snapshot, over slots that were never applied here:
 * commands of it may have been executed there, and commands that were executed here before may have
 * been answered there. The table of sessions knows:
 *
 *   executed there   the body is compared, the rest is as if it had been executed here
 *   answered there   completed with the answer that the table keeps
 *   not executed     given again, unless somebody else has used numbers that are ours
 *   the row is gone, or keeps that answer no more: nobody will ever tell. The proposer is closed
 */
#include "engine/runtime/gateway_private.h"

/* @return false if what the table says of this number is not known to be of our command */
static bool
take_restored(struct shard *s, struct gateway *gw, uint64_t seq)
{
	const struct eng_sessions *sessions = gw->group->sessions;
	const struct eng_body *entry = gateway_entry(s, gw, seq);
	struct decree_answer a = { 0 };

	if (!gateway_is_open(s, gw, seq))
		return true; /* answered long ago */
	if (eng_session_last(sessions, gw->session) - seq >= gw->group->config.session_window)
		return false; /* somebody else has used so many numbers behind it */
	if (seq > gw->executed) {
		uint32_t digest = base_digest_short(entry->body, entry->bytes);

		if (eng_session_lookup(sessions, gw->session, seq, digest, &a.status, &a.result) ==
			ENG_MISMATCH)
			return false;
		gw->executed = seq;
		gw->has_consumed = true;
	}
	if (eng_session_answer_of(sessions, gw->session, seq, &a.status, &a.result))
		gateway_complete(s, gw, seq, 1, DECREE_APPLIED, &a);
	return true;
}

void
gateway_on_restored(struct shard *s, struct gateway *gw, uint16_t index)
{
	struct shard_group *g = gw->group;
	uint64_t last_of_ours = gw->is_refused ? gw->refused_first - 1 : gw->popped;

	if (gw->session.n == 0 && !gw->is_refused)
		gw->session = eng_session_find(g->sessions, gw->registration);
	if (gw->session.n == 0)
		return; /* not registered yet: it goes on trying, or has given up */
	int32_t row = eng_session_row(g->sessions, gw->session);
	if (row < 0) {
		gateway_on_evicted(s, gw);
		return;
	}
	*owner_at(g, row) = (struct owner){ .kind = OWNER_GATEWAY, .index = index };
	uint64_t last_of_all = eng_session_last(g->sessions, gw->session);
	uint64_t last = min_u64(last_of_all, last_of_ours);
	uint64_t first = last > s->config.gateway_window ? last - s->config.gateway_window : 0;
	for (uint64_t seq = first + 1; seq <= last; seq++)
		if (!take_restored(s, gw, seq)) {
			gateway_on_stolen(s, gw, seq);
			return;
		}
	if (gw->is_refused)
		return;
	if (last_of_all > gw->popped)
		gateway_on_stolen(
			s, gw, gw->popped + 1); /* what comes would be taken for repeats */
	else
		gateway_rewind(gw, s->now_ns);
}
