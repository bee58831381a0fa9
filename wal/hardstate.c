/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hard state: one opaque blob in two copies. Copy 0 is written and durable before copy 1 is
 * started, and only when both are does the new generation count. So at any moment one copy is
 * whole, and a generation that was reported is found again whichever copy is lost.
 *
 * Requests that arrive during a write coalesce: the newest blob is written next.
 */
#include "base/assert.h"
#include "base/failpoint.h"
#include "wal/internal.h"

#include <string.h>

uint64_t
meta_request(struct wal *w, const void *blob, uint32_t bytes)
{
	struct wal_meta *m = &w->meta;

	decree_assert(bytes >= 1 && bytes <= LOG_META_BYTES_MAX);
	memcpy(m->pending, blob, bytes);
	m->pending_bytes = bytes;
	return ++m->requested_generation;
}

bool
meta_next_write(struct wal *w, struct disk_request *ret_request)
{
	struct wal_meta *m = &w->meta;

	if (m->copy >= 0)
		return false;
	if (m->is_waiting) {
		m->copy = 1;
		m->is_waiting = false;
	} else if (m->requested_generation > m->durable_generation) {
		struct page_header header = {
			.generation = m->requested_generation,
			.lsn = w->append.durable_lsn,
			.body_bytes = m->pending_bytes,
			.version = w->session.version,
		};

		memcpy(m->page + PAGE_HEADER_BYTES, m->pending, m->pending_bytes);
		page_seal(m->page, &page_hardstate, &w->seal, &header);
		FAILPOINT("wal.hard_state.sealed");
		m->writing_generation = m->requested_generation;
		m->copy = 0;
	} else {
		return false;
	}
	*ret_request = page_copy_write(&page_hardstate, m->copy, m->page, token_of(TOKEN_META, 0));
	return true;
}

void
meta_on_written(struct wal *w)
{
	struct wal_meta *m = &w->meta;

	decree_assert(m->copy >= 0);
	if (m->copy == 0) {
		FAILPOINT("wal.hard_state.between_copies");
		m->is_waiting = true;
	} else {
		FAILPOINT("wal.hard_state.written");
		m->durable_generation = m->writing_generation;
	}
	m->copy = -1;
}
