/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pre-writing all of a log at once, before any node was started on it: what prepare.c does beside a
 * node's work and slowly. A node that is loaded from its first second on is faster than that, and
 * then waits for the file system.
 */
#include "wal/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIECE_BYTES    (1u << 20)
#define PROGRESS_BYTES (64ull << 20)

struct filling {
	struct wal w; /* of which only the identity and the session page are in use */
	uint8_t *zeros;
	const struct wal_recovery *to;
	uint64_t done_bytes, told_bytes;
};

static void
tell(struct filling *f)
{
	const struct wal_geometry *g = &f->w.geometry;

	f->told_bytes = f->done_bytes;
	if (f->to->progress != NULL)
		f->to->progress(f->to->context, f->done_bytes, g->log_bytes + g->identifiers_bytes);
}

static int
fill(struct filling *f, enum disk_file file, uint64_t bytes)
{
	int rc = 0;

	for (uint64_t at = 0; rc == 0 && at < bytes; at += PIECE_BYTES) {
		uint32_t piece = bytes - at < PIECE_BYTES ? (uint32_t)(bytes - at) : PIECE_BYTES;

		rc = disk_io(f->w.ops, f->w.disk, DISK_WRITE, file, at, f->zeros, piece);
		f->done_bytes += piece;
		if (f->done_bytes >= f->told_bytes + PROGRESS_BYTES)
			tell(f);
	}
	return rc;
}

/* The zeros are there before the note that says so. */
static int
note(struct filling *f)
{
	struct wal *w = &f->w;
	int rc = w->ops->sync_all(w->disk);

	w->session.segments_prewritten_bytes = w->geometry.log_bytes;
	w->session.identifiers_prewritten_bytes = w->geometry.identifiers_bytes;
	w->session.write_count++;
	wal_session_seal(f->zeros, &w->session, &w->seal);
	if (rc == 0)
		rc = page_store(w->ops, w->disk, &page_session, f->zeros);
	return rc == 0 ? w->ops->sync_all(w->disk) : rc;
}

/* @return 0, or -errno with its sentence */
static int
look(struct filling *f, char *error)
{
	int stale, rc = identity_load(&f->w, f->to, &stale, f->zeros, error);

	if (rc == 0)
		rc = session_load(&f->w, error);
	if (rc != 0 || f->w.session.number == 0)
		return rc;
	snprintf(error, DECREE_ERROR_BYTES,
		"a node has been started on this log: what is not written yet it writes itself, "
		"while it runs");
	return -EALREADY;
}

static int
fill_all(struct filling *f, char *error)
{
	int rc = look(f, error);

	if (rc != 0)
		return rc;
	memset(f->zeros, 0, PIECE_BYTES);
	rc = fill(f, DISK_SEGMENTS, f->w.geometry.log_bytes);
	if (rc == 0)
		rc = fill(f, DISK_IDENTIFIERS, f->w.geometry.identifiers_bytes);
	if (rc == 0)
		rc = note(f);
	if (rc == 0)
		tell(f);
	else
		snprintf(error, DECREE_ERROR_BYTES,
			"cannot write the log's space: %s; the log is as good as before, and is "
			"written while a node runs",
			strerror(-rc));
	return rc;
}

int
wal_prewrite(const struct disk_ops *ops, void *disk, const struct wal_recovery *to,
	char ret_error[DECREE_ERROR_BYTES])
{
	struct filling f = {
		.w = { .ops = ops, .disk = disk },
		.zeros = aligned_alloc(PAGE_BYTES_MAX, PIECE_BYTES),
		.to = to,
	};
	int rc = -ENOMEM;

	if (f.zeros != NULL)
		rc = fill_all(&f, ret_error);
	else
		snprintf(ret_error, DECREE_ERROR_BYTES, "no memory");
	free(f.zeros);
	return rc;
}
