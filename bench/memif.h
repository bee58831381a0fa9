/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file memif.h
 * Frames between processes over DPDK's memif, without a line of net's code: what the transport itself can do, for
 * the engine to be compared with. One process serves a socket, one other is its client.
 *
 * Threads:  the one that called memif_open(), the only one of its process.
 * Errors:   memif_die() ends the process: a benchmark without its transport measures nothing.
 */
#ifndef BENCH_MEMIF_H
#define BENCH_MEMIF_H

#include <stdbool.h>
#include <stdint.h>

#define MEMIF_FRAME_BYTES 64

struct memif {
	struct rte_mempool *pool;
	uint16_t port_count;
};

/**
 * Start EAL with one port for each socket, and wait until all links are up.
 *
 * @param program     for messages and EAL's files
 * @param place       which CPU, in turn; -1: any of them, as nodes without `cpus` have it
 * @param folder      where the sockets are
 * @param first       port i has the socket `folder/(first + i)`
 * @param is_server   of all its sockets; its clients may come sooner or later
 */
void memif_open(struct memif *m, const char *program, int place, const char *folder, int first,
	uint16_t port_count, bool is_server);

/** The end of the program: sockets of a server are removed. */
void memif_close(struct memif *m);

/** Send a frame that carries this number; lost if the other is a whole ring behind. */
void memif_send(struct memif *m, uint16_t port, uint64_t number);

/** @param ret_number  the last of the frames that came. @return how many came; never blocks */
uint16_t memif_poll(struct memif *m, uint16_t port, uint64_t *ret_number);

/** Print "PROGRAM: what" and exit. */
_Noreturn void memif_die(const char *what);

#endif
