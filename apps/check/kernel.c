/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel and the packages of this host offer: io_uring, DPDK, an IOMMU. */
#include "apps/check/check.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static void
check_io_uring(struct check *c)
{
	uint8_t params[256] = { 0 };
	long fd = syscall(SYS_io_uring_setup, 4, params);

	if (fd >= 0) {
		(void)close((int)fd); /* only a try */
		report(c, VERDICT_GOOD, "io_uring", NULL, "available");
		return;
	}
	report(c, VERDICT_FATAL, "io_uring",
		"Allow it with 'sysctl kernel.io_uring_disabled=0', and in the container's seccomp "
		"profile; it needs Linux 5.10 or later",
		"%s: the log needs it", strerror(errno));
}

static void
check_pmds(struct check *c)
{
	if (check_exists(c, CHECK_PMDS) ||
		check_exists(c, "/usr/lib/x86_64-linux-gnu/librte_eal.so.23") ||
		check_exists(c, "/usr/local/lib/x86_64-linux-gnu/librte_eal.so"))
		report(c, VERDICT_GOOD, "dpdk", NULL, "it is installed");
	else
		report(c, VERDICT_NOTE, "dpdk", "'apt install dpdk' brings the drivers",
			"not found where Debian puts it");
}

static void
check_iommu(struct check *c)
{
	char path[DECREE_PATH_BYTES];
	struct dirent *entry;
	int count = 0;
	DIR *dir;

	(void)snprintf(
		path, sizeof(path), "%s/sys/kernel/iommu_groups", c->root); /* cut: not found */
	dir = opendir(path);
	while (dir != NULL && (entry = readdir(dir)) != NULL)
		count += entry->d_name[0] != '.';
	if (dir != NULL)
		(void)closedir(dir); /* read only */
	if (count > 0)
		report(c, VERDICT_GOOD, "iommu", NULL, "on: vfio-pci can drive physical ports");
	else
		report(c, VERDICT_NOTE, "iommu",
			"For physical ones: VT-d or AMD-Vi in the firmware, and intel_iommu=on or "
			"amd_iommu=on at boot",
			"off: fine for software ports");
}

void
check_kernel(struct check *c)
{
	check_io_uring(c);
	check_pmds(c);
	check_iommu(c);
}
