/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void
test_memory_begins_with_a_line_and_is_zero(void **state)
{
	(void)state;
	for (size_t bytes = 1; bytes < 700; bytes += 13) {
		uint8_t *dirty = malloc(bytes); /* may be what comes next */
		uint8_t *memory;

		assert_non_null(dirty);
		for (size_t i = 0; i < bytes; i++)
			dirty[i] = 0xa5;
		free(dirty);
		memory = base_zeros(3, bytes);
		assert_non_null(memory);
		assert_int_equal((uintptr_t)memory % BASE_CACHE_LINE, 0);
		for (size_t i = 0; i < 3 * bytes; i++)
			assert_int_equal(memory[i], 0);
		free(memory);
	}
}

static void
test_more_than_there_can_be_is_refused(void **state)
{
	(void)state;
	assert_null(base_zeros(SIZE_MAX, 2));
	assert_null(base_zeros(SIZE_MAX - 8, 1)); /* rounded up it would be little */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_memory_begins_with_a_line_and_is_zero),
		cmocka_unit_test(test_more_than_there_can_be_is_refused),
	};

	return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
