/* SPDX-License-Identifier: Apache-2.0 */
/* Huge pages, and memory that may be locked. */
#include "apps/check/check.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define NEEDED_MIB 256 /* of one node with one shard, at most */

static bool
has_physical_port(const struct check *c)
{
	for (uint32_t i = 0; c->setup != NULL && i < c->setup->port_count; i++)
		if (strncmp(c->setup->ports[i], "net_", 4) != 0 &&
			strncmp(c->setup->ports[i], "eth_", 4) != 0)
			return true;
	return false;
}

static void
check_hugepages(struct check *c)
{
	long free_2m = check_number(c, "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages");
	long free_1g =
		check_number(c, "/sys/kernel/mm/hugepages/hugepages-1048576kB/free_hugepages");

	if (c->setup != NULL && !c->setup->are_hugepages_wanted)
		report(c, VERDICT_GOOD, "hugepages", NULL, "not wanted (hugepages = no)");
	else if (free_2m * 2 + free_1g * 1024 >= NEEDED_MIB / 2)
		report(c, VERDICT_GOOD, "hugepages", NULL, "%ld of 2 MiB and %ld of 1 GiB are free",
			free_2m, free_1g);
	else
		report(c, has_physical_port(c) ? VERDICT_FATAL : VERDICT_NOTE, "hugepages",
			"Reserve some, beyond what other programs use: decree-hugepages reserve "
			"320M",
			"%ld of 2 MiB are free: nodes fall back to ordinary pages, and a physical "
			"port does not work with those",
			free_2m);
}

static void
check_memlock(struct check *c)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0)
		report(c, VERDICT_NOTE, "memlock", NULL, "%s", strerror(errno));
	else if (limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= (512u << 20) ||
		 geteuid() == 0)
		report(c, VERDICT_GOOD, "memlock", NULL, "enough locked memory is allowed");
	else
		report(c, VERDICT_NOTE, "memlock",
			"The units that come with it set no limit; who starts a node otherwise "
			"needs 'ulimit -l unlimited'",
			"this check may lock %lu KiB only, and registered buffers and DMA need "
			"some %d MiB",
			(unsigned long)(limit.rlim_cur >> 10), NEEDED_MIB);
}

void
check_memory(struct check *c)
{
	check_hugepages(c);
	check_memlock(c);
}
