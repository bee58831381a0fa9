/* SPDX-License-Identifier: Apache-2.0 */
/* Which clocks may carry leases. */
#include "engine/runtime/node_private.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static char path[] = "/tmp/decree-clock-XXXXXX";
static char error[DECREE_ERROR_BYTES];

static int
check(const char *source, uint32_t max_drift_ppm)
{
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	(void)fprintf(file, "%s\n", source);
	assert_int_equal(fclose(file), 0);
	error[0] = '\0';
	return clock_check(path, max_drift_ppm, error);
}

static void
test_only_counters_of_the_cpu_carry_leases(void **state)
{
	static const char *const others[] = { "hpet", "acpi_pm", "kvm-clock", "xen", "jiffies",
		"" };

	(void)state;
	assert_int_equal(check("tsc", 1000000), 0);
	assert_int_equal(check("arch_sys_counter", 1000000), 0);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		assert_int_equal(check(others[i], 1000000), -ENOTSUP);
		assert_non_null(strstr(error, others[i]));
		assert_non_null(strstr(error, "lease_ms = 0"));
	}
	assert_int_equal(clock_check("/nowhere", 1000000, error), -ENOTSUP);
}

static void
test_the_slew_is_told_only_over_a_while(void **state)
{
	struct clock_watch w = { 0 };

	(void)state;
	assert_int_equal(clock_slew_ppm(&w), 0); /* the first look */
	assert_int_equal(clock_slew_ppm(&w), 0); /* too soon after it */
	w.raw_ns -= 1000000000; /* as if a second had gone by on one clock and 0.9 on the other */
	w.steered_ns -= 900000000;
	uint64_t ppm = clock_slew_ppm(&w);
	assert_true(ppm > 90000 && ppm < 110000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_only_counters_of_the_cpu_carry_leases),
		cmocka_unit_test(test_the_slew_is_told_only_over_a_while),
	};
	int fd = mkstemp(path);
	int rc;

	if (fd < 0)
		return 1;
	(void)close(fd);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	(void)unlink(path);
	return rc;
}
