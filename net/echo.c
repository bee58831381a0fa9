/* SPDX-License-Identifier: Apache-2.0 */
#include "net/echo.h"

#include <string.h>

#define IP_OFFSET        14
#define ICMP_OFFSET      34
#define ICMP_BYTES       8
#define TYPE_ECHO_ANSWER 0
#define TYPE_ECHO        8

enum net_drop
echo_decode(const uint8_t *frame, uint32_t frame_bytes, struct echo *ret_echo)
{
	const uint8_t *icmp = frame + ICMP_OFFSET;
	struct ether_ip ip;
	enum net_drop drop = ether_decode_ip(frame, frame_bytes, &ip);

	if (drop != NET_DROP_NONE)
		return drop;
	if (ip.protocol != ETHER_PROTOCOL_ICMP || ip.header_bytes != ICMP_OFFSET - IP_OFFSET)
		return NET_DROP_FOREIGN; /* options are for strange routes: nobody gets an answer there */
	if (ip.packet_bytes < ip.header_bytes + ICMP_BYTES)
		return NET_DROP_SHORT;
	if ((icmp[0] != TYPE_ECHO && icmp[0] != TYPE_ECHO_ANSWER) || icmp[1] != 0 ||
		(frame[6] & 1) != 0) /* nobody lives at a group address */
		return NET_DROP_FOREIGN;

	*ret_echo = (struct echo){
		.is_request = icmp[0] == TYPE_ECHO,
		.source_ipv4 = ip.source_ipv4,
		.target_ipv4 = ip.target_ipv4,
		.packet_bytes = ip.packet_bytes,
	};
	memcpy(ret_echo->source_mac, frame + 6, ETHER_MAC_BYTES);
	if (ip.packet_bytes >= ip.header_bytes + ICMP_BYTES + ECHO_NONCE_BYTES)
		memcpy(&ret_echo->nonce, frame + ECHO_HEADER_BYTES, ECHO_NONCE_BYTES);
	return NET_DROP_NONE;
}

bool
echo_is_intact(const uint8_t *frame, const struct echo *e)
{
	return ether_fold(ether_sum(
		       frame + ICMP_OFFSET, e->packet_bytes - (ICMP_OFFSET - IP_OFFSET), 0)) == 0;
}

static void
put_checksum(uint8_t *at, const uint8_t *from, uint32_t count)
{
	uint16_t checksum;

	memset(at, 0, sizeof(checksum));
	checksum = ether_fold(ether_sum(from, count, 0));
	memcpy(at, &checksum, sizeof(checksum));
}

void
echo_answer(uint8_t *frame, const uint8_t *mac)
{
	uint8_t *ip = frame + IP_OFFSET;
	uint8_t *icmp = frame + ICMP_OFFSET;
	uint32_t icmp_bytes = (uint32_t)(ip[2] << 8 | ip[3]) - (ICMP_OFFSET - IP_OFFSET);
	uint8_t source[4];

	memcpy(frame, frame + 6, ETHER_MAC_BYTES);
	memcpy(frame + 6, mac, ETHER_MAC_BYTES);
	memcpy(source, ip + 12, sizeof(source));
	memcpy(ip + 12, ip + 16, sizeof(source));
	memcpy(ip + 16, source, sizeof(source));
	ip[8] = 64;
	put_checksum(ip + 10, ip, ICMP_OFFSET - IP_OFFSET);
	icmp[0] = TYPE_ECHO_ANSWER;
	put_checksum(icmp + 2, icmp, icmp_bytes);
}

void
echo_encode(const struct ether_address *source, const struct ether_address *target, uint64_t nonce,
	uint32_t packet_bytes, uint8_t *ret_frame)
{
	uint8_t *icmp = ret_frame + ICMP_OFFSET;
	uint32_t icmp_bytes = packet_bytes - (ICMP_OFFSET - IP_OFFSET);

	ether_encode_ip(source, target, ETHER_PROTOCOL_ICMP, icmp_bytes, ret_frame);
	memset(icmp, 0, icmp_bytes);
	icmp[0] = TYPE_ECHO;
	memcpy(icmp + ICMP_BYTES, &nonce, ECHO_NONCE_BYTES);
	put_checksum(icmp + 2, icmp, icmp_bytes);
}
