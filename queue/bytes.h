/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file bytes.h
 * Little-endian loads and stores at any alignment. The queue needs nothing but include/decree, so
 * it has its own.
 */
#ifndef QUEUE_BYTES_H
#define QUEUE_BYTES_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

static inline uint32_t
queue_load_u32(const void *from)
{
	uint32_t v;

	memcpy(&v, from, sizeof(v));
	return le32toh(v);
}

static inline uint64_t
queue_load_u64(const void *from)
{
	uint64_t v;

	memcpy(&v, from, sizeof(v));
	return le64toh(v);
}

static inline void
queue_store_u32(void *to, uint32_t v)
{
	v = htole32(v);
	memcpy(to, &v, sizeof(v));
}

static inline void
queue_store_u64(void *to, uint64_t v)
{
	v = htole64(v);
	memcpy(to, &v, sizeof(v));
}

#endif
