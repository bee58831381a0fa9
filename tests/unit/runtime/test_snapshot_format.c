/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of a snapshot: read as they were written, in pieces of any size; anything else is
 * refused. */
#include "engine/runtime/snapshot_format.h"

#include "base/bytes.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CLUSTER   0x1122334455667788ull
#define GROUP     3
#define BYTES_MAX 20000

struct file {
	uint8_t bytes[BYTES_MAX];
	uint32_t count;
	uint64_t chunk_count;
};

static uint8_t buffer[DECREE_CHUNK_BYTES_MAX];

static struct eng_snapshot
example(void)
{
	struct eng_snapshot s = {
		.slot = { 4711 },
		.digest = { 1, 2 },
		.stamp_ns = 99,
		.config_count = 2,
	};

	for (uint32_t i = 0; i < 2; i++) {
		s.configs[i].slot.n = 1 + i * 70;
		s.configs[i].members = (struct eng_membership){ .epoch = 1 + i,
			.version = 1,
			.q1 = 1,
			.q2 = 1,
			.id_last = 1,
			.member_count = 1 };
		s.configs[i].members.members[0] =
			(struct eng_member){ .node_id = 1, .disk = 7, .role = ENG_VOTER };
	}
	return s;
}

static void
add_chunk(struct file *f, enum snapshot_chunk_kind kind, uint64_t index, const void *payload,
	uint32_t bytes)
{
	snapshot_chunk_encode(kind, index, payload, bytes, f->bytes + f->count);
	memcpy(f->bytes + f->count + SNAPSHOT_CHUNK_HEADER_BYTES, payload, bytes);
	f->count += SNAPSHOT_CHUNK_HEADER_BYTES + bytes;
	f->chunk_count += kind != SNAPSHOT_END;
}

static void
add_end(struct file *f)
{
	uint8_t end[SNAPSHOT_END_BYTES];

	snapshot_end_encode(f->chunk_count, base_digest(f->bytes, f->count), end);
	add_chunk(f, SNAPSHOT_END, 0, end, sizeof(end));
}

static struct file *
file_new(void)
{
	struct file *f = calloc(1, sizeof(*f));
	struct eng_snapshot s = example();
	uint8_t payload[3000];

	f->count = snapshot_header_encode(&s, CLUSTER, GROUP, f->bytes);
	for (uint32_t i = 0; i < sizeof(payload); i++)
		payload[i] = (uint8_t)(i * 7);
	add_chunk(f, SNAPSHOT_SESSIONS, 0, payload, 100);
	add_chunk(f, SNAPSHOT_SESSIONS, 1, payload, 0);
	add_chunk(f, SNAPSHOT_MACHINE, 0, payload, 3000);
	add_chunk(f, SNAPSHOT_MACHINE, 1, payload, 1);
	add_end(f);
	return f;
}

/* @return 1 whole, 0 more is needed, or -EBADMSG */
static int
read_all(const uint8_t *bytes, uint32_t count, uint32_t step, uint64_t cluster, uint16_t group,
	uint64_t *ret_chunks)
{
	struct snapshot_reader r;
	uint32_t taken;

	*ret_chunks = 0;
	snapshot_reader_init(&r, cluster, group, buffer);
	for (uint32_t at = 0; at < count;) {
		uint32_t part = count - at < step ? count - at : step;
		int found = snapshot_read(&r, bytes + at, part, &taken);

		if (found < 0)
			return found;
		*ret_chunks += found == SNAPSHOT_FOUND_CHUNK;
		at += taken;
	}
	return snapshot_is_whole(&r);
}

static void
test_it_is_read_in_pieces_of_any_size(void **state)
{
	struct file *f = file_new();
	uint64_t chunks;

	(void)state;
	for (uint32_t step = 1; step < 4000; step += step < 100 ? 1 : 611) {
		assert_int_equal(read_all(f->bytes, f->count, step, CLUSTER, GROUP, &chunks), 1);
		assert_int_equal(chunks, 4);
	}
	free(f);
}

static void
test_the_header_says_where_it_was_cut(void **state)
{
	struct file *f = file_new();
	struct eng_snapshot s = example();
	struct snapshot_reader r;
	uint32_t taken;

	(void)state;
	snapshot_reader_init(&r, CLUSTER, GROUP, buffer);
	assert_int_equal(snapshot_read(&r, f->bytes, f->count, &taken), SNAPSHOT_FOUND_HEADER);
	assert_int_equal(r.facts.slot.n, s.slot.n);
	assert_int_equal(r.facts.stamp_ns, s.stamp_ns);
	assert_true(digest_eq(r.facts.digest, s.digest));
	assert_int_equal(r.facts.config_count, 2);
	assert_int_equal(r.facts.configs[1].slot.n, 71);
	assert_int_equal(r.facts.configs[1].members.epoch, 2);
	free(f);
}

/* Cut short anywhere, it is not whole; and nothing may follow its end. */
static void
test_a_snapshot_cut_short_or_too_long_is_refused(void **state)
{
	struct file *f = file_new();
	uint64_t chunks;

	(void)state;
	for (uint32_t count = 0; count < f->count; count++)
		assert_int_not_equal(
			read_all(f->bytes, count, BYTES_MAX, CLUSTER, GROUP, &chunks), 1);
	f->bytes[f->count] = 0;
	assert_int_equal(
		read_all(f->bytes, f->count + 1, BYTES_MAX, CLUSTER, GROUP, &chunks), -EBADMSG);
	free(f);
}

/* Whatever bit is changed. */
static void
test_an_altered_snapshot_is_refused(void **state)
{
	struct file *f = file_new();
	uint64_t chunks;

	(void)state;
	for (uint32_t at = 0; at < f->count; at++) {
		f->bytes[at] ^= (uint8_t)(1 << at % 8);
		assert_int_not_equal(
			read_all(f->bytes, f->count, BYTES_MAX, CLUSTER, GROUP, &chunks), 1);
		f->bytes[at] ^= (uint8_t)(1 << at % 8);
	}
	free(f);
}

static void
test_another_clusters_or_groups_snapshot_is_refused(void **state)
{
	struct file *f = file_new();
	uint64_t chunks;

	(void)state;
	assert_int_equal(
		read_all(f->bytes, f->count, BYTES_MAX, CLUSTER + 1, GROUP, &chunks), -EBADMSG);
	assert_int_equal(
		read_all(f->bytes, f->count, BYTES_MAX, CLUSTER, GROUP + 1, &chunks), -EBADMSG);
	free(f);
}

/* Each chunk is sound, but one is missing, comes twice, or comes too early. */
static void
test_chunks_out_of_order_are_refused(void **state)
{
	static const struct {
		const char *name;
		enum snapshot_chunk_kind kind;
		uint64_t index;
	} rows[] = {
		{ "begins with the second", SNAPSHOT_SESSIONS, 1 },
		{ "a machine's second first", SNAPSHOT_MACHINE, 1 },
		{ "kind 0", 0, 0 },
		{ "kind 4", 4, 0 },
	};
	struct eng_snapshot s = example();
	struct file *f = calloc(1, sizeof(*f));
	uint64_t chunks;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		f->count = snapshot_header_encode(&s, CLUSTER, GROUP, f->bytes);
		f->chunk_count = 0;
		add_chunk(f, rows[i].kind, rows[i].index, "x", 1);
		add_end(f);
		assert_int_equal(
			read_all(f->bytes, f->count, BYTES_MAX, CLUSTER, GROUP, &chunks), -EBADMSG);
	}
	f->count = snapshot_header_encode(&s, CLUSTER, GROUP, f->bytes);
	f->chunk_count = 0;
	add_chunk(f, SNAPSHOT_MACHINE, 0, "x", 1);
	add_chunk(f, SNAPSHOT_SESSIONS, 0, "x", 1);
	add_end(f);
	assert_int_equal(
		read_all(f->bytes, f->count, BYTES_MAX, CLUSTER, GROUP, &chunks), -EBADMSG);
	f->count = snapshot_header_encode(&s, CLUSTER, GROUP, f->bytes);
	f->chunk_count = 0;
	add_chunk(f, SNAPSHOT_MACHINE, 0, "x", 1);
	f->chunk_count = 2; /* the end speaks of one more than there is */
	add_end(f);
	assert_int_equal(
		read_all(f->bytes, f->count, BYTES_MAX, CLUSTER, GROUP, &chunks), -EBADMSG);
	free(f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_it_is_read_in_pieces_of_any_size),
		cmocka_unit_test(test_the_header_says_where_it_was_cut),
		cmocka_unit_test(test_a_snapshot_cut_short_or_too_long_is_refused),
		cmocka_unit_test(test_an_altered_snapshot_is_refused),
		cmocka_unit_test(test_another_clusters_or_groups_snapshot_is_refused),
		cmocka_unit_test(test_chunks_out_of_order_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
