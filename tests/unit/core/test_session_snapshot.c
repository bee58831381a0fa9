/* SPDX-License-Identifier: Apache-2.0 */
/* The session table in a snapshot (protocol 7.5: "the table is in the snapshot"; E22). */
#include "engine/core/snapshot.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "tests/lib/applied.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SLOT_BYTES  200
#define WINDOW      2048 /* two pieces for a row that is full */
#define SESSIONS    8
#define IMAGE_BYTES (SESSIONS * 3 * (4 + ENG_SESSIONS_PIECE_BYTES_MAX))
#define SEED_COUNT  200

struct table {
	struct eng_sessions *s;
	void *memory;
	uint64_t slot;
	uint64_t random;
	struct decree_session sessions[SESSIONS];
	uint64_t last[SESSIONS]; /* executed */
	uint64_t answered[SESSIONS];
	uint32_t count; /* of runs */
	struct eng_applied applied[64];
};

struct image { /* pieces, each behind its length */
	uint32_t bytes;
	uint8_t data[IMAGE_BYTES];
};

static const struct eng_config config = {
	.session_count = SESSIONS,
	.session_window = WINDOW,
	.command_bytes_max = 1000,
	.slot_bytes = SLOT_BYTES,
};

static uint64_t
draw(struct table *t, uint64_t bound)
{
	uint64_t z = t->random += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return (z ^ z >> 31) % bound;
}

static void
apply_value(struct table *t, const uint8_t *value, uint32_t bytes)
{
	struct decree_command commands[64];
	uint64_t cluster_ns;

	t->count = eng_sessions_apply(t->s, (struct decree_slot){ ++t->slot }, value, bytes,
		t->applied, commands, &cluster_ns);
}

static enum eng_verdict
apply(struct table *t, struct decree_session session, uint64_t seq, const void *body,
	uint32_t bytes)
{
	uint8_t value[SLOT_BYTES];
	struct eng_command c = { session, seq, body, bytes };

	apply_value(t, value, eng_value_batch(value, sizeof(value), &c, 1));
	assert_int_equal(t->count, 1);
	return t->applied[0].verdict;
}

static enum eng_verdict
command(struct table *t, uint32_t who, uint64_t seq)
{
	uint8_t body[16];

	store_u64(body, who);
	store_u64(body + 8, seq);
	return apply(t, t->sessions[who], seq, body, sizeof(body));
}

static void
answer(struct table *t, uint32_t who, uint64_t seq)
{
	applied_answer(t->s, t->sessions[who], seq, (uint16_t)(seq % 7), seq * 1000 + who);
}

/* One step of a random history: registrations, commands, answers at once or late. */
static void
step(struct table *t)
{
	uint32_t who = (uint32_t)draw(t, SESSIONS);
	uint8_t token[DECREE_UUID_BYTES];

	if (t->sessions[who].n == 0) {
		memset(token, (int)('a' + who), sizeof(token));
		assert_int_equal(apply(t, (struct decree_session){ 0 }, 0, token, sizeof(token)),
			ENG_REGISTERED);
		t->sessions[who] = t->applied[0].session;
		return;
	}
	if (t->answered[who] < t->last[who] && draw(t, 3) == 0) {
		answer(t, who, ++t->answered[who]);
		return;
	}
	for (uint64_t n = draw(t, 20); n > 0; n--) {
		assert_int_equal(command(t, who, ++t->last[who]), ENG_EXECUTE);
		if (draw(t, 2) == 0 && t->answered[who] + 1 == t->last[who])
			answer(t, who, ++t->answered[who]);
	}
}

static struct table *
table_new(uint64_t seed, uint32_t steps)
{
	struct table *t = calloc(1, sizeof(*t));
	struct eng_membership m = {
		.epoch = 1, .version = 1, .q1 = 1, .q2 = 1, .id_last = 1, .member_count = 1
	};
	uint8_t value[SLOT_BYTES];

	m.members[0] = (struct eng_member){ .node_id = 1, .disk = 1, .role = ENG_VOTER };
	t->random = seed;
	t->memory = calloc(1, eng_sessions_bytes(&config));
	t->s = eng_sessions_init(t->memory, &config);
	apply_value(t, value, eng_value_config(value, &m));
	for (uint32_t i = 0; i < steps; i++)
		step(t);
	return t;
}

static void
table_free(struct table *t)
{
	free(t->memory);
	free(t);
}

/* The walk; between two pieces the table goes on changing, if @p disturb. */
static void
walk(struct table *t, bool disturb, struct image *ret_image)
{
	uint32_t bytes;

	ret_image->bytes = 0;
	eng_sessions_cut_begin(t->s);
	for (;;) {
		uint8_t *at = ret_image->data + ret_image->bytes;

		assert_true(ret_image->bytes + 4 + ENG_SESSIONS_PIECE_BYTES_MAX <= IMAGE_BYTES);
		bytes = eng_sessions_cut_next(t->s, at + 4);
		if (bytes == 0)
			break;
		store_u32(at, bytes);
		ret_image->bytes += 4 + bytes;
		for (uint64_t n = disturb ? draw(t, 40) : 0; n > 0; n--)
			step(t);
	}
	eng_sessions_cut_end(t->s);
}

static int
restore(struct eng_sessions *s, const struct eng_snapshot *facts, const struct image *image)
{
	int rc = 0;

	eng_sessions_restore_begin(s, facts);
	for (uint32_t at = 0; at < image->bytes && rc == 0; at += 4 + load_u32(image->data + at))
		rc = eng_sessions_restore_piece(
			s, image->data + at + 4, load_u32(image->data + at));
	return rc != 0 ? rc : eng_sessions_restore_end(s);
}

/* Whatever happens during the walk, its bytes are those of the cut. */
static void
test_a_table_that_changes_meanwhile_is_written_as_it_was(void **state)
{
	struct image *still = malloc(sizeof(*still));
	struct image *moving = malloc(sizeof(*moving));

	(void)state;
	for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
		struct table *a = table_new(seed, (uint32_t)(seed * 7 % 1500));
		struct table *b = table_new(seed, (uint32_t)(seed * 7 % 1500));

		walk(a, false, still);
		walk(b, true, moving);
		assert_int_equal(still->bytes, moving->bytes);
		assert_memory_equal(still->data, moving->data, still->bytes);
		table_free(a);
		table_free(b);
	}
	free(still);
	free(moving);
}

/* A restored table answers like the one that was cut, and goes on like it (E22). */
static void
test_a_restored_table_executes_nothing_twice(void **state)
{
	struct image *image = malloc(sizeof(*image));
	struct image *again = malloc(sizeof(*again));

	(void)state;
	for (uint64_t seed = 1; seed <= 40; seed++) {
		struct table *t = table_new(seed, (uint32_t)(seed * 31 % 1500));
		struct eng_snapshot facts;
		struct eng_sessions *cut = t->s;
		void *memory = calloc(1, eng_sessions_bytes(&config));

		walk(t, false, image);
		eng_sessions_facts(cut, &facts);
		t->s = eng_sessions_init(memory, &config);
		assert_int_equal(restore(t->s, &facts, image), 0);
		walk(t, false, again);
		assert_int_equal(image->bytes, again->bytes);
		assert_memory_equal(image->data, again->data, image->bytes);
		for (uint32_t who = 0; who < SESSIONS; who++) {
			uint64_t last = t->last[who];
			if (t->sessions[who].n == 0)
				continue;
			assert_int_equal(eng_session_last(t->s, t->sessions[who]), last);
			for (uint64_t seq = 1; seq <= last; seq++) {
				enum eng_verdict v = command(t, who, seq);
				assert_int_equal(v, last - seq >= WINDOW      ? ENG_STALE
						    : seq <= t->answered[who] ? ENG_REPLAYED
									      : ENG_PENDING);
				if (v == ENG_REPLAYED)
					assert_int_equal(t->applied[0].result, seq * 1000 + who);
			}
			assert_int_equal(command(t, who, last + 2), ENG_GAP);
			assert_int_equal(command(t, who, last + 1), ENG_EXECUTE);
		}
		free(t->memory);
		t->memory = memory;
		table_free(t);
	}
	free(image);
	free(again);
}

/* Configurations travel in the snapshot, with their slots: what governs, and what is decided and
 * will. One that came too early is void, and does not come along. */
static void
test_the_configurations_come_along(void **state)
{
	struct table *t = table_new(1, 3);
	struct eng_membership m = {
		.version = 1, .q1 = 1, .q2 = 1, .alpha = 3, .member_count = 1, .id_last = 1
	};
	struct eng_snapshot facts;
	uint8_t value[SLOT_BYTES];

	(void)state;
	m.members[0] = (struct eng_member){ .node_id = 1, .disk = 1, .role = ENG_VOTER };
	m.epoch = 2;
	apply_value(t, value, eng_value_config(value, &m));
	uint64_t second = t->slot;
	m.epoch = 3;
	apply_value(t, value, eng_value_config(value, &m)); /* void: epoch 2 does not govern yet */
	eng_sessions_facts(t->s, &facts);
	assert_int_equal(facts.slot.n, t->slot);
	assert_int_equal(facts.config_count, 2);
	assert_int_equal(facts.configs[0].members.epoch, 1);
	assert_int_equal(facts.configs[1].members.epoch, 2);
	assert_int_equal(facts.configs[1].slot.n, second);
	apply_value(t, value, eng_value_begin(value, ENG_VALUE_NOOP));
	eng_sessions_facts(t->s, &facts);
	assert_int_equal(facts.config_count, 1); /* slot second + alpha is next */
	assert_int_equal(facts.configs[0].members.epoch, 2);
	assert_int_equal(facts.configs[0].slot.n, second);
	apply_value(t, value, eng_value_config(value, &m));
	eng_sessions_facts(t->s, &facts);
	assert_int_equal(facts.config_count, 2);
	assert_int_equal(facts.configs[1].members.epoch, 3);
	table_free(t);
}

/* A piece that was cut short, repeated, left out or altered where that matters is refused. */
static void
test_damaged_tables_are_refused(void **state)
{
	struct table *t = table_new(9, 1200);
	struct image *image = malloc(sizeof(*image));
	struct image *bad = malloc(sizeof(*bad));
	struct eng_snapshot facts;
	uint32_t first;

	(void)state;
	walk(t, false, image);
	eng_sessions_facts(t->s, &facts);
	assert_int_equal(restore(t->s, &facts, image), 0);
	first = 4 + load_u32(image->data);

	*bad = *image; /* the first piece is missing */
	memmove(bad->data, bad->data + first, bad->bytes - first);
	bad->bytes -= first;
	assert_int_not_equal(restore(t->s, &facts, bad), 0);

	*bad = *image; /* the first piece twice */
	bad->bytes = 2 * first;
	memcpy(bad->data + first, image->data, first);
	assert_int_not_equal(restore(t->s, &facts, bad), 0);

	for (uint32_t at = 4; at < 4 + ENG_SESSIONS_PIECE_HEADER_BYTES; at++) {
		if (at >= 4 + 8 && at < 4 + 16)
			continue; /* another session's number: no two may be the same, that is all */
		if (at >= 4 + 24 && at < 4 + 40)
			continue; /* its token */
		*bad = *image;
		bad->data[at] ^= 0x40;
		assert_int_not_equal(restore(t->s, &facts, bad), 0);
	}
	*bad = *image; /* a reply that is neither pending nor done */
	bad->data[4 + ENG_SESSIONS_PIECE_HEADER_BYTES + 14] = 3;
	assert_int_not_equal(restore(t->s, &facts, bad), 0);
	for (uint32_t bytes = 0; bytes < 100; bytes++) {
		eng_sessions_restore_begin(t->s, &facts);
		assert_int_not_equal(eng_sessions_restore_piece(t->s, image->data + 4, bytes), 0);
	}
	free(image);
	free(bad);
	table_free(t);
}

/* A table with one row, whose piece is then altered field by field. */
static uint32_t
small_piece(uint8_t *piece, struct eng_snapshot *ret_facts)
{
	struct table *t = table_new(9, 0);
	struct image *image = malloc(sizeof(*image));
	uint8_t token[DECREE_UUID_BYTES] = "a session's name";

	assert_int_equal(
		apply(t, (struct decree_session){ 0 }, 0, token, sizeof(token)), ENG_REGISTERED);
	t->sessions[0] = t->applied[0].session;
	for (uint64_t seq = 1; seq <= 3; seq++)
		assert_int_equal(command(t, 0, seq), ENG_EXECUTE);
	walk(t, false, image);
	eng_sessions_facts(t->s, ret_facts);
	uint32_t bytes = load_u32(image->data);
	assert_int_equal(image->bytes, 4 + bytes);
	memcpy(piece, image->data + 4, bytes);
	free(image);
	table_free(t);
	return bytes;
}

/* No number of a session twice, none without a number, none used in the future, and no more than
 * the table has. */
static void
test_rows_that_no_table_has_are_refused(void **state)
{
	static const struct {
		uint32_t offset;
		uint64_t value;
	} rows[] = {
		{ 8, 0 },                    /* no session */
		{ 16, UINT64_MAX - WINDOW }, /* its next number would overflow */
		{ 48, 1000 },                /* used later than the slot of the cut */
		{ 40, 2 },                   /* replies that begin too late */
		{ 72 + 8, 0xff01ull << 48 }, /* a zero that is not */
	};
	uint8_t piece[ENG_SESSIONS_PIECE_BYTES_MAX];
	uint8_t bad[ENG_SESSIONS_PIECE_BYTES_MAX];
	struct eng_snapshot facts;
	uint32_t bytes = small_piece(piece, &facts);
	struct table *t = table_new(1, 0);

	(void)state;
	for (uint32_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		memcpy(bad, piece, bytes);
		store_u64(bad + rows[i].offset, rows[i].value);
		eng_sessions_restore_begin(t->s, &facts);
		assert_int_not_equal(eng_sessions_restore_piece(t->s, bad, bytes), 0);
	}
	/* One row more than fits; each of another session. */
	eng_sessions_restore_begin(t->s, &facts);
	for (uint32_t row = 0; row <= SESSIONS; row++) {
		memcpy(bad, piece, bytes);
		store_u32(bad, row);
		store_u64(bad + 8, (1ull + row) << 16);
		assert_int_equal(eng_sessions_restore_piece(t->s, bad, bytes) == 0, row < SESSIONS);
	}
	/* The same session in two rows. */
	eng_sessions_restore_begin(t->s, &facts);
	assert_int_equal(eng_sessions_restore_piece(t->s, piece, bytes), 0);
	store_u32(piece, 1);
	assert_int_not_equal(eng_sessions_restore_piece(t->s, piece, bytes), 0);
	table_free(t);
}

/* A row's second piece speaks of the same session in every respect, and brings something. */
static void
test_a_row_that_changes_between_its_pieces_is_refused(void **state)
{
	static const uint32_t offsets[] = { 8, 16, 24, 48, 56, 64, 66, 68 };
	uint8_t piece[ENG_SESSIONS_PIECE_BYTES_MAX];
	uint8_t part[ENG_SESSIONS_PIECE_BYTES_MAX];
	struct eng_snapshot facts;
	uint32_t bytes = small_piece(piece, &facts);
	struct table *t = table_new(1, 0);

	(void)state;
	assert_int_equal(load_u32(piece + 4), 3);
	for (uint32_t i = 0; i <= sizeof(offsets) / sizeof(*offsets); i++) {
		memcpy(part, piece, bytes); /* one reply of three */
		store_u32(part + 4, 1);
		eng_sessions_restore_begin(t->s, &facts);
		assert_int_equal(eng_sessions_restore_piece(t->s, part, bytes - 32), 0);
		assert_int_not_equal(eng_sessions_restore_end(t->s), 0); /* two are missing */
		store_u64(part + 40, 2);
		store_u32(part + 4, 2);
		if (i < sizeof(offsets) / sizeof(*offsets))
			part[offsets[i]] ^= 1;
		assert_int_equal(eng_sessions_restore_piece(t->s, part, bytes - 16) == 0,
			i == sizeof(offsets) / sizeof(*offsets));
	}
	assert_int_equal(eng_sessions_restore_end(t->s), 0);
	/* Another row goes on, or more replies come than the row has. */
	for (uint32_t i = 0; i < 2; i++) {
		eng_sessions_restore_begin(t->s, &facts);
		memcpy(part, piece, bytes);
		store_u32(part + 4, 1);
		assert_int_equal(eng_sessions_restore_piece(t->s, part, bytes - 32), 0);
		store_u64(part + 40, 2);
		store_u32(part, i == 0 ? 1 : 0);
		store_u32(part + 4, i == 0 ? 2 : 3);
		assert_int_not_equal(
			eng_sessions_restore_piece(t->s, part, i == 0 ? bytes - 16 : bytes), 0);
	}
	/* A piece of nothing is none. */
	eng_sessions_restore_begin(t->s, &facts);
	memcpy(part, piece, bytes);
	store_u32(part + 4, 1);
	assert_int_equal(eng_sessions_restore_piece(t->s, part, bytes - 32), 0);
	store_u64(part + 40, 2);
	store_u32(part + 4, 0);
	assert_int_not_equal(eng_sessions_restore_piece(t->s, part, bytes - 48), 0);
	table_free(t);
}

/* A cluster in which nobody has registered yet. */
static void
test_an_empty_table_comes_back_empty(void **state)
{
	struct table *t = table_new(1, 0);
	struct image *image = malloc(sizeof(*image));
	struct eng_snapshot facts;

	(void)state;
	walk(t, false, image);
	assert_int_equal(image->bytes, 0);
	eng_sessions_facts(t->s, &facts);
	assert_int_equal(restore(t->s, &facts, image), 0);
	assert_int_equal(eng_session_count(t->s), 0);
	free(image);
	table_free(t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_table_that_changes_meanwhile_is_written_as_it_was),
		cmocka_unit_test(test_a_restored_table_executes_nothing_twice),
		cmocka_unit_test(test_the_configurations_come_along),
		cmocka_unit_test(test_damaged_tables_are_refused),
		cmocka_unit_test(test_rows_that_no_table_has_are_refused),
		cmocka_unit_test(test_a_row_that_changes_between_its_pieces_is_refused),
		cmocka_unit_test(test_an_empty_table_comes_back_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
