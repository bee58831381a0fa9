/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client library: pipeline.c decides what to send, transport.c carries it, and this file gives
 * both the time and the caller's thread.
 *
 * A turn: send what is due, take in what has arrived, hand over completions. Waiting for an answer
 * first yields the CPU a number of times, since waking a sleeping thread costs as much as a whole
 * commit on a quiet host, and then sleeps in ppoll(), since a thread that only spins takes a CPU
 * from the nodes.
 */
#include "decree/client.h"

#include "base/bytes.h"
#include "base/clock.h"
#include "base/refuse.h"
#include "base/versioned.h"
#include "engine/client/admin_request.h"
#include "engine/client/client_read.h"
#include "engine/client/log_reader.h"
#include "engine/client/pipeline.h"
#include "engine/client/transport.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define MS                UINT64_C(1000000)
#define TICK_NS           (5 * MS)
#define YIELD_NS          (200 * UINT64_C(1000))
#define ASK_REPEAT_NS     (50 * MS)
#define FRAMES_PER_TURN   256 /* then look at what has arrived */
#define FRAMES_PER_SUBMIT 8   /* so many wait for company; the next poll sends what there is */

struct decree_client {
	pthread_t owner;
	struct config config;
	uint16_t group;
	struct pipeline pipeline;
	struct transport transport;
	uint64_t token; /* of the last status request */

	/* The answer that decree_client_status() waits for. */
	struct decree_status *status; /* NULL: nobody waits */
	bool is_status_here;

	/* Those that decree_client_metrics() waits for, in the transport's order of nodes; NULL:
	 * none, or it is here. */
	struct decree_metrics *metrics[DECREE_NODE_COUNT_MAX];

	struct client_read *read;    /* that decree_client_read() waits for; NULL: nobody waits */
	struct admin_request *admin; /* that decree_client_admin() waits for; NULL: nobody waits */

	/* Kept between calls of decree_client_log(): what was read ahead. */
	struct log_reader reader;
	uint16_t reader_node; /* 0: not in use */
	uint64_t reader_next; /* the slot that the next call has to ask for to go on with it */
};

static bool
is_owner(const struct decree_client *client)
{
	return pthread_equal(client->owner, pthread_self()) != 0;
}

/* Open and close */

static int
open_pipeline(struct decree_client *client, const struct decree_client_options *options)
{
	const struct config *c = &client->config;
	struct pipeline_config pipeline = {
		.group = options->group,
		.in_flight_max = options->in_flight_max,
		.command_bytes_max = c->command_bytes_max,
		.frame_bytes = transport_payload_bytes_max(&client->transport),
		.node_count = c->node_count,
	};

	if (pipeline.in_flight_max == 0 || pipeline.in_flight_max > c->session_window)
		pipeline.in_flight_max = c->session_window;
	for (uint32_t i = 0; i < c->node_count; i++)
		pipeline.nodes[i] = c->nodes[i].node_id;
	if (getrandom(pipeline.token, sizeof(pipeline.token), 0) !=
			(ssize_t)sizeof(pipeline.token) ||
		getrandom(&client->token, sizeof(client->token), 0) !=
			(ssize_t)sizeof(client->token))
		return -EIO;
	return pipeline_open(&client->pipeline, &pipeline);
}

static int
open_parts(
	struct decree_client *client, const struct decree_client_options *options, char *ret_error)
{
	int rc = config_load(options->config_path, options->settings, options->setting_count,
		CONFIG_FOR_CLIENT, &client->config, ret_error);

	if (rc == 0 && options->group >= client->config.group_count)
		return base_refuse(-EINVAL, ret_error, "%.300s: there is no group %u, only 0 to %u",
			options->config_path, options->group, client->config.group_count - 1);
	if (rc == 0)
		rc = transport_open(&client->transport, &client->config, options->group, ret_error);
	if (rc != 0)
		return rc;
	rc = open_pipeline(client, options);
	if (rc != 0)
		(void)snprintf(
			ret_error, DECREE_ERROR_BYTES, "cannot open the client: %s", strerror(-rc));
	return rc;
}

int
decree_client_open(const struct decree_client_options *options, struct decree_client **ret_client,
	char ret_error[DECREE_ERROR_BYTES])
{
	struct decree_client_options o;
	struct decree_client *client;
	int rc;

	if (!versioned_copy(&o, sizeof(o), options) || o.config_path == NULL)
		return base_refuse(-EINVAL, ret_error,
			"decree_client_options: set struct_bytes to sizeof(struct "
			"decree_client_options), and config_path, and nothing that this version of "
			"decree does not know");
	client = calloc(1, sizeof(*client));
	if (client == NULL)
		return base_refuse(-ENOMEM, ret_error, "out of memory");
	client->owner = pthread_self();
	client->group = o.group;
	client->transport.fd = -1;
	rc = open_parts(client, &o, ret_error);
	if (rc != 0) {
		decree_client_close(client);
		return rc;
	}
	*ret_client = client;
	return 0;
}

void
decree_client_close(struct decree_client *client)
{
	if (client == NULL)
		return;
	if (client->reader_node != 0)
		log_reader_fini(&client->reader);
	pipeline_close(&client->pipeline);
	transport_close(&client->transport);
	free(client);
}

int
decree_client_fd(const struct decree_client *client)
{
	return client->transport.fd;
}

struct decree_session
decree_client_session(const struct decree_client *client)
{
	return client->pipeline.session;
}

/* One turn */

/* @return whether a session came or went */
static bool
note_sessions(struct decree_client *client)
{
	struct transport *t = &client->transport;
	bool is_new = false;

	for (uint32_t i = 0; i < t->node_count; i++) {
		bool is_up = udp_session_is_established(&t->nodes[i].session);

		if (is_up != t->nodes[i].was_established) {
			t->nodes[i].was_established = is_up;
			pipeline_reachable(&client->pipeline, t->nodes[i].node_id, is_up);
			is_new = true;
		}
	}
	return is_new;
}

static void
send_due(struct decree_client *client, uint64_t now_ns)
{
	struct transport *t = &client->transport;

	pipeline_tick(&client->pipeline, now_ns);
	for (uint32_t i = 0; i < FRAMES_PER_TURN; i++) {
		uint16_t node_id;
		uint32_t bytes = pipeline_next_frame(
			&client->pipeline, now_ns, transport_payload(t), &node_id);

		if (bytes == 0)
			break;
		transport_send(t, now_ns, node_id, bytes);
	}
	transport_flush(t);
}

static void
take_metrics(struct decree_client *client, uint16_t node_id, const struct client_msg *m)
{
	struct transport *t = &client->transport;
	size_t i = (size_t)(transport_find(t, node_id) - t->nodes);

	if (m->metrics_reply.token != client->token || client->metrics[i] == NULL)
		return;
	client_metrics_read(m, client->metrics[i]);
	client->metrics[i] = NULL;
}

static void
take_payload(struct decree_client *client, uint64_t now_ns, uint16_t node_id,
	const uint8_t *payload, uint32_t bytes)
{
	struct client_msg m;

	if (client_msg_decode(payload, bytes, &m) != 0)
		return;
	if (m.type == CLIENT_MSG_REPLIES || m.type == CLIENT_MSG_REDIRECT) {
		pipeline_receive(&client->pipeline, now_ns, node_id, &m);
	} else if (m.type == CLIENT_MSG_LOG_REPLY && node_id == client->reader_node) {
		log_reader_receive(&client->reader, now_ns, &m);
	} else if (m.type == CLIENT_MSG_STATUS_REPLY && client->status != NULL &&
		   m.status_reply.token == client->token) {
		*client->status = m.status_reply.status;
		client->is_status_here = true;
	} else if (m.type == CLIENT_MSG_METRICS_REPLY) {
		take_metrics(client, node_id, &m);
	} else if (m.type == CLIENT_MSG_READ_REPLY && client->read != NULL) {
		client_read_receive(client->read, now_ns, &m);
	} else if (m.type == CLIENT_MSG_ADMIN_REPLY && client->admin != NULL) {
		admin_request_receive(client->admin, now_ns, &m);
	}
}

/* @return whether anything arrived */
static bool
turn(struct decree_client *client, uint64_t now_ns)
{
	const uint8_t *payload;
	uint16_t node_id;
	uint32_t bytes;
	bool did_work = false;

	transport_tick(&client->transport, now_ns);
	send_due(client, now_ns);
	while (transport_receive(&client->transport, now_ns, &node_id, &payload, &bytes)) {
		take_payload(client, now_ns, node_id, payload, bytes);
		did_work = true;
	}
	/* Steps of a handshake are no payloads, but the next step must leave before anybody sleeps,
	 * and who waits for the session must hear of it. */
	transport_flush(&client->transport);
	did_work |= note_sessions(client);
	if (did_work)
		send_due(client, now_ns);
	return did_work;
}

/* Wait until something may have arrived, or is due, but not beyond @p until_ns. */
static void
wait_for_work(struct decree_client *client, uint64_t started_ns, uint64_t now_ns, uint64_t until_ns)
{
	struct pollfd poll = { .fd = client->transport.fd, .events = POLLIN };
	uint64_t wake_at_ns = pipeline_wake_at(&client->pipeline);
	struct timespec pause;

	if (now_ns - started_ns < YIELD_NS) {
		(void)sched_yield(); /* cannot fail on Linux */
		return;
	}
	if (wake_at_ns > now_ns + TICK_NS)
		wake_at_ns = now_ns + TICK_NS;
	if (wake_at_ns > until_ns)
		wake_at_ns = until_ns;
	if (wake_at_ns <= now_ns)
		return;
	pause = (struct timespec){ .tv_nsec = (long)(wake_at_ns - now_ns) };
	(void)ppoll(&poll, 1, &pause, NULL); /* interrupted or failed: the loop looks again */
}

int
decree_client_submit(struct decree_client *client, const void *body, uint32_t bytes, void *cookie)
{
	struct pipeline *p = &client->pipeline;
	int rc;

	if (!is_owner(client))
		return -EPERM;
	rc = pipeline_submit(p, body, bytes, cookie);
	if (rc == 0 && p->session.n != 0 &&
		(p->accepted - p->next) * (bytes + CLIENT_COMMAND_BYTES) >=
			FRAMES_PER_SUBMIT * (uint64_t)p->config.frame_bytes)
		send_due(client, base_now_ns());
	return rc;
}

uint32_t
decree_client_poll(struct decree_client *client, struct decree_completion *ret_completions,
	uint32_t count_max, uint64_t timeout_ns)
{
	uint64_t started_ns = base_now_ns();
	uint64_t until_ns =
		timeout_ns < UINT64_MAX - started_ns ? started_ns + timeout_ns : UINT64_MAX;
	uint64_t now_ns = started_ns;

	if (!is_owner(client))
		return 0;
	for (;;) {
		uint32_t count;

		(void)turn(client, now_ns); /* completions say more */
		count = pipeline_completions(&client->pipeline, ret_completions, count_max);
		if (count > 0 || now_ns >= until_ns)
			return count;
		wait_for_work(client, started_ns, now_ns, until_ns);
		now_ns = base_now_ns();
	}
}

/* Questions to one node */

static bool
send_question(
	struct decree_client *client, uint64_t now_ns, uint16_t node_id, const struct client_msg *m)
{
	struct transport *t = &client->transport;
	struct transport_node *node = transport_find(t, node_id);

	if (!udp_session_is_established(&node->session))
		return false;
	transport_send(t, now_ns, node_id,
		client_msg_encode(m, transport_payload(t), transport_payload_bytes_max(t)));
	transport_flush(t);
	return true;
}

/* Ask until it is here. @param m  its token is the client's newest */
static int
ask_node(struct decree_client *client, uint16_t node_id, const struct client_msg *m,
	const bool *is_here, uint64_t timeout_ns)
{
	uint64_t started_ns = base_now_ns();
	uint64_t now_ns = started_ns;
	uint64_t ask_at_ns = 0;

	while (!*is_here && now_ns - started_ns < timeout_ns) {
		if (now_ns >= ask_at_ns && send_question(client, now_ns, node_id, m))
			ask_at_ns = now_ns + ASK_REPEAT_NS;
		if (!turn(client, now_ns))
			wait_for_work(client, started_ns, now_ns, started_ns + timeout_ns);
		now_ns = base_now_ns();
	}
	return *is_here ? 0 : -ETIMEDOUT;
}

int
decree_client_status(struct decree_client *client, uint16_t node_id, uint64_t timeout_ns,
	struct decree_status *ret_status)
{
	struct client_msg m = { .type = CLIENT_MSG_STATUS_REQUEST, .group = client->group };
	struct decree_status status;
	int rc;

	if (!is_owner(client))
		return -EPERM;
	if (transport_find(&client->transport, node_id) == NULL)
		return -ENOENT;
	m.status_request.token = ++client->token;
	client->status = &status;
	client->is_status_here = false;
	rc = ask_node(client, node_id, &m, &client->is_status_here, timeout_ns);
	client->status = NULL;
	if (rc == 0)
		*ret_status = status;
	return rc;
}

/* Ask those whose answers are missing. @return how many that are */
static uint32_t
ask_for_metrics(struct decree_client *client, uint64_t now_ns, uint64_t *ask_at_ns)
{
	const struct client_msg m = {
		.type = CLIENT_MSG_METRICS_REQUEST,
		.group = client->group,
		.metrics_request = { .token = client->token },
	};
	uint32_t missing = 0;

	for (uint32_t i = 0; i < client->transport.node_count; i++) {
		if (client->metrics[i] == NULL)
			continue;
		missing++;
		if (now_ns >= ask_at_ns[i] &&
			send_question(client, now_ns, client->transport.nodes[i].node_id, &m))
			ask_at_ns[i] = now_ns + ASK_REPEAT_NS;
	}
	return missing;
}

/* @return how many that were wanted did not come */
static uint32_t
wait_for_metrics(struct decree_client *client, uint64_t timeout_ns)
{
	uint64_t ask_at_ns[DECREE_NODE_COUNT_MAX] = { 0 };
	uint64_t started_ns = base_now_ns();
	uint64_t now_ns = started_ns;
	uint32_t missing;

	client->token++;
	while ((missing = ask_for_metrics(client, now_ns, ask_at_ns)) > 0 &&
		now_ns - started_ns < timeout_ns) {
		if (!turn(client, now_ns))
			wait_for_work(client, started_ns, now_ns, started_ns + timeout_ns);
		now_ns = base_now_ns();
	}
	memset(client->metrics, 0, sizeof(client->metrics));
	return missing;
}

int
decree_client_metrics(struct decree_client *client, uint16_t node_id, uint64_t timeout_ns,
	struct decree_metrics *ret_metrics)
{
	struct transport *t = &client->transport;
	struct decree_metrics metrics;

	if (!is_owner(client))
		return -EPERM;
	if (transport_find(t, node_id) == NULL)
		return -ENOENT;
	client->metrics[transport_find(t, node_id) - t->nodes] = &metrics;
	if (wait_for_metrics(client, timeout_ns) > 0)
		return -ETIMEDOUT;
	*ret_metrics = metrics;
	return 0;
}

int
decree_client_metrics_all(
	struct decree_client *client, uint64_t timeout_ns, struct decree_metrics *ret_metrics)
{
	uint32_t count = client->transport.node_count;

	if (!is_owner(client))
		return -EPERM;
	for (uint32_t i = 0; i < count; i++) {
		ret_metrics[i].node_id = 0;
		client->metrics[i] = &ret_metrics[i];
	}
	return (int)(count - wait_for_metrics(client, timeout_ns));
}

static void
prepare_reader(struct decree_client *client, uint16_t node_id, uint64_t first, uint64_t now_ns)
{
	if (client->reader_node == node_id && client->reader_next == first &&
		!log_reader_is_done(&client->reader)) {
		client->reader.heard_ns = now_ns;
		return;
	}
	if (client->reader_node != 0)
		log_reader_fini(&client->reader);
	log_reader_init(&client->reader, client->group, first, client->token, now_ns);
	client->token += 1u << 20; /* questions of two readers never share a token */
	client->reader_node = node_id;
}

static void
ask_for_ranges(struct decree_client *client, uint64_t now_ns)
{
	const struct transport_node *node = transport_find(&client->transport, client->reader_node);
	struct client_msg m;

	if (!udp_session_is_established(&node->session))
		return;
	while (log_reader_request(&client->reader, now_ns, &m))
		(void)send_question(
			client, now_ns, client->reader_node, &m); /* established: checked */
}

int
decree_client_log(struct decree_client *client, uint16_t node_id, struct decree_slot first,
	struct decree_log_entry *ret_entries, uint32_t count_max, struct decree_slot *ret_next,
	uint64_t timeout_ns)
{
	uint64_t now_ns = base_now_ns();
	struct decree_slot next = first;
	uint32_t count = 0;
	int rc = 0;

	if (!is_owner(client))
		return -EPERM;
	if (transport_find(&client->transport, node_id) == NULL)
		return -ENOENT;
	if (first.n == 0 || count_max == 0)
		return -EINVAL;
	prepare_reader(client, node_id, first.n, now_ns);
	while (rc >= 0 && !log_reader_is_done(&client->reader)) {
		ask_for_ranges(client, now_ns);
		if (!turn(client, now_ns))
			wait_for_work(client, client->reader.heard_ns, now_ns, now_ns + TICK_NS);
		rc = log_reader_take(
			&client->reader, ret_entries + count, count_max - count, &next);
		count += rc > 0 ? (uint32_t)rc : 0;
		if (count == count_max || (rc == -ENOBUFS && count > 0))
			break;
		now_ns = base_now_ns();
		if (rc >= 0 && now_ns - client->reader.heard_ns > timeout_ns)
			rc = -ETIMEDOUT;
	}
	client->reader_next = next.n;
	if (rc < 0 && count == 0)
		return rc;
	*ret_next = next;
	return (int)count;
}

static void
ask_until(struct decree_client *client, struct client_read *read, uint64_t timeout_ns)
{
	uint64_t started_ns = base_now_ns();
	uint64_t now_ns = started_ns;
	uint16_t node_id;

	while (!read->is_done && now_ns - started_ns < timeout_ns) {
		if (client_read_next(read, now_ns, &node_id) &&
			!send_question(client, now_ns, node_id, &read->request))
			client_read_unsent(read, now_ns);
		if (!turn(client, now_ns))
			wait_for_work(client, started_ns, now_ns, started_ns + timeout_ns);
		now_ns = base_now_ns();
	}
}

int32_t
decree_client_read(struct decree_client *client, uint16_t node_id, const void *query,
	uint32_t bytes, enum decree_consistency consistency, void *ret_answer, uint32_t capacity,
	uint64_t timeout_ns)
{
	const struct transport *t = &client->transport;
	struct client_msg m = { .type = CLIENT_MSG_READ_REQUEST, .group = client->group };
	uint16_t nodes[DECREE_NODE_COUNT_MAX];
	uint32_t node_count = 0;
	struct client_read read;

	if (!is_owner(client))
		return -EPERM;
	if (bytes > DECREE_QUERY_BYTES_MAX)
		return -EMSGSIZE;
	if ((unsigned)consistency > DECREE_STALE)
		return -EINVAL;
	for (uint32_t i = 0; i < t->node_count; i++)
		if (node_id == 0 || t->nodes[i].node_id == node_id)
			nodes[node_count++] = t->nodes[i].node_id;
	if (node_count == 0)
		return -ENOENT;
	m.read_request.token = ++client->token;
	m.read_request.consistency = consistency;
	m.read_request.query = query;
	m.read_request.bytes = bytes;
	client_read_init(&read, &m, nodes, node_count, ret_answer, capacity);
	client->read = &read;
	ask_until(client, &read, timeout_ns);
	client->read = NULL;
	return read.result;
}

/* @param nodes  [node_count] to be asked, in turn */
static int
administer(struct decree_client *client, enum decree_admin_op op, const uint8_t *arguments,
	const uint16_t *nodes, uint32_t node_count, uint64_t timeout_ns, char *ret_text)
{
	uint64_t started_ns = base_now_ns();
	uint64_t now_ns = started_ns;
	struct admin_request request;
	struct client_msg m;
	uint16_t node_id;

	client->token += client->token == UINT64_MAX ? 2 : 1; /* never 0 */
	admin_request_init(
		&request, client->group, client->token, op, arguments, nodes, node_count);
	client->admin = &request;
	while (!request.is_done && now_ns - started_ns < timeout_ns) {
		if (admin_request_next(&request, now_ns, &node_id, &m))
			(void)send_question(client, now_ns, node_id, &m); /* or the next node */
		if (!turn(client, now_ns))
			wait_for_work(client, started_ns, now_ns,
				now_ns + TICK_NS < started_ns + timeout_ns
					? now_ns + TICK_NS
					: started_ns + timeout_ns);
		now_ns = base_now_ns();
	}
	client->admin = NULL;
	return admin_request_result(&request, ret_text);
}

int
decree_client_admin(struct decree_client *client, enum decree_admin_op op,
	const uint8_t arguments[DECREE_ADMIN_ARGUMENT_BYTES], uint64_t timeout_ns,
	char ret_text[DECREE_ERROR_BYTES])
{
	const struct transport *t = &client->transport;
	uint16_t nodes[DECREE_NODE_COUNT_MAX];

	if (!is_owner(client)) {
		(void)snprintf(ret_text, DECREE_ERROR_BYTES, "another thread's client");
		return -EPERM;
	}
	for (uint32_t i = 0; i < t->node_count; i++)
		nodes[i] = t->nodes[i].node_id;
	return administer(client, op, arguments, nodes, t->node_count, timeout_ns, ret_text);
}

int
decree_client_admin_at(struct decree_client *client, uint16_t node_id, enum decree_admin_op op,
	const uint8_t arguments[DECREE_ADMIN_ARGUMENT_BYTES], uint64_t timeout_ns,
	char ret_text[DECREE_ERROR_BYTES])
{
	const struct transport *t = &client->transport;

	if (!is_owner(client)) {
		(void)snprintf(ret_text, DECREE_ERROR_BYTES, "another thread's client");
		return -EPERM;
	}
	for (uint32_t i = 0; i < t->node_count; i++)
		if (t->nodes[i].node_id == node_id)
			return administer(client, op, arguments, &node_id, 1, timeout_ns, ret_text);
	(void)snprintf(
		ret_text, DECREE_ERROR_BYTES, "there is no node %u in the configuration", node_id);
	return -ENOENT;
}

int
decree_client_transfer(struct decree_client *client, uint16_t node_id, uint64_t timeout_ns,
	char ret_text[DECREE_ERROR_BYTES])
{
	uint8_t arguments[DECREE_ADMIN_ARGUMENT_BYTES] = { 0 };

	store_u16(arguments, node_id);
	return decree_client_admin(client, DECREE_ADMIN_TRANSFER, arguments, timeout_ns, ret_text);
}
