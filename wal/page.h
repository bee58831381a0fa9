/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file page.h
 * The small things a log keeps twice: identity, session, hard state and hearsay, each as a sealed
 * page in two copies that are never written at the same time, so that one of them is whole whatever
 * happens.
 *
 * Page (512, 4096 or 32768 bytes, little-endian):
 *      0    8  magic: what kind of page this is
 *      8    8  log id (0 in the identity page, which defines it)
 *     16    8  generation: the copy with the higher one is newer
 *     24    8  lsn known durable when the page was written
 *     32    4  body bytes
 *     36    4  version that the cluster had, as far as the node knew (log_ops.raise)
 *     40   20  zero
 *     60    4  CRC-32C of the whole page without this field; seeded from the log's uuid, except in the identity
 *     64    -  body, then zeros
 */
#ifndef DECREE_WAL_PAGE_H
#define DECREE_WAL_PAGE_H

#include "wal/block.h"
#include "wal/disk_ops.h"

#define PAGE_HEADER_BYTES 64
#define PAGE_BYTES_MAX    4096 /* of one without which there is no log */

#define PAGE_MAGIC_IDENTITY  0x31646965657263ull /* "creeid1" */
#define PAGE_MAGIC_SESSION   0x31736565657263ull /* "creees1" */
#define PAGE_MAGIC_HARDSTATE 0x31736865657263ull /* "creehs1" */
#define PAGE_MAGIC_HEARSAY   0x31796865657263ull /* "creehy1" */

#define PAGE_HEARSAY_BYTES 32768

/* Where the two copies of a page live. */
struct page_pair {
	enum disk_file file;
	uint64_t offset_bytes[2];
	uint32_t bytes; /* of one copy */
	uint64_t magic;
};

extern const struct page_pair page_identity;
extern const struct page_pair page_session;
extern const struct page_pair page_hardstate;
extern const struct page_pair page_hearsay;

#define WAL_IDENTITY_FILE_BYTES  16384
#define WAL_HARDSTATE_FILE_BYTES (8192 + 2 * PAGE_HEARSAY_BYTES)

struct page_header {
	uint64_t generation;
	uint64_t lsn;
	uint32_t body_bytes;
	/* of the page, also if that is not ours; 0 in a page to be sealed: the first */
	uint32_t version;
};

enum page_state {
	PAGE_VALID = 0,
	PAGE_BAD = 1,
	/* whole, but of a version that this program does not know (base/version.h) */
	PAGE_VERSION = 2,
	PAGE_UNREADABLE = 3,
};

/** Write header and CRC around a body that already lies at page + PAGE_HEADER_BYTES; zeros what
 * follows it. */
void page_seal(uint8_t *page, const struct page_pair *pair, const struct wal_seal *seal,
	const struct page_header *header);

/** A page is valid if and only if magic, log id, CRC, version and body size are right. */
enum page_state page_check(const uint8_t *page, const struct page_pair *pair,
	const struct wal_seal *seal, struct page_header *ret_header);

/** One request, waited for. Start-up only. @retval 0  @retval -EIO short  @retval -errno */
int disk_io(const struct disk_ops *ops, void *disk, enum disk_request_kind kind,
	enum disk_file file, uint64_t offset_bytes, void *buffer, uint32_t bytes);

/** Read and check one copy. @param ret_page  [pair->bytes] at a multiple of 512; zeros if it cannot
 * be read */
enum page_state page_copy_load(const struct disk_ops *ops, void *disk, const struct page_pair *pair,
	int copy, const struct wal_seal *seal, uint8_t *ret_page, struct page_header *ret_header);

/** @return the request that writes a sealed page to one copy. Durably, also where nobody waits for it:
 * the copies must not be lost together. */
struct disk_request
page_copy_write(const struct page_pair *pair, int copy, uint8_t *page, uint64_t token);

/** @return bytes of memory that hold one copy: a multiple of PAGE_BYTES_MAX */
size_t page_stride(const struct page_pair *pair);

/**
 * Read both copies and choose the newest valid one. One that cannot be read is not valid. One of
 * another version counts for what a program of that version has said since, so no older one beside
 * it is taken in its place.
 *
 * @param ret_page    [pair->bytes] at a multiple of 512: the chosen page
 * @param ret_stale   index of the copy that must be rewritten before the chosen one may be, or -1
 * @retval -EBADMSG   no valid copy   @retval -EIO  none can be read
 * @retval -EPROTONOSUPPORT  a copy is of another version, ret_header->version
 */
int page_load(const struct disk_ops *ops, void *disk, const struct page_pair *pair,
	const struct wal_seal *seal, uint8_t *ret_page, struct page_header *ret_header,
	int *ret_stale);

/** Write a sealed page to both copies, one after the other, each durable. Start-up only. */
int page_store(const struct disk_ops *ops, void *disk, const struct page_pair *pair, uint8_t *page);

#endif
