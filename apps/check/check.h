/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file check.h
 * What `decree check` looks at, by subject. Each look reads files below a root, "" unless a test
 * has made one, and reports findings: what it is, whether a node can run like this, and the remedy.
 *
 * Threads:  one.
 * Errors:   what cannot be read is a finding or silence, never an end.
 */
#ifndef APPS_CHECK_H
#define APPS_CHECK_H

#include "apps/command.h"

#define CHECK_LINE_BYTES 256
#define CHECK_PMDS                                                                                 \
	"/usr/lib/x86_64-linux-gnu/dpdk/pmds-23.0" /* DPDK's drivers, where Debian puts them */

enum verdict {
	VERDICT_GOOD,
	VERDICT_NOTE,  /* works, but slower or less safe than it could be */
	VERDICT_FATAL, /* a node cannot run like this */
};

struct check {
	const struct decree_setup *setup; /* NULL: no configuration */
	const char *root;                 /* before every path of the kernel's files */
	bool is_json;
	const struct config_arguments *config; /* where `setup` came from */
	uint32_t fatal_count;
	bool is_raw_missing; /* a port needs CAP_NET_RAW, which we have not: set by check_ports() */
};

/** One finding. @param remedy  what to do, a sentence; NULL if there is nothing to do */
__attribute__((format(printf, 5, 6))) void report(struct check *c, enum verdict verdict,
	const char *subject, const char *remedy, const char *format, ...);

/** The first line of a file below the root, without its newline. @return false: unreadable */
__attribute__((format(printf, 4, 5))) bool
check_read(const struct check *c, char *line, size_t capacity, const char *format, ...);

/** The same as a number; 0 if it is none. */
__attribute__((format(printf, 2, 3))) long
check_number(const struct check *c, const char *format, ...);

/** Is there such a path below the root? */
__attribute__((format(printf, 2, 3))) bool
check_exists(const struct check *c, const char *format, ...);

/** What a link below the root points to, last part only. @return false: it is no link */
__attribute__((format(printf, 4, 5))) bool
check_link(const struct check *c, char *name, size_t capacity, const char *format, ...);

/** Whether no driver of DPDK's that is installed drives this PCI device. @return false also where
 * that cannot be told */
bool check_is_driver_missing(const struct check *c, const char *address);

void check_cpus(struct check *c);   /* cpus, power, clocksource */
void check_memory(struct check *c); /* hugepages, memlock */
void check_kernel(struct check *c); /* io_uring, dpdk, iommu */
void check_ports(struct check *c);  /* port, numa */
void check_disk(struct check *c);   /* data_dir, disk, space, disk cache, log mode, auth */
void
check_engine(struct check *c); /* keys, leases, listen, network: what the engine judges itself */

#endif
