/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the blocks of a node's log lie, read from the disk and not from the node, and what may
 * become of their bytes.
 *
 * A checksum that fails is evidence by itself. Zeros, or a whole sector of another place, are not:
 * what tells that something durable was there is the block's identifier, or what came later.
 * Without either, only the peers can tell (11.3, residual risk; faults_identity.c has those). So
 * bytes vanish silently only where such evidence is on the disk for good, and is not struck
 * afterwards: an identifier becomes noise, which is evidence, too, and never zeros.
 */
#include "tests/sim/sim.h"

#include "engine/core/record.h"
#include "wal/identifier.h"

#define WALK_MAX         200 /* more records are never without an identifier */
#define IDENTIFIER_COUNT (SIM_LOG_BYTES / 1024)

struct wal_seal
sim_seal_of(const struct sim_node *n)
{
	struct decree_uuid uuid;

	memset(uuid.bytes, n->id, sizeof(uuid.bytes)); /* disks.c */
	return wal_seal_of(&uuid);
}

static uint64_t
identifier_offset(uint64_t lsn)
{
	return (lsn - 1) % IDENTIFIER_COUNT * IDENTIFIER_BYTES;
}

static bool
identifier_at(const struct sim_node *n, uint64_t lsn, struct identifier *ret)
{
	struct wal_seal seal = sim_seal_of(n);
	const uint8_t *file = disk_fake_seen(n->disk, DISK_IDENTIFIERS);

	return identifier_check(&seal, file + identifier_offset(lsn), ret) == SECTOR_VALID &&
	       ret->lsn == lsn;
}

static bool
is_first_sector(const struct sim_node *n, uint64_t offset, uint64_t lsn, struct sim_block *ret)
{
	struct wal_seal seal = sim_seal_of(n);
	const uint8_t *file = disk_fake_seen(n->disk, DISK_SEGMENTS);
	struct sector_trailer t;

	if (offset >= SIM_LOG_BYTES || sector_check(&seal, file + offset, &t) != SECTOR_VALID ||
		t.lsn != lsn || t.index != 0 || offset + t.count * WAL_SECTOR_BYTES > SIM_LOG_BYTES)
		return false;
	ret->offset = offset;
	ret->bytes = t.count * WAL_SECTOR_BYTES;
	return true;
}

/* The block of @p lsn, behind that of the lsn before: there, or in the next segment. */
static bool
next_block(const struct sim_node *n, uint64_t lsn, struct sim_block *b)
{
	uint64_t end = b->offset + b->bytes;
	uint64_t next = (end + SIM_SEGMENT_BYTES - 1) / SIM_SEGMENT_BYTES * SIM_SEGMENT_BYTES;

	return is_first_sector(n, end % SIM_LOG_BYTES, lsn, b) ||
	       is_first_sector(n, next % SIM_LOG_BYTES, lsn, b);
}

bool
sim_block_find(const struct sim_node *n, uint64_t lsn, struct sim_block *ret)
{
	struct identifier id;
	uint64_t known = lsn;

	while (!identifier_at(n, known, &id))
		if (--known == 0 || lsn - known == WALK_MAX)
			return false;
	ret->offset = id.position % SIM_LOG_BYTES;
	ret->bytes = id.sector_count * WAL_SECTOR_BYTES;
	ret->is_identified = known == lsn &&
			     disk_fake_is_stable(n->disk, DISK_IDENTIFIERS, identifier_offset(lsn));
	while (known < lsn)
		if (!next_block(n, ++known, ret))
			return false;
	return true;
}

bool
sim_block_is_decision(const struct sim_node *n, const struct sim_block *b)
{
	const uint8_t *log = disk_fake_seen(n->disk, DISK_SEGMENTS);
	struct eng_record record;

	return eng_record_decode(log + b->offset + BLOCK_HEADER_BYTES, &record) == 0 &&
	       record.kind == ENG_RECORD_DECIDED;
}

/* ---- damage ---- */

static const char *const spoil_names[SPOIL_COUNT] = { "changes", "is noise", "cannot be read",
	"is zeros", "is that of another place" };

static void
make_noise(struct sim *sim, struct sim_node *n, enum disk_file file, uint64_t at, uint64_t bytes)
{
	uint8_t noise[WAL_SECTOR_BYTES];

	for (uint64_t i = 0; i < bytes; i++)
		noise[i] = (uint8_t)sim_draw(&sim->random_faults, 256);
	disk_fake_overwrite(n->disk, file, at, noise, bytes);
}

static void
spoil_sector(struct sim *sim, struct sim_node *n, uint64_t at, enum sim_spoil how)
{
	static const uint8_t zeros[WAL_SECTOR_BYTES];
	uint64_t *random = &sim->random_faults;
	const uint8_t *log = disk_fake_seen(n->disk, DISK_SEGMENTS);
	uint64_t byte = sim_draw(random, WAL_SECTOR_BYTES);
	uint64_t back = (1 + sim_draw(random, 12)) * WAL_SECTOR_BYTES;

	switch (how) {
	case SPOIL_FLIP:
		disk_fake_flip(n->disk, DISK_SEGMENTS, at + byte, (uint8_t)(1u << byte % 8));
		break;
	case SPOIL_UNREADABLE: disk_fake_lose_sector(n->disk, DISK_SEGMENTS, at); break;
	case SPOIL_ZEROS:
		disk_fake_overwrite(n->disk, DISK_SEGMENTS, at, zeros, WAL_SECTOR_BYTES);
		break;
	case SPOIL_STRANGER:
		disk_fake_overwrite(n->disk, DISK_SEGMENTS, at, log + (at >= back ? at - back : at),
			WAL_SECTOR_BYTES);
		break;
	case SPOIL_NOISE:
	case SPOIL_COUNT: make_noise(sim, n, DISK_SEGMENTS, at, WAL_SECTOR_BYTES); break;
	}
}

enum sim_spoil
sim_spoil_draw(struct sim *sim, const struct sim_block *b)
{
	return (enum sim_spoil)sim_draw(
		&sim->random_faults, b->is_identified ? SPOIL_COUNT : SPOIL_ZEROS);
}

void
sim_block_spoil(struct sim *sim, struct sim_node *n, const struct sim_block *b, enum sim_spoil how,
	bool is_whole)
{
	uint64_t count = b->bytes / WAL_SECTOR_BYTES;
	uint64_t first = sim_draw(&sim->random_faults, count);

	if (is_whole)
		first = 0;
	else
		count = first + 1;
	for (uint64_t i = first; i < count; i++)
		spoil_sector(sim, n, b->offset + i * WAL_SECTOR_BYTES, how);
	sim_trace(sim, "node %u: sector %lu%s of its log %s", n->id,
		b->offset / WAL_SECTOR_BYTES + first, count - first > 1 ? " and more" : "",
		spoil_names[how]);
}

void
sim_identifier_spoil(struct sim *sim, struct sim_node *n, uint64_t lsn)
{
	uint64_t at = identifier_offset(lsn), bytes = IDENTIFIER_BYTES;

	if (sim_draw_percent(&sim->random_faults, 30)) {
		at = at / WAL_SECTOR_BYTES * WAL_SECTOR_BYTES;
		bytes = WAL_SECTOR_BYTES;
	}
	make_noise(sim, n, DISK_IDENTIFIERS, at, bytes);
	sim_trace(sim, "node %u: the identifier of lsn %lu%s is noise", n->id, lsn,
		bytes > IDENTIFIER_BYTES ? " and those beside it" : "");
}

void
sim_block_misdirect(struct sim *sim, struct sim_node *n, const struct sim_block *from,
	const struct sim_block *to)
{
	const uint8_t *log = disk_fake_seen(n->disk, DISK_SEGMENTS);
	uint64_t bytes = from->bytes < to->bytes ? from->bytes : to->bytes;

	disk_fake_overwrite(n->disk, DISK_SEGMENTS, to->offset, log + from->offset, bytes);
	sim_trace(sim, "node %u: the block at sector %lu of its log was written to %lu instead",
		n->id, from->offset / WAL_SECTOR_BYTES, to->offset / WAL_SECTOR_BYTES);
	sim_block_spoil(sim, n, from, SPOIL_ZEROS, true);
}
