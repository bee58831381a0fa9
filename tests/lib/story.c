/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands of a story. Each is a row of a table: name, how many words may follow, what it does.
 * A wrong command ends the story with a message that names it; a replica's assertion ends the process.
 */
#include "tests/lib/story.h"

#include "base/bytes.h"
#include "base/digest.h"

#include <errno.h>
#include <stdlib.h>

#define MS            1000000ull
#define BODY_BYTES    4096
#define SETTLE_ROUNDS 20000

/* ---- words ---- */

static uint16_t
node_of(const struct story *s, const char *word)
{
	unsigned long node = strtoul(word, NULL, 10);

	return node >= 1 && node <= s->cluster->node_count ? (uint16_t)node : 0;
}

static uint64_t
ms_of(const char *word)
{
	return strtoull(word + (*word == '+'), NULL, 10) * MS;
}

struct decree_ballot
story_ballot_of(const char *word)
{
	char *end;
	uint64_t round = strtoull(word, &end, 10);
	uint64_t node = *end == '.' ? strtoull(end + 1, NULL, 10) : 0;

	return (struct decree_ballot){ round << 16 | node };
}

const char *
story_key_of(const struct words *w, const char *key, const char *fallback)
{
	size_t bytes = strlen(key);

	for (uint32_t i = 4; i < w->count; i++)
		if (strncmp(w->at[i], key, bytes) == 0 && w->at[i][bytes] == '=')
			return w->at[i] + bytes + 1;
	return fallback;
}

uint64_t
story_number_of(const struct words *w, const char *key, uint64_t fallback)
{
	const char *word = story_key_of(w, key, NULL);

	return word != NULL ? strtoull(word, NULL, 10) : fallback;
}

bool
story_link_of(const struct story *s, const char *word, uint16_t *ret_src, uint16_t *ret_dst)
{
	const char *arrow = strchr(word, '>');

	if (arrow == NULL)
		return false;
	*ret_src = *word == '*' ? 0 : node_of(s, word);
	*ret_dst = arrow[1] == '*' ? 0 : node_of(s, arrow + 1);
	return (*ret_src != 0 || *word == '*') && (*ret_dst != 0 || arrow[1] == '*');
}

/* ---- frames ---- */

struct filter {
	uint16_t src; /* 0 = anybody */
	uint16_t dst;
	enum eng_msg_type type; /* 0 = any */
	uint32_t count;
};

static bool
filter_of(const struct story *s, const struct words *w, struct filter *ret_filter)
{
	*ret_filter = (struct filter){ .count = UINT32_MAX };
	for (uint32_t i = 1; i < w->count; i++) {
		const char *word = w->at[i];
		if (strchr(word, '>') != NULL) {
			if (!story_link_of(s, word, &ret_filter->src, &ret_filter->dst))
				return false;
		} else if (*word >= '0' && *word <= '9') {
			ret_filter->count = (uint32_t)strtoul(word, NULL, 10);
		} else {
			uint32_t type = 1;
			while (type < ENG_MSG_TYPE_COUNT &&
				strcmp(eng_msg_type_name(type), word) != 0)
				type++;
			if (type == ENG_MSG_TYPE_COUNT)
				return false;
			ret_filter->type = type;
		}
	}
	return true;
}

static bool
matches(const struct filter *f, const struct cluster_frame *frame)
{
	return (f->src == 0 || f->src == frame->src) && (f->dst == 0 || f->dst == frame->dst) &&
	       (f->type == 0 || f->type == frame->data[0]);
}

/* Strangers, whom a story may forge, have no links of their own. */
static bool
is_cut(const struct story *s, uint16_t src, uint16_t dst)
{
	return src <= CLUSTER_NODE_MAX && dst <= CLUSTER_NODE_MAX && s->cut[src][dst];
}

static void
drop_cut(struct story *s)
{
	struct cluster *c = s->cluster;

	for (uint32_t i = c->flight_count; i-- > 0;)
		if (is_cut(s, c->flight[i].src, c->flight[i].dst))
			cluster_drop(c, i);
}

enum fate {
	FATE_DELIVER,
	FATE_DUP,
	FATE_DROP
};

/* Only what is in flight now: answers wait for the next command. */
static bool
frames(struct story *s, const struct words *w, enum fate fate)
{
	struct cluster *c = s->cluster;
	uint64_t number_after = c->frame_number;
	struct filter f;

	if (!filter_of(s, w, &f))
		return false;
	drop_cut(s);
	for (uint32_t i = 0; i < c->flight_count && f.count > 0;) {
		if (!matches(&f, &c->flight[i]) || c->flight[i].number >= number_after) {
			i++;
			continue;
		}
		f.count--;
		if (fate == FATE_DROP)
			cluster_drop(c, i);
		else
			cluster_deliver(c, i, fate == FATE_DUP);
		i += fate == FATE_DUP;
	}
	return true;
}

static bool
do_deliver(struct story *s, const struct words *w)
{
	return frames(s, w, FATE_DELIVER);
}

static bool
do_dup(struct story *s, const struct words *w)
{
	return frames(s, w, FATE_DUP);
}

static bool
do_drop(struct story *s, const struct words *w)
{
	return frames(s, w, FATE_DROP);
}

static bool
do_reorder(struct story *s, const struct words *w)
{
	struct cluster *c = s->cluster;

	(void)w;
	for (uint32_t i = 0; i < c->flight_count / 2; i++) {
		struct cluster_frame f = c->flight[i];
		c->flight[i] = c->flight[c->flight_count - 1 - i];
		c->flight[c->flight_count - 1 - i] = f;
	}
	return true;
}

static bool
do_cut(struct story *s, const struct words *w)
{
	uint16_t src;
	uint16_t dst;

	if (!story_link_of(s, w->at[1], &src, &dst))
		return false;
	for (uint16_t a = 1; a <= s->cluster->node_count; a++)
		for (uint16_t b = 1; b <= s->cluster->node_count; b++)
			if ((src == 0 || a == src) && (dst == 0 || b == dst))
				s->cut[a][b] = true;
	return true;
}

static bool
do_heal(struct story *s, const struct words *w)
{
	(void)w;
	memset(s->cut, 0, sizeof(s->cut));
	return true;
}

/* ---- time, disks, life ---- */

/* As cluster_settle(), but for cut links and stalled disks. */
static bool
settle(struct story *s)
{
	struct cluster *c = s->cluster;

	for (int round = 0; round < SETTLE_ROUNDS; round++) {
		bool busy = false;
		drop_cut(s);
		if (c->flight_count > 0) {
			cluster_deliver(c, 0, false);
			continue;
		}
		for (uint16_t node = 1; node <= c->node_count; node++)
			if (c->nodes[node].up && !s->stalled[node] &&
				c->nodes[node].outstanding_count > 0 &&
				c->nodes[node].halted == ENG_HALT_NONE) {
				cluster_persist(c, node, UINT32_MAX);
				busy = true;
			}
		if (!busy && c->flight_count == 0)
			return true;
	}
	return false; /* the replicas never come to rest */
}

static bool
do_settle(struct story *s, const struct words *w)
{
	(void)w;
	return settle(s);
}

static bool
pass_time(struct story *s, uint64_t ns, bool settles)
{
	struct cluster *c = s->cluster;
	uint64_t end_ns = c->now_ns + ns;

	while (c->now_ns < end_ns) {
		uint64_t next_ns = end_ns;
		for (uint16_t node = 1; node <= c->node_count; node++)
			if (c->nodes[node].up && c->nodes[node].wake_at_ns < next_ns)
				next_ns = c->nodes[node].wake_at_ns;
		c->now_ns = c->now_ns < next_ns ? next_ns : c->now_ns + 1000;
		for (uint16_t node = 1; node <= c->node_count; node++)
			cluster_tick(c, node);
		if (settles && !settle(s))
			return false;
	}
	return true;
}

static bool
do_time(struct story *s, const struct words *w)
{
	return pass_time(s, ms_of(w->at[1]), false);
}

static bool
do_run(struct story *s, const struct words *w)
{
	return pass_time(s, ms_of(w->at[1]), true);
}

static bool
do_clock(struct story *s, const struct words *w)
{
	s->cluster->now_ns += ms_of(w->at[1]);
	return true;
}

static bool
do_tick(struct story *s, const struct words *w)
{
	uint16_t node = node_of(s, w->at[1]);

	if (node != 0)
		cluster_tick(s->cluster, node);
	return node != 0;
}

static bool
do_timeout(struct story *s, const struct words *w)
{
	uint16_t node = node_of(s, w->at[1]);

	if (node == 0 || !s->cluster->nodes[node].up)
		return false;
	if (cluster_replica(s->cluster, node)->role == DECREE_LEADER)
		cluster_tick(s->cluster, node); /* steps down, if the clock has moved far enough */
	cluster_replica(s->cluster, node)->election_ns = s->cluster->now_ns;
	s->cluster->nodes[node].wake_at_ns = 0;
	cluster_tick(s->cluster, node);
	return true;
}

static bool
do_elect(struct story *s, const struct words *w)
{
	struct cluster *c = s->cluster;
	uint16_t node = node_of(s, w->at[1]);

	for (int attempt = 0; node != 0 && attempt < 10; attempt++) {
		/* Long enough for everybody to have forgotten the old leader, itself included. */
		c->now_ns += 401 * MS;
		for (uint16_t other = 1; other <= c->node_count; other++)
			if (c->nodes[other].up && cluster_replica(c, other)->role == DECREE_LEADER)
				cluster_tick(c, other);
		if (!do_timeout(s, w) || !settle(s))
			return false;
		if (cluster_replica(c, node)->ready)
			return true;
	}
	return false;
}

static bool
do_persist(struct story *s, const struct words *w)
{
	uint16_t node = node_of(s, w->at[1]);
	uint32_t count = w->count > 2 ? (uint32_t)strtoul(w->at[2], NULL, 10) : UINT32_MAX;

	if (node != 0)
		cluster_persist(s->cluster, node, count);
	return node != 0;
}

static bool
do_stall(struct story *s, const struct words *w)
{
	uint16_t node = node_of(s, w->at[1]);

	s->stalled[node] = true;
	return node != 0;
}

static bool
do_resume(struct story *s, const struct words *w)
{
	uint16_t node = node_of(s, w->at[1]);

	s->stalled[node] = false;
	return node != 0;
}

static void
log_forget(struct story *s, uint16_t node)
{
	free(s->log[node]);
	s->log[node] = NULL;
}

static bool
do_crash(struct story *s, const struct words *w)
{
	uint16_t node = node_of(s, w->at[1]);

	if (node == 0 || !s->cluster->nodes[node].up)
		return false;
	cluster_crash(s->cluster, node);
	log_forget(s, node);
	return true;
}

/* Challenges and their answers between a node that has come back and those whom it can reach, in silence. */
static void
introduce(struct story *s, uint16_t node)
{
	struct cluster *c = s->cluster;
	bool quiet = s->quiet;

	s->quiet = true;
	drop_cut(s);
	for (uint32_t i = 0; i < c->flight_count;) {
		const struct cluster_frame *f = &c->flight[i];
		bool is_hello = f->data[0] == ENG_MSG_HELLO || f->data[0] == ENG_MSG_HELLO_REPLY;

		if (!is_hello || (f->src != node && f->dst != node)) {
			i++;
			continue;
		}
		if (is_cut(s, f->src, f->dst))
			cluster_drop(c, i);
		else
			cluster_deliver(c, i, false);
		i = 0;
	}
	s->quiet = quiet;
}

static bool
do_restart(struct story *s, const struct words *w)
{
	uint16_t node = node_of(s, w->at[1]);

	struct eng_hard hard;

	if (node == 0 || s->cluster->nodes[node].up)
		return false;
	if (eng_hard_decode(s->cluster->nodes[node].hard, &hard) == 0 && hard.snapshot.n != 0)
		story_line(s, "%u stands on its snapshot of %lu", node, hard.snapshot.n);
	cluster_restart(s->cluster, node);
	if (!s->shows_hellos)
		introduce(s, node);
	return true;
}

static bool
do_hellos(struct story *s, const struct words *w)
{
	(void)w;
	s->shows_hellos = true;
	return true;
}

static bool
do_image(struct story *s, const struct words *w)
{
	uint16_t node = node_of(s, w->at[1]);

	if (node != 0)
		cluster_image(s->cluster, node);
	return node != 0;
}

static bool
do_rollback(struct story *s, const struct words *w)
{
	uint16_t node = node_of(s, w->at[1]);

	return node != 0 && !s->cluster->nodes[node].up && cluster_rollback(s->cluster, node);
}

/* damage N SLOT [id|unknown|lost]: of the newest record of a slot, as the next recovery will see it. */
static bool
do_damage(struct story *s, const struct words *w)
{
	uint16_t node = node_of(s, w->at[1]);
	const char *how = w->count > 3 ? w->at[3] : "id";
	enum cluster_damage damage = strcmp(how, "unknown") == 0 ? CLUSTER_DAMAGE_UNKNOWN
				     : strcmp(how, "lost") == 0  ? CLUSTER_DAMAGE_LOST
								 : CLUSTER_DAMAGE_ID;

	return node != 0 && !s->cluster->nodes[node].up &&
	       cluster_damage(s->cluster, node,
		       (struct decree_slot){ strtoull(w->at[2], NULL, 10) }, damage);
}

static bool
do_wipe(struct story *s, const struct words *w)
{
	uint16_t node = node_of(s, w->at[1]);

	if (node == 0)
		return false;
	s->cluster->now_ns += MS; /* the new disk's identity comes from the clock */
	cluster_wipe(s->cluster, node);
	log_forget(s, node);
	return true;
}

static bool
do_logfull(struct story *s, const struct words *w)
{
	uint16_t node = node_of(s, w->at[1]);

	s->cluster->nodes[node].log_is_full = strcmp(w->at[0], "logfull") == 0;
	if (node != 0)
		cluster_flush(s->cluster, node);
	return node != 0;
}

static bool
do_room(struct story *s, const struct words *w)
{
	uint16_t node = node_of(s, w->at[1]);

	s->cluster->nodes[node].record_room = 1 + (uint32_t)strtoul(w->at[2], NULL, 10);
	return node != 0;
}

static bool
do_corrupt(struct story *s, const struct words *w)
{
	uint16_t node = node_of(s, w->at[1]);

	s->cluster->nodes[node].applied_digest.lo ^= node;
	return node != 0;
}

static bool
do_cut_mark(struct story *s, const struct words *w)
{
	uint16_t node = node_of(s, w->at[1]);

	if (node == 0)
		return false;
	cluster_step(s->cluster, node,
		&(struct eng_event){ .type = ENG_EV_CUT, .now_ns = s->cluster->now_ns });
	cluster_flush(s->cluster, node);
	return true;
}

static bool
do_transfer(struct story *s, const struct words *w)
{
	uint16_t node = node_of(s, w->at[1]);
	enum eng_transfer_result result = ENG_TRANSFER_NOT_LEADER;

	if (node == 0)
		return false;
	cluster_step(s->cluster, node,
		&(struct eng_event){ .type = ENG_EV_TRANSFER,
			.now_ns = s->cluster->now_ns,
			.transfer = { (uint16_t)strtoul(w->at[2], NULL, 10), &result } });
	cluster_flush(s->cluster, node);
	if (result != ENG_TRANSFER_OK)
		story_line(s, "%u refuses: %s", node, eng_transfer_result_name(result));
	return true;
}

/* ---- commands of clients ---- */

static void
submit(struct story *s, uint16_t node, struct decree_session session, uint64_t seq,
	const void *body, uint32_t bytes)
{
	enum eng_submit_status status = cluster_submit(s->cluster, node, session, seq, body, bytes);

	if (status != ENG_SUBMIT_OK)
		story_line(s, "%u refuses: %s", node, eng_submit_status_name(status));
}

static void
submit_token(struct story *s, uint16_t node, const char *text)
{
	char token[DECREE_UUID_BYTES + 1];

	(void)snprintf(token, sizeof(token), "%-16s", text);
	submit(s, node, (struct decree_session){ 0 }, 0, token, DECREE_UUID_BYTES);
}

static bool
do_register(struct story *s, const struct words *w)
{
	uint16_t node = node_of(s, w->at[1]);
	uint32_t i = 0;

	while (i < s->session_count && strcmp(s->sessions[i].name, w->at[2]) != 0)
		i++;
	if (node == 0 || i == STORY_SESSION_MAX)
		return false;
	if (i == s->session_count) {
		(void)snprintf(s->sessions[i].name, sizeof(s->sessions[i].name), "%s", w->at[2]);
		s->session_count++;
	}
	submit_token(s, node, w->at[2]);
	return true;
}

static uint32_t
body_of(const char *word, uint8_t *ret_body)
{
	const char *star = strchr(word, '*');
	uint32_t bytes = star != NULL ? (uint32_t)strtoul(star + 1, NULL, 10) : 0;

	if (star == word + 1 && bytes > 0 && bytes <= BODY_BYTES) {
		memset(ret_body, *word, bytes);
		return bytes;
	}
	bytes = (uint32_t)strlen(word);
	memcpy(ret_body, word, bytes);
	return bytes;
}

static bool
do_submit(struct story *s, const struct words *w)
{
	uint16_t node = node_of(s, w->at[1]);
	uint8_t body[BODY_BYTES];

	if (node == 0 || (w->count != 3 && w->count != 5))
		return false;
	if (w->count == 3) {
		submit_token(s, node, w->at[2]);
		return true;
	}
	uint32_t bytes = body_of(w->at[4], body);
	for (uint32_t i = 0; i < s->session_count; i++)
		if (strcmp(s->sessions[i].name, w->at[2]) == 0) {
			submit(s, node, s->sessions[i].session, strtoull(w->at[3], NULL, 10), body,
				bytes);
			return true;
		}
	return false;
}

/* Registrations t1, t2, ... , settled in groups that fit the window. */
static bool
do_fill(struct story *s, const struct words *w)
{
	uint16_t node = node_of(s, w->at[1]);
	uint32_t count = (uint32_t)strtoul(w->at[2], NULL, 10);

	for (uint32_t i = 1; node != 0 && i <= count; i++) {
		char token[DECREE_UUID_BYTES + 1];
		(void)snprintf(token, sizeof(token), "t%u", i);
		submit_token(s, node, token);
		if ((i % 16 == 0 || i == count) && !settle(s))
			return false;
	}
	return node != 0;
}

/* ---- snapshots ---- */

static bool
do_cut_snapshot(struct story *s, const struct words *w)
{
	uint16_t node = node_of(s, w->at[1]);

	if (node != 0)
		cluster_cut_snapshot(s->cluster, node);
	return node != 0;
}

static bool
do_trim(struct story *s, const struct words *w)
{
	uint16_t node = node_of(s, w->at[1]);

	if (node != 0)
		cluster_trim(
			s->cluster, node, (struct decree_slot){ strtoull(w->at[2], NULL, 10) });
	return node != 0;
}

static bool
do_install(struct story *s, const struct words *w)
{
	uint16_t node = node_of(s, w->at[1]);
	uint16_t donor = node_of(s, w->at[2]);

	return node != 0 && donor != 0 && cluster_install(s->cluster, node, donor);
}

static bool
do_installed(struct story *s, const struct words *w)
{
	uint16_t node = node_of(s, w->at[1]);
	struct decree_slot slot = { 0 };

	if (node == 0)
		return false;
	slot = cluster_replica(s->cluster, node)->snapshot.installing;
	log_forget(s, node);
	if (asprintf(&s->log[node], " 1..%lu by snapshot", slot.n) < 0)
		return false;
	return cluster_installed(s->cluster, node);
}

static bool
do_read(struct story *s, const struct words *w)
{
	uint16_t node = node_of(s, w->at[1]);

	if (node != 0)
		cluster_read(s->cluster, node, ++s->read_count);
	return node != 0;
}

static bool
do_leases(struct story *s, const struct words *w)
{
	struct cluster *c = s->cluster;

	c->lease_ns = ms_of(w->at[1]);
	for (uint16_t node = 1; node <= c->node_count; node++)
		if (c->nodes[node].up)
			cluster_replica(c, node)->cfg.lease_ns = c->lease_ns;
	return true;
}

static bool
do_lease(struct story *s, const struct words *w)
{
	uint16_t node = node_of(s, w->at[1]);

	if (node == 0 || !s->cluster->nodes[node].up)
		return false;
	story_line(s, "%u holds %s lease", node,
		eng_lease_holds(cluster_replica(s->cluster, node), s->cluster->now_ns) ? "a"
										       : "no");
	return true;
}

static bool
do_status(struct story *s, const struct words *w)
{
	(void)w;
	story_trace_status(s);
	return true;
}

static bool
do_log(struct story *s, const struct words *w)
{
	uint16_t node = node_of(s, w->at[1]);

	story_line(s, "%u applied%s", node, s->log[node] != NULL ? s->log[node] : " nothing");
	return node != 0;
}

static uint32_t
option_of(const struct words *w, const char *name, uint32_t fallback)
{
	for (uint32_t i = 2; i < w->count; i++)
		if (strncmp(w->at[i], name, strlen(name)) == 0)
			return (uint32_t)strtoul(w->at[i] + strlen(name), NULL, 10);
	return fallback;
}

static bool
do_join(struct story *s, const struct words *w)
{
	(void)w;
	if (s->cluster->node_count == CLUSTER_NODE_MAX)
		return false;
	s->cluster->now_ns += MS; /* a disk's identity comes from the clock */
	(void)cluster_join(s->cluster);
	return true;
}

static const struct {
	const char *name;
	enum eng_member_op op;
} member_ops[] = {
	{ "add", ENG_MEMBER_ADD },
	{ "remove", ENG_MEMBER_REMOVE },
	{ "replace", ENG_MEMBER_REPLACE },
};

static bool
member_change_of(const struct story *s, const struct words *w, struct eng_member_change *ret_change)
{
	uint32_t numbers[4] = { 0 };
	uint32_t op = 0;

	while (op < 3 && strcmp(member_ops[op].name, w->at[2]) != 0)
		op++;
	if (op == 3)
		return false;
	for (uint32_t i = 3; i < w->count; i++)
		numbers[i - 3] = (uint32_t)strtoul(w->at[i], NULL, 10);
	bool is_replace = member_ops[op].op == ENG_MEMBER_REPLACE;
	uint32_t id = numbers[is_replace];
	*ret_change = (struct eng_member_change){
		.op = member_ops[op].op,
		.member = { .node_id = (uint16_t)id },
		.old = (uint16_t)(is_replace ? numbers[0] : 0),
		.q1 = (uint8_t)(is_replace ? 0 : numbers[1]),
		.q2 = (uint8_t)(is_replace ? 0 : numbers[2]),
	};
	if (id <= s->cluster->node_count)
		ret_change->member.disk = eng_disk_short(&s->cluster->nodes[id].disk);
	return true;
}

static bool
do_member(struct story *s, const struct words *w)
{
	uint16_t node = node_of(s, w->at[1]);
	struct eng_member_change change;

	if (node == 0 || !member_change_of(s, w, &change))
		return false;
	enum eng_member_result result = cluster_member(s->cluster, node, &change);
	story_line(s, "%u: %s", node, eng_member_result_text(result));
	return true;
}

static bool
do_nodes(struct story *s, const struct words *w)
{
	uint32_t count = (uint32_t)strtoul(w->at[1], NULL, 10);
	uint32_t digest_slots = option_of(w, "digest=", 0);
	uint32_t idle_slots = option_of(w, "idle=", 0);
	uint32_t alpha = option_of(w, "alpha=", 64);
	uint32_t q1 = w->count > 2 ? (uint32_t)strtoul(w->at[2], NULL, 10) : 0;
	uint32_t q2 = w->count > 3 ? (uint32_t)strtoul(w->at[3], NULL, 10) : 0;

	if (s->cluster != NULL || count < 1 || count > DECREE_NODE_COUNT_MAX)
		return false;
	s->cluster = cluster_create_with(count, q1, q2, digest_slots, idle_slots, alpha, 1);
	story_trace_hooks(s);
	return true;
}

/* ---- the table ---- */

static const struct {
	const char *name;
	uint32_t words_min; /* the name included */
	uint32_t words_max;
	bool (*run)(struct story *s, const struct words *w);
} commands[] = {
	{ "nodes", 2, 6, do_nodes },
	{ "elect", 2, 2, do_elect },
	{ "timeout", 2, 2, do_timeout },
	{ "clock", 2, 2, do_clock },
	{ "tick", 2, 2, do_tick },
	{ "time", 2, 2, do_time },
	{ "run", 2, 2, do_run },
	{ "settle", 1, 1, do_settle },
	{ "deliver", 1, 4, do_deliver },
	{ "dup", 1, 4, do_dup },
	{ "drop", 1, 4, do_drop },
	{ "reorder", 1, 1, do_reorder },
	{ "cut", 2, 2, do_cut },
	{ "heal", 1, 1, do_heal },
	{ "persist", 2, 3, do_persist },
	{ "stall", 2, 2, do_stall },
	{ "resume", 2, 2, do_resume },
	{ "register", 3, 3, do_register },
	{ "submit", 3, 5, do_submit },
	{ "fill", 3, 3, do_fill },
	{ "read", 2, 2, do_read },
	{ "leases", 2, 2, do_leases },
	{ "lease", 2, 2, do_lease },
	{ "crash", 2, 2, do_crash },
	{ "restart", 2, 2, do_restart },
	{ "wipe", 2, 2, do_wipe },
	{ "damage", 3, 4, do_damage },
	{ "hellos", 1, 1, do_hellos },
	{ "image", 2, 2, do_image },
	{ "rollback", 2, 2, do_rollback },
	{ "transfer", 3, 3, do_transfer },
	{ "join", 1, 1, do_join },
	{ "member", 4, 6, do_member },
	{ "corrupt", 2, 2, do_corrupt },
	{ "cut-mark", 2, 2, do_cut_mark },
	{ "logfull", 2, 2, do_logfull },
	{ "logroom", 2, 2, do_logfull },
	{ "room", 3, 3, do_room },
	{ "cut-snapshot", 2, 2, do_cut_snapshot },
	{ "trim", 3, 3, do_trim },
	{ "install", 3, 3, do_install },
	{ "installed", 2, 2, do_installed },
	{ "forge", 4, STORY_WORD_MAX, story_forge },
	{ "status", 1, 1, do_status },
	{ "log", 2, 2, do_log },
};

static bool
run_words(struct story *s, struct words *w)
{
	s->quiet = strcmp(w->at[0], "quiet") == 0;
	if (s->quiet)
		memmove(w->at, w->at + 1, --w->count * sizeof(*w->at));
	for (uint32_t i = 0; w->count > 0 && i < sizeof(commands) / sizeof(*commands); i++)
		if (strcmp(commands[i].name, w->at[0]) == 0)
			return w->count >= commands[i].words_min &&
			       w->count <= commands[i].words_max &&
			       (s->cluster != NULL || commands[i].run == do_nodes) &&
			       commands[i].run(s, w);
	return false;
}

/* One line: echo it, cut it into words, run it. */
static bool
run_line(struct story *s, const char *line)
{
	char text[256];
	char *rest = NULL;
	struct words w = { 0 };

	(void)snprintf(text, sizeof(text), "%s", line);
	for (char *word = strtok_r(text, " \t", &rest); word != NULL && w.count < STORY_WORD_MAX;
		word = strtok_r(NULL, " \t", &rest))
		w.at[w.count++] = word;
	if (w.count == 0 || *w.at[0] == '#')
		return true;
	s->quiet = false;
	story_line(s, "* %s", line);
	if (run_words(s, &w))
		return true;
	s->quiet = false;
	story_line(s, "! this command cannot be run here");
	return false;
}

char *
story_run(const char *text)
{
	struct story *s = calloc(1, sizeof(*s));
	char *lines = strdup(text);
	char *trace = NULL;
	char *rest = NULL;
	size_t bytes = 0;

	decree_assert(s != NULL && lines != NULL);
	s->trace = open_memstream(&trace, &bytes);
	decree_assert(s->trace != NULL);
	for (char *line = strtok_r(lines, "\n", &rest); line != NULL;
		line = strtok_r(NULL, "\n", &rest))
		if (!run_line(s, line))
			break;
	(void)fclose(s->trace); /* memory: cannot fail once it was open */
	cluster_destroy(s->cluster);
	for (uint16_t node = 1; node <= CLUSTER_NODE_MAX; node++)
		free(s->log[node]);
	free(lines);
	free(s);
	return trace;
}
