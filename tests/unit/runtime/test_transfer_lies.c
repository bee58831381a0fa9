/* SPDX-License-Identifier: Apache-2.0 */
/* What a donor or the way from it has altered is not installed, and is fetched again (protocol
 * 9.4). */
#include "tests/unit/runtime/lagging.h"

#include "base/bytes.h"
#include "base/digest.h"
#include "engine/runtime/shard_private.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static uint32_t begun; /* transfers, by their first question */
static uint32_t seen;  /* messages of the kind that is altered */
static uint16_t first_donor;
static void (*alter)(
	struct eng_msg *m, uint8_t *value); /* a message of the first donor; its value, if any */

/* Alters messages to the lagging node on their way; loses none. */
static bool
on_frame(struct world *w, uint16_t from, uint16_t to, const uint8_t *payload)
{
	uint32_t count = ENG_MSG_HEADER_BYTES + load_u32(payload + 12);
	uint8_t value[WORLD_FRAME_BYTES], bytes[WORLD_FRAME_BYTES];
	struct eng_msg m;

	(void)w;
	if (from == lagging->node_id && payload[0] == ENG_MSG_SNAPSHOT_FETCH)
		begun += load_u64(payload + ENG_MSG_HEADER_BYTES) != 0 &&
			 load_u64(payload + ENG_MSG_HEADER_BYTES + 8) == 0;
	if (to != lagging->node_id || payload[0] < ENG_MSG_QUERY_REPLY ||
		payload[0] > ENG_MSG_SNAPSHOT_CHUNK)
		return false;
	if (first_donor == 0 && payload[0] == ENG_MSG_SNAPSHOT_CHUNK)
		first_donor = from;
	assert_int_equal(eng_msg_decode(payload, count, &m), 0);
	if (m.type == ENG_MSG_SNAPSHOT_CHUNK) {
		memcpy(value, m.snapshot_chunk.value, m.snapshot_chunk.bytes);
		m.snapshot_chunk.value = value;
	} else if (m.type == ENG_MSG_QUERY_REPLY) {
		memcpy(value, m.query_reply.value, m.query_reply.bytes);
		m.query_reply.value = value;
	}
	if (first_donor == 0 || first_donor == from)
		alter(&m, value);
	assert_int_equal(eng_msg_encode(NULL, &m, bytes, sizeof(bytes)), count);
	memcpy((uint8_t *)(uintptr_t)payload, bytes, count); /* the frame is the world's */
	return false;
}

/* @return how often the transfer began until the lagging node had everything */
static uint32_t
transfers_with(void (*change)(struct eng_msg *m, uint8_t *value))
{
	struct world *w = world_of_three();
	struct world_node *leader = world_elect(w);

	lagging = world_follower(w);
	isolate(w);
	work(w, leader, (const uint8_t *)"a proposer's one");
	begun = seen = first_donor = 0;
	alter = change;
	w->lose = on_frame;
	heal(w);
	world_run(w, 5000000000);
	assert_int_equal(shard_counters(lagging->shard)->snapshots_fetched, 1);
	assert_caught_up(w);
	world_end(w);
	return begun;
}

static void
damage_a_chunk(struct eng_msg *m, uint8_t *value)
{
	if (m->type == ENG_MSG_SNAPSHOT_CHUNK && ++seen == 10)
		value[100] ^= 1;
}

/* One byte of one chunk, on its way: asked for again, and nothing else is. */
static void
test_a_chunk_that_was_altered_is_asked_for_again(void **state)
{
	(void)state;
	assert_int_equal(transfers_with(damage_a_chunk), 1);
	assert_true(seen > 10);
}

static void
damage_what_is_sent(struct eng_msg *m, uint8_t *value)
{
	if (m->type != ENG_MSG_SNAPSHOT_CHUNK || ++seen != 10)
		return;
	value[100] ^= 1;
	m->snapshot_chunk.digest = base_digest(value, m->snapshot_chunk.bytes);
}

/* The donor's own bytes are damaged, and it does not know: the snapshot's own checks do. */
static void
test_damaged_bytes_are_no_snapshot(void **state)
{
	(void)state;
	assert_int_equal(transfers_with(damage_what_is_sent), 2);
}

static uint32_t chunk_bytes; /* of every chunk but the last */

static void
offer_less(struct eng_msg *m, uint8_t *value)
{
	(void)value;
	if (m->type == ENG_MSG_SNAPSHOT_CHUNK && m->snapshot_chunk.offset_bytes == 0)
		chunk_bytes = m->snapshot_chunk.bytes;
	if (m->type == ENG_MSG_SNAPSHOT_OFFER && m->snapshot_offer.slot.n != 0 && ++seen == 1)
		m->snapshot_offer.bytes -=
			chunk_bytes == 0 ? 1 : m->snapshot_offer.bytes % chunk_bytes;
}

/* A donor sends more than it has offered, or its file has lost its end between two chunks. */
static void
test_a_snapshot_of_another_length_is_none(void **state)
{
	(void)state;
	chunk_bytes = 0;
	assert_int_equal(transfers_with(offer_less), 2);
	assert_true(chunk_bytes > 1000);
	assert_int_equal(transfers_with(offer_less), 2);
}

static void
anchor_another_state(struct eng_msg *m, uint8_t *value)
{
	if (m->type != ENG_MSG_QUERY_REPLY || lagging->shard->fetch.state != FETCH_ANCHOR ||
		value[0] != ENG_VALUE_MARK || ++seen != 1)
		return;
	value[m->query_reply.bytes - 1] ^= 1; /* of the digest */
	m->query_reply.digest = base_digest(value, m->query_reply.bytes);
}

/* A whole snapshot, of a state that the cluster never agreed on. */
static void
test_a_state_that_the_log_does_not_anchor_is_refused(void **state)
{
	(void)state;
	assert_int_equal(transfers_with(anchor_another_state), 2);
	assert_int_equal(seen, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_chunk_that_was_altered_is_asked_for_again),
		cmocka_unit_test(test_damaged_bytes_are_no_snapshot),
		cmocka_unit_test(test_a_snapshot_of_another_length_is_none),
		cmocka_unit_test(test_a_state_that_the_log_does_not_anchor_is_refused),
	};

	return cmocka_run_group_tests_name("transfer lies", tests, NULL, NULL);
}
