/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/log_fixture.h"

#include "base/bytes.h"

#include <stdlib.h>
#include <string.h>

#define TURN_NS 20000

const struct disk_fake_config log_fixture_calm = {
	.seed = 1,
	.latency_ns_min = 1,
	.latency_ns_max = 1,
	.reap_ns = 1,
};

uint32_t
log_fixture_size(uint64_t number)
{
	return (uint32_t)(number * 199 % 1337);
}

static int
on_record(void *context, const struct log_place *place, const uint8_t *tag, const void *payload,
	uint32_t payload_bytes)
{
	struct log_fixture *f = context;
	uint8_t expected[WAL_PAYLOAD_BYTES_MAX];
	uint64_t number = load_u64(tag);

	if (f->found_count == FIXTURE_RECORD_COUNT_MAX)
		abort();
	log_fixture_payload(number, payload_bytes, expected);
	if (memcmp(payload, expected, payload_bytes) != 0 || load_u64(tag + 8) != payload_bytes)
		f->wrong_count++;
	f->found_positions[f->found_count] = place->position;
	f->found_lsns[f->found_count] = place->lsn;
	f->found_numbers[f->found_count++] = number;
	return 0;
}

static int
on_damaged(void *context, const struct log_place *place, const uint8_t *tag)
{
	struct log_fixture *f = context;

	if (f->damaged_count == FIXTURE_RECORD_COUNT_MAX)
		abort();
	if (tag != NULL && load_u64(tag) != load_u64(tag + 32))
		f->wrong_count++;
	f->damaged_lsns[f->damaged_count] = place->lsn;
	f->damaged_numbers[f->damaged_count++] = tag != NULL ? load_u64(tag) : UINT64_MAX;
	return 0;
}

static int
on_meta(void *context, uint64_t generation, const void *blob, uint32_t bytes)
{
	struct log_fixture *f = context;

	f->found_meta_generation = generation;
	f->found_meta_bytes = bytes;
	if (bytes > 0)
		memcpy(f->found_meta, blob,
			bytes < sizeof(f->found_meta) ? bytes : sizeof(f->found_meta));
	return 0;
}

static void
on_hearsay(void *context, const void *blob, uint32_t bytes)
{
	const uint8_t *words = blob;
	struct log_fixture *f = context;

	f->found_hearsay_count++;
	f->found_hearsay_bytes = bytes;
	f->found_hearsay = bytes >= 8 ? load_u64(words) : 0;
	for (uint32_t i = 8; i + 8 <= bytes; i += 8)
		f->wrong_count += load_u64(words + i) != f->found_hearsay;
}

void
log_fixture_init(struct log_fixture *f, const struct disk_fake_config *disk)
{
	memset(f, 0, sizeof(*f));
	f->disk = disk_fake_create(disk);
	f->format = (struct wal_format){
		.uuid = { .bytes = "a log for tests" },
		.identity = "who",
		.identity_bytes = 3,
		.payload_bytes_max = FIXTURE_PAYLOAD_BYTES_MAX,
		.log_bytes = 256 << 10,
		.segment_bytes = 64 << 10,
		.window_bytes = 16 << 10,
	};
	f->cfg = (struct wal_config){
		.ops = &disk_fake_ops,
		.disk = f->disk,
		.prewrite_bytes_per_second = 1ull << 40,
		.recovery = { .context = f,
			.record = on_record,
			.meta = on_meta,
			.hearsay = on_hearsay },
	};
}

void
log_fixture_fini(struct log_fixture *f)
{
	log_fixture_abandon(f);
	disk_fake_destroy(f->disk);
}

int
log_fixture_teardown(void **state)
{
	log_fixture_fini(*state);
	free(*state);
	return 0;
}

int
log_fixture_open(struct log_fixture *f)
{
	f->found_count = 0;
	f->damaged_count = 0;
	f->cfg.recovery.damaged = f->takes_damage ? on_damaged : NULL;
	f->wrong_count = 0;
	f->report_count = 0;
	f->found_meta_bytes = 0;
	f->found_hearsay = f->found_hearsay_bytes = f->found_hearsay_count = 0;
	f->failed_rc = 0;
	f->cfg.disk = f->disk;
	return wal_open(&f->cfg, &f->wal, f->error);
}

void
log_fixture_abandon(struct log_fixture *f)
{
	wal_abandon(f->wal);
	f->wal = NULL;
}

uint32_t
log_fixture_payload(uint64_t number, uint32_t bytes, uint8_t *ret_payload)
{
	for (uint32_t i = 0; i < bytes; i++)
		ret_payload[i] = (uint8_t)(number * 31 + i * 7 + (i >> 8));
	return bytes;
}

struct log_place
log_fixture_append(struct log_fixture *f, uint64_t number, uint32_t bytes)
{
	uint8_t payload[WAL_PAYLOAD_BYTES_MAX], tag[LOG_TAG_BYTES];
	struct log_record record = { .tag = tag, .payload = payload, .payload_bytes = bytes };
	struct log_place place = { 0 };

	log_fixture_payload(number, bytes, payload);
	for (int i = 0; i < LOG_TAG_BYTES; i += 8)
		store_u64(tag + i, number);
	store_u64(tag + 8, bytes);
	(void)wal_log_ops.append(f->wal, &record, 1, &place);
	return place;
}

static void
on_completion(struct log_fixture *f, const struct log_completion *c)
{
	switch (c->kind) {
	case LOG_DURABLE: f->durable_lsn = c->lsn; break;
	case LOG_META: f->meta_generation = c->lsn; break;
	case LOG_FAILED: f->failed_rc = c->rc; break;
	case LOG_DAMAGED:
		if (f->report_count == FIXTURE_REPORT_COUNT_MAX)
			abort();
		f->report_numbers[f->report_count] = c->tag != NULL ? load_u64(c->tag) : UINT64_MAX;
		f->reports[f->report_count++] = *c;
		break;
	case LOG_READ:
		f->read = *c;
		if (c->rc == 0)
			memcpy(f->read_payload, c->payload, c->payload_bytes);
		break;
	}
}

void
log_fixture_turn(struct log_fixture *f)
{
	struct log_completion done[8];
	uint32_t count;

	f->now_ns += TURN_NS;
	wal_log_ops.submit(f->wal, f->now_ns);
	count = wal_log_ops.reap(f->wal, f->now_ns, done, 8);
	for (uint32_t i = 0; i < count; i++)
		on_completion(f, &done[i]);
}

void
log_fixture_settle(struct log_fixture *f, uint64_t lsn)
{
	for (int turn = 0; f->durable_lsn < lsn && f->failed_rc == 0; turn++) {
		if (turn > 100000)
			abort(); /* the log is stuck */
		log_fixture_turn(f);
	}
}

void
log_fixture_idle(struct log_fixture *f)
{
	for (int turn = 0; turn < 600; turn++)
		log_fixture_turn(f);
}
