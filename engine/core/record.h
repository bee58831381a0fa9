/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file record.h
 * What one slot and one hard state look like in the log: the tag beside a value, and 64 bytes per group.
 */
#ifndef ENG_RECORD_H
#define ENG_RECORD_H

#include "engine/core/core.h"

enum eng_record_kind {
	ENG_RECORD_ACCEPTED = 1, /* (slot, ballot, value) was accepted */
	ENG_RECORD_DECIDED = 2,  /* value was learned as decided; it outweighs every accepted one */
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

void eng_hard_encode(struct decree_ballot promised, uint8_t ret_bytes[ENG_HARD_BYTES]);

/** All zero decodes as "nothing promised". @retval -EBADMSG */
int eng_hard_decode(const uint8_t bytes[ENG_HARD_BYTES], struct decree_ballot *ret_promised);

#endif
