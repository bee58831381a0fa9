/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes: refused, or read as something that encodes to exactly the same bytes again (of
 * metrics: to the same values). */
#include "base/assert.h"
#include "engine/runtime/client_msg.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static uint32_t
commands_encode(const struct client_msg *m, uint8_t *out, uint32_t capacity)
{
	struct client_writer w;
	struct eng_command command;
	uint32_t cursor = 0;

	client_commands_begin(&w, out, capacity, m->group);
	while (client_command_next(m, &cursor, &command))
		decree_assert(client_commands_add(&w, &command));
	return client_writer_finish(&w);
}

static uint32_t
replies_encode(const struct client_msg *m, uint8_t *out, uint32_t capacity)
{
	struct client_writer w;
	struct client_reply reply;
	uint32_t cursor = 0;

	client_replies_begin(&w, out, capacity, m->group, m->node_id);
	while (client_reply_next(m, &cursor, &reply))
		decree_assert(client_replies_add(&w, &reply));
	return client_writer_finish(&w);
}

static uint32_t
log_reply_encode(const struct client_msg *m, uint8_t *out, uint32_t capacity)
{
	struct client_writer w;
	struct decree_log_entry entry;
	uint32_t cursor = 0;

	client_log_reply_begin(&w, out, capacity, m->group, m->node_id, m->log_reply.token);
	while (client_log_entry_next(m, &cursor, &entry))
		decree_assert(client_log_reply_add(&w, &entry));
	return client_log_reply_finish(
		&w, m->log_reply.applied, m->log_reply.next, m->log_reply.next_index);
}

/* What one version says and the other does not know is left out: what is known comes back. */
static void
check_metrics(const struct client_msg *m, uint8_t *out, uint32_t capacity)
{
	struct decree_metrics first, again;
	struct client_msg copy;

	client_metrics_read(m, &first);
	decree_assert(client_msg_decode(
			      out, client_metrics_encode(&first, 1, out, capacity), &copy) == 0);
	client_metrics_read(&copy, &again);
	decree_assert(memcmp(&first, &again, sizeof(first)) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static uint8_t out[65536];
	struct client_msg m;
	uint32_t count;

	if (bytes > sizeof(out) - CLIENT_MSG_FIXED_BYTES_MAX)
		return 0;
	if (client_msg_decode(data, (uint32_t)bytes, &m) != 0)
		return 0;
	if (m.type == CLIENT_MSG_METRICS_REPLY) {
		check_metrics(&m, out, sizeof(out));
		return 0;
	}
	if (m.type == CLIENT_MSG_COMMANDS)
		count = commands_encode(&m, out, sizeof(out));
	else if (m.type == CLIENT_MSG_REPLIES)
		count = replies_encode(&m, out, sizeof(out));
	else if (m.type == CLIENT_MSG_LOG_REPLY)
		count = log_reply_encode(&m, out, sizeof(out));
	else
		count = client_msg_encode(&m, out, sizeof(out));
	decree_assert(count == bytes);
	decree_assert(memcmp(out, data, bytes) == 0);
	return 0;
}
