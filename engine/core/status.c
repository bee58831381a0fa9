/* SPDX-License-Identifier: Apache-2.0 */
/* What others may know of a replica, and the words for it. */
#include "engine/core/replica.h"

void
eng_status(const struct eng_replica *r, struct eng_status *ret_status)
{
	*ret_status = (struct eng_status){
		.role = r->role != DECREE_LEADER && r->campaign != CAMPAIGN_NONE ? DECREE_CANDIDATE
										 : r->role,
		.ready = r->ready,
		.log_full = replica_log_is_full(r) || leader_lacks_roomy_quorum(r),
		.leader = r->leader,
		.transfer_to = r->transfer.to,
		.ballot = r->role == DECREE_LEADER ? r->ballot : r->leader_ballot,
		.promised = r->promised,
		.chosen = r->chosen,
		.last = r->last,
		.low = r->low,
		.snapshot = r->snapshot.durable,
		.installing = r->snapshot.installing,
		.epoch = r->epoch,
		.heard_ns = r->heard_ns,
		.agreed = r->audit.agreed,
		.cut = r->audit.cut,
		.damaged = damage_count(r) + r->rewrites.count,
		.doubt = r->damage.doubt,
		.counters = r->counters,
	};
}

uint32_t
eng_peer_status(const struct eng_replica *r, struct eng_peer_status ret_peers[ENG_PEER_COUNT_MAX])
{
	uint32_t count = 0;

	for (uint16_t set = r->targets; set != 0; set = set_rest(set)) {
		uint32_t i = set_first(set);
		ret_peers[count++] = (struct eng_peer_status){
			.node_id = r->peers[i].node_id,
			.echo_ns = r->peers[i].echo_ns,
			.commit = r->peers[i].commit,
			.matched = r->peers[i].matched,
			.version_max = r->peers[i].version_max,
		};
	}
	return count;
}

uint16_t
eng_leader(const struct eng_replica *r)
{
	if (r->role == DECREE_LEADER)
		return r->ready ? r->cfg.node_id : 0;
	return r->leader == r->cfg.node_id ? 0 : r->leader;
}

const char *
eng_halt_text(enum eng_halt why)
{
	switch (why) {
	case ENG_HALT_NONE: return "running";
	case ENG_HALT_TWO_VALUES:
		return "two different values were sent for one slot and ballot: the cluster's "
		       "safety is broken (is one node running twice?); keep every log and report "
		       "it";
	case ENG_HALT_TWO_DECISIONS:
		return "two different values were decided for one slot: the cluster's safety is "
		       "broken (was a data directory replaced or restored?); keep every log and "
		       "report it";
	case ENG_HALT_NOT_MEMBER:
		return "the cluster knows another disk under this node id: this data directory was "
		       "formatted after the cluster was set up, or is another cluster's; bring the "
		       "old directory back, a lost one must not rejoin under the same id";
	case ENG_HALT_REMOVED:
		return "this node was removed from the cluster, and a quorum of the others has all "
		       "that it had: nothing is lost, its data directory may go";
	case ENG_HALT_ROLLED_BACK:
		return "the other nodes remember more of this node than its disk does: an old "
		       "image or backup was restored. It must not take part again: replace it by a "
		       "node with a new id";
	case ENG_HALT_TWIN:
		return "two processes run with this node's identity (was a disk or virtual machine "
		       "copied?): both are refused. Stop both, and replace the node by one with a "
		       "new id";
	case ENG_HALT_BAD_RECORD:
		return "the log holds a record that this version cannot read: it was written by "
		       "another version or with other cluster constants (slot_bytes, alpha)";
	case ENG_HALT_CONSTANTS:
		return "the cluster was set up with other founding members or constants than this "
		       "configuration names: compare [cluster] and [node] of all nodes with those "
		       "at format time";
	case ENG_HALT_DIVERGED:
		return "after the same slot a majority of the nodes had another state than this "
		       "one: its memory or its stored state was damaged, or its program differs "
		       "from theirs; restart it with the same program as the others, so that it "
		       "builds its state anew from the log; if it halts again, replace the node";
	case ENG_HALT_VERSION:
		return "the cluster is of a version that this program does not speak";
	case ENG_HALT_NO_AGREEMENT:
		return "after the same slot no majority of the nodes had the same state: the "
		       "program's apply() is not deterministic (a clock, random numbers, pointer "
		       "order, floating point?), or the nodes run different programs; keep every "
		       "log, correct the program and restart all nodes";
	}
	return "?";
}

const char *
eng_submit_status_name(enum eng_submit_status status)
{
	switch (status) {
	case ENG_SUBMIT_OK: return "ok";
	case ENG_SUBMIT_NOT_LEADER: return "not-leader";
	case ENG_SUBMIT_BUSY: return "busy";
	case ENG_SUBMIT_GAP: return "gap";
	case ENG_SUBMIT_DUPLICATE: return "duplicate";
	case ENG_SUBMIT_NO_SESSION: return "no-session";
	case ENG_SUBMIT_TOO_LARGE: return "too-large";
	case ENG_SUBMIT_EVICTED: return "evicted";
	}
	return "?";
}
