/* SPDX-License-Identifier: Apache-2.0 */
/* The log of a node of the world: an array, durable when it is asked for it, or when the test says
 * so. */
#include "tests/unit/runtime/world.h"

#include "base/assert.h"

#include <errno.h>
#include <string.h>

static struct world_node *
node_of_log(struct world_log *log)
{
	return (struct world_node *)((char *)log - offsetof(struct world_node, log));
}

struct world_record *
world_record_of(struct world_log *log, uint64_t lsn)
{
	return &log->records[(lsn - 1) % WORLD_RECORD_COUNT_MAX];
}

static uint32_t
log_append(void *ctx, const struct log_record *records, uint32_t count, struct log_place *ret)
{
	struct world_log *log = ctx;

	if (log->room != 0 && count > log->room)
		count = log->room;
	if (log->is_full)
		count = 0;
	for (uint32_t i = 0; i < count; i++) {
		uint64_t lsn = ++log->appended;
		struct world_record *r;

		decree_assert(log->is_ring || lsn <= WORLD_RECORD_COUNT_MAX);
		r = world_record_of(log, lsn);
		memcpy(r->tag, records[i].tag, LOG_TAG_BYTES);
		if (records[i].payload_bytes > 0)
			memcpy(r->payload, records[i].payload, records[i].payload_bytes);
		r->bytes = records[i].payload_bytes;
		ret[i] = (struct log_place){ .lsn = lsn, .position = lsn };
	}
	return count;
}

static uint64_t
log_meta(void *ctx, const void *blob, uint32_t bytes)
{
	struct world_log *log = ctx;

	memcpy(log->meta, blob, bytes);
	log->meta_bytes = bytes;
	return ++log->meta_asked;
}

static void
log_hearsay(void *ctx, const void *blob, uint32_t bytes)
{
	struct world_log *log = ctx;

	memcpy(log->hearsay, blob, bytes);
	log->hearsay_bytes = bytes;
	log->hearsay_count++;
}

static int
log_read(void *ctx, uint64_t position, uint64_t token)
{
	struct world_log *log = ctx;

	if (log->read_count == 8)
		return -EAGAIN;
	log->reads[log->read_count++] = (struct world_read){ position, token };
	return 0;
}

static void
log_submit(void *ctx, uint64_t now_ns)
{
	struct world_log *log = ctx;

	(void)now_ns;
	if (log->submitted < log->appended) {
		log->submit_count++;
		log->frames_at_submit = node_of_log(log)->net.sent;
	}
	log->submitted = log->appended;
}

static uint32_t
reap_reads(struct world_log *log, struct log_completion *ret, uint32_t count_max)
{
	uint32_t count = 0;

	for (; count < log->read_count && count < count_max; count++) {
		struct world_record *r = world_record_of(log, log->reads[count].position);

		ret[count] = (struct log_completion){
			.kind = LOG_READ,
			.lsn = log->reads[count].position,
			.token = log->reads[count].token,
			.tag = r->tag,
			.payload = r->payload,
			.payload_bytes = r->bytes,
		};
	}
	memmove(log->reads, log->reads + count, (log->read_count - count) * sizeof(log->reads[0]));
	log->read_count -= count;
	return count;
}

static uint32_t
log_reap(void *ctx, uint64_t now_ns, struct log_completion *ret, uint32_t count_max)
{
	struct world_log *log = ctx;
	uint32_t count = 0;

	(void)now_ns;
	if (log->is_failing) {
		if (log->has_failed)
			return 0;
		log->has_failed = true;
		ret[0] = (struct log_completion){ .kind = LOG_FAILED, .rc = -EIO };
		return 1;
	}
	if (!log->hold_records)
		log->durable = log->submitted;
	if (!log->hold_meta && log->meta_durable < log->meta_asked) {
		log->meta_durable = log->meta_asked;
		memcpy(log->meta_durable_blob, log->meta, sizeof(log->meta));
	}
	if (log->reported < log->durable) {
		log->reported = log->durable;
		ret[count++] = (struct log_completion){ .kind = LOG_DURABLE, .lsn = log->durable };
	}
	if (log->meta_reported < log->meta_durable) {
		log->meta_reported = log->meta_durable;
		ret[count++] =
			(struct log_completion){ .kind = LOG_META, .lsn = log->meta_durable };
	}
	if (log->rotten_first != 0 && count < count_max) {
		uint64_t lsn = log->rotten_first;
		uint64_t after = log->is_rot_nameless ? log->rotten_after : lsn + 1;

		log->rotten_first = after == log->rotten_after ? 0 : after;
		ret[count++] = (struct log_completion){
			.kind = LOG_DAMAGED,
			.lsn = after - 1,
			.position = lsn,
			.after = after,
			.tag = log->is_rot_nameless ? NULL : world_record_of(log, lsn)->tag,
		};
	}
	return count + reap_reads(log, ret + count, count_max - count);
}

static uint64_t
space_bounded(const struct world_log *log)
{
	uint64_t first = log->trimmed_lsn != 0 ? log->trimmed_lsn : 1;
	uint64_t used = log->appended + 1 - first;

	return used < log->space_all ? log->space_all - used : 0;
}

static struct log_room
log_room(void *ctx)
{
	struct world_log *log = ctx;

	if (log->is_full)
		return (struct log_room){ 0 };
	if (log->space_all != 0)
		return (struct log_room){
			.buffer_record_count = 4096,
			.space_record_count = space_bounded(log),
			.space_record_count_max = log->space_all,
		};
	return (struct log_room){
		.buffer_record_count = log->room != 0 ? log->room : 4096,
		.space_record_count = log->space_left != 0 ? log->space_left : 1000000,
		.space_record_count_max = log->is_crowded ? 4000000 : 1000000,
	};
}

static void
log_trim(void *ctx, uint64_t lsn)
{
	struct world_log *log = ctx;

	log->trimmed_lsn = lsn;
}

static void
log_raise(void *ctx, uint32_t version)
{
	struct world_log *log = ctx;

	log->version = version;
}

static bool
log_is_idle(void *ctx)
{
	struct world_log *log = ctx;

	return log->durable == log->appended;
}

const struct log_ops world_log_ops = {
	log_append,
	log_meta,
	log_hearsay,
	log_read,
	log_submit,
	log_reap,
	log_room,
	log_trim,
	log_raise,
	log_is_idle,
};
