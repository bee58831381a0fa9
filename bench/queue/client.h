/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file client.h
 * One connection to a server of the beanstalk protocol: requests go out, answers come in, in their order.
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
	OP_USE,
	OP_WATCH,
	OP_IGNORE,
	OP_PUT,
	OP_RESERVE,
	OP_DELETE
};

struct client_answer {
	enum client_op op;
	uint64_t asked_ns; /* as it was given with the request */
	uint64_t id;       /* of a put, and of a reserve */
	const char *body;  /* of a reserve, until the next call */
};

struct client {
	int fd;
	struct {
		enum client_op op;
		uint64_t asked_ns;
	} asked[CLIENT_DEPTH];
	uint64_t asked_count, answered_count;

	char *out; /* [out_room], from out_sent to out_bytes not sent yet */
	size_t out_bytes, out_sent, out_room;
	char *in; /* [in_room], from in_read to in_bytes not looked at yet */
	size_t in_bytes, in_read, in_room;
};

int client_open(struct client *c, const struct sockaddr_in *to, char ret_error[LOAD_ERROR_BYTES]);
void client_close(struct client *c);

/** @return requests without an answer */
static inline uint64_t
client_flying(const struct client *c)
{
	return c->asked_count - c->answered_count;
}

/** Ask; sent by client_send(). @param body  of a put, NULL otherwise. The caller keeps below CLIENT_DEPTH */
void client_ask(struct client *c, enum client_op op, uint64_t asked_ns, const char *body,
	uint32_t body_bytes, const char *format, ...) __attribute__((format(printf, 6, 7)));

/** Send what can be sent. @return 1: some is left, 0: all is sent, -1 */
int client_send(struct client *c, char ret_error[LOAD_ERROR_BYTES]);

/** Read what is there. @retval 0  @retval -1  the connection is at its end */
int client_receive(struct client *c, char ret_error[LOAD_ERROR_BYTES]);

/** The next whole answer. @return 1: there is one, 0: none yet, -1: it is not what was expected */
int
client_next(struct client *c, struct client_answer *ret_answer, char ret_error[LOAD_ERROR_BYTES]);

#endif
