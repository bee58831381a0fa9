/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file transfer.h
 * Between the files of state transfer: state_transfer.c fetches, transfer_serve.c serves,
 * transfer_install.c puts the state that was fetched in the place of our own. All on the shard's
 * thread.
 */
#ifndef ENGINE_RUNTIME_TRANSFER_H
#define ENGINE_RUNTIME_TRANSFER_H

#include "engine/runtime/shard_private.h"

#define TRANSFER_CHUNK_OVERHEAD (ENG_MSG_HEADER_BYTES + 40)

/* Of the reads of our own restore; those for peers are below SNAPSHOT_SERVE_COUNT. */
#define TRANSFER_TOKEN_RESTORE UINT64_MAX

/* ---- state_transfer.c ---- */

/** A message of this group to a node, with its header filled in. */
struct eng_msg transfer_message(const struct shard_group *g, enum eng_msg_type type, uint16_t to);
/** Without an empty frame it is lost: whoever waits asks again. */
void transfer_send(struct shard *s, struct shard_group *g, struct eng_msg *m);
/** What is asked for, and served, at once. */
uint32_t transfer_burst_bytes(const struct shard *s);

/* ---- transfer_serve.c ---- */

void transfer_on_fetch(struct shard *s, struct shard_group *g, const struct eng_msg *m);
void
transfer_on_read(struct shard *s, struct snapshot_serve *serve, const struct snap_completion *c);

/* ---- transfer_install.c ---- */

/** A turn of FETCH_POINTING or FETCH_RESTORING. */
void transfer_install_turn(struct shard *s);
void transfer_on_restore_read(struct shard *s, const struct snap_completion *c);

#endif
