/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file faults.h
 * What goes wrong: the kinds of fault, how bad each is in one seed's world, and when it strikes.
 * faults.c, faults_*.c.
 */
#ifndef TESTS_SIM_FAULTS_H
#define TESTS_SIM_FAULTS_H

#include "engine/core/replica.h"
#include "engine/runtime/shard.h"
#include "tests/sim/limits.h"

struct sim;
struct sim_node;
struct sim_frame;
struct sim_image;

enum fault_kind {
	/* faults_net.c */
	FAULT_LOSS = 0,
	FAULT_DUPLICATE,
	FAULT_CORRUPT,
	FAULT_SLOW_FRAME,
	FAULT_REPLAY,
	FAULT_CLOG,
	FAULT_PARTITION,
	FAULT_PICKY,
	FAULT_CHURN,
	/* faults_process.c */
	FAULT_CRASH,
	FAULT_CRASH_INSIDE,
	FAULT_CRASH_LOOP,
	FAULT_CRASH_ALL,
	FAULT_PAUSE,
	/* faults_disk.c */
	FAULT_DISK_SLOW,
	FAULT_DISK_HANG,
	FAULT_DISK_ERROR,
	/* faults_clock.c */
	FAULT_DRIFT,
	FAULT_JUMP,
	/* faults_process.c: what nobody may rely on */
	FAULT_AMNESIA,
	/* faults_damage.c */
	FAULT_DAMAGE,
	FAULT_ROT,
	FAULT_READ_ERROR,
	FAULT_TORN_SECTOR,
	FAULT_MISDIRECT,
	/* faults_disk.c */
	FAULT_SMALL_LOG,
	/* faults_identity.c */
	FAULT_LYING,
	FAULT_ROLLBACK,
	/* members.c */
	FAULT_MEMBER_ADD,
	FAULT_MEMBER_REMOVE,
	FAULT_MEMBER_REPLACE,
	FAULT_DISK_LOST,
	/* faults_process.c */
	FAULT_ABSENT,
	FAULT_SLEEPER,
	/* members.c */
	FAULT_TRANSFER,
	/* faults_twin.c */
	FAULT_TWIN,
	/* faults_flapping.c */
	FAULT_FLAPPING,
	/* faults_disk.c */
	FAULT_SNAPSHOT_SPACE,
	/* faults_usurper.c */
	FAULT_USURPER,
	/* faults_damage.c */
	FAULT_DECISION,
	/* faults_outage.c */
	FAULT_OUTAGE,
	FAULT_KIND_COUNT,
};

/* One row of the table of kinds. */
struct fault {
	const char *name; /* for --without and for the story */
	const char *text; /* for --help */
	uint32_t percent; /* of the seeds have it */

	/** Decide how bad it is in this seed's world. May be NULL. */
	void (*draw)(struct sim *sim);

	/** It strikes once. NULL: a fault that is there all the time, see draw. */
	void (*strike)(struct sim *sim);
	uint32_t every_min; /* between two strikes of it on average, in tenths of T: drawn from */
	uint32_t every_max; /* [every_min, every_max] */
};

/* Where in a turn a process may die. */
enum crash_point {
	POINT_ANY_FRAME = 0, /* before a frame leaves */
	POINT_ACCEPT = 1,    /* before an Accept leaves: some have it, some do not */
	POINT_ANSWER = 2,    /* before a Promise or an Accepted leaves: durable, and nobody knows */
	POINT_APPEND = 3,    /* before records or a hard state are handed to the log */
	POINT_SUBMIT = 4,    /* around the system call of the log */
	POINT_SNAPSHOT = 5,  /* around the steps of a snapshot, and before the log is let go */
	POINT_CHUNK = 6,     /* before a piece of a snapshot leaves for a peer */
};

extern const struct fault sim_fault_table[FAULT_KIND_COUNT];

/* What this seed's world is like. */
struct sim_faults {
	bool has[FAULT_KIND_COUNT];
	uint64_t every_ns[FAULT_KIND_COUNT];
	uint64_t next_ns[FAULT_KIND_COUNT]; /* UINT64_MAX = never */
	uint64_t operator_ns;               /* the operator asks again then */
	uint64_t first_ns;                  /* smallest of all these and heal_ns */
	uint32_t loss_ppm;
	uint32_t duplicate_ppm;
	uint32_t corrupt_ppm; /* a byte is changed; who decodes it anyway would believe a lie */
	uint32_t slow_ppm;    /* frames that take up to slow_ns_max: reordering across elections */
	uint64_t slow_ns_max;
	uint64_t delay_ns_min;
	uint64_t delay_ns_max;
	uint64_t disk_ns_min;
	uint64_t disk_ns_max;
	uint32_t power_cut_percent; /* of crashes; the others are kill -9 */
	uint64_t down_ns_max;
	uint64_t pause_ns_max;
	uint32_t churn_left;  /* steps of the churn under way */
	uint32_t picky_types; /* bit per message type that picky paths lose */
	uint8_t is_picky[SIM_NODE_MAX + 1][SIM_NODE_MAX + 1]; /* [from][to] */
	uint64_t heal_ns;                                     /* the links heal then */
	uint64_t cut_ns_max;
	uint32_t drift_ppm_max;
	/* that a log holds before it takes no more commands; 0 = more than a run has */
	uint32_t log_records;
	uint32_t doubt_percent;   /* of the damage leaves nothing that names the record */
	uint32_t deep_percent;    /* of the damage is anywhere in the log, the rest near its end */
	uint32_t operator_quirks; /* percent of the operator's deeds that are odd */
	uint32_t strike_count;    /* so far; the number of an occurrence, for --only-faults */
	uint64_t flap_ns_max;     /* between two changes of the links that go on and off */
	uint32_t flaps_left;      /* changes to come */
	bool is_flapped_off;      /* those links carry nothing just now */
	uint8_t is_flapping[SIM_NODE_MAX + 1][SIM_NODE_MAX + 1]; /* [from][to] */
	uint32_t no_space;      /* bit per node without space for snapshots */
	uint32_t session_count; /* rows of the table; 0 = SIM_SESSION_COUNT */
	uint32_t usurper_count; /* proposers that were opened by nobody */
};

/* faults.c */
void sim_faults_draw(struct sim *sim);
void sim_faults_step(struct sim *sim);
/** A fault beside the schedule strikes now, with a number like any other. */
void sim_faults_strike(struct sim *sim, enum fault_kind kind);
/** The next occurrence gets its number. @return whether --only-faults keeps it */
bool sim_faults_number(struct sim *sim, const char *name);
void sim_faults_note_heal(struct sim *sim, uint64_t heal_ns);
uint16_t sim_any_node(struct sim *sim);
/** Leaders are where the interesting state is. */
uint16_t sim_victim(struct sim *sim);

/** The operator acts then; UINT64_MAX = never. */
void sim_faults_note_operator(struct sim *sim, uint64_t at_ns);

/* faults_net.c */
/** A frame leaves a node: put it on its way, or lose it. Takes the frame over. */
void sim_frame_send(struct sim *sim, struct sim_frame *frame);
void sim_links_heal(struct sim *sim);
/** Nobody reaches the node, and it reaches nobody, until the links heal after @p ns. */
void sim_cut_off(struct sim *sim, uint16_t id, uint64_t ns);
void fault_loss_draw(struct sim *sim);
void fault_duplicate_draw(struct sim *sim);
void fault_corrupt_draw(struct sim *sim);
void fault_slow_frame_draw(struct sim *sim);
void fault_replay_strike(struct sim *sim);
void fault_clog_strike(struct sim *sim);
void fault_partition_draw(struct sim *sim);
void fault_partition_strike(struct sim *sim);
void fault_picky_strike(struct sim *sim);
void fault_churn_strike(struct sim *sim);
void faults_net_draw(struct sim *sim);

/* faults_flapping.c */
void fault_flapping_draw(struct sim *sim);
void fault_flapping_strike(struct sim *sim);
void sim_flapping_end(struct sim *sim);

/* faults_usurper.c */
void fault_usurper_draw(struct sim *sim);
void fault_usurper_strike(struct sim *sim);

/* faults_process.c */
void faults_process_draw(struct sim *sim);
void fault_crash_strike(struct sim *sim);
void fault_crash_inside_strike(struct sim *sim);
void fault_crash_loop_strike(struct sim *sim);
void fault_crash_all_strike(struct sim *sim);
void fault_absent_strike(struct sim *sim);
void fault_sleeper_strike(struct sim *sim);
void fault_pause_draw(struct sim *sim);
void fault_pause_strike(struct sim *sim);
/** A process dies here if it is meant to: called from inside the tables of node.c. */
void fault_crash_point(struct sim_node *n, enum crash_point point);
void fault_amnesia_strike(struct sim *sim);
/** The node dies now; it comes back after a while. */
void fault_crash_now(struct sim *sim, uint16_t id);

/* faults_disk.c */
void faults_disk_draw(struct sim *sim);
void fault_disk_slow_strike(struct sim *sim);
void fault_disk_hang_strike(struct sim *sim);
void fault_disk_error_strike(struct sim *sim);
void fault_small_log_draw(struct sim *sim);

/* faults_damage.c */
void fault_damage_draw(struct sim *sim);
void fault_damage_strike(struct sim *sim);
void fault_rot_strike(struct sim *sim);
void fault_decision_strike(struct sim *sim);
void fault_read_error_strike(struct sim *sim);
void fault_torn_sector_strike(struct sim *sim);
void fault_misdirect_strike(struct sim *sim);
/** Nodes outside spoilt_nodes must remain a quorum of both phases: may this one join it? */
bool sim_may_spoil(const struct sim *sim, uint16_t id);
/** Nodes that the quorums can do without. */
uint32_t sim_spare_count(const struct sim *sim);
/** What struct wal_recovery.damaged is, of a node: as in production, if there is reason for it. */
int sim_damage_recover(void *context, const struct log_place *place, const uint8_t *tag);

void fault_snapshot_space_strike(struct sim *sim);
/** There is space for snapshots again, on all nodes of the set. */
void sim_space_return(struct sim *sim, uint32_t nodes);

/* faults_identity.c */
void fault_lying_strike(struct sim *sim);
void fault_rollback_strike(struct sim *sim);
/** Somebody whose word counts for nothing runs, and only memory tells: no process may end
 * meanwhile. */
bool sim_must_remember(const struct sim *sim);
/** Every other node runs, and remembers more of this one than its recovered replica claims. */
bool sim_is_found_out(const struct sim *sim, const struct sim_node *n);

/** Does every other node refuse a life of this one that claims so much? */
bool sim_image_is_outdated(const struct sim *sim, const struct sim_image *image);
void sim_image_take(struct sim *sim, struct sim_image *image, const struct sim_node *n);
/** A node starts on what the image holds. Latencies as in this world, and a stream of its own. */
void sim_image_put(struct sim *sim, const struct sim_image *image, struct sim_node *n);
/** What was meant to end processes does not. */
void sim_spare_processes(struct sim *sim);

/* faults_outage.c */
void fault_outage_strike(struct sim *sim);

/* faults_twin.c */
void fault_twin_strike(struct sim *sim);
void sim_twin_reset(struct sim *sim);
/** The original wakes up as soon as it may. */
void sim_twin_step(struct sim *sim);
/** A second process with this id runs, or has run. */
bool sim_has_twin(const struct sim *sim, uint16_t id);
/** It still runs, or the other one may not be believed and still runs. */
bool sim_twins_are_open(const struct sim *sim);
/** Whichever of its processes speaks for this id. */
const struct sim_node *sim_voice(const struct sim *sim, uint16_t id);
/** One of two processes has ended, for what the others know of it. */
void sim_twin_note_end(struct sim *sim, const struct sim_node *n);
/** May it, though its word counts? */
bool sim_twin_ends_rightly(const struct sim *sim, const struct sim_node *n, enum eng_halt why);
/** A frame for this id has arrived. @return who gets it; @p ret_other: who gets a copy, or NULL */
struct sim_node *sim_twin_hearer(struct sim *sim, uint16_t id, struct sim_node **ret_other);
/** Nothing disturbs any more: they must be found out within a bound. */
void sim_twins_settle(struct sim *sim);

/* faults_clock.c */
void fault_drift_draw(struct sim *sim);
void fault_jump_strike(struct sim *sim);
/** A process starts; after a power cut its clock begins anew. */
void sim_clock_start(struct sim *sim, struct sim_node *n);
/** What the node's clock reads now. */
uint64_t sim_clock_read(const struct sim *sim, const struct sim_node *n);
void sim_clocks_agree(struct sim *sim);
/** When the node's clock will read @p node_ns or more. */
uint64_t sim_clock_when(const struct sim *sim, const struct sim_node *n, uint64_t node_ns);

#endif
