/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proposers as gateways of the queue. Each attaches as the gateway of its node, opens connections,
 * and gives their commands without waiting for one another's answers, so that many of them come too
 * late for what they are about. Now and then one is silent for so long that it is detached. Then it
 * attaches anew, with the same session or another one; so does who has lost its session, or has
 * begun with the state of another node.
 */
#include "tests/sim/sim.h"

#define SECOND_NS 1000000000ull

static uint32_t
encode(const struct queue_command *c, uint8_t *ret_bytes)
{
	size_t bytes = queue_command_encode(c, ret_bytes, SIM_COMMAND_BYTES - SIM_BODY_BYTES_MIN);

	decree_assert(bytes > 0);
	return (uint32_t)bytes;
}

/* Its own number; now and then that of another node, whose gateway it drives out. */
static struct queue_command
attach(struct sim *sim, const struct sim_node *n)
{
	uint64_t *random = &sim->queue->random;
	bool is_own = sim_draw(random, 30) != 0;

	return (struct queue_command){
		.op = QUEUE_ATTACH,
		.id = is_own ? n->id : 1 + sim_draw(random, sim->node_count),
	};
}

/* Nobody has heard of its session yet, or it was detached. */
static bool
must_attach(struct sim *sim, const struct sim_node *n)
{
	struct sim_queue *q = sim->queue;
	uint64_t session = sim->oracle.sessions[n->proposer.id].n;

	if (n->proposer.seq_made == 0)
		return true;
	if (session == 0)
		return false; /* it has attached, and that is on its way */
	return sim_draw(&q->random, model_is_attached(&q->model, session) ? 300 : 3) == 0;
}

/* A connection that it has not asked for yet comes first. */
static void
command_of_client(struct sim *sim, struct sim_proposer *p, struct queue_command *ret)
{
	struct sim_queue *q = sim->queue;

	queue_draw_command(&q->draw, &q->model, sim->oracle.sessions[p->id].n, ret);
	if (p->opened >> ret->connection & 1)
		return;
	p->opened |= 1u << ret->connection;
	*ret = (struct queue_command){ .op = QUEUE_OPEN, .connection = ret->connection };
}

uint32_t
sim_queue_command(struct sim *sim, struct sim_node *n, uint8_t *ret_bytes)
{
	struct queue_command c;

	if (must_attach(sim, n)) {
		c = attach(sim, n);
		n->proposer.opened = 0;
	} else {
		command_of_client(sim, &n->proposer, &c);
	}
	return encode(&c, ret_bytes);
}

uint64_t
sim_queue_silence_ns(struct sim *sim)
{
	struct sim_queue *q = sim->queue;

	if (!q->is_on || sim_draw(&q->random, q->silence_one_in) != 0)
		return 0;
	return sim_draw_between(&q->random, QUEUE_SILENCE_S / 2, 2 * QUEUE_SILENCE_S) *
	       q->second_ns;
}

void
sim_queue_expect(struct sim *sim, const struct decree_command *c, const struct sim_queue_word *w,
	uint64_t place)
{
	uint64_t id = sim->oracle.order[place - 1].proposer;

	for (uint16_t at = 1; at <= SIM_TWIN; at++) {
		struct sim_proposer *p = &sim->nodes[at].proposer;

		if (p->id == id)
			p->window[c->seq % SIM_IN_FLIGHT].outcome = (struct sim_outcome){
				.place = place,
				.status = w->status,
				.result = w->number,
			};
	}
}
