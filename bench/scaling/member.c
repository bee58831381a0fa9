/* SPDX-License-Identifier: Apache-2.0 */
/* One shard of one node: what a node of production makes of the defaults of its configuration. */
#include "bench/scaling/world.h"
#include "engine/core/value.h"

#include <string.h>

#define LOG_BYTES_MIN  (64ull << 20)
#define SEGMENT_BYTES  (4u << 20)
#define SECTOR_BYTES   512
#define COMMANDS_SPARE 16384
#define MANY_IN_FLIGHT 256
#define SLOT_BYTES     1328
#define ALPHA_MIN      1024
#define SESSION_COUNT  16
#define PREWRITE_BYTES (1ull << 40) /* a second: while the world settles */

static void
machine_apply(void *opaque, const struct decree_command *commands, uint32_t count,
	uint64_t cluster_ns, struct decree_sink *sink)
{
	struct machine *m = opaque;

	(void)cluster_ns;
	for (uint32_t i = 0; i < count; i++)
		decree_sink_answer(sink, commands[i].session, commands[i].seq, 0, ++m->count);
	m->member->work.executed += count;
}

static struct decree_digest
machine_digest(void *opaque)
{
	return (struct decree_digest){ .lo = ((struct machine *)opaque)->count };
}

static const struct decree_machine_ops machine_ops = {
	.struct_bytes = sizeof(machine_ops),
	.apply = machine_apply,
	.digest = machine_digest,
};

/* ---- the log: the production one, whose appends are counted ---- */

static uint32_t
counted_append(
	void *log, const struct log_record *records, uint32_t count, struct log_place *ret_places)
{
	struct member *m = log;

	for (uint32_t i = 0; i < count; i++) {
		const uint8_t *value = records[i].payload;

		if (records[i].payload_bytes >= ENG_VALUE_HEADER_BYTES &&
			value[0] == ENG_VALUE_BATCH)
			m->work.appended += load_u16(value + 2);
	}
	return wal_log_ops.append(m->wal, records, count, ret_places);
}

static uint64_t
counted_meta(void *log, const void *blob, uint32_t bytes)
{
	return wal_log_ops.meta(((struct member *)log)->wal, blob, bytes);
}

static int
counted_read(void *log, uint64_t position, uint64_t token)
{
	return wal_log_ops.read(((struct member *)log)->wal, position, token);
}

static void
counted_submit(void *log, uint64_t now_ns)
{
	wal_log_ops.submit(((struct member *)log)->wal, now_ns);
}

static uint32_t
counted_reap(void *log, uint64_t now_ns, struct log_completion *ret, uint32_t count_max)
{
	return wal_log_ops.reap(((struct member *)log)->wal, now_ns, ret, count_max);
}

static struct log_room
counted_room(void *log)
{
	return wal_log_ops.room(((struct member *)log)->wal);
}

static void
counted_hearsay(void *log, const void *blob, uint32_t bytes)
{
	wal_log_ops.hearsay(((struct member *)log)->wal, blob, bytes);
}

static void
counted_trim(void *log, uint64_t lsn)
{
	wal_log_ops.trim(((struct member *)log)->wal, lsn);
}

static void
counted_raise(void *log, uint32_t version)
{
	wal_log_ops.raise(((struct member *)log)->wal, version);
}

static bool
counted_is_idle(void *log)
{
	return wal_log_ops.is_idle(((struct member *)log)->wal);
}

static const struct log_ops counted_log_ops = {
	.append = counted_append,
	.meta = counted_meta,
	.hearsay = counted_hearsay,
	.read = counted_read,
	.submit = counted_submit,
	.reap = counted_reap,
	.room = counted_room,
	.trim = counted_trim,
	.raise = counted_raise,
	.is_idle = counted_is_idle,
};

/* Room for all that is proposed, twice, each with a record to itself unless many are sure to share
 * one: a log that is cut by snapshots is not what is measured here. */
static uint64_t
log_bytes(const struct settings *s)
{
	bool is_shared = s->in_flight >= MANY_IN_FLIGHT && s->rate == 0;
	uint64_t each = 2 * s->command_bytes + (is_shared ? 64 : 2 * SECTOR_BYTES);
	uint64_t wanted = (2 * s->commands + COMMANDS_SPARE + 4 * s->in_flight) * each;
	uint64_t bytes = LOG_BYTES_MIN;

	while (bytes < wanted)
		bytes *= 2;
	return bytes;
}

static void
open_log(struct world *w, struct member *m)
{
	struct wal_format format = {
		.uuid = { { (uint8_t)(m->node + 1), (uint8_t)(m->group + 1) } },
		.log_bytes = log_bytes(&w->s),
		.segment_bytes = SEGMENT_BYTES
	};
	struct wal_config config = { .ops = &log_disk_ops,
		.disk = &m->disk,
		.mode = DECREE_LOG_DURABLE,
		.prewrite_bytes_per_second = PREWRITE_BYTES };
	char error[DECREE_ERROR_BYTES] = "";

	m->disk.member = m;
	if (wal_format(&log_disk_ops, &m->disk, &format, error) != 0 ||
		wal_open(&config, &m->wal, error) != 0)
		die("log: %s", error);
}

/* ---- the shard ---- */

static uint32_t
power_of_two(uint32_t at_least)
{
	uint32_t n = 1;

	while (n < at_least)
		n *= 2;
	return n;
}

static void
configure(const struct settings *s, struct member *m)
{
	uint32_t alpha = s->window_slots > ALPHA_MIN ? s->window_slots : ALPHA_MIN;
	uint32_t window = power_of_two(s->in_flight < 1024 ? 1024 : s->in_flight);

	m->eng = (struct eng_config){ .cluster_id = 42,
		.node_id = (uint16_t)(m->node + 1),
		.disk = { { (uint8_t)(m->node + 1), 1 } },
		.member_count = s->node_count,
		.q1 = s->node_count / 2 + 1,
		.q2 = s->node_count / 2 + 1,
		.nonce = m->node + 1 + s->seed,
		.seed = m->node + 1 + s->seed,
		.slot_bytes = SLOT_BYTES,
		.alpha = alpha,
		.window_slots = s->window_slots,
		.ring_slots = power_of_two(2 * alpha),
		.frame_bytes = PAYLOAD_BYTES,
		.command_bytes_max = 131072,
		.session_count = SESSION_COUNT,
		.session_window = window,
		.session_idle_slots = 1024,
		.digest_slots = 4096,
		.heartbeat_ns = 20 * MS,
		.heartbeat_on_grid = true,
		.election_ns = 200 * MS,
		.disk_stall_ns = 1000 * MS };
	for (uint16_t i = 0; i < s->node_count; i++)
		m->eng.members[i].node_id = i + 1;
}

void
member_start(struct world *w, struct member *m)
{
	struct shard_config config = { .net_ops = &wire_ops,
		.frame_bytes = PAYLOAD_BYTES,
		.log_ops = &counted_log_ops,
		.log_bytes = log_bytes(&w->s),
		.groups = &m->eng,
		.group_count = 1,
		.machine_ops = &machine_ops,
		.machines = m->machines };

	configure(&w->s, m);
	config.gateway_window = m->eng.session_window;
	m->inbox_end = &m->inbox;
	m->outbox_end = &m->outbox;
	m->planned_ns = UINT64_MAX;
	m->machine.member = m;
	m->machines[0] = &m->machine;
	open_log(w, m);
	m->shard = shard_init(take(shard_bytes(&config)), &config);
	shard_attach(m->shard, m, m);
	shard_start(m->shard, 1, member_clock(w, m));
}

bool
member_leads(const struct member *m)
{
	struct decree_group_status status;

	return shard_group_status(m->shard, 0, &status) == 0 && status.ready &&
	       status.role == DECREE_LEADER;
}
