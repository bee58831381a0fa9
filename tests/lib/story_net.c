/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands of a story about frames: which of those in flight arrive, twice or never, and which
 * links are cut.
 */
#include "tests/lib/story_private.h"

#include <stdlib.h>

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
bool
story_is_cut(const struct story *s, uint16_t src, uint16_t dst)
{
	return src <= CLUSTER_NODE_MAX && dst <= CLUSTER_NODE_MAX && s->cut[src][dst];
}

void
story_drop_cut(struct story *s)
{
	struct cluster *c = s->cluster;

	for (uint32_t i = c->flight_count; i-- > 0;)
		if (story_is_cut(s, c->flight[i].src, c->flight[i].dst))
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
	story_drop_cut(s);
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

const struct story_command story_net_commands[] = {
	{ "deliver", 1, 4, do_deliver },
	{ "dup", 1, 4, do_dup },
	{ "drop", 1, 4, do_drop },
	{ "reorder", 1, 1, do_reorder },
	{ "cut", 2, 2, do_cut },
	{ "heal", 1, 1, do_heal },
	{ "forge", 4, STORY_WORD_MAX, story_forge },
	{ 0 },
};
