/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/runtime/notes.h"

#include "base/assert.h"

static const struct decree_log_line lines[] = {
#define X(identifier, level_, word, message_id_, help)                                             \
	[NOTE_##identifier] = { .level = DECREE_LOG_##level_,                                      \
		.event = word,                                                                     \
		.message_id = message_id_,                                                         \
		.group = DECREE_NO_GROUP,                                                          \
		.text = "" },
	NOTE_TABLE(X)
#undef X
};

struct decree_log_line
note_line(enum note note)
{
	decree_assert((unsigned)note < NOTE_COUNT);
	return lines[note];
}
