/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file machine_contract.h
 * Does a state machine keep what include/decree/machine.h asks of it? For yours as for ours: a test
 * of your own calls machine_contract_check() with your table and a supply of commands.
 *
 * It brings a decree_sink_answer() of its own, and answer_each.c beside it the
 * decree_sink_answer_burst(): link both with the machine, and not with libdecree.
 *
 * Threads:  the caller's.
 * Memory:   whole snapshots are kept on the heap: let the supply build a state of some megabytes at
 *           most.
 */
#ifndef TESTS_MACHINE_CONTRACT_H
#define TESTS_MACHINE_CONTRACT_H

#include <decree/machine.h>

#define MACHINE_CONTRACT_BODY_BYTES 4096

struct machine_contract {
	const struct decree_machine_ops *ops;
	void *(*create)(void); /* an empty machine */
	void (*destroy)(void *machine);
	/** The body of the command of that number; the same one for the same number. Let it create,
	 * change and remove objects in an order that is not that of their keys. @return its
	 * bytes */
	uint32_t (*command)(uint64_t number, uint8_t ret_body[MACHINE_CONTRACT_BODY_BYTES]);
	uint64_t count;              /* commands that make a state with several chunks; > 0 */
	uint32_t commands_per_chunk; /* applied between two chunks of a walk */
};

/**
 * 1. the same commands, in bursts of any size, give the same digest and the same answers
 * 2. two machines of the same state give the same chunks; indices count from 0, none is too large
 * 3. commands between two chunks change nothing in them, and a chunk's bytes stay until the next
 *    call
 * 4. a walk changes nothing in the machine, whether it is finished or given up
 * 5. what is restored, over whatever there was, has the digest of the original, gives the same
 *    chunks and goes on as the original does
 * 6. a snapshot without its last chunk, or with its chunks in another order, is refused
 *
 * @return NULL, or a sentence that says what is broken
 */
const char *machine_contract_check(const struct machine_contract *c);

#endif
