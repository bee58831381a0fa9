/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "bench/queue/amqp.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define EVENT_COUNT   256
#define SILENCE_NS    30000000000ull
#define FAN_AHEAD     1024u /* jobs that were put and not deleted, at most */
#define FLY_COUNT_MAX 512u  /* of one connection, in an open loop and in pipelines */
#define TTR_S         120u
#define AWAKE_NS      100000u   /* before a request of an open loop is due: no timer is exact */
#define WAIT_NS       10000000u /* for answers, before the time is looked at again */

static_assert(LOAD_DEPTH_MAX <= FLY_COUNT_MAX, "each cycle has one request under way");

struct run {
	const struct load_plan *plan;
	const char *tube;
	struct load_result *result;
	char *error;
	char body[LOAD_BODY_BYTES_MAX];

	struct client *clients; /* [plan->connection_count] */
	uint32_t open_count;
	int epoll_fd;

	uint64_t from_ns, until_ns; /* what is answered in between counts */
	uint64_t last_ns;           /* when anything was answered */
	uint64_t count;
	bool is_amqp;
	bool is_over;          /* nothing new is begun */
	uint64_t flying;       /* requests whose answer must still come */
	uint64_t put, deleted; /* fan: jobs */
	uint64_t due;          /* open loop: requests so far, sent or not */
};

/* ------------------------------------------------------------------------------ requests */

static void
ask_put(struct run *r, struct client *c, uint64_t asked_ns)
{
	char stamp[LOAD_BODY_BYTES_MIN + 1];

	snprintf(stamp, sizeof(stamp), "%016" PRIx64, asked_ns);
	memcpy(r->body, stamp, LOAD_BODY_BYTES_MIN);
	client_put(c, asked_ns, r->body, r->plan->body_bytes, TTR_S);
	r->flying++;
}

/* A worker that waits in vain is no reason to go on: its reserve does not count as flying. */
static void
ask_reserve(struct run *r, struct client *c, uint64_t asked_ns)
{
	client_reserve(c, asked_ns);
	if (r->plan->kind != LOAD_FAN)
		r->flying++;
}

static void
ask_delete(struct run *r, struct client *c, uint64_t asked_ns, uint64_t id)
{
	client_delete(c, asked_ns, id);
	r->flying++;
}

static void
fan_put(struct run *r, uint64_t now)
{
	struct client *c = &r->clients[0];

	for (; !r->is_over && r->put - r->deleted < FAN_AHEAD && client_flying(c) < FLY_COUNT_MAX;
		r->put++)
		ask_put(r, c, now);
}

/* Everybody begins: as many requests as each has under way, or as are due. */
static void
start(struct run *r)
{
	uint64_t now = base_now_ns();

	for (uint32_t i = 0; i < r->open_count && r->plan->rate == 0; i++) {
		for (uint32_t k = 0; k < r->plan->depth && r->plan->kind != LOAD_FAN; k++)
			ask_put(r, &r->clients[i], now);
		if (r->plan->kind == LOAD_FAN && i > 0)
			ask_reserve(r, &r->clients[i], now);
	}
	if (r->plan->kind == LOAD_FAN)
		fan_put(r, now);
}

/* Open loop: ask what is due, with the time at which it was. */
static void
ask_due(struct run *r, uint64_t start_ns, uint64_t now)
{
	for (; !r->is_over; r->due++) {
		uint64_t at = start_ns + r->due * 1000000000u / r->plan->rate;
		struct client *c = &r->clients[r->due % r->open_count];

		if (at > now)
			return;
		bool is_measured = now >= r->from_ns && now < r->until_ns;

		if (client_flying(c) < FLY_COUNT_MAX)
			ask_put(r, c, at);
		else
			r->result->unsent_count += is_measured;
		if (is_measured)
			histogram_add(&r->result->lag, now - at);
	}
}

/* ------------------------------------------------------------------------------ answers */

static void
record(struct run *r, uint64_t since_ns, uint64_t now)
{
	if (now >= r->from_ns && now < r->until_ns)
		histogram_add(&r->result->latency, now - since_ns);
}

static void
count(struct run *r, uint64_t now)
{
	r->count += now >= r->from_ns && now < r->until_ns;
}

static void
on_put(struct run *r, struct client *c, const struct client_answer *a, uint64_t now)
{
	record(r, a->asked_ns, now);
	count(r, now);
	if (!r->is_over && r->plan->rate == 0)
		ask_put(r, c, now);
}

/* A latency is that of the whole cycle, which is handed on from request to request. */
static void
on_cycle(struct run *r, struct client *c, const struct client_answer *a, uint64_t now)
{
	if (a->op == OP_PUT) {
		ask_reserve(r, c, a->asked_ns);
	} else if (a->op == OP_RESERVE) {
		ask_delete(r, c, a->asked_ns, a->id);
	} else {
		record(r, a->asked_ns, now);
		count(r, now);
		if (!r->is_over && r->plan->rate == 0)
			ask_put(r, c, now);
	}
}

static void
on_fan(struct run *r, struct client *c, const struct client_answer *a, uint64_t now)
{
	if (a->op == OP_RESERVE) {
		record(r, strtoull(a->body, NULL, 16), now);
		ask_delete(r, c, now, a->id);
	} else if (a->op == OP_DELETE) {
		count(r, now);
		r->deleted++;
		ask_reserve(r, c, now);
	}
	fan_put(r, now);
}

static void
on_answer(struct run *r, struct client *c, const struct client_answer *a, uint64_t now)
{
	if (a->op != OP_RESERVE || r->plan->kind != LOAD_FAN)
		r->flying--;
	switch (r->plan->kind) {
	case LOAD_PUT: on_put(r, c, a, now); break;
	case LOAD_CYCLE: on_cycle(r, c, a, now); break;
	case LOAD_FAN: on_fan(r, c, a, now); break;
	}
}

/* ------------------------------------------------------------------------------ connections */

static int
watch_for(struct run *r, uint32_t i, uint32_t events)
{
	struct epoll_event e = { .events = events, .data.u32 = i };

	return epoll_ctl(r->epoll_fd, EPOLL_CTL_MOD, r->clients[i].fd, &e);
}

static int
flush(struct run *r, uint32_t i)
{
	int some;

	some = client_send(&r->clients[i], r->error);
	if (some > 0)
		return watch_for(r, i, EPOLLIN | EPOLLOUT);
	return some;
}

static int
flush_all(struct run *r)
{
	for (uint32_t i = 0; i < r->open_count; i++)
		if (flush(r, i) != 0)
			return -1;
	return 0;
}

/* Whatever an answer leads to may be asked on another connection: the first one, of a fan. */
static int
serve(struct run *r, uint32_t i, uint32_t events,
	void (*on)(struct run *, struct client *, const struct client_answer *, uint64_t))
{
	struct client *c = &r->clients[i];
	struct client_answer a;
	uint64_t now;
	int rc = 0;

	if ((events & EPOLLOUT) != 0 && watch_for(r, i, EPOLLIN) != 0)
		return -1;
	if ((events & ~(uint32_t)EPOLLOUT) != 0 && client_receive(c, r->error) != 0)
		return -1;
	now = base_now_ns();
	while ((rc = client_next(c, &a, r->error)) == 1) {
		on(r, c, &a, now);
		r->last_ns = now;
	}
	return rc < 0 || flush(r, i) != 0 || flush(r, 0) != 0 ? -1 : 0;
}

/* One turn. @param wait_ns  for anything to happen, less than a second */
static int
turn(struct run *r, uint64_t wait_ns,
	void (*on)(struct run *, struct client *, const struct client_answer *, uint64_t))
{
	const struct timespec wait = { .tv_nsec = (long)wait_ns };
	struct epoll_event events[EVENT_COUNT];
	int ready = epoll_pwait2(r->epoll_fd, events, EVENT_COUNT, &wait, NULL);

	for (int i = 0; i < ready; i++)
		if (serve(r, events[i].data.u32, events[i].events, on) != 0)
			return -1;
	if (r->flying > 0 && base_now_ns() - r->last_ns > SILENCE_NS) {
		snprintf(r->error, LOAD_ERROR_BYTES, "no answer for %llu s",
			SILENCE_NS / 1000000000);
		return -1;
	}
	return 0;
}

static uint32_t
holds_at_most(const struct load_plan *p, uint32_t connection)
{
	if (p->kind == LOAD_CYCLE)
		return p->depth;
	return p->kind == LOAD_FAN && connection > 0 ? 1 : 0;
}

static int
open_one(struct run *r, const struct load_server *s, uint32_t i)
{
	struct epoll_event e = { .events = EPOLLIN, .data.u32 = i };
	struct client *c = &r->clients[i];
	const struct client_use use = {
		.tube = r->tube,
		.held_count_max = holds_at_most(r->plan, i),
	};

	if (client_open(c, s, i % s->address_count, &use, r->error) != 0)
		return -1;
	r->open_count++;
	r->flying += client_flying(c);
	return epoll_ctl(r->epoll_fd, EPOLL_CTL_ADD, c->fd, &e);
}

static void
on_setting(struct run *r, struct client *c, const struct client_answer *a, uint64_t now)
{
	(void)c;
	(void)a;
	(void)now;
	r->flying--;
}

/* Until nothing is due any more. */
static int
settle(struct run *r,
	void (*on)(struct run *, struct client *, const struct client_answer *, uint64_t))
{
	r->last_ns = base_now_ns();
	if (flush_all(r) != 0)
		return -1;
	while (r->flying > 0)
		if (turn(r, WAIT_NS, on) != 0)
			return -1;
	return 0;
}

static int
open_all(struct run *r, const struct load_server *s, uint32_t connection_count)
{
	memset(r->body, 'x', sizeof(r->body));
	r->clients = calloc(connection_count, sizeof(*r->clients));
	r->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (r->clients == NULL || r->epoll_fd < 0)
		abort();
	for (uint32_t i = 0; i < connection_count; i++)
		if (open_one(r, s, i) != 0)
			return -1;
	return settle(r, on_setting);
}

static void
close_all(struct run *r)
{
	for (uint32_t i = 0; i < r->open_count; i++)
		client_close(&r->clients[i]);
	close(r->epoll_fd);
	free(r->clients);
}

/* ------------------------------------------------------------------------------ runs */

/* How long to wait for answers until the next request of an open loop is due. A client sleeps, and
 * so does this one: one that polls with sched_yield() for all of the time can keep the kernel's
 * workers from its CPU, for seconds where sessions are scheduled as groups (sched_autogroup), and
 * the server's disk waits for these. */
static uint64_t
open_wait_ns(const struct run *r, uint64_t start_ns, uint64_t now)
{
	uint64_t due_ns = start_ns + r->due * 1000000000u / r->plan->rate;

	if (due_ns > now + AWAKE_NS)
		return due_ns - now - AWAKE_NS < WAIT_NS ? due_ns - now - AWAKE_NS : WAIT_NS;
	sched_yield();
	return 0;
}

static int
measure(struct run *r)
{
	uint64_t start_ns = base_now_ns(), now;

	r->from_ns = start_ns + r->plan->warm_ns;
	r->until_ns = r->from_ns + r->plan->run_ns;
	r->last_ns = start_ns;
	start(r);
	if (flush_all(r) != 0)
		return -1;
	while ((now = base_now_ns()) < r->until_ns) {
		uint64_t wait_ns = WAIT_NS;

		if (r->plan->rate > 0) {
			ask_due(r, start_ns, now);
			if (flush_all(r) != 0)
				return -1;
			wait_ns = open_wait_ns(r, start_ns, now);
		}
		if (turn(r, wait_ns, on_answer) != 0)
			return -1;
	}
	r->result->per_s = (double)r->count * 1e9 / (double)r->plan->run_ns;
	r->is_over = true;
	/* What was pushed to a connection that begins nothing more would be waited for in vain. */
	return r->is_amqp && r->plan->kind != LOAD_PUT ? 0 : settle(r, on_answer);
}

int
load_run(const struct load_server *server, const struct load_plan *plan, const char *tube,
	struct load_result *ret_result, char ret_error[LOAD_ERROR_BYTES])
{
	static struct run r;
	int rc;

	memset(ret_result, 0, sizeof(*ret_result));
	r = (struct run){
		.plan = plan,
		.tube = tube,
		.result = ret_result,
		.error = ret_error,
		.is_amqp = server->is_amqp,
	};
	snprintf(ret_error, LOAD_ERROR_BYTES, "epoll: %s", strerror(errno));
	rc = open_all(&r, server, plan->connection_count);
	if (rc == 0)
		rc = measure(&r);
	close_all(&r);
	if (rc == 0 && server->is_amqp)
		rc = amqp_forget(server, tube, ret_error);
	return rc;
}

/* ------------------------------------------------------------------------------ a backlog */

static void
on_filled(struct run *r, struct client *c, const struct client_answer *a, uint64_t now)
{
	(void)a;
	r->flying--;
	r->count++;
	if (r->put > 0) {
		r->put--;
		ask_put(r, c, now);
	}
	if (r->count % 1000000 == 0)
		fprintf(stderr, "%" PRIu64 " jobs are there\n", r->count);
}

int
load_fill(const struct load_server *server, uint64_t job_count, uint32_t body_bytes,
	const char *tube, char ret_error[LOAD_ERROR_BYTES])
{
	static struct run r;
	const struct load_plan plan = { .body_bytes = body_bytes };
	int rc;

	r = (struct run){ .plan = &plan, .tube = tube, .put = job_count, .error = ret_error };
	rc = open_all(&r, server, server->address_count);
	for (uint32_t i = 0; rc == 0 && i < FLY_COUNT_MAX && r.put > 0; i++, r.put--)
		ask_put(&r, &r.clients[i % r.open_count], 0);
	if (rc == 0)
		rc = settle(&r, on_filled);
	close_all(&r);
	return rc;
}
