/* SPDX-License-Identifier: Apache-2.0 */
/* What was reached, how busy everything was, and so what is at its limit. */
#include "bench/scaling/world.h"

#include <inttypes.h>

#define LIMIT 0.9 /* what is busier than that holds up the rest */

struct use {
	const char *name;
	double part; /* of its time that it was busy; the busiest of its kind */
};

enum {
	LEADER,
	FOLLOWER,
	CORES,
	SEND,
	RECEIVE,
	DISK,
	USE_COUNT
};

static double
window_ns(const struct world *w)
{
	return (double)(w->end.at_ns - w->begin.at_ns);
}

static void
note(struct use *use, double part)
{
	if (part > use->part)
		use->part = part;
}

static void
note_host(const struct world *w, const struct host *host, struct use *uses)
{
	double bits = (double)w->s.nic_gbit * window_ns(w);

	if (!w->s.is_one_host) {
		note(&uses[SEND], (double)host->nic.bytes_out * 8 / bits);
		note(&uses[RECEIVE], (double)host->nic.bytes_in * 8 / bits);
	}
	for (uint32_t i = 0; i < w->s.disk_count; i++)
		note(&uses[DISK], host->devices[i].busy_ns / window_ns(w));
}

static void
note_cores(const struct world *w, struct use *uses)
{
	double busy_ns = 0;

	for (uint32_t i = 0; i < w->s.shard_count * w->s.node_count; i++) {
		const struct member *m = &w->members[i];

		busy_ns += (double)m->busy_ns;
		note(&uses[m == w->groups[m->group].leader ? LEADER : FOLLOWER],
			(double)m->busy_ns / window_ns(w));
	}
	busy_ns += (double)((w->end.done - w->begin.done) * w->s.proposer_ns);
	if (w->s.cores != 0)
		note(&uses[CORES], busy_ns / window_ns(w) / w->s.cores / w->host_count);
}

static void
measure_uses(const struct world *w, struct use uses[USE_COUNT])
{
	static const char *const names[] = { "the leader's CPU", "a follower's CPU",
		"the shared CPUs", "a NIC, sending", "a NIC, receiving", "a disk" };

	for (int i = 0; i < USE_COUNT; i++)
		uses[i] = (struct use){ names[i], 0 };
	note_cores(w, uses);
	for (uint32_t i = 0; i < w->host_count; i++)
		note_host(w, &w->hosts[i], uses);
}

static const char *
limit_of(const struct world *w, const struct use uses[USE_COUNT], double rate)
{
	const struct use *most = &uses[0];

	for (int i = 1; i < USE_COUNT; i++)
		if (uses[i].part > most->part)
			most = &uses[i];
	if (most->part >= LIMIT)
		return most->name;
	if (w->s.rate != 0 && rate > 0.97 * (double)(w->s.rate * w->s.shard_count))
		return "the load";
	return "round trips";
}

static double
us_at(const struct world *w, double percent)
{
	return (double)histogram_at(w->latency, percent) / 1e3;
}

struct sums { /* for each command, of all nodes */
	double wire_bytes, frames, disk_bytes, writes, repeats;
};

static struct sums
sums_of(const struct world *w)
{
	double commands = (double)(w->end.done - w->begin.done);
	struct sums s = { .repeats = (double)(w->end.retransmits - w->begin.retransmits) };

	for (uint32_t i = 0; i < w->host_count; i++) {
		s.wire_bytes += (double)w->hosts[i].nic.bytes_out;
		s.frames += (double)w->hosts[i].nic.frames_out;
		for (uint32_t k = 0; k < w->s.disk_count; k++) {
			s.disk_bytes += (double)w->hosts[i].devices[k].bytes;
			s.writes += (double)w->hosts[i].devices[k].writes;
		}
	}
	s.wire_bytes /= commands;
	s.frames /= commands;
	s.disk_bytes /= commands;
	s.writes /= commands;
	s.repeats /= commands;
	return s;
}

static void
print_text(const struct world *w, FILE *to, const struct use uses[USE_COUNT], double rate)
{
	const struct settings *s = &w->s;
	struct sums sums = sums_of(w);

	(void)fprintf(to, "%s: %u nodes, %u shards, %u in flight in each, %u bytes\n", s->name,
		s->node_count, s->shard_count, s->in_flight, s->command_bytes);
	if (s->rate != 0)
		(void)fprintf(
			to, "  due         %12.0f commits/s\n", (double)(s->rate * s->shard_count));
	(void)fprintf(to, "  reached     %12.0f commits/s\n", rate);
	(void)fprintf(to, "  latency     p50 %.1f us, p99 %.1f us\n", us_at(w, 50), us_at(w, 99));
	(void)fprintf(to, "  limit       %s\n", limit_of(w, uses, rate));
	for (int i = 0; i < USE_COUNT; i++)
		if (uses[i].part > 0)
			(void)fprintf(to, "  busy        %5.1f %%  %s\n", uses[i].part * 100,
				uses[i].name);
	(void)fprintf(to,
		"  a command   %.1f bytes in %.3f frames, %.1f bytes in %.3f writes, %.3f Accepts "
		"again; all nodes\n",
		sums.wire_bytes, sums.frames, sums.disk_bytes, sums.writes, sums.repeats);
}

static void
print_json(const struct world *w, FILE *to, const struct use uses[USE_COUNT], double rate)
{
	static const char *const keys[] = { "leader_cpu", "follower_cpu", "shared_cpus", "nic_out",
		"nic_in", "disk" };
	const struct settings *s = &w->s;
	struct sums sums = sums_of(w);

	(void)fprintf(to,
		"{\"format\":\"decree-scaling 1\",\"name\":\"%s\",\"seed\":%" PRIu64
		",\"nodes\":%u,\"shards\":%u,\"in_flight\":%u,\"bytes\":%u,\"due\":%" PRIu64
		",\"rate\":%.0f,\"p50_us\":%.2f,\"p99_us\":%.2f,\"limit\":\"%s\"",
		s->name, s->seed, s->node_count, s->shard_count, s->in_flight, s->command_bytes,
		s->rate * s->shard_count, rate, us_at(w, 50), us_at(w, 99),
		limit_of(w, uses, rate));
	for (int i = 0; i < USE_COUNT; i++)
		(void)fprintf(to, ",\"%s\":%.4f", keys[i], uses[i].part);
	(void)fprintf(to,
		",\"wire_bytes\":%.1f,\"frames\":%.4f,\"disk_bytes\":%.1f,\"writes\":%.4f,"
		"\"repeats\":%.4f}\n",
		sums.wire_bytes, sums.frames, sums.disk_bytes, sums.writes, sums.repeats);
}

void
report(const struct world *w, FILE *to)
{
	struct use uses[USE_COUNT];
	double rate = (double)(w->end.done - w->begin.done) / window_ns(w) * 1e9;

	measure_uses(w, uses);
	(w->s.is_json ? print_json : print_text)(w, to, uses, rate);
}
