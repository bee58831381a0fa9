/* SPDX-License-Identifier: Apache-2.0 */
/* Percentiles of latencies: exact where values are small, never below the truth, at most 1/64 above. */
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
	memset(&h, 0, sizeof(h));
	return 0;
}

static void
test_an_empty_histogram_has_percentile_zero(void **state)
{
	(void)state;
	assert_int_equal(histogram_percentile(&h, 99000), 0);
}

static void
test_small_values_are_exact(void **state)
{
	(void)state;
	for (uint64_t v = 1; v <= 100; v++)
		histogram_add(&h, v);
	assert_int_equal(histogram_percentile(&h, 50000), 50);
	assert_int_equal(histogram_percentile(&h, 99000), 99);
	assert_int_equal(histogram_percentile(&h, 99900), 100);
	assert_int_equal(histogram_percentile(&h, 100000), 100);
	assert_int_equal(histogram_percentile(&h, 0), 1);
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
		uint64_t got = histogram_percentile(&h, p);

		assert_true(got >= truth);
		assert_true(got - truth <= truth / 64);
	}
}

static void
test_huge_values_count_as_the_largest(void **state)
{
	(void)state;
	histogram_add(&h, UINT64_MAX);
	assert_int_equal(histogram_percentile(&h, 50000), (UINT64_C(1) << 40) - 1);
	assert_int_equal(h.count, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_an_empty_histogram_has_percentile_zero, clear),
		cmocka_unit_test_setup(test_small_values_are_exact, clear),
		cmocka_unit_test_setup(test_percentiles_are_within_one_part_of_the_truth, clear),
		cmocka_unit_test_setup(test_huge_values_count_as_the_largest, clear),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
