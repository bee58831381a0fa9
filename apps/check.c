/* SPDX-License-Identifier: Apache-2.0 */
/* decree check: one line per property of this host, and what to do about those that are not good. */
#include "apps/command.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static const char about[] =
	"Is this host ready to run the node that the configuration describes? Without one, "
	"the host alone is looked at. The exit status is 1 if something must be changed "
	"before a node can run.";

enum verdict {
	VERDICT_GOOD,
	VERDICT_NOTE,  /* works, but slower or less safe than it could be */
	VERDICT_FATAL, /* a node cannot run like this */
};

struct check {
	const struct decree_setup *setup; /* NULL: no configuration */
	uint32_t fatal_count;
};

__attribute__((format(printf, 4, 5))) static void
report(struct check *c, enum verdict verdict, const char *what, const char *format, ...)
{
	static const char *const marks[] = { "ok  ", "note", "BAD " };
	va_list args;

	c->fatal_count += verdict == VERDICT_FATAL;
	(void)printf("%s  %-11s ", marks[verdict], what);
	va_start(args, format);
	(void)vprintf(format, args);
	va_end(args);
	(void)printf("\n");
}

/* The first line of a small file, without its newline. @return false: unreadable */
static bool
read_line(const char *path, char *line, size_t capacity)
{
	FILE *file = fopen(path, "re");
	bool ok = file != NULL && fgets(line, (int)capacity, file) != NULL;

	if (file != NULL)
		(void)fclose(file); /* read only */
	if (ok)
		line[strcspn(line, "\n")] = '\0';
	return ok;
}

static unsigned long
read_count(const char *path)
{
	char line[64];

	return read_line(path, line, sizeof(line)) ? strtoul(line, NULL, 10) : 0;
}

static void
check_hugepages(struct check *c)
{
	unsigned long free_2m =
		read_count("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages");
	unsigned long free_1g =
		read_count("/sys/kernel/mm/hugepages/hugepages-1048576kB/free_hugepages");

	if (c->setup != NULL && !c->setup->are_hugepages_wanted)
		report(c, VERDICT_GOOD, "hugepages", "not wanted (hugepages = no)");
	else if (free_2m * 2 + free_1g * 1024 >= 128)
		report(c, VERDICT_GOOD, "hugepages", "%lu of 2 MiB and %lu of 1 GiB are free",
			free_2m, free_1g);
	else
		report(c, VERDICT_NOTE, "hugepages",
			"%lu of 2 MiB are free: nodes fall back to ordinary pages, and physical "
			"ports will not "
			"work. Reserve some: echo 256 > "
			"/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages",
			free_2m);
}

static void
check_memlock(struct check *c)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0)
		report(c, VERDICT_NOTE, "memlock", "%s", strerror(errno));
	else if (limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= (512u << 20) ||
		 geteuid() == 0)
		report(c, VERDICT_GOOD, "memlock", "enough locked memory is allowed");
	else
		report(c, VERDICT_NOTE, "memlock",
			"only %lu KiB may be locked, registered buffers and DMA need some 256 MiB: "
			"set "
			"LimitMEMLOCK=infinity in the unit file, or 'ulimit -l unlimited'",
			(unsigned long)(limit.rlim_cur >> 10));
}

static void
check_clock(struct check *c)
{
	char line[64];

	if (!read_line("/sys/devices/system/clocksource/clocksource0/current_clocksource", line,
		    sizeof(line)))
		report(c, VERDICT_NOTE, "clocksource", "unknown");
	else if (strcmp(line, "tsc") == 0 || strcmp(line, "kvm-clock") == 0 ||
		 strcmp(line, "hyperv_clocksource_tsc_page") == 0 ||
		 strcmp(line, "arch_sys_counter") == 0)
		report(c, VERDICT_GOOD, "clocksource", "%s, read without a system call", line);
	else
		report(c, VERDICT_NOTE, "clocksource",
			"%s: each look at the time is a system call. Boot with clocksource=tsc "
			"tsc=reliable if the "
			"CPU has an invariant TSC",
			line);
}

static void
check_io_uring(struct check *c)
{
	uint8_t params[256] = { 0 };
	long fd = syscall(SYS_io_uring_setup, 4, params);

	if (fd >= 0) {
		(void)close((int)fd); /* only a try */
		report(c, VERDICT_GOOD, "io_uring", "available");
		return;
	}
	report(c, VERDICT_FATAL, "io_uring",
		"%s: the log needs it. Allow it with 'sysctl kernel.io_uring_disabled=0', and in "
		"the container's "
		"seccomp profile; it needs Linux 5.10 or later",
		strerror(errno));
}

static void
check_cpus(struct check *c)
{
	unsigned int shards = c->setup != NULL ? c->setup->shard_count : 1;
	char isolated[256] = "";
	cpu_set_t set;
	int count;

	CPU_ZERO(&set);
	count = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
	(void)read_line(
		"/sys/devices/system/cpu/isolated", isolated, sizeof(isolated)); /* "" if not */
	for (uint32_t i = 0; c->setup != NULL && i < c->setup->cpu_count; i++)
		if (!CPU_ISSET(c->setup->cpus[i], &set))
			report(c, VERDICT_FATAL, "cpus",
				"CPU %u of 'cpus' does not exist here, or is not allowed to "
				"this process: correct 'cpus'",
				c->setup->cpus[i]);
	if ((unsigned int)count <= shards)
		report(c, VERDICT_NOTE, "cpus",
			"%d for %u shards and everything else: shards will yield and sleep "
			"(idle = auto does) and not spin",
			count, shards);
	else if (isolated[0] == '\0')
		report(c, VERDICT_NOTE, "cpus",
			"%d, none isolated: other work will interrupt the shards. Boot with "
			"isolcpus=N nohz_full=N "
			"rcu_nocbs=N and name these CPUs in 'cpus'",
			count);
	else
		report(c, VERDICT_GOOD, "cpus", "%d, isolated: %s", count, isolated);
}

/* Ports */

static bool
is_pci(const char *device)
{
	unsigned int domain, bus, slot, function;

	return sscanf(device, "%x:%x:%x.%x", &domain, &bus, &slot, &function) == 4 ||
	       sscanf(device, "%x:%x.%x", &bus, &slot, &function) == 3;
}

static void
check_pci(struct check *c, const char *device)
{
	static const char *const drivers[] = { "vfio-pci", "uio_pci_generic", "igb_uio",
		"mlx5_core", "mlx4_core", "mana", NULL };
	char path[256];
	char target[256];
	ssize_t length;
	const char *driver;

	(void)snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s%.64s",
		strlen(device) < 12 ? "0000:" : "", device); /* cut: not found */
	path[strcspn(path, ",")] = '\0';
	if (access(path, F_OK) != 0) {
		report(c, VERDICT_FATAL, "port",
			"%s: there is no such PCI device; 'lspci -D' lists them", device);
		return;
	}
	(void)strncat(path, "/driver", sizeof(path) - strlen(path) - 1);
	length = readlink(path, target, sizeof(target) - 1);
	target[length > 0 ? length : 0] = '\0';
	driver = strrchr(target, '/') != NULL ? strrchr(target, '/') + 1 : "no driver";
	for (uint32_t i = 0; drivers[i] != NULL; i++)
		if (strcmp(driver, drivers[i]) == 0) {
			report(c, VERDICT_GOOD, "port", "%s is bound to %s", device, driver);
			return;
		}
	report(c, VERDICT_FATAL, "port",
		"%s is bound to %s: give it to DPDK with 'dpdk-devbind.py -b vfio-pci %s'", device,
		driver, device);
}

static void
check_interface(struct check *c, const char *device, const char *interface)
{
	char path[256];
	char name[32];
	char line[64];

	(void)snprintf(name, sizeof(name), "%.*s", (int)strcspn(interface, ","),
		interface); /* IFNAMSIZ is 16 */
	(void)snprintf(path, sizeof(path), "/sys/class/net/%s/operstate", name);
	if (!read_line(path, line, sizeof(line)))
		report(c, VERDICT_FATAL, "port",
			"%s: there is no interface %s; 'ip link' lists them", device, name);
	else if (strcmp(line, "down") == 0)
		report(c, VERDICT_FATAL, "port", "%s: interface %s is down: ip link set %s up",
			device, name, name);
	else if (geteuid() != 0)
		report(c, VERDICT_NOTE, "port", "%s: packet sockets need root or CAP_NET_RAW",
			device);
	else
		report(c, VERDICT_GOOD, "port", "%s: interface %s is there", device, name);
}

static void
check_ports(struct check *c)
{
	for (uint32_t i = 0; c->setup != NULL && i < c->setup->port_count; i++) {
		const char *device = c->setup->ports[i];
		const char *interface = strstr(device, "iface=");

		if (is_pci(device))
			check_pci(c, device);
		else if (interface != NULL)
			check_interface(c, device, interface + strlen("iface="));
		else
			report(c, VERDICT_GOOD, "port", "%s is a software port", device);
	}
}

static void
check_pmds(struct check *c)
{
	DIR *dir = opendir("/usr/lib/x86_64-linux-gnu/dpdk/pmds-23.0");

	if (dir != NULL)
		(void)closedir(dir); /* read only */
	if (dir != NULL || access("/usr/lib/x86_64-linux-gnu/librte_eal.so.23", F_OK) == 0 ||
		access("/usr/local/lib/x86_64-linux-gnu/librte_eal.so", F_OK) == 0)
		report(c, VERDICT_GOOD, "dpdk", "its drivers are installed");
	else
		report(c, VERDICT_NOTE, "dpdk",
			"not found where Debian puts it; 'apt install dpdk' brings the drivers");
}

static void
check_iommu(struct check *c)
{
	DIR *dir = opendir("/sys/kernel/iommu_groups");
	struct dirent *entry;
	int count = 0;

	while (dir != NULL && (entry = readdir(dir)) != NULL)
		count += entry->d_name[0] != '.';
	if (dir != NULL)
		(void)closedir(dir); /* read only */
	if (count > 0)
		report(c, VERDICT_GOOD, "iommu", "on: vfio-pci can drive physical ports");
	else
		report(c, VERDICT_NOTE, "iommu",
			"off: fine for software ports. Physical ones need intel_iommu=on or "
			"amd_iommu=on at boot");
}

/* The disk */

/* The data directory, or the nearest folder above it that exists. */
static void
existing_folder(const char *data_dir, char *folder, size_t capacity)
{
	char *slash;

	(void)snprintf(folder, capacity, "%s", data_dir); /* fits: same size */
	while (access(folder, F_OK) != 0) {
		slash = strrchr(folder, '/');
		if (slash == NULL || slash == folder) {
			(void)snprintf(folder, capacity, "%s", slash != NULL ? "/" : ".");
			return;
		}
		*slash = '\0';
	}
}

/* 'decree format' makes the last folder of data_dir, and none above it. */
static void
check_parent(struct check *c, const char *data_dir)
{
	char parent[DECREE_PATH_BYTES];
	size_t length = strlen(data_dir);

	while (length > 1 && data_dir[length - 1] == '/')
		length--;
	while (length > 0 && data_dir[length - 1] != '/')
		length--;
	(void)snprintf(parent, sizeof(parent), "%.*s", (int)length, data_dir); /* fits: same size */
	if (length > 0 && access(parent, F_OK) != 0)
		report(c, VERDICT_FATAL, "data_dir", "there is no folder %s: mkdir -p %s", parent,
			parent);
}

static void
check_direct(struct check *c, const char *folder)
{
	char path[DECREE_PATH_BYTES + 32];
	void *sector = NULL;
	ssize_t done = -1;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/.decree-check-%d", folder, (int)getpid()); /* fits */
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_DIRECT | O_CLOEXEC, 0600);
	if (fd >= 0 && posix_memalign(&sector, 4096, 4096) == 0) {
		memset(sector, 0, 4096);
		done = pwrite(fd, sector, 4096, 0);
	}
	if (done == 4096)
		report(c, VERDICT_GOOD, "disk", "%s takes O_DIRECT writes", folder);
	else
		report(c, VERDICT_FATAL, "disk",
			"%s: no O_DIRECT write (%s): the log needs it. Put data_dir on ext4 or "
			"XFS on a local disk, writable for this user",
			folder, strerror(errno));
	free(sector);
	if (fd >= 0) {
		(void)close(fd); /* the file is thrown away */
		(void)unlink(path);
	}
}

/* The device under a folder, its parent if it is a partition. */
static bool
read_queue(const char *folder, const char *name, char *line, size_t capacity)
{
	char path[256];
	struct stat st;

	if (stat(folder, &st) != 0)
		return false;
	(void)snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/queue/%s", major(st.st_dev),
		minor(st.st_dev), name); /* fits */
	if (read_line(path, line, capacity))
		return true;
	(void)snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/../queue/%s", major(st.st_dev),
		minor(st.st_dev), name); /* fits */
	return read_line(path, line, capacity);
}

static void
check_cache(struct check *c, const char *folder)
{
	char cache[64];
	char fua[64];

	if (!read_queue(folder, "write_cache", cache, sizeof(cache)))
		report(c, VERDICT_NOTE, "disk cache", "unknown for %s", folder);
	else if (strcmp(cache, "write through") == 0)
		report(c, VERDICT_GOOD, "disk cache",
			"write through: a completed write is durable");
	else if (read_queue(folder, "fua", fua, sizeof(fua)) && strcmp(fua, "1") == 0)
		report(c, VERDICT_GOOD, "disk cache",
			"write back with FUA: one durable write per commit");
	else
		report(c, VERDICT_NOTE, "disk cache",
			"write back without FUA: each commit costs a flush. A disk with power-loss "
			"protection, or "
			"write through, halves the commit latency");
}

static void
check_disk(struct check *c)
{
	char folder[DECREE_PATH_BYTES];

	if (c->setup == NULL)
		return;
	check_parent(c, c->setup->data_dir);
	existing_folder(c->setup->data_dir, folder, sizeof(folder));
	check_direct(c, folder);
	check_cache(c, folder);
	if (c->setup->log_mode != DECREE_LOG_DURABLE)
		report(c, VERDICT_NOTE, "log mode",
			"%s: acknowledged commands do not survive a power cut of all nodes",
			log_mode_word(c->setup->log_mode));
	if (!c->setup->auth)
		report(c, VERDICT_NOTE, "auth",
			"none: anybody on this network may speak for any node");
}

static int
run(const struct decree_setup *setup)
{
	struct check c = { .setup = setup };

	check_cpus(&c);
	check_hugepages(&c);
	check_memlock(&c);
	check_clock(&c);
	check_io_uring(&c);
	check_pmds(&c);
	check_iommu(&c);
	check_ports(&c);
	check_disk(&c);
	return c.fatal_count > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int
command_check(int argc, char **argv)
{
	struct config_arguments config = { .is_optional = true };
	const struct option_row rows[] = {
		row_config(&config, "the configuration of cluster and node"),
	};
	const struct option_page page = { "[-c FILE] [section.key=value ...]", about, rows,
		ROW_COUNT(rows) };
	struct decree_setup setup;
	int status = take_arguments(argc, argv, &page, &config, NULL, 0);

	if (status != OPTIONS_GO_ON)
		return status;
	if (config.path == NULL)
		return run(NULL);
	return read_setup(&config, true, &setup) ? run(&setup) : EXIT_FAILURE;
}
