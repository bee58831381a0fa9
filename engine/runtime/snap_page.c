/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of a snapshot file that are not the snapshot's own; snap_private.h has the table. */
#include "engine/runtime/snap_private.h"

#include "base/bytes.h"

#define MAGIC          0x316e7365657263ull /* "creesn1" */
#define VERSION        1
#define DIGESTED_BYTES 88

static_assert(SNAP_PIECE_BYTES % SNAP_PAGE_BYTES == 0, "pieces are aligned for direct I/O");

uint64_t
snap_piece_count(uint64_t bytes)
{
	return bytes / SNAP_PIECE_BYTES + (bytes % SNAP_PIECE_BYTES != 0);
}

uint64_t
snap_table_bytes(uint64_t piece_count)
{
	return (piece_count * sizeof(uint64_t) + SNAP_PAGE_BYTES - 1) / SNAP_PAGE_BYTES *
	       SNAP_PAGE_BYTES;
}

uint64_t
snap_piece_offset(uint64_t index)
{
	return SNAP_PAGE_BYTES + index * SNAP_PIECE_BYTES;
}

uint64_t
snap_piece_digest(const uint8_t *piece)
{
	return base_digest(piece, SNAP_PIECE_BYTES).lo;
}

static void
store_digest(uint8_t *to, struct decree_digest digest)
{
	store_u64(to, digest.lo);
	store_u64(to + 8, digest.hi);
}

static struct decree_digest
load_digest(const uint8_t *from)
{
	return (struct decree_digest){ .lo = load_u64(from), .hi = load_u64(from + 8) };
}

void
snap_page_encode(const struct snap_page *page, uint8_t bytes[SNAP_PAGE_BYTES])
{
	memset(bytes, 0, SNAP_PAGE_BYTES);
	store_u64(bytes, MAGIC);
	store_u32(bytes + 8, VERSION);
	store_u32(bytes + 12, SNAP_PIECE_BYTES);
	store_u64(bytes + 16, page->cluster_id);
	store_u16(bytes + 24, page->group);
	store_u64(bytes + 32, page->slot);
	store_u64(bytes + 40, page->bytes);
	store_digest(bytes + 48, page->digest);
	store_u64(bytes + 64, page->committed_unix_s);
	store_digest(bytes + 72, page->table_digest);
	store_digest(bytes + DIGESTED_BYTES, base_digest(bytes, DIGESTED_BYTES));
}

const char *
snap_page_decode(const uint8_t bytes[SNAP_PAGE_BYTES], struct snap_page *ret)
{
	if (load_u64(bytes) != MAGIC)
		return "it is no snapshot";
	if (!digest_eq(load_digest(bytes + DIGESTED_BYTES), base_digest(bytes, DIGESTED_BYTES)))
		return "its first page is damaged";
	if (load_u32(bytes + 8) != VERSION || load_u32(bytes + 12) != SNAP_PIECE_BYTES)
		return "it was written by another version of decree";
	*ret = (struct snap_page){
		.cluster_id = load_u64(bytes + 16),
		.group = load_u16(bytes + 24),
		.slot = load_u64(bytes + 32),
		.bytes = load_u64(bytes + 40),
		.digest = load_digest(bytes + 48),
		.committed_unix_s = load_u64(bytes + 64),
		.table_digest = load_digest(bytes + 72),
	};
	return ret->bytes >> 60 == 0 ? NULL : "its size is absurd";
}
