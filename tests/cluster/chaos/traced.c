/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decreed with a witness. Linked into the daemon in front of the queue's table and callbacks
 * (--wrap), this writes down each thing that the machine is told and says, in the order of the log.
 * audit.py reads what all lives of all nodes have written.
 *
 * A life is a file, DECREE_TRACE_DIR/PID-TIME, of lines:
 *
 *   x                                                        the state is that of a snapshot from here on
 *   s SLOT NS COUNT                                          apply() begins; SLOT is 0 if no command came
 *   c INDEX SESSION SEQ OP CONNECTION ID SECONDS TTR BYTES CRC NAME    one of its commands; "-": it names no tube
 *   a SESSION SEQ STATUS RESULT                              the machine answers
 *   r SESSION CONNECTION SEQ STATUS ID RESERVES              ... and says how a reserve went
 *   e                                                        apply() ends
 *
 * They are written before apply() returns, so before anybody hears of it, and kill -9 takes nothing
 * back that write() has taken. The last block of a file may lack its end; then another node, or the
 * next life, has it whole.
 */
#include "queue/gateway.h"
#include "queue/machine.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_BYTES 512

extern const struct decree_machine_ops __real_queue_machine_ops;
void __real_decree_sink_answer(struct decree_sink *sink, struct decree_session session,
	uint64_t seq, uint16_t status, uint64_t result);
void __real_queue_gateway_on_reserved(
	void *gateway, struct queue_machine *m, const struct queue_reserved *r);

extern const struct decree_machine_ops __wrap_queue_machine_ops;
void __wrap_decree_sink_answer(struct decree_sink *sink, struct decree_session session,
	uint64_t seq, uint16_t status, uint64_t result);
void __wrap_queue_gateway_on_reserved(
	void *gateway, struct queue_machine *m, const struct queue_reserved *r);

/* owner: the shard's thread */
static char buffer[1 << 20];
static size_t used;
static int trace_fd = -1;

static void
open_trace(void)
{
	const char *dir = getenv("DECREE_TRACE_DIR");
	char path[1024];
	struct timespec now;

	if (dir == NULL)
		errx(1, "traced: DECREE_TRACE_DIR is not set");
	clock_gettime(CLOCK_REALTIME, &now);
	snprintf(path, sizeof(path), "%s/%d-%lld.%09ld", dir, getpid(), (long long)now.tv_sec,
		now.tv_nsec);
	trace_fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0644);
	if (trace_fd < 0)
		err(1, "traced: %s", path);
}

static void
flush(void)
{
	if (trace_fd < 0)
		open_trace();
	for (size_t at = 0; at < used;) {
		ssize_t written = write(trace_fd, buffer + at, used - at);

		if (written < 0 && errno != EINTR)
			err(1, "traced: cannot write");
		at += written < 0 ? 0 : (size_t)written;
	}
	used = 0;
}

static void __attribute__((format(printf, 1, 2))) line(const char *format, ...)
{
	va_list arguments;

	if (used + LINE_BYTES > sizeof(buffer))
		flush();
	va_start(arguments, format);
	used += (size_t)vsnprintf(buffer + used, LINE_BYTES, format, arguments);
	va_end(arguments);
}

/* The one of zlib. */
static uint32_t
crc32_of(const uint8_t *bytes, size_t count)
{
	uint32_t crc = ~0u;

	for (size_t i = 0; i < count; i++) {
		crc ^= bytes[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
	}
	return ~crc;
}

static void
line_of_command(const struct decree_command *command)
{
	struct queue_command c;
	bool has_name;

	if (queue_command_decode(command->body, command->bytes, &c) != 0)
		errx(1, "traced: a command that is none");
	has_name = c.tail_bytes > 0 && c.op != QUEUE_PUT && c.op != QUEUE_COUNT;
	line("c %u %" PRIu64 " %" PRIu64 " %d %" PRIu64 " %" PRIu64 " %u %u %u %u %.*s\n",
		command->index, command->session.n, command->seq, (int)c.op, c.connection, c.id,
		c.seconds, c.ttr_s, c.tail_bytes, crc32_of(c.tail, c.tail_bytes),
		has_name ? (int)c.tail_bytes : 1, has_name ? (const char *)c.tail : "-");
}

/* ------------------------------------------------------------------ in front of the queue's own */

static void
traced_apply(void *machine, const struct decree_command *commands, uint32_t count,
	uint64_t cluster_ns, struct decree_sink *sink)
{
	line("s %" PRIu64 " %" PRIu64 " %u\n", count > 0 ? commands[0].slot.n : 0, cluster_ns,
		count);
	for (uint32_t i = 0; i < count; i++)
		line_of_command(&commands[i]);
	__real_queue_machine_ops.apply(machine, commands, count, cluster_ns, sink);
	line("e\n");
	flush();
}

static uint64_t
traced_next_deadline(void *machine)
{
	return __real_queue_machine_ops.next_deadline(machine);
}

static struct decree_digest
traced_digest(void *machine)
{
	return __real_queue_machine_ops.digest(machine);
}

static int
traced_snapshot_begin(void *machine)
{
	return __real_queue_machine_ops.snapshot_begin(machine);
}

static int
traced_snapshot_next(void *machine, struct decree_chunk *ret_chunk)
{
	return __real_queue_machine_ops.snapshot_next(machine, ret_chunk);
}

static void
traced_snapshot_end(void *machine)
{
	__real_queue_machine_ops.snapshot_end(machine);
}

static int
traced_restore_begin(void *machine)
{
	line("x\n");
	return __real_queue_machine_ops.restore_begin(machine);
}

static int
traced_restore_next(void *machine, const struct decree_chunk *chunk)
{
	return __real_queue_machine_ops.restore_next(machine, chunk);
}

static int
traced_restore_end(void *machine)
{
	return __real_queue_machine_ops.restore_end(machine);
}

static int32_t
traced_read(void *machine, const void *query, uint32_t bytes, void *ret_answer, uint32_t capacity)
{
	return __real_queue_machine_ops.read(machine, query, bytes, ret_answer, capacity);
}

const struct decree_machine_ops __wrap_queue_machine_ops = {
	.struct_bytes = sizeof(struct decree_machine_ops),
	.apply = traced_apply,
	.next_deadline = traced_next_deadline,
	.digest = traced_digest,
	.snapshot_begin = traced_snapshot_begin,
	.snapshot_next = traced_snapshot_next,
	.snapshot_end = traced_snapshot_end,
	.restore_begin = traced_restore_begin,
	.restore_next = traced_restore_next,
	.restore_end = traced_restore_end,
	.read = traced_read,
};

void
__wrap_decree_sink_answer(struct decree_sink *sink, struct decree_session session, uint64_t seq,
	uint16_t status, uint64_t result)
{
	line("a %" PRIu64 " %" PRIu64 " %u %" PRIu64 "\n", session.n, seq, status, result);
	__real_decree_sink_answer(sink, session, seq, status, result);
}

void
__wrap_queue_gateway_on_reserved(
	void *gateway, struct queue_machine *m, const struct queue_reserved *r)
{
	line("r %" PRIu64 " %" PRIu64 " %" PRIu64 " %d %" PRIu64 " %u\n", r->session.n,
		r->connection, r->seq, (int)r->status, r->id, r->reserves);
	__real_queue_gateway_on_reserved(gateway, m, r);
}
