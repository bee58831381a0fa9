/* SPDX-License-Identifier: Apache-2.0 */
/* The order in which things happen: frames arrive, faults strike, proposers propose, nodes take
 * their turns. */
#include "tests/sim/sim.h"

#include <signal.h>
#include <stdarg.h>
#include <unistd.h>

/* ---- random numbers ---- */

uint64_t
sim_draw(uint64_t *stream, uint64_t bound)
{
	uint64_t z = *stream += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	z ^= z >> 31;
	return bound == 0 ? 0 : z % bound;
}

uint64_t
sim_draw_between(uint64_t *stream, uint64_t low, uint64_t high)
{
	return low + sim_draw(stream, high - low + 1);
}

bool
sim_draw_percent(uint64_t *stream, uint32_t percent)
{
	return sim_draw(stream, 100) < percent;
}

/* ---- what a person reads ---- */

void
sim_trace_line(const struct sim *sim, const char *format, ...)
{
	va_list args;

	printf("%12.3f ms  ", (double)sim->now_ns / 1e6);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
}

void
sim_fail(const struct sim *sim, const char *condition, const char *format, ...)
{
	va_list args;

	fflush(stdout);
	fprintf(stderr, "FAILED seed %lu at %.3f ms: %s: ", sim->options.seed,
		(double)sim->now_ns / 1e6, condition);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\n");
	exit(1);
}

/* An assertion of the production code knows nothing of seeds. */
static uint64_t current_seed;

static void
on_abort(int signal_number)
{
	char line[64];
	int bytes = snprintf(
		line, sizeof(line), "FAILED seed %lu: an assertion, above\n", current_seed);

	(void)signal_number;
	if (write(STDERR_FILENO, line, (size_t)bytes) < 0)
		_exit(1);
	_exit(1);
}

/* ---- a world ---- */

struct sim *
sim_create(void)
{
	struct sim *sim = calloc(1, sizeof(*sim));

	sim->frames = calloc(SIM_FRAME_COUNT, sizeof(*sim->frames));
	sim->heap = calloc(SIM_FRAME_COUNT, sizeof(*sim->heap));
	sim->recorded = calloc(SIM_RECORDED_COUNT, sizeof(*sim->recorded));
	oracle_create(sim);
	sim_queue_create(sim);
	signal(SIGABRT, on_abort);
	for (uint16_t id = 1; id <= SIM_FOUNDER_MAX; id++)
		sim_node_create(sim, id);
	return sim;
}

/* Any two quorums meet; each node alone may be one of them. */
static void
draw_quorums(struct sim *sim)
{
	uint64_t *random = &sim->random_nodes;
	uint32_t n = sim->node_count;

	sim->q1 = sim->q2 = n / 2 + 1;
	if (!sim_draw_percent(random, 30))
		return;
	sim->q1 = (uint32_t)sim_draw_between(random, 1, n);
	sim->q2 = (uint32_t)sim_draw_between(random, n - sim->q1 + 1, n);
}

static void
draw_cluster(struct sim *sim)
{
	static const uint32_t sizes[] = { 3, 3, 5, 3, 1, 3, 4, 5, 2, 3, 6, 7 };
	static const uint32_t elections_ms[] = { 200, 1000, 5000, 20000 };
	static const uint32_t alphas[] = { 8, 16, 64, 64 };
	static const uint32_t snapshots[] = { 0, 8, 16, 40, 100 };
	uint64_t *random = &sim->random_nodes;
	uint64_t drawn = sizes[sim_draw(random, 12)];

	sim->node_count = sim->options.node_count != 0 ? sim->options.node_count : (uint32_t)drawn;
	sim->founder_count = sim->node_count;
	draw_quorums(sim);
	sim->election_ns = elections_ms[sim_draw(random, 4)] * MS;
	sim->alpha = alphas[sim_draw(random, 4)];
	sim->window_slots = (uint32_t)sim_draw_between(random, 2, sim->alpha);
	sim->snapshot_slots = snapshots[sim_draw(random, 5)];
	sim->trims_early = sim_draw(random, 4) != 0;
	sim->ring_slots = 2 * sim->alpha << sim_draw(random, 2);
}

/* A log that fills up for good has no snapshots. One that does not has them so often that what is
 * cut off makes room in time, or has room enough until it asks for one. It takes many slots to fill
 * a log. */
static void
draw_room(struct sim *sim)
{
	struct sim_faults *f = &sim->faults;

	sim->fills_up = f->log_records != 0 && f->log_records < SIM_LOG_RECORDS_MIN;
	sim->has_snapshots = sim->snapshot_slots != 0 && !sim->fills_up;
	if (f->log_records == 0)
		return;
	f->log_records += 2 * sim->window_slots; /* which a leader keeps to itself */
	sim->load.every_ns = sim->election_ns / 50;
	sim->load.burst_max = 1;
	if (sim->fills_up)
		sim->load.in_flight_max = 3; /* they are repeated for as long as the run lasts */
	else {
		sim->has_snapshots = true;
		sim->options.event_count = sim->options.event_count * 3 / 2;
		if (sim->snapshot_slots == 0 || sim->snapshot_slots > 40)
			f->log_records += 400;
	}
	sim_trace(sim, "logs take %u records, %s", f->log_records,
		sim->fills_up ? "and then no more" : "until snapshots make room");
}

void
sim_reset(struct sim *sim, const struct sim_options *options)
{
	uint64_t stream = options->seed * 0x2545f4914f6cdd1dull + 1;

	sim->options = *options;
	current_seed = options->seed;
	sim->random_nodes = sim_draw(&stream, UINT64_MAX);
	sim->random_load = sim_draw(&stream, UINT64_MAX);
	sim->random_net = sim_draw(&stream, UINT64_MAX);
	sim->random_faults = sim_draw(&stream, UINT64_MAX);
	sim->random_disks = sim_draw(&stream, UINT64_MAX);
	sim->random_twins = sim_draw(&stream, UINT64_MAX);
	sim->scrubs = sim_draw(&stream, 8) == 0;
	sim->random_flaps = sim_draw(&stream, UINT64_MAX);
	sim->random_space = sim_draw(&stream, UINT64_MAX);
	sim->random_timers = sim_draw(&stream, UINT64_MAX);
	sim->queue->random = sim_draw(&stream, UINT64_MAX);
	sim->random_answers = sim_draw(&stream, UINT64_MAX);
	sim->random_usurpers = sim_draw(&stream, UINT64_MAX);
	sim->random_decisions = sim_draw(&stream, UINT64_MAX);
	sim->random_outages = sim_draw(&stream, UINT64_MAX);
	sim->now_ns = 1000 * MS;
	sim->event_limit = UINT64_MAX;
	sim->is_calm = sim->is_silent = false;
	sim->proposer_number = 0;
	sim->spoilt_nodes = 0;
	sim->image.id = sim->outage.id = sim->liar = 0;
	sim->admin = (struct sim_operator){ 0 };
	memset(sim->is_cut, 0, sizeof(sim->is_cut));
	memset(sim->clog_until_ns, 0, sizeof(sim->clog_until_ns));
	memset(&sim->count, 0, sizeof(sim->count));
	sim_twin_reset(sim);
	sim_frames_reset(sim);
	draw_cluster(sim);
	oracle_reset(sim);
	workload_draw(sim);
	sim_faults_draw(sim);
	sim->scrubs = sim->scrubs || sim->faults.has[FAULT_ROT] || sim->faults.has[FAULT_MISDIRECT];
	draw_room(sim);
	sim_reads_draw(sim);
	sim_queue_draw(sim);
	sim_timers_draw(sim);
	if (sim->told_nodes != NULL)
		*sim->told_nodes = sim->node_count;
	sim_trace(sim, "%u nodes, q1 %u, q2 %u, T %.0f ms, alpha %u, window %u", sim->node_count,
		sim->q1, sim->q2, (double)sim->election_ns / 1e6, sim->alpha, sim->window_slots);
	for (uint16_t id = 1; id <= sim->node_count; id++)
		sim_node_reset(sim, id);
	for (uint16_t id = 1; id <= sim->node_count; id++)
		sim_node_start(sim, id);
}

uint64_t
sim_event_count(const struct sim *sim)
{
	const struct sim_count *c = &sim->count;

	return c->frames + c->completions + c->timers + c->commands;
}

/* ---- time ---- */

static void
deliver(struct sim *sim, struct sim_node *n, struct sim_frame *f)
{
	if (!n->is_up || n->inbox_count == SIM_INBOX_COUNT || sim_is_cut(sim, f->src, f->dst)) {
		sim->count.lost++;
		sim_frame_give(sim, f);
		return;
	}
	n->inbox[(n->inbox_first + n->inbox_count) % SIM_INBOX_COUNT] = f;
	n->inbox_count++;
	n->turn_at_ns = sim->now_ns;
	n->next_ns = n->paused_until_ns > sim->now_ns ? n->paused_until_ns : sim->now_ns;
	sim->count.frames++;
}

static void
deliver_copy(struct sim *sim, struct sim_node *n, const struct sim_frame *f)
{
	struct sim_frame *copy = sim_frame_take(sim);

	if (copy == NULL)
		return;
	copy->src = f->src;
	copy->version_max = f->version_max;
	copy->dst = f->dst;
	copy->bytes = f->bytes;
	memcpy(copy->data, f->data, f->bytes);
	deliver(sim, n, copy);
}

static void
frame_arrives(struct sim *sim, struct sim_frame *f)
{
	struct sim_node *other = NULL;

	if (f->dst == 0) {
		operator_receive(sim, f);
		sim_frame_give(sim, f);
		return;
	}
	struct sim_node *n = sim_twin_hearer(sim, f->dst, &other);
	if (other != NULL)
		deliver_copy(sim, other, f);
	deliver(sim, n, f);
}

static void
earlier(uint64_t *at, uint64_t other)
{
	if (other < *at)
		*at = other;
}

/* @return the time of the next thing to happen, @p end_ns at most */
static uint64_t
next_ns(const struct sim *sim, uint64_t end_ns)
{
	uint64_t at = end_ns;

	if (sim->heap_count > 0)
		earlier(&at, sim->heap[0].due_ns);
	for (uint16_t id = 1; id <= sim->node_count; id++)
		earlier(&at, sim->nodes[id].next_ns);
	earlier(&at, sim->nodes[SIM_TWIN].next_ns);
	earlier(&at, sim->faults.first_ns);
	return at;
}

void
sim_run_until(struct sim *sim, uint64_t end_ns)
{
	while (sim->now_ns < end_ns && sim_event_count(sim) < sim->event_limit) {
		uint64_t work_ns = workload_next_ns(sim);
		uint64_t at = next_ns(sim, work_ns < end_ns ? work_ns : end_ns);

		if (sim->told_events != NULL)
			*sim->told_events = sim_event_count(sim);

		if (at > sim->now_ns)
			sim->now_ns = at;
		else
			sim->now_ns += 100; /* two things at once: one after the other */
		while (sim->heap_count > 0 && sim->heap[0].due_ns <= sim->now_ns)
			frame_arrives(sim, sim_heap_pop(sim));
		if (work_ns <= sim->now_ns)
			workload_step(sim);
		sim_faults_step(sim);
		sim_twin_step(sim);
		for (uint16_t id = 1; id <= sim->node_count; id++)
			if (sim->nodes[id].next_ns <= sim->now_ns)
				sim_node_turn(sim, &sim->nodes[id]);
		if (sim->nodes[SIM_TWIN].next_ns <= sim->now_ns)
			sim_node_turn(sim, &sim->nodes[SIM_TWIN]);
	}
}

uint16_t
sim_leader(const struct sim *sim)
{
	uint16_t best = 0;
	uint64_t ballot = 0;

	for (uint16_t id = 1; id <= sim->node_count; id++) {
		const struct sim_node *n = &sim->nodes[id];
		if (!n->is_up)
			continue;
		const struct eng_replica *r = sim_replica(n);
		if (r->role == DECREE_LEADER && r->ready && r->ballot.n > ballot) {
			ballot = r->ballot.n;
			best = id;
		}
	}
	return best;
}
