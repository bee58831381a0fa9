/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands of a story that come from operators: who is a member, who leads, where snapshots are
 * cut; and the damage to a state that only its digest shows.
 */
#include "tests/lib/story_private.h"

#include <stdlib.h>

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
	{ "raise", ENG_MEMBER_RAISE },
};

static bool
member_change_of(const struct story *s, const struct words *w, struct eng_member_change *ret_change)
{
	uint32_t numbers[4] = { 0 };
	uint32_t op = 0;

	while (op < 4 && strcmp(member_ops[op].name, w->at[2]) != 0)
		op++;
	if (op == 4 || (w->count == 3) != (member_ops[op].op == ENG_MEMBER_RAISE))
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
	uint16_t node = story_node_of(s, w->at[1]);
	struct eng_member_change change;

	if (node == 0 || !member_change_of(s, w, &change))
		return false;
	enum eng_member_result result = cluster_member(s->cluster, node, &change);
	story_line(s, "%u: %s", node, eng_member_result_text(result));
	return true;
}

static bool
do_speaks(struct story *s, const struct words *w)
{
	uint16_t node = story_node_of(s, w->at[1]);

	s->cluster->nodes[node].version_max = (uint8_t)strtoul(w->at[2], NULL, 10);
	return node != 0;
}

static bool
do_transfer(struct story *s, const struct words *w)
{
	uint16_t node = story_node_of(s, w->at[1]);
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

static bool
do_cut_mark(struct story *s, const struct words *w)
{
	uint16_t node = story_node_of(s, w->at[1]);

	if (node == 0)
		return false;
	cluster_step(s->cluster, node,
		&(struct eng_event){ .type = ENG_EV_CUT, .now_ns = s->cluster->now_ns });
	cluster_flush(s->cluster, node);
	return true;
}

static bool
do_corrupt(struct story *s, const struct words *w)
{
	uint16_t node = story_node_of(s, w->at[1]);

	s->cluster->nodes[node].applied_digest.lo ^= node;
	return node != 0;
}

const struct story_command story_admin_commands[] = {
	{ "join", 1, 1, do_join },
	{ "member", 3, 6, do_member },
	{ "speaks", 3, 3, do_speaks },
	{ "transfer", 3, 3, do_transfer },
	{ "cut-mark", 2, 2, do_cut_mark },
	{ "corrupt", 2, 2, do_corrupt },
	{ 0 },
};
