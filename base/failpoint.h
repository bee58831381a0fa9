/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file failpoint.h
 * Places where a test lets the process die, as `kill -9` would at that very moment. Only in a build
 * with -Dfailpoints=true; in every other one they are nothing at all.
 *
 * DECREE_FAILPOINT=NAME[:COUNT] in the environment arms one: the process kills itself when it comes
 * there for the COUNT-th time (1). DECREE_FAILPOINT=list prints every name that this executable
 * has, and ends it. tests/cluster/failpoints.sh walks through all of them.
 *
 * Threads:  any.
 */
#ifndef DECREE_BASE_FAILPOINT_H
#define DECREE_BASE_FAILPOINT_H

#include <stdbool.h>

#ifdef DECREE_FAILPOINTS

struct failpoint {
	const char *name;
};

/** Die here if this is the point that is armed, and its count has come. */
void failpoint_pass(const struct failpoint *point);

/** @return whether DECREE_FAULT in the environment is this name */
bool fault_is_set(const char *name);

/* The section is the list: no table to keep in step with the code. */
#define FAILPOINT(text)                                                                            \
	do {                                                                                       \
		static const struct failpoint here                                                 \
			__attribute__((used, section("failpoints"))) = { text };                   \
		failpoint_pass(&here);                                                             \
	} while (0)

/* A fault that lasts: true if a test has asked for it. */
#define FAULT_IS_SET(text) fault_is_set(text)

#else

#define FAILPOINT(text)    ((void)0)
#define FAULT_IS_SET(text) false

#endif

#endif
