/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file header.h
 * Where a measurement was made: what makes figures of two machines, or of two builds, differ.
 */
#ifndef BENCH_COMMIT_HEADER_H
#define BENCH_COMMIT_HEADER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define HEADER_WORD_BYTES 160

struct header {
	char time[32]; /* UTC */
	char cpu[HEADER_WORD_BYTES];
	uint32_t cpu_count, threads_per_core;
	bool is_virtual;
	char kernel[HEADER_WORD_BYTES];
	char governor[32]; /* "none": nobody changes the clock, as far as the kernel knows */
	char isolated[HEADER_WORD_BYTES], nohz_full[HEADER_WORD_BYTES]; /* CPUs; "" none */
	uint64_t huge_page_count, huge_page_bytes;
	char filesystem[32], mount_options[HEADER_WORD_BYTES];
	char device[32],
		model[HEADER_WORD_BYTES]; /* "": not known to the kernel, as below overlayfs */
	char write_cache[32];             /* "write back", "write through", "" unknown */
	bool has_fua;
};

/** @param dir  where the logs are. What cannot be found out stays empty */
void header_read(struct header *h, const char *dir);

/** Whether that folder is in memory, tmpfs: no log there is durable. */
bool header_is_in_memory(const struct header *h);

/** Whether this program was built to be fast: optimised, and with nothing that looks on. */
bool header_is_release(void);

void header_print(const struct header *h, FILE *to);

/** As members of an object, without its braces. */
void header_print_json(const struct header *h, FILE *to);

#endif
