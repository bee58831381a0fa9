/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames for tests of the dissector, as the engine itself writes them.
 *
 *   frames good FILE PAYLOAD ...   one of each message between nodes, a bundle, a handshake, and
 *                                  each payload of a client's
 *   frames bad FILE PAYLOAD ...    the same: every one cut short by its sender, or by the capture,
 *                                  at every length; and with bytes changed in thousands of ways,
 *                                  the same in every run
 */
#include "base/assert.h"
#include "base/bytes.h"
#include "engine/core/value.h"
#include "engine/runtime/bundle.h"
#include "engine/runtime/client_msg.h"
#include "engine/runtime/pcapng.h"
#include "net/ether.h"
#include "net/frame.h"
#include "tests/lib/msg_example.h"

#include <stdio.h>
#include <stdlib.h>

#define PAYLOAD_BYTES_MAX 1424u
#define FRAME_BYTES_MAX   (ETHER_UDP_BYTES + FRAME_HEADER_BYTES + PAYLOAD_BYTES_MAX)
#define SAMPLE_COUNT_MAX  64
#define CHANGED_COUNT     3000

struct sample {
	enum frame_kind kind;
	uint16_t source, target; /* nodes; 0: the client */
	uint8_t payload[PAYLOAD_BYTES_MAX];
	uint32_t bytes;
};

static struct sample samples[SAMPLE_COUNT_MAX];
static uint32_t sample_count;
static FILE *out;
static uint64_t frame_count;

static struct sample *
add(enum frame_kind kind, uint16_t source, uint16_t target)
{
	struct sample *s = &samples[sample_count++];

	decree_assert(sample_count < SAMPLE_COUNT_MAX);
	*s = (struct sample){ .kind = kind, .source = source, .target = target };
	return s;
}

/* ------------------------------------------------------------------------------ samples */

#define VALUE_COUNT 4

static uint8_t values[VALUE_COUNT][512];
static uint32_t value_bytes[VALUE_COUNT];

static void
make_values(void)
{
	static const uint8_t body[] = "a command's body";
	const struct eng_command commands[] = {
		{ .session = { 65539 }, .seq = 7, .body = body, .bytes = sizeof(body) - 1 },
		{ .session = { 131075 }, .seq = 8, .body = body, .bytes = 3 },
	};
	const struct eng_fragment fragment = { .session = { 65539 },
		.seq = 9,
		.train = { 20 },
		.part = 1,
		.part_count = 3,
		.command_bytes = 40,
		.bytes = body,
		.count = 16 };
	const struct eng_membership membership = { .epoch = 2,
		.version = 1,
		.q1 = 2,
		.q2 = 1,
		.member_count = 2,
		.members = { { .node_id = 1, .role = ENG_VOTER, .disk = 5 },
			{ .node_id = 2, .role = ENG_VOTER, .disk = 6 } } };
	const struct eng_mark mark = { .is_cut = true, .anchor = { 12 } };

	value_bytes[0] = eng_value_batch(
		values[0], sizeof(values[0]), commands, sizeof(commands) / sizeof(*commands));
	value_bytes[1] = eng_value_fragment(values[1], &fragment);
	value_bytes[2] = eng_value_mark(values[2], &mark);
	value_bytes[3] = eng_value_config(values[3], &membership);
	for (int i = 0; i < VALUE_COUNT; i++)
		eng_value_set_stamp(values[i], 1000000007);
}

static void
add_message(struct eng_msg *m)
{
	struct sample *s = add(FRAME_DATA, 2, 3);

	m->group = m->type % 2;
	s->bytes = eng_msg_encode(NULL, m, s->payload, sizeof(s->payload));
}

/* Of an engine in mid-election: two entries behind the empty Promise of the example. */
static void
add_promise_with_entries(void)
{
	struct eng_msg m = msg_example(ENG_MSG_PROMISE);
	struct sample *s;
	uint8_t *at;

	add_message(&m);
	s = &samples[sample_count - 1];
	at = s->payload + s->bytes;
	memset(at, 0, 2 * ENG_PROMISE_ENTRY_BYTES);
	for (uint32_t i = 0; i < 2; i++) {
		store_u64(at + i * ENG_PROMISE_ENTRY_BYTES, (5 + i) << 16 | 1);
		store_u32(at + i * ENG_PROMISE_ENTRY_BYTES + 24, 100);
		store_u32(at + i * ENG_PROMISE_ENTRY_BYTES + 28, ENG_ENTRY_ACCEPTED + i);
	}
	s->bytes += 2 * ENG_PROMISE_ENTRY_BYTES;
	store_u32(s->payload + 12, s->bytes - ENG_MSG_HEADER_BYTES);
	store_u64(s->payload + s->bytes - 2 * ENG_PROMISE_ENTRY_BYTES - 8, 25);
	decree_assert(eng_msg_decode(s->payload, s->bytes, &m) == 0);
}

static void
add_messages(void)
{
	struct eng_msg m;

	for (uint32_t type = 1; type < ENG_MSG_TYPE_COUNT; type++) {
		if (!eng_msg_is_known(type))
			continue;
		m = msg_example(type);
		for (int i = 0; i < (type == ENG_MSG_ACCEPT ? VALUE_COUNT : 1); i++) {
			if (type == ENG_MSG_ACCEPT) {
				m.accept.value = values[i];
				m.accept.bytes = value_bytes[i];
			}
			if (type == ENG_MSG_QUERY_REPLY) {
				m.query_reply.value = values[0];
				m.query_reply.bytes = value_bytes[0];
			}
			add_message(&m);
		}
	}
	add_promise_with_entries();
}

static void
add_bundle(void)
{
	struct sample *s = add(FRAME_DATA, 1, 2);
	const enum eng_msg_type types[] = { ENG_MSG_ACCEPTED, ENG_MSG_HEARTBEAT_ECHO,
		ENG_MSG_SUCCESS };

	s->payload[0] = BUNDLE_TYPE;
	store_u16(s->payload + 2, 3);
	s->bytes = BUNDLE_HEADER_BYTES;
	for (int i = 0; i < 3; i++) {
		struct eng_msg m = msg_example(types[i]);
		uint32_t bytes =
			eng_msg_encode(NULL, &m, s->payload + s->bytes + BUNDLE_MESSAGE_BYTES,
				sizeof(s->payload) - s->bytes - BUNDLE_MESSAGE_BYTES);

		store_u16(s->payload + s->bytes, (uint16_t)bytes);
		s->bytes += BUNDLE_MESSAGE_BYTES + bytes;
	}
	decree_assert(bundle_is_valid(s->payload, s->bytes));
}

static void
add_hello(void)
{
	struct sample *s = add(FRAME_HELLO, 1, 2);

	for (uint8_t i = 0; i < 32; i++)
		s->payload[i] = i;
	store_u64(s->payload + 32, 5);
	s->payload[56] = 3;
	store_u16(s->payload + 58, 20);
	s->payload[60] = s->payload[61] = 1;
	s->bytes = 64 + 20;
}

static void
add_payload(const char *path)
{
	struct sample *s = add(FRAME_DATA, 0, 2);
	FILE *file = fopen(path, "rb");
	struct client_msg m;

	decree_assert(file != NULL);
	s->bytes = (uint32_t)fread(s->payload, 1, sizeof(s->payload), file);
	(void)fclose(file); /* read only */
	decree_assert(client_msg_decode(s->payload, s->bytes, &m) == 0);
	if (m.type == CLIENT_MSG_REPLIES || m.type == CLIENT_MSG_REDIRECT || m.node_id != 0) {
		s->source = 2;
		s->target = 0;
	}
}

/* ------------------------------------------------------------------------------ the file */

static void
write_frame(const uint8_t *frame, uint32_t kept_bytes, uint32_t frame_bytes)
{
	uint8_t block[PCAPNG_PACKET_BYTES_MAX + FRAME_BYTES_MAX];
	struct pcapng_packet packet = {
		.unix_ns = 1700000000000000000ull + frame_count * 1000,
		.kept_bytes = kept_bytes,
		.frame_bytes = frame_bytes,
		.is_sent = (int)(frame_count % 2),
	};
	uint32_t bytes = pcapng_packet(&packet, frame, block);

	decree_assert(fwrite(block, 1, bytes, out) == bytes);
	frame_count++;
}

/* @param datagram_bytes  less than there are: the sender cut it */
static uint32_t
wrap(const struct sample *s, uint32_t datagram_bytes, uint8_t *frame)
{
	const struct ether_address ends[] = {
		{ .mac = { 2, 0, 0, 0, 0, 1 }, .ipv4 = 0x0a4d0001, .udp_port = 7400 },
		{ .mac = { 2, 0, 0, 0, 0, 2 }, .ipv4 = 0x0a4d0002, .udp_port = 7400 },
	};
	struct frame_header header = {
		.kind = s->kind,
		.version = 1,
		.source_node = s->source,
		.target_node = s->target,
		.payload_bytes = (uint16_t)s->bytes,
		.client = s->source == 0 || s->target == 0 ? 1024 + 5 : 0,
		.cluster_id = 0x1122334455667788,
		.counter = s->kind == FRAME_HELLO ? 0 : 42,
	};

	memset(frame, 0, ETHER_UDP_BYTES + FRAME_HEADER_BYTES);
	frame_encode(&header, frame + ETHER_UDP_BYTES);
	memcpy(frame + ETHER_UDP_BYTES + FRAME_HEADER_BYTES, s->payload, s->bytes);
	ether_encode_udp(&ends[0], &ends[1], datagram_bytes, false, frame);
	return ETHER_UDP_BYTES + datagram_bytes;
}

static void
write_good(const struct sample *s)
{
	uint8_t frame[FRAME_BYTES_MAX];
	uint32_t bytes = wrap(s, FRAME_HEADER_BYTES + s->bytes, frame);

	write_frame(frame, bytes, bytes);
}

static void
write_cuts(const struct sample *s)
{
	uint32_t whole = FRAME_HEADER_BYTES + s->bytes;
	uint8_t frame[FRAME_BYTES_MAX];

	for (uint32_t i = 1; i < whole; i++) {
		uint32_t bytes = wrap(s, i, frame);

		write_frame(frame, bytes, bytes);
		bytes = wrap(s, whole, frame);
		write_frame(frame, ETHER_UDP_BYTES + i, bytes);
	}
}

static void
write_changed(void)
{
	uint64_t random = 1;
	uint8_t frame[FRAME_BYTES_MAX];

	for (uint32_t i = 0; i < CHANGED_COUNT; i++) {
		const struct sample *s = &samples[i % sample_count];
		uint32_t bytes = wrap(s, FRAME_HEADER_BYTES + s->bytes, frame);

		for (uint32_t k = 0; k <= i % 7; k++) {
			random = random * 6364136223846793005ull + 1442695040888963407ull;
			frame[ETHER_UDP_BYTES + (random >> 33) % (bytes - ETHER_UDP_BYTES)] =
				(uint8_t)(random >> 25);
		}
		ether_encode_udp(&(struct ether_address){ .ipv4 = 1, .udp_port = 7400 },
			&(struct ether_address){ .ipv4 = 2, .udp_port = 7400 },
			bytes - ETHER_UDP_BYTES, false, frame);
		write_frame(frame, bytes, bytes);
	}
}

int
main(int argc, char **argv)
{
	uint8_t block[PCAPNG_BLOCK_BYTES_MAX];
	bool is_good;

	decree_assert(argc > 3);
	is_good = strcmp(argv[1], "good") == 0;
	make_values();
	add_messages();
	add_bundle();
	add_hello();
	for (int i = 3; i < argc; i++)
		add_payload(argv[i]);

	out = fopen(argv[2], "wb");
	decree_assert(out != NULL);
	(void)fwrite(block, 1, pcapng_section("frames", "for tests", block), out);
	(void)fwrite(block, 1, pcapng_interface("test", "test", 9216, block), out);
	for (uint32_t i = 0; i < sample_count; i++) {
		if (is_good)
			write_good(&samples[i]);
		else
			write_cuts(&samples[i]);
	}
	if (!is_good)
		write_changed();
	decree_assert(fclose(out) == 0);
	return 0;
}
