/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file report.h
 * The comparison as text: systems of one kind (embedded, by a client) stand together, each beside
 * decree in the same round.
 */
#ifndef BENCH_PEERS_REPORT_H
#define BENCH_PEERS_REPORT_H

#include "bench/commit/results.h"
#include "bench/peers/peer.h"

#define PEER_COUNT_MAX 8

/* Those that are measured, in the order of their points. */
struct peer_entry {
	const struct peer *peer;
	char version[64];
	uint32_t first, after; /* points */
};

/** One line, as soon as it is there. */
void peer_report_measured(const struct results *r, uint32_t point, uint32_t round);

/** @param sizes  [size_count] of commands: tables for each */
void peer_report_print(const struct results *r, const struct peer_entry *entries, uint32_t count,
	const uint32_t *sizes, uint32_t size_count);

#endif
