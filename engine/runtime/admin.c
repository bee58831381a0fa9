/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an operator asks for: `decree transfer` and the like.
 *
 *   1. a request names an operation; the table below knows whether only a leader can carry it out
 *   2. it becomes the group's job, one at a time; the operation begins, and says done, pending or
 *      why not
 *   3. the client repeats the request under the same token; each repetition looks at the job again,
 *      until it has ended, and is told the same end as often as it asks
 *
 * The members are no job: the core itself says how a change stands, and refuses a second one. So a learner that
 * never catches up holds up neither its own removal nor anything else.
 *
 * What may fail: any frame may be lost, the client repeats. A node that restarts forgets its job:
 * the repetition begins it anew, so an operation asks for a state ("node 2 leads") and not for an
 * act, and is done at once when that state holds.
 */
#include "base/bytes.h"
#include "base/version.h"
#include "engine/core/configs.h"
#include "engine/runtime/shard_private.h"

#include <stdarg.h>

/* How the job ends, or that it goes on. */
static void __attribute__((format(printf, 3, 4)))
answer(struct admin_job *job, enum client_admin_status status, const char *format, ...)
{
	va_list args;

	job->status = status;
	va_start(args, format);
	(void)vsnprintf(job->text, sizeof(job->text), format, args); /* cut if too long */
	va_end(args);
}

/* ---- leader transfer ---- */

static void
transfer_refuse(struct admin_job *job, uint16_t to, enum eng_transfer_result why)
{
	switch (why) {
	case ENG_TRANSFER_NOT_MEMBER:
		answer(job, CLIENT_ADMIN_REFUSED, "node %u is no voter of this group", to);
		break;
	case ENG_TRANSFER_UNHEARD:
		answer(job, CLIENT_ADMIN_REFUSED,
			"node %u does not answer the leader's heartbeats: is it running, and "
			"reachable both ways?",
			to);
		break;
	case ENG_TRANSFER_BUSY:
		answer(job, CLIENT_ADMIN_BUSY, "another transfer is under way");
		break;
	case ENG_TRANSFER_NOT_LEADER:
		answer(job, CLIENT_ADMIN_BUSY, "the leader is not ready yet");
		break;
	case ENG_TRANSFER_OK:
	case ENG_TRANSFER_SELF: break; /* no refusals */
	}
}

static void
transfer_begin(struct shard *s, struct shard_group *g, struct admin_job *job)
{
	enum eng_transfer_result result = ENG_TRANSFER_NOT_LEADER;
	uint16_t to = load_u16(job->arguments);
	struct eng_event event = { .type = ENG_EV_TRANSFER,
		.now_ns = s->now_ns,
		.transfer = { .to = to, .ret_result = &result } };

	if (eng_leader(g->replica) == to) {
		answer(job, CLIENT_ADMIN_DONE, "node %u leads", to);
		return;
	}
	if (room_for(s, g, ROOM_STEP))
		shard_step(s, g, &event);
	if (result == ENG_TRANSFER_OK)
		answer(job, CLIENT_ADMIN_PENDING, "handing over to node %u", to);
	else
		transfer_refuse(job, to, result);
}

static void
transfer_look(struct shard *s, struct shard_group *g, struct admin_job *job)
{
	uint16_t to = load_u16(job->arguments);
	struct eng_status now;

	eng_status(g->replica, &now);
	if (eng_leader(g->replica) == to)
		answer(job, CLIENT_ADMIN_DONE, "node %u leads", to);
	else if (now.role == DECREE_LEADER && now.transfer_to != to)
		answer(job, CLIENT_ADMIN_FAILED,
			"node %u did not take over in time; node %u goes on leading", to,
			s->node_id);
	else if (now.role != DECREE_LEADER && eng_leader(g->replica) != 0)
		answer(job, CLIENT_ADMIN_NOT_LEADER, "another node took over");
}

/* ---- members ---- */

static struct eng_member_change
change_of(const struct admin_job *job)
{
	const uint8_t *at = job->arguments;

	return (struct eng_member_change){
		.op = job->op == DECREE_ADMIN_MEMBER_ADD      ? ENG_MEMBER_ADD
		      : job->op == DECREE_ADMIN_MEMBER_REMOVE ? ENG_MEMBER_REMOVE
							      : ENG_MEMBER_REPLACE,
		.member = { .node_id = load_u16(at), .disk = load_u64(at + 8) },
		.old = load_u16(at + 2),
		.q1 = at[4],
		.q2 = at[5],
	};
}

static enum eng_member_result
change_ask(struct shard *s, struct shard_group *g, const struct eng_member_change *change)
{
	enum eng_member_result result = ENG_MEMBER_BUSY;
	struct eng_event event = { .type = ENG_EV_MEMBER,
		.now_ns = s->now_ns,
		.member = { .change = change, .ret_result = &result } };

	if (room_for(s, g, ROOM_STEP))
		shard_step(s, g, &event);
	return result;
}

static enum client_admin_status
change_status(enum eng_member_result result, bool is_begun)
{
	if (result == ENG_MEMBER_DONE)
		return CLIENT_ADMIN_DONE;
	if (result == ENG_MEMBER_OK || result == ENG_MEMBER_PENDING)
		return CLIENT_ADMIN_PENDING;
	if (result == ENG_MEMBER_BUSY || result == ENG_MEMBER_NOT_LEADER)
		return is_begun ? CLIENT_ADMIN_PENDING : CLIENT_ADMIN_BUSY;
	return CLIENT_ADMIN_REFUSED;
}

static bool
is_voter(const struct shard_group *g, uint16_t node_id)
{
	const struct eng_configs *configs = eng_known_configs(g->replica);
	const struct eng_member *member = eng_member_find(
		configs->next.m.epoch != 0 ? &configs->next.m : &configs->now.m, node_id);

	return member != NULL && member->role == ENG_VOTER;
}

static bool
is_in_file(const struct shard_group *g, uint16_t node_id)
{
	for (uint32_t i = 0; i < g->config.member_count; i++)
		if (g->config.members[i].node_id == node_id)
			return true;
	return false;
}

/* Asking again is how to learn how it stands: what is done is not done twice. */
static void
member_ask(struct shard *s, struct shard_group *g, struct admin_job *job)
{
	struct eng_member_change change = change_of(job);
	uint16_t node_id = change.member.node_id;
	enum eng_member_result result;

	/* There is no way to a node without an address: it would be a learner for ever. */
	if (change.op != ENG_MEMBER_REMOVE && !is_voter(g, node_id) && !is_in_file(g, node_id)) {
		answer(job, CLIENT_ADMIN_REFUSED,
			"node %u is not in the file that node %u was started with: write [node %u] "
			"with 'joins = yes' into every node's, and restart one after the other",
			node_id, s->node_id, node_id);
		return;
	}
	result = change_ask(s, g, &change);
	answer(job, change_status(result, false), "node %u: %s", node_id,
		eng_member_result_text(result));
}

/* Who speaks what, where that is in the way: "node 3: up to 1". */
static void
spoken_text(const struct shard *s, const struct shard_group *g, uint32_t wanted, char *text,
	uint32_t bytes)
{
	struct eng_peer_status peers[ENG_PEER_COUNT_MAX];
	uint32_t count = eng_peer_status(g->replica, peers);
	int at = 0;

	text[0] = '\0';
	if (base_versions.max < wanted)
		at = snprintf(text, bytes, " (node %u: up to %u)", s->node_id, base_versions.max);
	for (uint32_t i = 0; i < count && at < (int)bytes; i++)
		if (peers[i].version_max < wanted)
			at += snprintf(text + at, bytes - (uint32_t)at, " (node %u: up to %u)",
				peers[i].node_id, peers[i].version_max);
}

static void
raise_ask(struct shard *s, struct shard_group *g, struct admin_job *job)
{
	const struct eng_member_change change = { .op = ENG_MEMBER_RAISE };
	enum eng_member_result result = change_ask(s, g, &change);
	enum client_admin_status status =
		change_status(result, job->status == CLIENT_ADMIN_PENDING);
	uint32_t version = version_of_group(g);
	char spoken[100];

	if (result == ENG_MEMBER_UNHEARD && s->now_ns < job->until_ns)
		status = CLIENT_ADMIN_PENDING;
	spoken_text(s, g, version + 1, spoken, sizeof(spoken));
	if (result == ENG_MEMBER_DONE)
		answer(job, status, "the cluster is of version %u", version);
	else
		answer(job, status, "the cluster stays of version %u: %s%s", version,
			eng_member_result_text(result),
			result == ENG_MEMBER_OLD_PROGRAM ? spoken : "");
}

/* A member that was started a moment ago has not answered this leader yet. */
static void
raise_begin(struct shard *s, struct shard_group *g, struct admin_job *job)
{
	job->until_ns = s->now_ns + g->config.election_ns;
	raise_ask(s, g, job);
}

static void
raise_look(struct shard *s, struct shard_group *g, struct admin_job *job)
{
	if (eng_leader(g->replica) != s->node_id && eng_leader(g->replica) != 0)
		answer(job, CLIENT_ADMIN_NOT_LEADER, "another node leads now");
	else
		raise_ask(s, g, job);
}

static uint64_t
commit_of(const struct shard_group *g, uint16_t node_id)
{
	struct eng_peer_status peers[ENG_PEER_COUNT_MAX];
	uint32_t count = eng_peer_status(g->replica, peers);

	for (uint32_t i = 0; i < count; i++)
		if (peers[i].node_id == node_id)
			return peers[i].commit.n;
	return UINT64_MAX; /* this node itself */
}

static void
member_list(struct shard *s, struct shard_group *g, struct admin_job *job)
{
	const struct eng_configs *configs = eng_known_configs(g->replica);
	bool is_changing = configs->next.m.epoch != 0;
	const struct eng_membership *m = is_changing ? &configs->next.m : &configs->now.m;
	char text[CLIENT_ADMIN_TEXT_BYTES + 1];
	struct eng_status now;
	int at = snprintf(text, sizeof(text), "epoch %u%s, q1 %u, q2 %u:", m->epoch,
		is_changing ? " (begins to govern)" : "", m->q1, m->q2);

	(void)s;
	eng_status(g->replica, &now);
	for (uint32_t i = 0; i < m->member_count && at < (int)sizeof(text); i++) {
		const struct eng_member *member = &m->members[i];
		uint64_t commit = commit_of(g, member->node_id);
		at += snprintf(text + at, sizeof(text) - (size_t)at, " %u", member->node_id);
		if (member->role == ENG_LEARNER && at < (int)sizeof(text))
			at += snprintf(text + at, sizeof(text) - (size_t)at,
				" (learner, %llu slots behind)",
				(unsigned long long)(commit < now.chosen.n ? now.chosen.n - commit
									   : 0));
	}
	answer(job, CLIENT_ADMIN_DONE, "%s", text);
}

/* ---- snapshots ---- */

static void
snapshot_look(struct shard *s, struct shard_group *g, struct admin_job *job)
{
	struct eng_status now;

	eng_status(g->replica, &now);
	if (now.snapshot.n >= job->slot.n)
		answer(job, CLIENT_ADMIN_DONE, "node %u has a snapshot of slot %llu", s->node_id,
			(unsigned long long)now.snapshot.n);
	else if (now.role != DECREE_LEADER)
		answer(job, CLIENT_ADMIN_NOT_LEADER, "node %u does not lead any more", s->node_id);
}

static void
snapshot_start(struct shard *s, struct shard_group *g, struct admin_job *job)
{
	job->slot = g->applied;
	if (!snapshot_ask(s, g)) {
		answer(job, CLIENT_ADMIN_REFUSED,
			"the state machine of node %u has no snapshot hooks", s->node_id);
		return;
	}
	answer(job, CLIENT_ADMIN_PENDING, "cutting a snapshot of slot %llu or later",
		(unsigned long long)job->slot.n);
	snapshot_look(s, g, job);
}

/* ---- the table ---- */

static const struct admin_op {
	uint32_t op;
	/* Only the group's leader carries it out. */
	bool needs_leader;
	/* Of the node: it holds up no job of the group, and whoever runs the shard carries it out. */
	bool is_of_node;
	/* It is no job: whoever asks again is told how things stand by then. */
	bool is_look;
	/* A request that is new here: answer it, with PENDING if it takes more than this turn. */
	void (*begin)(struct shard *s, struct shard_group *g, struct admin_job *job);
	/* A pending one was repeated: answer it if it has ended. NULL: it never is pending. */
	void (*look)(struct shard *s, struct shard_group *g, struct admin_job *job);
} ops[] = {
	{ DECREE_ADMIN_TRANSFER, true, false, false, transfer_begin, transfer_look },
	{ DECREE_ADMIN_MEMBER_ADD, true, false, true, member_ask, NULL },
	{ DECREE_ADMIN_MEMBER_REMOVE, true, false, true, member_ask, NULL },
	{ DECREE_ADMIN_MEMBER_REPLACE, true, false, true, member_ask, NULL },
	{ DECREE_ADMIN_MEMBER_LIST, true, false, true, member_list, NULL },
	{ DECREE_ADMIN_RAISE, true, false, false, raise_begin, raise_look },
	{ DECREE_ADMIN_SNAPSHOT, true, false, false, snapshot_start, snapshot_look },
	{ DECREE_ADMIN_CAPTURE, false, true, false, NULL, NULL },
	{ DECREE_ADMIN_CAPTURE_STOP, false, true, false, NULL, NULL },
};

static const struct admin_op *
op_find(uint32_t op)
{
	for (uint32_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		if (ops[i].op == op)
			return &ops[i];
	return NULL;
}

/* ---- requests ---- */

static void
reply_send(struct shard *s, const struct shard_group *g, struct net_endpoint to,
	const struct admin_job *job)
{
	struct net_frame frame;
	struct client_msg m = {
		.type = CLIENT_MSG_ADMIN_REPLY,
		.group = g->config.group,
		.node_id = s->node_id,
		.admin_reply = { .token = job->token,
			.status = job->status,
			.leader =
				job->status == CLIENT_ADMIN_NOT_LEADER ? eng_leader(g->replica) : 0,
			.text = (const uint8_t *)job->text,
			.text_bytes = (uint16_t)strlen(job->text) },
	};

	if (!out_frame(s, &frame))
		return; /* the client repeats */
	frame.peer = to;
	frame.payload_bytes = client_msg_encode(&m, frame.payload, s->config.frame_bytes);
	out_push(s, &frame);
}

static bool
is_repeated(const struct admin_job *job, const struct client_msg *m)
{
	return job->token == m->admin_request.token && job->op == m->admin_request.op &&
	       memcmp(job->arguments, m->admin_request.arguments, sizeof(job->arguments)) == 0;
}

static void
job_look(struct shard *s, struct shard_group *g, const struct admin_op *op)
{
	struct admin_job *job = &g->admin;

	if (job->status == CLIENT_ADMIN_PENDING && op->look != NULL)
		op->look(s, g, job);
	if (job->status == CLIENT_ADMIN_NOT_LEADER)
		job->token = 0; /* no end: begun anew wherever it can be carried out */
}

/* @param job  filled in, but for its answer */
static void
job_begin(struct shard *s, struct shard_group *g, const struct admin_op *op, struct admin_job *job)
{
	if (g->admin.status == CLIENT_ADMIN_PENDING)
		job_look(s, g, op_find(g->admin.op)); /* whoever asked for it may have gone */
	if (g->admin.status == CLIENT_ADMIN_PENDING) {
		answer(job, CLIENT_ADMIN_BUSY,
			"another request is being carried out, and goes on: %s", g->admin.text);
		return;
	}
	op->begin(s, g, job);
	if (job->status == CLIENT_ADMIN_PENDING || job->status == CLIENT_ADMIN_DONE)
		g->admin = *job;
}

static void
node_ask(struct shard *s, struct admin_job *job)
{
	if (s->config.on_node_request == NULL)
		answer(job, CLIENT_ADMIN_REFUSED, "this node cannot do that");
	else
		job->status = s->config.on_node_request(
			s->config.context, job->token, job->op, job->arguments, job->text);
}

void
admin_on_request(struct shard *s, struct shard_group *g, struct net_endpoint from,
	const struct client_msg *m)
{
	const struct admin_op *op = op_find(m->admin_request.op);
	struct admin_job job = { .token = m->admin_request.token, .op = m->admin_request.op };

	memcpy(job.arguments, m->admin_request.arguments, sizeof(job.arguments));
	if (s->config.refuses_admin) {
		answer(&job, CLIENT_ADMIN_OFF, "[cluster] admin = no");
	} else if (op == NULL) {
		answer(&job, CLIENT_ADMIN_UNKNOWN, "node %u does not know operation %u", s->node_id,
			job.op);
	} else if (op->is_of_node) {
		node_ask(s, &job);
	} else if (is_repeated(&g->admin, m)) {
		job_look(s, g, op);
		job.status = g->admin.status;
		memcpy(job.text, g->admin.text, sizeof(job.text));
	} else if (op->needs_leader && eng_leader(g->replica) != s->node_id) {
		answer(&job, CLIENT_ADMIN_NOT_LEADER, "node %u does not lead", s->node_id);
	} else if (op->is_look) {
		op->begin(s, g, &job);
	} else {
		job_begin(s, g, op, &job);
	}
	reply_send(s, g, from, &job);
}
