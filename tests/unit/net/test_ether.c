/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/net/common.h"

#include "net/ether.h"

#define DATAGRAM_BYTES 101 /* odd, so that the checksum has a tail */
#define FRAME_BYTES    (ETHER_UDP_BYTES + DATAGRAM_BYTES)

static const struct ether_address here = { { 2, 0, 0, 0, 0, 1 }, 0x0a000001, 4200 };
static const struct ether_address there = { { 2, 0, 0, 0, 0, 2 }, 0x0a000002, 4201 };

static void
make(uint8_t *frame, bool is_offloaded)
{
	for (int i = 0; i < DATAGRAM_BYTES; i++)
		frame[ETHER_UDP_BYTES + i] = (uint8_t)(i * 7);
	ether_encode_udp(&here, &there, DATAGRAM_BYTES, is_offloaded, frame);
}

/* RFC 1071, section 3: the sum of 00 01 f2 03 f4 f5 f6 f7 is ddf2. */
static void
test_checksum_of_the_rfc(void **state)
{
	static const uint8_t bytes[] = { 0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7 };
	uint16_t sum = (uint16_t)~ether_fold(ether_sum(bytes, sizeof(bytes), 0));

	(void)state;
	assert_memory_equal(&sum, "\xdd\xf2", 2);
}

static void
test_sum_of_all_ones_folds_without_loss(void **state)
{
	uint8_t bytes[9000];

	(void)state;
	memset(bytes, 0xff, sizeof(bytes));
	assert_int_equal(ether_fold(ether_sum(bytes, sizeof(bytes), 0)), 0);
}

static void
test_header_bytes_are_the_documented_ones(void **state)
{
	static const uint8_t expected[ETHER_UDP_BYTES] = { 2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0,
		0x45, 0, 0, 0x81, 0, 0, 0x40, 0, 64, 17, 0x26, 0x6a, 10, 0, 0, 1, 10, 0, 0, 2, 0x10,
		0x68, 0x10, 0x69, 0, 0x6d };
	uint8_t frame[FRAME_BYTES];

	(void)state;
	make(frame, false);
	assert_memory_equal(frame, expected, 40); /* the UDP checksum is checked by decoding */
}

static void
test_decoding_gives_back_what_was_encoded(void **state)
{
	uint8_t frame[FRAME_BYTES];
	struct ether_datagram d;

	(void)state;
	make(frame, false);
	assert_int_equal(ether_decode_udp(frame, sizeof(frame), false, &d), NET_DROP_NONE);
	assert_int_equal(d.source.ipv4, here.ipv4);
	assert_int_equal(d.target.ipv4, there.ipv4);
	assert_int_equal(d.source.udp_port, here.udp_port);
	assert_int_equal(d.target.udp_port, there.udp_port);
	assert_memory_equal(d.source.mac, here.mac, 6);
	assert_memory_equal(d.target.mac, there.mac, 6);
	assert_ptr_equal(d.bytes, frame + ETHER_UDP_BYTES);
	assert_int_equal(d.count, DATAGRAM_BYTES);
}

static void
test_truncation_anywhere_is_refused(void **state)
{
	uint8_t frame[FRAME_BYTES];
	struct ether_datagram d;

	(void)state;
	make(frame, false);
	for (uint32_t i = 0; i < sizeof(frame); i++)
		assert_int_equal(ether_decode_udp(frame, i, false, &d), NET_DROP_SHORT);
}

/* Switches pad small frames to 60 bytes. */
static void
test_padding_behind_the_packet_is_ignored(void **state)
{
	uint8_t frame[FRAME_BYTES + 9] = { 0 };
	struct ether_datagram d;

	(void)state;
	make(frame, false);
	assert_int_equal(ether_decode_udp(frame, sizeof(frame), false, &d), NET_DROP_NONE);
	assert_int_equal(d.count, DATAGRAM_BYTES);
}

static void
test_any_flipped_bit_behind_ethernet_is_noticed(void **state)
{
	uint8_t frame[FRAME_BYTES];
	struct ether_datagram d;

	(void)state;
	make(frame, false);
	for (uint32_t bit = 14 * 8; bit < 8 * sizeof(frame); bit++) {
		frame[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_not_equal(
			ether_decode_udp(frame, sizeof(frame), false, &d), NET_DROP_NONE);
		frame[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

/* What a device does with the pseudo header's sum: add the rest, complement. */
static void
test_offloaded_checksum_can_be_completed(void **state)
{
	uint8_t plain[FRAME_BYTES], offloaded[FRAME_BYTES];
	uint16_t checksum;

	(void)state;
	make(plain, false);
	make(offloaded, true);
	checksum = ether_fold(ether_sum(offloaded + 34, sizeof(offloaded) - 34, 0));
	memcpy(offloaded + 40, &checksum, sizeof(checksum));
	assert_memory_equal(plain, offloaded, sizeof(plain));
}

static void
test_absent_udp_checksum_is_accepted(void **state)
{
	uint8_t frame[FRAME_BYTES];
	struct ether_datagram d;

	(void)state;
	make(frame, false);
	frame[40] = frame[41] = 0;
	assert_int_equal(ether_decode_udp(frame, sizeof(frame), false, &d), NET_DROP_NONE);
}

static void
test_fragments_are_refused(void **state)
{
	static const uint8_t flags[][2] = { { 0x20, 0 }, { 0, 1 }, { 0x1f, 0xff } };
	uint8_t frame[FRAME_BYTES];
	struct ether_datagram d;

	(void)state;
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		make(frame, false);
		memcpy(frame + 20, flags[i], 2);
		assert_int_equal(
			ether_decode_udp(frame, sizeof(frame), false, &d), NET_DROP_IP_HEADER);
	}
}

static void
test_arp_gives_back_what_was_encoded(void **state)
{
	static const uint8_t everybody[6] = { 255, 255, 255, 255, 255, 255 };
	struct ether_arp in = { .is_request = true,
		.sender_mac = { 2, 0, 0, 0, 0, 1 },
		.sender_ipv4 = 0x0a000001,
		.target_ipv4 = 0x0a000002 };
	struct ether_arp out;
	uint8_t frame[ETHER_ARP_BYTES];

	(void)state;
	for (int i = 0; i < 2; i++) {
		in.is_request = i == 0;
		ether_encode_arp(&in, everybody, frame);
		assert_int_equal(ether_type(frame, sizeof(frame)), ETHER_TYPE_ARP);
		assert_int_equal(ether_decode_arp(frame, sizeof(frame), &out), NET_DROP_NONE);
		assert_int_equal(out.is_request, in.is_request);
		assert_int_equal(out.sender_ipv4, in.sender_ipv4);
		assert_int_equal(out.target_ipv4, in.target_ipv4);
		assert_memory_equal(out.sender_mac, in.sender_mac, 6);
	}
}

/* RFC 826's layout, as any host on the wire expects it. */
static void
test_arp_bytes_are_the_rfcs(void **state)
{
	static const uint8_t expected[ETHER_ARP_BYTES] = { 2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 6,
		0, 1, 8, 0, 6, 4, 0, 2, 2, 0, 0, 0, 0, 1, 10, 0, 0, 1, 2, 0, 0, 0, 0, 2, 10, 0, 0,
		2 };
	struct ether_arp reply = { .sender_mac = { 2, 0, 0, 0, 0, 1 },
		.sender_ipv4 = 0x0a000001,
		.target_mac = { 2, 0, 0, 0, 0, 2 },
		.target_ipv4 = 0x0a000002 };
	uint8_t frame[ETHER_ARP_BYTES];

	(void)state;
	ether_encode_arp(&reply, reply.target_mac, frame);
	assert_memory_equal(frame, expected, sizeof(expected));
}

static void
test_truncated_and_foreign_arp_is_refused(void **state)
{
	struct ether_arp arp = { .sender_mac = { 2 } };
	uint8_t frame[ETHER_ARP_BYTES];

	(void)state;
	ether_encode_arp(&arp, arp.sender_mac, frame);
	for (uint32_t i = 0; i < sizeof(frame); i++)
		assert_int_equal(ether_decode_arp(frame, i, &arp), NET_DROP_ARP_MALFORMED);
	for (uint32_t i = 14; i < 22; i++) { /* hardware, protocol, lengths, operation */
		frame[i] ^= 0x10;
		assert_int_equal(
			ether_decode_arp(frame, sizeof(frame), &arp), NET_DROP_ARP_MALFORMED);
		frame[i] ^= 0x10;
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_checksum_of_the_rfc),
		cmocka_unit_test(test_sum_of_all_ones_folds_without_loss),
		cmocka_unit_test(test_header_bytes_are_the_documented_ones),
		cmocka_unit_test(test_decoding_gives_back_what_was_encoded),
		cmocka_unit_test(test_truncation_anywhere_is_refused),
		cmocka_unit_test(test_padding_behind_the_packet_is_ignored),
		cmocka_unit_test(test_any_flipped_bit_behind_ethernet_is_noticed),
		cmocka_unit_test(test_offloaded_checksum_can_be_completed),
		cmocka_unit_test(test_absent_udp_checksum_is_accepted),
		cmocka_unit_test(test_fragments_are_refused),
		cmocka_unit_test(test_arp_gives_back_what_was_encoded),
		cmocka_unit_test(test_arp_bytes_are_the_rfcs),
		cmocka_unit_test(test_truncated_and_foreign_arp_is_refused),
	};

	return cmocka_run_group_tests_name("ether", tests, NULL, NULL);
}
