/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file digest.h
 * The 128-bit digest of slot values, command bodies and log blocks (XXH3-128, libxxhash), and a
 * short one of command bodies.
 */
#ifndef DECREE_BASE_DIGEST_H
#define DECREE_BASE_DIGEST_H

#include "base/digest_wide.h"

/** @param data  lent for the call; may be NULL if @p bytes is 0 */
struct decree_digest base_digest(const void *data, size_t bytes);

#define BASE_DIGEST_SHORT_BYTES 240

/** 32 bits that find a mistake in something that is sent twice: CRC-32C, at less than half the cost
 * of a hash, for what is short. It tells two bodies of a size apart but once in 2^32, and always if
 * they differ within 32 bits in a row. Of more than BASE_DIGEST_SHORT_BYTES it is the lower half of
 * base_digest().lo, so that a digest that came with a large command's fragments serves, too. */
static inline uint32_t
base_digest_short(const void *data, size_t bytes)
{
	if (bytes > BASE_DIGEST_SHORT_BYTES)
		return (uint32_t)base_digest(data, bytes).lo;
	return digest_crc(data, bytes);
}

/** base_digest_short() of each of @p count bodies of @p bytes, which stand behind each other.
 * Cheaper than one by one.
 * @param ret_digests  [count] */
void
base_digest_short_run(const uint8_t *bodies, size_t bytes, uint32_t count, uint32_t *ret_digests);

/* A digest over bytes that come in pieces. Owner: the caller; nothing needs to be given back. */
struct digest_stream {
	_Alignas(64) uint8_t state[640];
};

/** base_digest() of all the pieces in order, however they were cut. */
void digest_stream_init(struct digest_stream *d);
void digest_stream_add(struct digest_stream *d, const void *data, size_t bytes);
/** More may be added afterwards. */
struct decree_digest digest_stream_get(const struct digest_stream *d);

static inline bool
digest_eq(struct decree_digest a, struct decree_digest b)
{
	return a.lo == b.lo && a.hi == b.hi;
}

#endif
