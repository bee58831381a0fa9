/* SPDX-License-Identifier: Apache-2.0 */
/* The queue: any bytes as commands, as a question, as a snapshot. What the machine lets through it
 * must survive. */
#include "queue/machine.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count);

void
decree_sink_answer(struct decree_sink *sink, struct decree_session session, uint64_t seq,
	uint16_t status, uint64_t result)
{
	(void)sink, (void)session, (void)seq, (void)status, (void)result;
}

/* Commands, each behind a byte with its size, one with the tenths of a second that pass before it,
 * one with its session. */
static void
run_commands(struct queue_machine *m, const uint8_t *data, size_t count)
{
	uint64_t now_ns = 1000000000000ull, slot = 1;

	for (size_t at = 0; at + 3 <= count; slot++) {
		size_t bytes = data[at] < count - at - 3 ? data[at] : count - at - 3;
		struct decree_command c = {
			.slot = { slot },
			.session = { data[at + 2] },
			.seq = slot,
			.body = data + at + 3,
			.bytes = (uint32_t)bytes,
		};

		now_ns += data[at + 1] * 100000000ull;
		queue_machine_ops.apply(m, &c, 1, now_ns, NULL);
		at += 3 + bytes;
	}
}

static void
restore(struct queue_machine *m, const uint8_t *data, size_t count)
{
	struct decree_chunk chunk = { .bytes = data, .count = count };

	if (count <= DECREE_CHUNK_BYTES_MAX && queue_machine_ops.restore_begin(m) == 0 &&
		queue_machine_ops.restore_next(m, &chunk) == 0 &&
		queue_machine_ops.restore_end(m) == 0)
		run_commands(m, data, count);
}

/* The first byte says as what. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t count)
{
	struct queue_config config = { .queue_bytes = QUEUE_BYTES_MIN };
	uint8_t answer[DECREE_ANSWER_BYTES_MAX];
	struct queue_machine *m;

	if (count == 0 || queue_machine_create(&config, &m) != 0)
		return 0;
	if (data[0] == 0)
		restore(m, data + 1, count - 1);
	else if (data[0] == 1)
		(void)queue_machine_ops.read(
			m, data + 1, (uint32_t)count - 1, answer, sizeof(answer));
	else
		run_commands(m, data + 1, count - 1);
	queue_machine_destroy(m);
	return 0;
}
