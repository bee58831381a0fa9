/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots from a disk or a peer: any bytes, in pieces of any size, into the reader and the
 * session table. */
#include "engine/runtime/snapshot_format.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count);

static const struct eng_config config = {
	.session_count = 4,
	.session_window = 64,
	.command_bytes_max = 1000,
	.slot_bytes = 200,
};

/* The first byte says how large the pieces are. What the reader lets through, the table must
 * survive. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t count)
{
	static uint8_t buffer[DECREE_CHUNK_BYTES_MAX];
	struct snapshot_reader r;
	uint32_t step = count > 0 ? data[0] + 1u : 1;
	void *memory = calloc(1, eng_sessions_bytes(&config));
	struct eng_sessions *s = eng_sessions_init(memory, &config);
	int found = SNAPSHOT_FOUND_NOTHING;

	snapshot_reader_init(&r, 1, 0, buffer);
	for (size_t at = 1; at < count && found >= 0;) {
		uint32_t part = count - at < step ? (uint32_t)(count - at) : step;
		uint32_t taken = 0;

		found = snapshot_read(&r, data + at, part, &taken);
		at += taken;
		if (found == SNAPSHOT_FOUND_HEADER)
			eng_sessions_restore_begin(s, &r.facts);
		if (found == SNAPSHOT_FOUND_CHUNK && r.chunk_kind == SNAPSHOT_SESSIONS)
			(void)eng_sessions_restore_piece(s, r.buffer, r.chunk_bytes);
	}
	/* The digests keep damage out; behind them stands the table's own check. */
	if (count > 1 && count <= ENG_SESSIONS_PIECE_BYTES_MAX)
		(void)eng_sessions_restore_piece(s, data + 1, (uint32_t)count - 1);
	free(memory);
	return 0;
}
