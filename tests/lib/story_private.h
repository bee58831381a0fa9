/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file story_private.h
 * What the commands of a story share: a table for each subject, and a few words and deeds.
 */
#ifndef TESTS_STORY_PRIVATE_H
#define TESTS_STORY_PRIVATE_H

#include "tests/lib/story.h"

#define MS 1000000ull

struct story_command {
	const char *name;
	uint32_t words_min; /* the name included */
	uint32_t words_max;
	/* @return false if the command cannot be run: a wrong word, or not as things are */
	bool (*run)(struct story *s, const struct words *w);
};

/* Each ends with a row without a name. All need a cluster. */
extern const struct story_command story_net_commands[];
extern const struct story_command story_time_commands[];
extern const struct story_command story_disk_commands[];
extern const struct story_command story_client_commands[];
extern const struct story_command story_admin_commands[];

/* ---- story.c ---- */

/** A node of the cluster; 0 if there is no such node. */
uint16_t story_node_of(const struct story *s, const char *word);
/** "+20" or "20", in milliseconds. @return nanoseconds */
uint64_t story_ms_of(const char *word);

/* ---- story_net.c ---- */

/** Strangers, whom a story may forge, have no links of their own. */
bool story_is_cut(const struct story *s, uint16_t src, uint16_t dst);
/** Lose what is in flight on links that are cut. */
void story_drop_cut(struct story *s);

/* ---- story_time.c ---- */

/** As cluster_settle(), but for cut links and stalled disks. @return false: they never come to rest */
bool story_settle(struct story *s);

/* ---- story_disk.c ---- */

/** What a node applied in the life that has ended is no longer shown. */
void story_log_forget(struct story *s, uint16_t node);

#endif
