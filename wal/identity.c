/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a log is (identity page, written once by wal_format) and what happened to it (session page,
 * written by each open before anything else).
 *
 * Body of the identity page:              Body of the session page:
 *      0   16  uuid of the log                  0    4  number of the session, from 1; 0 = never opened
 *     16    8  log bytes                        4    4  durability mode
 *     24    8  segment bytes                    8   16  the kernel's boot id
 *     32    4  window bytes                    24    8  pre-written bytes of `segments` (a hint)
 *     36    4  payload bytes max               32    8  pre-written bytes of `identifiers` (a hint)
 *     40    4  blob bytes                   40    8  lsn at which the log begins
 *     44   20  zero                         48    8  position of that block
 *     64    -  blob                         56   16  digest of the block before it
 *                                           72    4  generation of that block
 *                                           76    4  zero
 *
 * A session page of 40 bytes, as earlier versions wrote it, says that the log begins at lsn 1.
 */
#include "base/assert.h"
#include "base/bytes.h"
#include "wal/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IDENTITY_FIXED_BYTES  64
#define SESSION_BODY_BYTES    80
#define SESSION_BODY_BYTES_V1 40
#define START_MAX             (1ull << 62) /* no log lives that long, and sums do not overflow */
#define LOG_BYTES_DEFAULT     (1ull << 30)
#define LOG_BYTES_MAX         (1ull << 44)
#define SEGMENT_BYTES_DEFAULT (64ull << 20)
#define SEGMENT_BYTES_UNIT    32768
#define WINDOW_BYTES_DEFAULT  (4u << 20)
#define WINDOW_BYTES_MAX      (64u << 20)
#define WINDOW_BYTES_UNIT     4096
#define PAYLOAD_BYTES_DEFAULT 1400

static_assert(
	PAGE_HEADER_BYTES + IDENTITY_FIXED_BYTES + WAL_IDENTITY_BLOB_BYTES_MAX <= PAGE_BYTES_MAX,
	"the largest blob fits its page");
static_assert(
	SEGMENT_BYTES_UNIT >> IDENTIFIERS_BYTES_SHIFT == 4096, "ring bytes come in whole pages");
static_assert(PAGE_HEADER_BYTES + LOG_META_BYTES_MAX == PAGE_BYTES_MAX, "on-disk layout");
static_assert(PAGE_HEADER_BYTES + LOG_HEARSAY_BYTES_MAX == PAGE_HEARSAY_BYTES, "on-disk layout");

/* Derive and check. @return NULL, or what is wrong in words */
static const char *
check_geometry(struct wal_geometry *g)
{
	uint64_t block_bytes;

	if (g->payload_bytes_max == 0 || g->payload_bytes_max > WAL_PAYLOAD_BYTES_MAX)
		return "payload_bytes_max is not between 1 and 9216";
	g->sector_count_max = block_sector_count(g->payload_bytes_max);
	block_bytes = (uint64_t)g->sector_count_max * WAL_SECTOR_BYTES;

	if (g->segment_bytes == 0 || g->segment_bytes % SEGMENT_BYTES_UNIT != 0)
		return "segment_bytes is not a multiple of 32 KiB";
	if (g->segment_bytes < 4 * block_bytes)
		return "segment_bytes is too small for payload_bytes_max";
	if (g->log_bytes == 0 || g->log_bytes % g->segment_bytes != 0)
		return "log_bytes is not a multiple of segment_bytes";
	if (g->log_bytes > LOG_BYTES_MAX)
		return "log_bytes is above 16 TiB";
	if (g->window_bytes % WINDOW_BYTES_UNIT != 0 || g->window_bytes > WINDOW_BYTES_MAX)
		return "window_bytes is not a multiple of 4 KiB up to 64 MiB";
	if (g->window_bytes < 8 * block_bytes || g->window_bytes > g->log_bytes)
		return "window_bytes is less than eight of the largest blocks, or more than "
		       "log_bytes";

	g->identifiers_bytes = g->log_bytes >> IDENTIFIERS_BYTES_SHIFT;
	g->identifier_count = g->identifiers_bytes / IDENTIFIER_BYTES;
	return NULL;
}

static void
geometry_default(struct wal_geometry *g, const struct wal_format *f)
{
	uint64_t window;

	g->uuid = f->uuid;
	g->payload_bytes_max =
		f->payload_bytes_max != 0 ? f->payload_bytes_max : PAYLOAD_BYTES_DEFAULT;
	g->log_bytes = f->log_bytes != 0 ? f->log_bytes : LOG_BYTES_DEFAULT;
	g->segment_bytes = f->segment_bytes != 0 ? f->segment_bytes : SEGMENT_BYTES_DEFAULT;
	if (f->segment_bytes == 0 && g->segment_bytes > g->log_bytes)
		g->segment_bytes = g->log_bytes;
	window = g->log_bytes / 4 / WINDOW_BYTES_UNIT * WINDOW_BYTES_UNIT;
	if (window > WINDOW_BYTES_DEFAULT)
		window = WINDOW_BYTES_DEFAULT;
	g->window_bytes = f->window_bytes != 0 ? f->window_bytes : (uint32_t)window;
}

/* Put the page of a format together. */
static void
seal_identity(uint8_t *page, const struct wal_geometry *g, const struct wal_format *f)
{
	uint8_t *body = page + PAGE_HEADER_BYTES;
	struct page_header header = {
		.generation = 1,
		.body_bytes = IDENTITY_FIXED_BYTES + f->identity_bytes,
	};

	memset(body, 0, IDENTITY_FIXED_BYTES);
	memcpy(body, g->uuid.bytes, DECREE_UUID_BYTES);
	store_u64(body + 16, g->log_bytes);
	store_u64(body + 24, g->segment_bytes);
	store_u32(body + 32, g->window_bytes);
	store_u32(body + 36, g->payload_bytes_max);
	store_u32(body + 40, f->identity_bytes);
	if (f->identity_bytes > 0)
		memcpy(body + IDENTITY_FIXED_BYTES, f->identity, f->identity_bytes);
	page_seal(page, &page_identity, NULL, &header);
}

int
wal_identity_decode(const uint8_t *page, uint32_t body_bytes, struct wal_geometry *ret_geometry,
	const uint8_t **ret_blob, uint32_t *ret_blob_bytes)
{
	const uint8_t *body = page + PAGE_HEADER_BYTES;

	if (body_bytes < IDENTITY_FIXED_BYTES)
		return -EBADMSG;
	memset(ret_geometry, 0, sizeof(*ret_geometry));
	memcpy(ret_geometry->uuid.bytes, body, DECREE_UUID_BYTES);
	ret_geometry->log_bytes = load_u64(body + 16);
	ret_geometry->segment_bytes = load_u64(body + 24);
	ret_geometry->window_bytes = load_u32(body + 32);
	ret_geometry->payload_bytes_max = load_u32(body + 36);
	*ret_blob_bytes = load_u32(body + 40);
	*ret_blob = body + IDENTITY_FIXED_BYTES;
	if (*ret_blob_bytes != body_bytes - IDENTITY_FIXED_BYTES)
		return -EBADMSG;
	return check_geometry(ret_geometry) == NULL ? 0 : -EBADMSG;
}

void
wal_session_seal(uint8_t *page, const struct wal_session *s, const struct wal_seal *seal)
{
	uint8_t *body = page + PAGE_HEADER_BYTES;
	struct page_header header = {
		.generation = s->write_count,
		.body_bytes = SESSION_BODY_BYTES,
		.version = s->version,
	};

	store_u32(body, s->number);
	store_u32(body + 4, (uint32_t)s->mode);
	memcpy(body + 8, s->boot_id, WAL_BOOT_ID_BYTES);
	store_u64(body + 24, s->segments_prewritten_bytes);
	store_u64(body + 32, s->identifiers_prewritten_bytes);
	store_u64(body + 40, s->start.lsn);
	store_u64(body + 48, s->start.position);
	store_u64(body + 56, s->start.previous.lo);
	store_u64(body + 64, s->start.previous.hi);
	store_u32(body + 72, s->start.generation);
	store_u32(body + 76, 0);
	page_seal(page, &page_session, seal, &header);
}

static int
start_decode(const uint8_t *body, uint32_t body_bytes, const struct wal_geometry *g,
	struct log_start *ret)
{
	*ret = (struct log_start){ .lsn = 1, .position = g->log_bytes };
	if (body_bytes == SESSION_BODY_BYTES_V1)
		return 0;
	*ret = (struct log_start){
		.lsn = load_u64(body + 40),
		.position = load_u64(body + 48),
		.previous = { .lo = load_u64(body + 56), .hi = load_u64(body + 64) },
		.generation = load_u32(body + 72),
	};
	if (ret->lsn == 0 || ret->lsn > START_MAX || ret->position > START_MAX)
		return -EBADMSG;
	if (ret->position < g->log_bytes || ret->position % g->segment_bytes != 0)
		return -EBADMSG;
	return (ret->lsn == 1) == (ret->position == g->log_bytes) ? 0 : -EBADMSG;
}

int
session_decode(const uint8_t *page, const struct page_header *header, const struct wal_geometry *g,
	struct wal_session *ret)
{
	const uint8_t *body = page + PAGE_HEADER_BYTES;

	if (header->body_bytes != SESSION_BODY_BYTES && header->body_bytes != SESSION_BODY_BYTES_V1)
		return -EBADMSG;
	if (load_u32(body + 4) > DECREE_LOG_MEMORY)
		return -EBADMSG;
	ret->number = load_u32(body);
	ret->mode = (enum decree_log_mode)load_u32(body + 4);
	memcpy(ret->boot_id, body + 8, WAL_BOOT_ID_BYTES);
	ret->segments_prewritten_bytes = load_u64(body + 24);
	ret->identifiers_prewritten_bytes = load_u64(body + 32);
	ret->write_count = header->generation;
	ret->version = header->version;
	if (ret->segments_prewritten_bytes % WAL_SECTOR_BYTES != 0 ||
		ret->identifiers_prewritten_bytes % WAL_SECTOR_BYTES != 0)
		return -EBADMSG;
	return start_decode(body, header->body_bytes, g, &ret->start);
}

static int
format_is_fresh(const struct disk_ops *ops, void *disk, char *ret_error)
{
	static const char *const names[DISK_FILE_COUNT] = { "identity", "hardstate", "segments",
		"identifiers" };
	uint64_t bytes[DISK_FILE_COUNT];
	int rc = ops->sizes(disk, bytes);

	if (rc != 0) {
		snprintf(ret_error, DECREE_ERROR_BYTES, "cannot look at the log's files: %s",
			strerror(-rc));
		return rc;
	}
	for (int i = 0; i < DISK_FILE_COUNT; i++) {
		if (bytes[i] == 0)
			continue;
		snprintf(ret_error, DECREE_ERROR_BYTES,
			"the directory already holds a log (file %s has %llu bytes); nothing is "
			"ever formatted twice: choose an empty directory, or remove this one if it "
			"is really meant to go",
			names[i], (unsigned long long)bytes[i]);
		return -EEXIST;
	}
	return 0;
}

/* The identity comes last: without it the rest is not a log. */
static int
format_write(const struct disk_ops *ops, void *disk, const struct wal_geometry *g,
	const struct wal_format *format, uint8_t *page)
{
	struct wal_seal seal = wal_seal_of(&g->uuid);
	struct wal_session session = {
		.start = { .lsn = 1, .position = g->log_bytes },
		.write_count = 1,
	};
	int rc = ops->allocate(disk, DISK_SEGMENTS, g->log_bytes);

	if (rc == 0)
		rc = ops->allocate(disk, DISK_IDENTIFIERS, g->identifiers_bytes);
	if (rc == 0)
		rc = ops->allocate(disk, DISK_HARDSTATE, WAL_HARDSTATE_FILE_BYTES);
	if (rc == 0)
		rc = ops->allocate(disk, DISK_IDENTITY, WAL_IDENTITY_FILE_BYTES);
	if (rc == 0) {
		page_seal(page, &page_hardstate, &seal, &(struct page_header){ 0 });
		rc = page_store(ops, disk, &page_hardstate, page);
	}
	if (rc == 0) {
		page_seal(page, &page_hearsay, &seal, &(struct page_header){ 0 });
		rc = page_store(ops, disk, &page_hearsay, page);
	}
	if (rc == 0) {
		wal_session_seal(page, &session, &seal);
		rc = page_store(ops, disk, &page_session, page);
	}
	if (rc == 0)
		rc = ops->sync_all(disk);
	if (rc == 0) {
		seal_identity(page, g, format);
		rc = page_store(ops, disk, &page_identity, page);
	}
	if (rc == 0)
		rc = ops->sync_all(disk);
	return rc;
}

int
wal_format(const struct disk_ops *ops, void *disk, const struct wal_format *format,
	char ret_error[DECREE_ERROR_BYTES])
{
	struct wal_geometry geometry = { 0 };
	const char *wrong;
	uint8_t *page;
	int rc;

	geometry_default(&geometry, format);
	wrong = check_geometry(&geometry);
	if (wrong == NULL && format->identity_bytes > WAL_IDENTITY_BLOB_BYTES_MAX)
		wrong = "the identity is larger than 2 KiB";
	if (wrong != NULL) {
		snprintf(ret_error, DECREE_ERROR_BYTES, "cannot format the log: %s", wrong);
		return -EINVAL;
	}
	rc = format_is_fresh(ops, disk, ret_error);
	if (rc != 0)
		return rc;

	page = aligned_alloc(PAGE_BYTES_MAX, PAGE_HEARSAY_BYTES); /* the largest */
	if (page == NULL)
		rc = -ENOMEM;
	if (rc == 0)
		rc = format_write(ops, disk, &geometry, format, page);
	free(page);
	if (rc != 0)
		snprintf(ret_error, DECREE_ERROR_BYTES,
			"cannot make a log of %llu MiB with %llu MiB of identifiers: %s; free some "
			"space, or choose a smaller log_bytes, and format again",
			(unsigned long long)(geometry.log_bytes >> 20),
			(unsigned long long)(geometry.identifiers_bytes >> 20), strerror(-rc));
	return rc;
}
