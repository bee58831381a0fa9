/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file log_machine.h
 * The simplest state machine: an ordered log of commands, reduced to how many there were and a running
 * digest of all of them. Each command is answered with its number, from 1.
 *
 * Reads: "count" gives the number of commands in decimal, "digest" 32 hexadecimal digits; others -EINVAL.
 */
#ifndef APPS_LOG_MACHINE_H
#define APPS_LOG_MACHINE_H

#include <decree/machine.h>

struct log_machine {
	uint64_t count;
	struct decree_digest
		digest; /* of the previous digest, slot, index, session, seq and body */
};

extern const struct decree_machine_ops log_machine_ops;

#endif
