/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gateway's thread.
 *
 * It sleeps until a socket is ready or the shard's thread wakes it: with a job for a worker that
 * waits, and, while commands are in flight, whenever something was executed. Replies are sent at
 * the end of each turn, one write for each client. A wake-up that is missed by a hair costs a nap
 * of a millisecond. Reads are answered without anything being executed, so while some are under way
 * it polls for two milliseconds, then naps.
 *
 * So it does while it waits for one to three commands and the shard's thread runs on another CPU: a
 * wake-up from there is an interrupt, 8 us in a virtual machine, and a system call of the shard's
 * thread. On the same CPU a wake-up is a change of threads at once, and polling would be a turn too
 * late. With more commands in flight one wake-up brings many outcomes, and polling takes the CPU
 * from those who could execute something.
 */
#include "queue/serve/private.h"

#include "queue/serve/tls.h"

#include <sched.h>
#include <time.h>
#include <unistd.h>

#define COMPLETION_COUNT 64
#define POLL_NS          2000000ull /* so long after the last progress */
#define POLL_COUNT       3          /* commands in flight, at most, that are worth it */
/* With fewer commands in flight it gives way after a turn that did something: what is missing comes
 * sooner than a wake-up. With more, giving way after each turn makes turns of one or two answers
 * each, and the change of threads costs more than they do. */
#define FEW_COUNT   16
#define FAREWELL_NS 1000000000ull /* at the end, for connections to close */

static const struct timeval tick = { .tv_usec = 100000 };
static const struct timeval nap = { .tv_usec = 1000 };

static void
read_clock(struct queue_gateway *g)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	g->now_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ------------------------------------------------------------------------------ a turn */

static void
on_done(struct queue_gateway *g, const struct decree_completion *done)
{
	struct client *c = done->cookie;
	bool is_read = done->answer != NULL;

	*(is_read ? &g->reading : &g->flying) -= 1;
	if (!is_read)
		g->done_seq = done->seq;
	if (done->outcome == DECREE_UNKNOWN)
		g->phase = GATEWAY_OVER;
	else if (done->outcome != DECREE_APPLIED)
		g->is_lost = true;
	else if (c == NULL)
		(is_read ? stats_on_done : session_on_done)(g, done);
	else if (is_read)
		read_on_done(c, done);
	else
		answer_on_done(c, done);
}

/* A word of the handover is there before the completion of its command is: behind some completions,
 * every word that could be missing is there.
 * @return whether anything was completed */
static bool
take_completions(struct queue_gateway *g)
{
	struct decree_completion done[COMPLETION_COUNT];
	bool did = false;
	uint32_t count;

	if (g->proposer == NULL)
		return false;
	do {
		count = decree_poll(g->proposer, done, COMPLETION_COUNT);
		for (uint32_t i = 0; i < count; i++)
			on_done(g, &done[i]);
		answer_on_words(g);
		did = did || count > 0;
	} while (count == COMPLETION_COUNT);
	return did;
}

static void
run_blocked(struct queue_gateway *g, enum blocked why)
{
	struct client *c;

	g->is_full[why] = false;
	while (!g->is_full[why] && (c = TAILQ_FIRST(&g->blocked[why])) != NULL) {
		TAILQ_REMOVE(&g->blocked[why], c, in_blocked);
		c->blocked = BLOCKED_NOT;
		client_run(c);
	}
}

static bool
turn(struct queue_gateway *g)
{
	struct handover_word word;
	bool did;

	read_clock(g);
	did = take_completions(g);
	did |= handover_peek(&g->handover, &word);
	answer_on_words(g);
	for (int why = 0; why < BLOCKED_COUNT; why++)
		run_blocked(g, (enum blocked)why);
	if (g->phase == GATEWAY_OVER && g->proposer != NULL)
		session_drop(g);
	session_tend(g);
	stats_tend(g);
	listen_tend(g);
	tls_tend(g);
	client_flush_all(g);
	return did;
}

/* ------------------------------------------------------------------------------ sleep */

static void
on_wake(evutil_socket_t fd, short events, void *context)
{
	uint64_t count;
	ssize_t got = read(fd, &count, sizeof(count));

	(void)got; /* nothing there: somebody else's wake-up */
	(void)events;
	(void)context;
}

static void
on_time(evutil_socket_t fd, short events, void *context)
{
	(void)fd;
	(void)events;
	(void)context; /* that it has come is all */
}

/* Say that we sleep, look once more, sleep. What comes after that look finds us sleeping and wakes
 * us.
 * @return whether there was something, or the shard's thread says that there is */
static bool
fall_asleep(struct queue_gateway *g)
{
	bool is_busy = g->flying + g->reading > 0;
	bool did;

	/* Pairs with the change in queue_gateway_on_applied(). */
	(void)atomic_exchange_explicit(
		&g->sleep, is_busy ? SLEEP_BUSY : SLEEP_IDLE, memory_order_acq_rel);
	did = turn(g);
	if (!did) {
		if (g->flying + g->reading > 0)
			event_add(g->nap_event, &nap);
		event_base_loop(g->base, EVLOOP_ONCE);
		event_del(g->nap_event);
	}
	return atomic_exchange_explicit(&g->sleep, SLEEP_NOT, memory_order_relaxed) == SLEEP_NOT ||
	       did;
}

static bool
make_events(struct queue_gateway *g)
{
	g->wake_event = event_new(g->base, g->wake_fd, EV_READ | EV_PERSIST, on_wake, g);
	g->tick_event = event_new(g->base, -1, EV_PERSIST, on_time, g);
	g->nap_event = event_new(g->base, -1, 0, on_time, g);
	return g->wake_event != NULL && g->tick_event != NULL && g->nap_event != NULL &&
	       event_add(g->wake_event, NULL) == 0 && event_add(g->tick_event, &tick) == 0;
}

static void
free_events(struct queue_gateway *g)
{
	struct event *events[] = { g->wake_event, g->tick_event, g->nap_event };

	for (int i = 0; i < 3; i++)
		if (events[i] != NULL)
			event_free(events[i]);
}

/* ------------------------------------------------------------------------------ the thread */

/* Their jobs come back at once, and not only when the machine takes us for dead. */
static void
say_farewell(struct queue_gateway *g)
{
	uint64_t until_ns;

	read_clock(g);
	until_ns = g->now_ns + FAREWELL_NS;
	for (uint32_t i = 0; i < CLIENT_COUNT_MAX && g->free_count < CLIENT_COUNT_MAX; i++)
		if (g->clients[i] != NULL)
			client_drop(g->clients[i]);
	while (g->phase == GATEWAY_UP && g->free_count < CLIENT_COUNT_MAX && g->now_ns < until_ns)
		if (!turn(g))
			sched_yield();
	session_drop(g);
}

static bool
is_polling(const struct queue_gateway *g, uint64_t progress_ns)
{
	if (g->now_ns - progress_ns >= POLL_NS)
		return false;
	return g->reading > 0 ||
	       (g->flying > 0 && g->flying <= POLL_COUNT &&
		       atomic_load_explicit(&g->shard_cpu, memory_order_relaxed) != sched_getcpu());
}

void *
gateway_loop(void *context)
{
	struct queue_gateway *g = context;
	uint64_t progress_ns;
	bool has_events = make_events(g);

	if (!has_events)
		gateway_log(g, DECREE_LOG_ERROR, "queue: the gateway has no memory for its events");
	read_clock(g);
	listen_start(g);
	progress_ns = g->now_ns;
	while (has_events && !atomic_load_explicit(&g->is_stopping, memory_order_relaxed)) {
		bool has_progress = turn(g);
		bool is_idle = g->flying + g->reading == 0;

		if (g->has_handshake_waiting ||
			(!is_idle && (has_progress || is_polling(g, progress_ns)))) {
			event_base_loop(g->base, EVLOOP_NONBLOCK);
			if (!has_progress || g->flying < FEW_COUNT)
				sched_yield();
		} else if (fall_asleep(g) || is_idle) {
			read_clock(g); /* what is asked now is asked since now */
			has_progress = true;
		}
		if (has_progress)
			progress_ns = g->now_ns;
	}
	say_farewell(g);
	free_events(g);
	return NULL;
}
