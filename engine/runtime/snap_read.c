/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading snapshot files: a part for a peer, the whole at the start, and the turn of the serving
 * thread.
 *
 * Nothing leaves here unverified. A part is taken out of whole pieces, each checked against the
 * file's table; the piece read last is kept, since a peer asks for the next bytes of the same one.
 * The whole is read twice: damage in its last piece must be known before the first one reaches a
 * state machine.
 */
#include "engine/runtime/snap_private.h"

#include "base/refuse.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define PROGRESS_BYTES (256ull << 20)

int
snap_read_all(int fd, void *buffer, uint64_t bytes, uint64_t offset)
{
	uint8_t *to = buffer;

	while (bytes > 0) {
		ssize_t done = pread(fd, to, bytes, (off_t)offset);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return done < 0 ? -errno : -EBADMSG;
		to += done;
		bytes -= (uint64_t)done;
		offset += (uint64_t)done;
	}
	return 0;
}

/* ------------------------------------------------------------------------------ open files */

static void
file_close(struct snap_store *s, struct snap_open_file *f)
{
	if (f->fd < 0)
		return;
	close(f->fd);
	free(f->table);
	f->fd = -1;
	f->table = NULL;
	if (s->piece_file == f - s->files)
		s->piece_file = -1;
}

void
snap_read_close(struct snap_store *s, uint16_t group, uint64_t below)
{
	for (uint32_t i = 0; i < SNAP_OPEN_COUNT; i++)
		if (s->files[i].fd >= 0 && s->files[i].page.group == group &&
			s->files[i].page.slot < below)
			file_close(s, &s->files[i]);
}

/* @return NULL, or what is wrong with the file in words */
static const char *
check_page(const struct snap_store *s, const struct snap_page *page, uint16_t group, uint64_t slot)
{
	if (page->cluster_id != s->config.directory->cluster_id)
		return "it belongs to another cluster";
	if (page->group != group || page->slot != slot)
		return "it was renamed: it is of another group or slot";
	return NULL;
}

/* @param ret_why  what is wrong with it, if it is -EBADMSG */
static int
file_read_head(struct snap_store *s, struct snap_open_file *f, uint16_t group, uint64_t slot,
	const char **ret_why)
{
	uint64_t count, bytes;
	int rc = snap_read_all(f->fd, s->piece, SNAP_PAGE_BYTES, 0);

	s->piece_file = -1;
	*ret_why = "it was cut short";
	if (rc != 0)
		return rc;
	*ret_why = snap_page_decode(s->piece, &f->page);
	if (*ret_why == NULL)
		*ret_why = check_page(s, &f->page, group, slot);
	if (*ret_why != NULL)
		return -EBADMSG;
	count = snap_piece_count(f->page.bytes);
	bytes = snap_table_bytes(count);
	f->table = aligned_alloc(SNAP_PAGE_BYTES, bytes > 0 ? bytes : SNAP_PAGE_BYTES);
	if (f->table == NULL)
		return -ENOMEM;
	*ret_why = "it was cut short";
	rc = snap_read_all(f->fd, f->table, bytes, snap_piece_offset(count));
	if (rc == 0 && !digest_eq(base_digest(f->table, bytes), f->page.table_digest)) {
		*ret_why = "its table of digests is damaged";
		rc = -EBADMSG;
	}
	return rc;
}

static struct snap_open_file *
file_find(struct snap_store *s, uint16_t group, uint64_t slot)
{
	for (uint32_t i = 0; i < SNAP_OPEN_COUNT; i++)
		if (s->files[i].fd >= 0 && s->files[i].page.group == group &&
			s->files[i].page.slot == slot)
			return &s->files[i];
	return NULL;
}

static int
file_open(struct snap_store *s, uint16_t group, uint64_t slot, struct snap_open_file **ret_file,
	const char **ret_why)
{
	struct snap_open_file *f = file_find(s, group, slot);
	char name[SNAP_NAME_BYTES];
	int rc;

	*ret_why = "";
	if (f == NULL) {
		f = &s->files[0];
		for (uint32_t i = 1; i < SNAP_OPEN_COUNT && f->fd >= 0; i++)
			if (s->files[i].fd < 0 || s->files[i].used < f->used)
				f = &s->files[i];
		file_close(s, f);
		snap_name(name, group, slot);
		f->fd = snap_directory_open_file(s->config.directory, name, O_RDONLY);
		if (f->fd < 0)
			return f->fd;
		rc = file_read_head(s, f, group, slot, ret_why);
		if (rc != 0) {
			file_close(s, f);
			return rc;
		}
	}
	f->used = ++s->file_clock;
	*ret_file = f;
	return 0;
}

/* Have a piece in s->piece, verified. */
static int
piece_read(struct snap_store *s, struct snap_open_file *f, uint64_t index)
{
	int rc;

	if (s->piece_file == f - s->files && s->piece_index == index)
		return 0;
	s->piece_file = -1;
	rc = snap_read_all(f->fd, s->piece, SNAP_PIECE_BYTES, snap_piece_offset(index));
	if (rc == 0 && snap_piece_digest(s->piece) != f->table[index])
		rc = -EBADMSG;
	if (rc != 0)
		return rc;
	s->piece_file = (int)(f - s->files);
	s->piece_index = index;
	return 0;
}

/* ------------------------------------------------------------------------------ a part */

static int
read_part(struct snap_store *s, struct snap_read_slot *r)
{
	struct snap_open_file *f;
	uint32_t done = 0;
	const char *why;
	int rc = file_open(s, r->group, r->slot.n, &f, &why);

	if (rc != 0)
		return rc;
	r->total_bytes = f->page.bytes;
	r->committed_unix_s = f->page.committed_unix_s;
	if (r->offset_bytes >= f->page.bytes)
		return -EINVAL;
	if (r->count > f->page.bytes - r->offset_bytes)
		r->count = (uint32_t)(f->page.bytes - r->offset_bytes);
	while (done < r->count) {
		uint64_t at = r->offset_bytes + done;
		uint32_t in_piece = (uint32_t)(at % SNAP_PIECE_BYTES);
		uint32_t count = SNAP_PIECE_BYTES - in_piece;

		rc = piece_read(s, f, at / SNAP_PIECE_BYTES);
		if (rc != 0)
			return rc;
		if (count > r->count - done)
			count = r->count - done;
		memcpy(r->bytes + done, s->piece + in_piece, count);
		done += count;
	}
	return 0;
}

int
snap_read_verify(struct snap_store *s, uint16_t group, uint64_t slot, uint64_t index)
{
	struct snap_open_file *f;
	const char *why;
	int rc = file_open(s, group, slot, &f, &why);

	s->piece_file = -1; /* from the medium, not from memory */
	if (rc == 0 && index * SNAP_PIECE_BYTES < f->page.bytes)
		rc = piece_read(s, f, index);
	if (rc != 0)
		return rc;
	return (index + 1) * SNAP_PIECE_BYTES >= f->page.bytes;
}

static void
serve(struct snap_store *s, struct snap_read_slot *r)
{
	r->rc = read_part(s, r);
	/* Release: pairs with the acquire in file_reap(). */
	atomic_store_explicit(&r->state, READ_SLOT_DONE, memory_order_release);
}

/* ------------------------------------------------------------------------------ the whole */

static void
report_progress(const struct snap_store *s, uint64_t done, uint64_t total)
{
	if (s->config.progress != NULL && done % PROGRESS_BYTES == 0)
		s->config.progress(s->config.context, done, total);
}

static int
verify_whole(struct snap_store *s, struct snap_open_file *f, const char **ret_why)
{
	struct digest_stream digest;

	digest_stream_init(&digest);
	for (uint64_t i = 0; i * SNAP_PIECE_BYTES < f->page.bytes; i++) {
		uint64_t left = f->page.bytes - i * SNAP_PIECE_BYTES;
		int rc = piece_read(s, f, i);

		*ret_why = "a piece of it is damaged";
		if (rc != 0)
			return rc;
		digest_stream_add(
			&digest, s->piece, left < SNAP_PIECE_BYTES ? left : SNAP_PIECE_BYTES);
	}
	*ret_why = "its digest is not that of its bytes";
	return digest_eq(digest_stream_get(&digest), f->page.digest) ? 0 : -EBADMSG;
}

static int
hand_over(struct snap_store *s, struct snap_open_file *f,
	int (*sink)(void *context, const void *bytes, uint32_t count), void *context)
{
	int rc = 0;

	for (uint64_t at = 0; rc == 0 && at < f->page.bytes; at += SNAP_PIECE_BYTES) {
		uint64_t left = f->page.bytes - at;

		rc = piece_read(s, f, at / SNAP_PIECE_BYTES);
		if (rc == 0)
			rc = sink(context, s->piece,
				left < SNAP_PIECE_BYTES ? (uint32_t)left : SNAP_PIECE_BYTES);
		report_progress(s, at + SNAP_PIECE_BYTES, f->page.bytes);
	}
	return rc;
}

static int
refuse(const struct snap_store *s, uint16_t group, uint64_t slot, int rc, const char *why,
	char *ret_error)
{
	char name[SNAP_NAME_BYTES];

	snap_name(name, group, slot);
	return base_refuse(rc, ret_error,
		"snapshot %.200s/%s: %s. The log alone does not go back far enough: put the file "
		"back (that of another node of the cluster, under the same name, is as good), or "
		"replace this node by one with a new node id",
		s->config.directory->path, name,
		rc == -ENOENT    ? "there is no such file"
		: rc == -EBADMSG ? why
				 : strerror(-rc));
}

int
snap_load(void *store, uint16_t group, struct decree_slot slot,
	int (*sink)(void *context, const void *bytes, uint32_t count), void *context,
	struct snap_info *ret_info, char *ret_error)
{
	struct snap_store *s = store;
	struct snap_open_file *f;
	const char *why;
	int rc = file_open(s, group, slot.n, &f, &why);

	if (rc == 0)
		rc = verify_whole(s, f, &why);
	if (rc != 0)
		return refuse(s, group, slot.n, rc, why, ret_error);
	if (sink != NULL)
		rc = hand_over(s, f, sink, context);
	if (rc != 0)
		return rc;
	*ret_info = (struct snap_info){
		.bytes = f->page.bytes,
		.digest = f->page.digest,
		.committed_unix_s = f->page.committed_unix_s,
	};
	s->last[group] = *ret_info;
	atomic_store_explicit(
		&s->kept[group], slot.n, memory_order_relaxed); /* before the threads */
	return 0;
}

/* -------------------------------------------------------------------- the serving thread's turn */

static bool
serve_forgets(struct snap_store *s)
{
	/* Acquire: pairs with the release in file_forget(). */
	uint64_t count = atomic_load_explicit(&s->forget_count, memory_order_acquire);

	if (count == s->forget_seen)
		return false;
	s->forget_seen = count;
	for (uint16_t group = 0; group < DECREE_GROUP_COUNT_MAX; group++) {
		uint64_t below =
			atomic_load_explicit(&s->forget_below[group], memory_order_relaxed);

		if (below == 0)
			continue;
		snap_read_close(s, group, below);
		snap_directory_forget(s->config.directory, group, below);
	}
	return true;
}

bool
snap_store_step(struct snap_store *s, uint64_t now_ns)
{
	bool did_work = serve_forgets(s);

	snap_directory_renew_reserve(s->config.directory, now_ns);
	for (uint32_t i = 0; i < SNAP_READ_SLOT_COUNT; i++)
		/* Acquire: pairs with the release in file_read(). */
		if (atomic_load_explicit(&s->reads[i].state, memory_order_acquire) ==
			READ_SLOT_ASKED) {
			serve(s, &s->reads[i]);
			did_work = true;
		}
	for (uint32_t i = 0; i < SNAP_WRITER_COUNT_MAX; i++) {
		struct snap_writer *w = &s->writers[(s->writer_next + i) % SNAP_WRITER_COUNT_MAX];

		/* Acquire: pairs with the release in file_begin(). */
		if (atomic_load_explicit(&w->state, memory_order_acquire) != WRITER_ACTIVE)
			continue;
		if (snap_writer_step(s, w, now_ns)) {
			s->writer_next = (s->writer_next + i + 1) % SNAP_WRITER_COUNT_MAX;
			return true;
		}
	}
	return did_work || snap_scrub_step(s, now_ns);
}

bool
snap_store_is_busy(const struct snap_store *s)
{
	for (uint32_t i = 0; i < SNAP_WRITER_COUNT_MAX; i++)
		if (atomic_load_explicit(&s->writers[i].state, memory_order_relaxed) ==
			WRITER_ACTIVE)
			return true;
	for (uint32_t i = 0; i < SNAP_READ_SLOT_COUNT; i++)
		if (atomic_load_explicit(&s->reads[i].state, memory_order_relaxed) !=
			READ_SLOT_FREE)
			return true;
	return false;
}
