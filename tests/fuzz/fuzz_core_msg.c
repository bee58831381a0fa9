/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whatever an authenticated peer sends, a replica must not be brought down by an assertion: it
 * drops, it answers, or it halts because two facts contradict each other. What it wrote must be
 * readable again, and what it sends must be decodable.
 *
 * Input: one byte that says in which situation node 1 of three is, then operations:
 *   op 1, length 1, `length` bytes: a frame (see `operate`). Bit 7 of op: put right what a peer that
 *   holds the key would get right in any case: lengths, sender, disk, digest, a recent ballot; and, unless bit 3 is set,
 *   the life that it is in and the challenge that it was asked.
 */
#include "tests/lib/cluster.h"

#include "base/bytes.h"
#include "base/digest.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

#define MS 1000000ull

enum op {
	OP_FRAME,
	OP_PERSIST,
	OP_TICK,
	OP_SUBMIT,
	OP_TRAIN,
	OP_DELIVER, /* a true frame */
	OP_READ,
	OP_MEMBER, /* a change is asked for */
	OP_COUNT,
};

/* What node 1 says must be understood by the others. */
static void
on_send(struct cluster *c, const struct eng_msg *m, uint16_t dst)
{
	uint8_t frame[CLUSTER_FRAME_BYTES];
	struct eng_msg decoded;
	uint32_t bytes = eng_msg_encode(cluster_replica(c, m->src), m, frame, sizeof(frame));

	(void)dst;
	int rc = eng_msg_decode(frame, bytes, &decoded);
	decree_assert(rc == 0);
	if (c->flight_count > 1000)
		c->flight_count = 0;
}

static void
receive(struct cluster *c, const uint8_t *frame, uint32_t bytes)
{
	struct eng_msg m;

	if (eng_msg_decode(frame, bytes, &m) != 0)
		return;
	cluster_step(c, 1,
		&(struct eng_event){ .type = ENG_EV_RECV, .now_ns = c->now_ns, .recv.msg = &m });
	cluster_flush(c, 1);
}

/* Offsets as engine/core/msg.c lays them out. */
static void
frame_repair(struct cluster *c, uint8_t *frame, uint32_t bytes, uint8_t op)
{
	const struct eng_replica *r = cluster_replica(c, 1);
	uint16_t src = (uint16_t)(2 + (op >> 6 & 1));
	uint64_t ballot = ((ballot_round(r->promised) + (op >> 4 & 1)) << 16) | src;

	frame[1] &= 1;
	store_u16(frame + 2, 0);
	store_u16(frame + 8, src);
	store_u16(frame + 10, 1);
	store_u32(frame + 12, bytes - ENG_MSG_HEADER_BYTES);
	store_u64(frame + 24, eng_disk_short(&c->nodes[src].disk));
	if (!(op & 1 << 3))
		store_u64(frame + 16, cluster_replica(c, src)->cfg.nonce);
	if (op & 1 << 5)
		store_u64(frame + 32, frame[0] == ENG_MSG_ACCEPTED || frame[0] == ENG_MSG_PROMISE ||
						      frame[0] == ENG_MSG_HEARTBEAT_ECHO ||
						      frame[0] == ENG_MSG_READ_INDEX ||
						      frame[0] == ENG_MSG_FAILURE
					      ? r->ballot.n
					      : ballot);
	uint32_t digest_at = frame[0] == ENG_MSG_ACCEPT           ? 64
			     : frame[0] == ENG_MSG_QUERY_REPLY    ? 72
			     : frame[0] == ENG_MSG_SNAPSHOT_CHUNK ? 56
								  : 0;
	if (digest_at != 0 && bytes >= digest_at + 24) {
		uint32_t value_bytes = bytes - digest_at - 24;
		struct decree_digest d = base_digest(frame + digest_at + 24, value_bytes);
		store_u64(frame + digest_at, d.lo);
		store_u64(frame + digest_at + 8, d.hi);
		store_u32(frame + digest_at + 16, value_bytes);
		store_u32(frame + digest_at + 20, 0);
	}
	uint32_t nonce_at = frame[0] == ENG_MSG_PROMISE ? 40 : frame[0] == ENG_MSG_FAILURE ? 48 : 0;
	if (frame[0] == ENG_MSG_PREVOTE_REPLY || frame[0] == ENG_MSG_HEARTBEAT_ECHO ||
		frame[0] == ENG_MSG_READ_INDEX_REPLY || frame[0] == ENG_MSG_HELLO_REPLY)
		nonce_at = 48;
	if (frame[0] == ENG_MSG_HELLO_REPLY && !(op & 1 << 3) && bytes >= 48)
		store_u64(frame + 40, r->peers[src - 1].guard.challenge);
	if (nonce_at != 0 && bytes >= nonce_at + 8)
		store_u64(frame + nonce_at, r->cfg.nonce);
}

static void
operate(struct cluster *c, uint8_t op, const uint8_t *data, uint8_t count, uint64_t *reads)
{
	uint8_t frame[256];
	uint8_t body[1000] = "body";

	switch (op % OP_COUNT) {
	case OP_FRAME:
		memcpy(frame, data, count);
		if (op & 1 << 7 && count >= ENG_MSG_HEADER_BYTES)
			frame_repair(c, frame, count, op);
		receive(c, frame, count);
		break;
	case OP_PERSIST: cluster_persist(c, 1, count); break;
	case OP_TICK:
		c->now_ns += count * MS;
		cluster_tick(c, 1);
		break;
	case OP_SUBMIT:
		cluster_submit(c, 1, (struct decree_session){ 0 }, 0, "sixteen-bytes-it", 16);
		break;
	case OP_TRAIN:
		cluster_submit(c, 1, (struct decree_session){ 2 << 16 }, count, body, sizeof(body));
		break;
	case OP_DELIVER:
		if (c->flight_count > 0)
			cluster_deliver(c, count % c->flight_count, false);
		break;
	case OP_READ: cluster_read(c, 1, ++*reads); break;
	case OP_MEMBER:
		(void)cluster_member(c, 1,
			&(struct eng_member_change){
				.op = 1 + op / OP_COUNT % 3,
				.old = 3,
				.member = { .node_id = count, .disk = 1000u + count },
			}); /* refused: so be it */
		break;
	}
}

/* 0: nothing happened yet; 1: candidate; 2: bootstrapping leader; 3: leader; 4: follower; 5: old
 * leader. */
static void
situation(struct cluster *c, uint8_t number)
{
	switch (number % 6) {
	case 0: return;
	case 1:
		c->now_ns += 500 * MS;
		cluster_tick(c, 1);
		return;
	case 2:
		c->now_ns += 500 * MS;
		cluster_tick(c, 1);
		for (int i = 0; i < 40 && cluster_replica(c, 1)->role != DECREE_LEADER; i++)
			if (c->flight_count > 0)
				cluster_deliver(c, 0, false);
			else
				for (uint16_t n = 1; n <= 3; n++)
					cluster_persist(c, n, UINT32_MAX);
		return;
	default:
		cluster_elect(c, number % 6 == 4 ? 2 : 1);
		c->flight_count = 0;
		for (int i = 0; i < 3 && number % 6 != 4; i++)
			cluster_submit(
				c, 1, (struct decree_session){ 0 }, 0, "sixteen-bytes-it", 16);
		if (number % 6 == 5) { /* phase 1 again, over slots that only node 1 holds */
			cluster_persist(c, 1, UINT32_MAX);
			c->now_ns += 700 * MS;
			for (int i = 0; i < 3; i++)
				cluster_tick(c, 1);
		}
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	if (bytes == 0)
		return 0;
	struct cluster *c = cluster_create(3, 0, 0, 1);
	const uint8_t *end = data + bytes;
	uint64_t reads = 0;

	c->on_send = on_send;
	situation(c, *data++);
	while (end - data >= 2 && c->nodes[1].halted == ENG_HALT_NONE) {
		uint8_t op = data[0];
		uint8_t count = data[1];
		data += 2;
		if (count > end - data)
			count = (uint8_t)(end - data);
		operate(c, op, data, count, &reads);
		if (op % OP_COUNT == OP_FRAME)
			data += count;
	}
	if (c->nodes[1].halted == ENG_HALT_NONE) {
		cluster_persist(c, 1, UINT32_MAX);
		cluster_crash(c, 1);
		cluster_restart(c, 1);
		decree_assert(c->nodes[1].halted != ENG_HALT_BAD_RECORD);
	}
	cluster_destroy(c);
	return 0;
}
