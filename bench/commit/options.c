/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/commit/options.h"

#include "apps/options.h"
#include "bench/commit/joined.h"
#include "decree/setup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RATE_MAX       100000000
#define RATE           1000
#define OPEN_IN_FLIGHT 4096

/* A list as it was given: numbers, or which of the words. */
struct list {
	uint32_t values[PLAN_LIST_COUNT_MAX];
	uint32_t count;
};

struct options {
	struct plan *plan;
	struct list rates, in_flights, sizes, nodes, shards, modes, transports, mtus, auths,
		snapshots, loads;
	bool is_closed, has_no_floor;
	uint64_t rounds;
};

/* ------------------------------------------------------------------------------ values */

static bool
take_seconds(const struct option_row *row, const char *text)
{
	double *seconds = row->context;
	char *end;
	double number = strtod(text, &end);

	if (end == text || *end != '\0' || !(number >= 0 && number <= 86400)) {
		(void)complain_usage("--%s %s: expected seconds, 0 to 86400", row->name, text);
		return false;
	}
	*seconds = number;
	return true;
}

/* A size of its own: of a log, of a state. */
static bool
take_size(const struct option_row *row, const char *text)
{
	static const char units[] = "KMG";
	uint64_t *ret = row->context;
	char *end;
	uint64_t size = strtoull(text, &end, 10);
	const char *unit = *end != '\0' ? strchr(units, *end) : NULL;
	uint32_t shift = unit != NULL ? 10 * (uint32_t)(unit - units + 1) : 0;

	if (*text < '0' || *text > '9' || (*end != '\0' && (unit == NULL || end[1] != '\0')) ||
		size > UINT64_MAX >> 1 >> shift) {
		(void)complain_usage("--%s %s: expected bytes, as in 256M", row->name, text);
		return false;
	}
	*ret = size << shift;
	return true;
}

/* One entry: a number, with K for 1,024 of sizes and k, M for thousands and millions of rates.
 * @return false: it is none */
static bool
read_entry(const char *text, uint64_t *ret)
{
	static const struct {
		char letter;
		uint64_t factor;
	} units[] = { { '\0', 1 }, { 'K', 1024 }, { 'k', 1000 }, { 'M', 1000000 } };
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	*ret = strtoull(text, &end, 10);
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (*end != units[i].letter || (*end != '\0' && end[1] != '\0'))
			continue;
		if (*ret > UINT32_MAX)
			return false;
		*ret *= units[i].factor;
		return true;
	}
	return false;
}

static bool
read_value(const struct option_row *row, const char *text, uint64_t *ret)
{
	if (row->words == NULL)
		return read_entry(text, ret) && *ret >= row->min && *ret <= row->max;
	for (uint32_t i = 0; row->words[i] != NULL; i++)
		if (strcmp(row->words[i], text) == 0) {
			*ret = i;
			return true;
		}
	return false;
}

static void
complain_value(const struct option_row *row, const char *text)
{
	char words[128] = "";

	for (uint32_t i = 0; row->words != NULL && row->words[i] != NULL; i++)
		snprintf(words + strlen(words), sizeof(words) - strlen(words), "%s%s",
			i == 0 ? "" : ", ", row->words[i]);
	if (row->words != NULL)
		(void)complain_usage("--%s: '%s' is none of %s", row->name, text, words);
	else
		(void)complain_usage("--%s: '%s' is no number from %llu to %llu", row->name, text,
			(unsigned long long)row->min, (unsigned long long)row->max);
}

static bool
take_list(const struct option_row *row, const char *text)
{
	struct list *list = row->context;
	char copy[512], *rest = copy, *entry;

	list->count = 0;
	if (snprintf(copy, sizeof(copy), "%s", text) >= (int)sizeof(copy)) {
		(void)complain_usage("--%s: that list is too long", row->name);
		return false;
	}
	while ((entry = strsep(&rest, ",")) != NULL) {
		uint64_t value;

		if (list->count == PLAN_LIST_COUNT_MAX) {
			(void)complain_usage(
				"--%s: more than %u values", row->name, PLAN_LIST_COUNT_MAX);
			return false;
		}
		if (!read_value(row, entry, &value)) {
			complain_value(row, entry);
			return false;
		}
		list->values[list->count++] = (uint32_t)value;
	}
	return true;
}

static bool
take_cpus(const struct option_row *row, const char *text)
{
	struct plan *plan = row->context;
	const char *at = text;

	for (plan->cpu_count = 0; *at >= '0' && *at <= '9';) {
		char *end;
		unsigned long cpu = strtoul(at, &end, 10);

		if (cpu > 1023 || plan->cpu_count == sizeof(plan->cpus) / sizeof(plan->cpus[0]))
			break;
		plan->cpus[plan->cpu_count++] = (uint16_t)cpu;
		if (*end == '\0')
			return true;
		at = *end == ',' ? end + 1 : "";
	}
	(void)complain_usage("--cpus %s: expected CPUs as in 2,3,4", text);
	return false;
}

static bool
take_setting(const struct option_row *row, const char *text)
{
	struct plan *plan = row->context;

	if (plan->setting_count == PLAN_SETTING_COUNT_MAX) {
		(void)complain_usage("more than %d times --set", PLAN_SETTING_COUNT_MAX);
		return false;
	}
	plan->settings[plan->setting_count++] = text;
	return true;
}

/* ------------------------------------------------------------------------------ the sweep */

/* @return false after a complaint */
static bool
add_loads(struct options *o, const struct plan_shape *shape)
{
	const struct list *pace = o->is_closed ? &o->in_flights : &o->rates;
	struct plan *plan = o->plan;

	for (uint32_t i = 0; i < o->sizes.count; i++)
		for (uint32_t k = 0; k < pace->count; k++) {
			uint32_t limit = o->is_closed ? pace->values[k] : o->in_flights.values[0];

			if (plan->point_count == PLAN_POINT_COUNT_MAX) {
				(void)complain_usage(
					"more than %u combinations", PLAN_POINT_COUNT_MAX);
				return false;
			}
			if (limit < shape->shard_count) {
				(void)complain_usage("--in-flight %u: %u shards need one each",
					limit, shape->shard_count);
				return false;
			}
			plan->points[plan->point_count++] = (struct plan_point){ .shape = *shape,
				.load = { .rate = o->is_closed ? 0 : pace->values[k],
					.in_flight = limit,
					.bytes = o->sizes.values[i] } };
		}
	return true;
}

/* The k-th of all combinations, the first list the slowest. */
static struct plan_shape
shape_at(const struct options *o, uint32_t k)
{
	struct plan_shape s = { 0 };

	s.is_load_inside = o->loads.values[k % o->loads.count] == 1;
	k /= o->loads.count;
	s.has_snapshots = o->snapshots.values[k % o->snapshots.count] == 1;
	k /= o->snapshots.count;
	s.has_auth = o->auths.values[k % o->auths.count] == 0;
	k /= o->auths.count;
	s.mtu = o->mtus.values[k % o->mtus.count];
	k /= o->mtus.count;
	s.joined_by = (enum plan_transport)o->transports.values[k % o->transports.count];
	k /= o->transports.count;
	s.mode = (enum plan_mode)o->modes.values[k % o->modes.count];
	k /= o->modes.count;
	s.shard_count = o->shards.values[k % o->shards.count];
	k /= o->shards.count;
	s.node_count = o->nodes.values[k];
	return s;
}

static bool
add_points(struct options *o)
{
	uint32_t count = o->nodes.count * o->shards.count * o->modes.count * o->transports.count *
			 o->mtus.count * o->auths.count * o->snapshots.count * o->loads.count;

	for (uint32_t i = 0; i < count; i++) {
		struct plan_shape shape = shape_at(o, i);

		if (!add_loads(o, &shape))
			return false;
	}
	return true;
}

/* What the configuration of somebody's own cluster says of its shape. */
static int
read_shape(struct options *o)
{
	char error[DECREE_ERROR_BYTES];
	struct decree_setup setup;

	if (decree_setup_read(o->plan->config, o->plan->settings, o->plan->setting_count, true,
		    &setup, error) != 0)
		return complain("%s", error);
	if (setup.group_count != setup.shard_count || setup.shard_count > PLAN_SHARD_COUNT_MAX)
		return complain("%s: as many groups as shards are expected, %u at most",
			o->plan->config, PLAN_SHARD_COUNT_MAX);
	o->nodes = (struct list){ { setup.node_count }, 1 };
	o->shards = (struct list){ { setup.shard_count }, 1 };
	o->modes = (struct list){ { (uint32_t)setup.log_mode }, 1 };
	o->auths = (struct list){ { !setup.auth }, 1 };
	o->plan->log_bytes = setup.log_bytes;
	joined_words(&setup, o->plan->joined_by, sizeof(o->plan->joined_by));
	o->has_no_floor = true;
	return OPTIONS_GO_ON;
}

/* -------------------------------------------------------------------- what does not go together */

/* A list that is too short would be passed over. */
static int
check_cpus(const struct options *o)
{
	uint32_t nodes = 0, shards = 0;

	for (uint32_t i = 0; i < o->nodes.count; i++)
		nodes = o->nodes.values[i] > nodes ? o->nodes.values[i] : nodes;
	for (uint32_t i = 0; i < o->shards.count; i++)
		shards = o->shards.values[i] > shards ? o->shards.values[i] : shards;
	if (o->plan->cpu_count == 0 || o->plan->config != NULL ||
		o->plan->cpu_count >= nodes * shards)
		return OPTIONS_GO_ON;
	return complain_usage("--cpus: %u CPUs for %u nodes of %u shards: name one for each shard",
		o->plan->cpu_count, nodes, shards);
}

static int
check(struct options *o)
{
	struct plan *plan = o->plan;

	if (o->rates.count == 0)
		o->rates = (struct list){ { RATE }, 1 };
	else if (o->is_closed)
		return complain_usage("--rate is of an open loop: not with --closed");
	if (o->in_flights.count == 0)
		o->in_flights = (struct list){ { o->is_closed ? 1 : OPEN_IN_FLIGHT }, 1 };
	else if (o->in_flights.count > 1 && !o->is_closed)
		return complain_usage(
			"--in-flight is a list with --closed only: an open loop has one limit");
	if (plan->seconds <= 0)
		return complain_usage("--seconds 0 measures nothing");
	if (plan->does_kill && o->is_closed)
		return complain_usage(
			"--kill-leader wants an open loop: a closed one waits with the cluster");
	for (uint32_t i = 0; plan->does_kill && i < o->nodes.count; i++)
		if (o->nodes.values[i] < 3)
			return complain_usage("--kill-leader needs 3 nodes or more");
	for (uint32_t i = 0; plan->does_kill && i < o->shards.count; i++)
		if (o->shards.values[i] > 1)
			return complain_usage("--kill-leader goes with one shard");
	if (plan->does_kill && plan->config != NULL)
		return complain_usage(
			"--kill-leader goes with nodes of this program: not with --config");
	for (uint32_t i = 0; i < o->mtus.count; i++) {
		if (o->mtus.values[i] == PLAN_MTU_MIN)
			continue;
		if (plan->config != NULL)
			return complain_usage("--mtu goes with nodes of this program: with "
					      "--config it is the configuration's");
		for (uint32_t k = 0; k < o->transports.count; k++)
			if (o->transports.values[k] == PLAN_AF_XDP)
				return complain_usage("--mtu above 1500 goes with memif and "
						      "af_packet: af_xdp takes no such packets");
	}
	for (uint32_t i = 0; plan->config != NULL && i < o->transports.count; i++)
		if (o->transports.values[i] != PLAN_MEMIF)
			return complain_usage(
				"--transport goes with nodes of this program: not with --config");
	if (plan->log_bytes < 4u << 20)
		return complain_usage("--log-bytes: 4 MiB or more are needed");
	return OPTIONS_GO_ON;
}

/* From what was taken, if that goes together. */
static int
plan_make(struct options *o)
{
	struct plan *plan = o->plan;
	int status = plan->config != NULL ? read_shape(o) : OPTIONS_GO_ON;

	if (status == OPTIONS_GO_ON)
		status = check(o);
	if (status == OPTIONS_GO_ON)
		status = check_cpus(o);
	if (status != OPTIONS_GO_ON)
		return status;
	if (plan->config != NULL)
		o->mtus = (struct list){ { 0 }, 1 }; /* the configuration's */
	plan->has_floor = !o->has_no_floor;
	return add_points(o) ? OPTIONS_GO_ON : EXIT_USAGE;
}

/* ------------------------------------------------------------------------------ the options */

static const char about[] =
	"How long a commit takes, and how many there are: a cluster of processes on this host, "
	"joined by memif or what --transport says, under a load from inside the leader's process. "
	"Each option with a LIST is swept.\n"
	"By default the loop is open: commands are due at a fixed rate, and a latency begins when "
	"its command was due. The floors, what a commit cannot be faster than here, are measured "
	"in turns with it.\n"
	"'decree bench floor' measures the floors alone; 'decree bench-plot' draws what --json "
	"wrote.";

int
bench_options_take(int argc, char **argv, struct plan *plan, struct bench_outputs *outputs)
{
	static const char *const modes[] = { "durable", "buffered", "memory", NULL };
	static const char *const transports[] = { "memif", "af_packet", "af_xdp", NULL };
	static const char *const auths[] = { "gmac", "none", NULL };
	static const char *const loads[] = { "thread", "inside", NULL };
	static const char *const switches[] = { "off", "on", NULL };
	struct options o = {
		.plan = plan,
		.sizes = { { 64 }, 1 },
		.nodes = { { 3 }, 1 },
		.shards = { { 1 }, 1 },
		.modes = { { PLAN_DURABLE }, 1 },
		.transports = { { PLAN_MEMIF }, 1 },
		.mtus = { { PLAN_MTU_MIN }, 1 },
		.auths = { { 0 }, 1 },
		.snapshots = { { 0 }, 1 },
		.loads = { { 0 }, 1 },
	};
	const struct option_row rows[] = {
		{ "rate", 0, "LIST", "commands due per second: an open loop (1000)",
			.take = take_list, .context = &o.rates, .min = 1, .max = RATE_MAX },
		{ "closed", 0, NULL, "a closed loop: the next command follows an answer",
			.flag = &o.is_closed },
		{ "in-flight", 0, "LIST",
			"commands without an answer; in an open loop the limit (1; open: 4096)",
			.take = take_list, .context = &o.in_flights, .min = 1,
			.max = PLAN_IN_FLIGHT_MAX },
		{ "bytes", 0, "LIST", "size of a command (64)", .take = take_list,
			.context = &o.sizes, .min = 0, .max = PLAN_BYTES_MAX },
		{ "nodes", 0, "LIST", "nodes of the cluster, up to 5 (3)", .take = take_list,
			.context = &o.nodes, .min = 1, .max = PLAN_NODE_COUNT_MAX },
		{ "shards", 0, "LIST", "shards of a node, up to 16 (1)", .take = take_list,
			.context = &o.shards, .min = 1, .max = PLAN_SHARD_COUNT_MAX },
		{ "mode", 0, "LIST", "log modes: durable, buffered, memory (durable)",
			.take = take_list, .context = &o.modes, .words = modes },
		{ "transport", 0, "LIST",
			"what joins nodes: memif, af_packet, af_xdp; the last two need root "
			"(memif)",
			.take = take_list, .context = &o.transports, .words = transports },
		{ "mtu", 0, "LIST", "1500 to 9000, and slots as large as it allows (1500)",
			.take = take_list, .context = &o.mtus, .min = PLAN_MTU_MIN,
			.max = PLAN_MTU_MAX },
		{ "auth", 0, "LIST", "authentication of frames: gmac, none (gmac)",
			.take = take_list, .context = &o.auths, .words = auths },
		{ "snapshots", 0, "LIST", "off; on: every node is always writing one (off)",
			.take = take_list, .context = &o.snapshots, .words = switches },
		{ "state-bytes", 0, "N", "size of the state machine's state, for snapshots (0)",
			.take = take_size, .context = &plan->state_bytes },
		{ "rounds", 0, "N", "repeat everything, in turns with the floors",
			.number32 = &plan->round_count, .min = 1, .max = PLAN_ROUND_COUNT_MAX },
		{ "seconds", 0, "S", "measure each load so long (2)", .take = take_seconds,
			.context = &plan->seconds },
		{ "warm-up", 0, "S", "run a load before it is measured (0.5)", .take = take_seconds,
			.context = &plan->warm_up_s },
		{ "settle", 0, "S", "longer on a new cluster, until caches are warm (2)",
			.take = take_seconds, .context = &plan->settle_s },
		{ "kill-leader", 0, NULL, "kill the leader in the middle; a follower has the load",
			.flag = &plan->does_kill },
		{ "load", 0, "LIST",
			"thread: of its own, in the leader's process; inside: the shards' own "
			"turns (thread)",
			.take = take_list, .context = &o.loads, .words = loads },
		{ "no-floor", 0, NULL, "leave the floors out", .flag = &o.has_no_floor },
		{ "config", 'c', "FILE",
			"be this node of a cluster on several hosts, and measure when it leads",
			.text = &plan->config },
		{ "set", 0, "section.key=value", "a setting of the nodes; may be repeated",
			.take = take_setting, .context = plan },
		{ "dir", 0, "FOLDER", "where nodes and floors have their files",
			.text = &plan->dir },
		{ "log-bytes", 0, "N", "size of a shard's log (256M)", .take = take_size,
			.context = &plan->log_bytes },
		{ "cpus", 0, "LIST", "CPUs of the shards, node by node, as in 2,3,4 (any)",
			.take = take_cpus, .context = plan },
		{ "json", 0, "FILE", "write everything, for 'decree bench-plot' and others",
			.text = &outputs->json },
		{ "hgrm", 0, "FILE", "write percentile distributions as HdrHistogram does",
			.text = &outputs->hgrm },
		{ "plot", 0, "FOLDER", "draw into this folder: SVG and PNG, by gnuplot",
			.text = &outputs->plot },
		{ "verbose", 0, NULL, "show what the nodes log", .flag = &plan->is_verbose },
	};
	const struct option_page page = { "[OPTION ...]", about, rows,
		sizeof(rows) / sizeof(rows[0]) };
	int first, status;

	options_set_program("decree", "bench");
	status = options_take(argc, argv, &page, &first);
	if (status == OPTIONS_GO_ON && first != argc)
		return complain_usage("what is '%s'?", argv[first]);
	return status == OPTIONS_GO_ON ? plan_make(&o) : status;
}
