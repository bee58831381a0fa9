/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MEMBERS_TEXT_BYTES (DECREE_MEMBER_COUNT_MAX * 8 + 1) /* "(65535)," each */

static const char about[] = "One row per node and group. Nodes that do not answer are named on "
			    "standard error; the exit status is 0 if any node answered.";

static void
print_peers_json(const struct decree_status *s)
{
	for (uint32_t i = 0; i < s->peer_count; i++) {
		const struct decree_peer_row *peer = &s->peers[i];

		(void)printf("%s{\"node\":%u,\"up\":%s,\"commit\":%" PRIu64 ",\"echo_age_ms\":",
			i > 0 ? "," : "", peer->node_id, peer->session_up ? "true" : "false",
			peer->commit.n);
		if (peer->echo_age_ns == UINT64_MAX)
			(void)printf("null}");
		else
			(void)printf("%.3f}", (double)peer->echo_age_ns / 1e6);
	}
}

static void
print_members_json(const struct decree_status *s)
{
	(void)printf("\"version\":%" PRIu32 ",\"version_min\":%" PRIu32 ",\"version_max\":%" PRIu32
		     ",",
		s->version, s->version_min, s->version_max);
	(void)printf("\"epoch\":%" PRIu32 ",\"is_changing\":%s,\"q1\":%" PRIu32 ",\"q2\":%" PRIu32
		     ",\"member\":\"%s\",\"members\":[",
		s->epoch, s->is_changing ? "true" : "false", s->q1, s->q2, member_word(s->kind));
	for (uint32_t i = 0; i < s->member_count; i++)
		(void)printf("%s{\"node\":%u,\"member\":\"%s\"}", i > 0 ? "," : "",
			s->members[i].node_id, member_word(s->members[i].kind));
	(void)printf("],");
}

static void
print_json(const struct decree_status *s)
{
	(void)printf("{\"node\":%u,\"group\":%u,\"role\":\"%s\",\"ready\":%s,\"leader\":%u,"
		     "\"ballot\":%" PRIu64 ",\"chosen\":%" PRIu64 ",\"applied\":%" PRIu64
		     ",\"applied_count\":%" PRIu64 ",\"digest\":\"%016" PRIx64 "%016" PRIx64 "\",",
		s->node_id, s->group, role_word(s->role), s->ready ? "true" : "false", s->leader,
		s->ballot.n, s->chosen.n, s->applied.n, s->applied_count, s->digest.hi,
		s->digest.lo);
	(void)printf("\"log_mode\":\"%s\",\"auth\":\"%s\",\"idle\":\"%s\",\"log_full\":%s,\"log_"
		     "bytes_used\":%" PRIu64 ",\"log_bytes\":%" PRIu64 ",\"boot_count\":%" PRIu64
		     ",\"uptime_ms\":%.3f,\"start_to_ready_ms\":%.3f,\"memory_bytes\":%" PRIu64 ",",
		log_mode_word(s->log_mode), s->auth ? "gmac" : "none", idle_word(s->idle),
		s->log_full ? "true" : "false", s->log_bytes_used, s->log_bytes, s->boot_count,
		(double)s->uptime_ns / 1e6, (double)s->start_to_ready_ns / 1e6, s->memory_bytes);
	(void)printf("\"frames_received\":%" PRIu64 ",\"frames_sent\":%" PRIu64
		     ",\"frames_dropped\":%" PRIu64 ",\"messages_dropped\":%" PRIu64
		     ",\"elections\":%" PRIu64 ",\"sessions\":%" PRIu32
		     ",\"sessions_evicted\":%" PRIu64 ",\"agreed\":%" PRIu64 ",",
		s->frames_received, s->frames_sent, s->frames_dropped, s->messages_dropped,
		s->elections, s->session_count, s->session_evicted_count, s->agreed.n);
	(void)printf("\"low\":%" PRIu64 ",\"snapshot\":%" PRIu64 ",\"snapshot_bytes\":%" PRIu64
		     ",\"snapshot_unix_s\":%" PRIu64 ",\"snapshot_space_low\":%s,",
		s->low.n, s->snapshot.n, s->snapshot_bytes, s->snapshot_unix_s,
		s->snapshot_space_low ? "true" : "false");
	(void)printf("\"snapshot_damaged\":%s,\"log_damaged\":%" PRIu64
		     ",\"log_doubtful\":%s,\"log_rewritten\":%" PRIu64 ",\"log_scrubs\":%" PRIu64
		     ",",
		s->snapshot_damaged ? "true" : "false", s->log_damaged,
		s->log_doubtful ? "true" : "false", s->log_rewritten, s->log_scrub_count);
	print_members_json(s);
	(void)printf("\"peers\":[");
	print_peers_json(s);
	(void)printf("],\"lease_ms\":%" PRIu64 ",\"has_lease\":%s,\"reads\":%" PRIu64
		     ",\"lease_reads\":%" PRIu64 ",\"read_rounds\":%" PRIu64 "}\n",
		s->lease_ns / MS, s->has_lease ? "true" : "false", s->reads, s->lease_reads,
		s->read_rounds);
}

static void
print_header(void)
{
	(void)printf("%4s %5s %-9s %5s %9s %12s %12s %12s %-8s %-4s %5s %8s %7s %8s %12s %6s %5s "
		     "%5s %7s %s\n",
		"node", "group", "role", "ready", "ballot", "chosen", "applied", "commands", "log",
		"auth", "peers", "drops", "memory", "sessions", "snapshot", "age", "epoch", "q1/q2",
		"version", "members");
}

/* "-", or in the largest unit that gives at least 1. */
static void
snapshot_age(const struct decree_status *s, char text[32])
{
	static const struct {
		uint64_t s;
		char unit;
	} units[] = { { 86400, 'd' }, { 3600, 'h' }, { 60, 'm' } };
	uint64_t now = (uint64_t)time(NULL);
	uint64_t age = now > s->snapshot_unix_s ? now - s->snapshot_unix_s : 0;

	if (s->snapshot.n == 0) {
		(void)strcpy(text, "-");
		return;
	}
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (age >= units[i].s) {
			(void)snprintf(text, 32, "%" PRIu64 "%c", age / units[i].s,
				units[i].unit); /* fits */
			return;
		}
	(void)snprintf(text, 32, "%" PRIu64 "s", age); /* fits */
}

/* "1,2,3,(4)": learners in parentheses. */
static void
members_text(const struct decree_status *s, char text[MEMBERS_TEXT_BYTES])
{
	int at = snprintf(text, MEMBERS_TEXT_BYTES, "%s", s->member_count == 0 ? "-" : "");

	for (uint32_t i = 0; i < s->member_count; i++)
		at += snprintf(text + at, MEMBERS_TEXT_BYTES - (size_t)at,
			s->members[i].kind == DECREE_LEARNER ? "%s(%u)" : "%s%u", i > 0 ? "," : "",
			s->members[i].node_id); /* fits */
}

/* Who does not vote has no other role: an outsider only looks for those who would take it in. */
static const char *
row_role(const struct decree_status *s)
{
	return s->kind == DECREE_VOTER || s->role == DECREE_LEADER ? role_word(s->role)
								   : member_word(s->kind);
}

static void
print_row(const struct decree_status *s)
{
	char ballot[32];
	char peers[16];
	char age[32];
	char members[MEMBERS_TEXT_BYTES];
	uint32_t up = 0;

	for (uint32_t i = 0; i < s->peer_count; i++)
		up += s->peers[i].session_up;
	(void)snprintf(ballot, sizeof(ballot), "%" PRIu64 ".%u", s->ballot.n >> 16,
		(unsigned int)(s->ballot.n & 0xffff)); /* fits */
	snapshot_age(s, age);
	members_text(s, members);
	(void)snprintf(peers, sizeof(peers), "%" PRIu32 "/%" PRIu32, up, s->peer_count); /* fits */
	(void)printf("%4u %5u %-9s %5s %9s %12" PRIu64 " %12" PRIu64 " %12" PRIu64
		     " %-8s %-4s %5s %8" PRIu64 " %4" PRIu64 "MiB %8" PRIu32 " %12" PRIu64
		     " %6s %5" PRIu32 " %3" PRIu32 "/%" PRIu32 " %5" PRIu32 "/%" PRIu32
		     " %s%s%s%s%s%s%s\n",
		s->node_id, s->group, row_role(s),
		s->role == DECREE_LEADER ? s->ready ? "yes" : "no" : "-", ballot, s->chosen.n,
		s->applied.n, s->applied_count, log_mode_word(s->log_mode),
		s->auth ? "gmac" : "NONE", peers, s->frames_dropped + s->messages_dropped,
		s->memory_bytes >> 20, s->session_count, s->snapshot.n, age, s->epoch, s->q1, s->q2,
		s->version, s->version_max, members, s->has_lease ? " lease" : "",
		s->log_full ? " LOG FULL" : "",
		s->snapshot_space_low ? " NO SPACE FOR SNAPSHOTS" : "",
		s->log_doubtful ? " LOG IN DOUBT" : "", s->log_damaged > 0 ? " LOG DAMAGED" : "",
		s->snapshot_damaged ? " SNAPSHOT DAMAGED" : "");
}

struct status_options {
	struct config_arguments config;
	uint64_t timeout_ms;
	bool is_json;
};

/* @param ret_count  how many nodes answered, added @return OPTIONS_GO_ON, or the exit status */
static int
show_group(const struct status_options *o, const struct decree_setup *setup, uint16_t group,
	int *ret_count)
{
	int failure;
	struct decree_client *client = open_client(&o->config, group, 1, &failure);

	if (client == NULL)
		return failure;
	if (group == 0 && !o->is_json)
		print_header();
	for (uint32_t i = 0; i < setup->node_count; i++) {
		struct decree_status status;
		int rc = decree_client_status(client, setup->nodes[i], o->timeout_ms * MS, &status);

		if (rc != 0) {
			(void)complain("node %u, group %u: %s", setup->nodes[i], group,
				"no answer: not running, not reachable, or another key");
			continue;
		}
		(o->is_json ? print_json : print_row)(&status);
		*ret_count += 1;
	}
	decree_client_close(client);
	return OPTIONS_GO_ON;
}

static int
run(const struct status_options *o)
{
	struct decree_setup setup;
	int answered = 0;
	int status;

	status = read_setup(&o->config, false, &setup);
	if (status != OPTIONS_GO_ON)
		return status;
	for (uint16_t group = 0; group < setup.group_count; group++) {
		status = show_group(o, &setup, group, &answered);
		if (status != OPTIONS_GO_ON)
			return status;
	}
	return answered > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int
command_status(int argc, char **argv)
{
	struct status_options o = { .timeout_ms = 500 };
	const struct option_row rows[] = {
		row_searched_config(&o.config),
		row_timeout(&o.timeout_ms, "wait this long for each node"),
		row_json(&o.is_json, "one JSON object per line"),
	};
	const struct option_page page = { "[-c FILE] [OPTION ...] [section.key=value ...]", about,
		rows, ROW_COUNT(rows) };
	int status = take_arguments(argc, argv, &page, &o.config, NULL, 0);

	return status == OPTIONS_GO_ON ? run(&o) : status;
}
