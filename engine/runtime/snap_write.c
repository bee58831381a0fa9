/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing a snapshot file, one step at a time, on the serving thread:
 *
 *   open        the spare of the group under the unfinished name, or a new file
 *   write       pieces as the shard delivers them, at the bounded rate unless the log needs it
 *               sooner, synced every SNAP_SYNC_BYTES
 *   finish      table of digests, then the page
 *   sync        of the file
 *   rename      to its own name: from here on a crash leaves it behind, and it is whole
 *   sync name   of the directory
 *   verify      every piece is read back from the medium
 *
 * What may fail: no space, once the reserve is spent; any other error of the file system; a medium
 * that returns other bytes than it was given. Each costs this snapshot only: its file is removed,
 * nothing is tried again.
 */
#include "base/failpoint.h"
#include "engine/runtime/snap_private.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* So far behind the log a snapshot may be and still keep to its rate: a sixteenth. */
#define URGE_SLACK (SNAP_URGE_MAX / 16)

static const char remedy_space[] =
	"make room on that file system: until a snapshot succeeds, the log is not trimmed, and "
	"when it is full, commands are refused";
static const char remedy_other[] =
	"look at that disk and its file system; the snapshot before stays in use";

static void
finish(struct snap_writer *w, int rc)
{
	w->rc = rc;
	snap_writer_fini(w);
	/* Release: pairs with the acquire in is_done(). */
	atomic_store_explicit(&w->state, WRITER_DONE, memory_order_release);
}

static void
remove_file(struct snap_store *s, const struct snap_writer *w)
{
	char name[SNAP_NAME_BYTES];

	if (w->step > STEP_RENAME)
		snap_name(name, w->group, w->slot.n);
	else
		snap_name_unfinished(name, w->group);
	(void)unlinkat(
		s->config.directory->fd, name, 0); /* if it stays, it is only in the way of space */
}

static void
fail(struct snap_store *s, struct snap_writer *w, int rc, const char *what)
{
	snprintf(w->text, sizeof(w->text),
		"snapshot of group %u at slot %llu in %.200s: %s: %s; %s", w->group,
		(unsigned long long)w->slot.n, s->config.directory->path, what,
		rc == -EBADMSG ? "it reads back other than it was written" : strerror(-rc),
		rc == -ENOSPC ? remedy_space : remedy_other);
	remove_file(s, w);
	finish(w, rc);
}

void
snap_writer_fini(struct snap_writer *w)
{
	if (w->fd >= 0)
		close(w->fd);
	free(w->table);
	w->fd = -1;
	w->table = NULL;
	w->table_capacity = 0;
}

/* ------------------------------------------------------------------------------ steps */

static int
step_open(struct snap_store *s, struct snap_writer *w)
{
	const struct snap_directory *d = s->config.directory;
	char name[SNAP_NAME_BYTES], spare[SNAP_NAME_BYTES];
	struct stat st;

	snap_name_unfinished(name, w->group);
	snap_name_spare(spare, w->group);
	(void)renameat(d->fd, spare, d->fd, name); /* there may be none */
	w->fd = snap_directory_open_file(d, name, O_RDWR | O_CREAT);
	if (w->fd < 0)
		return w->fd;
	if (fstat(w->fd, &st) != 0)
		return -errno;
	w->file_bytes = (uint64_t)st.st_size;
	w->synced_bytes = 0;
	w->verified_count = 0;
	w->piece_count = 0;
	w->bytes = 0;
	digest_stream_init(&w->verified);
	FAILPOINT("snapshot.file.opened");
	w->step = STEP_WRITE;
	return 0;
}

/* Space for the first @p bytes of the file. */
static int
extend(struct snap_store *s, struct snap_writer *w, uint64_t bytes)
{
	uint64_t unit =
		bytes < SNAP_EXTEND_BYTES_MAX ? SNAP_EXTEND_BYTES_MIN : SNAP_EXTEND_BYTES_MAX;
	uint64_t target = (bytes + unit - 1) / unit * unit;

	if (bytes <= w->file_bytes)
		return 0;
	if (fallocate(w->fd, 0, 0, (off_t)target) != 0) {
		if (errno == EOPNOTSUPP)
			return 0; /* the write itself will tell */
		if (errno != ENOSPC)
			return -errno;
		/* In the last corner of the disk the exact size may still fit. */
		(void)snap_directory_release_reserve(s->config.directory);
		target = bytes;
		if (fallocate(w->fd, 0, 0, (off_t)target) != 0)
			return -errno;
	}
	w->file_bytes = target;
	return 0;
}

static int
write_all(int fd, const void *buffer, uint64_t bytes, uint64_t offset)
{
	const uint8_t *from = buffer;

	while (bytes > 0) {
		ssize_t done = pwrite(fd, from, bytes, (off_t)offset);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return done < 0 ? -errno : -EIO;
		from += done;
		bytes -= (uint64_t)done;
		offset += (uint64_t)done;
	}
	return 0;
}

static int
table_add(struct snap_writer *w, uint64_t digest)
{
	if (w->piece_count == w->table_capacity) {
		uint64_t capacity = w->table_capacity * 2 + SNAP_PAGE_BYTES / sizeof(uint64_t);
		uint64_t *table = aligned_alloc(SNAP_PAGE_BYTES, capacity * sizeof(*table));

		if (table == NULL)
			return -ENOMEM;
		memset(table, 0, capacity * sizeof(*table));
		if (w->table != NULL)
			memcpy(table, w->table, w->piece_count * sizeof(*table));
		free(w->table);
		w->table = table;
		w->table_capacity = capacity;
	}
	w->table[w->piece_count++] = digest;
	return 0;
}

static void
advance_tail(struct snap_writer *w, uint64_t tail)
{
	/* Release: pairs with the acquire in file_room(). The piece must be used before it is
	 * overwritten. */
	atomic_store_explicit(&w->tail, tail, memory_order_release);
}

static int
write_piece(struct snap_store *s, struct snap_writer *w, uint32_t bytes)
{
	uint64_t tail = atomic_load_explicit(&w->tail, memory_order_relaxed);
	uint8_t *piece = w->ring + tail % SNAP_RING_BYTES;
	uint64_t offset = snap_piece_offset(w->piece_count);
	int rc = extend(s, w, offset + SNAP_PIECE_BYTES);

	memset(piece + bytes, 0, SNAP_PIECE_BYTES - bytes); /* only after the last byte of all */
	if (rc == 0)
		rc = write_all(w->fd, piece, SNAP_PIECE_BYTES, offset);
	if (rc == 0)
		rc = table_add(w, snap_piece_digest(piece));
	if (rc == 0 && offset - w->synced_bytes >= SNAP_SYNC_BYTES) {
		w->synced_bytes = offset;
		rc = fdatasync(w->fd) == 0 ? 0 : -errno;
	}
	FAILPOINT("snapshot.file.piece_written");
	w->bytes += bytes;
	advance_tail(w, tail + bytes);
	return rc;
}

/* The work is to write all of it and to read all of it again. How much it is, the snapshot before
 * tells; of the first one only what there is so far, so that while it is written half of the work
 * is thought done. */
static bool
is_late(const struct snap_writer *w)
{
	uint64_t head = atomic_load_explicit(&w->head, memory_order_relaxed);
	uint64_t used = atomic_load_explicit(&w->used, memory_order_relaxed);
	uint64_t all = head > w->expected_bytes ? head : w->expected_bytes;
	uint64_t done = w->bytes;

	if (w->step == STEP_VERIFY) {
		all = w->bytes;
		done += w->verified_count * SNAP_PIECE_BYTES;
	}
	if (used == SNAP_URGE_MAX)
		return true; /* commands wait for the end of it */
	return used > URGE_SLACK && (used - URGE_SLACK) * 2 * all > done * SNAP_URGE_MAX;
}

/* The rate: a late thread may catch up on two pieces, not more. A snapshot that comes too late for
 * the log has none: that its writes delay the log's is nothing beside a log that is full. */
static bool
is_due(struct snap_store *s, const struct snap_writer *w, uint64_t now_ns)
{
	uint64_t cost_ns = SNAP_PIECE_BYTES * 1000000000ull / s->config.bytes_per_second;

	if (is_late(w)) {
		s->due_ns = now_ns;
		return true;
	}
	if (s->due_ns > now_ns)
		return false;
	if (s->due_ns + 2 * cost_ns < now_ns)
		s->due_ns = now_ns - 2 * cost_ns;
	s->due_ns += cost_ns;
	return true;
}

/* @retval 1 nothing to do now */
static int
step_write(struct snap_store *s, struct snap_writer *w, uint64_t now_ns)
{
	/* Acquire: pairs with the release in file_commit(); head and digest are final if it is set. */
	bool is_committing = atomic_load_explicit(&w->is_committing, memory_order_acquire);
	/* Acquire: pairs with the release in file_write(). */
	uint64_t head = atomic_load_explicit(&w->head, memory_order_acquire);
	uint64_t left = head - atomic_load_explicit(&w->tail, memory_order_relaxed);

	if (left == 0 && is_committing) {
		w->step = STEP_FINISH;
		return 0;
	}
	if (left < SNAP_PIECE_BYTES && !(left > 0 && is_committing))
		return 1;
	if (!is_due(s, w, now_ns))
		return 1;
	return write_piece(s, w, left < SNAP_PIECE_BYTES ? (uint32_t)left : SNAP_PIECE_BYTES);
}

static int
step_finish(struct snap_store *s, struct snap_writer *w)
{
	uint64_t offset = snap_piece_offset(w->piece_count);
	uint64_t bytes = snap_table_bytes(w->piece_count);
	uint8_t *bytes_of_page = aligned_alloc(SNAP_PAGE_BYTES, SNAP_PAGE_BYTES);
	struct snap_page page = {
		.cluster_id = s->config.directory->cluster_id,
		.group = w->group,
		.slot = w->slot.n,
		.bytes = w->bytes,
		.digest = w->digest,
		.committed_unix_s = (uint64_t)time(NULL),
		.table_digest = base_digest(w->table, bytes),
	};
	int rc = bytes_of_page != NULL ? extend(s, w, offset + bytes) : -ENOMEM;

	w->committed_unix_s = page.committed_unix_s;
	if (rc == 0)
		rc = write_all(w->fd, w->table, bytes, offset);
	if (rc == 0) {
		snap_page_encode(&page, bytes_of_page);
		rc = write_all(w->fd, bytes_of_page, SNAP_PAGE_BYTES, 0);
	}
	free(bytes_of_page);
	FAILPOINT("snapshot.file.page_written");
	w->step = STEP_SYNC;
	return rc;
}

static int
step_rename(struct snap_store *s, struct snap_writer *w)
{
	const struct snap_directory *d = s->config.directory;
	char from[SNAP_NAME_BYTES], to[SNAP_NAME_BYTES];

	snap_name_unfinished(from, w->group);
	snap_name(to, w->group, w->slot.n);
	FAILPOINT("snapshot.file.before_rename");
	snap_read_close(s, w->group, w->slot.n + 1); /* one of the same name may be open */
	if (renameat(d->fd, from, d->fd, to) != 0)
		return -errno;
	FAILPOINT("snapshot.file.renamed");
	w->step = STEP_SYNC_NAME;
	return 0;
}

static int
verify_page(struct snap_store *s, const struct snap_writer *w)
{
	struct snap_page page;
	int rc = snap_read_all(w->fd, s->piece, SNAP_PAGE_BYTES, 0);

	if (rc == 0 && (snap_page_decode(s->piece, &page) != NULL || page.bytes != w->bytes ||
			       page.slot != w->slot.n))
		rc = -EBADMSG;
	if (rc == 0 && !digest_eq(digest_stream_get(&w->verified), w->digest))
		rc = -EBADMSG;
	return rc;
}

/* @retval 1 nothing to do now  @retval 2 all of it is as it was written */
static int
step_verify(struct snap_store *s, struct snap_writer *w, uint64_t now_ns)
{
	uint64_t left = w->bytes - w->verified_count * SNAP_PIECE_BYTES;
	int rc;

	s->piece_file = -1; /* its buffer is used here */
	if (w->verified_count == w->piece_count) {
		rc = verify_page(s, w);
		FAILPOINT("snapshot.file.verified");
		return rc == 0 ? 2 : rc;
	}
	if (!is_due(s, w, now_ns))
		return 1;
	rc = snap_read_all(w->fd, s->piece, SNAP_PIECE_BYTES, snap_piece_offset(w->verified_count));
	if (rc == 0 && snap_piece_digest(s->piece) != w->table[w->verified_count])
		rc = -EBADMSG;
	digest_stream_add(
		&w->verified, s->piece, left < SNAP_PIECE_BYTES ? left : SNAP_PIECE_BYTES);
	w->verified_count++;
	return rc;
}

static int
take_step(struct snap_store *s, struct snap_writer *w, uint64_t now_ns)
{
	switch (w->step) {
	case STEP_OPEN: return step_open(s, w);
	case STEP_WRITE: return step_write(s, w, now_ns);
	case STEP_FINISH: return step_finish(s, w);
	case STEP_SYNC: w->step = STEP_RENAME; return fsync(w->fd) == 0 ? 0 : -errno;
	case STEP_RENAME: return step_rename(s, w);
	case STEP_SYNC_NAME:
		w->step = STEP_VERIFY;
		return fsync(s->config.directory->fd) == 0 ? 0 : -errno;
	case STEP_VERIFY: return step_verify(s, w, now_ns);
	}
	return 1;
}

bool
snap_writer_step(struct snap_store *s, struct snap_writer *w, uint64_t now_ns)
{
	static const char *const names[] = { "cannot make its file", "cannot write",
		"cannot finish", "cannot sync", "cannot rename", "cannot sync its name",
		"cannot verify" };
	enum writer_step step = w->step;
	int rc;

	if (atomic_load_explicit(&w->is_aborted, memory_order_relaxed)) {
		remove_file(s, w);
		finish(w, -ECANCELED);
		return true;
	}
	rc = take_step(s, w, now_ns);
	if (rc < 0)
		fail(s, w, rc, names[step]);
	else if (rc == 2)
		finish(w, 0);
	return rc != 1;
}
