/* SPDX-License-Identifier: Apache-2.0 */
/* Percentiles of latencies: exact where values are small, never below the truth, at most 1/1,024
 * above. */
#include "apps/histogram.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct histogram h;

static int
clear(void **state)
{
	(void)state;
	histogram_reset(&h);
	return 0;
}

static void
test_an_empty_histogram_has_percentile_zero(void **state)
{
	(void)state;
	assert_int_equal(histogram_at(&h, 99), 0);
}

static void
test_small_values_are_exact(void **state)
{
	(void)state;
	for (uint64_t v = 1; v <= 100; v++)
		histogram_add(&h, v);
	assert_int_equal(histogram_at(&h, 50), 50);
	assert_int_equal(histogram_at(&h, 99), 99);
	assert_int_equal(histogram_at(&h, 99.9), 100);
	assert_int_equal(histogram_at(&h, 100), 100);
	assert_int_equal(histogram_at(&h, 0), 1);
}

static int
compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a;
	uint64_t y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void
test_percentiles_are_within_one_part_of_the_truth(void **state)
{
	static uint64_t values[10000];
	uint64_t random = 1;

	(void)state;
	for (uint32_t i = 0; i < 10000; i++) {
		random = random * 6364136223846793005u + 1442695040888963407u;
		values[i] = (random >> 24) >> (random & 31);
		histogram_add(&h, values[i]);
	}
	qsort(values, 10000, sizeof(values[0]), compare);
	for (uint32_t p = 10; p <= 100000; p += 10) {
		uint64_t truth = values[(10000ull * p + 99999) / 100000 - 1];
		uint64_t got = histogram_at(&h, p / 1000.0);

		assert_true(got >= truth);
		assert_true(got - truth <= truth / 1024);
	}
}

static void
test_huge_values_count_as_the_largest(void **state)
{
	(void)state;
	histogram_add(&h, UINT64_MAX);
	assert_int_equal(histogram_at(&h, 50), HISTOGRAM_VALUE_MAX);
	assert_int_equal(h.count, 1);
}

/* What is counted on several threads is told as one. */
static void
test_merged_is_as_if_counted_by_one(void **state)
{
	static struct histogram one, other;

	(void)state;
	for (uint64_t v = 1; v < 100000; v += 7) {
		histogram_add(&h, v);
		histogram_add(v % 2 == 0 ? &one : &other, v);
	}
	histogram_merge(&one, &other);
	assert_memory_equal(&one, &h, sizeof(h));
}

/* Ten values above it make a percentile; nine do not. */
static void
test_a_percentile_takes_ten_values_above_it(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 99999; i++)
		histogram_add(&h, i);
	assert_true(histogram_has(&h, 99.9));
	assert_false(histogram_has(&h, 99.99));
	histogram_add(&h, 1);
	assert_true(histogram_has(&h, 99.99));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_an_empty_histogram_has_percentile_zero, clear),
		cmocka_unit_test_setup(test_small_values_are_exact, clear),
		cmocka_unit_test_setup(test_percentiles_are_within_one_part_of_the_truth, clear),
		cmocka_unit_test_setup(test_huge_values_count_as_the_largest, clear),
		cmocka_unit_test_setup(test_merged_is_as_if_counted_by_one, clear),
		cmocka_unit_test_setup(test_a_percentile_takes_ten_values_above_it, clear),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
