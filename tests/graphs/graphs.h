/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file graphs.h
 * A cluster whose links are cut down to a given directed graph, for good. From the graph alone
 * follows whether a leader can exist; the cluster must behave accordingly (protocol 10.8).
 *
 *   run.c   one graph: the core of each node, frames that take a millisecond, nothing else goes
 *           wrong
 *   main.c  which graphs, on how many processors, and the report
 */
#ifndef TESTS_GRAPHS_H
#define TESTS_GRAPHS_H

#include "decree/types.h"

#include <stdbool.h>
#include <stdint.h>

#define GRAPH_NODE_MAX DECREE_NODE_COUNT_MAX

/* Bit graph_link(n, from, to) says that frames of node `from` reach node `to`; nodes count from 1. */
struct graph_case {
	uint32_t nodes;
	uint64_t links;
	uint64_t links_before; /* before that the links are these ... */
	uint64_t before_ns;    /* ... for so long; 0 = all links work */
	uint32_t q1;           /* 0 = majority */
	uint32_t q2;
	uint16_t leader; /* leads when the links are cut; 0 = all nodes start anew, nobody leads */
	uint64_t seed;   /* of the nodes' timers */
	bool trace;      /* messages to standard output */
};

struct graph_result {
	char why[160];           /* empty: as it must be */
	bool is_possible;        /* a leader can exist */
	uint32_t leader_changes; /* since the links were cut */
	uint32_t prepares;       /* ballots begun since the links were cut */
	uint64_t leader_ns;      /* from the cut to the last change of leader */
};

static inline uint64_t
graph_link(uint32_t nodes, uint32_t from, uint32_t to)
{
	uint32_t column = to < from ? to - 1 : to - 2;

	return 1ull << ((from - 1) * (nodes - 1) + column);
}

/** Both ways between each pair of @p pairs, bit by bit (1,2), (1,3), ..., (2,3), ... */
uint64_t graph_undirected(uint32_t nodes, uint64_t pairs);

/** Run one graph for some seconds of virtual time. */
void graph_run(const struct graph_case *g, struct graph_result *ret_result);

#endif
