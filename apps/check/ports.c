/* SPDX-License-Identifier: Apache-2.0 */
/* Does each port exist, does DPDK get it, and is it near the CPUs and the memory of its shards? */
#include "apps/check/check.h"

#include <linux/capability.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ADDRESS_BYTES 16

/* "0000:3b:00.0" out of "3b:00.0,some=argument". @return false: no PCI address */
static bool
parse_pci(const char *device, char *ret_address)
{
	unsigned int domain = 0, bus, slot, function;

	if (sscanf(device, "%4x:%2x:%2x.%1x", &domain, &bus, &slot, &function) != 4) {
		domain = 0;
		if (sscanf(device, "%2x:%2x.%1x", &bus, &slot, &function) != 3)
			return false;
	}
	(void)snprintf(ret_address, ADDRESS_BYTES, "%04x:%02x:%02x.%x", domain & 0xffff, bus & 0xff,
		slot & 0xff, function & 0xf); /* 12 bytes */
	return true;
}

static bool
is_dpdk_driver(const char *name)
{
	static const char *const drivers[] = { "vfio-pci", "uio_pci_generic", "igb_uio",
		"mlx5_core", "mlx4_core", "mana" };

	for (uint32_t i = 0; i < ROW_COUNT(drivers); i++)
		if (strcmp(name, drivers[i]) == 0)
			return true;
	return false;
}

/* Another NUMA node's memory and CPUs cost each frame a trip between the sockets. A node would run,
 * and nobody would know why it is slow: whoever names CPUs means better ones. -1: the firmware does
 * not say. */
static void
check_numa(struct check *c, const char *address)
{
	long node = check_number(c, "/sys/bus/pci/devices/%s/numa_node", address);
	long free = check_number(c,
		"/sys/devices/system/node/node%ld/hugepages/hugepages-2048kB/free_hugepages", node);

	if (node < 0 || !check_exists(c, "/sys/devices/system/node/node1"))
		return; /* one node: nothing is far */
	for (uint32_t i = 0; i < c->setup->cpu_count; i++)
		if (!check_exists(
			    c, "/sys/devices/system/node/node%ld/cpu%u", node, c->setup->cpus[i])) {
			char remedy[CHECK_LINE_BYTES];
			char list[128] = "?";

			(void)check_read(c, list, sizeof(list),
				"/sys/devices/system/node/node%ld/cpulist", node);
			(void)snprintf(remedy, sizeof(remedy), "Name some of %s in 'cpus'",
				list); /* fits */
			report(c, VERDICT_FATAL, "numa", remedy,
				"%s is on NUMA node %ld, and CPU %u of 'cpus' is not", address,
				node, c->setup->cpus[i]);
			return;
		}
	if (c->setup->are_hugepages_wanted && free * 2 < 128) {
		char remedy[CHECK_LINE_BYTES];

		(void)snprintf(remedy, sizeof(remedy), "decree-hugepages reserve 320M %ld",
			node); /* fits */
		report(c, VERDICT_FATAL, "numa", remedy,
			"%s is on NUMA node %ld, where %ld huge pages are free: its buffers would "
			"be on another",
			address, node, free);
		return;
	}
	report(c, VERDICT_GOOD, "numa", NULL, "%s, its memory and its shards' CPUs are on node %ld",
		address, node);
}

static void
check_pci(struct check *c, const char *address)
{
	char driver[64] = "no driver";
	char remedy[CHECK_LINE_BYTES];

	if (!check_exists(c, "/sys/bus/pci/devices/%s", address)) {
		report(c, VERDICT_FATAL, "port", "'decree-bind-nic' lists the NICs",
			"%s: there is no such PCI device", address);
		return;
	}
	(void)check_link(c, driver, sizeof(driver), "/sys/bus/pci/devices/%s/driver",
		address); /* it has none */
	if (is_dpdk_driver(driver) && check_is_driver_missing(c, address)) {
		report(c, VERDICT_FATAL, "port",
			"'apt install librte-meta-net' brings those of all NICs; each is in a "
			"package librte-net-*",
			"%s is bound to %s, but no driver of DPDK's for it is installed", address,
			driver);
	} else if (is_dpdk_driver(driver)) {
		report(c, VERDICT_GOOD, "port", NULL, "%s is bound to %s", address, driver);
	} else {
		(void)snprintf(remedy, sizeof(remedy), "Give it to DPDK with 'decree-bind-nic %s'",
			address); /* fits */
		report(c, VERDICT_FATAL, "port", remedy, "%s is bound to %s", address, driver);
	}
	if (strcmp(driver, "vfio-pci") == 0 &&
		!check_exists(c, "/sys/bus/pci/devices/%s/iommu_group", address))
		report(c, VERDICT_FATAL, "port",
			"Turn VT-d or AMD-Vi on in the firmware, and boot with intel_iommu=on or "
			"amd_iommu=on; or bind it to uio_pci_generic",
			"%s is bound to vfio-pci, and behind no IOMMU", address);
	check_numa(c, address);
}

/* The kernel's own call: its wrapper would be one more library. */
static bool
may_open_packet_sockets(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { 0 };

	return syscall(SYS_capget, &header, data) == 0 &&
	       (data[CAP_TO_INDEX(CAP_NET_RAW)].effective & CAP_TO_MASK(CAP_NET_RAW)) != 0;
}

static void
check_interface(struct check *c, const char *device, const char *interface)
{
	char remedy[CHECK_LINE_BYTES];
	char name[32];
	char state[64];

	(void)snprintf(name, sizeof(name), "%.*s", (int)strcspn(interface, ","),
		interface); /* IFNAMSIZ is 16 */
	if (!check_read(c, state, sizeof(state), "/sys/class/net/%s/operstate", name)) {
		report(c, VERDICT_FATAL, "port", "'ip link' lists them",
			"%s: there is no interface %s", device, name);
	} else if (strcmp(state, "down") == 0) {
		(void)snprintf(remedy, sizeof(remedy), "ip link set %s up", name); /* fits */
		report(c, VERDICT_FATAL, "port", remedy, "%s: interface %s is down", device, name);
	} else if (!may_open_packet_sockets()) {
		c->is_raw_missing = true;
		report(c, VERDICT_NOTE, "port",
			"decreed@.service gives it; who starts a node otherwise has to",
			"%s: interface %s is there, and opening it takes CAP_NET_RAW, which this "
			"check has not",
			device, name);
	} else {
		report(c, VERDICT_GOOD, "port", NULL, "%s: interface %s is there", device, name);
	}
}

void
check_ports(struct check *c)
{
	char address[ADDRESS_BYTES];

	for (uint32_t i = 0; c->setup != NULL && i < c->setup->port_count; i++) {
		const char *device = c->setup->ports[i];
		const char *interface = strstr(device, "iface=");

		if (parse_pci(device, address))
			check_pci(c, address);
		else if (interface != NULL &&
			 strncmp(device, "net_tap", 7) != 0) /* that makes its own */
			check_interface(c, device, interface + strlen("iface="));
		else
			report(c, VERDICT_GOOD, "port", NULL, "%s is a software port", device);
	}
}
