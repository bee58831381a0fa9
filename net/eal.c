/* SPDX-License-Identifier: Apache-2.0 */
/* From a list of ports to the arguments of rte_eal_init(). Decisions:
 *
 *  - Hugepages if enough are free, in memory only, so that nothing is left behind by a kill -9;
 *    ordinary pages otherwise, with a notice.
 *  - PCI is probed only if a port is a PCI device, and then only that one: EAL would otherwise take
 *    whatever it can drive.
 *  - A socket that a killed memif server left behind would keep the new one from listening. */
#include "net/net.h"

#include "base/refuse.h"
#include "net/device.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define MEMORY_MIB_DEFAULT 64

struct writer {
	struct net_eal_args *args;
	size_t used;
	bool is_full;
};

static void __attribute__((format(printf, 2, 3))) add(struct writer *w, const char *format, ...)
{
	size_t room = sizeof(w->args->text) - w->used;
	va_list list;
	int bytes;

	va_start(list, format);
	bytes = vsnprintf(w->args->text + w->used, room, format, list);
	va_end(list);
	if (bytes < 0 || (size_t)bytes >= room || w->args->argc >= NET_EAL_ARG_COUNT_MAX) {
		w->is_full = true;
		return;
	}
	w->args->argv[w->args->argc++] = w->args->text + w->used;
	w->used += (size_t)bytes + 1;
}

static bool
is_vdev(const char *device)
{
	return strncmp(device, "net_", 4) == 0 || strncmp(device, "eth_", 4) == 0 ||
	       strncmp(device, "virtio_user", 11) == 0;
}

static uint64_t
read_count(const char *path)
{
	FILE *file = fopen(path, "re");
	unsigned long long count = 0;

	if (file == NULL)
		return 0;
	if (fscanf(file, "%llu", &count) != 1)
		count = 0;
	fclose(file);
	return count;
}

static uint64_t
free_hugepages_mib(void)
{
	return 2 * read_count("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages") +
	       1024 * read_count("/sys/kernel/mm/hugepages/hugepages-1048576kB/free_hugepages");
}

/* @param ret_path  [108] @return true if the device is a memif server with a socket in the file
 * system */
static bool
server_socket(const char *device, char *ret_path)
{
	const char *socket_key = strstr(device, ",socket=");
	size_t bytes;

	if (!device_is_memif_server(device) || socket_key == NULL)
		return false;
	socket_key += strlen(",socket=");
	bytes = strcspn(socket_key, ",");
	if (bytes == 0 || bytes >= sizeof(((struct sockaddr_un *)0)->sun_path))
		return false;
	memcpy(ret_path, socket_key, bytes);
	ret_path[bytes] = '\0';
	return ret_path[0] == '/';
}

/* Remove the socket if it is one and nobody listens on it. */
void
net_remove_stale_socket(const char *device)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char path[sizeof(address.sun_path)];
	struct stat status;
	int fd;

	if (!server_socket(device, path))
		return;
	if (lstat(path, &status) != 0 || !S_ISSOCK(status.st_mode))
		return;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0 &&
		errno == ECONNREFUSED)
		(void)unlink(path); /* if it fails, the driver will say why it cannot listen */
	close(fd);
}

static void
add_memory(struct writer *w, const struct net_eal_config *config)
{
	uint32_t mib = config->memory_mib != 0 ? config->memory_mib : MEMORY_MIB_DEFAULT;
	uint64_t free_mib = free_hugepages_mib();

	w->args->has_hugepages = free_mib >= mib;
	if (w->args->has_hugepages) {
		add(w, "--in-memory");
		return;
	}
	add(w, "--no-huge");   /* which excludes --in-memory, */
	add(w, "--no-shconf"); /* whose other half is this: no files for secondary processes */
	add(w, "-m");
	add(w, "%u", mib);
	snprintf(w->args->notice, sizeof(w->args->notice),
		"%u MiB of hugepages are needed and %llu are free: running on ordinary pages, a "
		"little slower. To reserve them: 'decree-hugepages reserve %uM', and more if "
		"others have some already",
		mib, (unsigned long long)free_mib, mib + 128);
}

static int
refuse_pages(const char *device, char *ret_error)
{
	return base_refuse(-ENOMEM, ret_error,
		"port \"%.150s\": it needs huge pages, and too few are free: 'decree-hugepages "
		"reserve 320M'",
		device);
}

int
net_eal_args(const struct net_eal_config *config, struct net_eal_args *ret_args, char *ret_error)
{
	struct writer w = { .args = ret_args };
	bool has_pci = false;

	memset(ret_args, 0, sizeof(*ret_args));
	add(&w, "%s", config->program != NULL ? config->program : "decree");
	add(&w, "--lcores=%s", config->lcores != NULL ? config->lcores : "0");
	if (config->file_prefix != NULL)
		add(&w, "--file-prefix=%s", config->file_prefix);
	else
		add(&w, "--file-prefix=decree-%d", (int)getpid());
	/* A memif client whose server is away would complain twenty times a second. */
	add(&w, "--log-level=pmd.net.memif:critical");
	add(&w, "--log-level=lib.eal:warning");
	add(&w, "--log-level=lib.telemetry:error");
	add_memory(&w, config);
	for (uint32_t i = 0; i < config->device_count; i++) {
		const char *device = config->devices[i] != NULL ? config->devices[i] : "";

		if (device_is_pci(device)) {
			has_pci = true;
			if (!ret_args->has_hugepages)
				return refuse_pages(device, ret_error);
			add(&w, "-a");
			add(&w, "%s", device);
		} else if (is_vdev(device)) {
			add(&w, "--vdev=%s", device);
			net_remove_stale_socket(device);
		} else {
			return base_refuse(-EINVAL, ret_error,
				"port \"%s\" is neither a PCI address (0000:3b:00.0) nor a virtual "
				"device (net_af_packet0,iface=eth0)",
				device);
		}
	}
	if (!has_pci) {
		add(&w, "--no-pci");
		add(&w, "--iova-mode=va");
	}
	for (uint32_t i = 0; i < config->extra_count; i++)
		add(&w, "%s", config->extra[i]);
	if (w.is_full) {
		snprintf(ret_error, DECREE_ERROR_BYTES, "too many or too long arguments for EAL");
		return -E2BIG;
	}
	return 0;
}
