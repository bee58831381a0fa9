/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/options.h"

#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define WIDTH       80
#define LABEL_BYTES 64

#define COMPLAINT_BYTES_MAX 4096
#define ROW_CODE            256 /* what getopt_long() returns for rows[0]: no letter is as large */

static char program_name[64] = "decree";
static void (*take_complaint)(const char *text); /* NULL: standard error */

/* ------------------------------------------------------------------------------ complaints */

void
options_set_program(const char *program, const char *command)
{
	(void)snprintf(program_name, sizeof(program_name), "%s%s%s", program,
		command[0] != '\0' ? " " : "", command); /* a long name is cut */
}

void
options_set_complaint(void (*take)(const char *text))
{
	take_complaint = take;
}

int
complain(const char *format, ...)
{
	char text[COMPLAINT_BYTES_MAX];
	va_list args;

	(void)fflush(stdout); /* results come before the error that ended them */
	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args); /* a longer one is cut */
	va_end(args);
	if (take_complaint != NULL)
		take_complaint(text);
	else
		(void)fprintf(stderr, "%s: %s\n", program_name, text);
	return EXIT_FAILURE;
}

int
complain_usage(const char *format, ...)
{
	va_list args;

	(void)fprintf(stderr, "%s: ", program_name);
	va_start(args, format);
	(void)vfprintf(stderr, format, args);
	va_end(args);
	(void)fprintf(stderr, "; see '%s --help'\n", program_name);
	return EXIT_USAGE;
}

/* ------------------------------------------------------------------------------ help */

/* Words from column @p indent on; a newline in @p text ends the line. */
static void
print_wrapped(FILE *to, const char *text, int indent)
{
	int column = indent;

	while (*text != '\0') {
		int word = (int)strcspn(text, " \n");

		if (column > indent && column + 1 + word > WIDTH) {
			(void)fputc('\n', to);
			column = 0;
		}
		if (column > indent)
			column += fprintf(to, " ");
		if (column < indent)
			column += fprintf(to, "%*s", indent - column, "");
		column += fprintf(to, "%.*s", word, text);
		text += word;
		if (*text == '\n') {
			(void)fputc('\n', to);
			column = 0;
		}
		text += *text != '\0';
	}
	(void)fputc('\n', to);
}

/* "-c, --config FILE". @return its length */
static int
label_of(const struct option_row *row, char ret_label[LABEL_BYTES])
{
	char letter[8] = "    ";

	if (row->name == NULL)
		return snprintf(ret_label, LABEL_BYTES, "%s", row->argument);
	if (row->letter != '\0')
		(void)snprintf(letter, sizeof(letter), "-%c, ", row->letter); /* fits */
	return snprintf(ret_label, LABEL_BYTES, "%s--%s%s%s", letter, row->name,
		row->argument != NULL ? " " : "", row->argument != NULL ? row->argument : "");
}

static void
default_of(const struct option_row *row, char *ret_text, size_t capacity)
{
	uint64_t number = row->number != NULL     ? *row->number
			  : row->number32 != NULL ? *row->number32
						  : 0;

	ret_text[0] = '\0';
	if (row->text != NULL && *row->text != NULL)
		(void)snprintf(ret_text, capacity, " (%s)", *row->text); /* a long one is cut */
	else if (row->number == NULL && row->number32 == NULL)
		return;
	else if (row->words != NULL)
		(void)snprintf(ret_text, capacity, " (%s)", row->words[number]); /* fits */
	else if (number >= row->min && number <= row->max)
		(void)snprintf(ret_text, capacity, " (%" PRIu64 ")", number); /* fits */
}

static void
print_row(FILE *to, const struct option_row *row, int column)
{
	char label[LABEL_BYTES], standard[LABEL_BYTES], help[1024];

	(void)label_of(row, label);
	default_of(row, standard, sizeof(standard));
	(void)snprintf(help, sizeof(help), "%s%s", row->help, standard); /* fits */
	(void)fprintf(to, "  %-*s", column - 2, label);
	print_wrapped(to, help, column);
}

void
options_print_help(FILE *to, const struct option_page *page)
{
	char label[LABEL_BYTES];
	const struct option_row version = { "version", page->version_letter, NULL,
		"print it, and end" };
	int column = 0;

	(void)fprintf(to, "usage: %s %s\n\n", program_name, page->synopsis);
	print_wrapped(to, page->about, 0);
	for (uint32_t i = 0; i < page->row_count; i++) {
		int width = label_of(&page->rows[i], label) + 4; /* two spaces on each side */

		column = width > column ? width : column;
	}
	for (uint32_t i = 0; i < page->row_count; i++) {
		const struct option_row *row = &page->rows[i];

		if (i == 0 || (row[-1].name == NULL) != (row->name == NULL))
			(void)fputc('\n', to);
		print_row(to, row, column);
	}
	if (page->version != NULL)
		print_row(to, &version, column);
}

/* ------------------------------------------------------------------------------ values */

bool
parse_number(const char *what, const char *text, uint64_t min, uint64_t max, uint64_t *ret)
{
	char *end = NULL;
	unsigned long long number = 0;

	errno = 0;
	if (text[0] >= '0' && text[0] <= '9')
		number = strtoull(text, &end, 10);
	if (end == NULL || *end != '\0' || errno != 0 || number < min || number > max) {
		(void)complain_usage("%s %s: expected a whole number from %" PRIu64 " to %" PRIu64,
			what, text, min, max);
		return false;
	}
	*ret = number;
	return true;
}

/* Too long a list is cut. */
static void
append(char *list, size_t capacity, const char *before, const char *word)
{
	size_t used = strlen(list);

	(void)snprintf(list + used, capacity - used, "%s%s", before, word);
}

/* "linearizable, lease or stale" */
static void
list_words(const char *const *words, char *ret_list, size_t capacity)
{
	ret_list[0] = '\0';
	for (uint32_t i = 0; words[i] != NULL; i++)
		append(ret_list, capacity,
			i == 0                 ? ""
			: words[i + 1] == NULL ? " or "
					       : ", ",
			words[i]);
}

static bool
find_word(const struct option_row *row, const char *text, uint64_t *ret_index)
{
	char list[256];

	for (uint64_t i = 0; row->words[i] != NULL; i++)
		if (strcmp(row->words[i], text) == 0) {
			*ret_index = i;
			return true;
		}
	list_words(row->words, list, sizeof(list));
	(void)complain_usage("--%s %.64s: expected %s", row->name, text, list);
	return false;
}

/* An empty one is what a script's variable left behind that was never set. */
static bool
take_text(const struct option_row *row, const char *text)
{
	if (text[0] == '\0') {
		(void)complain_usage("--%s is empty: --%s %s", row->name, row->name, row->argument);
		return false;
	}
	*row->text = text;
	return true;
}

static bool
take_number(const struct option_row *row, const char *text)
{
	char what[LABEL_BYTES];
	uint64_t number = 0;

	(void)snprintf(what, sizeof(what), "--%s", row->name); /* fits */
	if (row->words != NULL ? !find_word(row, text, &number)
			       : !parse_number(what, text, row->min, row->max, &number))
		return false;
	if (row->number != NULL)
		*row->number = number;
	if (row->number32 != NULL)
		*row->number32 = (uint32_t)number;
	return true;
}

static bool
take_value(const struct option_row *row, const char *text)
{
	if (row->take != NULL)
		return row->take(row, text);
	if (row->text != NULL)
		return take_text(row, text);
	if (row->flag == NULL)
		return take_number(row, text);
	*row->flag = true;
	return true;
}

/* ----------------------------------------------------------------------------- the command line */

/* The table in getopt's words. */
struct getopt_tables {
	struct option longs[OPTION_ROW_COUNT_MAX + 1];
	char letters[1 + 2 * OPTION_ROW_COUNT_MAX + 1];
};

static void
fill_tables(const struct option_page *page, struct getopt_tables *ret)
{
	struct option *next = ret->longs;
	char *letter = ret->letters;

	assert(page->row_count <= OPTION_ROW_COUNT_MAX);
	*ret = (struct getopt_tables){ 0 };
	*letter++ = ':'; /* tell a missing value from an unknown option */
	for (uint32_t i = 0; i < page->row_count; i++) {
		const struct option_row *row = &page->rows[i];

		if (row->name == NULL)
			continue;
		*next++ = (struct option){ row->name,
			row->argument != NULL ? required_argument : no_argument, NULL,
			ROW_CODE + (int)i };
		if (row->letter != '\0')
			*letter++ = row->letter;
		if (row->letter != '\0' && row->argument != NULL)
			*letter++ = ':';
	}
}

/* @param code  what getopt_long() returned, or left in optopt @return NULL: no option of ours */
static const struct option_row *
row_of(const struct option_page *page, int code)
{
	if (code >= ROW_CODE)
		return &page->rows[code - ROW_CODE];
	for (uint32_t i = 0; code != 0 && i < page->row_count; i++)
		if (page->rows[i].name != NULL && page->rows[i].letter == code)
			return &page->rows[i];
	return NULL;
}

static void
list_options(const struct option_page *page, char *ret_list, size_t capacity)
{
	ret_list[0] = '\0';
	for (uint32_t i = 0; i < page->row_count; i++)
		if (page->rows[i].name != NULL)
			append(ret_list, capacity, " --", page->rows[i].name);
	if (page->version != NULL)
		append(ret_list, capacity, " --", "version");
	append(ret_list, capacity, " --", "help");
}

/* Of what getopt_long() returned '?' or ':' for. */
static int
complain_option(const struct option_page *page, int code, const char *argument)
{
	const struct option_row *row = row_of(page, optopt);
	char list[512];

	if (code == ':' && optopt >= ROW_CODE)
		return complain_usage(
			"--%s needs a value: --%s %s", row->name, row->name, row->argument);
	if (code == ':')
		return complain_usage("-%c needs a value: -%c %s", optopt, optopt, row->argument);
	if (optopt >= ROW_CODE)
		return complain_usage("--%s takes no value", row->name);
	list_options(page, list, sizeof(list));
	if (optopt != 0)
		return complain_usage("unknown option '-%c': there are%s", optopt, list);
	return complain_usage("unknown option '%.64s': there are%s", argument, list);
}

static bool
has_word(int argc, char **argv, const char *word, const char *other)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], word) == 0 || strcmp(argv[i], other) == 0)
			return true;
	return false;
}

/* getopt_long() takes any beginning of a name that no other one has; but a script that has one
 * stops to work, or does something else, on the day that another option begins so. @param word  as
 * it was given @return true: all of the name */
static bool
is_whole_name(const struct option_row *row, const char *word)
{
	size_t bytes = strlen(row->name);

	return strncmp(word + 2, row->name, bytes) == 0 &&
	       (word[2 + bytes] == '\0' || word[2 + bytes] == '=');
}

int
options_take(int argc, char **argv, const struct option_page *page, int *ret_first)
{
	const char letter[] = { '-', page->version_letter, '\0' };
	const char *other = letter[1] != '\0' ? letter : "--version";
	struct getopt_tables tables;
	int code;

	/* First of all, so that it helps whatever else is wrong, and shows the defaults. */
	if (has_word(argc, argv, "--help", "-h")) {
		options_print_help(stdout, page);
		return EXIT_SUCCESS;
	}
	if (page->version != NULL && has_word(argc, argv, "--version", other)) {
		(void)printf("%s %s\n", program_name, page->version);
		return EXIT_SUCCESS;
	}
	fill_tables(page, &tables);
	opterr = 0; /* complaints are ours */
	optind = 0; /* from the start, also the second time */
	while ((code = getopt_long(argc, argv, tables.letters, tables.longs, NULL)) != -1) {
		/* The option itself, if its value is a word of its own. */
		const char *word = argv[optind - 1 - (optarg == argv[optind - 1])];

		if (code == '?' || code == ':')
			return complain_option(page, code, argv[optind - 1]);
		if (code >= ROW_CODE && !is_whole_name(row_of(page, code), word)) {
			optopt = 0;
			return complain_option(page, '?', word);
		}
		if (!take_value(row_of(page, code), optarg))
			return EXIT_USAGE;
	}
	*ret_first = optind;
	return OPTIONS_GO_ON;
}
