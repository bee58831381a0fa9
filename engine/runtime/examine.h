/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file examine.h
 * decree_log_examine(), in parts: examine.c asks the log and sums up, examine_page.c and
 * examine_block.c put into words what it says, examine_line.c lays the words out as text or JSON.
 *
 * Threads:  one per examination.
 * Memory:   one allocation, for the call.
 */
#ifndef RUNTIME_EXAMINE_H
#define RUNTIME_EXAMINE_H

#include "decree/setup.h"
#include "engine/core/record.h"
#include "engine/runtime/identity.h"
#include "wal/explain.h"
#include "wal/wal.h"

/* The longest line is a value in hexadecimal. */
#define EXAMINE_LINE_BYTES (2 * WAL_PAYLOAD_BYTES_MAX + 4096)

/* One line in the making: a type, then fields. As text: "type  name value  name value"; as JSON:
 * one object. */
struct examine_line {
	bool is_json;
	size_t used;
	char text[EXAMINE_LINE_BYTES];
};

void line_begin(struct examine_line *l, bool is_json, const char *type);
/** @param name  with '_' between its words; text shows blanks */
void line_number(struct examine_line *l, const char *name, uint64_t value);
void line_word(struct examine_line *l, const char *name, const char *value);
void line_ballot(struct examine_line *l, const char *name, struct decree_ballot ballot);
void line_hex(struct examine_line *l, const char *name, const uint8_t *bytes, uint32_t count);
void line_digest(struct examine_line *l, const char *name, struct decree_digest digest);
/** Text only: a sentence on a line of its own below. */
__attribute__((format(printf, 2, 3))) void
line_below(struct examine_line *l, const char *format, ...);
/** JSON only: `"name":[`, then objects, then `]`. */
void line_list_begin(struct examine_line *l, const char *name);
void line_list_item(struct examine_line *l);
void line_list_item_end(struct examine_line *l);
void line_list_end(struct examine_line *l);
/** @return the finished line, valid until line_begin() */
const char *line_end(struct examine_line *l);

/* What was found so far. */
struct examine_counts {
	uint64_t block_count;
	uint64_t boot_count; /* of them: boot records */
	uint64_t first_lsn, last_lsn;
	uint64_t value_bytes;
	uint64_t named_count;    /* damaged records */
	uint64_t nameless_count; /* damaged places */
	uint64_t identifiers[WAL_IDENTIFIER_CONTRADICTS + 1];
	/* missing, and none later is there: they are written lazily */
	uint64_t identifiers_unwritten;
	uint64_t copies_bad;
	struct wal_end_view end;
	struct wal_rest_view rest;
};

struct examine {
	struct decree_log_examination *x;
	struct identity identity;
	bool has_identity;
	uint64_t shown_count;  /* of blocks and damaged places */
	uint64_t listed_count; /* identifiers that a verification showed */
	struct examine_counts counts;
	char refusal[DECREE_ERROR_BYTES]; /* why no node would start; "": nothing was found */
	struct examine_line line;
};

/** Why no node would start, if there is no reason yet. */
void examine_refuse(struct examine *e, const char *why);

/** Hand out the finished line. */
void examine_say(struct examine *e);

/* examine_page.c: for wal_recovery and wal_explainer. */
int examine_identity(void *context, const struct decree_uuid *uuid, const void *blob,
	uint32_t bytes, char *ret_error);
int examine_meta(void *context, uint64_t generation, const void *blob, uint32_t bytes);
void examine_hearsay(void *context, const void *blob, uint32_t bytes);
void examine_page(void *context, const struct wal_page_view *page);
void examine_log(void *context, const struct wal_log_view *log);

/* examine_block.c: the same. */
int examine_block(void *context, const struct wal_block_view *block);
int examine_damage(void *context, const struct wal_damage_view *damage);
void examine_end(void *context, const struct wal_end_view *end);

#endif
