/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands of a story about a node's disk and what it comes back with: writes, crashes, damage,
 * snapshots.
 */
#include "tests/lib/story_private.h"

#include <stdlib.h>

static bool
do_persist(struct story *s, const struct words *w)
{
	uint16_t node = story_node_of(s, w->at[1]);
	uint32_t count = w->count > 2 ? (uint32_t)strtoul(w->at[2], NULL, 10) : UINT32_MAX;

	if (node != 0)
		cluster_persist(s->cluster, node, count);
	return node != 0;
}

static bool
do_stall(struct story *s, const struct words *w)
{
	uint16_t node = story_node_of(s, w->at[1]);

	s->stalled[node] = true;
	return node != 0;
}

static bool
do_resume(struct story *s, const struct words *w)
{
	uint16_t node = story_node_of(s, w->at[1]);

	s->stalled[node] = false;
	return node != 0;
}

static bool
do_logfull(struct story *s, const struct words *w)
{
	uint16_t node = story_node_of(s, w->at[1]);

	s->cluster->nodes[node].log_is_full = strcmp(w->at[0], "logfull") == 0;
	s->cluster->nodes[node].log_slots_left =
		w->count > 2 ? (uint32_t)strtoul(w->at[2], NULL, 10) : 0;
	s->cluster->nodes[node].log_slots_reserve =
		w->count > 3 ? (uint32_t)strtoul(w->at[3], NULL, 10) : 0;
	if (node != 0)
		cluster_flush(s->cluster, node);
	return node != 0;
}

static bool
do_logbusy(struct story *s, const struct words *w)
{
	uint16_t node = story_node_of(s, w->at[1]);

	s->cluster->nodes[node].log_is_busy = strcmp(w->at[0], "logbusy") == 0;
	if (node != 0)
		cluster_flush(s->cluster, node);
	return node != 0;
}

static bool
do_room(struct story *s, const struct words *w)
{
	uint16_t node = story_node_of(s, w->at[1]);

	s->cluster->nodes[node].record_room = 1 + (uint32_t)strtoul(w->at[2], NULL, 10);
	return node != 0;
}

/* ---- life ---- */

void
story_log_forget(struct story *s, uint16_t node)
{
	free(s->log[node]);
	s->log[node] = NULL;
}

static bool
do_crash(struct story *s, const struct words *w)
{
	uint16_t node = story_node_of(s, w->at[1]);

	if (node == 0 || !s->cluster->nodes[node].up)
		return false;
	cluster_crash(s->cluster, node);
	story_log_forget(s, node);
	return true;
}

/* Challenges and their answers between a node that has come back and those whom it can reach, in
 * silence. */
static void
introduce(struct story *s, uint16_t node)
{
	struct cluster *c = s->cluster;
	bool quiet = s->quiet;

	s->quiet = true;
	story_drop_cut(s);
	for (uint32_t i = 0; i < c->flight_count;) {
		const struct cluster_frame *f = &c->flight[i];
		bool is_hello = f->data[0] == ENG_MSG_HELLO || f->data[0] == ENG_MSG_HELLO_REPLY;

		if (!is_hello || (f->src != node && f->dst != node)) {
			i++;
			continue;
		}
		if (story_is_cut(s, f->src, f->dst))
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
	uint16_t node = story_node_of(s, w->at[1]);

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
do_wipe(struct story *s, const struct words *w)
{
	uint16_t node = story_node_of(s, w->at[1]);

	if (node == 0)
		return false;
	s->cluster->now_ns += MS; /* the new disk's identity comes from the clock */
	cluster_wipe(s->cluster, node);
	story_log_forget(s, node);
	return true;
}

static bool
do_image(struct story *s, const struct words *w)
{
	uint16_t node = story_node_of(s, w->at[1]);

	if (node != 0)
		cluster_image(s->cluster, node);
	return node != 0;
}

static bool
do_rollback(struct story *s, const struct words *w)
{
	uint16_t node = story_node_of(s, w->at[1]);

	return node != 0 && !s->cluster->nodes[node].up && cluster_rollback(s->cluster, node);
}

/* What the disk of a node that is down held of what the others have said is lost. */
static bool
do_forget(struct story *s, const struct words *w)
{
	uint16_t node = story_node_of(s, w->at[1]);

	s->cluster->nodes[node].has_hearsay = false;
	return node != 0 && !s->cluster->nodes[node].up;
}

/* damage N SLOT [id|unknown|lost]: of the newest record of a slot, as the next recovery sees it.
 * rot N SLOT [id|unknown]: the same of a node that is up, and its log finds it out.
 * rot N SLOT mark: of the record that tells of a damaged copy. */
static bool
do_damage(struct story *s, const struct words *w)
{
	uint16_t node = story_node_of(s, w->at[1]);
	struct decree_slot slot = { strtoull(w->at[2], NULL, 10) };
	const char *how = w->count > 3 ? w->at[3] : "id";
	enum cluster_damage damage = strcmp(how, "unknown") == 0 ? CLUSTER_DAMAGE_UNKNOWN
				     : strcmp(how, "lost") == 0  ? CLUSTER_DAMAGE_LOST
								 : CLUSTER_DAMAGE_ID;

	if (strcmp(how, "mark") == 0) {
		cluster_step(s->cluster, node,
			&(struct eng_event){ .type = ENG_EV_LOG_DAMAGED,
				.now_ns = s->cluster->now_ns,
				.log_damaged = { .slot = slot, .is_mark = true } });
		cluster_flush(s->cluster, node);
		return node != 0;
	}
	if (strcmp(w->at[0], "rot") == 0)
		return node != 0 && cluster_rot(s->cluster, node, slot, damage);
	return node != 0 && !s->cluster->nodes[node].up &&
	       cluster_damage(s->cluster, node, slot, damage);
}

/* ---- snapshots ---- */

static bool
do_cut_snapshot(struct story *s, const struct words *w)
{
	uint16_t node = story_node_of(s, w->at[1]);

	if (node != 0)
		cluster_cut_snapshot(s->cluster, node);
	return node != 0;
}

static bool
do_trim(struct story *s, const struct words *w)
{
	uint16_t node = story_node_of(s, w->at[1]);

	if (node != 0)
		cluster_trim(
			s->cluster, node, (struct decree_slot){ strtoull(w->at[2], NULL, 10) });
	return node != 0;
}

static bool
do_install(struct story *s, const struct words *w)
{
	uint16_t node = story_node_of(s, w->at[1]);
	uint16_t donor = story_node_of(s, w->at[2]);

	return node != 0 && donor != 0 && cluster_install(s->cluster, node, donor);
}

static bool
do_installed(struct story *s, const struct words *w)
{
	uint16_t node = story_node_of(s, w->at[1]);
	struct decree_slot slot = { 0 };

	if (node == 0)
		return false;
	slot = cluster_replica(s->cluster, node)->snapshot.installing;
	story_log_forget(s, node);
	if (asprintf(&s->log[node], " 1..%lu by snapshot", slot.n) < 0)
		return false;
	return cluster_installed(s->cluster, node);
}

const struct story_command story_disk_commands[] = {
	{ "persist", 2, 3, do_persist },
	{ "stall", 2, 2, do_stall },
	{ "resume", 2, 2, do_resume },
	{ "logfull", 2, 4, do_logfull },
	{ "logroom", 2, 2, do_logfull },
	{ "logbusy", 2, 2, do_logbusy },
	{ "logidle", 2, 2, do_logbusy },
	{ "room", 3, 3, do_room },
	{ "crash", 2, 2, do_crash },
	{ "restart", 2, 2, do_restart },
	{ "hellos", 1, 1, do_hellos },
	{ "wipe", 2, 2, do_wipe },
	{ "image", 2, 2, do_image },
	{ "rollback", 2, 2, do_rollback },
	{ "forget", 2, 2, do_forget },
	{ "damage", 3, 4, do_damage },
	{ "rot", 3, 4, do_damage },
	{ "cut-snapshot", 2, 2, do_cut_snapshot },
	{ "trim", 3, 3, do_trim },
	{ "install", 3, 3, do_install },
	{ "installed", 2, 2, do_installed },
	{ 0 },
};
