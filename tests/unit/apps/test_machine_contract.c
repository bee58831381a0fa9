/* SPDX-License-Identifier: Apache-2.0 */
/* The machines that come with this tree keep the contract, and a check that finds nothing wrong
 * with a broken one would be worth nothing. */
#include "apps/log_machine.h"
#include "base/bytes.h"
#include "tests/lib/machine_contract.h"
#include "tests/unit/apps/kv_machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void *
log_create(void)
{
	return calloc(1, sizeof(struct log_machine));
}

static void *
kv_create(void)
{
	return calloc(1, sizeof(struct kv_machine));
}

/* Bodies of many sizes. */
static uint32_t
log_command(uint64_t number, uint8_t *ret_body)
{
	uint32_t bytes = (uint32_t)(number * 37 % 700);

	memset(ret_body, (int)number, bytes);
	return bytes;
}

/* Keys from all over the place, some of them again and again; now and then nonsense. */
static uint32_t
kv_command(uint64_t number, uint8_t *ret_body)
{
	store_u16(ret_body, (uint16_t)(number * 40503 >> (number % 3)));
	store_u64(ret_body + 2, number);
	return number % 50 == 49 ? 3 : KV_COMMAND_BYTES;
}

static const struct machine_contract log_contract = {
	.ops = &log_machine_ops,
	.create = log_create,
	.destroy = free,
	.command = log_command,
	.count = 500,
	.commands_per_chunk = 7,
};

static const struct machine_contract kv_contract = {
	.ops = &kv_machine_ops,
	.create = kv_create,
	.destroy = free,
	.command = kv_command,
	.count = 3000,
	.commands_per_chunk = 20,
};

static void
test_the_log_machine_keeps_it(void **state)
{
	(void)state;
	assert_null(machine_contract_check(&log_contract));
}

static void
test_the_example_keeps_it(void **state)
{
	(void)state;
	assert_null(machine_contract_check(&kv_contract));
}

/* ---- broken ones: each hook does something wrong that looks harmless ---- */

static int
begin_without_images(void *machine)
{
	int rc = kv_machine_ops.snapshot_begin(machine);

	((struct kv_machine *)machine)->is_walking = false;
	return rc;
}

static int
next_of_the_live_state(void *machine, struct decree_chunk *ret_chunk)
{
	struct kv_machine *m = machine;
	int rc = kv_machine_ops.snapshot_next(machine, ret_chunk);

	if (rc == 1)
		ret_chunk->bytes = &m->ranges[ret_chunk->index];
	return rc;
}

static int
next_counts_from_one(void *machine, struct decree_chunk *ret_chunk)
{
	int rc = kv_machine_ops.snapshot_next(machine, ret_chunk);

	ret_chunk->index++;
	return rc;
}

static void
end_forgets(void *machine)
{
	struct kv_machine *m = machine;

	kv_machine_ops.snapshot_end(machine);
	m->digest.lo++;
}

static int
restore_begin_keeps_what_was(void *machine)
{
	((struct kv_machine *)machine)->restored = 0;
	((struct kv_machine *)machine)->digest.hi++;
	return 0;
}

static int
restore_end_believes(void *machine)
{
	(void)machine;
	return 0;
}

static int
restore_takes_any_order(void *machine, const struct decree_chunk *chunk)
{
	struct decree_chunk in_turn = *chunk;

	in_turn.index = ((struct kv_machine *)machine)->restored;
	return kv_machine_ops.restore_next(machine, &in_turn);
}

struct broken {
	const char *name;
	const char *found;               /* a part of the sentence */
	struct decree_machine_ops hooks; /* those that differ */
};

static struct broken broken[] = {
	{ "no before-images", "commands between two chunks",
		{ .snapshot_begin = begin_without_images } },
	{ "chunks of the live state", "before the next call",
		{ .snapshot_next = next_of_the_live_state } },
	{ "indices from 1", "count from 0", { .snapshot_next = next_counts_from_one } },
	{ "a walk that changes the state", "a walk changes", { .snapshot_end = end_forgets } },
	{ "what was is not forgotten", "another digest",
		{ .restore_begin = restore_begin_keeps_what_was } },
	{ "a part is believed", "without its last chunk", { .restore_end = restore_end_believes } },
	{ "any order", "another order", { .restore_next = restore_takes_any_order } },
};

static void
test_a_broken_one_is_found(void **state)
{
	const struct broken *row = *state;
	struct decree_machine_ops ops = kv_machine_ops;
	struct machine_contract c = kv_contract;
	const char *found;

#define REPLACE(hook)                                                                              \
	if (row->hooks.hook != NULL)                                                               \
	ops.hook = row->hooks.hook
	REPLACE(snapshot_begin);
	REPLACE(snapshot_next);
	REPLACE(snapshot_end);
	REPLACE(restore_begin);
	REPLACE(restore_next);
	REPLACE(restore_end);
	c.ops = &ops;
	found = machine_contract_check(&c);
	assert_non_null(found);
	if (strstr(found, row->found) == NULL)
		fail_msg("%s: %s", row->name, found);
}

#define BROKEN_COUNT (sizeof(broken) / sizeof(broken[0]))

int
main(void)
{
	struct CMUnitTest tests[2 + BROKEN_COUNT] = {
		cmocka_unit_test(test_the_log_machine_keeps_it),
		cmocka_unit_test(test_the_example_keeps_it),
	};

	for (size_t i = 0; i < BROKEN_COUNT; i++)
		tests[2 + i] = (struct CMUnitTest){
			.name = broken[i].name,
			.test_func = test_a_broken_one_is_found,
			.initial_state = &broken[i],
		};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
