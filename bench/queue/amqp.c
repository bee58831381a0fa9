/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RabbitMQ by librabbitmq, which writes what it is asked at once and blocks if the kernel takes no
 * more. One channel on each connection; the tube is a quorum queue, a job a persistent message.
 *
 * Confirms say up to which publish, or which one; deliveries come in three kinds of frames and are
 * put together here. Whatever was answered waits in a ring until client_next() asks for it.
 */
#include "bench/queue/amqp.h"

#include <amqp.h>
#include <amqp_tcp_socket.h>
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#define CHANNEL     1
#define FRAME_BYTES 131072

struct message {
	uint64_t tag;
	char stamp[LOAD_BODY_BYTES_MIN + 1]; /* how its body begins */
};

struct amqp {
	amqp_connection_state_t state;
	amqp_bytes_t tube;
	int status; /* of what was asked and could not be said at once */

	/* Publishes, by their numbers, from 1. */
	struct {
		uint64_t asked_ns;
		bool is_confirmed;
	} puts[CLIENT_DEPTH];
	uint64_t put_count, confirmed_count; /* all before are confirmed */

	struct message messages[CLIENT_DEPTH]; /* nobody has reserved them yet */
	uint64_t message_first, message_after;
	uint64_t reserves[CLIENT_DEPTH]; /* when they were asked; none of them has a message */
	uint64_t reserve_first, reserve_after;

	struct message coming; /* its body is not whole */
	uint64_t coming_bytes, come_bytes;

	struct client_answer answers[CLIENT_DEPTH];
	char stamps[CLIENT_DEPTH][LOAD_BODY_BYTES_MIN + 1];
	uint64_t answer_first, answer_after;
};

static int
fail(char *ret_error, const char *what, int status)
{
	snprintf(ret_error, LOAD_ERROR_BYTES, "amqp: %s: %s", what, amqp_error_string2(status));
	return -1;
}

static int
fail_reply(char *ret_error, const char *what, amqp_rpc_reply_t reply)
{
	const amqp_channel_close_t *closed = reply.reply.decoded;

	if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION)
		return fail(ret_error, what, reply.library_error);
	if (reply.reply.id != AMQP_CHANNEL_CLOSE_METHOD)
		return fail(ret_error, what, AMQP_STATUS_CONNECTION_CLOSED);
	snprintf(ret_error, LOAD_ERROR_BYTES, "amqp: %s: %.*s", what, (int)closed->reply_text.len,
		(const char *)closed->reply_text.bytes);
	return -1;
}

/* ------------------------------------------------------------------------------ the connection */

static int
log_in(struct amqp *a, const struct sockaddr_in *to, char *ret_error)
{
	amqp_socket_t *socket = amqp_tcp_socket_new(a->state);
	char where[INET_ADDRSTRLEN] = "";
	amqp_rpc_reply_t reply;
	int status;

	if (socket == NULL)
		abort();
	inet_ntop(AF_INET, &to->sin_addr, where, sizeof(where));
	status = amqp_socket_open(socket, where, ntohs(to->sin_port));
	if (status != AMQP_STATUS_OK)
		return fail(ret_error, "cannot connect", status);
	reply = amqp_login(
		a->state, "/", 0, FRAME_BYTES, 0, AMQP_SASL_METHOD_PLAIN, "guest", "guest");
	if (reply.reply_type != AMQP_RESPONSE_NORMAL)
		return fail_reply(ret_error, "login", reply);
	amqp_channel_open(a->state, CHANNEL);
	reply = amqp_get_rpc_reply(a->state);
	return reply.reply_type == AMQP_RESPONSE_NORMAL ? 0
							: fail_reply(ret_error, "channel", reply);
}

static int
declare(struct amqp *a, char *ret_error)
{
	amqp_table_entry_t kind = {
		.key = amqp_cstring_bytes("x-queue-type"),
		.value = { .kind = AMQP_FIELD_KIND_UTF8,
			.value.bytes = amqp_cstring_bytes("quorum") },
	};
	const amqp_table_t arguments = { .num_entries = 1, .entries = &kind };
	amqp_rpc_reply_t reply;

	amqp_queue_declare(a->state, CHANNEL, a->tube, 0, 1, 0, 0, arguments);
	reply = amqp_get_rpc_reply(a->state);
	if (reply.reply_type != AMQP_RESPONSE_NORMAL)
		return fail_reply(ret_error, "queue.declare", reply);
	amqp_confirm_select(a->state, CHANNEL);
	reply = amqp_get_rpc_reply(a->state);
	return reply.reply_type == AMQP_RESPONSE_NORMAL
		       ? 0
		       : fail_reply(ret_error, "confirm.select", reply);
}

static int
consume(struct amqp *a, uint32_t held_count_max, char *ret_error)
{
	amqp_rpc_reply_t reply;

	if (held_count_max == 0)
		return 0;
	amqp_basic_qos(a->state, CHANNEL, 0, (uint16_t)held_count_max, 0);
	reply = amqp_get_rpc_reply(a->state);
	if (reply.reply_type != AMQP_RESPONSE_NORMAL)
		return fail_reply(ret_error, "basic.qos", reply);
	amqp_basic_consume(a->state, CHANNEL, a->tube, amqp_empty_bytes, 0, 0, 0, amqp_empty_table);
	reply = amqp_get_rpc_reply(a->state);
	return reply.reply_type == AMQP_RESPONSE_NORMAL
		       ? 0
		       : fail_reply(ret_error, "basic.consume", reply);
}

static int
amqp_client_open(struct client *c, const struct sockaddr_in *to, const struct client_use *use,
	char *ret_error)
{
	struct amqp *a = calloc(1, sizeof(*a));

	if (a == NULL)
		abort();
	c->state = a;
	a->state = amqp_new_connection();
	a->tube = amqp_bytes_malloc_dup(amqp_cstring_bytes(use->tube));
	if (log_in(a, to, ret_error) != 0 || declare(a, ret_error) != 0 ||
		consume(a, use->held_count_max, ret_error) != 0) {
		c->protocol->close(c);
		return -1;
	}
	c->fd = amqp_get_sockfd(a->state);
	return 0;
}

static void
amqp_client_close(struct client *c)
{
	struct amqp *a = c->state;

	if (a == NULL)
		return;
	amqp_destroy_connection(a->state); /* which closes the socket */
	amqp_bytes_free(a->tube);
	free(a);
	c->state = NULL;
	c->fd = -1;
}

/* ------------------------------------------------------------------------------ requests */

static void
note(struct amqp *a, int status)
{
	if (status != AMQP_STATUS_OK)
		a->status = status;
}

static void
push_answer(struct amqp *a, struct client_answer answer, const char *stamp)
{
	uint64_t at = a->answer_after++ % CLIENT_DEPTH;

	if (stamp != NULL) {
		memcpy(a->stamps[at], stamp, sizeof(a->stamps[at]));
		answer.body = a->stamps[at];
	}
	a->answers[at] = answer;
}

static void
amqp_client_put(
	struct client *c, uint64_t asked_ns, const char *body, uint32_t body_bytes, uint32_t ttr_s)
{
	const amqp_basic_properties_t durable = {
		._flags = AMQP_BASIC_DELIVERY_MODE_FLAG,
		.delivery_mode = AMQP_DELIVERY_PERSISTENT,
	};
	struct amqp *a = c->state;
	uint64_t at = ++a->put_count % CLIENT_DEPTH;

	(void)ttr_s; /* a job is its connection's until that closes */
	c->asked_count++;
	a->puts[at].asked_ns = asked_ns;
	a->puts[at].is_confirmed = false;
	note(a, amqp_basic_publish(a->state, CHANNEL, amqp_empty_bytes, a->tube, 0, 0, &durable,
			(amqp_bytes_t){ .len = body_bytes, .bytes = (void *)(uintptr_t)body }));
}

/* The oldest message is for the reserve that waits longest. */
static void
meet(struct amqp *a)
{
	while (a->message_first != a->message_after && a->reserve_first != a->reserve_after) {
		const struct message *m = &a->messages[a->message_first++ % CLIENT_DEPTH];

		push_answer(a,
			(struct client_answer){
				.op = OP_RESERVE,
				.asked_ns = a->reserves[a->reserve_first++ % CLIENT_DEPTH],
				.id = m->tag,
			},
			m->stamp);
	}
}

static void
amqp_client_reserve(struct client *c, uint64_t asked_ns)
{
	struct amqp *a = c->state;

	c->asked_count++;
	a->reserves[a->reserve_after++ % CLIENT_DEPTH] = asked_ns;
	meet(a);
}

static void
amqp_client_remove(struct client *c, uint64_t asked_ns, uint64_t id)
{
	struct amqp *a = c->state;

	c->asked_count++;
	note(a, amqp_basic_ack(a->state, CHANNEL, id, 0));
	push_answer(a, (struct client_answer){ .op = OP_DELETE, .asked_ns = asked_ns }, NULL);
}

static int
amqp_client_send(struct client *c, char *ret_error)
{
	const struct amqp *a = c->state;

	return a->status == AMQP_STATUS_OK ? 0 : fail(ret_error, "cannot send", a->status);
}

/* What there is, client_next() reads. */
static int
amqp_client_receive(struct client *c, char *ret_error)
{
	return amqp_client_send(c, ret_error);
}

/* ------------------------------------------------------------------------------ answers */

static void
confirm(struct amqp *a, uint64_t number)
{
	uint64_t at = number % CLIENT_DEPTH;

	if (a->puts[at].is_confirmed)
		return;
	a->puts[at].is_confirmed = true;
	push_answer(a,
		(struct client_answer){
			.op = OP_PUT,
			.asked_ns = a->puts[at].asked_ns,
			.id = number,
		},
		NULL);
	while (a->confirmed_count < a->put_count &&
		a->puts[(a->confirmed_count + 1) % CLIENT_DEPTH].is_confirmed)
		a->confirmed_count++;
}

static int
on_method(struct amqp *a, const amqp_method_t *method, char *ret_error)
{
	const amqp_basic_ack_t *ack = method->decoded;
	const amqp_basic_deliver_t *delivery = method->decoded;

	switch (method->id) {
	case AMQP_BASIC_ACK_METHOD:
		for (uint64_t n = a->confirmed_count + 1; ack->multiple && n < ack->delivery_tag;
			n++)
			confirm(a, n);
		confirm(a, ack->delivery_tag);
		return 0;
	case AMQP_BASIC_DELIVER_METHOD: a->coming.tag = delivery->delivery_tag; return 0;
	default:
		snprintf(ret_error, LOAD_ERROR_BYTES, "amqp: the server says %s",
			amqp_method_name(method->id));
		return -1;
	}
}

static void
on_body(struct amqp *a, amqp_bytes_t part)
{
	for (size_t i = 0; i < part.len && a->come_bytes + i < LOAD_BODY_BYTES_MIN; i++)
		a->coming.stamp[a->come_bytes + i] = ((const char *)part.bytes)[i];
	a->come_bytes += part.len;
	if (a->come_bytes < a->coming_bytes)
		return;
	a->messages[a->message_after++ % CLIENT_DEPTH] = a->coming;
	a->come_bytes = 0;
	meet(a);
}

static int
on_frame(struct amqp *a, const amqp_frame_t *frame, char *ret_error)
{
	switch (frame->frame_type) {
	case AMQP_FRAME_METHOD: return on_method(a, &frame->payload.method, ret_error);
	case AMQP_FRAME_HEADER: a->coming_bytes = frame->payload.properties.body_size; return 0;
	case AMQP_FRAME_BODY: on_body(a, frame->payload.body_fragment); return 0;
	default: return 0;
	}
}

static int
amqp_client_next(struct client *c, struct client_answer *ret_answer, char *ret_error)
{
	struct amqp *a = c->state;

	while (a->answer_first == a->answer_after) {
		const struct timeval at_once = { 0 };
		amqp_frame_t frame;
		int status;

		amqp_maybe_release_buffers(a->state);
		status = amqp_simple_wait_frame_noblock(a->state, &frame, &at_once);
		if (status == AMQP_STATUS_TIMEOUT)
			return 0;
		if (status != AMQP_STATUS_OK)
			return fail(ret_error, "cannot read", status);
		if (on_frame(a, &frame, ret_error) != 0)
			return -1;
	}
	*ret_answer = a->answers[a->answer_first++ % CLIENT_DEPTH];
	c->answered_count++;
	return 1;
}

int
amqp_forget(const struct load_server *server, const char *tube, char *ret_error)
{
	const struct client_use use = { .tube = tube };
	struct client c;
	struct amqp *a;
	amqp_rpc_reply_t reply;
	int rc;

	if (client_open(&c, server, 0, &use, ret_error) != 0)
		return -1;
	a = c.state;
	amqp_queue_delete(a->state, CHANNEL, a->tube, 0, 0);
	reply = amqp_get_rpc_reply(a->state);
	rc = reply.reply_type == AMQP_RESPONSE_NORMAL
		     ? 0
		     : fail_reply(ret_error, "queue.delete", reply);
	client_close(&c);
	return rc;
}

static const struct client_protocol protocol = {
	.open = amqp_client_open,
	.close = amqp_client_close,
	.put = amqp_client_put,
	.reserve = amqp_client_reserve,
	.remove = amqp_client_remove,
	.send = amqp_client_send,
	.receive = amqp_client_receive,
	.next = amqp_client_next,
};
const struct client_protocol *const client_amqp = &protocol;
