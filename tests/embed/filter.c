/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A packet filter that uses DPDK itself, with rules that are the same on every node. docs/embedding.md explains it.
 *   cc filter.c $(pkg-config --cflags --libs decree libdpdk) -o filter && ./filter EAL ARGUMENTS -- NODE.ini
 * EAL, the first of its ports, a pool of buffers and an lcore belong to the program, which filters with or without a node.
 * Its commands, one in a line, each answered with a line:
 *   block N, allow N   a rule for flow N, 0 to 63, on all nodes: ok
 *   passed N           how many packets of flow N have passed here
 *   leave, join        close the node, and open it again: ok, or why not. The filter goes on
 *   ports              how many ports of EAL are the program's
 */
#include <decree/node.h>
#include <errno.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FLOW_COUNT 64
#define BURST      32

/* ---- the rules: the state that is replicated, and that the filter looks at for each packet ---- */

struct rules {
	_Atomic uint64_t blocked; /* a bit for each flow; the shard writes, the filter reads */
	uint64_t frozen;          /* as the snapshot under way has it */
	bool is_handed_out;
};

struct change {
	uint8_t flow;
	uint8_t is_blocked;
};

static void
apply(void *machine, const struct decree_command *commands, uint32_t count, uint64_t cluster_ns,
	struct decree_sink *sink)
{
	struct rules *rules = machine;

	(void)cluster_ns; /* rules do not expire */
	for (uint32_t i = 0; i < count; i++) {
		struct change c = { FLOW_COUNT, 0 };
		bool is_sound = commands[i].bytes == sizeof(c);

		if (is_sound)
			memcpy(&c, commands[i].body, sizeof(c));
		is_sound = is_sound && c.flow < FLOW_COUNT;
		if (is_sound && c.is_blocked)
			rules->blocked |= UINT64_C(1) << c.flow;
		else if (is_sound)
			rules->blocked &= ~(UINT64_C(1) << c.flow);
		decree_sink_answer(sink, commands[i].session, commands[i].seq, !is_sound, 0);
	}
}

static struct decree_digest
digest(void *machine)
{
	return (struct decree_digest){ .lo = ((struct rules *)machine)->blocked };
}

/* Whatever is asked, the answer is all rules. */
static int32_t
answer(void *machine, const void *query, uint32_t bytes, void *ret_answer, uint32_t capacity)
{
	uint64_t blocked = ((struct rules *)machine)->blocked;

	(void)query;
	if (bytes != 0 || capacity < sizeof(blocked))
		return -EINVAL;
	memcpy(ret_answer, &blocked, sizeof(blocked));
	return sizeof(blocked);
}

static int
snapshot_begin(void *machine)
{
	struct rules *rules = machine;

	rules->frozen = rules->blocked;
	rules->is_handed_out = false;
	return 0;
}

static int
snapshot_next(void *machine, struct decree_chunk *ret_chunk)
{
	struct rules *rules = machine;

	if (rules->is_handed_out)
		return 0;
	rules->is_handed_out = true;
	*ret_chunk = (struct decree_chunk){ 0, &rules->frozen, sizeof(rules->frozen) };
	return 1;
}

static void
snapshot_end(void *machine)
{
	(void)machine;
}

static int
restore_begin(void *machine)
{
	((struct rules *)machine)->blocked = 0;
	return 0;
}

static int
restore_next(void *machine, const struct decree_chunk *chunk)
{
	uint64_t blocked;

	if (chunk->index != 0 || chunk->count != sizeof(blocked))
		return -EBADMSG;
	memcpy(&blocked, chunk->bytes, sizeof(blocked));
	((struct rules *)machine)->blocked = blocked;
	return 0;
}

static int
restore_end(void *machine)
{
	(void)machine;
	return 0;
}

static const struct decree_machine_ops rules_ops = { sizeof(rules_ops), .apply = apply,
	.digest = digest, .read = answer, .snapshot_begin = snapshot_begin,
	.snapshot_next = snapshot_next, .snapshot_end = snapshot_end,
	.restore_begin = restore_begin, .restore_next = restore_next, .restore_end = restore_end };

/* ---- the filter: an lcore of the program's, with its port and its buffers ---- */

static struct rules rules;
static _Atomic bool are_rules_current; /* the node has caught up with the others */
static _Atomic uint64_t kept;          /* what is blocked until it has, and without it */
static _Atomic uint64_t passed[FLOW_COUNT];
static uint16_t port;
static struct rte_mempool *pool;

/* What comes is what was sent, as the port is a ring: one packet of some flow after the other. */
static void
send_some(unsigned *flow)
{
	struct rte_mbuf *packets[BURST];
	uint16_t sent;

	if (rte_pktmbuf_alloc_bulk(pool, packets, BURST) != 0)
		return;
	for (unsigned i = 0; i < BURST; i++)
		*(uint8_t *)rte_pktmbuf_append(packets[i], 60) = (uint8_t)((*flow)++ % FLOW_COUNT);
	sent = rte_eth_tx_burst(port, 0, packets, BURST);
	rte_pktmbuf_free_bulk(packets + sent, BURST - sent);
}

static int
filter(void *unused)
{
	struct rte_mbuf *packets[BURST];
	unsigned flow = 0;

	(void)unused;
	for (;;) {
		uint64_t blocked = are_rules_current ? rules.blocked : kept;
		uint16_t count;

		send_some(&flow);
		count = rte_eth_rx_burst(port, 0, packets, BURST);
		for (uint16_t i = 0; i < count; i++) {
			uint8_t of = *rte_pktmbuf_mtod(packets[i], uint8_t *);

			if ((blocked >> of & 1) == 0)
				passed[of]++;
		}
		rte_pktmbuf_free_bulk(packets, count);
		usleep(100); /* with a CPU of its own it would not */
	}
	return 0;
}

/* The first port that nobody owns: a node owns its own, and so they are passed over here. */
static void
start_filter(void)
{
	const struct rte_eth_conf conf = { 0 };
	uint16_t id;

	pool = rte_pktmbuf_pool_create(
		"filter", 1023, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	port = RTE_MAX_ETHPORTS;
	RTE_ETH_FOREACH_DEV(id)
	if (port == RTE_MAX_ETHPORTS)
		port = id;
	if (pool == NULL || rte_eth_dev_configure(port, 1, 1, &conf) != 0 ||
		rte_eth_rx_queue_setup(port, 0, 256, SOCKET_ID_ANY, NULL, pool) != 0 ||
		rte_eth_tx_queue_setup(port, 0, 256, SOCKET_ID_ANY, NULL) != 0 ||
		rte_eth_dev_start(port) != 0 ||
		rte_eal_remote_launch(filter, NULL, rte_get_next_lcore(-1, 1, 0)) != 0)
		rte_exit(1, "the filter needs a port, memory and an lcore\n");
}

/* ---- the node beside it ---- */

static struct decree_node *node; /* NULL: the filter goes on with the rules that it has */
static struct decree_proposer *proposer;
static char error[DECREE_ERROR_BYTES];

static const char *
leave(void)
{
	if (are_rules_current)
		kept = rules.blocked;
	are_rules_current = false;
	decree_proposer_close(proposer);
	decree_close(node);
	proposer = NULL;
	node = NULL;
	return "ok";
}

/* @return false: the node has ended by itself, and `error` says why */
static bool
await(struct decree_completion *ret_done)
{
	while (decree_poll(proposer, ret_done, 1) == 0) {
		if (decree_health(node, error) != 0)
			return leave(), false;
		usleep(50);
	}
	return true;
}

/* Once a linearizable read is answered, the rules are those of everybody. */
static const char *
catch_up(void)
{
	struct decree_completion done;

	while (decree_read(proposer, NULL, 0, DECREE_LINEARIZABLE, NULL) == -EAGAIN)
		usleep(50);
	if (!await(&done))
		return error;
	are_rules_current = true;
	return "ok";
}

static const char *
join(const char *config_path)
{
	void *machines[] = { &rules };
	const struct decree_options options = { sizeof(options), config_path,
		.eal_is_initialised = true, .machine_ops = &rules_ops, .machines = machines,
		.group_count = 1 };

	if (node != NULL)
		return "ok";
	rules.blocked = 0; /* a machine begins empty: what is in the log is applied again */
	if (decree_open(&options, &node, error) != 0)
		return error;
	snprintf(error, sizeof(error), "the node could not be started");
	if (decree_start(node) == 0 && decree_proposer_open(node, 0, &proposer, error) == 0)
		return catch_up();
	leave();
	return error;
}

static const char *
change_rule(unsigned flow, bool is_blocked)
{
	struct change c = { (uint8_t)flow, is_blocked };
	struct decree_completion done;

	if (node == NULL)
		return "there is no node";
	while (decree_propose(proposer, &c, sizeof(c), NULL) == -EAGAIN)
		usleep(50);
	if (!await(&done))
		return error;
	return done.outcome == DECREE_APPLIED ? "ok" : "unknown";
}

static const char *
obey(const char *line, const char *config_path)
{
	static char text[32];
	char verb[8] = "";
	unsigned flow = 0;
	int count = sscanf(line, "%7s %u", verb, &flow);
	uint16_t id;

	if (count == 2 && flow < FLOW_COUNT && strcmp(verb, "passed") == 0)
		snprintf(text, sizeof(text), "%llu", (unsigned long long)passed[flow]);
	else if (count == 2 && flow < FLOW_COUNT && strcmp(verb, "block") == 0)
		return change_rule(flow, true);
	else if (count == 2 && flow < FLOW_COUNT && strcmp(verb, "allow") == 0)
		return change_rule(flow, false);
	else if (strcmp(verb, "leave") == 0)
		return leave();
	else if (strcmp(verb, "join") == 0)
		return join(config_path);
	else if (strcmp(verb, "ports") == 0) {
		RTE_ETH_FOREACH_DEV(id)
		flow++;
		snprintf(text, sizeof(text), "%u", flow);
	} else
		return "block N, allow N, passed N, leave, join, or ports; flows are 0 to 63";
	return text;
}

int
main(int argc, char **argv)
{
	int used = rte_eal_init(argc, argv);
	char line[64];

	if (used < 0 || used + 1 >= argc)
		return fprintf(stderr, "usage: filter EAL ARGUMENTS -- NODE.ini\n"), 1;
	start_filter();
	setvbuf(stdout, NULL, _IOLBF, 0);
	puts(join(argv[used + 1]));
	while (fgets(line, sizeof(line), stdin) != NULL)
		puts(obey(line, argv[used + 1]));
	leave();
	return 0;
}
