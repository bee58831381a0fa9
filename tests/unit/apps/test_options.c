/* SPDX-License-Identifier: Apache-2.0 */
/* A table of options: what is taken, what is refused, and what --help makes of it. */
#include "apps/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ROW_COUNT 7

struct fixture {
	bool flag;
	const char *text;
	uint64_t number;
	uint32_t number32;
	uint64_t color;
	uint32_t taken; /* how often take() was called */
	struct option_row rows[ROW_COUNT];
	struct option_page page;
	int first;
};

static bool
take(const struct option_row *row, const char *text)
{
	struct fixture *f = row->context;

	f->taken++;
	return strcmp(text, "bad") != 0;
}

static int
setup(void **state)
{
	static const char *const colors[] = { "red", "green", NULL };
	struct fixture *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return -1;
	f->text = "/tmp";
	f->number = 64;
	f->number32 = 7;
	struct option_row rows[ROW_COUNT] = {
		{ .argument = "WHAT", .help = "an argument that is explained" },
		{ "flag", 0, NULL, "a flag", .flag = &f->flag },
		{ "text", 't', "FILE", "a text", .text = &f->text },
		{ "number", 'n', "N", "a number", .number = &f->number, .min = 1, .max = 100 },
		{ "number32", 0, "N", "a smaller one", .number32 = &f->number32, .min = 8,
			.max = 9 },
		{ "color", 0, "WORD", "a word", .number = &f->color, .words = colors },
		{ "take", 0, "X", "whatever", .take = take, .context = f },
	};
	memcpy(f->rows, rows, sizeof(rows));
	f->page = (struct option_page){ "[OPTION ...]", "Words.", f->rows, ROW_COUNT };
	options_set_program("prog", "");
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	free(*state);
	return 0;
}

/* @param line  words with one space between them */
static int
give(struct fixture *f, const char *line, char *ret_words[16])
{
	static char program[] = "prog", copy[256];
	int count = 1;

	(void)snprintf(copy, sizeof(copy), "%s", line); /* fits */
	ret_words[0] = program;
	for (char *word = strtok(copy, " "); word != NULL; word = strtok(NULL, " "))
		ret_words[count++] = word;
	ret_words[count] = NULL;
	return options_take(count, ret_words, &f->page, &f->first);
}

static void
test_values_go_where_the_table_says(void **state)
{
	struct fixture *f = *state;
	char *words[16];

	assert_int_equal(
		give(f, "a --flag -t x b --number=3 --number32 9 --color green --take 1 --take 2",
			words),
		OPTIONS_GO_ON);
	assert_true(f->flag);
	assert_string_equal(f->text, "x");
	assert_int_equal(f->number, 3);
	assert_int_equal(f->number32, 9);
	assert_int_equal(f->color, 1);
	assert_int_equal(f->taken, 2);
	assert_string_equal(words[f->first], "a");
	assert_string_equal(words[f->first + 1], "b");
	assert_null(words[f->first + 2]);
}

/* What was there before stays, and the same table can be used again. */
static void
test_what_is_not_given_stays(void **state)
{
	struct fixture *f = *state;
	char *words[16];

	assert_int_equal(give(f, "-n 5", words), OPTIONS_GO_ON);
	assert_int_equal(give(f, "", words), OPTIONS_GO_ON);
	assert_int_equal(f->first, 1);
	assert_int_equal(f->number, 5);
	assert_string_equal(f->text, "/tmp");
	assert_false(f->flag);
}

/* What is a beginning of one name today may be that of two tomorrow. */
static void
test_beginnings_are_not_enough(void **state)
{
	static const char *const lines[] = { "--fl", "--col green", "--colo=green", "--number3=9",
		"--number3 9", "--t x" };
	struct fixture *f = *state;
	char *words[16];

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		assert_int_equal(give(f, lines[i], words), EXIT_USAGE);
	assert_false(f->flag);
	assert_int_equal(f->color, 0);
	/* A value may look like anything. */
	assert_int_equal(give(f, "--text --fl --number 3", words), OPTIONS_GO_ON);
	assert_string_equal(f->text, "--fl");
}

static void
test_wrong_ones_are_refused(void **state)
{
	static const char *const lines[] = { "--frob", "-z", "--flag=1", "--number", "-n",
		"--number 0", "--number 101", "--number 5x", "--number -5",
		"--number 99999999999999999999", "--number32 10", "--color blue", "--take bad",
		"--text=" };
	struct fixture *f = *state;
	char *words[16];

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		assert_int_equal(give(f, lines[i], words), EXIT_USAGE);
	assert_int_equal(f->number, 64);
	assert_int_equal(f->number32, 7);
	assert_int_equal(f->color, 0);
}

/* Behind "--" nothing is an option, not even --help. */
static void
test_two_dashes_end_the_options(void **state)
{
	struct fixture *f = *state;
	char *words[16];

	assert_int_equal(give(f, "--flag -- --help", words), OPTIONS_GO_ON);
	assert_string_equal(words[f->first], "--help");
	assert_int_equal(give(f, "--frob --help", words), EXIT_SUCCESS);
}

/* Defaults are shown, except for a value that means "not given": number32 starts below its range. */
static void
test_help_shows_the_table(void **state)
{
	struct fixture *f = *state;
	char *text = NULL;
	size_t bytes = 0;
	FILE *to = open_memstream(&text, &bytes);

	assert_non_null(to);
	f->page.about =
		"Eighty columns are not many for a paragraph, so that this one has to have two "
		"lines.\n\nAnother.";
	options_print_help(to, &f->page);
	assert_int_equal(fclose(to), 0);
	assert_string_equal(text,
		"usage: prog [OPTION ...]\n\n"
		"Eighty columns are not many for a paragraph, so that this one has to have two\n"
		"lines.\n\nAnother.\n\n"
		"  WHAT              an argument that is explained\n\n"
		"      --flag        a flag\n"
		"  -t, --text FILE   a text (/tmp)\n"
		"  -n, --number N    a number (64)\n"
		"      --number32 N  a smaller one\n"
		"      --color WORD  a word (red)\n"
		"      --take X      whatever\n");
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_values_go_where_the_table_says, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_is_not_given_stays, setup, teardown),
		cmocka_unit_test_setup_teardown(test_beginnings_are_not_enough, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wrong_ones_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_two_dashes_end_the_options, setup, teardown),
		cmocka_unit_test_setup_teardown(test_help_shows_the_table, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
