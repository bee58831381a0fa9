/* SPDX-License-Identifier: Apache-2.0 */
#include "net/device.h"

#include "net/net.h"

#include <dirent.h>
#include <errno.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int __attribute__((format(printf, 4, 5)))
refuse(int rc, const char *device, char *ret_error, const char *format, ...)
{
	int used = snprintf(ret_error, DECREE_ERROR_BYTES, "port \"%.150s\": ", device);
	va_list list;

	va_start(list, format);
	vsnprintf(ret_error + used, (size_t)(DECREE_ERROR_BYTES - used), format, list);
	va_end(list);
	return rc;
}

bool
device_is_pci(const char *device)
{
	unsigned domain, bus, slot, function;
	int end = 0;

	if (sscanf(device, "%4x:%2x:%2x.%1x%n", &domain, &bus, &slot, &function, &end) != 4) {
		end = 0;
		if (sscanf(device, "%2x:%2x.%1x%n", &bus, &slot, &function, &end) != 3)
			return false;
	}
	return end > 0 && (device[end] == '\0' || device[end] == ',');
}

bool
device_is_memif(const char *device)
{
	return strncmp(device, "net_memif", 9) == 0;
}

bool
device_is_memif_server(const char *device)
{
	return device_is_memif(device) &&
	       (strstr(device, "role=server") != NULL || strstr(device, "role=master") != NULL);
}

/* What follows the last slash of the socket's path: the server may see the folder elsewhere. */
static void
socket_name(const char *device, char *ret_name, size_t capacity)
{
	const char *path = strstr(device, ",socket=");
	const char *last;
	size_t bytes;

	path = path != NULL ? path + strlen(",socket=")
			    : "memif.sock"; /* the driver's own choice */
	bytes = strcspn(path, ",");
	last = memrchr(path, '/', bytes);
	if (last != NULL) {
		bytes -= (size_t)(last + 1 - path);
		path = last + 1;
	}
	(void)snprintf(
		ret_name, capacity, "%.*s", (int)bytes, path); /* no socket has a longer one */
}

/* @param fd  any file */
static bool
is_connected_to(int fd, const char *name)
{
	struct sockaddr_un peer = { 0 };
	socklen_t bytes = sizeof(peer) - 1; /* or it might not end */
	const char *path, *last;

	if (getpeername(fd, (struct sockaddr *)&peer, &bytes) != 0 || peer.sun_family != AF_UNIX)
		return false;
	path = peer.sun_path[0] != '\0' ? peer.sun_path : peer.sun_path + 1; /* "abstract" ones */
	last = strrchr(path, '/');
	return strcmp(last != NULL ? last + 1 : path, name) == 0;
}

bool
device_has_connection(const char *device)
{
	char name[sizeof(((struct sockaddr_un *)0)->sun_path)];
	DIR *files = opendir("/proc/self/fd");
	struct dirent *file;
	bool is_found = false;

	if (files == NULL)
		return true;
	socket_name(device, name, sizeof(name));
	while (!is_found && (file = readdir(files)) != NULL)
		is_found = is_connected_to(atoi(file->d_name), name);
	(void)closedir(files); /* was only read */
	return is_found;
}

static bool
is_af_packet(const char *device)
{
	return strncmp(device, "net_af_packet", 13) == 0;
}

static bool
is_for_dpdk(const char *driver)
{
	/* The last three share their devices with the kernel. */
	static const char *const drivers[] = { "vfio-pci", "uio_pci_generic", "igb_uio",
		"mlx5_core", "mlx4_core", "mana" };

	for (size_t i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++)
		if (strcmp(driver, drivers[i]) == 0)
			return true;
	return false;
}

static int
check_pci(const char *device, char *ret_error)
{
	char address[32], path[128], target[256];
	size_t bytes = strcspn(device, ",");
	const char *driver = "no driver", *slash;
	ssize_t length;

	/* Addresses are short: all of these fit. */
	snprintf(address, sizeof(address), "%s%.*s", bytes < 12 ? "0000:" : "", (int)bytes, device);
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s", address);
	if (access(path, F_OK) != 0)
		return refuse(-ENODEV, device, ret_error,
			"there is no such PCI device: 'decree-bind-nic' lists the NICs");
	strcat(path, "/driver");
	length = readlink(path, target, sizeof(target) - 1);
	if (length > 0) {
		target[length] = '\0';
		slash = strrchr(target, '/');
		driver = slash != NULL ? slash + 1 : target;
	}
	if (!is_for_dpdk(driver))
		return refuse(-ENODEV, device, ret_error,
			"it is bound to %s: give it to DPDK with 'decree-bind-nic %s'", driver,
			address);
	return 0;
}

static uint32_t
mtu_of(const char *interface)
{
	struct ifreq request = { 0 };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint32_t mtu = UINT32_MAX; /* not known: the peers' silence will tell */

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", interface);
	if (fd >= 0 && ioctl(fd, SIOCGIFMTU, &request) == 0)
		mtu = (uint32_t)request.ifr_mtu;
	if (fd >= 0)
		close(fd);
	return mtu;
}

/* Ports on an interface of the kernel's. net_tap makes its own. */
static int
check_interface(const char *device, uint32_t mtu, char *ret_error)
{
	const char *name = strstr(device, "iface=");
	char interface[IF_NAMESIZE];
	size_t bytes;

	if (name == NULL || strncmp(device, "net_tap", 7) == 0)
		return 0;
	name += strlen("iface=");
	bytes = strcspn(name, ",");
	if (bytes < sizeof(interface)) {
		memcpy(interface, name, bytes);
		interface[bytes] = '\0';
	}
	if (bytes >= sizeof(interface) || if_nametoindex(interface) == 0)
		return refuse(-ENODEV, device, ret_error,
			"there is no interface %.*s: 'ip link' lists them", (int)bytes, name);
	if (mtu_of(interface) < mtu)
		return refuse(-EMSGSIZE, device, ret_error,
			"interface %s has an MTU of %u, and 'mtu' says %u: 'ip link set dev %s mtu "
			"%u'",
			interface, mtu_of(interface), mtu, interface, mtu);
	return 0;
}

/* The kernel's own header before a frame in af_packet's ring, with room to spare. */
#define AF_PACKET_HEADER_BYTES 128u

uint32_t
device_frame_bytes(const char *device, uint32_t told_bytes)
{
	bool is_memif = device_is_memif(device);
	const char *key = is_memif ? "bsize=" : "framesz=";
	const char *room = strstr(device, key);
	uint32_t header = is_memif ? 0 : AF_PACKET_HEADER_BYTES;
	unsigned long bytes;

	if ((!is_memif && !is_af_packet(device)) || room == NULL)
		return told_bytes;
	bytes = strtoul(room + strlen(key), NULL, 10);
	return bytes < told_bytes + header || bytes > UINT16_MAX ? told_bytes
								 : (uint32_t)bytes - header;
}

const char *
device_room_advice(const char *device)
{
	if (is_af_packet(device))
		return "add ',blocksz=36864,framesz=9216,framecnt=512' to the port, or ";
	if (device_is_memif(device))
		return "add ',bsize=9216' to the link, at both ends, or ";
	return "";
}

int
net_device_check(const char *device, uint32_t mtu, char *ret_error)
{
	return device_is_pci(device) ? check_pci(device, ret_error)
				     : check_interface(device, mtu, ret_error);
}
