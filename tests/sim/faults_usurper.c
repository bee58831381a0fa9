/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions that give way while their proposers live. That is the fate of a node's proposers when it
 * is no member any more, or when a copy of it begins a life after its own: the registration of a
 * later proposer of the same place ends the protection of the earlier one, and the next
 * registration takes its row if the table is full. Here the table is small, and somebody registers
 * many such proposers at once. Each command of the former one still has one outcome, and a true
 * one.
 */
#include "tests/sim/sim.h"

#include "base/bytes.h"
#include "engine/runtime/client_msg.h"

#define OPENED_MIN 1000 /* more than a node opens in a life */

/* One for each proposer that lives, and a few. */
void
fault_usurper_draw(struct sim *sim)
{
	sim->faults.session_count =
		(uint32_t)sim_draw_between(&sim->random_faults, SIM_NODE_MAX + 2, 24);
}

static uint32_t
registration(struct sim *sim, const struct sim_node *n, uint8_t *ret_body)
{
	struct eng_registration r = {
		.node_id = n->id,
		.opened = OPENED_MIN + ++sim->faults.usurper_count,
		.boot_count = n->boot_count,
	};

	store_u64(r.token, sim->faults.usurper_count);
	store_u64(r.token + 8, ~sim->options.seed);
	return eng_registration_encode(&r, ret_body);
}

/* As many as fit a frame. */
static void
send_some(struct sim *sim, const struct sim_node *n, uint16_t to)
{
	struct sim_frame *f = sim_frame_take(sim);
	uint8_t body[ENG_REGISTRATION_GATEWAY_BYTES];
	struct client_writer w;
	struct eng_command c = { .body = body };

	if (f == NULL)
		return;
	client_commands_begin(&w, f->data, SIM_FRAME_BYTES, 0);
	do
		c.bytes = registration(sim, n, body);
	while (client_commands_add(&w, &c));
	f->src = n->id;
	f->dst = to;
	f->version_max = n->version_max;
	f->bytes = client_writer_finish(&w);
	sim_frame_send(sim, f);
}

void
fault_usurper_strike(struct sim *sim)
{
	const struct sim_node *n = &sim->nodes[sim_any_node(sim)];
	uint64_t frames = sim_draw_between(&sim->random_faults, 1, 3);
	uint16_t leader = sim_leader(sim);

	if (leader == 0 || leader == n->id) /* no frame goes from a node to itself */
		return;
	sim_trace(sim, "node %u: somebody registers proposers in its name", n->id);
	while (frames-- > 0)
		send_some(sim, n, leader);
}
