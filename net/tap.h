/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file tap.h
 * Copies of a shard's frames, on their way to a file: a ring of bytes that the shard's thread
 * writes and one other thread reads. Nobody waits: what finds no room is counted and left out.
 *
 * A record in the ring: struct tap_record, then the frame's first bytes, then filler up to a
 * multiple of 8.
 *
 * Threads:  tap_push(): the shard's. tap_pop(): one reader. tap_lost_count(): any.
 * Memory:   tap_init() reserves addresses; pages come with the first frames that are copied.
 */
#ifndef DECREE_NET_TAP_H
#define DECREE_NET_TAP_H

#include "base/memory.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define TAP_RING_BYTES     (UINT32_C(4) << 20) /* a power of two */
#define TAP_SNAP_BYTES_MIN 64u
#define TAP_SNAP_BYTES_MAX 9216u /* any frame */

enum tap_direction {
	TAP_RECEIVED = 0,
	TAP_SENT = 1,
};

struct tap_record {
	uint64_t stamp_ns;    /* of the turn's clock */
	uint32_t frame_bytes; /* on the wire */
	uint16_t kept_bytes;  /* <= frame_bytes and the tap's snap_bytes */
	uint8_t port;
	uint8_t direction; /* enum tap_direction */
};

struct tap {
	uint8_t *ring;       /* [TAP_RING_BYTES] */
	uint32_t snap_bytes; /* set while nobody pushes */
	_Atomic uint64_t lost_count;
	BASE_OWN_LINE _Atomic uint64_t head; /* release: pairs with the acquire in tap_pop() */
	BASE_OWN_LINE _Atomic uint64_t tail; /* release: pairs with the acquire in tap_push() */
};
BASE_ASSERT_APART(struct tap, lost_count, head);
BASE_ASSERT_APART(struct tap, head, tail);
BASE_ASSERT_WHOLE_LINES(struct tap);

/** @retval 0  @retval -ENOMEM */
int tap_init(struct tap *tap);
void tap_fini(struct tap *tap);

/** Empty it and forget what was lost. Nobody pushes meanwhile.
 * @param snap_bytes  of each frame, TAP_SNAP_BYTES_MIN .. TAP_SNAP_BYTES_MAX */
void tap_reset(struct tap *tap, uint32_t snap_bytes);

/** Copy one frame, or count it as lost.
 * @param frame       [held_bytes] the part of it that is here
 * @param frame_bytes  of all of it, >= held_bytes */
void tap_push(struct tap *tap, uint64_t stamp_ns, uint8_t port, enum tap_direction direction,
	const uint8_t *frame, uint32_t held_bytes, uint32_t frame_bytes);

/** Take the oldest one. @param ret_frame  [TAP_SNAP_BYTES_MAX] @return false: there is none */
bool tap_pop(struct tap *tap, struct tap_record *ret_record, uint8_t *ret_frame);

/** Frames that found no room since tap_reset(). */
uint64_t tap_lost_count(const struct tap *tap);

#endif
