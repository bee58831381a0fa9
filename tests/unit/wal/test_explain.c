/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an open that only reads says of a log to somebody who wants to see it: what the tests of
 * `decree wal` cannot make out of files. All the rest they see in its lines.
 */
#include "tests/lib/log_fixture.h"
#include "wal/explain.h"
#include "wal/identifier.h"
#include "wal/page.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define RECORD_COUNT  6
#define PAYLOAD_BYTES 1000 /* three sectors */

/* What was said. */
struct seen {
	uint32_t copy_count;
	uint32_t unreadable_copy_count;
	uint32_t block_count;
	uint32_t contradicted_count;
	uint32_t damage_count;
	struct wal_damage_view damage; /* the last one */
	struct wal_end_view end;
	struct wal_rest_view rest;
};

static void
on_page(void *context, const struct wal_page_view *page)
{
	struct seen *seen = context;

	for (int i = 0; i < 2; i++) {
		seen->copy_count++;
		seen->unreadable_copy_count += page->copies[i].state == PAGE_UNREADABLE;
	}
}

static int
on_block(void *context, const struct wal_block_view *block)
{
	struct seen *seen = context;

	seen->block_count++;
	seen->contradicted_count += block->identifier == WAL_IDENTIFIER_CONTRADICTS;
	return 0;
}

static int
on_damage(void *context, const struct wal_damage_view *damage)
{
	struct seen *seen = context;

	seen->damage = *damage;
	seen->damage_count++;
	return 0;
}

static void
on_end(void *context, const struct wal_end_view *end)
{
	((struct seen *)context)->end = *end;
}

static void
on_rest(void *context, const struct wal_rest_view *rest)
{
	((struct seen *)context)->rest = *rest;
}

/* @return the open's */
static int
look(struct log_fixture *f, struct seen *ret_seen)
{
	const struct wal_explainer explainer = {
		.context = ret_seen,
		.page = on_page,
		.block = on_block,
		.damage = on_damage,
		.end = on_end,
		.rest = on_rest,
	};
	int rc;

	memset(ret_seen, 0, sizeof(*ret_seen));
	f->takes_damage = true;
	f->cfg.is_read_only = true;
	f->cfg.recovery.explain = &explainer;
	rc = log_fixture_open(f);
	f->cfg.recovery.explain = NULL;
	f->cfg.is_read_only = false;
	return rc;
}

static int
make_log(struct log_fixture *f, enum decree_log_mode mode)
{
	log_fixture_init(f, &log_fixture_calm);
	f->cfg.mode = mode;
	assert_int_equal(wal_format(&disk_fake_ops, f->disk, &f->format, f->error), 0);
	assert_int_equal(log_fixture_open(f), 0);
	for (uint64_t number = 1; number <= RECORD_COUNT; number++)
		log_fixture_settle(f, log_fixture_append(f, number, PAYLOAD_BYTES).lsn);
	log_fixture_idle(f);
	disk_fake_kill_process(f->disk);
	log_fixture_abandon(f);
	return 0;
}

static int
setup(void **state)
{
	*state = malloc(sizeof(struct log_fixture));
	assert_non_null(*state);
	return make_log(*state, DECREE_LOG_DURABLE);
}

static int
setup_buffered(void **state)
{
	*state = malloc(sizeof(struct log_fixture));
	assert_non_null(*state);
	return make_log(*state, DECREE_LOG_BUFFERED);
}

/* Looking is not touching: every byte of all four files stays. */
static void
test_looking_changes_nothing(void **state)
{
	struct log_fixture *f = *state;
	uint8_t *before[DISK_FILE_COUNT];
	struct seen seen;

	for (int i = 0; i < DISK_FILE_COUNT; i++) {
		uint64_t bytes;
		const uint8_t *data = disk_fake_data(f->disk, (enum disk_file)i, &bytes);

		before[i] = malloc(bytes);
		assert_non_null(before[i]);
		memcpy(before[i], data, bytes);
	}
	disk_fake_flip(f->disk, DISK_SEGMENTS, 600, 1);
	before[DISK_SEGMENTS][600] ^= 1;
	assert_int_equal(look(f, &seen), 0);
	assert_int_equal(seen.copy_count, 8);
	assert_int_equal(seen.block_count, RECORD_COUNT - 1);
	assert_int_equal(seen.damage_count, 1);
	for (int i = 0; i < DISK_FILE_COUNT; i++) {
		uint64_t bytes;
		const uint8_t *data = disk_fake_data(f->disk, (enum disk_file)i, &bytes);

		assert_memory_equal(data, before[i], bytes);
		free(before[i]);
	}
}

/* A sector that the disk does not give is told from one that it gives with other bytes. */
static void
test_an_unreadable_sector_is_called_so(void **state)
{
	struct log_fixture *f = *state;
	struct seen seen;

	disk_fake_spoil(f->disk, DISK_SEGMENTS, 3 * 512 + 512, WAL_SECTOR_BYTES);
	assert_int_equal(look(f, &seen), 0);
	assert_int_equal(seen.damage_count, 1);
	assert_int_equal(seen.damage.first_lsn, 2);
	assert_int_equal(seen.damage.witness, WAL_WITNESS_IDENTIFIER);
	assert_int_equal(seen.damage.sector_count, 3);
	assert_int_equal(seen.damage.sectors[0].finding, WAL_SECTOR_INTACT);
	assert_int_equal(seen.damage.sectors[1].finding, WAL_SECTOR_UNREADABLE);
	assert_int_equal(seen.damage.sectors[2].finding, WAL_SECTOR_INTACT);
	assert_int_equal(seen.end.kind, WAL_END_CLEAN);
}

static void
test_an_unreadable_copy_of_a_page_is_called_so(void **state)
{
	struct log_fixture *f = *state;
	struct seen seen;

	disk_fake_spoil(f->disk, DISK_HARDSTATE, 4096, 4096);
	assert_int_equal(look(f, &seen), 0);
	assert_int_equal(seen.unreadable_copy_count, 1);
	assert_int_equal(seen.block_count, RECORD_COUNT);
}

/* A whole identifier of the right record that says anything else of it: one of the two is not what
 * was written. */
static void
test_an_identifier_is_compared_in_every_part(void **state)
{
	static const uint32_t parts[] = { 8, 16, 24, 32, 95, 96, 98, 100 };
	struct log_fixture *f = *state;
	struct wal_seal seal = wal_seal_of(&f->format.uuid);
	uint8_t *entry = disk_fake_data(f->disk, DISK_IDENTIFIERS, NULL) + 2 * IDENTIFIER_BYTES;
	struct seen seen;

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		entry[parts[i]] ^= 1;
		identifier_seal(&seal, entry);
		assert_int_equal(look(f, &seen), 0);
		assert_int_equal(seen.block_count, RECORD_COUNT);
		assert_int_equal(seen.contradicted_count, 1);
		entry[parts[i]] ^= 1;
	}
	identifier_seal(&seal, entry);
	assert_int_equal(look(f, &seen), 0);
	assert_int_equal(seen.contradicted_count, 0);
}

/* A node is refused, and whoever only looks still sees what is there. */
static void
test_what_is_refused_is_shown(void **state)
{
	struct log_fixture *f = *state;
	struct seen seen;

	disk_fake_flip(f->disk, DISK_HARDSTATE, 70, 1);
	disk_fake_flip(f->disk, DISK_HARDSTATE, 4096 + 70, 1);
	assert_int_equal(look(f, &seen), -EBADMSG);
	assert_non_null(strstr(f->error, "hard state"));
	assert_int_equal(seen.block_count, RECORD_COUNT);
	assert_int_equal(seen.end.kind, WAL_END_CLEAN);
	assert_int_equal(log_fixture_open(f), -EBADMSG);
}

static void
test_a_buffered_log_after_a_restart_is_shown(void **state)
{
	struct log_fixture *f = *state;
	struct seen seen;

	f->cfg.boot_id[0] ^= 1;
	assert_int_equal(look(f, &seen), -ESTALE);
	assert_non_null(strstr(f->error, "buffered"));
	assert_int_equal(seen.block_count, RECORD_COUNT);
	assert_int_equal(seen.end.kind, WAL_END_LOSSY);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, log_fixture_teardown)
	const struct CMUnitTest tests[] = {
		T(test_looking_changes_nothing),
		T(test_an_unreadable_sector_is_called_so),
		T(test_an_unreadable_copy_of_a_page_is_called_so),
		T(test_an_identifier_is_compared_in_every_part),
		T(test_what_is_refused_is_shown),
		cmocka_unit_test_setup_teardown(test_a_buffered_log_after_a_restart_is_shown,
			setup_buffered, log_fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
