/* SPDX-License-Identifier: Apache-2.0 */
/* Commands that are submitted together are admitted and packed as if they had been submitted one by
 * one (protocol 6, 7.5). */
#include "base/digest.h"
#include "tests/lib/cluster.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define SESSIONS  3
#define BURST     24
#define BYTES_MAX 60

struct side {
	struct cluster *c;
	struct decree_session sessions[SESSIONS];
};

static void
on_command(struct cluster *c, uint16_t node, struct decree_slot slot, const struct eng_applied *a)
{
	struct side *side = c->context;

	(void)slot;
	if (node == 1 && a->verdict == ENG_REGISTERED)
		side->sessions[a->body[0] - 'a'] = a->session;
}

static void
open_side(struct side *side)
{
	side->c = cluster_create(3, 0, 0, 1);
	side->c->context = side;
	side->c->on_command = on_command;
	assert_true(cluster_elect(side->c, 1));
	for (int i = 0; i < SESSIONS; i++) {
		uint8_t token[DECREE_UUID_BYTES];

		memset(token, 'a' + i, sizeof(token));
		assert_int_equal(cluster_submit(side->c, 1, (struct decree_session){ 0 }, 0, token,
					 sizeof(token)),
			ENG_SUBMIT_OK);
		cluster_settle(side->c);
		assert_int_not_equal(side->sessions[i].n, 0);
	}
}

static void
submit(struct cluster *c, const struct eng_command *commands, uint32_t count,
	enum eng_submit_status *ret_statuses)
{
	cluster_step(c, 1,
		&(struct eng_event){ .type = ENG_EV_SUBMIT,
			.now_ns = c->now_ns,
			.submit = { commands, count, ret_statuses } });
}

/* What follows without a gap in its session is a run, and given as one; behind the one that was not
 * taken it goes on. */
static void
submit_runs(struct cluster *c, const struct eng_command *commands, uint32_t count,
	enum eng_submit_status *ret_statuses)
{
	struct eng_body bodies[BURST];

	for (uint32_t i = 0, taken, run; i < count; i += taken + (taken < run)) {
		enum eng_submit_status status;

		for (run = 0;
			i + run < count && commands[i + run].session.n == commands[i].session.n &&
			commands[i + run].seq == commands[i].seq + run;
			run++)
			bodies[run] = (struct eng_body){ commands[i + run].body,
				commands[i + run].bytes };
		cluster_step(c, 1,
			&(struct eng_event){ .type = ENG_EV_SUBMIT_RUN,
				.now_ns = c->now_ns,
				.submit_run = { commands[i].session, commands[i].seq, bodies, run,
					&taken, &status } });
		for (uint32_t k = 0; k < taken; k++) /* or DUPLICATE, which is not told apart */
			ret_statuses[i + k] = ENG_SUBMIT_OK;
		if (taken < run)
			ret_statuses[i + taken] = status;
	}
}

/* Bodies of one size or of many, some of them behind each other. The next ones of a session mostly;
 * repeats, gaps, strangers, and such as are too large. */
static void
draw(const struct side *side, uint64_t *random, uint64_t last[SESSIONS],
	struct eng_command ret_commands[BURST])
{
	static uint8_t bodies[BURST * BYTES_MAX];
	uint32_t at = 0;

	for (uint32_t i = 0; i < BURST; i++) {
		*random = *random * 6364136223846793005ull + 1442695040888963407ull;
		uint32_t who = (*random >> 61) == 0 ? *random >> 50 & 1 : 2;
		uint32_t kind = *random >> 40 & 31;
		uint32_t bytes =
			(*random >> 45 & 3) == 0 ? (uint32_t)(*random >> 30) % BYTES_MAX : 8;
		uint64_t seq = last[who] + 1;

		if (kind == 0)
			seq++;
		else if (kind == 1)
			seq--;
		else if (kind != 3)
			last[who]++;
		ret_commands[i] = (struct eng_command){
			.session = kind == 2 ? (struct decree_session){ 99ull << 32 }
					     : side->sessions[who],
			.seq = seq,
			.body = memset(bodies + at, (int)(*random >> 20), bytes),
			.bytes = kind == 3 ? UINT32_MAX : bytes,
		};
		if (kind != 4) /* else the next one has the same body */
			at += bytes;
		if (kind == 2)
			last[who]--;
	}
}

static void
test_a_burst_is_taken_as_its_commands_would_be(void **state)
{
	struct side together, alone, by_runs;
	uint64_t last[SESSIONS] = { 0 };
	uint64_t random = 3;
	uint32_t counts[ENG_SUBMIT_EVICTED + 1] = { 0 };

	(void)state;
	open_side(&together);
	open_side(&alone);
	open_side(&by_runs);
	for (uint32_t round = 0; round < 500; round++) {
		struct eng_command commands[BURST];
		enum eng_submit_status statuses[BURST], of_runs[BURST], status;

		draw(&together, &random, last, commands);
		submit(together.c, commands, BURST, statuses);
		submit_runs(by_runs.c, commands, BURST, of_runs);
		for (uint32_t i = 0; i < BURST; i++) {
			submit(alone.c, &commands[i], 1, &status);
			assert_int_equal(statuses[i], status);
			counts[status]++;
			if (status == ENG_SUBMIT_DUPLICATE)
				status = ENG_SUBMIT_OK;
			assert_int_equal(of_runs[i], status);
		}
		cluster_flush(together.c, 1);
		cluster_flush(alone.c, 1);
		cluster_flush(by_runs.c, 1);
		cluster_settle(together.c);
		cluster_settle(alone.c);
		cluster_settle(by_runs.c);
		/* the same slots with the same bytes */
		assert_int_equal(together.c->nodes[1].applied.n, alone.c->nodes[1].applied.n);
		assert_true(digest_eq(
			together.c->nodes[1].applied_digest, alone.c->nodes[1].applied_digest));
		assert_int_equal(together.c->nodes[1].applied.n, by_runs.c->nodes[1].applied.n);
		assert_true(digest_eq(
			together.c->nodes[1].applied_digest, by_runs.c->nodes[1].applied_digest));
	}
	assert_true(counts[ENG_SUBMIT_OK] > 0 && counts[ENG_SUBMIT_DUPLICATE] > 0);
	assert_true(counts[ENG_SUBMIT_GAP] > 0 && counts[ENG_SUBMIT_TOO_LARGE] > 0);
	assert_true(counts[ENG_SUBMIT_NO_SESSION] > 0);
	cluster_destroy(together.c);
	cluster_destroy(alone.c);
	cluster_destroy(by_runs.c);
}

/* It is numbered by its slot. With the highest number of all its batch would be taken for damaged,
 * after it was proposed. */
static void
test_a_registration_has_no_number(void **state)
{
	static const uint64_t numbers[] = { 1, UINT64_MAX };
	static const uint8_t token[DECREE_UUID_BYTES] = "z";
	struct side side;

	(void)state;
	open_side(&side);
	for (uint32_t i = 0; i < 2; i++)
		assert_int_equal(cluster_submit(side.c, 1, (struct decree_session){ 0 }, numbers[i],
					 token, sizeof(token)),
			ENG_SUBMIT_NO_SESSION);
	cluster_destroy(side.c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_burst_is_taken_as_its_commands_would_be),
		cmocka_unit_test(test_a_registration_has_no_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
