/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file one_node.h
 * A cluster of one node without ports, through the public interface: two shards with a group each,
 * on a real disk. Its machines add up.
 */
#ifndef TEST_RUNTIME_ONE_NODE_H
#define TEST_RUNTIME_ONE_NODE_H

#include "decree/node.h"

struct adder {
	uint64_t count;
	uint64_t sum;
};

struct one_node {
	char folder[64];
	char config[128];
	struct adder adders[2];
	void *machines[2];
	struct decree_node *node;
	char error[DECREE_ERROR_BYTES];
	char log[4096]; /* lines, one after the other */
};

extern const struct decree_machine_ops
	adder_ops; /* the answer to a command is the sum; a query is "sum" */

/** A folder with a configuration and formatted logs, and without it. */
int one_setup(void **state);
int one_teardown(void **state);

/** @param setting  "section.key=value" beside the configuration, or NULL @return decree_open()'s */
int one_open(struct one_node *f, const char *setting);
void one_close(struct one_node *f);

/** What decree_open() takes, for a test to change. */
struct decree_options one_options(struct one_node *f);

#endif
