/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file log_fixture.h
 * A small log on a fake disk whose records say who they are, so that a test can tell every one of
 * them.
 */
#ifndef DECREE_TESTS_LOG_FIXTURE_H
#define DECREE_TESTS_LOG_FIXTURE_H

#include "tests/lib/disk_fake.h"
#include "wal/wal.h"

#define FIXTURE_PAYLOAD_BYTES_MAX 1336
#define FIXTURE_RECORD_COUNT_MAX  8192
#define FIXTURE_REPORT_COUNT_MAX  256

struct log_fixture {
	struct disk_fake *disk;
	struct wal *wal;
	struct wal_config cfg;
	struct wal_format format;
	char error[DECREE_ERROR_BYTES];
	uint64_t now_ns;
	uint64_t durable_lsn;     /* as reported */
	uint64_t meta_generation; /* as reported */
	int failed_rc;            /* as reported */
	/* What the last open handed over. */
	uint64_t found_lsns[FIXTURE_RECORD_COUNT_MAX];
	/* which record it was, as told to append */
	uint64_t found_numbers[FIXTURE_RECORD_COUNT_MAX];
	uint64_t found_positions[FIXTURE_RECORD_COUNT_MAX];
	uint32_t found_count;
	uint32_t wrong_count; /* records whose bytes are not what was appended */
	/* Damaged ones, if takes_damage: in order, the nameless ones with number UINT64_MAX. */
	bool takes_damage;
	uint64_t damaged_lsns[FIXTURE_RECORD_COUNT_MAX];
	uint64_t damaged_numbers[FIXTURE_RECORD_COUNT_MAX];
	uint32_t damaged_count;
	uint64_t found_meta_generation;
	uint8_t found_meta[64];
	uint32_t found_meta_bytes;
	uint64_t found_hearsay; /* the number in each of its words */
	uint32_t found_hearsay_bytes;
	uint32_t found_hearsay_count; /* times that any was handed over */
	/* What LOG_DAMAGED said since the last open, its tag as a number: nameless UINT64_MAX. */
	struct log_completion reports[FIXTURE_REPORT_COUNT_MAX];
	uint64_t report_numbers[FIXTURE_REPORT_COUNT_MAX];
	uint32_t report_count;
	/* The last LOG_READ. */
	struct log_completion read;
	uint8_t read_payload[WAL_PAYLOAD_BYTES_MAX];
};

/** A disk on which nothing takes time. */
extern const struct disk_fake_config log_fixture_calm;

/** Payload bytes for record @p number, such that blocks of one, two and three sectors alternate. */
uint32_t log_fixture_size(uint64_t number);

/** Sizes of a test log: 256 KiB in segments of 64 KiB, a window of 16 KiB. */
void log_fixture_init(struct log_fixture *f, const struct disk_fake_config *disk);
void log_fixture_fini(struct log_fixture *f);

/** Of a test whose state is a fixture from malloc(). */
int log_fixture_teardown(void **state);

/** Open (without format). @return wal_open()'s */
int log_fixture_open(struct log_fixture *f);

/** Forget the open log as a dead process does; the disk is as it was. */
void log_fixture_abandon(struct log_fixture *f);

/** The payload of record @p number, derived from it. @return its size */
uint32_t log_fixture_payload(uint64_t number, uint32_t bytes, uint8_t *ret_payload);

/** Append record @p number with that many payload bytes. @return its place; lsn 0 if it did not fit */
struct log_place log_fixture_append(struct log_fixture *f, uint64_t number, uint32_t bytes);

/** One turn of a loop: submit, time passes, reap. */
void log_fixture_turn(struct log_fixture *f);

/** Turns until @p lsn is reported durable, or the log failed. */
void log_fixture_settle(struct log_fixture *f, uint64_t lsn);

/** Turns until nothing more happens by itself: identifiers written, segments prepared. */
void log_fixture_idle(struct log_fixture *f);

#endif
