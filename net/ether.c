/* SPDX-License-Identifier: Apache-2.0 */
#include "net/ether.h"

#include <endian.h>
#include <string.h>

#define IP_OFFSET 14
#define IP_BYTES  20
#define UDP_BYTES 8

static uint16_t
get_be16(const uint8_t *from)
{
	uint16_t v;

	memcpy(&v, from, sizeof(v));
	return be16toh(v);
}

static uint32_t
get_be32(const uint8_t *from)
{
	uint32_t v;

	memcpy(&v, from, sizeof(v));
	return be32toh(v);
}

static void
put_be16(uint8_t *to, uint16_t v)
{
	v = htobe16(v);
	memcpy(to, &v, sizeof(v));
}

static void
put_be32(uint8_t *to, uint32_t v)
{
	v = htobe32(v);
	memcpy(to, &v, sizeof(v));
}

/* Sums 32-bit words into 64 bits: the ones' complement sum does not care about the width, and the
 * compiler turns this loop into vector adds. 9,000 bytes cannot overflow 64 bits. */
uint64_t
ether_sum(const uint8_t *bytes, uint32_t count, uint64_t sum)
{
	uint32_t i = 0;

	for (; i + 4 <= count; i += 4) {
		uint32_t word;

		memcpy(&word, bytes + i, sizeof(word));
		sum += word;
	}
	if (count - i >= 2) {
		uint16_t half;

		memcpy(&half, bytes + i, sizeof(half));
		sum += half;
		i += 2;
	}
	if (i < count) {
		uint8_t last[2] = { bytes[i], 0 };
		uint16_t half;

		memcpy(&half, last, sizeof(half));
		sum += half;
	}
	return sum;
}

uint16_t
ether_fold(uint64_t sum)
{
	sum = (sum >> 32) + (sum & 0xffffffff);
	sum = (sum >> 32) + (sum & 0xffffffff);
	sum = (sum >> 16) + (sum & 0xffff);
	sum = (sum >> 16) + (sum & 0xffff);
	return (uint16_t)~sum;
}

/* The same for what has a length that the compiler knows: no loop is left of it. */
static inline uint64_t
sum_words(const uint8_t *bytes, uint32_t word_count)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < word_count; i++) {
		uint32_t word;

		memcpy(&word, bytes + 4 * i, sizeof(word));
		sum += word;
	}
	return sum;
}

static uint64_t
ip_header_sum(const uint8_t *ip, uint32_t ip_bytes)
{
	return ip_bytes == IP_BYTES ? sum_words(ip, IP_BYTES / 4) : ether_sum(ip, ip_bytes, 0);
}

/* @param ip  the header, whose addresses count @param udp_bytes  header and datagram */
static uint64_t
pseudo_header_sum(const uint8_t *ip, uint16_t udp_bytes)
{
	uint8_t rest[4] = { 0, ETHER_PROTOCOL_UDP };

	put_be16(rest + 2, udp_bytes);
	return sum_words(rest, 1) + sum_words(ip + 12, 2);
}

uint16_t
ether_type(const uint8_t *frame, uint32_t frame_bytes)
{
	return frame_bytes < IP_OFFSET ? 0 : get_be16(frame + 12);
}

enum net_drop
ether_decode_ip(const uint8_t *frame, uint32_t frame_bytes, struct ether_ip *ret_ip)
{
	const uint8_t *ip = frame + IP_OFFSET;
	uint32_t ip_bytes, total_bytes;

	if (frame_bytes < IP_OFFSET + IP_BYTES)
		return NET_DROP_SHORT;
	if (ip[0] >> 4 != 4)
		return NET_DROP_IP_HEADER;
	ip_bytes = (ip[0] & 15u) * 4;
	total_bytes = get_be16(ip + 2);
	if (ip_bytes < IP_BYTES || total_bytes < ip_bytes)
		return NET_DROP_IP_HEADER;
	if (total_bytes > frame_bytes - IP_OFFSET)
		return NET_DROP_SHORT;
	if (get_be16(ip + 6) & 0x3fff) /* more fragments, or not the first */
		return NET_DROP_IP_HEADER;
	if (ether_fold(ip_header_sum(ip, ip_bytes)) != 0)
		return NET_DROP_IP_CHECKSUM;
	*ret_ip = (struct ether_ip){
		.protocol = ip[9],
		.source_ipv4 = get_be32(ip + 12),
		.target_ipv4 = get_be32(ip + 16),
		.header_bytes = ip_bytes,
		.packet_bytes = total_bytes,
	};
	return NET_DROP_NONE;
}

static bool
is_udp_checksum_right(const uint8_t *ip, const uint8_t *udp, uint32_t udp_bytes)
{
	if (get_be16(udp + 6) == 0)
		return true; /* the sender did not compute one (RFC 768) */
	return ether_fold(ether_sum(udp, udp_bytes, pseudo_header_sum(ip, (uint16_t)udp_bytes))) ==
	       0;
}

enum net_drop
ether_decode_udp(const uint8_t *frame, uint32_t frame_bytes, bool has_checksum_trust,
	struct ether_datagram *ret_datagram)
{
	const uint8_t *udp;
	struct ether_ip ip;
	uint32_t udp_bytes;
	enum net_drop drop = ether_decode_ip(frame, frame_bytes, &ip);

	if (drop != NET_DROP_NONE)
		return drop;
	if (ip.protocol != ETHER_PROTOCOL_UDP)
		return NET_DROP_FOREIGN;
	if (ip.packet_bytes - ip.header_bytes < UDP_BYTES)
		return NET_DROP_SHORT;
	udp = frame + IP_OFFSET + ip.header_bytes;
	udp_bytes = get_be16(udp + 4);
	if (udp_bytes < UDP_BYTES || udp_bytes > ip.packet_bytes - ip.header_bytes)
		return NET_DROP_UDP_LENGTH;
	if (!has_checksum_trust && !is_udp_checksum_right(frame + IP_OFFSET, udp, udp_bytes))
		return NET_DROP_UDP_CHECKSUM;

	memcpy(ret_datagram->target.mac, frame, ETHER_MAC_BYTES);
	memcpy(ret_datagram->source.mac, frame + 6, ETHER_MAC_BYTES);
	ret_datagram->source.ipv4 = ip.source_ipv4;
	ret_datagram->target.ipv4 = ip.target_ipv4;
	ret_datagram->source.udp_port = get_be16(udp);
	ret_datagram->target.udp_port = get_be16(udp + 2);
	ret_datagram->bytes = udp + UDP_BYTES;
	ret_datagram->count = udp_bytes - UDP_BYTES;
	return NET_DROP_NONE;
}

void
ether_encode_ip(const struct ether_address *source, const struct ether_address *target,
	uint8_t protocol, uint32_t payload_bytes, uint8_t *frame)
{
	uint8_t *ip = frame + IP_OFFSET;
	uint16_t checksum;

	memcpy(frame, target->mac, ETHER_MAC_BYTES);
	memcpy(frame + 6, source->mac, ETHER_MAC_BYTES);
	put_be16(frame + 12, ETHER_TYPE_IPV4);

	memset(ip, 0, IP_BYTES);
	ip[0] = 0x45;
	put_be16(ip + 2, (uint16_t)(IP_BYTES + payload_bytes));
	put_be16(ip + 6, 0x4000); /* do not fragment: the id may stay 0 (RFC 6864) */
	ip[8] = 64;
	ip[9] = protocol;
	put_be32(ip + 12, source->ipv4);
	put_be32(ip + 16, target->ipv4);
	checksum = ether_fold(ip_header_sum(ip, IP_BYTES));
	memcpy(ip + 10, &checksum, sizeof(checksum));
}

void
ether_encode_udp(const struct ether_address *source, const struct ether_address *target,
	uint32_t datagram_bytes, bool is_udp_offloaded, uint8_t *frame)
{
	uint8_t *ip = frame + IP_OFFSET;
	uint8_t *udp = ip + IP_BYTES;
	uint16_t udp_bytes = (uint16_t)(UDP_BYTES + datagram_bytes);
	uint16_t checksum;

	ether_encode_ip(source, target, ETHER_PROTOCOL_UDP, udp_bytes, frame);

	put_be16(udp, source->udp_port);
	put_be16(udp + 2, target->udp_port);
	put_be16(udp + 4, udp_bytes);
	put_be16(udp + 6, 0);
	if (is_udp_offloaded) {
		checksum = (uint16_t)~ether_fold(pseudo_header_sum(ip, udp_bytes));
	} else {
		checksum = ether_fold(ether_sum(udp, udp_bytes, pseudo_header_sum(ip, udp_bytes)));
		if (checksum == 0)
			checksum = 0xffff; /* zero would mean: none */
	}
	memcpy(udp + 6, &checksum, sizeof(checksum));
}
