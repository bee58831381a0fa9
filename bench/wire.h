/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file wire.h
 * Frames between processes over DPDK's ports, without a line of net's code: what the transport
 * itself can do, for the engine to be compared with. By memif the leader, process 0, has a port for
 * each other one; by af_packet and af_xdp each process has one port, the interface node1 (node2,
 * ...) of the namespace that it is in, and a bridge joins them.
 *
 * Threads:  the one that called wire_open(), the only one of its process that uses it.
 * Errors:   wire_die() ends the process: a benchmark without its transport measures nothing.
 */
#ifndef BENCH_WIRE_H
#define BENCH_WIRE_H

#include <stdbool.h>
#include <stdint.h>

enum wire_kind {
	WIRE_MEMIF = 0,
	WIRE_AF_PACKET,
	WIRE_AF_XDP,
};

struct wire_config {
	const char *program; /* for messages and EAL's files */
	enum wire_kind kind;
	const char *folder; /* of memif's sockets */
	uint32_t place;     /* this process: 0 is the leader */
	uint32_t place_count;
};

struct wire {
	struct rte_mempool *pool;
	enum wire_kind kind;
	uint8_t place;
	uint16_t port_count;
};

/** Start EAL with the ports, and wait until all links are up. It runs on any CPU, as nodes without
 * `cpus` do. */
void wire_open(struct wire *w, const struct wire_config *config);

/** The end of the program: sockets and programs in the kernel are removed. */
void wire_close(struct wire *w);

/** Send a frame that carries this number to another process; followers have the leader alone. Lost
 * if the other is a whole ring behind. */
void wire_send(struct wire *w, uint32_t to, uint64_t number);

/** @param numbers  [place_count] of each process the last number that came; of whom none came, it
 * stays
 * @return whether any came; never blocks */
bool wire_poll(struct wire *w, uint64_t *numbers);

/** Print "PROGRAM: what" and exit. */
_Noreturn void wire_die(const char *what);

#endif
