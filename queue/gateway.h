/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file gateway.h
 * Clients of the beanstalk protocol: one thread of its own serves their sockets and turns their
 * lines into commands of the queue (command.h) and reads (query.h).
 *
 * A gateway is one session. It attaches as the gateway of its node, opens a connection for each
 * client that says something, and drops all clients and begins anew if the session, or the
 * attachment, is lost.
 *
 *   queue_gateway_create()      binds the sockets; before decree_open()
 *   queue_machine_create()      with queue_gateway_on_reserved(), _on_found() and _on_restored() in
 *                               its queue_config
 *   decree_open()               with queue_gateway_on_applied() called from on_applied
 *   decree_start()
 *   queue_gateway_start()       from here on clients are answered
 *   queue_gateway_stop()        all clients are gone
 *   decree_stop(), decree_close(), queue_gateway_destroy()
 *
 * Threads:  create, start, stop and destroy belong to the node's owner. The four on_...() are
 *           called on the thread of the shard, between open and close of the node.
 *           queue_gateway_drain() may be called from anywhere.
 * Errors:   0 or -errno; `ret_error` gets one sentence that says what is wrong and what to do about
 *           it.
 * Memory:   the shard's thread neither allocates nor waits; the gateway's thread allocates as
 *           clients come.
 */
#ifndef QUEUE_GATEWAY_H
#define QUEUE_GATEWAY_H

#include "queue/machine.h"

#include <decree/node.h>

struct queue_gateway;

#define QUEUE_JOB_BYTES_DEFAULT 65535u
#define QUEUE_ADDRESS_BYTES     128 /* of queue_gateway_address(), its end included */

struct queue_gateway_options {
	/** [listen_count] "ADDR:PORT", "[V6]:PORT", "unix:PATH"; "tls:" before one of the first two:
	 * TLS 1.3 only. A path that is a socket already is removed. */
	const char *const *listens;
	uint32_t listen_count;

	/** [socket_count] Stream sockets that listen already, to be served besides. They are the
	 * gateway's from the call on, and closed with it; the file of a unix socket stays. */
	const struct queue_socket {
		int fd;
		bool is_tls;
	} * sockets;
	uint32_t socket_count;

	/** For those with "tls:", files in PEM: the certificate, with those between it and its
	 * authority behind it, and its key, which only its owner may read. NULL: none. With @p
	 * tls_ca clients must show a certificate that is signed by one of these. */
	const char *tls_cert, *tls_key, *tls_ca;

	uint16_t node_id;
	uint32_t job_bytes_max; /* of a body; 0 = QUEUE_JOB_BYTES_DEFAULT */
	bool keeps_stats;       /* for queue_gateway_stats() */
	bool has_old_yaml;      /* strings in answers as beanstalkd up to 1.12 had them: unquoted */

	void *context; /* given to on_log */
	/** One line for the log, without a newline. Gateway's thread. NULL: lines go to standard
	 * error. */
	void (*on_log)(void *context, enum decree_log_level level, const char *line);
};

/**
 * Take memory, read the certificates, and bind the sockets. Nobody is accepted yet. A line of the
 * log warns of addresses that others can reach without TLS.
 *
 * @param options  lent for the call, but its context and callback are kept
 * @retval -EINVAL  an address is none, a socket does not listen, job_bytes_max is too large, or the
 *                  certificate or its key cannot be used
 * @retval -EPERM   others may read the key
 * @retval -errno   of socket(), bind(), listen()
 */
int queue_gateway_create(const struct queue_gateway_options *options,
	struct queue_gateway **ret_gateway, char ret_error[DECREE_ERROR_BYTES]);

/** For queue_config.on_reserved. @param gateway  a struct queue_gateway */
void
queue_gateway_on_reserved(void *gateway, struct queue_machine *m, const struct queue_reserved *r);
/** For queue_config.on_found. */
void queue_gateway_on_found(void *gateway, struct queue_machine *m, const struct queue_found *f);
/** For queue_config.on_restored. */
void queue_gateway_on_restored(void *gateway);
/** For decree_options.on_applied: wakes the gateway if it sleeps and there is something for it. */
void queue_gateway_on_applied(void *gateway);

/**
 * Start the thread, which opens its proposer.
 * @param node     started, lent until queue_gateway_stop()
 * @param machine  of that node, lent as long: a put that it has no room for is refused before it is
 *                 proposed
 */
int queue_gateway_start(struct queue_gateway *gateway, struct decree_node *node,
	const struct queue_machine *machine, char ret_error[DECREE_ERROR_BYTES]);

/** Puts are answered DRAINING from now on. Any thread, also in a signal handler. */
void queue_gateway_drain(struct queue_gateway *gateway);

/** Drop all clients and end the thread. Fine if it was never started. Before decree_stop(). */
void queue_gateway_stop(struct queue_gateway *gateway);

/** NULL is fine. A unix socket's path is removed. */
void queue_gateway_destroy(struct queue_gateway *gateway);

/** The port that the socket at @p index of the options is bound to: for those that asked for 0. 0:
 * it is a unix socket. */
uint16_t queue_gateway_port(const struct queue_gateway *gateway, uint32_t index);

/** Where the socket at @p index listens, as `listens` has it, but with numbers, and the port that was
 * found for 0. Sockets of the options come behind their addresses. NULL: there are not so many. */
const char *queue_gateway_address(const struct queue_gateway *gateway, uint32_t index);

/**
 * What the queue counts, at most a second old.
 * @param ret_stats         [QUEUE_STAT_COUNT], as QUEUE_STATS answers
 * @param ret_client_count  connections of this node
 * @return false: nothing is known yet, or `keeps_stats` was not asked for. Any thread.
 */
bool queue_gateway_stats(
	const struct queue_gateway *gateway, uint64_t *ret_stats, uint64_t *ret_client_count);

#endif
