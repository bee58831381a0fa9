/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Damage to what was durable.
 *
 *   damage      records cannot be read any more. Bytes are not touched for it: the node gets in the place of
 *               the record what a finished log will tell it (protocol 11.3): ballot and digest, or only the slot, or
 *               nothing at all. A record stays damaged in every later life. Once its node has answered phase 1, so that
 *               the mark about it must be in the log, the record may be gone without a trace.
 *   rot         bytes of the files themselves change. The node starts on an equal state or not at all, and then it is lost.
 *   read-error  a request fails while the node starts: it does not start, and tries again.
 *
 * What the protocol promises then (5.6, 11.4): a chosen value is never lost, however many copies are damaged; it is
 * available as long as some quorum has intact ones. So all bad disks of a run are among spoilt_nodes, and the others
 * are quorums of both phases.
 */
#include "tests/sim/sim.h"

#define RECENT_RECORDS 24
#define STRUCK_MAX     6

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

/* ---- damaged records ---- */

void
fault_damage_draw(struct sim *sim)
{
	sim->faults.doubt_percent = (uint32_t)sim_draw(&sim->random_faults, 25);
	sim->faults.deep_percent = (uint32_t)sim_draw(&sim->random_faults, 60);
}

static void
damage_one(struct sim *sim, struct sim_node *n, const struct wal_status *st)
{
	uint64_t *random = &sim->random_faults;
	uint64_t first = st->lsn_first;
	bool is_deep = sim_draw_percent(random, sim->faults.deep_percent);
	bool is_doubt = sim_draw_percent(random, sim->faults.doubt_percent);
	struct sim_damage d = {
		.known = is_doubt                       ? DAMAGE_DOUBT
			 : sim_draw_percent(random, 35) ? DAMAGE_SLOT
							: DAMAGE_ID,
	};

	if (!is_deep && st->lsn_durable > first + RECENT_RECORDS)
		first = st->lsn_durable - RECENT_RECORDS;
	d.lsn = sim_draw_between(random, first, st->lsn_durable);
	for (uint32_t i = 0; i < n->damage_count; i++)
		if (n->damage[i].lsn == d.lsn)
			return;
	if (n->damage_count < SIM_DAMAGE_COUNT)
		n->damage[n->damage_count++] = d;
}

void
fault_damage_strike(struct sim *sim)
{
	struct sim_node *n = &sim->nodes[sim_any_node(sim)];
	uint64_t count = sim_draw_between(&sim->random_faults, 1, STRUCK_MAX);
	struct wal_status st;

	if (!n->is_up || n->is_disowned || !sim_may_spoil(sim, n->id))
		return;
	wal_status(n->wal, &st);
	if (st.lsn_durable < st.lsn_first)
		return;
	sim->spoilt_nodes |= 1u << n->id;
	for (; count > 0; count--)
		damage_one(sim, n, &st);
	sim_trace(sim, "node %u: %u records of its log are damaged", n->id, n->damage_count);
	fault_crash_now(sim, n->id);
}

static struct sim_damage *
find_lsn(struct sim_node *n, uint64_t lsn)
{
	for (uint32_t i = 0; i < n->damage_count; i++)
		if (n->damage[i].lsn == lsn)
			return &n->damage[i];
	return NULL;
}

/* The next recovery may find less than this one did, or nothing at all of the last records: a mark must do then. */
static enum sim_damage_known
still_known(struct sim_node *n, struct sim_damage *d)
{
	uint64_t *random = &n->sim->random_disks;
	bool is_recent = d->slot + n->sim->ring_slots / 4 > n->accepted_last;

	if (d->slot == 0)
		return d->known; /* for the first time */
	if (d->known == DAMAGE_ID && sim_draw_percent(random, 20))
		d->known = DAMAGE_SLOT;
	return d->is_told && is_recent && sim_draw_percent(random, 50) ? DAMAGE_GONE : d->known;
}

static int
hand_over(struct sim_node *n, const struct eng_record *record, enum sim_damage_known known,
	const struct log_place *place, const uint8_t *tag)
{
	struct decree_slot first = record->slot, after = { record->slot.n + 1 };

	switch (known) {
	case DAMAGE_ID: return shard_recover_damaged(n->shard, tag, *place);
	case DAMAGE_SLOT: return shard_recover_unknown(n->shard, 0, first, after, *place);
	case DAMAGE_DOUBT:
		first.n = after.n = 0;
		return shard_recover_unknown(n->shard, 0, first, after, *place);
	case DAMAGE_GONE: break;
	}
	return 0;
}

bool
sim_damage_recover(struct sim_node *n, const struct log_place *place, const uint8_t *tag)
{
	struct sim_damage *d = find_lsn(n, place->lsn);
	struct eng_record record;

	if (d == NULL)
		return false;
	int rc = eng_record_decode(tag, &record);
	sim_check(n->sim, rc == 0, "node %u: a tag that was not damaged", n->id);
	enum sim_damage_known known = still_known(n, d);
	d->slot = record.slot.n;
	rc = hand_over(n, &record, known, place, tag);
	sim_check(n->sim, rc == 0, "node %u: damaged record refused", n->id);
	n->sim->count.damaged++;
	sim_trace(n->sim, "node %u: the record of slot %lu, ballot %lu.%lu, is %s", n->id,
		record.slot.n, record.vballot.n >> 16, record.vballot.n & 0xffff,
		known == DAMAGE_ID      ? "damaged"
		: known == DAMAGE_SLOT  ? "damaged, its ballot unknown"
		: known == DAMAGE_DOUBT ? "damaged, its slot unknown"
					: "gone; its mark must do");
	return true;
}

void
sim_damage_on_promise(struct sim_node *n)
{
	for (uint32_t i = 0; i < n->damage_count; i++)
		if (n->damage[i].slot != 0)
			n->damage[i].is_told = true;
}

/* ---- damaged bytes ---- */

static void
flip_byte(struct sim *sim, struct sim_node *n, enum disk_file file, uint64_t first, uint64_t after)
{
	uint64_t *random = &sim->random_faults;
	uint64_t at = sim_draw_between(random, first, after - 1);
	uint8_t mask = (uint8_t)(1 + sim_draw(random, 255));

	disk_fake_flip(n->disk, file, at, mask);
	sim_trace(sim, "node %u: byte %lu of file %d changes", n->id, at, (int)file);
}

/* One sector of the log gets what was meant for another place. That other one is whole: a write that never came
 * looks like none, and only the peers could tell (11.3, residual risk). */
static void
overwrite_sector(struct sim *sim, struct sim_node *n, uint64_t used_bytes)
{
	uint64_t *random = &sim->random_faults;
	uint64_t sectors = used_bytes / 512, bytes;
	uint8_t *log = disk_fake_data(n->disk, DISK_SEGMENTS, &bytes);
	uint64_t from = sim_draw(random, sectors) * 512, to = sim_draw(random, sectors) * 512;

	for (uint64_t i = 0; i < 512; i++)
		disk_fake_flip(n->disk, DISK_SEGMENTS, to + i, log[to + i] ^ log[from + i]);
	sim_trace(sim, "node %u: sector at %lu gets the bytes of that at %lu", n->id, to, from);
}

/* Records in its last sectors may be known to nobody but those sectors; everything before is known to be durable. */
static void
rot_strike_node(struct sim *sim, struct sim_node *n, const struct wal_status *st)
{
	uint64_t used = st->used_bytes < SIM_LOG_BYTES ? st->used_bytes : SIM_LOG_BYTES;

	switch (sim_draw(&sim->random_faults, 6)) {
	case 0: flip_byte(sim, n, DISK_HARDSTATE, 0, 8192); break;
	case 1: flip_byte(sim, n, DISK_IDENTITY, 0, 16384); break;
	case 2: flip_byte(sim, n, DISK_IDENTIFIERS, 0, 128 * (st->lsn_appended % 4096 + 1)); break;
	case 3:
		if (st->lsn_first == 1 && used > 8 * 512)
			overwrite_sector(sim, n, used / 2);
		break;
	default: flip_byte(sim, n, DISK_SEGMENTS, 0, used); break;
	}
}

void
fault_rot_strike(struct sim *sim)
{
	struct sim_node *n = &sim->nodes[sim_any_node(sim)];
	struct wal_status st;

	if (!n->is_up || n->is_disowned || !sim_may_spoil(sim, n->id))
		return;
	wal_status(n->wal, &st);
	if (st.used_bytes < 512)
		return;
	sim->spoilt_nodes |= 1u << n->id;
	n->is_rotten = true;
	if (sim_draw(&sim->random_faults, 2) == 0)
		fault_crash_now(sim, n->id); /* else its log finds out, or its next start */
	rot_strike_node(sim, n, &st);
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
