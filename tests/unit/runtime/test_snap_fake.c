/* SPDX-License-Identifier: Apache-2.0 */
/* The store of snapshots that the simulator uses promises what the real one does, and no more. */
#include "tests/lib/snap_fake.h"

#include "base/digest.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define MS    1000000ull
#define BYTES 100000u

static const struct decree_slot slot7 = { 7 }, slot9 = { 9 };
static uint8_t data[BYTES];

static int
setup(void **state)
{
	const struct snap_fake_config cfg = {
		.seed = 1,
		.latency_ns_min = 1 * MS,
		.latency_ns_max = 3 * MS,
		.bytes_per_second = 50000000,
	};

	for (uint32_t i = 0; i < BYTES; i++)
		data[i] = (uint8_t)(i * 31 + i / 256);
	*state = snap_fake_create(&cfg);
	return 0;
}

static int
teardown(void **state)
{
	snap_fake_destroy(*state);
	return 0;
}

static void
write_all(struct snap_fake *f, uint64_t *now_ns)
{
	struct snap_completion c;
	uint32_t done = 0;

	while (done < BYTES) {
		uint32_t count = snap_fake_ops.room(f, 0);

		if (count > BYTES - done)
			count = BYTES - done;
		snap_fake_ops.write(f, 0, data + done, count);
		done += count;
		*now_ns += MS / 10;
		assert_int_equal(snap_fake_ops.reap(f, *now_ns, &c, 1), 0);
	}
}

static struct snap_completion
wait(struct snap_fake *f)
{
	struct snap_completion c;

	assert_int_equal(snap_fake_ops.reap(f, snap_fake_next_ns(f), &c, 1), 1);
	return c;
}

static void
commit(struct snap_fake *f, struct decree_slot slot)
{
	uint64_t now_ns = MS;

	snap_fake_set_now(f, now_ns);
	assert_int_equal(snap_fake_ops.begin(f, 0, slot), 0);
	write_all(f, &now_ns);
	snap_fake_ops.commit(f, 0, base_digest(data, BYTES));
}

static void
test_what_was_committed_is_read_back(void **state)
{
	struct snap_fake *f = *state;
	struct snap_completion c;

	commit(f, slot7);
	assert_int_equal(snap_fake_last(f, 0).n, 0);
	c = wait(f);
	assert_int_equal(c.kind, SNAP_COMMITTED);
	assert_int_equal(c.slot.n, 7);
	assert_int_equal(c.bytes, BYTES);
	assert_int_equal(snap_fake_ops.read(f, 0, slot7, BYTES - 10, 100, 42), 0);
	c = wait(f);
	assert_int_equal(c.rc, 0);
	assert_int_equal(c.token, 42);
	assert_int_equal(c.count, 10);
	assert_memory_equal(c.data, data + BYTES - 10, 10);
	assert_int_equal(snap_fake_ops.read(f, 0, slot7, BYTES, 1, 1), 0);
	assert_int_equal(wait(f).rc, -EINVAL);
	assert_int_equal(snap_fake_ops.read(f, 0, slot9, 0, 1, 1), 0);
	assert_int_equal(wait(f).rc, -ENOENT);
}

static void
test_a_crash_leaves_nothing_of_an_unfinished_one(void **state)
{
	struct snap_fake *f = *state;
	uint64_t now_ns = 0;

	assert_int_equal(snap_fake_ops.begin(f, 0, slot7), 0);
	assert_int_equal(snap_fake_ops.begin(f, 0, slot9), -EBUSY);
	write_all(f, &now_ns);
	snap_fake_crash(f);
	assert_int_equal(snap_fake_count(f, 0), 0);
	assert_int_equal(snap_fake_ops.room(f, 0), 0);
	assert_int_equal(snap_fake_ops.begin(f, 0, slot9), 0);
}

static void
test_an_interrupted_commit_happens_or_not(void **state)
{
	uint32_t happened = 0;

	(void)state;
	for (uint64_t seed = 0; seed < 32; seed++) {
		const struct snap_fake_config cfg = { .seed = seed, .latency_ns_max = MS };
		struct snap_fake *f = snap_fake_create(&cfg);

		commit(f, slot7);
		snap_fake_crash(f);
		assert_true(snap_fake_next_ns(f) == UINT64_MAX);
		happened += snap_fake_count(f, 0);
		snap_fake_destroy(f);
	}
	assert_in_range(happened, 1, 31);
}

static void
test_a_failed_commit_leaves_the_older_one(void **state)
{
	struct snap_fake *f = *state;
	struct snap_completion c;

	commit(f, slot7);
	(void)wait(f);
	snap_fake_fail_after(f, 0, -ENOSPC);
	assert_int_equal(snap_fake_ops.begin(f, 0, slot9), 0);
	snap_fake_ops.commit(f, 0, base_digest(NULL, 0));
	c = wait(f);
	assert_int_equal(c.kind, SNAP_FAILED);
	assert_int_equal(c.rc, -ENOSPC);
	assert_int_equal(snap_fake_last(f, 0).n, 7);
	assert_int_equal(snap_fake_ops.begin(f, 0, slot9), 0);
}

static void
test_damage_is_seen_where_it_is(void **state)
{
	struct snap_fake *f = *state;
	struct snap_info info;
	char error[DECREE_ERROR_BYTES];

	commit(f, slot7);
	(void)wait(f);
	assert_int_equal(snap_fake_ops.load(f, 0, slot7, NULL, NULL, &info, error), 0);
	assert_int_equal(info.bytes, BYTES);
	assert_true(snap_fake_corrupt(f, 0, slot7, 50000));
	assert_int_equal(snap_fake_ops.read(f, 0, slot7, 0, 1000, 1), 0);
	assert_int_equal(wait(f).rc, 0);
	assert_int_equal(snap_fake_ops.read(f, 0, slot7, 49500, 1000, 1), 0);
	assert_int_equal(wait(f).rc, -EBADMSG);
	assert_int_equal(snap_fake_ops.load(f, 0, slot7, NULL, NULL, &info, error), -EBADMSG);
}

static void
test_forgetting_takes_only_what_is_older(void **state)
{
	struct snap_fake *f = *state;

	commit(f, slot7);
	(void)wait(f);
	assert_int_equal(snap_fake_ops.begin(f, 0, slot9), 0);
	snap_fake_ops.commit(f, 0, base_digest(NULL, 0));
	(void)wait(f);
	assert_int_equal(snap_fake_count(f, 0), 2);
	snap_fake_ops.forget(f, 0, slot9);
	assert_int_equal(snap_fake_count(f, 0), 1);
	assert_int_equal(snap_fake_last(f, 0).n, 9);
}

static void
test_the_digest_of_pieces_is_that_of_the_whole(void **state)
{
	struct digest_stream d;

	(void)state;
	for (uint32_t i = 0; i < BYTES; i++)
		data[i] = (uint8_t)(i * 7);
	digest_stream_init(&d);
	for (uint32_t at = 0, count = 1; at < BYTES; at += count, count = count * 3 + 1)
		digest_stream_add(&d, data + at, count < BYTES - at ? count : BYTES - at);
	assert_true(digest_eq(digest_stream_get(&d), base_digest(data, BYTES)));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_what_was_committed_is_read_back, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_a_crash_leaves_nothing_of_an_unfinished_one, setup, teardown),
		cmocka_unit_test(test_an_interrupted_commit_happens_or_not),
		cmocka_unit_test_setup_teardown(
			test_a_failed_commit_leaves_the_older_one, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damage_is_seen_where_it_is, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_forgetting_takes_only_what_is_older, setup, teardown),
		cmocka_unit_test(test_the_digest_of_pieces_is_that_of_the_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
