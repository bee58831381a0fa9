/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file peer.h
 * Other systems that agree on an order among three processes and keep it on disk, started and
 * loaded as decree is.
 *
 * Picture. Embedded: three processes, and the one that leads loads itself, as in decree's
 * benchmark. By a client: three servers, and one process more that is connected to the one that
 * leads.
 *
 * Threads:  one, in each process.
 * Errors:   0 or -errno, after a line on standard error.
 */
#ifndef BENCH_PEERS_PEER_H
#define BENCH_PEERS_PEER_H

#include "bench/commit/load.h"
#include "bench/commit/run.h"

#define PEER_NODE_COUNT 3

/* What they are started with. */
struct peer_run {
	struct run *run;
	char folder[300]; /* its own, empty */
	uint16_t ports[3 *
		       PEER_NODE_COUNT]; /* of loopback, free: of a node, those at 3 * its index */
	uint32_t connection_count;       /* of a client with more than one command in flight */
};

struct peer {
	const char *name;      /* on the command line */
	const char *system;    /* in tables and plots */
	const char *transport; /* between its processes, and to a client */
	const char *started;   /* what it is told, in words; everything else is its default */
	bool is_embedded; /* its load is inside the process that leads; compared with decree's alike */
	bool is_load_inside;    /* and more than that: in the thread that leads */
	uint32_t in_flight_max; /* what it is loaded with at most; 0: anything */

	/** @return NULL, or why it cannot be measured here; @p ret_version [64] */
	const char *(*look)(char *ret_version);

	/** Fork its processes, run_begin() first. */
	int (*start)(struct peer_run *p);
};

extern const struct peer peer_decree, peer_decree_thread, peer_decree_client, peer_libraft,
	peer_etcd, peer_zookeeper;

/* ------------------------------------------------------------------------- a process that loads */

/* What it loads, and what is to be done between orders. */
struct peer_client {
	struct load_target target;
	/** Before each order: be connected @p connection_count times. 0, or why not is on standard
	 * error. */
	int (*connect)(void *context, uint32_t connection_count);
	/** Between orders, for some milliseconds; NULL: sleep. */
	void (*idle)(void *context);
	/** Whether it is led and takes commands; NULL: always. */
	bool (*is_ready)(void *context);
};

/** Say on the board when it is ready, and carry out orders, until the board is over. */
void peer_client_serve(const struct peer_client *client, struct board *board, uint32_t index,
	uint32_t connection_count);

/* --------------------------------------------------------------------------- helpers of servers */

/** Fork three processes of @p serve, and one of @p load if it is not NULL; each with @p p. A peer's
 * start(). */
int peer_fork(struct peer_run *p, run_body *serve, run_body *load);

/** Ask every server's first port of @p p one question until @p word is in an answer. @return that
 * port; 0: none */
uint16_t peer_find_leader(const struct peer_run *p, const char *question, const char *word);

/** Become another program; what it prints goes to @p log_path. Ends this process if it is not
 * there. */
_Noreturn void peer_exec(const char *log_path, const char *const *argv);

/** Where on the path a program is. @return false: nowhere */
bool peer_find(const char *program, char *ret_path, size_t capacity);

/** A connection to a port of loopback that does not block. @return -errno */
int peer_dial(uint16_t port);

#endif
