/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file outputs.h
 * The files that somebody wants of a measurement.
 *
 * Threads:  one.
 * Errors:   one line on standard error, and the exit status.
 */
#ifndef BENCH_COMMIT_OUTPUTS_H
#define BENCH_COMMIT_OUTPUTS_H

#include "bench/commit/results.h"

struct bench_outputs {
	const char *json, *hgrm, *plot; /* NULL: not wanted */
};

/** Can they be written? To be asked before anything is measured. Makes the folder for plots. */
int outputs_check(const struct bench_outputs *o);

/** Write them, and have the plots drawn. */
int outputs_write(const struct bench_outputs *o, const struct results *r);

#endif
