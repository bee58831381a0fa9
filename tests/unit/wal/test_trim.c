/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A log that begins in the middle: space comes back, and nothing that was not given up ever goes. A
 * trim is a permission: what lies below may come back after a restart or not, what lies above
 * always does.
 */
#include "base/bytes.h"
#include "tests/lib/log_fixture.h"
#include "wal/internal.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LSN_MAX    200000
#define SEED_COUNT 300
#define LIFE_COUNT 6

/* What a run has appended. Record number = lsn, unless a cut gave the lsn to another one. */
struct trail {
	struct log_fixture f;
	uint64_t numbers[LSN_MAX]; /* by lsn; 0 = a boot record, or nothing */
	uint64_t last_lsn;         /* appended */
	uint64_t trimmed_lsn;
	uint64_t made; /* record numbers given out */
	uint64_t random;
};

static uint64_t
draw(struct trail *t)
{
	t->random ^= t->random << 13;
	t->random ^= t->random >> 7;
	t->random ^= t->random << 17;
	return t->random;
}

static void
trail_init(struct trail *t, const struct disk_fake_config *disk)
{
	memset(t, 0, sizeof(*t));
	t->random = disk->seed * 0x9e3779b97f4a7c15ull + 1;
	log_fixture_init(&t->f, disk);
	t->f.format.log_bytes = 128 << 10;
	t->f.format.segment_bytes = 32 << 10;
	assert_int_equal(wal_format(&disk_fake_ops, t->f.disk, &t->f.format, t->f.error), 0);
	t->trimmed_lsn = 1;
}

static void
check_found(struct trail *t)
{
	struct log_fixture *f = &t->f;
	uint64_t lsn;

	assert_int_equal(f->wrong_count, 0);
	if (f->found_count == 0) {
		assert_true(f->durable_lsn < t->trimmed_lsn || t->last_lsn == 0);
		return;
	}
	assert_true(f->found_lsns[0] <= t->trimmed_lsn);
	lsn = f->found_lsns[0];
	for (uint32_t i = 0; i < f->found_count; i++, lsn++) {
		while (t->numbers[lsn] == 0 && lsn <= t->last_lsn)
			lsn++; /* boot records are not handed over */
		assert_int_equal(f->found_lsns[i], lsn);
		assert_int_equal(f->found_numbers[i], t->numbers[lsn]);
	}
	while (t->numbers[lsn] == 0 && lsn <= t->last_lsn)
		lsn++;
	assert_true(lsn > f->durable_lsn);
}

static void
trail_open(struct trail *t)
{
	struct wal_status status;

	if (log_fixture_open(&t->f) != 0)
		fail_msg("seed %llu: %s", (unsigned long long)t->random, t->f.error);
	check_found(t);
	wal_status(t->f.wal, &status);
	for (uint64_t lsn = status.lsn_appended + 1; lsn <= t->last_lsn; lsn++)
		t->numbers[lsn] = 0;
	if (status.lsn_cut != 0)
		t->numbers[status.lsn_cut] = 0;
	t->last_lsn = status.lsn_appended;
	t->f.durable_lsn = status.lsn_durable;
}

static bool
trail_append(struct trail *t, uint32_t bytes)
{
	struct log_place place = log_fixture_append(&t->f, t->made + 1, bytes);

	if (place.lsn == 0)
		return false;
	assert_int_equal(place.lsn, t->last_lsn + 1);
	assert_true(place.lsn < LSN_MAX);
	t->made++;
	t->last_lsn = place.lsn;
	t->numbers[place.lsn] = t->made;
	return true;
}

static void
trail_trim(struct trail *t, uint64_t lsn)
{
	wal_log_ops.trim(t->f.wal, lsn);
	if (lsn > t->trimmed_lsn)
		t->trimmed_lsn = lsn;
}

static void
fill(struct trail *t, uint32_t bytes)
{
	for (int stuck = 0; stuck < 400;) {
		if (trail_append(t, bytes)) {
			stuck = 0;
			continue;
		}
		log_fixture_turn(&t->f);
		stuck++;
	}
	log_fixture_settle(&t->f, t->last_lsn);
	log_fixture_idle(&t->f);
}

static void
end(struct trail *t)
{
	log_fixture_fini(&t->f);
	free(t);
}

static struct trail *
trail_create(const struct disk_fake_config *disk)
{
	struct trail *t = malloc(sizeof(*t));

	assert_non_null(t);
	trail_init(t, disk);
	return t;
}

/* A log that was full takes records again. */
static void
test_a_full_log_has_room_after_a_trim(void **state)
{
	struct trail *t = trail_create(&log_fixture_calm);
	uint64_t first_fill;

	(void)state;
	trail_open(t);
	fill(t, 1000);
	assert_int_equal(wal_log_ops.room(t->f.wal).space_record_count, 0);
	first_fill = t->last_lsn;
	trail_trim(t, first_fill / 2);
	assert_int_equal(wal_log_ops.room(t->f.wal).space_record_count, 0); /* not yet durable */
	log_fixture_idle(&t->f);
	assert_true(wal_log_ops.room(t->f.wal).space_record_count > 0);
	fill(t, 1000);
	assert_true(t->last_lsn > first_fill + first_fill / 5);
	assert_int_equal(wal_log_ops.room(t->f.wal).space_record_count, 0);
	disk_fake_cut_power(t->f.disk);
	log_fixture_abandon(&t->f);
	trail_open(t);
	end(t);
}

/* Around and around, with and without an orderly close, at every size of record. */
static void
test_the_log_goes_around_many_times(void **state)
{
	struct trail *t = trail_create(&log_fixture_calm);
	uint64_t laps;

	(void)state;
	trail_open(t);
	for (int round = 0; round < 120; round++) {
		uint32_t bytes = (uint32_t)(draw(t) % (FIXTURE_PAYLOAD_BYTES_MAX + 1));

		fill(t, round % 7 == 0 ? 0 : bytes);
		trail_trim(t, t->last_lsn - draw(t) % 30);
		log_fixture_idle(&t->f);
		if (round % 3 == 0) {
			disk_fake_kill_process(t->f.disk);
			log_fixture_abandon(&t->f);
			trail_open(t);
		} else if (round % 5 == 0) {
			wal_close(t->f.wal);
			t->f.wal = NULL;
			trail_open(t);
		}
	}
	laps = t->f.wal->append.head / t->f.wal->geometry.log_bytes;
	assert_true(laps > 50);
	end(t);
}

/* The head's segment, and whatever is not durable, stay whatever is permitted. */
static void
test_a_trim_of_everything_keeps_the_last_segment(void **state)
{
	struct trail *t = trail_create(&log_fixture_calm);
	struct wal_status status;

	(void)state;
	trail_open(t);
	fill(t, 1000);
	wal_log_ops.trim(t->f.wal, UINT64_MAX);
	log_fixture_idle(&t->f);
	wal_status(t->f.wal, &status);
	assert_true(status.lsn_first > 1);
	assert_true(status.lsn_first <= t->last_lsn);
	assert_true(status.used_bytes <= 32 << 10);
	t->trimmed_lsn = t->last_lsn;
	disk_fake_cut_power(t->f.disk);
	log_fixture_abandon(&t->f);
	trail_open(t);
	assert_int_equal(t->f.found_lsns[0], status.lsn_first);
	end(t);
}

static void
assert_read(struct trail *t, uint64_t position, uint64_t token, int rc)
{
	assert_int_equal(wal_log_ops.read(t->f.wal, position, token), 0);
	log_fixture_idle(&t->f);
	assert_int_equal(t->f.read.token, token);
	assert_int_equal(t->f.read.rc, rc);
}

static void
test_a_record_that_is_gone_cannot_be_read(void **state)
{
	struct trail *t = trail_create(&log_fixture_calm);
	struct log_place first, last = { 0 };

	(void)state;
	trail_open(t);
	first = log_fixture_append(&t->f, t->made + 1, 100);
	t->made = t->last_lsn = t->numbers[1] = 1;
	fill(t, 1000);
	trail_trim(t, t->last_lsn);
	log_fixture_idle(&t->f);
	last = log_fixture_append(&t->f, t->made + 1, 100);
	log_fixture_settle(&t->f, last.lsn);
	assert_read(t, first.position, 5, -ENODATA);
	assert_read(t, last.position, 6, 0);
	assert_int_equal(t->f.read.lsn, last.lsn);
	end(t);
}

/* In mode memory the log goes around without end: what was there a lap ago is missing, and nothing
 * is damaged. */
static void
test_what_a_log_in_memory_had_a_lap_ago_is_gone(void **state)
{
	struct trail *t = trail_create(&log_fixture_calm);
	struct log_place first, last = { 0 };

	(void)state;
	t->f.cfg.mode = DECREE_LOG_MEMORY;
	trail_open(t);
	first = last = log_fixture_append(&t->f, 1, 100);
	for (uint64_t number = 2; last.position < first.position + t->f.format.log_bytes;) {
		last = log_fixture_append(&t->f, number++, 100);
		log_fixture_settle(&t->f, last.lsn);
	}
	assert_read(t, first.position, 5, -ENODATA);
	assert_read(t, last.position, 6, 0);
	/* Where nothing was ever appended is another matter. */
	assert_read(t, last.position + 4096, 7, -EIO);
	end(t);
}

/* The moment that matters: the log is full, its first segment is given up, used again at once, and
 * the power goes. */
static void
overrun(struct trail *t)
{
	while (trail_append(t, 1000) || t->f.durable_lsn < t->last_lsn)
		log_fixture_turn(&t->f);
	trail_trim(t, t->last_lsn - draw(t) % 60);
	for (uint64_t turn = draw(t) % 12; turn > 0; turn--) {
		log_fixture_turn(&t->f);
		(void)trail_append(t, 1000);
	}
}

static void
live(struct trail *t)
{
	uint64_t steps = 20 + draw(t) % 100, pause = 1 + draw(t) % 6;

	for (uint64_t step = 0; step < steps; step++) {
		for (uint64_t burst = draw(t) % 8; burst > 0; burst--)
			if (!trail_append(t, (uint32_t)(draw(t) % (FIXTURE_PAYLOAD_BYTES_MAX + 1))))
				break;
		if (draw(t) % 4 == 0) {
			uint64_t back = draw(t) % 120;

			trail_trim(t, t->last_lsn > back ? t->last_lsn - back : 1);
		}
		for (uint64_t turn = draw(t) % pause; turn > 0; turn--)
			log_fixture_turn(&t->f);
		assert_int_equal(t->f.failed_rc, 0);
	}
}

/* Power cuts and kills at any step, around the log: what was not given up is there. */
static void
test_crashes_never_cost_a_record_that_was_not_given_up(void **state)
{
	uint64_t wrapped = 0, cut = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
		struct disk_fake_config cfg = {
			.seed = seed,
			.latency_ns_min = 10,
			.latency_ns_max = 10 + seed * 7 % 100,
			.reap_ns = 10,
			.flush_covers_all = seed % 2 == 0,
		};
		struct trail *t = trail_create(&cfg);

		t->f.cfg.inflight_count_max = 1 + (uint32_t)(seed % WAL_INFLIGHT_COUNT_MAX);
		for (int life = 0; life < LIFE_COUNT; life++) {
			struct wal_status status;

			trail_open(t);
			wal_status(t->f.wal, &status);
			cut += status.lsn_cut != 0;
			live(t);
			if (draw(t) % 2 == 0)
				overrun(t);
			wrapped += t->f.wal->append.head > 2 * t->f.wal->geometry.log_bytes;
			if (draw(t) % 4 == 0)
				disk_fake_kill_process(t->f.disk);
			else
				disk_fake_cut_power(t->f.disk);
			log_fixture_abandon(&t->f);
		}
		end(t);
	}
	assert_true(wrapped > SEED_COUNT); /* or the test does not test what it says */
	assert_true(cut > SEED_COUNT / 2);
}

/* ------------------------------------------------------------------------------ damage */

/* A log in its third lap that begins in the middle of the file; all durable, not closed in order. */
static struct trail *
make_wrapped(void)
{
	struct trail *t = trail_create(&log_fixture_calm);

	trail_open(t);
	for (int round = 0; round < 5; round++) {
		fill(t, 1000);
		trail_trim(t, t->last_lsn - 40);
		log_fixture_idle(&t->f);
	}
	disk_fake_cut_power(t->f.disk);
	return t;
}

/* @return wal_open()'s, on a copy of the disk */
static int
open_copy(struct trail *t, void (*damage)(struct trail *t, uint64_t where), uint64_t where)
{
	struct disk_fake *kept = t->f.disk;
	int rc;

	t->f.disk = disk_fake_copy(kept, 1);
	damage(t, where);
	t->f.error[0] = '\0';
	rc = log_fixture_open(&t->f);
	assert_int_equal(t->f.wrong_count, 0);
	if (rc == 0) {
		check_found(t);
		log_fixture_abandon(&t->f);
	} else {
		assert_true(t->f.error[0] != '\0');
	}
	disk_fake_destroy(t->f.disk);
	t->f.disk = kept;
	return rc;
}

static void
flip_segments(struct trail *t, uint64_t where)
{
	disk_fake_flip(t->f.disk, DISK_SEGMENTS, where, (uint8_t)(1u << where % 8));
}

static void
zero_first_block(struct trail *t, uint64_t where)
{
	memset(disk_fake_data(t->f.disk, DISK_SEGMENTS, NULL) + where, 0, 3 * WAL_SECTOR_BYTES);
}

static void
zero_segment(struct trail *t, uint64_t where)
{
	memset(disk_fake_data(t->f.disk, DISK_SEGMENTS, NULL) + where, 0, 32 << 10);
}

static void
zero_everything(struct trail *t, uint64_t where)
{
	(void)where;
	memset(disk_fake_data(t->f.disk, DISK_SEGMENTS, NULL), 0, 128 << 10);
	memset(disk_fake_data(t->f.disk, DISK_IDENTIFIERS, NULL), 0, 16 << 10);
}

static void
swap_segments(struct trail *t, uint64_t where)
{
	uint8_t *file = disk_fake_data(t->f.disk, DISK_SEGMENTS, NULL);
	uint64_t other = (where + (32 << 10)) % (128 << 10);
	static uint8_t kept[32 << 10];

	memcpy(kept, file + where, sizeof(kept));
	memcpy(file + where, file + other, sizeof(kept));
	memcpy(file + other, kept, sizeof(kept));
}

static void
flip_identity(struct trail *t, uint64_t where)
{
	disk_fake_flip(t->f.disk, DISK_IDENTITY, where, 0x20);
}

static void
flip_both_sessions(struct trail *t, uint64_t where)
{
	disk_fake_flip(t->f.disk, DISK_IDENTITY, 8192 + where, 0x20);
	disk_fake_flip(t->f.disk, DISK_IDENTITY, 12288 + where, 0x20);
}

static void
test_a_damaged_first_segment_is_refused(void **state)
{
	struct trail *t = make_wrapped();
	uint64_t start = t->f.wal->trim.noted.position % (128 << 10);

	(void)state;
	assert_true(start != 0);
	log_fixture_abandon(&t->f);
	for (uint64_t at = start; at < start + 31 * 1024; at += 61)
		assert_int_equal(open_copy(t, flip_segments, at), -EBADMSG);
	assert_int_equal(open_copy(t, zero_first_block, start), -EBADMSG);
	assert_int_equal(open_copy(t, zero_segment, start), -EBADMSG);
	assert_int_equal(open_copy(t, swap_segments, start), -EBADMSG);
	assert_int_equal(open_copy(t, zero_everything, 0), -EBADMSG);
	for (uint64_t at = 64; at < 144; at++) {
		assert_int_equal(open_copy(t, flip_identity, 8192 + at), 0);
		assert_int_equal(open_copy(t, flip_identity, 12288 + at), 0);
		assert_int_equal(open_copy(t, flip_both_sessions, at), -EBADMSG);
	}
	end(t);
}

/* Rot in what was given up is nobody's loss, unless it lies where the log goes on. */
static void
test_damage_before_the_beginning_is_not_looked_at(void **state)
{
	struct trail *t = trail_create(&log_fixture_calm);
	uint64_t first_after;

	(void)state;
	trail_open(t);
	fill(t, 1000);
	for (int i = 0; i < 40; i++)
		(void)trail_append(t, 1000);
	trail_trim(t, t->last_lsn);
	log_fixture_idle(&t->f);
	first_after = t->f.wal->trim.noted.position % (128 << 10);
	disk_fake_cut_power(t->f.disk);
	log_fixture_abandon(&t->f);
	for (uint64_t at = 40 << 10; at < first_after; at += 97)
		assert_int_equal(open_copy(t, flip_segments, at), 0);
	end(t);
}

static void
live_for_one_record(struct trail *t)
{
	trail_open(t);
	assert_true(trail_append(t, 10));
	log_fixture_settle(&t->f, 1);
	disk_fake_cut_power(t->f.disk);
	log_fixture_abandon(&t->f);
}

/* Session pages of 40 bytes are from before there were trims. */
static void
test_a_session_page_of_an_earlier_version_is_read(void **state)
{
	struct trail *t = trail_create(&log_fixture_calm);
	struct wal_seal seal = wal_seal_of(&t->f.format.uuid);

	(void)state;
	live_for_one_record(t);
	for (int i = 0; i < 2; i++) {
		uint8_t *page = disk_fake_data(t->f.disk, DISK_IDENTITY, NULL) +
				page_session.offset_bytes[i];
		struct page_header header;

		assert_int_equal(page_check(page, &page_session, &seal, &header), PAGE_VALID);
		assert_int_equal(header.body_bytes, 80);
		header.body_bytes = 40;
		page_seal(page, &page_session, &seal, &header);
	}
	trail_open(t);
	assert_int_equal(t->f.found_count, 1);
	end(t);
}

/* @param where  index of the pair, times 2, + the copy: it becomes one that a program of version 2
 * wrote later */
static void
make_newer(struct trail *t, uint64_t where)
{
	const struct page_pair *const pairs[] = { &page_identity, &page_session, &page_hardstate };
	const struct page_pair *pair = pairs[where / 2];
	struct wal_seal seal = wal_seal_of(&t->f.format.uuid);
	uint8_t *page = disk_fake_data(t->f.disk, pair->file, NULL) + pair->offset_bytes[where % 2];
	uint32_t crc = pair == &page_identity ? 0xffffffffu : seal.crc_seed;

	store_u64(page + 16, load_u64(page + 16) + 2);
	store_u32(page + 36, 2);
	crc = wal_crc(crc, page, 60);
	store_u32(
		page + 60, wal_crc(crc, page + PAGE_HEADER_BYTES, pair->bytes - PAGE_HEADER_BYTES));
}

/* A program of the next version wrote one copy, and died. The other copy is older: what it says is
 * not what was promised. */
static void
test_a_copy_of_a_newer_version_is_not_passed_over(void **state)
{
	static const char *const names[] = { "identity (file identity)",
		"session page (file identity)", "hard state (file hardstate)" };
	struct trail *t = trail_create(&log_fixture_calm);

	(void)state;
	live_for_one_record(t);
	for (uint64_t where = 0; where < 6; where++) {
		assert_int_equal(open_copy(t, make_newer, where), -EPROTONOSUPPORT);
		assert_non_null(strstr(t->f.error, names[where / 2]));
		assert_non_null(
			strstr(t->f.error, "by version 2, and this program reads versions 1 to 1"));
	}
	end(t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_full_log_has_room_after_a_trim),
		cmocka_unit_test(test_the_log_goes_around_many_times),
		cmocka_unit_test(test_a_trim_of_everything_keeps_the_last_segment),
		cmocka_unit_test(test_a_record_that_is_gone_cannot_be_read),
		cmocka_unit_test(test_what_a_log_in_memory_had_a_lap_ago_is_gone),
		cmocka_unit_test(test_crashes_never_cost_a_record_that_was_not_given_up),
		cmocka_unit_test(test_a_damaged_first_segment_is_refused),
		cmocka_unit_test(test_damage_before_the_beginning_is_not_looked_at),
		cmocka_unit_test(test_a_session_page_of_an_earlier_version_is_read),
		cmocka_unit_test(test_a_copy_of_a_newer_version_is_not_passed_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
