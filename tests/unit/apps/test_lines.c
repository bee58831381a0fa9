/* SPDX-License-Identifier: Apache-2.0 */
/* Lines as they are: empty ones, bytes that are no text, the last one without a newline, long ones. */
#include "apps/lines.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define LIMIT 1000

struct fixture {
	FILE *file;
	struct lines lines;
};

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (f == NULL || (f->file = tmpfile()) == NULL)
		return -1;
	*state = f;
	return lines_open(&f->lines, fileno(f->file), LIMIT);
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	lines_close(&f->lines);
	(void)fclose(f->file); /* a temporary one */
	free(f);
	return 0;
}

static void
fill(struct fixture *f, const char *text, size_t bytes)
{
	assert_int_equal(fwrite(text, 1, bytes, f->file), bytes);
	assert_int_equal(fflush(f->file), 0);
	rewind(f->file);
}

static void
expect_line(struct fixture *f, const char *text, uint32_t bytes)
{
	const uint8_t *line;
	uint32_t got;

	assert_int_equal(lines_next(&f->lines, &line, &got), LINES_ONE);
	assert_int_equal(got, bytes);
	assert_memory_equal(line, text, bytes);
}

static void
expect(struct fixture *f, enum lines_result result)
{
	const uint8_t *line;
	uint32_t bytes;

	assert_int_equal(lines_next(&f->lines, &line, &bytes), result);
}

static void
test_lines_come_as_they_are(void **state)
{
	struct fixture *f = *state;

	fill(f, "one\n\n\xff\x00\x80\r\nlast", 14);
	expect_line(f, "one", 3);
	expect_line(f, "", 0);
	expect_line(f, "\xff\x00\x80\r", 4);
	expect_line(f, "last", 4);
	assert_int_equal(f->lines.number, 4);
	expect(f, LINES_END);
	expect(f, LINES_END);
}

static void
test_an_empty_file_has_no_lines(void **state)
{
	expect(*state, LINES_END);
}

static void
test_a_final_newline_opens_no_further_line(void **state)
{
	struct fixture *f = *state;

	fill(f, "\n", 1);
	expect_line(f, "", 0);
	expect(f, LINES_END);
}

static void
test_a_line_can_be_handed_out_again(void **state)
{
	struct fixture *f = *state;

	fill(f, "a\n\nlast", 7);
	expect_line(f, "a", 1);
	lines_back(&f->lines);
	expect_line(f, "a", 1);
	expect_line(f, "", 0);
	lines_back(&f->lines);
	expect_line(f, "", 0);
	expect_line(f, "last", 4);
	lines_back(&f->lines);
	expect_line(f, "last", 4);
	assert_int_equal(f->lines.number, 3);
	expect(f, LINES_END);
}

static void
test_the_longest_line_passes_and_one_byte_more_is_named(void **state)
{
	struct fixture *f = *state;
	char text[2 * LIMIT + 4];

	memset(text, 'x', sizeof(text));
	text[LIMIT] = '\n';
	text[2 * LIMIT + 2] = '\n';
	fill(f, text, sizeof(text));
	expect_line(f, text, LIMIT);
	expect(f, LINES_TOO_LONG);
	assert_int_equal(f->lines.number, 2);
}

static void
test_many_lines_pass_through_a_small_buffer(void **state)
{
	struct fixture *f = *state;

	for (uint32_t i = 0; i < 300000; i++)
		assert_true(fprintf(f->file, "line %u\n", i) > 0);
	rewind(f->file);
	for (uint32_t i = 0; i < 300000; i++) {
		char text[32];

		expect_line(f, text, (uint32_t)snprintf(text, sizeof(text), "line %u", i));
	}
	expect(f, LINES_END);
}

static void
test_a_quiet_pipe_makes_nobody_wait(void **state)
{
	struct lines lines;
	const uint8_t *line;
	uint32_t bytes;
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(lines_open(&lines, ends[0], LIMIT), 0);
	assert_int_equal(write(ends[1], "half", 4), 4);
	assert_int_equal(lines_next(&lines, &line, &bytes), LINES_WAIT);
	assert_int_equal(write(ends[1], " line\n", 6), 6);
	assert_int_equal(lines_next(&lines, &line, &bytes), LINES_ONE);
	assert_int_equal(bytes, 9);
	assert_memory_equal(line, "half line", 9);
	assert_int_equal(close(ends[1]), 0);
	assert_int_equal(lines_next(&lines, &line, &bytes), LINES_END);
	lines_close(&lines);
	assert_int_equal(close(ends[0]), 0);
}

static void
test_a_survey_counts_and_names_the_first_long_line(void **state)
{
	struct fixture *f = *state;
	uint64_t count;
	uint64_t too_long;
	char text[LIMIT + 8];

	fill(f, "a\n\nb", 4);
	assert_int_equal(lines_survey(f->lines.fd, LIMIT, &count, &too_long), 0);
	assert_int_equal(count, 3);
	assert_int_equal(too_long, 0);
	memset(text, 'x', sizeof(text));
	text[2] = '\n';
	fill(f, text, sizeof(text));
	assert_int_equal(lines_survey(f->lines.fd, LIMIT, &count, &too_long), 0);
	assert_int_equal(too_long, 2);
	expect_line(f, "xx", 2); /* the survey left the offset alone */
}

static void
test_a_pipe_cannot_be_surveyed(void **state)
{
	uint64_t count;
	uint64_t too_long;
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(lines_survey(ends[0], LIMIT, &count, &too_long), -ESPIPE);
	assert_int_equal(close(ends[0]), 0);
	assert_int_equal(close(ends[1]), 0);
}

int
main(void)
{
#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(test_lines_come_as_they_are),
		CASE(test_an_empty_file_has_no_lines),
		CASE(test_a_final_newline_opens_no_further_line),
		CASE(test_a_line_can_be_handed_out_again),
		CASE(test_the_longest_line_passes_and_one_byte_more_is_named),
		CASE(test_many_lines_pass_through_a_small_buffer),
		CASE(test_a_quiet_pipe_makes_nobody_wait),
		CASE(test_a_survey_counts_and_names_the_first_long_line),
		CASE(test_a_pipe_cannot_be_surveyed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
