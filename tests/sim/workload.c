/* SPDX-License-Identifier: Apache-2.0 */
/* Proposers: each life of a node brings one, which opens a session through the node's own mailbox. */
#include "tests/sim/sim.h"

#include "base/bytes.h"

#define IN_FLIGHT_SUM 72 /* commands of all founders' proposers */

void
workload_draw(struct sim *sim)
{
	static const uint32_t paces[] = { 2, 5, 12, 40 }; /* commands per T and proposer */
	uint64_t *random = &sim->random_load;

	sim->load.every_ns = 2 * sim->election_ns / paces[sim_draw(random, 4)];
	sim->load.burst_max = 1 + (uint32_t)sim_draw(random, sim_draw(random, 3) == 0 ? 24 : 4);
	sim->load.bytes_max = SIM_BODY_BYTES_MIN + (uint32_t)sim_draw(random, 200);
	sim->load.large_one_in =
		sim_draw(random, 2) == 0 ? 0 : 30 + (uint32_t)sim_draw(random, 300);
	sim->load.large_bytes_max = 1000 + (uint32_t)sim_draw(random, SIM_COMMAND_BYTES - 1000);
	/* Whatever piles up while nobody leads has to be done afterwards: in most worlds not too
	 * much of it. */
	sim->load.in_flight_max = SIM_IN_FLIGHT - 1;
	if (sim_draw(random, 4) != 0 && sim->node_count > IN_FLIGHT_SUM / SIM_IN_FLIGHT)
		sim->load.in_flight_max = IN_FLIGHT_SUM / sim->node_count;
}

static uint32_t
mail_pop(void *mailbox, struct eng_body *ret_commands, uint32_t count_max)
{
	struct sim_proposer *p = mailbox;
	uint32_t count = 0;

	while (count < count_max && p->seq_popped < p->seq_made) {
		struct sim_command *c = &p->window[++p->seq_popped % SIM_IN_FLIGHT];
		ret_commands[count++] = (struct eng_body){
			.body = c->body,
			.bytes = c->bytes,
		};
	}
	return count;
}

static void
mail_consumed(void *mailbox, uint64_t seq)
{
	(void)mailbox, (void)seq;
}

/* @return its place in the order, as far as the proposer knows it */
static uint64_t
place_of(const struct sim *sim, const struct sim_proposer *p, const struct sim_command *command,
	const struct decree_answer *a)
{
	const struct sim_outcome *o = &command->outcome;

	if (!sim->queue->is_on)
		return a->result;
	sim_check(sim, o->place != 0 && o->status == a->status && o->result == a->result,
		"queue: proposer %lu: command %lu is answered %u, %lu instead of %u, %lu", p->id,
		command->seq, a->status, a->result, o->status, o->result);
	return o->place;
}

static void
command_done(
	struct sim_node *n, struct sim_proposer *p, uint64_t seq, const struct decree_answer *a)
{
	const struct sim_command *command = &p->window[seq % SIM_IN_FLIGHT];

	oracle_on_ack(n->sim, p->id, seq);
	history_return(n->sim->oracle.history, load_u32(command->body + 16), n->sim->now_ns,
		place_of(n->sim, p, command, a), 0);
}

/* The table of sessions is full, or the session gave way. */
static void
command_ended(struct sim_node *n, struct sim_proposer *p, uint64_t seq, enum decree_outcome outcome)
{
	struct sim *sim = n->sim;

	if (p->is_open)
		sim_trace(sim, "node %u%s: its proposer %lu has no session, from command %lu on",
			n->id, sim_copy_mark(n), p->id, seq);
	p->is_open = false;
	p->begins_anew = sim->queue->is_on || sim->faults.has[FAULT_USURPER];
	oracle_on_end(sim, n, seq, outcome);
	sim->count.refused += outcome == DECREE_REFUSED;
	sim->count.evicted += outcome == DECREE_EVICTED;
}

static struct sim_node *
node_of(struct sim_proposer *p)
{
	return (struct sim_node *)((char *)p - offsetof(struct sim_node, proposer));
}

static void
mail_complete(void *mailbox, uint64_t first, uint32_t count, enum decree_outcome outcome,
	const struct decree_answer *answers)
{
	struct sim_proposer *p = mailbox;
	struct sim_node *n = node_of(p);

	sim_check(n->sim, first == p->seq_done + 1 && first + count <= p->seq_popped + 1,
		"proposer %lu: outcomes of %lu to %lu after %lu of %lu", p->id, first,
		first + count - 1, p->seq_done, p->seq_popped);
	for (; p->seq_done < first + count - 1; p->seq_done++)
		if (outcome == DECREE_APPLIED)
			command_done(n, p, p->seq_done + 1, answers++);
		else
			command_ended(n, p, p->seq_done + 1, outcome);
}

static void
mail_complete_read(void *mailbox, const struct decree_completion *completion)
{
	struct sim_node *n = node_of(mailbox);

	sim_reads_complete(n->sim, n->id, completion);
}

static const struct mailbox_ops mailbox_ops = {
	.pop = mail_pop,
	.consumed = mail_consumed,
	.complete = mail_complete,
	.complete_read = mail_complete_read,
	.pop_queries = sim_reads_pop,
};

void
workload_open(struct sim *sim, struct sim_node *n)
{
	struct sim_proposer *p = &n->proposer;
	uint8_t token[DECREE_UUID_BYTES];

	p->is_open = p->begins_anew = false;
	p->opened = 0;
	p->id = ++sim->proposer_number;
	decree_assert(p->id < SIM_PROPOSER_MAX);
	p->seq_made = p->seq_popped = p->seq_done = 0;
	sim_reads_open(p);
	store_u64(token, p->id);
	store_u64(token + 8, sim->options.seed);
	p->gateway = shard_gateway_open(n->shard, 0, token, &mailbox_ops, p);
	sim_check(sim, p->gateway >= 0, "no way in for a proposer");
	p->is_open = true;
	p->next_ns = sim->now_ns;
}

static void
begin_anew(struct sim *sim, struct sim_node *n)
{
	sim_trace(sim, "node %u%s: its proposer begins anew", n->id, sim_copy_mark(n));
	shard_gateway_close(n->shard, n->proposer.gateway);
	workload_open(sim, n);
	sim->queue->count.begun_anew += sim->queue->is_on;
}

static void
fill_body(struct sim *sim, const struct sim_proposer *p, struct sim_command *c)
{
	const struct sim_load *load = &sim->load;
	uint64_t *random = &sim->random_load;

	c->bytes = (uint32_t)sim_draw_between(random, SIM_BODY_BYTES_MIN, load->bytes_max);
	if (load->large_one_in != 0 && sim_draw(random, load->large_one_in) == 0)
		c->bytes = (uint32_t)sim_draw_between(
			random, SIM_BODY_BYTES_MIN, load->large_bytes_max);
	memset(c->body, (int)(p->id + c->seq), c->bytes);
}

static void
propose(struct sim *sim, struct sim_node *n)
{
	struct sim_proposer *p = &n->proposer;
	struct sim_command *c = &p->window[(p->seq_made + 1) % SIM_IN_FLIGHT];
	struct history_op op = { .client = (uint32_t)p->id, .kind = HISTORY_APPEND };

	c->seq = p->seq_made + 1;
	op.argument[0] = p->id << 32 | c->seq;
	if (sim->queue->is_on) {
		c->outcome.place = 0;
		c->bytes = SIM_BODY_BYTES_MIN +
			   sim_queue_command(sim, n, c->body + SIM_BODY_BYTES_MIN);
	} else {
		fill_body(sim, p, c);
	}
	store_u64(c->body, p->id);
	store_u64(c->body + 8, c->seq);
	store_u32(c->body + 16, history_invoke(sim->oracle.history, &op, sim->now_ns));
	p->seq_made++;
	sim->count.commands++;
}

static void
propose_some(struct sim *sim, struct sim_node *n)
{
	struct sim_proposer *p = &n->proposer;
	uint64_t made = p->seq_made + p->reads_made;

	if (sim->now_ns < p->next_ns || sim->is_silent || !n->is_up)
		return;
	if (p->begins_anew)
		begin_anew(sim, n);
	if (!p->is_open)
		return;
	uint64_t burst = sim_draw(&sim->random_load, 4) == 0
				 ? 1 + sim_draw(&sim->random_load, sim->load.burst_max)
				 : 1;
	while (burst-- > 0 && p->seq_made - p->seq_done < sim->load.in_flight_max)
		propose(sim, n);
	sim_reads_ask(sim, p);
	p->next_ns = sim->now_ns + 1 + sim_draw(&sim->random_load, sim->load.every_ns) +
		     sim_queue_silence_ns(sim);
	if (p->seq_made + p->reads_made == made)
		return; /* it has as many on their way as it may */
	n->turn_at_ns = sim->now_ns;
	sim_node_touch(sim, n);
}

void
workload_step(struct sim *sim)
{
	for (uint16_t id = 1; id <= sim->node_count; id++)
		propose_some(sim, &sim->nodes[id]);
	propose_some(sim, &sim->nodes[SIM_TWIN]);
}

static void
earlier(uint64_t *at, const struct sim_node *n)
{
	if (n->proposer.next_ns < *at && n->is_up &&
		(n->proposer.is_open || n->proposer.begins_anew))
		*at = n->proposer.next_ns;
}

uint64_t
workload_next_ns(const struct sim *sim)
{
	uint64_t at = UINT64_MAX;

	if (sim->is_silent)
		return at;
	for (uint16_t id = 1; id <= sim->node_count; id++)
		earlier(&at, &sim->nodes[id]);
	earlier(&at, &sim->nodes[SIM_TWIN]);
	return at;
}

bool
workload_is_done(const struct sim *sim)
{
	for (uint16_t id = 1; id <= sim->node_count; id++) {
		const struct sim_node *n = &sim->nodes[id];
		const struct sim_proposer *p = &n->proposer;
		if (sim_is_member(sim, id) && n->is_up &&
			(p->seq_done < p->seq_made || !sim_reads_are_done(p)))
			return false;
	}
	return true;
}
