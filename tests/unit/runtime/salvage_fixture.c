/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/runtime/salvage_fixture.h"

#include "base/digest.h"
#include "wal/directory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const char text[] =
	"[cluster]\nid = c0ffee\nauth = none\n"
	"session_count = 2\nsession_idle_slots = 2\nalpha = 16\nwindow_slots = 16\n"
	"[node 3]\nip = 127.0.0.3\n"
	"[node 10]\nip = 127.0.0.10\njoins = yes\n"
	"[local]\nport = net_af_packet0,iface=lo\nnode = 3\ndata_dir = old\n"
	"log_bytes = 4M\nsegment_bytes = 1M\n";

int
salvage_setup(void **state)
{
	struct salvage *s = calloc(1, sizeof(*s));
	struct wal_config cfg = { .mode = DECREE_LOG_DURABLE };
	const char *larger[] = { "local.log_bytes=8M" };
	char path[128];
	FILE *file;

	assert_non_null(s);
	strcpy(s->folder, "salvage-XXXXXX");
	assert_non_null(mkdtemp(s->folder));
	snprintf(s->ini, sizeof(s->ini), "%s/d.ini", s->folder);
	snprintf(s->old_dir, sizeof(s->old_dir), "%s/old", s->folder);
	snprintf(s->new_dir, sizeof(s->new_dir), "%s/new", s->folder);
	file = fopen(s->ini, "w");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(decree_format(s->ini, larger, 1, false, NULL, s->error), 0);
	snprintf(path, sizeof(path), "%s/shard-0", s->old_dir);
	assert_int_equal(wal_directory_open(path, &cfg, 0, &s->old, s->error), 0);
	s->rescue.data_dir = s->old_dir;
	*state = s;
	return 0;
}

int
salvage_teardown(void **state)
{
	struct salvage *s = *state;
	char command[128];

	wal_close(s->old);
	snprintf(command, sizeof(command), "rm -rf ./%s", s->folder);
	assert_int_equal(system(command), 0);
	free(s);
	return 0;
}

/* -------------------------------------------------------------------------- writing the old log */

/* @return whether the log said this */
static bool
turn(struct salvage *s, enum log_completion_kind kind, uint64_t lsn)
{
	struct log_completion done[8];
	bool is_said = false;

	s->now_ns += 1000000;
	wal_log_ops.submit(s->old, s->now_ns);
	uint32_t count = wal_log_ops.reap(s->old, s->now_ns, done, 8);
	for (uint32_t i = 0; i < count; i++)
		is_said |= done[i].kind == kind && done[i].lsn >= lsn;
	return is_said;
}

static void
wait_for(struct salvage *s, enum log_completion_kind kind, uint64_t lsn)
{
	while (!turn(s, kind, lsn))
		;
}

void
put(struct salvage *s, enum eng_record_kind kind, uint64_t slot, uint32_t round, uint64_t commit,
	const uint8_t *value, uint32_t bytes)
{
	struct eng_record record = {
		.kind = kind,
		.slot = { slot },
		.vballot = BALLOT(round),
		.digest = base_digest(value, bytes),
		.commit = { commit },
		.bytes = bytes,
	};
	uint8_t tag[LOG_TAG_BYTES];
	struct log_record out = { .tag = tag, .payload = value, .payload_bytes = bytes };
	struct log_place place;

	if (s->written.count < SALVAGE_SLOTS_MAX && bytes > 0 && bytes <= SALVAGE_VALUE_BYTES) {
		s->written.records[s->written.count] = record;
		memcpy(s->written.values[s->written.count++], value, bytes);
	}
	eng_record_encode(&record, tag);
	while (wal_log_ops.append(s->old, &out, 1, &place) == 0)
		(void)turn(s, LOG_DURABLE, UINT64_MAX); /* space is still being prepared */
	wait_for(s, LOG_DURABLE, place.lsn);
}

static void
put_noop(struct salvage *s, enum eng_record_kind kind, uint64_t slot, uint32_t round,
	uint64_t commit, uint64_t stamp_ns)
{
	uint8_t value[ENG_VALUE_HEADER_BYTES];
	uint32_t bytes = eng_value_begin(value, ENG_VALUE_NOOP);

	eng_value_set_stamp(value, stamp_ns);
	put(s, kind, slot, round, commit, value, bytes);
}

void
put_value(struct salvage *s, uint64_t slot, uint32_t round, uint64_t commit, uint64_t stamp_ns)
{
	put_noop(s, ENG_RECORD_ACCEPTED, slot, round, commit, stamp_ns);
}

void
put_decided(struct salvage *s, uint64_t slot, uint32_t round, uint64_t commit, uint64_t stamp_ns)
{
	put_noop(s, ENG_RECORD_DECIDED, slot, round, commit, stamp_ns);
}

void
put_config(struct salvage *s, uint64_t slot, uint32_t epoch, uint16_t id_last, uint64_t stamp_ns)
{
	struct eng_membership m = {
		.epoch = epoch, .version = 1, .q1 = 2, .q2 = 2, .alpha = 16, .id_last = id_last
	};
	uint8_t value[SALVAGE_VALUE_BYTES];

	for (uint16_t id = id_last > 3 ? 2 : 1; id <= 3; id++)
		m.members[m.member_count++] = (struct eng_member){
			.node_id = id,
			.role = ENG_VOTER,
			.disk = 100u + id,
		};
	uint32_t bytes = eng_value_config(value, &m);
	eng_value_set_stamp(value, stamp_ns);
	put(s, ENG_RECORD_ACCEPTED, slot, 1, 0, value, bytes);
}

void
put_history(struct salvage *s, uint64_t last)
{
	put_config(s, 1, 1, 3, STAMP(1));
	for (uint64_t slot = 2; slot <= last; slot++)
		put_value(s, slot, 1, slot - 1, STAMP(slot));
}

void
put_hard(struct salvage *s, const struct eng_hard *hard)
{
	uint8_t meta[META_BYTES_MAX] = { 0 };

	meta_begin(meta, 1);
	meta_set_boot_count(meta, 7);
	eng_hard_encode(hard, meta_hard(meta, 0));
	meta_set_has_hard(meta, 0);
	wait_for(s, LOG_META, wal_log_ops.meta(s->old, meta, meta_bytes(1)));
}

void
put_promise(struct salvage *s, uint32_t round)
{
	struct eng_hard hard = { .promised = BALLOT(round) };

	put_hard(s, &hard);
}

FILE *
salvage_open_file(struct salvage *s, const char *name)
{
	char path[160];
	FILE *file;

	wal_close(s->old);
	s->old = NULL;
	snprintf(path, sizeof(path), "%s/shard-0/%s", s->old_dir, name);
	file = fopen(path, "r+b");
	assert_non_null(file);
	return file;
}

/* ---------------------------------------------------------------- doing it, reading the new log */

int
salvage_run(struct salvage *s)
{
	const char *settings[] = { "cluster.id=decade", "local.data_dir=new" };
	char command[256];
	int rc;

	wal_close(s->old);
	s->old = NULL;
	snprintf(command, sizeof(command), "cp -r %s %s/before", s->old_dir, s->folder);
	assert_int_equal(system(command), 0);
	rc = decree_force_recover(s->ini, settings, 2, &s->rescue, s->error);
	/* Whatever came of it: the old directory has the same bytes. */
	snprintf(command, sizeof(command), "diff -r %s %s/before && rm -r %s/before", s->old_dir,
		s->folder, s->folder);
	assert_int_equal(system(command), 0);
	return rc;
}

const struct decree_survivor *
salvage_group(struct salvage *s)
{
	if (salvage_run(s) != 0)
		fail_msg("%s", s->error);
	return &s->rescue.groups[0];
}

static int
on_meta(void *context, uint64_t generation, const void *blob, uint32_t bytes)
{
	struct salvage *s = context;

	assert_true(generation > 0);
	memcpy(s->found.meta, blob, bytes);
	return 0;
}

static int
on_record(void *context, const struct log_place *place, const uint8_t *tag, const void *payload,
	uint32_t bytes)
{
	struct salvage *s = context;
	struct salvage_log *found = &s->found;

	(void)place;
	assert_true(found->count < SALVAGE_SLOTS_MAX);
	assert_int_equal(eng_record_decode(tag, &found->records[found->count]), 0);
	assert_int_equal(found->records[found->count].bytes, bytes);
	assert_true(digest_eq(found->records[found->count].digest, base_digest(payload, bytes)));
	memcpy(found->values[found->count++], payload, bytes);
	return 0;
}

void
salvage_read_new(struct salvage *s)
{
	struct wal_config cfg = {
		.mode = DECREE_LOG_DURABLE,
		.recovery = { .context = s, .meta = on_meta, .record = on_record },
	};
	struct wal *wal;
	char path[128];

	snprintf(path, sizeof(path), "%s/shard-0", s->new_dir);
	assert_int_equal(wal_directory_open(path, &cfg, 0, &wal, s->error), 0);
	wal_close(wal);
}

bool
salvage_exists(const struct salvage *s, const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", s->folder, name);
	return access(path, F_OK) == 0;
}
