/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The node's clock, and whether leases may trust it (8.3).
 *
 * CLOCK_BOOTTIME, not CLOCK_MONOTONIC: both ignore every setting of the wall clock, but a machine
 * that was suspended comes back with CLOCK_MONOTONIC where it stood. A leader would then find its
 * lease still good although the others have long elected somebody else. CLOCK_BOOTTIME has moved
 * on, and costs the same: the kernel serves both from the vdso, without a system call.
 *
 * What it measures with is the clock source. The CPU's own counter goes on whatever happens to the
 * kernel; others (hpet, acpi_pm, jiffies) lose ticks when nobody looks, and a paravirtual clock
 * (kvm-clock, xen, hyperv) is corrected from outside. With those leases are refused. No clock
 * inside a virtual machine shows that the machine was saved and resumed elsewhere: where that
 * happens, leases must stay off.
 *
 * The rate of this clock is steered by NTP. The kernel alone steers by 500 ppm at most, half of the
 * default limit; a daemon that changes the length of the tick may do much more, so the slew is
 * looked at before the start and twice a second from then on. Too much of it ends the node: what it
 * granted at that rate is out of its hands.
 */
#include "engine/runtime/node_private.h"

#include "base/clock.h"
#include "base/refuse.h"

#include <rte_cycles.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

/* The two clocks are read within so long of each other ... */
#define BOTH_NS 10000
/* ... and compared over so long at least, which makes 20 us of doubt 100 ppm. */
#define SLEW_NS_MIN 200000000

uint64_t
node_now_ns(void)
{
	return base_clock_ns(CLOCK_BOOTTIME);
}

/* What the kernel was told: the length of a tick in us, and a frequency in 2^-16 ppm. */
static uint64_t
steered_ppm(void)
{
	struct timex t = { .modes = 0 };

	if (adjtimex(&t) < 0)
		return 0; /* no such system call here: the watch will see it */
	long tick_us = 1000000 / sysconf(_SC_CLK_TCK);
	long long ppm = (long long)(t.tick - tick_us) * 1000000 / tick_us + t.freq / 65536;
	return (uint64_t)llabs(ppm);
}

int
clock_check(const char *source_path, uint32_t max_drift_ppm, char *ret_error)
{
	FILE *file = fopen(source_path, "re");
	char source[64] = "unknown";

	if (file != NULL) {
		if (fscanf(file, "%63s", source) != 1)
			snprintf(source, sizeof(source), "unknown");
		fclose(file);
	}
	if (strcmp(source, "tsc") != 0 && strcmp(source, "arch_sys_counter") != 0)
		return base_refuse(-ENOTSUP, ret_error,
			"lease_ms: this machine's clock source is '%s', which may stop or jump; "
			"leases need 'tsc' (or arch_sys_counter). Set lease_ms = 0 on all nodes, "
			"or change the source in %s",
			source, source_path);
	uint64_t ppm = steered_ppm();
	if (ppm > max_drift_ppm)
		return base_refuse(-ERANGE, ret_error,
			"lease_ms: this machine's clock is being steered by %llu ppm, more than "
			"max_drift_ppm = %u: wait until it is in step, or limit the slew of the "
			"time daemon",
			(unsigned long long)ppm, max_drift_ppm);
	return 0;
}

/* Both clocks at one moment: the second read of the counter tells whether this thread was held up
 * between. */
static bool
read_both(struct clock_watch *ret)
{
	for (int attempt = 0; attempt < 10; attempt++) {
		ret->raw_ns = base_clock_ns(CLOCK_MONOTONIC_RAW);
		ret->steered_ns = base_clock_ns(CLOCK_MONOTONIC); /* CLOCK_BOOTTIME's rate */
		if (base_clock_ns(CLOCK_MONOTONIC_RAW) - ret->raw_ns < BOTH_NS)
			return true;
	}
	return false;
}

uint64_t
clock_slew_ppm(struct clock_watch *w)
{
	struct clock_watch before = *w;
	struct clock_watch now;

	if (!read_both(&now))
		return 0; /* next time */
	*w = now;
	if (before.raw_ns == 0 || now.raw_ns - before.raw_ns < SLEW_NS_MIN)
		return 0;
	uint64_t steered = now.steered_ns - before.steered_ns;
	uint64_t raw = now.raw_ns - before.raw_ns;
	uint64_t off = steered > raw ? steered - raw : raw - steered;
	return off * 1000000 / raw;
}

/* ------------------------------------------------------------------------------ stamps */

/* Nanoseconds per 2^32 ticks of the counter. The rate is the machine's and never changes: one for
 * all nodes. */
static _Atomic uint64_t stamp_rate;

/* Both at one moment: of several readings the one that nobody interrupted. */
static void
read_counter(uint64_t *ret_ns, uint64_t *ret_ticks)
{
	uint64_t best = UINT64_MAX;

	for (int i = 0; i < 16; i++) {
		uint64_t before = rte_rdtsc();
		uint64_t ns = node_now_ns();
		uint64_t ticks = rte_rdtsc() - before;

		if (ticks >= best)
			continue;
		best = ticks;
		*ret_ns = ns;
		*ret_ticks = before + ticks / 2;
	}
}

void
clock_stamp_calibrate(void)
{
	const struct timespec pause = { .tv_nsec = 2000000 };
	uint64_t from_ns = 0, from_ticks = 0, to_ns = 0, to_ticks = 0;

	if (atomic_load_explicit(&stamp_rate, memory_order_relaxed) != 0)
		return;
	read_counter(&from_ns, &from_ticks);
	(void)nanosleep(&pause, NULL); /* any time is good enough */
	read_counter(&to_ns, &to_ticks);
	atomic_store_explicit(&stamp_rate,
		(uint64_t)(((unsigned __int128)(to_ns - from_ns) << 32) / (to_ticks - from_ticks)),
		memory_order_relaxed);
}

uint64_t
clock_stamp_ns(void)
{
	uint64_t rate = atomic_load_explicit(&stamp_rate, memory_order_relaxed);

	return (uint64_t)((unsigned __int128)rte_rdtsc() * rate >> 32);
}
