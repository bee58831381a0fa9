/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file probe.h
 * Places where a tracer may look at what runs: USDT probes of the provider "decree", for perf,
 * bpftrace and systemtap.
 *
 * A probe is one nop and a note in the ELF file that says where it is and where its arguments are;
 * the tracer puts a breakpoint in its place. So arguments must be at hand: what is computed for a
 * probe is computed always. The table in docs/operating.md has them all.
 */
#ifndef BASE_PROBE_H
#define BASE_PROBE_H

#include <sys/sdt.h>

#define BASE_PROBE2(name, a, b)       DTRACE_PROBE2(decree, name, a, b)
#define BASE_PROBE3(name, a, b, c)    DTRACE_PROBE3(decree, name, a, b, c)
#define BASE_PROBE4(name, a, b, c, d) DTRACE_PROBE4(decree, name, a, b, c, d)

#endif
