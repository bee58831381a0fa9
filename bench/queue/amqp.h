/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file amqp.h
 * RabbitMQ as a server of bench/queue: amqp.c if librabbitmq is there, else amqp_none.c.
 *
 * Threads:  one.   Errors: -1 with a line of text.
 */
#ifndef BENCH_QUEUE_AMQP_H
#define BENCH_QUEUE_AMQP_H

#include "bench/queue/client.h"

/** NULL: built without librabbitmq. */
extern const struct client_protocol *const client_amqp;

/** The tube, with all that is in it. @retval 0  @retval -1 */
int amqp_forget(const struct load_server *server, const char *tube, char *ret_error);

#endif
