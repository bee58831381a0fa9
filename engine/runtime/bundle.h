/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file bundle.h
 * Several small messages of the core in one frame (protocol 13.3), so that the heartbeats, echoes
 * and acknowledgements of many groups between two nodes cost a few frames and not one each.
 *
 *   offset bytes
 *        0     1  type, 22
 *        1     1  zero
 *        2     2  count of messages, >= 2
 *        4        the messages, each: 0 u16 bytes, >= 1 | 2 the message as engine/core/msg.h writes it
 *
 * A bundle is valid if and only if its messages fill it exactly. Whether each of them is one, its
 * decoder says; the others count all the same.
 *
 * Threads:  pure functions.  Memory: what is found lends from the payload.
 */
#ifndef RUNTIME_BUNDLE_H
#define RUNTIME_BUNDLE_H

#include <stdbool.h>
#include <stdint.h>

#define BUNDLE_TYPE          22u /* beside the types of engine/core/msg.h */
#define BUNDLE_HEADER_BYTES  4u
#define BUNDLE_MESSAGE_BYTES 2u /* beside each message */

static inline bool
is_bundle(const uint8_t *payload, uint32_t bytes)
{
	return bytes > 0 && payload[0] == BUNDLE_TYPE;
}

/** The whole payload is a valid bundle. */
bool bundle_is_valid(const uint8_t *payload, uint32_t bytes);

/** The messages of a valid bundle in order. @param cursor  0 before the first. @return false at the
 * end */
bool bundle_next(const uint8_t *payload, uint32_t bytes, uint32_t *cursor,
	const uint8_t **ret_message, uint32_t *ret_message_bytes);

#endif
