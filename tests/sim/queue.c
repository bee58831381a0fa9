/* SPDX-License-Identifier: Apache-2.0 */
/* The queue machine of each node, beside one model for all: see queue.h. */
#include "engine/core/session.h"
#include "engine/runtime/shard_private.h"
#include "tests/lib/queue_check.h"
#include "tests/sim/sim.h"

#define SECOND_NS       1000000000ull
#define SLACK_ELECTIONS 8 /* as in timers.c */
#define CHECK_ALL_STEPS 32
#define REST_SECONDS                                                                               \
	(QUEUE_SILENCE_S +                                                                         \
		12) /* a gateway is silent so long, then delays, pauses and timeouts end */

void
sim_queue_create(struct sim *sim)
{
	struct sim_queue *q = calloc(1, sizeof(*q));

	q->steps = calloc(SIM_SLOT_MAX, sizeof(*q->steps));
	q->words = calloc(SIM_QUEUE_WORD_MAX, sizeof(*q->words));
	q->jobs = calloc(SIM_QUEUE_JOB_MAX, sizeof(*q->jobs));
	sim->queue = q;
}

/* ---- a world ---- */

/* A machine that nobody calls: what a node has that begins with the first slot. */
static void
measure(struct sim_queue *q)
{
	struct queue_config cfg = { .queue_bytes = QUEUE_BYTES_MIN };
	struct queue_machine *m;
	int rc = queue_machine_create(&cfg, &m);

	decree_assert(rc == 0);
	q->empty = queue_machine_ops.digest(m);
	queue_check_begin(m, &q->model);
	queue_machine_destroy(m);
}

static void
draw_load(struct sim *sim)
{
	static const uint32_t percents[] = { 50, 100,
		300 }; /* of the time between two commands of one proposer */
	static const uint32_t jobs[] = { 0, 1, 3, 12 };
	struct sim_queue *q = sim->queue;

	q->second_ns = sim->load.every_ns / 200 * percents[sim_draw(&q->random, 3)];
	q->silence_one_in = 20u << sim_draw(&q->random, 4);
	q->draw.random = sim_draw(&q->random, UINT64_MAX);
	q->draw.connections = (uint32_t)sim_draw_between(&q->random, 1, 6);
	q->draw.jobs_wanted = jobs[sim_draw(&q->random, 4)];
	q->draw.puts = 8;
	q->draw.opens = 20;
	q->draw.body_bytes_max = sim->load.large_one_in == 0 ? 319 : 3000;
	sim_trace(sim, "a queue: a second is %.3f ms, %u connections at each gateway, %u jobs",
		(double)q->second_ns / 1e6, q->draw.connections, q->draw.jobs_wanted);
}

void
sim_queue_draw(struct sim *sim)
{
	struct sim_queue *q = sim->queue;
	bool is_drawn = sim_draw(&q->random, 10) == 0;

	q->is_on = sim->options.machine == SIM_MACHINE_DRAWN
			   ? is_drawn
			   : sim->options.machine == SIM_MACHINE_QUEUE;
	if (!q->is_on)
		return;
	q->step_count = q->word_count = q->told_count = 0;
	q->is_at_rest = false;
	memset(&q->count, 0, sizeof(q->count));
	sim_queue_ledger_reset(sim);
	measure(q);
	draw_load(sim);
}

/* ---- its clock ---- */

static uint64_t
queue_ns(const struct sim *sim, uint64_t cluster_ns)
{
	return (uint64_t)((unsigned __int128)cluster_ns * SECOND_NS / sim->queue->second_ns);
}

/* The first cluster time that is not before it. */
static uint64_t
cluster_ns_of(const struct sim *sim, uint64_t queue_ns)
{
	unsigned __int128 product = (unsigned __int128)queue_ns * sim->queue->second_ns;

	return queue_ns == UINT64_MAX ? UINT64_MAX
				      : (uint64_t)((product + SECOND_NS - 1) / SECOND_NS);
}

uint64_t
sim_queue_next(const struct sim_node *n)
{
	return cluster_ns_of(n->sim, queue_machine_ops.next_deadline(n->queue));
}

/* ---- a process ---- */

static void
tell(struct sim *sim, const struct sim_queue_word *w)
{
	struct sim_queue *q = sim->queue;

	sim_check(sim, q->told_count < SIM_QUEUE_TOLD_MAX, "the run outgrew the queue's words");
	q->told[q->told_count++] = *w;
}

static void
on_reserved(void *context, struct queue_machine *m, const struct queue_reserved *r)
{
	struct sim_node *n = context;
	uint8_t body[SIM_COMMAND_BYTES];

	tell(n->sim, &(struct sim_queue_word){
			     .session = r->session.n,
			     .seq = r->seq,
			     .connection = r->connection,
			     .number = r->id,
			     .kind = r->has_waited ? WORD_WAIT_END : WORD_HANDED,
			     .status = r->status,
			     .reserves = r->reserves,
			     .body_bytes = r->body_bytes,
		     });
	sim_check(n->sim,
		r->status != QUEUE_OK ||
			queue_machine_body(m, r->id, 0, body, sizeof(body)) == r->body_bytes,
		"node %u hands over job %lu without its body", n->id, r->id);
}

static void
on_restored(void *context)
{
	struct sim_node *n = context;

	/* What was told to others meanwhile was not told to this one. */
	if (shard_has_started(n->shard))
		n->proposer.begins_anew = true;
}

void
sim_queue_start(struct sim_node *n)
{
	struct queue_config cfg = {
		.queue_bytes = QUEUE_BYTES_MIN,
		.on_reserved = on_reserved,
		.on_restored = on_restored,
		.context = n,
	};

	queue_machine_destroy(n->queue);
	n->queue = NULL;
	n->queue_steps = 0;
	if (!n->sim->queue->is_on)
		return;
	int rc = queue_machine_create(&cfg, &n->queue);
	sim_check(n->sim, rc == 0, "no memory for a queue");
}

/* ---- one slot ---- */

static int
compare_words(const void *left, const void *right)
{
	const struct sim_queue_word *a = left, *b = right;

	if (a->session != b->session)
		return a->session < b->session ? -1 : 1;
	if (a->seq != b->seq)
		return a->seq < b->seq ? -1 : 1;
	return (int)a->kind - (int)b->kind;
}

static void
write_word(struct sim *sim, struct sim_queue_word w)
{
	struct sim_queue *q = sim->queue;

	sim_check(sim, q->word_count < SIM_QUEUE_WORD_MAX, "the run outgrew the queue's words");
	q->words[q->word_count++] = w;
}

static void
trace_word(struct sim *sim, const struct sim_queue_word *w, const struct queue_command *c)
{
	if (c != NULL)
		sim_trace(sim,
			"queue: slot %lu: op %d of connection %lu of session %lu.%lu, job %lu: "
			"answer %u, %lu",
			sim->queue->steps[sim->queue->step_count].slot, c->op, c->connection,
			w->session, w->seq, c->id, w->status, w->number);
	else
		sim_trace(sim, "queue: slot %lu: connection %lu of session %lu.%lu %s %u, job %lu",
			sim->queue->steps[sim->queue->step_count].slot, w->connection, w->session,
			w->seq, w->kind == WORD_HANDED ? "gets" : "waits no more:", w->status,
			w->number);
}

/* What the model has just said: about one command, or about what was due. */
static void
write_model_words(
	struct sim *sim, const struct decree_command *command, const struct queue_command *c)
{
	struct sim_queue *q = sim->queue;

	for (int i = 0; i < q->model.answer_count; i++) {
		const struct model_answer *a = &q->model.answers[i];
		struct sim_queue_word w = {
			.session = a->session,
			.seq = a->seq,
			.number = a->result,
			.status = a->status,
		};
		q->count.behind += a->status == QUEUE_BEHIND;
		if (!a->has_waited) {
			write_word(sim, w);
			trace_word(sim, &w, c);
			sim_queue_ledger_note(sim, &w, c);
			sim_queue_expect(sim, command, &w, sim->oracle.order_count);
		}
		if (!a->has_waited && !a->has_job)
			continue;
		w.kind = a->has_waited ? WORD_WAIT_END : WORD_HANDED;
		w.connection = a->connection;
		w.reserves = a->reserves;
		w.body_bytes = a->body_bytes;
		write_word(sim, w);
		trace_word(sim, &w, NULL);
		sim_queue_ledger_note(sim, &w, NULL);
	}
}

/* The first node to come here: what has to be said from now on in this slot, on every node. */
static void
step_begin(struct sim *sim, uint64_t slot, uint64_t now_ns)
{
	struct sim_queue *q = sim->queue;
	int gateways = q->model.gateway_count;

	sim_check(sim, q->step_count < SIM_SLOT_MAX, "the run outgrew the queue's steps");
	q->steps[q->step_count] = (struct sim_queue_step){
		.slot = slot,
		.now_ns = now_ns,
		.word_first = q->word_count,
	};
	model_apply(&q->model, now_ns, 0, 0, NULL);
	q->count.detached += (uint64_t)(gateways - q->model.gateway_count);
	write_model_words(sim, NULL, NULL);
}

static void
step_command(struct sim *sim, const struct decree_command *command, uint64_t now_ns)
{
	struct sim_queue *q = sim->queue;
	struct queue_command c;
	int rc = queue_command_decode((const uint8_t *)command->body + SIM_BODY_BYTES_MIN,
		command->bytes - SIM_BODY_BYTES_MIN, &c);

	sim_check(sim, rc == 0, "a command that is none");
	model_apply(&q->model, now_ns, command->session.n, command->seq, &c);
	write_model_words(sim, command, &c);
}

static void
step_end(struct sim *sim)
{
	struct sim_queue *q = sim->queue;
	struct sim_queue_step *step = &q->steps[q->step_count];

	step->word_after = q->word_count;
	qsort(&q->words[step->word_first], step->word_after - step->word_first, sizeof(q->words[0]),
		compare_words);
}

/* The machine itself: all commands of the slot in one call, as in production. */
static void
call_machine(struct sim_node *n, const struct decree_command *commands, uint32_t count,
	uint64_t now_ns, struct decree_sink *sink)
{
	struct decree_command stripped[SIM_QUEUE_BURST_MAX];
	const struct eng_sessions *sessions = n->shard->groups[0].sessions;

	n->sim->queue->told_count = 0;
	for (uint32_t i = 0; i < count; i++) {
		stripped[i] = commands[i];
		stripped[i].body = (const uint8_t *)commands[i].body + SIM_BODY_BYTES_MIN;
		stripped[i].bytes = commands[i].bytes - SIM_BODY_BYTES_MIN;
	}
	queue_machine_ops.apply(n->queue, stripped, count, now_ns, sink);
	apply_tell_answers(sink); /* into the table of sessions */
	for (uint32_t i = 0; i < count; i++) {
		struct sim_queue_word w = { .session = commands[i].session.n,
			.seq = commands[i].seq };
		uint16_t status = 0;
		bool is_answered = eng_session_answer_of(
			sessions, commands[i].session, commands[i].seq, &status, &w.number);

		sim_check(n->sim, is_answered, "node %u leaves command %lu unanswered", n->id,
			commands[i].seq);
		w.status = status;
		tell(n->sim, &w);
	}
}

static void
check_words(const struct sim_node *n, const struct sim_queue_step *step)
{
	struct sim_queue *q = n->sim->queue;
	uint32_t count = step->word_after - step->word_first;

	qsort(q->told, q->told_count, sizeof(q->told[0]), compare_words);
	for (uint32_t i = 0; i < count && i < q->told_count; i++) {
		const struct sim_queue_word *a = &q->told[i], *b = &q->words[step->word_first + i];

		sim_check(n->sim, memcmp(a, b, sizeof(*a)) == 0,
			"queue: node %u says (%u) %u, %lu about %lx.%lu in slot %lu, and should "
			"say (%u) %u, %lu about %lx.%lu",
			n->id, a->kind, a->status, a->number, a->session, a->seq, step->slot,
			b->kind, b->status, b->number, b->session, b->seq);
	}
	sim_check(n->sim, count == q->told_count,
		"queue: node %u says %u things in slot %lu instead of %u", n->id, q->told_count,
		step->slot, count);
}

static void
check_state(struct sim_node *n, bool is_first)
{
	struct sim_queue *q = n->sim->queue;
	struct sim_queue_step *step = &q->steps[n->queue_steps];
	struct decree_digest digest = queue_machine_ops.digest(n->queue);
	const char *difference = NULL;

	if (is_first) {
		step->digest = digest;
		difference = q->step_count % CHECK_ALL_STEPS == 0
				     ? queue_check_all(n->queue, &q->model)
				     : queue_check_stats(n->queue, &q->model);
	}
	sim_check(n->sim, difference == NULL, "queue: node %u after slot %lu: %s", n->id,
		step->slot, difference);
	sim_check(n->sim, digest_eq(digest, step->digest),
		"queue: node %u has another state after slot %lu", n->id, step->slot);
}

void
sim_queue_apply(struct sim_node *n, const struct decree_command *commands, uint32_t count,
	uint64_t cluster_ns, struct decree_sink *sink)
{
	struct sim *sim = n->sim;
	struct sim_queue *q = sim->queue;
	uint64_t now_ns = queue_ns(sim, cluster_ns), slot = n->shard->groups[0].applied.n + 1;
	bool is_first = n->queue_steps == q->step_count;

	sim_check(sim, count <= SIM_QUEUE_BURST_MAX, "%u commands in a slot", count);
	sim_check(sim, !is_first || count > 0 || model_next_deadline(&q->model) <= now_ns,
		"queue: node %u is called in slot %lu for nothing", n->id, slot);
	if (is_first)
		step_begin(sim, slot, now_ns);
	for (uint32_t i = 0; i < count; i++) {
		oracle_on_command(sim, n, &commands[i]);
		if (is_first)
			step_command(sim, &commands[i], now_ns);
	}
	if (is_first)
		step_end(sim);
	const struct sim_queue_step *step = &q->steps[n->queue_steps];
	sim_check(sim, step->slot == slot && step->now_ns == now_ns,
		"queue: node %u is called in slot %lu, and others in slot %lu", n->id, slot,
		step->slot);
	call_machine(n, commands, count, now_ns, sink);
	check_words(n, step);
	check_state(n, is_first);
	n->queue_steps++;
	q->step_count += is_first;
}

/* ---- snapshots ---- */

void
sim_queue_restored(struct sim_node *n)
{
	struct sim *sim = n->sim;
	struct sim_queue *q = sim->queue;

	sim_check(sim, n->queue_steps <= q->step_count, "node %u restored what nobody executed",
		n->id);
	struct decree_digest wanted =
		n->queue_steps == 0 ? q->empty : q->steps[n->queue_steps - 1].digest;
	sim_check(sim, digest_eq(queue_machine_ops.digest(n->queue), wanted),
		"queue: node %u restored another state", n->id);
	const char *difference =
		n->queue_steps == q->step_count ? queue_check_all(n->queue, &q->model) : NULL;
	sim_check(sim, difference == NULL, "queue: node %u restored: %s", n->id, difference);
}

/* ---- the end ---- */

void
sim_queue_require(struct sim *sim)
{
	struct sim_queue *q = sim->queue;
	uint64_t end_ns =
		sim->now_ns + REST_SECONDS * q->second_ns + SLACK_ELECTIONS * sim->election_ns;

	if (!q->is_on || sim->fills_up || liveness_needs_a_stuck_node(sim))
		return;
	while (sim_leader(sim) == 0 || sim_queue_next(&sim->nodes[sim_leader(sim)]) != UINT64_MAX) {
		sim_check(sim, sim->now_ns < end_ns,
			"queue: something is due for ever although nothing is wrong any more");
		sim_run_until(sim, sim->now_ns + sim->election_ns / 50);
	}
	q->is_at_rest = true;
}

void
sim_queue_check_end(struct sim *sim)
{
	struct sim_queue *q = sim->queue;

	q->count.expired = q->model.counters[QUEUE_JOB_TIMEOUTS];
	for (uint16_t id = 1; id <= sim->node_count && q->is_on; id++) {
		struct sim_node *n = &sim->nodes[id];

		if (!n->is_up || n->is_disowned || n->queue_steps != q->step_count)
			continue; /* oracle_check_calm() has seen who must not be among these */
		const char *difference = queue_check_all(n->queue, &q->model);
		sim_check(sim, difference == NULL, "queue: node %u at the end: %s", n->id,
			difference);
		sim_queue_ledger_check(sim, n);
	}
}
