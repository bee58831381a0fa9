/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/runtime/backup.h"

#include "base/bytes.h"
#include "base/digest.h"
#include "base/memory.h"
#include "base/refuse.h"
#include "base/version.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define IDENTITY_AT 24u
#define GROUPS_AT   (IDENTITY_AT + IDENTITY_BYTES)
#define GROUP_BYTES 16u
#define TIMES_AT    (GROUPS_AT + DECREE_GROUP_COUNT_MAX * GROUP_BYTES)
#define DIGEST_AT   (BACKUP_HEADER_BYTES - 16u)
#define PART_BYTES  65536u
#define BYTES_MAX   (1ull << 60) /* sums of these do not overflow */

static_assert(TIMES_AT + DECREE_GROUP_COUNT_MAX * 8 <= DIGEST_AT, "it fits the header");

static const uint8_t magic[8] = { 'd', 'e', 'c', 'r', 'b', 'a', 'c', 'k' };

void
backup_header_encode(const struct backup_header *h, uint8_t ret[BACKUP_HEADER_BYTES])
{
	struct decree_digest digest;

	memset(ret, 0, BACKUP_HEADER_BYTES);
	memcpy(ret, magic, sizeof(magic));
	store_u32(ret + 8, BACKUP_VERSION);
	store_u64(ret + 16, h->taken_unix_s);
	identity_encode(&h->identity, ret + IDENTITY_AT);
	for (uint32_t i = 0; i < h->identity.group_count; i++) {
		store_u64(ret + GROUPS_AT + i * GROUP_BYTES, h->slots[i]);
		store_u64(ret + GROUPS_AT + i * GROUP_BYTES + 8, h->bytes[i]);
		store_u64(ret + TIMES_AT + i * 8, h->snapshot_unix_s[i]);
	}
	digest = base_digest(ret, DIGEST_AT);
	store_u64(ret + DIGEST_AT, digest.lo);
	store_u64(ret + DIGEST_AT + 8, digest.hi);
}

/* @param ret_version  of the file, with -EPROTONOSUPPORT
 * @retval -EBADMSG it is no backup, or damaged  @retval -EPROTONOSUPPORT another version's */
static int
decode_header(const uint8_t bytes[BACKUP_HEADER_BYTES], struct backup_header *ret_header,
	uint32_t *ret_version)
{
	uint8_t again[BACKUP_HEADER_BYTES];
	struct backup_header h = { 0 };

	if (memcmp(bytes, magic, sizeof(magic)) != 0)
		return -EBADMSG;
	*ret_version = load_u32(bytes + 8);
	if (*ret_version != BACKUP_VERSION)
		return -EPROTONOSUPPORT;
	if (identity_decode(bytes + IDENTITY_AT, IDENTITY_BYTES, &h.identity) != 0 ||
		h.identity.group_count > DECREE_GROUP_COUNT_MAX)
		return -EBADMSG;
	h.taken_unix_s = load_u64(bytes + 16);
	for (uint32_t i = 0; i < h.identity.group_count; i++) {
		h.slots[i] = load_u64(bytes + GROUPS_AT + i * GROUP_BYTES);
		h.bytes[i] = load_u64(bytes + GROUPS_AT + i * GROUP_BYTES + 8);
		h.snapshot_unix_s[i] = load_u64(bytes + TIMES_AT + i * 8);
		if (h.slots[i] == 0 || h.bytes[i] == 0 ||
			h.bytes[i] > BYTES_MAX / DECREE_GROUP_COUNT_MAX)
			return -EBADMSG;
	}
	backup_header_encode(&h, again); /* covers the digest and every zero */
	if (memcmp(again, bytes, BACKUP_HEADER_BYTES) != 0)
		return -EBADMSG;
	*ret_header = h;
	return 0;
}

static uint64_t
total_bytes(const struct backup_header *h)
{
	uint64_t total = BACKUP_HEADER_BYTES;

	for (uint32_t i = 0; i < h->identity.group_count; i++)
		total += h->bytes[i];
	return total;
}

static int
read_header(struct backup *b, char *ret_error)
{
	uint8_t bytes[BACKUP_HEADER_BYTES];
	uint32_t version = 0;
	struct stat st;
	ssize_t got;
	int rc;

	if (fstat(b->fd, &st) != 0)
		return base_refuse(-errno, ret_error, "%.300s: %s", b->path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return base_refuse(-EINVAL, ret_error, "%.300s is not a regular file", b->path);
	got = pread(b->fd, bytes, sizeof(bytes), 0);
	if (got < 0)
		return base_refuse(-errno, ret_error, "%.300s: %s", b->path, strerror(errno));
	if (got < (ssize_t)sizeof(magic) || memcmp(bytes, magic, sizeof(magic)) != 0)
		return base_refuse(-EBADMSG, ret_error,
			"%.300s is no backup made by 'decree backup'", b->path);
	rc = got < (ssize_t)sizeof(bytes) ? -ENODATA : decode_header(bytes, &b->header, &version);
	if (rc == -EPROTONOSUPPORT)
		return base_refuse(rc, ret_error,
			"%.300s is of version %u of the format, and this program knows version %u: "
			"use the one that made it, or a newer one",
			b->path, version, BACKUP_VERSION);
	if (rc == -EBADMSG)
		return base_refuse(rc, ret_error,
			"%.300s: its header is damaged: use another backup", b->path);
	if (rc == -ENODATA || (uint64_t)st.st_size < total_bytes(&b->header))
		return base_refuse(-EBADMSG, ret_error,
			"%.300s was cut short: copy it again, or use another backup", b->path);
	if ((uint64_t)st.st_size > total_bytes(&b->header))
		return base_refuse(-EBADMSG, ret_error,
			"%.300s has bytes behind its end: copy it again, or use another backup",
			b->path);
	return 0;
}

int
backup_open(struct backup *b, const char *path, char ret_error[DECREE_ERROR_BYTES])
{
	int rc;

	*b = (struct backup){ .fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), .path = path };
	if (b->fd < 0)
		return base_refuse(-errno, ret_error, "%.300s: %s", path, strerror(errno));
	rc = read_header(b, ret_error);
	if (rc != 0)
		backup_close(b);
	return rc;
}

int
backup_load(const struct backup *b, uint16_t group,
	int (*sink)(void *context, const void *bytes, uint32_t count), void *context,
	char ret_error[DECREE_ERROR_BYTES])
{
	uint64_t at = BACKUP_HEADER_BYTES, after;
	uint8_t part[PART_BYTES];
	int rc = 0;

	for (uint16_t i = 0; i < group; i++)
		at += b->header.bytes[i];
	after = at + b->header.bytes[group];
	while (rc == 0 && at < after) {
		uint64_t wanted = after - at < sizeof(part) ? after - at : sizeof(part);
		ssize_t got = pread(b->fd, part, wanted, (off_t)at);

		if (got <= 0)
			return base_refuse(got < 0 ? -errno : -EBADMSG, ret_error, "%.300s: %s",
				b->path,
				got < 0 ? strerror(errno) : "it was cut short while it was read");
		rc = sink(context, part, (uint32_t)got);
		at += (uint64_t)got;
	}
	return rc;
}

void
backup_close(struct backup *b)
{
	if (b->fd >= 0)
		(void)close(b->fd); /* read only */
	b->fd = -1;
}

void
backup_describe(const struct backup_header *h, struct decree_backup *ret)
{
	ret->cluster_id = h->identity.cluster_id;
	ret->node_id = h->identity.node_id;
	ret->taken_unix_s = h->taken_unix_s;
	ret->bytes = total_bytes(h);
	ret->group_count = h->identity.group_count;
	for (uint32_t i = 0; i < h->identity.group_count; i++) {
		ret->slots[i] = (struct decree_slot){ h->slots[i] };
		ret->snapshot_unix_s[i] = h->snapshot_unix_s[i];
	}
}

void
backup_examine_begin(struct backup_examiner *x, uint64_t cluster_id, uint16_t group)
{
	snapshot_reader_init(&x->reader, cluster_id, group, x->buffer);
}

int
backup_examine(void *examiner, const void *bytes, uint32_t count)
{
	struct backup_examiner *x = examiner;
	const uint8_t *at = bytes;
	uint32_t taken;

	for (;; at += taken, count -= taken) {
		int found = snapshot_read(&x->reader, at, count, &taken);

		if (found == SNAPSHOT_FOUND_NOTHING)
			return 0;
		if (found == SNAPSHOT_FOUND_END)
			return taken == count ? 0 : -EBADMSG;
		if (found < 0)
			return found;
	}
}

int
backup_examine_end(const struct backup_examiner *x, uint64_t slot)
{
	return snapshot_is_whole(&x->reader) && x->reader.facts.slot.n == slot ? 0 : -EBADMSG;
}

static int
check_group(struct backup_examiner *x, const struct backup *b, uint16_t group, char *ret_error)
{
	int rc;

	backup_examine_begin(x, b->header.identity.cluster_id, group);
	rc = backup_load(b, group, backup_examine, x, ret_error);
	if (rc == 0)
		rc = backup_examine_end(x, b->header.slots[group]);
	if (rc == -EPROTONOSUPPORT)
		return base_refuse(rc, ret_error,
			"%.300s: the snapshot of group %u was written by version %u, and this "
			"program reads versions %u to %u: use a newer one",
			b->path, group, x->reader.version, base_versions.min, base_versions.max);
	if (rc == -EBADMSG && ret_error[0] == '\0')
		return base_refuse(rc, ret_error,
			"%.300s is damaged (group %u): use another backup", b->path, group);
	return rc;
}

DECREE_API
int
decree_backup_check(
	const char *file, struct decree_backup *ret_backup, char ret_error[DECREE_ERROR_BYTES])
{
	struct backup_examiner *x = base_zeros(1, sizeof(*x));
	struct backup b = { .fd = -1 };
	int rc = -ENOMEM;

	ret_error[0] = '\0';
	if (x != NULL)
		rc = backup_open(&b, file, ret_error);
	for (uint16_t i = 0; rc == 0 && i < b.header.identity.group_count; i++)
		rc = check_group(x, &b, i, ret_error);
	if (rc == 0)
		backup_describe(&b.header, ret_backup);
	if (rc != 0 && ret_error[0] == '\0')
		(void)base_refuse(rc, ret_error, "%.300s: %s", file, strerror(-rc));
	backup_close(&b);
	free(x);
	return rc;
}
