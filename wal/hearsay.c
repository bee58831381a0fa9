/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hearsay: one more opaque blob, which the caller would like to find again and can do without. A
 * new generation goes over the older of two copies, durably, and only when the write before it is
 * done: so the newer one is whole, whatever happens, and nothing ever waits for either.
 *
 * Requests that arrive during a write coalesce: the newest blob is written next.
 */
#include "base/assert.h"
#include "base/failpoint.h"
#include "wal/internal.h"

#include <string.h>

void
hearsay_request(struct wal *w, const void *blob, uint32_t bytes)
{
	struct wal_hearsay *h = &w->hearsay;

	decree_assert(bytes >= 1 && bytes <= LOG_HEARSAY_BYTES_MAX);
	memcpy(h->pending, blob, bytes);
	h->pending_bytes = bytes;
	h->is_pending = true;
}

bool
hearsay_next_write(struct wal *w, struct disk_request *ret_request)
{
	struct wal_hearsay *h = &w->hearsay;

	if (h->is_writing || !h->is_pending)
		return false;
	memcpy(h->page + PAGE_HEADER_BYTES, h->pending, h->pending_bytes);
	page_seal(h->page, &page_hearsay, &w->seal,
		&(struct page_header){
			.generation = ++h->generation,
			.lsn = w->append.durable_lsn,
			.body_bytes = h->pending_bytes,
			.version = w->session.version,
		});
	FAILPOINT("wal.hearsay.sealed");
	h->is_pending = false;
	h->is_writing = true;
	*ret_request = page_copy_write(
		&page_hearsay, (int)(h->generation & 1), h->page, token_of(TOKEN_HEARSAY, 0));
	return true;
}

void
hearsay_on_written(struct wal *w)
{
	FAILPOINT("wal.hearsay.written");
	w->hearsay.is_writing = false;
}

void
hearsay_load(struct wal *w, const struct wal_recovery *to)
{
	struct wal_hearsay *h = &w->hearsay;
	struct page_header header = { 0 };
	int stale, rc;

	rc = page_load(w->ops, w->disk, &page_hearsay, &w->seal, h->page, &header, &stale);
	if (rc == 0)
		h->generation = header.generation;
	if (to->hearsay != NULL && (rc != 0 || header.generation != 0))
		to->hearsay(
			to->context, h->page + PAGE_HEADER_BYTES, rc == 0 ? header.body_bytes : 0);
}
