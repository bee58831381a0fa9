/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file digest_wide.h
 * base_digest() on what this CPU has beyond the ones that every program of its kind may count on. The same digest.
 */
#ifndef DECREE_BASE_DIGEST_WIDE_H
#define DECREE_BASE_DIGEST_WIDE_H

#include "decree/types.h"

#include <stdbool.h>
#include <stddef.h>

/** Only if it is true may the other one be called. */
bool digest_has_wide(void);
/** @param bytes  worth it above BASE_DIGEST_SHORT_BYTES only: below, the hash has no vectors */
struct decree_digest digest_wide(const void *data, size_t bytes);

#endif
