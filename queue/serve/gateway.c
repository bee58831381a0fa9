/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The public functions of the gateway: what the owner calls, and what the shard's thread does.
 *
 * The shard's thread never waits for us and makes one system call at most: a write to an eventfd,
 * and only if the gateway says that it sleeps. No wake-up is lost: we say that we sleep and then
 * look once more (loop.c), it announces its word and then looks whether we sleep. Both change
 * `sleep` in the middle, if only by nothing, and whichever change comes second has seen the first
 * and what was before it: so one of us sees the other.
 */
#include "queue/serve/private.h"

#include "queue/serve/tls.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/utsname.h>
#include <unistd.h>

#define COMMAND_BYTES_MAX (4u << 20) /* that a cluster may be configured for */

void
gateway_log(struct queue_gateway *g, enum decree_log_level level, const char *format, ...)
{
	char line[512];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	if (g->options.on_log != NULL)
		g->options.on_log(g->options.context, level, line);
	else
		fprintf(stderr, "%s\n", line);
}

uint64_t
gateway_moment_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC_COARSE, &now); /* it cannot fail */
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* --------------------------------------------------------------------------- the shard's thread */

struct body {
	struct queue_machine *m;
};

static void
copy_body(void *context, uint64_t id, uint32_t offset, void *ret_part, uint32_t capacity)
{
	struct body *body = context;
	int64_t count = queue_machine_body(body->m, id, offset, ret_part, capacity);

	queue_assert(count == capacity); /* the job was reserved or found in this very moment */
}

void
queue_gateway_on_reserved(void *gateway, struct queue_machine *m, const struct queue_reserved *r)
{
	struct queue_gateway *g = gateway;
	const struct handover_word word = {
		.connection = r->connection,
		.seq = r->seq,
		.id = r->id,
		.body_bytes = r->body_bytes,
		.status = (uint16_t)r->status,
		.has_body = r->status == QUEUE_OK,
	};

	/* Relaxed: the gateway proposes a reserve long after it has set this. */
	if (r->session.n != atomic_load_explicit(&g->session, memory_order_relaxed))
		return;
	handover_push(&g->handover, &word, copy_body, &(struct body){ m });
	g->has_news = true;
}

void
queue_gateway_on_found(void *gateway, struct queue_machine *m, const struct queue_found *f)
{
	struct queue_gateway *g = gateway;
	const struct handover_word word = {
		.connection = f->connection,
		.id = f->id,
		.body_bytes = f->body_bytes,
		.has_body = true,
		.is_found = true,
	};

	/* Relaxed: as above. Whoever asks is told that something is missing, and asks on. */
	if (f->session.n == atomic_load_explicit(&g->session, memory_order_relaxed) &&
		handover_has_room(&g->handover, f->body_bytes))
		handover_push(&g->handover, &word, copy_body, &(struct body){ m });
}

void
queue_gateway_on_restored(void *gateway)
{
	struct queue_gateway *g = gateway;

	atomic_store_explicit(&g->has_restored, true, memory_order_relaxed);
	g->has_news = true;
}

static void
wake(const struct queue_gateway *g)
{
	uint64_t one = 1;
	ssize_t written = write(g->wake_fd, &one, sizeof(one));

	(void)written; /* it cannot fail but for a counter that is full, and then it wakes */
}

void
queue_gateway_on_applied(void *gateway)
{
	struct queue_gateway *g = gateway;
	uint32_t sleep;

	atomic_store_explicit(&g->applied_ns, gateway_moment_ns(), memory_order_relaxed);
	atomic_store_explicit(
		&g->shard_cpu, sched_getcpu(), memory_order_relaxed); /* no system call */
	/* Pairs with the exchange in fall_asleep(). Without news a lost wake-up costs no more than
	 * the nap of a gateway that is busy. */
	if (g->has_news)
		sleep = atomic_fetch_add_explicit(&g->sleep, 0, memory_order_acq_rel);
	else
		sleep = atomic_load_explicit(&g->sleep, memory_order_relaxed);
	if (sleep == SLEEP_BUSY || (sleep == SLEEP_IDLE && g->has_news)) {
		atomic_store_explicit(&g->sleep, SLEEP_NOT, memory_order_relaxed);
		wake(g);
	}
	g->has_news = false;
}

/* ------------------------------------------------------------------------------ the owner */

static void
introduce(struct queue_gateway *g)
{
	struct utsname name;
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	g->started_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	if (getrandom(&g->random_id, sizeof(g->random_id), 0) != sizeof(g->random_id))
		g->random_id = g->started_ns;
	if (uname(&name) != 0)
		return;
	snprintf(g->hostname, sizeof(g->hostname), "%.254s", name.nodename);
	snprintf(g->os, sizeof(g->os), "%.254s", name.version);
	snprintf(g->platform, sizeof(g->platform), "%.254s", name.machine);
}

static int
init(struct queue_gateway *g)
{
	for (int i = 0; i < BLOCKED_COUNT; i++)
		TAILQ_INIT(&g->blocked[i]);
	TAILQ_INIT(&g->expecting);
	TAILQ_INIT(&g->unflushed);
	TAILQ_INIT(&g->handshakes);
	for (uint32_t i = 0; i < CLIENT_COUNT_MAX; i++)
		g->free_places[g->free_count++] = CLIENT_COUNT_MAX - 1 - i;
	introduce(g);
	g->scratch_bytes =
		QUEUE_COMMAND_FIXED_BYTES_MAX + QUEUE_NAME_BYTES_MAX + g->options.job_bytes_max;
	g->scratch = malloc(g->scratch_bytes);
	g->base = event_base_new();
	g->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (g->scratch == NULL || g->base == NULL || g->wake_fd < 0)
		return -ENOMEM;
	return handover_init(&g->handover, HANDOVER_BYTES, HANDOVER_WORDS_MAX);
}

static int
fill(struct queue_gateway *g, const struct queue_gateway_options *o, char *ret_error)
{
	int rc;

	if (g->options.job_bytes_max > COMMAND_BYTES_MAX - QUEUE_COMMAND_FIXED_BYTES_MAX) {
		snprintf(ret_error, DECREE_ERROR_BYTES,
			"queue: jobs of %u bytes do not fit a command, which has %u at most: lower "
			"the limit",
			g->options.job_bytes_max, COMMAND_BYTES_MAX);
		return -EINVAL;
	}
	rc = init(g);
	if (rc != 0) {
		snprintf(ret_error, DECREE_ERROR_BYTES, "queue: the gateway cannot begin: %s",
			strerror(-rc));
		return rc;
	}
	rc = tls_open(g, o, ret_error);
	for (uint32_t i = 0; i < o->listen_count && rc == 0; i++)
		rc = listen_open(g, o->listens[i], ret_error);
	for (uint32_t i = 0; i < o->socket_count && rc == 0; i++)
		rc = listen_take(g, &o->sockets[i], ret_error);
	if (rc == 0)
		listen_warn(g);
	return rc;
}

int
queue_gateway_create(const struct queue_gateway_options *options,
	struct queue_gateway **ret_gateway, char ret_error[DECREE_ERROR_BYTES])
{
	struct queue_gateway *g = aligned_alloc(64, (sizeof(*g) + 63) & ~(size_t)63);
	int rc;

	if (g == NULL) {
		snprintf(ret_error, DECREE_ERROR_BYTES, "queue: out of memory");
		return -ENOMEM;
	}
	memset(g, 0, sizeof(*g));
	g->wake_fd = -1;
	g->options = *options;
	g->options.listens = NULL;
	g->options.sockets = NULL;
	g->options.tls_cert = g->options.tls_key = g->options.tls_ca = NULL;
	if (g->options.job_bytes_max == 0)
		g->options.job_bytes_max = QUEUE_JOB_BYTES_DEFAULT;
	rc = fill(g, options, ret_error);
	if (rc != 0) {
		queue_gateway_destroy(g);
		return rc;
	}
	*ret_gateway = g;
	return 0;
}

int
queue_gateway_start(struct queue_gateway *g, struct decree_node *node,
	const struct queue_machine *machine, char ret_error[DECREE_ERROR_BYTES])
{
	sigset_t all, before;
	int rc;

	g->node = node;
	g->machine = machine;
	listen_measure(g);
	/* The program's signals are its own threads'; and a client that is gone must not end us
	 * with SIGPIPE. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = -pthread_create(&g->thread, NULL, gateway_loop, g);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc != 0)
		snprintf(ret_error, DECREE_ERROR_BYTES, "queue: no thread for the gateway: %s",
			strerror(-rc));
	g->has_thread = rc == 0;
	return rc;
}

void
queue_gateway_drain(struct queue_gateway *g)
{
	atomic_store_explicit(&g->is_draining, true, memory_order_relaxed);
}

void
queue_gateway_stop(struct queue_gateway *g)
{
	if (!g->has_thread)
		return;
	atomic_store_explicit(&g->is_stopping, true, memory_order_relaxed);
	wake(g);
	pthread_join(g->thread, NULL);
	g->has_thread = false;
}

void
queue_gateway_destroy(struct queue_gateway *g)
{
	if (g == NULL)
		return;
	queue_gateway_stop(g);
	listen_close(g);
	tls_close(g);
	if (g->base != NULL)
		event_base_free(g->base);
	if (g->wake_fd >= 0)
		close(g->wake_fd);
	handover_fini(&g->handover);
	free(g->scratch);
	free(g);
}

uint16_t
queue_gateway_port(const struct queue_gateway *g, uint32_t index)
{
	return index < g->listen_count ? g->listens[index].port : 0;
}

const char *
queue_gateway_address(const struct queue_gateway *g, uint32_t index)
{
	return index < g->listen_count ? g->listens[index].name : NULL;
}
