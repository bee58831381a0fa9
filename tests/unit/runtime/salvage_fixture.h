/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file salvage_fixture.h
 * One node of a lost cluster, whose log is written here record by record, and the new cluster that
 * decree_force_recover() makes of it. The real directories and the real log.
 */
#ifndef TEST_RUNTIME_SALVAGE_FIXTURE_H
#define TEST_RUNTIME_SALVAGE_FIXTURE_H

#include "decree/setup.h"
#include "engine/core/record.h"
#include "engine/core/value.h"
#include "engine/runtime/meta.h"

#include <stdio.h>

#define SALVAGE_SLOTS_MAX   64
#define SALVAGE_VALUE_BYTES 1328

#define BALLOT(round) ((struct decree_ballot){ (uint64_t)(round) << 16 | 3 })

/* A value's stamp that nothing else on the disk looks like. */
#define STAMP(n) (0x5a5ae7c3d1b2a500 + (n))

/* The records of a log. */
struct salvage_log {
	uint32_t count;
	struct eng_record records[SALVAGE_SLOTS_MAX];
	uint8_t values[SALVAGE_SLOTS_MAX][SALVAGE_VALUE_BYTES];
	uint8_t meta[META_BYTES_MAX];
};

struct salvage {
	char folder[64];
	char ini[96];
	char old_dir[96];
	char new_dir[96];
	struct wal *old;
	uint64_t now_ns;
	struct decree_rescue rescue;
	char error[DECREE_ERROR_BYTES];
	struct salvage_log written;
	struct salvage_log found;
};

int salvage_setup(void **state);
int salvage_teardown(void **state);

/* Writing the old log, record by record. `commit` is the hint: decided up to there. */

void put(struct salvage *s, enum eng_record_kind kind, uint64_t slot, uint32_t round,
	uint64_t commit, const uint8_t *value, uint32_t bytes);
/** A no-op, which its stamp tells from others: accepted, or learned as decided. */
void
put_value(struct salvage *s, uint64_t slot, uint32_t round, uint64_t commit, uint64_t stamp_ns);
void
put_decided(struct salvage *s, uint64_t slot, uint32_t round, uint64_t commit, uint64_t stamp_ns);
/** @param id_last  highest node_id ever; above 3, node 1 is no member any more */
void
put_config(struct salvage *s, uint64_t slot, uint32_t epoch, uint16_t id_last, uint64_t stamp_ns);
/** Up to slot @p last, at ballot 1: the first configuration, and values, each of which says that
 * the one before it is decided. Their stamps are STAMP(slot). */
void put_history(struct salvage *s, uint64_t last);
void put_hard(struct salvage *s, const struct eng_hard *hard);
/** A hard state that promises this round. */
void put_promise(struct salvage *s, uint32_t round);

/** A file of the old log, which is closed for good. */
FILE *salvage_open_file(struct salvage *s, const char *name);

/** decree_force_recover(), which must leave the old directory as it was. */
int salvage_run(struct salvage *s);
/** The same, which must succeed. @return what is kept of the only group */
const struct decree_survivor *salvage_group(struct salvage *s);
/** The new log, into s->found. */
void salvage_read_new(struct salvage *s);
/** Is there such a file or folder in the fixture's? */
bool salvage_exists(const struct salvage *s, const char *name);

#endif
