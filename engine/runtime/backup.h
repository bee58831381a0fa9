/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file backup.h
 * A backup: the newest snapshot of each group of one node in one file that says what it is.
 *
 * File, little-endian:
 *
 *      0     8  "decrback"
 *      8     4  version, 1
 *     12     4  zero
 *     16     8  when it was taken, seconds since 1970
 *     24    96  the node's identity (identity.h), shard 0, without a disk: cluster id, node id, constants
 *    120    16  per group, 64 of them: slot of its snapshot 8, bytes of it 8; zeros behind the last group
 *   1144     8  per group, 64 of them: when its snapshot was finished, seconds since 1970; 0 = not known
 *   1656   376  zero
 *   2032    16  digest of bytes 0 .. 2,031 (XXH3-128, low half first)
 *   2048        the snapshots (docs/snapshot-format.md), group 0 first, one directly behind the
 *               other
 *
 * A backup is valid if and only if the header's digest, magic, version, identity and zeros are
 * right, the file is exactly as long as the header says, and each snapshot is a valid one of its
 * cluster, group and slot. There every byte is under a digest.
 *
 * Threads:  one. Everything blocks.
 * Errors:   0 or -errno with a sentence for the operator.
 */
#ifndef RUNTIME_BACKUP_H
#define RUNTIME_BACKUP_H

#include "decree/setup.h"
#include "engine/runtime/identity.h"
#include "engine/runtime/snapshot_format.h"

#define BACKUP_VERSION      1u
#define BACKUP_HEADER_BYTES 2048u

struct backup_header {
	uint64_t taken_unix_s;
	struct identity identity;
	uint64_t slots[DECREE_GROUP_COUNT_MAX]; /* [identity.group_count] */
	uint64_t bytes[DECREE_GROUP_COUNT_MAX];
	uint64_t snapshot_unix_s[DECREE_GROUP_COUNT_MAX];
};

void
backup_header_encode(const struct backup_header *header, uint8_t ret_bytes[BACKUP_HEADER_BYTES]);

/* A backup, open for reading. */
struct backup {
	int fd; /* -1 = none */
	const char *path;
	struct backup_header header;
};

/** Read the header, and compare the file's length with it. @param path  lent until the close */
int backup_open(struct backup *b, const char *path, char ret_error[DECREE_ERROR_BYTES]);

/** Hand over a group's bytes in order; it is the sink that checks them.
 * @param sink  returns 0, or what ends the reading */
int backup_load(const struct backup *b, uint16_t group,
	int (*sink)(void *context, const void *bytes, uint32_t count), void *context,
	char ret_error[DECREE_ERROR_BYTES]);

void backup_close(struct backup *b);

/* Takes a snapshot's bytes apart as a restore would, and keeps nothing of them. */
struct backup_examiner {
	struct snapshot_reader reader;
	uint8_t buffer[DECREE_CHUNK_BYTES_MAX];
};

void backup_examine_begin(struct backup_examiner *x, uint64_t cluster_id, uint16_t group);

/** A sink for backup_load(). @param examiner  a struct backup_examiner @retval -EBADMSG it is
 * damaged */
int backup_examine(void *examiner, const void *bytes, uint32_t count);

/** Everything was taken: was it the whole snapshot of that slot? @retval -EBADMSG no */
int backup_examine_end(const struct backup_examiner *x, uint64_t slot);

/** What the header says, for the operator. */
void backup_describe(const struct backup_header *header, struct decree_backup *ret);

#endif
