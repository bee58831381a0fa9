/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file main.h
 * `decree bench floor -c FILE`.
 */
#ifndef BENCH_HOSTS_MAIN_H
#define BENCH_HOSTS_MAIN_H

#include <stdint.h>

struct hosts_options {
	const char *config;
	const char *const *settings;
	uint32_t setting_count;
	/* where blocks are written; NULL: the data directory, or what it will be made in */
	const char *dir;
	const char *json; /* NULL: none */
	double seconds;
	uint32_t round_count, block_bytes, wait_s;
	char *const *words; /* [word_count] of the command line */
	uint32_t word_count;
};

/** This host's part in it. @return the exit status */
int hosts_main(const struct hosts_options *options);

#endif
