/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The session of a gateway, and what it says for itself.
 *
 *   DOWN -> ATTACHING -> UP
 *
 * ATTACH closes what an earlier life of this gateway had left behind. From then on COUNT, at least
 * every two seconds, keeps the machine from taking us for dead. If the session is gone, or the
 * machine has detached us (we were paused for long, or cut off), all clients are dropped, as if
 * they had lost a server, and everything begins anew.
 */
#include "queue/serve/private.h"

#include "queue/bytes.h"

#include <assert.h>
#include <errno.h>
#include <sys/sdt.h>

#define COUNT_NS        1000000000ull
#define ALIVE_NS        2000000000ull
#define REOPEN_NS       1000000000ull
#define COUNT_PAIRS_MAX (QUEUE_CMD_PAUSE_TUBE + 1)

static_assert(ALIVE_NS * 3 < QUEUE_SILENCE_S * 1000000000ull, "one may be late");
static_assert(ALIVE_NS < QUEUE_SILENCE_STEP_MS * 1000000ull, "the log needs no slots of its own");

int
session_propose(struct queue_gateway *g, const struct queue_command *c, struct client *cookie)
{
	size_t bytes = queue_command_encode(c, g->scratch, g->scratch_bytes);
	int rc;

	queue_assert(bytes > 0);
	rc = decree_propose(g->proposer, g->scratch, (uint32_t)bytes, cookie);
	DTRACE_PROBE3(decree, gateway_command, c->connection, c->op, bytes);
	if (rc == 0)
		g->flying++;
	else if (rc == -ESHUTDOWN)
		g->phase = GATEWAY_OVER;
	return rc;
}

void
session_count(struct queue_gateway *g, enum queue_counter counter)
{
	if (counter < QUEUE_COUNTER_COUNT)
		g->counts[counter]++;
}

/* ------------------------------------------------------------------------ begin, and begin anew */

static void
open_proposer(struct queue_gateway *g)
{
	const struct queue_command attach = { .op = QUEUE_ATTACH, .id = g->options.node_id };
	char error[DECREE_ERROR_BYTES];

	g->reopen_at_ns = g->now_ns + REOPEN_NS;
	if (decree_proposer_open(g->node, 0, &g->proposer, error) != 0) {
		gateway_log(g, DECREE_LOG_WARNING, "queue: %s", error);
		return;
	}
	if (session_propose(g, &attach, NULL) == 0)
		g->phase = GATEWAY_ATTACHING;
}

void
session_drop(struct queue_gateway *g)
{
	/* First, so that no word for a client of this session comes after this. */
	atomic_store_explicit(&g->session, 0, memory_order_relaxed);
	for (uint32_t i = 0; i < CLIENT_COUNT_MAX && g->free_count < CLIENT_COUNT_MAX; i++)
		if (g->clients[i] != NULL)
			client_free(g->clients[i]);
	decree_proposer_close(g->proposer);
	g->proposer = NULL;
	g->flying = g->reading = 0;
	g->done_seq = 0;
	g->is_asking_stats = false;
	/* What was counted is not of now any more. */
	atomic_store_explicit(&g->has_stats, false, memory_order_relaxed);
	g->is_lost = false;
	if (g->phase != GATEWAY_OVER)
		g->phase = GATEWAY_DOWN;
}

static void
begin_anew(struct queue_gateway *g)
{
	if (g->phase == GATEWAY_UP)
		gateway_log(g, DECREE_LOG_WARNING,
			"queue: the gateway has lost its place in the cluster: %u clients are "
			"dropped, and may come again",
			CLIENT_COUNT_MAX - g->free_count);
	session_drop(g);
}

/* ------------------------------------------------------------------------------ counting */

static uint32_t
write_pairs(const struct queue_gateway *g, uint8_t *ret_pairs)
{
	uint32_t bytes = 0;

	for (uint32_t i = 0; i < COUNT_PAIRS_MAX; i++) {
		if (g->counts[i] == 0)
			continue;
		ret_pairs[bytes] = (uint8_t)i;
		queue_store_u32(ret_pairs + bytes + 1, (uint32_t)g->counts[i]);
		bytes += QUEUE_COUNT_PAIR_BYTES;
	}
	return bytes;
}

static void
count_if_due(struct queue_gateway *g)
{
	uint8_t pairs[COUNT_PAIRS_MAX * QUEUE_COUNT_PAIR_BYTES];
	struct queue_command c = { .op = QUEUE_COUNT, .tail = pairs };

	if (g->now_ns < g->count_at_ns)
		return;
	c.tail_bytes = write_pairs(g, pairs);
	if ((c.tail_bytes == 0 && g->now_ns < g->alive_at_ns) || session_propose(g, &c, NULL) != 0)
		return;
	for (uint32_t i = 0; i < COUNT_PAIRS_MAX; i++)
		g->counts[i] = 0;
	g->count_at_ns = g->now_ns + COUNT_NS;
	g->alive_at_ns = g->now_ns + ALIVE_NS;
}

/* Some may have come while we were down. */
static void
come_up(struct queue_gateway *g)
{
	g->phase = GATEWAY_UP;
	for (uint32_t i = 0; i < CLIENT_COUNT_MAX && g->free_count < CLIENT_COUNT_MAX; i++)
		if (g->clients[i] != NULL)
			client_run(g->clients[i]);
}

void
session_on_done(struct queue_gateway *g, const struct decree_completion *done)
{
	if (done->status == QUEUE_OK) {
		if (g->phase == GATEWAY_ATTACHING)
			come_up(g);
		return;
	}
	if (done->status == QUEUE_OUT_OF_MEMORY)
		gateway_log(g, DECREE_LOG_WARNING,
			"queue: the cluster has no memory left for this gateway: trying again");
	g->is_lost = true;
}

void
session_tend(struct queue_gateway *g)
{
	/* Relaxed: it says nothing about other memory, and is looked at again after every sleep. */
	if (atomic_exchange_explicit(&g->has_restored, false, memory_order_relaxed) &&
		g->phase == GATEWAY_UP)
		g->is_lost = true; /* what was told to others meanwhile was not told to us */
	if (g->is_lost)
		begin_anew(g);
	if (g->phase == GATEWAY_DOWN && g->now_ns >= g->reopen_at_ns)
		open_proposer(g);
	if (g->phase == GATEWAY_UP)
		count_if_due(g);
}
