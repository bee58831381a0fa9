/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file settings.h
 * How it was measured: what the command line or its defaults have set, besides what a point of the
 * sweep says.
 */
#ifndef BENCH_COMMIT_SETTINGS_H
#define BENCH_COMMIT_SETTINGS_H

#include "bench/commit/plan.h"

#include <stdio.h>

/** Two lines. */
void settings_print(const struct plan *plan, FILE *to);

/** As members of an object, without its braces. */
void settings_print_json(const struct plan *plan, FILE *to);

#endif
