/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file tables.h
 * The experiments of "Protocol-Aware Recovery for Consensus-Based Storage" (FAST '18) on real log
 * files.
 *
 * A cluster of 3 or 5 nodes runs in one thread: the production core, loop and log, each log in a
 * directory of its own through io_uring; the network is that of tests/unit/runtime/world.h, and
 * time is virtual. It commits a few commands, stops, and its files become an *image* in memory. A
 * *pattern* is some damage to these files. For each pattern the damaged files are written out, all
 * nodes start, and run until every one has everything and a new command gets through, or for a few
 * seconds of virtual time. Then the pattern is judged:
 *
 *   recovered    every node runs, has every command at its place, and a new one is committed
 *                everywhere
 *   refused      the same of those that run; another one refuses to start or has stopped, and says
 *                why
 *   unavailable  no command gets through, and none that was committed is lost or another one on any
 *                node
 *   wrong        a committed command is missing, in another place or another one, on any node, at
 *                any time; or a pattern that must recover does not, or one recovers that must not
 *
 *   disk.h      a node's disk: real files, sectors that cannot be read
 *   image.h     the files of a node in memory, and what can happen to them
 *   cluster.h   nodes that start, run and die; the state machine, and who judges it
 *   base.c      the images to begin with
 *   entries.c   four entries on each node, every pattern of damaged ones
 *   faults.c    random damage to blocks, sectors that cannot be read, nodes that lag or are not
 *               there
 *   files.c     damage to snapshots; files that are missing, cut, unreadable, swapped
 *   run.c       one pattern: damage, start, judge
 *   main.c      options, processes, the table
 */
#ifndef DECREE_TABLES_H
#define DECREE_TABLES_H

#include "tests/tables/cluster.h"

#define BASE_COUNT_MAX  24
#define VERDICT_BYTES   2048
#define CRASH_COUNT_MAX 3

enum outcome {
	OUTCOME_RECOVERED = 0,
	OUTCOME_REFUSED = 1,
	OUTCOME_UNAVAILABLE = 2,
	OUTCOME_WRONG = 3,
	OUTCOME_COUNT = 4,
};

/* What the rules say of a pattern before it is tried. */
enum expectation {
	EXPECT_SAFETY,      /* nothing wrong; available or not */
	EXPECT_RECOVERY,    /* OUTCOME_RECOVERED and nothing else */
	EXPECT_SERVICE,     /* OUTCOME_RECOVERED or OUTCOME_REFUSED */
	EXPECT_NO_RECOVERY, /* OUTCOME_UNAVAILABLE and nothing else */
};

struct options {
	uint64_t seed;
	uint32_t jobs;
	bool is_direct;
	bool is_verbose;
	const char *directory;
};

/* A node dies, and starts again. */
struct crash {
	uint32_t node;
	bool is_worse; /* its disk has lost one more record by then, see damage_more() */
};

/* One process's share of the work: a cluster, its directory, and the files to damage. */
struct worker {
	struct options options;
	struct cluster *cluster;
	struct base *bases[BASE_COUNT_MAX];
	struct base *base; /* of this pattern */
	struct image images[NODE_MAX];
	uint64_t random;
	bool stays_away[NODE_MAX];             /* does not start */
	bool comes_late[NODE_MAX];             /* starts when the others have run for a while */
	struct crash crashes[CRASH_COUNT_MAX]; /* one after the other while all recover */
	uint32_t crash_count;
};

/* The damage of one pattern to w->images. @return what must come of it */
typedef enum expectation (*pattern_fn)(struct worker *w, uint64_t number);

struct family {
	const char *name;
	const char *title;
	uint32_t node_count;
	uint64_t universe; /* patterns that there are; 0: without end */
	uint64_t count;    /* of them, usually */
	uint64_t ci_count; /* and in CI */
	uint32_t base_count;
	bool has_snapshots; /* the history is long and has been cut back */
	pattern_fn damage;
};

struct verdict {
	enum outcome outcome;
	bool has_refused;         /* some node did not start, or stopped */
	char text[VERDICT_BYTES]; /* what is wrong, what the nodes say; lines */
};

/* run.c */
void worker_init(struct worker *w, const struct options *o, const struct family *f, uint32_t job);
void worker_fini(struct worker *w);
/* Try one pattern. */
void worker_run(struct worker *w, const struct family *f, uint64_t number, struct verdict *ret);

/* A history's files, and where its records are. */
struct base *base_make(struct worker *w, const struct family *f, uint64_t number);
void base_free(struct base *base);

/* entries.c */
enum expectation damage_entries(struct worker *w, uint64_t number);
enum expectation damage_entries_and_identifiers(struct worker *w, uint64_t number);

/* faults.c */
enum expectation damage_blocks(struct worker *w, uint64_t number);
enum expectation damage_reads(struct worker *w, uint64_t number);
enum expectation damage_with_crashes(struct worker *w, uint64_t number);
/* A record of which nothing is left, in the image of one node. */
void damage_more(struct worker *w, uint32_t node);

/* files.c */
enum expectation damage_snapshots(struct worker *w, uint64_t number);
enum expectation damage_files(struct worker *w, uint64_t number);

#endif
