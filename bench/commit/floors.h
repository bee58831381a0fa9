/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file floors.h
 * The floors that points are compared with, for as long as a load is measured.
 *
 * Errors:  0 or -errno, after a line on standard error.
 */
#ifndef BENCH_COMMIT_FLOORS_H
#define BENCH_COMMIT_FLOORS_H

#include "bench/commit/results.h"

/** All of points [first, after), which have one shape; each once in a round. */
int floors_measure(struct results *r, uint32_t first, uint32_t after, uint32_t round);

/** The one that this point has a ratio to. */
int floors_measure_one(struct results *r, uint32_t point, uint32_t round);

#endif
