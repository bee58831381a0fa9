/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim.h"

#include "base/bytes.h"

static uint32_t
mail_pop(void *mailbox, struct mail_command *ret_commands, uint32_t count_max)
{
	struct sim_proposer *p = mailbox;
	uint32_t count = 0;

	while (count < count_max && p->seq_popped < p->seq_made) {
		struct sim_command *c = &p->window[++p->seq_popped % SIM_IN_FLIGHT];
		ret_commands[count++] = (struct mail_command){
			.body = c->body,
			.bytes = c->bytes,
			.seq = c->seq,
			.place = c->seq,
		};
	}
	return count;
}

static void
mail_consumed(void *mailbox, uint64_t place)
{
	(void)mailbox, (void)place;
}

static void
mail_complete(void *mailbox, const struct decree_completion *completions, uint32_t count)
{
	struct sim_proposer *p = mailbox;
	struct sim_node *n = (struct sim_node *)((char *)p - offsetof(struct sim_node, proposer));

	for (uint32_t i = 0; i < count; i++) {
		if (completions[i].outcome == DECREE_REFUSED)
			continue;
		sim_check(n->sim, completions[i].seq == p->seq_done + 1,
			"proposer %lu: outcome of %lu after %lu", p->id, completions[i].seq,
			p->seq_done);
		p->seq_done = completions[i].seq;
		oracle_on_ack(n->sim, p->id, completions[i].seq);
	}
}

const struct mailbox_ops sim_mailbox_ops = {
	.pop = mail_pop,
	.consumed = mail_consumed,
	.complete = mail_complete,
};

/* Every start of a node brings a proposer with a name of its own. */
void
workload_open(struct sim *sim, struct sim_node *n)
{
	struct sim_proposer *p = &n->proposer;
	uint8_t token[DECREE_UUID_BYTES];

	memset(p, 0, sizeof(*p));
	p->id = ++sim->proposer_number;
	decree_assert(p->id < SIM_PROPOSER_MAX);
	p->node = n->id;
	store_u64(token, p->id);
	store_u64(token + 8, sim->seed);
	if (p->id > SIM_SESSION_COUNT - 8)
		return; /* the table of sessions is nearly full: this life of the node only listens */
	p->gateway = shard_gateway_open(n->shard, 0, token, &sim_mailbox_ops, p);
	sim_check(sim, p->gateway >= 0, "no way in for a proposer");
	p->is_open = true;
	p->next_ns = sim->now_ns;
}

static void
propose(struct sim *sim, struct sim_proposer *p)
{
	struct sim_command *c = &p->window[(p->seq_made + 1) % SIM_IN_FLIGHT];

	c->seq = p->seq_made + 1;
	c->bytes = 16 + (uint32_t)sim_draw(sim, 60);
	if (sim_draw(sim, 150) == 0)
		c->bytes = 16 + (uint32_t)sim_draw(sim, SIM_COMMAND_BYTES - 16);
	memset(c->body, (int)(p->id + c->seq), c->bytes);
	store_u64(c->body, p->id);
	store_u64(c->body + 8, c->seq);
	p->seq_made++;
	sim->count.commands++;
}

void
workload_step(struct sim *sim)
{
	for (uint16_t id = 1; id <= sim->node_count; id++) {
		struct sim_node *n = &sim->nodes[id];
		struct sim_proposer *p = &n->proposer;
		if (!n->is_up || !p->is_open || sim->is_calm || sim->now_ns < p->next_ns)
			continue;
		uint64_t burst = sim_draw(sim, 4) == 0 ? 1 + sim_draw(sim, 12) : 1;
		while (burst-- > 0 && p->seq_made - p->seq_done < SIM_IN_FLIGHT - 1)
			propose(sim, p);
		p->next_ns = sim->now_ns + 1 + sim_draw(sim, 60 * MS);
		n->turn_at_ns = sim->now_ns;
	}
}

uint64_t
workload_next_ns(const struct sim *sim)
{
	uint64_t at = UINT64_MAX;

	for (uint16_t id = 1; id <= sim->node_count; id++) {
		const struct sim_node *n = &sim->nodes[id];
		if (n->is_up && n->proposer.is_open && !sim->is_calm && n->proposer.next_ns < at)
			at = n->proposer.next_ns;
	}
	return at;
}

bool
workload_is_done(const struct sim *sim)
{
	for (uint16_t id = 1; id <= sim->node_count; id++) {
		const struct sim_proposer *p = &sim->nodes[id].proposer;
		if (p->is_open && p->seq_done < p->seq_made)
			return false;
	}
	return true;
}
