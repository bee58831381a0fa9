/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file queue_server.h
 * The task queue of one node: the state machine and the gateway to it, as the configuration has
 * them.
 *
 * Threads:  the node's owner, queue_server_on_applied() and queue_server_read_metrics() excepted.
 * Errors:   one line on standard error.
 */
#ifndef APPS_QUEUE_SERVER_H
#define APPS_QUEUE_SERVER_H

#include "queue/gateway.h"

#include <decree/setup.h>

struct queue_server {
	struct queue_gateway *gateway;
	struct queue_machine *machine;
	bool has_sockets; /* of a service manager, instead of addresses */
};

/**
 * Bind the sockets, or take those that a service manager has bound, and reserve the memory; before decree_open().
 *
 * @param setup  lent for the call
 * @return OPTIONS_GO_ON, or the exit status after a complaint
 */
int queue_server_create(const struct decree_setup *setup, struct queue_server *ret_server);

/** After decree_close(). */
void queue_server_destroy(struct queue_server *server);

/** For decree_options, with the server as its context. Shard's thread. */
void queue_server_on_applied(
	void *context, uint16_t group, struct decree_slot first, struct decree_slot after);

/** The same, for decree_options.read_metrics. */
bool queue_server_read_metrics(void *context, uint64_t *ret_values);

/** Say where clients find the queue. */
void queue_server_print(const struct queue_server *server);

#endif
