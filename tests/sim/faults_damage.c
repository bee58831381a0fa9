/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Damage to what was durable. It is bytes that change; what they mean is the production recovery's
 * to say (blocks.c).
 *
 *   damage       some records of a log whose process dies: bits, noise, zeros, what belongs
 *                elsewhere, a sector that cannot be read, with or without their identifiers
 *   rot          one place, under a process that dies or under one that goes on: also of a page. A
 *                node that cannot read a page may be refused its start; then it is lost
 *   decision     records of decisions that the node was told (9.1): what they say is no vote, and
 *                the votes before them are of values that may have lost
 *   torn-sector  the next power cut leaves sectors of which a part is new and the rest is old
 *   misdirect    a write is reported and is not where it should be, but over another record
 *   read-error   a request fails while the node starts: it does not start, and tries again, or
 *                reads it once more
 *
 * What the protocol promises then (5.6, 11.4): a chosen value is never lost, however many copies
 * are damaged; it is available as long as some quorum has intact ones. So all bad disks of a run
 * are among spoilt_nodes, and the others are quorums of both phases.
 */
#include "tests/sim/sim.h"

#define RECENT_RECORDS  24
#define LAST_RECORDS    2
#define STRUCK_MAX      6
#define PLACE_COUNT_MAX 32  /* struck of one node */
#define DECISIONS_BACK  400 /* records, within which those of decisions are looked for */

uint32_t
sim_spare_count(const struct sim *sim)
{
	return sim->node_count - (sim->q1 > sim->q2 ? sim->q1 : sim->q2);
}

/* Before everybody knows that the cluster was complete once, nobody can be spared (12.0). */
bool
sim_may_spoil(const struct sim *sim, uint16_t id)
{
	if (!sim_is_bootstrapped(sim) || sim->nodes[id].is_lost)
		return false;
	return (sim->spoilt_nodes >> id & 1) != 0 ||
	       (uint32_t)__builtin_popcount(sim->spoilt_nodes) < sim_spare_count(sim);
}

/* ---- what recovery says of it ---- */

int
sim_damage_recover(void *context, const struct log_place *place, const uint8_t *tag)
{
	struct sim_node *n = context;
	struct decree_slot any = { 0 };

	sim_check(n->sim, n->damage_count > 0 || n->has_lied,
		"node %u: its log calls lsn %lu damaged, which nothing has happened to", n->id,
		place->lsn);
	n->sim->count.damaged++;
	n->sim->count.nameless += tag == NULL;
	sim_trace(n->sim, "node %u: its log says that lsn %lu is damaged%s", n->id, place->lsn,
		tag == NULL ? ", perhaps with others before it, and not what it was" : "");
	if (tag == NULL)
		return shard_recover_unknown(n->shard, 0, any, any, *place);
	return shard_recover_damaged(n->shard, tag, *place);
}

/* ---- records ---- */

void
fault_damage_draw(struct sim *sim)
{
	sim->faults.doubt_percent = (uint32_t)sim_draw(&sim->random_faults, 25);
	sim->faults.deep_percent = (uint32_t)sim_draw(&sim->random_faults, 60);
}

/* Any durable record, one of the last, or the very last ones: about those nothing else speaks. */
static bool
any_block(struct sim *sim, const struct sim_node *n, const struct wal_status *st, uint64_t *ret_lsn,
	struct sim_block *ret)
{
	uint64_t *random = &sim->random_faults;
	uint64_t count = st->lsn_durable - st->lsn_first + 1;
	bool is_deep = sim_draw_percent(random, sim->faults.deep_percent);
	uint64_t recent = sim_draw_percent(random, 40) ? LAST_RECORDS : RECENT_RECORDS;

	if (!is_deep && count > recent)
		count = recent;
	*ret_lsn = st->lsn_durable - sim_draw(random, count);
	return sim_block_find(n, *ret_lsn, ret);
}

static void
damage_one(struct sim *sim, struct sim_node *n, const struct wal_status *st)
{
	uint64_t *random = &sim->random_faults;
	bool is_doubt = sim_draw_percent(random, sim->faults.doubt_percent);
	bool is_whole = is_doubt || sim_draw_percent(random, 50);
	struct sim_block b, other;
	uint64_t lsn, other_lsn;

	if (n->damage_count >= PLACE_COUNT_MAX || !any_block(sim, n, st, &lsn, &b))
		return;
	n->damage_count++;
	if (b.is_identified && sim_draw_percent(random, 15) &&
		any_block(sim, n, st, &other_lsn, &other) && other_lsn != lsn &&
		other.is_identified) {
		sim_block_misdirect(sim, n, &b, &other);
		return;
	}
	sim_block_spoil(sim, n, &b, sim_spoil_draw(sim, &b), is_whole);
	if (is_doubt || sim_draw_percent(random, 20))
		sim_identifier_spoil(sim, n, lsn);
}

static bool
may_strike(const struct sim *sim, const struct sim_node *n, struct wal_status *ret)
{
	if (!n->is_up || n->is_disowned || !sim_may_spoil(sim, n->id))
		return false;
	wal_status(n->wal, ret);
	return ret->lsn_durable >= ret->lsn_first;
}

/* @return a node that may be struck, and how far its log goes; NULL if there is none */
static struct sim_node *
any_victim(struct sim *sim, struct wal_status *ret)
{
	uint16_t id = sim_any_node(sim);

	for (uint32_t i = 0; i < sim->node_count; i++) {
		if (may_strike(sim, &sim->nodes[id], ret)) {
			sim->spoilt_nodes |= 1u << id;
			return &sim->nodes[id];
		}
		id = id % (uint16_t)sim->node_count + 1;
	}
	return NULL;
}

void
fault_damage_strike(struct sim *sim)
{
	uint64_t count = sim_draw_between(&sim->random_faults, 1, STRUCK_MAX);
	struct wal_status st;
	struct sim_node *n = any_victim(sim, &st);

	if (n == NULL)
		return;
	fault_crash_now(sim, n->id);
	for (; count > 0; count--)
		damage_one(sim, n, &st);
}

/* ---- one place ---- */

static void
flip_byte(struct sim *sim, struct sim_node *n, enum disk_file file, uint64_t bytes)
{
	uint64_t *random = &sim->random_faults;
	uint64_t at = sim_draw(random, bytes);
	uint8_t mask = (uint8_t)(1 + sim_draw(random, 255));

	n->has_bad_page = true;
	disk_fake_flip(n->disk, file, at, mask);
	sim_trace(sim, "node %u: byte %lu of its %s changes", n->id, at,
		file == DISK_HARDSTATE ? "hard state" : "identity");
}

void
fault_rot_strike(struct sim *sim)
{
	struct wal_status st;
	struct sim_node *n = any_victim(sim, &st);

	if (n == NULL)
		return;
	if (sim_draw(&sim->random_faults, 2) == 0)
		fault_crash_now(sim, n->id); /* else its log finds out, or its next start */
	switch (sim_draw(&sim->random_faults, 6)) {
	case 0: flip_byte(sim, n, DISK_HARDSTATE, 8192); break;
	case 1: flip_byte(sim, n, DISK_IDENTITY, 16384); break;
	case 2:
		n->damage_count++;
		sim_identifier_spoil(sim, n,
			sim_draw_between(&sim->random_faults, st.lsn_first, st.lsn_durable));
		break;
	default: damage_one(sim, n, &st); break;
	}
}

/* One, some or all of the last ones, with what the log says elsewhere of each still there. */
void
fault_decision_strike(struct sim *sim)
{
	uint64_t *random = &sim->random_faults;
	uint64_t percent = sim_draw_between(random, 20, 100),
		 back = sim_draw(random, DECISIONS_BACK);
	struct wal_status st;
	struct sim_node *n = any_victim(sim, &st);
	struct sim_block b;

	if (n == NULL)
		return;
	fault_crash_now(sim, n->id);
	for (uint64_t lsn = st.lsn_durable; lsn >= st.lsn_first && st.lsn_durable - lsn <= back;
		lsn--) {
		if (n->damage_count >= PLACE_COUNT_MAX || !sim_block_find(n, lsn, &b) ||
			!sim_block_is_decision(n, &b) || !sim_draw_percent(random, percent))
			continue;
		n->damage_count++;
		sim_block_spoil(sim, n, &b, sim_spoil_draw(sim, &b), b.is_identified);
	}
}

/* It dies soon, and of what is on its way then. */
void
fault_torn_sector_strike(struct sim *sim)
{
	uint64_t points = 1 + sim_draw(&sim->random_faults, 12);
	struct wal_status st;
	struct sim_node *n = any_victim(sim, &st);

	if (n == NULL)
		return;
	sim_trace(sim, "node %u: the next power cut will tear sectors of its disk", n->id);
	n->damage_count++;
	disk_fake_tear(n->disk);
	n->crash_after = (uint32_t)points;
	n->crash_points = 1u << POINT_APPEND | 1u << POINT_SUBMIT;
}

/* The disk has lied, and has damaged what was there. */
void
fault_misdirect_strike(struct sim *sim)
{
	struct wal_status st;
	struct sim_block victim;
	struct sim_node *n = any_victim(sim, &st);
	uint64_t lsn;

	if (n == NULL || !any_block(sim, n, &st, &lsn, &victim))
		return;
	sim_trace(sim, "node %u: its next record will be written over lsn %lu", n->id, lsn);
	n->damage_count++;
	n->has_lied = true;
	disk_fake_misdirect(n->disk, victim.offset);
}

void
fault_read_error_strike(struct sim *sim)
{
	struct sim_node *n = &sim->nodes[sim_any_node(sim)];
	uint64_t at = sim_draw(&sim->random_faults, 40);

	if (!n->is_up)
		return;
	n->fails_at_start = 1 + (uint32_t)at;
	fault_crash_now(sim, n->id);
}
