/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file world.h
 * A cluster on hardware that is not here: the production core, loop and log of each shard of each
 * node in one thread and in virtual time, on a model of CPUs, NICs, links and disks. No faults:
 * those are the simulator's (tests/sim). One seed decides everything; the same arguments give the
 * same output, byte for byte.
 *
 *   main.c      options, the sequence of a run
 *   cost.c      what a turn costs its CPU, from counted instructions (tests/budget/budget.json)
 *   world.c     the order in which things happen; turns
 *   member.c    one shard of one node: its start, its log, its state machine
 *   wire.c      frames, NICs and links
 *   device.c    the disk of a host, and what its logs see of it
 *   load.c      proposers, and the latency of their commands
 *   report.c    what was reached, and what was at its limit
 *
 * The model:
 *   - A shard has a CPU to itself, unless the cores of a host are said to be fewer. A turn of the
 *     loop keeps it busy for as long as its counted work takes; its frames leave as it goes, and
 *     its writes at its end.
 *   - A frame waits for the NIC of its host, which sends with a fixed rate, travels for the link's
 *     latency, and waits for the NIC that receives it. The shards of a node share the NIC.
 *   - A write waits for the disk of its host, which takes bytes and requests with a fixed rate, and
 *     is durable a latency later. The shards of a node share the disk.
 *
 * Units: virtual nanoseconds, bytes.   Threads: one.   Memory: taken at the start, and frames as they are needed.
 */
#ifndef BENCH_SCALING_WORLD_H
#define BENCH_SCALING_WORLD_H

#include "apps/histogram.h"
#include "engine/runtime/shard.h"
#include "wal/wal.h"

#define NODE_COUNT_MAX    7
#define SHARD_COUNT_MAX   64
#define CORE_COUNT_MAX    256
#define DISK_COUNT_MAX    16
#define REGION_COUNT      3
#define PAYLOAD_BYTES     1424 /* of a frame: what an MTU of 1,500 leaves */
#define WINDOW_MAX        16384
#define COMMAND_BYTES_MAX 1024
#define REQUEST_COUNT     64 /* of a log, in flight */
#define US                1000ull
#define MS                1000000ull

struct world;
struct member;

/* What was asked for. */
struct settings {
	const char *name; /* of the run, for the reader */
	const char *budget;
	uint64_t seed;
	uint32_t node_count;
	uint32_t shard_count;
	uint32_t in_flight; /* of each shard; with a rate: at most */
	uint32_t command_bytes;
	uint64_t rate;     /* commands a second and shard that are due; 0: closed loop */
	uint64_t commands; /* measured, of each shard on average */
	uint32_t window_slots;
	bool is_one_leader; /* node 1 leads all shards; otherwise they take turns */
	bool is_one_host;   /* the nodes share CPUs and disk, and links cost nothing but latency */
	bool is_memory;     /* a write is durable at once */
	bool is_json;
	uint32_t cores; /* of a host; 0: one for each shard */

	uint64_t one_way_ns;
	uint64_t region_ns[REGION_COUNT]; /* one way between regions 1-2, 2-3, 1-3; 0: one place */
	uint64_t nic_gbit;

	uint32_t disk_count; /* of a host; shards take turns */
	uint64_t disk_ns;    /* until a write is durable */
	uint64_t disk_spread_ns;
	uint64_t disk_mb;     /* 10^6 bytes a second */
	uint64_t disk_writes; /* a second, at most */

	uint64_t instruction_ps; /* 10^-12 s */
	uint64_t driver_ns;      /* of each frame, in the port's driver */
	uint64_t write_ns;    /* of CPU for each request to the disk: system call and interrupt */
	uint64_t proposer_ns; /* of CPU for each command, where cores are shared */
};

/* ---- cost.c ---- */

struct role_cost {          /* in instructions */
	double per_frame;   /* received or sent */
	double per_command; /* appended and executed */
};

struct costs {
	struct role_cost leader;
	struct role_cost follower;
};

/** @return false: after a complaint */
bool costs_read(const char *path, struct costs *ret_costs);

/* What a turn did. */
struct work {
	uint32_t frames;
	uint32_t appended; /* commands, as parts of records */
	uint32_t executed;
	uint32_t writes;
};

uint64_t cost_ns(const struct world *w, const struct member *m, const struct work *work);

/* ---- wire.c ---- */

struct frame {
	struct frame *next;
	struct member *from, *to;
	uint64_t after_ns; /* it was sent so late in its turn */
	uint32_t bytes;    /* on the wire, all that a link is busy with */
	uint32_t payload_bytes;
	uint8_t payload[PAYLOAD_BYTES];
};

struct nic {
	double free_out_ns; /* has sent what it was given */
	double free_in_ns;
	uint64_t bytes_out;
	uint64_t bytes_in;
	uint64_t frames_out;
	uint64_t frames_in;
};

extern const struct net_ops wire_ops;

/** What was sent in a turn leaves when the turn has come that far. */
void wire_plan(struct world *w, struct member *m);

/** A run of frames leaves. */
void wire_depart(struct world *w, struct frame *f);

/** A frame reaches the port of the receiver's host. @return when it is in memory */
uint64_t wire_arrive(struct world *w, const struct frame *f);

/** It is in the receiver's memory. */
void wire_deliver(struct frame *f);

/* ---- device.c ---- */

struct device {
	double free_ns;
	double busy_ns;
	uint64_t bytes;
	uint64_t writes;
};

struct log_disk {
	struct member *member;
	uint64_t bytes[DISK_FILE_COUNT];
	uint8_t *data[DISK_FILE_COUNT]; /* NULL: nothing ever reads what was written */
	struct {
		struct disk_completion completion;
		uint64_t due_ns; /* UINT64_MAX: not handed over yet */
		uint32_t bytes;
		bool is_write;
	} requests[REQUEST_COUNT];
	uint32_t request_count;
};

extern const struct disk_ops log_disk_ops;

/** What a turn asked for goes to the device. */
void log_disk_hand_over(struct world *w, struct log_disk *disk);

/** @return when the next request is done, UINT64_MAX: none is on its way */
uint64_t log_disk_next_ns(const struct log_disk *disk);

/* ---- member.c ---- */

struct host {
	struct nic nic;
	struct device devices[DISK_COUNT_MAX];
	uint64_t core_free_ns[CORE_COUNT_MAX];
	uint32_t core_count; /* 0: each member has its own */
};

struct machine {
	uint64_t count;
	struct member *member;
};

struct member {        /* one shard of one node */
	uint32_t node; /* its id less 1 */
	uint32_t group;
	uint32_t place; /* of its host, from 0 */
	struct world *world;
	struct host *host;
	struct eng_config eng;
	struct machine machine;
	void *machines[1];
	struct shard *shard;
	struct wal *wal;
	struct log_disk disk;
	uint64_t behind_ns; /* its clock, against the world's */

	struct frame *inbox;
	struct frame **inbox_end;
	struct frame *outbox;
	struct frame **outbox_end;

	bool is_busy;        /* a turn is under way */
	bool has_rested;     /* the last turn found nothing to do */
	uint64_t planned_ns; /* of its next turn; UINT64_MAX: none */
	struct work work;    /* of this turn */
	uint64_t busy_ns;    /* while it was measured */
};

void member_start(struct world *w, struct member *m);
bool member_leads(const struct member *m);

/* ---- load.c ---- */

struct group {
	struct member *members[NODE_COUNT_MAX];
	struct member *leader;
	uint64_t random;
	uint64_t pushed;
	uint64_t popped;
	uint64_t done;
	bool has_news;    /* commands that no turn has seen */
	bool is_expected; /* the next command has an event */
	double due_ns;    /* of the next command, in an open loop */
	uint64_t sent_ns[WINDOW_MAX];
};

/** Before time begins. */
void load_open(const struct world *w, struct group *g);
void load_begin(struct world *w, struct group *g);

/** In an open loop: wake the leader when the next command is due. */
void load_expect(struct world *w, struct group *g);

/* ---- world.c ---- */

enum event_kind {
	EVENT_TURN = 1,
	EVENT_DEPART, /* a run of frames leaves */
	EVENT_WRITE,  /* of a turn: its writes are handed over */
	EVENT_END,    /* of a turn */
	EVENT_FRAME,  /* at the receiver's port */
	EVENT_INBOX,  /* in the receiver's memory */
	EVENT_LOAD,
};

struct event {
	uint64_t at_ns;
	uint64_t number;
	enum event_kind kind;
	void *of;
};

struct totals {
	uint64_t at_ns;
	uint64_t done;
	uint64_t retransmits;
};

struct world {
	struct settings s;
	struct costs costs;
	uint64_t now_ns;
	uint64_t random;
	bool is_settling; /* the network and the disks take no time */
	bool is_measured;
	uint64_t done;
	uint32_t host_count;
	struct host hosts[NODE_COUNT_MAX];
	struct member *members; /* [node_count * shard_count] */
	struct group *groups;   /* [shard_count] */
	struct event *events;   /* a heap */
	uint64_t event_count;
	uint64_t event_capacity;
	uint64_t event_number;
	struct frame *frames_free;
	struct histogram *latency;
	struct totals begin, end;
};

/* Ends the program. */
__attribute__((noreturn, format(printf, 1, 2))) void die(const char *format, ...);

uint64_t draw(uint64_t *stream, uint64_t bound); /* 0 .. bound - 1; 0 if bound is 0 */
void *take(size_t bytes);                        /* zeroed, in whole pages; ends the program */

void world_at(struct world *w, uint64_t at_ns, enum event_kind kind, void *of);
void world_settle(struct world *w);
void world_run(struct world *w);

/** @return when the core is free that is free first; NULL: each member has its own */
uint64_t *find_core(struct host *host);

uint64_t member_clock(const struct world *w, const struct member *m);

/* ---- report.c ---- */

void report(const struct world *w, FILE *to);

#endif
