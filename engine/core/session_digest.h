/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file session_digest.h
 * The part of session_digest.c that every command runs through.
 */
#ifndef ENG_SESSION_DIGEST_H
#define ENG_SESSION_DIGEST_H

#include "engine/core/session_private.h"

static inline void
sum_add(struct decree_digest *sum, struct decree_digest term)
{
	sum->lo += term.lo;
	sum->hi += term.hi + (sum->lo < term.lo);
}

static inline void
sum_take(struct decree_digest *sum, struct decree_digest term)
{
	sum->hi -= term.hi + (sum->lo < term.lo);
	sum->lo -= term.lo;
}

/* One product, as in the hash NH (Black, Halevi, Krawczyk, Krovetz, Rogaway: UMAC, 1999, section
 * 4): its factors are what is said plus a part of the key, here another one for each seq. */
static inline struct decree_digest
reply_term(const struct row *w, uint64_t seq, const struct reply *reply)
{
	uint64_t rest = (uint64_t)reply->digest << 32 | reply->status;
	__uint128_t product =
		(__uint128_t)(reply->result + w->key.lo + seq * 0xa0761d6478bd642full) *
		(rest + w->key.hi + seq * 0xe7037ed1a0b428dbull);

	return (struct decree_digest){ (uint64_t)product, (uint64_t)(product >> 64) };
}

#endif
