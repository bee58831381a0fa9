/* SPDX-License-Identifier: Apache-2.0 */
/* scaling: what a cluster would do on hardware that is described on the command line.
 * docs/scaling.md */
#include "apps/options.h"
#include "bench/scaling/world.h"

#include <stdlib.h>
#include <string.h>

static const char about[] =
	"Runs the production core, loop and log of each shard of each node in virtual time, on a "
	"model of CPUs, NICs, links and disks, and prints what was reached and what was at its "
	"limit. Nothing fails. The same arguments print the same. The defaults: NICs of 100 GbE, "
	"an NVMe disk with power-loss protection, 5 us one way. docs/scaling.md says where each "
	"number is from.";

static bool
take_regions(const struct option_row *row, const char *text)
{
	struct settings *s = row->context;
	unsigned long us[REGION_COUNT];
	char end;

	if (sscanf(text, "%lu,%lu,%lu%c", &us[0], &us[1], &us[2], &end) != 3 || us[0] == 0 ||
		us[0] > 1000000 || us[1] > 1000000 || us[2] > 1000000) {
		(void)complain_usage("--regions wants three numbers of us, like 20000,30000,40000");
		return false;
	}
	for (int i = 0; i < REGION_COUNT; i++)
		s->region_ns[i] = us[i] * US;
	return true;
}

static int
take_options(int argc, char **argv, struct settings *s)
{
	const struct option_row rows[] = {
		{ "nodes", 'n', "N", "nodes", .number32 = &s->node_count, .min = 1,
			.max = NODE_COUNT_MAX },
		{ "shards", 's', "N", "shards of each node", .number32 = &s->shard_count, .min = 1,
			.max = SHARD_COUNT_MAX },
		{ "in-flight", 'i', "N", "commands in flight in each shard; with a rate at most",
			.number32 = &s->in_flight, .min = 1, .max = WINDOW_MAX },
		{ "rate", 'r', "N",
			"commands due a second in each shard; 0: the next one follows an answer",
			.number = &s->rate, .max = 100000000 },
		{ "bytes", 'b', "N", "of a command", .number32 = &s->command_bytes, .min = 8,
			.max = COMMAND_BYTES_MAX },
		{ "commands", 'c', "N", "measured, of each shard; a quarter of it goes before",
			.number = &s->commands, .min = 10, .max = 10000000 },
		{ "window-slots", 0, "N", "as in decree.conf", .number32 = &s->window_slots,
			.min = 1, .max = 65536 },
		{ "one-leader", 0, NULL, "node 1 leads all shards; otherwise they take turns",
			.flag = &s->is_one_leader },
		{ "one-way-ns", 0, "N", "from NIC to NIC, with all switches",
			.number = &s->one_way_ns, .max = 1000000000 },
		{ "regions", 0, "US,US,US",
			"nodes are in three regions in turn: one way between 1 and 2, 2 and 3, 1 "
			"and 3",
			.take = take_regions, .context = s },
		{ "nic-gbit", 0, "N", "10^9 bits a second, each way", .number = &s->nic_gbit,
			.min = 1, .max = 10000 },
		{ "disks", 0, "N", "of each node; shards take turns", .number32 = &s->disk_count,
			.min = 1, .max = DISK_COUNT_MAX },
		{ "disk-ns", 0, "N", "until a write of 4 KiB is durable", .number = &s->disk_ns,
			.max = 1000000000 },
		{ "disk-spread-ns", 0, "N", "more than that, at random, at most",
			.number = &s->disk_spread_ns, .max = 1000000000 },
		{ "disk-mb", 0, "N", "10^6 bytes a second", .number = &s->disk_mb, .min = 1,
			.max = 1000000 },
		{ "disk-writes", 0, "N", "writes a second", .number = &s->disk_writes, .min = 1,
			.max = 100000000 },
		{ "memory", 0, NULL, "NOT DURABLE: writes take no time", .flag = &s->is_memory },
		{ "instruction-ps", 0, "N", "10^-12 s for a counted instruction",
			.number = &s->instruction_ps, .min = 1, .max = 100000 },
		{ "driver-ns", 0, "N", "of CPU for a frame in the NIC's driver",
			.number = &s->driver_ns, .max = 100000 },
		{ "write-ns", 0, "N", "of CPU for a write in the kernel", .number = &s->write_ns,
			.max = 1000000 },
		{ "one-host", 0, NULL, "the nodes are processes of one host, and share its disk",
			.flag = &s->is_one_host },
		{ "cores", 0, "N", "CPUs of a host, for all shards; 0: one for each shard",
			.number32 = &s->cores, .max = CORE_COUNT_MAX },
		{ "proposer-ns", 0, "N", "of CPU for a command in its proposer, if CPUs are shared",
			.number = &s->proposer_ns, .max = 100000 },
		{ "budget", 0, "FILE", "counted instructions", .text = &s->budget },
		{ "seed", 0, "N", "of everything random", .number = &s->seed, .max = UINT32_MAX },
		{ "name", 0, "WORD", "for the reader", .text = &s->name },
		{ "json", 0, NULL, "one JSON object", .flag = &s->is_json },
	};
	const struct option_page page = { "[OPTION ...]", about, rows,
		sizeof(rows) / sizeof(rows[0]), NULL };
	int first, status;

	options_set_program("scaling", "");
	status = options_take(argc, argv, &page, &first);
	if (status == OPTIONS_GO_ON && first < argc)
		return complain_usage("'%s' is not an option", argv[first]);
	if (status == OPTIONS_GO_ON && s->name[strcspn(s->name, "\"\\\n")] != '\0')
		return complain_usage("--name wants a plain word");
	return status;
}

static struct world *
world_create(const struct settings *s)
{
	static struct world world; /* what it points to is in use until the end, and not lost */
	struct world *w = &world;

	w->s = *s;
	w->now_ns = 1000 * MS;
	w->random = s->seed;
	w->host_count = s->is_one_host ? 1 : s->node_count;
	w->members = calloc(s->node_count * s->shard_count, sizeof(*w->members));
	w->groups = calloc(s->shard_count, sizeof(*w->groups));
	w->latency = calloc(1, sizeof(*w->latency));
	if (w->members == NULL || w->groups == NULL || w->latency == NULL)
		die("no memory");
	for (uint32_t i = 0; i < w->host_count; i++)
		w->hosts[i].core_count = s->cores;
	return w;
}

static void
world_start(struct world *w)
{
	uint32_t nodes = w->s.node_count;

	for (uint32_t i = 0; i < nodes * w->s.shard_count; i++) {
		struct member *m = &w->members[i];
		struct group *g = &w->groups[i / nodes];

		m->node = i % nodes;
		m->group = i / nodes;
		m->world = w;
		m->host = &w->hosts[0]; /* until there is a leader */
		member_start(w, m);
		g->members[m->node] = m;
	}
}

int
main(int argc, char **argv)
{
	struct settings s = { .name = "a cluster",
		.budget = "tests/budget/budget.json",
		.seed = 1,
		.node_count = 3,
		.shard_count = 1,
		.in_flight = 1,
		.command_bytes = 64,
		.commands = 1000,
		.window_slots = 256,
		.one_way_ns = 5000,
		.nic_gbit = 100,
		.disk_count = 1,
		.disk_ns = 20000,
		.disk_spread_ns = 5000,
		.disk_mb = 3500,
		.disk_writes = 285000,
		.instruction_ps = 140,
		.driver_ns = 25,
		.write_ns = 5000 };
	int status = take_options(argc, argv, &s);
	struct world *w;

	if (status != OPTIONS_GO_ON)
		return status;
	w = world_create(&s);
	if (!costs_read(s.budget, &w->costs))
		return EXIT_FAILURE;
	world_start(w);
	world_settle(w);
	world_run(w);
	report(w, stdout);
	return 0;
}
