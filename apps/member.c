/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORD_COUNT_MAX 4

static const char about[] =
	"Change who the members are, or list them. DISK is what 'decree format' printed on NODE. A "
	"node id is never used twice: NODE is above every id that ever was a member. One change at "
	"a time; repeating a command is safe.";

struct member_options {
	struct config_arguments config;
	uint64_t group;
	uint64_t timeout_ms;
	uint64_t q1;
	uint64_t q2;
	enum decree_admin_op op;
	uint64_t node_id;
	uint64_t old_id;
	uint64_t disk;
};

static void
store(uint8_t *at, uint64_t value, uint32_t bytes)
{
	for (uint32_t i = 0; i < bytes; i++)
		at[i] = (uint8_t)(value >> (8 * i));
}

static int
run(const struct member_options *o)
{
	int status;
	struct decree_client *client = open_client(&o->config, (uint16_t)o->group, 1, &status);
	uint8_t arguments[DECREE_ADMIN_ARGUMENT_BYTES] = { 0 };
	char text[DECREE_ERROR_BYTES];
	int rc;

	if (client == NULL)
		return status;
	store(arguments, o->node_id, 2);
	store(arguments + 2, o->old_id, 2);
	arguments[4] = (uint8_t)o->q1;
	arguments[5] = (uint8_t)o->q2;
	store(arguments + 8, o->disk, 8);
	rc = decree_client_admin(client, o->op, arguments, o->timeout_ms * MS, text);
	decree_client_close(client);
	return tell_outcome(rc, text);
}

static bool
parse_disk(const char *text, uint64_t *ret_disk)
{
	char *end;

	*ret_disk = strtoull(text, &end, 16);
	return strlen(text) == 16 && *end == '\0' && *ret_disk != 0;
}

static const struct what {
	const char *word;
	enum decree_admin_op op;
	int count; /* of words behind it */
	const char *words;
} whats[] = {
	{ "add", DECREE_ADMIN_MEMBER_ADD, 2, ": NODE DISK" },
	{ "remove", DECREE_ADMIN_MEMBER_REMOVE, 1, ": NODE" },
	{ "replace", DECREE_ADMIN_MEMBER_REPLACE, 3, ": OLD NODE DISK" },
	{ "list", DECREE_ADMIN_MEMBER_LIST, 0, "" },
};

static int
count_words(const char *const words[WORD_COUNT_MAX])
{
	int count = 0;

	while (count < WORD_COUNT_MAX && words[count] != NULL)
		count++;
	return count;
}

static const struct what *
find_what(const char *word)
{
	for (uint32_t i = 0; word != NULL && i < sizeof(whats) / sizeof(whats[0]); i++)
		if (strcmp(whats[i].word, word) == 0)
			return &whats[i];
	return NULL;
}

/* @return OPTIONS_GO_ON, or EXIT_USAGE after a complaint */
static int
take_what(struct member_options *o, const char *const words[WORD_COUNT_MAX])
{
	const struct what *what = find_what(words[0]);
	int count = count_words(words);
	int at = 1;

	if (what == NULL)
		return complain_usage("add, remove, replace or list?");
	if (count - 1 != what->count)
		return complain_usage("'%s' takes %d word%s%s", what->word, what->count,
			what->count == 1 ? "" : "s", what->words);
	o->op = what->op;
	if (what->op == DECREE_ADMIN_MEMBER_REPLACE && !parse_node("OLD", words[at++], &o->old_id))
		return EXIT_USAGE;
	if (what->count > 0 && !parse_node("NODE", words[at++], &o->node_id))
		return EXIT_USAGE;
	if (at < count && !parse_disk(words[at], &o->disk))
		return complain_usage(
			"DISK %s: expected 16 hexadecimal digits, as 'decree format' printed them",
			words[at]);
	return OPTIONS_GO_ON;
}

int
command_member(int argc, char **argv)
{
	struct member_options o = { .timeout_ms = 60000 };
	const struct option_row rows[] = {
		{ .argument = "add NODE DISK",
			.help = "NODE joins: it learns everything, then it votes" },
		{ .argument = "remove NODE",
			.help = "NODE votes no more, and ends when the others have all it had" },
		{ .argument = "replace OLD NODE DISK",
			.help = "NODE takes the place of OLD, whose disk is lost, say" },
		{ .argument = "list", .help = "who the members are" },
		row_searched_config(&o.config),
		row_group(&o.group),
		{ "q1", 0, "N", "nodes that elect a leader, afterwards (a majority)",
			.number = &o.q1, .min = 1, .max = DECREE_NODE_COUNT_MAX },
		{ "q2", 0, "N", "nodes that choose a value, afterwards (a majority)",
			.number = &o.q2, .min = 1, .max = DECREE_NODE_COUNT_MAX },
		row_timeout(&o.timeout_ms, "wait this long for the outcome"),
	};
	const struct option_page page = { "[-c FILE] [OPTION ...] [section.key=value ...] WHAT",
		about, rows, ROW_COUNT(rows) };
	const char *words[WORD_COUNT_MAX] = { NULL };
	int status = take_arguments(argc, argv, &page, &o.config, words, WORD_COUNT_MAX);

	if (status == OPTIONS_GO_ON)
		status = take_what(&o, words);
	return status == OPTIONS_GO_ON ? run(&o) : status;
}
