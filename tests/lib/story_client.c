/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands of a story that come from clients: sessions and what they submit, reads and leases.
 */
#include "tests/lib/story_private.h"

#include <stdlib.h>

#define BODY_BYTES 4096

static void
submit(struct story *s, uint16_t node, struct decree_session session, uint64_t seq,
	const void *body, uint32_t bytes)
{
	enum eng_submit_status status = cluster_submit(s->cluster, node, session, seq, body, bytes);

	if (status != ENG_SUBMIT_OK)
		story_line(s, "%u refuses: %s", node, eng_submit_status_name(status));
}

static void
submit_token(struct story *s, uint16_t node, const char *text)
{
	char token[DECREE_UUID_BYTES + 1];

	(void)snprintf(token, sizeof(token), "%-16s", text);
	submit(s, node, (struct decree_session){ 0 }, 0, token, DECREE_UUID_BYTES);
}

static bool
do_register(struct story *s, const struct words *w)
{
	uint16_t node = story_node_of(s, w->at[1]);
	uint32_t i = 0;

	while (i < s->session_count && strcmp(s->sessions[i].name, w->at[2]) != 0)
		i++;
	if (node == 0 || i == STORY_SESSION_MAX)
		return false;
	if (i == s->session_count) {
		(void)snprintf(s->sessions[i].name, sizeof(s->sessions[i].name), "%s", w->at[2]);
		s->session_count++;
	}
	submit_token(s, node, w->at[2]);
	return true;
}

static uint32_t
body_of(const char *word, uint8_t *ret_body)
{
	const char *star = strchr(word, '*');
	uint32_t bytes = star != NULL ? (uint32_t)strtoul(star + 1, NULL, 10) : 0;

	if (star == word + 1 && bytes > 0 && bytes <= BODY_BYTES) {
		memset(ret_body, *word, bytes);
		return bytes;
	}
	bytes = (uint32_t)strlen(word);
	memcpy(ret_body, word, bytes);
	return bytes;
}

static bool
do_submit(struct story *s, const struct words *w)
{
	uint16_t node = story_node_of(s, w->at[1]);
	uint8_t body[BODY_BYTES];

	if (node == 0 || (w->count != 3 && w->count != 5))
		return false;
	if (w->count == 3) {
		submit_token(s, node, w->at[2]);
		return true;
	}
	uint32_t bytes = body_of(w->at[4], body);
	for (uint32_t i = 0; i < s->session_count; i++)
		if (strcmp(s->sessions[i].name, w->at[2]) == 0) {
			submit(s, node, s->sessions[i].session, strtoull(w->at[3], NULL, 10), body,
				bytes);
			return true;
		}
	return false;
}

/* Registrations t1, t2, ... , settled in groups that fit the window. */
static bool
do_fill(struct story *s, const struct words *w)
{
	uint16_t node = story_node_of(s, w->at[1]);
	uint32_t count = (uint32_t)strtoul(w->at[2], NULL, 10);

	for (uint32_t i = 1; node != 0 && i <= count; i++) {
		char token[DECREE_UUID_BYTES + 1];
		(void)snprintf(token, sizeof(token), "t%u", i);
		submit_token(s, node, token);
		if ((i % 16 == 0 || i == count) && !story_settle(s))
			return false;
	}
	return node != 0;
}

static bool
do_read(struct story *s, const struct words *w)
{
	uint16_t node = story_node_of(s, w->at[1]);

	if (node != 0)
		cluster_read(s->cluster, node, ++s->read_count);
	return node != 0;
}

static bool
do_leases(struct story *s, const struct words *w)
{
	struct cluster *c = s->cluster;

	c->lease_ns = story_ms_of(w->at[1]);
	for (uint16_t node = 1; node <= c->node_count; node++)
		if (c->nodes[node].up)
			cluster_replica(c, node)->cfg.lease_ns = c->lease_ns;
	return true;
}

static bool
do_lease(struct story *s, const struct words *w)
{
	uint16_t node = story_node_of(s, w->at[1]);

	if (node == 0 || !s->cluster->nodes[node].up)
		return false;
	story_line(s, "%u holds %s lease", node,
		eng_lease_holds(cluster_replica(s->cluster, node), s->cluster->now_ns) ? "a"
										       : "no");
	return true;
}

static bool
do_deadline(struct story *s, const struct words *w)
{
	bool stays = w->count == 3;

	if (stays && strcmp(w->at[2], "stays") != 0)
		return false;
	cluster_deadline(s->cluster, story_ms_of(w->at[1]), stays);
	return true;
}

const struct story_command story_client_commands[] = {
	{ "register", 3, 3, do_register },
	{ "submit", 3, 5, do_submit },
	{ "fill", 3, 3, do_fill },
	{ "read", 2, 2, do_read },
	{ "leases", 2, 2, do_leases },
	{ "lease", 2, 2, do_lease },
	{ "deadline", 2, 3, do_deadline },
	{ 0 },
};
