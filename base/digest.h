/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file digest.h
 * The 128-bit digest of slot values, command bodies and log blocks (XXH3-128, libxxhash).
 */
#ifndef DECREE_BASE_DIGEST_H
#define DECREE_BASE_DIGEST_H

#include "decree/types.h"

#include <stdbool.h>
#include <stddef.h>

/** @param data  lent for the call; may be NULL if @p bytes is 0 */
struct decree_digest base_digest(const void *data, size_t bytes);

static inline bool
digest_eq(struct decree_digest a, struct decree_digest b)
{
	return a.lo == b.lo && a.hi == b.hi;
}

#endif
