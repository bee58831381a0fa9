/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every story of tests/data, each a test by its file's name (see tests/lib/story.h).
 *
 *   test_stories [FILE...]             run all stories, or these
 *   test_stories --rewrite [FILE...]   write the trace that they leave now; review it like code
 */
#include "tests/lib/story.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define SEPARATOR      "----\n"
#define FILE_MAX       300
#define FILE_BYTES     (1u << 20)
#define LINE_COUNT_MAX 4000

static char *
file_read(const char *path)
{
	FILE *f = fopen(path, "rb");
	char *text = calloc(1, FILE_BYTES);

	decree_assert(text != NULL);
	if (f == NULL || fread(text, 1, FILE_BYTES - 1, f) == 0) {
		perror(path);
		exit(2);
	}
	(void)fclose(f); /* read only */
	return text;
}

/* Cuts the text in two. @return the expected trace, "" if there is none yet */
static char *
split(char *text)
{
	char *at = strstr(text, "\n" SEPARATOR);

	if (at == NULL)
		return text + strlen(text);
	at[1] = '\0';
	return at + 1 + strlen(SEPARATOR);
}

/* ---- the difference of two traces ---- */

static uint32_t
lines_of(char *text, char **ret_lines)
{
	uint32_t count = 0;

	for (char *line = text; *line != '\0' && count < LINE_COUNT_MAX;) {
		char *end = strchr(line, '\n');
		ret_lines[count++] = line;
		if (end == NULL)
			break;
		*end = '\0';
		line = end + 1;
	}
	return count;
}

/* Longest common subsequence, two lines of context; traces are short. */
static void
print_difference(char *expected, char *actual)
{
	static char *a[LINE_COUNT_MAX];
	static char *b[LINE_COUNT_MAX];
	uint32_t rows = lines_of(expected, a);
	uint32_t columns = lines_of(actual, b);
	uint16_t *same = calloc((size_t)(rows + 1) * (columns + 1), sizeof(*same));
	uint32_t since = 3;

#define SAME(i, j) same[(size_t)(i) * (columns + 1) + (j)]
	for (uint32_t i = rows; i-- > 0;)
		for (uint32_t j = columns; j-- > 0;)
			SAME(i, j) = strcmp(a[i], b[j]) == 0           ? SAME(i + 1, j + 1) + 1
				     : SAME(i + 1, j) > SAME(i, j + 1) ? SAME(i + 1, j)
								       : SAME(i, j + 1);
	for (uint32_t i = 0, j = 0; i < rows || j < columns;) {
		if (i < rows && j < columns && strcmp(a[i], b[j]) == 0) {
			bool near = since++ < 2 || (i + 1 < rows && j + 1 < columns &&
							   strcmp(a[i + 1], b[j + 1]) != 0);
			if (near || *a[i] == '*')
				fprintf(stderr, "  %s\n", a[i]);
			i++;
			j++;
		} else if (j >= columns || (i < rows && SAME(i + 1, j) >= SAME(i, j + 1))) {
			fprintf(stderr, "- %s\n", a[i++]);
			since = 0;
		} else {
			fprintf(stderr, "+ %s\n", b[j++]);
			since = 0;
		}
	}
#undef SAME
	free(same);
}

/* ---- running ---- */

static void
test_story(void **state)
{
	const char *path = *state;
	char *text = file_read(path);
	char *expected = split(text);
	char *actual = story_run(text);
	bool same = strcmp(expected, actual) == 0 && strstr(actual, "\n! ") == NULL;

	if (!same) {
		fprintf(stderr, "%s: - expected, + happened\n", path);
		print_difference(expected, actual);
	}
	free(text);
	free(actual);
	assert_true(same);
}

static int
rewrite(const char *path)
{
	char *text = file_read(path);

	(void)split(text);
	char *trace = story_run(text);
	if (strstr(trace, "\n! ") != NULL)
		fprintf(stderr, "%s: a command cannot be run\n", path);
	FILE *f = fopen(path, "wb");
	int rc = f == NULL || fprintf(f, "%s" SEPARATOR "%s", text, trace) < 0;

	if (f != NULL)
		rc |= fclose(f);
	if (rc != 0)
		perror(path);
	free(text);
	free(trace);
	return rc;
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static uint32_t
stories_find(char **ret_paths)
{
	DIR *dir = opendir(STORY_DIR);
	struct dirent *entry;
	uint32_t count = 0;

	if (dir == NULL) {
		perror(STORY_DIR);
		exit(2);
	}
	while ((entry = readdir(dir)) != NULL && count < FILE_MAX) {
		const char *dot = strrchr(entry->d_name, '.');
		if (dot == NULL || strcmp(dot, ".txt") != 0)
			continue;
		int rc = asprintf(&ret_paths[count], "%s/%s", STORY_DIR, entry->d_name);
		decree_assert(rc > 0);
		count++;
	}
	(void)closedir(dir); /* read only */
	qsort(ret_paths, count, sizeof(*ret_paths), by_name);
	return count;
}

int
main(int argc, char **argv)
{
	static struct CMUnitTest tests[FILE_MAX];
	static char *paths[FILE_MAX];
	bool rewrites = argc > 1 && strcmp(argv[1], "--rewrite") == 0;
	uint32_t count = 0;
	int rc = 0;

	for (int i = 1 + rewrites; i < argc && count < FILE_MAX; i++)
		paths[count++] = strdup(argv[i]);
	if (count == 0)
		count = stories_find(paths);
	for (uint32_t i = 0; rewrites && i < count; i++)
		rc |= rewrite(paths[i]);
	for (uint32_t i = 0; i < count; i++) {
		const char *name = strrchr(paths[i], '/');
		tests[i] = (struct CMUnitTest){
			.name = name != NULL ? name + 1 : paths[i],
			.test_func = test_story,
			.initial_state = paths[i],
		};
	}
	if (!rewrites)
		rc = _cmocka_run_group_tests("stories", tests, count, NULL, NULL);
	for (uint32_t i = 0; i < count; i++)
		free(paths[i]);
	return rc;
}
