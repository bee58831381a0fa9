/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads a story: cuts its lines into words and finds each command in the table of its subject,
 * which says how many words may follow and what it does. A wrong command ends the story with a
 * message that names it; a replica's assertion ends the process.
 */
#include "tests/lib/story_private.h"

#include <stdlib.h>

/* ---- words ---- */

uint16_t
story_node_of(const struct story *s, const char *word)
{
	unsigned long node = strtoul(word, NULL, 10);

	return node >= 1 && node <= s->cluster->node_count ? (uint16_t)node : 0;
}

uint64_t
story_ms_of(const char *word)
{
	return strtoull(word + (*word == '+'), NULL, 10) * MS;
}

struct decree_ballot
story_ballot_of(const char *word)
{
	char *end;
	uint64_t round = strtoull(word, &end, 10);
	uint64_t node = *end == '.' ? strtoull(end + 1, NULL, 10) : 0;

	return (struct decree_ballot){ round << 16 | node };
}

const char *
story_key_of(const struct words *w, const char *key, const char *fallback)
{
	size_t bytes = strlen(key);

	for (uint32_t i = 4; i < w->count; i++)
		if (strncmp(w->at[i], key, bytes) == 0 && w->at[i][bytes] == '=')
			return w->at[i] + bytes + 1;
	return fallback;
}

uint64_t
story_number_of(const struct words *w, const char *key, uint64_t fallback)
{
	const char *word = story_key_of(w, key, NULL);

	return word != NULL ? strtoull(word, NULL, 10) : fallback;
}

bool
story_link_of(const struct story *s, const char *word, uint16_t *ret_src, uint16_t *ret_dst)
{
	const char *arrow = strchr(word, '>');

	if (arrow == NULL)
		return false;
	*ret_src = *word == '*' ? 0 : story_node_of(s, word);
	*ret_dst = arrow[1] == '*' ? 0 : story_node_of(s, arrow + 1);
	return (*ret_src != 0 || *word == '*') && (*ret_dst != 0 || arrow[1] == '*');
}

/* ---- commands about the story itself ---- */

static uint32_t
option_of(const struct words *w, const char *name, uint32_t fallback)
{
	for (uint32_t i = 2; i < w->count; i++)
		if (strncmp(w->at[i], name, strlen(name)) == 0)
			return (uint32_t)strtoul(w->at[i] + strlen(name), NULL, 10);
	return fallback;
}

static bool
do_nodes(struct story *s, const struct words *w)
{
	uint32_t count = (uint32_t)strtoul(w->at[1], NULL, 10);
	uint32_t digest_slots = option_of(w, "digest=", 0);
	uint32_t idle_slots = option_of(w, "idle=", 0);
	uint32_t alpha = option_of(w, "alpha=", 64);
	uint32_t q1 = w->count > 2 ? (uint32_t)strtoul(w->at[2], NULL, 10) : 0;
	uint32_t q2 = w->count > 3 ? (uint32_t)strtoul(w->at[3], NULL, 10) : 0;

	decree_assert(s->cluster == NULL);
	if (count < 1 || count > DECREE_NODE_COUNT_MAX)
		return false;
	s->cluster = cluster_create_with(count, q1, q2, digest_slots, idle_slots, alpha, 1);
	story_trace_hooks(s);
	return true;
}

static bool
do_status(struct story *s, const struct words *w)
{
	(void)w;
	story_trace_status(s);
	return true;
}

static bool
do_log(struct story *s, const struct words *w)
{
	uint16_t node = story_node_of(s, w->at[1]);

	story_line(s, "%u applied%s", node, s->log[node] != NULL ? s->log[node] : " nothing");
	return node != 0;
}

static bool
do_stamp(struct story *s, const struct words *w)
{
	uint16_t node = story_node_of(s, w->at[1]);

	story_line(s, "%u applied what was stamped at %llu ms", node,
		(unsigned long long)(s->stamp_ns[node] / MS));
	return node != 0;
}

/* The one command that needs no cluster: it makes it. */
static const struct story_command nodes_command = { "nodes", 2, 6, do_nodes };

static const struct story_command show_commands[] = {
	{ "status", 1, 1, do_status },
	{ "log", 2, 2, do_log },
	{ "stamp", 2, 2, do_stamp },
	{ 0 },
};

static const struct story_command *const tables[] = {
	show_commands,
	story_net_commands,
	story_time_commands,
	story_disk_commands,
	story_client_commands,
	story_admin_commands,
};

/* ---- reading ---- */

static const struct story_command *
command_of(const struct story *s, const char *word)
{
	if (s->cluster == NULL)
		return strcmp(word, nodes_command.name) == 0 ? &nodes_command : NULL;
	for (uint32_t i = 0; i < sizeof(tables) / sizeof(*tables); i++)
		for (const struct story_command *c = tables[i]; c->name != NULL; c++)
			if (strcmp(c->name, word) == 0)
				return c;
	return NULL;
}

static bool
run_words(struct story *s, struct words *w)
{
	const struct story_command *c;

	s->quiet = strcmp(w->at[0], "quiet") == 0;
	if (s->quiet)
		memmove(w->at, w->at + 1, --w->count * sizeof(*w->at));
	if (w->count == 0)
		return false;
	c = command_of(s, w->at[0]);
	return c != NULL && w->count >= c->words_min && w->count <= c->words_max && c->run(s, w);
}

/* One line: echo it, cut it into words, run it. */
static bool
run_line(struct story *s, const char *line)
{
	char text[256];
	char *rest = NULL;
	struct words w = { 0 };

	(void)snprintf(text, sizeof(text), "%s", line);
	for (char *word = strtok_r(text, " \t", &rest); word != NULL && w.count < STORY_WORD_MAX;
		word = strtok_r(NULL, " \t", &rest))
		w.at[w.count++] = word;
	if (w.count == 0 || *w.at[0] == '#')
		return true;
	s->quiet = false;
	story_line(s, "* %s", line);
	if (run_words(s, &w))
		return true;
	s->quiet = false;
	story_line(s, "! this command cannot be run here");
	return false;
}

char *
story_run(const char *text)
{
	struct story *s = calloc(1, sizeof(*s));
	char *lines = strdup(text);
	char *trace = NULL;
	char *rest = NULL;
	size_t bytes = 0;

	decree_assert(s != NULL && lines != NULL);
	s->trace = open_memstream(&trace, &bytes);
	decree_assert(s->trace != NULL);
	for (char *line = strtok_r(lines, "\n", &rest); line != NULL;
		line = strtok_r(NULL, "\n", &rest))
		if (!run_line(s, line))
			break;
	(void)fclose(s->trace); /* memory: cannot fail once it was open */
	cluster_destroy(s->cluster);
	for (uint16_t node = 1; node <= CLUSTER_NODE_MAX; node++)
		free(s->log[node]);
	free(lines);
	free(s);
	return trace;
}
