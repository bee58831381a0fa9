/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file load.h
 * A server of the beanstalk protocol under load, as its clients see it: one thread, many
 * connections.
 *
 *   put     each connection puts a job, waits for INSERTED, and puts the next
 *   cycle   each connection puts a job, reserves one, deletes that one, and begins anew; one count
 *           is all three, and so is a latency. With a depth each connection has so many of these
 *           under way: as many puts at once, then whatever the answers that came together lead to,
 *           in one write (a delete, a reserve and a put of three different cycles)
 *   fan     one connection puts, all others reserve and delete; one count is a job that is deleted,
 *           its latency the time from its put to its RESERVED
 *
 * In a closed loop the next request is sent when the answer is there, so that a slow server is
 * asked less. In an open loop (put and cycle) puts are due at a fixed rate, whether there are
 * answers or not, and a latency begins when its put was due. How late it was sent is told as well:
 * what is late by much says more of this program, or of its CPU, than of the server.
 *
 * RabbitMQ (amqp.c) has counterparts of most of it. Its deletes are acks, which it does not answer:
 * a cycle ends when its ack is on the way. A job is pushed to a connection that may hold one more,
 * whether that has a use for it or not; so nothing waits for the last cycles of a run, which may
 * have been given to a connection that begins no more, and there is no open loop of cycles.
 *
 * Every run has a tube and connections of its own. What put leaves there stays: to delete it takes
 * a server that syncs each delete longer than the run.
 */
#ifndef BENCH_QUEUE_LOAD_H
#define BENCH_QUEUE_LOAD_H

#include "apps/histogram.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#define LOAD_ADDRESS_COUNT_MAX    8
#define LOAD_CONNECTION_COUNT_MAX 10000
#define LOAD_BODY_BYTES_MIN       16
#define LOAD_BODY_BYTES_MAX       65535
#define LOAD_DEPTH_MAX            256
#define LOAD_ERROR_BYTES          256

struct load_server {
	char name[64];
	struct sockaddr_in addresses[LOAD_ADDRESS_COUNT_MAX]; /* connections take them in turns */
	uint32_t address_count;
	bool is_amqp;
};

enum load_kind {
	LOAD_PUT,
	LOAD_CYCLE,
	LOAD_FAN
};

struct load_plan {
	enum load_kind kind;
	uint32_t connection_count;
	uint32_t body_bytes;
	uint32_t depth; /* of a cycle: so many under way on each connection */
	uint32_t rate;  /* puts per second, an open loop; 0: a closed one */
	uint64_t warm_ns, run_ns;
};

struct load_result {
	struct histogram latency;
	/* In an open loop. */
	struct histogram lag;  /* from when a put was due until it was handed to the kernel */
	uint64_t unsent_count; /* too much was unanswered to ask for more */
	double per_s;
};

/**
 * Run one plan against one server.
 *
 * @param tube       a name that nobody else uses, or the one of load_fill(): a cycle takes its
 *                   oldest job then
 * @param ret_error  one line, if it fails
 * @retval 0  @retval -1  the server is not there, went away, said something else than expected, or
 * nothing for 30 s
 */
int load_run(const struct load_server *server, const struct load_plan *plan, const char *tube,
	struct load_result *ret_result, char ret_error[LOAD_ERROR_BYTES]);

/**
 * Put jobs as fast as it goes; prints its progress.
 *
 * @retval 0  @retval -1  as above
 */
int load_fill(const struct load_server *server, uint64_t job_count, uint32_t body_bytes,
	const char *tube, char ret_error[LOAD_ERROR_BYTES]);

#endif
