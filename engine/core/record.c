/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tag of a record, little-endian:        Hard state of a group:
 *    0  1  version, 1                       0  4  version, 1 (0: never written)
 *    1  1  kind                             4  4  zero
 *    2  2  group                            8  8  promised ballot
 *    4  4  bytes of the value              16  8  snapshot pointer: its slot, 0 = none
 *    8  8  slot
 *   16  8  ballot (kind FAULTY: 0 = unknown)
 *   24 16  digest of the value           24 16  digest of the state there
 *   40  8  commit hint                   40  1  1: in doubt, any undecided slot may be damaged
 *                                        41  .  zero
 *   48 16  zero
 * A tag is valid if and only if version and kind are known and every zero is zero. Integrity is the
 * log's.
 */
#include "engine/core/record.h"

#include "base/bytes.h"

#include <errno.h>

#define RECORD_VERSION 1
#define HARD_VERSION   1

void
eng_record_encode(const struct eng_record *record, uint8_t ret_tag[ENG_RECORD_TAG_BYTES])
{
	memset(ret_tag, 0, ENG_RECORD_TAG_BYTES);
	ret_tag[0] = RECORD_VERSION;
	ret_tag[1] = (uint8_t)record->kind;
	store_u16(ret_tag + 2, record->group);
	store_u32(ret_tag + 4, record->bytes);
	store_u64(ret_tag + 8, record->slot.n);
	store_u64(ret_tag + 16, record->vballot.n);
	store_u64(ret_tag + 24, record->digest.lo);
	store_u64(ret_tag + 32, record->digest.hi);
	store_u64(ret_tag + 40, record->commit.n);
}

int
eng_record_decode(const uint8_t tag[ENG_RECORD_TAG_BYTES], struct eng_record *ret_record)
{
	if (tag[0] != RECORD_VERSION || load_u64(tag + 48) != 0 || load_u64(tag + 56) != 0)
		return -EBADMSG;
	if (tag[1] < ENG_RECORD_ACCEPTED || tag[1] > ENG_RECORD_FAULTY)
		return -EBADMSG;
	*ret_record = (struct eng_record){
		.kind = tag[1],
		.group = load_u16(tag + 2),
		.bytes = load_u32(tag + 4),
		.slot = { load_u64(tag + 8) },
		.vballot = { load_u64(tag + 16) },
		.digest = { load_u64(tag + 24), load_u64(tag + 32) },
		.commit = { load_u64(tag + 40) },
	};
	if (ret_record->kind == ENG_RECORD_FAULTY)
		return ret_record->slot.n == 0 || ret_record->bytes != 0 ? -EBADMSG : 0;
	return ret_record->slot.n == 0 || ret_record->vballot.n == 0 ? -EBADMSG : 0;
}

void
eng_hard_encode(const struct eng_hard *hard, uint8_t ret_bytes[ENG_HARD_BYTES])
{
	memset(ret_bytes, 0, ENG_HARD_BYTES);
	store_u32(ret_bytes, HARD_VERSION);
	store_u64(ret_bytes + 8, hard->promised.n);
	store_u64(ret_bytes + 16, hard->snapshot.n);
	store_u64(ret_bytes + 24, hard->snapshot_digest.lo);
	store_u64(ret_bytes + 32, hard->snapshot_digest.hi);
	ret_bytes[40] = hard->doubt;
}

int
eng_hard_decode(const uint8_t bytes[ENG_HARD_BYTES], struct eng_hard *ret_hard)
{
	uint32_t version = load_u32(bytes);

	for (int i = version == 0 ? 8 : 41; i < ENG_HARD_BYTES; i++)
		if (bytes[i] != 0)
			return -EBADMSG;
	if (version > HARD_VERSION || load_u32(bytes + 4) != 0 || bytes[40] > 1)
		return -EBADMSG;
	*ret_hard = (struct eng_hard){
		.promised = { load_u64(bytes + 8) },
		.snapshot = { load_u64(bytes + 16) },
		.snapshot_digest = { load_u64(bytes + 24), load_u64(bytes + 32) },
		.doubt = bytes[40],
	};
	return ret_hard->snapshot.n > ENG_SLOT_MAX ? -EBADMSG : 0;
}
