/* SPDX-License-Identifier: Apache-2.0 */
/* Has a shard a CPU to itself, awake and at full speed, and is the time cheap to read? */
#include "apps/check/check.h"

#include <sched.h>
#include <string.h>

static bool
is_named(const struct check *c, unsigned int cpu)
{
	for (uint32_t i = 0; c->setup != NULL && i < c->setup->cpu_count; i++)
		if (c->setup->cpus[i] == cpu)
			return true;
	return false;
}

/* Is a CPU in a list such as "2-5,8"? */
static bool
is_listed(const char *list, unsigned int cpu)
{
	unsigned int first, last;
	int bytes;

	while (sscanf(list, "%u%n", &first, &bytes) == 1) {
		last = first;
		list += bytes;
		if (sscanf(list, "-%u%n", &last, &bytes) == 1)
			list += bytes;
		if (first <= cpu && cpu <= last)
			return true;
		if (*list++ != ',')
			return false;
	}
	return false;
}

static void
check_named(struct check *c, const cpu_set_t *allowed)
{
	for (uint32_t i = 0; c->setup != NULL && i < c->setup->cpu_count; i++)
		if (!CPU_ISSET(c->setup->cpus[i], allowed))
			report(c, VERDICT_FATAL, "cpus", "Correct 'cpus'",
				"CPU %u of 'cpus' does not exist here, or is not allowed to this "
				"process",
				c->setup->cpus[i]);
}

/* Of a list of the kernel's: which of the shards' CPUs is not in it? @return false: all are */
static bool
find_missing(const struct check *c, const char *list, unsigned int *ret_cpu)
{
	for (uint32_t i = 0; c->setup != NULL && i < c->setup->cpu_count; i++)
		if (!is_listed(list, c->setup->cpus[i])) {
			*ret_cpu = c->setup->cpus[i];
			return true;
		}
	return false;
}

static void
check_isolation(struct check *c, int count)
{
	static const char remedy[] =
		"Boot with isolcpus=N nohz_full=N rcu_nocbs=N and name these CPUs in 'cpus'";
	char isolated[CHECK_LINE_BYTES] = "";
	char tickless[CHECK_LINE_BYTES] = "";
	unsigned int cpu;

	(void)check_read(
		c, isolated, sizeof(isolated), "/sys/devices/system/cpu/isolated"); /* "" if not */
	(void)check_read(
		c, tickless, sizeof(tickless), "/sys/devices/system/cpu/nohz_full"); /* "" if not */
	if (isolated[0] == '\0')
		report(c, VERDICT_NOTE, "cpus", remedy,
			"%d, none isolated: other work will interrupt the shards", count);
	else if (find_missing(c, isolated, &cpu))
		report(c, VERDICT_NOTE, "cpus", remedy,
			"CPU %u of 'cpus' is not isolated (%s are): other work will interrupt its "
			"shard",
			cpu, isolated);
	else if (find_missing(c, tickless, &cpu))
		report(c, VERDICT_NOTE, "cpus", remedy,
			"CPU %u of 'cpus' is isolated, but the timer interrupts it: it is not in "
			"nohz_full",
			cpu);
	else
		report(c, VERDICT_GOOD, "cpus", NULL, "%d, isolated: %s", count, isolated);
}

/* C-states deeper than this take longer to wake from than a commit may. */
#define EXIT_LATENCY_US_MAX 10

static long
deepest_us(const struct check *c, unsigned int cpu)
{
	long deepest = 0;

	for (int state = 0;
		check_exists(c, "/sys/devices/system/cpu/cpu%u/cpuidle/state%d", cpu, state);
		state++) {
		long latency = check_number(
			c, "/sys/devices/system/cpu/cpu%u/cpuidle/state%d/latency", cpu, state);

		if (check_number(c, "/sys/devices/system/cpu/cpu%u/cpuidle/state%d/disable", cpu,
			    state) == 0 &&
			latency > deepest)
			deepest = latency;
	}
	return deepest;
}

/* A shard that spins never lets its CPU sleep; one that sleeps pays for waking up. */
static void
check_power(struct check *c, const cpu_set_t *allowed)
{
	char governor[CHECK_LINE_BYTES];
	bool is_good = true;

	for (unsigned int cpu = 0; cpu < CPU_SETSIZE && is_good; cpu++) {
		bool is_ours = c->setup != NULL && c->setup->cpu_count > 0
				       ? is_named(c, cpu)
				       : CPU_ISSET(cpu, allowed);

		if (!is_ours)
			continue;
		if (check_read(c, governor, sizeof(governor),
			    "/sys/devices/system/cpu/cpu%u/cpufreq/scaling_governor", cpu) &&
			strcmp(governor, "performance") != 0) {
			report(c, VERDICT_NOTE, "power",
				"Set it: cpupower frequency-set -g performance",
				"CPU %u's governor is %s: it slows down when it waits", cpu,
				governor);
			is_good = false;
		} else if (deepest_us(c, cpu) > EXIT_LATENCY_US_MAX) {
			report(c, VERDICT_NOTE, "power",
				"Forbid it: cpupower idle-set -D 10, or boot with "
				"processor.max_cstate=1",
				"CPU %u may sleep so deeply that it wakes up after %ld us only",
				cpu, deepest_us(c, cpu));
			is_good = false;
		}
	}
	if (is_good)
		report(c, VERDICT_GOOD, "power", NULL,
			"no governor and no C-state slows the CPUs down");
}

static bool
is_cheap(const char *source)
{
	return strcmp(source, "tsc") == 0 || strcmp(source, "kvm-clock") == 0 ||
	       strcmp(source, "hyperv_clocksource_tsc_page") == 0 ||
	       strcmp(source, "arch_sys_counter") == 0;
}

static void
check_clock(struct check *c)
{
	char source[CHECK_LINE_BYTES];

	if (!check_read(c, source, sizeof(source),
		    "/sys/devices/system/clocksource/clocksource0/current_clocksource"))
		report(c, VERDICT_NOTE, "clocksource", NULL, "unknown");
	else if (is_cheap(source))
		report(c, VERDICT_GOOD, "clocksource", NULL, "%s, read without a system call",
			source);
	else
		report(c, VERDICT_NOTE, "clocksource",
			"Boot with clocksource=tsc tsc=reliable if the CPU has an invariant TSC; "
			"'dmesg | grep -i tsc' says why the kernel left it",
			"%s: each look at the time is a system call", source);
}

void
check_cpus(struct check *c)
{
	unsigned int shards = c->setup != NULL ? c->setup->shard_count : 1;
	cpu_set_t allowed;
	int count;

	CPU_ZERO(&allowed);
	count = sched_getaffinity(0, sizeof(allowed), &allowed) == 0 ? CPU_COUNT(&allowed) : 1;
	check_named(c, &allowed);
	if ((unsigned int)count <= shards)
		report(c, VERDICT_NOTE, "cpus", NULL,
			"%d for %u shards and everything else: shards will yield and sleep (idle = "
			"auto does) and not spin",
			count, shards);
	else
		check_isolation(c, count);
	check_power(c, &allowed);
	check_clock(c);
}
