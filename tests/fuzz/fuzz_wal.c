/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recovery over arbitrary file images. The input is first decoded as a block, as it is; then it is
 * a list of changes to the files of a good log, which is opened, written to, and opened again: once
 * of twelve records, once of one that has gone around twice and begins in the middle.
 *
 * A change is five bytes: what and where (kind: 3 bits, file: 2 bits), sector (2 bytes), half
 * offset, value. RESEAL makes the checksums of a changed sector right again, so that the fuzzer
 * gets past them.
 */
#include "base/bytes.h"
#include "tests/lib/log_fixture.h"
#include "wal/internal.h"

#include <stdlib.h>
#include <string.h>

#define RECORD_COUNT 12
#define AROUND_COUNT 160
#define CHANGE_BYTES 5

enum change {
	SET_EVEN = 0,
	SET_ODD = 1,
	ZERO = 2,
	COPY = 3, /* from sector `value` */
	RESEAL = 4,
	RESIZE = 5,
	FILL = 6,
	NOTHING = 7,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

/* Two segments; the one that the head has left is given up. */
static void
go_around(struct log_fixture *f)
{
	for (uint64_t number = 0; number < AROUND_COUNT; number++) {
		while (log_fixture_append(f, number, (uint32_t)(number * 199 % 1337)).lsn == 0)
			log_fixture_turn(f);
		wal_log_ops.trim(f->wal, number + 1);
		log_fixture_settle(f, number + 1);
	}
}

static struct log_fixture *
good_log(bool is_around)
{
	static struct log_fixture *logs[2];
	struct log_fixture *f = logs[is_around];
	const struct disk_fake_config calm = {
		.latency_ns_min = 1,
		.latency_ns_max = 1,
		.reap_ns = 1,
	};

	if (f != NULL)
		return f;
	f = logs[is_around] = malloc(sizeof(*f));
	if (f == NULL)
		abort();
	log_fixture_init(f, &calm);
	f->format.log_bytes = 64 << 10;
	if (is_around)
		f->format.segment_bytes = 32 << 10;
	else
		f->cfg.prewrite_bytes_per_second = 1;
	if (wal_format(&disk_fake_ops, f->disk, &f->format, f->error) != 0 ||
		log_fixture_open(f) != 0)
		abort();
	if (is_around)
		go_around(f);
	for (uint64_t number = 0; !is_around && number < RECORD_COUNT; number++) {
		log_fixture_append(f, number, (uint32_t)(number * 199 % 1337));
		log_fixture_settle(f, number + 1);
	}
	(void)wal_log_ops.meta(f->wal, "hard", 4); /* generation 1 */
	log_fixture_idle(f);
	disk_fake_cut_power(f->disk);
	log_fixture_abandon(f);
	return f;
}

static void
reseal(struct log_fixture *f, enum disk_file file, uint8_t *sector, uint64_t index)
{
	struct wal_seal seal = wal_seal_of(&f->format.uuid);
	bool is_session = file == DISK_IDENTITY && index >= 16;
	uint32_t bytes = is_session ? 512 : 4096, crc;

	switch (file) {
	case DISK_SEGMENTS: store_u32(sector + 508, wal_crc(seal.crc_seed, sector, 508)); return;
	case DISK_IDENTIFIERS:
		for (int i = 0; i < IDENTIFIER_COUNT_PER_SECTOR; i++)
			identifier_seal(&seal, sector + i * IDENTIFIER_BYTES);
		return;
	default: break;
	}
	if (file == DISK_IDENTITY && !is_session)
		crc = 0xffffffffu;
	else
		crc = seal.crc_seed;
	if (!is_session)
		sector -= index % 8 * WAL_SECTOR_BYTES;
	crc = wal_crc(crc, sector, 60);
	store_u32(sector + 60, wal_crc(crc, sector + 64, bytes - 64));
}

/* @return true if the change made checksums right again */
static bool
change(struct log_fixture *f, const uint8_t *c)
{
	enum disk_file file = (enum disk_file)(c[0] >> 3 & 3);
	uint64_t bytes, index = load_u16(c + 1);
	uint8_t *files = disk_fake_data(f->disk, file, &bytes);
	uint8_t *sector;

	if ((c[0] & 7) == RESIZE) {
		disk_fake_resize(f->disk, file, index * WAL_SECTOR_BYTES % (128 << 10));
		return false;
	}
	if (bytes < 4096 || bytes % 4096 != 0)
		return false;
	index %= bytes / WAL_SECTOR_BYTES;
	sector = files + index * WAL_SECTOR_BYTES;
	switch ((enum change)(c[0] & 7)) {
	case SET_EVEN: sector[2 * c[3]] = c[4]; break;
	case SET_ODD: sector[2 * c[3] + 1] = c[4]; break;
	case ZERO: memset(sector, 0, WAL_SECTOR_BYTES); break;
	case COPY:
		memmove(sector, files + c[4] % (bytes / WAL_SECTOR_BYTES) * WAL_SECTOR_BYTES,
			WAL_SECTOR_BYTES);
		break;
	case FILL: memset(sector, c[4], WAL_SECTOR_BYTES); break;
	case RESEAL: reseal(f, file, sector, index); return true;
	case RESIZE:
	case NOTHING: break;
	}
	return false;
}

/* Without forged checksums nothing but a prefix of what was written may come back. */
static void
check(const struct log_fixture *f)
{
	if (f->wrong_count > 0 || f->found_count > AROUND_COUNT)
		abort();
	for (uint32_t i = 0; i < f->found_count; i++) {
		if (f->found_numbers[i] != f->found_lsns[0] - 1 + i ||
			f->found_lsns[i] != f->found_lsns[0] + i)
			abort();
	}
}

static void
live_on(struct log_fixture *f, bool is_forged)
{
	uint32_t count = f->found_count;
	struct log_place place;

	f->durable_lsn = 0;
	place = log_fixture_append(f, count > 0 ? f->found_numbers[count - 1] + 1 : 0, 700);
	if (place.lsn != 0)
		log_fixture_settle(f, place.lsn);
	disk_fake_cut_power(f->disk);
	log_fixture_abandon(f);
	if (log_fixture_open(f) != 0 && !is_forged)
		abort();
	if (!is_forged && place.lsn != 0 && f->found_count != count + 1)
		abort();
}

static void
recover(const uint8_t *data, size_t bytes, bool is_around)
{
	const struct log_fixture *good = good_log(is_around);
	struct log_fixture f = *good;
	bool is_forged = false;

	f.wal = NULL;
	f.cfg.recovery.context = &f;
	f.disk = disk_fake_copy(good->disk, 1);
	for (size_t i = 0; i + CHANGE_BYTES <= bytes; i += CHANGE_BYTES)
		is_forged |= change(&f, data + i);
	if (log_fixture_open(&f) == 0) {
		if (!is_forged)
			check(&f);
		live_on(&f, is_forged);
	} else if (f.error[0] == '\0') {
		abort();
	}
	log_fixture_fini(&f);
}

static void
decode(const uint8_t *data, size_t bytes)
{
	static uint8_t ring[BLOCK_SECTOR_COUNT_MAX * WAL_SECTOR_BYTES];
	uint8_t tag[LOG_TAG_BYTES], payload[BLOCK_SECTOR_COUNT_MAX * WAL_SECTOR_DATA_BYTES];
	const struct decree_uuid uuid = { .bytes = { 1 } };
	struct wal_seal seal = wal_seal_of(&uuid);
	struct sector_ring at = { .base = ring, .bytes = sizeof(ring), .offset = 0 };
	struct block_header header;
	struct decree_digest digest;

	if (bytes > sizeof(ring))
		bytes = sizeof(ring);
	memset(ring, 0, sizeof(ring));
	memcpy(ring, data, bytes);
	for (int i = 0; i < BLOCK_SECTOR_COUNT_MAX; i++)
		store_u32(ring + i * WAL_SECTOR_BYTES + 508,
			wal_crc(seal.crc_seed, ring + i * WAL_SECTOR_BYTES, 508));
	if (block_decode(&seal, at, BLOCK_SECTOR_COUNT_MAX, &header, tag, payload, &digest) ==
			BLOCK_VALID &&
		header.payload_bytes > sizeof(payload))
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	decode(data, bytes);
	if (bytes > 64 * CHANGE_BYTES)
		bytes = 64 * CHANGE_BYTES;
	recover(data, bytes, false);
	recover(data, bytes, true);
	return 0;
}
