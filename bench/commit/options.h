/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file options.h
 * The command line of `decree bench`.
 */
#ifndef BENCH_COMMIT_OPTIONS_H
#define BENCH_COMMIT_OPTIONS_H

#include "bench/commit/outputs.h"
#include "bench/commit/plan.h"

/** @return OPTIONS_GO_ON, or the exit status */
int
bench_options_take(int argc, char **argv, struct plan *ret_plan, struct bench_outputs *ret_outputs);

#endif
