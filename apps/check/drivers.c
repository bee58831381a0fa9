/* SPDX-License-Identifier: Apache-2.0 */
/* Is there a driver of DPDK's for a NIC? Each is a shared object of its own, in a package of its
 * own, and names the devices that it drives in a string, which DPDK's tools read too:
 *
 *   PMD_INFO_STRING= {"name": "net_ice", ..., "pci_ids": [[32902, 5522, 65535, 65535], ...]}
 *
 * vendor, device, subsystem's vendor, subsystem's device; 65535 is any. A driver without PCI
 * devices has no such list. */
#include "apps/check/check.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define ID_COUNT 4
#define ANY_ID   65535

static const char info_mark[] = "PMD_INFO_STRING= ";
static const char list_mark[] = "\"pci_ids\": [";

static bool
read_ids(const struct check *c, const char *address, unsigned *ret_ids)
{
	static const char *const files[ID_COUNT] = { "vendor", "device", "subsystem_vendor",
		"subsystem_device" };
	char line[64];

	for (uint32_t i = 0; i < ID_COUNT; i++) {
		if (!check_read(
			    c, line, sizeof(line), "/sys/bus/pci/devices/%s/%s", address, files[i]))
			return false;
		ret_ids[i] = (unsigned)strtoul(line, NULL, 16);
	}
	return true;
}

/* @param list  text of a driver, from the first '[' of a device on */
static bool
is_listed(const char *list, const unsigned *ids)
{
	unsigned row[ID_COUNT];

	while ((list = strchr(list, '[')) != NULL &&
		sscanf(list, "[%u, %u, %u, %u]", &row[0], &row[1], &row[2], &row[3]) == ID_COUNT) {
		uint32_t same = 0;

		while (same < ID_COUNT && (row[same] == ids[same] || row[same] == ANY_ID))
			same++;
		if (same == ID_COUNT)
			return true;
		list++;
	}
	return false;
}

static bool
is_in_object(const char *bytes, size_t count, const unsigned *ids)
{
	const char *end = bytes + count;
	const char *info, *list;

	while ((info = memmem(bytes, (size_t)(end - bytes), info_mark, strlen(info_mark))) !=
		NULL) {
		if (memchr(info, '\0', (size_t)(end - info)) == NULL)
			return false; /* the file is cut off */
		list = strstr(info, list_mark);
		if (list != NULL && is_listed(list + strlen(list_mark), ids))
			return true;
		bytes = info + strlen(info_mark);
	}
	return false;
}

static bool
is_in_file(const char *path, const unsigned *ids)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat status;
	bool is_in = false;
	void *bytes;

	if (fd >= 0 && fstat(fd, &status) == 0 && status.st_size > 0) {
		bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
		if (bytes != MAP_FAILED) {
			is_in = is_in_object(bytes, (size_t)status.st_size, ids);
			(void)munmap(bytes, (size_t)status.st_size); /* it was mapped */
		}
	}
	if (fd >= 0)
		(void)close(fd); /* read only */
	return is_in;
}

bool
check_is_driver_missing(const struct check *c, const char *address)
{
	char folder[DECREE_PATH_BYTES];
	char path[DECREE_PATH_BYTES + 256];
	unsigned ids[ID_COUNT];
	struct dirent *entry;
	bool is_found = false;
	DIR *dir;

	(void)snprintf(folder, sizeof(folder), "%s" CHECK_PMDS, c->root); /* cut: not found */
	dir = opendir(folder);
	if (dir == NULL || !read_ids(c, address, ids))
		is_found = true; /* DPDK is elsewhere: nobody knows */
	while (!is_found && (entry = readdir(dir)) != NULL) {
		if (strncmp(entry->d_name, "librte_net_", 11) != 0)
			continue;
		(void)snprintf(
			path, sizeof(path), "%s/%s", folder, entry->d_name); /* NAME_MAX is 255 */
		is_found = is_in_file(path, ids);
	}
	if (dir != NULL)
		(void)closedir(dir); /* read only */
	return !is_found;
}
