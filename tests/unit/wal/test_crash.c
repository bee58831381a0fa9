/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lives of a log that end in a power cut or a kill, over thousands of seeds. Whatever happens: the
 * log opens again, what survives is a prefix of what was appended, and it includes all that was
 * reported durable. (Protocol 3 and 11.3.)
 */
#include "tests/lib/log_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SEED_COUNT 1000
#define LIFE_COUNT 5

struct history {
	uint64_t numbers[FIXTURE_RECORD_COUNT_MAX];
	uint64_t lsns[FIXTURE_RECORD_COUNT_MAX];
	uint32_t count;
	uint64_t meta_requested;
};

static uint64_t
draw(uint64_t *random)
{
	*random ^= *random << 13;
	*random ^= *random >> 7;
	*random ^= *random << 17;
	return *random;
}

/* Appends, turns and hard states in any mixture, then silence without warning. */
static void
live(struct log_fixture *f, struct history *h, uint64_t life, uint64_t *random)
{
	uint64_t steps = 5 + draw(random) % 60;
	uint64_t pause = 1 + draw(random) % 8;

	for (uint64_t step = 0; step < steps; step++) {
		uint64_t burst = draw(random) % 6;

		for (uint64_t i = 0; i < burst; i++) {
			uint64_t number = life << 32 | (uint64_t)h->count;
			uint32_t bytes = (uint32_t)(draw(random) % (FIXTURE_PAYLOAD_BYTES_MAX + 1));
			struct log_place place = log_fixture_append(f, number, bytes);

			if (place.lsn == 0)
				break;
			h->numbers[h->count] = number;
			h->lsns[h->count++] = place.lsn;
		}
		if (draw(random) % 16 == 0)
			h->meta_requested = wal_log_ops.meta(f->wal, "blob", 4);
		for (uint64_t turn = draw(random) % pause; turn > 0; turn--)
			log_fixture_turn(f);
		assert_int_equal(f->failed_rc, 0);
	}
}

static void
check_survivors(struct log_fixture *f, struct history *h, uint64_t seed)
{
	uint32_t durable_count = 0;

	while (durable_count < h->count && h->lsns[durable_count] <= f->durable_lsn)
		durable_count++;
	if (f->wrong_count > 0)
		fail_msg("seed %llu: a record's bytes are wrong", (unsigned long long)seed);
	if (f->found_count < durable_count || f->found_count > h->count)
		fail_msg("seed %llu: %u records, %u of them durable, and %u came back",
			(unsigned long long)seed, h->count, durable_count, f->found_count);
	for (uint32_t i = 0; i < f->found_count; i++) {
		if (f->found_numbers[i] != h->numbers[i] || f->found_lsns[i] != h->lsns[i])
			fail_msg("seed %llu: record %u is not the one that was appended",
				(unsigned long long)seed, i);
	}
	if (f->found_meta_generation < f->meta_generation ||
		f->found_meta_generation > h->meta_requested)
		fail_msg("seed %llu: hard state %llu came back", (unsigned long long)seed,
			(unsigned long long)f->found_meta_generation);
	h->count = f->found_count;
	h->meta_requested = f->meta_generation = f->found_meta_generation;
}

static uint32_t
run_seed(struct log_fixture *f, struct history *h, uint64_t seed)
{
	uint64_t random = seed * 0x9e3779b97f4a7c15ull + 1;
	uint32_t cut_count = 0;
	struct disk_fake_config cfg = {
		.seed = seed,
		.latency_ns_min = 10,
		.latency_ns_max = 10 + draw(&random) % 100,
		.reap_ns = 10,
		.flush_covers_all = draw(&random) % 2 == 0,
	};

	memset(h, 0, sizeof(*h));
	log_fixture_init(f, &cfg);
	f->cfg.inflight_count_max = 1 + (uint32_t)(draw(&random) % WAL_INFLIGHT_COUNT_MAX);
	assert_int_equal(wal_format(&disk_fake_ops, f->disk, &f->format, f->error), 0);
	for (uint64_t life = 0; life < LIFE_COUNT; life++) {
		struct wal_status status;

		if (log_fixture_open(f) != 0)
			fail_msg("seed %llu, life %llu: %s", (unsigned long long)seed,
				(unsigned long long)life, f->error);
		check_survivors(f, h, seed);
		wal_status(f->wal, &status);
		cut_count += status.lsn_cut != 0;
		f->durable_lsn = status.lsn_durable;
		live(f, h, life + 1, &random);
		if (draw(&random) % 4 == 0)
			disk_fake_kill_process(f->disk);
		else
			disk_fake_cut_power(f->disk);
		log_fixture_abandon(f);
	}
	log_fixture_fini(f);
	return cut_count;
}

static void
test_what_survives_is_a_prefix_with_all_that_was_durable(void **state)
{
	struct log_fixture *f = malloc(sizeof(*f));
	struct history *h = malloc(sizeof(*h));
	uint32_t cut_count = 0;

	(void)state;
	assert_non_null(f);
	assert_non_null(h);
	for (uint64_t seed = 1; seed <= SEED_COUNT; seed++)
		cut_count += run_seed(f, h, seed);
	assert_true(cut_count > SEED_COUNT / 4); /* or the test does not test what it says */
	free(h);
	free(f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_survives_is_a_prefix_with_all_that_was_durable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
