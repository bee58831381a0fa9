/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file json.h
 * Values of JSON.
 */
#ifndef BENCH_COMMIT_JSON_H
#define BENCH_COMMIT_JSON_H

#include <stdio.h>

/** A string, quoted and escaped. */
void json_text(FILE *to, const char *text);

/** A number; NAN is null. */
void json_number(FILE *to, double number);

#endif
