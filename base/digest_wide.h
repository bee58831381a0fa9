/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file digest_wide.h
 * Digests on what this CPU has beyond the ones that every program of its kind may count on. The
 * same digests.
 */
#ifndef DECREE_BASE_DIGEST_WIDE_H
#define DECREE_BASE_DIGEST_WIDE_H

#include "decree/types.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Only if it is true may the other one be called. */
bool digest_has_wide(void);
/** @param bytes  worth it above BASE_DIGEST_SHORT_BYTES only: below, the hash has no vectors */
struct decree_digest digest_wide(const void *data, size_t bytes);

/** CRC-32C, by the CPU's instruction if it has one. */
uint32_t digest_crc(const uint8_t *bytes, size_t count);
/** Of each of @p count stretches of @p bytes, one behind the other. @param ret_crcs  [count] */
void digest_crc_run(const uint8_t *at, size_t bytes, uint32_t count, uint32_t *ret_crcs);
/** The same in plain C. */
uint32_t digest_crc_plain(const uint8_t *bytes, size_t count);

#endif
