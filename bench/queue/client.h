/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file client.h
 * One connection to a server: requests go out, answers come in. What differs from protocol to
 * protocol is a table.
 *
 *   beanstalk.c  requests are answered in their order
 *   amqp.c       AMQP 0-9-1, for RabbitMQ's quorum queues: a put is a publish with a confirm; a
 *                reserve takes the next of the deliveries that the server pushes, as many as the
 *                connection may hold; a delete is an ack, which has no answer
 *
 * Threads:  one.   Errors: -1 with a line of text.   Memory: client_open() to client_close().
 */
#ifndef BENCH_QUEUE_CLIENT_H
#define BENCH_QUEUE_CLIENT_H

#include "bench/queue/load.h"

#include <stdbool.h>
#include <stddef.h>

#define CLIENT_DEPTH 1024 /* requests without an answer; a power of two */

enum client_op {
	OP_TUBE, /* the tube is chosen; several of them may come */
	OP_PUT,
	OP_RESERVE,
	OP_DELETE
};

struct client_answer {
	enum client_op op;
	uint64_t asked_ns; /* as it was given with the request */
	uint64_t id;       /* of a put, and of a reserve */
	/* of a reserve, until the next call: LOAD_BODY_BYTES_MIN of it at least */
	const char *body;
};

/** What a connection is for. */
struct client_use {
	const char *tube;
	uint32_t held_count_max; /* jobs that it reserves before it deletes one; 0: it only puts */
};

struct client;

/* Each: 0 or -1 with a line of text, unless it says something else. */
struct client_protocol {
	int (*open)(struct client *c, const struct sockaddr_in *to, const struct client_use *use,
		char *ret_error);
	void (*close)(struct client *c);
	void (*put)(struct client *c, uint64_t asked_ns, const char *body, uint32_t body_bytes,
		uint32_t ttr_s);
	void (*reserve)(struct client *c, uint64_t asked_ns);
	void (*remove)(struct client *c, uint64_t asked_ns, uint64_t id);
	int (*send)(struct client *c, char *ret_error); /* 1: some is left */
	int (*receive)(struct client *c, char *ret_error);
	int (*next)(struct client *c, struct client_answer *ret_answer, char *ret_error);
};
extern const struct client_protocol client_beanstalk;

struct client {
	const struct client_protocol *protocol;
	int fd;
	uint64_t asked_count, answered_count;
	void *state; /* the protocol's */
};

/** The tube is asked for; whatever that brings are answers. */
int client_open(struct client *c, const struct load_server *server, uint32_t address,
	const struct client_use *use, char ret_error[LOAD_ERROR_BYTES]);
void client_close(struct client *c);

/** @return requests without an answer */
static inline uint64_t
client_flying(const struct client *c)
{
	return c->asked_count - c->answered_count;
}

/** Ask; sent by client_send() at the latest. The caller keeps below CLIENT_DEPTH. */
void client_put(
	struct client *c, uint64_t asked_ns, const char *body, uint32_t body_bytes, uint32_t ttr_s);
void client_reserve(struct client *c, uint64_t asked_ns);
void client_delete(struct client *c, uint64_t asked_ns, uint64_t id);

/** Send what can be sent. @return 1: some is left, 0: all is sent, -1 */
int client_send(struct client *c, char ret_error[LOAD_ERROR_BYTES]);

/** Read what is there. @retval 0  @retval -1  the connection is at its end */
int client_receive(struct client *c, char ret_error[LOAD_ERROR_BYTES]);

/** The next whole answer. @return 1: there is one, 0: none yet, -1: it is not what was expected */
int
client_next(struct client *c, struct client_answer *ret_answer, char ret_error[LOAD_ERROR_BYTES]);

#endif
