/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decree_force_recover() on logs written record by record: what is kept, where it is cut, and what
 * comes of the configurations. The real directories and the real log.
 */
#include "base/digest.h"
#include "decree/setup.h"
#include "engine/core/session.h"
#include "engine/core/value.h"
#include "engine/runtime/meta.h"
#include "wal/directory.h"

#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define SLOTS_MAX   64
#define BALLOT(r)   ((struct decree_ballot){ (uint64_t)(r) << 16 | 3 })
#define VALUE_BYTES 1328

/* What was read back from a log. */
struct found {
	uint32_t count;
	struct eng_record records[SLOTS_MAX];
	uint8_t values[SLOTS_MAX][VALUE_BYTES];
	uint8_t meta[META_BYTES_MAX];
};

struct fixture {
	char folder[64];
	char ini[96];
	char old_dir[96];
	char new_dir[96];
	struct wal *old;
	uint64_t now_ns;
	struct decree_rescue rescue;
	char error[DECREE_ERROR_BYTES];
	struct found found;
	struct found written;
};

static const char text[] =
	"[cluster]\nid = c0ffee\nauth = none\n"
	"session_count = 2\nsession_idle_slots = 2\nalpha = 16\nwindow_slots = 16\n"
	"[node 3]\nip = 127.0.0.3\n"
	"[node 10]\nip = 127.0.0.10\njoins = yes\n"
	"[local]\nport = net_af_packet0,iface=lo\nnode = 3\ndata_dir = "
	"old\nlog_bytes = 4M\nsegment_bytes = 1M\n";

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct wal_config cfg = { .mode = DECREE_LOG_DURABLE };
	const char *larger[] = { "local.log_bytes=8M" };
	char path[128];
	FILE *file;

	assert_non_null(f);
	strcpy(f->folder, "salvage-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	snprintf(f->ini, sizeof(f->ini), "%s/d.ini", f->folder);
	snprintf(f->old_dir, sizeof(f->old_dir), "%s/old", f->folder);
	snprintf(f->new_dir, sizeof(f->new_dir), "%s/new", f->folder);
	file = fopen(f->ini, "w");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(decree_format(f->ini, larger, 1, false, NULL, f->error), 0);
	snprintf(path, sizeof(path), "%s/shard-0", f->old_dir);
	assert_int_equal(wal_directory_open(path, &cfg, 0, &f->old, f->error), 0);
	f->rescue.data_dir = f->old_dir;
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;
	char command[128];

	wal_close(f->old);
	snprintf(command, sizeof(command), "rm -rf ./%s", f->folder);
	assert_int_equal(system(command), 0);
	free(f);
	return 0;
}

/* -------------------------------------------------------------------------- writing the old log */

/* @return whether the log said this */
static bool
turn(struct fixture *f, enum log_completion_kind kind, uint64_t lsn)
{
	struct log_completion done[8];
	bool is_said = false;

	f->now_ns += 1000000;
	wal_log_ops.submit(f->old, f->now_ns);
	uint32_t count = wal_log_ops.reap(f->old, f->now_ns, done, 8);
	for (uint32_t i = 0; i < count; i++)
		is_said |= done[i].kind == kind && done[i].lsn >= lsn;
	return is_said;
}

static void
wait_for(struct fixture *f, enum log_completion_kind kind, uint64_t lsn)
{
	while (!turn(f, kind, lsn))
		;
}

static void
put(struct fixture *f, enum eng_record_kind kind, uint64_t slot, uint32_t round, uint64_t commit,
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

	if (f->written.count < SLOTS_MAX && bytes > 0 && bytes <= VALUE_BYTES) {
		f->written.records[f->written.count] = record;
		memcpy(f->written.values[f->written.count++], value, bytes);
	}
	eng_record_encode(&record, tag);
	while (wal_log_ops.append(f->old, &out, 1, &place) == 0)
		(void)turn(
			f, LOG_DURABLE, UINT64_MAX); /* the space behind is still being prepared */
	wait_for(f, LOG_DURABLE, place.lsn);
}

static void
put_decided(struct fixture *f, uint64_t slot, uint32_t round, uint64_t commit)
{
	uint8_t value[ENG_VALUE_HEADER_BYTES];
	uint32_t bytes = eng_value_begin(value, ENG_VALUE_NOOP);

	eng_value_set_stamp(value, slot);
	put(f, ENG_RECORD_DECIDED, slot, round, commit, value, bytes);
}

/* A no-op with a stamp of its own tells one value from another. */
static void
put_value(struct fixture *f, uint64_t slot, uint32_t round, uint64_t commit, uint64_t stamp_ns)
{
	uint8_t value[ENG_VALUE_HEADER_BYTES];
	uint32_t bytes = eng_value_begin(value, ENG_VALUE_NOOP);

	eng_value_set_stamp(value, stamp_ns);
	put(f, ENG_RECORD_ACCEPTED, slot, round, commit, value, bytes);
}

static void
put_config(struct fixture *f, uint64_t slot, uint32_t epoch, uint16_t id_last, uint64_t stamp_ns)
{
	struct eng_membership m = {
		.epoch = epoch, .version = 1, .q1 = 2, .q2 = 2, .alpha = 16, .id_last = id_last
	};
	uint8_t value[VALUE_BYTES];

	for (uint16_t id = id_last > 3 ? 2 : 1; id <= 3; id++)
		m.members[m.member_count++] = (struct eng_member){
			.node_id = id,
			.role = ENG_VOTER,
			.disk = 100u + id,
		};
	uint32_t bytes = eng_value_config(value, &m);
	eng_value_set_stamp(value, stamp_ns);
	put(f, ENG_RECORD_ACCEPTED, slot, 1, 0, value, bytes);
}

/* @param node_id  whose gateway it is; 0: a client's */
static void
put_registration(struct fixture *f, uint64_t slot, uint16_t node_id)
{
	struct eng_registration r = { .token = { (uint8_t)slot }, .node_id = node_id };
	uint8_t value[VALUE_BYTES], body[ENG_REGISTRATION_GATEWAY_BYTES];
	struct eng_command command = { .body = body };

	r.boot_count = node_id != 0;
	command.bytes = (uint16_t)eng_registration_encode(&r, body);
	uint32_t bytes = eng_value_batch(value, VALUE_BYTES, &command, 1);
	put(f, ENG_RECORD_ACCEPTED, slot, 1, slot - 1, value, bytes);
}

static void
put_hard(struct fixture *f, const struct eng_hard *hard)
{
	uint8_t meta[META_BYTES_MAX] = { 0 };

	meta_begin(meta, 1);
	meta_set_boot_count(meta, 7);
	eng_hard_encode(hard, meta_hard(meta, 0));
	meta_set_has_hard(meta, 0);
	wait_for(f, LOG_META, wal_log_ops.meta(f->old, meta, meta_bytes(1)));
}

static void
put_meta(struct fixture *f, uint32_t round)
{
	struct eng_hard hard = { .promised = BALLOT(round) };

	put_hard(f, &hard);
}

/* ------------------------------------------------------------------------------ rot */

#define MARKED(n) (0x5a5ae7c3d1b2a500 + (n)) /* a stamp that nothing else on the disk looks like */

static FILE *
open_file(struct fixture *f, const char *name)
{
	char path[160];
	FILE *file;

	wal_close(f->old);
	f->old = NULL;
	snprintf(path, sizeof(path), "%s/shard-0/%s", f->old_dir, name);
	file = fopen(path, "r+b");
	assert_non_null(file);
	return file;
}

/* The sector of the record whose value has this stamp turns to noise. */
static void
rot(struct fixture *f, uint64_t stamp_ns)
{
	FILE *file = open_file(f, "segments");
	uint8_t sector[512];
	bool is_found = false;

	while (!is_found && fread(sector, sizeof(sector), 1, file) == 1)
		is_found = memmem(sector, sizeof(sector), &stamp_ns, sizeof(stamp_ns)) != NULL;
	assert_true(is_found);
	memset(sector, 0xee, sizeof(sector));
	assert_int_equal(fseek(file, -(long)sizeof(sector), SEEK_CUR), 0);
	assert_int_equal(fwrite(sector, sizeof(sector), 1, file), 1);
	assert_int_equal(fclose(file), 0);
}

/* What would name a record whose sectors are gone. */
static void
rot_identifiers(struct fixture *f)
{
	FILE *file = open_file(f, "identifiers");
	long bytes;

	assert_int_equal(fseek(file, 0, SEEK_END), 0);
	bytes = ftell(file);
	rewind(file);
	for (long i = 0; i < bytes; i++)
		assert_int_equal(fputc(0xee, file), 0xee);
	assert_int_equal(fclose(file), 0);
}

/* ---------------------------------------------------------------- doing it, reading the new log */

static int
rescue(struct fixture *f)
{
	char data_dir[128], command[256];
	const char *settings[] = { "cluster.id=decade", data_dir };
	int rc;

	snprintf(data_dir, sizeof(data_dir), "local.data_dir=new");
	wal_close(f->old);
	f->old = NULL;
	snprintf(command, sizeof(command), "cp -r %s %s/before", f->old_dir, f->folder);
	assert_int_equal(system(command), 0);
	rc = decree_force_recover(f->ini, settings, 2, &f->rescue, f->error);
	/* Whatever came of it: the old directory has the same bytes. */
	snprintf(command, sizeof(command), "diff -r %s %s/before && rm -r %s/before", f->old_dir,
		f->folder, f->folder);
	assert_int_equal(system(command), 0);
	return rc;
}

static int
on_meta(void *context, uint64_t generation, const void *blob, uint32_t bytes)
{
	struct fixture *f = context;

	assert_true(generation > 0);
	memcpy(f->found.meta, blob, bytes);
	return 0;
}

static int
on_record(void *context, const struct log_place *place, const uint8_t *tag, const void *payload,
	uint32_t bytes)
{
	struct fixture *f = context;
	struct found *found = &f->found;

	(void)place;
	assert_true(found->count < SLOTS_MAX);
	assert_int_equal(eng_record_decode(tag, &found->records[found->count]), 0);
	assert_int_equal(found->records[found->count].bytes, bytes);
	assert_true(digest_eq(found->records[found->count].digest, base_digest(payload, bytes)));
	memcpy(found->values[found->count++], payload, bytes);
	return 0;
}

static void
read_new(struct fixture *f)
{
	struct wal_config cfg = {
		.mode = DECREE_LOG_DURABLE,
		.recovery = { .context = f, .meta = on_meta, .record = on_record },
	};
	struct wal *wal;
	char path[128];

	snprintf(path, sizeof(path), "%s/shard-0", f->new_dir);
	assert_int_equal(wal_directory_open(path, &cfg, 0, &wal, f->error), 0);
	wal_close(wal);
}

static bool
exists(const struct fixture *f, const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", f->folder, name);
	return access(path, F_OK) == 0;
}

/* ------------------------------------------------------------------------------ the tests */

/* The state is the same one: values, ballots and hints stay, and so does what this node promised. */
static void
test_everything_is_kept(void **state)
{
	struct fixture *f = *state;
	struct eng_hard hard;

	put_config(f, 1, 1, 3, 11);
	put_value(f, 2, 1, 1, 22);
	put_value(f, 3, 1, 2, 33);
	put_value(f, 3, 2, 2, 34);
	put_meta(f, 5);
	assert_int_equal(rescue(f), 0);
	assert_int_equal(f->rescue.cluster_id, 0xc0ffee);
	assert_int_equal(f->rescue.group_count, 1);
	assert_int_equal(f->rescue.groups[0].last.n, 3);
	assert_int_equal(f->rescue.groups[0].decided.n, 2);
	assert_int_equal(f->rescue.groups[0].ballot.n, BALLOT(2).n);
	assert_int_equal(f->rescue.groups[0].dropped_count, 0);
	assert_false(f->rescue.groups[0].is_doubtful);
	read_new(f);
	assert_int_equal(f->found.count, 4);
	assert_int_equal(f->found.records[3].vballot.n, BALLOT(2).n);
	assert_int_equal(f->found.records[3].commit.n, 2);
	assert_int_equal(eng_value_stamp(f->found.values[3]), 34);
	assert_int_equal(meta_boot_count(f->found.meta), 7);
	assert_int_equal(eng_hard_decode(meta_hard(f->found.meta, 0), &hard), 0);
	assert_int_equal(hard.promised.n, BALLOT(5).n);
}

/* Records are gone, and nothing says whose: any hint may have spoken of one of them. */
static void
test_in_doubt_no_hint_is_kept(void **state)
{
	struct eng_hard hard = { .promised = BALLOT(1), .doubt = true };
	struct fixture *f = *state;

	put_config(f, 1, 1, 3, 11);
	put_value(f, 2, 1, 1, 22);
	put_value(f, 3, 1, 2, 33);
	put_hard(f, &hard);
	assert_int_equal(rescue(f), 0);
	assert_true(f->rescue.groups[0].is_doubtful);
	read_new(f);
	assert_int_equal(f->found.count, 3);
	for (uint32_t i = 0; i < f->found.count; i++)
		assert_int_equal(f->found.records[i].commit.n, 0);
	assert_int_equal(eng_hard_decode(meta_hard(f->found.meta, 0), &hard), 0);
	assert_false(hard.doubt);
}

/* One member, the new disk; numbers that were ever used stay used. Epochs, slots and stamps stay,
 * and so does who was a member, for replay. */
static void
test_configurations_are_replaced(void **state)
{
	struct fixture *f = *state;
	struct eng_value v;

	put_config(f, 1, 1, 3, 11);
	put_value(f, 2, 1, 1, 22);
	put_config(f, 3, 2, 9, 33);
	put_meta(f, 1);
	assert_int_equal(rescue(f), 0);
	read_new(f);
	assert_int_equal(f->found.count, 3);
	assert_int_equal(eng_value_decode(f->found.values[0], f->found.records[0].bytes, &v), 0);
	assert_int_equal(v.kind, ENG_VALUE_CONFIG);
	assert_int_equal(v.stamp_ns, 11);
	assert_int_equal(v.membership.epoch, 1);
	assert_int_equal(v.membership.member_count, 1);
	assert_int_equal(v.membership.members[0].node_id, 3);
	assert_int_equal(v.membership.members[0].disk, f->rescue.disk);
	assert_int_equal(v.membership.id_last, 9);
	assert_true(eng_is_live(&v.membership, 1));
	assert_int_equal(eng_value_decode(f->found.values[2], f->found.records[2].bytes, &v), 0);
	assert_int_equal(v.kind, ENG_VALUE_CONFIG);
	assert_int_equal(v.stamp_ns, 33);
	assert_int_equal(v.membership.epoch, 2);
	assert_int_equal(v.membership.id_last, 9);
	assert_int_equal(v.membership.member_count, 1);
	assert_int_equal(v.membership.q1, 1);
	assert_int_equal(v.membership.q2, 1);
	assert_int_equal(v.membership.members[0].disk, f->rescue.disk);
	assert_false(eng_is_live(&v.membership, 1));
	assert_true(eng_is_live(&v.membership, 2));
}

/* The sessions that a log leads to, slot by slot. */
static void
replay(const struct found *log, struct decree_digest ret_digests[SLOTS_MAX])
{
	struct eng_config cfg = {
		.session_count = 2,
		.session_window = 1024,
		.session_idle_slots = 2,
		.command_bytes_max = 1024,
		.slot_bytes = VALUE_BYTES,
	};
	void *memory = calloc(1, eng_sessions_bytes(&cfg));
	struct eng_sessions *s = eng_sessions_init(memory, &cfg);
	struct eng_applied applied[64];
	struct decree_command commands[64];
	uint64_t cluster_ns;

	for (uint32_t i = 0; i < log->count; i++) {
		assert_int_equal(log->records[i].slot.n, i + 1);
		(void)eng_sessions_apply(s, log->records[i].slot, log->values[i],
			log->records[i].bytes, applied, commands, &cluster_ns);
		ret_digests[i] = eng_sessions_digest(s);
	}
	free(memory);
}

/* Whose row a registration takes depends on who is a member (7.5). The table is full, and node 1's
 * gateway has the oldest row: it stays while node 1 is a member, and goes after it has left.
 * Otherwise what was acknowledged would be executed otherwise, and no old mark would fit any
 * more. */
static void
test_the_sessions_stay_the_same(void **state)
{
	struct decree_digest before[SLOTS_MAX], after[SLOTS_MAX];
	struct fixture *f = *state;
	uint64_t slot;

	put_config(f, 1, 1, 3, 11);
	put_registration(f, 2, 1);
	put_registration(f, 3, 0);
	for (slot = 4; slot < 8; slot++)
		put_value(f, slot, 1, slot - 1, slot);
	put_registration(f, slot++, 0); /* takes the client's */
	put_config(f, slot++, 2, 4, 99);
	for (; slot < 30; slot++)
		put_value(f, slot, 1, slot - 1, slot);
	put_registration(f, slot, 0); /* takes the gateway's */
	put_meta(f, 1);
	replay(&f->written, before);
	assert_int_equal(rescue(f), 0);
	read_new(f);
	assert_int_equal(f->found.count, f->written.count);
	replay(&f->found, after);
	for (uint32_t i = 0; i < f->found.count; i++)
		assert_true(digest_eq(before[i], after[i]));
}

/* A state that skips a command is one that never was. */
static void
test_a_gap_ends_what_is_kept(void **state)
{
	struct fixture *f = *state;

	put_config(f, 1, 1, 3, 11);
	put_value(f, 2, 1, 1, 22);
	put_value(f, 4, 1, 2, 44);
	put_value(f, 5, 1, 4, 55);
	put_value(f, 2, 2, 5, 23);
	put_meta(f, 1);
	assert_int_equal(rescue(f), 0);
	assert_int_equal(f->rescue.groups[0].last.n, 2);
	assert_int_equal(f->rescue.groups[0].decided.n, 5);
	assert_int_equal(f->rescue.groups[0].dropped_count, 2);
	read_new(f);
	assert_int_equal(f->found.count, 3);
	assert_int_equal(f->found.records[2].slot.n, 2);
	assert_int_equal(f->found.records[2].commit.n, 2);
}

/* What is marked as damaged is not what was accepted, until it was written anew. */
static void
test_a_damaged_copy_is_a_gap(void **state)
{
	struct fixture *f = *state;

	put_config(f, 1, 1, 3, 11);
	put_value(f, 2, 1, 1, 22);
	put_value(f, 3, 1, 2, 33);
	put(f, ENG_RECORD_FAULTY, 2, 1, 0, NULL, 0);
	put_value(f, 2, 2, 1, 23);
	put(f, ENG_RECORD_FAULTY, 3, 2, 0, NULL, 0);
	put_meta(f, 1);
	assert_int_equal(rescue(f), 0);
	assert_int_equal(f->rescue.groups[0].last.n, 2);
	assert_int_equal(f->rescue.groups[0].dropped_count, 0);
}

/* Nodes are chosen by their ballots. One that was away hears a new leader's first Accept, of a slot
 * far behind what it has: it has nothing of that leader's to keep, and must not be taken for the
 * sake of it. */
static void
test_a_ballot_counts_if_its_slot_is_kept(void **state)
{
	struct fixture *f = *state;

	put_config(f, 1, 1, 3, 11);
	put_value(f, 2, 1, 1, 22);
	put_value(f, 3, 1, 2, 33);
	put_value(f, 2, 2, 2, 23);
	put_value(f, 23, 4, 2, 44);
	put_value(f, 24, 3, 2, 45);
	put_meta(f, 4);
	assert_int_equal(rescue(f), 0);
	assert_int_equal(f->rescue.groups[0].last.n, 3);
	assert_int_equal(f->rescue.groups[0].ballot.n, BALLOT(2).n);
	assert_int_equal(f->rescue.groups[0].dropped_count, 2);
}

/* The order of the records is none of the slots': a ballot is met first behind the gap, and then
 * before it. */
static void
test_a_ballot_counts_for_its_first_slot(void **state)
{
	struct fixture *f = *state;

	put_config(f, 1, 1, 3, 11);
	put_value(f, 5, 4, 1, 55);
	put_value(f, 2, 2, 1, 22);
	put_value(f, 3, 4, 1, 33);
	put_meta(f, 4);
	assert_int_equal(rescue(f), 0);
	assert_int_equal(f->rescue.groups[0].last.n, 3);
	assert_int_equal(f->rescue.groups[0].ballot.n, BALLOT(4).n);
}

/* What was learned as decided is known to be, before a later record says so. */
static void
test_a_decision_is_known_at_once(void **state)
{
	struct fixture *f = *state;

	put_config(f, 1, 1, 3, 11);
	put_decided(f, 2, 1, 1);
	put_decided(f, 3, 1, 1);
	put_decided(f, 5, 1, 1);
	put_value(f, 4, 1, 1, 44);
	put_meta(f, 4);
	assert_int_equal(rescue(f), 0);
	assert_int_equal(f->rescue.groups[0].last.n, 5);
	assert_int_equal(f->rescue.groups[0].decided.n, 3);
}

/* One rotten sector is no reason to lose what stands before it: after such a loss there is nobody
 * to fetch it from. */
static void
test_a_rotten_sector_is_a_gap(void **state)
{
	struct fixture *f = *state;

	put_config(f, 1, 1, 3, 11);
	for (uint64_t slot = 2; slot <= 6; slot++)
		put_value(f, slot, 1, slot - 1, MARKED(slot));
	put_meta(f, 1);
	rot(f, MARKED(4));
	if (rescue(f) != 0)
		fail_msg("%s", f->error);
	assert_int_equal(f->rescue.groups[0].last.n, 3);
	assert_int_equal(f->rescue.groups[0].decided.n, 5); /* another node may have it */
	assert_int_equal(f->rescue.groups[0].dropped_count, 2);
	read_new(f);
	assert_int_equal(f->found.count, 3);
	assert_int_equal(eng_value_stamp(f->found.values[2]), MARKED(3));
}

/* What the slot held before is not what was accepted last; what was written after it is. */
static void
test_a_rotten_sector_speaks_for_its_slot(void **state)
{
	struct fixture *f = *state;

	put_config(f, 1, 1, 3, 11);
	put_value(f, 2, 1, 1, MARKED(2));
	put_value(f, 3, 1, 2, MARKED(3));
	put_value(f, 2, 2, 1, MARKED(22));
	put_value(f, 3, 2, 2, MARKED(33));
	put_value(f, 4, 2, 2, MARKED(4));
	put_meta(f, 1);
	rot(f, MARKED(2));
	rot(f, MARKED(33));
	assert_int_equal(rescue(f), 0);
	assert_int_equal(f->rescue.groups[0].last.n, 2);
	assert_int_equal(f->rescue.groups[0].dropped_count, 1);
	read_new(f);
	assert_int_equal(eng_value_stamp(f->found.values[f->found.count - 1]), MARKED(22));
}

/* Then no slot is beyond doubt, and it is said. */
/* y was accepted, x learned as decided, and that record rots. x is accepted again later, so its
 * slot is kept; but the hint in between spoke of what has rotted, and in the new log it would speak
 * of y. */
static void
test_a_hint_speaks_of_nothing_that_is_left_out(void **state)
{
	uint8_t value[ENG_VALUE_HEADER_BYTES];
	uint32_t bytes = eng_value_begin(value, ENG_VALUE_NOOP);
	struct fixture *f = *state;

	eng_value_set_stamp(value, MARKED(33));
	put_config(f, 1, 1, 3, 11);
	put_value(f, 2, 1, 1, MARKED(2));
	put_value(f, 3, 4, 2, MARKED(3));
	put(f, ENG_RECORD_DECIDED, 3, 2, 2, value, bytes);
	put_value(f, 4, 4, 3, MARKED(4));
	put(f, ENG_RECORD_ACCEPTED, 3, 6, 2, value, bytes);
	put_value(f, 5, 6, 4, MARKED(5));
	put_meta(f, 1);
	rot(f, MARKED(33)); /* the first of the two */
	assert_int_equal(rescue(f), 0);
	assert_int_equal(f->rescue.groups[0].last.n, 5);
	read_new(f);
	assert_int_equal(f->found.count, 6);
	for (uint32_t i = 0; i < f->found.count; i++)
		assert_in_range(f->found.records[i].commit.n, 0, 2);
}

static void
test_rot_without_a_name_is_said(void **state)
{
	struct eng_hard hard = { .promised = BALLOT(1) };
	struct fixture *f = *state;

	put_config(f, 1, 1, 3, 11);
	for (uint64_t slot = 2; slot <= 6; slot++)
		put_value(f, slot, 1, slot - 1, MARKED(slot));
	put_hard(f, &hard);
	rot(f, MARKED(4));
	rot_identifiers(f);
	assert_int_equal(rescue(f), 0);
	assert_int_equal(f->rescue.groups[0].last.n, 3);
	assert_true(f->rescue.groups[0].is_doubtful);
}

static void
test_a_log_without_its_beginning_is_refused(void **state)
{
	struct fixture *f = *state;

	put_config(f, 1, 1, 3, MARKED(1));
	put_value(f, 2, 1, 1, MARKED(2));
	put_meta(f, 1);
	rot(f, MARKED(1));
	assert_int_equal(rescue(f), -EBADMSG);
	assert_non_null(strstr(f->error, "slot 1 is damaged"));
	assert_false(exists(f, "new"));
}

/* Looking changes nothing. */
static void
test_a_survey_makes_nothing(void **state)
{
	struct fixture *f = *state;

	put_config(f, 1, 1, 3, 11);
	put_value(f, 2, 1, 1, 22);
	put_meta(f, 1);
	f->rescue.is_dry = true;
	assert_int_equal(rescue(f), 0);
	assert_int_equal(f->rescue.groups[0].last.n, 2);
	assert_false(exists(f, "new"));
	assert_false(exists(f, "new.new"));
}

static void
test_a_node_without_history_is_refused(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(rescue(f), -EBADMSG);
	assert_non_null(strstr(f->error, "never was a member"));
	assert_false(exists(f, "new"));
}

/* A whole directory, or none: the next attempt does not take half of one for a whole one. */
static void
test_what_exists_is_not_touched(void **state)
{
	struct fixture *f = *state;
	char path[128];

	put_config(f, 1, 1, 3, 11);
	put_meta(f, 1);
	snprintf(path, sizeof(path), "%s.new", f->new_dir);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(rescue(f), -EEXIST);
	assert_non_null(strstr(f->error, "cut short"));
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(mkdir(f->new_dir, 0700), 0);
	assert_int_equal(rescue(f), -EEXIST);
	assert_non_null(strstr(f->error, "exists already"));
}

static void
test_a_log_that_is_too_small_is_refused(void **state)
{
	static uint8_t body[1200];
	struct fixture *f = *state;
	uint8_t value[VALUE_BYTES];

	put_config(f, 1, 1, 3, 11);
	for (uint64_t slot = 2; slot < 4000; slot++) {
		struct eng_command command = { .body = body, .bytes = sizeof(body) };

		command.session.n = 1;
		command.seq = slot;
		uint32_t bytes = eng_value_batch(value, VALUE_BYTES, &command, 1);
		put(f, ENG_RECORD_ACCEPTED, slot, 1, slot - 1, value, bytes);
	}
	put_meta(f, 1);
	assert_int_equal(rescue(f), -ENOSPC);
	assert_non_null(strstr(f->error, "log_bytes"));
	assert_false(exists(f, "new"));
	assert_false(exists(f, "new.new"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_everything_is_kept),
		TEST(test_in_doubt_no_hint_is_kept),
		TEST(test_configurations_are_replaced),
		TEST(test_the_sessions_stay_the_same),
		TEST(test_a_gap_ends_what_is_kept),
		TEST(test_a_damaged_copy_is_a_gap),
		TEST(test_a_ballot_counts_if_its_slot_is_kept),
		TEST(test_a_ballot_counts_for_its_first_slot),
		TEST(test_a_decision_is_known_at_once),
		TEST(test_a_rotten_sector_is_a_gap),
		TEST(test_a_rotten_sector_speaks_for_its_slot),
		TEST(test_a_hint_speaks_of_nothing_that_is_left_out),
		TEST(test_rot_without_a_name_is_said),
		TEST(test_a_log_without_its_beginning_is_refused),
		TEST(test_a_survey_makes_nothing),
		TEST(test_a_node_without_history_is_refused),
		TEST(test_what_exists_is_not_touched),
		TEST(test_a_log_that_is_too_small_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
