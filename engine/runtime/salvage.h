/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file salvage.h
 * The inside of decree_force_recover(): a new cluster out of one node of a lost one; and of
 * decree_restore(): out of a backup.
 *
 *   salvage.c           the order of things: survey, build beside the final place, rename
 *   salvage_survey.c    what the old log holds, and where the first gap is
 *   salvage_log.c       its records into the new log, configurations replaced
 *   salvage_snapshot.c  its snapshots into the new directory, under the new cluster's header
 *   salvage_backup.c    the same with a backup instead of a node: snapshots, and no records
 *
 * Threads:  one; everything blocks.
 * Memory:   allocates as it needs: a bit per slot behind the snapshot, and 16 bytes per leader.
 */
#ifndef RUNTIME_SALVAGE_H
#define RUNTIME_SALVAGE_H

#include "decree/setup.h"
#include "engine/core/configs.h"
#include "engine/runtime/backup.h"
#include "engine/runtime/config.h"
#include "engine/runtime/identity.h"
#include "engine/runtime/meta.h"
#include "wal/directory.h"

struct salvage_group {
	struct decree_survivor found;
	struct eng_hard hard; /* zeros: never written */
	uint16_t id_last;     /* highest node id in a configuration of the log, decided or not */
	bool has_first;       /* slot 1 is a configuration */
	bool is_copied;       /* its snapshot is in the new directory */
	/* Slots behind the snapshot that have a record here, and an intact one. */
	uint64_t *held;      /* bit i: slot snapshot + 1 + i */
	uint64_t held_count; /* bits that `held` has room for */
	struct decree_slot held_last;
	/* lowest slot of which a record is damaged or marked; 0: none */
	struct decree_slot lost_first;
	/* Where each ballot of an intact record is met first: which of them count is known when the
	 * gap is. */
	struct salvage_ballot {
		struct decree_ballot ballot;
		struct decree_slot first;
	} * ballots; /* ascending */
	uint32_t ballot_count, ballot_capacity;
};

struct salvage {
	struct config config;             /* of the new cluster */
	struct decree_rescue *rescue;     /* NULL: a backup is restored, */
	const struct backup *backup;      /* else NULL */
	char building[CONFIG_PATH_BYTES]; /* becomes config.data_dir at the end */
	char *ret_error;
	struct identity old;     /* shard 0's */
	struct decree_uuid disk; /* the new one */
	uint64_t boot_count;
	struct salvage_group groups[DECREE_GROUP_COUNT_MAX];
};

/** One line for the operator. @return @p rc */
__attribute__((format(printf, 3, 4))) int
salvage_refuse(const struct salvage *s, int rc, const char *format, ...);

/** They have nothing to do until the disk answers: leave the CPU to it. */
void salvage_rest(void);

/** Groups of a shard count from 0 in its meta blob. @return its node-wide number */
static inline uint16_t
salvage_group_of(const struct salvage *s, uint32_t shard, uint32_t local)
{
	return (uint16_t)(shard + local * s->config.shard_count);
}

static inline uint32_t
salvage_group_count(const struct salvage *s, uint32_t shard)
{
	return (s->config.group_count - shard + s->config.shard_count - 1) / s->config.shard_count;
}

/**
 * What becomes of a configuration of the lost cluster: this node alone, at the same epoch, so that
 * the same ones are void. Whom it named before, it still names for replay: eng_is_live().
 */
void salvage_membership(const struct salvage *s, const struct salvage_group *g,
	const struct eng_membership *old, struct eng_membership *ret_members);

/** Read the old log of a shard, and leave it as it is. */
int salvage_read_old(struct salvage *s, uint32_t shard, const struct wal_recovery *recovery);

/** Is the configuration one of a cluster that begins with this node alone? */
int salvage_check_config(const struct salvage *s);

/** Build what was surveyed beside its place, and rename it; or leave nothing. */
int salvage_make(struct salvage *s);

/** Read a shard's log: fills in s->groups. */
int salvage_survey(struct salvage *s, uint32_t shard);

/** Copy a shard's records and hard states. */
int salvage_copy_log(struct salvage *s, uint32_t shard);

/** Copy the snapshots of all groups that have one. */
int salvage_copy_snapshots(struct salvage *s);

/** Take back those that were copied to a directory of their own. */
void salvage_forget_snapshots(const struct salvage *s);

/** Do the snapshots exist, whole? Finds their members' ids, too. */
int salvage_check_snapshots(struct salvage *s);

#endif
