/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MS UINT64_C(1000000)

static const char help[] =
	"usage: decree member -c FILE [OPTION ...] [section.key=value ...] WHAT\n\n"
	"  add NODE DISK           NODE joins: it learns everything, then it votes\n"
	"  remove NODE             NODE votes no more, and ends when the others have all it had\n"
	"  replace OLD NODE DISK   NODE takes the place of OLD, whose disk is lost, say\n"
	"  list                    who the members are\n\n"
	"DISK is what 'decree format' printed on NODE. A node id is never used twice: NODE is "
	"above\n"
	"every id that ever was a member. One change at a time; repeating a command is safe.\n\n"
	"  -c, --config FILE  the configuration of the cluster\n"
	"  -g, --group N      of this group (0)\n"
	"      --q1 N         nodes that elect a leader, afterwards (a majority)\n"
	"      --q2 N         nodes that choose a value, afterwards (a majority)\n"
	"      --timeout MS   wait this long for the outcome (60000)\n";

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
	struct decree_client *client = open_client(&o->config, (uint16_t)o->group, 1);
	uint8_t arguments[DECREE_ADMIN_ARGUMENT_BYTES] = { 0 };
	char text[DECREE_ERROR_BYTES];
	int rc;

	if (client == NULL)
		return EXIT_FAILURE;
	store(arguments, o->node_id, 2);
	store(arguments + 2, o->old_id, 2);
	arguments[4] = (uint8_t)o->q1;
	arguments[5] = (uint8_t)o->q2;
	store(arguments + 8, o->disk, 8);
	rc = decree_client_admin(client, o->op, arguments, o->timeout_ms * MS, text);
	decree_client_close(client);
	if (rc != 0)
		return complain("%s", text);
	(void)printf("%s\n", text);
	return EXIT_SUCCESS;
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
} whats[] = {
	{ "add", DECREE_ADMIN_MEMBER_ADD, 2 },
	{ "remove", DECREE_ADMIN_MEMBER_REMOVE, 1 },
	{ "replace", DECREE_ADMIN_MEMBER_REPLACE, 3 },
	{ "list", DECREE_ADMIN_MEMBER_LIST, 0 },
};

/* @return 0, or EXIT_USAGE after a complaint */
static int
take_what(struct member_options *o, const char *const *words, int count)
{
	const struct what *what = NULL;
	int at = 1;

	for (uint32_t i = 0; count > 0 && i < sizeof(whats) / sizeof(whats[0]); i++)
		if (strcmp(whats[i].word, words[0]) == 0)
			what = &whats[i];
	if (what == NULL)
		return complain_usage("add, remove, replace or list?");
	if (count - 1 != what->count)
		return complain_usage("'%s' takes %d words", what->word, what->count);
	o->op = what->op;
	if (what->op == DECREE_ADMIN_MEMBER_REPLACE &&
		!parse_number("OLD", words[at++], 1, UINT16_MAX, &o->old_id))
		return EXIT_USAGE;
	if (what->count > 0 && !parse_number("NODE", words[at++], 1, UINT16_MAX, &o->node_id))
		return EXIT_USAGE;
	if (at < count && !parse_disk(words[at], &o->disk))
		return complain_usage(
			"DISK: 16 hexadecimal digits, as 'decree format' printed them");
	return 0;
}

static bool
take_option(struct member_options *o, int option)
{
	switch (option) {
	case 'c': o->config.path = optarg; return true;
	case 'g': return parse_number("--group", optarg, 0, DECREE_GROUP_COUNT_MAX - 1, &o->group);
	case 't': return parse_number("--timeout", optarg, 1, 3600000, &o->timeout_ms);
	case '1': return parse_number("--q1", optarg, 1, DECREE_NODE_COUNT_MAX, &o->q1);
	case '2': return parse_number("--q2", optarg, 1, DECREE_NODE_COUNT_MAX, &o->q2);
	default: return false;
	}
}

int
command_member(int argc, char **argv)
{
	static const struct option options[] = { { "config", required_argument, NULL, 'c' },
		{ "group", required_argument, NULL, 'g' },
		{ "timeout", required_argument, NULL, 't' }, { "q1", required_argument, NULL, '1' },
		{ "q2", required_argument, NULL, '2' }, { "help", no_argument, NULL, 'h' }, { 0 } };
	struct member_options o = { .timeout_ms = 60000 };
	const char *words[4];
	int option;

	while ((option = getopt_long(argc, argv, ":c:g:h", options, NULL)) != -1) {
		if (option == 'h')
			return printf("%s", help), EXIT_SUCCESS;
		if (option == '?' || option == ':')
			return complain_option(argv);
		if (!take_option(&o, option))
			return EXIT_USAGE;
	}
	int count = take_arguments(argc, argv, &o.config, words, 4);
	if (count < 0 || take_what(&o, words, count) != 0)
		return EXIT_USAGE;
	return run(&o);
}
