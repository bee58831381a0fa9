/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A log that rots while its node runs (protocol 11.8): the shard has what is lost written again,
 * and a later fault, on this node or on the others, finds every copy whole.
 */
#include "world.h"

#include "engine/runtime/shard_private.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COMMAND_COUNT 100

static const uint8_t token[DECREE_UUID_BYTES] = "a proposer here";
static uint32_t line_count;
static struct world_mailbox *mail;

static void
count_line(void *context, enum note note, int32_t group, const char *line)
{
	(void)context;
	(void)group;
	line_count += note == NOTE_LOG_DAMAGED && strstr(line, "cannot be read any more") != NULL;
}

static void
tune(struct world_node *n)
{
	n->config.on_note = count_line;
}

static void
propose(struct world *w, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		world_propose(mail, 64);
		world_run(w, 1000000);
	}
	world_run(w, 50000000); /* everybody has heard what is decided */
}

static int
setup(void **state)
{
	struct world *w;

	world_tune = tune;
	w = world_new(3);
	world_tune = NULL;
	mail = world_mailbox_new();
	line_count = 0;
	assert_int_equal(
		shard_gateway_open(world_elect(w)->shard, 0, token, &world_mailbox_ops, mail), 0);
	propose(w, COMMAND_COUNT);
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	world_mailbox_free(mail);
	world_free(*state);
	return 0;
}

static struct eng_status
status_of(const struct world_node *n)
{
	struct eng_status status;

	eng_status(shard_replica(n->shard, 0), &status);
	return status;
}

static uint64_t
slot_at(const struct world_node *n, uint64_t lsn)
{
	return tag_slot(n->log.records[lsn - 1].tag).n;
}

static void
rot(struct world *w, struct world_node *n, uint64_t first, uint64_t after, bool is_nameless)
{
	n->log.rotten_first = first;
	n->log.rotten_after = after;
	n->log.is_rot_nameless = is_nameless;
	while (n->log.rotten_first != 0)
		world_turn(w);
	world_run(w, 30000000);
}

/* The next recovery passes over the damage, finds the new record, and needs nobody. */
static void
test_a_rotten_record_is_written_again(void **state)
{
	struct world *w = *state;
	struct world_node *n = world_follower(w);
	uint64_t before = n->log.durable, lsn = before / 2;

	rot(w, n, lsn, lsn + 1, false);
	assert_int_equal(n->log.durable, before + 1);
	assert_int_equal(slot_at(n, before + 1), slot_at(n, lsn));
	assert_int_equal(status_of(n).damaged, 0);
	assert_int_equal(status_of(n).counters.rewritten, 1);
	assert_int_equal(line_count, 1);

	for (uint32_t i = 0; i < 3; i++)
		w->nodes[i].is_down = &w->nodes[i] != n;
	n->log.damaged_lsn = lsn;
	world_restart(w, n);
	world_run(w, 30000000);
	assert_int_equal(n->machine.count, COMMAND_COUNT);
	assert_int_equal(status_of(n).damaged, 0);
	assert_false(status_of(n).doubt);
}

/* It counts as damaged until that. */
static void
test_it_is_damaged_until_the_new_record_is_durable(void **state)
{
	struct world *w = *state;
	struct world_node *n = world_follower(w);

	n->log.hold_records = true;
	rot(w, n, n->log.durable / 2, n->log.durable / 2 + 1, false);
	assert_int_equal(status_of(n).damaged, 1);
	n->log.hold_records = false;
	world_run(w, 30000000);
	assert_int_equal(status_of(n).damaged, 0);
}

/* The log finds the same damage in every round; the record has long been replaced. */
static void
test_a_record_that_was_replaced_is_not_written_again(void **state)
{
	struct world *w = *state;
	struct world_node *n = world_follower(w);
	uint64_t lsn = n->log.durable / 2, after;

	rot(w, n, lsn, lsn + 1, false);
	after = n->log.durable;
	rot(w, n, lsn, lsn + 1, false);
	rot(w, n, lsn, lsn + 1, false);
	assert_int_equal(n->log.durable, after);
	assert_int_equal(line_count, 1);
	rot(w, n, after, after + 1, false); /* the new one rots, too */
	assert_int_equal(n->log.durable, after + 1);
}

static void
test_a_leader_mends_its_own_log(void **state)
{
	struct world *w = *state;
	struct world_node *n = world_elect(w);

	rot(w, n, n->log.durable / 2, n->log.durable / 2 + 5, false);
	assert_int_equal(status_of(n).counters.rewritten, 5);
	assert_int_equal(status_of(n).role, DECREE_LEADER);
	propose(w, 10);
	assert_int_equal(mail->completed, COMMAND_COUNT + 10);
}

/* Nothing on the disk says what was there, but the index does. */
static void
test_a_nameless_hole_is_filled_from_the_index(void **state)
{
	struct world *w = *state;
	struct world_node *n = world_follower(w);
	uint64_t before = n->log.durable, first = before / 2;

	rot(w, n, first, first + 10, true);
	assert_int_equal(n->log.durable, before + 10);
	for (uint64_t i = 0; i < 10; i++)
		assert_int_equal(slot_at(n, before + 1 + i), slot_at(n, first + i));
	assert_int_equal(status_of(n).damaged, 0);
	rot(w, n, first, first + 10, true);
	assert_int_equal(n->log.durable, before + 10);
}

/* The log begins to read itself with the first turn, and the groups begin when the boot count is
 * durable. */
static void
test_damage_found_before_the_groups_run_is_told_again(void **state)
{
	struct world *w = *state;
	struct world_node *n = world_follower(w);
	uint64_t lsn = n->log.durable / 2;

	world_restart(w, n);
	n->log.hold_meta = true;
	rot(w, n, lsn, lsn + 1, false);
	assert_false(shard_has_started(n->shard));
	n->log.hold_meta = false;
	world_run(w, 30000000);
	rot(w, n, lsn, lsn + 1, false);
	assert_int_equal(status_of(n).counters.rewritten, 1);
}

/* A whole segment may be gone. */
static void
test_the_operator_hears_a_few_lines(void **state)
{
	struct world *w = *state;
	struct world_node *n = world_follower(w);

	rot(w, n, 3, n->log.durable, false);
	assert_int_equal(status_of(n).damaged, 0);
	assert_true(status_of(n).counters.rewritten > 50);
	assert_in_range(line_count, 1, 8);
}

/* What memory does not have any more is fetched; and a snapshot is wanted, since the next recovery
 * could not keep all that lies between the damage and the new record. */
static void
test_an_old_record_is_fetched_and_a_snapshot_wanted(void **state)
{
	struct world *w = *state;
	struct world_node *n = world_follower(w);
	const struct shard_group *g = shard_find_group(n->shard, 0);
	uint64_t lsn = 20, before;

	while (g->applied.n < 2 * g->config.ring_slots)
		propose(w, 100);
	assert_int_equal(g->snap.lost.n, 0);
	before = n->log.durable;
	rot(w, n, lsn, lsn + 1, false);
	assert_int_equal(n->log.durable, before + 1);
	assert_int_equal(slot_at(n, before + 1), slot_at(n, lsn));
	assert_int_equal(status_of(n).damaged, 0);
	assert_int_equal(g->snap.lost.n, slot_at(n, lsn));
	rot(w, n, n->log.durable - 5, n->log.durable - 4, false);
	assert_int_equal(g->snap.lost.n, slot_at(n, lsn)); /* a recent one needs none */
}

int
main(void)
{
#define ROT(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		ROT(test_a_rotten_record_is_written_again),
		ROT(test_it_is_damaged_until_the_new_record_is_durable),
		ROT(test_a_record_that_was_replaced_is_not_written_again),
		ROT(test_a_leader_mends_its_own_log),
		ROT(test_a_nameless_hole_is_filled_from_the_index),
		ROT(test_damage_found_before_the_groups_run_is_told_again),
		ROT(test_the_operator_hears_a_few_lines),
		ROT(test_an_old_record_is_fetched_and_a_snapshot_wanted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
