/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node that has lost a record, and does not know of which slot (protocol 11.3). Only the hole in
 * its log says so, until its hard state does too; and a snapshot lets the hole go. At any moment a
 * power cut may come: the next start must find the hole, or the doubt, or what ended the doubt.
 */
#include "lagging.h"

#include "engine/runtime/shard_private.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MS 1000000ull

static const uint8_t tokens[][DECREE_UUID_BYTES] = { "the first one", "the second one",
	"the third one", "the fourth one" };
static struct world *w;
static struct world_node *n; /* has lost the first slot behind its snapshot */

static struct shard_group *
group_of(const struct world_node *of)
{
	return shard_find_group(of->shard, 0);
}

static struct eng_status
status_of(const struct world_node *of)
{
	struct eng_status status;

	eng_status(group_of(of)->replica, &status);
	return status;
}

/* @return its lsn */
static uint64_t
record_of(const struct world_node *of, uint64_t slot)
{
	for (uint64_t lsn = of->log.durable; lsn > 0; lsn--)
		if (tag_slot(of->log.records[lsn - 1].tag).n == slot)
			return lsn;
	fail_msg("no record of slot %lu", slot);
	return 0;
}

/* The log begins with the slot of the snapshot, and the record behind that one cannot be read. */
static void
start_with_a_hole(void)
{
	uint64_t kept = group_of(n)->snap.kept.slot.n;

	n->log.trimmed_lsn = record_of(n, kept);
	n->log.damaged_lsn = record_of(n, kept + 1);
	n->log.is_damage_unknown = true;
	assert_true(n->log.damaged_lsn > n->log.trimmed_lsn);
	world_restart(w, n);
}

/* Too few commands for another snapshot. */
static void
work_a_little(struct world_node *leader)
{
	struct world_mailbox *mail = world_mailbox_new();

	assert_true(shard_gateway_open(leader->shard, 0, tokens[1], &world_mailbox_ops, mail) >= 0);
	for (uint32_t i = 0; i < 20; i++) {
		world_propose(mail, 8);
		world_run(w, MS);
	}
	world_run(w, 50 * MS);
	shard_gateway_close(leader->shard, 0);
	world_mailbox_free(mail);
}

static int
setup(void **state)
{
	struct world_node *leader;

	(void)state;
	w = world_of_three();
	leader = world_elect(w);
	n = lagging = world_follower(w);
	work(w, leader, tokens[0]);
	work_a_little(leader);
	assert_true(group_of(n)->snap.kept.slot.n > 0);
	assert_true(status_of(n).last.n > group_of(n)->snap.kept.slot.n + 1);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	world_end(w);
	return 0;
}

static bool
has_hole(void)
{
	return n->log.trimmed_lsn <= n->log.damaged_lsn;
}

/* The hole is in what the snapshot lets go of. The hard state has to say first that there was one. */
static void
test_a_hole_stays_in_the_log_until_the_doubt_is_durable(void **state)
{
	(void)state;
	start_with_a_hole();
	while (!shard_has_started(n->shard))
		world_turn(w);
	n->log.hold_meta = true;
	world_run(w, 100 * MS);
	assert_true(status_of(n).doubt);
	assert_true(has_hole());

	snap_fake_crash(stores[n->node_id]);
	world_restart(w, n);
	assert_true(status_of(n).doubt);
	world_run(w, 100 * MS);
	assert_false(has_hole()); /* and then it may go */

	snap_fake_crash(stores[n->node_id]);
	world_restart(w, n);
	assert_true(status_of(n).doubt);
}

/* What was lost has been learned again, and lies in a cache of the disk yet. */
static void
test_doubt_ends_on_the_disk_when_what_ended_it_is_there(void **state)
{
	(void)state;
	start_with_a_hole();
	world_run(w, 100 * MS);
	assert_false(has_hole());
	snap_fake_crash(stores[n->node_id]);
	world_restart(w, n);
	for (uint32_t i = 0; i < w->node_count; i++)
		w->nodes[i].log.is_crowded = false; /* nobody needs a snapshot to catch up */
	world_run(w, 100 * MS);                     /* the others tell how far they have come */
	isolate(w);
	work(w, world_elect(w), tokens[2]);
	n->log.hold_records = true;
	heal(w);
	for (uint32_t i = 0; i < 2000 && status_of(n).doubt; i++)
		world_run(w, MS);
	world_run(w, 100 * MS);

	snap_fake_crash(stores[n->node_id]);
	world_restart(w, n);
	assert_true(status_of(n).doubt);
	work(w, world_elect(w), tokens[3]);
	assert_caught_up(w);
	assert_false(status_of(n).doubt);
	snap_fake_crash(stores[n->node_id]);
	world_restart(w, n);
	assert_false(status_of(n).doubt);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_a_hole_stays_in_the_log_until_the_doubt_is_durable, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_doubt_ends_on_the_disk_when_what_ended_it_is_there, setup, teardown),
	};

	return cmocka_run_group_tests_name("runtime doubt", tests, NULL, NULL);
}
