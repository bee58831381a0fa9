/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file bytes.h
 * Little-endian loads and stores at any alignment, for the wire and the disk.
 */
#ifndef DECREE_BASE_BYTES_H
#define DECREE_BASE_BYTES_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t
load_u16(const void *from)
{
	uint16_t v;

	memcpy(&v, from, sizeof(v));
	return le16toh(v);
}

static inline uint32_t
load_u32(const void *from)
{
	uint32_t v;

	memcpy(&v, from, sizeof(v));
	return le32toh(v);
}

static inline uint64_t
load_u64(const void *from)
{
	uint64_t v;

	memcpy(&v, from, sizeof(v));
	return le64toh(v);
}

static inline void
store_u16(void *to, uint16_t v)
{
	v = htole16(v);
	memcpy(to, &v, sizeof(v));
}

static inline void
store_u32(void *to, uint32_t v)
{
	v = htole32(v);
	memcpy(to, &v, sizeof(v));
}

static inline void
store_u64(void *to, uint64_t v)
{
	v = htole64(v);
	memcpy(to, &v, sizeof(v));
}

#endif
