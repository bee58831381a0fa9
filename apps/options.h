/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file options.h
 * Command lines: a program describes its options in a table, and the rest follows from it: what is
 * taken, what --help prints, and what is said about a command line that is wrong.
 *
 *	struct copy_options o = { .count = 64 };
 *	const struct option_row rows[] = {
 *		{ "count", 'n', "N", "so many at a time", .number = &o.count, .min = 1, .max = 4096 },
 *		{ "json", 0, NULL, "one JSON object per line", .flag = &o.is_json },
 *	};
 *
 * Threads:  one: getopt() keeps its place in globals.
 * Errors:   one line on standard error, and the exit status of the program.
 * Memory:   allocates nothing; texts are pointers into argv.
 */
#ifndef APPS_OPTIONS_H
#define APPS_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define EXIT_USAGE           2 /* somebody has to correct something first */
#define OPTION_ROW_COUNT_MAX 32

/* One option; without a name an argument, which --help explains and the caller takes. */
struct option_row {
	const char *name;     /* without "--" */
	char letter;          /* 0: it has none */
	const char *argument; /* what --help calls its value; NULL: it takes none */
	const char *help;

	/* Where it goes: one of these. What stands there before is the default, and --help shows
	 * it, if it is a value that could be given. */
	bool *flag;
	const char **text;
	uint64_t *number; /* min .. max, or which of the words */
	uint32_t *number32;
	bool (*take)(const struct option_row *row, const char *text); /* false: after a complaint */
	void *context;                                                /* for take() */

	uint64_t min, max;
	const char *const *words; /* with a NULL behind the last; NULL: numbers */
};

struct option_page {
	const char *synopsis; /* behind the program's name */
	const char *about;    /* paragraphs; a newline begins another line */
	const struct option_row *rows;
	uint32_t row_count;
	const char *version; /* NULL: there is no --version */
	char version_letter; /* 0: it has none */
};

/* What options_take() returns if the program shall go on. */
#define OPTIONS_GO_ON (-1)

/** Name in front of complaints and in --help; main() sets it once. @param command  may be "" */
void options_set_program(const char *program, const char *command);

/**
 * Take the options of a command line, or print what --help and --version ask for.
 *
 * @param argv       gets another order: what is neither an option nor its value moves to the end
 * @param ret_first  index of the first such argument; argc if there is none
 * @return OPTIONS_GO_ON, or the exit status: 0 after --help, EXIT_USAGE after a complaint
 */
int options_take(int argc, char **argv, const struct option_page *page, int *ret_first);

/** What --help prints. */
void options_print_help(FILE *to, const struct option_page *page);

/** One line on standard error: "decree submit: ...". @return EXIT_FAILURE */
__attribute__((format(printf, 1, 2))) int complain(const char *format, ...);

/** From here on complaints are told this way, without the program's name. */
void options_set_complaint(void (*take)(const char *text));

/** The same with a pointer to --help. @return EXIT_USAGE */
__attribute__((format(printf, 1, 2))) int complain_usage(const char *format, ...);

/** A whole number. @param what  whose it is, for the complaint @return false after one */
bool parse_number(const char *what, const char *text, uint64_t min, uint64_t max, uint64_t *ret);

#endif
