/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file snapshot_format.h
 * The bytes of a snapshot, written in pieces and read in pieces.
 *
 *   header   where it was cut, and the configurations in force there
 *   chunks   the session table's pieces (engine/core/snapshot.h), then the state machine's chunks,
 *            each kind in its canonical order
 *   end      how many chunks there were, and the digest of everything before
 *
 * The same state gives the same bytes on every node, so a snapshot may come from several peers. The
 * tables are in docs/snapshot-format.md and at the top of snapshot_format.c.
 *
 * Threads:  pure functions over the caller's memory.
 * Errors:   -EBADMSG: not a snapshot, cut short, altered, or another cluster's or group's.
 *           -EPROTONOSUPPORT: of a version of the cluster that this program does not speak:
 *           `version`.
 */
#ifndef RUNTIME_SNAPSHOT_FORMAT_H
#define RUNTIME_SNAPSHOT_FORMAT_H

#include "base/digest.h"
#include "decree/machine.h"
#include "engine/core/snapshot.h"

#define SNAPSHOT_HEADER_BYTES_MAX   4096u
#define SNAPSHOT_CHUNK_HEADER_BYTES 32u
#define SNAPSHOT_END_BYTES          24u /* payload of the last chunk */

enum snapshot_chunk_kind {
	SNAPSHOT_SESSIONS = 1,
	SNAPSHOT_MACHINE = 2,
	SNAPSHOT_END = 3,
};

/** @param ret_bytes  [SNAPSHOT_HEADER_BYTES_MAX]  @return bytes written */
uint32_t snapshot_header_encode(
	const struct eng_snapshot *s, uint64_t cluster_id, uint16_t group, uint8_t *ret_bytes);

/** The header of one chunk; its payload follows it. */
void snapshot_chunk_encode(enum snapshot_chunk_kind kind, uint64_t index, const void *payload,
	uint32_t payload_bytes, uint8_t ret_bytes[SNAPSHOT_CHUNK_HEADER_BYTES]);

/** The payload of the chunk END. */
void snapshot_end_encode(
	uint64_t chunk_count, struct decree_digest before, uint8_t ret_bytes[SNAPSHOT_END_BYTES]);

enum snapshot_found {
	SNAPSHOT_FOUND_NOTHING = 0, /* everything was taken; more is needed */
	SNAPSHOT_FOUND_HEADER = 1,  /* `facts` is filled in */
	SNAPSHOT_FOUND_CHUNK = 2,   /* `chunk_*`: lent until the next call */
	SNAPSHOT_FOUND_END = 3,     /* whole, and as it was written; nothing may follow */
};

struct snapshot_reader {
	uint64_t cluster_id;
	uint16_t group;
	uint8_t *buffer; /* [DECREE_CHUNK_BYTES_MAX] */
	uint32_t have;
	uint32_t wanted;
	uint32_t stage;
	uint32_t header_bytes;
	uint32_t version; /* of the cluster, as the header says */
	uint64_t chunk_count;
	uint64_t index_next; /* of the present kind */
	struct digest_stream all;
	struct decree_digest chunk_digest;
	uint8_t chunk_head[16];
	struct eng_snapshot facts;
	/* the chunk that was found */
	enum snapshot_chunk_kind chunk_kind;
	uint64_t chunk_index;
	uint32_t chunk_bytes; /* in `buffer` */
};

/** @param buffer  [DECREE_CHUNK_BYTES_MAX], lent until the reader is no longer used */
void snapshot_reader_init(
	struct snapshot_reader *r, uint64_t cluster_id, uint16_t group, uint8_t *buffer);

/**
 * Take bytes until something is found.
 * @param ret_taken  how many were taken; the rest belongs to the next call
 * @return enum snapshot_found, -EBADMSG or -EPROTONOSUPPORT
 */
int
snapshot_read(struct snapshot_reader *r, const uint8_t *bytes, uint32_t count, uint32_t *ret_taken);

/** The end has been found. */
bool snapshot_is_whole(const struct snapshot_reader *r);

#endif
