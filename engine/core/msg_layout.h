/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file msg_layout.h
 * Where each message keeps its fields, in the order of the wire: one table, read by msg_encode.c
 * and msg_decode.c. The types of the steady state, ACCEPT, ACCEPTED and HEARTBEAT, have no row of
 * fields: they are written and read by straight code there.
 */
#ifndef ENG_MSG_LAYOUT_H
#define ENG_MSG_LAYOUT_H

#include "engine/core/msg.h"

enum eng_field_kind {
	ENG_FIELD_NONE, /* behind the last one */
	/* 4 bytes in memory, and on the wire ... */
	ENG_FIELD_REASON, /* ... 1: enum eng_failure_reason */
	ENG_FIELD_U32,    /* ... 4 */
	ENG_FIELD_STATE,  /* ... 8: enum eng_entry_state, ACCEPTED or DECIDED */
	/* 8 bytes in both. */
	ENG_FIELD_U64,
	ENG_FIELD_SLOT,  /* at most ENG_SLOT_MAX */
	ENG_FIELD_FIRST, /* of a range; followed by ... */
	ENG_FIELD_AFTER, /* ... its end: not below it, at most ENG_SLOT_MAX + 1 */
	ENG_FIELD_KIND_COUNT,
};

enum eng_tail_kind {
	ENG_TAIL_NONE,
	ENG_TAIL_VALUE,   /* u32 bytes | u32 0 | bytes */
	ENG_TAIL_ENTRIES, /* of a Promise: one for each slot of its range */
};

#define ENG_FIELD_COUNT_MAX 8

struct eng_field {
	uint16_t offset_bytes; /* in struct eng_msg */
	uint16_t kind;
};

struct eng_msg_layout {
	const char *name; /* NULL: no such type in this version */
	struct eng_field fields[ENG_FIELD_COUNT_MAX];
	uint16_t flag_offset_bytes;  /* of the bool that travels in the header; 0: none */
	uint16_t tail;               /* what follows the fields */
	uint16_t value_offset_bytes; /* of the pointer and of the length of a VALUE */
	uint16_t value_bytes_offset_bytes;
};

extern const struct eng_msg_layout eng_msg_layouts[ENG_MSG_TYPE_COUNT];

/** On the wire. */
extern const uint8_t eng_field_bytes[ENG_FIELD_KIND_COUNT];

/** In memory; the others are uint64_t. */
static inline bool
eng_field_is_u32(enum eng_field_kind kind)
{
	return kind <= ENG_FIELD_STATE;
}

#endif
