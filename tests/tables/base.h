/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file base.h
 * A history that a healthy cluster has made: its files, and where its records are in them.
 */
#ifndef DECREE_TABLES_BASE_H
#define DECREE_TABLES_BASE_H

#include "tests/tables/tables.h"

#define ENTRY_COUNT     4
#define BASE_RECORD_MAX 512

struct base_record {
	uint64_t lsn;
	uint64_t position;
	uint64_t slot;
	uint32_t payload_bytes;
};

struct base_log {
	struct base_record records[BASE_RECORD_MAX];
	uint32_t count;
};

struct base {
	struct image images[NODE_MAX];
	struct image older[NODE_MAX];      /* the same files at an earlier time */
	struct base_log logs[NODE_MAX];    /* what is in `images` */
	uint64_t entry_slots[ENTRY_COUNT]; /* of the four entries, or the last four */
	struct judged_slot slots[SLOT_MAX];
	uint64_t held_last;
	uint32_t lagging; /* the node that died early; NODE_MAX = none */
};

struct base_range {
	uint64_t offset;
	uint64_t bytes; /* 0: there is none */
};

/** The newest block of a slot in a node's `segments`. */
struct base_range base_block(const struct base *b, uint32_t node, uint64_t slot);
/** Its entry in `identifiers`. */
struct base_range base_identifier(const struct base *b, uint32_t node, uint64_t slot);

#endif
