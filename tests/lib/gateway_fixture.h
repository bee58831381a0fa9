/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file gateway_fixture.h
 * A whole queue server in the test's process: a cluster of one without ports, its gateway, and
 * sockets of clients. Whatever fails ends the test.
 *
 * Threads:  the caller's.
 */
#ifndef TESTS_GATEWAY_FIXTURE_H
#define TESTS_GATEWAY_FIXTURE_H

#include "queue/gateway.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#define GF_DEADLINE_MS 60000 /* that only a broken server meets */
#define GF_WINDOW      1024  /* of the session: the smallest */

struct gateway_fixture {
	char folder[64], config[128];
	struct queue_machine *machine;
	struct queue_gateway *gateway;
	struct decree_node *node;
	char error[DECREE_ERROR_BYTES];
	pthread_mutex_t lock;
	char log[65536]; /* the gateway's lines */
	size_t log_bytes;

	_Atomic uint64_t reserved_seq; /* of the last reserve that got a job */

	/* The shard's thread, whenever a job was handed over, says `held` (gf_await_held()) and
	 * waits for `go`. */
	_Atomic bool is_holding;
	sem_t held, go;
	/* ... or does not tell the gateway of it, once, */
	_Atomic bool is_silent;
	/* ... or tells the gateway that the state was replaced, once. */
	_Atomic bool is_restored;
};

/** An empty folder, with the configuration of a node. */
struct gateway_fixture *gf_create(void);
/** @param options  but for the node's number and on_log. @return as queue_gateway_create(), which
 * said why in `error` */
int gf_open_gateway(struct gateway_fixture *f, struct queue_gateway_options options);
/** The node, and the gateway's thread. */
void gf_start(struct gateway_fixture *f);
/** A gateway with one address, and all of that. */
void gf_start_plain(struct gateway_fixture *f);
void gf_stop(struct gateway_fixture *f);
/** With the folder. A server that runs is stopped. */
void gf_destroy(struct gateway_fixture *f);

/** For cmocka: the state is a fixture with such a server. */
int gf_setup(void **state);
/** The same; bodies of @p body_bytes have no room in its handover, and are read from the machine. */
int gf_setup_without_room(void **state, uint32_t body_bytes);
int gf_teardown(void **state);
/** For tests with many clients. */
void gf_take_descriptors(void);

/** @return whether the gateway has logged that */
bool gf_has_logged(struct gateway_fixture *f, const char *text);
void gf_await_log(struct gateway_fixture *f, const char *text);

/** The shard's thread stands still. */
void gf_await_held(struct gateway_fixture *f);

/** Connect to the gateway's address number @p index, which is of IPv4. */
int gf_connect(const struct gateway_fixture *f, uint32_t index);
/** The same, to the first. */
int gf_client(const struct gateway_fixture *f);
void gf_say(int fd, const char *text);
void gf_say_bytes(int fd, const void *bytes, size_t count);
/** These bytes come, and no others. */
void gf_hear(int fd, const char *expected);
void gf_hear_bytes(int fd, const char *expected, size_t count);
/** @return bytes, 0 at the end of the connection */
size_t gf_hear_some(int fd, char *ret, size_t capacity);
/** Nothing more comes, and the connection ends: also if it ends hard. The socket is closed. */
void gf_hear_end(int fd);
void gf_ask(int fd, const char *text, const char *expected);
/** A whole reply of YAML. */
void gf_hear_yaml(int fd, char *ret, size_t capacity);

/** A number of the statistics that @p question asks for. */
uint64_t gf_stat_of(int fd, const char *question, const char *key);
/** Wait until it is that. */
void gf_await_stat(int fd, const char *question, const char *key, uint64_t value);

#endif
