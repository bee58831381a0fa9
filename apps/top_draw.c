/* SPDX-License-Identifier: Apache-2.0 */
/* A screen of 80 columns: who leads, how fast, where the time goes, how full, and what is wrong. */
#include "apps/top.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#define BAR_CELLS        10
#define LEADERLESS_SHOWN 12 /* groups, so that the line has 80 columns at most */

struct pen {
	FILE *to;
	const char *bold, *dim, *good, *bad, *plain;
};

/* ------------------------------------------------------------------------------ values */

/* By its metric's name, and its labels if they tell several apart; DECREE_METRIC_ABSENT: there is
 * no such metric, or that node does not know of it. */
static uint64_t
value_of(const struct decree_metrics *m, const char *name, const char *labels)
{
	const struct decree_metric *row;

	for (uint32_t i = 0; i < m->value_count && (row = decree_metric_at(i)) != NULL; i++)
		if (strcmp(row->name, name) == 0 &&
			(labels == NULL || strcmp(row->labels, labels) == 0))
			return m->values[i];
	return DECREE_METRIC_ABSENT;
}

static uint64_t
value(const struct top_row *r, const char *name)
{
	return value_of(&r->metrics, name, NULL);
}

/* What is not known is not on. */
static bool
is_on(const struct top_row *r, const char *name)
{
	uint64_t now = value(r, name);

	return now != 0 && now != DECREE_METRIC_ABSENT;
}

/* The nodes execute the same commands: the leader tells how many there are, since a node that
 * catches up executes more at a time. While nobody leads, the fastest is the one that is not
 * behind. */
uint64_t
top_rate(const struct top_view *v)
{
	uint64_t sum = 0, best = 0;
	bool is_led = false;

	for (uint32_t i = 0; i < v->row_count; i++) {
		const struct top_row *r = &v->rows[i];
		uint64_t rate = r->has_answered ? value(r, "decree_commands_per_second") : 0;

		if (rate != DECREE_METRIC_ABSENT && r->has_answered &&
			value(r, "decree_role") == 2) {
			best = rate;
			is_led = true;
		} else if (rate != DECREE_METRIC_ABSENT && rate > best && !is_led) {
			best = rate;
		}
		if (i + 1 == v->row_count || v->rows[i + 1].group != r->group) {
			sum += best;
			best = 0;
			is_led = false;
		}
	}
	return sum;
}

/* In five cells: 999, 9999, 12.3k, 123k, 1.23M. */
static const char *
short_number(uint64_t n, char text[16])
{
	static const char units[] = { 'k', 'M', 'G', 'T', 'P', 'E' };
	double x = (double)n;
	int unit = -1;

	if (n == DECREE_METRIC_ABSENT)
		return "-";
	for (; x >= 9999.5 || (unit >= 0 && x >= 999.5); x /= 1000)
		unit++;
	if (unit < 0)
		(void)snprintf(text, 16, "%" PRIu64, n);
	else
		(void)snprintf(text, 16, "%.*f%c",
			x < 9.995   ? 2
			: x < 99.95 ? 1
				    : 0,
			x, units[unit]);
	return text;
}

/* In six cells: 85us, 1.2ms, 17.2s; "-" where nothing was measured. */
static const char *
short_time(uint64_t ns, char text[16])
{
	double us = (double)ns / 1e3;

	if (ns == 0 || ns == DECREE_METRIC_ABSENT)
		(void)snprintf(text, 16, "-");
	else if (us < 999.5)
		(void)snprintf(text, 16, "%.0fus", us);
	else if (us < 999500)
		(void)snprintf(text, 16, "%.*fms", us < 9995 ? 2 : us < 99950 ? 1 : 0, us / 1e3);
	else
		(void)snprintf(text, 16, "%.1fs", us / 1e6);
	return text;
}

/* All of its digits. */
static const char *
whole_number(uint64_t n, char text[24])
{
	if (n == DECREE_METRIC_ABSENT)
		return "-";
	(void)snprintf(text, 24, "%" PRIu64, n); /* fits */
	return text;
}

static uint64_t
stage(const struct top_row *r, const char *labels)
{
	return value_of(&r->metrics, "decree_stage_recent_seconds", labels);
}

/* ------------------------------------------------------------------------------ head */

static void
draw_history(const struct pen *p, const struct top_view *v)
{
	static const char *const cells[] = { "\u2581", "\u2582", "\u2583", "\u2584", "\u2585",
		"\u2586", "\u2587", "\u2588" };
	uint64_t most = 1;

	if (v->history_count < 2)
		return;
	for (uint32_t i = 0; i < v->history_count; i++)
		most = v->history[i] > most ? v->history[i] : most;
	(void)fprintf(p->to, "%s", p->good);
	for (uint32_t i = 0; i < v->history_count; i++)
		(void)fputs(cells[v->history[i] * 7 / most], p->to);
	(void)fprintf(p->to, "%s\n", p->plain);
}

/* What matters most: groups that take no commands. Nothing is said while nobody answers at all. */
static void
draw_leaderless(const struct pen *p, const struct top_view *v)
{
	bool is_led = false, has_any = false;
	uint32_t count = 0;

	for (uint32_t i = 0; i < v->row_count; i++) {
		const struct top_row *r = &v->rows[i];

		has_any |= r->has_answered;
		is_led |=
			r->has_answered && value(r, "decree_role") == 2 && is_on(r, "decree_ready");
		if (i + 1 < v->row_count && v->rows[i + 1].group == r->group)
			continue;
		if (has_any && !is_led && count++ == 0)
			(void)fprintf(p->to, "   %sNOBODY LEADS GROUP", p->bad);
		if (has_any && !is_led && count <= LEADERLESS_SHOWN)
			(void)fprintf(p->to, " %u", r->group);
		is_led = has_any = false;
	}
	(void)fprintf(p->to, "%s%s", count > LEADERLESS_SHOWN ? " ..." : "", p->plain);
}

static void
draw_head(const struct pen *p, const struct top_view *v)
{
	uint32_t up = 0;
	char clock[16], rate[16];
	time_t now = time(NULL);
	struct tm broken;

	for (uint32_t i = 0; i < v->row_count; i++)
		up += v->rows[i].has_answered && v->rows[i].group == v->rows[0].group;
	(void)strftime(clock, sizeof(clock), "%H:%M:%S", localtime_r(&now, &broken));
	(void)fprintf(p->to,
		"%sdecree%s %.24s%s%" PRIx64 "   %s%" PRIu32 " of %" PRIu32 " nodes%s   %s\n",
		p->bold, p->plain, v->name, v->name[0] != '\0' ? " " : "", v->cluster_id,
		up == v->node_count ? p->good : p->bad, up, v->node_count, p->plain, clock);
	(void)fprintf(
		p->to, "%s%s%s commands/s", p->bold, short_number(top_rate(v), rate), p->plain);
	draw_leaderless(p, v);
	(void)fputs("\n", p->to);
	draw_history(p, v);
}

/* -------------------------------------------------------------------------- rates and latencies */

static const char *
role(const struct top_row *r)
{
	static const char *const words[] = { "follower", "candidate", "leader" };

	if (value(r, "decree_is_voter") == 0)
		return "learner";
	return value(r, "decree_role") < 3 ? words[value(r, "decree_role")] : "-";
}

static void
draw_rates(const struct pen *p, const struct top_row *r)
{
	char rate[16], behind[16], whole[24], times[4][16];
	bool leads = value(r, "decree_role") == 2;
	uint64_t chosen = value(r, "decree_chosen_slot"), applied = value(r, "decree_applied_slot");
	uint64_t behind_count = chosen > applied ? chosen - applied : 0;

	(void)fprintf(p->to, "%4u %5u %s%-9s%s %8s %12s %6s %6s %6s %6s %6s\n", r->node_id,
		r->group, leads ? p->good : "", role(r), leads ? p->plain : "",
		short_number(value(r, "decree_commands_per_second"), rate),
		whole_number(applied, whole), short_number(behind_count, behind),
		short_time(stage(r, "stage=\"durable\",share=\"0.5\""), times[0]),
		short_time(stage(r, "stage=\"durable\",share=\"0.99\""), times[1]),
		short_time(leads ? stage(r, "stage=\"chosen\",share=\"0.5\"") : 0, times[2]),
		short_time(leads ? stage(r, "stage=\"chosen\",share=\"0.99\"") : 0, times[3]));
}

static void
draw_silence(const struct pen *p, const struct top_row *r)
{
	(void)fprintf(p->to, "%4u %5u %sno answer%s\n", r->node_id, r->group, p->bad, p->plain);
}

/* ------------------------------------------------------------------ what is full, what is wrong */

static void
draw_bar(const struct pen *p, uint64_t used, uint64_t size)
{
	uint64_t cells;

	if (used == DECREE_METRIC_ABSENT || size == DECREE_METRIC_ABSENT) {
		(void)fprintf(p->to, "%-*s    -", BAR_CELLS, "");
		return;
	}
	cells = size > 0 ? (used * BAR_CELLS + size / 2) / size : 0;
	(void)fprintf(p->to, "%s", size > 0 && used * 10 > size * 8 ? p->bad : p->good);
	for (uint64_t i = 0; i < BAR_CELLS; i++)
		(void)fputs(i < cells ? "\u2588" : "\u00b7", p->to);
	(void)fprintf(p->to, "%s %3" PRIu64 "%%", p->plain, size > 0 ? used * 100 / size : 0);
}

static uint64_t
drops(const struct top_row *r)
{
	const struct decree_metric *row;
	uint64_t messages = value(r, "decree_messages_dropped_total");
	uint64_t sum = messages != DECREE_METRIC_ABSENT ? messages : 0;

	for (uint32_t i = 0; i < r->metrics.value_count && (row = decree_metric_at(i)) != NULL; i++)
		if (strcmp(row->name, "decree_frames_dropped_total") == 0 &&
			r->metrics.values[i] != DECREE_METRIC_ABSENT)
			sum += r->metrics.values[i];
	return sum;
}

static uint32_t
peers_up(const struct top_row *r)
{
	uint32_t up = 0;

	for (uint32_t i = 0; i < r->metrics.peer_count; i++)
		up += r->metrics.peers[i].values[0] == 1;
	return up;
}

static void
draw_state(const struct pen *p, const struct top_row *r)
{
	static const struct {
		const char *metric, *word;
	} wrongs[] = { { "decree_log_full", " LOG FULL" },
		{ "decree_log_doubtful", " LOG IN DOUBT" },
		{ "decree_log_damaged_slots", " LOG DAMAGED" },
		{ "decree_snapshot_space_low", " NO SPACE FOR SNAPSHOTS" },
		{ "decree_snapshot_damaged", " SNAPSHOT DAMAGED" } };
	char frames[2][16], lost[16], whole[24], memory[24];
	uint64_t bytes = value(r, "decree_memory_bytes");
	bool is_known = bytes != DECREE_METRIC_ABSENT;
	uint32_t up = peers_up(r);
	bool are_all_up = up == r->metrics.peer_count;

	(void)fprintf(p->to, "%4u %5u ", r->node_id, r->group);
	draw_bar(p, value(r, "decree_log_used_bytes"), value(r, "decree_log_size_bytes"));
	(void)fprintf(p->to, " %6s%s %8s %s%3" PRIu32 "/%" PRIu32 "%s %7s %7s %6s%s",
		whole_number(is_known ? bytes >> 20 : bytes, memory), is_known ? "M" : " ",
		whole_number(value(r, "decree_sessions"), whole), are_all_up ? "" : p->bad, up,
		r->metrics.peer_count, are_all_up ? "" : p->plain,
		short_number(value(r, "decree_frames_received_total"), frames[0]),
		short_number(value(r, "decree_frames_sent_total"), frames[1]),
		short_number(drops(r), lost), p->bad);
	for (uint32_t i = 0; i < sizeof(wrongs) / sizeof(wrongs[0]); i++)
		if (is_on(r, wrongs[i].metric))
			(void)fprintf(p->to, "\n     %s", wrongs[i].word);
	(void)fprintf(p->to, "%s\n", p->plain);
}

static void
draw_table(const struct pen *p, const struct top_view *v, const char *head,
	void (*draw)(const struct pen *p, const struct top_row *r), bool are_silent_wanted)
{
	(void)fprintf(p->to, "\n%s%s%s\n", p->dim, head, p->plain);
	for (uint32_t i = 0; i < v->row_count; i++)
		if (v->rows[i].has_answered)
			draw(p, &v->rows[i]);
		else if (are_silent_wanted)
			draw_silence(p, &v->rows[i]);
}

void
top_draw(FILE *to, const struct top_view *v, bool has_colours)
{
	const struct pen plain = { to, "", "", "", "", "" };
	const struct pen colours = { to, "\033[1m", "\033[2m", "\033[32m", "\033[1;31m",
		"\033[0m" };
	const struct pen *p = has_colours ? &colours : &plain;

	draw_head(p, v);
	draw_table(p, v,
		"                                              behind  durable in     chosen in\n"
		"node group role         cmd/s      applied  slots    p50    p99    p50    p99",
		draw_rates, true);
	draw_table(p, v, "node group log              memory sessions peers  frames in/out   drops",
		draw_state, false);
}
