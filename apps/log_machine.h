/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file log_machine.h
 * The simplest state machine: an ordered log of commands, reduced to how many there were and a
 * running digest of all of them. Each command is answered with its number, from 1.
 *
 * Reads: "count" gives the number of commands in decimal, "digest" 32 hexadecimal digits; others
 * -EINVAL.
 */
#ifndef APPS_LOG_MACHINE_H
#define APPS_LOG_MACHINE_H

#include <decree/machine.h>

#define LOG_MACHINE_STATE_BYTES 24

struct log_machine {
	uint64_t count;
	/* of the previous digest, slot, index, session, seq and body */
	struct decree_digest digest;
	/* The one chunk of a snapshot: count 8, digest 16, little-endian, as at the cut. */
	uint8_t cut[LOG_MACHINE_STATE_BYTES];
	bool is_cut_taken; /* the chunk was handed out */
	bool is_restored;  /* the chunk of restore_begin() .. restore_end() came */
};

extern const struct decree_machine_ops log_machine_ops;

#endif
