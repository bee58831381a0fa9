/* SPDX-License-Identifier: Apache-2.0 */
#define XXH_INLINE_ALL
#include "apps/log_machine.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

/* What precedes the body in the digest, little-endian on every host. */
struct preamble {
	uint64_t previous_lo;
	uint64_t previous_hi;
	uint64_t slot;
	uint64_t index;
	uint64_t session;
	uint64_t seq;
};

#define ANSWER_BURST     256 /* told at once */
#define SMALL_BODY_BYTES 208 /* with the preamble 256: hashed in one go */

static XXH128_hash_t
hash_small(const struct preamble *preamble, const struct decree_command *c)
{
	uint8_t joined[sizeof(*preamble) + SMALL_BODY_BYTES];

	memcpy(joined, preamble, sizeof(*preamble));
	if (c->bytes > 0)
		memcpy(joined + sizeof(*preamble), c->body, c->bytes);
	return XXH3_128bits(joined, sizeof(*preamble) + c->bytes);
}

static XXH128_hash_t
hash_large(const struct preamble *preamble, const struct decree_command *c)
{
	XXH3_state_t state;

	(void)XXH3_128bits_reset(&state); /* these three fail for NULL only */
	(void)XXH3_128bits_update(&state, preamble, sizeof(*preamble));
	(void)XXH3_128bits_update(&state, c->body, c->bytes);
	return XXH3_128bits_digest(&state);
}

static void
execute(struct log_machine *m, const struct decree_command *c)
{
	const struct preamble preamble = {
		.previous_lo = htole64(m->digest.lo),
		.previous_hi = htole64(m->digest.hi),
		.slot = htole64(c->slot.n),
		.index = htole64(c->index),
		.session = htole64(c->session.n),
		.seq = htole64(c->seq),
	};
	XXH128_hash_t h =
		c->bytes <= SMALL_BODY_BYTES ? hash_small(&preamble, c) : hash_large(&preamble, c);

	m->digest = (struct decree_digest){ .lo = h.low64, .hi = h.high64 };
	m->count++;
}

static void
log_machine_apply(void *machine, const struct decree_command *commands, uint32_t count,
	uint64_t cluster_ns, struct decree_sink *sink)
{
	struct log_machine *m = machine;
	struct decree_answer answers[ANSWER_BURST];

	(void)cluster_ns; /* a log has no deadlines */
	for (uint32_t first = 0, n; first < count; first += n) {
		for (n = 0; n < ANSWER_BURST && first + n < count; n++) {
			execute(m, &commands[first + n]);
			answers[n] = (struct decree_answer){ .result = m->count };
		}
		decree_sink_answer_burst(sink, &commands[first], answers, n);
	}
}

static struct decree_digest
log_machine_digest(void *machine)
{
	return ((struct log_machine *)machine)->digest;
}

static bool
is_word(const void *query, uint32_t bytes, const char *word)
{
	return bytes == strlen(word) && memcmp(query, word, bytes) == 0;
}

/* "count" and "digest", answered as text. */
static int32_t
log_machine_read(
	void *machine, const void *query, uint32_t bytes, void *ret_answer, uint32_t capacity)
{
	const struct log_machine *m = machine;
	char text[40];
	int count;

	if (is_word(query, bytes, "count"))
		count = snprintf(text, sizeof(text), "%" PRIu64, m->count);
	else if (is_word(query, bytes, "digest"))
		count = snprintf(text, sizeof(text), "%016" PRIx64 "%016" PRIx64, m->digest.hi,
			m->digest.lo);
	else
		return -EINVAL;
	if ((uint32_t)count > capacity)
		return -EMSGSIZE;
	memcpy(ret_answer, text, (size_t)count);
	return count;
}

/* ---- snapshots: the state is so small that the cut is a copy, and the walk one chunk ---- */

static int
log_machine_snapshot_begin(void *machine)
{
	struct log_machine *m = machine;
	const uint64_t words[] = { htole64(m->count), htole64(m->digest.lo),
		htole64(m->digest.hi) };

	memcpy(m->cut, words, sizeof(m->cut));
	m->is_cut_taken = false;
	return 0;
}

static int
log_machine_snapshot_next(void *machine, struct decree_chunk *ret_chunk)
{
	struct log_machine *m = machine;

	if (m->is_cut_taken)
		return 0;
	m->is_cut_taken = true;
	*ret_chunk = (struct decree_chunk){ .bytes = m->cut, .count = sizeof(m->cut) };
	return 1;
}

static void
log_machine_snapshot_end(void *machine)
{
	((struct log_machine *)machine)->is_cut_taken = true;
}

static int
log_machine_restore_begin(void *machine)
{
	struct log_machine *m = machine;

	m->is_restored = false;
	return 0;
}

static int
log_machine_restore_next(void *machine, const struct decree_chunk *chunk)
{
	struct log_machine *m = machine;
	uint64_t words[3];

	if (m->is_restored || chunk->index != 0 || chunk->count != sizeof(words))
		return -EBADMSG;
	memcpy(words, chunk->bytes, sizeof(words));
	m->count = le64toh(words[0]);
	m->digest = (struct decree_digest){ .lo = le64toh(words[1]), .hi = le64toh(words[2]) };
	m->is_restored = true;
	return 0;
}

static int
log_machine_restore_end(void *machine)
{
	return ((struct log_machine *)machine)->is_restored ? 0 : -EBADMSG;
}

const struct decree_machine_ops log_machine_ops = {
	.struct_bytes = sizeof(log_machine_ops),
	.apply = log_machine_apply,
	.digest = log_machine_digest,
	.read = log_machine_read,
	.snapshot_begin = log_machine_snapshot_begin,
	.snapshot_next = log_machine_snapshot_next,
	.snapshot_end = log_machine_snapshot_end,
	.restore_begin = log_machine_restore_begin,
	.restore_next = log_machine_restore_next,
	.restore_end = log_machine_restore_end,
};
