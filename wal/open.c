/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening and closing a log. The order of an open, and why:
 *
 *   1. identity: is this a log at all, and the caller's own? Then the sizes of its files.
 *   2. session page: how many sessions were there, and did an earlier one lose what it promised?
 *   3. hard state, then the records (recover.c). Up to here nothing was written.
 *   4. the new session is durable before anything carries its number;
 *   5. sync_all: a killed process leaves writes that can be read back but are not durable yet. They
 *      must be, before the boot record or the caller builds on them;
 *   6. boot record over a torn tail, so that nothing of what was cut can come back;
 *   7. stale copies of pages and the last identifiers are written again, the next segment is
 *      pre-written, synced.
 */
#include "base/assert.h"
#include "base/bytes.h"
#include "base/failpoint.h"
#include "base/version.h"
#include "wal/scan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PREWRITE_BYTES_PER_SECOND_DEFAULT (128ull << 20)
#define REMEDY                            "keep the files, and replace this node by one with a new node id"

static int
fail(char *error, int rc, const char *what)
{
	snprintf(error, DECREE_ERROR_BYTES, "%s: %s", what, strerror(-rc));
	return rc;
}

static int
page_load_failed(char *error, int rc, uint32_t version, const char *what)
{
	if (rc == -EBADMSG)
		snprintf(error, DECREE_ERROR_BYTES,
			"both copies of the log's %s are damaged; " REMEDY, what);
	else if (rc == -EPROTONOSUPPORT)
		snprintf(error, DECREE_ERROR_BYTES,
			"the log's %s was written by version %u, and this program reads versions "
			"%u to %u: start the program that wrote it, or a newer one. There is no "
			"way back but to replace this node by one with a new node id",
			what, version, base_versions.min, base_versions.max);
	else
		snprintf(error, DECREE_ERROR_BYTES,
			"cannot read the log's %s: %s. Nothing was changed: check the device, then "
			"start the node again",
			what, strerror(-rc));
	return rc;
}

static int
sizes_check(const struct wal *w, const uint64_t bytes[DISK_FILE_COUNT], char *error)
{
	const struct {
		const char *name;
		enum disk_file file;
		uint64_t bytes;
	} rows[] = {
		{ "hardstate", DISK_HARDSTATE, WAL_HARDSTATE_FILE_BYTES },
		{ "segments", DISK_SEGMENTS, w->geometry.log_bytes },
		{ "identifiers", DISK_IDENTIFIERS, w->geometry.identifiers_bytes },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t have = bytes[rows[i].file];

		if (have == rows[i].bytes)
			continue;
		snprintf(error, DECREE_ERROR_BYTES,
			"the log's file %s %s: it has %llu bytes and should have %llu; " REMEDY,
			rows[i].name, have == 0 ? "is missing" : "was cut or extended",
			(unsigned long long)have, (unsigned long long)rows[i].bytes);
		return have == 0 ? -ENOENT : -EBADMSG;
	}
	return 0;
}

int
identity_load(
	struct wal *w, const struct wal_recovery *to, int *ret_stale, uint8_t *page, char *error)
{
	uint64_t bytes[DISK_FILE_COUNT];
	struct page_header header = { 0 };
	const uint8_t *blob;
	uint32_t blob_bytes;
	int rc = w->ops->sizes(w->disk, bytes);

	if (rc != 0)
		return fail(error, rc, "cannot look at the log's files");
	if (bytes[DISK_IDENTITY] != WAL_IDENTITY_FILE_BYTES) {
		snprintf(error, DECREE_ERROR_BYTES, "%s",
			bytes[DISK_IDENTITY] == 0
				? "this is not a log directory (file identity is missing): format "
				  "it first; if it was one, " REMEDY
				: "the log's file identity was cut or extended; " REMEDY);
		return bytes[DISK_IDENTITY] == 0 ? -ENOENT : -EBADMSG;
	}
	rc = page_load(w->ops, w->disk, &page_identity, NULL, page, &header, ret_stale);
	if (rc == 0)
		rc = wal_identity_decode(page, header.body_bytes, &w->geometry, &blob, &blob_bytes);
	if (rc != 0)
		return page_load_failed(error, rc, header.version, "identity (file identity)");
	w->seal = wal_seal_of(&w->geometry.uuid);
	if (to->identity != NULL)
		rc = to->identity(to->context, &w->geometry.uuid, blob, blob_bytes, error);
	return rc != 0 ? rc : sizes_check(w, bytes, error);
}

int
session_load(struct wal *w, char *error)
{
	uint8_t page[512] __attribute__((aligned(512)));
	struct page_header header = { 0 };
	int stale, rc;

	rc = page_load(w->ops, w->disk, &page_session, &w->seal, page, &header, &stale);
	if (rc == 0)
		rc = session_decode(page, &header, &w->geometry, &w->session);
	if (rc == 0 &&
		(w->session.segments_prewritten_bytes > w->geometry.log_bytes ||
			w->session.identifiers_prewritten_bytes > w->geometry.identifiers_bytes))
		rc = -EBADMSG;
	return rc != 0 ? page_load_failed(error, rc, header.version, "session page (file identity)")
		       : 0;
}

/* What earlier sessions promised only "unless ..." (protocol 11). */
static int
session_check(const struct wal *w, const struct wal_config *cfg, char *error)
{
	if (w->session.number == 0)
		return 0;
	if (w->session.mode == DECREE_LOG_MEMORY) {
		snprintf(error, DECREE_ERROR_BYTES,
			"this node ran with log mode `memory` and has forgotten what it promised; "
			"replace it by one with a new node id, or format anew if the whole cluster "
			"is for measuring only");
		return -ESTALE;
	}
	if (w->session.mode == DECREE_LOG_BUFFERED &&
		memcmp(w->session.boot_id, cfg->boot_id, WAL_BOOT_ID_BYTES) != 0) {
		snprintf(error, DECREE_ERROR_BYTES,
			"this node ran with log mode `buffered` and the machine was restarted "
			"under it: it may have lost what it promised; replace it by one with a new "
			"node id");
		return -ESTALE;
	}
	if (cfg->mode == DECREE_LOG_MEMORY) {
		snprintf(error, DECREE_ERROR_BYTES,
			"log mode `memory` would forget the records of this directory; format "
			"another one");
		return -ESTALE;
	}
	return 0;
}

static size_t
take(size_t *offset, size_t bytes)
{
	size_t at = *offset;

	*offset += (bytes + 4095) & ~(size_t)4095;
	return at;
}

/* A disk that has more to do than it can is given few, long writes. A log with a small window has
 * few blocks on their way, and soon waits for their identifiers. */
static void
identifiers_size(struct wal *w)
{
	struct wal_identifiers *ids = &w->identifiers;

	ids->capacity = 64;
	while (ids->capacity < 2 * w->geometry.window_bytes / WAL_SECTOR_BYTES)
		ids->capacity *= 2;
	ids->batch_count = ids->capacity / 8;
	if (ids->batch_count < IDENTIFIER_BATCH_COUNT_MIN)
		ids->batch_count = IDENTIFIER_BATCH_COUNT_MIN;
	if (ids->batch_count > IDENTIFIER_BATCH_COUNT_MAX)
		ids->batch_count = IDENTIFIER_BATCH_COUNT_MAX;
	ids->stage_bytes = IDENTIFIER_CHUNK_BYTES;
	while (ids->stage_bytes < IDENTIFIER_STAGE_BYTES &&
		ids->stage_bytes < ids->capacity / 2 * IDENTIFIER_BYTES)
		ids->stage_bytes *= 2;
}

/* One region for everything, so that the disk can register it once. */
static int
memory_init(struct wal *w, char *error)
{
	size_t slot_bytes = (size_t)w->geometry.sector_count_max * WAL_SECTOR_BYTES;
	size_t total = 0, window, stage, zeros, page, pending, hearsay, heard, note, slots,
	       payloads, entries, segments, scrub;
	uint8_t *m;
	int rc;

	identifiers_size(w);
	window = take(&total, w->geometry.window_bytes);
	stage = take(&total, w->identifiers.stage_bytes);
	zeros = take(&total, PREWRITE_PIECE_BYTES);
	page = take(&total, PAGE_BYTES_MAX);
	pending = take(&total, LOG_META_BYTES_MAX);
	hearsay = take(&total, PAGE_HEARSAY_BYTES);
	heard = take(&total, LOG_HEARSAY_BYTES_MAX);
	note = take(&total, WAL_SECTOR_BYTES);
	slots = take(&total, READ_SLOT_COUNT * slot_bytes);
	payloads = take(&total, READ_SLOT_COUNT * slot_bytes);
	entries = take(&total, (size_t)w->identifiers.capacity * IDENTIFIER_BYTES);
	segments = take(&total,
		w->geometry.log_bytes / w->geometry.segment_bytes * sizeof(*w->trim.segments));
	scrub = take(&total, w->scrub.bytes_per_second != 0
				     ? SCRUB_PIECE_BYTES + SCRUB_ENTRIES_BYTES + slot_bytes
				     : 0);

	m = mmap(NULL, total, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE,
		-1, 0);
	if (m == MAP_FAILED)
		return fail(error, -errno, "cannot get the log's memory");
	w->memory = m;
	w->memory_bytes = total;
	w->append.buffer = m + window;
	w->identifiers.stage = m + stage;
	w->identifiers.entries = m + entries;
	w->identifiers.first_lsn = w->session.start.lsn;
	w->trim.segments = (struct log_start *)(m + segments);
	w->scrub.piece = m + scrub;
	w->scrub.entries = w->scrub.piece + SCRUB_PIECE_BYTES;
	w->scrub.payload = w->scrub.entries + SCRUB_ENTRIES_BYTES;
	w->prewrite.zeros = m + zeros;
	w->prewrite.note = m + note;
	w->meta.page = m + page;
	w->meta.pending = m + pending;
	w->meta.copy = -1;
	w->hearsay.page = m + hearsay;
	w->hearsay.pending = m + heard;
	for (uint32_t i = 0; i < READ_SLOT_COUNT; i++) {
		w->reads[i].sectors = m + slots + i * slot_bytes;
		w->reads[i].payload = m + payloads + i * slot_bytes;
	}
	rc = w->ops->attach(w->disk, m, total);
	return rc != 0 ? fail(error, rc, "cannot register the log's memory") : 0;
}

/* @param ret_durable_lsn  known durable when the hard state was written */
static int
meta_load(struct wal *w, const struct wal_recovery *to, int *ret_stale, uint64_t *ret_durable_lsn,
	char *error)
{
	struct page_header header = { 0 };
	int rc = page_load(
		w->ops, w->disk, &page_hardstate, &w->seal, w->meta.page, &header, ret_stale);

	if (rc != 0)
		return page_load_failed(error, rc, header.version, "hard state (file hardstate)");
	if (w->session.version < header.version)
		w->session.version = header.version; /* raised since the session page was written */
	w->meta.requested_generation = header.generation;
	w->meta.durable_generation = header.generation;
	w->meta.reported_generation = header.generation;
	*ret_durable_lsn = header.lsn;
	if (to->meta != NULL)
		rc = to->meta(to->context, header.generation, w->meta.page + PAGE_HEADER_BYTES,
			header.body_bytes);
	return rc;
}

static int
session_begin(struct wal *w, const struct wal_config *cfg)
{
	w->session.number++;
	w->session.mode = cfg->mode;
	memcpy(w->session.boot_id, cfg->boot_id, WAL_BOOT_ID_BYTES);
	w->session.write_count++;
	wal_session_seal(w->prewrite.note, &w->session, &w->seal);
	return page_store(w->ops, w->disk, &page_session, w->prewrite.note);
}

/* Rewrite the copy that is not like the chosen one, before the chosen one is ever overwritten. */
static int
copy_repair(struct wal *w, const struct page_pair *pair, int stale, uint8_t *page)
{
	if (stale < 0)
		return 0;
	return disk_io(w->ops, w->disk, DISK_WRITE_DURABLE, pair->file, pair->offset_bytes[stale],
		page, pair->bytes);
}

/* The state of a log that has nothing in flight and everything up to the head durable. */
static void
append_begin(struct wal *w)
{
	struct wal_append *a = &w->append;

	a->submitted = a->durable = a->durable_end = a->head;
	a->durable_lsn = a->reported_lsn = a->next_lsn - 1;
}

static int
boot_record_write(struct wal *w, const struct log_end *end)
{
	uint8_t payload[16], tag[LOG_TAG_BYTES] = { 0 };
	struct disk_request request;
	int rc = 0;

	if (end->is_cut)
		w->counters.lsn_cut = w->append.next_lsn;
	store_u64(payload, w->append.next_lsn);
	store_u64(payload + 8, w->append.head);
	append_block(w, BLOCK_BOOT, tag, payload, sizeof(payload));
	FAILPOINT("wal.open.boot_record_encoded");
	while (rc == 0 && append_next_write(w, &request)) {
		rc = disk_io(w->ops, w->disk, request.kind, request.file, request.offset_bytes,
			request.buffer, request.bytes);
		if (rc == 0)
			append_on_written(w, request.token);
	}
	append_begin(w);
	FAILPOINT("wal.open.boot_record_written");
	return rc;
}

/* The last identifiers may be missing: they are written lazily. */
static int
identifiers_repair(struct wal *w)
{
	struct wal_identifiers *ids = &w->identifiers;
	uint64_t last = w->append.durable_lsn;
	uint64_t held = last + 1 - ids->first_lsn;
	uint64_t count = held < ids->capacity / 2 ? held : ids->capacity / 2;
	struct disk_request request;
	int rc = 0;

	ids->written_lsn = (last - count + IDENTIFIER_COUNT_PER_SECTOR - 1) /
			   IDENTIFIER_COUNT_PER_SECTOR * IDENTIFIER_COUNT_PER_SECTOR;
	if (ids->written_lsn > last)
		ids->written_lsn = last;
	while (rc == 0 && ids->written_lsn < last) {
		ids->pending_since_ns = 1;
		if (!identifiers_next_write(w, UINT64_MAX, true, &request))
			break;
		rc = disk_io(w->ops, w->disk, DISK_WRITE, request.file, request.offset_bytes,
			request.buffer, request.bytes);
		FAILPOINT("wal.open.identifiers_piece");
		if (rc == 0)
			identifiers_on_written(w);
	}
	return rc;
}

static void
prewrite_begin(struct wal *w, const struct wal_config *cfg)
{
	struct wal_prewrite *p = &w->prewrite;
	uint64_t head = w->append.head - w->geometry.log_bytes; /* a lap or more: all of it */
	uint64_t entries = (w->append.next_lsn - 1 + IDENTIFIER_COUNT_PER_SECTOR - 1) /
			   IDENTIFIER_COUNT_PER_SECTOR * WAL_SECTOR_BYTES;

	p->segments_bytes = w->session.segments_prewritten_bytes;
	p->identifiers_bytes = w->session.identifiers_prewritten_bytes;
	p->noted_bytes = p->segments_bytes;
	if (p->segments_bytes < head)
		p->segments_bytes = head < w->geometry.log_bytes ? head : w->geometry.log_bytes;
	if (p->identifiers_bytes < entries)
		p->identifiers_bytes = entries < w->geometry.identifiers_bytes
					       ? entries
					       : w->geometry.identifiers_bytes;
	p->bytes_per_second = cfg->prewrite_bytes_per_second != 0
				      ? cfg->prewrite_bytes_per_second
				      : PREWRITE_BYTES_PER_SECOND_DEFAULT;
}

/* Everything that an open writes; see the story at the top. */
static int
begin(struct wal *w, const struct wal_config *cfg, const struct log_end *end, int stale_identity,
	uint8_t *identity, int stale_meta)
{
	int rc = session_begin(w, cfg);

	FAILPOINT("wal.open.session_begun");
	if (rc == 0)
		rc = copy_repair(w, &page_identity, stale_identity, identity);
	if (rc == 0)
		rc = copy_repair(w, &page_hardstate, stale_meta, w->meta.page);
	FAILPOINT("wal.open.copies_repaired");
	if (rc == 0)
		rc = w->ops->sync_all(w->disk);
	FAILPOINT("wal.open.synced");
	append_begin(w);
	w->append.buffered_first = w->append.head;
	if (rc == 0 && (end->is_cut || end->is_sealed))
		rc = boot_record_write(w, end);
	if (rc == 0)
		rc = identifiers_repair(w);
	FAILPOINT("wal.open.identifiers_repaired");
	prewrite_begin(w, cfg);
	if (rc == 0 && !w->is_endless)
		rc = prewrite_first(w);
	FAILPOINT("wal.open.prewritten");
	if (rc == 0)
		rc = w->ops->sync_all(w->disk);
	FAILPOINT("wal.open.done");
	return rc;
}

/* What an open learns before it writes anything. */
struct found {
	int stale_identity; /* copy to be written again, -1 = none */
	int stale_meta;
	uint64_t durable_lsn; /* as the hard state knows it */
	struct log_end end;
	bool is_lossy;  /* what is missing at the end is gone */
	int refused_rc; /* goes on nevertheless: somebody only wants to see the rest */
};

static int
pages_load(struct wal *w, const struct wal_config *cfg, struct found *f, uint8_t *identity,
	char *error)
{
	const struct wal_recovery *to = &cfg->recovery;
	int rc = identity_load(w, to, &f->stale_identity, identity, error);

	if (rc != -ENOENT)
		explain_page(w, to, &page_identity, NULL, "identity");
	if (rc != 0)
		return rc;
	FAILPOINT("wal.open.identity_read");
	rc = session_load(w, error);
	explain_page(w, to, &page_session, &w->seal, "session page");
	if (rc != 0)
		return rc;
	explain_log(w, to, cfg->boot_id);
	rc = session_check(w, cfg, error);
	FAILPOINT("wal.open.session_read");
	if (rc != -ESTALE || !cfg->is_read_only || w->session.mode != DECREE_LOG_BUFFERED)
		return rc;
	f->is_lossy = true;
	if (to->lossy != NULL)
		to->lossy(to->context);
	if (to->explain != NULL)
		f->refused_rc = rc;
	else
		error[0] = '\0';
	return 0;
}

static int
records_load(struct wal *w, const struct wal_config *cfg, struct found *f, char *error)
{
	const struct wal_recovery *to = &cfg->recovery;
	int rc = memory_init(w, error);

	if (rc != 0)
		return rc;
	trim_begin(w);
	explain_page(w, to, &page_hardstate, &w->seal, "hard state");
	rc = meta_load(w, to, &f->stale_meta, &f->durable_lsn, error);
	FAILPOINT("wal.open.hard_state_read");
	if (rc != 0 && to->explain != NULL) {
		f->refused_rc = rc;
		rc = 0;
	}
	explain_page(w, to, &page_hearsay, &w->seal, "hearsay");
	if (rc == 0)
		hearsay_load(w, to);
	if (rc == 0)
		rc = log_recover(w, to, f->durable_lsn, f->is_lossy, &f->end, error);
	return rc != 0 ? rc : f->refused_rc;
}

static int
open_all(struct wal *w, const struct wal_config *cfg, uint8_t *identity, char *error)
{
	struct found f = { .stale_identity = -1, .stale_meta = -1 };
	int rc = pages_load(w, cfg, &f, identity, error);

	if (rc == 0)
		rc = records_load(w, cfg, &f, error);
	if (rc != 0 || cfg->is_read_only)
		return rc;

	FAILPOINT("wal.open.recovered");
	/* From here on the log is good, and written to. */

	rc = begin(w, cfg, &f.end, f.stale_identity, identity, f.stale_meta);
	if (rc != 0)
		snprintf(error, DECREE_ERROR_BYTES,
			"cannot prepare the log for writing: %s. What it held is still there: "
			"check the device and its file system, then start the node again",
			strerror(-rc));
	return rc;
}

int
wal_open(const struct wal_config *cfg, struct wal **ret_wal, char error[DECREE_ERROR_BYTES])
{
	struct wal *w = calloc(1, sizeof(*w));
	uint8_t *identity = aligned_alloc(PAGE_BYTES_MAX, PAGE_BYTES_MAX);
	int rc = -ENOMEM;

	decree_assert(cfg->inflight_count_max <= WAL_INFLIGHT_COUNT_MAX);
	decree_assert(cfg->recovery.explain == NULL || cfg->is_read_only);
	error[0] = '\0';
	if (w != NULL && identity != NULL) {
		w->ops = cfg->ops;
		w->disk = cfg->disk;
		w->disk_close = cfg->disk_close;
		w->mode = cfg->mode;
		w->is_endless = cfg->mode == DECREE_LOG_MEMORY;
		w->scrub.bytes_per_second = cfg->scrub_bytes_per_second;
		w->identifiers.ride_durably = cfg->flushes_own_only;
		w->append.write_count_max =
			cfg->inflight_count_max != 0 ? cfg->inflight_count_max : 1;
		w->append.overlaps_large = cfg->inflight_count_max == 0;
		rc = open_all(w, cfg, identity, error);
	}
	free(identity);
	if (rc == 0 && !cfg->is_read_only) {
		*ret_wal = w;
		return 0;
	}
	*ret_wal = NULL;
	if (rc != 0 && error[0] == '\0')
		fail(error, rc, "cannot open the log");
	if (cfg->disk_close != NULL)
		cfg->disk_close(cfg->disk);
	wal_abandon(w);
	return rc;
}

static int
memory_begin(struct wal *w, const struct wal_config *cfg, uint8_t *page,
	struct wal_format *ret_format, uint8_t *ret_blob, char *error)
{
	uint8_t note[512] __attribute__((aligned(512)));
	struct wal_geometry geometry;
	const uint8_t *blob;
	uint32_t blob_bytes;
	int stale, rc = identity_load(w, &cfg->recovery, &stale, page, error);

	if (rc == 0)
		rc = session_load(w, error);
	if (rc == 0)
		rc = session_check(w, cfg, error);
	if (rc != 0)
		return rc;
	w->prewrite.note = note;
	rc = session_begin(w, cfg);
	if (rc == 0)
		rc = w->ops->sync_all(w->disk);
	if (rc != 0)
		return fail(error, rc, "cannot mark the log directory");
	(void)wal_identity_decode(
		page, load_u32(page + 32), &geometry, &blob, &blob_bytes); /* as checked above */
	memcpy(ret_blob, blob, blob_bytes);
	*ret_format = (struct wal_format){
		.uuid = geometry.uuid,
		.identity = ret_blob,
		.identity_bytes = blob_bytes,
		.payload_bytes_max = geometry.payload_bytes_max,
	};
	return 0;
}

int
wal_memory_begin(const struct wal_config *cfg, struct wal_format *ret_format,
	uint8_t ret_blob[WAL_IDENTITY_BLOB_BYTES_MAX], char error[DECREE_ERROR_BYTES])
{
	struct wal w = { .ops = cfg->ops, .disk = cfg->disk, .mode = cfg->mode };
	uint8_t *page = aligned_alloc(PAGE_BYTES_MAX, PAGE_BYTES_MAX);
	int rc = -ENOMEM;

	if (page != NULL)
		rc = memory_begin(&w, cfg, page, ret_format, ret_blob, error);
	free(page);
	return rc;
}

static bool
has_work(const struct wal *w)
{
	if (w->failed_rc != 0)
		return w->inflight_count > 0;
	return w->inflight_count > 0 || w->append.submitted < w->append.head ||
	       w->identifiers.written_lsn < w->append.durable_lsn ||
	       w->meta.durable_generation < w->meta.requested_generation || w->hearsay.is_pending ||
	       w->prewrite.note_state != NOTE_NONE;
}

/* Mode `buffered` keeps its promise for the next boot too, if it is closed in order. */
static void
session_end(struct wal *w)
{
	if (w->failed_rc != 0 || w->mode != DECREE_LOG_BUFFERED)
		return;
	if (w->ops->sync_all(w->disk) != 0)
		return;
	w->session.mode = DECREE_LOG_DURABLE;
	w->session.write_count++;
	wal_session_seal(w->prewrite.note, &w->session, &w->seal);
	if (page_store(w->ops, w->disk, &page_session, w->prewrite.note) == 0)
		(void)w->ops->sync_all(w->disk); /* if it fails, the next open is stricter: safe */
}

void
wal_close(struct wal *w)
{
	struct log_completion done[COMPLETION_BURST];

	if (w == NULL)
		return;
	w->prewrite.due_ns = UINT64_MAX; /* no more of that */
	w->scrub.bytes_per_second = 0;
	while (has_work(w)) {
		w->identifiers.pending_since_ns = 1;
		w->alone_ns = 0; /* nothing is worth waiting for */
		w->has_news = true;
		wal_log_ops.submit(w, UINT64_MAX - 1);
		while (wal_log_ops.reap(w, 0, done, COMPLETION_BURST) == COMPLETION_BURST)
			;
		if (w->inflight_count > 0)
			w->ops->wait(w->disk);
	}
	session_end(w);
	if (w->disk_close != NULL)
		w->disk_close(w->disk);
	wal_abandon(w);
}

void
wal_abandon(struct wal *w)
{
	if (w == NULL)
		return;
	if (w->memory != NULL)
		(void)munmap(w->memory, w->memory_bytes); /* cannot fail on what mmap gave us */
	free(w);
}

void
wal_status(const struct wal *w, struct wal_status *ret)
{
	*ret = w->counters;
	ret->mode = w->mode;
	ret->log_bytes = w->geometry.log_bytes;
	ret->segment_bytes = w->geometry.segment_bytes;
	ret->used_bytes = w->is_endless ? w->append.head - w->geometry.log_bytes
					: w->append.head - w->trim.noted.position;
	ret->lsn_first = w->trim.noted.lsn;
	ret->prewritten_bytes = w->prewrite.segments_bytes;
	ret->lsn_appended = w->append.next_lsn - 1;
	ret->lsn_durable = w->append.durable_lsn;
	ret->lsn_identified = w->identifiers.written_lsn;
	ret->payload_bytes_max = w->geometry.payload_bytes_max;
	ret->meta_generation = w->meta.durable_generation;
	ret->memory_bytes = w->memory_bytes;
	ret->failed = w->failed_rc;
}
