/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file identity.h
 * What `decree format` writes into each log directory and can never change again: whose log it is,
 * and the cluster's constants. A node compares it with its configuration at every start, and peers
 * compare theirs in the handshake.
 *
 * Blob, little-endian, IDENTITY_BYTES long; valid if and only if the magic, the version and every
 * reserved byte are as below (the log's own checksum covers it):
 *
 *    0  u8[8] "decreeID"            48  u16 shard count        64  u32 session_window
 *    8  u32   version, 1            50  u16 shard index        68  u32 command_bytes_max
 *   12  u16   node_id               52  u32 slot_bytes         72  u16 group count
 *   14  u16   0                     56  u32 alpha              74  u16 0
 *   16  u64   cluster id            60  u32 session_count      76  u32 digest_slots
 *   24  u8[16] disk uuid            40  u64 0                  80  u32 lease_ms
 *                                                              84  u32 max_drift_ppm
 *                                                              88  u32 session_idle_slots
 *                                                              92  u32 0
 *
 * Leases may be switched on and off for a cluster that has a log already: lease_ms and
 * max_drift_ppm are 0 on disk, and what the configuration says in the handshake.
 *
 * Threads: pure functions.
 */
#ifndef ENGINE_RUNTIME_IDENTITY_H
#define ENGINE_RUNTIME_IDENTITY_H

#include "engine/runtime/config.h"

#define IDENTITY_BYTES 96

struct identity {
	uint64_t cluster_id;
	uint16_t node_id;
	struct decree_uuid disk; /* minted by format, the same in all shards' logs of one node */
	uint16_t shard_count;
	uint16_t shard;
	uint16_t group_count;
	uint32_t slot_bytes;
	uint32_t alpha;
	uint32_t session_count;
	uint32_t session_window;
	uint32_t command_bytes_max;
	uint32_t digest_slots;
	uint32_t lease_ms; /* in the handshake only, 0 = no leases */
	uint32_t max_drift_ppm;
	uint32_t session_idle_slots;
};

/** What the configuration says a log's identity should be, on disk; only the uuid comes from there. */
struct identity
identity_of_config(const struct config *c, uint16_t shard, const struct decree_uuid *disk);

/** What the configuration says beside that, and what peers must agree on in the handshake. */
void identity_add_leases(struct identity *identity, const struct config *c);

void identity_encode(const struct identity *identity, uint8_t ret_blob[IDENTITY_BYTES]);

/** @retval -EBADMSG not an identity, or of another version */
int identity_decode(const uint8_t *blob, uint32_t bytes, struct identity *ret_identity);

/**
 * Is this log the one of the configuration's node and shard?
 * @param what       what is named in the message: a folder
 * @param ret_error  [DECREE_ERROR_BYTES] the first difference, and what to do about it
 * @retval -EXDEV    of another cluster or node  @retval -EINVAL other constants
 */
int identity_check(const struct identity *found, const struct config *c, uint16_t shard,
	const char *what, char *ret_error);

/** Do two nodes of one cluster agree on its constants? @return NULL, or the name of one that
 * differs */
const char *identity_difference(const struct identity *mine, const struct identity *theirs);

#endif
