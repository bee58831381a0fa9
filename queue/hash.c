/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hashes for the digest and the tables. They find accidents; nobody who writes jobs can make the
 * replicas differ by a collision, since all of them apply the same commands.
 *
 * One step folds the 128-bit product of two odd-looking words, which mixes every bit of the input
 * into every one of the result.
 */
#include "queue/bytes.h"
#include "queue/private.h"

static uint64_t
fold(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t
hash_word(uint64_t hash, uint64_t word)
{
	return fold(hash ^ 0x8ebc6af09c88c6e3ull, word ^ 0x589965cc75374cc3ull) + hash;
}

uint64_t
hash_part(uint64_t hash, const void *bytes, size_t count)
{
	const uint8_t *at = bytes;

	for (; count >= 8; at += 8, count -= 8)
		hash = hash_word(hash, queue_load_u64(at));
	if (count > 0) {
		uint8_t last[8] = { 0 };

		memcpy(last, at, count);
		hash = hash_word(hash, queue_load_u64(last));
	}
	return hash;
}

uint64_t
hash_end(uint64_t hash, size_t bytes_all)
{
	return hash_word(hash, bytes_all);
}

uint64_t
hash_bytes(const void *bytes, size_t count)
{
	return hash_end(hash_part(0, bytes, count), count);
}

struct decree_digest
digest_words(const uint64_t *words, uint32_t count)
{
	uint64_t lo = 0x1d8e4e27c47d124full, hi = 0xeb44accab455d165ull;

	for (uint32_t i = 0; i < count; i++) {
		lo = hash_word(lo, words[i]);
		hi = hash_word(hi, words[i] + lo);
	}
	return (struct decree_digest){ .lo = lo, .hi = hash_word(hi, count) };
}
