/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file record.h
 * What one slot and one hard state look like in the log: the tag beside a value, and 64 bytes per
 * group.
 */
#ifndef ENG_RECORD_H
#define ENG_RECORD_H

#include "engine/core/core.h"

enum eng_record_kind {
	ENG_RECORD_ACCEPTED = 1, /* (slot, ballot, value) was accepted */
	ENG_RECORD_DECIDED = 2,  /* value was learned as decided; it outweighs every accepted one */
	ENG_RECORD_FAULTY = 3, /* a record of this slot is damaged: ballot (0 = unknown), digest */
};

struct eng_record {
	enum eng_record_kind kind;
	uint16_t group;
	struct decree_slot slot;
	struct decree_ballot vballot;
	struct decree_digest digest;
	struct decree_slot commit; /* decided prefix, values held, when this was appended: a hint */
	uint32_t bytes;
};

void eng_record_encode(const struct eng_record *record, uint8_t ret_tag[ENG_RECORD_TAG_BYTES]);

/** @retval -EBADMSG not a tag of this version */
int eng_record_decode(const uint8_t tag[ENG_RECORD_TAG_BYTES], struct eng_record *ret_record);

/* What a group must never forget, beside its records. */
struct eng_hard {
	struct decree_ballot promised;
	/* The snapshot pointer (9.2): the log may hold nothing of this slot and those below. 0 =
	 * none */
	struct decree_slot snapshot;
	struct decree_digest snapshot_digest; /* of the state there */
	bool doubt; /* records were lost, and of which slots is not known (11.3) */
};

void eng_hard_encode(const struct eng_hard *hard, uint8_t ret_bytes[ENG_HARD_BYTES]);

/** All zero decodes as "nothing promised, no snapshot". @retval -EBADMSG */
int eng_hard_decode(const uint8_t bytes[ENG_HARD_BYTES], struct eng_hard *ret_hard);

#endif
