/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file session_table.h
 * Fixture: a small session table and the slots that are applied to it, one after the other.
 */
#ifndef TESTS_SESSION_TABLE_H
#define TESTS_SESSION_TABLE_H

#include "engine/core/session.h"
#include "engine/core/value.h"

#define SLOT_BYTES 200
#define WINDOW     64
#define SESSIONS   4
#define IDLE       100
#define PART_BYTES (SLOT_BYTES - ENG_VALUE_HEADER_BYTES - ENG_FRAGMENT_HEADER_BYTES)

struct table {
	struct eng_sessions *s;
	void *memory;
	size_t memory_bytes;
	struct eng_config cfg;
	uint64_t slot;
	struct eng_applied applied[64];
	uint32_t count;
};

/* cmocka's; the state is a struct table. */
int table_setup(void **state);
int table_teardown(void **state);

/** In the next slot; what came of it is in applied[0 .. count). */
void table_apply_value(struct table *t, const uint8_t *value, uint32_t bytes);
/** One command in a slot of its own. */
enum eng_verdict table_apply(struct table *t, struct decree_session session, uint64_t seq,
	const void *body, uint32_t bytes);
/** A token of 16 times @p name. */
struct decree_session table_open(struct table *t, char name);
/** What is known of a command whose body was "body". */
enum eng_verdict table_lookup(const struct eng_sessions *s, struct decree_session session,
	uint64_t seq, uint16_t *ret_status, uint64_t *ret_result);

#endif
