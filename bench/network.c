/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/network.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

/*
 * Apart of the numbers of two interfaces. DPDK's af_packet names a group of sockets by 16 bits of
 * (process ^ interface), and a group is of one interface: with numbers that follow each other, as
 * those of the processes do, two nodes had the same name now and then ("could not set
 * PACKET_FANOUT"). Like this they do not, as long as the processes' numbers differ by less.
 */
#define INDEX_STEP 4096u

/* The kernel would send frames of its own otherwise, to find neighbours that nobody asked for. */
static void
leave_ipv6_out(void)
{
	FILE *file = fopen("/proc/sys/net/ipv6/conf/default/disable_ipv6", "we");

	if (file == NULL)
		return; /* there is none anyway */
	(void)fputs("1\n", file);
	(void)fclose(file); /* a few more frames harm nobody */
}

static int
make_links(uint32_t count, uint32_t mtu)
{
	FILE *ip = popen("ip -batch -", "we");
	int status;

	if (ip == NULL)
		return -errno;
	fprintf(ip, "link set lo up\nlink add bridge type bridge\nlink set bridge up\n");
	for (uint32_t i = 1; i <= count; i++)
		fprintf(ip,
			"link add node%u index %u mtu %u type veth peer name port%u mtu %u\n"
			"link set port%u master bridge\n"
			"link set port%u up\nlink set node%u up\n",
			i, i * INDEX_STEP, mtu, i, mtu, i, i, i);
	status = pclose(ip);
	if (status != 0)
		fprintf(stderr, "decree bench: 'ip' could not make veth pairs and a bridge: is "
				"iproute2 installed, and does the kernel have them?\n");
	return status == 0 ? 0 : -ENODEV;
}

int
network_open(uint32_t count, uint32_t mtu)
{
	if (count == 0)
		return 0;
	if (unshare(CLONE_NEWNET) != 0) {
		int rc = -errno;

		fprintf(stderr,
			"decree bench: no network namespace for --transport af_packet or af_xdp: "
			"%s; run it as root\n",
			strerror(-rc));
		return rc;
	}
	leave_ipv6_out();
	return make_links(count, mtu);
}
