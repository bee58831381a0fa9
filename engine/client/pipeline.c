/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/client/pipeline.h"

#include "base/assert.h"
#include "base/digest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MS UINT64_C(1000000)

/* After a silence this many commands feel their way; each answer lets one more out. */
#define PROBE_COMMAND_COUNT 16

/* A lost frame makes the leader complain about each one behind it: believe the first complaint
 * only. */
#define GAP_HOLD_NS (2 * MS)

/* Two nodes that each think the other leads must not make us spin between them. */
#define REDIRECT_HOLD_NS (1 * MS)

#define PAUSE_NS_DEFAULT   (2 * MS)
#define PAUSE_NS_MAX       (100 * MS)
#define PAUSE_NO_LEADER_NS (10 * MS)

struct pipeline_entry {
	uint8_t *body;
	uint32_t bytes;
	bool is_answered;
	bool is_taken; /* its completion was handed out */
	struct decree_completion completion;
};

static struct pipeline_entry *
entry_of(const struct pipeline *p, uint64_t number)
{
	return &p->entries[number & (p->capacity - 1)];
}

static uint64_t
number_to_seq(const struct pipeline *p, uint64_t number)
{
	return number - p->session_first + 1;
}

static uint32_t
round_up_to_power_of_two(uint32_t n)
{
	uint32_t power = 1;

	while (power < n)
		power *= 2;
	return power;
}

int
pipeline_open(struct pipeline *p, const struct pipeline_config *config)
{
	uint64_t bodies_bytes = (uint64_t)config->in_flight_max * 1024;

	*p = (struct pipeline){ .config = *config, .rto_ns = PIPELINE_RTO_NS };
	if (config->in_flight_max == 0 || config->in_flight_max > 1u << 20 ||
		config->node_count == 0 || config->node_count > DECREE_NODE_COUNT_MAX ||
		config->frame_bytes < CLIENT_MSG_FIXED_BYTES_MAX)
		return -EINVAL;

	/* A kilobyte for each command in flight, and at least two of the largest. */
	if (bodies_bytes < 2 * (uint64_t)config->command_bytes_max)
		bodies_bytes = 2 * (uint64_t)config->command_bytes_max;
	p->bodies_bytes = (uint32_t)(bodies_bytes + 64);
	p->capacity = round_up_to_power_of_two(config->in_flight_max);
	p->window = config->in_flight_max;
	p->entries = calloc(p->capacity, sizeof(p->entries[0]));
	p->completed = calloc(p->capacity, sizeof(p->completed[0]));
	p->bodies = malloc(p->bodies_bytes);
	if (p->entries == NULL || p->completed == NULL || p->bodies == NULL) {
		pipeline_close(p);
		return -ENOMEM;
	}
	return 0;
}

void
pipeline_close(struct pipeline *p)
{
	free(p->entries);
	free(p->completed);
	free(p->bodies);
	*p = (struct pipeline){ 0 };
}

/* Room for a body: behind the newest one, or from the start again, but never across the oldest one.
 * A byte always stays free between head and tail, so that equal means empty. */
static uint8_t *
body_acquire(const struct pipeline *p, uint32_t bytes)
{
	uint32_t tail;

	if (p->released == p->accepted)
		return p->bodies;
	tail = (uint32_t)(entry_of(p, p->released)->body - p->bodies);
	if (p->bodies_head < tail)
		return bytes < tail - p->bodies_head ? p->bodies + p->bodies_head : NULL;
	if (bytes <= p->bodies_bytes - p->bodies_head)
		return p->bodies + p->bodies_head;
	return bytes < tail ? p->bodies : NULL;
}

int
pipeline_submit(struct pipeline *p, const void *body, uint32_t bytes, void *cookie)
{
	uint32_t rounded = bytes > 0 ? bytes : 1; /* bodies have places of their own */
	struct pipeline_entry *entry;
	uint8_t *place;

	if (bytes > p->config.command_bytes_max)
		return -EMSGSIZE;
	if (p->accepted - p->released >= p->config.in_flight_max)
		return -EAGAIN;
	place = body_acquire(p, rounded);
	if (place == NULL)
		return -EAGAIN;
	if (bytes > 0)
		memcpy(place, body, bytes);
	p->bodies_head = (uint32_t)(place - p->bodies) + rounded;
	entry = entry_of(p, p->accepted);
	*entry = (struct pipeline_entry){
		.body = place, .bytes = bytes, .completion = { .cookie = cookie }
	};
	p->accepted++;
	p->is_session_wanted = true;
	decree_assert(p->bodies_head <= p->bodies_bytes);
	return 0;
}

/* Where to send */

void
pipeline_reachable(struct pipeline *p, uint16_t node_id, bool is_reachable)
{
	for (uint32_t i = 0; i < p->config.node_count; i++)
		if (p->config.nodes[i] == node_id)
			p->is_reachable = (p->is_reachable & ~(1u << i)) | (uint32_t)is_reachable
										   << i;
}

static bool
is_target_reachable(const struct pipeline *p)
{
	return (p->is_reachable >> p->target & 1) != 0;
}

/* The next node that can be reached, or the same if there is no other. */
static void
rotate_target(struct pipeline *p)
{
	for (uint32_t i = 1; i < p->config.node_count; i++) {
		uint32_t index = (p->target + i) % p->config.node_count;

		if ((p->is_reachable >> index & 1) != 0) {
			p->target = index;
			return;
		}
	}
}

/* @return false: not a node of ours */
static bool
set_target(struct pipeline *p, uint16_t node_id)
{
	for (uint32_t i = 0; i < p->config.node_count; i++)
		if (p->config.nodes[i] == node_id) {
			p->target = i;
			return true;
		}
	return false;
}

/* When to send again */

static void
resume_from(struct pipeline *p, uint64_t number)
{
	decree_assert(number >= p->answered && number <= p->accepted);
	/* A large command whose pieces are being sent goes on: beginning anew at every gap that the
	 * commands behind it report would never reach its last piece. What is lost of it is sent
	 * again afterwards. */
	if (p->next != number)
		p->fragment_offset_bytes = 0;
	p->next = number;
	p->is_register_sent = false;
}

static void
probe(struct pipeline *p)
{
	resume_from(p, p->answered);
	p->window = PROBE_COMMAND_COUNT;
}

static void
hold_back(struct pipeline *p, uint64_t now_ns, uint64_t pause_ns)
{
	p->pause_until_ns = now_ns + (pause_ns < PAUSE_NS_MAX ? pause_ns : PAUSE_NS_MAX);
	p->waiting_since_ns = 0; /* it starts again with the next frame */
}

static bool
is_waiting(const struct pipeline *p)
{
	return p->waiting_since_ns != 0 &&
	       (p->session.n == 0 ? p->is_register_sent : p->answered < p->sent);
}

void
pipeline_tick(struct pipeline *p, uint64_t now_ns)
{
	if (!is_target_reachable(p) && p->is_reachable != 0) {
		rotate_target(p);
		resume_from(p, p->answered);
	}
	if (!is_waiting(p) || now_ns < p->waiting_since_ns + p->rto_ns)
		return;

	/* Nothing came back for a whole timeout. */

	p->timeout_count++;
	p->rto_ns = p->rto_ns * 2 < PIPELINE_RTO_NS_MAX ? p->rto_ns * 2 : PIPELINE_RTO_NS_MAX;
	p->waiting_since_ns = now_ns;
	if (p->timeout_count >= 2)
		rotate_target(p);
	probe(p);
}

uint64_t
pipeline_wake_at(const struct pipeline *p)
{
	bool has_unsent = p->session.n == 0 ? p->is_session_wanted && !p->is_register_sent
					    : p->next < p->accepted;
	uint64_t wake_at_ns = UINT64_MAX;

	if (is_waiting(p))
		wake_at_ns = p->waiting_since_ns + p->rto_ns;
	if (has_unsent && p->pause_until_ns != 0 && p->pause_until_ns < wake_at_ns)
		wake_at_ns = p->pause_until_ns;
	return wake_at_ns;
}

/* What to send */

static uint32_t
register_frame(struct pipeline *p, uint8_t *out)
{
	struct client_writer w;

	if (p->is_register_sent || !p->is_session_wanted)
		return 0;
	p->is_register_sent = true;
	client_commands_begin(&w, out, p->config.frame_bytes, p->config.group);
	(void)client_commands_add(&w, /* fits the smallest frame */
		&(struct eng_command){ .body = p->config.token, .bytes = DECREE_UUID_BYTES });
	return client_writer_finish(&w);
}

static bool
is_fragmented(const struct pipeline *p, const struct pipeline_entry *entry)
{
	return entry->bytes >
	       p->config.frame_bytes - CLIENT_MSG_HEADER_BYTES - CLIENT_COMMAND_BYTES;
}

static void
note_sent(struct pipeline *p)
{
	if (p->next < p->sent)
		p->retransmit_count++;
	p->next++;
	p->fragment_offset_bytes = 0;
	if (p->next > p->sent)
		p->sent = p->next;
}

static uint32_t
fragment_frame(struct pipeline *p, const struct pipeline_entry *entry, uint8_t *out)
{
	uint32_t rest = entry->bytes - p->fragment_offset_bytes;
	uint32_t room = p->config.frame_bytes - CLIENT_FRAGMENT_BYTES;
	struct client_msg m = {
		.type = CLIENT_MSG_COMMAND_FRAGMENT,
		.group = p->config.group,
		.fragment = {
			.session = p->session,
			.seq = number_to_seq(p, p->next),
			.total_bytes = entry->bytes,
			.offset_bytes = p->fragment_offset_bytes,
			.digest = base_digest(entry->body, entry->bytes),
			.bytes = entry->body + p->fragment_offset_bytes,
			.count = rest < room ? rest : room,
		},
	};

	p->fragment_offset_bytes += m.fragment.count;
	if (p->fragment_offset_bytes == entry->bytes)
		note_sent(p);
	return client_msg_encode(&m, out, p->config.frame_bytes);
}

static uint64_t
send_limit(const struct pipeline *p)
{
	uint64_t limit = p->answered + p->window;

	return limit < p->accepted ? limit : p->accepted;
}

static void
skip_answered(struct pipeline *p)
{
	while (p->next < p->accepted && entry_of(p, p->next)->is_answered) {
		p->next++;
		p->fragment_offset_bytes = 0;
	}
}

static uint32_t
commands_frame(struct pipeline *p, uint8_t *out)
{
	uint64_t limit = send_limit(p);
	struct client_writer w;

	skip_answered(p);
	if (p->next < limit && is_fragmented(p, entry_of(p, p->next)))
		return fragment_frame(p, entry_of(p, p->next), out);
	client_commands_begin(&w, out, p->config.frame_bytes, p->config.group);
	while (p->next < limit) {
		const struct pipeline_entry *entry = entry_of(p, p->next);

		if (is_fragmented(p, entry) ||
			!client_commands_add(&w, &(struct eng_command){ .session = p->session,
							 .seq = number_to_seq(p, p->next),
							 .body = entry->body,
							 .bytes = entry->bytes }))
			break;
		note_sent(p);
		skip_answered(p);
	}
	return client_writer_finish(&w);
}

uint32_t
pipeline_next_frame(struct pipeline *p, uint64_t now_ns, uint8_t *out, uint16_t *ret_node_id)
{
	uint32_t bytes;

	if (now_ns < p->pause_until_ns || !is_target_reachable(p))
		return 0;
	bytes = p->session.n == 0 ? register_frame(p, out) : commands_frame(p, out);
	if (bytes == 0)
		return 0;
	p->pause_until_ns = 0;
	if (p->waiting_since_ns == 0)
		p->waiting_since_ns = now_ns;
	*ret_node_id = p->config.nodes[p->target];
	return bytes;
}

/* What came back */

static void
note_progress(struct pipeline *p, uint64_t now_ns)
{
	p->rto_ns = PIPELINE_RTO_NS;
	p->timeout_count = 0;
	p->waiting_since_ns = now_ns;
	if (p->window < p->config.in_flight_max)
		p->window++;
}

static void
complete(struct pipeline *p, uint64_t number, enum decree_outcome outcome, uint16_t status,
	uint64_t result)
{
	struct pipeline_entry *entry = entry_of(p, number);

	decree_assert(!entry->is_answered);
	entry->is_answered = true;
	entry->completion.seq = number_to_seq(p, number);
	entry->completion.outcome = outcome;
	entry->completion.status = status;
	entry->completion.result = result;
	p->completed[p->completed_after++ & (p->capacity - 1)] = number;
	while (p->answered < p->accepted && entry_of(p, p->answered)->is_answered)
		p->answered++;
	if (p->next < p->answered) {
		p->next = p->answered;
		p->fragment_offset_bytes = 0;
	}
	if (p->answered >= p->sent)
		p->waiting_since_ns = 0;
}

/* The session is gone: nothing of it may be repeated under another. The next one has a token of its
 * own.
 * @param fate  of what was sent: it may have been executed */
static void
abandon_session(struct pipeline *p, enum decree_outcome fate)
{
	uint64_t sent = p->sent;

	for (uint64_t number = p->answered; number < p->accepted; number++)
		if (!entry_of(p, number)->is_answered)
			complete(p, number, number < sent ? fate : DECREE_REFUSED, 0, 0);
	decree_assert(p->answered == p->accepted);
	p->sent = p->accepted;
	p->session_first = p->accepted;
	p->session.n = 0;
	for (uint32_t i = 0; i < DECREE_UUID_BYTES && ++p->config.token[i] == 0; i++)
		;
	resume_from(p, p->accepted);
}

static void
on_registered(struct pipeline *p, uint64_t now_ns, const struct client_reply *reply)
{
	if (p->session.n != 0 || memcmp(reply->token, p->config.token, DECREE_UUID_BYTES) != 0 ||
		reply->session.n == 0)
		return;
	p->session = reply->session;
	note_progress(p, now_ns);
	p->waiting_since_ns = 0;
	p->window = p->config.in_flight_max;
}

static void
on_applied(struct pipeline *p, uint64_t now_ns, uint64_t number, enum decree_outcome outcome,
	const struct client_reply *reply)
{
	if (entry_of(p, number)->is_answered)
		return;
	note_progress(p, now_ns);
	complete(p, number, outcome, reply->status, reply->result);
}

static void
on_gap(struct pipeline *p, uint64_t now_ns, uint64_t last_seq)
{
	uint64_t number = p->session_first + last_seq; /* the one after last_seq */

	if (number < p->answered || number >= p->next)
		return;
	if (number == p->gap_number && now_ns - p->gap_handled_ns < GAP_HOLD_NS)
		return;
	p->gap_number = number;
	p->gap_handled_ns = now_ns;
	resume_from(p, number);
}

static void
on_reply(struct pipeline *p, uint64_t now_ns, const struct client_reply *reply)
{
	uint64_t number = p->session_first + reply->seq - 1;

	if (reply->kind == CLIENT_REPLY_REGISTERED) {
		on_registered(p, now_ns, reply);
		return;
	}
	if (reply->kind == CLIENT_REPLY_TABLE_FULL) {
		if (p->session.n == 0 &&
			memcmp(reply->token, p->config.token, DECREE_UUID_BYTES) == 0) {
			/* Nobody was idle for long enough to give way: say so instead of asking for
			 * ever. Nothing was sent yet. */
			abandon_session(p, DECREE_UNKNOWN);
			p->is_register_sent = false;
			hold_back(p, now_ns, PAUSE_NS_MAX);
		}
		return;
	}
	if (p->session.n == 0 || reply->session.n != p->session.n || reply->seq == 0 ||
		number < p->answered || number >= p->sent)
		return; /* of an earlier session, or answered before */

	switch (reply->kind) {
	case CLIENT_REPLY_APPLIED: on_applied(p, now_ns, number, DECREE_APPLIED, reply); break;
	case CLIENT_REPLY_STALE: on_applied(p, now_ns, number, DECREE_UNKNOWN, reply); break;
	case CLIENT_REPLY_GAP: on_gap(p, now_ns, reply->result); break;
	case CLIENT_REPLY_EVICTED: abandon_session(p, DECREE_EVICTED); break;
	default:
		/* No session; or a command that this session can never execute, and so nothing
		 * after it. */
		abandon_session(p, DECREE_UNKNOWN);
		break;
	}
}

static void
on_redirect(struct pipeline *p, uint64_t now_ns, const struct client_msg *m)
{
	uint64_t pause_ns = (uint64_t)m->redirect.retry_after_us * 1000;
	bool is_new = m->node_id != 0 && m->node_id != p->config.nodes[p->target];

	if (now_ns < p->pause_until_ns)
		return; /* the same answer to several frames */
	p->redirect_count++;
	p->timeout_count = 0; /* somebody is there */
	p->rto_ns = PIPELINE_RTO_NS;
	if (m->redirect.reason == CLIENT_REDIRECT_NOT_LEADER && is_new &&
		set_target(p, m->node_id)) {
		probe(p);
		if (now_ns - p->redirect_ns < REDIRECT_HOLD_NS)
			hold_back(p, now_ns, PAUSE_NS_DEFAULT);
		p->redirect_ns = now_ns;
		p->waiting_since_ns = 0;
		return;
	}
	if (m->redirect.reason == CLIENT_REDIRECT_BUSY) {
		resume_from(p, p->answered);
		p->window =
			p->window / 2 > PROBE_COMMAND_COUNT ? p->window / 2 : PROBE_COMMAND_COUNT;
	} else {
		probe(p);
	}
	if (m->redirect.reason == CLIENT_REDIRECT_NOT_LEADER) {
		rotate_target(p);
		pause_ns = PAUSE_NO_LEADER_NS;
	}
	hold_back(p, now_ns, pause_ns != 0 ? pause_ns : PAUSE_NS_DEFAULT);
}

void
pipeline_receive(struct pipeline *p, uint64_t now_ns, uint16_t from, const struct client_msg *m)
{
	struct client_reply reply;
	uint32_t cursor = 0;

	if (m->group != p->config.group)
		return;
	if (m->type == CLIENT_MSG_REDIRECT) {
		if (from == p->config.nodes[p->target])
			on_redirect(p, now_ns, m);
	} else if (m->type == CLIENT_MSG_REPLIES) {
		while (client_reply_next(m, &cursor, &reply))
			on_reply(p, now_ns, &reply);
		/* A follower passed our commands on: from now on straight to the leader. */
		if (from == p->config.nodes[p->target] && m->node_id != 0)
			(void)set_target(
				p, m->node_id); /* false: not in our configuration, so stay */
	}
}

uint32_t
pipeline_completions(
	struct pipeline *p, struct decree_completion *ret_completions, uint32_t count_max)
{
	uint32_t count = 0;

	while (count < count_max && p->completed_first < p->completed_after) {
		uint64_t number = p->completed[p->completed_first++ & (p->capacity - 1)];

		ret_completions[count++] = entry_of(p, number)->completion;
		entry_of(p, number)->is_taken = true;
	}
	while (p->released < p->answered && entry_of(p, p->released)->is_taken)
		p->released++;
	return count;
}
