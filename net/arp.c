/* SPDX-License-Identifier: Apache-2.0 */
/* ARP for Ethernet and IPv4 (RFC 826), 28 bytes behind the Ethernet header:
 *
 *     0  u16 hardware 1      6  u16 operation: 1 request, 2 reply   18  u8[6] target MAC
 *     2  u16 protocol 0x0800 8  u8[6] sender MAC                    24  u32   target IPv4
 *     4  u8 6, u8 4         14  u32   sender IPv4
 */
#include "net/ether.h"

#include <arpa/inet.h>
#include <string.h>

static const uint8_t arp_prefix[7] = { 0, 1, 8, 0, 6, 4, 0 };

enum net_drop
ether_decode_arp(const uint8_t *frame, uint32_t frame_bytes, struct ether_arp *ret_arp)
{
	const uint8_t *p = frame + 14;
	uint32_t address;

	if (frame_bytes < ETHER_ARP_BYTES || memcmp(p, arp_prefix, sizeof(arp_prefix)) != 0)
		return NET_DROP_ARP_MALFORMED;
	if (p[7] != 1 && p[7] != 2)
		return NET_DROP_ARP_MALFORMED;
	if (p[8] & 1) /* nobody lives at a group address */
		return NET_DROP_ARP_MALFORMED;

	ret_arp->is_request = p[7] == 1;
	memcpy(ret_arp->sender_mac, p + 8, ETHER_MAC_BYTES);
	memcpy(&address, p + 14, sizeof(address));
	ret_arp->sender_ipv4 = ntohl(address);
	memcpy(ret_arp->target_mac, p + 18, ETHER_MAC_BYTES);
	memcpy(&address, p + 24, sizeof(address));
	ret_arp->target_ipv4 = ntohl(address);
	return NET_DROP_NONE;
}

void
ether_encode_arp(const struct ether_arp *arp, const uint8_t *ethernet_target, uint8_t *ret_frame)
{
	uint8_t *p = ret_frame + 14;
	uint32_t address;

	memcpy(ret_frame, ethernet_target, ETHER_MAC_BYTES);
	memcpy(ret_frame + 6, arp->sender_mac, ETHER_MAC_BYTES);
	ret_frame[12] = ETHER_TYPE_ARP >> 8;
	ret_frame[13] = ETHER_TYPE_ARP & 0xff;
	memcpy(p, arp_prefix, sizeof(arp_prefix));
	p[7] = arp->is_request ? 1 : 2;
	memcpy(p + 8, arp->sender_mac, ETHER_MAC_BYTES);
	address = htonl(arp->sender_ipv4);
	memcpy(p + 14, &address, sizeof(address));
	memcpy(p + 18, arp->target_mac, ETHER_MAC_BYTES);
	address = htonl(arp->target_ipv4);
	memcpy(p + 24, &address, sizeof(address));
}
