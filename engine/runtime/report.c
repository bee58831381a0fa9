/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a node tells about itself: its status, its metrics, and what it applied.
 *
 * A log request reads a few slots of the log at once, and when all have come, answers with as many
 * of their commands as fit one frame, and the place to go on from. At most LOG_JOB_COUNT_MAX
 * requests are served at a time; others are dropped, and their clients repeat. So a reader of the
 * log takes a bounded share of the shard's time whatever it asks for.
 */
#include "base/digest.h"
#include "base/version.h"
#include "engine/core/configs.h"
#include "engine/core/value.h"
#include "engine/runtime/shard_private.h"

static void
fill_peers(const struct shard_group *g, uint64_t now_ns, struct decree_status *status)
{
	struct eng_peer_status peers[ENG_PEER_COUNT_MAX];
	uint32_t count = eng_peer_status(g->replica, peers);

	status->peer_count = count;
	for (uint32_t i = 0; i < count; i++)
		status->peers[i] = (struct decree_peer_row){
			.node_id = peers[i].node_id,
			.echo_age_ns = peers[i].echo_ns == 0       ? UINT64_MAX
				       : now_ns > peers[i].echo_ns ? now_ns - peers[i].echo_ns
								   : 0,
			.commit = peers[i].commit,
		};
}

/* As the newest configuration that this node knows to be decided has it. */
static void
fill_members(const struct shard *s, const struct shard_group *g, struct decree_status *status)
{
	const struct eng_configs *configs = eng_known_configs(g->replica);
	bool is_changing = configs->next.m.epoch != 0;
	const struct eng_membership *m = is_changing ? &configs->next.m : &configs->now.m;

	static_assert(DECREE_MEMBER_COUNT_MAX == ENG_MEMBER_COUNT_MAX, "all of them fit");
	static_assert(
		(int)DECREE_VOTER == (int)ENG_VOTER && (int)DECREE_LEARNER == (int)ENG_LEARNER,
		"the core's words");
	status->epoch = m->epoch;
	status->version = m->version;
	status->version_min = base_versions.min;
	status->version_max = base_versions.max;
	status->is_changing = is_changing;
	status->q1 = m->q1;
	status->q2 = m->q2;
	status->member_count = m->member_count;
	for (uint32_t i = 0; i < m->member_count; i++) {
		enum decree_member_kind kind = (enum decree_member_kind)m->members[i].role;

		status->members[i] = (struct decree_member_row){ m->members[i].node_id, kind };
		if (m->members[i].node_id == s->node_id)
			status->kind = kind;
	}
}

int
shard_status(
	const struct shard *s, uint16_t group, uint64_t now_ns, struct decree_status *ret_status)
{
	const struct shard_group *g = shard_find_group(s, group);
	struct eng_status now;

	if (g == NULL)
		return -ENOENT;
	eng_status(g->replica, &now);
	*ret_status = (struct decree_status){
		.node_id = s->node_id,
		.group = group,
		.role = now.role,
		.ready = now.ready,
		.leader = now.leader,
		.ballot = now.ballot,
		.chosen = now.chosen,
		.applied = g->applied,
		.digest = s->config.machine_ops->digest(g->machine),
		.applied_count = g->applied_count,
		.log_full = now.log_full,
		.log_bytes = s->config.log_bytes,
		.boot_count = s->boot_count,
		.frames_received = s->counters.messages_in,
		.frames_sent = s->counters.frames_out,
		.messages_dropped = now.counters.dropped_not_member + now.counters.dropped_stale +
				    now.counters.dropped_window + now.counters.dropped_full +
				    s->counters.malformed + s->counters.no_room_dropped,
		.elections = now.counters.elections,
		.has_lease = eng_lease_holds(g->replica, now_ns),
		.lease_ns = g->config.lease_ns,
		.reads = g->queries.answered,
		.lease_reads = g->queries.answered_by_lease,
		.read_rounds = now.counters.read_rounds,
		.low = now.low,
		.snapshot = now.snapshot,
		.agreed = now.agreed,
		.snapshot_damaged = g->snap.is_rotten,
		.log_damaged = now.damaged,
		.log_doubtful = now.doubt,
		.log_rewritten = now.counters.rewritten,
		.session_evicted_count = eng_session_evicted_count(g->sessions),
		.session_count = eng_session_count(g->sessions),
	};
	fill_peers(g, now_ns, ret_status);
	fill_members(s, g, ret_status);
	if (s->config.fill_status != NULL)
		s->config.fill_status(s->config.context, ret_status);
	return 0;
}

void
report_status(struct shard *s, struct shard_group *g, struct net_endpoint to, uint64_t token)
{
	struct net_frame frame;
	struct client_msg m = {
		.type = CLIENT_MSG_STATUS_REPLY,
		.group = g->config.group,
		.node_id = s->node_id,
		.status_reply = { .token = token },
	};

	if (shard_status(s, g->config.group, s->now_ns, &m.status_reply.status) != 0 ||
		!out_frame(s, &frame))
		return;
	frame.peer = to;
	frame.payload_bytes = client_msg_encode(&m, frame.payload, s->config.frame_bytes);
	out_push(s, &frame);
}

void
report_metrics(struct shard *s, struct shard_group *g, struct net_endpoint to, uint64_t token)
{
	struct decree_metrics metrics;
	struct net_frame frame;

	if (s->config.fill_metrics == NULL || !out_frame(s, &frame))
		return;
	s->config.fill_metrics(s->config.context, g->config.group, &metrics);
	frame.peer = to;
	frame.payload_bytes =
		client_metrics_encode(&metrics, token, frame.payload, s->config.frame_bytes);
	out_push(s, &frame);
}

/* ------------------------------------------------------------------------------ log */

static uint32_t
entries_per_reply(const struct shard *s)
{
	return min_u32((s->config.frame_bytes - 40) / CLIENT_LOG_ENTRY_BYTES, LOG_JOB_ENTRIES_MAX);
}

/* Enough slots to fill one reply if the asked ones are like the average one. */
static uint32_t
slots_for_reply(const struct shard *s, const struct shard_group *g)
{
	uint64_t per_slot = g->applied.n == 0 ? 0 : g->applied_count / g->applied.n;

	return min_u32((uint32_t)(entries_per_reply(s) / (per_slot + 1)) + 1, LOG_JOB_SLOTS_MAX);
}

static void
add_entry(struct log_job *job, uint16_t job_slot, struct decree_slot slot, uint32_t index,
	const struct eng_command *c, struct decree_digest digest)
{
	uint16_t first = job_slot == 0 ? job->first_index : 0;

	if (index < first)
		return;
	if (job->entry_counts[job_slot] == LOG_JOB_ENTRIES_MAX) {
		job->is_cut[job_slot] = true;
		return;
	}
	job->entries[job_slot][job->entry_counts[job_slot]++] = (struct decree_log_entry){
		.slot = slot,
		.index = index,
		.session = c->session,
		.seq = c->seq,
		.bytes = c->bytes,
		.executed = !was_skipped(job->group, slot, index),
		.digest = digest,
	};
}

static void
add_value(struct log_job *job, uint16_t job_slot, const uint8_t *value, uint32_t bytes)
{
	struct decree_slot slot = { job->first.n + job_slot };
	struct eng_value v;
	struct eng_command c;

	if (eng_value_decode(value, bytes, &v) != 0)
		return;
	if (v.kind == ENG_VALUE_FRAGMENT && v.fragment.part + 1 == v.fragment.part_count) {
		c = (struct eng_command){
			.session = v.fragment.session,
			.seq = v.fragment.seq,
			.bytes = v.fragment.command_bytes,
		};
		add_entry(job, job_slot, slot, 0, &c, v.fragment.digest);
	}
	for (uint32_t index = 0; eng_value_next(&v, &c); index++)
		add_entry(job, job_slot, slot, index, &c, base_digest(c.body, c.bytes));
}

static void
finish_job(struct shard *s, struct log_job *job)
{
	struct shard_group *g = job->group;
	struct decree_slot next = { job->first.n + job->slot_count };
	uint16_t next_index = 0;
	struct client_writer w;
	struct net_frame frame;

	job->group = NULL;
	if (job->slot_count > 0 && !job->is_read[0])
		return; /* no answer at all: the client repeats, and gives up if it stays like this */
	if (!out_frame(s, &frame))
		return;
	client_log_reply_begin(
		&w, frame.payload, s->config.frame_bytes, g->config.group, s->node_id, job->token);
	for (uint32_t i = 0; i < job->slot_count && next_index == 0; i++) {
		uint32_t k = 0;

		if (!job->is_read[i]) { /* all reads were in use: the list ends here, and says so */
			next = (struct decree_slot){ job->first.n + i };
			break;
		}
		while (k < job->entry_counts[i] && client_log_reply_add(&w, &job->entries[i][k]))
			k++;
		if (k == job->entry_counts[i] && !job->is_cut[i])
			continue;
		next = (struct decree_slot){ job->first.n + i };
		next_index = k < job->entry_counts[i]
				     ? (uint16_t)job->entries[i][k].index
				     : (uint16_t)(job->entries[i][k - 1].index + 1);
		break;
	}
	frame.peer = job->to;
	frame.payload_bytes = client_log_reply_finish(&w, g->applied, next, next_index);
	out_push(s, &frame);
}

/* @param value  NULL: it could not be read; the reply ends before its slot */
void
report_log_value(struct shard *s, struct log_job *job, uint16_t job_slot, const uint8_t *value,
	uint32_t bytes)
{
	decree_assert(job->group != NULL && job->reads_open > 0);
	job->is_read[job_slot] = value != NULL;
	if (value != NULL)
		add_value(job, job_slot, value, bytes);
	if (--job->reads_open == 0)
		finish_job(s, job);
}

static struct log_job *
acquire_job(struct shard *s)
{
	for (uint32_t i = 0; i < LOG_JOB_COUNT_MAX; i++)
		if (s->jobs[i].group == NULL)
			return &s->jobs[i];
	return NULL;
}

void
report_log(
	struct shard *s, struct shard_group *g, struct net_endpoint to, const struct client_msg *m)
{
	struct log_job *job = acquire_job(s);
	uint64_t first = m->log_request.first.n;
	uint64_t after = first + m->log_request.slot_count;
	uint32_t wanted;

	if (job == NULL)
		return; /* the client repeats */
	if (first <
		g->index.slot_min) /* what was before is in a snapshot; the answer stays within the question */
		first = min_u64(g->index.slot_min, after);
	wanted = min_u32((uint32_t)(after - first), slots_for_reply(s, g));
	job->group = g;
	job->to = to;
	job->token = m->log_request.token;
	job->first.n = first;
	job->first_index = first == m->log_request.first.n ? m->log_request.first_index : 0;
	job->slot_count =
		first > g->applied.n ? 0 : (uint32_t)min_u64(wanted, g->applied.n - first + 1);
	memset(job->entry_counts, 0, sizeof(job->entry_counts));
	memset(job->is_cut, 0, sizeof(job->is_cut));
	memset(job->is_read, 0, sizeof(job->is_read));
	job->reads_open = 1; /* this function's own, until every read has been asked for */
	for (uint32_t i = 0; i < job->slot_count; i++)
		if (reads_ask_job(s, job, (uint16_t)i, (struct decree_slot){ first + i }))
			job->reads_open++;
	if (--job->reads_open == 0)
		finish_job(s, job);
}
