/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file asker.h
 * A thread that asks another one of its process for one thing after the other and waits for each,
 * as a proposer does a shard.
 *
 * Threads:  asker_*() belong to the one that is asked.
 */
#ifndef BENCH_ASKER_H
#define BENCH_ASKER_H

#include "apps/histogram.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

struct asker {
	_Atomic uint64_t asked __attribute__((aligned(64)));
	_Atomic uint64_t answered __attribute__((aligned(64)));
	_Atomic bool is_over __attribute__((aligned(64)));
	double seconds;
	struct histogram *times;
	pthread_t thread;
};

/** It asks for so long. @param times  of each wait, ns; its own until asker_end() @retval 0  @return
 * -errno */
int asker_begin(struct asker *a, double seconds, struct histogram *times);

/** @return what it waits for, from 1; 0: nothing */
uint64_t asker_wants(const struct asker *a);
void asker_answer(struct asker *a, uint64_t number);

/** It has had its last answer. */
bool asker_is_over(const struct asker *a);

/** Wait for its end; it goes without an answer that it waits for. */
void asker_end(struct asker *a);

#endif
