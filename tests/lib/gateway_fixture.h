/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file gateway_fixture.h
 * A whole queue server in the test's process: a cluster of one without ports, its gateway, and sockets of clients. Whatever fails ends
 * the test.
 *
 * Threads:  the caller's.
 */
#ifndef TESTS_GATEWAY_FIXTURE_H
#define TESTS_GATEWAY_FIXTURE_H

#include "queue/gateway.h"

#include <pthread.h>

#define GF_DEADLINE_MS 60000 /* that only a broken server meets */

struct gateway_fixture {
	char folder[64], config[128];
	struct queue_machine *machine;
	struct queue_gateway *gateway;
	struct decree_node *node;
	char error[DECREE_ERROR_BYTES];
	pthread_mutex_t lock;
	char log[65536]; /* the gateway's lines */
	size_t log_bytes;
};

/** An empty folder, with the configuration of a node. */
struct gateway_fixture *gf_create(void);
/** @param options  but for the node's number and on_log. @return as queue_gateway_create(), which said why in `error` */
int gf_open_gateway(struct gateway_fixture *f, struct queue_gateway_options options);
/** The node, and the gateway's thread. */
void gf_start(struct gateway_fixture *f);
void gf_stop(struct gateway_fixture *f);
/** With the folder. A server that runs is stopped. */
void gf_destroy(struct gateway_fixture *f);

/** @return whether the gateway has logged that */
bool gf_has_logged(struct gateway_fixture *f, const char *text);
void gf_await_log(struct gateway_fixture *f, const char *text);

/** Connect to the gateway's address number @p index, which is of IPv4. */
int gf_connect(const struct gateway_fixture *f, uint32_t index);
void gf_say(int fd, const char *text);
/** These bytes come, and no others. */
void gf_hear(int fd, const char *expected);
/** Nothing more comes, and the connection ends: also if it ends hard. The socket is closed. */
void gf_hear_end(int fd);
/** Wait until a line of the statistics is what it should be. */
void gf_await_stat(int fd, const char *line);

#endif
