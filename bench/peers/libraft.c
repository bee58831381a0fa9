/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libraft (cowsql's raft): a library that is embedded, like decree. Three processes with its own io
 * backend (libuv, direct writes with RWF_DSYNC into segments of the usual size) and TCP over
 * loopback. Commands that are there at the same time are handed over by one raft_apply(), which is
 * what is fastest. The state machine counts, as decree's here does.
 *
 * Not as usual: a snapshot each 2^20 entries instead of each 1,024, since it would write and sync a
 * file so often.
 */
#include "bench/peers/answers.h"
#include "bench/peers/peer.h"

#include <raft.h>
#include <raft/uv.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <uv.h>

#define GATHER_COUNT_MAX   4096
#define SNAPSHOT_THRESHOLD (1u << 20)
#define SNAPSHOT_TRAILING  (1u << 16)
#define CONNECT_RETRY_MS   100
#define IDLE_MS            5

static struct server {
	const struct peer_run *run;
	uint32_t index;
	struct board_node *place;
	struct uv_loop_s loop;
	struct uv_timer_s timer; /* ends a sleep */
	struct raft_uv_transport transport;
	struct raft_io io;
	struct raft_fsm fsm;
	struct raft raft;
	uint64_t applied_count;

	/* Not handed over yet. */
	struct raft_buffer gathered[GATHER_COUNT_MAX];
	uint32_t gathered_count;

	/* Handed over or gathered, in order; applied in the same. */
	void *cookies[PLAN_IN_FLIGHT_MAX];
	uint32_t cookie_first, cookie_count;
	struct answers answers;
} server;

/* ---------------------------------------------------------------------------- the state machine */

static int
apply(struct raft_fsm *fsm, const struct raft_buffer *buf, void **result)
{
	struct server *s = fsm->data;

	(void)buf, (void)result;
	s->applied_count++;
	if (s->cookie_count == 0)
		return 0; /* a follower's */
	answers_push(&s->answers, s->cookies[s->cookie_first], true);
	s->cookie_first = (s->cookie_first + 1) % PLAN_IN_FLIGHT_MAX;
	s->cookie_count--;
	return 0;
}

static int
snapshot(struct raft_fsm *fsm, struct raft_buffer *bufs[], unsigned *n_bufs)
{
	const struct server *s = fsm->data;
	struct raft_buffer *buffer = raft_malloc(sizeof(*buffer));
	uint64_t *count = raft_malloc(sizeof(*count));

	if (buffer == NULL || count == NULL) {
		raft_free(buffer);
		raft_free(count);
		return RAFT_NOMEM;
	}
	*count = s->applied_count;
	*buffer = (struct raft_buffer){ .base = count, .len = sizeof(*count) };
	*bufs = buffer;
	*n_bufs = 1;
	return 0;
}

static int
restore(struct raft_fsm *fsm, struct raft_buffer *buf)
{
	struct server *s = fsm->data;

	if (buf->len != sizeof(s->applied_count))
		return RAFT_MALFORMED;
	memcpy(&s->applied_count, buf->base, sizeof(s->applied_count));
	raft_free(buf->base);
	return 0;
}

/* ---------------------------------------------------------------------------- the load's target */

static void
on_handed_over(struct raft_apply *request, int status, void *result)
{
	(void)result;
	if (status != 0)
		load_die(server.place, raft_strerror(status));
	free(request);
}

static void
hand_over(struct server *s)
{
	struct raft_apply *request;

	if (s->gathered_count == 0)
		return;
	request = calloc(1, sizeof(*request));
	if (request == NULL)
		load_die(s->place, "no memory");
	if (raft_apply(&s->raft, request, s->gathered, s->gathered_count, on_handed_over) != 0)
		load_die(s->place, raft_errmsg(&s->raft));
	s->gathered_count = 0;
}

static int
propose(void *context, const void *body, uint32_t bytes, void *cookie)
{
	struct server *s = context;
	struct raft_buffer *buffer = &s->gathered[s->gathered_count];

	buffer->len = (bytes + 7) / 8 * 8; /* as it wants it */
	buffer->base = raft_calloc(1, buffer->len);
	if (buffer->base == NULL)
		load_die(s->place, "no memory");
	memcpy(buffer->base, body, bytes);
	s->cookies[(s->cookie_first + s->cookie_count++) % PLAN_IN_FLIGHT_MAX] = cookie;
	if (++s->gathered_count == GATHER_COUNT_MAX)
		hand_over(s);
	return 0;
}

static uint32_t
poll_applied(void *context, struct decree_completion *ret_done, uint32_t count_max)
{
	struct server *s = context;

	hand_over(s);
	if (s->answers.count == 0)
		(void)uv_run(
			&s->loop, UV_RUN_NOWAIT); /* whether more is under way does not matter */
	return answers_pop(&s->answers, ret_done, count_max);
}

static void
on_timer(struct uv_timer_s *timer)
{
	(void)timer;
}

static void
wait_for_event(void *context, uint64_t timeout_ns)
{
	struct server *s = context;

	(void)uv_timer_start(
		&s->timer, on_timer, timeout_ns / 1000000 + 1, 0); /* its handle is good */
	(void)uv_run(&s->loop, UV_RUN_ONCE);
}

static void
idle(void *context)
{
	wait_for_event(context, IDLE_MS * UINT64_C(1000000));
}

static bool
is_leader(void *context)
{
	struct server *s = context;

	return raft_state(&s->raft) == RAFT_LEADER;
}

/* ------------------------------------------------------------------------------ start */

static void
address_of(const struct peer_run *p, uint32_t index, char *ret_address)
{
	snprintf(ret_address, 32, "127.0.0.1:%u", p->ports[3 * index]);
}

static int
bootstrap(struct server *s)
{
	struct raft_configuration all;
	int rc = 0;

	raft_configuration_init(&all);
	for (uint32_t i = 0; rc == 0 && i < PEER_NODE_COUNT; i++) {
		char address[32];

		address_of(s->run, i, address);
		rc = raft_configuration_add(&all, i + 1, address, RAFT_VOTER);
	}
	if (rc == 0)
		rc = raft_bootstrap(&s->raft, &all);
	raft_configuration_close(&all);
	return rc;
}

static int
open_server(struct server *s)
{
	char folder[400], address[32];
	int rc;

	snprintf(folder, sizeof(folder), "%s/%u", s->run->folder, s->index + 1);
	if (mkdir(folder, 0777) != 0)
		return RAFT_IOERR;
	address_of(s->run, s->index, address);
	s->fsm = (struct raft_fsm){
		.version = 1, .data = s, .apply = apply, .snapshot = snapshot, .restore = restore
	};
	if (uv_loop_init(&s->loop) != 0 || uv_timer_init(&s->loop, &s->timer) != 0)
		return RAFT_NOMEM;
	rc = raft_uv_tcp_init(&s->transport, &s->loop);
	if (rc == 0)
		rc = raft_uv_init(&s->io, &s->loop, folder, &s->transport);
	if (rc != 0)
		return rc;
	raft_uv_set_connect_retry_delay(&s->io, CONNECT_RETRY_MS);
	rc = raft_init(&s->raft, &s->io, &s->fsm, s->index + 1, address);
	if (rc != 0)
		return rc;
	raft_set_snapshot_threshold(&s->raft, SNAPSHOT_THRESHOLD);
	raft_set_snapshot_trailing(&s->raft, SNAPSHOT_TRAILING);
	rc = bootstrap(s);
	return rc == 0 ? raft_start(&s->raft) : rc;
}

static void
serve(void *context, struct board *board, uint32_t index)
{
	const struct peer_client client = {
		.target = { &server, propose, poll_applied, wait_for_event },
		.idle = idle,
		.is_ready = is_leader,
	};
	int rc;

	server.run = context;
	server.index = index;
	server.place = &board->nodes[index];
	rc = open_server(&server);
	if (rc != 0)
		load_die(server.place, raft_strerror(rc));
	peer_client_serve(&client, board, index, 0);
}

static const char *
look(char *ret_version)
{
	snprintf(ret_version, 64, LIBRAFT_VERSION);
	return NULL;
}

static int
start(struct peer_run *p)
{
	return peer_fork(p, serve, NULL);
}

const struct peer peer_libraft = {
	.name = "libraft",
	.system = "libraft",
	.transport = "TCP loopback",
	.started = "a snapshot each 2^20 entries",
	.is_embedded = true,
	.is_load_inside = true,
	.look = look,
	.start = start,
};
