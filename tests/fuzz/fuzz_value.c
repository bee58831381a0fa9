/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values of slots, from a frame or the log. What the decoder lets through is walked within its
 * bytes, written again without a loss, and survived by the table of sessions, twice.
 */
#include "base/digest.h"
#include "engine/core/session.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count);

#define VALUE_BYTES_MAX 9000    /* a slot of the largest frame */
#define AGAIN_BYTES_MAX 2000000 /* a run for each of 65,535 commands */
#define BATCH_COUNT_MAX UINT16_MAX

static const struct eng_config config = {
	.session_count = 3,
	.session_window = 16,
	.session_idle_slots = 1,
	.command_bytes_max = 1000,
	.slot_bytes = 1400,
};

static struct eng_value
decode(const uint8_t *bytes, uint32_t count)
{
	struct eng_value v, reopened;
	int rc = eng_value_decode(bytes, count, &v);

	decree_assert(rc == 0);
	eng_value_reopen(bytes, count, &reopened);
	decree_assert(reopened.kind == v.kind && reopened.count == v.count);
	decree_assert(reopened.stamp_ns == v.stamp_ns && v.stamp_ns == eng_value_stamp(bytes));
	return v;
}

/* ---- a batch: its runs are its commands, one by one ---- */

static struct eng_command commands[BATCH_COUNT_MAX];

static void
walk_batch(const uint8_t *bytes, uint32_t count)
{
	struct eng_value by_runs = decode(bytes, count), v = by_runs;
	uint32_t number = 0;
	struct eng_run run;

	while (eng_value_next_run(&by_runs, &run)) {
		decree_assert(run.count > 0);
		while (run.count > 0) {
			struct eng_command c = eng_run_first(&run), *same = &commands[number];

			decree_assert(c.body + c.bytes <= bytes + count);
			eng_run_pass(&run, &c);
			decree_assert(number < v.count);
			bool is_there = eng_value_next(&v, same);
			decree_assert(is_there && same->body == c.body && same->bytes == c.bytes);
			decree_assert(same->session.n == c.session.n && same->seq == c.seq);
			number++;
		}
	}
	decree_assert(number == v.count);
	decree_assert(!eng_value_next(&v, &commands[0]));
}

/* A batch that came in more runs than it needs gets shorter; its commands stay what they are. */
static void
write_batch_again(uint32_t count)
{
	static uint8_t again[AGAIN_BYTES_MAX];
	uint32_t bytes = eng_value_batch(again, AGAIN_BYTES_MAX, commands, count);
	struct eng_command c;

	decree_assert(bytes > 0);
	struct eng_value v = decode(again, bytes);
	decree_assert(v.count == count);
	for (uint32_t i = 0; eng_value_next(&v, &c); i++) {
		decree_assert(c.session.n == commands[i].session.n && c.seq == commands[i].seq);
		decree_assert(c.bytes == commands[i].bytes);
		decree_assert(c.bytes == 0 || memcmp(c.body, commands[i].body, c.bytes) == 0);
	}
}

/* ---- all others: only one way to write them ---- */

static void
write_again(const uint8_t *bytes, uint32_t count, const struct eng_value *v)
{
	static uint8_t again[VALUE_BYTES_MAX + ENG_CONFIG_BYTES_MAX];
	uint32_t again_count = 0;

	switch (v->kind) {
	case ENG_VALUE_NOOP: again_count = eng_value_begin(again, ENG_VALUE_NOOP); break;
	case ENG_VALUE_FRAGMENT: again_count = eng_value_fragment(again, &v->fragment); break;
	case ENG_VALUE_CONFIG: again_count = eng_value_config(again, &v->membership); break;
	case ENG_VALUE_MARK: again_count = eng_value_mark(again, &v->mark); break;
	case ENG_VALUE_BATCH: return;
	}
	eng_value_set_stamp(again, v->stamp_ns);
	decree_assert(again_count == count && memcmp(again, bytes, count) == 0);
}

/* ---- the table ---- */

static void
apply(struct eng_sessions *s, uint64_t slot, const uint8_t *bytes, uint32_t count)
{
	static struct eng_applied runs[VALUE_BYTES_MAX];
	static struct decree_command executed[VALUE_BYTES_MAX];
	uint64_t cluster_ns;
	uint32_t run_count = eng_sessions_apply(
		s, (struct decree_slot){ slot }, bytes, count, runs, executed, &cluster_ns);

	decree_assert(run_count <= eng_commands_per_slot_max(&config));
	decree_assert(digest_eq(eng_sessions_digest(s), eng_sessions_digest_anew(s)));
}

/* A session is there already, and has its first command behind it. */
static void
apply_twice(const uint8_t *bytes, uint32_t count)
{
	static const uint8_t token[DECREE_UUID_BYTES] = "somebody's token";
	const struct eng_command first[2] = { { .body = token, .bytes = sizeof(token) },
		{ { 1 << 16 }, 1, token, 1 } };
	void *memory = calloc(1, eng_sessions_bytes(&config));
	struct eng_sessions *s = eng_sessions_init(memory, &config);
	uint8_t value[200];

	apply(s, 1, value, eng_value_batch(value, sizeof(value), first, 2));
	apply(s, 2, bytes, count);
	apply(s, 3, bytes, count);
	free(memory);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t count)
{
	struct eng_value v;

	if (count > VALUE_BYTES_MAX || eng_value_decode(data, (uint32_t)count, &v) != 0)
		return 0;
	v = decode(data, (uint32_t)count);
	write_again(data, (uint32_t)count, &v);
	if (v.kind == ENG_VALUE_BATCH) {
		walk_batch(data, (uint32_t)count);
		write_batch_again(v.count);
	}
	if (count <= config.slot_bytes && v.count <= eng_commands_per_slot_max(&config))
		apply_twice(data, (uint32_t)count);
	return 0;
}
