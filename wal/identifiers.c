/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The identifier ring. Entries are collected in memory while their blocks are on the way; once the
 * blocks are durable, entries are written in batches off the acknowledgement path: together with a
 * data write when a batch is full or the oldest has waited for IDENTIFIER_DELAY_NS, by themselves
 * when the log is idle.
 *
 * An entry on the disk means "this block was durable", so a stage never holds an entry beyond
 * durable_lsn.
 */
#include "base/assert.h"
#include "base/bytes.h"
#include "base/failpoint.h"
#include "wal/internal.h"

#include <string.h>

void
identifier_encode(uint8_t *to, const struct identifier *id)
{
	store_u64(to, id->lsn);
	store_u64(to + 8, id->position);
	store_u64(to + 16, id->digest.lo);
	store_u64(to + 24, id->digest.hi);
	memcpy(to + 32, id->tag, LOG_TAG_BYTES);
	store_u16(to + 96, id->sector_count);
	store_u16(to + 98, id->kind);
	store_u32(to + 100, id->generation);
	memset(to + 104, 0, 24);
}

void
identifier_seal(const struct wal_seal *seal, uint8_t *entry)
{
	store_u32(entry + 124, wal_crc(seal->crc_seed, entry, 124));
}

enum sector_state
identifier_check(const struct wal_seal *seal, const uint8_t *entry, struct identifier *ret)
{
	uint32_t crc = load_u32(entry + 124);

	if (crc == 0 && entry[0] == 0 && memcmp(entry, entry + 1, IDENTIFIER_BYTES - 1) == 0)
		return SECTOR_ZERO;
	if (crc != wal_crc(seal->crc_seed, entry, 124))
		return SECTOR_BAD;
	*ret = (struct identifier){
		.lsn = load_u64(entry),
		.position = load_u64(entry + 8),
		.digest = { .lo = load_u64(entry + 16), .hi = load_u64(entry + 24) },
		.tag = entry + 32,
		.sector_count = load_u16(entry + 96),
		.kind = load_u16(entry + 98),
		.generation = load_u32(entry + 100),
	};
	return SECTOR_VALID;
}

static uint8_t *
entry_of(const struct wal_identifiers *ids, uint64_t lsn)
{
	return ids->entries + ((lsn - 1) & (ids->capacity - 1)) * IDENTIFIER_BYTES;
}

static void
hold(struct wal_identifiers *ids, uint64_t lsn)
{
	if (lsn - ids->first_lsn >= ids->capacity)
		ids->first_lsn = lsn - ids->capacity + 1;
}

void
identifiers_add(struct wal *w, const struct identifier *id)
{
	identifier_encode(entry_of(&w->identifiers, id->lsn), id);
	hold(&w->identifiers, id->lsn);
}

void
identifiers_skip(struct wal *w, uint64_t lsn)
{
	memset(entry_of(&w->identifiers, lsn), 0, IDENTIFIER_BYTES);
	hold(&w->identifiers, lsn);
}

bool
identifiers_copy(const struct wal *w, uint64_t lsn, uint8_t *ret_entry)
{
	memcpy(ret_entry, entry_of(&w->identifiers, lsn), IDENTIFIER_BYTES);
	if (load_u64(ret_entry) != lsn)
		return false;
	identifier_seal(&w->seal, ret_entry);
	return true;
}

uint64_t
identifiers_end_position(const struct wal *w, uint64_t lsn)
{
	const uint8_t *entry = entry_of(&w->identifiers, lsn);

	decree_assert(load_u64(entry) == lsn);
	return load_u64(entry + 8) + (uint64_t)load_u16(entry + 96) * WAL_SECTOR_BYTES;
}

/* Fill the stage with whole sectors, from the one that holds the first unwritten entry.
 * @return bytes staged */
static uint32_t
stage_fill(struct wal *w, uint64_t *ret_first_lsn, uint64_t *ret_last_lsn)
{
	struct wal_identifiers *ids = &w->identifiers;
	uint64_t index = ids->written_lsn; /* of the first unwritten entry, counted from 0 */
	uint64_t first = index - index % IDENTIFIER_COUNT_PER_SECTOR;
	uint64_t last = w->append.durable_lsn;
	uint64_t wrap = (index / w->geometry.identifier_count + 1) * w->geometry.identifier_count;
	uint32_t bytes;

	if (last > wrap)
		last = wrap; /* one contiguous write */
	if (last - first > ids->stage_bytes / IDENTIFIER_BYTES)
		last = first + ids->stage_bytes / IDENTIFIER_BYTES;
	bytes = (uint32_t)(last - first) * IDENTIFIER_BYTES;

	for (uint64_t lsn = first + 1; lsn <= last; lsn++) {
		uint8_t *to = ids->stage + (lsn - 1 - first) * IDENTIFIER_BYTES;

		if (lsn < ids->first_lsn) {
			/* Before the beginning of the log that was opened: nobody needs it. */
			decree_assert(lsn < w->trim.start.lsn);
			memset(to, 0, IDENTIFIER_BYTES);
			continue;
		}
		memcpy(to, entry_of(ids, lsn), IDENTIFIER_BYTES);
		if (load_u64(to) == 0)
			continue; /* damaged, and nothing names it */
		decree_assert(load_u64(to) == lsn);
		identifier_seal(&w->seal, to);
	}
	while (bytes % WAL_SECTOR_BYTES != 0) {
		memset(ids->stage + bytes, 0, IDENTIFIER_BYTES);
		bytes += IDENTIFIER_BYTES;
	}
	*ret_first_lsn = first + 1;
	*ret_last_lsn = last;
	return bytes;
}

bool
identifiers_next_write(
	struct wal *w, uint64_t now_ns, bool is_time, struct disk_request *ret_request)
{
	struct wal_identifiers *ids = &w->identifiers;
	uint64_t pending = w->append.durable_lsn - ids->written_lsn;
	bool is_old, is_idle = w->append.write_count == 0 && w->append.head == w->append.submitted;
	uint64_t first_lsn;
	uint32_t bytes;

	if (pending == 0 || ids->writing_bytes != 0)
		return false;
	if (ids->pending_since_ns == 0)
		ids->pending_since_ns = now_ns;
	is_old = now_ns - ids->pending_since_ns >= IDENTIFIER_DELAY_NS;
	if (pending < ids->batch_count && !is_old)
		return false;
	if (!is_time && pending <= ids->capacity / 2)
		return false; /* with more nothing can be appended soon */

	bytes = stage_fill(w, &first_lsn, &ids->writing_lsn);
	ids->writing_bytes = bytes;
	ids->pending_since_ns = 0;
	FAILPOINT("wal.identifiers.staged");
	*ret_request = (struct disk_request){
		/* With data on its way, the data's own flush will carry this along, if there is
		 * one. */
		.kind = is_idle || ids->ride_durably ? DISK_WRITE_DURABLE : DISK_WRITE,
		.file = DISK_IDENTIFIERS,
		.offset_bytes = (first_lsn - 1) % w->geometry.identifier_count * IDENTIFIER_BYTES,
		.buffer = ids->stage,
		.bytes = bytes,
		.token = token_of(TOKEN_IDENTIFIERS, 0),
	};
	return true;
}

void
identifiers_on_written(struct wal *w)
{
	decree_assert(w->identifiers.writing_bytes != 0);
	FAILPOINT("wal.identifiers.written");
	w->identifiers.writing_bytes = 0;
	w->identifiers.written_lsn = w->identifiers.writing_lsn;
}
