/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/commit/joined.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The one word of a file of the kernel's; "" if there is none. */
static void
read_word(const char *folder, const char *name, char ret_word[32])
{
	char path[256];
	FILE *file;

	snprintf(path, sizeof(path), "%.180s/%s", folder, name);
	file = fopen(path, "re");
	ret_word[0] = '\0';
	if (file == NULL)
		return;
	if (fscanf(file, "%31s", ret_word) != 1)
		ret_word[0] = '\0';
	(void)fclose(file); /* was only read */
}

/* An interface of the kernel's: its speed, where it has one. */
static void
add_interface(const char *device, char *to, size_t capacity)
{
	const char *name = strstr(device, "iface=");
	char folder[128], speed[32];

	if (name == NULL)
		return;
	name += strlen("iface=");
	snprintf(folder, sizeof(folder), "/sys/class/net/%.*s", (int)strcspn(name, ","), name);
	read_word(folder, "speed", speed);
	if (speed[0] != '\0' && speed[0] != '-')
		snprintf(to, capacity, " (%s Mb/s)", speed);
}

/* A device of the PCI bus: what it is, and the driver that holds it. Only that driver knows its
 * speed. */
static void
add_pci(const char *device, char *to, size_t capacity)
{
	char folder[128], path[160], target[256], vendor[32], id[32];
	const char *slash = NULL;
	ssize_t length;

	snprintf(folder, sizeof(folder), "/sys/bus/pci/devices/%.*s", (int)strcspn(device, ","),
		device);
	read_word(folder, "vendor", vendor);
	read_word(folder, "device", id);
	snprintf(path, sizeof(path), "%s/driver", folder);
	length = readlink(path, target, sizeof(target) - 1);
	if (length > 0) {
		target[length] = '\0';
		slash = strrchr(target, '/');
	}
	if (vendor[0] != '\0')
		snprintf(to, capacity, " (%s:%s, %s)", vendor, id,
			slash == NULL ? "no driver" : slash + 1);
}

void
joined_words(const struct decree_setup *setup, char *ret_words, size_t capacity)
{
	size_t used = 0;

	ret_words[0] = '\0';
	for (uint32_t i = 0; i < setup->port_count && used < capacity; i++) {
		const char *device = setup->ports[i];
		char about[384] = "";

		if (strncmp(device, "net_", 4) == 0)
			add_interface(device, about, sizeof(about));
		else
			add_pci(device, about, sizeof(about));
		used += (size_t)snprintf(ret_words + used, capacity - used, "%s%s%s",
			i == 0 ? "" : " and ", device, about);
	}
}
