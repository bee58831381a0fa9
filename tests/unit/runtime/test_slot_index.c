/* SPDX-License-Identifier: Apache-2.0 */
/* Slots to positions, for groups of very different pace that share one log. */
#include "engine/runtime/slot_index.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define GROUPS    4
#define LOG_BYTES (1u << 20) /* 4,096 slots */

struct fixture {
	struct index_pool pool;
	struct slot_index groups[GROUPS];
};

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	uint32_t pages = index_page_count(LOG_BYTES, GROUPS);

	f->pool.count = pages;
	f->pool.pages = calloc(pages, sizeof(*f->pool.pages));
	f->pool.is_used = calloc(pages, sizeof(*f->pool.is_used));
	for (uint32_t i = 0; i < GROUPS; i++) {
		f->groups[i].mask = index_directory_count(pages) - 1;
		f->groups[i].directory =
			calloc(f->groups[i].mask + 1, sizeof(*f->groups[i].directory));
	}
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	for (uint32_t i = 0; i < GROUPS; i++)
		free(f->groups[i].directory);
	free(f->pool.is_used);
	free(f->pool.pages);
	free(f);
	return 0;
}

static void
put(struct fixture *f, uint32_t group, uint64_t slot, uint64_t position)
{
	index_put(&f->pool, &f->groups[group], (struct decree_slot){ slot }, position);
}

static uint64_t
get(const struct fixture *f, uint32_t group, uint64_t slot)
{
	return index_get(&f->pool, &f->groups[group], (struct decree_slot){ slot });
}

static void
test_the_newest_position_counts(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(get(f, 0, 7), 0);
	put(f, 0, 7, 100);
	put(f, 0, 7, 200);
	put(f, 1, 7, 300);
	put(f, 0, 0, 400); /* not a slot */
	assert_int_equal(get(f, 0, 7), 200);
	assert_int_equal(get(f, 1, 7), 300);
	assert_int_equal(get(f, 0, 0), 0);
	assert_int_equal(get(f, 0, 8), 0);
}

/* One busy group fills the log alone: all that the log holds is found. */
static void
test_a_busy_group_has_the_whole_index(void **state)
{
	struct fixture *f = *state;
	uint64_t last = 100000;

	for (uint64_t slot = 1; slot <= last; slot++)
		put(f, 0, slot, slot + 1);
	for (uint64_t slot = last; slot > last - LOG_BYTES / 256; slot--)
		assert_int_equal(get(f, 0, slot), slot + 1);
	assert_int_equal(get(f, 0, 1), 0);
}

/* The slow ones keep the page that they write to. */
static void
test_slow_groups_keep_their_newest_slots(void **state)
{
	struct fixture *f = *state;

	for (uint64_t slot = 1; slot <= 50000; slot++) {
		put(f, 0, slot, slot);
		if (slot % 100 == 0)
			for (uint32_t g = 1; g < GROUPS; g++)
				put(f, g, slot / 100, slot);
	}
	for (uint32_t g = 1; g < GROUPS; g++)
		for (uint64_t slot = 500; slot > 450; slot--)
			assert_int_equal(get(f, g, slot), slot * 100);
	for (uint64_t slot = 50000; slot > 50000 - LOG_BYTES / 256 / 2; slot--)
		assert_int_equal(get(f, 0, slot), slot);
}

/* Whatever happens, an answer is what was put last under that very slot and group, or nothing. */
static void
test_an_answer_is_never_anothers(void **state)
{
	struct fixture *f = *state;
	uint64_t next[GROUPS] = { 1, 1, 1, 1 };
	uint64_t random = 5, found = 0;

	for (uint64_t i = 1; i <= 200000; i++) {
		random = random * 6364136223846793005ull + 1442695040888963407ull;
		uint32_t g = (random >> 33) % 10 < 7 ? 0 : (uint32_t)(random >> 40) % GROUPS;
		uint64_t slot = next[g]++;

		put(f, g, slot, slot << 8 | g);
		uint64_t asked = slot - (random >> 20) % slot;
		uint64_t answer = get(f, g, asked);
		assert_true(answer == 0 || answer == (asked << 8 | g));
		found += answer != 0;
	}
	assert_true(found > 0);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_the_newest_position_counts),
		T(test_a_busy_group_has_the_whole_index),
		T(test_slow_groups_keep_their_newest_slots),
		T(test_an_answer_is_never_anothers),
	};

	return cmocka_run_group_tests_name("slot_index", tests, NULL, NULL);
}
