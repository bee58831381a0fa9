/* SPDX-License-Identifier: Apache-2.0 */
#include "wal/page.h"

#include "base/bytes.h"
#include "base/failpoint.h"
#include "base/version.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

const struct page_pair page_identity = {
	.file = DISK_IDENTITY,
	.offset_bytes = { 0, 4096 },
	.bytes = 4096,
	.magic = PAGE_MAGIC_IDENTITY,
};
const struct page_pair page_session = {
	.file = DISK_IDENTITY,
	.offset_bytes = { 8192, 12288 },
	.bytes = 512,
	.magic = PAGE_MAGIC_SESSION,
};
const struct page_pair page_hardstate = {
	.file = DISK_HARDSTATE,
	.offset_bytes = { 0, 4096 },
	.bytes = 4096,
	.magic = PAGE_MAGIC_HARDSTATE,
};
const struct page_pair page_hearsay = {
	.file = DISK_HARDSTATE,
	.offset_bytes = { 8192, 8192 + PAGE_HEARSAY_BYTES },
	.bytes = PAGE_HEARSAY_BYTES,
	.magic = PAGE_MAGIC_HEARSAY,
};

/* The identity is checked before the log's own seal is known. */
static const struct wal_seal no_seal = { .log_id = 0, .crc_seed = 0xffffffffu };

static uint32_t
page_crc(const uint8_t *page, uint32_t bytes, const struct wal_seal *seal)
{
	uint32_t crc = wal_crc(seal->crc_seed, page, 60);

	return wal_crc(crc, page + PAGE_HEADER_BYTES, bytes - PAGE_HEADER_BYTES);
}

void
page_seal(uint8_t *page, const struct page_pair *pair, const struct wal_seal *seal,
	const struct page_header *h)
{
	uint32_t used = PAGE_HEADER_BYTES + h->body_bytes;

	if (seal == NULL)
		seal = &no_seal;
	memset(page, 0, PAGE_HEADER_BYTES);
	memset(page + used, 0, pair->bytes - used);
	store_u64(page, pair->magic);
	store_u64(page + 8, seal->log_id);
	store_u64(page + 16, h->generation);
	store_u64(page + 24, h->lsn);
	store_u32(page + 32, h->body_bytes);
	store_u32(page + 36, h->version != 0 ? h->version : VERSION_FIRST);
	store_u32(page + 60, page_crc(page, pair->bytes, seal));
}

enum page_state
page_check(const uint8_t *page, const struct page_pair *pair, const struct wal_seal *seal,
	struct page_header *ret_header)
{
	if (seal == NULL)
		seal = &no_seal;
	if (load_u64(page) != pair->magic || load_u64(page + 8) != seal->log_id)
		return PAGE_BAD;
	if (load_u32(page + 60) != page_crc(page, pair->bytes, seal))
		return PAGE_BAD;
	ret_header->version = load_u32(page + 36);
	if (!version_is_known(ret_header->version))
		return PAGE_VERSION;
	ret_header->generation = load_u64(page + 16);
	ret_header->lsn = load_u64(page + 24);
	ret_header->body_bytes = load_u32(page + 32);
	return ret_header->body_bytes <= pair->bytes - PAGE_HEADER_BYTES ? PAGE_VALID : PAGE_BAD;
}

int
disk_io(const struct disk_ops *ops, void *disk, enum disk_request_kind kind, enum disk_file file,
	uint64_t offset_bytes, void *buffer, uint32_t bytes)
{
	struct disk_request request = {
		.kind = kind,
		.file = file,
		.offset_bytes = offset_bytes,
		.buffer = buffer,
		.bytes = bytes,
	};
	struct disk_completion done;

	if (ops->submit(disk, &request, 1) != 1)
		return -EIO;
	ops->kick(disk);
	while (ops->reap(disk, &done, 1) == 0)
		ops->wait(disk);
	if (done.result < 0)
		return done.result;
	return (uint32_t)done.result == bytes ? 0 : -EIO;
}

/* A copy that cannot be read is as good as one that is damaged: what counts was durable in both
 * before it did. */
enum page_state
page_copy_load(const struct disk_ops *ops, void *disk, const struct page_pair *pair, int copy,
	const struct wal_seal *seal, uint8_t *page, struct page_header *ret_header)
{
	if (disk_io(ops, disk, DISK_READ, pair->file, pair->offset_bytes[copy], page,
		    pair->bytes) == 0)
		return page_check(page, pair, seal, ret_header);
	memset(page, 0, pair->bytes);
	return PAGE_UNREADABLE;
}

struct disk_request
page_copy_write(const struct page_pair *pair, int copy, uint8_t *page, uint64_t token)
{
	return (struct disk_request){
		.kind = DISK_WRITE_DURABLE,
		.file = pair->file,
		.offset_bytes = pair->offset_bytes[copy],
		.buffer = page,
		.bytes = pair->bytes,
		.token = token,
	};
}

/* From one copy to the next in memory. */
size_t
page_stride(const struct page_pair *pair)
{
	return pair->bytes < PAGE_BYTES_MAX ? PAGE_BYTES_MAX : pair->bytes;
}

int
page_load(const struct disk_ops *ops, void *disk, const struct page_pair *pair,
	const struct wal_seal *seal, uint8_t *ret_page, struct page_header *ret_header,
	int *ret_stale)
{
	const size_t stride = page_stride(pair);
	uint8_t *copies = aligned_alloc(PAGE_BYTES_MAX, 2 * stride);
	struct page_header headers[2];
	enum page_state states[2];
	int rc = 0;

	if (copies == NULL)
		return -ENOMEM;
	for (int i = 0; i < 2; i++)
		states[i] = page_copy_load(
			ops, disk, pair, i, seal, copies + (size_t)i * stride, &headers[i]);
	if (states[0] == PAGE_VERSION || states[1] == PAGE_VERSION) {
		ret_header->version = headers[states[0] != PAGE_VERSION].version;
		rc = -EPROTONOSUPPORT;
	} else if (states[0] == PAGE_UNREADABLE && states[1] == PAGE_UNREADABLE)
		rc = -EIO;
	else if (states[0] != PAGE_VALID && states[1] != PAGE_VALID)
		rc = -EBADMSG;
	if (rc == 0 && states[0] == PAGE_VALID && states[1] == PAGE_VALID &&
		headers[0].generation == headers[1].generation &&
		memcmp(copies, copies + stride, pair->bytes) != 0)
		rc = -EBADMSG; /* one of them is not ours, and nothing says which */
	if (rc == 0) {
		bool second =
			states[0] != PAGE_VALID ||
			(states[1] == PAGE_VALID && headers[1].generation > headers[0].generation);
		const uint8_t *chosen = copies + (second ? stride : 0);

		memcpy(ret_page, chosen, pair->bytes);
		*ret_header = headers[second];
		*ret_stale = memcmp(copies, copies + stride, pair->bytes) == 0 ? -1 : !second;
	}
	free(copies);
	return rc;
}

int
page_store(const struct disk_ops *ops, void *disk, const struct page_pair *pair, uint8_t *page)
{
	int rc = 0;

	for (int i = 0; i < 2 && rc == 0; i++) {
		rc = disk_io(ops, disk, DISK_WRITE_DURABLE, pair->file, pair->offset_bytes[i], page,
			pair->bytes);
		FAILPOINT("wal.page.copy_stored");
	}
	return rc;
}
